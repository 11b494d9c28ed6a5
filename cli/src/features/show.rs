//! What `features` prints: summaries, faults and descriptions, for people and
//! for programs.

use std::path::Path;
use std::time::Duration;

use pipewright::features::{
    AssetDays, Causality, Checked, ColumnDescription, FeatureSet, Summary, rows_sentence,
};
use pipewright::wording;
use serde_json::{Value, json};

use super::check::Found;

/// Lists in text name no more than this many; the JSON has all.
const LISTED: usize = 10;

/// The width that lists of names are wrapped at.
const WIDTH: usize = 96;

/// A file of a run's outputs.
pub(super) struct Written {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) bytes: u64,
}

/// Names and texts, the texts in one column.
fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default();
    rows.iter()
        .map(|(name, text)| format!("  {name:width$}  {text}\n"))
        .collect()
}

fn windows_text(observed: &[usize]) -> String {
    let prices: Vec<String> = observed.iter().map(ToString::to_string).collect();
    format!("{}, with {} prices", observed.len(), prices.join(", "))
}

/// What a run made and where it lies. `warnings` are those of the run and of its
/// surroundings.
pub(super) fn run_text(
    set: &FeatureSet,
    warnings: &[String],
    files: &[Written],
    out: &Path,
    span: Duration,
) -> String {
    let summary: &Summary = set.summary();
    let limiting = summary
        .limiting_asset
        .as_deref()
        .map(|ticker| (ticker, summary.limiting_asset_rows));
    let mut rows = vec![
        (
            "rows",
            format!(
                "{}, {} to {}",
                summary.rows, summary.first_date, summary.last_date
            ),
        ),
        ("columns", summary.columns.to_string()),
        (
            "assets",
            format!(
                "{}; {}",
                summary.assets,
                rows_sentence(summary.alignment, limiting)
            ),
        ),
    ];
    if let (Some(series), Some(values), Some(records)) = (
        summary.train_series,
        summary.train_values,
        summary.test_records,
    ) {
        rows.push((
            "DeepAR",
            format!("{series} training series with {values} values, {records} test records"),
        ));
        rows.push(("test windows", windows_text(&summary.observed_days)));
    }
    if let Some(report) = &summary.autoencoder {
        rows.push((
            "autoencoder",
            format!(
                "{} units; mean squared error {:.3e} on {} training rows, {:.3e} on {} later ones; {:.1} % of later cells out of range",
                report.inputs,
                report.training_error,
                report.training_rows,
                report.later_error,
                report.later_rows,
                100.0 * report.out_of_range
            ),
        ));
    }
    if !summary.top_features.is_empty() {
        let top = summary.top_features.iter().map(ToString::to_string);
        rows.push((
            "top features",
            format!(
                "{}: association on the same day, not forecasting value",
                top.collect::<Vec<_>>().join(", ")
            ),
        ));
    }
    let mut text = format!(
        "Features of {} made in {}\n{}",
        set.predicted_asset(),
        wording::span(span),
        table(&rows)
    );
    text += &days_text(&summary.asset_days);
    let left_out = summary.left_out.iter();
    let left_out = left_out.map(|left| format!("{}: {}", left.column, left.reason));
    text += &list("Left out of DeepAR's files", &left_out.collect::<Vec<_>>());
    text += &list("Warnings", warnings);
    text += &format!("Files in {}\n", out.display());
    let names = files.iter().map(|file| file.name.len()).max().unwrap_or(0);
    for file in files {
        text += &format!(
            "  {:names$}  {:>10}  {}\n",
            file.name,
            wording::size(file.bytes),
            file.what
        );
    }
    text
}

/// What became of the days of each asset that has others than the rows.
fn days_text(days: &[AssetDays]) -> String {
    let others = days.iter().filter(|one| !one.is_whole());
    let others: Vec<String> = others
        .map(|one| format!("{}: {}", one.asset, one.sentence()))
        .collect();
    list("Days of assets", &others)
}

fn list(heading: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut text = format!("{heading}\n");
    for item in items.iter().take(LISTED) {
        text += &format!("  {item}\n");
    }
    if items.len() > LISTED {
        text += &format!("  and {} more\n", items.len() - LISTED);
    }
    text
}

