//! Changes, log lines and the summary, as text on a terminal or in a file.

use std::collections::BTreeSet;
use std::io::{self, Write};

use pipewright::record::Kind;
use pipewright::record::history::{Change, History, LogLine, StartFailure, Step, Training};
use pipewright::record::model::KeptForecast;
use pipewright::record::rows::{FIGURES, OUTPUTS, StepReport, TOP_FEATURES};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;

/// With colours or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Colored,
}

const RED: &str = "31";
const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";
const CYAN: &str = "36";
const BOLD: &str = "1";
pub(super) const DIM: &str = "2";

/// The width of the column of steps' names in live output.
const SUBJECT_WIDTH: usize = 32;
/// The width of the column of statuses in live output.
const STATUS_WIDTH: usize = 10;

/// What changed, as it is called in the first column.
pub(super) fn subject(change: &Change) -> String {
    match change.kind {
        Kind::Execution => "execution".to_owned(),
        Kind::Step => clean(change.step_name.as_deref().unwrap_or_default()),
        kind => format!(
            "{} {}",
            kind.name(),
            last_part(change.resource.as_deref().unwrap_or_default())
        ),
    }
}

/// The status, with the approval of a package.
pub(super) fn status(change: &Change) -> String {
    match &change.approval_status {
        Some(approval) => format!("{} ({})", clean(&change.status), clean(approval)),
        None => clean(&change.status),
    }
}

/// `assets/3` of `arn:...:model-package/assets/3`.
fn last_part(arn: &str) -> String {
    let resource = arn.rsplit(':').next().unwrap_or(arn);
    let name = match (arn.starts_with("arn:"), resource.split_once('/')) {
        (true, Some((_, name))) => name,
        _ => arn,
    };
    clean(name)
}

