//! `pipewright execution start`: any pipeline, once.
//!
//! The record is made first, so that whatever happens after that can be looked
//! at and repeated; see [`pipewright::record::start`].

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use pipewright::definition::Definition;
use pipewright::record::start::{
    Begun, Parameters, Taken, Wanted, begun, claimed, client_request_token, generated_id,
    given_parameters, new_record, parameters_of,
};
use pipewright::record::{ExecutionArn, Item, RecordId, StartFailure};
use pipewright_aws::dynamodb::{Creation, Records};
use pipewright_aws::lambda;
use pipewright_aws::process::{now, random};
use pipewright_aws::sagemaker::Start as Request;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Format, Place};
use crate::argument::InvalidArgument;
use crate::execution::ended_as;
use crate::output;
use crate::search::Search;

/// The installation's own pipeline, without the prefix.
const SHIPPED_PIPELINE: &str = "asset-prediction";

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct Start {
    /// Start this pipeline: its name or ARN.
    #[arg(long, value_name = "NAME", group = "what")]
    pipeline: Option<String>,
    /// Start the installation's own pipeline from this training template.
    #[arg(long, value_name = "ID", group = "what")]
    template: Option<String>,
    /// A parameter of the pipeline, and its value; repeat it for each.
    #[arg(long = "parameter", value_name = "NAME=VALUE", conflicts_with = "template",
          value_parser = assignment)]
    parameters: Vec<(String, String)>,
    /// The id of its record and its display name; without it, a new one. The
    /// same id again finds what it has started.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    place: Place,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What became of a start, as start-execution answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    execution_id: String,
    pipeline_execution_arn: String,
    already_started: bool,
}

fn assignment(text: &str) -> Result<(String, String), InvalidArgument> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(InvalidArgument::Assignment),
    }
}

