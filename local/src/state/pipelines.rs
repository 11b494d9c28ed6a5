//! Pipelines and the calls about their executions.

use super::input::{Input, SortOrder};
use super::run::{Execution, ExecutionStatus, NewExecution};
use super::tags::read_tags;
use super::{State, Turn};
use crate::clock::Millis;
use crate::error::{ApiError, ErrorKind};
use crate::names::{key_of, name_of};
use pipewright::definition::check::check;
use pipewright::definition::{Definition, ParameterType, Severity};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const KIND: &str = "pipeline";

/// The longest value of a parameter at start, in characters.
const LONGEST_VALUE: usize = 1024;

/// The most parameters that a start may give.
const MOST_PARAMETERS: usize = 200;

/// A pipeline as CreatePipeline made it.
#[derive(Debug)]
pub(super) struct Pipeline {
    name: String,
    arn: String,
    display_name: Option<String>,
    description: Option<String>,
    role_arn: String,
    /// The first is version 1.
    versions: Vec<Version>,
    parallelism: Option<Value>,
    created: Millis,
    modified: Millis,
    last_run: Option<Millis>,
    creation_token: String,
}

/// What an execution runs: the definition as a call gave it.
#[derive(Debug, Clone)]
struct Version {
    text: String,
    definition: Arc<Definition>,
    created: Millis,
    last_execution: Option<String>,
}

/// Reads and checks a definition; the refusal names everything that is wrong with it.
fn read_definition(text: &str) -> Result<Arc<Definition>, ApiError> {
    let refuse = |faults: &str| {
        ApiError::validation(format!("Unable to parse pipeline definition. {faults}"))
    };
    let definition = Definition::parse(text).map_err(|error| refuse(&error.to_string()))?;
    let faults: Vec<String> = check(&definition)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.path, finding.message))
        .collect();
    if faults.is_empty() {
        Ok(Arc::new(definition))
    } else {
        Err(refuse(&faults.join("; ")))
    }
}

fn read_parallelism(input: Input<'_>) -> Result<Option<Value>, ApiError> {
    let Some(configuration) = input.object("ParallelismConfiguration")? else {
        return Ok(None);
    };
    match configuration.integer("MaxParallelExecutionSteps")? {
        Some(most) if most >= 1 => Ok(Some(json!({"MaxParallelExecutionSteps": most}))),
        _ => Err(ApiError::validation(
            "ParallelismConfiguration: MaxParallelExecutionSteps must be at least 1",
        )),
    }
}

fn read_role(role: &str) -> Result<String, ApiError> {
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    let fits = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|digit| digit.is_ascii_digit())
                && resource.starts_with("role/")
        }
        _ => false,
    };
    if fits {
        Ok(role.to_owned())
    } else {
        Err(ApiError::constraint(
            role,
            "RoleArn",
            "Member must satisfy regular expression pattern: \
             ^arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+$",
        ))
    }
}

/// The definition's text: given inline, or read from S3 by the caller beforehand.
fn definition_text<'a>(input: Input<'a>) -> Result<Option<&'a str>, ApiError> {
    if input.value("PipelineDefinitionS3Location").is_some() {
        return Err(ApiError::validation(
            "Provide either PipelineDefinition or PipelineDefinitionS3Location, not both.",
        ));
    }
    input.string("PipelineDefinition")
}

impl Pipeline {
    /// The version that a request names, or the last one, with its id.
    fn version(&self, input: Input<'_>) -> Result<(usize, &Version), ApiError> {
        let last = self.versions.len();
        let wanted = input.integer("PipelineVersionId")?;
        let id = wanted.map_or(Some(last), |wanted| usize::try_from(wanted).ok());
        let found = id.and_then(|id| Some((id, self.versions.get(id.checked_sub(1)?)?)));
        found.ok_or_else(|| {
            ApiError::not_found(format!(
                "Pipeline '{}' has no version {}: it has {last}.",
                self.arn,
                wanted.unwrap_or_default()
            ))
        })
    }

