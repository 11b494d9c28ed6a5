//! What the stand-in answers when it refuses a call, and why what it calls or runs has failed.

use serde_json::{Value, json};
use std::path::Path;

/// The exception names of SageMaker's API that the stand-in uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A member is missing or wrong, or the state doesn't allow the call.
    Validation,
    /// What the call names does not exist.
    ResourceNotFound,
    /// There is a resource of this name.
    InUse,
    /// The resource is being changed or still has something running.
    Conflict,
    /// The stand-in does not know the operation.
    UnknownOperation,
    /// The request's body is not JSON, or not an object.
    Serialization,
    /// The stand-in itself failed, for example to reach the local S3.
    Internal,
}

impl ErrorKind {
    /// The name that stands in `__type` and that an SDK maps to its exception class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "ValidationException",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::InUse => "ResourceInUse",
            Self::Conflict => "ConflictException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Serialization => "SerializationException",
            Self::Internal => "InternalFailure",
        }
    }

    /// The HTTP status: 400 for what the caller did, 500 for what the stand-in did.
    pub fn status(self) -> u16 {
        match self {
            Self::Internal => 500,
            _ => 400,
        }
    }
}

/// A refused call: the exception's name and a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct ApiError {
    /// Which of SageMaker's exceptions it is.
    pub kind: ErrorKind,
    /// What was wrong, where, and what would be right.
    pub message: String,
}

impl ApiError {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A `ValidationException`.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Validation, message)
    }

    /// A `ResourceNotFound`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ResourceNotFound, message)
    }

    /// A `ValidationException` in the words of SageMaker's member constraints.
    ///
    /// `member` is spelt as in the API; the service's message begins it with a small letter.
    pub fn constraint(value: &str, member: &str, constraint: &str) -> Self {
        let mut member_name = member.to_owned();
        if let Some(first) = member_name.get_mut(0..1) {
            first.make_ascii_lowercase();
        }
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member_name}' failed to satisfy \
             constraint: {constraint}"
        ))
    }

    /// The body of the answer, as AWS JSON 1.1 has it.
    pub fn body(&self) -> Value {
        json!({"__type": self.kind.name(), "message": self.message})
    }
}

/// Why a service of the local AWS, or a program that serves a model, gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The environment names no endpoint of the service.
    #[error(
        "there is no local {service}: AWS_ENDPOINT_URL_{} and AWS_ENDPOINT_URL are not set",
        service.to_ascii_uppercase()
    )]
    NoEndpoint {
        /// The service's name.
        service: &'static str,
    },
    /// The request cannot be made or signed.
    #[error("{0}")]
    Request(String),
    /// The request or its answer was lost on the way.
    #[error("{0}")]
    Lost(String),
    /// The answer is an error.
    #[error("HTTP status {status}: {text}")]
    Status {
        /// Its status.
        status: u16,
        /// Its text.
        text: String,
    },
    /// A Lambda function failed.
    #[error("the function failed ({kind}): {text}")]
    Function {
        /// What Lambda calls the failure.
        kind: String,
        /// What the function said.
        text: String,
    },
    /// The answer is not JSON.
    #[error("its answer is not JSON: {0}")]
    NotJson(String),
}

/// Why a job or what serves a model failed, in SageMaker's form: whose fault it is, and what
/// happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The request, its data or what it names.
    #[error("ClientError: {0}")]
    Client(String),
    /// The job's program.
    #[error("AlgorithmError: {0}")]
    Algorithm(String),
    /// This machine or the stand-in.
    #[error("InternalServerError: {0}")]
    Internal(String),
    /// What serves a model; SageMaker does not say whose fault it is.
    #[error("{0}")]
    Container(String),
}

impl JobError {
    /// A fault of the request, its data or what it names.
    pub fn client(what: impl ToString) -> Self {
        Self::Client(what.to_string())
    }

    /// A fault of this machine or the stand-in.
    pub fn internal(what: impl ToString) -> Self {
        Self::Internal(what.to_string())
    }

    /// An input names a place in S3 where nothing is.
    pub(crate) fn no_objects(place: &impl std::fmt::Display, input: &str) -> Self {
        Self::Client(format!(
            "Data download failed:No S3 objects found under S3 URL \"{place}\" given in input data \
             source '{input}'."
        ))
    }

    /// What an operation on a file of this machine failed with.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::Internal(format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_names_the_member_as_the_service_does() {
        let error = ApiError::constraint("a_b", "PipelineName", "Member must be good");
        assert_eq!(
            error.message,
            "1 validation error detected: Value 'a_b' at 'pipelineName' failed to satisfy \
             constraint: Member must be good"
        );
        assert_eq!(error.body()["__type"], "ValidationException");
    }
}
