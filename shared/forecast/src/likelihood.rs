//! The distributions that the network can predict: density, gradient and samples.
//!
//! The network gives raw numbers `z`; `sp` is the softplus `ln(1 + e^z)` with a
//! floor of 1e-6, and `s` is the scale of the window.
//!
//! | likelihood | parameters of the distribution |
//! |---|---|
//! | gaussian | mean `s z1`, deviation `s sp(z2)` |
//! | student-T | location `s z1`, scale `s sp(z2)`, degrees of freedom `2 + sp(z3)` |
//! | negative-binomial | mean `m = s sp(z1)`, shape `a = sp(z2) / sqrt(s)`; variance `m + a m^2` |
//! | beta | `sp(z1)`, `sp(z2)`; no scale |
//! | deterministic-L1 | the value `s z1` alone |
//!
//! Sources: Salinas et al. (arXiv 1704.04110), section 3, for gaussian and
//! negative-binomial; GluonTS' distributions for the others.
//!
//! Everything is computed in double precision and divided by the scale first, so
//! that values of 1e15 and of 1e-12 are alike.

use std::f64::consts::PI;

use pipewright_matmul::random::Random;
use rand_distr::{Beta, Distribution, Gamma, Poisson, StandardNormal};

use crate::hyperparameters::Likelihood;
use crate::special::{digamma, ln_gamma};

/// The least that a positive parameter can be.
const FLOOR: f64 = 1e-6;

/// The greatest gradient of one point, by the scaled parameters. An outlier a
/// million deviations away would else make the whole batch's gradient infinite;
/// a batch's gradient is clipped to a norm of 10 anyway.
const GREATEST_GRADIENT: f64 = 1e6;

/// The most parameters that a distribution has.
pub(crate) const MOST_PARAMETERS: usize = 3;

/// The raw numbers for one point; those that a likelihood does not have are 0.
pub(crate) type Raw = [f64; MOST_PARAMETERS];

impl Likelihood {
    /// How many raw numbers the network gives for a point.
    #[must_use]
    pub fn parameter_count(self) -> usize {
        match self {
            Self::StudentT => 3,
            Self::Gaussian | Self::NegativeBinomial | Self::Beta => 2,
            Self::DeterministicL1 => 1,
        }
    }

    /// Whether values are divided by the scale of their window.
    #[must_use]
    pub fn is_scaled(self) -> bool {
        self != Self::Beta
    }

    /// What stands for a missing value before the first observed one.
    pub(crate) fn fill(self) -> f32 {
        match self {
            Self::Beta => 0.5,
            _ => 0.0,
        }
    }

    /// `-ln p(value)` in the units of the value (for deterministic-L1 the
    /// absolute error), and its gradient by the raw numbers.
    pub(crate) fn loss(self, raw: Raw, value: f64, scale: f64) -> (f64, Raw) {
        match self {
            Self::Gaussian => gaussian(raw, value, scale),
            Self::StudentT => student_t(raw, value, scale),
            Self::NegativeBinomial => negative_binomial(raw, value, scale),
            Self::Beta => beta(raw, value),
            Self::DeterministicL1 => {
                let error = scale * raw[0] - value;
                (error.abs(), [scale * error.signum(), 0.0, 0.0])
            }
        }
    }

    /// A loss without what it owes to the scale of its window alone, so that losses
    /// of different windows can be compared: that of the scaled values.
    pub(crate) fn comparable(self, loss: f64, scale: f64) -> f64 {
        match self {
            Self::Gaussian | Self::StudentT => loss - scale.ln(),
            // The spread of counts grows with their scale only where that is above 1.
            Self::NegativeBinomial => loss - scale.max(1.0).ln(),
            Self::Beta => loss,
            Self::DeterministicL1 => loss / scale,
        }
    }

    /// A sample of the distribution.
    pub(crate) fn sample(self, raw: Raw, scale: f64, random: &mut Random) -> f64 {
        match self {
            Self::Gaussian => {
                let normal: f64 = StandardNormal.sample(random);
                scale * (raw[0] + softplus(raw[1]).0 * normal)
            }
            Self::StudentT => {
                let degrees = 2.0 + softplus(raw[2]).0;
                let normal: f64 = StandardNormal.sample(random);
                let spread = gamma(degrees / 2.0, 2.0 / degrees, random).sqrt();
                scale * (raw[0] + softplus(raw[1]).0 * normal / spread)
            }
            Self::NegativeBinomial => {
                let Counts { mean, shape, .. } = Counts::of(raw, scale);
                let rate = gamma(1.0 / shape, shape * mean, random);
                // A rate of 0 or beyond the sampler's limit is its own sample.
                Poisson::new(rate).map_or(rate, |poisson| poisson.sample(random))
            }
            Self::Beta => {
                let (a, b) = (softplus(raw[0]).0, softplus(raw[1]).0);
                // Both are at least the floor and finite, which is all that is asked.
                Beta::new(a, b).map_or(0.5, |beta| beta.sample(random))
            }
            Self::DeterministicL1 => scale * raw[0],
        }
    }
}

