//! The feature step as a whole: columns, causality, determinism, the DeepAR
//! files, and what it says to inputs that can't work.
#![cfg(feature = "features")]
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

mod alignment;
mod baselines;
mod causality;
mod deepar_files;
mod determinism;
mod fuzz;
mod hostile;
mod likelihood;
#[path = "../mutation/mod.rs"]
mod mutation;

use std::num::NonZeroUsize;
use std::path::Path;

use pipewright::features::{
    CatalogueAsset, FeatureError, FeatureSet, Options, PriceSeries, assets_needed, read_prices,
    run_with,
};
use pipewright::training_template::TrainingTemplate;
use proptest::prelude::*;
use serde_json::{Value, json};
use time::{Date, Duration, Weekday};

const MONDAY: Date = time::macros::date!(2018 - 01 - 01);

fn epoch_ms(date: Date) -> i64 {
    (date - time::macros::date!(1970 - 01 - 01))
        .whole_milliseconds()
        .try_into()
        .unwrap()
}

/// `count` weekdays from a Monday on.
fn weekdays(count: usize) -> Vec<Date> {
    let mut days = Vec::with_capacity(count);
    let mut day = MONDAY;
    while days.len() < count {
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            days.push(day);
        }
        day = day.next_day().unwrap();
    }
    days
}

/// A template on the assets A, B (class X) and C (class Y): training ends with
/// day `end` of the data.
fn template(end: Date) -> Value {
    json!({
        "Id": "t", "predictedAsset": "A",
        "feMeta": {
            "baseAssets": "all",
            "taSettings": {
                "assets": ["B", "A"], "enabled": true,
                "bollingerBand": {"window": 20, "window_dev": 2},
                "rsi": {"window": 14}, "sma": {"window": 7}
            },
            "fftSettings": {"assetClasses": ["X"], "enabled": true, "num_steps": [9, 3]}
        },
        "deepARMeta": {
            "freq": "1D", "predictionLength": 7, "contextLength": 28,
            "startDataset": epoch_ms(MONDAY), "endTraining": epoch_ms(end),
            "testWindows": 2, "hyperParams": {"epochs": 1}
        }
    })
}

/// A template whose predicted asset has no price in training, or only one price, is refused: nothing would be learned of it.
#[test]
fn a_predicted_asset_that_is_left_out_is_refused() {
    let days = weekdays(300);
    let mut document = template(days[200]);
    document["feMeta"]["alignment"] = json!("union");
    let late = |price: fn(usize) -> f64, from: usize| {
        let asset_a = (asset("A", "X"), series("A", &days[from..], price));
        vec![
            asset_a,
            (asset("B", "X"), series("B", &days, |row| wave(row, 0.2))),
        ]
    };
    let faults = [
        (late(|row| wave(row, 0.1), 201), "no value from 2018-01-01"),
        (late(|_| 5.0, 0), "constant in training (5)"),
    ];
    for (assets, reason) in faults {
        let told = run(&document, assets.clone(), 1).unwrap_err().to_string();
        assert!(
            told.starts_with("A, which is predicted, cannot be trained on: ")
                && told.contains(reason),
            "{told}"
        );
        let checked = pipewright::features::check(&parse(&document), assets).unwrap_err();
        assert!(
            checked.iter().any(|fault| fault.to_string() == told),
            "{checked:?}"
        );
    }
}

fn parse(template: &Value) -> TrainingTemplate {
    TrainingTemplate::parse(template).unwrap()
}

fn asset(ticker: &str, class: &str) -> CatalogueAsset {
    CatalogueAsset {
        ticker: ticker.to_owned(),
        class: class.to_owned(),
    }
}

fn series(ticker: &str, dates: &[Date], price: impl Fn(usize) -> f64) -> PriceSeries {
    PriceSeries {
        ticker: ticker.to_owned(),
        dates: dates.to_vec(),
        prices: (0..dates.len()).map(price).collect(),
        dropped: 0,
        warnings: Vec::new(),
    }
}

/// A price that wanders without a random number.
fn wave(row: usize, pace: f64) -> f64 {
    let t = f64::from(u32::try_from(row).unwrap());
    100.0 + 10.0 * (t * pace).sin() + (t * t * 0.37).cos()
}

