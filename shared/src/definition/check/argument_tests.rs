//! What is checked of arguments, references and values, kind by kind.

use serde_json::{Value, json};

use super::check;
use crate::definition::Definition;

const ROLE: &str = "arn:aws:iam::111122223333:role/r";

/// Code, place and message of each finding.
fn findings(definition: &Value) -> Vec<String> {
    check(&Definition::parse(&definition.to_string()).unwrap())
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn of(parameters: &Value, steps: &[Value]) -> Vec<String> {
    findings(&json!({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps}))
}

/// Code and place only.
fn short(findings: &[String]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let (head, _) = finding.split_once(": ").unwrap();
            head.replace("error[", "")
                .replace("warning[", "")
                .replacen("] $", " $", 1)
        })
        .collect()
}

fn processing(name: &str) -> Value {
    json!({"Name": name, "Type": "Processing", "Arguments": {
        "ProcessingResources": {"ClusterConfig":
            {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}},
        "AppSpecification": {"ImageUri": "i"}}})
}

fn training(name: &str) -> Value {
    json!({"Name": name, "Type": "Training", "Arguments": {
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
        "RoleArn": ROLE}})
}

/// A step with the value at a place, which may be new.
fn with(mut step: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut step;
    for key in pointer.split('/').skip(1) {
        at = match key.parse::<usize>() {
            Ok(index) => {
                if at.is_null() {
                    *at = json!([]);
                }
                let items = at.as_array_mut().unwrap();
                while items.len() <= index {
                    items.push(Value::Null);
                }
                &mut items[index]
            }
            Err(_) => &mut at[key],
        };
    }
    *at = value;
    step
}

fn get(path: &str) -> Value {
    json!({"Get": path})
}

