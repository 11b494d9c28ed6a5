//! The DeepAR files against `features.csv`, date by date, for markets with
//! holidays and windows that start or end on any day of the week. Nothing here
//! is taken from the feature set but its files.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use time::{Date, Duration, Weekday};

use super::{Assets, MONDAY, asset, epoch_ms, files, lines, parse, run, series, template, wave};
use pipewright::training_template::Calendar;

/// Days on which a market trades: weekdays but for these holidays.
fn trading_days(count: usize, holidays: &[usize]) -> Vec<Date> {
    (0..count)
        .map(|day| MONDAY + Duration::days(i64::try_from(day).unwrap()))
        .filter(|date| !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday))
        .filter(|date| {
            let day = usize::try_from((*date - MONDAY).whole_days()).unwrap();
            !holidays.contains(&day)
        })
        .collect()
}

/// `features.csv`: headings and the number in each cell by date.
type Cells = (Vec<String>, BTreeMap<Date, Vec<Option<f64>>>);

fn cells(features: &[u8]) -> Cells {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let mut reader = csv::Reader::from_reader(features);
    let names = reader.headers().unwrap().iter().skip(1).map(str::to_owned);
    let names = names.collect();
    let rows = reader.records().map(|record| {
        let record = record.unwrap();
        let date = Date::parse(&record[0], format).unwrap();
        let values = record.iter().skip(1).map(|cell| {
            if cell.is_empty() {
                None
            } else {
                Some(cell.parse().unwrap())
            }
        });
        (date, values.collect())
    });
    (names, rows.collect())
}

/// The first date from `date` on that ends a point: a day, a Sunday, or the last
/// of a month.
fn last_day(freq: &str, mut date: Date) -> Date {
    while match freq {
        "W" => date.weekday() != Weekday::Sunday,
        "M" => date.next_day().unwrap().day() != 1,
        _ => false,
    } {
        date = date.next_day().unwrap();
    }
    date
}

/// The date of the point after that of `date`.
fn next_point(freq: &str, date: Date) -> Date {
    last_day(freq, date.next_day().unwrap())
}

/// What a line must say, worked out from the cells of `features.csv` alone;
/// `None` for a series that has nothing in training.
fn expected(
    days: &BTreeMap<Date, Vec<Option<f64>>>,
    column: usize,
    (calendar, freq): (Calendar, &str),
    (start, end): (Date, Date),
) -> Option<(Date, Vec<Option<f64>>)> {
    let first = *days
        .range(start..end)
        .find(|(_, values)| values[column].is_some())?
        .0;
    let points = match calendar {
        Calendar::Trading => days.range(first..end).map(|(_, v)| v[column]).collect(),
        _ => {
            let mut date = first;
            let mut points = Vec::new();
            while date < end {
                points.push(days.get(&date).and_then(|values| values[column]));
                date = next_point(freq, date);
            }
            points
        }
    };
    Some((first, points))
}

