//! From a template and prices to its features.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::columns::{Column, ColumnKind};
use super::deepar;
use super::error::FeatureError;
use super::feature_set::FeatureSet;
use super::input::{self, CatalogueAsset, PriceSeries};
use super::rows::{rows_needed, too_few_rows};
use super::stage::{Options, Progress, Stage, finished, started};
use super::summary::Summary;
use super::work::{arima_columns, encode, indicator_columns, low_pass_columns, rank};
use crate::training_template::TrainingTemplate;

/// Makes the features of `template` from the prices of the assets that
/// [`assets_needed`] named (in any order), with the machine's threads.
///
/// # Errors
/// See [`FeatureError`].
pub fn run(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
    progress: &mut dyn FnMut(Progress),
) -> Result<FeatureSet, FeatureError> {
    run_with(template, assets, Options::default(), progress)
}

/// [`run`] with a choice of options.
///
/// # Errors
/// See [`FeatureError`].
pub fn run_with(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<FeatureSet, FeatureError> {
    let threads = options.threads.get();
    let (assets, series) = in_order(template, assets)?;
    let mut warnings = template.warnings();
    for one in &series {
        warnings.extend(one.warnings.iter().cloned());
    }
    for warning in &warnings {
        progress(Progress::Warning(warning.clone()));
    }

    let stage = Stage::Merge;
    started(
        progress,
        stage,
        format!("joining {} assets by date", series.len()),
    );
    let panel = input::join(&series);
    drop(series);
    let (Some(first_date), Some(last_date)) = (panel.dates.first(), panel.dates.last()) else {
        return Err(too_few_rows(template, panel));
    };
    let (first_date, last_date) = (*first_date, *last_date);
    if panel.dates.len() < rows_needed(template).0 {
        return Err(too_few_rows(template, panel));
    }
    let input::Panel {
        dates,
        prices,
        limiting,
        ..
    } = panel;
    let limit = match &limiting {
        None => "all assets have the same dates".to_owned(),
        Some(limit) => format!("{} limits them and costs {} rows", limit.ticker, limit.rows),
    };
    finished(
        progress,
        stage,
        format!(
            "{} common dates, {first_date} to {last_date}; {limit}",
            dates.len()
        ),
    );

    let mut columns = Vec::new();
    let mut made = indicator_columns(template, &assets, &prices, threads, progress);
    made.extend(arima_columns(
        template,
        &assets,
        &dates,
        &prices,
        threads,
        &mut warnings,
        progress,
    )?);
    made.extend(low_pass_columns(
        template, &assets, &prices, threads, progress,
    )?);
    let tickers = assets.iter().map(|asset| asset.ticker.as_str());
    columns.extend(
        tickers
            .zip(prices)
            .map(|(ticker, prices)| Column::new(ticker, ColumnKind::Price, prices)),
    );
    columns.append(&mut made);
    check_names(&columns)?;
    let importance = rank(
        template,
        &assets,
        &dates,
        &columns,
        threads,
        &mut warnings,
        progress,
    );
    let report = encode(
        template,
        &dates,
        &mut columns,
        threads,
        &mut warnings,
        progress,
    )?;

    let stage = Stage::DeepAr;
    let calendar = template.deepar.calendar;
    started(
        progress,
        stage,
        format!(
            "laying out {} series, {} calendar",
            columns.len(),
            calendar.name()
        ),
    );
    let plan = deepar::Plan::new(&template.deepar, &dates, &columns)?;
    finished(
        progress,
        stage,
        format!(
            "{} training series with {} values, {} test records, {} columns left out",
            plan.series.len(),
            plan.training_values,
            plan.test_records(),
            plan.left_out.len()
        ),
    );
    let summary = Summary {
        assets: assets.len(),
        rows: dates.len(),
        columns: columns.len(),
        series: columns.len(),
        train_series: plan.series.len(),
        train_values: plan.training_values,
        test_records: plan.test_records(),
        first_date,
        last_date,
        limiting_asset: limiting.as_ref().map(|limit| limit.ticker.clone()),
        limiting_asset_rows: limiting.as_ref().map_or(0, |limit| limit.rows),
        observed_days: plan.observed_days.clone(),
        autoencoder: report,
        warnings,
        left_out: plan.left_out.clone(),
    };
    Ok(FeatureSet {
        dates,
        columns,
        importance,
        plan,
        calendar,
        summary,
        threads,
        texts: OnceLock::new(),
    })
}

/// The assets by ticker in byte order, once each, all that settings name.
fn in_order(
    template: &TrainingTemplate,
    mut assets: Vec<(CatalogueAsset, PriceSeries)>,
) -> Result<(Vec<CatalogueAsset>, Vec<PriceSeries>), FeatureError> {
    assets.sort_by(|a, b| a.0.ticker.cmp(&b.0.ticker));
    if let Some(pair) = assets
        .windows(2)
        .find(|pair| pair[0].0.ticker == pair[1].0.ticker)
    {
        return Err(FeatureError::RepeatedAsset(pair[0].0.ticker.clone()));
    }
    for (setting, ticker) in input::named_assets(template) {
        if assets
            .binary_search_by(|(asset, _)| asset.ticker.as_str().cmp(ticker))
            .is_err()
        {
            return Err(FeatureError::MissingPrices {
                setting,
                ticker: ticker.to_owned(),
            });
        }
    }
    Ok(assets.into_iter().unzip())
}

pub(super) fn check_names(columns: &[Column]) -> Result<(), FeatureError> {
    let mut names = HashSet::from(["Date"]);
    match columns.iter().find(|column| !names.insert(&column.name)) {
        Some(column) => Err(FeatureError::RepeatedColumn(column.name.clone())),
        None => Ok(()),
    }
}