/// A text without what could move a terminal's cursor, colour it or begin a line.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// `07:00:02`, UTC.
pub(super) fn time_of_day(millis: i64) -> String {
    let seconds = millis.div_euclid(1000).rem_euclid(86_400);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// `850 ms`, `4.2 s`, `42 s`, `3 min 05 s`, `2 h 03 min`.
pub(crate) fn duration(millis: i64) -> String {
    let millis = millis.max(0);
    let seconds = millis / 1000;
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{seconds}.{} s", millis % 1000 / 100),
        10_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Moments that come in whole seconds tell nothing finer.
pub(super) fn span(from: i64, to: i64) -> String {
    if from % 1000 == 0 && to % 1000 == 0 && to - from < 10_000 {
        return format!("{} s", (to - from).max(0) / 1000);
    }
    duration(to - from)
}

/// `2026-11-22 22:46:50Z`; none out of the calendar's range.
pub(crate) fn moment(millis: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).ok()?;
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    moment.format(form).ok()
}

/// Writes what happened, line by line.
pub(crate) struct Writer<W> {
    out: W,
    style: Style,
    /// Why jobs were simulated, as far as it was written with a change.
    simulated_for: BTreeSet<String>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, style: Style) -> Self {
        Self {
            out,
            style,
            simulated_for: BTreeSet::new(),
        }
    }

    /// A text in the terminal's colours, where the style has any.
    pub(super) fn paint(&self, codes: &str, text: &str) -> String {
        match self.style {
            Style::Plain => text.to_owned(),
            Style::Colored => format!("\u{1b}[{codes}m{text}\u{1b}[0m"),
        }
    }

    /// A status in its colour, padded to `width`.
    pub(super) fn paint_status(&self, status: &str, width: usize) -> String {
        let color = match Tone::of(status) {
            Tone::Good => GREEN,
            Tone::Bad => RED,
            Tone::Over => YELLOW,
            Tone::Busy => CYAN,
        };
        self.paint(color, &format!("{status:width$}"))
    }

    /// One plain line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", text.trim_end())
    }

    /// Writes cells in columns under their headings; the second column is a status.
    pub(crate) fn table<const COLUMNS: usize>(
        &mut self,
        headings: [&str; COLUMNS],
        cells: &[[String; COLUMNS]],
    ) -> io::Result<()> {
        let widths: Vec<usize> = (0..COLUMNS)
            .map(|column| {
                let longest = cells
                    .iter()
                    .map(|cells| cells[column].chars().count())
                    .max();
                longest.unwrap_or_default().max(headings[column].len())
            })
            .collect();
        let padded = |text: &str, column: usize| format!("{text:width$}", width = widths[column]);
        let heading: Vec<String> = (0..COLUMNS)
            .map(|column| padded(headings[column], column))
            .collect();
        let heading = self.paint(DIM, heading.join("  ").trim_end());
        self.line(&heading)?;
        for cells in cells {
            let line: Vec<String> = (0..COLUMNS)
                .map(|column| match column {
                    1 => self.paint_status(&cells[column], widths[column]),
                    _ => padded(&cells[column], column),
                })
                .collect();
            self.line(line.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// One change.
    pub(super) fn change(&mut self, change: &Change) -> io::Result<()> {
        let mut notes = Vec::new();
        if let Some(reason) = &change.reason {
            notes.push(self.paint(RED, &clean(reason)));
        }
        if change.simulated {
            let reason = change.simulated_reason.clone();
            let reason = reason.filter(|reason| self.simulated_for.insert(reason.clone()));
            notes.push(match reason {
                Some(reason) => self.paint(YELLOW, &format!("simulated: {}", clean(&reason))),
                None => self.paint(YELLOW, "simulated"),
            });
        }
        if change.cache_hit_arn.is_some() {
            notes.push(self.paint(YELLOW, "from the cache"));
        }
        if change.selection_arn.is_some() {
            notes.push(self.paint(YELLOW, "taken over, not run"));
        }
        if change.retries > 0 {
            notes.push(self.paint(YELLOW, &format!("retry {}", change.retries)));
        }
        if change.reconciled {
            notes.push(self.paint(YELLOW, "learnt by asking; its event went missing"));
        }
        let subject = subject(change);
        let subject = match change.kind {
            Kind::Execution => self.paint(BOLD, &format!("{subject:SUBJECT_WIDTH$}")),
            _ => format!("{subject:SUBJECT_WIDTH$}"),
        };
        let text = format!(
            "{}  {subject}  {}  {}",
            self.paint(DIM, &time_of_day(change.at)),
            self.paint_status(&status(change), STATUS_WIDTH),
            notes.join("; ")
        );
        self.line(&text)
    }

    /// One line of the container's log.
    pub(super) fn log_line(&mut self, line: &LogLine) -> io::Result<()> {
        let at = line.at.map_or_else(|| " ".repeat(8), time_of_day);
        let message = clean(&line.message);
        let message = match line.level.to_ascii_lowercase().as_str() {
            "error" => self.paint(RED, &message),
            "warn" | "warning" => self.paint(YELLOW, &message),
            _ => self.paint(DIM, &message),
        };
        let text = format!("{}  | {message}", self.paint(DIM, &at));
        self.line(&text)
    }

    /// That SageMaker would not start the execution.
    pub(super) fn start_failure(&mut self, failure: &StartFailure) -> io::Result<()> {
        let at = failure.at.map_or_else(|| " ".repeat(8), time_of_day);
        let text = format!(
            "{}  {}",
            self.paint(DIM, &at),
            self.paint(RED, &format!("not started: {}", clean(&failure.reason)))
        );
        self.line(&text)
    }

    /// What came out of it.
    pub(super) fn summary(&mut self, history: &History) -> io::Result<()> {
        self.line("")?;
        let status = match (&history.status, &history.start_failure) {
            (Some(status), _) => clean(status),
            (None, Some(_)) => "not started".to_owned(),
            (None, None) => "no event yet".to_owned(),
        };
        let took = match (history.started_at, history.ended_at) {
            (Some(start), Some(end)) => format!(" in {}", span(start, end)),
            _ => String::new(),
        };
        let display_name = history.attributes().execution.display_name;
        let name = match display_name.filter(|name| *name != history.id) {
            Some(name) => format!(" ({})", clean(&name)),
            None => String::new(),
        };
        let heading = format!(
            "Execution {}{name}: {}{took}",
            self.paint(BOLD, &clean(&history.id)),
            self.paint_status(&status, 0),
        );
        self.line(&heading)?;
        if let Some(reason) = &history.failure_reason {
            let text = format!("  {}", self.paint(RED, &clean(reason)));
            self.line(&text)?;
        }
        if let Some(failure) = &history.start_failure {
            let text = format!("  {}", self.paint(RED, &clean(&failure.reason)));
            self.line(&text)?;
        }
        if let Some(arn) = &history.execution_arn {
            self.line(&format!("  {}", clean(arn)))?;
        }
        self.steps(&history.steps)?;
        if let Some(report) = &history.report {
            self.report(report)?;
        }
        for training in &history.trainings {
            self.training(training, &history.steps)?;
        }
        if !history.verdict.is_empty() {
            self.line("")?;
            self.line("  Model and baselines:")?;
        }
        for sentence in &history.verdict {
            self.line(&format!("    {}", clean(sentence)))?;
        }
        self.forecasts(&history.forecasts)?;
        self.made(history)
    }

    /// The forecasts that were kept, the latest last.
    fn forecasts(&mut self, forecasts: &[KeptForecast]) -> io::Result<()> {
        if !forecasts.is_empty() {
            self.line("")?;
            self.line("  Forecasts:")?;
        }
        for forecast in forecasts {
            let text = format!(
                "    {}  {}, {} to {}: {}",
                self.paint(DIM, &clean(&forecast.made_at)),
                clean(&forecast.assets.join(", ")),
                clean(&forecast.first_date),
                clean(&forecast.last_date),
                clean(&forecast.table)
            );
            self.line(&text)?;
        }
        Ok(())
    }

    /// What a training job ended with: its metrics, and what its container left
    /// where it failed, line by line.
    fn training(&mut self, training: &Training, steps: &[Step]) -> io::Result<()> {
        // The step says besides that it was not a fault of the pipeline.
        let bare = |reason: &str| reason.trim_start_matches("ClientError: ").to_owned();
        let reason = training.reason.as_deref().map(bare);
        let told = steps.iter().any(|step| {
            step.name == training.step_name && step.reason.as_deref().map(bare) == reason
        });
        let reason = training.reason.as_deref().filter(|_| !told);
        if training.metrics.is_empty() && reason.is_none() {
            return Ok(());
        }
        self.line("")?;
        let heading = format!(
            "  Training of {}: {}",
            clean(&training.step_name),
            self.paint_status(&clean(&training.status), 0)
        );
        self.line(&heading)?;
        for line in reason.into_iter().flat_map(str::lines) {
            let text = format!("    {}", self.paint(RED, &clean(line)));
            self.line(&text)?;
        }
        let names = training.metrics.iter().map(|metric| clean(&metric.name));
        let width = names.map(|name| name.chars().count()).max();
        let width = width.unwrap_or_default();
        for metric in &training.metrics {
            let at = metric.at.map_or_else(String::new, time_of_day);
            let text = format!(
                "    {:width$}  {:<12}  {}",
                clean(&metric.name),
                figure(&metric.value).unwrap_or_else(|| "-".to_owned()),
                self.paint(DIM, &at)
            );
            self.line(&text)?;
        }
        Ok(())
    }

    fn steps(&mut self, steps: &[Step]) -> io::Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let width = |column: &dyn Fn(&Step) -> usize, heading: &str| {
            steps
                .iter()
                .map(column)
                .max()
                .unwrap_or(0)
                .max(heading.len())
        };
        let took = |step: &Step| match (step.started_at, step.ended_at) {
            (Some(start), Some(end)) => span(start, end),
            _ => "-".to_owned(),
        };
        let names = width(&|step| clean(&step.name).chars().count(), "STEP");
        let times = width(&|step| took(step).len(), "DURATION");
        let statuses = width(&|step| clean(&step.status).chars().count(), "STATUS");
        self.line("")?;
        let heading = format!(
            "  {:names$}  {:8}  {:times$}  {:statuses$}",
            "STEP", "START", "DURATION", "STATUS"
        );
        let heading = self.paint(DIM, heading.trim_end());
        self.line(&heading)?;
        for step in steps {
            let mut notes = Vec::new();
            if let Some(reason) = &step.reason {
                notes.push(self.paint(RED, &clean(reason)));
            }
            if step.simulated {
                notes.push(self.paint(YELLOW, "simulated"));
            }
            let remarks = remarks(step).into_iter();
            notes.extend(remarks.map(|remark| self.paint(YELLOW, &remark)));
            let text = format!(
                "  {:names$}  {:8}  {:>times$}  {}  {}",
                clean(&step.name),
                step.started_at.map_or_else(|| "-".to_owned(), time_of_day),
                took(step),
                self.paint_status(&clean(&step.status), statuses),
                notes.join("; ")
            );
            self.line(&text)?;
        }
        let reasons = steps
            .iter()
            .filter_map(|step| step.simulated_reason.as_deref());
        for reason in reasons.collect::<BTreeSet<_>>() {
            let text = format!("  {}: {}", self.paint(YELLOW, "simulated"), clean(reason));
            self.line(&text)?;
        }
        Ok(())
    }

    fn report(&mut self, report: &StepReport) -> io::Result<()> {
        self.line("")?;
        let heading = format!(
            "  Features: {}",
            self.paint_status(&clean(&report.status), 0)
        );
        self.line(&heading)?;
        if let Some(reason) = &report.reason {
            let text = format!("    {}", self.paint(RED, &clean(reason)));
            self.line(&text)?;
        }
        for note in &report.notes {
            let text = format!("    {}", self.paint(YELLOW, &clean(note)));
            self.line(&text)?;
        }
        let Value::Object(summary) = &report.summary else {
            return Ok(());
        };
        let figures = figures(summary);
        let width = figures.iter().map(|(words, _)| words.chars().count()).max();
        let width = width.unwrap_or_default();
        for (words, text) in figures {
            self.line(&format!("    {words:width$}  {text}"))?;
        }
        Ok(())
    }

    /// Where the outputs lie, and what else came of the execution.
    fn made(&mut self, history: &History) -> io::Result<()> {
        let mut places = Vec::new();
        if let Some(report) = &history.report {
            match &report.summary[OUTPUTS] {
                Value::String(uri) => places.push(("outputs".to_owned(), clean(uri))),
                Value::Object(uris) => places.extend(
                    uris.iter()
                        .filter_map(|(name, uri)| Some((clean(name), clean(uri.as_str()?)))),
                ),
                _ => {}
            }
        }
        if let Some(uri) = history.attributes().model.model_data_url {
            let uri = clean(&uri);
            let text = if history.steps.iter().any(|step| only_acted(step, &uri)) {
                format!(
                    "{} (the training was simulated; it would be {uri})",
                    self.paint(YELLOW, "none was written")
                )
            } else {
                uri
            };
            places.push(("model data".to_owned(), text));
        }
        for resource in &history.resources {
            let status = match &resource.approval_status {
                Some(approval) => format!("{}, {}", clean(&resource.status), clean(approval)),
                None => clean(&resource.status),
            };
            let text = format!("{} ({status})", last_part(&resource.name));
            places.push((resource.kind.name().to_owned(), text));
        }
        if places.is_empty() {
            return Ok(());
        }
        self.line("")?;
        let width = places.iter().map(|(name, _)| name.chars().count()).max();
        let width = width.unwrap_or_default();
        for (name, text) in places {
            self.line(&format!("  {name:width$}  {text}"))?;
        }
        Ok(())
    }
}

/// What is to be known of a step's result besides its status, its reason and whether it was simulated: whose result it
/// has where it did not run itself, and how often it was retried.
pub(super) fn remarks(step: &Step) -> Vec<String> {
    let execution = |arn: &String| clean(arn.rsplit('/').next().unwrap_or(arn));
    let retries = match step.retries {
        0 => None,
        1 => Some("after 1 retry".to_owned()),
        retries => Some(format!("after {retries} retries")),
    };
    let cached = step.cache_hit_arn.as_ref().map(execution);
    let selected = step.selection_arn.as_ref().map(execution);
    [
        cached.map(|id| format!("from the cache of execution {id}")),
        selected.map(|id| format!("not run, taken over from execution {id}")),
        retries,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether a step's job, which would have written the model data there (its name
/// is part of the path), was only simulated.
fn only_acted(step: &Step, model_data: &str) -> bool {
    let job = step.resource_arn.as_deref().map(last_part);
    step.simulated
        && job.is_some_and(|job| {
            !job.is_empty()
                && model_data
                    .split('/')
                    .any(|part| part.eq_ignore_ascii_case(&job))
        })
}

/// How good a status is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It is what was wanted.
    Good,
    /// It failed.
    Bad,
    /// It was stopped or deleted.
    Over,
    /// It goes on.
    Busy,
}

impl Tone {
    /// By a status's first word; that of `not started` is `not`.
    pub(crate) fn of(status: &str) -> Self {
        match status.split(' ').next().unwrap_or_default() {
            "Succeeded" | "Completed" | "InService" | "Created" => Self::Good,
            "Failed" | "CompletedWithFailures" | "not" => Self::Bad,
            "Stopping" | "Stopped" | "Deleting" | "Deleted" => Self::Over,
            _ => Self::Busy,
        }
    }
}

/// The figures of a container's summary, each with its name: those that have one in words first, the
/// others by their own names.
fn figures(summary: &Map<String, Value>) -> Vec<(String, String)> {
    let known = FIGURES
        .iter()
        .filter_map(|(name, words)| Some((*words, summary.get(*name)?)));
    let others = summary
        .iter()
        .filter(|(name, _)| *name != OUTPUTS && FIGURES.iter().all(|(known, _)| known != *name))
        .map(|(name, value)| (name.as_str(), value));
    known
        .chain(others)
        .filter_map(|(words, value)| Some((clean(words), figure(value)?)))
        .collect()
}

/// The figures of the processing step's container, but for its most important features, which have a place of their own
/// wherever this is called.
pub(super) fn figures_but_features(history: &History) -> Vec<(String, String)> {
    let summary = history.report.as_ref().map(|report| &report.summary);
    let mut figures = summary
        .and_then(Value::as_object)
        .map(figures)
        .unwrap_or_default();
    figures.retain(|(name, _)| name != TOP_FEATURES.1);
    figures
}

/// The most important features, each with its share of the importance in per cent: `MSFT_BB_MA (79.1 %)` of the summary
/// as `MSFT_BB_MA` and `79.1`. A text of another form has no share.
pub(super) fn top_features(history: &History) -> Vec<(String, Option<String>)> {
    let texts = history.summary(TOP_FEATURES.0).as_array();
    let feature = |text: String| {
        let parts = text
            .strip_suffix(" %)")
            .and_then(|text| text.rsplit_once(" ("));
        let is_share = |share: &str| {
            share
                .parse::<f64>()
                .is_ok_and(|share| (0.0..=100.0).contains(&share))
        };
        match parts.filter(|(_, share)| is_share(share)) {
            Some((name, share)) => (name.to_owned(), Some(share.to_owned())),
            None => (text, None),
        }
    };
    let texts = texts.into_iter().flatten().filter_map(figure);
    texts.map(feature).collect()
}

/// A figure of the summary in one line; lists of lists and maps are for files.
pub(crate) fn figure(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(elements) if elements.is_empty() => None,
        Value::Array(elements) => elements
            .iter()
            .map(figure)
            .collect::<Option<Vec<_>>>()
            .map(|texts| texts.join(", ")),
        Value::Object(_) => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use pipewright::record::history::{Metric, history};
    use pipewright::record::{Beyond, Event, Item, RecordId, writes};
    use serde_json::json;

    const ARN: &str = "arn:aws:sagemaker:eu-west-1:1:pipeline/p/execution/abc";

    fn written(
        style: Style,
        write: impl FnOnce(&mut Writer<&mut Vec<u8>>) -> io::Result<()>,
    ) -> String {
        let mut out = Vec::new();
        write(&mut Writer::new(&mut out, style)).unwrap();
        String::from_utf8(out).unwrap()
    }

    pub(in super::super) fn example() -> History {
        let id = RecordId::new("run-1").unwrap();
        let step = |time: &str, name: &str, status: &str, more: Value| {
            let mut detail = json!({
                "stepName": name, "currentStepStatus": status, "pipelineExecutionArn": ARN,
                "stepStartTime": "2024-05-06T07:00:01Z",
            });
            for (key, value) in more.as_object().unwrap() {
                detail[key] = value.clone();
            }
            json!({
                "source": "aws.sagemaker", "time": time, "detail": detail,
                "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
            })
        };
        let events = [
            step("2024-05-06T07:00:01Z", "Features", "Starting", json!({})),
            step(
                "2024-05-06T07:01:06Z",
                "Features",
                "Succeeded",
                json!({"stepEndTime": "2024-05-06T07:01:06Z"}),
            ),
            step(
                "2024-05-06T07:02:00Z",
                "Training",
                "Failed",
                json!({
                    "failureReason": "ClientError:\u{1b}[2J no data",
                    "metadata": {"pipewrightLocal": {"simulated": true, "reason": "no runner"}},
                }),
            ),
        ];
        let mut items: Vec<Item> = events
            .iter()
            .map(|event| {
                writes(&Event::parse(event).unwrap(), &id, &Beyond::default())
                    .change
                    .item()
            })
            .collect();
        let record = json!({
            "Id": "run-1", "entry": "record", "pipelineStatus": "Failed",
            "startedAt": 1_714_978_800_000_i64, "endedAt": 1_714_978_921_000_i64,
            "pipelineExecutionArn": ARN,
            "processingStepReport": {
                "status": "Succeeded",
                "summary": {
                    "limitingAsset": "XOM", "rows": 3270, "assets": 20, "leftOut": [{"x": 1}],
                    "outputs": "s3://models/execution/run-1/",
                },
            },
        });
        items.push(record.as_object().unwrap().clone());
        history("run-1", &items)
    }

    #[test]
    fn a_change_is_a_line_with_time_step_status_and_reason() {
        let history = example();
        let text = written(Style::Plain, |writer| {
            history
                .changes
                .iter()
                .try_for_each(|change| writer.change(change))
        });
        assert_eq!(
            text,
            "07:00:01  Features                          Starting\n\
             07:01:06  Features                          Succeeded\n\
             07:02:00  Training                          Failed      ClientError: [2J no data; simulated: no runner\n"
        );
    }

    #[test]
    fn the_summary_tells_steps_figures_and_places() {
        let text = written(Style::Plain, |writer| writer.summary(&example()));
        assert_eq!(
            text,
            "\n\
             Execution run-1: Failed in 2 min 01 s\n\
            \x20 Training: ClientError: [2J no data\n\
            \x20 arn:aws:sagemaker:eu-west-1:1:pipeline/p/execution/abc\n\
             \n\
            \x20 STEP      START     DURATION    STATUS\n\
            \x20 Features  07:00:01  1 min 05 s  Succeeded\n\
            \x20 Training  07:00:01  1 min 59 s  Failed     ClientError: [2J no data; simulated\n\
            \x20 simulated: no runner\n\
             \n\
            \x20 Features: Succeeded\n\
            \x20   assets          20\n\
            \x20   rows            3270\n\
            \x20   limiting asset  XOM\n\
             \n\
            \x20 outputs  s3://models/execution/run-1/\n"
        );
    }

    #[test]
    fn only_a_coloured_style_writes_escapes_and_no_text_from_outside() {
        let plain = written(Style::Plain, |writer| writer.summary(&example()));
        assert!(!plain.contains('\u{1b}'));
        let colored = written(Style::Colored, |writer| writer.summary(&example()));
        assert!(colored.contains("\u{1b}[31mFailed"));
        assert!(!colored.contains("\u{1b}[2J"));
    }

    #[test]
    fn metrics_of_a_training_and_the_whole_text_of_a_failed_one_are_told() {
        let training = |status: &str, reason: Option<&str>, metrics: Vec<Metric>| Training {
            step_name: "Training".to_owned(),
            job_arn: "arn:aws:sagemaker:eu-west-1:1:training-job/j".to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            started_at: None,
            ended_at: None,
            metrics,
        };
        let metric = |name: &str, value: Value, at| Metric {
            name: name.to_owned(),
            value,
            at,
        };
        let mut history = example();
        let reason = history.steps[1].reason.as_deref().unwrap();
        let prefixed = format!("ClientError: {reason}");
        history.trainings = vec![
            training(
                "Failed",
                Some("AlgorithmError: one\n\u{1b}[2Jtwo"),
                Vec::new(),
            ),
            // The step's own line has told this one already.
            training("Failed", history.steps[1].reason.as_deref(), Vec::new()),
            training("Failed", Some(&prefixed), Vec::new()),
            training(
                "Completed",
                None,
                vec![
                    metric("test:RMSE", json!(0.25), Some(1_714_978_861_000)),
                    metric("train:loss\u{7}", json!("NaN"), None),
                ],
            ),
        ];
        let text = written(Style::Plain, |writer| writer.summary(&history));
        let told = "\n\
            \x20 Training of Training: Failed\n\
            \x20   AlgorithmError: one\n\
            \x20    [2Jtwo\n\
             \n\
            \x20 Training of Training: Completed\n\
            \x20   test:RMSE    0.25          07:01:01\n\
            \x20   train:loss   NaN\n\
             \n\
            \x20 outputs ";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn model_data_of_a_simulated_training_is_not_passed_off_as_written() {
        let shown = |simulated: bool, data: &str| {
            let mut history = example();
            let record = history.record.as_mut().unwrap();
            record.insert("modelDataUrl".to_owned(), json!(data));
            let training = &mut history.steps[1];
            training.resource_arn =
                Some("arn:aws:sagemaker:eu-west-1:1:training-job/job-x2".to_owned());
            training.simulated = simulated;
            written(Style::Plain, |writer| writer.summary(&history))
        };
        let data = "s3://models/run-1/Job-x2/output/model.tar.gz";
        assert!(shown(false, data).contains(&format!("model data  {data}\n")));
        let simulated = shown(true, data);
        assert!(
            simulated
                .contains("model data  none was written (the training was simulated; it would be"),
            "{simulated}"
        );
        let other = "s3://models/run-0/model.tar.gz";
        assert!(shown(true, other).contains(&format!("model data  {other}\n")));
    }

    #[test]
    fn a_feature_has_its_share_and_another_text_stays_as_it_is() {
        let mut history = example();
        history.report.as_mut().unwrap().summary = json!({
            "topFeatures": ["A_LAG_1 (96.4 %)", "A", "A (x %)", "A (900 %)", "A (1 %"],
        });
        let found = top_features(&history);
        assert_eq!(found[0], ("A_LAG_1".to_owned(), Some("96.4".to_owned())));
        let others: Vec<_> = found[1..]
            .iter()
            .map(|(name, share)| (name.as_str(), share))
            .collect();
        assert_eq!(
            others,
            [
                ("A", &None),
                ("A (x %)", &None),
                ("A (900 %)", &None),
                ("A (1 %", &None)
            ]
        );
        assert!(figures_but_features(&history).is_empty());
    }

    #[test]
    fn an_execution_without_any_event_is_told_so() {
        let record = json!({"Id": "run-1", "entry": "record"});
        let items = [record.as_object().unwrap().clone()];
        let history = history("run-1", &items);
        let text = written(Style::Plain, |writer| writer.summary(&history));
        assert_eq!(text, "\nExecution run-1: no event yet\n");
    }

    #[test]
    fn spans_are_told_in_the_units_a_person_would_choose() {
        for (millis, text) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (4_250, "4.2 s"),
            (42_999, "42 s"),
            (185_000, "3 min 05 s"),
            (7_380_000, "2 h 03 min"),
        ] {
            assert_eq!(duration(millis), text);
        }
        assert_eq!(span(5_000, 7_000), "2 s", "events tell whole seconds");
        assert_eq!(time_of_day(1_714_978_861_999), "07:01:01");
    }
}
