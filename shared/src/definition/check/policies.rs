//! The cache and the retries of steps.

use serde_json::{Map, Value};

use super::names::{choice, show};
use super::{Checker, Code};
use crate::definition::model::Step;
use crate::definition::path::JsonPath;
use crate::definition::policies::seconds;
use crate::definition::step_types::StepKind;
use crate::reading::kind_of;

/// The exceptions that can be retried.
const EXCEPTIONS: [&str; 6] = [
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
    "Emr.RESOURCE_LIMIT",
];

impl Checker<'_> {
    pub(super) fn check_cache(&mut self, step: &Step<'_>) {
        let path = step.path().key("CacheConfig");
        let cache = match step.member("CacheConfig") {
            None | Some(Value::Null) => return,
            Some(Value::Object(cache)) => cache,
            Some(other) => {
                let message = format!("CacheConfig is an object, not {}", kind_of(other));
                return self.report(Code::Cache, path, message);
            }
        };
        match cache.get("Enabled") {
            Some(Value::Bool(_)) => {}
            Some(other) => {
                let message = format!("Enabled is true or false, not {other}");
                self.report(Code::Cache, path.key("Enabled"), message);
            }
            None => self.report(
                Code::Cache,
                path.key("Enabled"),
                "CacheConfig lacks Enabled",
            ),
        }
        match cache.get("ExpireAfter") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if seconds(text).is_some() => {
                if let Some(count) = months(text) {
                    let message = format!(
                        "{text} is {count} months; {count} minutes are PT{count}M, and \
                         {count} days P{count}D"
                    );
                    self.report(Code::DoubtfulCache, path.key("ExpireAfter"), message);
                }
                if seconds(text).is_some_and(|seconds| seconds <= 0.0) {
                    let message = format!("{text} is zero seconds: no result is ever taken");
                    self.report(Code::DoubtfulCache, path.key("ExpireAfter"), message);
                }
            }
            Some(other) => self.report(
                Code::Cache,
                path.key("ExpireAfter"),
                format!("{other} is no ISO 8601 duration such as \"PT1H\" or \"P30D\""),
            ),
        }
        self.check_members(cache, &path, "CacheConfig", &["Enabled", "ExpireAfter"]);
        if step.kind() != StepKind::Unknown && !step.step_type().is_cached() {
            let message = format!(
                "steps of type {} are not cached: this has no effect",
                step.type_name()
            );
            self.report(Code::DoubtfulCache, path, message);
        }
    }

    pub(super) fn check_retries(&mut self, step: &Step<'_>) {
        let path = step.path().key("RetryPolicies");
        let policies = match step.member("RetryPolicies") {
            None | Some(Value::Null) => return,
            Some(Value::Array(policies)) => policies,
            Some(other) => {
                let message = format!("RetryPolicies is an array, not {}", kind_of(other));
                return self.report(Code::Retry, path, message);
            }
        };
        let retried = step.kind() == StepKind::Unknown || step.step_type().retried;
        if !retried && !policies.is_empty() {
            let message = format!(
                "steps of type {} are not retried: this has no effect",
                step.type_name()
            );
            self.report(Code::UnknownRetry, path.clone(), message);
        }
        for (index, policy) in policies.iter().enumerate() {
            let path = path.index(index);
            match policy.as_object() {
                Some(policy) => self.check_retry(policy, &path),
                None => {
                    let message = format!("a retry policy is an object, not {}", kind_of(policy));
                    self.report(Code::Retry, path, message);
                }
            }
        }
    }

    fn check_retry(&mut self, policy: &Map<String, Value>, path: &JsonPath<'_>) {
        let types = path.key("ExceptionType");
        match policy.get("ExceptionType") {
            Some(Value::Array(exceptions)) => {
                if exceptions.is_empty() {
                    self.report(Code::Retry, types.clone(), "no exception is named");
                }
                for (index, exception) in exceptions.iter().enumerate() {
                    match exception.as_str() {
                        Some(name) if EXCEPTIONS.contains(&name) => {}
                        Some(name) => {
                            let choice = choice(name, &EXCEPTIONS);
                            self.report(
                                Code::UnknownRetry,
                                types.index(index),
                                format!("the exception {} is not documented{choice}", show(name)),
                            );
                        }
                        None => self.report(
                            Code::Retry,
                            types.index(index),
                            format!(
                                "an exception is named by text, not by {}",
                                kind_of(exception)
                            ),
                        ),
                    }
                }
            }
            Some(other) => self.report(
                Code::Retry,
                types,
                format!("ExceptionType takes an array, here [{other}]"),
            ),
            None => self.report(Code::Retry, types, "the policy names no ExceptionType"),
        }
        for (key, whole, least, most) in [
            ("IntervalSeconds", true, 0.0, 43_200.0),
            ("BackoffRate", false, 0.0, f64::INFINITY),
            ("MaxAttempts", true, 0.0, 20.0),
            ("ExpireAfterMin", true, 0.0, 14_400.0),
        ] {
            let Some(value) = policy.get(key).filter(|value| !value.is_null()) else {
                continue;
            };
            let fits = value.as_f64().is_some_and(|number| {
                (least..=most).contains(&number) && (!whole || number.fract() == 0.0)
            });
            if !fits {
                let kind = if whole { "a whole number" } else { "a number" };
                let range = if most.is_finite() {
                    format!("{least} to {most}")
                } else {
                    format!("{least} or more")
                };
                self.report(
                    Code::Retry,
                    path.key(key),
                    format!("{key} is {kind} of {range}, not {value}"),
                );
            }
        }
        if let Some(rate) = policy.get("BackoffRate").and_then(Value::as_f64)
            && (0.0..1.0).contains(&rate)
        {
            let message = format!(
                "BackoffRate {rate} shortens the interval from retry to retry; 1 keeps it, and 2 doubles it"
            );
            self.report(Code::UnknownRetry, path.key("BackoffRate"), message);
        }
        let given = |key: &str| policy.get(key).is_some_and(|value| !value.is_null());
        if given("MaxAttempts") && given("ExpireAfterMin") {
            self.report(
                Code::Retry,
                path.key("ExpireAfterMin"),
                "a policy ends by MaxAttempts or by ExpireAfterMin, not by both",
            );
        }
        self.check_members(
            policy,
            path,
            "a retry policy",
            &[
                "ExceptionType",
                "IntervalSeconds",
                "BackoffRate",
                "MaxAttempts",
                "ExpireAfterMin",
            ],
        );
    }
}

/// The months of a duration that has nothing but months, as `P30M` where thirty
/// minutes were meant.
fn months(text: &str) -> Option<&str> {
    let text = text.strip_prefix(['P', 'p']).unwrap_or(text);
    let count = text.strip_suffix(['M', 'm'])?;
    count
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(count)
}

#[cfg(test)]
mod tests {
    use super::months;

    #[test]
    fn a_duration_of_months_alone_is_doubtful() {
        assert_eq!(months("P30M"), Some("30"));
        assert_eq!(months("30m"), Some("30"));
        for text in ["PT30M", "T30m", "P30D", "P1Y6M", "P1M2D"] {
            assert_eq!(months(text), None, "{text}");
        }
    }
}
