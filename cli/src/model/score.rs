//! `pipewright score`: how good an execution's model is, window by window beside
//! forecasts that learn nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use pipewright::record::history;
use pipewright::record::model::{Compared, MeasureCompared, ModelScore};
use pipewright::record::rows::recordable;
use pipewright_forecast::hyperparameters::Quantile;
use pipewright_forecast::score::{Metrics, Score, Sums, TEST_SCORES_FILE, TestScores, sign_test};
use serde::Deserialize;

use super::{Bucket, Execution, Which, member, now, of_other_image};
use crate::execution::Format;
use crate::output;

/// Compare an execution's model with naive forecasts, over all series and for the asset that
/// it predicts.
///
/// The scores are those of the test channel's windows, which the training has written beside the
/// model. Only models of Pipewright's own DeepAR have them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Keep the scores with the execution, where `pipewright execution show` tells them.
    #[arg(long)]
    record: bool,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = pipewright_aws::config().await;
    let execution = Execution::find(&config, &arguments.which).await?;
    let bucket = Bucket::new(&config, &execution.account);
    let model = execution.artifact()?;
    let archive = bucket.read(model).await?;
    let file =
        member(&archive, TEST_SCORES_FILE).with_context(|| format!("{model} cannot be read"))?;
    let Some(file) = file else {
        bail!(
            "{}, or the training was stopped before it had scored the model, or had no test channel",
            of_other_image(model, TEST_SCORES_FILE)
        );
    };
    let scores: TestScores = serde_json::from_slice(&file)
        .with_context(|| format!("{TEST_SCORES_FILE} of {model} cannot be read"))?;
    let url = execution.file("features/baselines.json");
    let baselines: Baselines = serde_json::from_slice(&bucket.read(&url).await?)
        .with_context(|| format!("{url} cannot be read"))?;
    let url = execution.file("features/series.json");
    let series: Vec<Series> = serde_json::from_slice(&bucket.read(&url).await?)
        .with_context(|| format!("{url} cannot be read"))?;

    let asset = &execution.template.predicted_asset;
    let board = Board::new(&scores, &baselines, &series, asset)?;
    let at = now().unix_timestamp_nanos() / 1_000_000;
    let score = ModelScore {
        at: i64::try_from(at)?,
        model: model.to_owned(),
        windows: baselines.all_series.windows.len(),
        all_series: board.all.beside(&baselines.all_series, None),
        predicted: board
            .predicted
            .zip(baselines.predicted.as_ref())
            .map(|(tally, baselines)| tally.beside(baselines, Some(asset))),
    };
    match arguments.format {
        Format::Json => output::write_json(&score)?,
        Format::Text => {
            let mut out = output::stdout();
            for sentence in history::beside(&score) {
                writeln!(out, "{sentence}")?;
            }
        }
    }
    if arguments.record {
        execution.keep(&score.item(&execution.id)).await?;
        // Standard output is the scores'.
        writeln!(output::stderr(), "Kept with execution {}", execution.id)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is read of `features/series.json`: a series of the test channel, of which each window
/// has a record, in this order.
#[derive(Debug, Deserialize)]
struct Series {
    column: String,
    asset: Option<String>,
}

/// What is read of `features/baselines.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Baselines {
    quantiles: Vec<f64>,
    all_series: Scored,
    predicted: Option<Scored>,
}

/// Naive forecasts' scores over a set of series.
#[derive(Debug, Deserialize)]
struct Scored {
    series: usize,
    observations: usize,
    scores: Vec<BaselineScore>,
    windows: Vec<Window>,
}

#[derive(Debug, Deserialize)]
struct Window {
    scores: Vec<BaselineScore>,
}

/// A naive forecast's measures; one that is not a number is null.
#[derive(Debug, Deserialize)]
struct BaselineScore {
    method: String,
    #[serde(rename = "RMSE")]
    rmse: Option<f64>,
    #[serde(rename = "mean_wQuantileLoss")]
    mean_weighted_quantile_loss: Option<f64>,
}

/// A measure: its name, the model's value and a naive forecast's.
struct Measure {
    name: &'static str,
    of_model: fn(&Metrics) -> f64,
    of_baseline: fn(&BaselineScore) -> Option<f64>,
}

