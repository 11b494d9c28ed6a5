//! What was made, in figures.

use std::fmt;

use serde::{Serialize, Serializer};
use time::Date;

use super::alignment::AssetDays;
use super::baselines::BaselineSummary;
use super::deepar::{self, LeftOut};
use super::stages::AutoencoderReport;
use crate::training_template::Alignment;

/// How many features a summary names.
pub const TOP_FEATURES: usize = 5;

/// A feature and its importance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopFeature {
    /// The column, or `<ticker>_LAG_<days>` for a lag of the target.
    pub column: String,
    /// Its importance, a share of 1.
    pub importance: f64,
}

/// As a person reads it: `JPM_LAG_1 (96.4 %)`.
impl fmt::Display for TopFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.1} %)", self.column, 100.0 * self.importance)
    }
}

/// What was made, for a person and for the execution's record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Assets joined.
    pub assets: usize,
    /// Which days are rows; absent from the file under `common`.
    #[serde(serialize_with = "as_name", skip_serializing_if = "is_common")]
    pub alignment: Alignment,
    /// Rows of `features.csv`.
    pub rows: usize,
    /// Columns of `features.csv` beside the date.
    pub columns: usize,
    /// Columns offered to DeepAR: `train_series` and those left out. This and
    /// the next three are absent when DeepAR's files were not made.
    pub series: Option<usize>,
    /// Lines of the training file.
    pub train_series: Option<usize>,
    /// Values in the training file, missing ones not counted.
    pub train_values: Option<usize>,
    /// Lines of the test file: `train_series` for each test window.
    pub test_records: Option<usize>,
    /// The first row's date.
    #[serde(serialize_with = "as_text")]
    pub first_date: Date,
    /// The last row's date.
    #[serde(serialize_with = "as_text")]
    pub last_date: Date,
    /// The asset without which most rows would be gained; absent when all
    /// assets have the same dates, and under other alignments than `common`.
    pub limiting_asset: Option<String>,
    /// The rows that leaving it out would gain.
    pub limiting_asset_rows: usize,
    /// What became of each asset's days; empty, and absent from the file, where
    /// under `common` all assets have the same days.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asset_days: Vec<AssetDays>,
    /// For each test window, the days on which the predicted asset has a price.
    pub observed_days: Vec<usize>,
    /// The features that go most with the predicted asset's price, the most
    /// important first, at most [`TOP_FEATURES`]; empty when they were not ranked.
    pub top_features: Vec<TopFeature>,
    /// How well the autoencoder reproduces its inputs; absent when it is off.
    pub autoencoder: Option<AutoencoderReport>,
    /// How good naive forecasts of the test windows are; absent when DeepAR's
    /// files were not made.
    pub baselines: Option<BaselineSummary>,
    /// What was doubtful.
    pub warnings: Vec<String>,
    /// Columns that are in neither DeepAR file.
    pub left_out: Vec<LeftOut>,
}

fn as_name<S: Serializer>(alignment: &Alignment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(alignment.name())
}

fn is_common(alignment: &Alignment) -> bool {
    *alignment == Alignment::Common
}

/// A date as `YYYY-MM-DD`.
pub(super) fn as_text<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&deepar::date_text(*date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_top_feature_reads_as_its_column_and_its_share() {
        let feature = TopFeature {
            column: "A_LAG_1".to_owned(),
            importance: 0.9642,
        };
        assert_eq!(feature.to_string(), "A_LAG_1 (96.4 %)");
    }
}
