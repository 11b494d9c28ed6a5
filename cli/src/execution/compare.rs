//! `pipewright execution compare`: what differs between executions.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use pipewright::definition::diff::diff;
use pipewright::record::History;
use pipewright::record::names::PARAMETERS;
use pipewright::record::rows::TOP_FEATURES;
use serde::Serialize;
use serde_json::Value;

use super::known::Known;
use super::render::{Writer, clean, figure, figures, moment, span};
use super::{Color, Format, Place, list, now, writer};
use crate::output;

/// Show what differs between executions: parameters, definition, data, features, scores, metrics and durations.
///
/// Each column is an execution, in the order in which they are named, or the newest first; what is equal in all of
/// them is left out.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The executions, two or more: by id, ARN or display name.
    #[arg(required_unless_present = "last", num_args = 2.., conflicts_with = "last", value_name = "EXECUTION")]
    executions: Vec<String>,
    /// Compare the newest N executions instead.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=20))]
    last: Option<u16>,
    /// With --last: those of this pipeline only.
    #[arg(long, value_name = "NAME", requires = "last")]
    pipeline: Option<String>,
    /// With --last: of those that are open, or ended within so many days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(0..=366))]
    days: u16,
    /// Show what is equal as well.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Whether to colour the output; auto = on a terminal.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

/// What was compared, in the order of the executions.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Comparison {
    /// Their ids.
    executions: Vec<String>,
    parts: Vec<Part>,
    /// How the definition of each execution differs from that of the first, in `definition diff`'s words.
    definitions: Vec<Vec<String>>,
    /// What could not be compared, and why.
    notes: Vec<String>,
}

/// Values of one kind.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Part {
    name: &'static str,
    rows: Vec<Row>,
}

/// A value in each execution; `None` where an execution has none.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    values: Vec<Option<String>>,
}

impl Row {
    fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// Names and values of an execution, by the name of their part.
type Facts = Vec<(&'static str, Vec<(String, String)>)>;

/// The values of a training template by their paths, `feMeta.fftSettings.enabled`; lists as one text.
fn settings(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let inside = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| settings(&inside(name), value, found)),
        value => found.extend(figure(value).map(|text| (path.to_owned(), text))),
    }
}

fn facts(history: &History, parameters: &[(String, String)]) -> Facts {
    let text = |name: &str, value: Option<String>| Some((name.to_owned(), value?));
    let duration = |from: Option<i64>, to: Option<i64>| Some(span(from?, to?));
    let execution = [
        text("status", history.status.clone()),
        text("started", history.started_at.and_then(moment)),
        text("duration", duration(history.started_at, history.ended_at)),
        text("reason", history.failure_reason.clone()),
    ];
    let summary = history.report.as_ref().map(|report| &report.summary);
    let of_summary = |name: &str| summary.and_then(|summary| summary.get(name));
    let mut data = summary
        .and_then(Value::as_object)
        .map(figures)
        .unwrap_or_default();
    data.retain(|(name, _)| name != TOP_FEATURES.1);
    let top = of_summary(TOP_FEATURES.0).and_then(|list| list.as_array());
    let features = top.into_iter().flatten().filter_map(|feature| {
        // `MSFT_BB_MA (79.1 %)`.
        let (name, share) = feature.as_str()?.rsplit_once(" (")?;
        Some((name.to_owned(), share.trim_end_matches(')').to_owned()))
    });
    let scores = history.score.iter().flat_map(|score| {
        let all = score
            .all_series
            .measures
            .iter()
            .map(|one| ("all series".to_owned(), one));
        let predicted = score.predicted.iter().flat_map(|compared| {
            let asset = compared.asset.clone().unwrap_or_default();
            compared
                .measures
                .iter()
                .map(move |one| (asset.clone(), one))
        });
        all.chain(predicted).flat_map(|(of, one)| {
            [
                (
                    format!("{} of {of}", one.measure),
                    format!("{:.6}", one.model),
                ),
                (
                    format!("{} of {of}, best naive forecast", one.measure),
                    format!("{:.6} ({})", one.baseline, one.method),
                ),
            ]
        })
    });
    let metrics = history.trainings.iter().flat_map(|training| {
        training.metrics.iter().filter_map(|metric| {
            let name = format!("{} {}", training.step_name, metric.name);
            text(&name, figure(&metric.value))
        })
    });
    let mut template = Vec::new();
    if let Some(document) = history
        .record
        .as_ref()
        .and_then(|record| record.get(PARAMETERS))
    {
        settings("", document, &mut template);
    }
    let reasons = history
        .steps
        .iter()
        .filter_map(|step| Some((format!("{}, reason", step.name), step.reason.clone()?)));
    let durations = history.steps.iter().filter_map(|step| {
        let simulated = if step.simulated { ", simulated" } else { "" };
        let took = duration(step.started_at, step.ended_at)?;
        Some((
            step.name.clone(),
            format!("{took}, {}{simulated}", step.status),
        ))
    });
    vec![
        ("execution", execution.into_iter().flatten().collect()),
        ("training template", template),
        ("parameters", parameters.to_vec()),
        ("data", data),
        ("importance of features", features.collect()),
        ("scores", scores.collect()),
        ("metrics", metrics.collect()),
        ("steps", durations.chain(reasons).collect()),
    ]
}

