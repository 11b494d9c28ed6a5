//! An execution's record as a page of HTML: what stands where. `page.html` says how.

use pipewright::definition::{GetPath, render};
use pipewright::record::History;
use pipewright::record::history::{Change, LogLine, Step, Training};
use pipewright::record::rows::OUTPUTS;
use pipewright::wording::count;
use serde::Serialize;
use serde_json::Value;
use tera::Context;

use super::super::charts;
use super::super::compare::{self, EXECUTION, STEPS, compared};
use super::super::known::Known;
use super::super::losses::Curves;
use super::super::render::{
    figure, figures_but_features, moment, remarks as remarks_of, span, status as status_of,
    subject, time_of_day, top_features,
};
use super::cost::cost;
use crate::html::{self, Frame, Status};

/// Log lines that a browser lays out together, once they are looked at.
const BLOCK: usize = 400;

/// Member of the summary: what the feature step warned of.
const WARNINGS: &str = "warnings";

/// What the page is made from, besides what is known of the execution.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// The losses of each training whose log is at hand, by the name of its step.
    pub(crate) curves: Curves,
    /// The tables of the kept forecasts, in the record's order; `None` where one could not be read.
    pub(crate) forecasts: Vec<Option<charts::Fan>>,
    /// The outputs' `features/summary.json`; null where it could not be read.
    pub(crate) features: Value,
    /// The outputs' `features/importance.json`, likewise.
    pub(crate) importance: Value,
    /// The last execution of the same pipeline that succeeded before.
    pub(crate) before: Option<Known>,
    /// What could not be had for the page, and why.
    pub(crate) notes: Vec<String>,
}

/// What differs from another execution.
#[derive(Debug, Serialize)]
struct Differences {
    /// Its id.
    from: String,
    /// Kind, name, value there and value here.
    rows: Vec<[String; 4]>,
    /// Changes of the definition.
    definition: Vec<String>,
}

fn differences_of(before: &Known, known: &Known) -> Differences {
    let comparison = compared(&[before, known], false);
    let ids = [before, known].map(|known| Some(known.history.id.clone()));
    let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mut rows = Vec::new();
    for part in &comparison.parts {
        // Where nothing is known of the other, everything would be a difference.
        let is_unknown = part.rows.iter().all(|row| row.values[0].is_none());
        if is_unknown || [EXECUTION, STEPS].contains(&part.name) {
            continue;
        }
        // That the parameter with the id has another value is no news.
        let news = part.rows.iter().filter(|row| row.values[..] != ids);
        rows.extend(news.map(|row| {
            [
                part.name.to_owned(),
                row.name.clone(),
                dash(&row.values[0]),
                dash(&row.values[1]),
            ]
        }));
    }
    Differences {
        from: before.history.id.clone(),
        rows,
        definition: comparison.definitions.last().cloned().unwrap_or_default(),
    }
}

/// What an execution was made with: the images of its steps and the seeds, as far as definition, parameters and training
/// template tell.
fn made_with(known: &Known) -> Vec<Named> {
    let mut found = Vec::new();
    let values = known.parameters.as_deref().unwrap_or_default();
    if let Ok(definition) = &known.definition {
        for step in definition.steps() {
            let mut images = Vec::new();
            if let Some(arguments) = step.arguments() {
                collect_images(arguments, values, &mut images);
            }
            images.dedup();
            let name = format!("Image of {}", step.name());
            found.extend(images.into_iter().map(|image| Named::new(&name, image)));
        }
    }
    if let Some(template) = known.history.training_template() {
        let mut settings = Vec::new();
        compare::settings("", template, &mut settings);
        let seeds = settings.into_iter().filter(|(path, _)| {
            let last = path.rsplit('.').next().unwrap_or(path);
            last.to_ascii_lowercase().ends_with("seed")
        });
        found.extend(seeds.map(|(path, value)| Named::new(path, value)));
    }
    let seeds = values
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().ends_with("seed"));
    found.extend(seeds.map(|(name, value)| Named::new(name, value)));
    found
}

/// The members that name an image in the arguments of steps.
const IMAGES: [&str; 3] = ["ImageUri", "TrainingImage", "Image"];

