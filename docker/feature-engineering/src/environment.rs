//! What the job's environment says.

use thiserror::Error;

/// The job's environment, as the pipeline's processing step sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `EXECUTIONS_TABLE`: the DynamoDB table of execution records.
    pub executions_table: String,
    /// `ASSETS_TABLE`: the DynamoDB table of the asset catalogue.
    pub assets_table: String,
    /// `FEATURE_IMPORTANCE_TABLE`: the DynamoDB table of feature importances.
    pub feature_importance_table: String,
    /// `MODELS_BUCKET`: the S3 bucket that takes the outputs.
    pub models_bucket: String,
    /// `PIPELINE_EXECUTION_ID`: the id of SageMaker's pipeline execution that
    /// this job belongs to.
    pub pipeline_execution_id: String,
}

/// The environment lacks something.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "the job's environment lacks {}: the processing step's Environment in the pipeline definition must set {}",
    .missing.join(", "),
    if .missing.len() == 1 { "it" } else { "them" }
)]
pub struct EnvironmentError {
    /// Every variable that is missing or empty, in the order of their docs.
    pub missing: Vec<&'static str>,
}

impl Environment {
    /// Reads the environment through `get` (a variable's value by its name).
    ///
    /// # Errors
    /// Names all missing variables at once; an empty one is missing.
    /// `AWS_REGION` is among them: the AWS clients read it themselves.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let mut missing = Vec::new();
        let mut required = |name: &'static str| match get(name) {
            Some(value) if !value.is_empty() => value,
            _ => {
                missing.push(name);
                String::new()
            }
        };
        required("AWS_REGION");
        let environment = Self {
            executions_table: required("EXECUTIONS_TABLE"),
            assets_table: required("ASSETS_TABLE"),
            feature_importance_table: required("FEATURE_IMPORTANCE_TABLE"),
            models_bucket: required("MODELS_BUCKET"),
            pipeline_execution_id: required("PIPELINE_EXECUTION_ID"),
        };
        if missing.is_empty() {
            Ok(environment)
        } else {
            Err(EnvironmentError { missing })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(name: &str) -> Option<String> {
        (!name.starts_with("PIPEWRIGHT")).then(|| format!("value of {name}"))
    }

    #[test]
    fn a_complete_environment_is_read() {
        let environment = Environment::read(complete).unwrap();
        assert_eq!(environment.models_bucket, "value of MODELS_BUCKET");
        assert_eq!(
            environment.pipeline_execution_id,
            "value of PIPELINE_EXECUTION_ID"
        );
    }

    #[test]
    fn all_missing_variables_are_named_at_once_and_an_empty_one_is_missing() {
        let error = Environment::read(|name| match name {
            "MODELS_BUCKET" => Some(String::new()),
            "EXECUTIONS_TABLE" => None,
            other => complete(other),
        })
        .unwrap_err();
        assert_eq!(error.missing, ["EXECUTIONS_TABLE", "MODELS_BUCKET"]);
        assert_eq!(
            error.to_string(),
            "the job's environment lacks EXECUTIONS_TABLE, MODELS_BUCKET: \
             the processing step's Environment in the pipeline definition must set them"
        );
    }
}
