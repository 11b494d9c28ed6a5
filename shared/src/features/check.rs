//! Whether features can be made, without making them.

use std::collections::BTreeMap;

use time::Date;

use super::alignment::{self, AssetDays, Own, Panel};
use super::columns::{Column, ColumnKind};
use super::describe::{ColumnDescription, describe};
use super::error::FeatureError;
use super::input::{self, CatalogueAsset, PriceSeries};
use super::low_pass::first_complete;
use super::rows::{autoencoder_rows, rows_needed, too_few_rows, training_rows};
use super::run::{check_names, doubts, files_of, in_order, own_prices, target_of};
use super::stage::Stages;
use super::{arima, baselines, deepar, likelihood};
use crate::training_template::{Alignment, AutoencoderInputs, FftMode, TrainingTemplate};

/// What features would be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Which days are rows.
    pub alignment: Alignment,
    /// Rows of `features.csv`.
    pub rows: usize,
    /// The first row's date.
    pub first_date: Date,
    /// The last row's date.
    pub last_date: Date,
    /// The asset without which most rows would be gained, under `common`.
    pub limiting: Option<input::Limit>,
    /// What became of each asset's days.
    pub asset_days: Vec<AssetDays>,
    /// The columns, in their order.
    pub columns: Vec<ColumnDescription>,
    /// For each test window, the days on which the predicted asset has a price.
    pub observed_days: Vec<usize>,
    /// What is doubtful.
    pub warnings: Vec<String>,
}

/// Checks that the features of `template` can be made from the prices of the
/// assets that [`assets_needed`](super::assets_needed) named (in any order):
/// that there are rows enough for every stage and every test window.
///
/// What passes can still fail where only computing shows it, which is when
/// nearly all series turn out to be constant.
///
/// # Errors
/// Everything that [`run`](super::run) would refuse.
pub fn check(
    template: &TrainingTemplate,
    assets: Vec<(CatalogueAsset, PriceSeries)>,
) -> Result<Checked, Vec<FeatureError>> {
    let (assets, series) = in_order(template, assets).map_err(|fault| vec![fault])?;
    let mut warnings = doubts(template, &series);
    let columns = describe(template, Some(&assets));
    let panel = Panel::new(template, series);
    let alignment = template.features.alignment;
    let predicted = &template.predicted_asset;
    warnings.extend(alignment::much_lost(&panel.days, alignment, predicted));
    let asset_days = panel.days.clone();
    let range = panel
        .dates
        .first()
        .copied()
        .zip(panel.dates.last().copied());
    let Some((first_date, last_date)) = range else {
        return Err(vec![too_few_rows(template, Stages::ALL, panel)]);
    };
    let rows = panel.dates.len();

    let mut faults = Vec::new();
    faults.extend(check_names(columns.iter().map(|column| column.name.as_str())).err());
    let own = panel.own();
    faults.extend(low_pass_faults(template, &assets, &own));
    faults.extend(arima_faults(template, &assets, &own));
    faults.extend(autoencoder_fault(template, &panel, &columns));
    let mut observed_days = Vec::new();
    let prices = own_prices(&assets, &panel);
    let files = panel.for_files(&prices);
    let on_rows = panel.on_rows(prices);
    let (dates, prices) = files_of(files.as_ref(), &panel.dates, &on_rows);
    let plan = match deepar::Plan::new(
        &template.deepar,
        dates,
        prices,
        target_of(template, &assets),
    ) {
        // Prices alone nearly always hold enough; only where they don't, the
        // others count.
        Err(FeatureError::TooFewTrainingValues { .. }) => {
            lay_out(template, &assets, &panel, &columns)
        }
        settled => settled,
    };
    faults.extend(likelihood_fault(
        template,
        plan.as_ref().ok(),
        dates,
        prices,
    ));
    match plan {
        Ok(plan) => observed_days = plan.observed_days,
        Err(fault) => faults.push(fault),
    }
    let limiting = panel.limiting.clone();
    if panel.kept(&template.predicted_asset) < rows_needed(template, Stages::ALL).0 {
        faults.insert(0, too_few_rows(template, Stages::ALL, panel));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Checked {
        alignment,
        rows,
        first_date,
        last_date,
        limiting,
        asset_days,
        columns,
        observed_days,
        warnings,
    })
}