/// The same for programs.
pub(super) fn run_json(
    set: &FeatureSet,
    warnings: &[String],
    files: &[Written],
    out: &Path,
) -> serde_json::Result<Value> {
    let files = files
        .iter()
        .map(|file| json!({ "name": file.name, "what": file.what, "bytes": file.bytes }));
    Ok(json!({
        "predictedAsset": set.predicted_asset(),
        "out": out.display().to_string(),
        "files": files.collect::<Vec<_>>(),
        "warnings": warnings,
        "summary": serde_json::to_value(set.summary())?,
    }))
}

/// That a template and data fit.
pub(super) fn checked_text(checked: &Checked, template: &str) -> String {
    let limiting = checked.limiting.as_ref();
    let limiting = limiting.map(|limit| (limit.ticker.as_str(), limit.rows));
    format!(
        "{template}: no fault\n{}{}",
        table(&[
            (
                "rows",
                format!(
                    "{}, {} to {}; {}",
                    checked.rows,
                    checked.first_date,
                    checked.last_date,
                    rows_sentence(checked.alignment, limiting)
                )
            ),
            ("columns", checked.columns.len().to_string()),
            ("test windows", windows_text(&checked.observed_days)),
        ]),
        days_text(&checked.asset_days)
    )
}

/// What a check found, for programs.
pub(super) fn checked_json(all: &Found) -> Value {
    let Found {
        faults,
        warnings,
        checked,
        files,
    } = all;
    let mut found = json!({ "faults": faults, "warnings": warnings, "files": files });
    if let Some(checked) = checked {
        found["alignment"] = checked.alignment.name().into();
        found["rows"] = checked.rows.into();
        found["firstDate"] = checked.first_date.to_string().into();
        found["lastDate"] = checked.last_date.to_string().into();
        let limiting = checked.limiting.as_ref();
        found["limitingAsset"] = limiting.map(|limit| limit.ticker.clone()).into();
        found["limitingAssetRows"] = limiting.map_or(0, |limit| limit.rows).into();
        found["assetDays"] = checked
            .asset_days
            .iter()
            .map(|one| serde_json::to_value(one).unwrap_or_default())
            .collect();
        found["columns"] = checked.columns.len().into();
        found["observedDays"] = checked.observed_days.clone().into();
    }
    found
}

/// Columns by what they have in common, in the order in which each first comes.
pub(super) fn described_text(columns: &[ColumnDescription]) -> String {
    let mut groups: Vec<(&ColumnDescription, Vec<&str>)> = Vec::new();
    for column in columns {
        let alike = groups.iter_mut().find(|(first, _)| {
            first.formula == column.formula
                && first.stage == column.stage
                && first.causality == column.causality
        });
        match alike {
            Some((_, names)) => names.push(&column.name),
            None => groups.push((column, vec![&column.name])),
        }
    }
    let mut text = String::new();
    for (first, names) in groups {
        let causality = match &first.causality {
            Causality::Causal => "causal".to_owned(),
            Causality::Fitted {
                learns_from,
                before,
            } => format!("fitted: learns from {learns_from}, none from {before} on"),
            Causality::Global => "looks ahead: depends on all prices, later ones too".to_owned(),
        };
        let count = match names.len() {
            1 => "1 column".to_owned(),
            many => format!("{many} columns"),
        };
        text += &format!("{} (stage {}), {count}\n", first.title, first.stage);
        text += &table(&[
            ("formula", first.formula.clone()),
            (
                "warm-up",
                match first.warm_up_rows {
                    1 => "1 row".to_owned(),
                    rows => format!("{rows} rows"),
                },
            ),
            ("causality", causality),
        ]);
        text += &wrapped(&names);
        text.push('\n');
    }
    text.pop();
    text
}

/// Names with commas, in lines of at most [`WIDTH`] characters.
fn wrapped(names: &[&str]) -> String {
    const INDENT: &str = "    ";
    let mut text = String::new();
    let mut line = String::new();
    for (i, name) in names.iter().enumerate() {
        let comma = if i + 1 < names.len() { "," } else { "" };
        let word = format!("{name}{comma}");
        if !line.is_empty() && INDENT.len() + line.len() + 1 + word.len() > WIDTH {
            text += &format!("{INDENT}{line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    text + &format!("{INDENT}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_wrapped_between_commas() {
        let names: Vec<String> = (0..40).map(|i| format!("NAME_{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = wrapped(&names);
        assert!(text.lines().count() > 3);
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            names.join(", ")
        );
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let items: Vec<String> = (0..12).map(|i| i.to_string()).collect();
        assert!(list("Warnings", &items).ends_with("  9\n  and 2 more\n"));
        assert_eq!(list("Warnings", &[]), "");
    }
}
