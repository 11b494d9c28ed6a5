//! SageMaker's directory layout for a processing job, below a folder of this machine.

use crate::state::ProcessingOrder;
use crate::storage::S3Location;
use serde_json::{Map, Value, json};
use std::path::{Component, Path, PathBuf};

/// Where the layout begins in a container.
pub(super) const CONTAINER_ROOT: &str = "/opt/ml";

/// An input to be downloaded before the program starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InputMount {
    pub(super) name: String,
    pub(super) source: S3Location,
    /// Relative to the root of the layout.
    pub(super) path: PathBuf,
    /// Whether each host gets a share of the objects instead of all of them.
    pub(super) sharded: bool,
}

/// An output to be uploaded after the program has ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputMount {
    pub(super) name: String,
    pub(super) target: S3Location,
    /// Relative to the root of the layout.
    pub(super) path: PathBuf,
}

/// A processing job as the runner needs it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobPlan {
    pub(super) inputs: Vec<InputMount>,
    pub(super) outputs: Vec<OutputMount>,
    /// The entrypoint with its arguments; the entrypoint may be missing.
    pub(super) entrypoint: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) hosts: Vec<String>,
    pub(super) max_runtime_seconds: u64,
}

/// SageMaker's limit when the job names none.
const DEFAULT_MAX_RUNTIME_SECONDS: u64 = 24 * 60 * 60;

impl JobPlan {
    /// Reads a request of CreateProcessingJob.
    ///
    /// The error is a reason in SageMaker's form, for what the request lacks and for what the
    /// stand-in can't do.
    pub(super) fn read(request: &Map<String, Value>) -> Result<Self, String> {
        let empty = Value::Null;
        let at = |member: &str| request.get(member).unwrap_or(&empty);
        let specification = at("AppSpecification");
        let cluster = &at("ProcessingResources")["ClusterConfig"];
        let count = match number(&cluster["InstanceCount"]) {
            Some(count @ 1..=100) => count,
            _ => {
                return Err(format!(
                    "ClientError: ProcessingResources.ClusterConfig.InstanceCount must be from 1 \
                     to 100, and is {}",
                    cluster["InstanceCount"]
                ));
            }
        };
        let max_runtime = &at("StoppingCondition")["MaxRuntimeInSeconds"];
        Ok(Self {
            inputs: items(at("ProcessingInputs"))
                .filter(|input| input["AppManaged"] != json!(true))
                .map(read_input)
                .collect::<Result<_, _>>()?,
            outputs: items(&at("ProcessingOutputConfig")["Outputs"])
                .filter(|output| output["AppManaged"] != json!(true))
                .map(read_output)
                .collect::<Result<_, _>>()?,
            entrypoint: texts(&specification["ContainerEntrypoint"]),
            arguments: texts(&specification["ContainerArguments"]),
            environment: at("Environment")
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            hosts: (1..=count).map(|host| format!("algo-{host}")).collect(),
            max_runtime_seconds: number(max_runtime).unwrap_or(DEFAULT_MAX_RUNTIME_SECONDS),
        })
    }
}

/// A whole number, or the text of one (a String parameter in its place).
fn number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    items(value)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn read_input(input: &Value) -> Result<InputMount, String> {
    let name = input["InputName"].as_str().unwrap_or_default().to_owned();
    let source = &input["S3Input"];
    let unsupported = |what: &str| {
        format!(
            "ClientError: input '{name}': the local stand-in does not support {what}; run this \
             step without a runner, or on SageMaker"
        )
    };
    if !source.is_object() {
        return Err(unsupported("inputs other than S3Input"));
    }
    let member = |member: &str, default: &'static str| match source[member].as_str() {
        Some(value) => value.to_owned(),
        None => default.to_owned(),
    };
    if member("S3DataType", "S3Prefix") != "S3Prefix" {
        return Err(unsupported("manifest files"));
    }
    if member("S3InputMode", "File") != "File" {
        return Err(unsupported("input modes other than File"));
    }
    if member("S3CompressionType", "None") != "None" {
        return Err(unsupported("compressed inputs"));
    }
    Ok(InputMount {
        source: S3Location::parse(&member("S3Uri", ""))
            .map_err(|error| format!("ClientError: input '{name}': {error}"))?,
        path: below_root(&member("LocalPath", ""))
            .map_err(|error| format!("ClientError: input '{name}': {error}"))?,
        sharded: member("S3DataDistributionType", "FullyReplicated") == "ShardedByS3Key",
        name,
    })
}

fn read_output(output: &Value) -> Result<OutputMount, String> {
    let name = output["OutputName"].as_str().unwrap_or_default().to_owned();
    let target = &output["S3Output"];
    if !target.is_object() {
        return Err(format!(
            "ClientError: output '{name}': the local stand-in does not support outputs other \
             than S3Output"
        ));
    }
    let member = |member: &str| target[member].as_str().unwrap_or_default();
    Ok(OutputMount {
        target: S3Location::parse(member("S3Uri"))
            .map_err(|error| format!("ClientError: output '{name}': {error}"))?,
        path: below_root(member("LocalPath"))
            .map_err(|error| format!("ClientError: output '{name}': {error}"))?,
        name,
    })
}

/// The part of a container's path below the layout's root.
fn below_root(path: &str) -> Result<PathBuf, String> {
    path.strip_prefix(CONTAINER_ROOT)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(relative_only)
        .ok_or_else(|| format!("LocalPath '{path}' is not below {CONTAINER_ROOT}"))
}

