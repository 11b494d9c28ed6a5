//! `SageMaker Endpoint State Change`.

use serde_json::{Value, json};

use super::{Facts, Family, Kind, Owner, Subject};
use crate::record::event::{Event, EventError};
use crate::record::fold::Beyond;
use crate::record::reader::{Read, Reader};
use crate::record::rows::{ChangeRow, record};

pub(super) const FAMILY: Family = Family {
    kind: Kind::Endpoint,
    name: "endpoint",
    detail_type: "SageMaker Endpoint State Change",
    position: "endpointPosition",
    made: None,
    statuses: &[
        ("Creating", 10),
        ("Updating", 20),
        ("SystemUpdating", 20),
        ("RollingBack", 30),
        ("InService", 60),
        ("OutOfService", 60),
        ("Failed", 60),
        ("UpdateRollbackFailed", 60),
        ("Deleting", 70),
        ("Deleted", 80),
    ],
    read,
    subject: |change| change.name.as_deref(),
    names_have_case: false,
};

/// What an endpoint's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointFacts {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: Option<String>,
    /// Its configuration.
    pub config_name: Option<String>,
    /// When it was created, epoch milliseconds.
    pub created_at: Option<i64>,
    /// When it was last changed, epoch milliseconds.
    pub modified_at: Option<i64>,
}

fn read(reader: &mut Reader<'_>) -> Result<Read, EventError> {
    reader.know(&["ProductionVariants", "Tags"]);
    Ok(Read {
        subject: Subject::Endpoint(EndpointFacts {
            name: reader.required_text("EndpointName")?,
            arn: reader.text("EndpointArn"),
            config_name: reader.text("EndpointConfigName"),
            created_at: reader.moment("CreationTime"),
            modified_at: reader.moment("LastModifiedTime"),
        }),
        status: reader.required_text("EndpointStatus")?,
        previous: None,
        failure_reason: reader.text("FailureReason"),
    })
}

impl Facts for EndpointFacts {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn arn(&self) -> Option<&str> {
        self.arn.as_deref()
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Endpoint(&self.name)
    }

    fn moment(&self) -> Option<i64> {
        self.modified_at
    }

    fn attributes(&self, event: &Event, _: &Beyond) -> Option<(&'static str, Value)> {
        let attributes = record::Endpoint {
            endpoint_name: Some(self.name.clone()),
            endpoint_arn: self.arn.clone(),
            endpoint_status: Some(event.status.name.clone()),
            endpoint_config_name: self.config_name.clone(),
            endpoint_created_at: self.created_at,
            endpoint_failure_reason: event.failure_reason.clone(),
        };
        Some((FAMILY.position, json!(attributes)))
    }

    fn write(&self, row: &mut ChangeRow) {
        row.name = Some(self.name.clone());
        row.resource_arn = self.arn.clone();
    }
}
