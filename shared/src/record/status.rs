//! Statuses: their spellings, their order, and which are final.

use serde::{Deserialize, Serialize};

/// Whose status it is; the words differ.
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

impl Kind {
    /// The name in change items and in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Execution => "execution",
            Self::Step => "step",
            Self::Model => "model",
            Self::Package => "package",
            Self::Endpoint => "endpoint",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Execution,
            Self::Step,
            Self::Model,
            Self::Package,
            Self::Endpoint,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// The statuses known, in the order in which they follow each other, each
    /// with its rank. Equal ranks don't follow each other.
    fn known(self) -> &'static [(&'static str, u8)] {
        match self {
            Self::Execution => &[
                ("Executing", 20),
                ("Stopping", 40),
                ("Succeeded", 60),
                ("CompletedWithFailures", 60),
                ("Failed", 60),
                ("Stopped", 60),
            ],
            Self::Step => &[
                ("Starting", 10),
                ("Executing", 20),
                ("Stopping", 40),
                ("Succeeded", 60),
                ("Failed", 60),
                ("Stopped", 60),
            ],
            Self::Model => &[("Created", 20), ("Changed", UNKNOWN_RANK), ("Deleted", 80)],
            Self::Package => &[
                ("Pending", 10),
                ("InProgress", 20),
                ("Completed", 60),
                ("Failed", 60),
                ("Deleting", 70),
            ],
            Self::Endpoint => &[
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
        }
    }
}

/// The rank of a status nobody has told us about: after what begins, before
/// what ends.
const UNKNOWN_RANK: u8 = 30;

/// A status as we write it, and as the event spelled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The API's spelling (`InService`) where the status is known, the event's
    /// otherwise.
    pub name: String,
    /// The event's spelling (`IN_SERVICE`).
    pub original: String,
    /// Its place in the order of statuses, two digits: breaks ties between
    /// events of one moment, nothing else.
    pub rank: u8,
    /// Whether it is one that we have been told about.
    pub known: bool,
}

impl Status {
    /// Reads a status in either spelling; an unknown one is kept.
    pub fn read(kind: Kind, original: &str) -> Self {
        let squeezed = squeeze(original);
        let known = kind
            .known()
            .iter()
            .find(|(name, _)| squeeze(name) == squeezed);
        Self {
            name: known.map_or(original, |(name, _)| name).to_owned(),
            original: original.to_owned(),
            rank: known.map_or(UNKNOWN_RANK, |(_, rank)| *rank),
            known: known.is_some(),
        }
    }
}

/// EventBridge writes `IN_SERVICE` where the API writes `InService`.
fn squeeze(status: &str) -> String {
    status
        .chars()
        .filter(|character| *character != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether an execution or a step with this status goes no further on its
/// own. (A retry may still take a failed one up again.)
pub fn is_final(status: &str) -> bool {
    matches!(
        status,
        "Succeeded" | "CompletedWithFailures" | "Failed" | "Stopped"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_endpoints_status_are_one() {
        for (event, api) in [
            ("IN_SERVICE", "InService"),
            ("UPDATE_ROLLBACK_FAILED", "UpdateRollbackFailed"),
            ("OutOfService", "OutOfService"),
            ("DELETED", "Deleted"),
        ] {
            let status = Status::read(Kind::Endpoint, event);
            assert_eq!(
                (status.name.as_str(), status.original.as_str()),
                (api, event)
            );
        }
    }

    #[test]
    fn an_unknown_status_is_kept_and_lies_between_begin_and_end() {
        let status = Status::read(Kind::Step, "Paused_Somehow");
        assert_eq!(status.name, "Paused_Somehow");
        assert!(status.rank > Status::read(Kind::Step, "Executing").rank);
        assert!(status.rank < Status::read(Kind::Step, "Succeeded").rank);
    }

    #[test]
    fn every_rank_has_two_digits() {
        for kind in [
            Kind::Execution,
            Kind::Step,
            Kind::Model,
            Kind::Package,
            Kind::Endpoint,
        ] {
            assert!(
                kind.known()
                    .iter()
                    .all(|(_, rank)| (10..100).contains(rank))
            );
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
    }
}
