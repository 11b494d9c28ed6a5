//! An execution's price series, from the files that its processing step wrote.

use std::collections::BTreeMap;

use pipewright::features::{self, SERIES_PRICES};
use pipewright::training_template::{Calendar, DeepArSettings, Freq};
use pipewright_forecast::calendar::Frequency;
use serde_json::Value;
use thiserror::Error;
use time::Date;
use time::macros::format_description;

use crate::argument::InvalidArgument;

/// The column of `features.csv` that has the day.
const DATE: &str = "Date";

/// Why there is no series to forecast.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PricesError {
    /// The file of prices can't be read.
    #[error("features.csv of the execution, line {line}: {fault}")]
    Table { line: u64, fault: String },
    /// The list of the series can't be read.
    #[error("series.json of the execution: {0}")]
    List(String),
    /// No series of that asset was trained on.
    #[error("the execution has no series of the price of {asset}; it has those of {known}")]
    NoAsset { asset: String, known: String },
    /// There is no price so early.
    #[error("{asset} has no price up to {from}: its first one is of {first}")]
    TooEarly {
        asset: String,
        from: Date,
        first: Date,
    },
}

/// The prices of an asset: what the model was trained on, and what came after.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prices {
    /// The asset.
    pub(crate) asset: String,
    /// The day of each price, ascending, and the price. Never empty.
    pub(crate) rows: Vec<(Date, f64)>,
    /// The days of the table's rows from the series' first on, ascending: those
    /// without a price as well.
    pub(crate) days: Vec<Date>,
}

/// What a forecast is made from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Past {
    /// The day of the first point.
    pub(crate) start: Date,
    /// One value a point; NaN = no price.
    pub(crate) target: Vec<f32>,
    /// How many rows of [`Prices::rows`] are in it, at least one.
    pub(crate) rows: usize,
    /// The day of the last point.
    pub(crate) last: Date,
}

/// The execution's file that has the days of the series: another one than
/// `features/features.csv` where `features/series.json`, whose content this is, says
/// so.
pub(crate) fn table(list: &[u8]) -> &'static str {
    let list: Vec<Value> = serde_json::from_slice(list).unwrap_or_default();
    match list.iter().any(|entry| entry["prices"] == SERIES_PRICES) {
        true => SERIES_PRICES,
        false => "features/features.csv",
    }
}

