//! Windows of series, and the network's inputs for them.
//!
//! A window is `context` steps before a moment and `prediction` steps from it on.
//! At step `t` the network gets, scaled, the target at each lag before `t`; the
//! calendar's features, the age and the dynamic features of `t`; and, the same at
//! each step, the logarithm of the scale and the embeddings of the categories. It
//! is asked for the target of `t`. So no input of a step knows that step's target.
//!
//! The scale is the mean of `|target|` over the observed points of the context; if
//! there are none, or all are 0, it is that of the whole training data.
//!
//! Before a series' first point everything is 0. A missing value is filled by the
//! last observed one before it; within a window, if [`Filling::Sampled`] is
//! chosen, by a sample of the network's own distribution of that point, as the
//! paper (section 3.4) has it.

use pipewright_matmul::Real;
use serde::{Deserialize, Serialize};

use crate::calendar::{Frequency, age};
use crate::series::Series;

/// What stands for missing values within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// 0 (0.5 for beta), everywhere: what GluonTS' network for PyTorch does.
    Zero,
    /// The last observed value before it.
    LastObserved,
    /// A sample of the network's distribution of the point.
    Sampled,
}

/// A series as windows are cut from it.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    start: crate::calendar::Period,
    /// Missing values are filled.
    values: Vec<f32>,
    /// Which values were there; `None` if all.
    observed: Option<Vec<bool>>,
    cat: Vec<u32>,
    dynamic_feat: Vec<Vec<f32>>,
}

impl Track {
    /// Takes a series; `fill` stands for missing values before the first observed
    /// one, or everywhere with [`Filling::Zero`].
    pub(crate) fn new(series: Series, filling: Filling, fill: f32) -> Self {
        let Series {
            start,
            target: mut values,
            cat,
            dynamic_feat,
            ..
        } = series;
        let observed = values
            .iter()
            .any(|value| value.is_nan())
            .then(|| values.iter().map(|value| !value.is_nan()).collect());
        let mut last = fill;
        for value in &mut values {
            if value.is_nan() {
                *value = last;
            } else if filling != Filling::Zero {
                last = *value;
            }
        }
        Self {
            start,
            values,
            observed,
            cat,
            dynamic_feat,
        }
    }

    /// Points, missing ones included.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The categories.
    pub(crate) fn cat(&self) -> &[u32] {
        &self.cat
    }

    /// The value at a point if it was observed.
    pub(crate) fn observed(&self, point: usize) -> Option<f32> {
        let value = *self.values.get(point)?;
        match &self.observed {
            Some(observed) if !observed[point] => None,
            _ => Some(value),
        }
    }

    /// The value at step `step` of a window that begins at `from`, if it was
    /// observed.
    pub(crate) fn observed_at(&self, from: i64, step: usize) -> Option<f32> {
        usize::try_from(from + signed(step))
            .ok()
            .and_then(|point| self.observed(point))
    }

    /// The value there with missing values filled, and 0 beyond the series.
    pub(crate) fn filled(&self, from: i64, step: usize) -> f32 {
        usize::try_from(from + signed(step))
            .ok()
            .and_then(|point| self.values.get(point).copied())
            .unwrap_or(0.0)
    }

    /// Whether there is a point there whose value is missing.
    pub(crate) fn is_missing(&self, from: i64, step: usize) -> bool {
        let point = usize::try_from(from + signed(step)).ok();
        let observed = self.observed.as_ref().zip(point);
        observed.is_some_and(|(observed, point)| observed.get(point) == Some(&false))
    }
}

/// A window: `steps` points from `from` on, which is negative where it begins
/// before its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub from: i64,
    pub scale: f32,
}

/// How windows become inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inputs {
    pub frequency: Frequency,
    pub lags: Vec<usize>,
    pub dynamic_features: usize,
    pub context: usize,
    pub prediction: usize,
    pub scaled: bool,
    /// The scale of windows that have none of their own, above 0.
    pub default_scale: f32,
}

impl Inputs {
    /// Dynamic inputs of a step.
    pub(crate) fn width(&self) -> usize {
        self.lags.len() + self.frequency.feature_count() + 1 + self.dynamic_features
    }

    /// The window whose first predicted point is `at`.
    pub(crate) fn window(&self, track: &Track, at: usize) -> Window {
        let context = at.saturating_sub(self.context)..at;
        let (mut sum, mut count) = (0.0, 0.0);
        for value in context.filter_map(|point| track.observed(point)) {
            sum += f64::from(value.abs());
            count += 1.0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "of values in f32")]
        let mean = (sum / count) as f32;
        Window {
            from: signed(at) - signed(self.context),
            scale: match self.scaled {
                false => 1.0,
                // Of no value the mean is NaN.
                true if mean > 0.0 => mean,
                true => self.default_scale,
            },
        }
    }

    /// Writes the dynamic inputs of step `step` of a window to `row`.
    ///
    /// `values` has the window's own values, filled, of the steps before `step`:
    /// lags within the window read them, those before it read the series.
    pub(crate) fn write<T: Real>(
        &self,
        track: &Track,
        window: Window,
        step: usize,
        values: impl Fn(usize) -> f32,
        row: &mut [T],
    ) {
        let Ok(point) = usize::try_from(window.from + signed(step)) else {
            // Before the series.
            row.fill(T::ZERO);
            return;
        };
        let inverse = 1.0 / f64::from(window.scale);
        let (lagged, rest) = row.split_at_mut(self.lags.len());
        for (input, lag) in lagged.iter_mut().zip(&self.lags) {
            let value = match point.checked_sub(*lag) {
                None => 0.0,
                Some(_) if *lag <= step => values(step - lag),
                Some(before) => track.values.get(before).copied().unwrap_or(0.0),
            };
            *input = T::of(f64::from(value) * inverse);
        }
        let mut features = [0.0; 5];
        let features = &mut features[..self.frequency.feature_count()];
        let period = self.frequency.advance(track.start, signed(point));
        self.frequency.features(period, features);
        let (calendar, rest) = rest.split_at_mut(features.len());
        for (input, feature) in calendar.iter_mut().zip(&*features) {
            *input = T::of(f64::from(*feature));
        }
        rest[0] = T::of(f64::from(age(point)));
        for (input, feature) in rest[1..].iter_mut().zip(&track.dynamic_feat) {
            *input = T::of(f64::from(feature.get(point).copied().unwrap_or(0.0)));
        }
    }
}

/// A length as a place that may be negative.
pub(crate) fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