type Assets = Vec<(CatalogueAsset, PriceSeries)>;

fn assets(rows: usize) -> Assets {
    let dates = weekdays(rows);
    [("C", "Y", 0.05), ("A", "X", 0.11), ("B", "X", 0.23)]
        .map(|(ticker, class, pace)| {
            (
                asset(ticker, class),
                series(ticker, &dates, |row| wave(row, pace)),
            )
        })
        .into()
}

fn run(template: &Value, assets: Assets, threads: usize) -> Result<FeatureSet, FeatureError> {
    let options = Options {
        threads: NonZeroUsize::new(threads).unwrap(),
        ..Options::default()
    };
    run_with(&parse(template), assets, options, &mut |_| ())
}

/// The three files.
fn files(set: &FeatureSet) -> [Vec<u8>; 3] {
    let mut files = [const { Vec::new() }; 3];
    set.write_features_csv(&mut files[0]).unwrap();
    set.write_train(&mut files[1]).unwrap();
    set.write_test(&mut files[2]).unwrap();
    files
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn end_of_training() -> Date {
    MONDAY + Duration::weeks(20)
}

#[test]
fn columns_come_in_their_order_with_the_asset_they_are_made_from() {
    let set = run(&template(end_of_training()), assets(150), 2).unwrap();
    let names: Vec<&str> = set
        .columns()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "A", "B", "C", "A_BB_Up", "A_BB_Low", "A_BB_MA", "A_RSI", "A_SMA", "B_BB_Up",
            "B_BB_Low", "B_BB_MA", "B_RSI", "B_SMA", "A_FT_9", "A_FT_3", "B_FT_9", "B_FT_3"
        ]
    );
    for column in set.columns() {
        assert!(column.name.starts_with(column.asset.as_deref().unwrap()));
    }
}

#[test]
fn missing_values_are_empty_cells_and_numbers_come_back_from_the_csv() {
    let set = run(&template(end_of_training()), assets(150), 1).unwrap();
    let [features, ..] = files(&set);
    let mut reader = csv::Reader::from_reader(features.as_slice());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 150);
    for (row, record) in records.iter().enumerate() {
        assert_eq!(record[0], set.dates()[row].to_string());
        for (cell, column) in record.iter().skip(1).zip(set.columns()) {
            let value = column.values[row];
            if value.is_nan() {
                assert_eq!(cell, "");
            } else {
                assert_eq!(cell.parse::<f64>().unwrap().to_bits(), value.to_bits());
            }
        }
    }
    let missing = |name: &str| {
        let column = set
            .columns()
            .iter()
            .find(|column| column.name == name)
            .unwrap();
        column.values.iter().take_while(|x| x.is_nan()).count()
    };
    assert_eq!(missing("A"), 0);
    assert_eq!(missing("A_BB_Up"), 19);
    assert_eq!(missing("A_RSI"), 13);
    assert_eq!(missing("A_SMA"), 6);
    assert_eq!(missing("A_FT_9"), 19);
}

