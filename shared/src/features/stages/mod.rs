//! The stages that make columns, one file each: what its columns are, what it
//! refuses, and how they are made. [`describe`](super::describe()),
//! [`check`](super::check()) and [`run`](super::run()) go through them in their order.

mod arima;
mod autoencoder;
mod indicators;
mod low_pass;

use time::Date;

use super::alignment::Panel;
use super::columns::{Column, ColumnDescription};
use super::error::FeatureError;
use super::input::CatalogueAsset;
use super::stage::{Log, Stage};
use crate::training_template::{FeatureSettings, TrainingTemplate};
pub(super) use autoencoder::complete_rows;
pub use autoencoder::{AutoencoderFault, AutoencoderReport};
pub(super) use low_pass::each_of;

/// The stages that make columns of one asset's prices, each value from the asset's
/// own days.
pub(super) const OF_PRICES: [&dyn ColumnStage; 3] =
    [&indicators::Indicators, &arima::Arima, &low_pass::LowPass];

/// The stages that make columns of other columns, on the rows.
pub(super) const OF_COLUMNS: [&dyn ColumnStage; 1] = [&autoencoder::Autoencoder];

/// A stage that makes columns. Settings are those of a template of which it is part
/// only if it is on.
pub(super) trait ColumnStage {
    /// Which it is.
    fn stage(&self) -> Stage;

    /// The setting that switches it on, and its value.
    fn switch<'a>(&self, features: &'a mut FeatureSettings) -> (&'static str, &'a mut bool);

    /// Its columns, by asset in the byte order of tickers. `assets` are those that the
    /// template needs, in that order; without them a name in angle brackets stands for
    /// those that only a catalogue knows. `before` are the columns of the stages before.
    fn describe(
        &self,
        template: &TrainingTemplate,
        assets: Option<&[CatalogueAsset]>,
        before: &[ColumnDescription],
    ) -> Vec<ColumnDescription>;

    /// The rows at the start that a setting leaves without a value, each with that
    /// setting, such as `rsi.window 14`.
    fn warm_ups(&self, _template: &TrainingTemplate) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// What it refuses to make of these prices; `columns` are those of all stages.
    fn faults(
        &self,
        _template: &TrainingTemplate,
        _panel: &Panel,
        _columns: &[ColumnDescription],
    ) -> Vec<FeatureError> {
        Vec::new()
    }

    /// Makes its columns, in the order in which it describes them.
    fn make(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        threads: usize,
        log: &mut Log<'_>,
    ) -> Result<Vec<Column>, FeatureError>;
}

/// Those of `stages` that a template switches on.
pub(super) fn on(
    template: &TrainingTemplate,
    stages: impl IntoIterator<Item = &'static dyn ColumnStage>,
) -> impl Iterator<Item = &'static dyn ColumnStage> {
    let mut features = template.features.clone();
    stages
        .into_iter()
        .filter(move |stage| *stage.switch(&mut features).1)
}

/// All of them, in the order of their columns.
pub(super) fn all() -> impl Iterator<Item = &'static dyn ColumnStage> {
    OF_PRICES.into_iter().chain(OF_COLUMNS)
}

/// Rows that a stage may learn from: its share of all rows, but none from
/// `endTraining` on.
pub(super) fn training_rows(template: &TrainingTemplate, dates: &[Date], share: f64) -> usize {
    let end = template.deepar.end_training;
    share_of(dates.len(), share).min(dates.partition_point(|date| *date < end))
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
