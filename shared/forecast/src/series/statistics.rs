//! What a channel's series are like, in the words of DeepAR's log.

use std::fmt;

use super::Series;

/// Statistics of the series of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// How many series there are.
    pub series: usize,
    /// The points of all of them, missing ones included.
    pub observations: usize,
    /// The points whose value is missing.
    pub missing: usize,
    /// Whether every value is a whole number.
    pub integer: bool,
    /// The smallest, mean and greatest value; NaN if every one is missing.
    pub min: f64,
    /// See `min`.
    pub mean: f64,
    /// See `min`.
    pub max: f64,
    /// The mean of the values' sizes; NaN if every one is missing.
    pub mean_abs: f64,
}

impl Statistics {
    /// The statistics of `series`.
    #[must_use]
    pub fn of(series: &[Series]) -> Self {
        let (mut sum, mut sum_abs) = (0.0_f64, 0.0_f64);
        let (mut min, mut max) = (f64::NAN, f64::NAN);
        let (mut observations, mut present) = (0, 0_usize);
        let mut integer = true;
        for one in series {
            observations += one.target.len();
            for value in one.target.iter().filter(|value| !value.is_nan()) {
                let value = f64::from(*value);
                present += 1;
                sum += value;
                sum_abs += value.abs();
                min = min.min(value);
                max = max.max(value);
                integer &= value.fract() == 0.0;
            }
        }
        Self {
            series: series.len(),
            observations,
            missing: observations - present,
            integer,
            min,
            mean: ratio(sum, present),
            max,
            mean_abs: ratio(sum_abs, present),
        }
    }
}

fn ratio(sum: f64, count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of points in memory")]
    {
        sum / count as f64
    }
}

impl fmt::Display for Statistics {
    /// The seven lines of the log. What DeepAR writes of missing values, if there
    /// are some, is not known; the number is ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "a number of points in memory")]
        let mean_length = ratio(self.observations as f64, self.series);
        let kind = if self.integer { "Integer" } else { "Real" };
        writeln!(f, "{kind} time series")?;
        writeln!(f, "number of time series: {}", self.series)?;
        writeln!(f, "number of observations: {}", self.observations)?;
        writeln!(f, "mean target length: {mean_length:?}")?;
        let Self { min, mean, max, .. } = self;
        writeln!(f, "min/mean/max target: {min:?}/{mean:?}/{max:?}")?;
        writeln!(f, "mean abs(target): {:?}", self.mean_abs)?;
        match self.missing {
            0 => f.write_str("contains missing values: no"),
            missing => write!(f, "contains missing values: yes ({missing})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Period;

    fn series(target: &[f32]) -> Series {
        Series {
            start: Period(0),
            target: target.to_vec(),
            cat: Vec::new(),
            dynamic_feat: Vec::new(),
        }
    }

    #[test]
    fn statistics_are_those_of_the_values_that_are_there() {
        let both = [series(&[1.0, f32::NAN, -4.0]), series(&[3.5])];
        assert_eq!(
            Statistics::of(&both).to_string(),
            "Real time series
number of time series: 2
number of observations: 4
mean target length: 2.0
min/mean/max target: -4.0/0.16666666666666666/3.5
mean abs(target): 2.8333333333333335
contains missing values: yes (1)"
        );
        let counts = Statistics::of(&[series(&[2.0, 4.0, 0.0])]);
        assert!(counts.to_string().starts_with("Integer time series\n"));
        assert!(counts.to_string().ends_with("contains missing values: no"));
    }
}
