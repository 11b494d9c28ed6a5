//! How good forecasts are, by one definition for the model and for baselines.
//!
//! The measures are those that DeepAR's container prints of its test channel, with
//! the formulas of GluonTS's `Evaluator`; y are the values that came, x_q the
//! forecast quantiles:
//!
//! - wQuantileLoss\[q\] = 2 Σ max(q (y − x_q), (q − 1)(y − x_q)) / Σ |y|
//! - mean_wQuantileLoss, their mean
//! - mean_absolute_QuantileLoss, the mean of their numerators
//! - RMSE, √(Σ (y − mean)² / n)
//! - coverage of a central interval, the share of y between x_q and x_(1−q)
//!
//! Sums go over all points of all windows but those whose value is missing.

use serde::{Deserialize, Serialize};

use crate::hyperparameters::Quantile;
use crate::special::ln_gamma;

/// Takes forecasts window by window.
#[derive(Debug, Clone)]
pub struct Score {
    quantiles: Vec<Quantile>,
    /// The places in `quantiles` of each central interval's ends.
    intervals: Vec<(usize, usize)>,
    sums: Sums,
}

/// The sums that the measures are made of. Those of several windows add up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sums {
    /// How many values there are; those that are missing do not count.
    pub observations: usize,
    /// Σ |y|.
    pub absolute_values: f64,
    /// Σ (y − mean)².
    pub squared_errors: f64,
    /// For each quantile, the numerator of its loss.
    pub quantile_losses: Vec<f64>,
    /// For each central interval whose ends are among the quantiles, the widest first, how
    /// many values lie in it.
    pub covered: Vec<usize>,
}

/// The name of the file beside the model in which a training leaves [`TestScores`].
pub const TEST_SCORES_FILE: &str = "test-scores.json";

/// How good a model's forecasts of the test channel are, record by record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestScores {
    /// The quantiles that are scored, ascending, as the hyperparameter `test_quantiles` has them.
    pub quantiles: Vec<String>,
    /// The sums of each record that is long enough to be scored, in the channel's order.
    pub records: Vec<Sums>,
}

/// The measures of the forecasts that were taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// How many values they were compared with.
    pub points: usize,
    /// The root of the mean squared error of the mean forecasts; NaN without any
    /// value.
    pub rmse: f64,
    /// The mean over the quantiles of the sums of their losses.
    pub mean_absolute_quantile_loss: f64,
    /// The mean over the quantiles of `weighted_quantile_loss`.
    pub mean_weighted_quantile_loss: f64,
    /// For each quantile, ascending, its loss over the sum of the values' sizes;
    /// NaN or infinite if every value is 0.
    pub weighted_quantile_loss: Vec<(Quantile, f64)>,
    /// For each central interval whose ends are among the quantiles, the widest
    /// first.
    pub coverage: Vec<Coverage>,
}

/// How many values lay in a central interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The share that ought to, such as 0.8 between the quantiles 0.1 and 0.9.
    pub nominal: f64,
    /// The share that did; NaN without any value.
    pub actual: f64,
}

impl Score {
    /// A score of no forecast yet. `quantiles` ascend.
    #[must_use]
    pub fn new(quantiles: &[Quantile]) -> Self {
        let partner = |level: f64| {
            quantiles
                .iter()
                .position(|other| (level + other.value - 1.0).abs() < 1e-9)
        };
        let intervals: Vec<(usize, usize)> = quantiles
            .iter()
            .enumerate()
            .filter(|(_, quantile)| quantile.value < 0.5 - 1e-9)
            .filter_map(|(lower, quantile)| Some((lower, partner(quantile.value)?)))
            .collect();
        Self {
            quantiles: quantiles.to_vec(),
            sums: Sums {
                quantile_losses: vec![0.0; quantiles.len()],
                covered: vec![0; intervals.len()],
                ..Sums::default()
            },
            intervals,
        }
    }

    /// The sums of the forecasts taken so far.
    #[must_use]
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Takes forecasts that were summed up elsewhere; false, and nothing taken, if they are of
    /// other quantiles.
    #[must_use]
    pub fn add_sums(&mut self, more: &Sums) -> bool {
        let sums = &mut self.sums;
        if more.quantile_losses.len() != sums.quantile_losses.len()
            || more.covered.len() != sums.covered.len()
        {
            return false;
        }
        sums.observations += more.observations;
        sums.absolute_values += more.absolute_values;
        sums.squared_errors += more.squared_errors;
        for (sum, loss) in sums.quantile_losses.iter_mut().zip(&more.quantile_losses) {
            *sum += loss;
        }
        for (sum, covered) in sums.covered.iter_mut().zip(&more.covered) {
            *sum += covered;
        }
        true
    }

