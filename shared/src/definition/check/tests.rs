use std::time::Instant;

use super::{Code, Finding, check};
use crate::definition::Definition;

fn findings(text: &str) -> Vec<Finding> {
    check(&Definition::parse(text).unwrap())
}

/// Code and place of each finding in a definition with these steps and a
/// parameter `P`, which the last step reads.
fn of_steps(steps: &str) -> Vec<String> {
    let definition = format!(
        r#"{{"Version":"2020-12-01","Metadata":{{}},"Parameters":[{{"Name":"P","Type":"Integer"}}],
            "Steps":[{steps},{}]}}"#,
        r#"{"Name":"Last","Type":"Fail","Arguments":{"ErrorMessage":{"Std:Join":{"Values":[{"Get":"Parameters.P"}]}}}}"#
    );
    shown(&findings(&definition))
}

/// As [`of_steps`], for top-level members instead of steps.
fn of_document(members: &str) -> Vec<String> {
    shown(&findings(&format!(
        r#"{{"Version":"2020-12-01",{members},"Steps":[
            {{"Name":"L","Type":"Lambda","FunctionArn":"f","Arguments":{{"x":{{"Get":"Parameters.P"}}}}}}]}}"#
    )))
}

fn shown(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| format!("{} {}", finding.code, finding.path))
        .collect()
}

const PROCESSING: &str = r#"{"Name":"P1","Type":"Processing","Arguments":{
    "ProcessingResources":{"ClusterConfig":{"InstanceType":"ml.m5.large","InstanceCount":1,"VolumeSizeInGB":30}},
    "AppSpecification":{"ImageUri":"i"},"RoleArn":"arn:aws:iam::111122223333:role/r",
    "ProcessingOutputConfig":{"Outputs":[{"OutputName":"out","S3Output":{
        "S3Uri":"s3://b/o","LocalPath":"/o","S3UploadMode":"EndOfJob"}}]}},
    "PropertyFiles":[{"PropertyFileName":"R","OutputName":"out","FilePath":"r.json"}]}"#;

fn lambda(name: &str, arguments: &str, more: &str) -> String {
    format!(
        r#"{{"Name":"{name}","Type":"Lambda","FunctionArn":"f","Arguments":{arguments},
            "OutputParameters":[{{"OutputName":"o","OutputType":"String"}}]{more}}}"#
    )
}

