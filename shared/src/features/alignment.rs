//! Which days are rows, what stands on them, and what becomes of each asset's
//! days.
//!
//! Under `common` every asset has a price on every row, and its stages work on
//! the rows. Under the other alignments ([`Alignment`]) the stages of one asset
//! work on that asset's own days, whatever the others have; what they make is
//! then laid on the rows: of each day up to the row the last one that is young
//! enough, so that no row knows a later price.

use serde::Serialize;
use time::Date;

use super::columns::{Column, ColumnDescription};
use super::input::{self, CatalogueAsset, Joined, Limit, PriceSeries};
use crate::training_template::{Alignment, Calendar, TrainingTemplate};

/// A share of an asset's days that is worth a warning when it is lost.
const MUCH_LOST: f64 = 0.05;

/// What became of the days of an asset on the rows of `features.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetDays {
    /// Its ticker.
    pub asset: String,
    /// The days on which it has a price.
    pub days: usize,
    /// Those of them that are rows.
    pub kept: usize,
    /// Rows on which an earlier price stands for the one that is missing.
    pub filled: usize,
    /// Its days that are no rows.
    pub lost: usize,
}

impl AssetDays {
    /// Those of an asset on rows, of which each has one of its own days or none.
    fn new(series: &PriceSeries, rows: &[Date], own_days: &OwnDays) -> Self {
        let stands = rows.iter().zip(own_days);
        let stands = stands.filter_map(|(date, place)| Some(*date == series.dates[(*place)?]));
        let (kept, filled): (Vec<bool>, Vec<bool>) = stands.partition(|own| *own);
        Self {
            asset: series.ticker.clone(),
            days: series.dates.len(),
            kept: kept.len(),
            filled: filled.len(),
            lost: series.dates.len() - kept.len(),
        }
    }

    /// The share of its days that is lost.
    #[expect(clippy::cast_precision_loss, reason = "day counts are far below 2^53")]
    fn share_lost(&self) -> f64 {
        if self.days == 0 {
            return 0.0;
        }
        self.lost as f64 / self.days as f64
    }

    /// The days in words: `2544 of 3588 days kept, 0 filled, 1044 lost (29.1 %)`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "{} of {} days kept, {} filled, {} lost ({:.1} %)",
            self.kept,
            self.days,
            self.filled,
            self.lost,
            100.0 * self.share_lost()
        )
    }

    /// What it loses, in words: `1044 of 3588 days (29.1 %)`.
    pub(super) fn loss(&self) -> String {
        format!(
            "{} of {} days ({:.1} %)",
            self.lost,
            self.days,
            100.0 * self.share_lost()
        )
    }

    /// Whether each of its days is a row and nothing was filled.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.filled == 0
    }
}

/// Which days the rows are, in words; under `common` with the asset that limits
/// them and the rows that it costs.
#[must_use]
pub fn rows_sentence(alignment: Alignment, limit: Option<(&str, usize)>) -> String {
    match alignment {
        Alignment::Common => Limit::sentence(limit),
        Alignment::Predicted { .. } => "rows are the predicted asset's days".to_owned(),
        Alignment::Union => "rows are the days of any asset".to_owned(),
    }
}

/// The assets that lose much of their days, each with the alignment that loses
/// less.
pub(super) fn much_lost(
    days: &[AssetDays],
    alignment: Alignment,
    predicted: &str,
) -> Option<String> {
    let many = days.iter().filter(|one| one.share_lost() > MUCH_LOST);
    let many: Vec<String> = many
        .map(|one| {
            let better = match alignment {
                Alignment::Common if one.asset == predicted => "predicted and union lose none",
                _ => "union loses none",
            };
            format!("{} loses {}, {better}", one.asset, one.loss())
        })
        .collect();
    let rows = match alignment {
        Alignment::Common => "rows are the days on which every asset has a price",
        Alignment::Predicted { .. } => "rows are the predicted asset's days",
        Alignment::Union => "rows are the days of any asset",
    };
    (!many.is_empty()).then(|| {
        format!(
            "feMeta.alignment is {}, so {rows}: {}",
            alignment.name(),
            many.join("; ")
        )
    })
}

/// An asset's own days and prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) ticker: &'a str,
    pub(super) dates: &'a [Date],
    pub(super) prices: &'a [f64],
}

