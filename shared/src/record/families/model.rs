//! `SageMaker Model State Change`.

use serde_json::{Value, json};

use super::{Facts, Family, Kind, Made, Owner, Subject, first_container, tagged_execution, tags};
use crate::record::event::{Event, EventError};
use crate::record::fold::Beyond;
use crate::record::id::ExecutionArn;
use crate::record::names;
use crate::record::reader::{Read, Reader};
use crate::record::rows::{ChangeRow, record};
use crate::record::status::UNKNOWN_RANK;

pub(super) const FAMILY: Family = Family {
    kind: Kind::Model,
    name: "model",
    detail_type: "SageMaker Model State Change",
    position: "modelPosition",
    made: Some(Made {
        step_type: "Model",
        arn: names::MODEL_STEP_ARN,
        position: "modelStepPosition",
    }),
    statuses: &[("Created", 20), ("Changed", UNKNOWN_RANK), ("Deleted", 80)],
    read,
    subject: |change| {
        let last_part = || change.resource_arn.as_deref()?.rsplit('/').next();
        change.name.as_deref().or_else(last_part)
    },
    names_have_case: false,
};

/// What a model's event tells. It has no status: `Created` is one with tags,
/// `Deleted` one whose tags are there and empty, `Changed` one without tags.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// Its name.
    pub name: Option<String>,
    /// Its ARN.
    pub arn: Option<String>,
    /// Where its artifact lies (of the first container).
    pub data_url: Option<String>,
    /// Its image (of the first container).
    pub image: Option<String>,
    /// When it was created, epoch milliseconds.
    pub created_at: Option<i64>,
    /// The execution in its tag [`SAGEMAKER_EXECUTION_TAG`](super::SAGEMAKER_EXECUTION_TAG).
    pub execution: Option<ExecutionArn>,
}

fn read(reader: &mut Reader<'_>) -> Result<Read, EventError> {
    reader.know(&["ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"]);
    let name = reader.text("ModelName");
    let arn = reader.text("ModelArn");
    if name.is_none() && arn.is_none() {
        return Err(reader.malformed("ModelName", "is missing, and so is detail.ModelArn"));
    }
    let tags = reader.value("Tags").and_then(tags);
    let status = match &tags {
        None => "Changed",
        Some(tags) if tags.is_empty() => "Deleted",
        Some(_) => "Created",
    };
    let execution = tagged_execution(reader, tags);
    let primary = reader.value("PrimaryContainer");
    let container = first_container(primary, reader.value("Containers"));
    let of_container = |field: &str| {
        container
            .and_then(|container| container[field].as_str())
            .map(str::to_owned)
    };
    Ok(Read {
        subject: Subject::Model(ModelFacts {
            name,
            arn,
            data_url: of_container("ModelDataUrl"),
            image: of_container("Image"),
            created_at: reader.moment("CreationTime"),
            execution,
        }),
        status: status.to_owned(),
        previous: None,
        failure_reason: None,
    })
}

impl Facts for ModelFacts {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Tagged {
            execution: self.execution.as_ref(),
            arn: self.arn.as_deref(),
            name: self.name.as_deref(),
        }
    }

    fn attributes(&self, event: &Event, _: &Beyond) -> Option<(&'static str, Value)> {
        let attributes = record::Model {
            model_name: self.name.clone(),
            model_arn: self.arn.clone(),
            model_status: Some(event.status.name.clone()),
            model_data_url: self.data_url.clone(),
            model_image: self.image.clone(),
            model_created_at: self.created_at,
        };
        Some((FAMILY.position, json!(attributes)))
    }

    fn write(&self, row: &mut ChangeRow) {
        row.name = self.name.clone();
        row.resource_arn = self.arn.clone();
    }
}
