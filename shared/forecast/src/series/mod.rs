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

impl Series {
    /// The series without its last `prediction_length` points, as a forecast of
    /// them needs it (its dynamic features reach over them), and their values. Of
    /// a shorter series nothing is left, and its values are all held out.
    #[must_use]
    pub fn hold_out(&self, prediction_length: usize) -> (Self, &[f32]) {
        let known = self.target.len().saturating_sub(prediction_length);
        let (past, held_out) = self.target.split_at(known);
        let past = Self {
            start: self.start,
            target: past.to_vec(),
            cat: self.cat.clone(),
            dynamic_feat: self.dynamic_feat.clone(),
        };
        (past, held_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_points_are_held_out() {
        let series = Series {
            start: Period(3),
            target: vec![1.0, 2.0, 3.0],
            cat: vec![4],
            dynamic_feat: vec![vec![5.0, 6.0, 7.0]],
        };
        let (past, held_out) = series.hold_out(2);
        assert_eq!(held_out, [2.0, 3.0]);
        assert_eq!(past.target, [1.0]);
        assert_eq!(
            (past.start, past.cat, past.dynamic_feat),
            (Period(3), vec![4], vec![vec![5.0, 6.0, 7.0]])
        );
        assert_eq!(
            series.hold_out(9),
            (
                Series {
                    target: vec![],
                    ..series.clone()
                },
                &series.target[..]
            )
        );
    }
}
