//! How many rows are needed, and which of them a stage may learn from.

use time::Date;

use super::alignment::Panel;
use super::error::{FeatureError, TooFewRows};
use super::low_pass;
use super::stage::{Stage, Stages};
use crate::training_template::{BaseAssets, FftMode, TrainingTemplate};

/// The least number of common rows, whatever the settings.
const LEAST_ROWS: usize = 60;

/// The least number of common rows, and why.
pub(super) fn rows_needed(template: &TrainingTemplate, stages: Stages) -> (usize, String) {
    let features = &template.features;
    let mut warm_up = (0, "no warm-up".to_owned());
    let mut at_least = |rows: usize, text: &dyn Fn() -> String| {
        if rows > warm_up.0 {
            warm_up = (rows, text());
        }
    };
    let ta = &features.indicators;
    if ta.enabled && !ta.assets.is_empty() {
        for indicator in &ta.chosen {
            let rows = indicator.longest_warm_up();
            at_least(rows, &|| {
                format!("{rows} rows of warm-up for {}", indicator.windows())
            });
        }
    }
    let fft = &features.fft;
    if fft.enabled && !fft.asset_classes.is_empty() {
        for bins in &fft.steps {
            match fft.mode {
                FftMode::Global => {}
                FftMode::Expanding(_) => {
                    let rows = low_pass::first_complete(*bins);
                    at_least(rows, &|| {
                        format!("{rows} rows of warm-up for num_steps {bins}")
                    });
                }
            }
        }
    }
    let deepar = &template.deepar;
    let held_out = if stages.contains(Stage::DeepAr) {
        deepar.prediction_length.saturating_mul(deepar.test_windows)
    } else {
        0
    };
    let needed = warm_up.0.saturating_add(held_out);
    if needed < LEAST_ROWS {
        (LEAST_ROWS, "the least that is accepted".to_owned())
    } else if held_out == 0 {
        (needed, warm_up.1)
    } else {
        let reason = format!(
            "{} and {} test windows of {}",
            warm_up.1, deepar.test_windows, deepar.prediction_length
        );
        (needed, reason)
    }
}

pub(super) fn too_few_rows(
    template: &TrainingTemplate,
    stages: Stages,
    panel: Panel,
) -> FeatureError {
    let (needed, reason) = rows_needed(template, stages);
    FeatureError::TooFewRows(Box::new(TooFewRows {
        alignment: template.features.alignment,
        rows: panel.kept(&template.predicted_asset),
        needed,
        reason,
        common: panel
            .dates
            .first()
            .copied()
            .zip(panel.dates.last().copied()),
        limiting: panel.limiting.map(|limit| (limit.ticker, limit.rows)),
        predicted: template.predicted_asset.clone(),
        joined: joined(template, panel.ranges.iter().map(|(ticker, ..)| ticker)),
        ranges: panel.ranges,
    }))
}

/// Those of the assets that no list of the template names.
fn joined<'a>(
    template: &TrainingTemplate,
    assets: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let features = &template.features;
    if features.base_assets != BaseAssets::All {
        return Vec::new();
    }
    let named = |ticker: &String| {
        *ticker == template.predicted_asset
            || features.indicators.assets.contains(ticker)
            || features.arima.assets.contains(ticker)
    };
    assets.filter(|ticker| !named(ticker)).cloned().collect()
}

/// Rows that a stage may learn from: its share of all rows, but none from
/// `endTraining` on.
pub(super) fn training_rows(template: &TrainingTemplate, dates: &[Date], share: f64) -> usize {
    let end = template.deepar.end_training;
    share_of(dates.len(), share).min(dates.partition_point(|date| *date < end))
}

/// Rows that the autoencoder may learn from, as far as they are complete.
pub(super) fn autoencoder_rows(template: &TrainingTemplate, dates: &[Date]) -> usize {
    (share_of(dates.len(), 0.7) + 1).min(training_rows(template, dates, 1.0))
}

/// `floor(share * rows)`, safe from a product just below a whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a row count lies within it"
)]
pub(super) fn share_of(rows: usize, share: f64) -> usize {
    (share * rows as f64 + 1e-9).floor() as usize
}
