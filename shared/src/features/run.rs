//! From a template and prices to its features.

use std::sync::OnceLock;

use super::alignment::{AssetDays, Panel};
use super::baselines::{self, Baselines};
use super::deepar::Plan;
use super::error::FeatureError;
use super::feature_set::FeatureSet;
use super::input::{CatalogueAsset, PriceSeries};
use super::likelihood;
use super::prepare::{Prepared, prepare};
use super::ranking::{Importance, rank};
use super::stage::{Log, Options, Progress, Stage};
use super::stages;
use super::summary::{Summary, TOP_FEATURES, TopFeature};
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
/// See [`FeatureError`]; of all that [`check`](super::check()) refuses, the first.
pub fn run_with(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<FeatureSet, FeatureError> {
    let (threads, stages) = (options.threads.get(), options.stages);
    let template = &options.applied(template);
    let mut log = Log::new(progress);
    let Prepared {
        mut panel,
        first_date,
        last_date,
        ..
    } = prepare(template, assets, stages, &mut log).map_err(|mut faults| faults.swap_remove(0))?;

    for stage in stages::on(template, stages::OF_PRICES) {
        let columns = stage.make(template, &panel, threads, &mut log)?;
        panel.add(columns);
    }
    let importance = match stages.contains(Stage::Importance) {
        true => rank(template, &panel, threads, &mut log),
        false => None,
    };
    for stage in stages::on(template, stages::OF_COLUMNS) {
        let columns = stage.make(template, &panel, threads, &mut log)?;
        panel.add(columns);
    }
    let (plan, baselines) = match stages.contains(Stage::DeepAr) {
        true => {
            let (plan, baselines) = lay_out(template, &panel, threads, &mut log)?;
            (Some(plan), Some(baselines))
        }
        false => (None, None),
    };

    let filled = panel.filled();
    let Panel {
        assets,
        tables,
        limiting,
        days,
        ..
    } = panel;
    let alignment = template.features.alignment;
    let columns = tables.rows.columns.len();
    let whole = alignment == Alignment::Common && days.iter().all(AssetDays::is_whole);
    let summary = Summary {
        assets: assets.len(),
        alignment,
        rows: tables.rows.dates.len(),
        columns,
        series: plan.as_ref().map(|_| columns),
        train_series: plan.as_ref().map(|plan| plan.series.len()),
        train_values: plan.as_ref().map(|plan| plan.training_values),
        test_records: plan.as_ref().map(Plan::test_records),
        first_date,
        last_date,
        limiting_asset: limiting.as_ref().map(|limit| limit.ticker.clone()),
        limiting_asset_rows: limiting.as_ref().map_or(0, |limit| limit.rows),
        asset_days: if whole { Vec::new() } else { days },
        observed_days: plan
            .as_ref()
            .map_or_else(Vec::new, |plan| plan.observed_days.clone()),
        top_features: importance.as_ref().map_or_else(Vec::new, top_features),
        autoencoder: log.autoencoder,
        baselines: baselines.as_ref().map(Baselines::summary),
        warnings: log.warnings,
        left_out: plan
            .as_ref()
            .map_or_else(Vec::new, |plan| plan.left_out.clone()),
    };
    Ok(FeatureSet {
        assets,
        predicted: template.predicted_asset.clone(),
        tables,
        filled,
        importance,
        plan,
        baselines,
        #[cfg(feature = "plots")]
        draw: stages.contains(Stage::Plots),
        compress: template.deepar.compress,
        calendar: template.deepar.calendar,
        summary,
        threads,
        texts: OnceLock::new(),
        file_texts: OnceLock::new(),
    })
}

/// Lays out DeepAR's files, and scores naive forecasts of their test windows.
fn lay_out(
    template: &TrainingTemplate,
    panel: &Panel,
    threads: usize,
    log: &mut Log<'_>,
) -> Result<(Plan, Baselines), FeatureError> {
    let (stage, settings) = (Stage::DeepAr, &template.deepar);
    let table = panel.tables.of_files();
    log.started(
        stage,
        format!(
            "laying out {} series, {} calendar",
            table.columns.len(),
            settings.calendar.name()
        ),
    );
    let plan = Plan::new(settings, table, panel.target)?;
    likelihood::check(settings, table, Some(&plan))?;
    let scoring = baselines::scoring(settings)?;
    let predicted = &template.predicted_asset;
    let baselines = Baselines::new(settings, &scoring, &plan, table, predicted, threads);
    log.finished(
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
