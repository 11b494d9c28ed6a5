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

use super::columns::Column;
use super::input::{self, Limit, PriceSeries};
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
    pub(super) dates: &'a [Date],
    pub(super) prices: &'a [f64],
}

/// Days, and for each asset which of its own days stands on each.
#[derive(Debug, Clone)]
struct Layout {
    dates: Vec<Date>,
    places: Vec<Vec<Option<usize>>>,
}

impl Layout {
    /// Each asset's last day up to each of `dates` that is at most `max_age`
    /// calendar days older.
    fn new(dates: Vec<Date>, series: &[PriceSeries], max_age: usize) -> Self {
        let places = series
            .iter()
            .map(|one| {
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
            })
            .collect();
        Self { dates, places }
    }

    /// An asset's values, one for each of its days, on the days of this layout.
    fn lay(&self, asset: usize, values: &[f64]) -> Vec<f64> {
        self.places[asset]
            .iter()
            .map(|place| place.map_or(f64::NAN, |place| values[place]))
            .collect()
    }
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

/// Days and columns that DeepAR's files are made of.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) dates: Vec<Date>,
    pub(super) columns: Vec<Column>,
}

impl Files {
    /// Adds columns that are made of rows, each value on the day of its row.
    pub(super) fn add(&mut self, dates: &[Date], columns: &[Column]) {
        let rows: Vec<Option<usize>> = self
            .dates
            .iter()
            .map(|date| dates.binary_search(date).ok())
            .collect();
        for column in columns {
            let values = rows.iter();
            let values = values.map(|row| row.map_or(f64::NAN, |row| column.values[row]));
            self.columns.push(Column {
                values: values.collect(),
                ..column.clone()
            });
        }
    }
}

/// Assets with days of their own.
#[derive(Debug, Clone)]
struct Apart {
    series: Vec<PriceSeries>,
    rows: Layout,
    /// The days of DeepAR's files, where they are not the rows.
    files: Option<Layout>,
}