#[test]
fn the_same_input_gives_the_same_bytes_for_any_threads_and_order() {
    let mut template = template(end_of_training());
    with_arima(&mut template);
    with_autoencoder(&mut template);
    let first = files(&run(&template, assets(150), 1).unwrap());
    for threads in [2, 3, 16] {
        let mut assets = assets(150);
        assets.rotate_left(threads % 3);
        assert!(files(&run(&template, assets, threads).unwrap()) == first);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// No column knows the future: made from the first rows alone, it is what
    /// it is when made from all of them.
    #[test]
    fn no_column_depends_on_later_prices(
        prices in prop::collection::vec(prop::array::uniform3(-50.0..200.0_f64), 90..140),
        cut in 0.0..1.0_f64,
        edge in prop::sample::select(vec!["mirror", "periodic"]),
    ) {
        let dates = weekdays(prices.len());
        let mut document = template(MONDAY + Duration::weeks(15));
        document["feMeta"]["fftSettings"]["edge"] = json!(edge);
        document["deepARMeta"]["predictionLength"] = json!(1);
        document["deepARMeta"]["testWindows"] = json!(1);
        // Enough rows for training to end and one test window.
        let least = 76;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small and positive")]
        let cut = least + (cut * (prices.len() - least) as f64) as usize;
        let made = |rows: usize| {
            let assets = ["A", "B", "C"].iter().enumerate().map(|(i, ticker)| {
                let class = if *ticker == "C" { "Y" } else { "X" };
                (asset(ticker, class), series(ticker, &dates[..rows], |row| prices[row][i]))
            });
            run(&document, assets.collect(), 2).unwrap()
        };
        let (whole, part) = (made(prices.len()), made(cut));
        let largest = prices.iter().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
        for (a, b) in whole.columns().iter().zip(part.columns()) {
            for row in 0..cut {
                let (x, y) = (a.values[row], b.values[row]);
                prop_assert_eq!(x.is_nan(), y.is_nan(), "{} row {}", a.name, row);
                prop_assert!(x.is_nan() || (x - y).abs() <= 1e-9 * largest.max(100.0), "{} row {row}: {x} {y}", a.name);
            }
        }
    }
}

fn with_arima(document: &mut Value) {
    document["feMeta"]["arimaSettings"] =
        json!({"enabled": true, "assets": ["B", "A"], "trainSetSize": 0.8});
}

fn with_autoencoder(document: &mut Value) {
    document["feMeta"]["autoEncoderSettings"] = json!({
        "enabled": true, "optimizer": "adam", "loss": "mean_squared_error",
        "fitEpoch": 3, "fitBatchSize": 32, "fitShuffle": false
    });
}

/// A fitted column depends, after its training rows, on those and on the
/// prices up to each row: changing later prices leaves it as it is.
#[test]
fn no_fitted_column_depends_on_later_prices() {
    let mut document = template(end_of_training());
    with_arima(&mut document);
    with_autoencoder(&mut document);
    let whole = run(&document, assets(150), 2).unwrap();
    // Training rows: 0.8 of 150 is 120, but training ends with row 100.
    for cut in [100, 111, 140] {
        let mut changed = assets(150);
        for (_, series) in &mut changed {
            for price in &mut series.prices[cut..] {
                *price = *price * 1.7 + 3.0;
            }
        }
        let part = run(&document, changed, 2).unwrap();
        for (a, b) in whole.columns().iter().zip(part.columns()) {
            for row in 0..cut {
                let (x, y) = (a.values[row], b.values[row]);
                assert!(
                    x.to_bits() == y.to_bits() || (x - y).abs() < 1e-8,
                    "{} row {row}",
                    a.name
                );
            }
        }
    }
}

#[test]
fn arima_columns_follow_the_indicators_and_predict_the_next_day() {
    let mut document = template(end_of_training());
    with_arima(&mut document);
    let set = run(&document, assets(150), 2).unwrap();
    let names: Vec<&str> = set
        .columns()
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names[12..15], ["B_SMA", "A_ARIMA", "B_ARIMA"]);
    let (price, predicted) = (&set.columns()[0].values, &set.columns()[13].values);
    assert!(predicted[0].is_nan());
    assert_eq!(predicted[1], price[0]);
    assert!(
        predicted.iter().zip(price).skip(1).any(|(a, b)| a != b),
        "not the price itself"
    );
}

#[test]
fn arima_of_too_short_or_constant_prices_is_refused_or_warned_of() {
    let message = refused(|document, _| {
        with_arima(document);
        document["feMeta"]["arimaSettings"]["trainSetSize"] = json!(0.19);
    });
    assert!(
        message.starts_with("ARIMA of `A`: ARIMA(5,1,0) needs at least 30 training rows, but there are 28 before 2018-05-21"),
        "{message}"
    );
    let mut document = template(end_of_training());
    with_arima(&mut document);
    let mut assets = assets(150);
    let other = assets.iter_mut().find(|(asset, _)| asset.ticker == "B");
    other.unwrap().1.prices.fill(5.0);
    let set = run(&document, assets, 2).unwrap();
    let warnings = &set.summary().warnings;
    assert!(
        warnings[0].starts_with("ARIMA of B: every change"),
        "{warnings:?}"
    );
}

