//! The forecasts of the test channel's last points, scored.

use pipewright_forecast::deepar::Model;
use pipewright_forecast::hyperparameters::Hyperparameters;
use pipewright_forecast::metrics::Metric;
use pipewright_forecast::score::{Metrics, Score, TestScores};
use pipewright_forecast::series::Series;
use pipewright_matmul::parallel;

use super::fault::Fault;
use crate::log::Log;

/// The most values of one forecast: 1 GB.
const MOST_VALUES: usize = 1 << 28;

/// How many batches of series are scored between two lines of the log.
const EVERY: usize = 10;

/// Refuses hyperparameters whose forecasts would fill the memory.
pub(super) fn check(hyperparameters: &Hyperparameters) -> Result<(), Fault> {
    let samples = hyperparameters.num_eval_samples;
    let length = hyperparameters.prediction_length;
    if samples.saturating_mul(length) <= MOST_VALUES {
        return Ok(());
    }
    Err(Fault::TooManySamples {
        samples,
        length,
        most: MOST_VALUES,
    })
}

/// Forecasts the last `prediction_length` points of each series from those before
/// them, and scores the forecasts, all together and each; `None` if `is_stopped` becomes true.
pub(super) fn evaluate(
    model: &Model,
    series: &[Series],
    hyperparameters: &Hyperparameters,
    threads: usize,
    log: &Log,
    is_stopped: &dyn Fn() -> bool,
) -> Option<(Metrics, TestScores)> {
    let quantiles = &hyperparameters.test_quantiles;
    let levels: Vec<f64> = quantiles.iter().map(|quantile| quantile.value).collect();
    let held_out = hyperparameters.prediction_length;
    let none = Score::new(quantiles);
    let mut score = none.clone();
    let mut records = Vec::with_capacity(series.len());
    for (batch, series) in series.chunks(hyperparameters.mini_batch_size).enumerate() {
        if is_stopped() {
            return None;
        }
        let forecast = |number: usize| {
            let whole: &Series = &series[number];
            let known = whole.target.len() - held_out;
            let history = Series {
                target: whole.target[..known].to_vec(),
                ..whole.clone()
            };
            #[expect(
                clippy::expect_used,
                reason = "the series have been checked against the model's settings"
            )]
            let forecast = model
                .predict(&history, hyperparameters.num_eval_samples)
                .expect("a test series fits the model");
            (forecast.mean(), forecast.quantiles(&levels))
        };
        let forecasts = parallel::map(series.len(), threads, forecast, &mut |_, _| ());
        // Added in the series' order, so that no sum depends on the threads.
        for (series, (mean, quantiles)) in series.iter().zip(&forecasts) {
            let known = series.target.len() - held_out;
            let actuals = &series.target[known..];
            score.add(actuals, mean, quantiles);
            let mut of_record = none.clone();
            of_record.add(actuals, mean, quantiles);
            records.push(of_record.sums().clone());
        }
        if (batch + 1).is_multiple_of(EVERY) {
            log.info(format_args!("Number of test batches scored: {}", batch + 1));
        }
    }
    let quantiles = quantiles.iter().map(|quantile| quantile.text.clone());
    let quantiles = quantiles.collect();
    Some((score.metrics(), TestScores { quantiles, records }))
}

/// Prints the scores of the test channel.
pub(super) fn tell(log: &Log, host: &str, metrics: &Metrics) {
    let test_score =
        |name: &str, value: f64| log.info(format_args!("#test_score ({host}, {name}): {value:?}"));
    test_score("RMSE", metrics.rmse);
    test_score(
        "mean_absolute_QuantileLoss",
        metrics.mean_absolute_quantile_loss,
    );
    test_score("mean_wQuantileLoss", metrics.mean_weighted_quantile_loss);
    for (quantile, loss) in &metrics.weighted_quantile_loss {
        test_score(&format!("wQuantileLoss[{}]", quantile.text), *loss);
    }
    for coverage in &metrics.coverage {
        log.addition(format_args!(
            "the central {:.0} % interval covers {:.1} % of the test channel's {} points",
            100.0 * coverage.nominal,
            100.0 * coverage.actual,
            metrics.points,
        ));
    }
    log.info(Metric::TestRmse(metrics.rmse).of(host));
    log.info(Metric::TestQuantileLoss(metrics.mean_weighted_quantile_loss).of(host));
}
