//! Which assets a template needs, their price files, and the join by date.

use std::collections::{BTreeMap, BTreeSet};

use time::{Date, Month};

use super::error::{FeatureError, PriceFault, PriceFileError};
use crate::nearest::nearest;
use crate::training_template::{BaseAssets, TrainingTemplate, ticker_fault};

/// The largest price in either direction: beyond it sums of squares and the
/// single precision of later stages would overflow.
const LARGEST_PRICE: f64 = 1e15;

/// An asset of the catalogue (the assets table, or `assets.csv`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogueAsset {
    /// Ticker, also the stem of its price file's name.
    pub ticker: String,
    /// Asset class, such as `Energy`.
    pub class: String,
}

/// The closing prices of one asset, by date, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceSeries {
    /// The asset.
    pub ticker: String,
    /// Dates, ascending, each once.
    pub dates: Vec<Date>,
    /// The closing price of each date, finite.
    pub prices: Vec<f64>,
    /// Rows dropped since they had no price.
    pub dropped: usize,
    /// What was doubtful about the file; each names it.
    pub warnings: Vec<String>,
}

/// The assets whose prices a template needs: the predicted asset, the base
/// assets, those that the indicator and ARIMA settings name, and all of the
/// FFT settings' classes; each once, by ticker in byte order.
///
/// # Errors
/// A ticker or class that the catalogue lacks, a ticker that could not name a
/// file, or a ticker that the catalogue has twice.
pub fn assets_needed(
    template: &TrainingTemplate,
    catalogue: &[CatalogueAsset],
) -> Result<Vec<CatalogueAsset>, FeatureError> {
    let mut known: BTreeMap<&str, &CatalogueAsset> = BTreeMap::new();
    for asset in catalogue {
        if let Some(fault) = ticker_fault(&asset.ticker) {
            return Err(FeatureError::Ticker(fault));
        }
        if known.insert(&asset.ticker, asset).is_some() {
            return Err(FeatureError::RepeatedAsset(asset.ticker.clone()));
        }
    }
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for (setting, ticker) in named_assets(template) {
        match known.get_key_value(ticker) {
            Some((ticker, _)) => {
                needed.insert(ticker);
            }
            None => {
                return Err(FeatureError::UnknownAsset {
                    setting,
                    ticker: ticker.to_owned(),
                    nearest: nearest(ticker, known.keys().copied()).map(str::to_owned),
                });
            }
        }
    }
    if template.features.base_assets == BaseAssets::All {
        needed.extend(known.keys());
    }
    for (i, class) in template.features.fft.asset_classes.iter().enumerate() {
        let mut found = false;
        for asset in catalogue.iter().filter(|asset| asset.class == *class) {
            found = true;
            needed.insert(&asset.ticker);
        }
        if !found {
            let classes: BTreeSet<&str> = catalogue.iter().map(|a| a.class.as_str()).collect();
            return Err(FeatureError::UnknownClass {
                setting: format!("feMeta.fftSettings.assetClasses[{i}]"),
                class: class.clone(),
                nearest: nearest(class, classes).map(str::to_owned),
            });
        }
    }
    Ok(needed
        .into_iter()
        .filter_map(|ticker| known.get(ticker).map(|asset| (*asset).clone()))
        .collect())
}

/// Every ticker that a setting names, with the setting's path.
pub(super) fn named_assets(template: &TrainingTemplate) -> impl Iterator<Item = (String, &str)> {
    let features = &template.features;
    let listed: &[String] = match &features.base_assets {
        BaseAssets::All => &[],
        BaseAssets::Listed(tickers) => tickers,
    };
    let lists: [(&str, &[String]); 3] = [
        ("feMeta.baseAssets", listed),
        ("feMeta.taSettings.assets", &features.indicators.assets),
        ("feMeta.arimaSettings.assets", &features.arima.assets),
    ];
    std::iter::once((
        "predictedAsset".to_owned(),
        template.predicted_asset.as_str(),
    ))
    .chain(lists.into_iter().flat_map(|(path, tickers)| {
        tickers
            .iter()
            .enumerate()
            .map(move |(i, ticker)| (format!("{path}[{i}]"), ticker.as_str()))
    }))
}

