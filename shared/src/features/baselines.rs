//! What forecasts a model has to beat: the scores of naive forecasts on the
//! test windows.
//!
//! They are scored as DeepAR scores itself on the test channel: the last
//! `predictionLength` points of every record of the test file are forecast from
//! the points before them, and compared by the formulas of
//! [`score`](pipewright_forecast::score) at the same quantiles. The forecasts
//! are those of [`baseline`](pipewright_forecast::baseline).

use std::collections::BTreeMap;

use pipewright_forecast::baseline::Baseline;
use pipewright_forecast::hyperparameters::{Hyperparameters, Quantile};
use pipewright_forecast::score::{Metrics, Score};
use pipewright_matmul::parallel;
use serde::Serialize;
use time::Date;

use super::alignment::Table;
use super::columns::ColumnKind;
use super::deepar::{self, Series};
use super::error::FeatureError;
use super::summary::as_text;
use crate::record::rows::recordable;
use crate::training_template::{Calendar, DeepArSettings, Freq};

/// The steps of a season of the trading calendar, which has no weekends.
const TRADING_WEEK: usize = 5;

/// What the figures are, for the reader of the file.
const NOTE: &str = "forecasts of the last points of each test record from those before them, scored as DeepAR \
                    scores itself on the test channel; a model is worth something only if it beats them";

/// How good naive forecasts of the test windows are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baselines {
    /// What the figures are.
    note: &'static str,
    /// The points of a season, for the seasonal naive forecast.
    pub season: usize,
    /// The quantiles that are scored.
    pub quantiles: Vec<f64>,
    /// Over all series of the test file: what DeepAR's own scores are over.
    pub all_series: Scored,
    /// Of the predicted asset's price alone; absent where its series is left out
    /// of the files.
    pub predicted: Option<AssetScored>,
    /// Of each asset's price alone.
    pub assets: Vec<AssetScored>,
}

/// Scores over a set of series.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scored {
    /// How many series.
    pub series: usize,
    /// How many held-out values there are in all windows.
    pub observations: usize,
    /// Each baseline's score over all windows.
    pub scores: Vec<BaselineScore>,
    /// The same window by window.
    pub windows: Vec<WindowScored>,
}

/// Scores of one asset's price.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetScored {
    /// Its ticker.
    pub asset: String,
    /// Its scores.
    #[serde(flatten)]
    pub scored: Scored,
}

/// Scores in one test window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowScored {
    /// The window, counted from 1.
    pub window: usize,
    /// Its first day.
    #[serde(serialize_with = "as_text")]
    pub first_date: Date,
    /// Its last day.
    #[serde(serialize_with = "as_text")]
    pub last_date: Date,
    /// How many held-out values there are.
    pub observations: usize,
    /// Each baseline's score.
    pub scores: Vec<BaselineScore>,
}

/// A baseline's score, by the names that DeepAR's metrics have. A figure that is
/// no number (of no observation, say) is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineScore {
    /// The baseline.
    pub method: &'static str,
    /// The root of the mean squared error.
    #[serde(rename = "RMSE")]
    pub rmse: f64,
    /// The mean over the quantiles of the sums of their losses.
    #[serde(rename = "mean_absolute_QuantileLoss")]
    pub mean_absolute_quantile_loss: f64,
    /// The mean over the quantiles of their losses over the sum of the values'
    /// sizes.
    #[serde(rename = "mean_wQuantileLoss")]
    pub mean_weighted_quantile_loss: f64,
    /// That loss of each quantile.
    #[serde(rename = "wQuantileLoss")]
    pub weighted_quantile_loss: BTreeMap<String, f64>,
    /// The share of the values in each central interval, by the share that ought
    /// to be there, in percent.
    pub coverage: BTreeMap<String, f64>,
}

/// The scores in a few figures, for the execution's record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BaselineSummary {
    /// How many test windows there are.
    pub windows: usize,
    /// Over all series of the test file.
    pub all_series: ScoreSummary,
    /// Of the predicted asset's price alone.
    pub predicted: Option<ScoreSummary>,
}