/// A price that stands on a later day than its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    /// The row's day.
    pub(super) date: Date,
    /// The ticker.
    pub(super) asset: String,
    /// The day that the price is of.
    pub(super) price_date: Date,
}

/// Columns, each with a value a day.
#[derive(Debug)]
pub(super) struct Table {
    /// Ascending.
    pub(super) dates: Vec<Date>,
    pub(super) columns: Vec<Column>,
}

/// The same columns on the rows and on the days of DeepAR's files.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) rows: Table,
    /// Absent where the files have the days of the rows.
    pub(super) files: Option<Table>,
}

impl Tables {
    /// What DeepAR's files are made of.
    pub(super) fn of_files(&self) -> &Table {
        self.files.as_ref().unwrap_or(&self.rows)
    }

    /// The same days without columns.
    fn emptied(&self) -> Self {
        let emptied = |table: &Table| Table {
            dates: table.dates.clone(),
            columns: Vec::new(),
        };
        Self {
            rows: emptied(&self.rows),
            files: self.files.as_ref().map(emptied),
        }
    }

    /// Adds a column of one asset with a value for each of its own days, or any with a
    /// value for each row.
    fn add(&mut self, column: Column, apart: Option<&Apart>) {
        let ticker = column.asset.as_deref();
        let place = |apart: &Apart| {
            let mut series = apart.series.iter();
            series.position(|one| Some(one.ticker.as_str()) == ticker)
        };
        let Some((apart, place)) = apart.and_then(|apart| Some((apart, place(apart)?))) else {
            return self.add_on_rows(column);
        };
        let lay = |days: &OwnDays| {
            let places = days.iter();
            let values = places.map(|place| place.map_or(f64::NAN, |place| column.values[place]));
            column.on_other_days(values.collect())
        };
        self.rows.columns.push(lay(&apart.rows[place]));
        if let (Some(table), Some(days)) = (&mut self.files, &apart.files) {
            table.columns.push(lay(&days[place]));
        }
    }

    /// Adds a column that has a value for each row; in the files it stands on the
    /// row's day.
    pub(super) fn add_on_rows(&mut self, column: Column) {
        if let Some(files) = &mut self.files {
            let row = |date| self.rows.dates.binary_search(date).ok();
            let rows = files.dates.iter().map(row);
            let values = rows.map(|row| row.map_or(f64::NAN, |row| column.values[row]));
            files.columns.push(column.on_other_days(values.collect()));
        }
        self.rows.columns.push(column);
    }
}

/// For each of some days, which of an asset's own days stands on it.
type OwnDays = Vec<Option<usize>>;

/// Assets with days of their own.
#[derive(Debug)]
struct Apart {
    series: Vec<PriceSeries>,
    /// For each asset, what stands on the rows.
    rows: Vec<OwnDays>,
    /// The same for the days of DeepAR's files, where those are others.
    files: Option<Vec<OwnDays>>,
}

/// The assets, the rows, and the columns on them: prices first, by asset.
#[derive(Debug)]
pub(super) struct Panel {
    /// By ticker in byte order.
    pub(super) assets: Vec<CatalogueAsset>,
    /// The place of the predicted asset, and of its price among the columns.
    pub(super) target: usize,
    /// Under `common` no price is missing.
    pub(super) tables: Tables,
    /// The asset without which most rows would be gained; absent when every
    /// asset has the same dates, and under other alignments than `common`.
    pub(super) limiting: Option<Limit>,
    /// Each asset's ticker, first date, last date and rows.
    pub(super) ranges: Vec<(String, Date, Date, usize)>,
    /// What became of each asset's days.
    pub(super) days: Vec<AssetDays>,
    /// Absent under `common`.
    apart: Option<Apart>,
}

impl Panel {
    /// The rows of a template and its assets' prices, which are in the byte order of
    /// tickers; there must be one at least and none may be empty. `files` says
    /// whether DeepAR's are to be made.
    pub(super) fn new(
        template: &TrainingTemplate,
        assets: Vec<(CatalogueAsset, PriceSeries)>,
        files: bool,
    ) -> Self {
        let is_daily = template.deepar.calendar == Calendar::Daily;
        let alignment = template.features.alignment;
        Self::aligned(
            alignment,
            &template.predicted_asset,
            files && is_daily,
            assets,
        )
    }

