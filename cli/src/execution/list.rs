//! `pipewright execution list`: which executions there are, from the index by
//! phase. The table is never read through.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use pipewright::record::history::StartFailure;
use pipewright::record::{ExecutionArn, Item, Record, arn_of, is_final};
use serde::Serialize;

use super::render::{self, Writer};
use super::{Color, Format, Place, now, writer};
use crate::output;
use crate::search::Search;

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
    /// List the executions of this pipeline only.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Beside the open ones, list those that ended within so many days.
    #[arg(long, default_value_t = 7, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u16).range(0..=366))]
    days: u16,
    /// For people, or for programs: moments there are epoch milliseconds.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Whether to colour the output; auto = on a terminal.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

/// An execution in the list. Moments are epoch milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) id: String,
    /// The pipeline's name.
    pub(crate) pipeline: Option<String>,
    /// What SageMaker shows it as.
    display_name: Option<String>,
    /// In the API's spelling; absent before the first event.
    status: Option<String>,
    pub(crate) template_id: Option<String>,
    created_at: Option<i64>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    /// From start to end, or until now, milliseconds.
    duration: Option<i64>,
    execution_arn: Option<String>,
    /// That SageMaker refused to start it.
    start_failure: Option<StartFailure>,
}

impl Row {
    /// What the item `record` says of an execution.
    pub(crate) fn of(id: &str, record: &Item, now: i64) -> Self {
        let Record {
            start, execution, ..
        } = Record::read(record);
        let status = execution.pipeline_status;
        let ended = status.as_deref().is_some_and(is_final);
        let started_at = execution.started_at;
        let ended_at = execution
            .ended_at
            .or(execution.pipeline_status_at)
            .filter(|_| ended);
        let until = if ended { ended_at } else { Some(now) };
        Self {
            id: id.to_owned(),
            pipeline: start.pipeline_name.or_else(|| pipeline_of(record)),
            display_name: execution.display_name,
            template_id: start.template_id,
            created_at: start.created_at,
            started_at,
            ended_at,
            duration: started_at
                .zip(until)
                .map(|(start, end)| end.saturating_sub(start).max(0)),
            execution_arn: execution.pipeline_execution_arn,
            start_failure: start.start_failure,
            status,
        }
    }

    /// When it began, as far as anybody knows.
    pub(crate) fn since(&self) -> Option<i64> {
        self.started_at.or(self.created_at)
    }

    /// Whether it goes no further on its own.
    pub(crate) fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    /// When nothing more was to be expected of it. What was not started keeps
    /// the phase of the open ones, for somebody may start it again.
    fn over_at(&self) -> Option<i64> {
        let refused = self.start_failure.as_ref().and_then(|failure| failure.at);
        self.ended_at.or(refused)
    }

    /// The status in words.
    pub(crate) fn status(&self) -> String {
        match (&self.status, &self.start_failure) {
            (Some(status), _) => render::clean(status),
            (None, Some(_)) => "not started".to_owned(),
            (None, None) => "no event yet".to_owned(),
        }
    }

    /// `3 min 05 s`; of one that has not ended `3 min 05 s so far`.
    pub(crate) fn duration(&self) -> String {
        match (self.duration, self.started_at, self.ended_at) {
            (_, Some(start), Some(end)) => render::span(start, end),
            (Some(duration), ..) => format!("{} so far", render::duration(duration)),
            (None, ..) => "-".to_owned(),
        }
    }
}

/// Those that are open, or ended or were refused from `earliest` on, the newest
/// first.
fn ordered(mut rows: Vec<Row>, earliest: i64) -> Vec<Row> {
    rows.retain(|row| row.over_at().is_none_or(|at| at >= earliest));
    rows.sort_by(|a, b| (b.since(), &b.id).cmp(&(a.since(), &a.id)));
    rows
}

/// The list as a table, a heading above it.
fn write<W: Write>(writer: &mut Writer<W>, rows: &[Row]) -> io::Result<()> {
    const HEADINGS: [&str; 7] = [
        "ID", "STATUS", "PIPELINE", "TEMPLATE", "STARTED", "DURATION", "ARN",
    ];
    let dash = || "-".to_owned();
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            [
                render::clean(&row.id),
                row.status(),
                row.pipeline.as_deref().map_or_else(dash, render::clean),
                row.template_id.as_deref().map_or_else(dash, render::clean),
                row.since().and_then(render::moment).unwrap_or_else(dash),
                row.duration(),
                row.execution_arn
                    .as_deref()
                    .map_or_else(dash, render::clean),
            ]
        })
        .collect();
    writer.table(HEADINGS, &cells)
}

/// The name of an execution's pipeline by its ARN, which the record has once it is started.
fn pipeline_of(record: &Item) -> Option<String> {
    let arn = ExecutionArn::parse(arn_of(record)?).ok()?;
    Some(arn.pipeline_name().to_owned())
}

