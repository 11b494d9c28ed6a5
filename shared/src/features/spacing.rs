//! How far apart the dates of prices are.

use std::fmt;

use time::Date;

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

    /// The days from one price to the next.
    pub(super) fn days(self) -> i32 {
        self.0
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

/// What is doubtful about dates, ascending, as sentences: a gap that no market
/// has, and prices that are not daily.
pub(super) fn doubts(dates: &[Date]) -> Vec<String> {
    let mut doubts = Vec::new();
    let strays: Vec<usize> = gaps(dates)
        .enumerate()
        .filter(|(_, days)| *days > LARGEST_GAP)
        .map(|(before, _)| before)
        .collect();
    if let Some(first) = strays.first() {
        let (from, to) = (dates[*first], dates[first + 1]);
        let more = match strays.len() {
            1 => String::new(),
            many => format!(" (the first of {many} such gaps)"),
        };
        doubts.push(format!(
            "there is no price between {from} and {to}{more}; if one of these dates is mistyped, or stands for an empty one, correct it or take its row out"
        ));
    }
    if let (Some(spacing), Some(first), Some(last)) =
        (Spacing::of(dates), dates.first(), dates.last())
    {
        let days = last.to_julian_day() - first.to_julian_day() + 1;
        let days = usize::try_from(days).unwrap_or(usize::MAX);
        // In whole per cent, rounded down: 100 would say that there are none.
        let missing = 100 * days.saturating_sub(dates.len()) / days.max(1);
        doubts.push(format!(
            "prices are {spacing}: a model of days lacks {missing} % of its points and learns little from the rest; import daily prices"
        ));
    }
    doubts
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

    #[test]
    fn prices_that_are_not_daily_are_named_with_the_share_that_is_missing() {
        assert_eq!(
            doubts(&every(7, 400)),
            [
                "prices are weekly: a model of days lacks 85 % of its points and learns little from the rest; import daily prices"
            ]
        );
        for (days, name) in [
            (5, "weekly"),
            (14, "14 days apart"),
            (30, "monthly"),
            (91, "quarterly"),
            (365, "yearly"),
        ] {
            let told = doubts(&every(days, 8));
            assert!(
                told[0].starts_with(&format!("prices are {name}: ")),
                "{told:?}"
            );
        }
        assert_eq!(doubts(&every(7, 5)), [""; 0], "five dates tell nothing");
        assert_eq!(doubts(&[]), [""; 0]);
    }

    #[test]
    fn trading_days_with_holidays_are_daily() {
        let is_weekend = |day: &Date| day.weekday().number_days_from_monday() > 4;
        let mut days = every(1, 400);
        days.retain(|day| !is_weekend(day));
        assert_eq!(doubts(&days), [""; 0]);
        days.drain(100..120);
        assert_eq!(doubts(&days), [""; 0]);
    }

    #[test]
    fn a_stray_date_is_told_with_its_neighbour() {
        let mut days = every(1, 30);
        days.insert(0, date!(1900 - 01 - 01));
        assert_eq!(
            doubts(&days),
            [
                "there is no price between 1900-01-01 and 2015-01-02; if one of these dates is mistyped, or stands for an empty one, correct it or take its row out"
            ]
        );
        days.push(date!(2115 - 01 - 01));
        assert!(doubts(&days)[0].contains("2015-01-02 (the first of 2 such gaps);"));
    }

    proptest! {
        #[test]
        fn a_gap_is_told_exactly_where_one_is_longer_than_ten_years(
            days in prop::collection::btree_set(2_415_021..2_524_594_i32, 0..12),
        ) {
            let dates: Vec<Date> = days.iter().map(|day| Date::from_julian_day(*day).unwrap()).collect();
            let gap = gaps(&dates).any(|gap| gap > LARGEST_GAP);
            let told = doubts(&dates).iter().any(|doubt| doubt.starts_with("there is no price between "));
            prop_assert_eq!(told, gap);
        }
    }
}
