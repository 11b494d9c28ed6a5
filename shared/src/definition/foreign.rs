//! Documents that people take for a definition: answers of the service,
//! CloudFormation's and Terraform's forms, Python's prints. Each is named for
//! what it is, with the way to the definition.

use std::fmt;

use serde_json::{Map, Value};

/// A document that is not a definition, and how to get the definition that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// What the document is.
    pub what: &'static str,
    /// What to do.
    pub cure: String,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is {}: {}", self.what, self.cure)
    }
}

fn foreign(what: &'static str, cure: impl Into<String>) -> Option<Foreign> {
    Some(Foreign {
        what,
        cure: cure.into(),
    })
}

/// How to ask for the definition of a pipeline.
const ASK: &str =
    "aws sagemaker describe-pipeline --pipeline-name NAME --query PipelineDefinition --output text";

/// How Python writes a definition.
const PRINT: &str = "print(pipeline.definition()) writes the definition";

/// What a JSON document is, if it is known and no definition.
pub(super) fn of_value(document: &Value) -> Option<Foreign> {
    match document {
        Value::String(text) => of_json_text(text),
        Value::Array(items) => of_array(items),
        Value::Object(members) if !members.contains_key("Steps") => of_object(members),
        _ => None,
    }
}

fn of_json_text(text: &str) -> Option<Foreign> {
    if is_definition_text(text) {
        return foreign(
            "a definition that is written as a text within a text",
            format!("jq -r . FILE takes it out; {PRINT} without it"),
        );
    }
    of_text(text)
}

fn of_array(items: &[Value]) -> Option<Foreign> {
    let is_step = |item: &Value| item.get("Name").is_some() && item.get("Type").is_some();
    if !items.is_empty() && items.iter().all(is_step) {
        return foreign(
            "a list of steps alone",
            "a definition is {\"Version\": \"2020-12-01\", \"Steps\": [...]}, with Parameters \
             where there are some",
        );
    }
    match items {
        [only] if is_definition(only) => foreign(
            "a definition within an array",
            "jq '.[0]' FILE takes it out",
        ),
        _ => None,
    }
}

/// A call of the service by the member that only its answer has.
const ANSWERS: [(&str, &str); 7] = [
    ("PipelineSummaries", "the answer of ListPipelines"),
    (
        "PipelineVersionSummaries",
        "the answer of ListPipelineVersions",
    ),
    (
        "PipelineExecutionSummaries",
        "the answer of ListPipelineExecutions",
    ),
    (
        "PipelineExecutionSteps",
        "the answer of ListPipelineExecutionSteps",
    ),
    ("PipelineParameters", "a list of an execution's parameters"),
    (
        "PipelineExecutionArn",
        "the answer of DescribePipelineExecution or StartPipelineExecution",
    ),
    (
        "PipelineArn",
        "the answer of CreatePipeline or UpdatePipeline",
    ),
];

fn of_object(members: &Map<String, Value>) -> Option<Foreign> {
    if let Some(definition) = members.get("PipelineDefinition") {
        return of_pipeline_definition(members, definition);
    }
    if let Some(body) = members.get("PipelineDefinitionBody") {
        return of_body(body, ".PipelineDefinitionBody");
    }
    if let Some(location) = members.get("PipelineDefinitionS3Location") {
        return of_location(location);
    }
    if members.contains_key("AWSTemplateFormatVersion")
        || members.get("Resources").is_some_and(is_resources)
    {
        return of_stack(members);
    }
    if let Some(found) = of_terraform(members) {
        return Some(found);
    }
    if members.contains_key("StartAt") && members.contains_key("States") {
        return foreign(
            "a state machine of Step Functions",
            format!("a pipeline of SageMaker has a language of its own; {ASK}"),
        );
    }
    if members.contains_key("nbformat") && members.contains_key("cells") {
        return foreign("a notebook", format!("run it; {PRINT}"));
    }
    // What has a version of the language is a definition without steps.
    if members.contains_key("Version") {
        return None;
    }
    if let Some(way) = inner_definition(members) {
        return foreign(
            "a document that holds a definition",
            format!("jq -r '{way}' FILE takes it out"),
        );
    }
    ANSWERS
        .iter()
        .find(|(member, _)| members.contains_key(*member))
        .and_then(|(_, what)| foreign(what, format!("the definition is had by {ASK}")))
}

