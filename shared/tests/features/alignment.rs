//! Assets with days of their own: what stands on the rows, and what DeepAR's
//! series keep.

use pipewright::features::{Column, FeatureSet, check};
use proptest::prelude::*;
use serde_json::{Value, json};
use time::{Date, Duration, Weekday};

use super::{Assets, MONDAY, asset, files, lines, parse, run, series, template, wave};

const ALIGNMENTS: [&str; 3] = ["common", "predicted", "union"];

fn is_weekday(date: Date) -> bool {
    !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// A has a price every day, B on weekdays, C on weekdays but for each tenth.
fn calendars(days: i64) -> Assets {
    let every = || (0..days).map(|day| MONDAY + Duration::days(day));
    let weekdays: Vec<Date> = every().filter(|date| is_weekday(*date)).collect();
    let lacking = weekdays.iter().enumerate().filter(|(i, _)| i % 10 != 8);
    let lacking: Vec<Date> = lacking.map(|(_, date)| *date).collect();
    let every: Vec<Date> = every().collect();
    [
        ("A", "X", every, 0.11),
        ("B", "X", weekdays, 0.23),
        ("C", "Y", lacking, 0.05),
    ]
    .map(|(ticker, class, dates, pace)| {
        let prices = series(ticker, &dates, |row| wave(row, pace));
        (asset(ticker, class), prices)
    })
    .into()
}

fn document(alignment: &str, predicted: &str) -> Value {
    let mut document = template(MONDAY + Duration::weeks(20));
    document["predictedAsset"] = json!(predicted);
    document["feMeta"]["alignment"] = json!(alignment);
    document["feMeta"]["arimaSettings"] =
        json!({"enabled": true, "assets": ["B"], "trainSetSize": 0.8});
    document
}

fn column<'a>(set: &'a FeatureSet, name: &str) -> &'a Column {
    let mut columns = set.columns().iter();
    columns.find(|column| column.name == name).unwrap()
}

fn on(set: &FeatureSet, name: &str, date: Date) -> f64 {
    let row = set.dates().binary_search(&date).unwrap();
    column(set, name).values[row]
}

fn same(a: f64, b: f64) -> bool {
    a.is_nan() == b.is_nan() && (a.is_nan() || (a - b).abs() < 1e-9)
}

/// Indicators, low-pass and ARIMA of an asset are made of its own days, whatever the others have, and stand on the rows as its prices do.
#[test]
fn the_stages_of_an_asset_work_on_its_own_days() {
    let assets = calendars(200);
    let mut alone = document("common", "B");
    alone["feMeta"]["taSettings"]["assets"] = json!(["B"]);
    let only = assets.iter().filter(|(asset, _)| asset.ticker == "B");
    let alone = run(&alone, only.cloned().collect(), 2).unwrap();
    for (alignment, predicted) in [("predicted", "A"), ("union", "A"), ("union", "C")] {
        let set = run(&document(alignment, predicted), assets.clone(), 2).unwrap();
        assert_eq!(set.dates().len(), 200);
        for name in [
            "B", "B_BB_Up", "B_RSI", "B_SMA", "B_ARIMA", "B_FT_3", "B_FT_9",
        ] {
            let mut last = f64::NAN;
            for date in set.dates() {
                let expected = match (is_weekday(*date), alignment) {
                    (true, _) => on(&alone, name, *date),
                    // Friday's, two days old at most.
                    (false, "predicted") => last,
                    (false, _) => f64::NAN,
                };
                let found = on(&set, name, *date);
                assert!(
                    same(found, expected),
                    "{alignment} {name} {date}: {found} {expected}"
                );
                last = expected;
            }
        }
    }
}