/// Reads the prices of these assets from the content of `features/series.json` and of
/// the [`table`] that it names.
///
/// # Errors
/// [`PricesError`]: a file is not as the processing step writes it, or an asset is
/// none of the execution's.
pub(crate) fn read(
    list: &[u8],
    table: &[u8],
    assets: &[String],
) -> Result<Vec<Prices>, PricesError> {
    let starts = starts(list)?;
    let mut found = Vec::new();
    for asset in assets {
        let Some(start) = starts.get(asset) else {
            let known: Vec<&str> = starts.keys().map(String::as_str).collect();
            return Err(PricesError::NoAsset {
                asset: asset.clone(),
                known: known.join(", "),
            });
        };
        found.push((asset, *start));
    }
    let mut reader = csv::Reader::from_reader(table);
    let fault = |line, fault: String| PricesError::Table { line, fault };
    let header = reader.headers().map_err(|e| fault(1, e.to_string()))?;
    let place = |name: &str| {
        let place = header.iter().position(|column| column == name);
        place.ok_or_else(|| fault(1, format!("there is no column {name}")))
    };
    let day = place(DATE)?;
    let columns: Vec<usize> = found
        .iter()
        .map(|(asset, _)| place(asset))
        .collect::<Result<_, _>>()?;
    let mut prices: Vec<Prices> = found
        .iter()
        .map(|(asset, _)| Prices {
            asset: (*asset).clone(),
            rows: Vec::new(),
            days: Vec::new(),
        })
        .collect();
    for record in reader.records() {
        let record = record.map_err(|e| {
            let line = e.position().map_or(0, csv::Position::line);
            fault(line, e.to_string())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let day = parse_day(&record[day]).map_err(|e| fault(line, e.to_string()))?;
        for ((column, prices), (_, start)) in columns.iter().zip(&mut prices).zip(&found) {
            let text = &record[*column];
            if day < *start {
                continue;
            }
            prices.days.push(day);
            if text.is_empty() {
                continue;
            }
            let price: f64 = text
                .parse()
                .map_err(|_| fault(line, format!("{text:?} is not a price")))?;
            if price.is_finite() {
                prices.rows.push((day, price));
            }
        }
    }
    match prices.iter().find(|prices| prices.rows.is_empty()) {
        Some(none) => Err(fault(1, format!("{} has no price", none.asset))),
        None => Ok(prices),
    }
}

/// The first day of each price series, by asset.
fn starts(list: &[u8]) -> Result<BTreeMap<String, Date>, PricesError> {
    let list: Vec<Value> =
        serde_json::from_slice(list).map_err(|error| PricesError::List(error.to_string()))?;
    let mut starts = BTreeMap::new();
    for entry in &list {
        let text = |name: &str| entry[name].as_str();
        // Other columns are features; a price's is named as its asset.
        let (Some(column), Some(asset)) = (text("column"), text("asset")) else {
            continue;
        };
        if column != asset {
            continue;
        }
        let start = text("start").unwrap_or_default();
        let day = parse_day(start).map_err(|error| PricesError::List(error.to_string()))?;
        starts.insert(asset.to_owned(), day);
    }
    Ok(starts)
}

/// The day of `YYYY-MM-DD`, whatever comes after it.
pub(crate) fn parse_day(text: &str) -> Result<Date, InvalidArgument> {
    let form = format_description!("[year]-[month]-[day]");
    let day = text.get(..10).unwrap_or(text);
    Date::parse(day, form).map_err(|_| InvalidArgument::Day(text.to_owned()))
}

impl Prices {
    /// The series up to the last price, or up to a day with that day.
    ///
    /// # Errors
    /// [`PricesError::TooEarly`].
    pub(crate) fn past(&self, points: Points, from: Option<Date>) -> Result<Past, PricesError> {
        let (first, _) = self.rows[0];
        let rows = match from {
            Some(from) => self.rows.partition_point(|(day, _)| *day <= from),
            None => self.rows.len(),
        };
        let Some((last_price, _)) = self.rows[..rows].last().copied() else {
            return Err(PricesError::TooEarly {
                asset: self.asset.clone(),
                from: from.unwrap_or(first),
                first,
            });
        };
        // Points without a price up to the day asked for are known to have none, but
        // what is after the last price of all is unknown.
        let last = match from.filter(|_| rows < self.rows.len()) {
            Some(from) => points.last_up_to(from, &self.days).max(last_price),
            None => last_price,
        };
        let place = |day: Date| points.between(first, day, &self.days);
        let mut target = vec![f32::NAN; place(last) + 1];
        for (day, price) in &self.rows[..rows] {
            target[place(*day)] = single(*price);
        }
        Ok(Past {
            start: first,
            target,
            rows,
            last,
        })
    }

    /// The days of the points after a past: the last days of periods, or rows. Rows
    /// beyond the last one are taken to be where the asset [can have a
    /// price](Self::can_have_a_price_on).
    pub(crate) fn next_days(&self, points: Points, past: &Past, length: usize) -> Vec<Date> {
        let mut day = past.last;
        let beyond = self.days.partition_point(|day| *day <= past.last);
        let mut rows = self.days[beyond..].iter();
        let mut days = Vec::with_capacity(length);
        while days.len() < length {
            let row = rows.next().filter(|_| points.calendar == Calendar::Trading);
            day = row.copied().unwrap_or_else(|| {
                let mut day = points.frequency().later_day(day, 1);
                while points.calendar == Calendar::Trading
                    && !self.can_have_a_price_on(points, day)
                    && day < Date::MAX
                {
                    day = points.frequency().later_day(day, 1);
                }
                day
            });
            days.push(day);
        }
        days
    }

    /// The price of a day, where there is one.
    pub(crate) fn on(&self, day: Date) -> Option<f64> {
        let at = self.rows.binary_search_by_key(&day, |(day, _)| *day).ok()?;
        Some(self.rows[at].1)
    }

    /// Whether the asset can have a price of such a point: of a day it can where it has
    /// one on some such weekday (a share has none on Saturdays, a currency may; holidays
    /// are not known), of a longer period always.
    pub(crate) fn can_have_a_price_on(&self, points: Points, day: Date) -> bool {
        let weekday = day.weekday();
        points.freq != Freq::Day || self.rows.iter().any(|(day, _)| day.weekday() == weekday)
    }
}

/// What a point of an execution's series is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Points {
    pub(crate) calendar: Calendar,
    pub(crate) freq: Freq,
}

impl Points {
    pub(crate) fn of(settings: &DeepArSettings) -> Self {
        Self {
            calendar: settings.calendar,
            freq: settings.freq,
        }
    }

    fn frequency(self) -> Frequency {
        features::frequency(self.freq)
    }

    /// The day of the last point that is over on a day; `rows` are the days of rows.
    fn last_up_to(self, day: Date, rows: &[Date]) -> Date {
        match self.calendar {
            Calendar::Daily if self.frequency().last_day(day) == day => day,
            Calendar::Daily => self.frequency().later_day(day, -1),
            Calendar::Trading => {
                let after = rows.partition_point(|row| *row <= day);
                after.checked_sub(1).map_or(day, |last| rows[last])
            }
        }
    }

    /// Points from one to a later one.
    fn between(self, from: Date, to: Date, rows: &[Date]) -> usize {
        match self.calendar {
            Calendar::Daily => {
                usize::try_from(self.frequency().steps_between(from, to)).unwrap_or(0)
            }
            Calendar::Trading => {
                let place = |day: Date| rows.partition_point(|row| *row < day);
                place(to).saturating_sub(place(from))
            }
        }
    }
}

/// A price as the training file's reader has it.
#[expect(clippy::cast_possible_truncation, reason = "DeepAR's own precision")]
fn single(price: f64) -> f32 {
    price as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    fn points(calendar: Calendar, freq: Freq) -> Points {
        Points { calendar, freq }
    }

    const LIST: &str = r#"[
        {"column": "A", "asset": "A", "start": "2022-12-01", "length": 4, "nulls": 0},
        {"column": "A_SMA", "asset": "A", "start": "2022-12-01", "length": 4, "nulls": 0}
    ]"#;
    const TABLE: &str =
        "Date,A_SMA,A\n2022-11-30,1,9\n2022-12-01,1,10\n2022-12-02,1,11.5\n2022-12-05,1,12\n";

    fn prices() -> Prices {
        let all = read(LIST.as_bytes(), TABLE.as_bytes(), &["A".to_owned()]).unwrap();
        all.into_iter().next().unwrap()
    }

    #[test]
    fn prices_begin_with_the_series() {
        let prices = prices();
        assert_eq!(prices.rows[0], (date!(2022 - 12 - 01), 10.0));
        assert_eq!(prices.rows.len(), 3);
        assert_eq!(prices.on(date!(2022 - 12 - 02)), Some(11.5));
        assert_eq!(prices.on(date!(2022 - 12 - 03)), None);
    }

    #[test]
    fn a_daily_series_has_a_point_for_each_day_and_a_trading_one_for_each_row() {
        let prices = prices();
        let past = prices
            .past(points(Calendar::Daily, Freq::Day), None)
            .unwrap();
        assert_eq!(past.target.len(), 5);
        assert!(past.target[2].is_nan() && past.target[3].is_nan());
        assert_eq!(past.target[4], 12.0);
        let next = prices.next_days(points(Calendar::Daily, Freq::Day), &past, 2);
        assert_eq!(next, [date!(2022 - 12 - 06), date!(2022 - 12 - 07)]);

        let past = prices
            .past(points(Calendar::Trading, Freq::Day), None)
            .unwrap();
        assert_eq!(past.target, [10.0, 11.5, 12.0]);
        // Its prices are of a Thursday, a Friday and a Monday.
        let next = prices.next_days(points(Calendar::Trading, Freq::Day), &past, 3);
        assert_eq!(
            next,
            [
                date!(2022 - 12 - 08),
                date!(2022 - 12 - 09),
                date!(2022 - 12 - 12)
            ]
        );
    }

    #[test]
    fn points_of_weeks_and_months_are_their_last_days() {
        let prices = |days: &[Date]| Prices {
            asset: "A".to_owned(),
            rows: days.iter().map(|day| (*day, 1.0)).collect(),
            days: days.to_vec(),
        };
        let weeks = prices(&[
            date!(2022 - 12 - 04),
            date!(2022 - 12 - 18),
            date!(2022 - 12 - 25),
        ]);
        let weekly = points(Calendar::Daily, Freq::Week);
        let past = weeks.past(weekly, None).unwrap();
        assert_eq!(past.target.len(), 4);
        assert!(past.target[1].is_nan());
        let next = weeks.next_days(weekly, &past, 2);
        assert_eq!(next, [date!(2023 - 01 - 01), date!(2023 - 01 - 08)]);
        // On that Wednesday the week is not over, and the one before had no price.
        let past = weeks.past(weekly, Some(date!(2022 - 12 - 14))).unwrap();
        assert_eq!(past.target.len(), 2);
        assert_eq!(past.last, date!(2022 - 12 - 11));

        let months = prices(&[date!(2022 - 01 - 31), date!(2022 - 02 - 28)]);
        let monthly = points(Calendar::Daily, Freq::Month);
        let past = months.past(monthly, None).unwrap();
        assert_eq!(past.target, [1.0, 1.0]);
        let next = months.next_days(monthly, &past, 2);
        assert_eq!(next, [date!(2022 - 03 - 31), date!(2022 - 04 - 30)]);
        assert!(months.can_have_a_price_on(monthly, next[0]));
    }

    /// Rows on which the asset has no price are points of the trading calendar as they are in training.
    #[test]
    fn rows_without_a_price_are_points_of_the_trading_calendar() {
        let table = "Date,A\n2022-12-01,10\n2022-12-02,\n2022-12-05,12\n2022-12-06,\n";
        let all = read(LIST.as_bytes(), table.as_bytes(), &["A".to_owned()]).unwrap();
        let trading = points(Calendar::Trading, Freq::Day);
        let past = all[0].past(trading, None).unwrap();
        assert_eq!(past.target.len(), 3);
        assert!(past.target[1].is_nan());
        assert_eq!(
            all[0].next_days(trading, &past, 2),
            [date!(2022 - 12 - 06), date!(2022 - 12 - 08)]
        );
        let past = all[0].past(trading, Some(date!(2022 - 12 - 03))).unwrap();
        assert_eq!(past.target.len(), 2);
        assert_eq!(past.last, date!(2022 - 12 - 02));
    }

    #[test]
    fn the_table_is_the_one_that_the_list_names() {
        assert_eq!(table(LIST.as_bytes()), "features/features.csv");
        assert_eq!(table(b"{}"), "features/features.csv");
        let apart = r#"[{"column": "A", "prices": "features/prices.csv"}]"#;
        assert_eq!(table(apart.as_bytes()), "features/prices.csv");
        let elsewhere = r#"[{"column": "A", "prices": "../other"}]"#;
        assert_eq!(table(elsewhere.as_bytes()), "features/features.csv");
    }

    /// A forecast that looks back uses no price after the day that is asked for.
    #[test]
    fn a_look_back_ends_on_the_day_that_is_asked_for() {
        let prices = prices();
        let from = Some(date!(2022 - 12 - 03));
        let past = prices
            .past(points(Calendar::Daily, Freq::Day), from)
            .unwrap();
        assert_eq!(past.target.len(), 3);
        assert!(past.target[2].is_nan());
        assert_eq!(
            prices.next_days(points(Calendar::Daily, Freq::Day), &past, 2),
            [date!(2022 - 12 - 04), date!(2022 - 12 - 05)]
        );
        let past = prices
            .past(points(Calendar::Trading, Freq::Day), from)
            .unwrap();
        assert_eq!(past.target.len(), 2);
        assert_eq!(
            prices.next_days(points(Calendar::Trading, Freq::Day), &past, 2),
            [date!(2022 - 12 - 05), date!(2022 - 12 - 08)]
        );
        let past = prices.past(
            points(Calendar::Daily, Freq::Day),
            Some(date!(2023 - 02 - 01)),
        );
        assert_eq!(past.unwrap().last, date!(2022 - 12 - 05));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let read = |list: &str, table: &str, asset: &str| {
            let found = super::read(list.as_bytes(), table.as_bytes(), &[asset.to_owned()]);
            found.unwrap_err().to_string()
        };
        assert_eq!(
            read(LIST, TABLE, "B"),
            "the execution has no series of the price of B; it has those of A"
        );
        assert!(read("{}", TABLE, "A").starts_with("series.json of the execution:"));
        assert_eq!(
            read(LIST, "Date,B\n", "A"),
            "features.csv of the execution, line 1: there is no column A"
        );
        assert_eq!(
            read(LIST, "Date,A\n2022-12-01,x\n", "A"),
            "features.csv of the execution, line 2: \"x\" is not a price"
        );
        let early = prices().past(
            points(Calendar::Daily, Freq::Day),
            Some(date!(2022 - 01 - 01)),
        );
        assert_eq!(
            early.unwrap_err().to_string(),
            "A has no price up to 2022-01-01: its first one is of 2022-12-01"
        );
    }
}
