//! Feature engineering: from closing prices to features and DeepAR's files.
//!
//! [`assets_needed`] tells which assets a training template needs,
//! [`read_prices`] reads each one's file, and [`run`] makes the features. The
//! [`FeatureSet`] it returns writes the files. Nothing here does I/O but with
//! the writer passed in, and the same input gives the same bytes for any number
//! of threads.
//!
//! # Input
//! A price file is CSV with the columns `Date` (YYYY-MM-DD) and `Close`, found
//! by their headings in any case; other columns are ignored and named in one
//! warning a file. Exactly two columns with other headings are taken in order,
//! with a warning. A row without a price is dropped and counted; rows out of
//! order are sorted, and equal rows of one date taken once, with a warning. A
//! date with two prices, a time of day, a year before 1900 or after 2200, a price that is not finite or beyond
//! 1e15, and a row of another length are errors that name file, line and asset.
//! Prices of 0 and below are prices.
//!
//! The rows are the dates that all assets have, unless `feMeta.alignment` asks for
//! those of the predicted asset or of any; then the stages of one asset work on its
//! own days ([`Alignment`](crate::training_template::Alignment)). There must be 60
//! with a price of the predicted asset, and as many as
//! the longest warm-up and all test windows take; else the error gives each
//! asset's range, the range of the rows, and under `common` the asset that limits it. A share of n
//! rows is `floor(share n + 1e-9)` throughout.
//!
//! # Columns
//! Prices, then indicators, ARIMA and low-pass columns, each by asset in the
//! byte order of tickers (low-pass columns in the order of `num_steps` within
//! an asset), then the autoencoder's. A column knows the asset it is made from;
//! that is never read back from its name, and a name that arises twice is an
//! error. Numbers are written in their shortest form that reads back as they
//! are, a missing value as an empty cell (`null` in DeepAR's files).
//!
//! # Look-ahead
//! A column that is not fitted depends, at each row, on prices up to that row
//! only; the one exception is the low-pass of mode `global`, which says so. A
//! fitted stage learns from its training rows, which always end before
//! `endTraining`; after them its columns depend on those rows and on prices up
//! to each row.

mod alignment;
pub mod arima;
pub mod autoencoder;
mod baselines;
mod catalogue;
mod check;
mod columns;
mod deepar;
mod describe;
mod error;
mod feature_set;
pub mod importance;
mod input;
mod likelihood;
pub mod low_pass;
mod outputs;
#[cfg(feature = "plots")]
pub mod plots;
mod prepare;
mod proposal;
mod ranking;
mod run;
mod spacing;
mod stage;
mod stages;
mod summary;

pub use alignment::{AssetDays, rows_sentence};
pub use baselines::{
    AssetScored, BaselineScore, BaselineSummary, Baselines, FigureSummary, ScoreSummary, Scored,
    WindowScored,
};
pub use catalogue::{CatalogueError, CatalogueFault, ListedAsset, UNCLASSIFIED, read_catalogue};
pub use check::{Checked, check};
pub use columns::{Causality, Column, ColumnDescription, ColumnKind};
pub use deepar::{LeftOut, Unlearnable};
pub use describe::describe;
pub use error::{
    FeatureError, LastWindow, PriceFault, PriceFileError, PriceFileErrors, TooFewRows,
    UnsuitedValue,
};
pub use feature_set::{FeatureSet, SERIES_PRICES};
pub use input::{
    CatalogueAsset, FAULTS_LISTED, Limit, PriceSeries, assets_and_faults, assets_needed,
    read_price_files, read_prices, settings_naming, unknown_names,
};
pub use outputs::{Destination, Output};
pub use proposal::{Proposal, ProposalError, propose};
pub use ranking::{ClassImportance, FeatureImportance, Importance};
pub use run::{run, run_with};
pub use spacing::{Spacing, frequency};
pub use stage::{Options, Progress, Stage, Stages};
pub use stages::{AutoencoderFault, AutoencoderReport};
pub use summary::{Summary, TOP_FEATURES, TopFeature};