#[test]
fn autoencoder_columns_come_last_and_leave_out_the_predicted_asset() {
    let mut document = template(end_of_training());
    with_autoencoder(&mut document);
    let set = run(&document, assets(150), 2).unwrap();
    // B, C, five indicators and two low-pass columns of B.
    let units: Vec<_> = set
        .columns()
        .iter()
        .filter(|column| column.asset.is_none())
        .collect();
    assert_eq!(units.len(), 9);
    assert_eq!(set.columns().last().unwrap().name, "AE_8");
    let report = set.summary().autoencoder.as_ref().unwrap();
    // Complete from row 20 on, since changes need the row before; 0.7 of 150
    // and one is 106, but training ends with row 100.
    assert_eq!(
        (report.inputs, report.training_rows, report.later_rows),
        (9, 80, 50)
    );
    assert_eq!(report.losses.len(), 3);
    for unit in &units {
        assert!(unit.values[..20].iter().all(|x| x.is_nan()));
        assert!(unit.values[20..].iter().all(|x| (0.0..=1.0).contains(x)));
        let first = unit.values[20];
        assert!(
            unit.values[20..].iter().any(|x| (x - first).abs() > 1e-9),
            "not a constant"
        );
    }
    let map = set.series_map();
    assert_eq!(map[map.as_array().unwrap().len() - 1]["asset"], Value::Null);
    // Importance is of the features that it is made from.
    assert!(
        set.importance()
            .unwrap()
            .features
            .iter()
            .all(|f| !f.column.starts_with("AE_"))
    );
}

#[test]
fn an_autoencoder_without_complete_training_rows_is_refused() {
    let message = refused(|document, _| {
        with_autoencoder(document);
        document["feMeta"]["fftSettings"]["num_steps"] = json!([60]);
    });
    assert!(
        message.starts_with("the autoencoder can't be trained: no row before row 100"),
        "{message}"
    );
}

#[test]
fn importance_ranks_every_column_but_the_targets_and_adds_its_lags() {
    let set = run(&template(end_of_training()), assets(150), 2).unwrap();
    let importance = set.importance().unwrap();
    // B, C, five indicators and two low-pass columns of B, ten lags of A.
    assert_eq!(importance.features.len(), 19);
    let sum: f64 = importance
        .features
        .iter()
        .map(|feature| feature.importance)
        .sum();
    assert!((sum - 1.0).abs() < 1e-12);
    assert!(
        importance
            .features
            .is_sorted_by(|a, b| a.importance >= b.importance)
    );
    // Complete from row 19 on: 131 rows, of which 0.8 are 104; but training
    // ends with row 100.
    assert_eq!(
        (importance.rows, importance.last_date.to_string().as_str()),
        (81, "2018-05-18")
    );
    let classes: Vec<(&str, usize)> = importance
        .classes
        .iter()
        .map(|class| (class.class.as_str(), class.columns))
        .collect();
    assert!(
        classes.contains(&("X", 8))
            && classes.contains(&("Y", 1))
            && classes.contains(&("A lags", 10))
    );
    for feature in &importance.features {
        assert_eq!(
            feature.asset == "A",
            feature.class == "A lags",
            "{}",
            feature.column
        );
    }
}

#[test]
fn importance_without_complete_rows_is_left_out_with_a_warning() {
    let mut document = template(end_of_training());
    document["feMeta"]["fftSettings"]["num_steps"] = json!([60]);
    let set = run(&document, assets(150), 2).unwrap();
    assert!(set.importance().is_none());
    assert_eq!(
        set.summary().warnings,
        ["feature importance was left out: 0 rows before endTraining have a value in every column"]
    );
}

/// Counted day by day from `start`, every point is the column's value of that
/// date, and null on days without one.
#[test]
fn daily_series_line_up_with_the_calendar() {
    let set = run(&template(end_of_training()), assets(150), 2).unwrap();
    let [_, train, test] = files(&set);
    let (train, test) = (lines(&train), lines(&test));
    let count = set.columns().len();
    assert_eq!((train.len(), test.len()), (count, 2 * count));
    for (i, line) in train.iter().chain(&test).enumerate() {
        let column = &set.columns()[i % count];
        let start = line["start"]
            .as_str()
            .unwrap()
            .strip_suffix(" 00:00:00")
            .unwrap();
        let first = set
            .dates()
            .iter()
            .position(|date| date.to_string() == start)
            .unwrap();
        assert!(
            !column.values[first].is_nan() && (first == 0 || column.values[first - 1].is_nan())
        );
        let end = end_of_training() + Duration::days(7) * u32::try_from(i / count).unwrap();
        let target = line["target"].as_array().unwrap();
        assert_eq!(
            i64::try_from(target.len()).unwrap(),
            (end - set.dates()[first]).whole_days()
        );
        let mut date = set.dates()[first];
        for point in target {
            let value = set
                .dates()
                .binary_search(&date)
                .ok()
                .map(|row| column.values[row]);
            assert_eq!(point.as_f64(), value, "{} {date}", column.name);
            date = date.next_day().unwrap();
        }
    }
    assert_eq!(set.summary().observed_days, [5, 5]);
}

