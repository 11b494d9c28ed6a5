//! From a template and prices to its features.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::alignment::{self, AssetDays, Files, Panel, rows_sentence};
use super::baselines::{self, Baselines};
use super::columns::{Column, ColumnKind};
use super::deepar;
use super::error::FeatureError;
use super::feature_set::FeatureSet;
use super::input::{self, CatalogueAsset, PriceSeries};
use super::ranking::Importance;
use super::rows::{rows_needed, too_few_rows};
use super::stage::{Options, Progress, Stage, finished, started};
use super::summary::{Summary, TOP_FEATURES, TopFeature};
use super::work::{arima_columns, encode, indicator_columns, low_pass_columns, rank};
use super::{likelihood, spacing};
use time::Date;

use crate::training_template::{Alignment, TrainingTemplate};

/// Makes the features of `template` from the prices of the assets that
/// [`assets_needed`](super::assets_needed) named (in any order), with the machine's threads.
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
    let stages = options.stages;
    let template = &options.applied(template);
    let (assets, series) = in_order(template, assets)?;
    let mut warnings = doubts(template, &series);
    for warning in &warnings {
        progress(Progress::Warning(warning.clone()));
    }

    let stage = Stage::Merge;
    started(
        progress,
        stage,
        format!("joining {} assets by date", series.len()),
    );
    let panel = Panel::new(template, series);
    let (Some(first_date), Some(last_date)) = (panel.dates.first(), panel.dates.last()) else {
        return Err(too_few_rows(template, stages, panel));
    };
    let (first_date, last_date) = (*first_date, *last_date);
    if panel.kept(&template.predicted_asset) < rows_needed(template, stages).0 {
        return Err(too_few_rows(template, stages, panel));
    }
    let target = target_of(template, &assets);
    let alignment = template.features.alignment;
    let predicted = &template.predicted_asset;
    if let Some(warning) = alignment::much_lost(&panel.days, alignment, predicted) {
        progress(Progress::Warning(warning.clone()));
        warnings.push(warning);
    }
    if stages.contains(Stage::DeepAr) {
        // What the dates alone forbid is told before hours of training.
        let columns = own_prices(&assets, &panel);
        let files = panel.for_files(&columns);
        let columns = panel.on_rows(columns);
        let (dates, columns) = files_of(files.as_ref(), &panel.dates, &columns);
        match deepar::Plan::new(&template.deepar, dates, columns, target) {
            Ok(plan) => check_likelihood(template, &plan, dates, columns)?,
            // Further columns may add what lacks.
            Err(FeatureError::TooFewTrainingValues { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    let limiting = panel.limiting.as_ref();
    let limiting = limiting.map(|limit| (limit.ticker.as_str(), limit.rows));
    let which = match alignment {
        Alignment::Common => "common dates",
        Alignment::Predicted { .. } | Alignment::Union => "dates",
    };
    finished(
        progress,
        stage,
        format!(
            "{} {which}, {first_date} to {last_date}; {}",
            panel.dates.len(),
            rows_sentence(alignment, limiting)
        ),
    );

    let own = panel.own();
    let mut made = indicator_columns(template, &assets, &own, threads, progress);
    made.extend(arima_columns(
        template,
        &assets,
        &own,
        threads,
        &mut warnings,
        progress,
    )?);
    made.extend(low_pass_columns(
        template, &assets, &own, threads, progress,
    )?);
    let mut columns = own_prices(&assets, &panel);
    columns.append(&mut made);
    check_names(columns.iter().map(|column| column.name.as_str()))?;
    let mut files = match stages.contains(Stage::DeepAr) {
        true => panel.for_files(&columns),
        false => None,
    };
    let mut columns = panel.on_rows(columns);
    let filled = panel.filled();
    let Panel {
        dates,
        limiting,
        days,
        ..
    } = panel;
    let importance = if stages.contains(Stage::Importance) {
        rank(
            template,
            &assets,
            &dates,
            &columns,
            threads,
            &mut warnings,
            progress,
        )
    } else {
        None
    };
    let report = encode(
        template,
        &dates,
        &mut columns,
        threads,
        &mut warnings,
        progress,
    )?;

    if let Some(files) = &mut files {
        let made = files.columns.len();
        files.add(&dates, &columns[made..]);
    }
    let (plan, baselines) = if stages.contains(Stage::DeepAr) {
        let (dates, columns) = files_of(files.as_ref(), &dates, &columns);
        let (plan, baselines) = lay_out(template, dates, columns, target, threads, progress)?;
        (Some(plan), Some(baselines))
    } else {
        (None, None)
    };
    let summary = Summary {
        assets: assets.len(),
        alignment,
        rows: dates.len(),
        columns: columns.len(),
        series: plan.as_ref().map(|_| columns.len()),
        train_series: plan.as_ref().map(|plan| plan.series.len()),
        train_values: plan.as_ref().map(|plan| plan.training_values),
        test_records: plan.as_ref().map(deepar::Plan::test_records),
        first_date,
        last_date,
        limiting_asset: limiting.as_ref().map(|limit| limit.ticker.clone()),
        limiting_asset_rows: limiting.as_ref().map_or(0, |limit| limit.rows),
        asset_days: match alignment == Alignment::Common && days.iter().all(AssetDays::is_whole) {
            true => Vec::new(),
            false => days,
        },
        observed_days: plan
            .as_ref()
            .map_or_else(Vec::new, |plan| plan.observed_days.clone()),
        top_features: importance.as_ref().map_or_else(Vec::new, top_features),
        autoencoder: report,
        baselines: baselines.as_ref().map(Baselines::summary),
        warnings,
        left_out: plan
            .as_ref()
            .map_or_else(Vec::new, |plan| plan.left_out.clone()),
    };
    Ok(FeatureSet {
        assets,
        predicted: template.predicted_asset.clone(),
        dates,
        columns,
        files,
        filled,
        importance,
        plan,
        baselines,
        draw: stages.contains(Stage::Plots),
        compress: template.deepar.compress,
        calendar: template.deepar.calendar,
        summary,
        threads,
        texts: OnceLock::new(),
        file_texts: OnceLock::new(),
    })
}

/// The price columns, each on its asset's own days.
pub(super) fn own_prices(assets: &[CatalogueAsset], panel: &Panel) -> Vec<Column> {
    let own = assets.iter().zip(panel.own());
    own.map(|(asset, own)| Column::new(&asset.ticker, ColumnKind::Price, own.prices.to_vec()))
        .collect()
}

/// The place of the predicted asset, and of its price among the columns.
pub(super) fn target_of(template: &TrainingTemplate, assets: &[CatalogueAsset]) -> usize {
    assets.partition_point(|asset| asset.ticker < template.predicted_asset)
}

/// The days and columns that DeepAR's files are made of: the rows, unless there
/// are others.
pub(super) fn files_of<'a>(
    files: Option<&'a Files>,
    dates: &'a [Date],
    columns: &'a [Column],
) -> (&'a [Date], &'a [Column]) {
    match files {
        Some(files) => (&files.dates, &files.columns),
        None => (dates, columns),
    }
}

/// Whether the likelihood suits the columns that the files hold.
pub(super) fn check_likelihood(
    template: &TrainingTemplate,
    plan: &deepar::Plan,
    dates: &[Date],
    columns: &[Column],
) -> Result<(), FeatureError> {
    let likelihood = baselines::scoring(&template.deepar)?.likelihood;
    let of_files = plan.series.iter().map(|series| &columns[series.column]);
    likelihood::check(likelihood, dates, of_files, plan.rows())
}

/// Lays out DeepAR's files, and scores naive forecasts of their test windows.
fn lay_out(
    template: &TrainingTemplate,
    dates: &[Date],
    columns: &[Column],
    target: usize,
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<(deepar::Plan, Baselines), FeatureError> {
    let stage = Stage::DeepAr;
    started(
        progress,
        stage,
        format!(
            "laying out {} series, {} calendar",
            columns.len(),
            template.deepar.calendar.name()
        ),
    );
    let plan = deepar::Plan::new(&template.deepar, dates, columns, target)?;
    check_likelihood(template, &plan, dates, columns)?;
    let baselines = Baselines::new(
        &template.deepar,
        &baselines::scoring(&template.deepar)?,
        &plan,
        dates,
        columns,
        &template.predicted_asset,
        threads,
    );
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
    Ok((plan, baselines))
}

fn top_features(importance: &Importance) -> Vec<TopFeature> {
    let used = importance.features.iter().filter(|f| f.importance > 0.0);
    used.take(TOP_FEATURES)
        .map(|feature| TopFeature {
            column: feature.column.clone(),
            importance: feature.importance,
        })
        .collect()
}

/// What is doubtful about the settings and the prices, before anything is made.
pub(super) fn doubts(template: &TrainingTemplate, series: &[PriceSeries]) -> Vec<String> {
    let of_prices = series.iter().flat_map(|one| one.warnings.iter().cloned());
    let of_settings = template.warnings().into_iter();
    of_settings
        .chain(baselines::refused(&template.deepar))
        .chain(of_prices)
        .collect()
}

/// The assets by ticker in byte order, once each, all that settings name, with
/// one price a point.
pub(super) fn in_order(
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
    let (freq, calendar) = (template.deepar.freq, template.deepar.calendar);
    let assets = assets.into_iter();
    Ok(assets
        .map(|(asset, series)| (asset, spacing::by_point(freq, calendar, series)))
        .unzip())
}

pub(super) fn check_names<'a>(columns: impl Iterator<Item = &'a str>) -> Result<(), FeatureError> {
    let mut names = HashSet::from(["Date"]);
    match columns.into_iter().find(|name| !names.insert(name)) {
        Some(name) => Err(FeatureError::RepeatedColumn(name.to_owned())),
        None => Ok(()),
    }
}