fn check(
    document: &Value,
    assets: Assets,
    train_and_test: Option<&str>,
) -> Result<(), TestCaseError> {
    let settings = parse(document).deepar;
    let freq = settings.freq.name().trim_start_matches('1').to_owned();
    let set = match run(document, assets, 2) {
        Ok(set) => set,
        Err(error) => {
            // Random windows may hold no trading day; that is a clear refusal.
            let text = error.to_string();
            prop_assert!(
                train_and_test.is_none() && text.contains("holds no price"),
                "{text}"
            );
            return Ok(());
        }
    };
    let [features, train, test] = files(&set);
    let (names, days) = cells(&features);
    let (train, test) = (lines(&train), lines(&test));
    let map = set.series_map();
    let map = map.as_array().unwrap();
    let count = map.len();
    prop_assert_eq!(train.len(), count);
    prop_assert_eq!(test.len(), count * settings.test_windows);

    // Where each file's series end (exclusive): training, then each window.
    let later: Vec<Date> = days
        .range(settings.end_training..)
        .map(|(d, _)| *d)
        .collect();
    let end_of = |window: usize| match settings.calendar {
        _ if window == 0 => settings.end_training,
        Calendar::Trading => later[window * settings.prediction_length - 1]
            .next_day()
            .unwrap(),
        _ => (0..window * settings.prediction_length)
            .fold(last_day(&freq, settings.end_training), |date, _| {
                next_point(&freq, date)
            }),
    };
    for (i, line) in train.iter().chain(&test).enumerate() {
        let (entry, window) = (&map[i % count], i / count);
        let name = entry["column"].as_str().unwrap();
        let column = names.iter().position(|other| other == name).unwrap();
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        prop_assert_eq!(keys, ["start", "target"]);

        let span = (settings.start_dataset, end_of(window));
        let (start, points) = expected(&days, column, (settings.calendar, &freq), span).unwrap();
        prop_assert_eq!(&line["start"], &json!(format!("{start} 00:00:00")));
        let target = line["target"].as_array().unwrap();
        prop_assert_eq!(target.len(), points.len(), "{} window {}", name, window);
        for (k, (point, value)) in target.iter().zip(points).enumerate() {
            match value {
                None => prop_assert!(point.is_null(), "{} window {} point {}", name, window, k),
                Some(value) => prop_assert_eq!(point.as_f64(), Some(value)),
            }
        }
        if window == 0 {
            let nulls = target.iter().filter(|point| point.is_null()).count();
            let first_forecast = match settings.calendar {
                Calendar::Trading => later[0],
                _ => last_day(&freq, settings.end_training),
            };
            prop_assert_eq!(
                entry,
                &json!({
                    "line": i + 1, "column": name, "asset": entry["asset"],
                    "start": start.to_string(), "length": target.len(), "nulls": nulls,
                    "calendar": settings.calendar.name(), "firstForecast": first_forecast.to_string()
                })
            );
        }
    }
    // Columns of the CSV that have no line are those left out, in the same order.
    let left: Vec<&str> = set
        .summary()
        .left_out
        .iter()
        .map(|l| l.column.as_str())
        .collect();
    let present: Vec<&str> = map
        .iter()
        .map(|entry| entry["column"].as_str().unwrap())
        .collect();
    let kept: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|n| !left.contains(n))
        .collect();
    prop_assert_eq!(present, kept);
    if let Some(observed) = train_and_test {
        prop_assert_eq!(format!("{:?}", set.summary().observed_days), observed);
    }
    Ok(())
}

