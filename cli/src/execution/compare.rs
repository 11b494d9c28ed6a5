//! `pipewright execution compare`: what differs between executions.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pipewright::definition::diff::diff;
use pipewright::record::History;
use pipewright::wording::count;
use serde::Serialize;
use serde_json::Value;

use super::charts::{self, Curve};
use super::known::Known;
use super::losses::{Curves, Logs};
use super::render::{
    Writer, clean, figure, figures_but_features, moment, remarks, span, top_features,
};
use super::{Color, Format, Place, list, now, writer};
use crate::html::{self, Frame};
use crate::output::{self, Output};

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
    #[arg(long, value_name = "NAME", conflicts_with = "executions")]
    pipeline: Option<String>,
    /// With --last: of those that are open, or ended within so many days; 30 without it.
    #[arg(long, conflicts_with = "executions", value_parser = clap::value_parser!(u16).range(0..=366))]
    days: Option<u16>,
    /// Show what is equal as well.
    #[arg(long)]
    all: bool,
    /// Write a page of HTML, with the losses of the trainings over each other; `-` is standard output.
    #[arg(short, long, value_name = "FILE", conflicts_with = "format")]
    output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    logs: Logs,
    #[command(flatten)]
    place: Place,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Whether to colour the output; auto = on a terminal.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

/// Within how many days the newest executions must have ended, unless another number is asked for.
const DAYS: u16 = 30;

/// What was compared, in the order of the executions.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Comparison {
    /// Their ids.
    executions: Vec<String>,
    pub(super) parts: Vec<Part>,
    /// How the definition of each execution differs from that of the first, in `definition diff`'s words.
    pub(super) definitions: Vec<Vec<String>>,
    /// What could not be compared, and why.
    notes: Vec<String>,
}

/// Values of one kind.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A value in each execution; `None` where an execution has none.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) values: Vec<Option<String>>,
}