/// A score's figures for the record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScoreSummary {
    /// The asset, of one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// How many series.
    pub series: usize,
    /// How many held-out values.
    pub observations: usize,
    /// Each baseline's `method`, `RMSE` and `mean_wQuantileLoss`.
    pub scores: Vec<FigureSummary>,
}

/// A baseline's two figures that DeepAR gives as metrics of a training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FigureSummary {
    /// The baseline.
    pub method: &'static str,
    /// As in [`BaselineScore`]; absent if it is none that the record can hold.
    #[serde(rename = "RMSE")]
    pub rmse: Option<f64>,
    /// As in [`BaselineScore`]; likewise.
    #[serde(rename = "mean_wQuantileLoss")]
    pub mean_weighted_quantile_loss: Option<f64>,
}

/// The hyperparameters of a training that say how forecasts are scored and what
/// values they can be of, by the table that our own DeepAR reads.
pub(super) fn scoring(settings: &DeepArSettings) -> Result<Hyperparameters, FeatureError> {
    let given = settings.hyper_params.iter();
    let chosen = given.filter(|(name, _)| ["likelihood", "test_quantiles"].contains(name));
    let texts: BTreeMap<String, String> = [
        ("time_freq", settings.freq.name().to_owned()),
        ("prediction_length", settings.prediction_length.to_string()),
        ("context_length", settings.context_length.to_string()),
        // It has no default, and no bearing on scores.
        ("epochs", "1".to_owned()),
    ]
    .into_iter()
    .chain(chosen.map(|(name, text)| (name, text.to_owned())))
    .map(|(name, text)| (name.to_owned(), text))
    .collect();
    Hyperparameters::from_texts(&texts).map_err(FeatureError::Hyperparameters)
}

impl Baselines {
    /// Scores the baselines on the test windows of `plan`.
    pub(super) fn new(
        settings: &DeepArSettings,
        scoring: &Hyperparameters,
        plan: &deepar::Plan,
        Table { dates, columns }: &Table,
        predicted: &str,
        threads: usize,
    ) -> Self {
        let season = match (settings.calendar, settings.freq) {
            (Calendar::Trading, Freq::Day) => TRADING_WEEK,
            _ => scoring.time_freq.season(),
        };
        let quantiles = &scoring.test_quantiles;
        let levels: Vec<f64> = quantiles.iter().map(|quantile| quantile.value).collect();
        let days = plan.test_days(dates);
        let mut all = Board::new(quantiles, days.len());
        let is_price = |series: &&Series| columns[series.column].kind == ColumnKind::Price;
        let mut assets: BTreeMap<usize, Board> = plan
            .series
            .iter()
            .filter(is_price)
            .map(|series| (series.column, Board::new(quantiles, days.len())))
            .collect();
        for window in 0..days.len() {
            let forecasts = parallel::map(
                plan.series.len(),
                threads,
                |number| {
                    let series = &plan.series[number];
                    let values = &columns[series.column].values;
                    let target = plan.test_target(series, window, dates, values);
                    Forecasts::new(&target, settings.prediction_length, season, &levels)
                },
                &mut |_, _| (),
            );
            // In the order of the file, so that no sum depends on the threads.
            for (series, forecasts) in plan.series.iter().zip(&forecasts) {
                all.add(window, forecasts);
                if let Some(board) = assets.get_mut(&series.column) {
                    board.add(window, forecasts);
                }
            }
        }
        let assets: Vec<AssetScored> = assets
            .iter()
            .filter_map(|(column, board)| {
                Some(AssetScored {
                    asset: columns[*column].asset.clone()?,
                    scored: board.scored(1, &days),
                })
            })
            .collect();
        Self {
            note: NOTE,
            season,
            quantiles: levels,
            all_series: all.scored(plan.series.len(), &days),
            predicted: assets.iter().find(|one| one.asset == predicted).cloned(),
            assets,
        }
    }