fn gamma(shape: f64, scale: f64, random: &mut Random) -> f64 {
    // Only parameters of which no network can make a distribution are refused:
    // infinite or NaN ones. Their sample is as undefined as they are.
    Gamma::new(shape, scale).map_or(f64::NAN, |gamma| gamma.sample(random))
}

/// `ln(1 + e^z)`, at least the floor, and its derivative.
fn softplus(z: f64) -> (f64, f64) {
    let value = if z > 30.0 { z } else { z.exp().ln_1p() };
    if value < FLOOR {
        (FLOOR, 0.0)
    } else {
        (value, 1.0 / (1.0 + (-z).exp()))
    }
}

fn bounded(gradient: Raw) -> Raw {
    let greatest = gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
    if greatest > GREATEST_GRADIENT {
        gradient.map(|g| g / greatest * GREATEST_GRADIENT)
    } else {
        gradient
    }
}

fn gaussian(raw: Raw, value: f64, scale: f64) -> (f64, Raw) {
    let (deviation, slope) = softplus(raw[1]);
    let error = (value / scale - raw[0]) / deviation;
    let loss = 0.5 * error * error + deviation.ln() + scale.ln() + 0.5 * (2.0 * PI).ln();
    let gradient = [
        -error / deviation,
        (1.0 - error * error) / deviation * slope,
        0.0,
    ];
    (loss, bounded(gradient))
}

fn student_t(raw: Raw, value: f64, scale: f64) -> (f64, Raw) {
    let (spread, spread_slope) = softplus(raw[1]);
    let (above_two, degrees_slope) = softplus(raw[2]);
    let degrees = 2.0 + above_two;
    let error = (value / scale - raw[0]) / spread;
    let ratio = error * error / degrees;
    let half = 0.5 * (degrees + 1.0);
    let loss = ln_gamma(0.5 * degrees) - ln_gamma(half)
        + 0.5 * (PI * degrees).ln()
        + spread.ln()
        + scale.ln()
        + half * ratio.ln_1p();
    // By the error; its limit for a large one is (degrees + 1) / error.
    let by_error = if ratio > 1.0 {
        (degrees + 1.0) / (error * (1.0 + 1.0 / ratio))
    } else {
        (degrees + 1.0) * error / (degrees * (1.0 + ratio))
    };
    let by_degrees =
        0.5 * (digamma(0.5 * degrees) - digamma(half)) + 0.5 / degrees + 0.5 * ratio.ln_1p()
            - half / degrees * (1.0 / (1.0 + 1.0 / ratio));
    let gradient = [
        -by_error / spread,
        (1.0 - error * by_error) / spread * spread_slope,
        by_degrees * degrees_slope,
    ];
    (loss, bounded(gradient))
}

/// The parameters of a negative binomial distribution, and their derivatives by
/// the raw numbers.
struct Counts {
    mean: f64,
    mean_slope: f64,
    shape: f64,
    shape_slope: f64,
}

impl Counts {
    fn of(raw: Raw, scale: f64) -> Self {
        let (mean, mean_slope) = softplus(raw[0]);
        let (shape, shape_slope) = softplus(raw[1]);
        let root = scale.sqrt();
        Self {
            mean: scale * mean,
            mean_slope: scale * mean_slope,
            shape: shape / root,
            shape_slope: shape_slope / root,
        }
    }
}

fn negative_binomial(raw: Raw, value: f64, scale: f64) -> (f64, Raw) {
    let counts = Counts::of(raw, scale);
    let (m, a) = (counts.mean, counts.shape);
    let r = 1.0 / a;
    let spread = (a * m).ln_1p();
    let loss = ln_gamma(value + 1.0) + ln_gamma(r) - ln_gamma(value + r) + r * spread
        - value * ((a * m).ln() - spread);
    let by_mean = (m - value) / (m * (1.0 + a * m));
    let by_shape =
        r * r * (digamma(value + r) - digamma(r) - spread) - (value - m) * r / (1.0 + a * m);
    let gradient = [
        by_mean * counts.mean_slope,
        by_shape * counts.shape_slope,
        0.0,
    ];
    (loss, bounded(gradient))
}

