//! The columns that a template makes, in words: formula, warm-up, causality.

use std::collections::BTreeSet;

use super::columns::{Causality, ColumnDescription, ColumnKind};
use super::input::{CatalogueAsset, named_assets};
use super::stage::Stage;
use super::stages::{self, each_of};
use crate::training_template::{Alignment, BaseAssets, TrainingTemplate};

/// The columns of `features.csv`, in its order. `assets` are those that
/// [`assets_needed`](super::assets_needed) named (in any order). Without them a
/// name in angle brackets stands for the assets that only a catalogue knows.
pub fn describe(
    template: &TrainingTemplate,
    assets: Option<&[CatalogueAsset]>,
) -> Vec<ColumnDescription> {
    let assets = assets.map(|assets| {
        let mut sorted = assets.to_vec();
        sorted.sort_unstable();
        sorted
    });
    let tickers = match &assets {
        Some(assets) => assets.iter().map(|asset| asset.ticker.clone()).collect(),
        None => unknown(template),
    };
    let mut columns: Vec<ColumnDescription> = tickers
        .iter()
        .map(|ticker| price(template, ticker))
        .collect();
    for stage in stages::on(template, stages::all()) {
        let made = stage.describe(template, assets.as_deref(), &columns);
        columns.extend(made);
    }
    columns
}

/// The tickers of prices where no catalogue is known.
fn unknown(template: &TrainingTemplate) -> Vec<String> {
    let named: BTreeSet<&str> = named_assets(template).map(|(_, ticker)| ticker).collect();
    let mut tickers: Vec<String> = named.into_iter().map(str::to_owned).collect();
    match template.features.base_assets {
        BaseAssets::All => tickers.push("<each other asset>".to_owned()),
        BaseAssets::Listed(_) => {
            let classes = template.features.fft.asset_classes.iter();
            tickers.extend(classes.map(|class| each_of(class)));
        }
    }
    tickers
}

fn price(template: &TrainingTemplate, ticker: &str) -> ColumnDescription {
    let older = match template.features.alignment {
        Alignment::Predicted { max_age } if ticker != template.predicted_asset => {
            format!(", or the last one up to {max_age} days old")
        }
        _ => String::new(),
    };
    ColumnDescription {
        name: ticker.to_owned(),
        asset: Some(ticker.to_owned()),
        stage: Stage::Merge.name(),
        kind: ColumnKind::Price,
        title: "price".to_owned(),
        is_price_like: true,
        formula: format!("x[t], the closing price{older}"),
        warm_up_rows: 0,
        causality: Causality::Causal,
    }
}
