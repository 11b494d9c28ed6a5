//! The families of events that the record follows: a row for each detail-type.

use serde::{Deserialize, Serialize};

use super::names;
use super::status::UNKNOWN_RANK;

/// What an event is about.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A pipeline execution.
    #[default]
    Execution,
    /// A step of an execution.
    Step,
    /// A model.
    Model,
    /// A model package (a registered version of a model).
    Package,
    /// An endpoint.
    Endpoint,
}

/// What is known of a family of events, beside what an event of it says.
#[derive(Debug)]
pub(super) struct Family {
    /// What its events are about.
    kind: Kind,
    /// The kind's name in change items and in text.
    name: &'static str,
    /// The `detail-type` of its events.
    pub(super) detail_type: &'static str,
    /// The attribute of the record with the position of its latest event; of a step's, it is that of
    /// [`made`](Self::made).
    pub(super) position: &'static str,
    /// Of what steps make.
    pub(super) made: Option<Made>,
    /// The statuses known, in the order in which they follow each other, each with its rank. Equal
    /// ranks don't follow each other.
    pub(super) statuses: &'static [(&'static str, u8)],
}

/// How steps make something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// The type of the steps.
    step_type: &'static str,
    /// The attribute of the record with the ARN of what the latest of them made.
    pub(super) arn: &'static str,
    /// The attribute with the position of that step's event.
    pub(super) position: &'static str,
}

/// In the order of [`Kind`].
static FAMILIES: [Family; 5] = [
    Family {
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
    },
    Family {
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
    },
    Family {
        kind: Kind::Model,
        name: "model",
        detail_type: "SageMaker Model State Change",
        position: names::MODEL_POSITION,
        made: Some(Made {
            step_type: "Model",
            arn: names::MODEL_STEP_ARN,
            position: names::MODEL_STEP_POSITION,
        }),
        statuses: &[("Created", 20), ("Changed", UNKNOWN_RANK), ("Deleted", 80)],
    },
    Family {
        kind: Kind::Package,
        name: "package",
        detail_type: "SageMaker Model Package State Change",
        position: names::MODEL_PACKAGE_POSITION,
        made: Some(Made {
            step_type: "RegisterModel",
            arn: names::MODEL_PACKAGE_STEP_ARN,
            position: names::MODEL_PACKAGE_STEP_POSITION,
        }),
        statuses: &[
            ("Pending", 10),
            ("InProgress", 20),
            ("Completed", 60),
            ("Failed", 60),
            ("Deleting", 70),
        ],
    },
    Family {
        kind: Kind::Endpoint,
        name: "endpoint",
        detail_type: "SageMaker Endpoint State Change",
        position: names::ENDPOINT_POSITION,
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
    },
];

impl Kind {
    /// What is known of the family.
    pub(super) fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }

    /// The name in change items and in text.
    pub fn name(self) -> &'static str {
        self.family().name
    }

    /// The `detail-type` of its events.
    pub fn detail_type(self) -> &'static str {
        self.family().detail_type
    }

    /// What events of this `detail-type` are about.
    pub fn of_detail_type(detail_type: &str) -> Option<Self> {
        let found = FAMILIES
            .iter()
            .find(|family| family.detail_type == detail_type);
        found.map(|family| family.kind)
    }

    /// The type of the steps that make what is of this kind; `None` for what no
    /// step makes.
    ///
    /// Whoever may tag models, or register packages, can name any execution there.
    /// That a step made them is SageMaker's own word, which nobody else can give.
    pub fn made_by(self) -> Option<&'static str> {
        self.family().made.map(|made| made.step_type)
    }

    /// What steps of this type make, if it is followed.
    pub fn made_by_step(step_type: Option<&str>) -> Option<Self> {
        let makes = |family: &&Family| {
            let made = family.made.map(|made| made.step_type);
            made.is_some() && made == step_type
        };
        FAMILIES.iter().find(makes).map(|family| family.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        for (place, family) in FAMILIES.iter().enumerate() {
            let kind = family.kind;
            assert_eq!(kind as usize, place);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(Kind::of_detail_type(kind.detail_type()), Some(kind));
        }
    }

    #[test]
    fn every_rank_has_two_digits() {
        let statuses = FAMILIES.iter().flat_map(|family| family.statuses);
        for (status, rank) in statuses {
            assert!((10..100).contains(rank), "{status}");
        }
    }
}
