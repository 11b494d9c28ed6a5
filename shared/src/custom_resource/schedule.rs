//! The time until the deadline, divided.

use std::time::Duration;

/// The longest time a Lambda function can have, and a minute for clocks that
/// differ. A deadline beyond it is not a time of day: the emulator of cargo-lambda
/// gives the length of the limit in place of its end.
const LONGEST: Duration = Duration::from_secs(16 * 60);

/// What is taken as the time left when the deadline cannot be one.
const FALLBACK: Duration = Duration::from_secs(30);

/// A reply is delivered this long before the deadline, or given up.
const MARGIN: Duration = Duration::from_secs(1);

/// At least this much of the time left is kept from the handler.
const LEAST_RESERVE: Duration = Duration::from_secs(2);

/// At most this much of the time left is kept from the handler.
const MOST_RESERVE: Duration = Duration::from_secs(12);

/// How the time of one invocation is divided, counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When the handler is cut off and answered as failed: a fifth of the
    /// time, and at least 2 s, before the deadline.
    pub handler: Duration,
    /// When the last attempt to deliver the reply must have ended: 1 s before
    /// the deadline.
    pub reply: Duration,
}

impl Schedule {
    /// Divides the time from `now` until `deadline`, both since the Unix
    /// epoch. A deadline that has passed, or lies further ahead than Lambda
    /// allows, is not believed; then there are 30 s.
    #[must_use]
    pub fn new(now: Duration, deadline: Duration) -> Self {
        let left = deadline
            .checked_sub(now)
            .filter(|left| !left.is_zero() && *left <= LONGEST)
            .unwrap_or(FALLBACK);
        let reserve = (left / 5).clamp(LEAST_RESERVE, MOST_RESERVE);
        Self {
            handler: left.saturating_sub(reserve),
            // With hardly any time left, half of it is better than none.
            reply: left.saturating_sub(MARGIN).max(left / 2),
        }
    }
}

/// How long one attempt to deliver may take when `left` remains for all: at
/// most 5 s, and a third of what remains, so that a hanging one leaves time for
/// others.
#[must_use]
pub fn attempt_limit(left: Duration) -> Duration {
    (left / 3)
        .clamp(Duration::from_millis(500), Duration::from_secs(5))
        .min(left)
}

/// The pause after failed attempt number `attempt` (from 0): 100 ms, doubled
/// each time up to 2 s, of which `jitter` (0 to 1) decides a half, so that many
/// resources of one stack do not return in step.
#[must_use]
pub fn retry_delay(attempt: u32, jitter: f64) -> Duration {
    let whole = Duration::from_millis(100 << attempt.min(10)).min(Duration::from_secs(2));
    whole / 2 + (whole / 2).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_780_000_000);

    #[test]
    fn sixty_seconds_leave_forty_eight_for_the_handler() {
        let schedule = Schedule::new(NOW, NOW + Duration::from_secs(60));
        assert_eq!(schedule.handler, Duration::from_secs(48));
        assert_eq!(schedule.reply, Duration::from_secs(59));
    }

    /// A deadline that has passed or lies further ahead than Lambda allows is not believed; then
    /// there are 30 seconds.
    #[test]
    fn a_deadline_that_is_no_time_of_day_is_not_believed() {
        let believed = Schedule::new(NOW, NOW + FALLBACK);
        for deadline in [
            Duration::ZERO,
            Duration::from_millis(600_000),
            NOW,
            NOW - Duration::from_secs(1),
            NOW + Duration::from_secs(24 * 3600),
            Duration::MAX,
        ] {
            assert_eq!(Schedule::new(NOW, deadline), believed, "{deadline:?}");
        }
    }

    #[test]
    fn a_near_deadline_leaves_the_time_to_the_reply() {
        let schedule = Schedule::new(NOW, NOW + Duration::from_millis(1_500));
        assert_eq!(schedule.handler, Duration::ZERO);
        assert_eq!(schedule.reply, Duration::from_millis(750));
    }

    proptest! {
        /// The last attempt to reply ends at least a second before the deadline, and the work is
        /// cut off at least a second before that.
        #[test]
        fn the_reply_ends_a_second_before_the_deadline(left in 2_000u64..900_000) {
            let schedule = Schedule::new(NOW, NOW + Duration::from_millis(left));
            prop_assert!(schedule.reply <= Duration::from_millis(left - 1_000));
            prop_assert!(schedule.handler + Duration::from_millis(1_000) <= schedule.reply);
        }

        #[test]
        fn pauses_grow_and_stay_within_two_seconds(attempt in 0u32..100, jitter in 0.0f64..1.0) {
            let pause = retry_delay(attempt, jitter);
            prop_assert!(pause >= Duration::from_millis(50) && pause <= Duration::from_secs(2));
            prop_assert!(attempt_limit(pause) <= pause);
        }
    }
}