const MEASURES: [Measure; 2] = [
    Measure {
        name: "mean_wQuantileLoss",
        of_model: |metrics| metrics.mean_weighted_quantile_loss,
        of_baseline: |score| score.mean_weighted_quantile_loss,
    },
    Measure {
        name: "RMSE",
        of_model: |metrics| metrics.rmse,
        of_baseline: |score| score.rmse,
    },
];

/// The model's scores over all series, and of the predicted asset's alone.
struct Board {
    all: Tally,
    predicted: Option<Tally>,
}

impl Board {
    /// Finds each record's window and series: the file has, window by window, a record of each
    /// series.
    fn new(
        scores: &TestScores,
        baselines: &Baselines,
        series: &[Series],
        asset: &str,
    ) -> anyhow::Result<Self> {
        let quantiles = scores
            .quantiles
            .iter()
            .map(|text| {
                Quantile::parse(text).with_context(|| format!("{text:?} is not a quantile"))
            })
            .collect::<anyhow::Result<Vec<Quantile>>>()?;
        ensure!(
            quantiles
                .iter()
                .map(|quantile| quantile.value)
                .eq(baselines.quantiles.iter().copied()),
            "the model was scored at the quantiles {}, and the naive forecasts at {:?}: the training has other \
             test_quantiles than the template of the features",
            scores.quantiles.join(", "),
            baselines.quantiles
        );
        let windows = baselines.all_series.windows.len();
        let records = scores.records.len();
        ensure!(
            windows > 0 && records == windows * series.len(),
            "the model was scored on {records} records, and the features have {} series in {windows} test windows: the \
             training's test channel was another one",
            series.len()
        );
        let is_predicted =
            |one: &Series| one.column == asset && one.asset.as_deref() == Some(asset);
        let predicted = series.iter().position(is_predicted);
        let mut all = Tally::new(&quantiles, windows);
        let mut alone = Tally::new(&quantiles, windows);
        for (window, of_window) in scores.records.chunks(series.len()).enumerate() {
            for (number, sums) in of_window.iter().enumerate() {
                all.add(window, sums)?;
                if predicted == Some(number) {
                    alone.add(window, sums)?;
                }
            }
        }
        ensure!(
            all.all.metrics().points == baselines.all_series.observations,
            "the model was scored on {} values, and the naive forecasts on {}: the training's test channel was another one",
            all.all.metrics().points,
            baselines.all_series.observations
        );
        Ok(Self {
            all,
            predicted: predicted.map(|_| alone),
        })
    }
}

/// The model's scores over all windows and in each.
struct Tally {
    all: Score,
    windows: Vec<Score>,
}

impl Tally {
    fn new(quantiles: &[Quantile], windows: usize) -> Self {
        Self {
            all: Score::new(quantiles),
            windows: vec![Score::new(quantiles); windows],
        }
    }

    fn add(&mut self, window: usize, sums: &Sums) -> anyhow::Result<()> {
        ensure!(
            self.all.add_sums(sums) && self.windows[window].add_sums(sums),
            "{TEST_SCORES_FILE} has a record with another number of quantiles"
        );
        Ok(())
    }

