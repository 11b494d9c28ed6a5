//! Lost events against a model of SageMaker: what it answers at a moment is its
//! latest change up to then.

use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::record::{Beyond, History, Item, RecordId, RecordUpdate, history, writes};

const ARN: &str = "arn:aws:sagemaker:eu-west-1:1:pipeline/p/execution/abc";
const T0: i64 = 1_714_978_800_000;

fn arn() -> ExecutionArn {
    ExecutionArn::parse(ARN).unwrap()
}

/// One execution's items.
#[derive(Debug, Clone, Default, PartialEq)]
struct Items {
    record: Option<Item>,
    changes: BTreeMap<String, ChangeRow>,
}

impl Items {
    fn fold(&mut self, event: &Event) {
        for write in both_writes(event) {
            self.make(&write);
        }
    }

    fn make(&mut self, write: &Write) {
        match write {
            Write::Update(update) => {
                if let Ok(after) = update.apply(self.record.as_ref()) {
                    self.record = Some(after);
                }
            }
            Write::Put(change) => {
                self.changes.insert(change.entry.clone(), change.clone());
            }
        }
    }

    fn history(&self) -> History {
        let changes: Vec<Item> = self.changes.values().map(ChangeRow::item).collect();
        history("run-1", changes.iter().chain(&self.record))
    }

    fn told(&self) -> Told<'_> {
        Told::of(self.changes.values())
    }

    fn of_record(&self, name: &str) -> Option<&str> {
        self.record.as_ref()?.get(name)?.as_str()
    }
}

/// One of an event's two writes.
#[derive(Debug, Clone)]
enum Write {
    Update(RecordUpdate),
    Put(ChangeRow),
}

fn both_writes(event: &Event) -> [Write; 2] {
    let id = RecordId::new("run-1").unwrap();
    let beyond = Beyond {
        execution: Some(arn()),
        ..Beyond::default()
    };
    let writes = writes(event, &id, &beyond);
    [Write::Update(writes.update), Write::Put(writes.change)]
}