    /// The same from the settings that count; `files` says whether DeepAR's files are
    /// made, of the daily calendar.
    fn aligned(
        alignment: Alignment,
        predicted: &str,
        files: bool,
        assets: Vec<(CatalogueAsset, PriceSeries)>,
    ) -> Self {
        let (assets, series): (Vec<CatalogueAsset>, Vec<PriceSeries>) = assets.into_iter().unzip();
        let target = assets.partition_point(|asset| asset.ticker.as_str() < predicted);
        let ranges = input::ranges(&series);
        let (dates, max_age) = match alignment {
            Alignment::Common => {
                let Joined {
                    dates,
                    prices,
                    limiting,
                } = input::join(&series);
                let days = series.iter().map(|one| AssetDays {
                    asset: one.ticker.clone(),
                    days: one.dates.len(),
                    kept: dates.len(),
                    filled: 0,
                    lost: one.dates.len() - dates.len(),
                });
                let days = days.collect();
                let columns = assets.iter().zip(prices);
                let columns = columns.map(|(asset, prices)| Column::price(&asset.ticker, prices));
                let columns = columns.collect();
                return Self {
                    assets,
                    target,
                    tables: Tables {
                        rows: Table { dates, columns },
                        files: None,
                    },
                    limiting,
                    ranges,
                    days,
                    apart: None,
                };
            }
            Alignment::Predicted { max_age } => {
                let own = series.get(target);
                (own.map_or_else(Vec::new, |one| one.dates.clone()), max_age)
            }
            Alignment::Union => (all_days(&series), 0),
        };
        let rows = own_days(&dates, &series, max_age);
        let days = series.iter().zip(&rows);
        let days = days.map(|(one, own_days)| AssetDays::new(one, &dates, own_days));
        let days = days.collect();
        // Under `union` the rows are these days already; under the trading calendar
        // a point is a row.
        let file_dates = (files && alignment != Alignment::Union).then(|| all_days(&series));
        let table = |dates| Table {
            dates,
            columns: Vec::new(),
        };
        let apart = Apart {
            rows,
            files: file_dates.as_ref().map(|dates| own_days(dates, &series, 0)),
            series,
        };
        let mut tables = Tables {
            rows: table(dates),
            files: file_dates.map(table),
        };
        for one in &apart.series {
            let price = Column::price(&one.ticker, one.prices.clone());
            tables.add(price, Some(&apart));
        }
        Self {
            assets,
            target,
            tables,
            limiting: None,
            ranges,
            days,
            apart: Some(apart),
        }
    }

    /// The own days and prices of the assets for which `wanted` holds; under `common`
    /// those of the rows.
    pub(super) fn own(&self, wanted: impl Fn(&CatalogueAsset) -> bool) -> Vec<Own<'_>> {
        let rows = &self.tables.rows;
        let own = |place: usize| match &self.apart {
            None => (&rows.dates, &rows.columns[place].values),
            Some(apart) => (&apart.series[place].dates, &apart.series[place].prices),
        };
        let chosen = self.assets.iter().enumerate();
        let chosen = chosen.filter(|(_, asset)| wanted(asset));
        chosen
            .map(|(place, asset)| {
                let ((dates, prices), ticker) = (own(place), &asset.ticker);
                Own {
                    ticker,
                    dates,
                    prices,
                }
            })
            .collect()
    }

    /// The days of the predicted asset that are rows.
    pub(super) fn kept(&self) -> usize {
        self.days.get(self.target).map_or(0, |one| one.kept)
    }

    /// Adds columns: those of one asset with a value for each of its own days, others
    /// with one for each row.
    pub(super) fn add(&mut self, columns: Vec<Column>) {
        for column in columns {
            self.tables.add(column, self.apart.as_ref());
        }
    }

    /// Columns of one asset that have a value where those described will, for what
    /// depends on that alone.
    pub(super) fn sketch(&self, described: &[ColumnDescription]) -> Tables {
        let all = self.own(|_| true);
        let mut tables = self.tables.emptied();
        for column in described {
            let of_asset = |own: &&Own<'_>| Some(own.ticker) == column.asset.as_deref();
            if let Some(own) = all.iter().find(of_asset) {
                let sketched = column.sketch(own.dates.len(), |row| row >= column.warm_up_rows);
                tables.add(sketched, self.apart.as_ref());
            }
        }
        tables
    }

    /// The prices that stand on later days than their own, by row, then asset.
    pub(super) fn filled(&self) -> Vec<Filled> {
        let Some(apart) = &self.apart else {
            return Vec::new();
        };
        let mut filled = Vec::new();
        for (row, date) in self.tables.rows.dates.iter().enumerate() {
            for (one, own_days) in apart.series.iter().zip(&apart.rows) {
                let own = own_days[row].map(|place| one.dates[place]);
                if let Some(price_date) = own.filter(|own| own != date) {
                    filled.push(Filled {
                        date: *date,
                        asset: one.ticker.clone(),
                        price_date,
                    });
                }
            }
        }
        filled
    }
}