fn of_pipeline_definition(members: &Map<String, Value>, definition: &Value) -> Option<Foreign> {
    match definition {
        Value::String(_) => {
            let what = if members.contains_key("PipelineArn") {
                "the answer of DescribePipeline"
            } else if members.contains_key("CreationTime") {
                "the answer of DescribePipelineDefinitionForExecution"
            } else if members.contains_key("PipelineName") {
                "the request of CreatePipeline or UpdatePipeline"
            } else {
                "a call's document around a definition"
            };
            foreign(
                what,
                "the definition is the text in $.PipelineDefinition: \
                 jq -r .PipelineDefinition FILE takes it out",
            )
        }
        Value::Object(inner) => {
            if let Some(body) = inner.get("PipelineDefinitionBody") {
                of_body(body, ".PipelineDefinition.PipelineDefinitionBody")
            } else if let Some(location) = inner.get("PipelineDefinitionS3Location") {
                of_location(location)
            } else {
                foreign(
                    "a document around a definition",
                    "jq .PipelineDefinition FILE takes it out",
                )
            }
        }
        _ => None,
    }
}

/// CloudFormation's `PipelineDefinitionBody` at a way of jq.
fn of_body(body: &Value, way: &str) -> Option<Foreign> {
    let what = "what CloudFormation takes for AWS::SageMaker::Pipeline";
    match body {
        Value::String(_) => foreign(what, format!("jq -r '{way}' FILE takes the definition out")),
        Value::Object(inner) if inner.contains_key("Fn::Sub") => foreign(
            what,
            format!(
                "the definition is the text of Fn::Sub at {way}, with ${{...}} that CloudFormation \
                 fills; {ASK} gives it filled"
            ),
        ),
        _ => foreign(
            what,
            format!("the definition at {way} is made by functions; {ASK} gives it as a whole"),
        ),
    }
}

fn of_location(location: &Value) -> Option<Foreign> {
    let text = |key: &str| location.get(key).and_then(Value::as_str);
    let bucket = text("Bucket").unwrap_or("BUCKET");
    let key = text("Key").or_else(|| text("ObjectKey")).unwrap_or("KEY");
    foreign(
        "the place of a definition in S3",
        format!("aws s3 cp s3://{bucket}/{key} - fetches the definition"),
    )
}

fn is_resources(resources: &Value) -> bool {
    resources.as_object().is_some_and(|resources| {
        !resources.is_empty()
            && resources.values().all(|resource| {
                resource
                    .get("Type")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.contains("::"))
            })
    })
}

fn of_stack(members: &Map<String, Value>) -> Option<Foreign> {
    let what = "a template of CloudFormation";
    let pipeline = members
        .get("Resources")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .find(|(_, resource)| {
            resource.get("Type").and_then(Value::as_str) == Some("AWS::SageMaker::Pipeline")
        });
    let Some((name, resource)) = pipeline else {
        return foreign(what, format!("it holds no definition; {ASK}"));
    };
    let definition = resource.pointer("/Properties/PipelineDefinition");
    let way = format!(
        ".Resources{}.Properties.PipelineDefinition.PipelineDefinitionBody",
        jq_member(name)
    );
    match definition.and_then(|definition| definition.get("PipelineDefinitionBody")) {
        Some(Value::String(_)) => {
            foreign(what, format!("jq -r '{way}' FILE takes the definition out"))
        }
        _ => foreign(
            what,
            format!("the definition of {name} is not in it as a text; {ASK} gives it as a whole"),
        ),
    }
}

fn of_terraform(members: &Map<String, Value>) -> Option<Foreign> {
    let selected = "select(.type == \"aws_sagemaker_pipeline\")";
    if members.contains_key("terraform_version") {
        let (what, way) = if members.contains_key("planned_values") {
            (
                "a plan of Terraform",
                format!(
                    ".planned_values.root_module.resources[] | {selected} | .values.pipeline_definition"
                ),
            )
        } else if members.contains_key("values") {
            (
                "a state that terraform show prints",
                format!(
                    ".values.root_module.resources[] | {selected} | .values.pipeline_definition"
                ),
            )
        } else {
            (
                "a state of Terraform",
                format!(".resources[] | {selected} | .instances[].attributes.pipeline_definition"),
            )
        };
        return foreign(what, format!("jq -r '{way}' FILE takes the definition out"));
    }
    if members
        .get("resource")
        .and_then(|resource| resource.get("aws_sagemaker_pipeline"))
        .is_some()
    {
        return foreign(
            "a configuration of Terraform",
            format!("its state holds the definition: {TERRAFORM}"),
        );
    }
    members
        .get("pipeline_definition")
        .filter(|definition| definition.is_string())
        .and_then(|_| {
            foreign(
                "a resource of Terraform",
                "jq -r .pipeline_definition FILE takes the definition out",
            )
        })
}

const TERRAFORM: &str = "terraform show -json | jq -r '.values.root_module.resources[] | \
                         select(.type == \"aws_sagemaker_pipeline\") | .values.pipeline_definition'";

/// Whether a value is a definition, or the beginnings of one.
fn is_definition(value: &Value) -> bool {
    value.get("Steps").is_some_and(Value::is_array)
}

