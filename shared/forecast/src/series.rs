//! Time series as DeepAR has them.

use crate::calendar::Period;

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