fn collect_images(value: &Value, parameters: &[(String, String)], images: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let image = match value {
                    Value::String(text) => Some(text.clone()),
                    value => of_parameter(value, parameters),
                };
                match image {
                    Some(image) if IMAGES.contains(&name.as_str()) => images.push(image),
                    _ => collect_images(value, parameters, images),
                }
            }
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| collect_images(element, parameters, images)),
        _ => {}
    }
}

/// The value of `{"Get": "Parameters.X"}`.
pub(super) fn of_parameter(value: &Value, parameters: &[(String, String)]) -> Option<String> {
    let Ok(GetPath::Parameter(name)) = GetPath::parse(value["Get"].as_str()?) else {
        return None;
    };
    let (_, value) = parameters.iter().find(|(known, _)| known == name)?;
    Some(value.clone())
}

/// A parameter of the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Parameter {
    name: String,
    value: String,
    /// The definition's default; empty where it has none.
    default: String,
    /// Whether the value is another than the default.
    changed: bool,
}

/// The definition's graph as SVG, coloured by outcome; or a note of why it is missing.
fn graph(known: &Known, notes: &mut Vec<String>) -> Option<String> {
    match &known.definition {
        Ok(definition) => Some(render::svg_with_status(definition, |step| {
            let steps = &known.history.steps;
            let step = steps.iter().find(|known| known.name == step)?;
            Some(step.status.as_str())
        })),
        Err(error) => {
            notes.push(format!("The graph is missing: {error:#}"));
            None
        }
    }
}