/// Whether a text holds a definition, if need be behind one more layer of quotes.
fn is_definition_text(text: &str) -> bool {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::String(inner)) => {
            serde_json::from_str::<Value>(&inner).is_ok_and(|value| is_definition(&value))
        }
        Ok(value) => is_definition(&value),
        Err(_) => false,
    }
}

/// Where, at most three levels down, a definition stands, as jq names it.
fn inner_definition(members: &Map<String, Value>) -> Option<String> {
    let mut level: Vec<(&Map<String, Value>, String)> = vec![(members, String::new())];
    for _ in 0..3 {
        let mut next = Vec::new();
        for (members, way) in level {
            for (key, value) in members {
                let way = format!("{way}{}", jq_member(key));
                match value {
                    _ if is_definition(value) => return Some(way),
                    Value::String(text) if text.contains("Steps") && is_definition_text(text) => {
                        return Some(way);
                    }
                    Value::Object(inner) => next.push((inner, way)),
                    _ => {}
                }
            }
        }
        level = next;
    }
    None
}

/// A member as jq names it.
fn jq_member(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && !key.is_empty();
    if plain {
        format!(".{key}")
    } else {
        format!("[{key:?}]")
    }
}

/// What a text that is not JSON is, if it is known.
pub(super) fn of_text(text: &str) -> Option<Foreign> {
    let start = text.trim_start();
    let line = |begins: &str| text.lines().any(|line| line.starts_with(begins));
    if ["{'", "[{'", "{\n'", "OrderedDict(", "ordereddict("]
        .iter()
        .any(|begin| start.starts_with(begin))
    {
        return foreign(
            "how Python prints a dict",
            format!("{PRINT}, json.dumps(...) any other"),
        );
    }
    if ["'{", "b'{", "b\"{", "('{", "\"\"\"", "'''"]
        .iter()
        .any(|begin| start.starts_with(begin))
    {
        return foreign(
            "how Python prints a text, quotes included",
            format!("{PRINT} without them"),
        );
    }
    if text.contains("aws_sagemaker_pipeline") || line("resource \"") || line("terraform {") {
        return foreign(
            "a configuration of Terraform",
            format!("its state holds the definition: {TERRAFORM}"),
        );
    }
    if line("AWSTemplateFormatVersion:") || text.contains("Type: AWS::SageMaker::Pipeline") {
        return foreign(
            "a template of CloudFormation",
            format!("the definition is the text of PipelineDefinitionBody; {ASK} gives it filled"),
        );
    }
    if line("import ") || line("from ") || line("def ") {
        return foreign("a program in Python", format!("run it; {PRINT}"));
    }
    if line("PipelineDefinition:") {
        return foreign(
            "an answer of the service as YAML",
            format!("the definition is its PipelineDefinition: {ASK}"),
        );
    }
    if line("Steps:") {
        return foreign(
            "a definition as YAML",
            "SageMaker takes JSON: yq -o json FILE writes it",
        );
    }
    if start.starts_with('<') {
        return foreign("HTML or XML", format!("the definition is had by {ASK}"));
    }
    of_text_with_more(text)
}