/// Each asset's last day up to each of `dates` that is at most `max_age` calendar
/// days older.
fn own_days(dates: &[Date], series: &[PriceSeries], max_age: usize) -> Vec<OwnDays> {
    let of_one = |one: &PriceSeries| {
        let place = |date: &Date| {
            let place = one
                .dates
                .partition_point(|own| own <= date)
                .checked_sub(1)?;
            let age = (*date - one.dates[place]).whole_days();
            usize::try_from(age)
                .is_ok_and(|age| age <= max_age)
                .then_some(place)
        };
        dates.iter().map(place).collect()
    };
    series.iter().map(of_one).collect()
}

/// Every day of any series, ascending.
fn all_days(series: &[PriceSeries]) -> Vec<Date> {
    let mut days: Vec<Date> = series.iter().flat_map(|one| one.dates.clone()).collect();
    days.sort_unstable();
    days.dedup();
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(asset: &str, days: usize, lost: usize) -> AssetDays {
        AssetDays {
            asset: asset.to_owned(),
            days,
            kept: days - lost,
            filled: 0,
            lost,
        }
    }

    #[test]
    fn an_asset_is_named_if_it_loses_more_than_a_twentieth() {
        let all = [
            days("BTC", 3588, 1044),
            days("QQQ", 100, 5),
            days("SPY", 100, 6),
        ];
        assert_eq!(
            much_lost(&all, Alignment::Common, "BTC").as_deref(),
            Some(
                "feMeta.alignment is common, so rows are the days on which every asset has a price: \
                 BTC loses 1044 of 3588 days (29.1 %), predicted and union lose none; \
                 SPY loses 6 of 100 days (6.0 %), union loses none"
            )
        );
        assert_eq!(
            much_lost(&all[..1], Alignment::Predicted { max_age: 7 }, "SPY").as_deref(),
            Some(
                "feMeta.alignment is predicted, so rows are the predicted asset's days: \
                 BTC loses 1044 of 3588 days (29.1 %), union loses none"
            )
        );
        assert_eq!(much_lost(&all[1..2], Alignment::Common, "BTC"), None);
        assert_eq!(much_lost(&[days("A", 0, 0)], Alignment::Common, "A"), None);
    }

    #[test]
    fn days_are_told_in_words() {
        assert_eq!(
            days("BTC", 3588, 1044).sentence(),
            "2544 of 3588 days kept, 0 filled, 1044 lost (29.1 %)"
        );
    }

    /// Prices that are the day of March 2020: BTC on each day from Friday, 6th, to
    /// Tuesday, 17th; SPY on weekdays, without Friday, 13th.
    fn two() -> Vec<(CatalogueAsset, PriceSeries)> {
        let series = |ticker: &str, days: &[u8]| {
            let asset = CatalogueAsset {
                ticker: ticker.to_owned(),
                class: "x".to_owned(),
            };
            let prices = PriceSeries {
                ticker: ticker.to_owned(),
                dates: days.iter().map(|day| march(*day)).collect(),
                prices: days.iter().map(|day| f64::from(*day)).collect(),
                dropped: 0,
                warnings: Vec::new(),
            };
            (asset, prices)
        };
        let every: Vec<u8> = (6..=17).collect();
        vec![
            series("BTC", &every),
            series("SPY", &[6, 9, 10, 11, 12, 16, 17]),
        ]
    }

    fn march(day: u8) -> Date {
        Date::from_calendar_date(2020, time::Month::March, day).unwrap()
    }

    /// A column's values with 0 for what is missing.
    fn shown(values: &[f64]) -> Vec<f64> {
        let values = values.iter();
        values.map(|x| if x.is_nan() { 0.0 } else { *x }).collect()
    }

    fn counts(panel: &Panel) -> Vec<(usize, usize, usize)> {
        let days = panel.days.iter();
        days.map(|one| (one.kept, one.filled, one.lost)).collect()
    }

    #[test]
    fn under_common_the_rows_are_the_days_of_all() {
        let panel = Panel::aligned(Alignment::Common, "BTC", true, two());
        let both = [6.0, 9.0, 10.0, 11.0, 12.0, 16.0, 17.0];
        let rows = &panel.tables.rows.columns;
        assert_eq!([&rows[0].values, &rows[1].values], [&both, &both]);
        assert_eq!(counts(&panel), [(7, 0, 5), (7, 0, 0)]);
        assert!(panel.filled().is_empty() && panel.tables.files.is_none());
    }

    #[test]
    fn under_predicted_the_last_price_stands_until_it_is_too_old() {
        let panel = Panel::aligned(Alignment::Predicted { max_age: 2 }, "BTC", true, two());
        let every: Vec<f64> = (6..=17).map(f64::from).collect();
        let rows = &panel.tables.rows.columns;
        assert_eq!(rows[0].values, every);
        // Of Friday, 6th, on Saturday and Sunday; of Thursday, 12th, on Friday and
        // Saturday, and no more on Sunday.
        assert_eq!(
            shown(&rows[1].values),
            [
                6.0, 6.0, 6.0, 9.0, 10.0, 11.0, 12.0, 12.0, 12.0, 0.0, 16.0, 17.0
            ]
        );
        assert_eq!(counts(&panel), [(12, 0, 0), (7, 4, 0)]);
        let filled: Vec<(Date, Date)> = panel
            .filled()
            .into_iter()
            .map(|one| (one.date, one.price_date))
            .collect();
        assert_eq!(
            filled,
            [(7, 6), (8, 6), (13, 12), (14, 12)].map(|(on, of)| (march(on), march(of)))
        );
    }

    #[test]
    fn deepars_daily_series_keep_the_days_that_rows_lose_and_no_filled_one() {
        let aligned =
            |files| Panel::aligned(Alignment::Predicted { max_age: 7 }, "SPY", files, two());
        let mut panel = aligned(true);
        assert_eq!(counts(&panel), [(7, 0, 5), (7, 0, 0)]);
        let every: Vec<f64> = (6..=17).map(f64::from).collect();
        let weekdays = [
            6.0, 0.0, 0.0, 9.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0, 16.0, 17.0,
        ];
        // A column of one asset has a value for each of its days, that of none a value a
        // row.
        let of_asset = Column::price("BTC", every.clone());
        let of_rows = Column {
            asset: None,
            ..Column::price("unit", vec![6.0, 9.0, 10.0, 11.0, 12.0, 16.0, 17.0])
        };
        panel.add(vec![of_asset, of_rows]);
        let files = panel.tables.files.unwrap();
        assert_eq!(files.dates, (6..=17).map(march).collect::<Vec<_>>());
        let expected = [&every[..], &weekdays, &every, &weekdays];
        for (column, values) in files.columns.iter().zip(expected) {
            assert_eq!(shown(&column.values), values);
        }
        // A point of the trading calendar is a row.
        assert!(aligned(false).tables.files.is_none());
    }

    #[test]
    fn under_union_the_rows_are_all_days_and_nothing_is_filled() {
        let panel = Panel::aligned(Alignment::Union, "SPY", true, two());
        let rows = &panel.tables.rows;
        assert_eq!(rows.dates, (6..=17).map(march).collect::<Vec<_>>());
        assert_eq!(
            shown(&rows.columns[1].values),
            [
                6.0, 0.0, 0.0, 9.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0, 16.0, 17.0
            ]
        );
        assert_eq!(counts(&panel), [(12, 0, 0), (7, 0, 0)]);
        assert!(panel.filled().is_empty() && panel.tables.files.is_none());
    }
}
