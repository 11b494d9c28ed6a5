//! What EventBridge hands to the function.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use pipewright::record::{Event, EventError, moment};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Reads what came in. EventBridge's own events are read as they are. What SageMaker's documents
/// show besides is read as well: a `time` that is a number of epoch milliseconds, or its text. What
/// lacks a source, a type or a detail is an event of nothing that is followed, and let go.
///
/// # Errors
/// When a member has another type than EventBridge gives it.
pub(crate) fn received(mut payload: Value) -> Result<EventBridgeEvent, serde_json::Error> {
    let Some(members) = payload.as_object_mut() else {
        return Ok(EventBridgeEvent::default());
    };
    for (name, absent) in [
        ("source", json!("")),
        ("detail-type", json!("")),
        ("detail", Value::Null),
    ] {
        members.entry(name).or_insert(absent);
    }
    if let Some(time) = members.get_mut("time")
        && let Ok(Some(millis)) = moment::read(time)
        && let Some(text) = iso(millis)
    {
        *time = text.into();
    }
    EventBridgeEvent::deserialize(payload)
}

fn iso(millis: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    moment.ok()?.format(&Rfc3339).ok()
}

/// What the record makes of an event.
///
/// # Errors
/// As [`Event::parse`].
pub(crate) fn parsed(event: &EventBridgeEvent) -> Result<Event, EventError> {
    let time = serde_json::to_value(event.time).unwrap_or_default();
    Event::of(&event.source, &event.detail_type, &time, &event.detail)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn fixtures() -> Vec<(PathBuf, Value)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let cases = fs::read_dir(root.join("events")).unwrap();
        let cases = cases.map(|case| case.unwrap().path().join("event.json"));
        let sent = fs::read_dir(root.join("pipeline-events")).unwrap();
        let sent = sent.map(|file| file.unwrap().path());
        let read = |path: PathBuf| {
            let event = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, event)
        };
        cases.chain(sent).map(read).collect()
    }

    #[test]
    fn every_fixture_is_an_event_of_eventbridge_but_for_the_form_of_its_time() {
        let fixtures = fixtures();
        assert!(fixtures.len() > 30, "{}", fixtures.len());
        for (path, fixture) in fixtures {
            let strict = EventBridgeEvent::<Value>::deserialize(&fixture);
            // The crate reads ISO 8601 alone. SageMaker's documents show endpoints' events with the
            // text of epoch milliseconds, as which they must not be lost.
            let is_iso = fixture["time"]
                .as_str()
                .is_some_and(|time| time.contains('T'));
            assert_eq!(strict.is_ok(), is_iso, "{}", path.display());
            let event = received(fixture.clone()).unwrap();
            assert_eq!(parsed(&event), Event::parse(&fixture), "{}", path.display());
        }
    }

    #[test]
    fn what_is_not_an_event_is_let_go_and_what_cannot_be_read_is_an_error() {
        for other in [json!(null), json!([]), json!({"source": "aws.s3"})] {
            let event = received(other).unwrap();
            assert!(matches!(
                parsed(&event),
                Err(EventError::NotFollowed { .. })
            ));
        }
        assert!(received(json!({"time": "noon"})).is_err());
        assert!(received(json!({"resources": [1]})).is_err());
    }
}
