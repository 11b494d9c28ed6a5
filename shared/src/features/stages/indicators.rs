//! Technical indicators of the assets named, by the table in
//! [`crate::indicators`].

use std::collections::BTreeSet;

use pipewright_matmul::parallel;

use super::ColumnStage;
use crate::features::alignment::Panel;
use crate::features::columns::{Causality, Column, ColumnDescription, ColumnKind};
use crate::features::error::FeatureError;
use crate::features::input::CatalogueAsset;
use crate::features::stage::{Log, Stage};
use crate::training_template::{FeatureSettings, IndicatorSettings, TrainingTemplate};

pub(super) struct Indicators;

impl ColumnStage for Indicators {
    fn stage(&self) -> Stage {
        Stage::Indicators
    }

    fn switch<'a>(&self, features: &'a mut FeatureSettings) -> (&'static str, &'a mut bool) {
        let enabled = &mut features.indicators.enabled;
        ("feMeta.taSettings.enabled", enabled)
    }

    fn describe(
        &self,
        template: &TrainingTemplate,
        _assets: Option<&[CatalogueAsset]>,
        _before: &[ColumnDescription],
    ) -> Vec<ColumnDescription> {
        let settings = &template.features.indicators;
        let tickers: BTreeSet<&String> = settings.assets.iter().collect();
        let columns = tickers.iter().map(|ticker| of_asset(settings, ticker));
        columns.flatten().collect()
    }

    fn warm_ups(&self, template: &TrainingTemplate) -> Vec<(usize, String)> {
        let settings = &template.features.indicators;
        let chosen = settings.chosen.iter();
        chosen
            .filter(|_| !settings.assets.is_empty())
            .map(|one| (one.longest_warm_up(), one.windows()))
            .collect()
    }

    fn make(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        threads: usize,
        log: &mut Log<'_>,
    ) -> Result<Vec<Column>, FeatureError> {
        let settings = &template.features.indicators;
        let chosen = panel.own(|asset| settings.assets.contains(&asset.ticker));
        let names = listed(settings.chosen.iter().map(ToString::to_string));
        log.started(self.stage(), format!("{names} of {} assets", chosen.len()));
        let make = |i: usize| {
            let own = chosen[i];
            let values = settings.chosen.iter().flat_map(|one| one.make(own.prices));
            let columns = of_asset(settings, own.ticker).into_iter().zip(values);
            columns
                .map(|(column, values)| Column::new(column, values))
                .collect::<Vec<Column>>()
        };
        let made = parallel::map(chosen.len(), threads, make, &mut log.advanced(self.stage()));
        let columns: Vec<Column> = made.into_iter().flatten().collect();
        log.finished(self.stage(), format!("{} columns", columns.len()));
        Ok(columns)
    }
}

/// The columns of an asset, in the order of the table.
fn of_asset(settings: &IndicatorSettings, ticker: &str) -> Vec<ColumnDescription> {
    let columns = settings.chosen.iter().flat_map(|one| {
        let columns = one.indicator.columns.iter();
        columns.map(move |column| (one, column))
    });
    columns
        .map(|(one, column)| ColumnDescription {
            name: format!("{ticker}_{}", column.suffix),
            asset: Some(ticker.to_owned()),
            stage: Stage::Indicators.name(),
            kind: ColumnKind::Indicator(column),
            title: column.title.to_owned(),
            is_price_like: column.is_price_like,
            formula: one.formula(column),
            warm_up_rows: one.warm_up(column),
            causality: Causality::Causal,
        })
        .collect()
}

/// `a, b and c`.
fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    let last = items.pop().unwrap_or_default();
    match items.is_empty() {
        true => last,
        false => format!("{} and {last}", items.join(", ")),
    }
}
