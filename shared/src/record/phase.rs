//! Where an execution stands for those who look after it: open, or ended on a
//! day. The attribute is the partition key of an index, so that what must be
//! looked at is found by asking for it, and the table is never read through.
//!
//! An ended execution keeps a phase, its day, because some of its events may
//! still be missing: for a week, its partition is read as well.

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

/// The phase of an execution that is not final.
pub const OPEN: &str = "open";

/// What the phase of an ended execution begins with; the day follows.
const ENDED: &str = "ended#";

/// The phase of an execution that ended at this moment (epoch milliseconds):
/// `ended#2026-11-23`, the day in UTC.
pub fn ended(at: i64) -> String {
    day(moment(at))
}

/// The phases of executions that ended within the last `days` times 24 hours,
/// the latest day first: one more than `days`, since a day is looked at as a
/// whole.
pub fn ended_within(days: u16, now: i64) -> Vec<String> {
    (0..=i64::from(days))
        .map(|back| day(moment(now).saturating_sub(Duration::days(back))))
        .collect()
}

/// A moment out of the calendar's range counts as its beginning: an event's
/// moments never are.
fn moment(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn day(moment: OffsetDateTime) -> String {
    let day = moment
        .format(format_description!("[year]-[month]-[day]"))
        .unwrap_or_default();
    format!("{ENDED}{day}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_execution_is_found_under_its_day_for_a_week() {
        let noon = 1_700_049_600_000; // 2023-11-15T12:00:00Z
        assert_eq!(ended(noon), "ended#2023-11-15");
        let phases = ended_within(7, noon);
        assert_eq!(phases.len(), 8);
        assert_eq!(phases[0], "ended#2023-11-15");
        assert_eq!(phases[7], "ended#2023-11-08");
        let day = 24 * 60 * 60 * 1000;
        assert!(phases.contains(&ended(noon - 7 * day)));
        assert!(!phases.contains(&ended(noon - 8 * day)));
    }
}