/// The rows of each part: names in the order in which the executions bring them.
fn parts(executions: &[Facts], all: bool) -> Vec<Part> {
    let Some(first) = executions.first() else {
        return Vec::new();
    };
    (0..first.len())
        .map(|part| {
            let maps: Vec<BTreeMap<&str, &str>> = executions
                .iter()
                .map(|facts| {
                    facts[part]
                        .1
                        .iter()
                        .map(|(n, v)| (n.as_str(), v.as_str()))
                        .collect()
                })
                .collect();
            let mut names: Vec<&str> = Vec::new();
            for (name, _) in executions.iter().flat_map(|facts| &facts[part].1) {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
            let rows = names.into_iter().map(|name| Row {
                name: name.to_owned(),
                values: maps
                    .iter()
                    .map(|map| map.get(name).map(|value| (*value).to_owned()))
                    .collect(),
            });
            Part {
                name: first[part].0,
                rows: rows.filter(|row| all || row.differs()).collect(),
            }
        })
        .filter(|part| !part.rows.is_empty())
        .collect()
}

fn compared(executions: &[Known], all: bool) -> Comparison {
    let mut notes = Vec::new();
    let mut facts_of = Vec::new();
    for known in executions {
        let parameters = match &known.parameters {
            Ok(parameters) => parameters.as_slice(),
            Err(error) => {
                notes.push(format!(
                    "the parameters of {} are missing: {error:#}",
                    known.history.id
                ));
                &[]
            }
        };
        if let Err(error) = &known.definition {
            notes.push(format!(
                "the definition of {} is missing: {error:#}",
                known.history.id
            ));
        }
        facts_of.push(facts(&known.history, parameters));
    }
    let first = executions
        .first()
        .and_then(|known| known.definition.as_ref().ok());
    let definitions = executions
        .iter()
        .map(|known| match (first, &known.definition) {
            (Some(first), Ok(own)) => diff(first, own).iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        })
        .collect();
    Comparison {
        executions: executions
            .iter()
            .map(|known| known.history.id.clone())
            .collect(),
        parts: parts(&facts_of, all),
        definitions,
        notes,
    }
}

fn write<W: Write>(writer: &mut Writer<W>, comparison: &Comparison) -> io::Result<()> {
    let cell = |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), clean);
    let rows = || comparison.parts.iter().flat_map(|part| &part.rows);
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let name = wide(&mut rows().map(|row| row.name.chars().count() + 2));
    let widths: Vec<usize> = comparison
        .executions
        .iter()
        .enumerate()
        .map(|(column, id)| {
            let values = rows().map(|row| cell(&row.values[column]).chars().count());
            wide(&mut values.chain([id.chars().count()]))
        })
        .collect();
    let line = |first: &str, cells: &mut dyn Iterator<Item = String>| {
        let mut text = format!("{first:name$}");
        for (cell, width) in cells.zip(&widths) {
            text.push_str(&format!("  {cell:width$}"));
        }
        text.trim_end().to_owned()
    };
    writer.line(&line(
        "",
        &mut comparison.executions.iter().map(|id| clean(id)),
    ))?;
    for part in &comparison.parts {
        writer.line(part.name)?;
        for row in &part.rows {
            let first = format!("  {}", clean(&row.name));
            writer.line(&line(&first, &mut row.values.iter().map(cell)))?;
        }
    }
    let changes = comparison.executions.iter().zip(&comparison.definitions);
    for (id, changes) in changes.filter(|(_, changes)| !changes.is_empty()) {
        writer.line(&format!(
            "definition of {}, from that of {}",
            clean(id),
            clean(&comparison.executions[0])
        ))?;
        for text in changes.iter().flat_map(|change| change.lines()) {
            writer.line(&format!("  {}", clean(text)))?;
        }
    }
    if comparison.parts.is_empty() && comparison.definitions.iter().all(Vec::is_empty) {
        writer.line("no difference")?;
    }
    for note in &comparison.notes {
        writer.line(&format!("note: {}", clean(note)))?;
    }
    Ok(())
}

