//! How far apart prices are, and what it takes to have one a point.

use std::fmt;

use pipewright_forecast::calendar::Frequency;
use time::{Date, Weekday};

use super::input::PriceSeries;
use crate::training_template::{Calendar, Freq};

/// Fewer gaps than this tell nothing.
const LEAST_GAPS: usize = 5;

/// The largest usual gap of daily prices: a weekend with a holiday before it.
const DAILY: i32 = 4;

/// A gap of more days than ten years have is most likely that of a stray date.
const LARGEST_GAP: i32 = 3_653;

/// How far apart prices are that are not daily, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing(i32);

impl Spacing {
    /// The spacing of dates, ascending: of half of the gaps between them none is
    /// larger. Absent where prices are daily, as far as the dates tell.
    pub(super) fn of(dates: &[Date]) -> Option<Self> {
        let mut gaps: Vec<i32> = gaps(dates).collect();
        if gaps.len() < LEAST_GAPS {
            return None;
        }
        let middle = gaps.len() / 2;
        let (_, median, _) = gaps.select_nth_unstable(middle);
        (*median > DAILY).then_some(Self(*median))
    }

    /// The `deepARMeta.freq` that such prices are for, if there is one.
    pub(super) fn freq(self) -> Option<Freq> {
        match self.0 {
            5..=9 => Some(Freq::Week),
            26..=34 => Some(Freq::Month),
            _ => None,
        }
    }

    fn cure(self) -> String {
        match self.freq() {
            Some(freq) => format!(
                "set deepARMeta.freq to {}, or import daily prices",
                freq.name()
            ),
            None => "import daily, weekly or monthly prices".to_owned(),
        }
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            5..=9 => "weekly",
            26..=34 => "monthly",
            85..=97 => "quarterly",
            355..=375 => "yearly",
            days => return write!(f, "{days} days apart"),
        })
    }
}

fn gaps(dates: &[Date]) -> impl Iterator<Item = i32> {
    dates
        .windows(2)
        .map(|pair| pair[1].to_julian_day() - pair[0].to_julian_day())
}

/// A gap between dates, ascending, that no market has, as a sentence.
pub(super) fn stray_dates(dates: &[Date]) -> Option<String> {
    let strays: Vec<usize> = gaps(dates)
        .enumerate()
        .filter(|(_, days)| *days > LARGEST_GAP)
        .map(|(before, _)| before)
        .collect();
    let first = strays.first()?;
    let (from, to) = (dates[*first], dates[first + 1]);
    let more = match strays.len() {
        1 => String::new(),
        many => format!(" (the first of {many} such gaps)"),
    };
    Some(format!(
        "there is no price between {from} and {to}{more}; if one of these dates is mistyped, or stands for an empty one, correct it or take its row out"
    ))
}

/// A series with at most one price a point of `freq`: the last one, dated by the
/// last day of the point, so that a day's price has its own day. Its warnings say
/// how many prices others stand for, whether many points have none, and what is
/// doubtful about the days that the prices are of.
pub(super) fn by_point(freq: Freq, calendar: Calendar, mut series: PriceSeries) -> PriceSeries {
    let (one, many) = freq.unit();
    let own = std::mem::take(&mut series.dates);
    let prices = std::mem::take(&mut series.prices);
    let mut points: Vec<(Date, f64)> = Vec::with_capacity(prices.len());
    for (date, price) in own.iter().zip(prices) {
        let last_day = frequency(freq).last_day(*date);
        match points.last_mut() {
            Some(point) if point.0 == last_day => point.1 = price,
            _ => points.push((last_day, price)),
        }
    }
    (series.dates, series.prices) = points.into_iter().unzip();
    let kept = series.dates.len();
    let merged = (kept < own.len()).then(|| {
        let prices = own.len();
        format!("{prices} prices lie in {kept} {many}; the last one of each {one} is taken")
    });
    let doubts = [
        merged,
        (calendar == Calendar::Daily)
            .then(|| rarer_than_points(freq, &own, &series.dates))
            .flatten(),
        unfinished(freq, &own),
        first_days(freq, &own),
    ];
    let ticker = &series.ticker;
    let doubts = doubts.into_iter().flatten();
    let doubts = doubts.map(|doubt| format!("{ticker}: {doubt}"));
    series.warnings.extend(doubts);
    series
}

/// That many points have no price. A week has two days without one, and holidays.
fn rarer_than_points(freq: Freq, own: &[Date], points: &[Date]) -> Option<String> {
    const MANY: usize = 40;
    let (first, last) = (points.first()?, points.last()?);
    let all = frequency(freq).steps_between(*first, *last) + 1;
    let all = usize::try_from(all).unwrap_or(usize::MAX);
    // In whole per cent, rounded down: 100 would say that there are none.
    let missing = 100 * all.saturating_sub(points.len()) / all.max(1);
    if missing <= MANY || points.len() <= LEAST_GAPS {
        return None;
    }
    let (_, many) = freq.unit();
    let lacks = format!(
        "a model of {many} lacks {missing} % of its points and learns little from the rest"
    );
    Some(match Spacing::of(own) {
        Some(spacing) => format!("prices are {spacing}: {lacks}; {}", spacing.cure()),
        None => format!("{lacks}; import the prices that are missing"),
    })
}

