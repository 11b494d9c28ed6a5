//! Forecasts that a model has to beat: they know one series, and learn nothing.
//!
//! The points are those of Hyndman and Athanasopoulos, Forecasting: Principles and
//! Practice, 3rd edition, section 5.2; missing values are stepped over. The
//! distribution around them is that of the same method's own errors: each point's
//! quantile is its forecast plus the sample quantile of the errors that forecasts
//! so many steps ahead made from the latest [`ORIGINS`] earlier ends of the series
//! (so the errors of a step are used for that step alone, and no distribution is
//! assumed).

use crate::score::sample_quantile;

/// From how many earlier ends of the series the errors come, at most.
pub const ORIGINS: usize = 200;

/// A method of forecasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Baseline {
    /// The last value.
    LastValue,
    /// The value one season before, or as many seasons as are needed to find one;
    /// if there is none, the last value.
    SeasonalNaive,
    /// The line from the first value through the last.
    Drift,
}

/// A baseline's forecast of the points after a series.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineForecast {
    /// One value a point.
    pub mean: Vec<f64>,
    /// For each point the errors (value minus forecast) of earlier forecasts so
    /// many steps ahead, ascending; none if the series is too short.
    pub errors: Vec<Vec<f64>>,
}

impl Baseline {
    /// Every baseline.
    pub const ALL: [Self; 3] = [Self::LastValue, Self::SeasonalNaive, Self::Drift];

    /// The name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LastValue => "last value",
            Self::SeasonalNaive => "seasonal naive",
            Self::Drift => "drift",
        }
    }

    /// Forecasts the `length` points after `past`, in which NaN is a missing value.
    /// `season` is the steps of a season, at least 1; see
    /// [`Frequency::season`](crate::calendar::Frequency::season).
    ///
    /// `None` if `past` has no value.
    #[must_use]
    pub fn forecast(self, past: &[f32], season: usize, length: usize) -> Option<BaselineForecast> {
        let mean = self.points(past, season, length)?;
        let mut errors = vec![Vec::new(); length];
        // For every step ahead the same number of origins, as far as they reach.
        for end in (1..past.len()).rev().take(ORIGINS + length - 1) {
            let known = past.len() - end;
            let Some(forecast) = self.points(&past[..end], season, length.min(known)) else {
                break;
            };
            for ((errors, forecast), actual) in errors.iter_mut().zip(forecast).zip(&past[end..]) {
                if !actual.is_nan() && errors.len() < ORIGINS {
                    errors.push(f64::from(*actual) - forecast);
                }
            }
        }
        for errors in &mut errors {
            errors.sort_unstable_by(f64::total_cmp);
        }
        Some(BaselineForecast { mean, errors })
    }

    /// The values of the `length` points after `past`, or `None` if it has none.
    fn points(self, past: &[f32], season: usize, length: usize) -> Option<Vec<f64>> {
        let at = past.iter().rposition(|value| !value.is_nan())?;
        let last = f64::from(past[at]);
        let end = past.len();
        let ahead = |point: usize| match self {
            Self::LastValue => last,
            Self::SeasonalNaive => {
                let season = season.max(1);
                let seasons_back = point / season + 1;
                let same = (end + point).checked_sub(seasons_back * season);
                let mut earlier = same
                    .into_iter()
                    .flat_map(|same| (0..=same).rev().step_by(season));
                let found = earlier.find(|at| !past[*at].is_nan());
                found.map_or(last, |at| f64::from(past[at]))
            }
            Self::Drift => {
                let first = past.iter().position(|value| !value.is_nan()).unwrap_or(at);
                let rise = last - f64::from(past[first]);
                let slope = if at > first {
                    rise / steps(at - first)
                } else {
                    0.0
                };
                last + slope * steps(end + point - at)
            }
        };
        Some((0..length).map(ahead).collect())
    }
}

impl BaselineForecast {
    /// For each level, from 0 to 1, the quantile of each point; the point itself
    /// where there are no errors to go by.
    #[must_use]
    pub fn quantiles(&self, levels: &[f64]) -> Vec<Vec<f64>> {
        let quantile = |level: f64| {
            let points = self.mean.iter().zip(&self.errors);
            points
                .map(|(mean, errors)| mean + sample_quantile(errors, level).unwrap_or(0.0))
                .collect()
        };
        levels.iter().map(|level| quantile(*level)).collect()
    }
}