    /// The figures for the record.
    pub fn summary(&self) -> BaselineSummary {
        let summary = |asset: Option<&str>, scored: &Scored| ScoreSummary {
            asset: asset.map(str::to_owned),
            series: scored.series,
            observations: scored.observations,
            scores: scored
                .scores
                .iter()
                .map(|score| FigureSummary {
                    method: score.method,
                    rmse: recordable(score.rmse),
                    mean_weighted_quantile_loss: recordable(score.mean_weighted_quantile_loss),
                })
                .collect(),
        };
        BaselineSummary {
            windows: self.all_series.windows.len(),
            all_series: summary(None, &self.all_series),
            predicted: self
                .predicted
                .as_ref()
                .map(|one| summary(Some(&one.asset), &one.scored)),
        }
    }
}

/// The forecasts of one record.
struct Forecasts {
    actuals: Vec<f32>,
    /// Of each baseline, its mean and its quantiles.
    of: Vec<(Vec<f64>, Vec<Vec<f64>>)>,
}

impl Forecasts {
    fn new(target: &[f32], length: usize, season: usize, levels: &[f64]) -> Self {
        // A series of the files is longer than a window.
        let (past, actuals) = target.split_at(target.len().saturating_sub(length));
        let forecast = |baseline: &Baseline| {
            let forecast = baseline.forecast(past, season, length)?;
            let quantiles = forecast.quantiles(levels);
            Some((forecast.mean, quantiles))
        };
        Self {
            actuals: actuals.to_vec(),
            // Each has one: a series begins with a value.
            of: Baseline::ALL.iter().filter_map(forecast).collect(),
        }
    }
}

/// The scores of every baseline over all windows and in each.
struct Board {
    all: Vec<Score>,
    windows: Vec<Vec<Score>>,
}

impl Board {
    fn new(quantiles: &[Quantile], windows: usize) -> Self {
        let row = || vec![Score::new(quantiles); Baseline::ALL.len()];
        Self {
            all: row(),
            windows: (0..windows).map(|_| row()).collect(),
        }
    }

    fn add(&mut self, window: usize, forecasts: &Forecasts) {
        for row in [&mut self.all, &mut self.windows[window]] {
            for (score, (mean, quantiles)) in row.iter_mut().zip(&forecasts.of) {
                score.add(&forecasts.actuals, mean, quantiles);
            }
        }
    }

    fn scored(&self, series: usize, days: &[(Date, Date)]) -> Scored {
        let windows = self.windows.iter().zip(days).zip(1..);
        Scored {
            series,
            observations: points(&self.all),
            scores: scores(&self.all),
            windows: windows
                .map(|((row, (first_date, last_date)), window)| WindowScored {
                    window,
                    first_date: *first_date,
                    last_date: *last_date,
                    observations: points(row),
                    scores: scores(row),
                })
                .collect(),
        }
    }
}

fn points(row: &[Score]) -> usize {
    row.first().map_or(0, |score| score.metrics().points)
}

fn scores(row: &[Score]) -> Vec<BaselineScore> {
    let of = |(baseline, score): (&Baseline, &Score)| {
        let Metrics {
            rmse,
            mean_absolute_quantile_loss,
            mean_weighted_quantile_loss,
            weighted_quantile_loss,
            coverage,
            ..
        } = score.metrics();
        BaselineScore {
            method: baseline.name(),
            rmse,
            mean_absolute_quantile_loss,
            mean_weighted_quantile_loss,
            weighted_quantile_loss: weighted_quantile_loss
                .into_iter()
                .map(|(quantile, loss)| (quantile.text, loss))
                .collect(),
            coverage: coverage
                .into_iter()
                .map(|one| (format!("{:.0}", 100.0 * one.nominal), 100.0 * one.actual))
                .collect(),
        }
    };
    Baseline::ALL.iter().zip(row).map(of).collect()
}