/// That the last week or month may not be over: its last price is much earlier in it
/// than those of others.
fn unfinished(freq: Freq, own: &[Date]) -> Option<String> {
    let most = match freq {
        Freq::Day => return None,
        Freq::Week => 1,
        Freq::Month => 5,
    };
    let calendar = frequency(freq);
    let place = |date: &Date| {
        let before = calendar.later_day(*date, -1);
        (*date - before).whole_days()
    };
    let last_of_each = own.chunk_by(|a, b| calendar.last_day(*a) == calendar.last_day(*b));
    let mut places: Vec<i64> = last_of_each
        .filter_map(|days| days.last())
        .map(place)
        .collect();
    let last = places.pop()?;
    if places.len() < LEAST_GAPS {
        return None;
    }
    let middle = places.len() / 2;
    let (_, usual, _) = places.select_nth_unstable(middle);
    let (one, _) = freq.unit();
    let date = own.last()?;
    (*usual - last > most).then(|| {
        format!(
            "the last {one} ends on {}, and its last price is of {date}; if it is not over, take that price out",
            calendar.last_day(*date)
        )
    })
}

/// That weekly prices are dated by a Sunday, which some sources mean as the first day of
/// the week.
fn first_days(freq: Freq, own: &[Date]) -> Option<String> {
    let are_sundays = own.iter().all(|date| date.weekday() == Weekday::Sunday);
    (freq == Freq::Week && own.len() > LEAST_GAPS && are_sundays).then(|| {
        "all prices are of Sundays, and taken as those of the weeks that end then; if each is of the week that begins then, date it by the day after"
            .to_owned()
    })
}

/// The calendar's frequency.
#[must_use]
pub fn frequency(freq: Freq) -> Frequency {
    freq.name().parse().expect("DeepAR has all three")
}