fn beta(raw: Raw, value: f64) -> (f64, Raw) {
    let (a, a_slope) = softplus(raw[0]);
    let (b, b_slope) = softplus(raw[1]);
    // At 0 and 1 the density is 0 or infinite.
    let value = value.clamp(FLOOR, 1.0 - FLOOR);
    let (from_0, from_1) = (value.ln(), (-value).ln_1p());
    let loss =
        ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b) - (a - 1.0) * from_0 - (b - 1.0) * from_1;
    let both = digamma(a + b);
    let gradient = [
        (digamma(a) - both - from_0) * a_slope,
        (digamma(b) - both - from_1) * b_slope,
        0.0,
    ];
    (loss, bounded(gradient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn golden() -> Value {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/data/likelihood.json"
        );
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn likelihood(value: &Value) -> Likelihood {
        Likelihood::ALL
            .into_iter()
            .find(|likelihood| value == likelihood.name())
            .unwrap()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn raw(value: &Value) -> Raw {
        let mut raw = Raw::default();
        for (raw, number) in raw.iter_mut().zip(numbers(value)) {
            *raw = number;
        }
        raw
    }

    /// SciPy's densities and mpmath's slopes, those by the degrees of freedom
    /// included; 1e-10 relative to the larger of 1 and the value.
    #[test]
    fn densities_and_slopes_are_those_of_scipy_and_mpmath() {
        let golden = golden();
        let cases = golden["densities"].as_array().unwrap();
        assert!(cases.len() > 50);
        for case in cases {
            let likelihood = likelihood(&case["likelihood"]);
            let (value, scale) = (case["value"].as_f64(), case["scale"].as_f64());
            let (loss, gradient) =
                likelihood.loss(raw(&case["raw"]), value.unwrap(), scale.unwrap());
            let wanted = case["loss"].as_f64().unwrap();
            assert!(
                (loss - wanted).abs() < 1e-10 * wanted.abs().max(1.0),
                "{case}: {loss}"
            );
            for (ours, theirs) in gradient.iter().zip(numbers(&case["gradient"])) {
                assert!(
                    (ours - theirs).abs() < 1e-8 * theirs.abs().max(1.0),
                    "{case}: {gradient:?}"
                );
            }
        }
    }

    /// The largest distance between the share of samples up to a value and the
    /// distribution function there, which exceeds 1.95 / sqrt(n) once in a thousand
    /// times if they agree (Kolmogorov and Smirnov; less often for counts).
    #[test]
    fn samples_are_distributed_as_scipys() {
        let golden = golden();
        let cases = golden["distributions"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for (seed, case) in cases.iter().enumerate() {
            let likelihood = likelihood(&case["likelihood"]);
            let (raw, scale) = (raw(&case["raw"]), case["scale"].as_f64().unwrap());
            let mut random = Random::keyed(&[17, seed as u64]);
            let mut samples: Vec<f64> = (0..20_000)
                .map(|_| likelihood.sample(raw, scale, &mut random))
                .collect();
            samples.sort_unstable_by(f64::total_cmp);
            #[expect(clippy::cast_precision_loss, reason = "20,000 at most")]
            let share = |value: f64| {
                samples.partition_point(|sample| *sample <= value) as f64 / samples.len() as f64
            };
            for (value, wanted) in numbers(&case["values"]).iter().zip(numbers(&case["cdf"])) {
                let distance = (share(*value) - wanted).abs();
                assert!(distance < 1.95 / 20_000_f64.sqrt(), "{case}: {distance}");
            }
        }
    }

    /// What is the same but for its scale is as good.
    #[test]
    fn comparable_losses_do_not_depend_on_the_scale() {
        for likelihood in [
            Likelihood::Gaussian,
            Likelihood::StudentT,
            Likelihood::DeterministicL1,
        ] {
            let raw = [0.3, -1.0, 0.2];
            let losses = [1e-9, 1.0, 250.0].map(|scale| {
                let (loss, _) = likelihood.loss(raw, 0.7 * scale, scale);
                likelihood.comparable(loss, scale)
            });
            assert!((losses[0] - losses[1]).abs() < 1e-9, "{losses:?}");
            assert!((losses[2] - losses[1]).abs() < 1e-9, "{losses:?}");
        }
    }

    #[test]
    fn a_deterministic_sample_is_the_value() {
        let sample = Likelihood::DeterministicL1.sample([2.0, 0.0, 0.0], 3.0, &mut Random::new(1));
        assert_eq!(sample.to_bits(), 6.0_f64.to_bits());
    }

    proptest! {
        #[test]
        fn loss_and_gradient_are_finite_for_every_value(
            kind in 0..5_usize,
            raw in prop::array::uniform3(-1e4..1e4_f64),
            value in prop_oneof![Just(0.0), -1e15..1e15_f64, 0.0..1.0_f64, 0.0..1e-12_f64],
            scale in prop_oneof![Just(1e-10), Just(1e15), 1e-12..1e3_f64],
        ) {
            let likelihood = Likelihood::ALL[kind];
            let value = if likelihood == Likelihood::NegativeBinomial {
                value.abs().round()
            } else {
                value
            };
            let (loss, gradient) = likelihood.loss(raw, value, scale);
            prop_assert!(loss.is_finite(), "{}: {}", likelihood, loss);
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "{}: {:?}", likelihood, gradient);
            let sample = likelihood.sample(raw, scale, &mut Random::new(3));
            prop_assert!(!sample.is_nan(), "{}", likelihood);
        }
    }
}