/// Reads a price file: CSV with a heading line, `Date` (YYYY-MM-DD) and
/// `Close` in any order and case, other columns ignored. `file` is the name
/// used in messages.
///
/// A byte order mark, CRLF, quotes and spaces around cells are read. Rows
/// without a price are dropped and counted; rows out of order are sorted, and
/// rows that say the same twice are taken once, both with a warning.
///
/// # Errors
/// The first fault, with its line.
pub fn read_prices(ticker: &str, file: &str, bytes: &[u8]) -> Result<PriceSeries, PriceFileError> {
    let fault = |line: Option<u64>, fault: PriceFault| PriceFileError {
        file: file.to_owned(),
        line,
        ticker: ticker.to_owned(),
        fault,
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut warnings = Vec::new();

    let csv_fault = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        fault(line, PriceFault::Csv(error.to_string()))
    };
    if !reader.read_byte_record(&mut record).map_err(csv_fault)? {
        return Err(fault(None, PriceFault::Empty));
    }
    let columns = find_columns(&record).map_err(|f| fault(Some(1), f))?;
    if let Some(note) = columns.note {
        warnings.push(format!("{file}: {note}"));
    }

    // (date, price, line), in the file's order.
    let mut rows: Vec<(Date, f64, u64)> = Vec::new();
    let mut dropped = 0;
    while reader.read_byte_record(&mut record).map_err(csv_fault)? {
        let line = record.position().map_or(0, csv::Position::line);
        let at = |f: PriceFault| fault(Some(line), f);
        if record.len() != columns.count {
            return Err(at(PriceFault::Cells {
                found: record.len(),
                expected: columns.count,
            }));
        }
        let (date, close) = (&record[columns.date], &record[columns.close]);
        let date = read_date(date).map_err(at)?;
        if close.is_empty() {
            dropped += 1;
        } else {
            rows.push((date, read_price(close).map_err(at)?, line));
        }
    }
    if rows.is_empty() {
        return Err(fault(None, PriceFault::NoPrices));
    }
    if !rows.is_sorted_by_key(|row| row.0) {
        warnings.push(format!(
            "{file}: rows are not in the order of their dates; they were sorted"
        ));
        // Stable: of two rows of one date, the earlier line stays first.
        rows.sort_by_key(|row| row.0);
    }
    let mut repeated = 0;
    for pair in rows.windows(2) {
        if pair[0].0 == pair[1].0 {
            #[expect(clippy::float_cmp, reason = "rows must be equal, not near")]
            if pair[0].1 != pair[1].1 {
                return Err(fault(
                    Some(pair[1].2),
                    PriceFault::RepeatedDate {
                        date: pair[1].0,
                        first: pair[0].1,
                        second: pair[1].1,
                    },
                ));
            }
            repeated += 1;
        }
    }
    if repeated > 0 {
        rows.dedup_by_key(|row| row.0);
        warnings.push(format!("{file}: {repeated} repeated rows were taken once"));
    }
    if dropped > 0 {
        warnings.push(format!(
            "{file}: {dropped} rows without a price were left out"
        ));
    }
    Ok(PriceSeries {
        ticker: ticker.to_owned(),
        dates: rows.iter().map(|row| row.0).collect(),
        prices: rows.iter().map(|row| row.1).collect(),
        dropped,
        warnings,
    })
}

/// Where the date and the price stand in each row.
struct Columns {
    date: usize,
    close: usize,
    count: usize,
    note: Option<String>,
}

fn find_columns(headings: &csv::ByteRecord) -> Result<Columns, PriceFault> {
    let names: Vec<String> = headings
        .iter()
        .map(|name| cut(&String::from_utf8_lossy(name)))
        .collect();
    let find = |wanted: &str| -> Result<Option<usize>, PriceFault> {
        let mut found = names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
        match (found.next(), found.next()) {
            (Some(_), Some((_, name))) => Err(PriceFault::RepeatedHeading(name.clone())),
            (first, _) => Ok(first.map(|(i, _)| i)),
        }
    };
    let count = names.len();
    if let (Some(date), Some(close)) = (find("Date")?, find("Close")?) {
        let ignored: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != date && *i != close)
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        let note = (!ignored.is_empty())
            .then(|| format!("the columns {} were ignored", ignored.join(", ")));
        return Ok(Columns {
            date,
            close,
            count,
            note,
        });
    }
    if let Some(first) = headings.iter().next()
        && (read_date(first).is_ok() || matches!(read_date(first), Err(PriceFault::Time(_))))
    {
        return Err(PriceFault::NoHeadings(names.join(",")));
    }
    if count == 2 {
        let note = Some(format!(
            "the headings `{}` and `{}` are not `Date` and `Close`; the columns were taken in this order",
            names[0], names[1]
        ));
        return Ok(Columns {
            date: 0,
            close: 1,
            count,
            note,
        });
    }
    let found: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Err(PriceFault::Headings {
        found: found.join(", "),
    })
}