/// Assets whose markets keep different holidays: the common days are those
/// that both trade on.
fn assets(first: &[Date], second: &[Date]) -> Assets {
    vec![
        (asset("A", "X"), series("A", first, |row| wave(row, 0.11))),
        (
            asset("B", "X"),
            series("B", second, |row| wave(row, 0.23) - 100.0),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_point_is_the_value_of_its_date_whatever_the_holidays_and_windows(
        first in prop::collection::vec(0..280_usize, 0..25),
        second in prop::collection::vec(0..280_usize, 0..25),
        starts in 0..60_i64,
        ends in 170..200_i64,
        prediction_length in 1..12_usize,
        windows in 1..5_usize,
        calendar in prop::sample::select(vec!["daily", "trading"]),
    ) {
        let mut document = template(MONDAY + Duration::days(ends));
        document["deepARMeta"]["startDataset"] = json!(epoch_ms(MONDAY + Duration::days(starts)));
        document["deepARMeta"]["predictionLength"] = json!(prediction_length);
        document["deepARMeta"]["testWindows"] = json!(windows);
        document["deepARMeta"]["calendar"] = json!(calendar);
        check(&document, assets(&trading_days(280, &first), &trading_days(280, &second)), None)?;
    }
}

/// A price in each of 150 weeks or months, each so many days after its first, but
/// for those that are missing.
fn rare_days(freq: &str, shifts: &[i64], missing: &[usize]) -> Vec<Date> {
    let mut first = MONDAY;
    let mut days = Vec::new();
    for point in 0..150 {
        let last = last_day(freq, first);
        let shift = shifts[point % shifts.len()] % ((last - first).whole_days() + 1);
        if !missing.contains(&point) {
            days.push(first + Duration::days(shift));
        }
        first = last.next_day().unwrap();
    }
    days
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Of weekly and monthly prices every point of the files is the value of its week or month, whatever the day it is of.
    #[test]
    fn every_point_is_the_value_of_its_week_or_month(
        freq in prop::sample::select(vec!["W", "M"]),
        shifts in prop::collection::vec(0..31_i64, 1..9),
        first in prop::collection::vec(0..150_usize, 0..9),
        second in prop::collection::vec(0..150_usize, 0..9),
        (starts, ends, day) in (0..20_usize, 100..130_usize, 0..7_i64),
        prediction_length in 1..6_usize,
        windows in 1..4_usize,
        calendar in prop::sample::select(vec!["daily", "trading"]),
    ) {
        let points = rare_days(freq, &[0], &[]);
        let mut document = template(points[ends] + Duration::days(day));
        document["deepARMeta"]["freq"] = json!(freq);
        document["deepARMeta"]["startDataset"] = json!(epoch_ms(points[starts]));
        document["deepARMeta"]["predictionLength"] = json!(prediction_length);
        document["deepARMeta"]["testWindows"] = json!(windows);
        document["deepARMeta"]["calendar"] = json!(calendar);
        let first = rare_days(freq, &shifts, &first);
        check(&document, assets(&first, &rare_days(freq, &[3], &second)), None)?;
    }
}

/// Christmas and New Year on weekdays, training that ends on Christmas Eve (a
/// Saturday), windows that start and end on weekends.
#[test]
fn windows_run_right_across_weekends_and_holidays() {
    let day = |date: Date| usize::try_from((date - MONDAY).whole_days()).unwrap();
    let holidays = [
        time::macros::date!(2018 - 12 - 25),
        time::macros::date!(2018 - 12 - 26),
        time::macros::date!(2019 - 01 - 01),
    ]
    .map(day);
    let days = trading_days(420, &holidays);
    for (calendar, observed) in [("daily", "[3, 4, 5]"), ("trading", "[7, 7, 7]")] {
        // Saturday.
        let mut document = template(time::macros::date!(2018 - 12 - 22));
        document["deepARMeta"]["testWindows"] = json!(3);
        document["deepARMeta"]["calendar"] = json!(calendar);
        check(&document, assets(&days, &days), Some(observed)).unwrap();
    }
}

/// A date 907 days off would pass no test that counts from `start`: here the
/// dates are spelled out.
#[test]
fn a_line_is_what_it_is_by_hand() {
    let dates: Vec<Date> = trading_days(300, &[2]);
    let mut document = template(MONDAY + Duration::days(231));
    document["feMeta"] = json!({"baseAssets": "all"});
    let price = |row: usize| f64::from(u32::try_from(row + 1).unwrap()) / 2.0;
    let assets = vec![
        (asset("A", "X"), series("A", &dates, price)),
        (asset("B", "X"), series("B", &dates, |row| -price(row))),
    ];
    let set = run(&document, assets, 1).unwrap();
    let [features, train, _] = files(&set);
    let text = String::from_utf8(features).unwrap();
    assert!(text.starts_with(
        "Date,A,B\n2018-01-01,0.5,-0.5\n2018-01-02,1.0,-1.0\n2018-01-04,1.5,-1.5\n2018-01-05,2.0,-2.0\n2018-01-08,2.5,-2.5\n"
    ));
    let text = String::from_utf8(train).unwrap();
    // Monday, Tuesday, a holiday, Thursday, Friday, the weekend, Monday.
    assert!(
        text.starts_with(
            r#"{"start":"2018-01-01 00:00:00","target":[0.5,1.0,null,1.5,2.0,null,null,2.5,"#
        ),
        "{}",
        &text[..120]
    );
    assert!(
        text.contains(",null,null]}\n{\"start\":"),
        "trailing nulls are kept"
    );
}