    fn describe(&self, version: &Version) -> Value {
        let mut body = json!({
            "PipelineArn": self.arn,
            "PipelineName": self.name,
            "PipelineDisplayName": self.display_name.as_ref().unwrap_or(&self.name),
            "PipelineDefinition": version.text,
            "RoleArn": self.role_arn,
            "PipelineStatus": "Active",
            "CreationTime": self.created.to_json(),
            "LastModifiedTime": self.modified.to_json(),
            "CreatedBy": {},
            "LastModifiedBy": {},
        });
        if let Some(description) = &self.description {
            body["PipelineDescription"] = json!(description);
        }
        if let Some(last_run) = self.last_run {
            body["LastRunTime"] = last_run.to_json();
        }
        if let Some(parallelism) = &self.parallelism {
            body["ParallelismConfiguration"] = parallelism.clone();
        }
        body
    }
}

impl State {
    pub(super) fn create_pipeline(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let name = input.name("PipelineName", 256)?;
        let token = input.token()?;
        let key = key_of(KIND, name);
        if let Some(existing) = self.pipelines.get(&key) {
            return if existing.creation_token == token {
                Ok(json!({"PipelineArn": existing.arn}))
            } else {
                Err(ApiError::validation(format!(
                    "Pipeline names must be unique within an AWS account and region. Pipeline \
                     with name ({}) already exists.",
                    existing.name
                )))
            };
        }
        let role_arn = read_role(input.required("RoleArn")?)?;
        let text = definition_text(input)?.ok_or_else(|| {
            ApiError::validation(
                "Provide one of PipelineDefinition and PipelineDefinitionS3Location.",
            )
        })?;
        let definition = read_definition(text)?;
        let parallelism = read_parallelism(input)?;
        let tags = read_tags(input)?;
        let arn = self.arn(KIND, name);
        self.tags.create(&arn, tags);
        self.pipelines.insert(
            key,
            Pipeline {
                name: name.to_owned(),
                arn: arn.clone(),
                display_name: input.string("PipelineDisplayName")?.map(str::to_owned),
                description: input.string("PipelineDescription")?.map(str::to_owned),
                role_arn,
                versions: vec![Version {
                    text: text.to_owned(),
                    definition,
                    created: turn.now,
                    last_execution: None,
                }],
                parallelism,
                created: turn.now,
                modified: turn.now,
                last_run: None,
                creation_token: token.to_owned(),
            },
        );
        Ok(json!({"PipelineArn": arn}))
    }

    fn pipeline_key(&self, name_or_arn: &str) -> Result<String, ApiError> {
        let key = key_of(KIND, name_or_arn);
        if self.pipelines.contains_key(&key) {
            Ok(key)
        } else {
            Err(ApiError::not_found(format!(
                "Pipeline '{}' does not exist.",
                self.arn(KIND, name_of(KIND, name_or_arn))
            )))
        }
    }

    pub(super) fn update_pipeline(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.pipeline_key(input.required("PipelineName")?)?;
        let role_arn = input.string("RoleArn")?.map(read_role).transpose()?;
        let text = definition_text(input)?;
        let definition = text.map(read_definition).transpose()?;
        let parallelism = read_parallelism(input)?;
        let display_name = input.string("PipelineDisplayName")?;
        let description = input.string("PipelineDescription")?;
        let Some(pipeline) = self.pipelines.get_mut(&key) else {
            return Err(ApiError::not_found("the pipeline is gone"));
        };
        if let (Some(text), Some(definition)) = (text, definition) {
            pipeline.versions.push(Version {
                text: text.to_owned(),
                definition,
                created: turn.now,
                last_execution: None,
            });
        }
        if let Some(role_arn) = role_arn {
            pipeline.role_arn = role_arn;
        }
        if let Some(parallelism) = parallelism {
            pipeline.parallelism = Some(parallelism);
        }
        if let Some(display_name) = display_name {
            pipeline.display_name = Some(display_name.to_owned());
        }
        if let Some(description) = description {
            pipeline.description = Some(description.to_owned());
        }
        pipeline.modified = turn.now;
        let version = pipeline.versions.len();
        Ok(json!({"PipelineArn": pipeline.arn, "PipelineVersionId": version}))
    }

    pub(super) fn describe_pipeline(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.pipeline_key(input.required("PipelineName")?)?;
        let pipeline = &self.pipelines[&key];
        let (_, version) = pipeline.version(input)?;
        Ok(pipeline.describe(version))
    }

