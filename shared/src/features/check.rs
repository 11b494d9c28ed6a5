//! Whether features can be made, without making them.

use time::Date;

use super::alignment::{self, AssetDays};
use super::columns::{Column, ColumnKind};
use super::describe::{ColumnDescription, describe};
use super::error::FeatureError;
use super::input::{self, CatalogueAsset, PriceSeries};
use super::low_pass::first_complete;
use super::rows::{autoencoder_rows, rows_needed, too_few_rows, training_rows};
use super::run::{check_names, in_order};
use super::stage::Stages;
use super::{arima, baselines, deepar, likelihood};
use crate::training_template::{AutoencoderInputs, FftMode, TrainingTemplate};

/// What features would be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Rows of `features.csv`: dates common to all assets.
    pub rows: usize,
    /// First common date.
    pub first_date: Date,
    /// Last common date.
    pub last_date: Date,
    /// The asset without which most rows would be gained.
    pub limiting: Option<input::Limit>,
    /// What became of each asset's days.
    pub asset_days: Vec<AssetDays>,
    /// The columns, in their order.
    pub columns: Vec<ColumnDescription>,
    /// For each test window, the days on which there are prices.
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
    let mut warnings = template.warnings();
    for one in &series {
        warnings.extend(one.warnings.iter().cloned());
    }
    let columns = describe(template, Some(&assets));
    let panel = input::join(&series);
    drop(series);
    warnings.extend(alignment::much_lost(&panel.days));
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
    faults.extend(low_pass_faults(template, rows));
    faults.extend(arima_faults(template, &panel.dates));
    faults.extend(autoencoder_fault(template, &panel.dates, &columns));
    let mut observed_days = Vec::new();
    let prices = price_columns(&assets, &panel);
    let plan = lay_out(template, &panel.dates, &prices, &columns);
    faults.extend(likelihood_fault(
        template,
        plan.as_ref().ok(),
        &panel.dates,
        &prices,
    ));
    match plan {
        Ok(plan) => observed_days = plan.observed_days,
        Err(fault) => faults.push(fault),
    }
    let limiting = panel.limiting.clone();
    if rows < rows_needed(template, Stages::ALL).0 {
        faults.insert(0, too_few_rows(template, Stages::ALL, panel));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Checked {
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

fn low_pass_faults(template: &TrainingTemplate, rows: usize) -> Vec<FeatureError> {
    let fft = &template.features.fft;
    let used = fft.enabled && !fft.asset_classes.is_empty();
    let steps = fft.steps.iter().filter(|_| used);
    steps
        .filter_map(|bins| {
            let needed = match fft.mode {
                FftMode::Global => bins.saturating_mul(2).saturating_add(1),
                FftMode::Expanding(_) => first_complete(*bins).saturating_add(1),
            };
            (rows < needed).then_some(FeatureError::LowPass {
                steps: *bins,
                needed,
                rows,
            })
        })
        .collect()
}

fn arima_faults(template: &TrainingTemplate, dates: &[Date]) -> Vec<FeatureError> {
    let settings = &template.features.arima;
    let (p, d, _) = settings.order;
    let rows = training_rows(template, dates, settings.train_set_size);
    let needed = arima::rows_needed(p);
    let assets = settings.assets.iter();
    assets
        .filter(|_| settings.enabled && rows < needed)
        .map(|ticker| FeatureError::Arima {
            ticker: ticker.clone(),
            end_training: template.deepar.end_training,
            source: arima::ArimaError::TooFewRows { p, d, rows, needed },
        })
        .collect()
}

fn autoencoder_fault(
    template: &TrainingTemplate,
    dates: &[Date],
    columns: &[ColumnDescription],
) -> Option<FeatureError> {
    let settings = &template.features.autoencoder;
    if !settings.enabled {
        return None;
    }
    let unit = columns
        .iter()
        .find(|column| matches!(column.kind, ColumnKind::Autoencoder { .. }));
    let training_end = autoencoder_rows(template, dates);
    match unit {
        None => Some(FeatureError::Autoencoder(
            "every column is made from the predicted asset".to_owned(),
        )),
        Some(unit) if unit.warm_up_rows >= training_end => {
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

fn price_columns(assets: &[CatalogueAsset], panel: &input::Panel) -> Vec<Column> {
    assets
        .iter()
        .zip(&panel.prices)
        .map(|(asset, prices)| Column::new(&asset.ticker, ColumnKind::Price, prices.clone()))
        .collect()
}

/// DeepAR's files of columns that have values where the real ones will. Prices
/// alone nearly always hold enough; only where they don't, the others count.
fn lay_out(
    template: &TrainingTemplate,
    dates: &[Date],
    prices: &[Column],
    columns: &[ColumnDescription],
) -> Result<deepar::Plan, FeatureError> {
    match deepar::Plan::new(&template.deepar, dates, prices) {
        Err(FeatureError::TooFewTrainingValues { .. }) => {}
        settled => return settled,
    }
    let made = columns.iter().filter(|c| c.kind != ColumnKind::Price);
    let mut all = prices.to_vec();
    all.extend(made.map(|column| {
        let values = (0_u32..).zip(0..dates.len()).map(|(value, row)| {
            if row < column.warm_up_rows {
                f64::NAN
            } else {
                f64::from(value)
            }
        });
        Column {
            name: column.name.clone(),
            asset: column.asset.clone(),
            kind: column.kind,
            values: values.collect(),
        }
    }));
    deepar::Plan::new(&template.deepar, dates, &all)
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
            let mut document = propose(&assets(rows), "B_1").unwrap();
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
        let mut document = propose(&assets(150), "A").unwrap();
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
        let mut document = propose(&assets(150), "A").unwrap();
        document["deepARMeta"]["testWindows"] = 12.into();
        let template = parse(&document);
        let faults = check(&template, assets(150)).unwrap_err();
        let error = run_with(&template, assets(150), Options::default(), &mut |_| ()).unwrap_err();
        assert!(faults.contains(&error), "{error}: {faults:?}");
    }
}
