//! Under which id an execution is recorded.
//!
//! A name is not unique: anybody may start an execution under the display name
//! or with the parameter `ExecutionId` of another one. So only start-execution
//! hands out ids. It makes the record before it starts the execution; whatever
//! names such a record, and comes first, has it. Every other execution goes by
//! SageMaker's own id, whatever else has its names, and in whatever order their
//! events come.
//!
//! A record of start-execution may have been deleted while its execution went
//! on. Its id then still has the form that start-execution gives, and goes on
//! to be used.

use super::fold::Expected;
use super::id::{ExecutionArn, InvalidRecordId, RecordId};

/// The tag of a pipeline that an installation follows; its value is the installation's prefix. The
/// shipped pipeline needs none.
pub const PIPELINE_TAG: &str = "pipewright:pipeline";

/// The tag of an endpoint that says whose it is: its value is the installation's prefix.
pub const STACK_TAG: &str = "pipewright:stack";

/// The tag that names the execution whose model an endpoint serves.
pub const EXECUTION_TAG: &str = "pipewright:execution";

/// An id that an execution may be recorded under, and what must be known of the
/// record there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The id.
    pub id: RecordId,
    /// What the record must be.
    pub expected: Expected,
}

/// The record that start-execution made under this name, if it is one of its
/// ids.
pub fn started(name: Option<&str>) -> Option<Candidate> {
    let id = RecordId::new(name?).ok()?;
    Some(Candidate {
        id,
        expected: Expected::Started,
    })
}

/// The ids of an execution that start-execution has no record of, to be tried
/// in this order until one is not another execution's. The last one never is.
///
/// # Errors
/// [`InvalidRecordId`] if SageMaker's own id can't be a record's, which it
/// always can.
pub fn elsewhere(
    parameter: Option<&str>,
    display_name: Option<&str>,
    arn: &ExecutionArn,
) -> Result<Vec<Candidate>, InvalidRecordId> {
    let generated = [parameter, display_name]
        .into_iter()
        .flatten()
        .filter_map(|text| RecordId::new(text).ok())
        .find(RecordId::is_generated);
    let own = RecordId::new(arn.execution_id())?;
    Ok(generated
        .into_iter()
        .chain([own])
        .map(|id| Candidate {
            id,
            expected: Expected::Anything,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_without_a_start_goes_by_sagemakers_own_id() {
        let arn = ExecutionArn::parse("arn:aws:sagemaker:r:1:pipeline/p/execution/own").unwrap();
        let ids = |parameter, name| -> Vec<String> {
            let candidates = elsewhere(parameter, name, &arn).unwrap();
            candidates.iter().map(|one| one.id.to_string()).collect()
        };
        let generated = "20261128-224951-a171ed4c";
        assert_eq!(ids(Some("run-1"), Some("name")), ["own"]);
        assert_eq!(ids(None, None), ["own"]);
        assert_eq!(ids(Some(generated), Some("name")), [generated, "own"]);
        assert_eq!(ids(Some("no id!"), Some(generated)), [generated, "own"]);
    }
}
