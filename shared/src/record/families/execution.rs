//! `SageMaker Model Building Pipeline Execution Status Change`.

use serde_json::{Value, json};

use super::{Facts, Family, Kind, Owner, Subject};
use crate::record::event::{Event, EventError};
use crate::record::fold::Beyond;
use crate::record::id::ExecutionArn;
use crate::record::reader::{Read, Reader};
use crate::record::rows::{ChangeRow, record};
use crate::record::status::is_final;
use crate::record::{names, phase};

pub(super) const FAMILY: Family = Family {
    kind: Kind::Execution,
    name: "execution",
    detail_type: "SageMaker Model Building Pipeline Execution Status Change",
    position: names::PIPELINE_POSITION,
    made: None,
    statuses: &[
        ("Executing", 20),
        ("Stopping", 40),
        ("Succeeded", 60),
        ("CompletedWithFailures", 60),
        ("Failed", 60),
        ("Stopped", 60),
    ],
    read,
    // There is one.
    subject: |_| Some(""),
    names_have_case: true,
};

/// What an execution's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionFacts {
    /// Whose event it is.
    pub arn: ExecutionArn,
    /// The display name that was given at its start.
    pub display_name: Option<String>,
    /// The description that was given at its start.
    pub description: Option<String>,
    /// When it started, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When it ended, epoch milliseconds.
    pub ended_at: Option<i64>,
}

fn read(reader: &mut Reader<'_>) -> Result<Read, EventError> {
    reader.know(&["pipelineArn"]);
    Ok(Read {
        subject: Subject::Execution(ExecutionFacts {
            arn: reader.execution_arn()?,
            display_name: reader.text("pipelineExecutionDisplayName"),
            description: reader.text("pipelineExecutionDescription"),
            started_at: reader.moment("executionStartTime"),
            ended_at: reader.moment("executionEndTime"),
        }),
        status: reader.required_text("currentPipelineExecutionStatus")?,
        previous: reader.text("previousPipelineExecutionStatus"),
        failure_reason: reader.text("failureReason"),
    })
}

impl Facts for ExecutionFacts {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    fn arn(&self) -> Option<&str> {
        Some(self.arn.as_str())
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Named {
            execution: &self.arn,
            display_name: self.display_name.as_deref(),
        }
    }

    fn attributes(&self, event: &Event, beyond: &Beyond) -> Option<(&'static str, Value)> {
        let status = &event.status.name;
        let attributes = record::Execution {
            phase: Some(if is_final(status) {
                phase::ended(event.at)
            } else {
                phase::OPEN.to_owned()
            }),
            pipeline_status: Some(status.clone()),
            pipeline_status_at: Some(event.at),
            pipeline_execution_arn: Some(self.arn.to_string()),
            display_name: self.display_name.clone(),
            description: self.description.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            failure_reason: event
                .failure_reason
                .clone()
                .or_else(|| beyond.failure_reason.clone()),
        };
        Some((FAMILY.position, json!(attributes)))
    }

    fn write(&self, row: &mut ChangeRow) {
        row.display_name = self.display_name.clone();
        row.started_at = self.started_at;
        row.ended_at = self.ended_at;
    }
}