impl PriceSeries {
    /// What is to be known of prices that are not daily where they were not made
    /// points of `freq`: there is no template, or it has a fault.
    #[must_use]
    pub fn spacing_note(&self, freq: Option<Freq>) -> Option<String> {
        let spacing =
            Spacing::of(&self.dates).filter(|one| freq.is_none() || one.freq() != freq)?;
        let (ticker, cure) = (&self.ticker, spacing.cure());
        Some(format!("{ticker}: prices are {spacing}: {cure}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::date};

    use super::*;

    fn every(days: i64, rows: i64) -> Vec<Date> {
        let rows = 0..rows;
        rows.map(|row| date!(2015 - 01 - 02) + Duration::days(days * row))
            .collect()
    }

    fn series(dates: Vec<Date>) -> PriceSeries {
        PriceSeries {
            ticker: "T".to_owned(),
            prices: (0_u32..).take(dates.len()).map(f64::from).collect(),
            dates,
            dropped: 0,
            warnings: Vec::new(),
        }
    }

    fn warnings(freq: Freq, dates: Vec<Date>) -> Vec<String> {
        by_point(freq, Calendar::Daily, series(dates)).warnings
    }

    /// Prices that are rarer than the points of deepARMeta.freq are warned of with the freq that they are for.
    #[test]
    fn prices_that_are_rarer_than_points_are_warned_of_with_the_cure() {
        assert_eq!(
            warnings(Freq::Day, every(7, 400)),
            [
                "T: prices are weekly: a model of days lacks 85 % of its points and learns little from the rest; set deepARMeta.freq to 1W, or import daily prices"
            ]
        );
        assert_eq!(warnings(Freq::Week, every(7, 400)), [""; 0]);
        assert_eq!(
            warnings(Freq::Week, every(31, 60)),
            [
                "T: prices are monthly: a model of weeks lacks 77 % of its points and learns little from the rest; set deepARMeta.freq to 1M, or import daily prices"
            ]
        );
        for (days, name) in [
            (5, "weekly"),
            (14, "14 days apart"),
            (30, "monthly"),
            (91, "quarterly"),
            (365, "yearly"),
        ] {
            let found = warnings(Freq::Day, every(days, 8));
            assert!(
                found[0].starts_with(&format!("T: prices are {name}: ")),
                "{found:?}"
            );
            assert_eq!(series(every(30, 8)).spacing_note(Some(Freq::Month)), None);
            let note = series(every(days, 8)).spacing_note(None).unwrap();
            assert!(
                note.starts_with(&format!("T: prices are {name}: ")),
                "{note}"
            );
        }
        assert_eq!(warnings(Freq::Day, every(7, 5)), [""; 0], "too few gaps");
        assert_eq!(warnings(Freq::Day, Vec::new()), [""; 0]);
    }

    #[test]
    fn points_without_a_price_are_counted_whatever_the_spacing() {
        let two_a_week: Vec<Date> = every(1, 700)
            .into_iter()
            .filter(|day| [1, 2].contains(&day.weekday().number_from_monday()))
            .collect();
        let told = warnings(Freq::Day, two_a_week.clone());
        assert_eq!(
            told,
            [
                "T: a model of days lacks 71 % of its points and learns little from the rest; import the prices that are missing"
            ]
        );
        // A point of the trading calendar is a row.
        let trading = by_point(Freq::Day, Calendar::Trading, series(two_a_week));
        assert_eq!(trading.warnings, [""; 0]);
    }

    #[test]
    fn a_last_week_or_month_that_may_not_be_over_is_told() {
        // Fridays, and the Tuesday after.
        let mut fridays = every(7, 20);
        assert_eq!(warnings(Freq::Week, fridays.clone()), [""; 0]);
        fridays.push(date!(2015 - 05 - 19));
        assert_eq!(
            warnings(Freq::Week, fridays),
            [
                "T: the last week ends on 2015-05-24, and its last price is of 2015-05-19; if it is not over, take that price out"
            ]
        );
        let days = every(1, 400);
        assert!(
            warnings(Freq::Month, days[..363].to_vec()).len() == 1,
            "30th"
        );
        let told = warnings(Freq::Month, days[..340].to_vec());
        assert!(
            told[1].contains("the last month ends on 2015-12-31"),
            "{told:?}"
        );
    }

    #[test]
    fn weeks_that_may_begin_on_their_sunday_are_told() {
        let sundays: Vec<Date> = every(7, 20)
            .into_iter()
            .map(|friday| friday + Duration::days(2))
            .collect();
        let told = warnings(Freq::Week, sundays);
        assert!(
            told[0].starts_with("T: all prices are of Sundays, "),
            "{told:?}"
        );
    }

    #[test]
    fn trading_days_with_holidays_are_daily() {
        let is_weekend = |day: &Date| day.weekday().number_days_from_monday() > 4;
        let mut days = every(1, 400);
        days.retain(|day| !is_weekend(day));
        assert_eq!(warnings(Freq::Day, days.clone()), [""; 0]);
        days.drain(100..120);
        assert_eq!(warnings(Freq::Day, days), [""; 0]);
    }

    /// Under deepARMeta.freq 1W and 1M the last price of each week or month is taken, and dated by its last day.
    #[test]
    fn the_last_price_of_each_week_or_month_is_taken() {
        // A Thursday to the Wednesday after next.
        let days = every(1, 13)[6..].to_vec();
        let weeks = by_point(Freq::Week, Calendar::Daily, series(days.clone()));
        assert_eq!(
            weeks.dates,
            [date!(2015 - 01 - 11), date!(2015 - 01 - 18)],
            "Sundays"
        );
        assert_eq!(weeks.prices, [3.0, 6.0]);
        assert_eq!(
            weeks.warnings,
            ["T: 7 prices lie in 2 weeks; the last one of each week is taken"]
        );
        let months = by_point(Freq::Month, Calendar::Daily, series(days.clone()));
        assert_eq!(months.dates, [date!(2015 - 01 - 31)]);
        let same = by_point(Freq::Day, Calendar::Daily, series(days.clone()));
        assert_eq!(same, series(days));
    }

    #[test]
    fn a_stray_date_is_told_with_its_neighbour() {
        let mut days = every(1, 30);
        days.insert(0, date!(1900 - 01 - 01));
        assert_eq!(
            stray_dates(&days).unwrap(),
            "there is no price between 1900-01-01 and 2015-01-02; if one of these dates is mistyped, or stands for an empty one, correct it or take its row out"
        );
        days.push(date!(2115 - 01 - 01));
        assert!(
            stray_dates(&days)
                .unwrap()
                .contains("2015-01-02 (the first of 2 such gaps);")
        );
    }

    proptest! {
        #[test]
        fn a_gap_is_told_exactly_where_one_is_longer_than_ten_years(
            days in prop::collection::btree_set(2_415_021..2_524_594_i32, 0..12),
        ) {
            let dates: Vec<Date> = days.iter().map(|day| Date::from_julian_day(*day).unwrap()).collect();
            let gap = gaps(&dates).any(|gap| gap > LARGEST_GAP);
            prop_assert_eq!(stray_dates(&dates).is_some(), gap);
        }

        #[test]
        fn of_prices_by_point_none_is_later_than_its_date(
            days in prop::collection::btree_set(2_415_021..2_524_594_i32, 0..12), unit in 0..3_usize,
        ) {
            let freq = Freq::ALL[unit];
            let dates: Vec<Date> = days.iter().map(|day| Date::from_julian_day(*day).unwrap()).collect();
            let points = by_point(freq, Calendar::Daily, series(dates.clone()));
            prop_assert!(points.dates.windows(2).all(|pair| pair[0] < pair[1]));
            // Each price is the place of its day among the days.
            for (date, price) in points.dates.iter().zip(&points.prices) {
                let days = (0_u32..).map(f64::from).zip(&dates);
                let mut from = days.skip_while(|(place, _)| place < price).map(|(_, day)| day);
                prop_assert_eq!(frequency(freq).last_day(*from.next().unwrap()), *date);
                prop_assert!(from.next().is_none_or(|later| later > date));
            }
        }
    }
}
