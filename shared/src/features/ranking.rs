//! Feature importance of a feature set: which columns go with the predicted
//! asset's price, by boosted trees ([`super::importance`]).

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;
use time::Date;

use super::alignment::{Panel, Table};
use super::columns::Column;
use super::importance::{Gain, Scale, boost};
use super::input::CatalogueAsset;
use super::stage::{Log, Stage};
use super::stages::{share_of, training_rows};
use super::summary::as_text;
use crate::training_template::TrainingTemplate;

/// What goes with every importance.
const NOTE: &str = "Association with the predicted asset's price on the same day, not forecasting value. \
`<ticker>_LAG_<n>` is that price n rows before, which features.csv has no column for; columns made from the predicted asset itself are left out.";

/// Lags of the target that are features of their own.
const LAGS: usize = 10;

/// Share of the complete rows that the trees learn from.
const SHARE: f64 = 0.8;

/// Fewer rows than this can't be split.
const LEAST_ROWS: usize = 2;

/// How much each feature goes with the price of the predicted asset on the same
/// day. This is association, not forecasting value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Importance {
    /// What it says and what it does not, for who opens the file.
    pub note: &'static str,
    /// The predicted asset.
    pub target: String,
    /// Rows that the trees learnt from.
    pub rows: usize,
    /// The first of them.
    #[serde(serialize_with = "as_text")]
    pub first_date: Date,
    /// The last of them.
    #[serde(serialize_with = "as_text")]
    pub last_date: Date,
    /// Every feature, most important first; equal ones in the order of columns.
    pub features: Vec<FeatureImportance>,
    /// Every asset class, most important first.
    pub classes: Vec<ClassImportance>,
}

/// The importance of one feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeatureImportance {
    /// The column, or `<ticker>_LAG_<days>` for a lag of the target.
    pub column: String,
    /// The asset it is made from.
    pub asset: String,
    /// That asset's class; the target's lags are a class of their own.
    pub class: String,
    /// Mean gain of its splits as a share of the sum over all features.
    pub importance: f64,
    /// Mean gain of its splits, in squares of the target's deviation; 0 without one.
    pub gain: f64,
    /// Sum of the gains of its splits.
    pub total_gain: f64,
    /// Splits on it.
    pub splits: usize,
}

/// The importance of an asset class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassImportance {
    /// The class.
    pub class: String,
    /// Its features.
    pub columns: usize,
    /// The mean of its features' importances.
    pub importance: f64,
}

impl Importance {
    /// The most important feature; absent where no feature was used, as with a
    /// target that is constant.
    pub fn most_important(&self) -> Option<&FeatureImportance> {
        self.features.first().filter(|first| first.splits > 0)
    }
}

/// The stage: ranks the columns of assets, and warns where they can't be ranked.
pub(super) fn rank(
    template: &TrainingTemplate,
    panel: &Panel,
    threads: usize,
    log: &mut Log<'_>,
) -> Option<Importance> {
    let stage = Stage::Importance;
    let target = &template.predicted_asset;
    log.started(
        stage,
        format!("which features go with {target} on the same day"),
    );
    let rows = &panel.tables.rows;
    let training_end = training_rows(template, &rows.dates, 1.0);
    let importance = match rank_columns(&panel.assets, panel.target, rows, training_end, threads) {
        Ok(importance) => importance,
        Err(few) => {
            log.warn(few.to_string());
            return None;
        }
    };
    let most = match importance.most_important() {
        Some(most) => format!(
            "; most important is {} with {:.1} % of the mean gain",
            most.column,
            100.0 * most.importance
        ),
        None => format!("; no feature was used: none tells anything of {target}"),
    };
    log.finished(
        stage,
        format!(
            "{} features ranked on {} rows{most}",
            importance.features.len(),
            importance.rows
        ),
    );
    Some(importance)
}

/// So many rows can't be learnt from.
#[derive(Debug, Error)]
#[error(
    "feature importance was left out: {0} rows before endTraining have a value in every column"
)]
struct TooFewComplete(usize);

