//! Scores against those of GluonTS's evaluator (`tests/golden/make_scores.py`).

use pipewright_forecast::hyperparameters::Quantile;
use pipewright_forecast::score::{Score, sample_quantile};
use serde::Deserialize;

#[derive(Deserialize)]
struct Panel {
    quantiles: Vec<String>,
    /// By window, then by sample, then by point.
    samples: Vec<Vec<Vec<f32>>>,
    /// By window, then by point.
    actuals: Vec<Vec<Option<f32>>>,
    rmse: f64,
    #[serde(rename = "mean_absolute_QuantileLoss")]
    mean_absolute_quantile_loss: f64,
    #[serde(rename = "mean_wQuantileLoss")]
    mean_weighted_quantile_loss: f64,
    #[serde(rename = "wQuantileLoss")]
    weighted_quantile_loss: Vec<f64>,
}

/// The values of a point, ascending.
fn sorted(samples: &[Vec<f32>], point: usize) -> Vec<f32> {
    let mut values: Vec<f32> = samples.iter().map(|sample| sample[point]).collect();
    values.sort_unstable_by(f32::total_cmp);
    values
}

fn mean(values: &[f32]) -> f64 {
    let count = u32::try_from(values.len()).expect("few samples");
    values.iter().copied().map(f64::from).sum::<f64>() / f64::from(count)
}

#[test]
fn scores_are_those_of_gluonts() {
    let text = include_str!("../../../tests/golden/data/scores.json");
    let panels: Vec<Panel> = serde_json::from_str(text).expect("the golden file fits these types");
    assert_eq!(panels.len(), 3);
    for panel in &panels {
        let quantiles: Vec<Quantile> = panel
            .quantiles
            .iter()
            .map(|text| Quantile::parse(text).expect("a quantile"))
            .collect();
        let mut score = Score::new(&quantiles);
        for (samples, actuals) in panel.samples.iter().zip(&panel.actuals) {
            let points: Vec<Vec<f32>> = (0..actuals.len())
                .map(|point| sorted(samples, point))
                .collect();
            let means: Vec<f64> = points.iter().map(|values| mean(values)).collect();
            let forecast = |level: f64| {
                let at = |values: &Vec<f32>| sample_quantile(values, level).expect("a sample");
                points.iter().map(|values| f64::from(at(values))).collect()
            };
            let forecasts: Vec<Vec<f64>> = quantiles.iter().map(|q| forecast(q.value)).collect();
            let actuals: Vec<f32> = actuals.iter().map(|y| y.unwrap_or(f32::NAN)).collect();
            score.add(&actuals, &means, &forecasts);
        }
        let metrics = score.metrics();
        let close = |ours: f64, theirs: f64, name: &str| {
            assert!(
                (ours - theirs).abs() <= 1e-6 * theirs,
                "{name}: {ours} {theirs}"
            );
        };
        close(metrics.rmse, panel.rmse, "RMSE");
        let absolute = metrics.mean_absolute_quantile_loss;
        close(
            absolute,
            panel.mean_absolute_quantile_loss,
            "mean_absolute_QuantileLoss",
        );
        let weighted = metrics.mean_weighted_quantile_loss;
        close(
            weighted,
            panel.mean_weighted_quantile_loss,
            "mean_wQuantileLoss",
        );
        assert_eq!(
            metrics.weighted_quantile_loss.len(),
            panel.weighted_quantile_loss.len()
        );
        for ((quantile, ours), theirs) in metrics
            .weighted_quantile_loss
            .iter()
            .zip(&panel.weighted_quantile_loss)
        {
            close(*ours, *theirs, &quantile.text);
        }
    }
}
