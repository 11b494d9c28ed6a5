//! Series drawn from known distributions: what each likelihood learns is that
//! distribution.

#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::ops::ControlFlow;

use pipewright_forecast::calendar::Period;
use pipewright_forecast::deepar::{Filling, ModelSettings, Trainer};
use pipewright_forecast::hyperparameters::Likelihood;
use pipewright_forecast::series::Series;
use pipewright_matmul::random::Random;
use rand_distr::{Beta, Distribution, Exp1, Gamma, Poisson, StandardNormal, StudentT};

const LEVELS: [f64; 11] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

fn settings(likelihood: Likelihood) -> ModelSettings {
    ModelSettings {
        frequency: "D".parse().unwrap(),
        context_length: 14,
        prediction_length: 7,
        likelihood,
        cardinality: Vec::new(),
        dynamic_features: 0,
        cells: 12,
        layers: 1,
        dropout: 0.1,
        embedding: 1,
        learning_rate: 3e-3,
        batch: 64,
        epochs: 60,
        patience: None,
        filling: Filling::Sampled,
        seed: 3,
    }
}

/// Every point of every series is an independent draw.
fn series(draw: &dyn Fn(&mut Random) -> f64, seed: u64) -> Vec<Series> {
    (0..40)
        .map(|number| {
            let mut random = Random::keyed(&[seed, number]);
            Series {
                start: Period(18_000),
                #[expect(clippy::cast_possible_truncation, reason = "the series' own precision")]
                target: (0..150).map(|_| draw(&mut random) as f32).collect(),
                cat: Vec::new(),
                dynamic_feat: Vec::new(),
            }
        })
        .collect()
}

fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let of = |level: f64| pipewright_forecast::score::sample_quantile(&values, level).unwrap();
    LEVELS.map(of).to_vec()
}

/// The samples of all forecasts after a training on draws.
fn learned(likelihood: Likelihood, draw: &dyn Fn(&mut Random) -> f64) -> (Vec<f64>, Vec<[f64; 2]>) {
    let mut trainer = Trainer::new(settings(likelihood), series(draw, 1), 1).unwrap();
    while !trainer.is_finished() {
        trainer.epoch(&mut |_| ControlFlow::Continue(())).unwrap();
    }
    let model = trainer.model().unwrap();
    let (mut samples, mut intervals) = (Vec::new(), Vec::new());
    for series in series(draw, 2) {
        let forecast = model.predict(&series, 300).unwrap();
        samples.extend(forecast.samples().flatten().copied().map(f64::from));
        let [low, high] = &forecast.quantiles(&[0.1, 0.9])[..] else {
            unreachable!("two levels")
        };
        intervals.extend(low.iter().zip(high).map(|(low, high)| [*low, *high]));
    }
    (samples, intervals)
}

/// The share of new draws within the intervals that the forecasts give.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn coverage(intervals: &[[f64; 2]], draw: &dyn Fn(&mut Random) -> f64) -> f64 {
    let mut random = Random::new(7);
    let draws = 50 * intervals.len();
    let within = (0..draws)
        .filter(|number| {
            let [low, high] = intervals[number % intervals.len()];
            (low..=high).contains(&draw(&mut random))
        })
        .count();
    within as f64 / draws as f64
}

/// Quantiles of the forecasts are those of the distribution, to a tenth of its
/// spread from the 10 to the 90 % quantile, and 80 % intervals cover 76 to 84 %.
fn comes_back(likelihood: Likelihood, draw: &dyn Fn(&mut Random) -> f64) {
    let (samples, intervals) = learned(likelihood, draw);
    let mut random = Random::new(11);
    let truth = quantiles((0..200_000).map(|_| draw(&mut random)).collect());
    let found = quantiles(samples);
    let spread = truth[9] - truth[1];
    for ((level, truth), found) in LEVELS.iter().zip(&truth).zip(&found) {
        assert!(
            (truth - found).abs() <= 0.1 * spread,
            "{likelihood}: quantile {level} is {found}, not {truth}"
        );
    }
    let share = coverage(&intervals, draw);
    assert!((0.76..=0.84).contains(&share), "{likelihood}: {share}");
}

fn normal(random: &mut Random) -> f64 {
    StandardNormal.sample(random)
}

#[test]
fn a_normal_distribution_comes_back() {
    comes_back(Likelihood::Gaussian, &|random| 20.0 + 3.0 * normal(random));
}

/// A model that learns from draws of a Student-t distribution forecasts that distribution: its quantiles, and intervals that hold their share.
#[test]
fn a_student_t_distribution_comes_back() {
    let heavy = StudentT::new(4.0).unwrap();
    comes_back(Likelihood::StudentT, &|random| {
        20.0 + 2.0 * heavy.sample(random)
    });
}

#[test]
fn a_beta_distribution_comes_back() {
    let beta = Beta::new(2.0, 5.0).unwrap();
    comes_back(Likelihood::Beta, &|random| beta.sample(random));
}

/// Mean 200 and variance 200 + 0.3 · 200².
#[test]
fn a_negative_binomial_distribution_comes_back() {
    let rate = Gamma::new(1.0 / 0.3, 0.3 * 200.0).unwrap();
    comes_back(Likelihood::NegativeBinomial, &|random| {
        let rate: f64 = rate.sample(random);
        Poisson::new(rate).map_or(0.0, |poisson| poisson.sample(random))
    });
}

/// The absolute error is least at the median, which lies far below this distribution's mean.
#[test]
fn the_median_of_a_skewed_distribution_comes_back() {
    let draw = |random: &mut Random| {
        let exponential: f64 = Exp1.sample(random);
        10.0 * exponential
    };
    let (samples, _) = learned(Likelihood::DeterministicL1, &draw);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let median = 10.0 * 2.0_f64.ln();
    assert!((mean - median).abs() < 0.7, "{mean}, not {median}");
}