/// A cell for a message, at most 40 characters.
fn cut(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().nth(MOST).is_none() {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

fn read_date(cell: &[u8]) -> Result<Date, PriceFault> {
    let digits = |range: std::ops::Range<usize>| -> Option<u16> {
        let mut number = 0_u16;
        for byte in cell.get(range)? {
            number = number * 10 + u16::from(byte.checked_sub(b'0').filter(|d| *d < 10)?);
        }
        Some(number)
    };
    let date = || -> Option<Date> {
        if *cell.get(4)? != b'-' || *cell.get(7)? != b'-' {
            return None;
        }
        let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?)
            .ok()
            .filter(|date| date.year() >= 1)
    };
    let text = || cut(&String::from_utf8_lossy(cell));
    match date() {
        Some(date) if cell.len() == 10 => Ok(date),
        Some(_) if matches!(cell[10], b'T' | b't' | b' ') => Err(PriceFault::Time(text())),
        _ => Err(PriceFault::Date(text())),
    }
}

fn read_price(cell: &[u8]) -> Result<f64, PriceFault> {
    let text = || cut(&String::from_utf8_lossy(cell));
    let price: f64 = std::str::from_utf8(cell)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| PriceFault::Price(text()))?;
    if price.is_finite() && price.abs() <= LARGEST_PRICE {
        Ok(price)
    } else {
        Err(PriceFault::PriceRange(text()))
    }
}

/// The prices of all assets on the dates that all of them have.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// Common dates, ascending.
    pub(super) dates: Vec<Date>,
    /// One column an asset, in the order given, each as long as `dates`.
    pub(super) prices: Vec<Vec<f64>>,
    /// The asset without which most rows would be gained; absent when every
    /// asset has the same dates.
    pub(super) limiting: Option<Limit>,
    /// Each asset's ticker, first date, last date and rows.
    pub(super) ranges: Vec<(String, Date, Date, usize)>,
}

/// The asset that limits the common dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its ticker.
    pub ticker: String,
    /// The rows that would be gained if it were left out.
    pub rows: usize,
}

/// Joins series by date (inner join). Series are taken in the order given;
/// there must be one at least and none may be empty.
pub(super) fn join(series: &[PriceSeries]) -> Panel {
    let ranges = series
        .iter()
        .filter_map(|s| {
            let (first, last) = (s.dates.first()?, s.dates.last()?);
            Some((s.ticker.clone(), *first, *last, s.dates.len()))
        })
        .collect();
    // For each day from the first to the last: how many series have it, and the
    // sum of their numbers, which tells the one that is missing when all others
    // have it.
    let days = || {
        series
            .iter()
            .flat_map(|s| &s.dates)
            .map(|date| date.to_julian_day())
    };
    let first = days().min().unwrap_or(0);
    let span = days()
        .max()
        .map_or(0, |last| last.abs_diff(first) as usize + 1);
    let mut counts: Vec<(usize, usize)> = vec![(0, 0); span];
    for (i, one) in series.iter().enumerate() {
        for date in &one.dates {
            let entry = &mut counts[date.to_julian_day().abs_diff(first) as usize];
            entry.0 += 1;
            entry.1 += i;
        }
    }
    let all = series.len();
    let sum_of_all: usize = (0..all).sum();
    let mut gained = vec![0_usize; all];
    for (count, sum) in &counts {
        if count + 1 == all {
            gained[sum_of_all - sum] += 1;
        }
    }
    let common = |date: &&Date| counts[date.to_julian_day().abs_diff(first) as usize].0 == all;
    let dates: Vec<Date> = series.first().map_or_else(Vec::new, |s| {
        s.dates.iter().filter(common).copied().collect()
    });
    let prices = series
        .iter()
        .map(|one| {
            let rows = one.dates.iter().zip(&one.prices);
            rows.filter(|(date, _)| common(date))
                .map(|(_, price)| *price)
                .collect()
        })
        .collect();
    let rows = dates.len();
    // Where no asset alone costs rows but several together do, the shortest is
    // named with the 0 rows that leaving out it alone would gain.
    let limiting = (0..all)
        .max_by_key(|i| {
            (
                gained[*i],
                std::cmp::Reverse(series[*i].dates.len()),
                std::cmp::Reverse(*i),
            )
        })
        .filter(|_| series.iter().any(|s| s.dates.len() > rows))
        .map(|i| Limit {
            ticker: series[i].ticker.clone(),
            rows: gained[i],
        });
    Panel {
        dates,
        prices,
        limiting,
        ranges,
    }
}