/// The execution's parameters beside the definition's defaults; or a note of why they are missing.
fn parameters(known: &Known, notes: &mut Vec<String>) -> Vec<Parameter> {
    let default = |name: &str| {
        let definition = known.definition.as_ref().ok()?;
        Some(match definition.parameter(name)?.default_value()? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    let values = match &known.parameters {
        Ok(values) => values,
        Err(error) => {
            notes.push(format!("The parameters are missing: {error:#}"));
            return Vec::new();
        }
    };
    let parameter = |(name, value): &(String, String)| {
        let default = default(name);
        Parameter {
            changed: default.as_ref().is_some_and(|default| default != value),
            default: default.unwrap_or_default(),
            name: name.clone(),
            value: value.clone(),
        }
    };
    values.iter().map(parameter).collect()
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    value: String,
}

impl Named {
    fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Timeline {
    length: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    kind: String,
    status: Status,
    start: String,
    duration: String,
    /// Where the bar begins, in per cent of the timeline.
    left: String,
    /// How wide it is, likewise.
    width: String,
    remarks: Vec<String>,
}

/// When the execution began and ended, as far as is known; for an open one, the end is `now`.
fn limits(history: &History, now: i64) -> Option<(i64, i64)> {
    let steps = history.steps.iter();
    let begin = history
        .started_at
        .or(history.created_at)
        .into_iter()
        .chain(steps.clone().filter_map(|step| step.started_at))
        .min()?;
    let end = if history.is_final() {
        history
            .ended_at
            .into_iter()
            .chain(steps.filter_map(|step| step.ended_at))
            .max()
            .or(history.last_seen)
            .unwrap_or(begin)
    } else {
        now
    };
    Some((begin, end.max(begin)))
}

fn timeline(history: &History, now: i64) -> Timeline {
    let (begin, end) = limits(history, now).unwrap_or_default();
    let rows = history
        .steps
        .iter()
        .map(|step| row(step, begin, end))
        .collect();
    Timeline {
        length: span(begin, end),
        rows,
    }
}

fn row(step: &Step, begin: i64, end: i64) -> Row {
    let percent = |millis: i64| {
        let length = (end - begin).max(1);
        let tenths = i128::from(millis.clamp(0, length)) * 1000 / i128::from(length);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let (start, stop) = (step.started_at, step.ended_at);
    let mut remarks: Vec<String> = step.reason.iter().cloned().collect();
    if step.simulated {
        let why = step
            .simulated_reason
            .as_deref()
            .unwrap_or("no reason given");
        remarks.push(format!("simulated: {why}"));
    }
    remarks.extend(remarks_of(step));
    Row {
        name: step.name.clone(),
        kind: step.step_type.clone().unwrap_or_default(),
        status: Status::new(step.status.clone()),
        start: start.map(time_of_day).unwrap_or_default(),
        duration: start.map_or_else(String::new, |start| match stop {
            Some(stop) => span(start, stop),
            None => format!("{} so far", span(start, end)),
        }),
        left: percent(start.unwrap_or(begin) - begin),
        width: percent(start.map_or(0, |start| stop.unwrap_or(end) - start)),
        remarks,
    }
}

#[derive(Debug, Serialize)]
struct ScoreTable {
    title: String,
    rows: Vec<ScoreRow>,
}

#[derive(Debug, Serialize)]
struct ScoreRow {
    measure: String,
    model: String,
    baseline: String,
    windows: String,
    p: String,
    tone: &'static str,
}

/// Four significant digits, as the verdict writes figures.
fn short_number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    #[expect(clippy::cast_possible_truncation, reason = "an exponent of ten")]
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12);
    format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
}

fn scores(history: &History) -> Vec<ScoreTable> {
    let Some(score) = &history.score else {
        return Vec::new();
    };
    std::iter::once(&score.all_series)
        .chain(&score.predicted)
        .map(|compared| ScoreTable {
            title: match &compared.asset {
                Some(asset) => format!(
                    "{asset} alone, {}",
                    count(compared.observations, "held-out value")
                ),
                None => format!(
                    "All {} series, {}",
                    compared.series,
                    count(compared.observations, "held-out value")
                ),
            },
            rows: compared
                .measures
                .iter()
                .map(|measure| ScoreRow {
                    measure: measure.measure.clone(),
                    model: short_number(measure.model),
                    baseline: format!("{} ({})", short_number(measure.baseline), measure.method),
                    windows: format!("{} / {}", measure.better, measure.worse),
                    p: short_number(measure.p),
                    tone: if measure.model < measure.baseline {
                        "good"
                    } else {
                        "bad"
                    },
                })
                .collect(),
        })
        .collect()
}

#[derive(Debug, Serialize)]
struct TrainingPart {
    name: String,
    metrics: Vec<Named>,
    curve: Option<String>,
    curve_text: String,
}

fn training(training: &Training, curves: &[(String, charts::Curve)]) -> TrainingPart {
    let curve = curves
        .iter()
        .find(|(step, _)| *step == training.step_name)
        .map(|(_, curve)| curve);
    TrainingPart {
        name: training.step_name.clone(),
        metrics: training
            .metrics
            .iter()
            .filter_map(|metric| Some(Named::new(&metric.name, figure(&metric.value)?)))
            .collect(),
        curve: curve.and_then(charts::Curve::svg),
        curve_text: curve.map(charts::Curve::sentence).unwrap_or_default(),
    }
}

#[derive(Debug, Serialize)]
struct ForecastPart {
    text: String,
    chart: Option<String>,
}

fn forecasts(history: &History, tables: &[Option<charts::Fan>]) -> Vec<ForecastPart> {
    let tables = tables
        .iter()
        .map(Option::as_ref)
        .chain(std::iter::repeat(None));
    history
        .forecasts
        .iter()
        .zip(tables)
        .map(|(kept, table)| ForecastPart {
            text: format!(
                "{}, {} to {}, {} samples, made {} by {}. Table: {}",
                kept.assets.join(", "),
                kept.first_date,
                kept.last_date,
                kept.samples,
                kept.made_at,
                kept.source,
                kept.table
            ),
            chart: table.and_then(charts::Fan::svg),
        })
        .collect()
}

#[derive(Debug, Serialize)]
struct Share {
    name: String,
    value: String,
    width: String,
}

impl Share {
    fn of((name, share): (String, Option<String>)) -> Self {
        Self {
            name,
            value: share
                .as_ref()
                .map_or_else(String::new, |share| format!("{share} %")),
            width: share.unwrap_or_else(|| "0".to_owned()),
        }
    }
}

/// Features or classes in an order.
#[derive(Debug, Serialize)]
struct Ranking {
    title: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// How many features a ranking has at most.
const RANKED: usize = 10;

/// The features by total and by mean gain, with their splits, so that one that was split on once is not taken for the
/// most important; and the classes.
fn rankings(importance: &Value) -> Vec<Ranking> {
    let by = |list: &str, member: &str| {
        let mut items: Vec<&Value> = importance[list].as_array().into_iter().flatten().collect();
        let number = |item: &Value| item[member].as_f64().unwrap_or(0.0);
        items.retain(|item| number(item) > 0.0);
        items.sort_by(|a, b| number(b).total_cmp(&number(a)));
        items.truncate(RANKED);
        items
    };
    let ranking = |title, list: &str, member: &str, columns: &[(&str, &str)]| Ranking {
        title,
        columns: columns
            .iter()
            .map(|(_, words)| (*words).to_owned())
            .collect(),
        rows: by(list, member)
            .into_iter()
            .map(|item| {
                let cell = |name: &str| match &item[name] {
                    Value::Number(number) if number.is_f64() => {
                        short_number(number.as_f64().unwrap_or(f64::NAN))
                    }
                    value => figure(value).unwrap_or_default(),
                };
                columns.iter().map(|(name, _)| cell(name)).collect()
            })
            .collect(),
    };
    let feature = [
        ("column", "Feature"),
        ("class", "Class"),
        ("totalGain", "Total gain"),
        ("gain", "Mean gain of a split"),
        ("splits", "Splits"),
    ];
    let class = [
        ("class", "Class"),
        ("columns", "Features"),
        ("importance", "Mean importance"),
    ];
    [
        ranking("Features by total gain", "features", "totalGain", &feature),
        ranking(
            "Features by the mean gain of a split",
            "features",
            "gain",
            &feature,
        ),
        ranking(
            "Classes by the mean importance of their features",
            "classes",
            "importance",
            &class,
        ),
    ]
    .into_iter()
    .filter(|ranking| !ranking.rows.is_empty())
    .collect()
}

/// A list of objects as a table: its columns are the members of the first one.
fn table(value: &Value) -> (Vec<String>, Vec<Vec<String>>) {
    let rows: Vec<_> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect();
    let columns: Vec<String> = rows
        .first()
        .map(|row| row.keys().cloned().collect())
        .unwrap_or_default();
    let cells = rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|name| row.get(name).and_then(figure).unwrap_or_default())
                .collect()
        })
        .collect();
    (columns, cells)
}

