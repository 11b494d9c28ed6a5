//! Names: a record's id and an execution's ARN.

use std::fmt;

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

    /// The id that an execution's events find for it: its parameter
    /// `ExecutionId`; one started elsewhere may lack it, and goes by its display
    /// name, or by SageMaker's own id if that can't be one.
    ///
    /// # Errors
    /// [`InvalidRecordId`] if SageMaker's own id is none, which it always is.
    pub fn of_execution(
        parameter: Option<&str>,
        display_name: Option<&str>,
        arn: &ExecutionArn,
    ) -> Result<Self, InvalidRecordId> {
        [parameter, display_name]
            .into_iter()
            .flatten()
            .find_map(|text| Self::new(text).ok())
            .map_or_else(|| Self::new(arn.execution_id()), Ok)
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

/// A text that is no ARN of a pipeline execution.
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
        let mut parts = text.splitn(6, ':');
        let well_formed = parts.next()? == "arn"
            && !parts.next()?.is_empty()
            && parts.next()? == "sagemaker"
            && !parts.next()?.is_empty()
            && !parts.next()?.is_empty();
        let resource = parts.next()?;
        let rest = resource.strip_prefix("pipeline/")?;
        let (pipeline, id) = rest.split_once("/execution/")?;
        if !well_formed
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_find_an_execution_by_parameter_then_name_then_its_own_id() {
        let arn = ExecutionArn::parse("arn:aws:sagemaker:r:1:pipeline/p/execution/own").unwrap();
        let of = |parameter, name| RecordId::of_execution(parameter, name, &arn).unwrap();
        assert_eq!(of(Some("run-1"), Some("name")).as_str(), "run-1");
        assert_eq!(of(Some("no id!"), Some("name")).as_str(), "name");
        assert_eq!(of(None, Some("no id!")).as_str(), "own");
        assert_eq!(of(None, None).as_str(), "own");
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