/// The numbers of bins that are too many for the asset with the fewest days of
/// those that get the columns.
pub(super) fn low_pass_faults(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    own: &[Own<'_>],
) -> Vec<FeatureError> {
    let fft = &template.features.fft;
    let lengths = || {
        let all = assets.iter().zip(own);
        all.filter(|(asset, _)| fft.enabled && fft.asset_classes.contains(&asset.class))
            .map(|(asset, own)| (own.dates.len(), &asset.ticker))
    };
    let Some((rows, shortest)) = lengths().min() else {
        return Vec::new();
    };
    let differ = lengths().any(|(other, _)| other != rows);
    let steps = fft.steps.iter();
    steps
        .filter_map(|bins| {
            let needed = match fft.mode {
                FftMode::Global => bins.saturating_mul(2).saturating_add(1),
                FftMode::Expanding(_) => first_complete(*bins).saturating_add(1),
            };
            (rows < needed).then_some(FeatureError::LowPass {
                asset: differ.then(|| shortest.clone()),
                steps: *bins,
                needed,
                rows,
            })
        })
        .collect()
}

fn arima_faults(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    own: &[Own<'_>],
) -> Vec<FeatureError> {
    let settings = &template.features.arima;
    let (p, d, _) = settings.order;
    let needed = arima::rows_needed(p);
    let tickers = settings.assets.iter().filter(|_| settings.enabled);
    tickers
        .filter_map(|ticker| {
            let asset = assets.iter().position(|asset| asset.ticker == *ticker)?;
            let rows = training_rows(template, own[asset].dates, settings.train_set_size);
            (rows < needed).then(|| FeatureError::Arima {
                ticker: ticker.clone(),
                end_training: template.deepar.end_training,
                source: arima::ArimaError::TooFewRows { p, d, rows, needed },
            })
        })
        .collect()
}

fn autoencoder_fault(
    template: &TrainingTemplate,
    panel: &Panel,
    columns: &[ColumnDescription],
) -> Option<FeatureError> {
    let settings = &template.features.autoencoder;
    if !settings.enabled {
        return None;
    }
    let unit = columns
        .iter()
        .find(|column| matches!(column.kind, ColumnKind::Autoencoder { .. }));
    let training_end = autoencoder_rows(template, &panel.dates);
    let first_row = |unit: &ColumnDescription| match panel.is_apart() {
        false => Some(unit.warm_up_rows),
        true => {
            let inputs = panel.on_rows(placeholders(panel, columns));
            complete_rows(template, &inputs).iter().position(|row| *row)
        }
    };
    match unit {
        None => Some(FeatureError::Autoencoder(
            "every column is made from the predicted asset".to_owned(),
        )),
        Some(unit) if first_row(unit).is_none_or(|row| row >= training_end) => {
            let of = match settings.inputs {
                AutoencoderInputs::Changes => "change",
                AutoencoderInputs::Levels => "value",
            };
            Some(FeatureError::Autoencoder(format!(
                "no row before row {training_end}, where its training ends, has a {of} in every column"
            )))
        }
        Some(_) => None,
    }
}

/// Whether the likelihood suits the prices that are in DeepAR's files or, where
/// those can't be laid out, all prices from their first day on.
fn likelihood_fault(
    template: &TrainingTemplate,
    plan: Option<&deepar::Plan>,
    dates: &[Date],
    prices: &[Column],
) -> Option<FeatureError> {
    let likelihood = match baselines::scoring(&template.deepar) {
        Ok(scoring) => scoring.likelihood,
        Err(fault) => return Some(fault),
    };
    match plan {
        Some(plan) => {
            let in_files = plan.series.iter().filter_map(|one| prices.get(one.column));
            likelihood::check(likelihood, dates, in_files, plan.rows())
        }
        None => {
            let first = template.deepar.start_dataset;
            let first = dates.partition_point(|date| *date < first);
            likelihood::check(likelihood, dates, prices, first..dates.len())
        }
    }
    .err()
}

/// Columns that have values where the real ones will, each on its asset's own
/// days, but for those of the autoencoder.
fn placeholders(panel: &Panel, columns: &[ColumnDescription]) -> Vec<Column> {
    let own: BTreeMap<&str, usize> = panel
        .days
        .iter()
        .zip(panel.own())
        .map(|(days, own)| (days.asset.as_str(), own.dates.len()))
        .collect();
    let of_assets = columns.iter().filter_map(|column| {
        let days = own.get(column.asset.as_deref()?)?;
        Some(placeholder(column, *days, |row| row >= column.warm_up_rows))
    });
    of_assets.collect()
}

fn placeholder(
    column: &ColumnDescription,
    rows: usize,
    has_value: impl Fn(usize) -> bool,
) -> Column {
    let values = (0_u32..).zip(0..rows);
    let values = values.map(|(value, row)| match has_value(row) {
        true => f64::from(value),
        false => f64::NAN,
    });
    Column {
        name: column.name.clone(),
        asset: column.asset.clone(),
        kind: column.kind,
        values: values.collect(),
    }
}

/// Whether the autoencoder can read a row, for each row of its inputs.
fn complete_rows(template: &TrainingTemplate, columns: &[Column]) -> Vec<bool> {
    let changes = template.features.autoencoder.inputs == AutoencoderInputs::Changes;
    let predicted = Some(template.predicted_asset.as_str());
    let rows = columns.first().map_or(0, |column| column.values.len());
    let mut complete = vec![true; rows];
    for column in columns
        .iter()
        .filter(|one| one.asset.as_deref() != predicted)
    {
        let pairs = changes && column.kind.is_price_like();
        for (row, complete) in complete.iter_mut().enumerate() {
            let before = !pairs || row > 0 && !column.values[row - 1].is_nan();
            *complete &= before && !column.values[row].is_nan();
        }
    }
    complete
}

/// DeepAR's files of all columns, which have values where the real ones will.
fn lay_out(
    template: &TrainingTemplate,
    assets: &[CatalogueAsset],
    panel: &Panel,
    columns: &[ColumnDescription],
) -> Result<deepar::Plan, FeatureError> {
    let made = placeholders(panel, columns);
    let mut files = panel.for_files(&made);
    let mut rows = panel.on_rows(made);
    let complete = complete_rows(template, &rows);
    let units = columns.iter().filter(|column| column.asset.is_none());
    let units: Vec<Column> = units
        .map(|unit| placeholder(unit, complete.len(), |row| complete[row]))
        .collect();
    if let Some(files) = &mut files {
        files.add(&panel.dates, &units);
    }
    rows.extend(units);
    let (dates, columns) = files_of(files.as_ref(), &panel.dates, &rows);
    deepar::Plan::new(
        &template.deepar,
        dates,
        columns,
        target_of(template, assets),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Options, propose, run_with};

    fn assets(rows: u16) -> Vec<(CatalogueAsset, PriceSeries)> {
        let first = time::macros::date!(2020 - 01 - 06);
        ["A", "B_1", "C.C"]
            .iter()
            .zip(3_u16..)
            .map(|(ticker, pace)| {
                let days = 0..rows;
                let asset = CatalogueAsset {
                    ticker: (*ticker).to_owned(),
                    class: "x".to_owned(),
                };
                let series = PriceSeries {
                    ticker: (*ticker).to_owned(),
                    dates: days
                        .clone()
                        .map(|day| first + time::Duration::days(i64::from(day)))
                        .collect(),
                    prices: days
                        .map(|day| 50.0 + (f64::from(day) / f64::from(pace)).sin())
                        .collect(),
                    dropped: 0,
                    warnings: Vec::new(),
                };
                (asset, series)
            })
            .collect()
    }

    fn parse(document: &serde_json::Value) -> TrainingTemplate {
        TrainingTemplate::parse(document).unwrap()
    }

    #[test]
    fn a_proposed_template_passes_and_makes_the_columns_that_are_described() {
        for rows in [70, 150, 450] {
            let mut document = propose(&assets(rows), "B_1").unwrap().template;
            document["feMeta"]["autoEncoderSettings"]["enabled"] = true.into();
            document["feMeta"]["autoEncoderSettings"]["fitEpoch"] = 1.into();
            let template = parse(&document);
            let checked = check(&template, assets(rows)).unwrap();
            let made = run_with(&template, assets(rows), Options::default(), &mut |_| ()).unwrap();
            assert_eq!(checked.rows, made.summary().rows);
            assert_eq!(checked.observed_days, made.summary().observed_days);
            assert_eq!(checked.columns.len(), made.columns().len());
            for (described, column) in checked.columns.iter().zip(made.columns()) {
                assert_eq!(described.name, column.name);
                assert_eq!(described.asset, column.asset);
                assert_eq!(described.kind, column.kind);
                let missing = column.values.iter().take_while(|x| x.is_nan()).count();
                assert_eq!(described.warm_up_rows, missing, "{}", column.name);
            }
        }
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let mut document = propose(&assets(150), "A").unwrap().template;
        document["feMeta"]["fftSettings"]["num_steps"] = serde_json::json!([3, 80, 200]);
        document["feMeta"]["arimaSettings"]["trainSetSize"] = serde_json::json!(0.1);
        document["deepARMeta"]["testWindows"] = 30.into();
        let faults = check(&parse(&document), assets(150)).unwrap_err();
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        for part in [
            "num_steps 80 needs at least",
            "num_steps 200 needs at least",
            "ARIMA of `A`: ARIMA(5,1,0) needs at least 30 training rows",
            "30 windows of 7 calendar days",
            "only 150 dates are common",
        ] {
            assert!(
                texts.iter().any(|text| text.contains(part)),
                "{part}: {texts:#?}"
            );
        }
        assert_eq!(faults.len(), 5, "{texts:#?}");
    }

    #[test]
    fn what_is_refused_is_what_a_run_refuses_first() {
        let mut document = propose(&assets(150), "A").unwrap().template;
        document["deepARMeta"]["testWindows"] = 12.into();
        let template = parse(&document);
        let faults = check(&template, assets(150)).unwrap_err();
        let error = run_with(&template, assets(150), Options::default(), &mut |_| ()).unwrap_err();
        assert!(faults.contains(&error), "{error}: {faults:?}");
    }
}