    pub(super) fn list_pipeline_versions(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.pipeline_key(input.required("PipelineName")?)?;
        let pipeline = &self.pipelines[&key];
        let after = input.time("CreatedAfter")?;
        let before = input.time("CreatedBefore")?;
        let rows = pipeline
            .versions
            .iter()
            .zip(1_u64..)
            .filter(|(version, _)| after.is_none_or(|after| version.created > after))
            .filter(|(version, _)| before.is_none_or(|before| version.created < before))
            .map(|(version, id)| {
                let mut row = json!({
                    "PipelineArn": pipeline.arn,
                    "PipelineVersionId": id,
                    "CreationTime": version.created.to_json(),
                });
                if let Some(arn) = &version.last_execution {
                    row["LastExecutionPipelineExecutionArn"] = json!(arn);
                }
                (id.to_string(), row)
            })
            .collect();
        input.page("PipelineVersionSummaries", rows, SortOrder::Descending)
    }

    pub(super) fn delete_pipeline(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        input.token()?;
        let key = self.pipeline_key(input.required("PipelineName")?)?;
        let running = self
            .executions
            .values()
            .filter(|execution| execution.pipeline == key && !execution.status.is_final())
            .count();
        let arn = self.pipelines[&key].arn.clone();
        if running > 0 {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "Pipeline '{arn}' has {running} running execution(s): stop them with \
                     StopPipelineExecution before you delete it."
                ),
            ));
        }
        self.pipelines.remove(&key);
        self.executions
            .retain(|_, execution| execution.pipeline != key);
        self.tags.remove(&arn);
        Ok(json!({"PipelineArn": arn}))
    }

    pub(super) fn list_pipelines(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let prefix = input
            .string("PipelineNamePrefix")?
            .unwrap_or_default()
            .to_ascii_lowercase();
        let after = input.time("CreatedAfter")?;
        let before = input.time("CreatedBefore")?;
        let mut pipelines: Vec<(&String, &Pipeline)> = self
            .pipelines
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .filter(|(_, pipeline)| after.is_none_or(|after| pipeline.created > after))
            .filter(|(_, pipeline)| before.is_none_or(|before| pipeline.created < before))
            .collect();
        if input.string("SortBy")? != Some("Name") {
            pipelines.sort_by_key(|(_, pipeline)| pipeline.created);
        }
        let rows = pipelines
            .into_iter()
            .map(|(key, pipeline)| {
                let mut row = pipeline.describe(&pipeline.versions[0]);
                if let Value::Object(members) = &mut row {
                    members.remove("PipelineDefinition");
                    members.remove("PipelineStatus");
                    members.remove("CreatedBy");
                    members.remove("LastModifiedBy");
                    members.remove("ParallelismConfiguration");
                    // The summary spells it differently from the description.
                    if let Some(last_run) = members.remove("LastRunTime") {
                        members.insert("LastExecutionTime".to_owned(), last_run);
                    }
                }
                (key.clone(), row)
            })
            .collect();
        input.page("PipelineSummaries", rows, SortOrder::Descending)
    }

    pub(super) fn start_pipeline_execution(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.pipeline_key(input.required("PipelineName")?)?;
        let token = input.token()?;
        if let Some(started) = self
            .executions
            .values()
            .find(|execution| execution.pipeline == key && execution.token == token)
        {
            return Ok(json!({"PipelineExecutionArn": started.arn}));
        }
        let display_name = match input.string("PipelineExecutionDisplayName")? {
            None => None,
            Some(_) => Some(input.name("PipelineExecutionDisplayName", 82)?.to_owned()),
        };
        let description = input.string("PipelineExecutionDescription")?;
        let given = read_given(input)?;
        let start_parallelism = read_parallelism(input)?;
        let (version_id, version) = self.pipelines[&key].version(input)?;
        let version = version.clone();
        let parameters = bind_parameters(&version.definition, &given)?;
        let selection = self.read_selection(input, &key, &version.definition)?;
        let Some(pipeline) = self.pipelines.get_mut(&key) else {
            return Err(ApiError::not_found("the pipeline is gone"));
        };
        pipeline.last_run = Some(turn.now);
        let id = self.names.token(12);
        let arn = format!("{}/execution/{id}", pipeline.arn);
        pipeline.versions[version_id - 1].last_execution = Some(arn.clone());
        let new = NewExecution {
            arn,
            id,
            pipeline: key,
            pipeline_name: pipeline.name.clone(),
            pipeline_arn: pipeline.arn.clone(),
            version: version_id,
            definition: version.definition,
            definition_text: version.text,
            definition_time: version.created,
            token: token.to_owned(),
            display_name,
            description: description.map(str::to_owned),
            parameters,
            parallelism: start_parallelism.or_else(|| pipeline.parallelism.clone()),
            selection,
        };
        let arn = new.arn.clone();
        self.begin_execution(turn, new);
        Ok(json!({"PipelineExecutionArn": arn}))
    }

    pub(super) fn execution(&self, arn: &str) -> Result<&Execution, ApiError> {
        let wanted = arn.to_ascii_lowercase();
        wanted
            .rsplit('/')
            .next()
            .and_then(|id| self.executions.get(id))
            .filter(|execution| execution.arn.to_ascii_lowercase() == wanted)
            .ok_or_else(|| {
                ApiError::not_found(format!("Pipeline execution with ARN {arn} does not exist."))
            })
    }

    pub(super) fn describe_pipeline_execution(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        Ok(self
            .execution(input.required("PipelineExecutionArn")?)?
            .describe())
    }

    pub(super) fn describe_pipeline_definition_for_execution(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let execution = self.execution(input.required("PipelineExecutionArn")?)?;
        Ok(json!({
            "PipelineDefinition": execution.definition_text,
            "CreationTime": execution.definition_time.to_json(),
        }))
    }

    pub(super) fn list_pipeline_executions(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.pipeline_key(input.required("PipelineName")?)?;
        let after = input.time("CreatedAfter")?;
        let before = input.time("CreatedBefore")?;
        let mut executions: Vec<&Execution> = self
            .executions
            .values()
            .filter(|execution| execution.pipeline == key)
            .filter(|execution| after.is_none_or(|after| execution.created > after))
            .filter(|execution| before.is_none_or(|before| execution.created < before))
            .collect();
        match input.string("SortBy")? {
            None | Some("CreationTime") => {
                executions.sort_by_key(|execution| (execution.created, execution.serial));
            }
            Some("PipelineExecutionArn") => {
                executions.sort_by(|left, right| left.arn.cmp(&right.arn));
            }
            Some(other) => {
                return Err(ApiError::constraint(
                    other,
                    "SortBy",
                    "Member must satisfy enum value set: [CreationTime, PipelineExecutionArn]",
                ));
            }
        }
        let rows = executions
            .into_iter()
            .map(|execution| (execution.id.clone(), execution.summary()))
            .collect();
        input.page("PipelineExecutionSummaries", rows, SortOrder::Descending)
    }

    pub(super) fn list_pipeline_execution_steps(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let rows = self
            .execution(input.required("PipelineExecutionArn")?)?
            .step_rows();
        input.page("PipelineExecutionSteps", rows, SortOrder::Descending)
    }

    pub(super) fn list_pipeline_parameters_for_execution(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let rows = self
            .execution(input.required("PipelineExecutionArn")?)?
            .parameters
            .iter()
            .map(|(name, value)| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                (name.clone(), json!({"Name": name, "Value": text}))
            })
            .collect();
        input.page("PipelineParameters", rows, SortOrder::Ascending)
    }

    pub(super) fn stop_pipeline_execution(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        input.token()?;
        let execution = self.execution(input.required("PipelineExecutionArn")?)?;
        let (id, arn, status) = (
            execution.id.clone(),
            execution.arn.clone(),
            execution.status,
        );
        match status {
            ExecutionStatus::Executing => self.stop_execution(turn, &id),
            // Stopping twice is not a fault.
            ExecutionStatus::Stopping => {}
            other => {
                return Err(ApiError::validation(format!(
                    "Pipeline execution with ARN {arn} is {}: only an execution with status \
                     Executing can be stopped.",
                    other.name()
                )));
            }
        }
        Ok(json!({"PipelineExecutionArn": arn}))
    }
}

