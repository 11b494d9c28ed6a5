//! Whether features can be made, without making them.

use time::Date;

use super::alignment::AssetDays;
use super::columns::ColumnDescription;
use super::error::FeatureError;
use super::input::{CatalogueAsset, Limit, PriceSeries};
use super::prepare::{Prepared, prepare};
use super::stage::{Log, Stages};
use crate::training_template::{Alignment, TrainingTemplate};

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
    pub limiting: Option<Limit>,
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
    let mut unheard = |_| ();
    let mut log = Log::new(&mut unheard);
    let Prepared {
        panel,
        first_date,
        last_date,
        columns,
        observed_days,
    } = prepare(template, assets, Stages::ALL, &mut log)?;
    Ok(Checked {
        alignment: template.features.alignment,
        rows: panel.tables.rows.dates.len(),
        first_date,
        last_date,
        limiting: panel.limiting,
        asset_days: panel.days,
        columns,
        observed_days,
        warnings: log.warnings,
    })
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
    fn every_stage_makes_the_columns_that_it_describes() {
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
                assert_eq!(described.is_price_like, column.is_price_like);
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
