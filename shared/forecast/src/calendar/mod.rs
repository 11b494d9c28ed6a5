//! Frequencies and the periods they count: when a point of a series is, and
//! what the network is told about that time.
//!
//! Times are periods as pandas has them: `start` is cut to its unit, and a step
//! is so many units. `2H` from 01:30 is 01:00, 03:00 and so on: periods are not
//! aligned to multiples.

mod lags;
mod start;

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};
use thiserror::Error;
use time::{Date, Month, PrimitiveDateTime};

use pipewright_wording::excerpt;
pub use start::StartError;

/// The most units that a step may have.
const GREATEST_MULTIPLE: u32 = 1_000_000;

/// What [`Frequency`] is read from, for messages.
pub(crate) const FREQUENCY_FORM: &str = "a unit of M (month), W (week), D (day), H (hour) or min (minute), with a whole number from 1 to 1000000 before it if a step has several, such as D or 5min";

/// The unit of a frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `M`: a calendar month.
    Month,
    /// `W`: a week from Monday to Sunday.
    Week,
    /// `D`: a calendar day.
    Day,
    /// `H`: an hour.
    Hour,
    /// `min`: a minute.
    Minute,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 5] = [Self::Month, Self::Week, Self::Day, Self::Hour, Self::Minute];

    /// The name in `time_freq`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Month => "M",
            Self::Week => "W",
            Self::Day => "D",
            Self::Hour => "H",
            Self::Minute => "min",
        }
    }
}

/// The time between two points of a series: so many units. `D` and `1D` are
/// equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frequency {
    multiple: u32,
    unit: Unit,
}

/// A text is not a frequency.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a frequency; it must be {FREQUENCY_FORM}")]
pub struct FrequencyError {
    /// The beginning of the text.
    text: String,
}

impl FromStr for Frequency {
    type Err = FrequencyError;

    /// Reads `D`, `1D`, `5min`: the number may be absent, the unit's case counts
    /// (`M` is a month), and white space around the text doesn't.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || FrequencyError {
            text: excerpt(text),
        };
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (multiple, name) = trimmed.split_at(digits);
        let unit = Unit::ALL
            .into_iter()
            .find(|unit| unit.name() == name)
            .ok_or_else(fault)?;
        let multiple = match multiple {
            "" => 1,
            digits if digits.starts_with('0') => return Err(fault()),
            digits => digits.parse().map_err(|_| fault())?,
        };
        if multiple > GREATEST_MULTIPLE {
            return Err(fault());
        }
        Ok(Self { multiple, unit })
    }
}

impl fmt::Display for Frequency {
    /// The shortest form: `D`, `5min`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.multiple != 1 {
            write!(f, "{}", self.multiple)?;
        }
        f.write_str(self.unit.name())
    }
}

/// A period of some frequency's unit: how many units it lies after the one that
/// holds 1970-01-01 00:00. It says nothing without its frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub i64);

const MINUTES_PER_DAY: i64 = 24 * 60;
/// Days from the Monday of 1970-01-01's week, which was a Thursday, to that day.
const EPOCH_WEEKDAY: i64 = 3;
impl Serialize for Frequency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Frequency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The Gregorian calendar, weekdays and ISO weeks included, repeats after so
/// many days.
const DAYS_PER_CYCLE: i64 = 146_097;

impl Frequency {
    /// How many units a step has.
    #[must_use]
    pub fn multiple(self) -> u32 {
        self.multiple
    }

