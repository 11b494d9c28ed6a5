//! SageMaker's directory layout for a job, below a folder of this machine.

use crate::error::JobError;
use crate::state::{ProgramKind, ProgramOrder};
use crate::storage::S3Location;
use pipewright_files::below;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

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

/// A folder that is uploaded as one compressed archive after the program has ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchiveMount {
    pub(super) target: S3Location,
    /// Relative to the root of the layout.
    pub(super) path: PathBuf,
    /// Whether an empty folder makes an archive as well.
    pub(super) even_if_empty: bool,
}

/// A folder whose content is there before the program starts, and kept when it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckpointMount {
    pub(super) target: S3Location,
    /// Relative to the root of the layout.
    pub(super) path: PathBuf,
}

/// A metric that is read from a training job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricDefinition {
    pub(super) name: String,
    /// Its first group is the value.
    pub(super) pattern: String,
}

/// A job as the runner needs it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobPlan {
    pub(super) inputs: Vec<InputMount>,
    pub(super) outputs: Vec<OutputMount>,
    pub(super) archives: Vec<ArchiveMount>,
    pub(super) checkpoints: Option<CheckpointMount>,
    pub(super) metrics: Vec<MetricDefinition>,
    /// May be empty: the image's own entrypoint is meant.
    pub(super) entrypoint: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) hosts: Vec<String>,
    pub(super) max_runtime_seconds: u64,
    /// What the program leaves about why it failed, relative to the root.
    pub(super) message_file: &'static str,
}

/// How SageMaker calls the instances of a training job that has no groups of them.
const ONLY_GROUP: &str = "homogeneousCluster";

/// SageMaker's limit when the job names none.
const DEFAULT_MAX_RUNTIME_SECONDS: u64 = 24 * 60 * 60;

impl JobPlan {
    /// Reads the request of a job.
    ///
    /// The error is for what the request lacks and for what the stand-in can't do.
    pub(super) fn read(order: &ProgramOrder) -> Result<Self, JobError> {
        match order.kind {
            ProgramKind::Processing => Self::read_processing(&order.request),
            ProgramKind::Training => Self::read_training(order),
        }
    }

    fn read_processing(request: &Map<String, Value>) -> Result<Self, JobError> {
        let empty = Value::Null;
        let at = |member: &str| request.get(member).unwrap_or(&empty);
        let specification = at("AppSpecification");
        Ok(Self {
            inputs: items(at("ProcessingInputs"))
                .filter(|input| input["AppManaged"] != json!(true))
                .map(read_input)
                .collect::<Result<_, _>>()?,
            outputs: items(&at("ProcessingOutputConfig")["Outputs"])
                .filter(|output| output["AppManaged"] != json!(true))
                .map(read_output)
                .collect::<Result<_, _>>()?,
            archives: Vec::new(),
            checkpoints: None,
            metrics: Vec::new(),
            entrypoint: texts(&specification["ContainerEntrypoint"]),
            arguments: texts(&specification["ContainerArguments"]),
            environment: texts_by_name(at("Environment")),
            hosts: hosts(&at("ProcessingResources")["ClusterConfig"]["InstanceCount"])?,
            max_runtime_seconds: max_runtime(at("StoppingCondition")),
            message_file: "output/message",
        })
    }