impl State {
    pub(super) fn retry_pipeline_execution(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let token = input.token()?;
        let execution = self.execution(input.required("PipelineExecutionArn")?)?;
        let (id, arn) = (execution.id.clone(), execution.arn.clone());
        if execution.was_retried_by(token) {
            return Ok(json!({"PipelineExecutionArn": arn}));
        }
        match execution.status {
            ExecutionStatus::Failed | ExecutionStatus::Stopped => {
                self.retry_execution(turn, &id, token);
                Ok(json!({"PipelineExecutionArn": arn}))
            }
            other => Err(ApiError::validation(format!(
                "Pipeline execution with ARN {arn} is {}: only an execution with status Failed \
                 or Stopped can be retried.",
                other.name()
            ))),
        }
    }

    pub(super) fn update_pipeline_execution(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let display_name = match input.string("PipelineExecutionDisplayName")? {
            None => None,
            Some(_) => Some(input.name("PipelineExecutionDisplayName", 82)?.to_owned()),
        };
        let description = input.string("PipelineExecutionDescription")?;
        let id = self
            .execution(input.required("PipelineExecutionArn")?)?
            .id
            .clone();
        let Some(execution) = self.executions.get_mut(&id) else {
            return Err(ApiError::not_found("the execution is gone"));
        };
        if display_name.is_some() {
            execution.display_name = display_name;
        }
        if let Some(description) = description {
            execution.description = Some(description.to_owned());
        }
        Ok(json!({"PipelineExecutionArn": execution.arn}))
    }
}

