//! Script mode: how the images of frameworks run a program that the job brings.
//!
//! As the public `sagemaker-training` toolkit does it: the hyperparameter `sagemaker_program` names
//! the program in the archive `sagemaker_submit_directory`, which is unpacked to `/opt/ml/code`;
//! the other hyperparameters become its arguments, and what the job is stands in variables that
//! begin with `SM_`.

use crate::state::ProgramKind;
use serde_json::{Map, Value, json};

/// Where the programs of a training lie, relative to the root of the layout.
pub(crate) const CODE: &str = "code";

/// The hyperparameters that are the toolkit's own, not the program's, begin so.
const OWN: &str = "sagemaker_";
const PROGRAM: &str = "sagemaker_program";
const SUBMIT_DIRECTORY: &str = "sagemaker_submit_directory";

/// The program that a training job brings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Script {
    /// The program's path in the code's folder.
    pub(crate) program: String,
    /// Where the archive of the code is: an S3 URI, or a path below `/opt/ml`. None if the code
    /// is there already.
    pub(crate) source: Option<String>,
    /// The program's own hyperparameters, their JSON read.
    hyper_parameters: Map<String, Value>,
    /// Those that begin with `sagemaker_`.
    framework_parameters: Map<String, Value>,
}

/// What a training job's program is told besides its hyperparameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The layout's root as the program sees it.
    pub(crate) root: &'a str,
    pub(crate) job_name: &'a str,
    pub(crate) channels: &'a [&'a str],
    /// The content of `inputdataconfig.json`.
    pub(crate) input_data_config: &'a Value,
    /// The content of `resourceconfig.json`.
    pub(crate) resource_config: &'a Value,
    pub(crate) cpus: usize,
}

impl Script {
    /// The program that a training job's hyperparameters name, if they name one.
    pub(crate) fn of(request: &Map<String, Value>) -> Option<Self> {
        let given = request.get("HyperParameters")?.as_object()?;
        let (framework_parameters, hyper_parameters): (Map<_, _>, Map<_, _>) = given
            .iter()
            .map(|(name, value)| (name.clone(), read(value)))
            .partition(|(name, _)| name.starts_with(OWN));
        let text = |name: &str| Some(framework_parameters.get(name)?.as_str()?.to_owned());
        Some(Self {
            program: text(PROGRAM).filter(|program| !program.is_empty())?,
            source: text(SUBMIT_DIRECTORY),
            hyper_parameters,
            framework_parameters,
        })
    }

    /// The program's command line, `python3` standing for the interpreter. `is_package` says
    /// whether a `setup.py` lies beside it: then it is a module of that package, unless it is a
    /// shell's.
    pub(crate) fn command_line(&self, is_package: bool) -> Vec<String> {
        let mut line = if is_package && !self.program.ends_with(".sh") {
            vec!["python3".to_owned(), "-m".to_owned(), self.module()]
        } else if self.program.ends_with(".py") {
            vec!["python3".to_owned(), self.program.clone()]
        } else {
            let program = format!("./{}", self.program);
            // The arguments are a shell's, as those of the program's command are.
            let run = "chmod +x \"$0\" && exec \"$0\" \"$@\"".to_owned();
            vec!["/bin/sh".to_owned(), "-c".to_owned(), run, program]
        };
        line.extend(self.arguments());
        line
    }

    fn module(&self) -> String {
        let program = &self.program;
        program.strip_suffix(".py").unwrap_or(program).to_owned()
    }

    /// `--name value` for each hyperparameter, by their names.
    fn arguments(&self) -> Vec<String> {
        let mut sorted: Vec<_> = self.hyper_parameters.iter().collect();
        sorted.sort_by_key(|(name, _)| name.as_str());
        let pair = |(name, value): (&String, &Value)| {
            let dashes = if name.chars().count() > 1 { "--" } else { "-" };
            [format!("{dashes}{name}"), as_argument(value)]
        };
        sorted.into_iter().flat_map(pair).collect()
    }

    /// What the toolkit says of a program that failed: the end of its log, and how it was called.
    pub(crate) fn failure(&self, log: &str, is_package: bool, exit_code: Option<i32>) -> String {
        let last = log.lines().map(str::trim).rfind(|line| !line.is_empty());
        let exit_code = exit_code.map_or_else(String::new, |code| format!("\nExitCode {code}"));
        format!(
            "ExecuteUserScriptError:{exit_code}\nErrorMessage \"{}\"\nCommand \"{}\"",
            last.unwrap_or_default(),
            self.command_line(is_package).join(" ")
        )
    }

