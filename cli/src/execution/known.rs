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
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) history: History,
    pub(crate) definition: anyhow::Result<Definition>,
    /// Name and value, in the service's order.
    pub(crate) parameters: anyhow::Result<Vec<(String, String)>>,
}

impl Known {
    /// Asks for all that is known of the execution that is meant.
    ///
    /// # Errors
    /// If there is no record of it, or it can't be read.
    pub(crate) async fn of(search: &Search, text: &str) -> anyhow::Result<Self> {
        let id = search.recorded(text, now()).await?;
        let items = search.executions.items(id.as_str()).await?;
        let history = history(id.as_str(), &items);
        let sagemaker = &search.sagemaker;
        let arn = || {
            let arn = history.execution_arn.as_deref();
            arn.context("the execution was not started")
        };
        let (definition, parameters) = tokio::join!(
            async {
                Ok(Definition::parse(
                    &sagemaker.execution_definition(arn()?).await?,
                )?)
            },
            async {
                let arn = arn()?;
                all(async |from| Ok(sagemaker.execution_parameters(arn, from).await?)).await
            },
        );
        Ok(Self {
            definition,
            parameters,
            history,
        })
    }

    /// An execution of which there is no more than the record.
    #[cfg(test)]
    pub(crate) fn alone(history: History) -> Self {
        Self {
            history,
            definition: Err(anyhow::anyhow!("it was deleted")),
            parameters: Err(anyhow::anyhow!("it was deleted")),
        }
    }
}