/// Lines of a log before a definition, as the SDK writes them.
fn of_text_with_more(text: &str) -> Option<Foreign> {
    let at = text.find("\n{").map(|at| at + 1)?;
    let before = text[..at].lines().count();
    serde_json::from_str::<Value>(&text[at..])
        .is_ok_and(|value| is_definition(&value))
        .then(|| Foreign {
            what: "a definition behind other lines",
            cure: format!(
                "remove the {before} {} before its first brace; a log goes to standard error",
                if before == 1 { "line" } else { "lines" }
            ),
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{of_text, of_value};

    const DEFINITION: &str = r#"{"Version": "2020-12-01", "Steps": []}"#;

    fn told(document: &Value) -> String {
        of_value(document).map_or_else(String::new, |found| found.to_string())
    }

    /// An answer of the service that is taken for a definition is named, with the command that gives the definition.
    #[test]
    fn answers_of_the_service_are_named_with_the_way_to_the_definition() {
        for (document, parts) in [
            (
                json!({"PipelineArn": "a", "PipelineName": "p", "PipelineDefinition": DEFINITION}),
                [
                    "the answer of DescribePipeline:",
                    "jq -r .PipelineDefinition FILE",
                ],
            ),
            (
                json!({"PipelineDefinition": DEFINITION, "CreationTime": 1}),
                [
                    "DescribePipelineDefinitionForExecution",
                    "jq -r .PipelineDefinition FILE",
                ],
            ),
            (
                json!({"PipelineName": "p", "PipelineDefinition": DEFINITION, "RoleArn": "r"}),
                [
                    "the request of CreatePipeline",
                    "jq -r .PipelineDefinition FILE",
                ],
            ),
            (
                json!({"PipelineSummaries": []}),
                ["the answer of ListPipelines", "describe-pipeline"],
            ),
            (
                json!({"PipelineExecutionSteps": [], "ResponseMetadata": {}}),
                ["ListPipelineExecutionSteps", "describe-pipeline"],
            ),
            (
                json!({"PipelineArn": "a", "ResponseMetadata": {}}),
                ["CreatePipeline or UpdatePipeline", "describe-pipeline"],
            ),
        ] {
            let told = told(&document);
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        }
    }

    #[test]
    fn forms_of_cloudformation_and_terraform_are_named() {
        let pipeline = |body: Value| {
            json!({"Resources": {"My-Pipe": {"Type": "AWS::SageMaker::Pipeline", "Properties":
                {"PipelineDefinition": {"PipelineDefinitionBody": body}}}}})
        };
        for (document, part) in [
            (
                json!({"PipelineDefinitionBody": DEFINITION}),
                "jq -r '.PipelineDefinitionBody' FILE",
            ),
            (
                json!({"PipelineDefinition": {"PipelineDefinitionBody": {"Fn::Sub": DEFINITION}}}),
                "the text of Fn::Sub",
            ),
            (
                json!({"PipelineDefinitionS3Location": {"Bucket": "b", "Key": "k.json"}}),
                "aws s3 cp s3://b/k.json -",
            ),
            (
                pipeline(json!(DEFINITION)),
                "jq -r '.Resources[\"My-Pipe\"].Properties.PipelineDefinition.PipelineDefinitionBody'",
            ),
            (pipeline(json!({"Ref": "Body"})), "not in it as a text"),
            (
                json!({"version": 4, "terraform_version": "1.5.7", "resources": []}),
                "a state of Terraform: jq -r '.resources[]",
            ),
            (
                json!({"terraform_version": "1.5.7", "planned_values": {}}),
                "a plan of Terraform",
            ),
            (
                json!({"resource": {"aws_sagemaker_pipeline": {"p": {}}}}),
                "terraform show -json",
            ),
            (
                json!({"pipeline_definition": DEFINITION, "id": "p"}),
                "jq -r .pipeline_definition",
            ),
            (
                json!({"apiVersion": "v1", "spec": {"pipelineDefinition": DEFINITION}}),
                "jq -r '.spec.pipelineDefinition' FILE",
            ),
        ] {
            let told = told(&document);
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn texts_in_texts_notebooks_and_lists_of_steps_are_named() {
        for (document, part) in [
            (json!(DEFINITION), "jq -r . FILE"),
            (json!(json!(DEFINITION).to_string()), "jq -r . FILE"),
            (
                json!("{'Version': '2020-12-01'}"),
                "how Python prints a dict",
            ),
            (
                json!([{"Name": "A", "Type": "Fail"}]),
                "a list of steps alone",
            ),
            (json!([{"Version": "2020-12-01", "Steps": []}]), "jq '.[0]'"),
            (json!({"cells": [], "nbformat": 4}), "a notebook"),
            (json!({"StartAt": "A", "States": {}}), "Step Functions"),
        ] {
            let told = told(&document);
            assert!(told.contains(part), "{document}: {told}");
        }
    }

    #[test]
    fn a_definition_with_a_fault_is_still_one() {
        for document in [
            json!({"Version": "2020-12-01", "Steps": [], "PipelineDefinition": "x"}),
            json!({"Version": "2020-12-01", "Step": [], "RoleArn": "r"}),
            json!({"Version": "2020-12-01"}),
            json!({}),
            json!([]),
            json!("text"),
            json!({"Resources": {}}),
        ] {
            assert_eq!(of_value(&document), None, "{document}");
        }
    }

    #[test]
    fn texts_that_are_no_json_are_named() {
        for (text, part) in [
            (
                "{'Version': '2020-12-01', 'Steps': []}",
                "how Python prints a dict",
            ),
            ("'{\"Version\": \"2020-12-01\"}'", "quotes included"),
            ("b'{\"Version\"'", "quotes included"),
            ("Version: \"2020-12-01\"\nSteps:\n- Name: A\n", "yq -o json"),
            (
                "resource \"aws_sagemaker_pipeline\" \"p\" {\n}",
                "a configuration of Terraform",
            ),
            (
                "AWSTemplateFormatVersion: '2010-09-09'\n",
                "a template of CloudFormation",
            ),
            ("import sagemaker\npipeline = ...", "a program in Python"),
            ("<html>", "HTML or XML"),
            (
                "sagemaker.config INFO - no defaults\nWARNING x\n{\"Steps\": []}",
                "remove the 2 lines",
            ),
        ] {
            let told = of_text(text).map_or_else(String::new, |found| found.to_string());
            assert!(told.contains(part), "{text}: {told}");
        }
        for text in ["", "{\"a\": 1,}", "{{ x }}", "{\"Steps\": [}"] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
