//! What CloudWatch is told of an event: which kind it was, what became of it,
//! how old it was by then, and what in it was unknown.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use pipewright_aws::metrics::{Metrics, Unit};

use crate::envelope::parsed;
use crate::handler::{HandlerError, Outcome};

/// The metrics of an event that was handled at `now` (epoch milliseconds). It
/// is read once more for them, which takes microseconds. Without an event, it could not be read.
pub(crate) fn of(
    stack: &str,
    event: Option<&EventBridgeEvent>,
    result: &Result<Outcome, HandlerError>,
    now: i64,
) -> Metrics {
    let event = event.and_then(|event| parsed(event).ok());
    let kind = event.as_ref().map_or("other", |event| event.kind().name());
    let outcome = match result {
        Ok(Outcome::Recorded { latest: true, .. }) => "recorded",
        Ok(Outcome::Recorded { latest: false, .. }) => "late",
        Ok(Outcome::NotOurs { .. }) => "notOurs",
        Err(_) => "failed",
    };
    let mut others = Vec::new();
    if let (Some(event), Ok(Outcome::Recorded { .. })) = (&event, result) {
        let age = now.saturating_sub(event.at).max(0);
        others.push(("EventAge", Unit::Milliseconds, age as f64));
        // A metric costs by the hours in which it is told, and these are rarely
        // anything but zero.
        let rare = [
            ("UnknownEventFields", event.unknown_fields.len()),
            ("UnreadEventFields", event.unread_fields.len()),
            ("UnknownEventStatuses", usize::from(!event.status.known)),
        ];
        let counted = rare.into_iter().filter(|(_, count)| *count > 0);
        others.extend(counted.map(|(name, count)| (name, Unit::Count, count as f64)));
    }
    Metrics::new(stack, now)
        .with(
            &[("Kind", kind), ("Outcome", outcome)],
            &[("Events", Unit::Count, 1.0)],
        )
        .with(&[], &others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::record::RecordId;
    use serde_json::{Value, json};

    fn of(event: &Value, result: &Result<Outcome, HandlerError>, now: i64) -> Value {
        let event = crate::envelope::received(event.clone()).ok();
        super::of("p", event.as_ref(), result, now).to_json()
    }

    fn step(status: &str) -> Value {
        json!({
            "source": "aws.sagemaker", "time": 1_714_978_800_000_i64,
            "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
            "detail": {
                "stepName": "train", "currentStepStatus": status, "novel": 1,
                "pipelineExecutionArn": "arn:aws:sagemaker:r:1:pipeline/p/execution/x",
            },
        })
    }

    fn recorded(latest: bool) -> Result<Outcome, HandlerError> {
        let id = RecordId::new("run-1").unwrap();
        Ok(Outcome::Recorded { id, latest })
    }

    #[test]
    fn a_recorded_event_has_kind_outcome_age_and_what_was_unknown() {
        let line = of(&step("Novel"), &recorded(true), 1_714_978_801_500);
        assert_eq!(
            (&line["Kind"], &line["Outcome"]),
            (&json!("step"), &json!("recorded"))
        );
        assert_eq!(
            (&line["Events"], &line["EventAge"]),
            (&json!(1.0), &json!(1500.0))
        );
        assert_eq!(line["UnknownEventFields"], json!(1.0));
        assert_eq!(line["UnknownEventStatuses"], json!(1.0));
        let known = of(&step("Failed"), &recorded(false), 0);
        assert_eq!(known["Outcome"], "late");
        assert!(known.get("UnknownEventStatuses").is_none(), "zeros cost");
        assert_eq!(known["EventAge"], json!(0.0), "never negative");
    }

    #[test]
    fn what_is_not_recorded_is_counted_only() {
        let why = "elsewhere".to_owned();
        let line = of(&step("Failed"), &Ok(Outcome::NotOurs { why }), 5);
        assert_eq!(line["Outcome"], "notOurs");
        assert!(line.get("EventAge").is_none());
        let failure = Err(HandlerError::Lookup("broken".into()));
        let line = of(&json!(null), &failure, 5);
        assert_eq!(
            (&line["Kind"], &line["Outcome"]),
            (&json!("other"), &json!("failed"))
        );
    }
}
