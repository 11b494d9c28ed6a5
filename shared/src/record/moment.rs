//! Moments, in every form that SageMaker's events give them.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Numbers below this are seconds, from it on milliseconds: as milliseconds it
/// is March 1973, before there was anything to report, and as seconds it is
/// the year 5138.
const FIRST_MILLISECONDS: f64 = 100_000_000_000.0;

/// The largest moment that has thirteen digits (the year 2286): the sortable
/// texts made of moments have room for no more.
pub const MAX_EPOCH_MILLIS: i64 = 9_999_999_999_999;

/// A text or number that names no moment between 1970 and 2286.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a moment: expected ISO 8601 or epoch milliseconds")]
pub struct NotAMoment {
    /// What stood there, as JSON.
    pub text: String,
}

/// Reads a moment as epoch milliseconds: an ISO 8601 text with `Z` or an
/// offset, a whole number, a float, either of them quoted, or nothing (`null`
/// or an empty text). Digits below a millisecond are dropped.
///
/// # Errors
/// [`NotAMoment`] for anything else.
pub fn read(json: &Value) -> Result<Option<i64>, NotAMoment> {
    let refuse = || NotAMoment {
        text: json.to_string(),
    };
    match json {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => read_text(text.trim()).map(Some).ok_or_else(refuse),
        Value::Number(number) => read_number(&number.to_string())
            .map(Some)
            .ok_or_else(refuse),
        _ => Err(refuse()),
    }
}

fn read_text(text: &str) -> Option<i64> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+'))
    {
        return read_number(text);
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    in_range(i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?)
}

fn read_number(text: &str) -> Option<i64> {
    if let Ok(whole) = text.parse::<i64>() {
        let seconds = (whole as f64) < FIRST_MILLISECONDS;
        return in_range(if seconds {
            whole.checked_mul(1000)?
        } else {
            whole
        });
    }
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() {
        return None;
    }
    let millis = if number < FIRST_MILLISECONDS {
        (number * 1000.0).round()
    } else {
        number.floor()
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float out of range saturates, and is then refused"
    )]
    in_range(millis as i64)
}

fn in_range(millis: i64) -> Option<i64> {
    (0..=MAX_EPOCH_MILLIS).contains(&millis).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn moment(json: &Value) -> Option<i64> {
        read(json).unwrap()
    }

    #[test]
    fn the_five_forms_name_the_same_moment() {
        let expected = Some(1_592_411_992_203);
        assert_eq!(moment(&json!("2020-06-17T16:39:52.203Z")), expected);
        assert_eq!(
            moment(&json!("2020-06-17T18:39:52.203999999+02:00")),
            expected
        );
        assert_eq!(moment(&json!(1_592_411_992_203_i64)), expected);
        assert_eq!(moment(&json!(1_592_411_992_203.0)), expected);
        assert_eq!(moment(&json!("1592411992203")), expected);
        assert_eq!(moment(&json!("1592411992203.0")), expected);
        assert_eq!(moment(&json!(1_592_411_992.203)), expected);
    }

    #[test]
    fn null_and_the_empty_text_are_no_moment() {
        assert_eq!(moment(&Value::Null), None);
        assert_eq!(moment(&json!("")), None);
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for bad in [
            json!("yesterday"),
            json!(true),
            json!([]),
            json!("2021-02-30T00:00:00Z"),
            json!(-1),
            json!(1e300),
            json!("1e300"),
        ] {
            let error = read(&bad).unwrap_err();
            assert_eq!(error.text, bad.to_string());
        }
    }
}
