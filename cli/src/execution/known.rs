//! What is known of one execution: its record, and what SageMaker keeps beside it.

use anyhow::Context;
use pipewright::definition::Definition;
use pipewright::record::History;
use pipewright::record::history::history;
use pipewright_aws::all;
use pipewright_aws::process::now;

use crate::search::Search;

/// An execution's record with its definition and parameters. Those two are SageMaker's, which forgets them with the
/// pipeline, and may be beyond the caller's rights: then there is the reason in their place.
pub(super) struct Known {
    pub(super) history: History,
    pub(super) definition: anyhow::Result<Definition>,
    /// Name and value, in the service's order.
    pub(super) parameters: anyhow::Result<Vec<(String, String)>>,
}

impl Known {
    /// Asks for all that is known of the execution that is meant.
    ///
    /// # Errors
    /// If there is no record of it, or it can't be read.
    pub(super) async fn of(search: &Search, text: &str) -> anyhow::Result<Self> {
        let id = search.recorded(text, now()).await?;
        let items = search.executions.items(id.as_str()).await?;
        let history = history(id.as_str(), &items);
        let arn = history.execution_arn.as_deref();
        let arn = arn.context("the execution was not started");
        let sagemaker = &search.sagemaker;
        Ok(Self {
            definition: match &arn {
                Ok(arn) => match sagemaker.execution_definition(arn).await {
                    Ok(text) => Definition::parse(&text).map_err(Into::into),
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err(anyhow::anyhow!("{error}")),
            },
            parameters: match arn {
                Ok(arn) => {
                    all(async |from| Ok(sagemaker.execution_parameters(arn, from).await?)).await
                }
                Err(error) => Err(error),
            },
            history,
        })
    }
}
