//! `pipewright endpoint list`: which endpoints serve models of executions.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use pipewright::record::EndpointRow;
use pipewright_aws::all;
use pipewright_aws::dynamodb;
use pipewright_aws::dynamodb::endpoints::{Endpoints, Registry};
use pipewright_aws::sagemaker::endpoints::EndpointAnswer;
use pipewright_aws::sagemaker::{self, SageMaker};
use serde::Serialize;

use crate::execution::render::{clean, moment};
use crate::execution::{Color, Format, writer};
use crate::installation::Installation;
use crate::output;

/// What is told of an endpoint that SageMaker does not have.
const GONE: &str = "gone";

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    installation: Installation,
    /// The table of endpoints; without it, PREFIX-endpoints.
    #[arg(long, value_name = "TABLE")]
    endpoints_table: Option<String>,
    /// List those that are gone as well.
    #[arg(long)]
    all: bool,
    /// For people, or for programs: moments there are epoch milliseconds.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Whether to colour the output; auto = on a terminal.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

/// An endpoint in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    /// SageMaker's word for it; absent if it is gone.
    pub(crate) status: Option<String>,
    /// The id of the execution whose model it serves.
    pub(crate) execution: String,
    pub(crate) created_at: Option<i64>,
    pub(crate) failure_reason: Option<String>,
    /// When it was found to be gone.
    pub(crate) deleted_at: Option<i64>,
}

impl Row {
    fn of(registered: EndpointRow, answer: Option<EndpointAnswer>) -> Self {
        let found = answer.map(|answer| answer.found);
        Self {
            name: registered.name,
            status: found.as_ref().map(|found| found.status.clone()),
            execution: registered.execution,
            created_at: found.as_ref().and_then(|found| found.created_at),
            // One of this name may have been made again since.
            deleted_at: registered.deleted_at.filter(|_| found.is_none()),
            failure_reason: found.and_then(|found| found.failure_reason),
        }
    }

    fn cells(&self) -> [String; 5] {
        let dash = || "-".to_owned();
        [
            clean(&self.name),
            clean(self.status.as_deref().unwrap_or(GONE)),
            clean(&self.execution),
            self.created_at.and_then(moment).unwrap_or_else(dash),
            self.failure_reason.as_deref().map_or_else(dash, clean),
        ]
    }
}

/// All endpoints that serve models of executions, those that are gone among them, the newest first; each with the names of
/// its variants.
pub(crate) async fn rows(
    table: &Endpoints,
    sagemaker: &SageMaker,
) -> anyhow::Result<Vec<(Row, Vec<String>)>> {
    let registered = all(async |from| Ok::<_, anyhow::Error>(table.page(from).await?));
    let registered = registered.await?;
    let mut rows = Vec::new();
    for registered in registered {
        let answer = sagemaker.endpoint(&registered.name).await?;
        let variants = answer.as_ref().map(|answer| answer.variants.clone());
        rows.push((Row::of(registered, answer), variants.unwrap_or_default()));
    }
    rows.sort_by(|(one, _), (other, _)| {
        (other.created_at, &one.name).cmp(&(one.created_at, &other.name))
    });
    Ok(rows)
}

/// Lists endpoints; there being none is not a failure.
pub(super) async fn list(arguments: &List) -> anyhow::Result<ExitCode> {
    let config = pipewright_aws::config().await;
    let table = match &arguments.endpoints_table {
        Some(table) => table.clone(),
        None => arguments.installation.named("endpoints"),
    };
    let table = Endpoints::new(dynamodb::client(&config), table);
    let sagemaker = SageMaker::new(sagemaker::client(&config));
    let mut rows: Vec<Row> = rows(&table, &sagemaker)
        .await?
        .into_iter()
        .map(|(row, _)| row)
        .collect();
    rows.retain(|row| arguments.all || row.status.is_some());
    match arguments.format {
        Format::Json => output::write_json(&rows)?,
        Format::Text if rows.is_empty() => writeln!(
            output::stdout(),
            "no endpoint of table {} is there; `pipewright endpoint create` makes one{}",
            table.table(),
            match arguments.all {
                true => "",
                false => ", --all lists those that are gone",
            }
        )?,
        Format::Text => {
            let cells: Vec<[String; 5]> = rows.iter().map(Row::cells).collect();
            let headings = ["NAME", "STATUS", "EXECUTION", "CREATED", "REASON"];
            writer(arguments.color.style()).table(headings, &cells)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::record::reconcile::EndpointFound;

    fn registered() -> EndpointRow {
        EndpointRow {
            name: "pipewright-run-1".to_owned(),
            execution: "run-1".to_owned(),
            deleted_at: Some(5),
            ..EndpointRow::default()
        }
    }

    #[test]
    fn an_endpoint_that_is_gone_says_so_and_since_when() {
        let row = Row::of(registered(), None);
        assert_eq!(row.deleted_at, Some(5));
        assert_eq!(row.cells(), ["pipewright-run-1", "gone", "run-1", "-", "-"]);
    }

    #[test]
    fn an_endpoint_that_was_made_again_is_as_sagemaker_says() {
        let answer = EndpointAnswer {
            found: EndpointFound {
                status: "Failed".to_owned(),
                created_at: Some(1_714_978_800_000),
                failure_reason: Some("no \u{1b}[2Jcapacity".to_owned()),
                ..EndpointFound::default()
            },
            ..EndpointAnswer::default()
        };
        let row = Row::of(registered(), Some(answer));
        assert_eq!(row.deleted_at, None);
        let cells = row.cells();
        assert_eq!(cells[1..4], ["Failed", "run-1", "2024-05-06 07:00:00Z"]);
        assert!(!cells[4].contains('\u{1b}'));
    }
}
