//! Low-pass filtered prices of the assets in the classes named; the filters are
//! [`crate::features::low_pass`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use pipewright_matmul::parallel;

use super::ColumnStage;
use crate::features::alignment::{Own, Panel};
use crate::features::columns::{Causality, Column, ColumnDescription, ColumnKind};
use crate::features::error::FeatureError;
use crate::features::input::CatalogueAsset;
use crate::features::low_pass::{Global, expanding, first_complete};
use crate::features::stage::{Log, Stage};
use crate::training_template::{FeatureSettings, FftEdge, FftMode, TrainingTemplate};

pub(super) struct LowPass;

impl ColumnStage for LowPass {
    fn stage(&self) -> Stage {
        Stage::LowPass
    }

    fn switch<'a>(&self, features: &'a mut FeatureSettings) -> (&'static str, &'a mut bool) {
        let enabled = &mut features.fft.enabled;
        ("feMeta.fftSettings.enabled", enabled)
    }

    fn describe(
        &self,
        template: &TrainingTemplate,
        assets: Option<&[CatalogueAsset]>,
        _before: &[ColumnDescription],
    ) -> Vec<ColumnDescription> {
        let settings = &template.features.fft;
        let classes = &settings.asset_classes;
        let tickers: Vec<String> = match assets {
            Some(assets) => assets
                .iter()
                .filter(|asset| classes.contains(&asset.class))
                .map(|asset| asset.ticker.clone())
                .collect(),
            None => classes.iter().map(|class| each_of(class)).collect(),
        };
        let columns = tickers.iter().map(|ticker| of_asset(template, ticker));
        columns.flatten().collect()
    }

    fn warm_ups(&self, template: &TrainingTemplate) -> Vec<(usize, String)> {
        let settings = &template.features.fft;
        if settings.asset_classes.is_empty() || settings.mode == FftMode::Global {
            return Vec::new();
        }
        let steps = settings.steps.iter();
        steps
            .map(|bins| (first_complete(*bins), format!("num_steps {bins}")))
            .collect()
    }

    /// The numbers of bins that are too many for the asset with the fewest days.
    fn faults(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        _columns: &[ColumnDescription],
    ) -> Vec<FeatureError> {
        let settings = &template.features.fft;
        let chosen = chosen(template, panel);
        let lengths = || chosen.iter().map(|own| (own.prices.len(), own.ticker));
        let Some((rows, shortest)) = lengths().min() else {
            return Vec::new();
        };
        let differ = lengths().any(|(other, _)| other != rows);
        let needed = |bins: usize| match settings.mode {
            FftMode::Global => bins.saturating_mul(2).saturating_add(1),
            FftMode::Expanding(_) => first_complete(bins).saturating_add(1),
        };
        let too_many = settings.steps.iter().filter(|bins| rows < needed(**bins));
        too_many
            .map(|bins| FeatureError::LowPass {
                asset: differ.then(|| shortest.to_owned()),
                steps: *bins,
                needed: needed(*bins),
                rows,
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
        let settings = &template.features.fft;
        let chosen = chosen(template, panel);
        let mode = match settings.mode {
            FftMode::Global => "global (each value depends on later prices)",
            FftMode::Expanding(_) => "expanding",
        };
        log.started(
            self.stage(),
            format!(
                "{mode}, steps {:?} of {} assets",
                settings.steps,
                chosen.len()
            ),
        );
        let prices: Vec<&[f64]> = chosen.iter().map(|own| own.prices).collect();
        let mut advanced = log.advanced(self.stage());
        let values = match settings.mode {
            FftMode::Expanding(edge) => {
                of_days_before(&prices, &settings.steps, edge, threads, &mut advanced)?
            }
            FftMode::Global => of_all_days(&prices, &settings.steps, threads, &mut advanced)?,
        };
        drop(advanced);
        let columns = chosen.iter().flat_map(|own| of_asset(template, own.ticker));
        let columns = columns.zip(values.into_iter().flatten());
        let columns: Vec<Column> = columns
            .map(|(column, values)| Column::new(column, values))
            .collect();
        log.finished(self.stage(), format!("{} columns", columns.len()));
        Ok(columns)
    }
}

/// What stands for the tickers of a class where no catalogue is known.
pub(in crate::features) fn each_of(class: &str) -> String {
    format!("<each asset of class {class}>")
}

/// The columns of an asset, in the order of `num_steps`.
fn of_asset(template: &TrainingTemplate, ticker: &str) -> Vec<ColumnDescription> {
    let settings = &template.features.fft;
    let column = |bins: &usize| {
        let (formula, warm_up_rows, causality) = match settings.mode {
            FftMode::Global => (
                format!("frequency bins 0 to {bins} of the whole series x"),
                0,
                Causality::Global,
            ),
            FftMode::Expanding(FftEdge::Mirror) => (
                format!(
                    "value at t of the frequency bins 0 to {} of x[0..t] followed by its mirror image",
                    2 * bins
                ),
                first_complete(*bins),
                Causality::Causal,
            ),
            FftMode::Expanding(FftEdge::Periodic) => (
                format!("value at t of the frequency bins 0 to {bins} of x[0..t]"),
                first_complete(*bins),
                Causality::Causal,
            ),
        };
        ColumnDescription {
            name: format!("{ticker}_FT_{bins}"),
            asset: Some(ticker.to_owned()),
            stage: Stage::LowPass.name(),
            kind: ColumnKind::LowPass { bins: *bins },
            title: format!("low-pass, {bins} bins"),
            is_price_like: true,
            formula,
            warm_up_rows,
            causality,
        }
    };
    settings.steps.iter().map(column).collect()
}

fn chosen<'a>(template: &TrainingTemplate, panel: &'a Panel) -> Vec<Own<'a>> {
    let classes = &template.features.fft.asset_classes;
    panel.own(|asset| classes.contains(&asset.class))
}

/// The expanding low-pass of each asset for each number of bins.
fn of_days_before(
    prices: &[&[f64]],
    steps: &[usize],
    edge: FftEdge,
    threads: usize,
    advanced: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<Vec<f64>>>, FeatureError> {
    // A value depends on those up to its row alone: what makes all series of one
    // length changes none, and is cut off again.
    let longest = prices.iter().map(|prices| prices.len()).max();
    let padded: Vec<Vec<f64>> = prices
        .iter()
        .map(|prices| {
            let mut padded = prices.to_vec();
            padded.resize(longest.unwrap_or(0), 0.0);
            padded
        })
        .collect();
    let padded: Vec<&[f64]> = padded.iter().map(Vec::as_slice).collect();
    let mut made = expanding(&padded, steps, edge, threads, advanced)?;
    for (columns, prices) in made.iter_mut().zip(prices) {
        for column in columns {
            column.truncate(prices.len());
        }
    }
    Ok(made)
}

/// The global low-pass of each asset for each number of bins.
fn of_all_days(
    prices: &[&[f64]],
    steps: &[usize],
    threads: usize,
    advanced: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<Vec<f64>>>, FeatureError> {
    let mut transforms = BTreeMap::new();
    for prices in prices {
        if let Entry::Vacant(entry) = transforms.entry(prices.len()) {
            entry.insert(Global::new(prices.len(), steps)?);
        }
    }
    let of_asset = |i: usize| {
        let transform = transforms.get(&prices[i].len());
        transform.map_or_else(Vec::new, |transform| transform.columns(prices[i]))
    };
    Ok(parallel::map(prices.len(), threads, of_asset, advanced))
}