#[test]
fn the_trading_calendar_packs_rows() {
    let mut document = template(end_of_training());
    document["deepARMeta"]["calendar"] = json!("trading");
    let set = run(&document, assets(150), 2).unwrap();
    let [_, train, test] = files(&set);
    let (train, test) = (lines(&train), lines(&test));
    let count = set.columns().len();
    for (i, line) in train.iter().chain(&test).enumerate() {
        let values = &set.columns()[i % count].values;
        let first = values.iter().position(|x| !x.is_nan()).unwrap();
        let points: Vec<f64> = line["target"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().unwrap())
            .collect();
        assert_eq!(points, values[first..100 + 7 * (i / count)]);
        assert_eq!(line["start"], format!("{} 00:00:00", set.dates()[first]));
    }
}

#[test]
fn the_map_tells_what_each_line_is() {
    let set = run(&template(end_of_training()), assets(150), 2).unwrap();
    let map = set.series_map();
    assert_eq!(
        map[3],
        json!({
            "line": 4, "column": "A_BB_Up", "asset": "A", "start": "2018-01-26", "length": 115,
            "nulls": 34, "calendar": "daily", "firstForecast": "2018-05-21"
        })
    );
}

#[test]
fn series_that_cannot_be_learnt_from_are_left_out_with_the_reason() {
    let dates = weekdays(150);
    let mut assets = assets(150);
    assets.push((asset("FLAT", "Z"), series("FLAT", &dates, |_| 5.0)));
    let set = run(&template(end_of_training()), assets, 2).unwrap();
    let left: Vec<(&str, String)> = set
        .summary()
        .left_out
        .iter()
        .map(|left| (left.column.as_str(), left.reason.to_string()))
        .collect();
    let reason = "constant in training (5)".to_owned();
    assert_eq!(left, [("FLAT", reason)]);
    assert_eq!(set.summary().train_series, Some(set.columns().len() - 1));
    assert!(set.columns().iter().any(|column| column.name == "FLAT"));
}

#[test]
fn an_indicator_of_a_constant_price_is_defined() {
    let dates = weekdays(150);
    let mut assets = assets(150);
    assets[2].1 = series("B", &dates, |_| 5.0);
    let set = run(&template(end_of_training()), assets, 2).unwrap();
    for column in set
        .columns()
        .iter()
        .filter(|column| column.asset.as_deref() == Some("B"))
    {
        assert!(
            column.values.iter().all(|x| x.is_nan() || x.is_finite()),
            "{}",
            column.name
        );
    }
    assert!(
        set.summary()
            .left_out
            .iter()
            .any(|left| left.column == "B_RSI")
    );
}

#[test]
fn the_summary_names_the_asset_that_limits_and_the_rows_it_costs() {
    let mut assets = assets(150);
    assets[0].1.dates.drain(..9);
    assets[0].1.prices.drain(..9);
    let set = run(&template(end_of_training()), assets, 2).unwrap();
    let summary = set.summary();
    assert_eq!(
        (
            summary.limiting_asset.as_deref(),
            summary.limiting_asset_rows
        ),
        (Some("C"), 9)
    );
    assert_eq!(summary.rows, 141);
}

fn refused(change: impl Fn(&mut Value, &mut Assets)) -> String {
    let (mut document, mut assets) = (template(end_of_training()), assets(150));
    change(&mut document, &mut assets);
    run(&document, assets, 2).unwrap_err().to_string()
}