/// A price that stands for a missing one is at most maxAge calendar days old, listed with its own day in filled.csv, and counted.
#[test]
fn a_filled_price_is_listed_and_never_older_than_max_age() {
    let saturday = MONDAY + Duration::days(5);
    let filled = |age: Option<u32>| {
        let mut document = document("predicted", "A");
        if let Some(age) = age {
            document["feMeta"]["maxAge"] = json!(age);
        }
        let set = run(&document, calendars(200), 2).unwrap();
        let mut csv = Vec::new();
        set.write_filled_csv(&mut csv).unwrap();
        let days = &set.summary().asset_days;
        let told: usize = days.iter().map(|one| one.filled).sum();
        let csv = String::from_utf8(csv).unwrap();
        assert_eq!(csv.lines().count() - 1, told);
        (
            csv,
            on(&set, "B", saturday),
            on(&set, "B", saturday + Duration::days(1)),
        )
    };
    let (csv, saturdays, sundays) = filled(Some(1));
    assert!(!saturdays.is_nan() && sundays.is_nan());
    assert!(
        csv.starts_with(
            "Date,Asset,PriceDate\n2018-01-06,B,2018-01-05\n2018-01-06,C,2018-01-05\n\
             2018-01-11,C,2018-01-10\n2018-01-13,B,2018-01-12\n"
        ),
        "{csv}"
    );
    let (csv, saturdays, sundays) = filled(None);
    assert!(saturdays.to_bits() == sundays.to_bits());
    assert!(csv.contains("\n2018-01-07,C,2018-01-05\n"), "{csv}");
}

/// DeepAR's daily series keep every day of an asset's own, and no price that was filled, under predicted and union.
#[test]
fn deepars_daily_series_keep_every_day_of_an_assets_own() {
    let assets = calendars(200);
    for (alignment, predicted) in [
        ("predicted", "A"),
        ("predicted", "B"),
        ("union", "B"),
        ("common", "B"),
    ] {
        let set = run(&document(alignment, predicted), assets.clone(), 2).unwrap();
        let [_, train, _] = files(&set);
        let map = set.series_map();
        // What forecasts begin with is what the series have.
        let mut prices = Vec::new();
        set.write_prices_csv(&mut prices).unwrap();
        let prices = String::from_utf8(prices).unwrap();
        if alignment == "predicted" {
            assert_eq!(map[0]["prices"], pipewright::features::SERIES_PRICES);
            assert!(prices.starts_with("Date,A,B,C\n2018-01-01,"), "{prices}");
            let saturday = prices.lines().find(|line| line.starts_with("2018-01-06,"));
            let saturday = saturday.unwrap();
            assert!(
                saturday.ends_with(",,") && saturday.len() > 14,
                "{saturday}"
            );
        } else {
            assert_eq!(map[0].get("prices"), None);
        }
        for (line, of) in lines(&train).iter().zip(map.as_array().unwrap()) {
            let own = assets
                .iter()
                .find(|(asset, _)| of["column"] == asset.ticker);
            let Some((asset, own)) = own else { continue };
            assert_eq!(line["start"], "2018-01-01 00:00:00");
            let target = line["target"].as_array().unwrap();
            assert_eq!(target.len(), 140);
            for (day, value) in (0..).zip(target) {
                let date = MONDAY + Duration::days(day);
                let mut price = own.dates.binary_search(&date).ok().map(|i| own.prices[i]);
                if alignment == "common" {
                    // As it has always been: the rows alone.
                    price = price.filter(|_| set.dates().binary_search(&date).is_ok());
                }
                assert_eq!(value.as_f64(), price, "{alignment} {} {date}", asset.ticker);
            }
        }
    }
}

#[test]
fn a_point_of_the_trading_calendar_is_a_row_and_union_has_none() {
    let mut refused = document("union", "B");
    refused["deepARMeta"]["calendar"] = json!("trading");
    let faults = pipewright::training_template::TrainingTemplate::parse(&refused).unwrap_err();
    assert_eq!(faults.faults().len(), 1);
    assert!(
        faults
            .to_string()
            .contains("deepARMeta.calendar: must be `daily` under feMeta.alignment `union`"),
        "{faults}"
    );
    for alignment in ["common", "predicted"] {
        let mut document = document(alignment, "B");
        document["deepARMeta"]["calendar"] = json!("trading");
        let set = run(&document, calendars(240), 2).unwrap();
        let [_, train, _] = files(&set);
        let target = lines(&train)[0]["target"].as_array().unwrap().len();
        let end = MONDAY + Duration::weeks(20);
        assert_eq!(target, set.dates().partition_point(|date| *date < end));
    }
}