pub(super) async fn compare(arguments: Compare) -> anyhow::Result<ExitCode> {
    let search = arguments.place.search().await;
    let named = match arguments.last {
        None => arguments.executions,
        Some(count) => {
            let pipeline = arguments.pipeline.as_deref();
            let mut ids = list::newest(&search, pipeline, arguments.days, now()).await?;
            anyhow::ensure!(
                ids.len() >= 2,
                "{} within {} days: two or more are compared; --days looks further back",
                pipewright::wording::count(ids.len(), "execution"),
                arguments.days
            );
            ids.truncate(usize::from(count));
            ids
        }
    };
    let mut executions = Vec::new();
    for name in &named {
        executions.push(Known::of(&search, name).await?);
    }
    let comparison = compared(&executions, arguments.all);
    match arguments.format {
        Format::Json => output::write_json(&comparison)?,
        Format::Text => write(&mut writer(arguments.color.style()), &comparison)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::super::render::Style;
    use super::super::render::tests::example;
    use super::*;
    use pipewright::definition::Definition;

    fn known(id: &str, epochs: &str, memory: u32) -> Known {
        let mut history = example();
        history.id = id.to_owned();
        let definition = format!(
            r#"{{"Version": "2020-12-01", "Steps": [
                {{"Name": "Train", "Type": "Training", "Arguments": {{"VolumeSizeInGB": {memory}}}}}]}}"#
        );
        Known {
            history,
            definition: Ok(Definition::parse(&definition).unwrap()),
            parameters: Ok(vec![
                ("Epochs".to_owned(), epochs.to_owned()),
                ("Cells".to_owned(), "40".to_owned()),
            ]),
        }
    }

    fn text(executions: &[Known], all: bool) -> String {
        let mut out = Vec::new();
        write(
            &mut Writer::new(&mut out, Style::Plain),
            &compared(executions, all),
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_differs_is_shown_and_what_is_equal_is_not() {
        let executions = [known("run-1", "100", 1), known("run-2", "400", 2)];
        insta::assert_snapshot!(text(&executions, false), @"
                  run-1  run-2
        parameters
          Epochs  100    400
        definition of run-2, from that of run-1
          ~ step Train (Training)
              Arguments.VolumeSizeInGB: 1 -> 2
        ");
    }

    #[test]
    fn everything_is_shown_where_that_is_asked_for() {
        let executions = [known("run-1", "100", 1), known("run-2", "400", 1)];
        let text = text(&executions, true);
        let mut lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert!(lines.any(|words| words == ["Cells", "40", "40"]), "{text}");
    }

    #[test]
    fn executions_that_are_equal_have_no_difference() {
        let executions = [known("run-1", "100", 1), known("run-1", "100", 1)];
        assert_eq!(text(&executions, false), "  run-1  run-1\nno difference\n");
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut other = known("run-2", "400", 1);
        other.parameters = Err(anyhow::anyhow!("it was deleted"));
        other.definition = Err(anyhow::anyhow!("it was deleted"));
        let text = text(&[known("run-1", "100", 1), other], false);
        assert!(
            text.contains("note: the parameters of run-2 are missing: it was deleted\n"),
            "{text}"
        );
        assert!(
            text.contains("note: the definition of run-2 is missing: it was deleted\n"),
            "{text}"
        );
    }
}
