//! Names: a record's id and an execution's ARN.

use std::fmt;

use super::names;
use super::rows::Item;
use crate::arn::Arn;

/// The longest id that fits into a pipeline execution's display name.
pub const MAX_RECORD_ID_LENGTH: usize = 82;

/// The key of an execution's items: letters, digits and inner hyphens, at most
/// [`MAX_RECORD_ID_LENGTH`] of them, since the id travels as the execution's
/// display name and SageMaker takes nothing else there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(String);

/// A text that can't be a record's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "execution id {text:?} is not usable: it must have 1 to {MAX_RECORD_ID_LENGTH} letters, digits and hyphens, \
     and may not begin or end with a hyphen"
)]
pub struct InvalidRecordId {
    /// What was given.
    pub text: String,
}

impl RecordId {
    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`InvalidRecordId`] if SageMaker would not take it as a display name.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidRecordId> {
        let text = text.into();
        let fits = !text.is_empty()
            && text.len() <= MAX_RECORD_ID_LENGTH
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text))
        } else {
            Err(InvalidRecordId { text })
        }
    }

    /// Whether it has the form of the ids that start-execution makes up: 8
    /// digits, 6 digits, and 8 digits or lower-case letters.
    pub fn is_generated(&self) -> bool {
        let digits = |byte: u8| byte.is_ascii_digit();
        let any = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        let mut parts = self.0.split('-');
        let mut part = |length: usize, of: &dyn Fn(u8) -> bool| {
            parts
                .next()
                .is_some_and(|part| part.len() == length && part.bytes().all(of))
        };
        part(8, &digits) && part(6, &digits) && part(8, &any) && parts.next().is_none()
    }

    /// Takes a text that is an id by the way it was made.
    pub(super) fn trusted(text: String) -> Self {
        debug_assert!(Self::new(text.as_str()).is_ok(), "{text}");
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ARN of a pipeline's execution, as somebody spelled it:
/// `arn:<partition>:sagemaker:<region>:<account>:pipeline/<name>/execution/<id>`.
///
/// SageMaker lower-cases names in some ARNs and keeps them in others, so two
/// spellings of one ARN are the same execution: compare by [`Self::key`].
#[derive(Debug, Clone)]
pub struct ExecutionArn {
    text: String,
    /// Where the pipeline's name starts in `text`.
    pipeline_start: usize,
    /// Where its name ends.
    pipeline_end: usize,
    /// Where the execution's own id starts; it runs to the end.
    id_start: usize,
}

/// A text that is not an ARN of a pipeline execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the ARN of a pipeline execution (arn:...:pipeline/<name>/execution/<id>)")]
pub struct InvalidExecutionArn {
    /// What was given.
    pub text: String,
}

impl ExecutionArn {
    /// Reads an ARN.
    ///
    /// # Errors
    /// [`InvalidExecutionArn`] if the text has another form.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidExecutionArn> {
        let text = text.into();
        match Self::places(&text) {
            Some((pipeline_start, pipeline_end, id_start)) => Ok(Self {
                text,
                pipeline_start,
                pipeline_end,
                id_start,
            }),
            None => Err(InvalidExecutionArn { text }),
        }
    }

    fn places(text: &str) -> Option<(usize, usize, usize)> {
        let arn = Arn::parse(text)?;
        let rest = arn.resource.strip_prefix("pipeline/")?;
        let (pipeline, id) = rest.split_once("/execution/")?;
        if arn.service != "sagemaker"
            || arn.region.is_empty()
            || arn.account.is_empty()
            || pipeline.is_empty()
            || id.is_empty()
            || pipeline.contains('/')
            || id.contains('/')
        {
            return None;
        }
        let pipeline_start = text.len() - rest.len();
        Some((
            pipeline_start,
            pipeline_start + pipeline.len(),
            text.len() - id.len(),
        ))
    }

    /// The ARN as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pipeline's name as it was spelled.
    pub fn pipeline_name(&self) -> &str {
        &self.text[self.pipeline_start..self.pipeline_end]
    }

    /// The pipeline's ARN as it was spelled.
    pub fn pipeline_arn(&self) -> &str {
        &self.text[..self.pipeline_end]
    }

    /// SageMaker's own id of the execution.
    pub fn execution_id(&self) -> &str {
        &self.text[self.id_start..]
    }

    /// The spelling to compare and to store for comparing: all lower case.
    pub fn key(&self) -> String {
        self.text.to_ascii_lowercase()
    }

    /// Whether the execution belongs to the pipeline of this name, whatever
    /// the case.
    pub fn is_of_pipeline(&self, name: &str) -> bool {
        self.pipeline_name().eq_ignore_ascii_case(name)
    }
}

impl PartialEq for ExecutionArn {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for ExecutionArn {}

impl fmt::Display for ExecutionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The ARN of the execution that a record is of, as far as it is known, in whatever spelling.
pub fn arn_of(record: &Item) -> Option<&str> {
    [names::PIPELINE_EXECUTION_ARN, names::ARN_KEY]
        .into_iter()
        .find_map(|name| record.get(name)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_is_known_by_its_form() {
        let is = |text: &str| RecordId::new(text).unwrap().is_generated();
        assert!(is("20261128-224951-a171ed4c"));
        for other in [
            "a",
            "20261128-224951",
            "20261128-224951-a171ed4",
            "20261128-224951-A171ED4C",
            "20261128-224951-a171ed4c-2",
            "2026112x-224951-a171ed4c",
            "run-20261128-224951-a171ed4c",
            "PipelineExecutionViaLambda",
        ] {
            assert!(!is(other), "{other}");
        }
    }

    #[test]
    fn an_id_has_letters_digits_and_inner_hyphens() {
        for good in ["a", "7", "run-2024-01-02", &"x".repeat(82)] {
            assert_eq!(RecordId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "ä", "a/b", &"x".repeat(83)] {
            assert!(RecordId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_execution_arn_gives_its_parts() {
        let arn = ExecutionArn::parse(
            "arn:aws-cn:sagemaker:cn-north-1:111122223333:pipeline/My-Pipe/execution/p4jn9xou8a8s",
        )
        .unwrap();
        assert_eq!(arn.pipeline_name(), "My-Pipe");
        assert_eq!(
            arn.pipeline_arn(),
            "arn:aws-cn:sagemaker:cn-north-1:111122223333:pipeline/My-Pipe"
        );
        assert_eq!(arn.execution_id(), "p4jn9xou8a8s");
        assert!(arn.is_of_pipeline("my-pipe"));
    }

    #[test]
    fn spellings_that_differ_by_case_are_the_same_execution() {
        let upper =
            ExecutionArn::parse("arn:aws:sagemaker:r:1:pipeline/My-Pipe/execution/abc").unwrap();
        let lower =
            ExecutionArn::parse("arn:aws:sagemaker:r:1:pipeline/my-pipe/execution/abc").unwrap();
        assert_eq!(upper, lower);
        assert_eq!(upper.key(), lower.key());
    }

    #[test]
    fn another_arn_is_refused() {
        for bad in [
            "",
            "arn:aws:sagemaker:r:1:pipeline/p",
            "arn:aws:sagemaker:r:1:pipeline//execution/x",
            "arn:aws:sagemaker:r:1:pipeline/p/execution/",
            "arn:aws:s3:r:1:pipeline/p/execution/x",
            "arn:aws:sagemaker:r:1:model/m",
        ] {
            assert!(ExecutionArn::parse(bad).is_err(), "{bad:?}");
        }
    }
}
