//! The forms of a record's `start`.

use pipewright_wording::excerpt;
use thiserror::Error;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::{Frequency, Period};

/// A text is no `start`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartError {
    /// It has another form.
    #[error("`{0}` is not a time; it must have the form YYYY-MM-DD HH:MM:SS or YYYY-MM-DD")]
    Form(String),
    /// It has a time zone.
    #[error(
        "`{0}` has a time zone, but DeepAR's times have none; convert every series to the same zone and leave it out"
    )]
    Zone(String),
    /// There is no such day or time of day.
    #[error("`{text}` does not exist: {cause}")]
    Range {
        /// The text.
        text: String,
        /// Which part of it is out of range.
        cause: String,
    },
}

impl Frequency {
    /// The period of a record's `start`: `YYYY-MM-DD`, or that with `HH:MM` or
    /// `HH:MM:SS` after a space or a `T`, with or without a fraction of a second;
    /// years 1 to 9999.
    ///
    /// # Errors
    /// The text has another form or a time zone, or there is no such day or time.
    pub fn parse_start(self, text: &str) -> Result<Period, StartError> {
        moment(text.trim()).map(|moment| self.period(moment))
    }

    /// The period of a moment so many seconds after 1970-01-01 00:00.
    ///
    /// # Errors
    /// It lies outside the years 1 to 9999.
    pub fn period_of_seconds(self, seconds: i64) -> Result<Period, StartError> {
        match OffsetDateTime::from_unix_timestamp(seconds) {
            Ok(moment) if moment.year() >= 1 => {
                Ok(self.period(PrimitiveDateTime::new(moment.date(), moment.time())))
            }
            _ => Err(StartError::Range {
                text: format!("{seconds} seconds after 1970"),
                cause: "its year is out of range".to_owned(),
            }),
        }
    }
}

fn moment(text: &str) -> Result<PrimitiveDateTime, StartError> {
    let shown = || excerpt(text);
    let form = || StartError::Form(shown());
    let range = |fault: time::error::ComponentRange| StartError::Range {
        text: shown(),
        cause: format!("its {} is out of range", fault.name()),
    };

    let (date, time) = match text.split_once([' ', 'T']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or_else(form)?;
    if year == 0 {
        return Err(StartError::Range {
            text: shown(),
            cause: "its year is out of range".to_owned(),
        });
    }
    let month = u8::try_from(month).map_err(|_| form())?;
    let month = Month::try_from(month).map_err(range)?;
    let day = u8::try_from(day).map_err(|_| form())?;
    let date = Date::from_calendar_date(i32::from(year), month, day).map_err(range)?;

    let Some(time) = time else {
        return Ok(date.with_time(Time::MIDNIGHT));
    };
    let end = time
        .find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.')
        .unwrap_or(time.len());
    let (time, zone) = time.split_at(end);
    let (seconds, fraction) = match time.split_once('.') {
        Some((seconds, fraction)) => (seconds, Some(fraction)),
        None => (time, None),
    };
    let is_fraction =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = match fraction {
        Some(fraction) if !is_fraction(fraction) => None,
        Some(_) => numbers(seconds, ':', [2, 2, 2]),
        None => numbers(seconds, ':', [2, 2, 2])
            .or_else(|| numbers(seconds, ':', [2, 2]).map(|[hour, minute]| [hour, minute, 0])),
    };
    let [hour, minute, second] = parts.ok_or_else(form)?;
    if zone.starts_with(['+', '-', ' ']) || zone.starts_with(char::is_alphabetic) {
        return Err(StartError::Zone(shown()));
    } else if !zone.is_empty() {
        return Err(form());
    }
    let [hour, minute, second] =
        [hour, minute, second].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    let time = Time::from_hms(hour, minute, second).map_err(range)?;
    Ok(date.with_time(time))
}

/// The numbers of a text that has as many as `digits`, of that many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u16; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    #[test]
    fn a_start_is_read_in_every_form() {
        let midnight = datetime!(2016-02-29 00:00);
        let time = datetime!(2016-02-29 23:59:58);
        for (text, expected) in [
            ("2016-02-29", midnight),
            ("2016-02-29 00:00:00", midnight),
            ("2016-02-29T00:00", midnight),
            ("2016-02-29 23:59:58", time),
            (" 2016-02-29T23:59:58 ", time),
            ("2016-02-29 23:59:58.250", time),
            ("0001-01-01", datetime!(0001-01-01 00:00)),
            (
                "9999-12-31 23:59:59.999999999",
                datetime!(9999-12-31 23:59:59),
            ),
        ] {
            let minutes: Frequency = "min".parse().unwrap();
            assert_eq!(
                minutes.parse_start(text).unwrap(),
                minutes.period(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_start_is_refused_by_what_is_wrong() {
        let hours: Frequency = "H".parse().unwrap();
        for (text, told) in [
            ("", "must have the form YYYY-MM-DD HH:MM:SS"),
            ("2016", "must have the form"),
            ("2016-1-1", "must have the form"),
            ("20160101", "must have the form"),
            ("12016-01-01", "must have the form"),
            ("-2016-01-01", "must have the form"),
            ("2016/01/01", "must have the form"),
            ("2016-01-01T", "must have the form"),
            ("2016-01-01 10", "must have the form"),
            ("2016-01-01 10:00:00.", "must have the form"),
            ("2016-01-01 10:00.5", "must have the form"),
            ("2016-01-01 10:00:00\u{0}", "must have the form"),
            ("2016-01-01\n10:00:00", "must have the form"),
            ("２０１６-01-01", "must have the form"),
            ("0000-01-01", "its year is out of range"),
            ("2016-13-01", "month"),
            ("2016-00-01", "month"),
            ("2015-02-29", "day"),
            ("2016-01-32", "day"),
            ("2016-01-01 24:00:00", "hour"),
            ("2016-01-01 10:60:00", "minute"),
            ("2016-01-01 10:00:60", "second"),
            ("2016-01-01T10:00:00Z", "time zone"),
            ("2016-01-01T10:00:00.5+01:00", "time zone"),
            ("2016-01-01 10:00:00-0100", "time zone"),
            ("2016-01-01 10:00 UTC", "time zone"),
        ] {
            let fault = hours.parse_start(text).unwrap_err().to_string();
            assert!(fault.contains(told), "{text}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}|[0-9T:. -]{0,25}") {
            for name in ["M", "W", "D", "H", "min"] {
                let frequency: Frequency = name.parse().unwrap();
                let _ = frequency.parse_start(&text);
            }
        }

        #[test]
        fn a_start_as_written_is_the_moment(seconds in -62_135_596_800_i64..253_402_300_800) {
            let moment = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            let text = format!("{} {:02}:{:02}:{:02}", moment.date(), moment.hour(), moment.minute(), moment.second());
            let minutes: Frequency = "min".parse().unwrap();
            prop_assert_eq!(minutes.parse_start(&text).unwrap(), Period(seconds.div_euclid(60)));
        }
    }
}
