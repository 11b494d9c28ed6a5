//! Arguments that are more than a text.

use crate::installation::MAX_PREFIX_LENGTH;

/// An argument does not take what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidArgument {
    /// Of a parameter and its value.
    #[error("it must be NAME=VALUE")]
    Assignment,
    /// Of a day; this was given.
    #[error("{0:?} is not a day of the form YYYY-MM-DD")]
    Day(String),
    /// Of an instance type.
    #[error("an instance type reads ml.<family>.<size>, such as ml.m5.large")]
    InstanceType,
    /// Of an installation's prefix.
    #[error(
        "a prefix has 2 to {MAX_PREFIX_LENGTH} lower-case letters, digits and inner hyphens, and begins with a letter"
    )]
    Prefix,
    /// Of a quantile.
    #[error("a quantile is a number above 0 and below 1")]
    Quantile,
}
