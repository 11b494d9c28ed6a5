//! The columns that a template makes, in words: formula, warm-up, causality.

use std::collections::BTreeSet;

use serde::Serialize;
use time::Date;

use super::arima::first_predicted;
use super::columns::ColumnKind;
use super::input::{CatalogueAsset, named_assets};
use super::low_pass::first_complete;
use super::stage::Stage;
use super::summary::as_text;
use crate::training_template::{
    Alignment, AutoencoderInputs, AutoencoderOutput, BaseAssets, FftEdge, FftMode, TrainingTemplate,
};

/// What a value of a column depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Causality {
    /// Prices up to its row.
    Causal,
    /// The rows that the stage learns from and, after those, prices up to its
    /// row.
    Fitted {
        /// Which rows it learns from, in words.
        learns_from: String,
        /// The day from which on it learns from no row: `endTraining`.
        #[serde(serialize_with = "as_text")]
        before: Date,
    },
    /// All prices, later ones included.
    Global,
}

/// A column before it is made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnDescription {
    /// Its heading.
    pub name: String,
    /// The ticker of the asset it is made from; absent for a unit of the
    /// autoencoder.
    pub asset: Option<String>,
    /// The stage that makes it, by its name on the command line.
    pub stage: &'static str,
    /// What it holds.
    #[serde(skip)]
    pub kind: ColumnKind,
    /// How it is computed; x is the asset's price, t the row, under other
    /// alignments than `common` the asset's own day.
    pub formula: String,
    /// Such rows at the start that have no value.
    pub warm_up_rows: usize,
    /// What a value depends on.
    pub causality: Causality,
}

/// The columns of `features.csv`, in its order. `assets` are those that
/// [`assets_needed`](super::assets_needed) named (in any order). Without them a
/// name in angle brackets stands for the assets that only a catalogue knows.
pub fn describe(
    template: &TrainingTemplate,
    assets: Option<&[CatalogueAsset]>,
) -> Vec<ColumnDescription> {
    let features = &template.features;
    let (prices, filtered) = match assets {
        Some(assets) => known(template, assets),
        None => unknown(template),
    };
    let mut columns = Vec::new();
    let mut add = |ticker: &str, kind: ColumnKind| {
        columns.push(description(template, ticker, kind));
    };
    for ticker in &prices {
        add(ticker, ColumnKind::Price);
    }
    // As everywhere: by ticker in byte order, whatever the template's order.
    let sorted = |tickers: &[String]| tickers.iter().cloned().collect::<BTreeSet<String>>();
    if features.indicators.enabled {
        for ticker in sorted(&features.indicators.assets) {
            for column in features.indicators.columns() {
                add(&ticker, ColumnKind::Indicator(column));
            }
        }
    }
    if features.arima.enabled {
        for ticker in sorted(&features.arima.assets) {
            add(&ticker, ColumnKind::Arima);
        }
    }
    if features.fft.enabled {
        for ticker in &filtered {
            for bins in &features.fft.steps {
                add(ticker, ColumnKind::LowPass { bins: *bins });
            }
        }
    }
    if features.autoencoder.enabled {
        let inputs: Vec<&ColumnDescription> = columns
            .iter()
            .filter(|column| column.asset.as_deref() != Some(&template.predicted_asset))
            .collect();
        let warm_up = inputs.iter().map(|column| {
            let changes = features.autoencoder.inputs == AutoencoderInputs::Changes
                && column.kind.is_price_like();
            column.warm_up_rows + usize::from(changes)
        });
        let warm_up = warm_up.max().unwrap_or(0);
        let units = inputs.len();
        let mut unit = description(template, "", ColumnKind::Autoencoder { unit: 0 });
        unit.asset = None;
        unit.warm_up_rows = warm_up;
        if assets.is_some() {
            columns.extend((0..units).map(|number| {
                let kind = ColumnKind::Autoencoder { unit: number };
                ColumnDescription {
                    name: kind.column_name(""),
                    kind,
                    ..unit.clone()
                }
            }));
        } else {
            "AE_<number>".clone_into(&mut unit.name);
            columns.push(unit);
        }
    }
    columns
}