/// A path that can't lead out of the folder it is joined to.
pub(super) fn relative_only(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (inside && path.components().next().is_some()).then(|| path.to_owned())
}

/// The same text with a container's path below [`CONTAINER_ROOT`] led to `root`.
///
/// A whole argument is taken, or what follows the `=` of one such as `--data=/opt/ml/x`.
pub(super) fn led_to(root: &Path, argument: &str) -> String {
    let (before, path) = match argument.split_once('=') {
        Some((option, path)) if option.starts_with('-') => {
            (&argument[..argument.len() - path.len()], path)
        }
        _ => ("", argument),
    };
    match path.strip_prefix(CONTAINER_ROOT) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("{before}{}{rest}", root.display())
        }
        _ => argument.to_owned(),
    }
}

/// `config/processingjobconfig.json`.
pub(super) fn processing_job_config(order: &ProcessingOrder) -> Value {
    let mut config = Map::new();
    config.insert("ProcessingJobArn".to_owned(), json!(order.job_arn));
    config.insert("ProcessingJobName".to_owned(), json!(order.job_name));
    for member in [
        "AppSpecification",
        "Environment",
        "ExperimentConfig",
        "NetworkConfig",
        "ProcessingInputs",
        "ProcessingOutputConfig",
        "ProcessingResources",
        "RoleArn",
        "StoppingCondition",
    ] {
        if let Some(value) = order.request.get(member) {
            config.insert(member.to_owned(), value.clone());
        }
    }
    Value::Object(config)
}

/// `config/resourceconfig.json` of one host.
pub(super) fn resource_config(current_host: &str, hosts: &[String]) -> Value {
    json!({"current_host": current_host, "hosts": hosts})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            other => panic!("{other} is no object"),
        }
    }

    fn plan(value: Value) -> Result<JobPlan, String> {
        let mut members = request(value);
        members
            .entry("ProcessingResources")
            .or_insert_with(|| json!({"ClusterConfig": {"InstanceCount": 2}}));
        JobPlan::read(&members)
    }

    #[test]
    fn a_request_becomes_mounts_commands_and_hosts() {
        let plan = plan(json!({
            "AppSpecification": {"ImageUri": "i", "ContainerEntrypoint": ["/bin/sh", "x"],
                "ContainerArguments": ["--a"]},
            "Environment": {"A": "1"},
            "ProcessingInputs": [
                {"InputName": "assets", "S3Input": {"S3Uri": "s3://b/assets/",
                    "LocalPath": "/opt/ml/processing/input/assets", "S3DataType": "S3Prefix",
                    "S3InputMode": "File"}},
                {"InputName": "own", "AppManaged": true}],
            "ProcessingOutputConfig": {"Outputs": [
                {"OutputName": "train", "S3Output": {"S3Uri": "s3://b/out",
                    "LocalPath": "/opt/ml/processing/train", "S3UploadMode": "EndOfJob"}}]},
        }))
        .unwrap();
        assert_eq!(plan.inputs.len(), 1);
        assert_eq!(plan.inputs[0].path, Path::new("processing/input/assets"));
        assert_eq!(plan.outputs[0].target.to_string(), "s3://b/out");
        assert_eq!(plan.hosts, ["algo-1", "algo-2"]);
        assert_eq!(plan.entrypoint, ["/bin/sh", "x"]);
        assert_eq!(plan.environment, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(plan.max_runtime_seconds, 86_400);
    }

    #[test]
    fn what_the_stand_in_cannot_do_is_named() {
        for (input, word) in [
            (json!({"DatasetDefinition": {}}), "other than S3Input"),
            (
                json!({"S3Input": {"S3DataType": "ManifestFile"}}),
                "manifest",
            ),
            (json!({"S3Input": {"S3InputMode": "Pipe"}}), "modes"),
            (
                json!({"S3Input": {"S3CompressionType": "Gzip"}}),
                "compressed",
            ),
            (json!({"S3Input": {"S3Uri": "x"}}), "no S3 URI"),
            (
                json!({"S3Input": {"S3Uri": "s3://b/x", "LocalPath": "/tmp/x"}}),
                "not below /opt/ml",
            ),
            (
                json!({"S3Input": {"S3Uri": "s3://b/x", "LocalPath": "/opt/ml/../../x"}}),
                "not below /opt/ml",
            ),
        ] {
            let error = plan(json!({"ProcessingInputs": [input]})).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(JobPlan::read(&request(json!({}))).is_err());
    }

    #[test]
    fn paths_of_the_layout_are_led_to_the_jobs_folder_and_others_left() {
        let root = Path::new("/run/job/opt/ml");
        for (before, after) in [
            ("/opt/ml/processing/x.sh", "/run/job/opt/ml/processing/x.sh"),
            ("/opt/ml", "/run/job/opt/ml"),
            ("--data=/opt/ml/x", "--data=/run/job/opt/ml/x"),
            ("/opt/mlx/y", "/opt/mlx/y"),
            ("a=/opt/ml/x", "a=/opt/ml/x"),
            ("/bin/sh", "/bin/sh"),
        ] {
            assert_eq!(led_to(root, before), after);
        }
    }

    #[test]
    fn a_key_cannot_lead_out_of_its_folder() {
        assert!(relative_only("a/b.csv").is_some());
        for wrong in ["../x", "a/../../x", "/etc/passwd", ""] {
            assert!(relative_only(wrong).is_none(), "{wrong}");
        }
    }
}