fn compare(
    told: &Told,
    ask: impl FnOnce(Comparison<'_>) -> Result<Option<Event>, EventError>,
) -> Option<Event> {
    let arn = arn();
    ask(Comparison {
        arn: &arn,
        told,
        settled_before: i64::MAX,
    })
    .unwrap()
}

fn true_event(family: &str, at: i64, detail: Value) -> Event {
    Event::parse(&json!({
        "source": "aws.sagemaker", "time": at, "detail": detail,
        "detail-type": format!("SageMaker {family} Change"),
    }))
    .unwrap()
}

fn execution_event(at: i64, status: &str) -> Event {
    let detail = json!({"currentPipelineExecutionStatus": status, "pipelineExecutionArn": ARN});
    true_event("Model Building Pipeline Execution Status", at, detail)
}

fn execution_state(at: i64, status: &str) -> ExecutionState {
    ExecutionState {
        status: status.to_owned(),
        created_at: Some(T0),
        modified_at: Some(at),
        ..ExecutionState::default()
    }
}

#[test]
fn a_lost_end_is_written_at_sagemakers_moment_and_marked() {
    let mut items = Items::default();
    items.fold(&execution_event(T0, "Executing"));
    let mut state = execution_state(T0 + 60_789, "Failed");
    state.failure_reason = Some("Step failure".to_owned());
    let event = compare(&items.told(), |ask| ask.execution(&state)).unwrap();
    items.fold(&event);
    let history = items.history();
    assert_eq!(history.status.as_deref(), Some("Failed"));
    assert_eq!(history.failure_reason.as_deref(), Some("Step failure"));
    assert_eq!(history.started_at, Some(T0));
    assert_eq!(history.ended_at, Some(T0 + 60_789));
    let change = history.changes.last().unwrap();
    assert_eq!((change.at, change.reconciled), (T0 + 60_000, true));
    assert_eq!(items.of_record("phase"), Some("ended#2024-05-06"));
}

#[test]
fn what_the_items_tell_already_is_not_written() {
    let mut items = Items::default();
    items.fold(&execution_event(T0 + 2000, "Succeeded"));
    for at in [0, 1999, 2000, 100_000] {
        let state = execution_state(T0 + at, "Succeeded");
        assert_eq!(compare(&items.told(), |ask| ask.execution(&state)), None);
    }
}

#[test]
fn an_answer_older_than_the_items_changes_nothing() {
    let mut items = Items::default();
    items.fold(&execution_event(T0 + 5000, "Failed"));
    let state = execution_state(T0 + 1000, "Executing");
    assert_eq!(compare(&items.told(), |ask| ask.execution(&state)), None);
    let retried = execution_state(T0 + 9000, "Executing");
    assert!(compare(&items.told(), |ask| ask.execution(&retried)).is_some());
}

/// A change that is younger than five minutes is left to its event.
#[test]
fn a_change_whose_event_may_be_under_way_is_left_to_it() {
    let arn = arn();
    let ask = |settled_before| {
        let told = Told::default();
        let comparison = Comparison {
            arn: &arn,
            told: &told,
            settled_before,
        };
        let state = execution_state(T0 + 500, "Executing");
        comparison.execution(&state).unwrap()
    };
    assert_eq!(ask(T0 + 499), None);
    assert!(ask(T0 + 500).is_some());
}

#[test]
fn a_step_that_follows_the_last_one_told_is_not_lost_behind_its_stamp() {
    // Its Starting was stamped after the start that SageMaker tells.
    let mut items = Items::default();
    let detail = json!({
        "stepName": "train", "stepType": "Training", "currentStepStatus": "Starting",
        "pipelineExecutionArn": ARN, "stepStartTime": T0,
    });
    let family = "Model Building Pipeline Execution Step Status";
    items.fold(&true_event(family, T0 + 2000, detail));
    let state = StepState {
        name: "train".to_owned(),
        status: "Executing".to_owned(),
        started_at: Some(T0),
        ..StepState::default()
    };
    let event = compare(&items.told(), |ask| ask.step(&state)).unwrap();
    assert_eq!(event.at, T0 + 2000);
    items.fold(&event);
    let step = &items.history().steps[0];
    assert_eq!(step.status, "Executing");
    assert_eq!(step.step_type.as_deref(), Some("Training"), "as told");
}

#[test]
fn of_two_ends_in_one_second_the_one_that_was_told_stays() {
    let mut items = Items::default();
    let detail = json!({
        "stepName": "train", "stepType": "Training", "currentStepStatus": "Failed",
        "pipelineExecutionArn": ARN, "stepStartTime": T0,
    });
    let family = "Model Building Pipeline Execution Step Status";
    items.fold(&true_event(family, T0 + 2000, detail));
    let state = |ended_at| StepState {
        name: "train".to_owned(),
        status: "Succeeded".to_owned(),
        started_at: Some(T0),
        ended_at: Some(ended_at),
        ..StepState::default()
    };
    for (ended_at, status) in [(T0 + 2999, "Failed"), (T0 + 3000, "Succeeded")] {
        if let Some(event) = compare(&items.told(), |ask| ask.step(&state(ended_at))) {
            items.fold(&event);
        }
        assert_eq!(items.history().steps[0].status, status);
    }
}

#[test]
fn a_lost_step_keeps_its_reason_its_job_and_its_sources() {
    let mut items = Items::default();
    let state = StepState {
        name: "model".to_owned(),
        status: "Failed".to_owned(),
        started_at: Some(T0),
        ended_at: Some(T0 + 4000),
        failure_reason: Some("no capacity".to_owned()),
        made: Some(Made {
            kind: StepKind::Model,
            arn: "arn:m".to_owned(),
        }),
        cache_hit_arn: Some("arn:other".to_owned()),
        selection_arn: Some("arn:chosen".to_owned()),
    };
    items.fold(&compare(&items.told(), |ask| ask.step(&state)).unwrap());
    let history = items.history();
    let step = &history.steps[0];
    assert_eq!(step.reason.as_deref(), Some("no capacity"));
    assert_eq!(step.resource_arn.as_deref(), Some("arn:m"));
    assert_eq!(step.cache_hit_arn.as_deref(), Some("arn:other"));
    assert_eq!(step.selection_arn.as_deref(), Some("arn:chosen"));
    assert_eq!(step.step_type.as_deref(), Some("Model"));
    assert_eq!(items.of_record("modelStepArn"), Some("arn:m"));
}

#[test]
fn models_packages_and_endpoints_are_mended_too() {
    let mut items = Items::default();
    let model = |found| ModelState {
        name: "Model-x".to_owned(),
        arn: "arn:aws:sagemaker:r:1:model/model-x".to_owned(),
        found,
    };
    assert_eq!(
        compare(&items.told(), |ask| ask.model(&model(None))),
        None,
        "what never was told and is not there"
    );
    let found = ModelFound {
        data_url: Some("s3://b/m".to_owned()),
        created_at: Some(T0 + 10),
        ..ModelFound::default()
    };
    let created = compare(&items.told(), |ask| ask.model(&model(Some(found.clone())))).unwrap();
    items.fold(&created);
    assert_eq!(items.of_record("modelStatus"), Some("Created"));
    assert_eq!(items.of_record("modelDataUrl"), Some("s3://b/m"));
    assert_eq!(
        compare(&items.told(), |ask| ask.model(&model(Some(found)))),
        None
    );
    items.fold(&compare(&items.told(), |ask| ask.model(&model(None))).unwrap());
    assert_eq!(items.of_record("modelStatus"), Some("Deleted"));
    assert_eq!(compare(&items.told(), |ask| ask.model(&model(None))), None);

    let package = |approval: &str, modified: Option<i64>| PackageState {
        arn: "arn:package/3".to_owned(),
        version: Some(3),
        status: "Completed".to_owned(),
        approval_status: Some(approval.to_owned()),
        created_at: Some(T0),
        modified_at: modified,
        ..PackageState::default()
    };
    for state in [
        package("PendingManualApproval", None),
        package("Approved", Some(T0 + 9)),
    ] {
        items.fold(&compare(&items.told(), |ask| ask.package(&state)).unwrap());
        assert_eq!(
            items.of_record("approvalStatus"),
            state.approval_status.as_deref()
        );
        assert_eq!(compare(&items.told(), |ask| ask.package(&state)), None);
    }

    let endpoint = |found| EndpointState {
        name: "Forecast".to_owned(),
        found,
    };
    assert_eq!(
        compare(&items.told(), |ask| ask.endpoint(&endpoint(None))),
        None
    );
    let found = EndpointFound {
        status: "InService".to_owned(),
        created_at: Some(T0),
        modified_at: Some(T0 + 5000),
        ..EndpointFound::default()
    };
    items.fold(&compare(&items.told(), |ask| ask.endpoint(&endpoint(Some(found)))).unwrap());
    assert_eq!(
        items.told().status(Kind::Endpoint, "FORECAST"),
        Some("InService")
    );
    items.fold(&compare(&items.told(), |ask| ask.endpoint(&endpoint(None))).unwrap());
    assert_eq!(items.of_record("endpointStatus"), Some("Deleted"));
    assert!(
        items
            .history()
            .changes
            .iter()
            .all(|change| change.reconciled)
    );
}

/// A change as it happened.
#[derive(Debug, Clone)]
struct Happened {
    step: bool,
    /// To the millisecond.
    at: i64,
    status: &'static str,
    started_at: i64,
    event: Event,
}

/// The course of an execution and one step of it: pauses (ms) between changes,
/// how much later (s) each event is stamped, and how often the step is retried.
fn course(pauses: &[i64], stamps: &[i64], retries: usize) -> Vec<Happened> {
    let mut plan = vec![(false, "Executing")];
    for attempt in 0..=retries {
        plan.extend([(true, "Starting"), (true, "Executing")]);
        plan.push((
            true,
            if attempt == retries {
                "Succeeded"
            } else {
                "Failed"
            },
        ));
    }
    plan.push((false, "Stopping"));
    plan.push((false, "Stopped"));
    let (mut now, mut started_at) = (T0, T0);
    let mut stamped: BTreeMap<bool, i64> = BTreeMap::new();
    let mut happened = Vec::new();
    for (place, (step, status)) in plan.into_iter().enumerate() {
        // A retry takes longer than events are stamped late; all else may fall
        // into one second.
        let least = if status == "Starting" { 4000 } else { 0 };
        now += least + pauses[place % pauses.len()];
        if status == "Starting" {
            started_at = now;
        }
        let started_at = if step { started_at } else { T0 };
        let second = now - now.rem_euclid(1000) + stamps[place % stamps.len()] * 1000;
        // What is stamped in another order than it happened is so without any
        // reconciliation as well.
        let second = second.max(stamped.get(&step).copied().unwrap_or_default());
        stamped.insert(step, second);
        let event = if step {
            let detail = json!({
                "stepName": "model", "stepType": "Model", "currentStepStatus": status,
                "pipelineExecutionArn": ARN, "stepStartTime": started_at - started_at % 1000,
                "metadata": if status == "Succeeded" { json!({"model": {"arn": "arn:m"}}) } else { json!({}) },
            });
            true_event(
                "Model Building Pipeline Execution Step Status",
                second,
                detail,
            )
        } else {
            execution_event(second, status)
        };
        happened.push(Happened {
            step,
            at: now,
            status,
            started_at,
            event,
        });
    }
    happened
}

/// Reads the items, asks SageMaker as it is after `asked_at` changes, and
/// writes what is missing; gives the number of changes written.
fn reconcile(items: &mut Items, happened: &[Happened], asked_at: usize) -> usize {
    let events = missing(&items.told(), &happened[..asked_at]);
    for event in &events {
        items.fold(event);
    }
    events.len()
}

/// What is missing among the items read, when SageMaker is asked after all that
/// has `happened`.
fn missing(told: &Told, happened: &[Happened]) -> Vec<Event> {
    let latest = |step| happened.iter().rev().find(|change| change.step == step);
    let mut events = Vec::new();
    if let Some(change) = latest(false) {
        let state = execution_state(change.at, change.status);
        events.extend(compare(told, |ask| ask.execution(&state)));
    }
    if let Some(change) = latest(true) {
        let state = StepState {
            name: "model".to_owned(),
            status: change.status.to_owned(),
            started_at: Some(change.started_at),
            ended_at: is_final(change.status).then_some(change.at),
            made: (change.status == "Succeeded").then(|| Made {
                kind: StepKind::Model,
                arn: "arn:m".to_owned(),
            }),
            ..StepState::default()
        };
        events.extend(compare(told, |ask| ask.step(&state)));
    }
    events
}

/// Somebody at work: who records an event, or who reconciles.
#[derive(Debug, Clone)]
enum Worker {
    /// Has these writes still to make, one after the other.
    Writing(VecDeque<Write>),
    /// Has read the items and will ask.
    Asking(Vec<ChangeRow>),
}

/// Lets one of the workers take its next step after what has `happened`, and go
/// home if it was the last.
fn step_on(items: &mut Items, workers: &mut Vec<Worker>, place: usize, happened: &[Happened]) {
    let worker = &mut workers[place];
    match worker {
        Worker::Asking(changes) => {
            let events = missing(&Told::of(changes.iter()), happened);
            *worker = Worker::Writing(events.iter().flat_map(both_writes).collect());
        }
        Worker::Writing(writes) => {
            if let Some(write) = writes.pop_front() {
                items.make(&write);
            }
        }
    }
    if matches!(worker, Worker::Writing(writes) if writes.is_empty()) {
        workers.swap_remove(place);
    }
}

fn seen(history: &History) -> Vec<(Kind, &str, i64)> {
    let change = |change: &'_ crate::record::history::Change| (change.kind, change.at);
    history
        .changes
        .iter()
        .map(|one| (change(one).0, one.status.as_str(), change(one).1))
        .collect()
}

/// What the items are, when every event has arrived after all.
fn all_told(items: &mut Items, happened: &[Happened], first: usize) {
    let mut late: Vec<&Happened> = happened.iter().collect();
    late.rotate_left(first);
    for change in late {
        items.fold(&change.event);
    }
}

/// Whether the items are what the events alone made, whatever was reconciled.
fn as_told_alone(items: &Items, expected: &Items) -> Result<(), TestCaseError> {
    prop_assert_eq!(&items.record, &expected.record);
    let (history, expected) = (items.history(), expected.history());
    prop_assert_eq!(seen(&history), seen(&expected));
    prop_assert_eq!(&history.steps, &expected.steps);
    prop_assert!(history.changes.iter().all(|change| !change.reconciled));
    Ok(())
}

/// As many cases as the other property tests of records have.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PIPEWRIGHT_CASES").ok();
    ProptestConfig::with_cases(asked.and_then(|cases| cases.parse().ok()).unwrap_or(500))
}

