//! Times: epoch milliseconds inside, epoch seconds on the wire, ISO 8601 in events.

use serde_json::{Number, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub i64);

/// Reads the time. `main` passes the system's clock in, tests pass one of their own.
pub type Clock = std::sync::Arc<dyn Fn() -> Millis + Send + Sync>;

const ISO_SECONDS: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

impl Millis {
    /// The API's form: seconds since the epoch as a JSON number with milliseconds.
    pub fn to_json(self) -> Value {
        // Exact to the millisecond: the value is far below 2^53.
        #[expect(
            clippy::cast_precision_loss,
            reason = "an epoch time in milliseconds is below 2^53"
        )]
        let seconds = self.0 as f64 / 1000.0;
        Number::from_f64(seconds).map_or(Value::Null, Value::Number)
    }

    /// The API's number read back; `None` when it is not a number at all.
    pub fn from_json(value: &Value) -> Option<Self> {
        let seconds = value.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "float to integer casts saturate"
        )]
        let millis = (seconds * 1000.0).round() as i64;
        Some(Self(millis))
    }

    /// `2021-03-15T16:03:13Z`: seconds only, as SageMaker's events have it.
    pub fn to_iso(self) -> String {
        OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000))
            .ok()
            .and_then(|moment| moment.format(ISO_SECONDS).ok())
            // Beyond the year 9999 there is no such text; the number still says when.
            .unwrap_or_else(|| self.0.to_string())
    }

    /// This time plus a number of milliseconds.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// The seconds from this time to a later one.
    pub fn seconds_until(self, later: Self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the milliseconds between two times are far below 2^53"
        )]
        let millis = later.0.saturating_sub(self.0) as f64;
        millis / 1000.0
    }

    /// The beginning of the next whole second.
    #[must_use]
    pub fn next_second(self) -> Self {
        Self((self.0.div_euclid(1000) + 1) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_of_seconds_on_the_wire_and_iso_in_events() {
        let time = Millis(1_615_824_193_123);
        assert_eq!(time.to_json().to_string(), "1615824193.123");
        assert_eq!(Millis::from_json(&time.to_json()), Some(time));
        assert_eq!(time.to_iso(), "2021-03-15T16:03:13Z");
        assert_eq!(time.next_second().to_iso(), "2021-03-15T16:03:14Z");
    }
}