    /// Each measure beside the naive forecast that is the best by it.
    fn beside(&self, baselines: &Scored, asset: Option<&str>) -> Compared {
        let metrics = self.all.metrics();
        let windows: Vec<Metrics> = self.windows.iter().map(Score::metrics).collect();
        let measures = MEASURES.iter().filter_map(|measure| {
            let model = recordable((measure.of_model)(&metrics))?;
            let (method, baseline) = baselines
                .scores
                .iter()
                .filter_map(|score| Some((&score.method, (measure.of_baseline)(score)?)))
                .min_by(|(_, a), (_, b)| a.total_cmp(b))?;
            let pairs = windows
                .iter()
                .zip(&baselines.windows)
                .filter_map(|(model, window)| {
                    let by_method: BTreeMap<&str, &BaselineScore> = window
                        .scores
                        .iter()
                        .map(|score| (score.method.as_str(), score))
                        .collect();
                    let baseline = (measure.of_baseline)(by_method.get(method.as_str())?)?;
                    Some((measure.of_model)(model) - baseline)
                });
            let differences: Vec<f64> = pairs.collect();
            let better = differences.iter().filter(|one| **one < 0.0).count();
            let worse = differences.iter().filter(|one| **one > 0.0).count();
            Some(MeasureCompared {
                measure: measure.name.to_owned(),
                model,
                method: method.clone(),
                baseline: recordable(baseline)?,
                better,
                worse,
                // The record holds no smaller number.
                p: sign_test(better, worse).max(1e-100),
            })
        });
        Compared {
            asset: asset.map(str::to_owned),
            series: baselines.series,
            observations: baselines.observations,
            measures: measures.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sums(error: f64) -> Sums {
        Sums {
            observations: 2,
            absolute_values: 10.0,
            squared_errors: 2.0 * error * error,
            quantile_losses: vec![error],
            covered: Vec::new(),
        }
    }

    fn scores(errors: &[f64]) -> TestScores {
        TestScores {
            quantiles: vec!["0.5".to_owned()],
            records: errors.iter().map(|error| sums(*error)).collect(),
        }
    }

    fn series() -> Vec<Series> {
        serde_json::from_value(json!([
            {"line": 1, "column": "KO", "asset": "KO"},
            {"line": 2, "column": "JPM", "asset": "JPM"},
            {"line": 3, "column": "JPM_rsi", "asset": "JPM"},
        ]))
        .unwrap()
    }

    /// Naive forecasts with an RMSE of 1 everywhere, and of 3 everywhere.
    fn baselines(windows: usize) -> Baselines {
        let scored = |series: usize, windows: usize| {
            let score = |method: &str, rmse: f64| json!({"method": method, "RMSE": rmse, "mean_wQuantileLoss": null});
            let scores = [score("drift", 3.0), score("last value", 1.0)];
            json!({
                "series": series,
                "observations": 2 * series * windows,
                "scores": scores,
                "windows": vec![json!({"window": 1, "scores": scores}); windows],
            })
        };
        let mut predicted = scored(1, windows);
        predicted["asset"] = json!("JPM");
        serde_json::from_value(json!({
            "season": 7, "quantiles": [0.5], "allSeries": scored(3, windows), "predicted": predicted,
        }))
        .unwrap()
    }

    /// A model's record in a window is compared with the naive forecasts of that window and series.
    #[test]
    fn the_predicted_assets_records_are_found_in_each_window() {
        // JPM: 0.5, 2, 0.5; everything together is always worse than 1.
        let model = scores(&[5.0, 0.5, 5.0, 5.0, 2.0, 5.0, 5.0, 0.5, 5.0]);
        let baselines = baselines(3);
        let board = Board::new(&model, &baselines, &series(), "JPM").unwrap();
        let alone = board
            .predicted
            .unwrap()
            .beside(baselines.predicted.as_ref().unwrap(), Some("JPM"));
        // There is no baseline's figure of the other measure.
        let [rmse] = &alone.measures[..] else {
            panic!("{alone:?}");
        };
        assert_eq!(
            (rmse.measure.as_str(), rmse.method.as_str()),
            ("RMSE", "last value")
        );
        assert_eq!((rmse.better, rmse.worse, rmse.p), (2, 1, 1.0));
        assert!((rmse.model - (1.5_f64).sqrt()).abs() < 1e-12);
        assert_eq!((alone.series, alone.observations), (1, 6));
        let all = board.all.beside(&baselines.all_series, None);
        assert_eq!((all.measures[0].better, all.measures[0].worse), (0, 3));
    }

    #[test]
    fn scores_of_another_test_channel_are_refused() {
        let refused = |model: &TestScores, asset: &str| {
            let fault = Board::new(model, &baselines(2), &series(), asset);
            fault.err().map(|fault| fault.to_string())
        };
        let six = [1.0; 6];
        assert_eq!(refused(&scores(&six), "JPM"), None);
        assert_eq!(refused(&scores(&six), "none of them"), None);
        let fault = refused(&scores(&six[1..]), "JPM").unwrap();
        assert!(fault.contains("5 records"), "{fault}");
        let mut other = scores(&six);
        other.quantiles = vec!["0.9".to_owned()];
        let fault = refused(&other, "JPM").unwrap();
        assert!(fault.contains("test_quantiles"), "{fault}");
        let mut fewer = scores(&six);
        fewer.records[0].observations = 1;
        let fault = refused(&fewer, "JPM").unwrap();
        assert!(fault.contains("11 values"), "{fault}");
        fewer.records[0].quantile_losses.push(1.0);
        let fault = refused(&fewer, "JPM").unwrap();
        assert!(fault.contains("number of quantiles"), "{fault}");
    }
}
