//! Templates of pipeline definitions: making one of a definition, filling its
//! keys with values, and the images that differ by region.
//!
//! A template is the JSON text of a definition with keys `{{ Name }}`, and
//! with `{% if %}` and `{% for %}` around what is optional or repeated.

mod buffer;
mod extract;
mod fill;
mod looks;
mod propose;
pub mod regions;
mod scan;
mod unseen;

pub use extract::{ExtractError, ExtractErrors, Extracted, Static, extract};
pub use fill::{FillError, FillErrors, Filled, fill, keys};
pub use looks::Look;
pub use propose::propose;
pub use unseen::fill_unseen;

/// The template of the asset-prediction pipeline.
#[must_use]
pub const fn shipped() -> &'static str {
    include_str!("../../templates/asset-prediction.json.tera")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};

    use super::{Filled, fill, regions, shipped};
    use crate::definition::{GetPath, Owner};

    /// The members of an object, as the tests write values.
    pub(super) fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => unreachable!("the tests give objects"),
        }
    }

    /// What the stack gives, without what is optional.
    fn values(region: &str) -> Map<String, Value> {
        let values = json!({
            "Region": region,
            "PipelineName": "asset-prediction",
            "ProcessingImageUri": format!("111122223333.dkr.ecr.{region}.amazonaws.com/fe:1"),
            "JobRoleArn": "arn:aws:iam::111122223333:role/jobs",
            "ModelRoleArn": "arn:aws:iam::111122223333:role/models",
            "AssetsDataS3Uri": "s3://assets/assets/",
            "ModelsBucket": "models",
            "ExecutionsTable": "executions",
            "AssetsTable": "assets",
            "FeatureImportanceTable": "feature-importance",
            "ProcessingInstanceType": "ml.m5.xlarge",
            "TrainingInstanceType": "ml.m5.xlarge",
            "ProcessingVolumeSizeInGB": "30",
            "TrainingVolumeSizeInGB": "50",
            "ProcessingMaxRuntimeInSeconds": "86400",
            "TrainingMaxRuntimeInSeconds": "3600",
            "ModelPackageGroupName": "asset-prediction",
            "ModelApprovalStatus": "Approved",
            "SubnetIds": "",
            "SecurityGroupIds": "",
            "KmsKeyArn": "",
        });
        map(values)
    }

    fn provided(region: &str) -> Map<String, Value> {
        let mut provided = regions::values(Some(regions::find(region).unwrap()));
        let script = "s3://pipeline/executor/run-fe-step.sh";
        provided.insert("ExecutorS3Uri".to_owned(), json!(script));
        provided
    }

    fn filled(values: &Map<String, Value>, region: &str) -> Filled {
        let filled = fill(shipped(), values, &provided(region)).unwrap_or_else(|errors| {
            panic!("{region}: {errors}");
        });
        assert_eq!(filled.warnings, [], "{region}");
        filled
    }

    #[test]
    fn the_shipped_template_fills_for_every_region() {
        for region in regions::names() {
            let definition = filled(&values(region), region).definition;
            let images = regions::find(region).unwrap();
            let steps = definition.steps();
            let at = |step: usize, pointer: &str| {
                steps[step]
                    .arguments()
                    .and_then(|arguments| arguments.pointer(pointer))
            };
            let deepar = json!(images.deepar);
            assert_eq!(
                at(1, "/AlgorithmSpecification/TrainingImage"),
                Some(&deepar)
            );
            assert_eq!(
                at(2, "/InferenceSpecification/Containers/0/Image"),
                Some(&deepar)
            );
            assert_eq!(at(3, "/PrimaryContainer/Image"), Some(&deepar));
            let rule = images.debugger_rules.map(Value::from);
            assert_eq!(
                at(1, "/ProfilerRuleConfigurations/0/RuleEvaluatorImage"),
                rule.as_ref()
            );
            assert_eq!(
                at(1, "/ProfilerConfig").is_some(),
                rule.is_some(),
                "{region}"
            );
            let elsewhere: Vec<_> = definition
                .canonical_json()
                .split(".dkr.ecr.")
                .skip(1)
                .filter(|rest| !rest.starts_with(&format!("{region}.")))
                .map(str::to_owned)
                .collect();
            assert_eq!(elsewhere, [""; 0], "{region}");
        }
    }

    #[test]
    fn the_steps_and_parameters_are_those_that_the_functions_rely_on() {
        let definition = filled(&values("eu-central-1"), "eu-central-1").definition;
        let steps: Vec<_> = definition
            .steps()
            .iter()
            .map(|step| (step.name().to_owned(), step.type_name().to_owned()))
            .collect();
        let step = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
        assert_eq!(
            steps,
            [
                step("Feature-Engineering-Step", "Processing"),
                step("AssetPrediction-Training-Step", "Training"),
                step("AssetPredictionRegisterModel", "RegisterModel"),
                step("AssetPrediction-CreateModel-Step", "Model"),
            ]
        );
        assert_eq!(definition.graph().order, [0, 1, 2, 3]);
        let required: Vec<_> = definition
            .parameters()
            .iter()
            .filter(|parameter| parameter.default_value().is_none())
            .map(|parameter| parameter.name().to_owned())
            .collect();
        assert_eq!(
            required,
            [
                "ExecutionId",
                "HyperParamContextLength",
                "HyperParamPredictionLength"
            ]
        );
        let declared: BTreeSet<_> = definition
            .parameters()
            .iter()
            .map(|parameter| parameter.name().to_owned())
            .collect();
        let read: BTreeSet<_> = definition
            .references()
            .iter()
            .filter_map(|reference| match reference.target {
                Ok(GetPath::Parameter(name)) => {
                    assert_ne!(reference.owner, Owner::Configuration);
                    Some(name.to_owned())
                }
                _ => None,
            })
            .collect();
        assert_eq!(declared.len(), 23);
        assert_eq!(declared, read);
        assert_eq!(
            definition.parameter("AssetsData").unwrap().default_value(),
            Some(&json!("s3://assets/assets/"))
        );
    }

    #[test]
    fn optional_members_are_absent_without_a_value_and_everywhere_with_one() {
        let text = filled(&values("eu-central-1"), "eu-central-1").text;
        assert!(
            !text.contains("VpcConfig") && !text.contains("Kms"),
            "{text}"
        );

        let mut values = values("eu-central-1");
        values.insert("SubnetIds".into(), json!(["subnet-1", "subnet-2"]));
        values.insert("SecurityGroupIds".into(), json!(["sg-1"]));
        values.insert(
            "KmsKeyArn".into(),
            json!("arn:aws:kms:eu-central-1:1:key/k"),
        );
        let definition = filled(&values, "eu-central-1").definition;
        let steps = definition.steps();
        let vpc = json!({"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]});
        let key = json!("arn:aws:kms:eu-central-1:1:key/k");
        for (step, pointer, expected) in [
            (0, "/NetworkConfig/VpcConfig", &vpc),
            (1, "/VpcConfig", &vpc),
            (3, "/VpcConfig", &vpc),
            (0, "/ProcessingResources/ClusterConfig/VolumeKmsKeyId", &key),
            (0, "/ProcessingOutputConfig/KmsKeyId", &key),
            (1, "/OutputDataConfig/KmsKeyId", &key),
            (1, "/ResourceConfig/VolumeKmsKeyId", &key),
        ] {
            let arguments = steps[step].arguments().unwrap();
            assert_eq!(arguments.pointer(pointer), Some(expected), "{pointer}");
        }
    }

    #[test]
    fn the_same_values_give_the_same_bytes_in_any_order() {
        let values = values("us-east-1");
        let reversed: Map<_, _> = values.clone().into_iter().rev().collect();
        let text = filled(&values, "us-east-1").text;
        assert_eq!(text, filled(&reversed, "us-east-1").text);
        assert!(text.contains(r#""VolumeSizeInGB":30}"#), "{text}");
        assert!(text.contains(r#""MaxRuntimeInSeconds":3600"#), "{text}");
    }
}