/// The parameters that a start gives, each once.
fn read_given(input: Input<'_>) -> Result<Map<String, Value>, ApiError> {
    let list: Vec<_> = input.objects("PipelineParameters")?.collect();
    if list.len() > MOST_PARAMETERS {
        return Err(ApiError::validation(format!(
            "PipelineParameters: {} are given, {MOST_PARAMETERS} are allowed",
            list.len()
        )));
    }
    let mut given = Map::new();
    for parameter in list {
        let name = parameter.required("Name")?;
        let value = parameter.required("Value")?;
        if value.chars().count() > LONGEST_VALUE {
            return Err(ApiError::constraint(
                value,
                "PipelineParameters.Value",
                &format!("Member must have length less than or equal to {LONGEST_VALUE}"),
            ));
        }
        if given.insert(name.to_owned(), json!(value)).is_some() {
            return Err(ApiError::validation(format!(
                "PipelineParameters: '{name}' is given twice"
            )));
        }
    }
    Ok(given)
}

/// Every parameter of the definition with its value, of its declared type.
///
/// All faults are named at once: unknown names, values of the wrong type or outside the
/// enumeration, parameters with neither value nor default.
fn bind_parameters(
    definition: &Definition,
    given: &Map<String, Value>,
) -> Result<Vec<(String, Value)>, ApiError> {
    let declared = definition.parameters();
    let mut faults: Vec<String> = Vec::new();
    for name in given.keys() {
        if !declared.iter().any(|parameter| parameter.name() == name) {
            faults.push(format!(
                "parameter '{name}' is not declared in the definition"
            ));
        }
    }
    let mut bound = Vec::with_capacity(declared.len());
    for parameter in &declared {
        let name = parameter.name();
        let Some(text) = given.get(name).and_then(Value::as_str) else {
            match parameter.default_value() {
                Some(default) => bound.push((name.to_owned(), default.clone())),
                None => faults.push(format!(
                    "parameter '{name}' has no default and must be given"
                )),
            }
            continue;
        };
        let kind = parameter.parameter_type().unwrap_or(ParameterType::String);
        let allowed = parameter.enum_values();
        match kind.read(text) {
            None => faults.push(format!(
                "parameter '{name}' is of type {}: '{text}' is not",
                kind.name()
            )),
            Some(value) if allowed.is_none_or(|allowed| allowed.contains(&value)) => {
                bound.push((name.to_owned(), value));
            }
            Some(_) => faults.push(format!(
                "parameter '{name}' must be one of {}, not '{text}'",
                json!(allowed)
            )),
        }
    }
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(ApiError::validation(format!(
            "Unable to start the pipeline execution: {}.",
            faults.join("; ")
        )))
    }
}
