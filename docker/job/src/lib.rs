//! What the programs of SageMaker's containers share.

pub mod hosts;

use std::path::PathBuf;

/// Where SageMaker lays out its directories, unless the environment says
/// otherwise.
const DEFAULT_ML_ROOT: &str = "/opt/ml";

/// The root of SageMaker's directory layout: `PIPEWRIGHT_ML_ROOT`, by default
/// `/opt/ml`. `get` gives a variable of the environment by its name.
pub fn ml_root(get: impl Fn(&str) -> Option<String>) -> PathBuf {
    get("PIPEWRIGHT_ML_ROOT")
        .filter(|root| !root.is_empty())
        .map_or_else(|| PathBuf::from(DEFAULT_ML_ROOT), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_sagemakers_unless_set() {
        assert_eq!(ml_root(|_| None), PathBuf::from("/opt/ml"));
        assert_eq!(ml_root(|_| Some(String::new())), PathBuf::from("/opt/ml"));
        assert_eq!(ml_root(|_| Some("/x".to_owned())), PathBuf::from("/x"));
    }
}