    fn read_training(order: &ProgramOrder) -> Result<Self, JobError> {
        let empty = Value::Null;
        let at = |member: &str| order.request.get(member).unwrap_or(&empty);
        let specification = at("AlgorithmSpecification");
        let mode = specification["TrainingInputMode"]
            .as_str()
            .unwrap_or("File");
        let mut arguments = texts(&specification["ContainerArguments"]);
        let entrypoint = texts(&specification["ContainerEntrypoint"]);
        if entrypoint.is_empty() && arguments.is_empty() {
            // SageMaker starts an image of its own accord with this word.
            arguments.push("train".to_owned());
        }
        let output = at("OutputDataConfig")["S3OutputPath"]
            .as_str()
            .unwrap_or_default();
        let output = S3Location::parse(output)
            .map_err(|error| JobError::Client(format!("OutputDataConfig.S3OutputPath: {error}")))?
            .below(&order.job_name)
            .below("output");
        Ok(Self {
            inputs: items(at("InputDataConfig"))
                .map(|channel| read_channel(channel, mode))
                .collect::<Result<_, _>>()?,
            outputs: Vec::new(),
            archives: vec![
                ArchiveMount {
                    target: output.below("model.tar.gz"),
                    path: PathBuf::from("model"),
                    even_if_empty: true,
                },
                ArchiveMount {
                    target: output.below("output.tar.gz"),
                    path: PathBuf::from("output/data"),
                    even_if_empty: false,
                },
            ],
            checkpoints: read_checkpoints(at("CheckpointConfig"))?,
            metrics: items(&specification["MetricDefinitions"])
                .filter_map(|metric| {
                    Some(MetricDefinition {
                        name: metric["Name"].as_str()?.to_owned(),
                        pattern: metric["Regex"].as_str()?.to_owned(),
                    })
                })
                .collect(),
            entrypoint,
            arguments,
            environment: texts_by_name(at("Environment")),
            hosts: hosts(&at("ResourceConfig")["InstanceCount"])?,
            max_runtime_seconds: max_runtime(at("StoppingCondition")),
            message_file: "output/failure",
        })
    }
}

fn hosts(count: &Value) -> Result<Vec<String>, JobError> {
    match number(count) {
        Some(count @ 1..=100) => Ok((1..=count).map(|host| format!("algo-{host}")).collect()),
        _ => Err(JobError::Client(format!(
            "InstanceCount must be from 1 to 100, and is {count}"
        ))),
    }
}

fn max_runtime(stopping_condition: &Value) -> u64 {
    number(&stopping_condition["MaxRuntimeInSeconds"]).unwrap_or(DEFAULT_MAX_RUNTIME_SECONDS)
}

fn texts_by_name(value: &Value) -> Vec<(String, String)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
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

fn read_input(input: &Value) -> Result<InputMount, JobError> {
    let name = input["InputName"].as_str().unwrap_or_default().to_owned();
    let source = &input["S3Input"];
    let unsupported = |what: &str| {
        JobError::Client(format!(
            "input '{name}': the local stand-in does not support {what}; run this step without \
             a runner, or on SageMaker"
        ))
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
            .map_err(|error| JobError::Client(format!("input '{name}': {error}")))?,
        path: below_root(&member("LocalPath", ""))
            .map_err(|error| JobError::Client(format!("input '{name}': {error}")))?,
        sharded: member("S3DataDistributionType", "FullyReplicated") == "ShardedByS3Key",
        name,
    })
}

fn read_channel(channel: &Value, job_mode: &str) -> Result<InputMount, JobError> {
    let name = channel["ChannelName"].as_str().unwrap_or_default();
    let unsupported = |what: &str| {
        JobError::Client(format!(
            "channel '{name}': the local stand-in does not support {what}; run this step without \
             a runner, or on SageMaker"
        ))
    };
    let source = &channel["DataSource"]["S3DataSource"];
    if !source.is_object() {
        return Err(unsupported("data sources other than S3DataSource"));
    }
    if source["S3DataType"].as_str() != Some("S3Prefix") {
        return Err(unsupported("manifest files"));
    }
    // A file that is there already looks like one that is fetched when it is read.
    if !["File", "FastFile"].contains(&channel["InputMode"].as_str().unwrap_or(job_mode)) {
        return Err(unsupported("input modes other than File and FastFile"));
    }
    if channel["CompressionType"].as_str().unwrap_or("None") != "None" {
        return Err(unsupported("compressed channels"));
    }
    let folder = below::file_name(name)
        .map_err(|error| JobError::Client(format!("'{name}' is not a channel name: {error}")))?;
    Ok(InputMount {
        source: S3Location::parse(source["S3Uri"].as_str().unwrap_or_default())
            .map_err(|error| JobError::Client(format!("channel '{name}': {error}")))?,
        path: Path::new("input/data").join(folder),
        sharded: source["S3DataDistributionType"].as_str() == Some("ShardedByS3Key"),
        name: name.to_owned(),
    })
}

