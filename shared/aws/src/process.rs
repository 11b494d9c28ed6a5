//! What a program takes from its process: variables, the clock, random bits. It passes them on, so
//! that nothing behind its edge asks for them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::str::FromStr;
use std::time::SystemTime;

/// A variable of the environment that a program can't do without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// It is not set, or empty.
    #[error("environment variable {0} is not set")]
    Missing(String),
    /// It is not a number of the kind that is needed.
    #[error("environment variable {name} is {text:?}, which is not a number of its kind")]
    NotANumber {
        /// Its name.
        name: String,
        /// What it holds.
        text: String,
    },
}

/// A variable that has to be there.
///
/// # Errors
/// [`VariableError::Missing`] if it is not set or empty.
pub fn variable(name: &str) -> Result<String, VariableError> {
    optional_variable(name).ok_or_else(|| VariableError::Missing(name.to_owned()))
}

/// A variable that may be missing; an empty one is.
#[must_use]
pub fn optional_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A variable that has to be there and be a number.
///
/// # Errors
/// [`VariableError`] if it is missing or none.
pub fn number_variable<T: FromStr>(name: &str) -> Result<T, VariableError> {
    let text = variable(name)?;
    text.parse().map_err(|_| VariableError::NotANumber {
        name: name.to_owned(),
        text,
    })
}

/// The texts of a variable that has them between commas; none if it is not set, and none of them is
/// empty.
#[must_use]
pub fn list_variable(name: &str) -> Vec<String> {
    let value = optional_variable(name).unwrap_or_default();
    list(&value)
}

fn list(value: &str) -> Vec<String> {
    let texts = value.split(',').map(str::trim);
    texts
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The time, in epoch milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where programs read the clock"
)]
#[must_use]
pub fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0, |time| {
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Random bits: the standard library seeds each process's hashers with them, and makes every
/// hasher's keys differ. An id or a pause needs no more than that.
#[must_use]
pub fn random() -> u32 {
    let hash = RandomState::new().hash_one(0_u8);
    u32::try_from(hash >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_texts_between_commas() {
        assert_eq!(list("a, b,,c "), ["a", "b", "c"]);
        assert_eq!(list(" , "), [""; 0]);
    }

    #[test]
    fn a_variable_that_is_missing_or_no_number_is_named() {
        let missing = variable("PIPEWRIGHT_NO_SUCH_VARIABLE").unwrap_err();
        let text = missing.to_string();
        assert_eq!(
            text,
            "environment variable PIPEWRIGHT_NO_SUCH_VARIABLE is not set"
        );
        // Cargo sets it for every test.
        let wrong = number_variable::<u32>("CARGO_PKG_NAME").unwrap_err();
        assert!(wrong.to_string().contains("not a number"), "{wrong}");
    }

    #[test]
    fn random_bits_differ() {
        let first = random();
        assert!((0..8).any(|_| random() != first));
    }
}