/// A Lambda step that reads something, after the processing step.
fn reading(value: &str) -> Vec<String> {
    of_steps(&format!(
        "{PROCESSING},{}",
        lambda("L", &format!(r#"{{"x":{value}}}"#), "")
    ))
}

#[test]
fn a_sound_definition_has_no_finding() {
    assert_eq!(of_steps(PROCESSING), [""; 0]);
    assert_eq!(of_steps(&lambda("L", "{}", "")), [""; 0]);
}

#[test]
fn version_and_top_level_members_are_checked() {
    assert_eq!(
        shown(&findings(r#"{"Version":1,"Step":[],"Tags":[],"Other":1}"#)),
        [
            "E_VERSION $.Version",
            "E_UNKNOWN_KEY $.Step",
            "E_UNKNOWN_KEY $.Tags",
            "W_UNKNOWN_KEY $.Other",
            "E_STEPS $.Steps",
        ]
    );
    assert_eq!(
        shown(&findings(
            r#"{"Version":"2020-12-01","Metadata":{"a":1},"Parameters":{},"Steps":[7]}"#
        )),
        [
            "E_METADATA $.Metadata.a",
            "E_PARAM $.Parameters",
            "E_STEPS $.Steps[0]"
        ]
    );
    assert_eq!(
        shown(&findings(r#"{"Version":"2020-12-01","Steps":[]}"#)),
        ["W_NO_STEPS $.Steps"]
    );
}

#[test]
fn parameters_are_checked() {
    assert_eq!(
        of_document(
            r#""Parameters":[{"Name":"P"},{"Name":"P"},{"Name":"bad name"},{"Type":"Integer"},3,
                {"Name":"Q","Type":"Int","Defaultvalue":1}]"#
        ),
        [
            "E_PARAM $.Parameters[4]",
            "E_DUP_PARAM $.Parameters[1].Name",
            "E_PARAM $.Parameters[2].Name",
            "W_UNUSED_PARAM $.Parameters[2].Name",
            "E_PARAM $.Parameters[3].Name",
            "E_UNKNOWN_KEY $.Parameters[5].Defaultvalue",
            "E_PARAM_TYPE $.Parameters[5].Type",
            "W_UNUSED_PARAM $.Parameters[5].Name",
        ]
    );
}

#[test]
fn defaults_have_the_parameters_type_and_are_allowed_values() {
    for (parameter, expected) in [
        (
            r#""Type":"Integer","DefaultValue":true"#,
            "E_PARAM_DEFAULT $.Parameters[0].DefaultValue",
        ),
        (
            r#""Type":"Integer","DefaultValue":3.0"#,
            "E_PARAM_DEFAULT $.Parameters[0].DefaultValue",
        ),
        (r#""Type":"Float","DefaultValue":3"#, ""),
        (
            r#""DefaultValue":0"#,
            "E_PARAM_DEFAULT $.Parameters[0].DefaultValue",
        ),
        (
            r#""DefaultValue":{"Get":"Execution.PipelineName"}"#,
            "E_PARAM_DEFAULT $.Parameters[0].DefaultValue",
        ),
        (
            r#""DefaultValue":"x","EnumValues":["a","b"]"#,
            "E_PARAM_ENUM $.Parameters[0].DefaultValue",
        ),
        (
            r#""EnumValues":["a",1]"#,
            "E_PARAM_ENUM $.Parameters[0].EnumValues[1]",
        ),
        (
            r#""EnumValues":"a""#,
            "E_PARAM_ENUM $.Parameters[0].EnumValues",
        ),
        (
            r#""Type":"Integer","EnumValues":[1]"#,
            "W_PARAM_LIMIT $.Parameters[0].EnumValues",
        ),
        (r#""DefaultValue":"","EnumValues":["", "{{x}}"]"#, ""),
    ] {
        let found = of_document(&format!(r#""Parameters":[{{"Name":"P",{parameter}}}]"#));
        assert_eq!(found.join(" "), expected, "{parameter}");
    }
}

#[test]
fn the_experiment_has_names_and_reads_no_step() {
    let parameters = r#""Parameters":[{"Name":"P"}]"#;
    for (experiment, expected) in [
        ("null", ""),
        (
            r#"{"ExperimentName":"e","TrialName":{"Std:Join":{"On":"-","Values":["a"]}}}"#,
            "",
        ),
        (
            r#"{"ExperimentName":"e"}"#,
            "E_EXPERIMENT $.PipelineExperimentConfig.TrialName",
        ),
        ("3", "E_EXPERIMENT $.PipelineExperimentConfig"),
        (
            r#"{"ExperimentName":1,"TrialName":{"Get":"Steps.L.OutputParameters['o']"}}"#,
            "E_EXPERIMENT $.PipelineExperimentConfig.ExperimentName \
             E_EXPERIMENT $.PipelineExperimentConfig.TrialName",
        ),
    ] {
        let found = of_document(&format!(
            r#"{parameters},"PipelineExperimentConfig":{experiment}"#
        ));
        assert_eq!(found.join(" "), expected, "{experiment}");
    }
    let found = of_document(&format!(
        r#"{parameters},"MlflowConfig":{{"MlflowResourceArn":"a","MlflowExperimentName":null}}"#
    ));
    assert_eq!(found, [""; 0]);
}

#[test]
fn names_types_and_members_of_steps_are_checked() {
    assert_eq!(
        of_steps(
            r#"{"Name":"a.b","Type":"Fail","Arguments":{"ErrorMessage":""}},
               {"Type":"Fail","Arguments":{"ErrorMessage":""}},
               {"Name":"c","Arguments":{}},
               {"Name":"c","Type":"Trainnig"},
               {"Name":"d","Type":"Lambda","FunctionArn":{"Get":"Parameters.P"},"Dependson":[],"Other":1,"Arguments":{}},
               {"Name":"e","Type":"Callback","Arguments":{"Get":"Parameters.P"}},
               {"Name":"f","Type":"ClarifyCheck","CheckType":"DATA_QUALITY"},
               {"Name":"g","Type":"Fail","DisplayName":3,"Arguments":{"Message":""}}"#
        ),
        [
            "E_STEP_NAME $.Steps[0].Name",
            "E_STEP_NAME $.Steps[1].Name",
            "E_STEP_TYPE $.Steps[2].Type",
            "E_DUP_STEP $.Steps[3].Name",
            "E_STEP_TYPE $.Steps[3].Type",
            "E_UNKNOWN_KEY $.Steps[4].Dependson",
            "W_UNKNOWN_KEY $.Steps[4].Other",
            "E_ARGS $.Steps[4].FunctionArn",
            "E_ARGS $.Steps[5].SqsQueueUrl",
            "E_ARGS $.Steps[5].Arguments",
            "E_ARGS $.Steps[6].CheckType",
            "E_ARGS $.Steps[6].Arguments",
            "E_TEXT $.Steps[7].DisplayName",
            "E_UNKNOWN_KEY $.Steps[7].Arguments.Message",
        ]
    );
}

#[test]
fn dependencies_lead_to_steps_that_can_have_run() {
    assert_eq!(
        of_steps(&format!(
            "{},{},{}",
            lambda("A", "{}", r#","DependsOn":["A","Nope","B","B",3,"Last"]"#),
            lambda("B", "{}", r#","DependsOn":"A""#),
            lambda("C", "{}", r#","DependsOn":["D"]"#),
        )),
        [
            "E_SELF $.Steps[0].DependsOn[0]",
            "E_DANGLING $.Steps[0].DependsOn[1]",
            "W_DEPENDS_ON $.Steps[0].DependsOn[3]",
            "E_DEPENDS_ON $.Steps[0].DependsOn[4]",
            "E_REF_FAIL $.Steps[0].DependsOn[5]",
            "E_DEPENDS_ON $.Steps[1].DependsOn",
            "E_DANGLING $.Steps[2].DependsOn[0]",
        ]
    );
}

#[test]
fn a_cycle_is_reported_once_with_its_way() {
    let found = findings(&format!(
        r#"{{"Version":"2020-12-01","Steps":[{},{},{}]}}"#,
        lambda("A", "{}", r#","DependsOn":["B"]"#),
        lambda("B", r#"{"x":{"Get":"Steps.C.OutputParameters['o']"}}"#, ""),
        lambda("C", "{}", r#","DependsOn":["A"]"#),
    ));
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["error[E_CYCLE] $.Steps[0]: steps wait for each other: A -> C -> B -> A"]
    );
}

#[test]
fn branches_bound_what_can_wait_for_what() {
    let condition = |conditions: &str, inside: &str, opposite: &str| {
        format!(
            r#"{{"Name":"C","Type":"Condition","Arguments":{{"Conditions":[{conditions}],
                "IfSteps":[{inside}],"ElseSteps":[{opposite}]}}}}"#
        )
    };
    let plain = r#"{"Type":"Equals","LeftValue":1,"RightValue":1}"#;
    let reads_inside =
        r#"{"Type":"Equals","LeftValue":{"Get":"Steps.I.OutputParameters['o']"},"RightValue":""}"#;
    let inside = lambda("I", "{}", r#","DependsOn":["C"]"#);
    let outside = lambda("O", "{}", r#","DependsOn":["I"]"#);
    assert_eq!(
        of_steps(&format!("{},{outside}", condition(plain, &inside, ""))),
        ["W_BRANCH_REF $.Steps[1].DependsOn[0]"]
    );
    let beside = lambda("J", "{}", r#","DependsOn":["I"]"#);
    assert_eq!(
        of_steps(&condition(plain, &format!("{inside},{beside}"), "")),
        [""; 0]
    );
    assert_eq!(
        of_steps(&condition(plain, &inside, &beside)),
        ["W_BRANCH_REF $.Steps[0].Arguments.ElseSteps[0].DependsOn[0]"]
    );
    assert_eq!(
        of_steps(&condition(reads_inside, &inside, "")),
        [
            "E_BRANCH_REF $.Steps[0].Arguments.Conditions[0].LeftValue",
            "E_CYCLE $.Steps[0]"
        ]
    );
    let reads_outcome = lambda("R", r#"{"x":{"Get":"Steps.C.Outcome"}}"#, "");
    assert_eq!(
        of_steps(&format!(
            "{},{reads_outcome}",
            condition(plain, &inside, "")
        )),
        [""; 0]
    );
}

#[test]
fn conditions_are_checked_through_and_through() {
    let found = of_steps(
        r#"{"Name":"C","Type":"Condition","Arguments":{"Conditions":[
            {"Type":"Equal","LeftValue":1,"RightValue":2},
            {"Type":"Equals","LeftValue":1},
            {"Type":"Equals","LeftValue":[1],"RightValue":null},
            {"Type":"In","QueryValue":1,"Values":[1,[2]]},
            {"Type":"Not"},
            {"Type":"Or","Conditions":[{"Type":"Not","Condition":{"Type":"Or","Conditions":[]}}]},
            {"Type":"NotEquals","LeftValue":1,"RightValue":2},
            {"LeftValue":1},
            7],"IfSteps":{}}}"#,
    );
    let at = |rest: &str| format!("E_COND $.Steps[0].Arguments.Conditions{rest}");
    assert_eq!(
        found,
        [
            at("[0].Type"),
            at("[1].RightValue"),
            at("[2].LeftValue"),
            at("[2].RightValue"),
            at("[3].Values[1]"),
            at("[4].Condition"),
            at("[5].Conditions[0].Condition.Conditions"),
            "W_COND $.Steps[0].Arguments.Conditions[6].Type".to_owned(),
            at("[7].Type"),
            at("[8]"),
            "E_STEPS $.Steps[0].Arguments.IfSteps".to_owned(),
        ]
    );
}

#[test]
fn caches_and_retries_are_checked() {
    assert_eq!(
        of_steps(&format!(
            "{},{}",
            lambda(
                "A",
                "{}",
                r#","CacheConfig":{"Enabled":"yes","ExpireAfter":"1 hour"},
                   "RetryPolicies":[{"ExceptionType":"Step.THROTTLING"},
                     {"ExceptionType":["Step.THROTTLNG"],"MaxAttempts":21,"IntervalSeconds":0.5},
                     {"ExceptionType":[],"MaxAttempts":1,"ExpireAfterMin":1,"BackoffRate":-1}]"#
            ),
            r#"{"Name":"F","Type":"Fail","Arguments":{"ErrorMessage":""},"CacheConfig":{"Enabled":true}}"#
        )),
        [
            "E_CACHE $.Steps[0].CacheConfig.Enabled",
            "E_CACHE $.Steps[0].CacheConfig.ExpireAfter",
            "W_RETRY $.Steps[0].RetryPolicies",
            "E_RETRY $.Steps[0].RetryPolicies[0].ExceptionType",
            "W_RETRY $.Steps[0].RetryPolicies[1].ExceptionType[0]",
            "E_RETRY $.Steps[0].RetryPolicies[1].IntervalSeconds",
            "E_RETRY $.Steps[0].RetryPolicies[1].MaxAttempts",
            "E_RETRY $.Steps[0].RetryPolicies[2].ExceptionType",
            "E_RETRY $.Steps[0].RetryPolicies[2].BackoffRate",
            "E_RETRY $.Steps[0].RetryPolicies[2].ExpireAfterMin",
            "W_CACHE $.Steps[1].CacheConfig",
        ]
    );
}

#[test]
fn functions_are_checked() {
    let at = "$.Steps[1].Arguments.x";
    for (value, expected) in [
        (r#"{"Get":3}"#, format!("E_GET {at}")),
        (r#"{"Get":"Parameter.P"}"#, format!("E_GET_PATH {at}")),
        (r#"{"Get":"Parameters.P","y":1}"#, format!("W_GET {at}")),
        (r#"{"Ref":"Bucket"}"#, format!("W_FOREIGN {at}")),
        (r#"{"Get":"no path","y":1}"#, String::new()),
        (r#"{"Get":"Parameters.Q"}"#, format!("E_UNKNOWN_PARAM {at}")),
        (
            r#"{"Get":"Execution.PipelineID"}"#,
            format!("E_UNKNOWN_EXEC {at}"),
        ),
        (
            r#"{"Get":"PipelineExperimentConfig.Trial"}"#,
            format!("E_UNKNOWN_EXEC {at}"),
        ),
        (r#"{"Std:Split":["a"]}"#, format!("E_FUNC {at}")),
        (
            r#"{"Std:Join":{"On":1,"Values":"a","X":1}}"#,
            format!("E_JOIN {at} E_JOIN {at} E_JOIN {at}"),
        ),
        (
            r#"{"Std:Join":{"Values":[null]}}"#,
            format!("E_JOIN {at}['Std:Join'].Values[0]"),
        ),
        (
            r#"{"Std:Join":{"On":"","Values":[1,true,{"Get":"Parameters.P"}]}}"#,
            String::new(),
        ),
        (
            r#"{"Std:JsonGet":{"Path":"a[","S3Uri":"s3://b/k"}}"#,
            format!("E_JSONGET {at}"),
        ),
        (r#"{"Std:JsonGet":{"Path":"a"}}"#, format!("E_JSONGET {at}")),
        (
            r#"{"Std:JsonGet":{"Path":"a","PropertyFile":{"Get":"Steps.P1.PropertyFiles.R"}}}"#,
            String::new(),
        ),
        (
            r#"{"Std:JsonGet":{"Path":"a","PropertyFile":{"Get":"Steps.P1.PropertyFiles.Q"}}}"#,
            format!("E_PROPERTY_FILE {at}"),
        ),
        (
            r#"{"Std:JsonGet":{"Path":"a","PropertyFile":{"Get":"Steps.P1.RoleArn"}}}"#,
            format!("E_JSONGET {at}"),
        ),
        (
            r#"{"Std:JsonGet":{"Path":"a","PropertyFile":"R"}}"#,
            format!("E_JSONGET {at}"),
        ),
        (
            r#"{"Get":"Steps.P1.PropertyFiles.R"}"#,
            format!("E_PROPERTY_FILE {at}"),
        ),
    ] {
        assert_eq!(reading(value).join(" "), expected, "{value}");
    }
}

#[test]
fn what_a_reference_reads_must_be_there() {
    let at = "$.Steps[1].Arguments.x";
    for (path, code) in [
        (
            "P1.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri",
            "",
        ),
        ("P1.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri", ""),
        ("P1", ""),
        ("P1.Environment['anything']", ""),
        (
            "P1.ProcessingOutputConfig.Outputs['uot'].S3Output.S3Uri",
            "E_OUTPUT",
        ),
        (
            "P1.ProcessingOutputConfig.Outputs[1].S3Output.S3Uri",
            "E_OUTPUT",
        ),
        ("P1.ProcessingInputs['in'].S3Input", "E_OUTPUT"),
        ("P1.ProcessingOutputConfg.Outputs", "E_MEMBER"),
        ("P1.ProcessingOutputConfig.Outputs.S3Uri", "E_MEMBER"),
        ("P1.RoleArn.X", "E_MEMBER"),
        ("P1[0]", "E_MEMBER"),
        ("P1.OutputParameters['o']", "E_OUTPUT_PARAM"),
        ("L.OutputParameters['o']", "E_SELF"),
        ("Last.ErrorMessage", "E_REF_FAIL"),
        ("P2.RoleArn", "E_DANGLING"),
    ] {
        let found = reading(&format!(r#"{{"Get":"Steps.{path}"}}"#)).join(" ");
        let expected = if code.is_empty() {
            String::new()
        } else {
            format!("{code} {at}")
        };
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn arguments_are_held_against_the_services_request() {
    let found = of_steps(
        r#"{"Name":"T","Type":"Training","Arguments":{
            "AlgorithmSpecification":{"TrainingImage":"i","TrainingInputMode":"Fil"},
            "OutputDataConfig":{"Get":"Parameters.P"},
            "ResourceConfg":{},
            "ResourceConfig":{"VolumeSizeInGB":"30","InstanceCount":{"Get":"Parameters.P"}},
            "InputDataConfig":{"ChannelName":"x"},
            "HyperParameters":{"epochs":4,"text":"4"},
            "VpcConfig":{"Subnets":[],"SecurityGroupIds":["sg-1"]},
            "StoppingCondition":{}}}"#,
    );
    let at = |code: &str, rest: &str| format!("{code} $.Steps[0].Arguments{rest}");
    assert_eq!(
        found,
        [
            at("E_ARGS_VALUE", ".AlgorithmSpecification.TrainingInputMode"),
            at("E_ARGS", ".OutputDataConfig"),
            at("W_ARGS_MEMBER", ".ResourceConfg"),
            at("E_ARGS_VALUE", ".ResourceConfig.VolumeSizeInGB"),
            at("E_ARGS", ".InputDataConfig"),
            at("E_ARGS_VALUE", ".HyperParameters.epochs"),
            at("E_ARGS_LIMIT", ".VpcConfig.Subnets"),
        ]
    );
}

#[test]
fn what_a_type_of_step_needs_or_refuses_is_checked() {
    let found = of_steps(
        r#"{"Name":"E","Type":"EMR","Arguments":{"ClusterConfig":{"Name":"n","Instances":{"TerminationProtected":true}}}},
           {"Name":"S","Type":"EMRServerless","Arguments":{"ApplicationId":"a","ApplicationConfig":{}}},
           {"Name":"R","Type":"RegisterModel","Arguments":{"ModelPackageName":"n"}},
           {"Name":"M","Type":"Model","Arguments":{"ExecutionRoleArn":"arn:aws:iam::111122223333:role/r"}},
           {"Name":"A","Type":"AutoML","Arguments":{"AutoMLJobConfig":{"Mode":"AUTO"},"InputDataConfig":[{"TargetAttributeName":"y"}],"OutputDataConfig":{"S3OutputPath":"s3://b"}}}"#,
    );
    let at = |step: usize, rest: &str| format!("E_ARGS $.Steps[{step}].Arguments.{rest}");
    assert_eq!(
        found,
        [
            at(0, "StepConfig"),
            at(0, "ClusterConfig.Name"),
            at(0, "ClusterConfig.Instances.TerminationProtected"),
            at(1, "ApplicationConfig"),
            at(1, "ExecutionRoleArn"),
            at(1, "JobConfig"),
            at(3, "PrimaryContainer"),
            at(4, "AutoMLJobConfig.Mode"),
        ]
    );
}

#[test]
fn property_files_and_output_parameters_are_declared_soundly() {
    let found = of_steps(
        r#"{"Name":"N","Type":"New","PropertyFiles":[{"PropertyFileName":"A","OutputName":"o","FilePath":"f"},
              {"PropertyFileName":"A","OutputName":"o"}],
            "OutputParameters":[{"OutputName":"x","OutputType":"Strin"},{"OutputName":"x","OutputType":"String"},3]}"#,
    );
    assert_eq!(
        found,
        [
            "W_STEP_TYPE $.Steps[0].Type",
            "E_PROPERTY_FILE $.Steps[0].PropertyFiles[1].FilePath",
            "E_PROPERTY_FILE $.Steps[0].PropertyFiles[1].PropertyFileName",
            "E_OUTPUT_PARAM $.Steps[0].OutputParameters[0].OutputType",
            "E_OUTPUT_PARAM $.Steps[0].OutputParameters[1].OutputName",
            "E_OUTPUT_PARAM $.Steps[0].OutputParameters[2].OutputName",
            "E_OUTPUT_PARAM $.Steps[0].OutputParameters[2].OutputType",
        ]
    );
    let wrong_output = PROCESSING.replace(
        r#""OutputName":"out","FilePath""#,
        r#""OutputName":"ot","FilePath""#,
    );
    assert_eq!(
        of_steps(&wrong_output),
        ["E_PROPERTY_FILE $.Steps[0].PropertyFiles[0].OutputName"]
    );
}

#[test]
fn keys_are_found_where_values_stand() {
    assert_eq!(
        reading(r#"["s3://{{ Bucket }}/x"]"#),
        ["W_HOLE $.Steps[1].Arguments.x[0]"]
    );
}

#[test]
fn messages_name_what_was_probably_meant() {
    let found = findings(
        r#"{"Version":"2020-12-01","Parameters":[{"Name":"TrainingInstanceType"}],"Steps":[
            {"Name":"Train","Type":"Lambda","FunctionArn":"f","DependsOn":["Trian"],
             "Arguments":{"x":{"Get":"Parameters.TrainingInstanceTyp"}}}]}"#,
    );
    let messages: Vec<_> = found
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "nothing reads the parameter \"TrainingInstanceType\"",
            "there is no step \"Trian\": did you mean \"Train\"?",
            "the parameter \"TrainingInstanceTyp\" is not declared: did you mean \"TrainingInstanceType\"?",
        ]
    );
}

#[test]
fn codes_are_distinct_and_show_their_severity() {
    let mut seen = std::collections::HashSet::new();
    for code in Code::ALL {
        assert!(seen.insert(code.as_str()), "{code}");
        let letter = match code.severity() {
            super::Severity::Error => "E_",
            super::Severity::Warning => "W_",
        };
        assert!(code.as_str().starts_with(letter), "{code}");
    }
}

#[test]
fn time_does_not_grow_with_the_square_of_the_faults() {
    let steps: Vec<_> = (0..4_000)
        .map(|n| {
            format!(
                r#"{{"Name":"step-{n}","Type":"Callback","SqsQueueUrl":"q","DependsOn":["step-{}"],
                    "Arguments":{{"a":{{"Get":"Steps.stp-{n}.OutputParameters['o']"}},
                    "b":{{"Get":"Parameters.Missing"}},"c":"{{{{ key }}}}"}},"OutputParameters":[]}}"#,
                n + 1
            )
        })
        .collect();
    let text = format!(
        r#"{{"Version":"2020-12-01","Steps":[{}]}}"#,
        steps.join(",")
    );
    // Held against parsing, which takes as long as the machine is busy: with a
    // suggestion for each wrong name it would be a thousand times as long.
    let most = (0..3)
        .map(|_| {
            let started = Instant::now();
            let definition = Definition::parse(&text).unwrap();
            let parsed = started.elapsed();
            assert!(check(&definition).len() >= 12_000);
            (started.elapsed() - parsed).as_secs_f64() / parsed.as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    assert!(
        most < 40.0,
        "checking takes {most:.1} times as long as parsing"
    );
}