#[derive(Debug, Serialize)]
struct Place {
    name: String,
    value: String,
    copy: bool,
}

fn places(history: &History) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |name: &str, value: &str| {
        places.push(Place {
            name: name.to_owned(),
            copy: value.starts_with("s3://") || value.starts_with("arn:"),
            value: value.to_owned(),
        });
    };
    if let Some(arn) = &history.execution_arn {
        add("Execution", arn);
    }
    match history.summary(OUTPUTS) {
        Value::String(uri) => add("Outputs", uri),
        Value::Object(uris) => {
            for (name, uri) in uris {
                add(name, uri.as_str().unwrap_or_default());
            }
        }
        _ => {}
    }
    let record = history.attributes();
    for (title, value) in [
        ("Model data", &record.model.model_data_url),
        ("Model image", &record.model.model_image),
        ("Model package", &record.package.model_package_arn),
        ("Endpoint", &record.endpoint.endpoint_arn),
    ] {
        if let Some(value) = value {
            add(title, value);
        }
    }
    for step in &history.steps {
        if let Some(arn) = &step.resource_arn {
            add(&format!("Step {}", step.name), arn);
        }
    }
    places
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    text: &'a str,
}

fn line(line: &LogLine) -> Line<'_> {
    Line {
        time: line.at.map(time_of_day).unwrap_or_default(),
        level: &line.level,
        text: &line.message,
    }
}

#[derive(Debug, Serialize)]
struct Reported {
    time: String,
    what: String,
    status: Status,
    reason: String,
}

fn reported(change: &Change) -> Reported {
    Reported {
        time: time_of_day(change.at),
        what: subject(change),
        status: Status::new(status_of(change)),
        reason: change.reason.clone().unwrap_or_default(),
    }
}

fn facts(history: &History, now: i64) -> Vec<Named> {
    let mut facts = Vec::new();
    if let Some(begin) = history.started_at.or(history.created_at)
        && let Some(text) = moment(begin)
    {
        facts.push(Named::new("Started", text));
    }
    if let Some(text) = history.ended_at.and_then(moment) {
        facts.push(Named::new("Ended", text));
    }
    if let Some((begin, end)) = limits(history, now) {
        let name = if history.is_final() {
            "Duration"
        } else {
            "Running for"
        };
        facts.push(Named::new(name, span(begin, end)));
    }
    let template = history.training_template();
    for (name, member) in [
        ("Training template", "Id"),
        ("Predicted asset", "predictedAsset"),
    ] {
        let text = template.and_then(|template| template.get(member)?.as_str());
        facts.extend(text.map(|text| Named::new(name, text)));
    }
    let package = history.attributes().package;
    for (name, value) in [
        ("Model package", package.model_package_version),
        ("Approval", package.approval_status),
    ] {
        facts.extend(value.map(|value| Named::new(name, value)));
    }
    facts
}