impl Row {
    fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// The parts that differ between any two executions.
pub(super) const EXECUTION: &str = "execution";
pub(super) const STEPS: &str = "steps";

/// Names and values of an execution, by the name of their part.
type Facts = Vec<(&'static str, Vec<(String, String)>)>;

/// The values of a training template by their paths, `feMeta.fftSettings.enabled`; lists as one text.
pub(super) fn settings(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
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
    let pipeline = history.attributes().start.pipeline_name;
    let execution = [
        text("pipeline", pipeline),
        text("status", history.status.clone()),
        text("started", history.started_at.and_then(moment)),
        text("duration", duration(history.started_at, history.ended_at)),
        text("reason", history.failure_reason.clone()),
    ];
    let features = top_features(history)
        .into_iter()
        .filter_map(|(name, share)| Some((name, format!("{} %", share?))));
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
    if let Some(document) = history.training_template() {
        settings("", document, &mut template);
    }
    let reasons = history
        .steps
        .iter()
        .filter_map(|step| Some((format!("{}, reason", step.name), step.reason.clone()?)));
    let durations = history.steps.iter().filter_map(|step| {
        let took = duration(step.started_at, step.ended_at)?;
        let mut parts = vec![took, step.status.clone()];
        parts.extend(step.simulated.then(|| "simulated".to_owned()));
        parts.extend(remarks(step));
        Some((step.name.clone(), parts.join(", ")))
    });
    vec![
        (EXECUTION, execution.into_iter().flatten().collect()),
        ("training template", template),
        ("parameters", parameters.to_vec()),
        ("data", figures_but_features(history)),
        ("importance of features", features.collect()),
        ("scores", scores.collect()),
        ("metrics", metrics.collect()),
        (STEPS, durations.chain(reasons).collect()),
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

pub(super) fn compared(executions: &[impl Borrow<Known>], all: bool) -> Comparison {
    let executions = || executions.iter().map(Borrow::borrow);
    let mut notes = Vec::new();
    let mut facts_of = Vec::new();
    for known in executions() {
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
    let first = executions()
        .next()
        .and_then(|known| known.definition.as_ref().ok());
    let definitions = executions()
        .map(|known| match (first, &known.definition) {
            (Some(first), Ok(own)) => diff(first, own).iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        })
        .collect();
    Comparison {
        executions: executions().map(|known| known.history.id.clone()).collect(),
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

#[derive(Debug, Serialize)]
struct Chart {
    title: &'static str,
    svg: String,
}

/// The page of a comparison. `curves` has the losses of each execution, as far as there are any.
pub(crate) fn page(
    executions: &[Known],
    curves: &[Curves],
    all: bool,
    frame: &Frame,
    now: i64,
) -> Result<String, tera::Error> {
    let mut comparison = compared(executions, all);
    let mut named: Vec<(String, &Curve)> = Vec::new();
    for (id, curves) in comparison.executions.iter().zip(curves) {
        named.extend(curves.iter().map(|(step, curve)| match curves.len() {
            1 => (id.clone(), curve),
            _ => (format!("{id}, {step}"), curve),
        }));
    }
    if named.len() > charts::OVERLAID {
        comparison.notes.push(format!(
            "the charts show the first {} of {} trainings",
            charts::OVERLAID,
            named.len()
        ));
    }
    let charts = charts::overlaid(&named);
    let charts: Vec<Chart> = charts
        .into_iter()
        .map(|(title, svg)| Chart { title, svg })
        .collect();
    let mut context = tera::Context::new();
    context.insert(
        "title",
        &format!("{} compared", count(executions.len(), "execution")),
    );
    context.insert("executions", &comparison.executions);
    context.insert("parts", &comparison.parts);
    let changes = comparison.executions.iter().zip(&comparison.definitions);
    let changes: Vec<_> = changes.filter(|(_, changes)| !changes.is_empty()).collect();
    context.insert("definitions", &changes);
    context.insert("notes", &comparison.notes);
    context.insert("charts", &charts);
    context.insert("all", &all);
    html::page(html::COMPARISON, context, frame, now)
}

pub(super) async fn compare(arguments: Compare) -> anyhow::Result<ExitCode> {
    let search = arguments.place.search().await;
    let named = match arguments.last {
        None => arguments.executions,
        Some(most) => {
            let pipeline = arguments.pipeline.as_deref();
            let days = arguments.days.unwrap_or(DAYS);
            let mut ids = list::newest(&search, pipeline, days, now()).await?;
            anyhow::ensure!(
                ids.len() >= 2,
                "{} within {} days: two or more are compared; --days looks further back",
                count(ids.len(), "execution"),
                days
            );
            ids.truncate(usize::from(most));
            ids
        }
    };
    let mut executions = Vec::new();
    for name in &named {
        executions.push(Known::of(&search, name).await?);
    }
    if let Some(file) = arguments.output {
        let of = executions.iter().map(|known| &known.history);
        let curves: Vec<Curves> = of.map(|history| arguments.logs.curves(history)).collect();
        let page = page(&executions, &curves, arguments.all, &Frame::File, now())?;
        Output::page(&file, arguments.force, &page)?;
        return Ok(ExitCode::SUCCESS);
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
    use crate::html::{HOSTILE, assert_harmless};
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
    fn days_are_of_the_newest_executions_only() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            _compare: Compare,
        }
        let taken = |words: &str| {
            let words = ["compare"].into_iter().chain(words.split_whitespace());
            <Line as clap::Parser>::try_parse_from(words).is_ok()
        };
        assert!(taken("--last 2 --days 7"));
        assert!(taken("run-1 run-2"));
        assert!(!taken("run-1 run-2 --days 7"));
        assert!(!taken("run-1 run-2 -o page.html --format json"));
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

    /// No text of a record becomes markup or script of a comparison.
    #[test]
    fn nothing_that_is_stored_becomes_markup_of_a_comparison() {
        let mut other = known(HOSTILE, HOSTILE, 2);
        other.history.failure_reason = Some(HOSTILE.to_owned());
        other.history.steps[0].name = HOSTILE.to_owned();
        other.definition = Err(anyhow::anyhow!(HOSTILE));
        let curve = Curve::of_log("#quality_metric: host=a, epoch=0, train loss <loss>=1\n");
        let curves = vec![(HOSTILE.to_owned(), curve.unwrap())];
        let executions = [known("run-1", "100", 1), other];
        let page = page(
            &executions,
            &[curves.clone(), curves],
            true,
            &Frame::File,
            0,
        )
        .unwrap();
        assert_harmless(&page, 1);
        assert!(page.contains("<svg"));
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