    /// What the toolkit adds to the program's environment.
    pub(crate) fn environment(&self, facts: &Facts<'_>) -> Vec<(String, String)> {
        let root = facts.root;
        let below = |path: &str| format!("{root}/{path}");
        let resources = facts.resource_config;
        let channel_folders: Map<String, Value> = facts
            .channels
            .iter()
            .map(|&channel| {
                (
                    channel.to_owned(),
                    json!(below(&format!("input/data/{channel}"))),
                )
            })
            .collect();
        let mut channels: Vec<&str> = facts.channels.to_vec();
        channels.sort_unstable();
        let mut members = json!({
            "channel_input_dirs": channel_folders,
            "current_host": resources["current_host"],
            "current_instance_group": resources["current_group_name"],
            "current_instance_type": resources["current_instance_type"],
            "framework_module": null,
            "hosts": resources["hosts"],
            "input_config_dir": below("input/config"),
            "input_data_config": facts.input_data_config,
            "input_dir": below("input"),
            "is_hetero": false,
            "job_name": facts.job_name,
            "log_level": 20,
            "model_dir": below("model"),
            "module_dir": self.source.clone().unwrap_or_else(|| below(CODE)),
            "module_name": self.module(),
            "network_interface_name": "eth0",
            "num_cpus": facts.cpus,
            "num_gpus": 0,
            "num_neurons": 0,
            "output_data_dir": below("output/data"),
            "output_dir": below("output"),
            "output_intermediate_dir": below("output/intermediate"),
            "resource_config": resources,
            "user_entry_point": self.program,
        });
        let training_env = {
            let mut whole = members.clone();
            whole["hyperparameters"] = json!(self.hyper_parameters);
            whole["additional_framework_parameters"] = json!(self.framework_parameters);
            whole["is_master"] = json!(resources["hosts"][0] == resources["current_host"]);
            whole["master_hostname"] = resources["hosts"][0].clone();
            whole
        };
        members["channels"] = json!(channels);
        members["framework_params"] = json!(self.framework_parameters);
        members["hps"] = json!(self.hyper_parameters);
        members["training_env"] = training_env;
        members["user_args"] = json!(self.arguments());
        let own = members.as_object().into_iter().flatten();
        let own = own.filter(|(name, _)| *name != "channel_input_dirs" && *name != "job_name");
        // Modules beside the program's own folder are found as well.
        let path = ("PYTHONPATH".to_owned(), below(CODE));
        let own = own
            .map(|(name, value)| (name.clone(), value))
            .chain(
                channel_folders
                    .iter()
                    .map(|(name, folder)| (format!("channel_{name}"), folder)),
            )
            .chain(
                self.hyper_parameters
                    .iter()
                    .map(|(name, value)| (format!("hp_{name}"), value)),
            )
            .map(|(name, value)| (format!("SM_{}", name.to_uppercase()), as_variable(value)));
        own.chain([path]).collect()
    }
}

/// Why a job of a framework's image has nothing for a Python to run.
pub(crate) fn nothing_to_run(kind: ProgramKind, request: &Map<String, Value>) -> Option<String> {
    let entrypoint = |specification: &str| {
        request
            .get(specification)
            .and_then(|specification| specification["ContainerEntrypoint"].as_array())
            .and_then(|entrypoint| entrypoint.first()?.as_str())
    };
    match kind {
        ProgramKind::Training => {
            let brings =
                entrypoint("AlgorithmSpecification").is_some() || Script::of(request).is_some();
            (!brings).then(|| {
                format!("the image's own algorithm: the job has no hyperparameter {PROGRAM}")
            })
        }
        ProgramKind::Processing => entrypoint("AppSpecification")
            .is_none()
            .then(|| "the image's own program: the job has no ContainerEntrypoint".to_owned()),
    }
}

/// The variable of a model's container that names the program which serves it.
pub(crate) const SERVING_PROGRAM: &str = "SAGEMAKER_PROGRAM";
/// The variable that says where the archive of that program is.
pub(crate) const SERVING_SOURCE: &str = "SAGEMAKER_SUBMIT_DIRECTORY";

/// Whether a model's container names a program that serves it.
pub(crate) fn serves(environment: &[(String, String)]) -> bool {
    environment
        .iter()
        .any(|(name, value)| name == SERVING_PROGRAM && !value.is_empty())
}

/// A hyperparameter's text is JSON, and stands for itself where it is not.
fn read(value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return value.clone();
    };
    serde_json::from_str(text).unwrap_or_else(|_| value.clone())
}