/// The rows: their days, and what becomes of the assets' prices on them.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// The days of the rows, ascending.
    pub(super) dates: Vec<Date>,
    /// One column an asset, in the order given, each as long as `dates`; NaN =
    /// missing, under `common` nowhere.
    pub(super) prices: Vec<Vec<f64>>,
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
    /// The rows of a template and its assets' prices, which are taken in the order
    /// given; there must be one at least and none may be empty.
    pub(super) fn new(template: &TrainingTemplate, series: Vec<PriceSeries>) -> Self {
        let alignment = template.features.alignment;
        let is_daily = template.deepar.calendar == Calendar::Daily;
        Self::aligned(alignment, &template.predicted_asset, is_daily, series)
    }

    /// The same from the settings that count.
    pub(super) fn aligned(
        alignment: Alignment,
        predicted: &str,
        is_daily: bool,
        series: Vec<PriceSeries>,
    ) -> Self {
        let (rows, max_age) = match alignment {
            Alignment::Common => {
                let joined = input::join(&series);
                let rows = joined.dates.len();
                let days = series.iter().map(|one| AssetDays {
                    asset: one.ticker.clone(),
                    days: one.dates.len(),
                    kept: rows,
                    filled: 0,
                    lost: one.dates.len() - rows,
                });
                return Self {
                    days: days.collect(),
                    dates: joined.dates,
                    prices: joined.prices,
                    limiting: joined.limiting,
                    ranges: input::ranges(&series),
                    apart: None,
                };
            }
            Alignment::Predicted { max_age } => {
                let target = series.iter().find(|one| one.ticker == predicted);
                let rows = target.map_or_else(Vec::new, |one| one.dates.clone());
                (rows, max_age)
            }
            Alignment::Union => (all_days(&series), 0),
        };
        let rows = Layout::new(rows, &series, max_age);
        let days = series.iter().zip(&rows.places).map(|(one, places)| {
            let stands = rows.dates.iter().zip(places);
            let stands = stands.filter_map(|(date, place)| Some(*date == one.dates[(*place)?]));
            let (kept, filled): (Vec<bool>, Vec<bool>) = stands.partition(|own| *own);
            AssetDays {
                asset: one.ticker.clone(),
                days: one.dates.len(),
                kept: kept.len(),
                filled: filled.len(),
                lost: one.dates.len() - kept.len(),
            }
        });
        let days = days.collect();
        let prices = series.iter().enumerate();
        let prices = prices.map(|(i, one)| rows.lay(i, &one.prices)).collect();
        // Under `union` the rows are these days already; under the trading calendar
        // a point is a row.
        let apart_files = is_daily && alignment != Alignment::Union;
        let files = apart_files.then(|| Layout::new(all_days(&series), &series, 0));
        Self {
            dates: rows.dates.clone(),
            prices,
            limiting: None,
            ranges: input::ranges(&series),
            days,
            apart: Some(Apart {
                series,
                rows,
                files,
            }),
        }
    }

    /// Each asset's own days and prices; under `common` those of the rows.
    pub(super) fn own(&self) -> Vec<Own<'_>> {
        match &self.apart {
            None => {
                let prices = self.prices.iter();
                prices
                    .map(|prices| Own {
                        dates: &self.dates,
                        prices,
                    })
                    .collect()
            }
            Some(apart) => {
                let series = apart.series.iter();
                series
                    .map(|one| Own {
                        dates: &one.dates,
                        prices: &one.prices,
                    })
                    .collect()
            }
        }
    }

    /// Whether assets have days of their own beside the rows.
    pub(super) fn is_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// The days of an asset that are rows.
    pub(super) fn kept(&self, asset: &str) -> usize {
        let days = self.days.iter().find(|one| one.asset == asset);
        days.map_or(0, |one| one.kept)
    }

    /// Columns of one asset each, made on its own days, on the rows.
    pub(super) fn on_rows(&self, columns: Vec<Column>) -> Vec<Column> {
        match &self.apart {
            None => columns,
            Some(apart) => {
                let columns = columns.into_iter();
                columns
                    .map(|column| apart.laid(&apart.rows, &column))
                    .collect()
            }
        }
    }

    /// The same on the days of DeepAR's files; absent where those are the rows.
    pub(super) fn for_files(&self, columns: &[Column]) -> Option<Files> {
        let apart = self.apart.as_ref()?;
        let layout = apart.files.as_ref()?;
        Some(Files {
            dates: layout.dates.clone(),
            columns: columns
                .iter()
                .map(|column| apart.laid(layout, column))
                .collect(),
        })
    }

    /// The prices that stand on later days than their own, by row, then asset.
    pub(super) fn filled(&self) -> Vec<Filled> {
        let Some(apart) = &self.apart else {
            return Vec::new();
        };
        let mut filled = Vec::new();
        for (row, date) in apart.rows.dates.iter().enumerate() {
            for (one, places) in apart.series.iter().zip(&apart.rows.places) {
                let own = places[row].map(|place| one.dates[place]);
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

impl Apart {
    fn laid(&self, layout: &Layout, column: &Column) -> Column {
        let ticker = column.asset.as_deref();
        let mut series = self.series.iter();
        let asset = series.position(|one| Some(one.ticker.as_str()) == ticker);
        Column {
            values: asset.map_or_else(
                || vec![f64::NAN; layout.dates.len()],
                |asset| layout.lay(asset, &column.values),
            ),
            name: column.name.clone(),
            asset: column.asset.clone(),
            kind: column.kind,
        }
    }
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
    use crate::features::columns::ColumnKind;

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
    fn two() -> Vec<PriceSeries> {
        let series = |ticker: &str, days: &[u8]| PriceSeries {
            ticker: ticker.to_owned(),
            dates: days.iter().map(|day| march(*day)).collect(),
            prices: days.iter().map(|day| f64::from(*day)).collect(),
            dropped: 0,
            warnings: Vec::new(),
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
        assert_eq!(panel.prices, [both, both]);
        assert_eq!(counts(&panel), [(7, 0, 5), (7, 0, 0)]);
        assert!(panel.filled().is_empty() && panel.for_files(&[]).is_none());
    }

    #[test]
    fn under_predicted_the_last_price_stands_until_it_is_too_old() {
        let panel = Panel::aligned(Alignment::Predicted { max_age: 2 }, "BTC", true, two());
        let every: Vec<f64> = (6..=17).map(f64::from).collect();
        assert_eq!(panel.prices[0], every);
        // Of Friday, 6th, on Saturday and Sunday; of Thursday, 12th, on Friday and
        // Saturday, and no more on Sunday.
        assert_eq!(
            shown(&panel.prices[1]),
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
            |is_daily| Panel::aligned(Alignment::Predicted { max_age: 7 }, "SPY", is_daily, two());
        let panel = aligned(true);
        assert_eq!(counts(&panel), [(7, 0, 5), (7, 0, 0)]);
        let own = panel.own();
        let columns: Vec<Column> = ["BTC", "SPY"]
            .iter()
            .zip(own)
            .map(|(ticker, own)| Column::new(ticker, ColumnKind::Price, own.prices.to_vec()))
            .collect();
        let mut files = panel.for_files(&columns).unwrap();
        assert_eq!(files.dates, (6..=17).map(march).collect::<Vec<_>>());
        assert_eq!(shown(&files.columns[0].values), shown(&columns[0].values));
        assert_eq!(
            shown(&files.columns[1].values),
            [
                6.0, 0.0, 0.0, 9.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0, 16.0, 17.0
            ]
        );
        let rows = panel.on_rows(columns);
        files.add(&panel.dates, &rows[..1]);
        assert_eq!(
            shown(&files.columns[2].values),
            shown(&files.columns[1].values)
        );
        // A point of the trading calendar is a row.
        assert!(aligned(false).for_files(&rows).is_none());
    }

    #[test]
    fn under_union_the_rows_are_all_days_and_nothing_is_filled() {
        let panel = Panel::aligned(Alignment::Union, "SPY", true, two());
        assert_eq!(panel.dates, (6..=17).map(march).collect::<Vec<_>>());
        assert_eq!(
            shown(&panel.prices[1]),
            [
                6.0, 0.0, 0.0, 9.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0, 16.0, 17.0
            ]
        );
        assert_eq!(counts(&panel), [(12, 0, 0), (7, 0, 0)]);
        assert!(panel.filled().is_empty() && panel.for_files(&[]).is_none());
    }
}