#[test]
fn too_few_common_dates_name_every_range_and_the_limit() {
    let message = refused(|_, assets| {
        assets[0].1.dates.truncate(40);
        assets[0].1.prices.truncate(40);
    });
    assert!(
        message.starts_with(
            "only 40 dates are common to all 3 assets (2018-01-01 to 2018-02-23), but 60 are needed"
        ),
        "{message}"
    );
    assert!(
        message.contains("`C` limits them: without it there would be 110 more"),
        "{message}"
    );
    assert!(
        message.contains("A 2018-01-01 to 2018-07-27 (150 rows)"),
        "{message}"
    );
}

/// Assets that only `"all"` brings in are named where there are too few days.
#[test]
fn assets_that_joined_by_all_are_named_where_there_are_too_few_days() {
    let message = |base: Value| {
        refused(|document, assets| {
            document["feMeta"] = json!({"baseAssets": base});
            document["predictedAsset"] = json!("A");
            assets[0].1.dates.truncate(40);
            assets[0].1.prices.truncate(40);
        })
    };
    let joined = message(json!("all"));
    assert!(
        joined.contains(
            "not named by the template, and there because feMeta.baseAssets is \"all\": "
        ),
        "{joined}"
    );
    let named = joined.rsplit("\"all\": ").next().unwrap();
    assert!(
        named.contains('B') && named.contains('C') && !named.contains("A,"),
        "{named}"
    );
    let listed = message(json!(["A", "B", "C"]));
    assert!(!listed.contains("not named by the template"), "{listed}");
}

#[test]
fn assets_without_a_common_date_are_refused() {
    let message = refused(|_, assets| {
        for date in &mut assets[0].1.dates {
            *date += Duration::weeks(52);
        }
    });
    assert!(message.starts_with("only 0 dates are common"), "{message}");
}

#[test]
fn a_window_or_step_beyond_the_data_is_refused_with_the_rows_needed() {
    let message = refused(|document, _| {
        document["feMeta"]["taSettings"]["rsi"]["window"] = json!(1_000_000);
    });
    assert!(
        message.contains("1000013 are needed (999999 rows of warm-up for rsi.window 1000000"),
        "{message}"
    );
    let message =
        refused(|document, _| document["feMeta"]["fftSettings"]["num_steps"] = json!([100]));
    assert!(
        message.contains("201 rows of warm-up for num_steps 100"),
        "{message}"
    );
    let message = refused(|document, _| {
        document["feMeta"]["fftSettings"]["num_steps"] = json!([75]);
        document["feMeta"]["fftSettings"]["mode"] = json!("global");
    });
    assert_eq!(
        message,
        "num_steps 75 needs at least 151 rows, but there are 150; lower it"
    );
}

#[test]
fn test_windows_beyond_the_data_are_refused_with_what_fits() {
    let message = refused(|document, _| document["deepARMeta"]["testWindows"] = json!(12));
    assert!(message.contains("prices end on 2018-07-27, before the last test window does: 12 windows of 7 calendar days from 2018-05-21 end on 2018-08-12; 9 windows fit"), "{message}");
    let message = refused(|document, _| {
        document["deepARMeta"]["testWindows"] = json!(12);
        document["deepARMeta"]["calendar"] = json!("trading");
    });
    assert!(
        message.contains("need 84 trading days, and there are 50; 7 windows fit"),
        "{message}"
    );
}

#[test]
fn a_test_window_without_a_price_is_refused() {
    let message = refused(|document, _| {
        document["deepARMeta"]["predictionLength"] = json!(1);
        document["deepARMeta"]["testWindows"] = json!(6);
    });
    assert!(
        message.starts_with("test window 6 (2018-05-26 to 2018-05-26) holds no price"),
        "{message}"
    );
}

#[test]
fn fewer_training_values_than_deepar_needs_are_refused() {
    let message = refused(|document, _| {
        document["deepARMeta"]["startDataset"] =
            json!(epoch_ms(end_of_training() - Duration::days(7)));
    });
    assert!(message.starts_with("the training series hold 85 values from 2018-05-14 to before 2018-05-21, but DeepAR needs at least 300"), "{message}");
}