pub(super) async fn start(arguments: Start) -> anyhow::Result<ExitCode> {
    let answer = match (&arguments.pipeline, &arguments.template) {
        (Some(pipeline), _) => by_pipeline(&arguments, pipeline).await?,
        (None, Some(template)) => by_template(&arguments, template).await?,
        (None, None) => bail!("say what to start, by --pipeline or --template"),
    };
    match arguments.format {
        Format::Json => output::write_json(&answer)?,
        Format::Text => {
            let id = &answer.execution_id;
            let options = arguments.place.options();
            let mut ended = None;
            if answer.already_started {
                let search = arguments.place.search().await;
                ended = ended_as(&search, &RecordId::new(id.as_str())?).await?;
            }
            let (what, next) = match ended.as_deref() {
                None if answer.already_started => ("was started before".to_owned(), "watch"),
                None => ("is started".to_owned(), "watch"),
                Some(status @ "Succeeded") => (
                    format!("was started before and has ended as {status}"),
                    "show",
                ),
                Some(status) => (
                    format!("was started before and has ended as {status}"),
                    "retry",
                ),
            };
            let why = match next {
                "watch" => "follows it",
                "show" => "says what happened",
                _ => "goes on with it",
            };
            writeln!(
                output::stdout(),
                "execution {id} {what}: {}\n`pipewright execution {next} {id}{options}` {why}",
                answer.pipeline_execution_arn,
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the function start-execution start the installation's own pipeline.
async fn by_template(arguments: &Start, template: &str) -> anyhow::Result<Answer> {
    let config = pipewright_aws::config().await;
    let functions = lambda::Functions::new(lambda::client(&config));
    let mut request = json!({"templateId": template});
    if let Some(id) = &arguments.id {
        request["executionId"] = id.as_str().into();
    }
    let function = arguments.place.installation.named("start-execution");
    let answer = functions.invoke(&function, &request.to_string()).await?;
    Answer::deserialize(&answer).with_context(|| {
        format!("function {function} answered something else than an execution: {answer}")
    })
}

async fn by_pipeline(arguments: &Start, pipeline: &str) -> anyhow::Result<Answer> {
    let asked = arguments.id.as_deref().map(RecordId::new).transpose()?;
    let given = given(&arguments.parameters)?;
    let search = arguments.place.search().await;
    let Some(found) = search.sagemaker.pipeline(pipeline).await? else {
        bail!(
            "SageMaker has no pipeline {pipeline} in this account and region; `aws sagemaker list-pipelines` names those \
             that it has"
        );
    };
    let installation = &arguments.place.installation;
    if found
        .name
        .eq_ignore_ascii_case(&installation.named(SHIPPED_PIPELINE))
    {
        bail!(
            "pipeline {} is the installation's own, whose parameters come from a training template: start it with \
             `pipewright execution start{} --template ID`",
            found.name,
            installation.options()
        );
    }
    let now = now();
    let id = asked.unwrap_or_else(|| generated_id(now, random()));
    let definition = Definition::parse(&found.definition)
        .with_context(|| format!("the definition of pipeline {} can't be read", found.name))?;
    let starter = Starter {
        search,
        pipeline: found.name,
        id,
        now,
    };
    let parameters = given_parameters(&definition, &given, &starter.id)
        .with_context(|| format!("pipeline {}", starter.pipeline))?;
    starter.start(&parameters).await
}

/// The parameters that were given, each once.
fn given(parameters: &[(String, String)]) -> anyhow::Result<Parameters> {
    let mut given = Parameters::new();
    for (name, value) in parameters {
        if given.insert(name.clone(), value.clone()).is_some() {
            bail!("parameter {name} is given twice");
        }
    }
    Ok(given)
}

/// One start.
struct Starter {
    search: Search,
    pipeline: String,
    id: RecordId,
    /// Epoch milliseconds.
    now: i64,
}

impl Starter {
    async fn start(&self, parameters: &Parameters) -> anyhow::Result<Answer> {
        let record = new_record(&self.id, &self.pipeline, None, parameters, self.now);
        match self.search.executions.create_record(&record).await? {
            Creation::Created => self.send(&record).await,
            Creation::Exists(record) => self.take_up(&record, parameters).await,
        }
    }

    /// Goes on with a record that an earlier, or a concurrent, call made.
    async fn take_up(&self, record: &Item, parameters: &Parameters) -> anyhow::Result<Answer> {
        let wanted = Wanted::Pipeline {
            name: &self.pipeline,
            parameters,
        };
        match begun(&self.id, record, wanted, self.now)? {
            Begun::Started { arn } => return Ok(self.answer(arn, true)),
            Begun::Recorded => {}
            Begun::Doubtful { since } => {
                let sagemaker = &self.search.sagemaker;
                let found = sagemaker
                    .find_execution(&self.pipeline, self.id.as_str(), since)
                    .await?;
                if let Some(arn) = found {
                    return self.claim(arn, true).await;
                }
            }
        }
        self.send(record).await
    }

    async fn send(&self, record: &Item) -> anyhow::Result<Answer> {
        let id = &self.id;
        let parameters = parameters_of(record).ok_or_else(|| Taken {
            id: id.clone(),
            by: "a record without pipeline parameters".to_owned(),
        })?;
        let request = Request {
            pipeline: self.pipeline.clone(),
            display_name: id.to_string(),
            client_request_token: client_request_token(&self.pipeline, id),
            parameters,
        };
        match self.search.sagemaker.start(&request).await {
            Ok(arn) => self.claim(arn, false).await,
            Err(error) if error.is_refusal() => {
                // So that the record says why nothing happens.
                let noted = self
                    .search
                    .executions
                    .note_start_failure(id, &StartFailure::new(&error, self.now))
                    .await;
                let mut why = format!("execution {id} was not started");
                if let Err(unnoted) = noted {
                    why += &format!(" (and its record does not say so: {unnoted})");
                }
                Err(anyhow!(error).context(why))
            }
            Err(error) => Err(anyhow!(error).context(self.unfinished())),
        }
    }

    /// Stores the ARN. If this fails the execution runs nevertheless, and its
    /// first event stores it; so does a repeated call.
    async fn claim(&self, arn: String, already_started: bool) -> anyhow::Result<Answer> {
        let ours = ExecutionArn::parse(arn.as_str())?;
        let stored = self.search.executions.claim_arn(&self.id, &ours).await;
        let stored = stored.with_context(|| self.unfinished())?;
        claimed(&self.id, &ours, &stored)?;
        Ok(self.answer(arn, already_started))
    }

    fn answer(&self, arn: String, already_started: bool) -> Answer {
        Answer {
            execution_id: self.id.to_string(),
            pipeline_execution_arn: arn,
            already_started,
        }
    }

    fn unfinished(&self) -> String {
        let id = &self.id;
        format!(
            "execution {id} may not have been started; the same command with --id {id} finds out, and starts it once"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_a_name_and_a_value_that_may_be_anything() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(assignment("a=b"), pair("a", "b"));
        assert_eq!(assignment("a=b=c"), pair("a", "b=c"));
        assert_eq!(assignment("a="), pair("a", ""));
        assert!(assignment("a").is_err());
        assert!(assignment("=b").is_err());
        let twice = [assignment("a=1").unwrap(), assignment("a=2").unwrap()];
        assert_eq!(
            given(&twice).unwrap_err().to_string(),
            "parameter a is given twice"
        );
    }
}
