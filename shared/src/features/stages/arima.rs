//! ARIMA's prediction of each day's price from the days before, of the assets
//! named; the model is [`crate::features::arima`].

use std::collections::BTreeSet;

use pipewright_matmul::parallel;

use super::{ColumnStage, training_rows};
use crate::features::alignment::{Own, Panel};
use crate::features::arima::{self, ArimaError, first_predicted, rows_needed};
use crate::features::columns::{Causality, Column, ColumnDescription, ColumnKind};
use crate::features::error::FeatureError;
use crate::features::input::CatalogueAsset;
use crate::features::stage::{Log, Stage};
use crate::training_template::{Alignment, FeatureSettings, TrainingTemplate};

pub(super) struct Arima;

impl ColumnStage for Arima {
    fn stage(&self) -> Stage {
        Stage::Arima
    }

    fn switch<'a>(&self, features: &'a mut FeatureSettings) -> (&'static str, &'a mut bool) {
        let enabled = &mut features.arima.enabled;
        ("feMeta.arimaSettings.enabled", enabled)
    }

    fn describe(
        &self,
        template: &TrainingTemplate,
        _assets: Option<&[CatalogueAsset]>,
        _before: &[ColumnDescription],
    ) -> Vec<ColumnDescription> {
        let tickers: BTreeSet<&String> = template.features.arima.assets.iter().collect();
        let columns = tickers.iter().map(|ticker| of_asset(template, ticker));
        columns.collect()
    }

    fn faults(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        _columns: &[ColumnDescription],
    ) -> Vec<FeatureError> {
        let (p, d, _) = template.features.arima.order;
        let needed = rows_needed(p);
        let chosen = chosen(template, panel).into_iter();
        chosen
            .filter(|(_, rows)| *rows < needed)
            .map(|(own, rows)| {
                let error = ArimaError::TooFewRows { p, d, rows, needed };
                unfitted(template, own.ticker, error)
            })
            .collect()
    }

    fn make(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        threads: usize,
        log: &mut Log<'_>,
    ) -> Result<Vec<Column>, FeatureError> {
        let (p, d, q) = template.features.arima.order;
        let chosen = chosen(template, panel);
        let rows = || chosen.iter().map(|(_, rows)| rows);
        let fitted = match (rows().min(), rows().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most} rows of each"),
            (least, _) => format!("{} rows", least.unwrap_or(&0)),
        };
        log.started(
            self.stage(),
            format!(
                "ARIMA({p},{d},{q}) of {} assets, fitted to the first {fitted}",
                chosen.len()
            ),
        );
        let fit = |i: usize| {
            let (Own { prices, .. }, rows) = chosen[i];
            arima::Arima::fit(&prices[..rows], p, d).map(|fit| (fit.predict(prices), fit))
        };
        let fits = parallel::map(chosen.len(), threads, fit, &mut log.advanced(self.stage()));
        let mut columns = Vec::with_capacity(chosen.len());
        for ((own, _), fit) in chosen.iter().zip(fits) {
            let (values, fit) = fit.map_err(|error| unfitted(template, own.ticker, error))?;
            if let Some(doubt) = doubt(&fit, d) {
                log.warn(format!("ARIMA of {}: {doubt}", own.ticker));
            }
            columns.push(Column::new(of_asset(template, own.ticker), values));
        }
        log.finished(self.stage(), format!("{} columns", columns.len()));
        Ok(columns)
    }
}

/// The column of an asset.
fn of_asset(template: &TrainingTemplate, ticker: &str) -> ColumnDescription {
    let settings = &template.features.arima;
    let (p, d, q) = settings.order;
    let all = match template.features.alignment {
        Alignment::Common => "all rows",
        Alignment::Predicted { .. } | Alignment::Union => "the asset's days",
    };
    ColumnDescription {
        name: format!("{ticker}_ARIMA"),
        asset: Some(ticker.to_owned()),
        stage: Stage::Arima.name(),
        kind: ColumnKind::Arima,
        title: "ARIMA prediction".to_owned(),
        is_price_like: true,
        formula: format!(
            "ARIMA({p},{d},{q})'s prediction of x[t] from x[0..t-1], parameters by exact maximum likelihood"
        ),
        warm_up_rows: first_predicted(d),
        causality: Causality::Fitted {
            learns_from: format!("the first {} of {all}", settings.train_set_size),
            before: template.deepar.end_training,
        },
    }
}

/// The assets that get a column, each with the number of days that its model is
/// fitted to.
fn chosen<'a>(template: &TrainingTemplate, panel: &'a Panel) -> Vec<(Own<'a>, usize)> {
    let settings = &template.features.arima;
    let chosen = panel.own(|asset| settings.assets.contains(&asset.ticker));
    let rows = |own: &Own<'_>| training_rows(template, own.dates, settings.train_set_size);
    chosen.into_iter().map(|own| (own, rows(&own))).collect()
}

fn unfitted(template: &TrainingTemplate, ticker: &str, source: ArimaError) -> FeatureError {
    FeatureError::Arima {
        ticker: ticker.to_owned(),
        end_training: template.deepar.end_training,
        source,
    }
}

/// What is doubtful about a model of d-th differences.
fn doubt(fit: &arima::Arima, d: usize) -> Option<String> {
    let Some(change) = fit.constant_change() else {
        return (!fit.converged()).then(|| {
            "the fit did not reach its tolerance; its predictions are those of the best model found"
                .to_owned()
        });
    };
    Some(match d {
        0 => format!("every price of the training rows is {change}, so the predictions are that"),
        1 => format!(
            "every change of the training rows is {change}, so the predictions add it to the day before"
        ),
        _ => format!(
            "the changes of the training rows all grow by {change}, so the predictions let them go on so"
        ),
    })
}