    /// Takes the forecast of a window: for each point the value that came (NaN =
    /// missing), its mean forecast, and for each quantile a list of one forecast a
    /// point.
    ///
    /// # Panics
    /// The lists differ in length, or there are more or fewer than quantiles.
    pub fn add(&mut self, actuals: &[f32], mean: &[f64], quantiles: &[Vec<f64>]) {
        assert_eq!(mean.len(), actuals.len(), "one mean a point");
        assert_eq!(quantiles.len(), self.quantiles.len(), "one list a quantile");
        for list in quantiles {
            assert_eq!(list.len(), actuals.len(), "one quantile forecast a point");
        }
        for (point, actual) in actuals.iter().enumerate() {
            if actual.is_nan() {
                continue;
            }
            let actual = f64::from(*actual);
            let sums = &mut self.sums;
            sums.observations += 1;
            sums.absolute_values += actual.abs();
            sums.squared_errors += (actual - mean[point]).powi(2);
            let losses = sums.quantile_losses.iter_mut().zip(&self.quantiles);
            for ((loss, quantile), forecast) in losses.zip(quantiles) {
                let error = actual - forecast[point];
                *loss += 2.0 * f64::max(quantile.value * error, (quantile.value - 1.0) * error);
            }
            for (covered, (lower, upper)) in sums.covered.iter_mut().zip(&self.intervals) {
                let interval = quantiles[*lower][point]..=quantiles[*upper][point];
                *covered += usize::from(interval.contains(&actual));
            }
        }
    }

    /// The measures of the forecasts taken so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let sums = &self.sums;
        let points = count(sums.observations);
        let losses = &sums.quantile_losses;
        let mean_loss = losses.iter().sum::<f64>() / count(losses.len());
        let weighted = losses.iter().map(|loss| loss / sums.absolute_values);
        Metrics {
            points: sums.observations,
            rmse: (sums.squared_errors / points).sqrt(),
            mean_absolute_quantile_loss: mean_loss,
            mean_weighted_quantile_loss: weighted.clone().sum::<f64>() / count(losses.len()),
            weighted_quantile_loss: self.quantiles.iter().cloned().zip(weighted).collect(),
            coverage: self
                .intervals
                .iter()
                .zip(&sums.covered)
                .map(|((lower, upper), covered)| Coverage {
                    nominal: self.quantiles[*upper].value - self.quantiles[*lower].value,
                    actual: count(*covered) / points,
                })
                .collect(),
        }
    }
}

fn count(number: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of things in memory")]
    {
        number as f64
    }
}

/// The probability that chance alone divides windows at least as unevenly: of the two-sided sign
/// test, in which the better forecast of each window is a fair coin's throw. `better` and `worse`
/// are the windows in favour of either; equal ones don't count. 1 without any window.
///
/// 2 Σ_{k ≤ min} C(n, k) / 2ⁿ, at most 1 (Dixon and Mood, 1946).
#[must_use]
pub fn sign_test(better: usize, worse: usize) -> f64 {
    let windows = count(better + worse);
    let ln_choose =
        |few: f64| ln_gamma(windows + 1.0) - ln_gamma(few + 1.0) - ln_gamma(windows - few + 1.0);
    let tail: f64 = (0..=better.min(worse))
        .map(|few| (ln_choose(count(few)) - windows * std::f64::consts::LN_2).exp())
        .sum();
    (2.0 * tail).min(1.0)
}