    /// The unit.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.unit
    }

    /// The period that holds a moment.
    #[must_use]
    pub fn period(self, moment: PrimitiveDateTime) -> Period {
        let date = moment.date();
        let days = days_since_epoch(date);
        Period(match self.unit {
            Unit::Month => {
                (i64::from(date.year()) - 1970) * 12 + i64::from(u8::from(date.month())) - 1
            }
            Unit::Week => (days + EPOCH_WEEKDAY).div_euclid(7),
            Unit::Day => days,
            Unit::Hour => days * 24 + i64::from(moment.hour()),
            Unit::Minute => {
                days * MINUTES_PER_DAY + i64::from(moment.hour()) * 60 + i64::from(moment.minute())
            }
        })
    }

    /// The period `steps` steps after `period`, or before it.
    #[must_use]
    pub fn advance(self, period: Period, steps: i64) -> Period {
        Period(
            period
                .0
                .saturating_add(steps.saturating_mul(i64::from(self.multiple))),
        )
    }

    /// The last day of the period that holds `date`: of a week its Sunday, of a
    /// month its last day, of a shorter period the day itself.
    #[must_use]
    pub fn last_day(self, date: Date) -> Date {
        self.later_day(date, 0)
    }

    /// The last day of the period `steps` steps after the one that holds `date`,
    /// or before it; not beyond the dates that there are.
    #[must_use]
    pub fn later_day(self, date: Date, steps: i64) -> Date {
        let Period(ordinal) = self.advance(self.period(date.midnight()), steps);
        let next = ordinal.saturating_add(1);
        let after = match self.unit {
            // The first day of the month after.
            Unit::Month => {
                let month = u8::try_from(next.rem_euclid(12) + 1)
                    .ok()
                    .and_then(|month| Month::try_from(month).ok());
                i32::try_from(next.div_euclid(12).saturating_add(1970))
                    .ok()
                    .zip(month)
                    .and_then(|(year, month)| Date::from_calendar_date(year, month, 1).ok())
                    .map(days_since_epoch)
            }
            Unit::Week => Some(next.saturating_mul(7) - EPOCH_WEEKDAY),
            Unit::Day => Some(next),
            Unit::Hour => Some(ordinal.div_euclid(24) + 1),
            Unit::Minute => Some(ordinal.div_euclid(MINUTES_PER_DAY) + 1),
        };
        let date = after
            .and_then(|after| i32::try_from(after - 1).ok())
            .and_then(|days| days.checked_add(EPOCH.to_julian_day()))
            .and_then(|day| Date::from_julian_day(day).ok());
        date.unwrap_or(if steps < 0 { Date::MIN } else { Date::MAX })
    }

    /// The whole steps from the period that holds `from` to the one that holds
    /// `to`, negative where that is earlier.
    #[must_use]
    pub fn steps_between(self, from: Date, to: Date) -> i64 {
        let units = self.period(to.midnight()).0 - self.period(from.midnight()).0;
        units.div_euclid(i64::from(self.multiple))
    }

    /// How many calendar features a point has; see [`Self::features`].
    #[must_use]
    pub fn feature_count(self) -> usize {
        match self.unit {
            Unit::Month => 1,
            Unit::Week => 2,
            Unit::Day => 3,
            Unit::Hour => 4,
            Unit::Minute => 5,
        }
    }

    /// Writes the calendar features of `period` to `out`, which takes
    /// [`Self::feature_count`] of them; each lies in [-0.5, 0.5].
    ///
    /// | unit | features |
    /// |---|---|
    /// | min | minute of the hour, hour, weekday, day of the month, day of the year |
    /// | H | hour, weekday, day of the month, day of the year |
    /// | D | weekday, day of the month, day of the year |
    /// | W | day of the month and ISO week of the week's Sunday |
    /// | M | month |
    ///
    /// The table is that of DeepAR's documentation and of GluonTS
    /// (`time_features_from_frequency_str`).
    pub fn features(self, period: Period, out: &mut [f32]) {
        debug_assert_eq!(out.len(), self.feature_count());
        let ordinal = period.0;
        let values: [(i64, i64); 5] = match self.unit {
            Unit::Month => [(ordinal.rem_euclid(12), 11), ABSENT, ABSENT, ABSENT, ABSENT],
            Unit::Week => {
                let weeks = ordinal.rem_euclid(DAYS_PER_CYCLE / 7);
                let sunday = date_in_cycle(weeks * 7 + 6 - EPOCH_WEEKDAY);
                [
                    (i64::from(sunday.day()) - 1, 30),
                    (i64::from(sunday.iso_week()) - 1, 52),
                    ABSENT,
                    ABSENT,
                    ABSENT,
                ]
            }
            Unit::Day => {
                let [weekday, day, day_of_year] = day_features(ordinal);
                [weekday, day, day_of_year, ABSENT, ABSENT]
            }
            Unit::Hour => {
                let [weekday, day, day_of_year] = day_features(ordinal.div_euclid(24));
                let hour = (ordinal.rem_euclid(24), 23);
                [hour, weekday, day, day_of_year, ABSENT]
            }
            Unit::Minute => {
                let [weekday, day, day_of_year] = day_features(ordinal.div_euclid(MINUTES_PER_DAY));
                let hour = (ordinal.rem_euclid(MINUTES_PER_DAY) / 60, 23);
                [
                    (ordinal.rem_euclid(60), 59),
                    hour,
                    weekday,
                    day,
                    day_of_year,
                ]
            }
        };
        for (out, (value, greatest)) in out.iter_mut().zip(values) {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "both are below 366"
            )]
            {
                *out = (value as f64 / greatest as f64 - 0.5) as f32;
            }
        }
    }
}

/// Fills the places of features that a unit does not have.
const ABSENT: (i64, i64) = (0, 1);

/// The age of a series' point `t` (0 = its first), `log10(2 + t)`, as GluonTS
/// has it.
#[must_use]
pub fn age(t: usize) -> f32 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a logarithm: seven digits do"
    )]
    {
        (2.0 + t as f64).log10() as f32
    }
}

/// Weekday, day of the month and day of the year, each with its greatest value.
fn day_features(days: i64) -> [(i64, i64); 3] {
    let date = date_in_cycle(days);
    [
        (i64::from(date.weekday().number_days_from_monday()), 6),
        (i64::from(date.day()) - 1, 30),
        (i64::from(date.ordinal()) - 1, 365),
    ]
}