/// A reference whose type the argument does not take is an error.
#[test]
fn a_references_type_is_held_against_the_arguments() {
    let parameters = json!([
        {"Name": "Text", "DefaultValue": "x"},
        {"Name": "Whole", "Type": "Integer", "DefaultValue": 1},
        {"Name": "Real", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "Flag", "Type": "Boolean", "DefaultValue": true},
    ]);
    let text = "/Arguments/Environment/K";
    let count = "/Arguments/ProcessingResources/ClusterConfig/InstanceCount";
    let switch = "/Arguments/NetworkConfig/EnableNetworkIsolation";
    let lambda = json!({"Name": "L", "Type": "Lambda", "FunctionArn": "f",
        "Arguments": {"a": [get("Parameters.Text"), get("Parameters.Whole"),
            get("Parameters.Real"), get("Parameters.Flag")]},
        "OutputParameters": [{"OutputName": "n", "OutputType": "Integer"},
            {"OutputName": "t", "OutputType": "String"}]});
    for (place, value, fits) in [
        (text, get("Parameters.Text"), true),
        (text, get("Parameters.Whole"), false),
        (text, get("Parameters.Real"), false),
        (text, get("Parameters.Flag"), false),
        (text, get("Execution.StartDateTime"), true),
        (text, get("Steps.L.OutputParameters['t']"), true),
        (text, get("Steps.L.OutputParameters['n']"), false),
        (text, get("Steps.T.ModelArtifacts"), false),
        (text, get("Steps.T.ModelArtifacts.S3ModelArtifacts"), true),
        (text, get("Steps.T.InputDataConfig"), false),
        (
            text,
            get("Steps.T.FinalMetricDataList['loss'].Value"),
            false,
        ),
        (text, get("Steps.T.HyperParameters['k']"), true),
        (text, get("Steps.T.CreationTime"), true),
        (
            text,
            json!({"Std:Join": {"Values": [get("Parameters.Whole")]}}),
            true,
        ),
        (
            text,
            json!({"Std:JsonGet": {"S3Uri": "s3://b/k", "Path": "a"}}),
            true,
        ),
        (count, get("Parameters.Whole"), true),
        (count, get("Parameters.Text"), false),
        (count, get("Parameters.Real"), false),
        (count, json!({"Std:Join": {"Values": [1]}}), false),
        (count, get("Steps.T.ResourceConfig.InstanceCount"), true),
        (count, get("Steps.L.OutputParameters['t']"), false),
        (switch, get("Parameters.Flag"), true),
        (switch, get("Parameters.Text"), false),
    ] {
        let steps = [
            lambda.clone(),
            training("T"),
            with(processing("P"), place, value.clone()),
        ];
        let found = short(&of(&parameters, &steps));
        let at = format!("E_REF_TYPE $.Steps[2]{}", place.replace('/', "."));
        let expected = if fits { vec![] } else { vec![at] };
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn a_wrong_types_message_has_the_cure() {
    let parameters = json!([{"Name": "N", "Type": "Integer"}, {"Name": "S"}]);
    let steps = [
        training("T"),
        with(
            processing("A"),
            "/Arguments/Environment/K",
            get("Parameters.N"),
        ),
        with(
            processing("B"),
            "/Arguments/ProcessingResources/ClusterConfig/InstanceCount",
            get("Parameters.S"),
        ),
        with(
            processing("C"),
            "/Arguments/Environment/K",
            get("Steps.T.ModelArtifacts"),
        ),
    ];
    assert_eq!(
        of(&parameters, &steps),
        [
            "error[E_REF_TYPE] $.Steps[1].Arguments.Environment.K: Parameters.N is an Integer, and \
             a text is needed here: {\"Std:Join\": {\"On\": \"\", \"Values\": [{\"Get\": \
             \"Parameters.N\"}]}} makes one of it (to_string() in the SDK), or declare it as String",
            "error[E_REF_TYPE] $.Steps[2].Arguments.ProcessingResources.ClusterConfig.InstanceCount: \
             Parameters.S is a String, and a whole number is needed here: declare it as Integer",
            "error[E_REF_TYPE] $.Steps[3].Arguments.Environment.K: Steps.T.ModelArtifacts is an \
             object (ModelArtifacts), and a text is needed here: read one of its members, such as \
             S3ModelArtifacts",
        ]
    );
}

#[test]
fn beside_the_arguments_a_reference_of_another_type_is_doubtful() {
    let parameters = json!([{"Name": "N", "Type": "Integer"}, {"Name": "S"}]);
    let check = with(
        with(
            with(processing("Q"), "/Type", json!("QualityCheck")),
            "/CheckType",
            json!("DATA_QUALITY"),
        ),
        "/SkipCheck",
        get("Parameters.S"),
    );
    let fail = json!({"Name": "F", "Type": "Fail",
        "Arguments": {"ErrorMessage": get("Parameters.N")}});
    assert_eq!(
        short(&of(&parameters, &[check, fail])),
        [
            "W_REF_TYPE $.Steps[0].SkipCheck",
            "W_REF_TYPE $.Steps[1].Arguments.ErrorMessage"
        ]
    );
}

/// A value that is longer, larger, more, or of another form than the service's model takes is an error.
#[test]
fn values_are_held_to_the_limits_of_the_services_model() {
    let long = |count: usize| json!("ü".repeat(count));
    let input = |name: &str| {
        json!({"InputName": name, "S3Input": {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml",
            "S3DataType": "S3Prefix", "S3InputMode": "File"}})
    };
    let inputs = |count: usize| Value::from_iter((0..count).map(|n| input(&n.to_string())));
    let processing = processing("P");
    let training = training("T");
    for (step, place, value, fits) in [
        (
            &processing,
            "/AppSpecification/ContainerArguments/0",
            long(256),
            true,
        ),
        (
            &processing,
            "/AppSpecification/ContainerArguments/0",
            long(257),
            false,
        ),
        (
            &processing,
            "/AppSpecification/ContainerEntrypoint/0",
            long(257),
            false,
        ),
        (&processing, "/Environment/K", long(256), true),
        (&processing, "/Environment/K", long(257), false),
        (&processing, "/Environment/MY-KEY", json!("x"), false),
        (&training, "/Environment/K", long(512), true),
        (&training, "/Environment/K", long(513), false),
        (&training, "/HyperParameters/k", long(2501), false),
        (&processing, "/ProcessingInputs", inputs(10), true),
        (&processing, "/ProcessingInputs", inputs(11), false),
        (
            &processing,
            "/ProcessingResources/ClusterConfig/InstanceCount",
            json!(0),
            false,
        ),
        (
            &processing,
            "/ProcessingResources/ClusterConfig/InstanceCount",
            json!(1.5),
            false,
        ),
        (
            &processing,
            "/RoleArn",
            json!("${execution_role_arn}"),
            false,
        ),
        (
            &processing,
            "/RoleArn",
            json!("arn:aws-cn:iam::111122223333:role/a/b"),
            true,
        ),
        (
            &training,
            "/OutputDataConfig/S3OutputPath",
            json!("b/models"),
            false,
        ),
        (
            &training,
            "/OutputDataConfig/S3OutputPath",
            json!(""),
            false,
        ),
        (
            &training,
            "/InputDataConfig/0/ChannelName",
            json!("train set"),
            false,
        ),
        (
            &training,
            "/InputDataConfig/0/ChannelName",
            json!("train_set"),
            true,
        ),
        (
            &processing,
            "/ProcessingJobName",
            json!("under_score"),
            false,
        ),
        (&processing, "/ProcessingJobName", long(64), false),
        (&training, "/VpcConfig/Subnets", json!([]), false),
        (&processing, "/Tags/0/Key", json!("größe:1"), true),
        (&processing, "/Tags/0/Key", json!("a#b"), false),
    ] {
        let mut step = with(step.clone(), &format!("/Arguments{place}"), value.clone());
        // What else the items need.
        if place.starts_with("/Tags") {
            step = with(step, "/Arguments/Tags/0/Value", json!("v"));
        }
        if place.starts_with("/InputDataConfig") {
            let source = json!({"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}});
            step = with(step, "/Arguments/InputDataConfig/0/DataSource", source);
        }
        if place.starts_with("/VpcConfig") {
            step = with(
                step,
                "/Arguments/VpcConfig/SecurityGroupIds",
                json!(["sg-1"]),
            );
        }
        let found = short(&of(&json!([]), &[step]));
        let refused = found.iter().any(|finding| {
            finding.starts_with("E_ARGS_LIMIT") || finding.starts_with("E_ARGS_VALUE")
        });
        assert_eq!(refused, !fits, "{place}: {found:?}");
        assert!(fits || found.len() == 1, "{place}: {found:?}");
    }
}

#[test]
fn a_limits_message_has_the_limit_and_what_there_is() {
    let step = with(
        processing("P"),
        "/Arguments/Environment/K",
        json!("x".repeat(257)),
    );
    let step = with(
        step,
        "/Arguments/AppSpecification/ContainerArguments",
        json!([]),
    );
    let step = with(step, "/Arguments/RoleArn", json!("{{ Role }}"));
    assert_eq!(
        of(&json!([]), &[step])[..3],
        [
            "error[E_ARGS_LIMIT] $.Steps[0].Arguments.AppSpecification.ContainerArguments: \
             ContainerArguments has 0 items, and takes at least 1",
            "error[E_ARGS_LIMIT] $.Steps[0].Arguments.Environment.K: the text has 257 characters, \
             and Environment takes at most 256",
            "error[E_ARGS_LIMIT] $.Steps[0].Arguments.RoleArn: RoleArn takes a role's ARN, such as \
             arn:aws:iam::111122223333:role/NAME, and this text has another form (a placeholder in \
             it was not filled)",
        ]
    );
}

#[test]
fn a_jobs_name_leaves_room_for_what_sagemaker_adds() {
    let named = |length: usize| {
        let step = with(
            training("T"),
            "/Arguments/TrainingJobName",
            json!("x".repeat(length)),
        );
        short(&of(&json!([]), &[step]))
    };
    assert_eq!(named(37), [""; 0]);
    assert_eq!(
        named(38),
        ["W_ARGS_VALUE $.Steps[0].Arguments.TrainingJobName"]
    );
    assert_eq!(
        named(64),
        ["E_ARGS_LIMIT $.Steps[0].Arguments.TrainingJobName"]
    );
}

#[test]
fn what_the_sdks_tests_stand_in_for_is_doubtful_only() {
    let step = with(processing("P"), "/Arguments/RoleArn", json!("DummyRole"));
    let step = with(
        step,
        "/Arguments/NetworkConfig/VpcConfig",
        json!({"Subnets": ["my_subnet"], "SecurityGroupIds": ["my_group"]}),
    );
    let step = with(
        step,
        "/Arguments/Tags",
        json!([{"Name": "n", "Value": "v"}]),
    );
    let found = short(&of(&json!([]), &[step]));
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found.iter().all(|finding| finding.starts_with("W_ARGS_")),
        "{found:?}"
    );
}

/// An argument that is misspelt, or stands in the wrong place, is an error; one that is just not known is a warning.
#[test]
fn misspelt_and_misplaced_arguments_are_errors() {
    let processing = processing("P");
    for (place, says) in [
        (
            "/Arguments/ProcessingOutputs",
            "did you mean \"ProcessingOutputConfig\"?",
        ),
        ("/Arguments/environment", "did you mean \"Environment\"?"),
        ("/Arguments/Enviroment", "did you mean \"Environment\"?"),
        ("/Arguments/CacheConfig", "it stands beside Arguments"),
        ("/Arguments/PropertyFiles", "it stands beside Arguments"),
        ("/Arguments/DependsOn", "it stands beside Arguments"),
        (
            "/Arguments/ContainerArguments",
            "it belongs into AppSpecification",
        ),
        (
            "/Arguments/InstanceType",
            "it belongs into ProcessingResources.ClusterConfig",
        ),
        (
            "/Arguments/AppSpecification/Environment",
            "it belongs further out",
        ),
        ("/Environment", "it belongs into Arguments"),
    ] {
        let found = of(&json!([]), &[with(processing.clone(), place, json!({}))]);
        assert_eq!(found.len(), 1, "{place}: {found:?}");
        assert!(found[0].starts_with("error[E_"), "{found:?}");
        assert!(found[0].contains(says), "{found:?}");
    }
    // What may be newer than this program.
    let found = of(
        &json!([]),
        &[with(processing, "/Arguments/SpendingPlan", json!({}))],
    );
    assert_eq!(
        short(&found),
        ["W_ARGS_MEMBER $.Steps[0].Arguments.SpendingPlan"]
    );
}

#[test]
fn wrong_and_missing_arguments_are_errors() {
    let mut nothing = training("T");
    nothing["Arguments"] = json!({"ResourceConfg": {}});
    let input = json!([{"InputName": "i", "S3Input": {"S3Uri": "s3://b/k", "LocalPath": "/opt",
        "S3DataType": "S3Prefx", "S3InputMode": "Fle"}}]);
    let steps = [
        nothing,
        with(processing("P"), "/Arguments/ProcessingInputs", input),
        with(
            processing("Q"),
            "/Arguments/Environment",
            json!({"A": 5, "B": true}),
        ),
        json!({"Name": "X", "Type": "Transform", "Arguments": {
            "TransformInput": {"DataSource": {"S3DataSource":
                {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}}},
            "TransformOutput": {"S3OutputPath": "s3://b/o"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": "1"}}}),
        json!({"Name": "E", "Type": "Endpoint", "Arguments": {}}),
    ];
    let at = |code: &str, rest: &str| format!("{code} $.Steps{rest}");
    assert_eq!(
        short(&of(&json!([]), &steps)),
        [
            at("E_ARGS_MEMBER", "[0].Arguments.ResourceConfg"),
            at("E_ARGS_MISSING", "[0].Arguments.OutputDataConfig"),
            at(
                "E_ARGS_VALUE",
                "[1].Arguments.ProcessingInputs[0].S3Input.S3DataType"
            ),
            at(
                "E_ARGS_VALUE",
                "[1].Arguments.ProcessingInputs[0].S3Input.S3InputMode"
            ),
            at("E_ARGS_VALUE", "[2].Arguments.Environment.A"),
            at("E_ARGS_VALUE", "[2].Arguments.Environment.B"),
            at(
                "E_ARGS_VALUE",
                "[3].Arguments.TransformResources.InstanceCount"
            ),
            at("E_ARGS_MISSING", "[3].Arguments.ModelName"),
            at("E_ARGS_MISSING", "[4].Arguments.EndpointConfigName"),
        ]
    );
}

/// A value that is missing from a list that the service extends is a warning.
#[test]
fn a_list_of_values_that_grows_is_doubtful_only() {
    let place = "/Arguments/ProcessingResources/ClusterConfig/InstanceType";
    let found = of(
        &json!([]),
        &[with(processing("P"), place, json!("ml.m5.larg"))],
    );
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("warning[W_ARGS_VALUE]"), "{found:?}");
    assert!(
        found[0].contains("did you mean \"ml.m5.large\"?"),
        "{found:?}"
    );
}

#[test]
fn a_type_of_step_that_is_nearly_known_is_an_error() {
    for (name, meant) in [
        ("training", Some("Training")),
        ("TrainingStep", Some("Training")),
        ("CreateModel", Some("Model")),
        ("CreateTrainingJob", Some("Training")),
        ("CreateModelStep", Some("Model")),
        ("CreateModelPackage", Some("RegisterModel")),
        ("BatchTransform", Some("Transform")),
        ("HyperParameterTuning", Some("Tuning")),
        ("Clarify", Some("ClarifyCheck")),
        ("LambdaFunction", Some("Lambda")),
        ("AutoMLJob", Some("AutoML")),
        ("Procesing", Some("Processing")),
        ("emr", Some("EMR")),
        ("Pass", None),
        ("Wait", None),
    ] {
        let found = of(
            &json!([]),
            &[json!({"Name": "S", "Type": name, "Arguments": {}})],
        );
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        match meant {
            Some(meant) => {
                assert!(found[0].starts_with("error[E_STEP_TYPE]"), "{found:?}");
                assert!(
                    found[0].ends_with(&format!("did you mean {meant:?}?")),
                    "{found:?}"
                );
            }
            None => assert!(found[0].starts_with("warning[W_STEP_TYPE]"), "{found:?}"),
        }
    }
    for name in ["Job", "Athena", "Cleanup", "HubContent"] {
        let steps = [json!({"Name": "S", "Type": name, "Arguments": {"a": 1}})];
        assert_eq!(of(&json!([]), &steps), [""; 0], "{name}");
    }
}

#[test]
fn what_the_service_takes_has_no_finding() {
    let mut without_role = processing("P");
    without_role["Arguments"]["Environment"] = json!({"K": "{{resolve:ssm:/team/token}}"});
    let steps = [
        without_role,
        json!({"Name": "L", "Type": "Lambda", "FunctionArn": "f"}),
        json!({"Name": "C", "Type": "Callback", "SqsQueueUrl": "q"}),
        json!({"Name": "R", "Type": "RegisterModel", "Arguments": {"ModelPackageName": "n"}}),
        json!({"Name": "A", "Type": "AutoML", "Arguments": {
            "InputDataConfig": [{"TargetAttributeName": "y"}],
            "OutputDataConfig": {"S3OutputPath": "s3://b/o"}}}),
        json!({"Name": "X", "Type": "Lambda", "FunctionArn": "f", "Arguments": {
            "insights": get("Steps.A.BestCandidateProperties.ModelInsightsJsonReportPath"),
            "reasons": get("Steps.A.BestCandidateProperties.ExplainabilityJsonReportPath")}}),
    ];
    assert_eq!(of(&json!([]), &steps), [""; 0]);
}

#[test]
fn an_argument_that_pipelines_were_seen_to_refuse_is_doubtful() {
    let source = json!([{"ChannelName": "c", "S3DataSource":
        {"S3Uri": "s3://b/k", "S3DataType": "S3Prefix", "CompressionType": "None"}}]);
    let step = json!({"Name": "M", "Type": "Model", "Arguments": {"PrimaryContainer":
        {"Image": "i", "AdditionalModelDataSources": source}}});
    assert_eq!(
        short(&of(&json!([]), &[step])),
        ["W_ARGS_MEMBER $.Steps[0].Arguments.PrimaryContainer.AdditionalModelDataSources"]
    );
}

/// Python's print of an object is an error; braces that look like a key are a warning, since SageMaker takes them.
#[test]
fn texts_that_belong_to_another_language_are_told() {
    for (text, code) in [
        (
            "<sagemaker.workflow.properties.Properties object at 0x7f3a5c0b1d30>",
            "E_PRINTED",
        ),
        ("--n={'Get': 'Parameters.N'}", "E_PRINTED"),
        ("Answer: {{ question }}", "W_HOLE"),
        ("${AWS::Region}", "W_HOLE"),
        ("${var.bucket}", "W_HOLE"),
        ("echo ${HOME} {\"a\": {\"b\": 1}}", ""),
    ] {
        let step = with(processing("P"), "/Arguments/Environment/K", json!(text));
        let found = short(&of(&json!([]), &[step]));
        let at = format!("{code} $.Steps[0].Arguments.Environment.K");
        let expected = if code.is_empty() { vec![] } else { vec![at] };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn cloudformations_functions_are_named_wherever_they_stand() {
    let reference = json!({"Ref": "Bucket"});
    let mut lambda =
        json!({"Name": "L", "Type": "Lambda", "FunctionArn": {"Fn::GetAtt": ["F", "Arn"]}});
    lambda["Arguments"] = json!({"x": reference});
    let steps = [
        with(
            processing("P"),
            "/Arguments/Environment/K",
            json!({"Fn::Sub": "x"}),
        ),
        with(
            processing("Q"),
            "/Arguments/Environment",
            json!({"Fn::If": []}),
        ),
        lambda,
    ];
    let found = of(&json!([{"Name": "B", "DefaultValue": reference}]), &steps);
    assert_eq!(
        short(&found),
        [
            "E_PARAM_DEFAULT $.Parameters[0].DefaultValue",
            "W_UNUSED_PARAM $.Parameters[0].Name",
            "E_ARGS $.Steps[0].Arguments.Environment.K",
            "E_ARGS_LIMIT $.Steps[1].Arguments.Environment['Fn::If']",
            "E_ARGS $.Steps[1].Arguments.Environment['Fn::If']",
            "E_ARGS $.Steps[2].FunctionArn",
            "W_FOREIGN $.Steps[2].Arguments.x",
        ]
    );
    for place in [0, 2, 5, 6] {
        assert!(
            found[place].contains("CloudFormation's functions"),
            "{}",
            found[place]
        );
    }
}

/// A parameter's default and allowed values are held to what the arguments take that read it.
#[test]
fn what_a_parameter_can_be_is_checked_where_it_is_read() {
    let parameters = json!([
        {"Name": "Approval", "DefaultValue": "Pending",
            "EnumValues": ["Pending", "Approved", "Reject"]},
        {"Name": "Count", "Type": "Integer", "DefaultValue": 0},
        {"Name": "Where", "DefaultValue": ""},
        {"Name": "Kind", "DefaultValue": "ml.m5.larg"},
        {"Name": "Fine", "DefaultValue": "File", "EnumValues": ["File", "Pipe"]},
    ]);
    let register = json!({"Name": "R", "Type": "RegisterModel",
        "Arguments": {"ModelApprovalStatus": get("Parameters.Approval")}});
    let cluster = "/Arguments/ProcessingResources/ClusterConfig";
    let step = with(
        processing("P"),
        &format!("{cluster}/InstanceCount"),
        get("Parameters.Count"),
    );
    let step = with(
        step,
        &format!("{cluster}/InstanceType"),
        get("Parameters.Kind"),
    );
    let input = json!([{"InputName": "i", "S3Input": {"S3Uri": get("Parameters.Where"),
        "LocalPath": "/opt", "S3DataType": "S3Prefix", "S3InputMode": get("Parameters.Fine")}}]);
    let step = with(step, "/Arguments/ProcessingInputs", input);
    let found = of(
        &parameters,
        &[register, step.clone(), with(step, "/Name", json!("Q"))],
    );
    assert_eq!(
        short(&found),
        [
            "E_ARGS_VALUE $.Parameters[0].DefaultValue",
            "E_ARGS_VALUE $.Parameters[0].EnumValues[0]",
            "E_ARGS_VALUE $.Parameters[0].EnumValues[2]",
            "W_ARGS_VALUE $.Parameters[3].DefaultValue",
            "E_ARGS_LIMIT $.Parameters[1].DefaultValue",
            "W_ARGS_VALUE $.Parameters[2].DefaultValue",
        ]
    );
    assert!(
        found[0].contains(
            "the default \"Pending\" does not fit where it is read, at \
             $.Steps[0].Arguments.ModelApprovalStatus"
        ),
        "{}",
        found[0]
    );
}

/// A condition whose operands are of types that never compare is an error.
#[test]
fn operands_that_never_compare_are_errors() {
    let parameters = json!([{"Name": "S"}, {"Name": "N", "Type": "Integer"},
        {"Name": "B", "Type": "Boolean"}]);
    let lambda = json!({"Name": "L", "Type": "Lambda", "FunctionArn": "f",
        "Arguments": {"a": [get("Parameters.S"), get("Parameters.N"), get("Parameters.B")]},
        "OutputParameters": [{"OutputName": "t", "OutputType": "String"}]});
    for (name, left, right, code) in [
        ("Equals", get("Parameters.S"), json!("x"), ""),
        (
            "GreaterThanOrEqualTo",
            get("Parameters.S"),
            json!(5),
            "E_COND",
        ),
        ("Equals", get("Parameters.B"), json!("true"), "E_COND"),
        ("Equals", get("Parameters.B"), json!(true), ""),
        ("LessThan", get("Parameters.B"), json!(true), "E_COND"),
        ("LessThan", get("Parameters.N"), json!(0.5), ""),
        (
            "Equals",
            get("Steps.L.OutputParameters['t']"),
            json!(1),
            "E_COND",
        ),
        (
            "Equals",
            get("Steps.T.ModelArtifacts"),
            json!("x"),
            "E_COND",
        ),
        // Descriptions hold numbers as texts, and AWS's own tests compare them.
        (
            "LessThan",
            get("Steps.T.HyperParameters['n']"),
            json!(6.0),
            "",
        ),
        ("GreaterThan", get("Execution.StartDateTime"), json!(1), ""),
        (
            "Equals",
            json!({"Std:Join": {"Values": ["a"]}}),
            json!(1),
            "E_COND",
        ),
    ] {
        let condition = json!({"Name": "C", "Type": "Condition", "Arguments": {
            "Conditions": [{"Type": name, "LeftValue": left, "RightValue": right}],
            "IfSteps": [], "ElseSteps": []}});
        let found = short(&of(
            &parameters,
            &[lambda.clone(), training("T"), condition],
        ));
        let at = format!("{code} $.Steps[2].Arguments.Conditions[0]");
        let expected = if code.is_empty() { vec![] } else { vec![at] };
        assert_eq!(found, expected, "{name} {left} {right}");
    }
    let never = json!({"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [
        {"Type": "In", "QueryValue": get("Parameters.N"), "Values": ["1", "2"]},
        {"Type": "In", "QueryValue": get("Parameters.N"), "Values": ["1", 2]}],
        "IfSteps": [], "ElseSteps": []}});
    assert_eq!(
        short(&of(&parameters, &[lambda, never])),
        ["W_COND $.Steps[1].Arguments.Conditions[0].Values"]
    );
}

#[test]
fn hints_name_what_was_meant() {
    let condition =
        |arguments: Value| json!({"Name": "C", "Type": "Condition", "Arguments": arguments});
    let equals = json!([{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]);
    let mut file = processing("P");
    file["PropertyFiles"] = json!([{"Name": "R", "OutputName": "o", "Path": "r.json"}]);
    file["Arguments"]["ProcessingOutputConfig"] = json!({"Outputs": [{"OutputName": "o",
        "S3Output": {"S3Uri": "s3://b/o", "LocalPath": "/o", "S3UploadMode": "EndOfJob"}}]});
    let mut lambda = json!({"Name": "L", "Type": "Lambda", "FunctionArn": "f"});
    lambda["OutputParameters"] = json!([{"OutputName": "o", "OutputType": "String", "Kind": 1}]);
    for (step, says) in [
        (
            condition(json!({"Conditions": equals, "TrueSteps": [], "FalseSteps": []})),
            &["did you mean \"IfSteps\"?", "did you mean \"ElseSteps\"?"][..],
        ),
        (file, &["mean \"PropertyFileName\"?", "mean \"FilePath\"?"]),
        (
            condition(json!({"Conditions": [{"Type": "ConditionEquals"}], "IfSteps": []})),
            &["did you mean \"Equals\"?"],
        ),
        (
            condition(
                json!({"Conditions": [{"Type": "Equals", "Left": 1, "Right": 1}],
                "IfSteps": []}),
            ),
            &[
                "did you mean \"LeftValue\"?",
                "did you mean \"RightValue\"?",
            ],
        ),
        (
            with(
                processing("P"),
                "/Arguments/Environment/K",
                json!({"On": "", "Values": []}),
            ),
            &["{\"Std:Join\": {\"On\": ..., \"Values\": [...]}} is meant"],
        ),
        (
            with(processing("P"), "/Arguments/Environment/K", json!(5)),
            &["write \"5\" in quotes"],
        ),
        (lambda, &["an output has no member \"Kind\""]),
    ] {
        let found = of(&json!([]), &[step]);
        assert_eq!(found.len(), says.len(), "{found:?}");
        for (finding, says) in found.iter().zip(says) {
            assert!(finding.contains(says), "{finding}");
        }
    }
}

/// A step that reads a location that another one writes, without an order between them, is a warning.
#[test]
fn a_location_that_is_read_before_it_is_written_is_doubtful() {
    let writes = |name: &str, place: Value| {
        with(
            processing(name),
            "/Arguments/ProcessingOutputConfig/Outputs",
            json!([{"OutputName": "out", "S3Output": {"S3Uri": place, "LocalPath": "/o",
                "S3UploadMode": "EndOfJob"}}]),
        )
    };
    let reads = |name: &str, place: Value| {
        with(
            processing(name),
            "/Arguments/ProcessingInputs",
            json!([{"InputName": "in", "S3Input": {"S3Uri": place, "LocalPath": "/i",
                "S3DataType": "S3Prefix", "S3InputMode": "File"}}]),
        )
    };
    let wait = |step: Value, name: &str| with(step, "/DependsOn", json!([name]));
    let place = json!("s3://b/features");
    let joined = json!({"Std:Join": {"On": "/", "Values": ["s3://b", get("Parameters.N")]}});
    let at = "W_UNORDERED $.Steps[1].Arguments.ProcessingInputs[0].S3Input.S3Uri";
    let parameters = json!([{"Name": "N"}]);
    let uses = with(
        processing("U"),
        "/Arguments/Environment/K",
        get("Parameters.N"),
    );
    for (writer, reader, doubtful) in [
        (
            writes("W", place.clone()),
            reads("R", json!("s3://b/features/")),
            true,
        ),
        (
            writes("W", joined.clone()),
            reads("R", joined.clone()),
            true,
        ),
        (
            writes("W", place.clone()),
            wait(reads("R", place.clone()), "W"),
            false,
        ),
        (
            wait(writes("W", place.clone()), "R"),
            reads("R", place.clone()),
            false,
        ),
        (
            wait(writes("W", place.clone()), "R"),
            wait(reads("R", place.clone()), "U"),
            false,
        ),
        (
            writes("W", place.clone()),
            reads("R", json!("s3://b/features/more")),
            false,
        ),
        (
            writes("W", place.clone()),
            reads("R", json!("s3://b")),
            false,
        ),
    ] {
        let found = of(&parameters, &[writer, reader, uses.clone()]);
        let expected = if doubtful { vec![at] } else { vec![] };
        assert_eq!(short(&found), expected, "{found:?}");
        if let [finding] = found.as_slice() {
            assert!(
                finding.contains("Steps.W.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"),
                "{finding}"
            );
        }
    }
    let branches = json!({"Name": "C", "Type": "Condition", "Arguments": {
        "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
        "IfSteps": [writes("W", place.clone())], "ElseSteps": [reads("R", place)]}});
    assert_eq!(of(&parameters, &[branches, uses]), [""; 0]);
}

#[test]
fn thousands_of_shared_locations_take_no_time() {
    let place = json!([{"OutputName": "o", "S3Output": {"S3Uri": "s3://b/o", "LocalPath": "/o",
        "S3UploadMode": "EndOfJob"}}]);
    let input = json!([{"InputName": "i", "S3Input": {"S3Uri": "s3://b/o", "LocalPath": "/i",
        "S3DataType": "S3Prefix", "S3InputMode": "File"}}]);
    let steps: Vec<Value> = (0..400)
        .map(|n| {
            let step = with(
                processing(&format!("S{n}")),
                "/Arguments/ProcessingOutputConfig/Outputs",
                place.clone(),
            );
            with(step, "/Arguments/ProcessingInputs", input.clone())
        })
        .collect();
    let started = std::time::Instant::now();
    assert!(of(&json!([]), &steps).len() > 100);
    assert!(started.elapsed().as_secs() < 30);
}

#[test]
fn months_of_a_cache_and_retries_without_effect_are_doubtful() {
    let cached = with(
        processing("P"),
        "/CacheConfig",
        json!({"Enabled": true, "ExpireAfter": "P30M"}),
    );
    let policies = json!([{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 3}]);
    let retried = |name: &str, kind: &str| {
        json!({"Name": name, "Type": kind, "FunctionArn": "f", "SqsQueueUrl": "q",
            "RetryPolicies": policies})
    };
    let mut lambda = retried("L", "Lambda");
    lambda.as_object_mut().unwrap().shift_remove("SqsQueueUrl");
    let mut callback = retried("C", "Callback");
    callback
        .as_object_mut()
        .unwrap()
        .shift_remove("FunctionArn");
    let found = of(
        &json!([]),
        &[
            cached,
            lambda,
            callback,
            with(training("T"), "/RetryPolicies", policies),
        ],
    );
    assert_eq!(
        short(&found),
        [
            "W_CACHE $.Steps[0].CacheConfig.ExpireAfter",
            "W_RETRY $.Steps[1].RetryPolicies",
            "W_RETRY $.Steps[2].RetryPolicies",
        ]
    );
    assert!(found[0].contains("30 minutes are PT30M"), "{}", found[0]);
    let shrinks = json!([{"ExceptionType": ["Step.THROTTLING"], "BackoffRate": 0.5}]);
    let mut never = with(
        processing("P"),
        "/CacheConfig",
        json!({"Enabled": true, "ExpireAfter": "P0D"}),
    );
    never["RetryPolicies"] = shrinks;
    assert_eq!(
        short(&of(&json!([]), &[never])),
        [
            "W_CACHE $.Steps[0].CacheConfig.ExpireAfter",
            "W_RETRY $.Steps[0].RetryPolicies[0].BackoffRate",
        ]
    );
}

/// A ForEach step with a step in its body, after a step that gives the items.
fn looping(arguments: &Value, body: &Value, later: &Value) -> Vec<String> {
    let mut loop_arguments = json!({"IterableItems": get("Parameters.Items"), "MaxConcurrency": 2,
        "ForEachBody": [body]});
    for (key, value) in arguments.as_object().unwrap() {
        loop_arguments[key] = value.clone();
    }
    let parameters = json!([{"Name": "Items", "DefaultValue": "[1]"}]);
    let steps = [
        json!({"Name": "First", "Type": "Lambda", "FunctionArn": "f",
            "Arguments": {"x": get("Parameters.Items")},
            "OutputParameters": [{"OutputName": "o", "OutputType": "String"}]}),
        json!({"Name": "Each", "Type": "ForEach", "Arguments": loop_arguments}),
        json!({"Name": "Later", "Type": "Lambda", "FunctionArn": "f", "Arguments": later}),
    ];
    short(&of(&parameters, &steps))
}

#[test]
fn a_foreach_step_is_checked_with_its_body() {
    let body = json!({"Name": "Body", "Type": "Lambda", "FunctionArn": "f",
        "Arguments": {"item": get("ForEach.CurrentItem.name"),
            "first": get("Steps.First.OutputParameters['o']")},
        "OutputParameters": [{"OutputName": "n", "OutputType": "Integer"}]});
    let field = get("IterationOutput.Body.OutputParameters['n']");
    let selector = json!({"Selector": {"Pick": "MaxBy", "Field": field}});
    let later = json!({
        "a": get("Steps.Each.IterationOutputs[0].Body.OutputParameters['n']"),
        "b": get("Steps.Each.Selected.OutputParameters['n']"),
        "c": get("Steps.Each.Status"),
    });
    assert_eq!(looping(&selector, &body, &later), [""; 0]);

    let at = |code: &str, rest: &str| vec![format!("{code} $.Steps[{rest}")];
    for (arguments, expected) in [
        (
            json!({"MaxConcurrency": 0}),
            at("E_FOREACH", "1].Arguments.MaxConcurrency"),
        ),
        (
            json!({"IterableItems": []}),
            at("E_FOREACH", "1].Arguments.IterableItems"),
        ),
        (
            json!({"Iterables": 1}),
            at("E_UNKNOWN_KEY", "1].Arguments.Iterables"),
        ),
        (
            json!({"Selector": {"Pick": "Max", "Field": field}}),
            at("E_FOREACH", "1].Arguments.Selector.Pick"),
        ),
        (
            json!({"Selector": {"Pick": "MinBy", "Field": get("Steps.First.OutputParameters['o']")}}),
            at("E_FOREACH", "1].Arguments.Selector.Field"),
        ),
        (
            json!({"Selector": {"Pick": "MinBy", "Field": get("IterationOutput.Bodi.X")}}),
            at("E_FOREACH", "1].Arguments.Selector.Field"),
        ),
    ] {
        assert_eq!(
            looping(&arguments, &body, &json!({})),
            expected,
            "{arguments}"
        );
    }
    for (later, code) in [
        (get("ForEach.CurrentItem"), "E_FOREACH"),
        (get("ForEach.Item"), "E_GET_PATH"),
        (get("Steps.Body.OutputParameters['n']"), "E_DANGLING"),
        (get("Steps.Each.Selectd.X"), "E_MEMBER"),
        (get("Steps.Each.IterationOutputs.Body"), "E_MEMBER"),
        (get("Steps.Each.IterationOutputs[0].Bodi.X"), "E_MEMBER"),
    ] {
        let found = looping(&json!({}), &body, &json!({"x": later}));
        assert_eq!(found, at(code, "2].Arguments.x"), "{later}");
    }
}

#[test]
fn steps_in_a_body_are_checked_like_others() {
    for (body, expected) in [
        (
            json!({"Name": "First", "Type": "Lambda", "FunctionArn": "f"}),
            "E_DUP_STEP $.Steps[1].Arguments.ForEachBody[0].Name",
        ),
        (
            json!({"Name": "Body", "Type": "Fail", "Arguments": {"ErrorMessage": ""}}),
            "E_FOREACH $.Steps[1].Arguments.ForEachBody[0].Type",
        ),
        (
            with(processing("Body"), "/Arguments/Enviroment", json!({})),
            "E_ARGS_MEMBER $.Steps[1].Arguments.ForEachBody[0].Arguments.Enviroment",
        ),
        (
            with(processing("Body"), "/DependsOn", json!(["Nope"])),
            "E_DANGLING $.Steps[1].Arguments.ForEachBody[0].DependsOn[0]",
        ),
    ] {
        assert_eq!(looping(&json!({}), &body, &json!({})), [expected], "{body}");
    }
}

#[test]
fn a_dependency_may_name_the_outcome_that_it_waits_for() {
    let wait = |entry: Value| {
        let step = json!({"Name": "N", "Type": "Lambda", "FunctionArn": "f", "DependsOn": [entry]});
        short(&of(&json!([]), &[training("T"), step]))
    };
    let at = |code: &str, rest: &str| vec![format!("{code} $.Steps[1].DependsOn[0]{rest}")];
    assert_eq!(wait(json!({"Step": "T", "Trigger": "Failed"})), [""; 0]);
    for (entry, expected) in [
        (
            json!({"Step": "T", "Trigger": "Faild"}),
            at("E_DEPENDS_ON", ".Trigger"),
        ),
        (json!({"Step": "U", "Trigger": "Any"}), at("E_DANGLING", "")),
        (json!({"Trigger": "Any"}), at("E_DEPENDS_ON", "")),
        (json!({"Step": "N", "Trigger": "Any"}), at("E_SELF", "")),
    ] {
        assert_eq!(wait(entry.clone()), expected, "{entry}");
    }
    let definition = json!({"Version": "2020-12-01", "Steps": [training("T"),
        {"Name": "N", "Type": "Lambda", "FunctionArn": "f",
            "DependsOn": [{"Step": "T", "Trigger": "Stopped"}]}]});
    let definition = Definition::parse(&definition.to_string()).unwrap();
    assert_eq!(definition.graph().dependencies(), [vec![], vec![0]]);
}

#[test]
fn a_cleanup_step_names_steps() {
    let clean = |name: &str| {
        let step = json!({"Name": "C", "Type": "Cleanup", "DependsOn": ["T"],
            "Arguments": {"Resources": {"S3": [{"StepName": name}]}}});
        short(&of(&json!([]), &[training("T"), step]))
    };
    assert_eq!(clean("T"), [""; 0]);
    assert_eq!(
        clean("U"),
        ["E_DANGLING $.Steps[1].Arguments.Resources.S3[0].StepName"]
    );
}
