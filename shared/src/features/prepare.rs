//! What comes before anything is made: the prices on their rows, and all that is
//! wrong with them and the settings.

use std::collections::HashSet;

use time::Date;

use super::alignment::{Panel, much_lost, rows_sentence};
use super::columns::ColumnDescription;
use super::deepar::Plan;
use super::describe::describe;
use super::error::{FeatureError, TooFewRows};
use super::input::{CatalogueAsset, PriceSeries, named_assets};
use super::likelihood;
use super::spacing::by_point;
use super::stage::{Log, Stage, Stages};
use super::stages::{self, complete_rows};
use crate::training_template::{Alignment, BaseAssets, TrainingTemplate};

/// The least number of common rows, whatever the settings.
const LEAST_ROWS: usize = 60;

/// What is ready to be made.
pub(super) struct Prepared {
    /// The prices.
    pub(super) panel: Panel,
    /// The first row's date.
    pub(super) first_date: Date,
    /// The last row's date.
    pub(super) last_date: Date,
    /// All columns, prices included.
    pub(super) columns: Vec<ColumnDescription>,
    /// For each test window, the days on which the predicted asset has a price; empty
    /// where DeepAR's files are not made.
    pub(super) observed_days: Vec<usize>,
}

/// Lays prices on their rows.
///
/// # Errors
/// All that can be known to be wrong before anything is made; never empty.
pub(super) fn prepare(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
    stages: Stages,
    log: &mut Log<'_>,
) -> Result<Prepared, Vec<FeatureError>> {
    let assets = in_order(template, assets).map_err(|fault| vec![fault])?;
    warn(template, &assets, log);
    let stage = Stage::Merge;
    log.started(stage, format!("joining {} assets by date", assets.len()));
    let panel = Panel::new(template, assets, stages.contains(Stage::DeepAr));
    let columns = describe(template, Some(&panel.assets));
    let mut faults: Vec<FeatureError> =
        too_few_rows(template, stages, &panel).into_iter().collect();
    let alignment = template.features.alignment;
    let dates = &panel.tables.rows.dates;
    let (Some(&first_date), Some(&last_date)) = (dates.first(), dates.last()) else {
        return Err(faults);
    };
    if let Some(warning) = much_lost(&panel.days, alignment, &template.predicted_asset) {
        log.warn(warning);
    }
    faults.extend(repeated_name(&columns));
    for stage in stages::on(template, stages::all()) {
        faults.extend(stage.faults(template, &panel, &columns));
    }
    let mut observed_days = Vec::new();
    if stages.contains(Stage::DeepAr) {
        let plan = plan(template, &panel, &columns);
        let prices = panel.tables.of_files();
        faults.extend(likelihood::check(&template.deepar, prices, plan.as_ref().ok()).err());
        match plan {
            Ok(plan) => observed_days = plan.observed_days,
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let limiting = panel.limiting.as_ref();
    let limiting = limiting.map(|limit| (limit.ticker.as_str(), limit.rows));
    let which = match alignment {
        Alignment::Common => "common dates",
        Alignment::Predicted { .. } | Alignment::Union => "dates",
    };
    log.finished(
        stage,
        format!(
            "{} {which}, {first_date} to {last_date}; {}",
            dates.len(),
            rows_sentence(alignment, limiting)
        ),
    );
    Ok(Prepared {
        panel,
        first_date,
        last_date,
        columns,
        observed_days,
    })
}

/// The assets by ticker in byte order, once each, all that settings name, with
/// one price a point.
fn in_order(
    template: &TrainingTemplate,
    mut assets: Vec<(CatalogueAsset, PriceSeries)>,
) -> Result<Vec<(CatalogueAsset, PriceSeries)>, FeatureError> {
    assets.sort_by(|a, b| a.0.ticker.cmp(&b.0.ticker));
    let mut pairs = assets.windows(2);
    if let Some(pair) = pairs.find(|pair| pair[0].0.ticker == pair[1].0.ticker) {
        return Err(FeatureError::RepeatedAsset(pair[0].0.ticker.clone()));
    }
    for (setting, ticker) in named_assets(template) {
        let found = assets.binary_search_by(|(asset, _)| asset.ticker.as_str().cmp(ticker));
        if found.is_err() {
            return Err(FeatureError::MissingPrices {
                setting,
                ticker: ticker.to_owned(),
            });
        }
    }
    let (freq, calendar) = (template.deepar.freq, template.deepar.calendar);
    let assets = assets.into_iter();
    Ok(assets
        .map(|(asset, series)| (asset, by_point(freq, calendar, series)))
        .collect())
}

/// Tells what is doubtful about the settings and the prices.
fn warn(template: &TrainingTemplate, assets: &[(CatalogueAsset, PriceSeries)], log: &mut Log<'_>) {
    let of_settings = template.warnings().into_iter();
    let of_prices = assets
        .iter()
        .flat_map(|(_, series)| series.warnings.clone());
    of_settings
        .chain(of_prices)
        .for_each(|warning| log.warn(warning));
}

/// That there are too few rows for the longest warm-up and all test windows.
fn too_few_rows(
    template: &TrainingTemplate,
    stages: Stages,
    panel: &Panel,
) -> Option<FeatureError> {
    let (needed, reason) = rows_needed(template, stages);
    let dates = &panel.tables.rows.dates;
    let too_few = || TooFewRows {
        alignment: template.features.alignment,
        rows: panel.kept(),
        needed,
        reason,
        common: dates.first().copied().zip(dates.last().copied()),
        limiting: panel
            .limiting
            .clone()
            .map(|limit| (limit.ticker, limit.rows)),
        predicted: template.predicted_asset.clone(),
        joined: joined(template, &panel.assets),
        ranges: panel.ranges.clone(),
    };
    (panel.kept() < needed).then(|| FeatureError::TooFewRows(Box::new(too_few())))
}

/// The least number of rows, and why.
fn rows_needed(template: &TrainingTemplate, stages: Stages) -> (usize, String) {
    let mut warm_up = (0, "no warm-up".to_owned());
    for stage in stages::on(template, stages::all()) {
        for (rows, setting) in stage.warm_ups(template) {
            if rows > warm_up.0 {
                warm_up = (rows, format!("{rows} rows of warm-up for {setting}"));
            }
        }
    }
    let (windows, length) = (
        template.deepar.test_windows,
        template.deepar.prediction_length,
    );
    let held_out = match stages.contains(Stage::DeepAr) {
        true => length.saturating_mul(windows),
        false => 0,
    };
    let (rows, reason) = warm_up;
    let needed = rows.saturating_add(held_out);
    if needed < LEAST_ROWS {
        (LEAST_ROWS, "the least that is accepted".to_owned())
    } else if held_out == 0 {
        (needed, reason)
    } else {
        let reason = format!("{reason} and {windows} test windows of {length}");
        (needed, reason)
    }
}

/// Those of the assets that no list of the template names.
fn joined(template: &TrainingTemplate, assets: &[CatalogueAsset]) -> Vec<String> {
    if template.features.base_assets != BaseAssets::All {
        return Vec::new();
    }
    let named: HashSet<&str> = named_assets(template).map(|(_, ticker)| ticker).collect();
    let tickers = assets.iter().map(|asset| &asset.ticker);
    let joined = tickers.filter(|ticker| !named.contains(ticker.as_str()));
    joined.cloned().collect()
}

fn repeated_name(columns: &[ColumnDescription]) -> Option<FeatureError> {
    let mut names = HashSet::from(["Date"]);
    let mut all = columns.iter().map(|column| column.name.as_str());
    let repeated = all.find(|name| !names.insert(name))?;
    Some(FeatureError::RepeatedColumn(repeated.to_owned()))
}

/// DeepAR's files, as far as dates and warm-ups tell.
fn plan(
    template: &TrainingTemplate,
    panel: &Panel,
    columns: &[ColumnDescription],
) -> Result<Plan, FeatureError> {
    let (settings, prices) = (&template.deepar, panel.tables.of_files());
    match Plan::new(settings, prices, panel.target) {
        // Prices alone nearly always hold enough; only where they don't, the others
        // count.
        Err(FeatureError::TooFewTrainingValues { .. }) => {}
        settled => return settled,
    }
    let mut tables = panel.sketch(columns);
    let complete: HashSet<usize> = complete_rows(template, &tables.rows).into_iter().collect();
    let rows = tables.rows.dates.len();
    for unit in columns.iter().filter(|column| column.asset.is_none()) {
        tables.add_on_rows(unit.sketch(rows, |row| complete.contains(&row)));
    }
    Plan::new(settings, tables.of_files(), panel.target)
}
