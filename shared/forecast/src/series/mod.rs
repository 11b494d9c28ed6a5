//! Time series as DeepAR has them: the records of a channel's files and of
//! requests.

mod channel;
mod dataset;
mod fault;
#[cfg(feature = "parquet")]
mod parquet;
mod reader;
mod record;
mod statistics;

use crate::calendar::Period;
pub use channel::{ChannelFault, Format, files_read};
pub use dataset::{DatasetFault, FEWEST_OBSERVATIONS, TestSet, TrainingSet};
pub use fault::{PlacedFault, RecordFault, Unit};
pub use reader::{Channel, LONGEST_LINE, Reader};
pub use record::{RecordRules, quote_non_numbers};
pub use statistics::Statistics;

/// One series: a record of a training file or of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The period of the first point; point `t` is `t` steps after it.
    pub start: Period,
    /// One value a step; NaN = missing, never infinite. Empty at a cold start.
    pub target: Vec<f32>,
    /// A category (from 0) for each categorical feature; empty = none.
    pub cat: Vec<u32>,
    /// For each dynamic feature its values, finite: in training as many as
    /// `target` has, for a forecast `prediction_length` more.
    pub dynamic_feat: Vec<Vec<f32>>,
}