/// Those that are open or ended within `days`, the newest first; of one pipeline, if one is named.
async fn rows(
    search: &Search,
    pipeline: Option<&str>,
    days: u16,
    now: i64,
) -> anyhow::Result<Vec<Row>> {
    let records = search.recent(days, now).await?;
    let mut rows: Vec<Row> = records
        .iter()
        .map(|(id, record)| Row::of(id, record, now))
        .collect();
    if let Some(wanted) = pipeline {
        let is_wanted = |name: &String| name.eq_ignore_ascii_case(wanted);
        rows.retain(|row| row.pipeline.as_ref().is_some_and(is_wanted));
    }
    Ok(ordered(rows, now.saturating_sub(i64::from(days) * DAY)))
}

/// The ids of the same executions, in the same order.
pub(super) async fn newest(
    search: &Search,
    pipeline: Option<&str>,
    days: u16,
    now: i64,
) -> anyhow::Result<Vec<String>> {
    let rows = rows(search, pipeline, days, now).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Lists executions; there being none is not a failure.
pub(super) async fn list(arguments: List) -> anyhow::Result<ExitCode> {
    let search = arguments.place.search().await;
    let now = now();
    let pipeline = arguments.pipeline.as_deref();
    let rows = rows(&search, pipeline, arguments.days, now).await?;
    match arguments.format {
        Format::Json => output::write_json(&rows)?,
        Format::Text if rows.is_empty() => writeln!(
            output::stdout(),
            "no execution{} in table {} is open, and none ended within {} days; --days looks further back",
            arguments
                .pipeline
                .as_ref()
                .map_or_else(String::new, |name| format!(" of pipeline {name}")),
            search.executions,
            arguments.days
        )?,
        Format::Text => write(&mut writer(arguments.color.style()), &rows)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::super::render::Style;
    use super::*;
    use serde_json::{Value, json};

    // 2024-05-06T07:00:00Z
    const NOW: i64 = 1_714_978_800_000;

    fn row(id: &str, record: Value) -> Row {
        Row::of(id, &record.as_object().unwrap().clone(), NOW)
    }

    #[test]
    fn days_beyond_the_range_are_told_with_it() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            _list: List,
        }
        for days in ["-1", "367"] {
            let line = ["list", "--table", "t", "--days", days];
            let error = <Line as clap::Parser>::try_parse_from(line).unwrap_err();
            let told = format!("{days} is not in 0..=366");
            assert!(error.to_string().contains(&told), "{error}");
        }
    }

    fn open(id: &str) -> Row {
        row(
            id,
            json!({
                "templateId": "sample", "pipelineStatus": "Executing", "createdAt": NOW - 190_000,
                "startedAt": NOW - 185_000, "endedAt": NOW, "pipelineExecutionArn": "arn:x",
            }),
        )
    }

    fn ended(id: &str, at: i64) -> Row {
        row(
            id,
            json!({
                "pipelineStatus": "Succeeded", "startedAt": at - 42_500, "endedAt": at,
            }),
        )
    }

    fn written(rows: &[Row]) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, Style::Plain), rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_execution_is_a_line_with_status_template_start_duration_and_arn() {
        let refused = json!({
            "createdAt": NOW, "startFailure": {"reason": "no", "at": NOW}, "pipelineName": "mine",
        });
        let other = "arn:aws:sagemaker:r:1:pipeline/Other/execution/x";
        let rows = [
            open("one"),
            ended("two", NOW),
            row("three", refused),
            row("four", json!({"pipelineExecutionArn": other})),
        ];
        assert_eq!(
            written(&rows),
            "ID     STATUS        PIPELINE  TEMPLATE  STARTED               DURATION           ARN\n\
             one    Executing     -         sample    2024-05-06 06:56:55Z  3 min 05 s so far  arn:x\n\
             two    Succeeded     -         -         2024-05-06 06:59:17Z  42 s               -\n\
             three  not started   mine      -         2024-05-06 07:00:00Z  -                  -\n\
             four   no event yet  Other     -         -                     -                  arn:aws:sagemaker:r:1:pipeline/Other/execution/x\n"
        );
    }

    #[test]
    fn the_newest_come_first_and_what_ended_before_the_days_is_left_out() {
        let earliest = NOW - 7 * DAY;
        let rows = vec![
            ended("long-ago", earliest - 1),
            ended("a-week-ago", earliest),
            open("open"),
            row(
                "refused-long-ago",
                json!({"createdAt": 1, "startFailure": {"reason": "no", "at": 1}}),
            ),
            row("unknown", json!({})),
            ended("today", NOW - 3_600_000),
        ];
        let ids: Vec<String> = ordered(rows, earliest)
            .into_iter()
            .map(|row| row.id)
            .collect();
        assert_eq!(ids, ["open", "today", "a-week-ago", "unknown"]);
    }

    #[test]
    fn an_open_execution_lasts_until_now_whatever_an_earlier_end_says() {
        let row = open("one");
        assert_eq!((row.ended_at, row.duration), (None, Some(185_000)));
    }

    #[test]
    fn a_text_from_outside_moves_no_cursor() {
        let row = row("one", json!({"templateId": "a\u{1b}[2J"}));
        assert!(!written(&[row]).contains('\u{1b}'));
    }
}
