//! The CloudFormation custom resource `Custom::PipelineDefinition`: fills a
//! pipeline template with its values, checks the result, keeps it in S3 under
//! the digest of its bytes, and answers where it is.
//!
//! | property | |
//! |---|---|
//! | `Bucket` | where definitions are kept; required |
//! | `KeyPrefix` | under which keys; `definitions` if absent |
//! | `Template` | absent: the shipped one; a text: the template itself; `{Bucket, Key, VersionId and/or Sha256}`: an object that can't change unseen |
//! | `Values` | a map from the template's keys to texts, or lists of texts |
//! | `CodeVersion` | any text: another one makes CloudFormation ask again |
//!
//! | attribute | |
//! |---|---|
//! | `Bucket`, `Key` | where the definition is, for `PipelineDefinitionS3Location` |
//! | `Sha256` | of its bytes, 64 hexadecimal digits |
//! | `ExecutorS3Uri` | the script that starts the processing step |
//!
//! Besides the given values a template may use `ExecutorS3Uri`,
//! `DeepARImageUri`, `DebuggerRulesImageUri` (an empty text where there is
//! none) and `HasExperiments` (true or false), the latter three by the value
//! `Region`. A given value of the same name wins.
//!
//! The contract with CloudFormation itself is in
//! [`pipewright::custom_resource`] and [`pipewright_aws::custom_resource`].

mod handler;
#[cfg(test)]
mod lifecycle;
pub mod location;
#[cfg(test)]
mod memory;
pub mod properties;
pub mod s3;
pub mod store;

pub use handler::PipelineDefinition;
