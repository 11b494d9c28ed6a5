//! In which account the job runs.

use pipewright::arn::Home;
use serde_json::Value;
use thiserror::Error;

/// `config/processingjobconfig.json` does not say in which account the job
/// runs: that nothing goes to a bucket of another account can't be made sure.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum JobConfigError {
    /// There is no such file.
    #[error(
        "config/processingjobconfig.json is missing: SageMaker writes it, and its ProcessingJobArn names the account \
         that the models bucket must belong to"
    )]
    Missing,
    /// Not JSON at all.
    #[error("config/processingjobconfig.json is not JSON: {0}")]
    Syntax(String),
    /// It has no usable ARN.
    #[error("config/processingjobconfig.json must have ProcessingJobArn, the ARN of the job")]
    Arn,
}

/// The account that the job runs in, from the text of
/// `config/processingjobconfig.json`.
///
/// # Errors
/// [`JobConfigError`] if it is not there, or names no account.
pub fn account(job_config: Option<&str>) -> Result<String, JobConfigError> {
    let text = job_config.ok_or(JobConfigError::Missing)?;
    let config: Value =
        serde_json::from_str(text).map_err(|error| JobConfigError::Syntax(error.to_string()))?;
    config["ProcessingJobArn"]
        .as_str()
        .and_then(Home::of)
        .map(|home| home.account)
        .ok_or(JobConfigError::Arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_that_of_the_jobs_arn() {
        let config = r#"{"ProcessingJobArn": "arn:aws-cn:sagemaker:cn-north-1:111122223333:processing-job/x"}"#;
        assert_eq!(account(Some(config)), Ok("111122223333".to_owned()));
    }

    #[test]
    fn a_config_that_names_no_account_is_an_error() {
        assert_eq!(account(None), Err(JobConfigError::Missing));
        assert!(matches!(account(Some("{")), Err(JobConfigError::Syntax(_))));
        for text in [
            "{}",
            r#"{"ProcessingJobArn": 7}"#,
            r#"{"ProcessingJobArn": "job"}"#,
        ] {
            assert_eq!(account(Some(text)), Err(JobConfigError::Arn), "{text}");
        }
    }
}
