//! What a step's cache and retry policies say, read for those who follow them;
//! `check/policies.rs` finds what is wrong with them.

use super::model::Step;
use serde_json::Value;

/// How many retries a policy allows that names no end.
const DEFAULT_ATTEMPTS: u64 = 5;

/// When the result of an earlier run of a step may stand for a new one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// How old that run may be, in seconds; any age if it is not said.
    pub expire_after: Option<f64>,
}

/// When a step that failed runs again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The types of failure that it is for, such as `SageMaker.CAPACITY_ERROR`.
    pub exceptions: Vec<String>,
    /// The seconds before the first retry.
    pub interval: f64,
    /// By how much each further interval is longer than the one before.
    pub backoff_rate: f64,
    /// When the step is given up.
    pub until: RetryEnd,
}

/// When a step is given up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryEnd {
    /// After that many retries.
    Attempts(u64),
    /// When it fails after that many seconds, counted from its first beginning.
    Seconds(f64),
}

impl RetryPolicy {
    /// What the service does for the faults of its own calls where no policy says otherwise.
    #[must_use]
    pub fn of_service() -> Self {
        Self {
            exceptions: vec!["Step.SERVICE_FAULT".into(), "Step.THROTTLING".into()],
            interval: 1.0,
            backoff_rate: 2.0,
            until: RetryEnd::Attempts(DEFAULT_ATTEMPTS),
        }
    }

    /// The seconds from a failure to the next attempt, after so many retries and so many seconds
    /// since the first beginning; none if the step is given up.
    #[must_use]
    pub fn wait(&self, retries: u32, elapsed: f64) -> Option<f64> {
        let goes_on = match self.until {
            RetryEnd::Attempts(most) => u64::from(retries) < most,
            RetryEnd::Seconds(most) => elapsed < most,
        };
        goes_on.then(|| self.interval * self.backoff_rate.powf(f64::from(retries)))
    }
}

impl Step<'_> {
    /// The step's cache, if it is of a type that is cached and switched on.
    #[must_use]
    pub fn cache(&self) -> Option<Cache> {
        let cache = self.member("CacheConfig")?;
        let enabled = cache.get("Enabled") == Some(&Value::Bool(true));
        (enabled && self.step_type().is_cached()).then(|| Cache {
            expire_after: cache
                .get("ExpireAfter")
                .and_then(Value::as_str)
                .and_then(seconds),
        })
    }

    /// The step's retry policies, in their order; none where its type is not retried.
    #[must_use]
    pub fn retry_policies(&self) -> Vec<RetryPolicy> {
        let listed = self.member("RetryPolicies").and_then(Value::as_array);
        let listed = listed.filter(|_| self.step_type().retried);
        listed.into_iter().flatten().map(read_policy).collect()
    }
}

fn read_policy(policy: &Value) -> RetryPolicy {
    let exceptions = policy["ExceptionType"].as_array();
    let exceptions = exceptions.into_iter().flatten().filter_map(Value::as_str);
    let until = match policy["ExpireAfterMin"].as_f64() {
        Some(minutes) => RetryEnd::Seconds(minutes * 60.0),
        None => RetryEnd::Attempts(policy["MaxAttempts"].as_u64().unwrap_or(DEFAULT_ATTEMPTS)),
    };
    RetryPolicy {
        exceptions: exceptions.map(str::to_owned).collect(),
        interval: policy["IntervalSeconds"].as_f64().unwrap_or(1.0),
        backoff_rate: policy["BackoffRate"].as_f64().unwrap_or(2.0),
        until,
    }
}

/// The length of a duration of ISO 8601, or of the looser forms that the
/// documentation shows (`PT1H`, `P30d`, `T12H`, `30d`), in seconds. A year is 365
/// days, a month 30.
pub(super) fn seconds(text: &str) -> Option<f64> {
    const DATE: [(char, f64); 4] = [
        ('Y', 365.0 * 86_400.0),
        ('M', 30.0 * 86_400.0),
        ('W', 7.0 * 86_400.0),
        ('D', 86_400.0),
    ];
    const TIME: [(char, f64); 3] = [('H', 3_600.0), ('M', 60.0), ('S', 1.0)];
    let text = text.to_ascii_uppercase();
    let text = text.strip_prefix('P').unwrap_or(&text);
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    if time == Some("") || (date.is_empty() && time.is_none()) {
        return None;
    }
    Some(sum(date, &DATE)? + sum(time.unwrap_or_default(), &TIME)?)
}

/// The sum of numbers with units, each unit at most once and in order.
fn sum(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut units = units.iter();
    let mut digits = String::new();
    let mut total = 0.0;
    for c in text.chars() {
        if c.is_ascii_digit() || (c == '.' && !digits.is_empty()) {
            digits.push(c);
        } else {
            let (_, length) = units.find(|(unit, _)| *unit == c)?;
            total += digits.parse::<f64>().ok()? * length;
            digits.clear();
        }
    }
    digits.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_all_forms_that_the_documentation_shows() {
        const DAY: f64 = 86_400.0;
        for (text, length) in [
            ("PT1H", 3_600.0),
            ("P30d", 30.0 * DAY),
            ("T12H", 43_200.0),
            ("T30m", 1_800.0),
            ("30d", 30.0 * DAY),
            ("5y", 1_825.0 * DAY),
            ("30dT5h", 30.0 * DAY + 18_000.0),
            ("P1Y2M3DT4H5M6.5S", 428.0 * DAY + 14_706.5),
            ("P2W", 14.0 * DAY),
        ] {
            assert_eq!(seconds(text), Some(length), "{text}");
        }
        for text in [
            "1 hour", "", "P", "PT", "1", "PT1D", "P1H", "H", "P1DT", "1d1d", "-1d",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn intervals_grow_by_the_backoff_rate_until_the_policy_ends() {
        let mut policy = RetryPolicy {
            exceptions: Vec::new(),
            interval: 10.0,
            backoff_rate: 1.5,
            until: RetryEnd::Attempts(2),
        };
        assert_eq!(policy.wait(0, 9e9), Some(10.0));
        assert_eq!(policy.wait(1, 9e9), Some(15.0));
        assert_eq!(policy.wait(2, 0.0), None);
        policy.until = RetryEnd::Seconds(60.0);
        assert_eq!(policy.wait(7, 59.9), Some(10.0 * 1.5_f64.powi(7)));
        assert_eq!(policy.wait(0, 60.0), None);
        policy.until = RetryEnd::Attempts(0);
        assert_eq!(policy.wait(0, 0.0), None, "0 attempts mean no retry");
    }
}