/// A template that says nothing of the alignment gives the files of common.
#[test]
fn without_a_word_of_it_the_alignment_is_common() {
    let mut silent = document("common", "B");
    silent["feMeta"]
        .as_object_mut()
        .unwrap()
        .remove("alignment");
    let made = |document: &Value| {
        let set = run(document, calendars(240), 2).unwrap();
        let names: Vec<&str> = set.outputs().iter().map(|output| output.name()).collect();
        assert!(!names.contains(&"features/filled.csv"));
        let mut all = Vec::new();
        for output in set.outputs() {
            output.write(&mut all).unwrap();
        }
        all
    };
    assert!(made(&silent) == made(&document("common", "B")));
}

#[test]
fn the_check_foresees_what_a_run_makes_under_every_alignment() {
    for alignment in ALIGNMENTS {
        for predicted in ["A", "B"] {
            let mut document = document(alignment, predicted);
            document["feMeta"]["autoEncoderSettings"] = json!({
                "enabled": true, "optimizer": "adam", "loss": "mean_squared_error",
                "fitEpoch": 1, "fitBatchSize": 64, "fitShuffle": false,
            });
            let checked = check(&parse(&document), calendars(240)).unwrap();
            let set = run(&document, calendars(240), 2).unwrap();
            let summary = set.summary();
            assert_eq!(checked.alignment.name(), alignment);
            assert_eq!(checked.rows, summary.rows);
            assert_eq!(checked.observed_days, summary.observed_days);
            assert_eq!(checked.asset_days, summary.asset_days);
            assert_eq!(checked.columns.len(), set.columns().len());
            assert!(set.importance().is_some(), "{alignment} {predicted}");
            let days = if predicted == "A" && alignment != "common" {
                7
            } else {
                5
            };
            if alignment != "common" {
                assert_eq!(summary.observed_days, [days, days]);
            }
        }
    }
}

#[test]
fn an_asset_with_too_few_days_for_a_low_pass_is_named() {
    let mut assets = calendars(240);
    assets[1].1.dates.drain(..160);
    assets[1].1.prices.drain(..160);
    let mut document = document("predicted", "A");
    document["feMeta"]["arimaSettings"]["enabled"] = json!(false);
    let faults = check(&parse(&document), assets.clone()).unwrap_err();
    let error = run(&document, assets, 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "num_steps 9 needs at least 20 rows, but `B` has 12; lower it"
    );
    assert!(faults.contains(&error));
}

#[test]
fn a_predicted_asset_with_too_few_days_is_named() {
    let mut assets = calendars(240);
    assets[1].1.dates.truncate(40);
    assets[1].1.prices.truncate(40);
    for alignment in ["predicted", "union"] {
        let error = run(&document(alignment, "B"), assets.clone(), 2).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the predicted asset `B` has only 40 days with a price"),
            "{error}"
        );
    }
}

#[test]
fn an_alignment_or_age_that_does_not_go_is_refused_with_its_place() {
    let refused = |alignment: &str, age: Value| {
        let mut document = document(alignment, "A");
        document["feMeta"]["maxAge"] = age;
        let parsed = pipewright::training_template::TrainingTemplate::parse(&document);
        parsed.unwrap_err().to_string()
    };
    for (alignment, age, part) in [
        (
            "inner",
            Value::Null,
            "feMeta.alignment: must be `common` or `predicted` or `union`",
        ),
        (
            "predicted",
            json!(0),
            "feMeta.maxAge: must be a whole number from 1",
        ),
        (
            "union",
            json!(7),
            "feMeta.maxAge: counts only under feMeta.alignment `predicted`, not `union`",
        ),
    ] {
        let told = refused(alignment, age);
        assert!(told.contains(part), "{told}");
    }
}