proptest! {
    #![proptest_config(cases())]

    /// The one that records events and the one that reconciles, at the same time, write
    /// by write, whichever of them stops in the middle: when the events have all
    /// arrived, the record is what they alone would have made it.
    #[test]
    fn reconciling_between_the_writes_of_events_changes_nothing_in_the_end(
        pauses in prop::collection::vec(0_i64..9000, 1..10),
        stamps in prop::collection::vec(0_i64..4, 1..6),
        retries in 0_usize..3,
        // Who begins, or goes on, or stops for good.
        turns in prop::collection::vec((0_u8..10, any::<prop::sample::Index>()), 0..120),
        first in any::<prop::sample::Index>(),
    ) {
        let happened = course(&pauses, &stamps, retries);
        let mut expected = Items::default();
        all_told(&mut expected, &happened, 0);

        let mut items = Items::default();
        let mut workers: Vec<Worker> = Vec::new();
        let mut now = 0;
        for (turn, whom) in turns {
            match turn {
                // Time goes on.
                0 | 1 => now = (now + 1).min(happened.len()),
                // An event arrives, perhaps not for the first time.
                2 | 3 if now > 0 => {
                    let event = &happened[whom.index(now)].event;
                    workers.push(Worker::Writing(both_writes(event).into()));
                }
                // Housekeeping begins.
                4 => workers.push(Worker::Asking(items.changes.values().cloned().collect())),
                // Somebody's process dies.
                5 if !workers.is_empty() => drop(workers.swap_remove(whom.index(workers.len()))),
                _ if !workers.is_empty() => {
                    let place = whom.index(workers.len());
                    step_on(&mut items, &mut workers, place, &happened[..now]);
                }
                _ => {}
            }
        }
        while !workers.is_empty() {
            let place = first.index(workers.len());
            step_on(&mut items, &mut workers, place, &happened);
        }

        all_told(&mut items, &happened, first.index(happened.len()));
        as_told_alone(&items, &expected)?;
    }

    /// Whenever a record was reconciled, in whatever order, how late and how
    /// often its true events come after all: it is then what they alone would
    /// have made it, and nothing shown is marked.
    #[test]
    fn whatever_was_reconciled_the_true_events_win_when_they_come(
        pauses in prop::collection::vec(0_i64..9000, 1..10),
        stamps in prop::collection::vec(0_i64..4, 1..6),
        retries in 0_usize..3,
        delays in prop::collection::vec(0_usize..12, 1..10),
        runs in prop::collection::vec((0_usize..14, 0_usize..3), 0..6),
        lost in prop::collection::vec(any::<bool>(), 1..10),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let happened = course(&pauses, &stamps, retries);
        let mut expected = Items::default();
        for change in &happened {
            expected.fold(&change.event);
        }

        // Each event arrives some changes after its own, or is lost; in between
        // the record is reconciled, with an answer as of then or later.
        let mut items = Items::default();
        let mut asked_at = 0;
        let is_lost = |place: usize| lost[place % lost.len()];
        for now in 1..=happened.len() {
            for (place, change) in happened.iter().enumerate().take(now) {
                if place + delays[place % delays.len()] + 1 == now && !is_lost(place) {
                    items.fold(&change.event);
                }
            }
            for (_, later) in runs.iter().filter(|(at, _)| *at == now) {
                // What an earlier run wrote it had asked before.
                asked_at = (now + later).min(happened.len()).max(asked_at);
                reconcile(&mut items, &happened, asked_at);
            }
        }
        let behind = items.clone();

        // The next run mends what is still known, and the one after it has
        // nothing to do.
        reconcile(&mut items, &happened, happened.len());
        let history = items.history();
        prop_assert_eq!(history.status.as_deref(), Some("Stopped"));
        prop_assert_eq!(history.steps[0].status.as_str(), "Succeeded");
        prop_assert_eq!(items.of_record("modelStepArn"), Some("arn:m"));
        let mended = items.clone();
        prop_assert_eq!(reconcile(&mut items, &happened, happened.len()), 0);
        prop_assert_eq!(&items, &mended);

        // A run that is cut short between any of its writes leaves it to the next.
        let mut again = behind;
        reconcile(&mut again, &happened, happened.len());
        prop_assert_eq!(&again, &mended);

        // All events come after all, in any order.
        all_told(&mut items, &happened, shuffle.index(happened.len()));
        as_told_alone(&items, &expected)?;
    }
}