/// The quantile of a sample that is sorted ascending, `sorted[round((n − 1) level)]`,
/// half rounded to even, as GluonTS has it; `None` of no sample. `level` is from 0
/// to 1.
#[must_use]
pub fn sample_quantile<T: Copy>(sorted: &[T], level: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    let place = (count(last) * level).round_ties_even();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and the place is at most the last"
    )]
    sorted.get((place as usize).min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantiles(levels: &[&str]) -> Vec<Quantile> {
        levels
            .iter()
            .map(|text| Quantile::parse(text).unwrap())
            .collect()
    }

    #[test]
    fn the_sign_test_has_the_binomial_distributions_tails() {
        // scipy.stats.binomtest(k, n).pvalue
        for ((better, worse), p) in [
            ((0, 0), 1.0),
            ((2, 2), 1.0),
            ((0, 4), 0.125),
            ((6, 0), 0.031_25),
            ((1, 9), 0.021_484_375),
            ((60, 40), 0.056_887_933_640_980_79),
        ] {
            let found = sign_test(better, worse);
            assert!((found - p).abs() < 1e-9, "{better} {worse}: {found}");
        }
        assert!(sign_test(1_500, 3_000) < 1e-100);
    }

    #[test]
    fn sums_of_windows_add_up() {
        let levels = quantiles(&["0.1", "0.9"]);
        let window = |actual: f32| {
            let mut score = Score::new(&levels);
            score.add(&[actual], &[1.0], &[vec![0.5], vec![2.0]]);
            score
        };
        let mut whole = Score::new(&levels);
        let mut added = Score::new(&levels);
        for actual in [1.0, 3.0, f32::NAN] {
            whole.add(&[actual], &[1.0], &[vec![0.5], vec![2.0]]);
            assert!(added.add_sums(window(actual).sums()));
        }
        assert_eq!(added.sums(), whole.sums());
        assert!(!added.add_sums(Score::new(&quantiles(&["0.5"])).sums()));
    }

    #[test]
    fn measures_are_those_of_their_formulas() {
        let mut score = Score::new(&quantiles(&["0.1", "0.5", "0.9"]));
        score.add(
            &[1.0, f32::NAN, -2.0],
            &[2.0, 9.0, -2.0],
            &[
                vec![0.0, 9.0, -1.0],
                vec![2.0, 9.0, 0.0],
                vec![3.0, 9.0, 1.0],
            ],
        );
        score.add(&[4.0], &[4.0], &[vec![4.0], vec![4.0], vec![4.0]]);
        let metrics = score.metrics();
        assert_eq!(metrics.points, 3);
        assert!((metrics.rmse - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        // Of 0.1: 2 (0.1 · 1 + 0.9 · 1); of 0.5: 2 (0.5 · 1 + 0.5 · 2); of 0.9: 2 (0.1 · 2 + 0.1 · 3).
        let losses: Vec<f64> = metrics
            .weighted_quantile_loss
            .iter()
            .map(|(_, loss)| loss * 7.0)
            .collect();
        for (loss, expected) in losses.iter().zip([2.0, 3.0, 1.0]) {
            assert!((loss - expected).abs() < 1e-12, "{losses:?}");
        }
        assert!((metrics.mean_absolute_quantile_loss - 2.0).abs() < 1e-12);
        assert!((metrics.mean_weighted_quantile_loss - 2.0 / 7.0).abs() < 1e-12);
        let [coverage] = &metrics.coverage[..] else {
            panic!("{metrics:?}");
        };
        assert!((coverage.nominal - 0.8).abs() < 1e-12);
        assert!((coverage.actual - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn without_any_value_there_is_no_error() {
        let mut score = Score::new(&quantiles(&["0.5"]));
        score.add(&[f32::NAN], &[1.0], &[vec![1.0]]);
        let metrics = score.metrics();
        assert_eq!(
            (metrics.points, metrics.mean_absolute_quantile_loss),
            (0, 0.0)
        );
        assert!(metrics.rmse.is_nan() && metrics.mean_weighted_quantile_loss.is_nan());
        assert!(metrics.coverage.is_empty());
    }

    #[test]
    fn a_half_place_is_rounded_to_even() {
        let sample: Vec<usize> = (0..11).collect();
        for (level, expected) in [
            (0.0, 0),
            (0.05, 0),
            (0.15, 2),
            (0.25, 2),
            (0.5, 5),
            (0.95, 10),
            (1.0, 10),
        ] {
            assert_eq!(sample_quantile(&sample, level), Some(expected), "{level}");
        }
        assert_eq!(sample_quantile::<usize>(&[], 0.5), None);
    }

    proptest! {
        #[test]
        fn the_order_of_windows_does_not_matter(
            windows in prop::collection::vec((-9.0..9.0_f32, -9.0..9.0_f64, -9.0..9.0_f64), 1..20),
        ) {
            let levels = quantiles(&["0.1", "0.9"]);
            let taken = |windows: &mut dyn Iterator<Item = &(f32, f64, f64)>| {
                let mut score = Score::new(&levels);
                for (actual, lower, upper) in windows {
                    score.add(&[*actual], &[*lower], &[vec![*lower], vec![*upper]]);
                }
                score.metrics()
            };
            let (a, b) = (taken(&mut windows.iter()), taken(&mut windows.iter().rev()));
            prop_assert!((a.rmse - b.rmse).abs() < 1e-9);
            prop_assert!((a.mean_absolute_quantile_loss - b.mean_absolute_quantile_loss).abs() < 1e-9);
            prop_assert_eq!(a.coverage, b.coverage);
        }

        #[test]
        fn the_true_quantile_has_the_least_loss(mut sample in prop::collection::vec(-1e3..1e3_f32, 1..40), level in 0.05..0.95_f64, other in -1e3..1e3_f64) {
            sample.sort_unstable_by(f32::total_cmp);
            let quantile = Quantile::parse(&level.to_string()).unwrap();
            let loss = |forecast: f64| {
                let mut score = Score::new(std::slice::from_ref(&quantile));
                let points = sample.len();
                score.add(&sample, &vec![0.0; points], &[vec![forecast; points]]);
                score.metrics().mean_absolute_quantile_loss
            };
            // The sample quantile by inversion, which minimises the loss exactly.
            let place = (level * count(sample.len())).ceil() - 1.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
            let best = f64::from(sample[place.max(0.0) as usize]);
            prop_assert!(loss(best) <= loss(other) + 1e-6);
        }
    }
}
