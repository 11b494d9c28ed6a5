//! Each stage's work: from prices to its columns, told as it goes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use time::Date;

use super::alignment::Own;
use super::check::low_pass_faults;
use super::columns::{Column, ColumnKind};
use super::encoding::AutoencoderReport;
use super::error::FeatureError;
use super::input::CatalogueAsset;
use super::ranking::Importance;
use super::rows::{autoencoder_rows, training_rows};
use super::run::check_names;
use super::stage::{Progress, Stage, finished, started};
use pipewright_matmul::parallel;

use super::{arima, encoding, low_pass, ranking};
use crate::training_template::{FftMode, TrainingTemplate};

/// The assets (their positions) for which `wanted` holds.
fn positions(assets: &[CatalogueAsset], wanted: impl Fn(&CatalogueAsset) -> bool) -> Vec<usize> {
    (0..assets.len()).filter(|i| wanted(&assets[*i])).collect()
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

pub(super) fn indicator_columns(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    own: &[Own<'_>],
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Vec<Column> {
    let settings = &template.features.indicators;
    if !settings.enabled {
        return Vec::new();
    }
    let stage = Stage::Indicators;
    let chosen = positions(assets, |asset| settings.assets.contains(&asset.ticker));
    started(
        progress,
        stage,
        format!(
            "{} of {} assets",
            listed(settings.chosen.iter().map(ToString::to_string)),
            chosen.len()
        ),
    );
    let columns = parallel::map(
        chosen.len(),
        threads,
        |i| {
            let ticker = assets[chosen[i]].ticker.as_str();
            let prices = own[chosen[i]].prices;
            let made = settings.chosen.iter().flat_map(|one| one.make(prices));
            settings
                .columns()
                .zip(made)
                .map(|(column, values)| Column::new(ticker, ColumnKind::Indicator(column), values))
                .collect::<Vec<Column>>()
        },
        &mut |done, total| progress(Progress::Advanced { stage, done, total }),
    );
    let columns: Vec<Column> = columns.into_iter().flatten().collect();
    finished(progress, stage, format!("{} columns", columns.len()));
    columns
}

pub(super) fn arima_columns(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    own: &[Own<'_>],
    threads: usize,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Column>, FeatureError> {
    let settings = &template.features.arima;
    if !settings.enabled {
        return Ok(Vec::new());
    }
    let stage = Stage::Arima;
    let chosen = positions(assets, |asset| settings.assets.contains(&asset.ticker));
    let rows: Vec<usize> = chosen
        .iter()
        .map(|i| training_rows(template, own[*i].dates, settings.train_set_size))
        .collect();
    let fitted = match (rows.iter().min(), rows.iter().max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most} rows of each"),
        (least, _) => format!("{} rows", least.unwrap_or(&0)),
    };
    let (p, d, q) = settings.order;
    started(
        progress,
        stage,
        format!(
            "ARIMA({p},{d},{q}) of {} assets, fitted to the first {fitted}",
            chosen.len()
        ),
    );
    let results = parallel::map(
        chosen.len(),
        threads,
        |i| {
            let prices = own[chosen[i]].prices;
            arima::Arima::fit(&prices[..rows[i]], p, d).map(|fit| (fit.predict(prices), fit))
        },
        &mut |done, total| progress(Progress::Advanced { stage, done, total }),
    );
    let mut columns = Vec::with_capacity(chosen.len());
    for (asset, result) in chosen.iter().zip(results) {
        let ticker = assets[*asset].ticker.as_str();
        let (values, fit) = result.map_err(|source| FeatureError::Arima {
            ticker: ticker.to_owned(),
            end_training: template.deepar.end_training,
            source,
        })?;
        let doubt = match fit.constant_change() {
            Some(change) => Some(match d {
                0 => format!(
                    "ARIMA of {ticker}: every price of the training rows is {change}, so the predictions are that"
                ),
                1 => format!(
                    "ARIMA of {ticker}: every change of the training rows is {change}, so the predictions add it to the day before"
                ),
                _ => format!(
                    "ARIMA of {ticker}: the changes of the training rows all grow by {change}, so the predictions let them go on so"
                ),
            }),
            None if !fit.converged() => Some(format!(
                "ARIMA of {ticker}: the fit did not reach its tolerance; its predictions are those of the best model found"
            )),
            None => None,
        };
        if let Some(doubt) = doubt {
            progress(Progress::Warning(doubt.clone()));
            warnings.push(doubt);
        }
        columns.push(Column::new(ticker, ColumnKind::Arima, values));
    }
    finished(progress, stage, format!("{} columns", columns.len()));
    Ok(columns)
}

pub(super) fn rank(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    dates: &[Date],
    columns: &[Column],
    threads: usize,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Option<Importance> {
    let stage = Stage::Importance;
    let target = template.predicted_asset.as_str();
    started(
        progress,
        stage,
        format!("which features go with {target} on the same day"),
    );
    let training_end = training_rows(template, dates, 1.0);
    match ranking::rank(target, assets, dates, columns, training_end, threads) {
        Ok(importance) => {
            let most = match importance.most_important() {
                Some(most) => format!(
                    "; most important is {} with {:.1} % of the mean gain",
                    most.column,
                    100.0 * most.importance
                ),
                None => format!("; no feature was used: none tells anything of {target}"),
            };
            finished(
                progress,
                stage,
                format!(
                    "{} features ranked on {} rows{most}",
                    importance.features.len(),
                    importance.rows
                ),
            );
            Some(importance)
        }
        Err(doubt) => {
            progress(Progress::Warning(doubt.clone()));
            warnings.push(doubt);
            None
        }
    }
}

/// Adds the autoencoder's columns.
pub(super) fn encode(
    template: &TrainingTemplate,
    dates: &[Date],
    columns: &mut Vec<Column>,
    threads: usize,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<AutoencoderReport>, FeatureError> {
    /// Share of later cells beyond the training range that is worth a warning:
    /// a sigmoid can't follow them.
    const MUCH_OUT_OF_RANGE: f64 = 0.2;
    let settings = &template.features.autoencoder;
    if !settings.enabled {
        return Ok(None);
    }
    let stage = Stage::Autoencoder;
    let training_end = autoencoder_rows(template, dates);
    started(
        progress,
        stage,
        format!(
            "{} epochs, batches of {}, rows before row {training_end}",
            settings.epochs, settings.batch_size
        ),
    );
    let encoding::Encoded {
        units,
        report,
        not_finite,
    } = encoding::encode(
        settings,
        &template.predicted_asset,
        columns,
        training_end,
        threads,
        &mut |done, total| progress(Progress::Advanced { stage, done, total }),
    )
    .map_err(FeatureError::Autoencoder)?;
    if report.out_of_range > MUCH_OUT_OF_RANGE {
        warnings.push(format!(
            "autoencoder: {:.1} % of the later cells lie outside the range of the training rows, which its output can't follow",
            100.0 * report.out_of_range
        ));
        progress(Progress::Warning(warnings[warnings.len() - 1].clone()));
    }
    if not_finite > 0 {
        warnings.push(format!(
            "autoencoder: the output of {not_finite} rows is not finite and was left missing"
        ));
        progress(Progress::Warning(warnings[warnings.len() - 1].clone()));
    }
    let units = units.into_iter().enumerate();
    columns.extend(units.map(|(unit, values)| Column::unit(unit, values)));
    check_names(columns.iter().map(|column| column.name.as_str()))?;
    finished(
        progress,
        stage,
        format!(
            "{} columns; mean squared error {:.3e} on {} training rows, {:.3e} on {} later ones, {:.1} % of later cells out of range",
            report.inputs,
            report.training_error,
            report.training_rows,
            report.later_error,
            report.later_rows,
            100.0 * report.out_of_range
        ),
    );
    Ok(Some(report))
}

pub(super) fn low_pass_columns(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    own: &[Own<'_>],
    threads: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Column>, FeatureError> {
    let settings = &template.features.fft;
    if !settings.enabled {
        return Ok(Vec::new());
    }
    let stage = Stage::LowPass;
    let chosen = positions(assets, |asset| {
        settings.asset_classes.contains(&asset.class)
    });
    let mode = match settings.mode {
        FftMode::Global => "global (each value depends on later prices)",
        FftMode::Expanding(_) => "expanding",
    };
    started(
        progress,
        stage,
        format!(
            "{mode}, steps {:?} of {} assets",
            settings.steps,
            chosen.len()
        ),
    );
    if let Some(fault) = low_pass_faults(template, assets, own).into_iter().next() {
        return Err(fault);
    }
    let chosen_prices: Vec<&[f64]> = chosen.iter().map(|i| own[*i].prices).collect();
    let longest = chosen_prices.iter().map(|prices| prices.len()).max();
    let longest = longest.unwrap_or(0);
    let mut advanced = |done, total| progress(Progress::Advanced { stage, done, total });
    let values: Vec<Vec<Vec<f64>>> = match settings.mode {
        FftMode::Expanding(edge) => {
            // A value depends on those up to its row alone: what makes all series
            // of one length changes none, and is cut off again.
            let padded: Vec<Vec<f64>> = chosen_prices
                .iter()
                .map(|prices| {
                    let mut padded = prices.to_vec();
                    padded.resize(longest, 0.0);
                    padded
                })
                .collect();
            let padded: Vec<&[f64]> = padded.iter().map(Vec::as_slice).collect();
            let mut made =
                low_pass::expanding(&padded, &settings.steps, edge, threads, &mut advanced)?;
            for (columns, prices) in made.iter_mut().zip(&chosen_prices) {
                for column in columns {
                    column.truncate(prices.len());
                }
            }
            made
        }
        FftMode::Global => {
            let mut transforms = BTreeMap::new();
            for prices in &chosen_prices {
                let rows = prices.len();
                if let Entry::Vacant(entry) = transforms.entry(rows) {
                    entry.insert(low_pass::Global::new(rows, &settings.steps)?);
                }
            }
            parallel::map(
                chosen.len(),
                threads,
                |i| {
                    let prices = chosen_prices[i];
                    let transform = transforms.get(&prices.len());
                    transform.map_or_else(Vec::new, |transform| transform.columns(prices))
                },
                &mut advanced,
            )
        }
    };
    let mut columns = Vec::with_capacity(chosen.len() * settings.steps.len());
    for (asset, values) in chosen.iter().zip(values) {
        for (bins, values) in settings.steps.iter().zip(values) {
            let kind = ColumnKind::LowPass { bins: *bins };
            columns.push(Column::new(&assets[*asset].ticker, kind, values));
        }
    }
    finished(progress, stage, format!("{} columns", columns.len()));
    Ok(columns)
}