/// The tickers with a price column, and those with low-pass columns.
fn known(template: &TrainingTemplate, assets: &[CatalogueAsset]) -> (Vec<String>, Vec<String>) {
    let mut assets: Vec<&CatalogueAsset> = assets.iter().collect();
    assets.sort_unstable();
    let classes = &template.features.fft.asset_classes;
    let filtered = assets
        .iter()
        .filter(|asset| classes.contains(&asset.class))
        .map(|asset| asset.ticker.clone())
        .collect();
    let prices = assets.iter().map(|asset| asset.ticker.clone()).collect();
    (prices, filtered)
}

/// The same where no catalogue is known.
fn unknown(template: &TrainingTemplate) -> (Vec<String>, Vec<String>) {
    let features = &template.features;
    let named: BTreeSet<&str> = named_assets(template).map(|(_, ticker)| ticker).collect();
    let mut prices: Vec<String> = named.into_iter().map(str::to_owned).collect();
    let classes = features.fft.asset_classes.iter();
    let filtered: Vec<String> = classes
        .map(|class| format!("<each asset of class {class}>"))
        .collect();
    if features.base_assets == BaseAssets::All {
        prices.push("<each other asset>".to_owned());
    } else {
        prices.extend(filtered.iter().cloned());
    }
    (prices, filtered)
}

fn price_formula(template: &TrainingTemplate, ticker: &str) -> String {
    let price = "x[t], the closing price";
    match template.features.alignment {
        Alignment::Predicted { max_age } if ticker != template.predicted_asset => {
            format!("{price}, or the last one up to {max_age} days old")
        }
        _ => price.to_owned(),
    }
}

fn description(template: &TrainingTemplate, ticker: &str, kind: ColumnKind) -> ColumnDescription {
    let features = &template.features;
    let before = template.deepar.end_training;
    let (stage, formula, warm_up_rows, causality) = match kind {
        ColumnKind::Price => (
            Stage::Merge,
            price_formula(template, ticker),
            0,
            Causality::Causal,
        ),
        ColumnKind::Indicator(column) => {
            let maker = features.indicators.maker(column);
            (
                Stage::Indicators,
                maker.map_or_else(String::new, |maker| maker.formula(column)),
                maker.map_or(0, |maker| maker.warm_up(column)),
                Causality::Causal,
            )
        }
        ColumnKind::Arima => {
            let (p, d, q) = features.arima.order;
            (
                Stage::Arima,
                format!(
                    "ARIMA({p},{d},{q})'s prediction of x[t] from x[0..t-1], parameters by exact maximum likelihood"
                ),
                first_predicted(d),
                Causality::Fitted {
                    learns_from: format!(
                        "the first {} of {}",
                        features.arima.train_set_size,
                        match features.alignment {
                            Alignment::Common => "all rows",
                            Alignment::Predicted { .. } | Alignment::Union => "the asset's days",
                        }
                    ),
                    before,
                },
            )
        }
        ColumnKind::LowPass { bins } => match features.fft.mode {
            FftMode::Global => (
                Stage::LowPass,
                format!("frequency bins 0 to {bins} of the whole series x"),
                0,
                Causality::Global,
            ),
            FftMode::Expanding(FftEdge::Mirror) => (
                Stage::LowPass,
                format!(
                    "value at t of the frequency bins 0 to {} of x[0..t] followed by its mirror image",
                    2 * bins
                ),
                first_complete(bins),
                Causality::Causal,
            ),
            FftMode::Expanding(FftEdge::Periodic) => (
                Stage::LowPass,
                format!("value at t of the frequency bins 0 to {bins} of x[0..t]"),
                first_complete(bins),
                Causality::Causal,
            ),
        },
        ColumnKind::Autoencoder { .. } => (
            Stage::Autoencoder,
            format!(
                "{} of the autoencoder (600 sigmoid, 330 relu, d relu, 330 relu, 600 relu, d sigmoid) on the {} of the d columns not made from {}, each scaled to 0..1 on the rows it learns from",
                match features.autoencoder.output {
                    AutoencoderOutput::Reconstruction => "unit of the last layer",
                    AutoencoderOutput::Middle => "unit of the third layer",
                },
                match features.autoencoder.inputs {
                    AutoencoderInputs::Changes => "changes",
                    AutoencoderInputs::Levels => "values",
                },
                template.predicted_asset
            ),
            0,
            Causality::Fitted {
                learns_from: "the complete ones among the first 0.7 of all rows".to_owned(),
                before,
            },
        ),
    };
    ColumnDescription {
        name: kind.column_name(ticker),
        asset: Some(ticker.to_owned()),
        stage: stage.name(),
        kind,
        formula,
        warm_up_rows,
        causality,
    }
}