fn steps(number: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of points in memory")]
    {
        number as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GAP: f32 = f32::NAN;

    fn mean(baseline: Baseline, past: &[f32], length: usize) -> Vec<f64> {
        baseline.forecast(past, 3, length).unwrap().mean
    }

    #[test]
    fn the_last_value_is_repeated() {
        assert_eq!(mean(Baseline::LastValue, &[1.0, 5.0, GAP], 3), [5.0; 3]);
    }

    #[test]
    fn a_season_is_repeated_and_a_gap_filled_by_the_one_before() {
        let past = [1.0, 2.0, 3.0, 4.0, GAP, 6.0];
        assert_eq!(
            mean(Baseline::SeasonalNaive, &past, 5),
            [4.0, 2.0, 6.0, 4.0, 2.0]
        );
        // No season goes before: the last value stands in.
        assert_eq!(
            mean(Baseline::SeasonalNaive, &[8.0, 9.0], 4),
            [9.0, 8.0, 9.0, 9.0]
        );
    }

    #[test]
    fn the_drift_goes_on_from_the_first_to_the_last_value() {
        let past = [GAP, 1.0, 9.0, 5.0, GAP];
        assert_eq!(mean(Baseline::Drift, &past, 2), [9.0, 11.0]);
        assert_eq!(mean(Baseline::Drift, &[4.0], 2), [4.0, 4.0]);
    }

    #[test]
    fn nothing_is_forecast_of_nothing() {
        for baseline in Baseline::ALL {
            assert_eq!(baseline.forecast(&[], 7, 2), None);
            assert_eq!(baseline.forecast(&[GAP, GAP], 7, 2), None);
        }
    }

    #[test]
    fn quantiles_are_the_errors_of_earlier_forecasts_of_the_same_step() {
        let past = [0.0, 1.0, 3.0, 6.0];
        let forecast = Baseline::LastValue.forecast(&past, 1, 2).unwrap();
        assert_eq!(forecast.errors, [vec![1.0, 2.0, 3.0], vec![3.0, 5.0]]);
        assert_eq!(
            forecast.quantiles(&[0.0, 0.5, 1.0]),
            [vec![7.0, 9.0], vec![8.0, 9.0], vec![9.0, 11.0]]
        );
        let short = Baseline::LastValue.forecast(&[2.0], 1, 2).unwrap();
        assert_eq!(short.quantiles(&[0.9]), [[2.0, 2.0]]);
    }

    #[test]
    fn every_step_has_the_errors_of_the_latest_origins() {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let past: Vec<f32> = (0..900)
            .map(|t| if t < 600 { 1e6 } else { t as f32 })
            .collect();
        let forecast = Baseline::LastValue.forecast(&past, 1, 30).unwrap();
        for (step, errors) in forecast.errors.iter().enumerate() {
            assert_eq!(errors, &vec![steps(step + 1); ORIGINS]);
        }
    }

    /// Values with gaps.
    fn series() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![3 => -1e3..1e3_f32, 1 => Just(GAP)], 1..60)
    }

    proptest! {
        /// What a forecast was is not changed by what comes after: the errors of an
        /// earlier origin are those of the forecast that was made there.
        #[test]
        fn errors_are_those_of_forecasts_made_without_the_future(past in series(), season in 1..9_usize, length in 1..6_usize) {
            for baseline in Baseline::ALL {
                let Some(forecast) = baseline.forecast(&past, season, length) else { continue };
                for step in 0..length {
                    let mut expected: Vec<f64> = (1..past.len().saturating_sub(step))
                        .filter(|end| !past[end + step].is_nan())
                        .filter_map(|end| {
                            let made = baseline.forecast(&past[..end], season, length)?;
                            Some(f64::from(past[end + step]) - made.mean[step])
                        })
                        .collect();
                    expected.sort_unstable_by(f64::total_cmp);
                    prop_assert_eq!(&forecast.errors[step], &expected);
                }
            }
        }

        #[test]
        fn quantiles_ascend_and_are_finite(past in series(), season in 1..9_usize) {
            for baseline in Baseline::ALL {
                let Some(forecast) = baseline.forecast(&past, season, 4) else { continue };
                let quantiles = forecast.quantiles(&[0.1, 0.5, 0.9]);
                let [low, middle, high] = &quantiles[..] else { panic!("three lists") };
                for ((low, middle), high) in low.iter().zip(middle).zip(high) {
                    prop_assert!(low <= middle && middle <= high && low.is_finite() && high.is_finite());
                }
            }
        }

        #[test]
        fn a_scaled_series_has_the_scaled_forecast(past in series(), season in 1..9_usize) {
            for baseline in Baseline::ALL {
                let scaled: Vec<f32> = past.iter().map(|value| value * 4.0).collect();
                let one = baseline.forecast(&past, season, 3).map(|forecast| forecast.quantiles(&[0.3]));
                let four = baseline.forecast(&scaled, season, 3).map(|forecast| forecast.quantiles(&[0.3]));
                let times_four = one.map(|lists| lists.into_iter().map(|list| list.into_iter().map(|x| x * 4.0).collect()).collect());
                prop_assert_eq!(four, times_four);
            }
        }
    }
}
