//! `SageMaker Model Package State Change`.

use serde_json::{Value, json};

use super::{Facts, Family, Kind, Made, Owner, Subject, first_container};
use crate::record::event::{EXECUTION_ID, Event, EventError};
use crate::record::fold::Beyond;
use crate::record::id::ExecutionArn;
use crate::record::reader::{Read, Reader};
use crate::record::rows::{ChangeRow, record};

pub(super) const FAMILY: Family = Family {
    kind: Kind::Package,
    name: "package",
    detail_type: "SageMaker Model Package State Change",
    position: "modelPackagePosition",
    made: Some(Made {
        step_type: "RegisterModel",
        arn: "modelPackageStepArn",
        position: "modelPackageStepPosition",
    }),
    statuses: &[
        ("Pending", 10),
        ("InProgress", 20),
        ("Completed", 60),
        ("Failed", 60),
        ("Deleting", 70),
    ],
    read,
    subject: |change| change.resource_arn.as_deref(),
    names_have_case: false,
};

/// What a model package's event tells besides its status.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageFacts {
    /// Its ARN.
    pub arn: String,
    /// The group it is a version of.
    pub group: Option<String>,
    /// Its number in the group.
    pub version: Option<String>,
    /// Whether it may be deployed.
    pub approval_status: Option<String>,
    /// Where its artifact lies (of the first container).
    pub data_url: Option<String>,
    /// `ExecutionId` of its customer metadata, where the event carries it.
    pub execution_id: Option<String>,
    /// The execution that made it, where the event tells.
    pub execution: Option<ExecutionArn>,
    /// When it was created, epoch milliseconds.
    pub created_at: Option<i64>,
}

fn read(reader: &mut Reader<'_>) -> Result<Read, EventError> {
    reader.know(&[
        "ModelPackageName",
        "ModelPackageDescription",
        "ModelPackageStatusDetails",
        "CertifyForMarketplace",
        "ModelMetrics",
        "ModelLifeCycle",
        "UpdatedModelPackageFields",
        "LastModifiedTime",
        "CreatedBy",
        "LastModifiedBy",
        "ApprovalDescription",
        "Domain",
        "Task",
        "Tags",
    ]);
    let containers = reader
        .value("InferenceSpecification")
        .and_then(|specification| specification.get("Containers"));
    let version = match reader.value("ModelPackageVersion") {
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            reader.leave("ModelPackageVersion".to_owned());
            None
        }
        None => None,
    };
    let customer = reader.value("CustomerMetadataProperties");
    let generated_by = reader
        .value("MetadataProperties")
        .and_then(|properties| properties["GeneratedBy"].as_str());
    Ok(Read {
        subject: Subject::Package(PackageFacts {
            arn: reader.required_text("ModelPackageArn")?,
            group: reader.text("ModelPackageGroupName"),
            version,
            approval_status: reader.text("ModelApprovalStatus"),
            data_url: first_container(None, containers)
                .and_then(|container| container["ModelDataUrl"].as_str())
                .map(str::to_owned),
            execution_id: customer
                .and_then(|properties| properties[EXECUTION_ID].as_str())
                .map(str::to_owned),
            // Something else than a pipeline may have made it.
            execution: generated_by.and_then(|arn| ExecutionArn::parse(arn).ok()),
            created_at: reader.moment("CreationTime"),
        }),
        status: reader.required_text("ModelPackageStatus")?,
        previous: None,
        failure_reason: reader.text("FailureReason"),
    })
}

impl Facts for PackageFacts {
    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn name(&self) -> Option<&str> {
        self.arn.rsplit(':').next()
    }

    fn arn(&self) -> Option<&str> {
        Some(&self.arn)
    }

    fn owner(&self) -> Owner<'_> {
        Owner::Package(self)
    }

    /// A decision follows the registration, whatever the digests say.
    fn is_later(&self) -> bool {
        !matches!(
            self.approval_status.as_deref(),
            None | Some("PendingManualApproval")
        )
    }

    fn attributes(&self, event: &Event, _: &Beyond) -> Option<(&'static str, Value)> {
        let attributes = record::Package {
            model_package_arn: Some(self.arn.clone()),
            model_package_group: self.group.clone(),
            model_package_version: self.version.clone(),
            model_package_status: Some(event.status.name.clone()),
            approval_status: self.approval_status.clone(),
            model_package_data_url: self.data_url.clone(),
            model_package_failure_reason: event.failure_reason.clone(),
        };
        Some((FAMILY.position, json!(attributes)))
    }

    fn write(&self, row: &mut ChangeRow) {
        row.resource_arn = Some(self.arn.clone());
        row.approval_status = self.approval_status.clone();
    }
}