fn reasons(history: &History) -> Vec<Named> {
    let start = history
        .start_failure
        .iter()
        .map(|failure| Named::new("SageMaker refused to start it:", &failure.reason));
    let own = history
        .failure_reason
        .iter()
        .map(|reason| Named::new("Why it failed:", reason));
    let container = history.report.iter().filter_map(|report| {
        Some(Named::new(
            "The container's own word:",
            report.reason.as_ref()?,
        ))
    });
    start.chain(own).chain(container).collect()
}

/// The whole page. `now` is in epoch milliseconds: an open execution's steps last until then.
pub(crate) fn page(
    known: &Known,
    more: &More,
    frame: &Frame,
    now: i64,
) -> Result<String, tera::Error> {
    let history = &known.history;
    let mut notes = more.notes.clone();
    let graph = graph(known, &mut notes);
    let parameters = parameters(known, &mut notes);
    notes.extend(
        history
            .report
            .iter()
            .flat_map(|report| report.notes.clone()),
    );
    let mut levels: Vec<&str> = history.log.iter().map(|line| line.level.as_str()).collect();
    levels.sort_unstable();
    levels.dedup();
    let log: Vec<Vec<Line<'_>>> = history
        .log
        .chunks(BLOCK)
        .map(|block| block.iter().map(line).collect())
        .collect();
    let cost = match (&known.definition, &known.parameters) {
        (Ok(definition), Ok(parameters)) => cost(&history.steps, definition, parameters),
        _ => Ok(None),
    };
    let cost = cost.unwrap_or_else(|error| {
        notes.push(format!("The estimate of costs is missing: {error:#}"));
        None
    });

    let mut context = Context::new();
    context.insert("title", &history.id);
    context.insert("pipeline", &pipeline(history));
    context.insert(
        "status",
        &Status::new(
            history
                .status
                .as_deref()
                .unwrap_or(if history.start_failure.is_some() {
                    "Failed to start"
                } else {
                    "Not started yet"
                }),
        ),
    );
    context.insert("facts", &facts(history, now));
    context.insert("reasons", &reasons(history));
    context.insert("notes", &notes);
    context.insert("timeline", &timeline(history, now));
    context.insert("graph", &graph);
    context.insert("verdict", &history.verdict);
    context.insert("scores", &scores(history));
    let trainings: Vec<_> = history
        .trainings
        .iter()
        .map(|one| training(one, &more.curves))
        .filter(|one| one.curve.is_some() || !one.metrics.is_empty())
        .collect();
    context.insert("trainings", &trainings);
    context.insert("forecasts", &forecasts(history, &more.forecasts));
    insert_features(&mut context, history, more);
    context.insert("parameters", &parameters);
    context.insert("parameters_note", &parameters_note(&parameters));
    let differences = more.before.as_ref();
    let differences = differences.map(|before| differences_of(before, known));
    context.insert("differences", &differences);
    context.insert("cost", &cost);
    context.insert("made_with", &made_with(known));
    context.insert("places", &places(history));
    context.insert("levels", &levels);
    context.insert("log", &log);
    context.insert("log_lines", &history.log.len());
    let changes: Vec<_> = history.changes.iter().map(reported).collect();
    context.insert("changes", &changes);
    context.insert("changes_title", &count(changes.len(), "change"));
    html::page(html::EXECUTION, context, frame, now)
}

/// What is told of the features: figures, warnings, rankings, and the days of each asset.
fn insert_features(context: &mut Context, history: &History, more: &More) {
    let figures: Vec<_> = figures_but_features(history)
        .into_iter()
        // These have a place of their own.
        .filter(|(name, _)| name != WARNINGS)
        .map(|(name, value)| Named::new(name, value))
        .collect();
    context.insert("figures", &figures);
    let warnings = history.summary(WARNINGS).as_array().into_iter().flatten();
    let warnings: Vec<String> = warnings.filter_map(figure).collect();
    context.insert("warnings", &warnings);
    let top: Vec<_> = top_features(history).into_iter().map(Share::of).collect();
    context.insert("top_features", &top);
    context.insert("rankings", &rankings(&more.importance));
    let (asset_columns, asset_days) = table(&more.features["assetDays"]);
    context.insert("asset_columns", &asset_columns);
    context.insert("asset_days", &asset_days);
}