fn read_checkpoints(configuration: &Value) -> Result<Option<CheckpointMount>, JobError> {
    if !configuration.is_object() {
        return Ok(None);
    }
    let wrong =
        |error: &dyn std::error::Error| JobError::Client(format!("CheckpointConfig: {error}"));
    let uri = configuration["S3Uri"].as_str().unwrap_or_default();
    let path = configuration["LocalPath"]
        .as_str()
        .unwrap_or("/opt/ml/checkpoints");
    Ok(Some(CheckpointMount {
        // Another job's checkpoints may lie under a key that only begins alike.
        target: S3Location::parse(&format!("{}/", uri.trim_end_matches('/')))
            .map_err(|error| wrong(&error))?,
        path: below_root(path.trim_end_matches('/')).map_err(|error| wrong(&error))?,
    }))
}

fn read_output(output: &Value) -> Result<OutputMount, JobError> {
    let name = output["OutputName"].as_str().unwrap_or_default().to_owned();
    let target = &output["S3Output"];
    if !target.is_object() {
        return Err(JobError::Client(format!(
            "output '{name}': the local stand-in does not support outputs other than S3Output"
        )));
    }
    let member = |member: &str| target[member].as_str().unwrap_or_default();
    Ok(OutputMount {
        target: S3Location::parse(member("S3Uri"))
            .map_err(|error| JobError::Client(format!("output '{name}': {error}")))?,
        path: below_root(member("LocalPath"))
            .map_err(|error| JobError::Client(format!("output '{name}': {error}")))?,
        name,
    })
}

/// A container's path is not below [`CONTAINER_ROOT`].
#[derive(Debug, thiserror::Error)]
#[error("LocalPath '{0}' is not below {CONTAINER_ROOT}")]
pub(super) struct NotBelowRoot(String);