/// Ranks the columns of assets that are not made from the target, whose place among
/// assets and columns is `target`, and its lags.
/// Rows with a missing value are dropped; the trees learn from the first
/// floor(0.8 rows), and none from row `training_end` on. The target is scaled
/// ([`Scale`]), so that the ranking is the same whatever it is counted in.
fn rank_columns(
    assets: &[CatalogueAsset],
    target: usize,
    Table { dates, columns }: &Table,
    training_end: usize,
    threads: usize,
) -> Result<Importance, TooFewComplete> {
    let prices = columns[target].values.as_slice();
    let target = assets[target].ticker.as_str();
    let chosen: Vec<(&Column, &str)> = columns
        .iter()
        .filter_map(|column| Some((column, column.asset.as_deref()?)))
        .filter(|(_, asset)| *asset != target)
        .collect();
    // The rows on which the target has a price: its lags are among them.
    let own: Vec<usize> = (0..dates.len())
        .filter(|row| !prices[*row].is_nan())
        .collect();
    let is_complete = |row: usize| {
        let mut columns = chosen.iter();
        columns.all(|(column, _)| !column.values[row].is_nan())
    };
    // Places in `own`.
    let complete: Vec<usize> = (LAGS..own.len())
        .filter(|place| is_complete(own[*place]))
        .collect();
    let learnt = share_of(complete.len(), SHARE)
        .min(complete.partition_point(|place| own[*place] < training_end));
    let rows = &complete[..learnt];
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(TooFewComplete(0));
    };
    if rows.len() < LEAST_ROWS {
        return Err(TooFewComplete(rows.len()));
    }

    let targets: Vec<f64> = rows.iter().map(|place| prices[own[*place]]).collect();
    let scale = Scale::of(&targets);
    // Its lags as well: rounded at another scale, they would part rows elsewhere.
    let own = own.as_slice();
    let lag = |days: usize| move |place: &usize| scale.scaled(prices[own[*place - days]]);
    let mut features: Vec<Vec<f32>> = Vec::with_capacity(chosen.len() + LAGS);
    features.extend(chosen.iter().map(|(column, _)| {
        let values = rows.iter().map(|place| column.values[own[*place]]);
        values.map(single).collect()
    }));
    features.extend((1..=LAGS).map(|days| rows.iter().map(lag(days)).collect()));
    let wanted: Vec<f32> = rows.iter().map(lag(0)).collect();
    let gains = boost(&features, &wanted, threads);

    let class_of = |ticker: &str| {
        assets
            .iter()
            .find(|asset| asset.ticker == ticker)
            .map_or_else(String::new, |asset| asset.class.clone())
    };
    let lags = (1..=LAGS).map(|days| {
        (
            format!("{target}_LAG_{days}"),
            target,
            format!("{target} lags"),
        )
    });
    let names = chosen
        .iter()
        .map(|(column, asset)| (column.name.clone(), *asset, class_of(asset)))
        .chain(lags);
    let sum: f64 = gains.iter().map(Gain::mean).sum();
    let mut features: Vec<FeatureImportance> = names
        .zip(&gains)
        .map(|((column, asset, class), gain)| FeatureImportance {
            column,
            asset: asset.to_owned(),
            class,
            importance: if sum > 0.0 { gain.mean() / sum } else { 0.0 },
            gain: gain.mean(),
            total_gain: gain.total,
            splits: gain.splits,
        })
        .collect();
    let classes = by_class(&features);
    // Stable: equal ones keep the order of columns.
    features.sort_by(|a, b| b.importance.total_cmp(&a.importance));
    Ok(Importance {
        note: NOTE,
        target: target.to_owned(),
        rows: rows.len(),
        first_date: dates[own[*first]],
        last_date: dates[own[*last]],
        features,
        classes,
    })
}

fn by_class(features: &[FeatureImportance]) -> Vec<ClassImportance> {
    let mut sums: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for feature in features {
        let entry = sums.entry(&feature.class).or_default();
        entry.0 += 1;
        entry.1 += feature.importance;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "column counts are far below 2^53"
    )]
    let mut classes: Vec<ClassImportance> = sums
        .into_iter()
        .map(|(class, (columns, sum))| ClassImportance {
            class: class.to_owned(),
            columns,
            importance: sum / columns as f64,
        })
        .collect();
    classes.sort_by(|a, b| b.importance.total_cmp(&a.importance));
    classes
}

/// The trees' precision; prices are at most 1e15, so it can't overflow.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what is wanted"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The ranking of noise, a column that goes with the target, and its lags,
    /// with the target in other units.
    fn ranked(rows: u16, unit: f64, offset: f64) -> Importance {
        let first = time::macros::date!(2020 - 01 - 01);
        let dates: Vec<Date> = (0..rows)
            .map(|day| first + time::Duration::days(i64::from(day)))
            .collect();
        let price = |pace: f64| move |day: u16| 3.0 + (f64::from(day) * pace).sin();
        let noise = |day: u16| f64::from(day.wrapping_mul(40_503)) / 65_536.0;
        let of = |ticker: &str, value: &dyn Fn(u16) -> f64| {
            Column::price(ticker, (0..rows).map(value).collect())
        };
        let columns = vec![
            of("NOISE", &noise),
            of("NEAR", &|day| price(0.07)(day) + 0.2 * noise(day)),
            of("TARGET", &|day| {
                offset + unit * (price(0.07)(day) + 0.1 * noise(day + 7))
            }),
        ];
        let assets = ["NOISE", "NEAR", "TARGET"].map(|ticker| CatalogueAsset {
            ticker: ticker.to_owned(),
            class: "x".to_owned(),
        });
        let rows = usize::from(rows);
        rank_columns(&assets, 2, &Table { dates, columns }, rows, 1).unwrap()
    }

    #[test]
    fn a_target_that_is_constant_uses_no_feature() {
        let constant = ranked(200, 0.0, 5.0);
        assert_eq!(constant.most_important(), None);
        assert!(
            constant
                .features
                .iter()
                .all(|feature| feature.importance == 0.0)
        );
        assert!(ranked(200, 1.0, 0.0).most_important().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The importance of features is the same at every scale of the predicted asset's price.
        #[test]
        fn importance_is_the_same_at_every_scale(rows in 60..200_u16, power in -12..12_i32, times in 1.0..9.9_f64) {
            let (one, other) = (ranked(rows, 1.0, 0.0), ranked(rows, times * 10_f64.powi(power), 0.0));
            for (a, b) in one.features.iter().zip(&other.features) {
                prop_assert_eq!(&a.column, &b.column);
                prop_assert_eq!(a.splits, b.splits);
                prop_assert!((a.importance - b.importance).abs() < 1e-4, "{}: {} {}", a.column, a.importance, b.importance);
            }
        }
    }
}