/// How many of the parameters are not at their defaults, in words.
fn parameters_note(parameters: &[Parameter]) -> String {
    let changed = parameters
        .iter()
        .filter(|parameter| parameter.changed)
        .count();
    let parameters = count(parameters.len(), "parameter");
    match changed {
        0 => format!("{parameters}, each at the definition's default if it has one."),
        1 => format!("{parameters}, of which one, in bold, is not at the definition's default."),
        _ => format!(
            "{parameters}, of which {changed}, in bold, are not at the definition's default."
        ),
    }
}

/// The pipeline's name, of its ARN.
fn pipeline(history: &History) -> String {
    let arn = history.execution_arn.as_deref().unwrap_or_default();
    arn.split_once(":pipeline/")
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::{HOSTILE, assert_harmless};
    use pipewright::definition::Definition;
    use pipewright::record::history::{Metric, StartFailure};
    use serde_json::json;

    const NOW: i64 = 1_714_979_000_000;

    fn example() -> History {
        super::super::super::render::tests::example()
    }

    fn shown(history: History, more: &More) -> String {
        let known = Known::alone(history);
        page(&known, more, &Frame::File, NOW).unwrap()
    }

    /// No text of a record, such as a step's name, a reason or a line of a log, becomes markup or script of the page.
    #[test]
    fn nothing_that_is_stored_becomes_markup() {
        let mut history = example();
        history.id = HOSTILE.to_owned();
        history.failure_reason = Some(HOSTILE.to_owned());
        history.start_failure = Some(StartFailure {
            reason: HOSTILE.to_owned(),
            at: None,
        });
        history.steps[0].name = HOSTILE.to_owned();
        history.steps[0].status = HOSTILE.to_owned();
        history.changes[0].step_name = Some(HOSTILE.to_owned());
        history.execution_arn = Some(format!(
            "arn:aws:sagemaker:r:1:pipeline/{HOSTILE}/execution/x"
        ));
        history.verdict.push(HOSTILE.to_owned());
        history.log.push(LogLine {
            entry: String::new(),
            at: Some(NOW),
            level: HOSTILE.to_owned(),
            message: HOSTILE.to_owned(),
        });
        history.trainings.push(Training {
            step_name: HOSTILE.to_owned(),
            job_arn: HOSTILE.to_owned(),
            status: "Completed".to_owned(),
            reason: None,
            started_at: None,
            ended_at: None,
            metrics: vec![Metric {
                name: HOSTILE.to_owned(),
                value: json!(HOSTILE),
                at: None,
            }],
        });
        let report = history.report.as_mut().unwrap();
        report.notes.push(HOSTILE.to_owned());
        report.summary = json!({
            "rows": HOSTILE, "outputs": {HOSTILE: HOSTILE}, "topFeatures": [HOSTILE, "\" onload=x (5 %)"],
            "warnings": [HOSTILE], HOSTILE: HOSTILE,
        });
        let more = More {
            notes: vec![HOSTILE.to_owned()],
            features: json!({"assetDays": [{HOSTILE: HOSTILE}]}),
            importance: json!({
                "features": [{"column": HOSTILE, "class": HOSTILE, "totalGain": 1.5, "gain": 1.5, "splits": HOSTILE}],
            }),
            ..More::default()
        };
        let mut known = Known::alone(history);
        known.parameters = Ok(vec![(HOSTILE.to_owned(), HOSTILE.to_owned())]);
        let file = page(&known, &more, &Frame::File, NOW).unwrap();
        assert_harmless(&file, 1);
        let served = Frame::Web {
            here: "",
            events: Some(HOSTILE.to_owned()),
        };
        assert_harmless(&page(&known, &more, &served, NOW).unwrap(), 2);
    }

    /// A page of an execution lets the browser load nothing, and run no script but its own.
    #[test]
    fn the_page_loads_nothing_and_runs_its_own_script_alone() {
        let page = shown(example(), &More::default());
        assert!(page.contains("default-src 'none'"));
        assert_eq!(page.matches("'sha256-").count(), 1);
        assert_eq!(page.matches("<script").count(), 1);
        for loads in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(loads), "{loads}");
        }
    }

    #[test]
    fn the_page_says_what_the_record_says() {
        let page = shown(example(), &More::default());
        for told in [
            "<title>run-1: Failed</title>",
            "<strong>Why it failed:</strong>",
            "simulated: no runner",
            ">1 min 05 s<",
            "s3://models/execution/run-1/",
            "<dt>limiting asset</dt><dd>XOM</dd>",
        ] {
            assert!(page.contains(told), "{told} is not in {page}");
        }
        // Of 121 s, the first step takes those from 1 to 66.
        assert!(page.contains("left:0.8%;width:53.7%"), "{page}");
    }

    #[test]
    fn what_differs_from_the_last_success_and_what_it_was_made_with_is_told() {
        let known = |id: &str, epochs: &str, image: &str| {
            let mut history = example();
            history.id = id.to_owned();
            let record = history.record.as_mut().unwrap();
            record.insert("parameters".to_owned(), json!({"deepARMeta": {"seed": 7}}));
            let definition = format!(
                r#"{{"Version": "2020-12-01", "Parameters": [{{"Name": "Own", "Type": "String"}}], "Steps": [
                    {{"Name": "Train", "Type": "Training", "Arguments": {{"AlgorithmSpecification":
                        {{"TrainingImage": "{image}"}}}}}},
                    {{"Name": "Process", "Type": "Processing", "Arguments": {{"AppSpecification":
                        {{"ImageUri": {{"Get": "Parameters.Own"}}}}}}}}]}}"#
            );
            Known {
                history,
                definition: Ok(Definition::parse(&definition).unwrap()),
                parameters: Ok([
                    ("ExecutionId", id),
                    ("Epochs", epochs),
                    ("Own", "own@sha256:0"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()),
            }
        };
        let more = More {
            before: Some(known("run-0", "100", "deepar:1")),
            ..More::default()
        };
        let page = page(&known("run-1", "400", "deepar:2"), &more, &Frame::File, NOW).unwrap();
        for told in [
            "<h2 id=\"h-differences\">What differs from run-0, the last success before</h2>",
            "<th scope=\"row\">Epochs<small>parameters</small></th><td>100</td><td>400</td>",
            "deepar:1",
            "<th scope=\"row\">Image of Train</th><td>deepar:2</td>",
            "<th scope=\"row\">Image of Process</th><td>own@sha256:0</td>",
            "<th scope=\"row\">deepARMeta.seed</th><td>7</td>",
        ] {
            assert!(page.contains(told), "{told} is not in {page}");
        }
        assert!(
            !page.contains("ExecutionId<small>"),
            "its own id is no difference"
        );
    }

    #[test]
    fn an_execution_that_is_not_there_yet_has_a_page() {
        let history = pipewright::record::history::history("run-1", &[]);
        let page = shown(history, &More::default());
        assert!(page.contains("Not started yet"));
    }

    #[test]
    fn features_are_ranked_by_total_and_by_mean_gain() {
        let importance = json!({
            "features": [
                {"column": "once", "class": "a", "totalGain": 5.0, "gain": 5.0, "splits": 1},
                {"column": "often", "class": "a", "totalGain": 9.0, "gain": 0.09, "splits": 100},
                {"column": "never", "class": "b", "totalGain": 0.0, "gain": 0.0, "splits": 0},
            ],
            "classes": [{"class": "a", "columns": 2, "importance": 0.5}],
        });
        let found = rankings(&importance);
        let first: Vec<_> = found.iter().map(|one| one.rows[0].join(" ")).collect();
        assert_eq!(
            first,
            [
                "often a 9.000 0.09000 100",
                "once a 5.000 5.000 1",
                "a 2 0.5000"
            ]
        );
        assert_eq!(
            found[0].rows.len(),
            2,
            "what no tree was split on is no news"
        );
        assert!(rankings(&Value::Null).is_empty());
    }

    #[test]
    fn figures_have_four_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.025_549_814, "0.02555"),
            (3.602_57, "3.603"),
            (123_456.7, "123457"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short_number(value), text);
        }
    }
}