const EPOCH: Date = match Date::from_ordinal_date(1970, 1) {
    Ok(date) => date,
    Err(_) => unreachable!(),
};

fn days_since_epoch(date: Date) -> i64 {
    i64::from(date.to_julian_day()) - i64::from(EPOCH.to_julian_day())
}

/// The date so many days after 1970-01-01, or the one of the years 1970 to 2369
/// that has the same month, day, weekday and ISO week: so every period has
/// features, however far away.
fn date_in_cycle(days: i64) -> Date {
    let offset = days.rem_euclid(DAYS_PER_CYCLE);
    #[expect(clippy::cast_possible_truncation, reason = "less than one cycle")]
    let julian_day = EPOCH.to_julian_day() + offset as i32;
    Date::from_julian_day(julian_day).unwrap_or(EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    fn frequency(text: &str) -> Frequency {
        text.parse().unwrap()
    }

    #[test]
    fn a_frequency_is_a_number_and_a_unit() {
        for (text, shown) in [
            ("D", "D"),
            ("1D", "D"),
            (" 5min ", "5min"),
            ("2H", "2H"),
            ("7D", "7D"),
            ("12M", "12M"),
            ("W", "W"),
        ] {
            assert_eq!(frequency(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_not_a_frequency_is_refused_with_the_units() {
        for text in [
            "",
            "d",
            "1d",
            "T",
            "5T",
            "S",
            "Y",
            "0D",
            "01D",
            "-1D",
            "1.5H",
            "D1",
            "1 D",
            "1000001D",
            "99999999999999999999D",
            "minutes",
            "ME",
            "m",
        ] {
            let fault = text.parse::<Frequency>().unwrap_err().to_string();
            assert!(
                fault.contains("M (month), W (week), D (day), H (hour) or min"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_week_ends_on_its_sunday() {
        let week = frequency("W");
        let monday = week.period(datetime!(2012-01-30 00:00));
        assert_eq!(monday, week.period(datetime!(2012-02-05 23:59)));
        assert_ne!(monday, week.period(datetime!(2012-01-29 0:00)));
        let mut features = [0.0; 2];
        week.features(monday, &mut features);
        assert_eq!(features, [4.0 / 30.0 - 0.5, 4.0 / 52.0 - 0.5]);
    }

    #[test]
    fn a_period_is_named_by_its_last_day() {
        let wednesday = date!(2024 - 02 - 14);
        for (text, last, next) in [
            ("D", wednesday, date!(2024 - 02 - 15)),
            ("W", date!(2024 - 02 - 18), date!(2024 - 02 - 25)),
            ("M", date!(2024 - 02 - 29), date!(2024 - 03 - 31)),
            ("12M", date!(2024 - 02 - 29), date!(2025 - 02 - 28)),
            ("H", wednesday, wednesday),
        ] {
            let frequency = frequency(text);
            assert_eq!(frequency.last_day(wednesday), last, "{text}");
            assert_eq!(frequency.later_day(wednesday, 1), next, "{text}");
        }
        let month = frequency("M");
        assert_eq!(
            month.later_day(date!(1970 - 01 - 01), -1),
            date!(1969 - 12 - 31)
        );
        assert_eq!(month.later_day(wednesday, i64::MAX), Date::MAX);
        assert_eq!(month.later_day(wednesday, i64::MIN), Date::MIN);
        assert_eq!(frequency("D").last_day(Date::MAX), Date::MAX);
    }

    #[test]
    fn steps_are_not_aligned_to_multiples() {
        let two_hours = frequency("2H");
        let start = two_hours.period(datetime!(2020-01-01 01:30));
        assert_eq!(start, two_hours.period(datetime!(2020-01-01 01:00)));
        assert_eq!(
            two_hours.advance(start, 1),
            two_hours.period(datetime!(2020-01-01 03:00))
        );
    }

    proptest! {
        #[test]
        fn steps_lead_from_one_last_day_to_the_other(
            day in 2_415_021..2_524_594_i32, steps in -2000_i64..2000, unit in 0..3_usize,
        ) {
            let frequency = Frequency { multiple: 1, unit: Unit::ALL[unit] };
            let date = Date::from_julian_day(day).unwrap();
            let later = frequency.later_day(date, steps);
            prop_assert_eq!(frequency.steps_between(date, later), steps);
            prop_assert_eq!(frequency.last_day(later), later);
            // The day after begins another period.
            let next = later.next_day().unwrap();
            prop_assert_eq!(frequency.steps_between(later, next), 1);
        }

        #[test]
        fn features_lie_within_a_half_for_every_period(ordinal: i64, unit in 0..5_usize) {
            let frequency = Frequency { multiple: 1, unit: Unit::ALL[unit] };
            let mut features = vec![9.0; frequency.feature_count()];
            frequency.features(Period(ordinal), &mut features);
            prop_assert!(features.iter().all(|x| (-0.5..=0.5).contains(x)), "{features:?}");
        }
    }
}