/// Three assets, each with a price on some of the days; on the last day of
/// training and the day after, all have one.
fn made(document: &Value, days: &[[Option<f64>; 3]]) -> Option<FeatureSet> {
    let assets = [("A", "X"), ("B", "X"), ("C", "Y")].iter().enumerate();
    let assets = assets.map(|(i, (ticker, class))| {
        let own = days
            .iter()
            .zip(0_i64..)
            .filter_map(|(day, number)| Some((number, day[i]?)));
        let own: Vec<(i64, f64)> = own.collect();
        let dates: Vec<Date> = own
            .iter()
            .map(|(day, _)| MONDAY + Duration::days(*day))
            .collect();
        (
            asset(ticker, class),
            series(ticker, &dates, |row| own[row].1),
        )
    });
    run(document, assets.collect(), 2).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// Under every alignment, no row depends on a price of a later day.
    #[test]
    fn no_row_depends_on_a_later_price_under_any_alignment(
        alignment in prop::sample::select(ALIGNMENTS.to_vec()),
        predicted in prop::sample::select(vec!["A", "B", "C"]),
        age in 1..9_u32,
        inputs in prop::sample::select(vec!["changes", "levels"]),
        moves in prop::collection::vec(prop::array::uniform3((-1.0..1.0_f64, 0.0..1.0_f64)), 230..260),
        cut in 215..229_usize,
    ) {
        const TRAINING: usize = 105;
        let mut last = [100.0; 3];
        let days: Vec<[Option<f64>; 3]> = moves.iter().enumerate().map(|(day, moves)| {
            for (price, (step, _)) in last.iter_mut().zip(moves) {
                *price *= 1.0 + 0.05 * step;
            }
            let is_there = |i: usize| day == TRAINING || moves[i].1 < 0.9;
            std::array::from_fn(|i| is_there(i).then_some(last[i]))
        }).collect();
        let mut changed = days.clone();
        for day in &mut changed[cut..] {
            *day = day.map(|price| price.map(|price| 3.0 + 1.7 * price));
        }
        // Others are there than before, too.
        let mut others = days.clone();
        for (number, day) in others.iter_mut().enumerate().skip(cut) {
            day[number % 3] = (number % 2 == 0).then_some(50.0);
        }

        let mut document = document(alignment, predicted);
        document["deepARMeta"]["endTraining"] = json!(super::epoch_ms(MONDAY + Duration::days(105)));
        document["deepARMeta"]["predictionLength"] = json!(1);
        document["deepARMeta"]["testWindows"] = json!(1);
        document["feMeta"]["arimaSettings"]["trainSetSize"] = json!(1);
        document["feMeta"]["autoEncoderSettings"] = json!({
            "enabled": true, "optimizer": "adam", "loss": "mean_squared_error",
            "fitEpoch": 1, "fitBatchSize": 32, "fitShuffle": false, "inputs": inputs,
        });
        if alignment == "predicted" {
            document["feMeta"]["maxAge"] = json!(age);
        }
        let whole = made(&document, &days).unwrap();
        let end = MONDAY + Duration::days(i64::try_from(cut).unwrap());
        let rows = whole.dates().partition_point(|date| *date < end);
        prop_assert!(rows > 100);
        for other in [&days[..cut], &changed, &others] {
            let other = made(&document, other).unwrap();
            prop_assert_eq!(&whole.dates()[..rows], &other.dates()[..rows]);
            for (a, b) in whole.columns().iter().zip(other.columns()) {
                prop_assert_eq!(&a.name, &b.name);
                for row in 0..rows {
                    let (x, y) = (a.values[row], b.values[row]);
                    // The autoencoder's products are of single precision, and round
                    // as the number of rows has it.
                    prop_assert!(
                        x.is_nan() == y.is_nan() && (x.is_nan() || (x - y).abs() <= 1e-6 * x.abs().max(1.0)),
                        "{} row {row}: {x} {y}", a.name
                    );
                }
            }
        }
    }
}
