//! Statuses: their spellings, their order, and which are final.

use super::families::Kind;

/// The rank of an unknown status: after what begins, before
/// what ends.
pub(super) const UNKNOWN_RANK: u8 = 30;

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
            .family()
            .statuses
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
}