/// The part of a container's path below the layout's root. What means nothing in a path, such
/// as a slash at its end, may stand in it.
pub(super) fn below_root(path: &str) -> Result<PathBuf, NotBelowRoot> {
    let rest = path
        .strip_prefix(CONTAINER_ROOT)
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or_default();
    let parts: Vec<&str> = rest
        .split('/')
        .filter(|part| !["", "."].contains(part))
        .collect();
    below::relative(&parts.join("/")).map_err(|_| NotBelowRoot(path.to_owned()))
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

/// The files that tell a program what job it is in, relative to the root, for one host.
pub(super) fn config_files(
    order: &ProgramOrder,
    plan: &JobPlan,
    host: &str,
) -> Vec<(&'static str, Value)> {
    let mut resources = json!({"current_host": host, "hosts": plan.hosts});
    match order.kind {
        ProgramKind::Processing => vec![
            (
                "config/processingjobconfig.json",
                processing_job_config(order),
            ),
            ("config/resourceconfig.json", resources),
        ],
        ProgramKind::Training => {
            let instance_type = order.request.get("ResourceConfig");
            let instance_type = instance_type.map(|resources| &resources["InstanceType"]);
            resources["current_instance_type"] = json!(instance_type);
            resources["current_group_name"] = json!(ONLY_GROUP);
            resources["instance_groups"] = json!([{
                "instance_group_name": ONLY_GROUP,
                "instance_type": instance_type,
                "hosts": plan.hosts,
            }]);
            resources["network_interface_name"] = json!("eth0");
            let hyper_parameters = order.request.get("HyperParameters").cloned();
            let channels: Map<String, Value> = items(&json!(order.request.get("InputDataConfig")))
                .filter_map(|channel| {
                    let source = &channel["DataSource"]["S3DataSource"];
                    let mut entry = json!({
                        "TrainingInputMode": "File",
                        "S3DistributionType": source["S3DataDistributionType"]
                            .as_str()
                            .unwrap_or("FullyReplicated"),
                        "RecordWrapperType": "None",
                    });
                    if let Some(content_type) = channel.get("ContentType") {
                        entry["ContentType"] = content_type.clone();
                    }
                    Some((channel["ChannelName"].as_str()?.to_owned(), entry))
                })
                .collect();
            vec![
                (
                    "input/config/hyperparameters.json",
                    hyper_parameters.unwrap_or_else(|| json!({})),
                ),
                ("input/config/inputdataconfig.json", json!(channels)),
                ("input/config/resourceconfig.json", resources),
            ]
        }
    }
}

fn processing_job_config(order: &ProgramOrder) -> Value {
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

/// What SageMaker adds to a job's environment to tell it who it is.
pub(super) fn identity(order: &ProgramOrder) -> Vec<(&'static str, &str)> {
    match order.kind {
        ProgramKind::Processing => vec![("PROCESSING_JOB_ARN", &order.job_arn)],
        ProgramKind::Training => vec![
            ("TRAINING_JOB_NAME", &order.job_name),
            ("TRAINING_JOB_ARN", &order.job_arn),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Runner, StepKey};

    fn order(kind: ProgramKind, request: Value) -> ProgramOrder {
        let Value::Object(request) = request else {
            panic!("{request} is not an object");
        };
        ProgramOrder {
            key: StepKey {
                execution: "e".to_owned(),
                step: "s".to_owned(),
                attempt: 1,
            },
            kind,
            runner: Runner::Programs("r".to_owned()),
            job_arn: "arn".to_owned(),
            job_name: "job".to_owned(),
            request,
        }
    }

    fn plan(mut request: Value) -> Result<JobPlan, JobError> {
        request["ProcessingResources"] = json!({"ClusterConfig": {"InstanceCount": 2}});
        JobPlan::read(&order(ProgramKind::Processing, request))
    }

    #[test]
    fn a_training_job_has_channels_archives_and_its_own_files() {
        let order = order(
            ProgramKind::Training,
            json!({
                "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "FastFile",
                    "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]},
                "HyperParameters": {"epochs": "3"},
                "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv",
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix",
                        "S3Uri": "s3://b/train"}}}],
                "OutputDataConfig": {"S3OutputPath": "s3://b/models/"},
                "CheckpointConfig": {"S3Uri": "s3://b/checkpoints"},
                "ResourceConfig": {"InstanceCount": 1},
            }),
        );
        let plan = JobPlan::read(&order).unwrap();
        assert_eq!(plan.inputs[0].path, Path::new("input/data/train"));
        assert_eq!(
            plan.archives[0].target.to_string(),
            "s3://b/models/job/output/model.tar.gz"
        );
        let checkpoints = plan.checkpoints.as_ref().unwrap();
        assert_eq!(checkpoints.target.to_string(), "s3://b/checkpoints/");
        assert_eq!(checkpoints.path, Path::new("checkpoints"));
        assert_eq!(plan.arguments, ["train"]);
        assert_eq!(plan.metrics[0].name, "loss");
        let files = config_files(&order, &plan, "algo-1");
        assert_eq!(
            files[0],
            ("input/config/hyperparameters.json", json!({"epochs": "3"}))
        );
        assert_eq!(files[1].1["train"]["ContentType"], "text/csv");
        assert_eq!(files[2].1["current_host"], "algo-1");
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
            (json!({"S3Input": {"S3Uri": "x"}}), "not an S3 URI"),
            (
                json!({"S3Input": {"S3Uri": "s3://b/x", "LocalPath": "/tmp/x"}}),
                "not below /opt/ml",
            ),
            (
                json!({"S3Input": {"S3Uri": "s3://b/x", "LocalPath": "/opt/ml/../../x"}}),
                "not below /opt/ml",
            ),
        ] {
            let error = plan(json!({"ProcessingInputs": [input]}))
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
        }
        for kind in [ProgramKind::Processing, ProgramKind::Training] {
            assert!(JobPlan::read(&order(kind, json!({}))).is_err());
        }
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
    fn a_local_path_is_one_below_the_root() {
        for (path, below) in [
            ("/opt/ml/processing/train", "processing/train"),
            ("/opt/ml/processing/train/", "processing/train"),
            ("/opt/ml/./a//b", "a/b"),
        ] {
            assert_eq!(below_root(path).unwrap(), Path::new(below));
        }
        for wrong in [
            "/opt/ml",
            "/opt/ml/",
            "/opt/mlx/a",
            "/opt/ml/a/../..",
            "opt/ml/a",
            "",
        ] {
            assert!(below_root(wrong).is_err(), "{wrong}");
        }
    }
}