#[test]
fn columns_of_one_name_are_refused() {
    let dates = weekdays(150);
    let message = refused(|_, assets| {
        assets.push((
            asset("A_RSI", "Z"),
            series("A_RSI", &dates, |row| wave(row, 0.3)),
        ));
    });
    assert!(
        message.starts_with("two columns would be named `A_RSI`"),
        "{message}"
    );
    let message = refused(|_, assets| {
        assets.push((
            asset("Date", "Z"),
            series("Date", &dates, |row| wave(row, 0.3)),
        ));
    });
    assert!(
        message.starts_with("two columns would be named `Date`"),
        "{message}"
    );
}

#[test]
fn an_asset_that_was_not_given_or_given_twice_is_refused() {
    let message = refused(|_, assets| assets.retain(|(asset, _)| asset.ticker != "B"));
    assert_eq!(
        message,
        "the prices of `B` were not given, but feMeta.taSettings.assets[0] names it"
    );
    let message = refused(|_, assets| assets.push(assets[0].clone()));
    assert_eq!(message, "the asset `C` was given twice");
}

#[test]
fn a_heading_with_a_comma_is_quoted() {
    let dates = weekdays(150);
    let mut assets = assets(150);
    assets.push((
        asset("a,\"b", "Z"),
        series("a,\"b", &dates, |row| wave(row, 0.3)),
    ));
    let set = run(&template(end_of_training()), assets, 1).unwrap();
    let [features, ..] = files(&set);
    let mut reader = csv::Reader::from_reader(features.as_slice());
    assert_eq!(reader.headers().unwrap().get(4), Some("a,\"b"));
}

#[test]
fn the_assets_needed_are_those_that_any_setting_names() {
    let catalogue = [("D", "X"), ("B", "Y"), ("A", "Y"), ("C", "Y"), ("E", "Z")]
        .map(|(ticker, class)| asset(ticker, class));
    let mut document = template(end_of_training());
    document["feMeta"]["baseAssets"] = json!(["C"]);
    let needed = |document: &Value| assets_needed(&parse(document), &catalogue);
    let tickers: Vec<String> = needed(&document)
        .unwrap()
        .into_iter()
        .map(|a| a.ticker)
        .collect();
    assert_eq!(tickers, ["A", "B", "C", "D"]);

    document["feMeta"]["taSettings"]["assets"] = json!(["BB"]);
    assert_eq!(
        needed(&document).unwrap_err().to_string(),
        "feMeta.taSettings.assets[0] names the asset `BB`, which is not in the catalogue (the nearest is `B`); import it or take it out"
    );
    document["feMeta"]["taSettings"]["assets"] = json!([]);
    document["feMeta"]["fftSettings"]["assetClasses"] = json!(["W"]);
    assert!(
        needed(&document)
            .unwrap_err()
            .to_string()
            .contains("the asset class `W`")
    );
}

/// The shipped sample: read, run, and as large as it says.
#[test]
fn the_sample_template_runs_on_the_sample_prices() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let document: Value =
        serde_json::from_slice(&std::fs::read(samples.join("training-template.json")).unwrap())
            .unwrap();
    let template = parse(&document);
    assert!(template.warnings().is_empty(), "{:?}", template.warnings());
    let mut reader = csv::Reader::from_path(samples.join("sp500-20/assets.csv")).unwrap();
    let catalogue: Vec<CatalogueAsset> = reader
        .records()
        .map(|record| record.map(|r| asset(&r[0], &r[1])).unwrap())
        .collect();
    let assets = assets_needed(&template, &catalogue)
        .unwrap()
        .into_iter()
        .map(|asset| {
            let name = format!("{}.csv", asset.ticker);
            let bytes = std::fs::read(samples.join("sp500-20").join(&name)).unwrap();
            let prices = read_prices(&asset.ticker, &name, &bytes).unwrap();
            (asset, prices)
        })
        .collect();
    let set = run(&document, assets, 2).unwrap();
    let summary = set.summary();
    assert_eq!(
        (summary.assets, summary.rows, summary.columns),
        (20, 3270, 106)
    );
    assert_eq!(
        (summary.train_series, summary.test_records),
        (Some(106), Some(424))
    );
    assert_eq!(summary.limiting_asset, None);
    let [_, train, test] = files(&set);
    assert_eq!(lines(&train).len(), 106);
    assert_eq!(lines(&test).len(), 424);
}