/// A value as Python's `str` shows it; of an object `name=value`, with commas between.
fn as_argument(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            let pairs = sorted
                .into_iter()
                .map(|(name, value)| format!("{name}={}", text_of(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        Value::Null => String::new(),
        other => text_of(other),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// A value as Python's `repr` shows it.
fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') {
                '"'
            } else {
                '\''
            };
            let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
            let escaped = match quote {
                '\'' => escaped.replace('\'', "\\'"),
                _ => escaped,
            };
            format!("{quote}{escaped}{quote}")
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members = members.iter();
            let members =
                members.map(|(name, value)| format!("{}: {}", repr(&json!(name)), repr(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as it is, anything else as JSON.
fn as_variable(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn request(hyper_parameters: Value) -> Map<String, Value> {
        let request = json!({ "HyperParameters": hyper_parameters });
        request.as_object().cloned().unwrap()
    }

    fn script() -> Script {
        Script::of(&request(json!({
            "sagemaker_program": "\"train.py\"",
            "sagemaker_submit_directory": "\"s3://b/code/sourcedir.tar.gz\"",
            "sagemaker_region": "\"eu-west-1\"",
            "n": "5",
            "learning-rate": "0.1",
            "name": "\"a b\"",
            "plain": "not json",
            "flag": "true",
            "sizes": "[1, \"two\", null]",
            "map": "{\"b\": 2, \"a\": 1}",
        })))
        .unwrap()
    }

    #[test]
    fn hyperparameters_become_arguments_as_the_toolkit_makes_them() {
        assert_eq!(
            script().command_line(false),
            [
                "python3",
                "train.py",
                "--flag",
                "True",
                "--learning-rate",
                "0.1",
                "--map",
                "a=1,b=2",
                "-n",
                "5",
                "--name",
                "a b",
                "--plain",
                "not json",
                "--sizes",
                "[1, 'two', None]"
            ]
        );
        assert_eq!(script().command_line(true)[..3], ["python3", "-m", "train"]);
        let shell = Script::of(&request(json!({"sagemaker_program": "run.sh", "x": "1"}))).unwrap();
        assert_eq!(shell.source, None);
        let line = shell.command_line(false);
        assert_eq!(line[..2], ["/bin/sh", "-c"]);
        assert_eq!(line[3..], ["./run.sh", "-x", "1"]);
        assert_eq!(shell.command_line(true), line);
    }

    #[test]
    fn the_environment_says_what_the_job_is() {
        let resources = json!({"current_host": "algo-1", "hosts": ["algo-1", "algo-2"],
            "current_instance_type": "ml.m5.large", "current_group_name": "homogeneousCluster"});
        let inputs = json!({"train": {"TrainingInputMode": "File"}});
        let facts = Facts {
            root: "/opt/ml",
            job_name: "job",
            channels: &["train", "test"],
            input_data_config: &inputs,
            resource_config: &resources,
            cpus: 2,
        };
        let environment: BTreeMap<_, _> = script().environment(&facts).into_iter().collect();
        for (name, value) in [
            ("SM_MODEL_DIR", "/opt/ml/model"),
            ("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"),
            ("SM_CHANNEL_TRAIN", "/opt/ml/input/data/train"),
            ("SM_CHANNEL_TEST", "/opt/ml/input/data/test"),
            ("SM_CHANNELS", "[\"test\",\"train\"]"),
            ("SM_HOSTS", "[\"algo-1\",\"algo-2\"]"),
            ("SM_CURRENT_HOST", "algo-1"),
            ("SM_CURRENT_INSTANCE_TYPE", "ml.m5.large"),
            ("SM_HP_LEARNING-RATE", "0.1"),
            ("SM_HP_NAME", "a b"),
            ("SM_NUM_CPUS", "2"),
            ("SM_NUM_GPUS", "0"),
            ("SM_MODULE_NAME", "train"),
            ("SM_MODULE_DIR", "s3://b/code/sourcedir.tar.gz"),
            ("SM_USER_ENTRY_POINT", "train.py"),
            ("SM_FRAMEWORK_MODULE", ""),
            ("PYTHONPATH", "/opt/ml/code"),
        ] {
            assert_eq!(
                environment.get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        let whole: Value = serde_json::from_str(&environment["SM_TRAINING_ENV"]).unwrap();
        assert_eq!(whole["hyperparameters"]["n"], 5);
        assert_eq!(
            whole["channel_input_dirs"]["train"],
            "/opt/ml/input/data/train"
        );
        assert_eq!(whole["is_master"], true);
        let arguments: Vec<String> = serde_json::from_str(&environment["SM_USER_ARGS"]).unwrap();
        assert_eq!(arguments[..2], ["--flag", "True"]);
    }

    #[test]
    fn a_job_that_brings_no_program_has_nothing_to_run() {
        let training = |parameters| nothing_to_run(ProgramKind::Training, &request(parameters));
        assert_eq!(training(json!({"sagemaker_program": "a.py"})), None);
        let why = training(json!({"max_depth": "5"})).unwrap();
        assert!(why.contains("sagemaker_program"), "{why}");
        let processing = |specification: Value| {
            let request = json!({ "AppSpecification": specification });
            nothing_to_run(ProgramKind::Processing, request.as_object().unwrap())
        };
        assert_eq!(
            processing(json!({"ContainerEntrypoint": ["python3", "a.py"]})),
            None
        );
        assert!(processing(json!({"ImageUri": "i"})).is_some());
    }
}
