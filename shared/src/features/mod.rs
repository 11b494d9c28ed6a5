//! Feature engineering: from closing prices to features and DeepAR's files.
//!
//! [`assets_needed`] tells which assets a training template needs,
//! [`read_prices`] reads each one's file, and [`run`] makes the features. The
//! [`FeatureSet`] it returns writes the files. Nothing here does I/O but with
//! the writer passed in, and the same input gives the same bytes for any number
//! of threads.
//!
//! # Look-ahead
//! A column that is not fitted depends, at each row, on prices up to that row
//! only; the one exception is the low-pass of mode `global`, which says so. A
//! fitted stage learns from its training rows, which always end before
//! `endTraining`; after them its columns depend on those rows and on prices up
//! to each row.

pub mod arima;
pub mod autoencoder;
mod columns;
mod deepar;
mod encoding;
mod error;
mod feature_set;
pub mod importance;
pub mod indicators;
mod input;
pub mod low_pass;
mod parallel;
#[cfg(feature = "plots")]
pub mod plots;
mod ranking;
mod rows;
mod run;
mod stage;
mod summary;
mod work;

pub use columns::{Column, ColumnKind};
pub use deepar::LeftOut;
pub use encoding::AutoencoderReport;
pub use error::{FeatureError, LastWindow, PriceFault, PriceFileError, TooFewRows};
pub use feature_set::FeatureSet;
pub use input::{CatalogueAsset, Limit, PriceSeries, assets_needed, read_prices};
pub use ranking::{ClassImportance, FeatureImportance, Importance};
pub use run::{run, run_with};
pub use stage::{Options, Progress, Stage};
pub use summary::Summary;
