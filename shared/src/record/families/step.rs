//! `SageMaker Model Building Pipeline Execution Step Status Change`.

use serde_json::{Value, json};

use super::{Facts, Family, Kind, Owner, Subject};
use crate::record::event::{Event, EventError};
use crate::record::fold::Beyond;
use crate::record::id::ExecutionArn;
use crate::record::reader::{Read, Reader};
use crate::record::rows::ChangeRow;

pub(super) const FAMILY: Family = Family {
    kind: Kind::Step,
    name: "step",
    detail_type: "SageMaker Model Building Pipeline Execution Step Status Change",
    position: "",
    made: None,
    statuses: &[
        ("Starting", 10),
        ("Executing", 20),
        ("Stopping", 40),
        ("Succeeded", 60),
        ("Failed", 60),
        ("Stopped", 60),
    ],
    read,
    subject: |change| change.step_name.as_deref(),
    names_have_case: true,
};

/// What a step's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFacts {
    /// The execution that the step belongs to.
    pub arn: ExecutionArn,
    /// The step's name in the definition.
    pub name: String,
    /// The step's type in the definition.
    pub step_type: Option<String>,
    /// When it started, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When it ended, epoch milliseconds.
    pub ended_at: Option<i64>,
    /// The ARN of what the step made or ran: a job, a model, a package.
    pub resource_arn: Option<String>,
    /// The execution whose result was taken from the cache.
    pub cache_hit_arn: Option<String>,
    /// The execution whose result a selective execution took over.
    pub selection_arn: Option<String>,
}

/// The member of an event that names the execution whose result came from the cache.
pub const CACHE_HIT: &str = "cacheHitResult";
/// The member that names the one that a selective execution builds on: in the spelling of `SelectiveExecutionResult` of
/// `ListPipelineExecutionSteps`. No example of SageMaker's own events with it is published.
pub const SELECTION: &str = "selectiveExecutionResult";
/// Where either of them has the execution's ARN.
pub const REUSED_FROM: &str = "sourcePipelineExecutionArn";

fn read(reader: &mut Reader<'_>) -> Result<Read, EventError> {
    reader.know(&["pipelineArn"]);
    let step_type = reader.text("stepType");
    let metadata = reader.value("metadata");
    let mut reused = |member| {
        let source = reader.value(member)?[REUSED_FROM].as_str()?;
        Some(source.to_owned())
    };
    let (cache_hit_arn, selection_arn) = (reused(CACHE_HIT), reused(SELECTION));
    Ok(Read {
        subject: Subject::Step(StepFacts {
            arn: reader.execution_arn()?,
            name: reader.required_text("stepName")?,
            resource_arn: metadata.and_then(resource_arn),
            step_type,
            started_at: reader.moment("stepStartTime"),
            ended_at: reader.moment("stepEndTime"),
            cache_hit_arn,
            selection_arn,
        }),
        status: reader.required_text("currentStepStatus")?,
        previous: reader.text("previousStepStatus"),
        failure_reason: reader.text("failureReason"),
    })
}

/// The ARN in a step's metadata, which is a map of what the step made:
/// `{"processingJob": {"arn": "..."}}`. New types of steps bring new keys, so
/// the first entry that has an ARN counts.
fn resource_arn(metadata: &Value) -> Option<String> {
    metadata.as_object()?.values().find_map(|made| {
        made.get("arn")
            .or_else(|| made.get("Arn"))?
            .as_str()
            .map(str::to_owned)
    })
}

impl Facts for StepFacts {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn arn(&self) -> Option<&str> {
        Some(self.arn.as_str())
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Named {
            execution: &self.arn,
            display_name: None,
        }
    }

    fn made_arn(&self) -> Option<&str> {
        self.resource_arn.as_deref()
    }

    /// What it made, if that is followed; the step itself has its change items only.
    fn attributes(&self, _: &Event, _: &Beyond) -> Option<(&'static str, Value)> {
        let made = Kind::made_by_step(self.step_type.as_deref())?;
        let made = made.family().made?;
        Some((made.position, json!({made.arn: self.resource_arn})))
    }

    fn write(&self, row: &mut ChangeRow) {
        row.step_name = Some(self.name.clone());
        row.step_type = self.step_type.clone();
        row.started_at = self.started_at;
        row.ended_at = self.ended_at;
        row.resource_arn = self.resource_arn.clone();
        row.cache_hit_arn = self.cache_hit_arn.clone();
        row.selection_arn = self.selection_arn.clone();
    }
}
