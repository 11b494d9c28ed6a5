//! Housekeeping against a world in memory, whose listings have pages of two
//! rows.

use pipewright::definition::StepKind;
use pipewright::record::reconcile::{
    EndpointFound, ExecutionState, Made, ModelFound, PackageState, StepState,
};
use pipewright::record::training::MetricState;
use pipewright::record::{EndpointRow, History, Item, TrainingState};
use pipewright_aws::Page;
use pipewright_aws::dynamodb::memory::{Memory, page};
use pipewright_aws::sagemaker::ExecutionSummary;
use pipewright_aws::sagemaker::endpoints::{EndpointAnswer, ListedEndpoint};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::endpoints::{Kept, kept_anyway};
use crate::handler::Housekeeper;
use crate::plan::{Request, RunSettings, Unstarted, choose, unstarted};
use crate::ports::{Clock, Failure, Service, Usage};
use crate::report::RunReport;

const NOW: i64 = 1_714_978_800_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn arn(id: &str) -> String {
    format!("arn:aws:sagemaker:eu-west-1:123456789012:pipeline/assets/execution/{id}")
}

/// The tables, SageMaker and CloudWatch. What is named in `broken` fails.
#[derive(Default)]
struct World {
    tables: Memory,
    executions: BTreeMap<String, ExecutionState>,
    names: BTreeMap<String, String>,
    /// What the pipeline lists: ARN and display name.
    listed: Vec<(String, Option<String>)>,
    parameters: BTreeMap<String, String>,
    steps: BTreeMap<String, Vec<StepState>>,
    models: BTreeMap<String, ModelFound>,
    packages: BTreeMap<String, PackageState>,
    trainings: BTreeMap<String, TrainingState>,
    endpoints: RefCell<BTreeMap<String, EndpointAnswer>>,
    tags: BTreeMap<String, Vec<(String, String)>>,
    configs: RefCell<BTreeSet<String>>,
    invocations: BTreeMap<String, f64>,
    /// What passes between two looks at the clock.
    tick: i64,
    now: Cell<i64>,
}

impl World {
    fn check(&self, what: &str) -> Result<(), Failure> {
        match self.tables.broken().contains(what) {
            true => Err(format!("{what} is broken").into()),
            false => Ok(()),
        }
    }

    fn put_record(&self, json: &Value) {
        self.tables.put(json.as_object().unwrap().clone());
    }

    fn record(&self, id: &str) -> Item {
        self.tables.record_of(id).unwrap()
    }

    fn history(&self, id: &str) -> History {
        self.tables.history(id)
    }

    /// How often something was written.
    fn writes(&self) -> usize {
        let log = self.tables.log();
        log.iter().filter(|name| **name != "query").count()
    }
}

impl Service for &World {
    async fn execution(&self, arn: &str) -> Result<Option<ExecutionState>, Failure> {
        self.check(arn)?;
        Ok(self.executions.get(arn).cloned())
    }

    async fn steps(&self, arn: &str, from: Option<String>) -> Result<Page<StepState>, Failure> {
        Ok(page(
            self.steps.get(arn).into_iter().flatten().cloned(),
            from,
        ))
    }

    async fn executions_since(
        &self,
        pipeline: &str,
        since: i64,
        from: Option<String>,
    ) -> Result<Page<ExecutionSummary>, Failure> {
        assert_eq!(since, self.now.get() - self.tick - 7 * DAY);
        self.check(&format!("the list of {pipeline}"))?;
        let of_pipeline = format!(":pipeline/{pipeline}/");
        let rows = self
            .listed
            .iter()
            .filter(|(arn, _)| arn.contains(&of_pipeline))
            .map(|(arn, name)| ExecutionSummary {
                arn: arn.clone(),
                display_name: name.clone(),
            });
        Ok(page(rows, from))
    }

    async fn execution_id(&self, arn: &str) -> Result<Option<String>, Failure> {
        self.check(&format!("parameters of {arn}"))?;
        Ok(self.parameters.get(arn).cloned())
    }

    async fn find(
        &self,
        pipeline: &str,
        display_name: &str,
        _: i64,
    ) -> Result<Option<String>, Failure> {
        let of_pipeline = format!(":pipeline/{pipeline}/");
        let found = self.names.get(display_name).cloned();
        Ok(found.filter(|arn| arn.contains(&of_pipeline)))
    }

    async fn model(&self, name: &str) -> Result<Option<ModelFound>, Failure> {
        self.check(name)?;
        Ok(self.models.get(name).cloned())
    }

    async fn package(&self, arn: &str) -> Result<Option<PackageState>, Failure> {
        Ok(self.packages.get(arn).cloned())
    }

    async fn training(&self, job: &str) -> Result<Option<TrainingState>, Failure> {
        self.check(job)?;
        Ok(self.trainings.get(job).cloned())
    }

    async fn endpoint(&self, name: &str) -> Result<Option<EndpointAnswer>, Failure> {
        self.check(name)?;
        Ok(self.endpoints.borrow().get(name).cloned())
    }

    async fn endpoints(&self, from: Option<String>) -> Result<Page<ListedEndpoint>, Failure> {
        let endpoints = self.endpoints.borrow();
        let rows = endpoints.keys().map(|name| ListedEndpoint {
            name: name.clone(),
            arn: name.clone(),
        });
        Ok(page(rows, from))
    }

    async fn tags(
        &self,
        arn: &str,
        from: Option<String>,
    ) -> Result<Page<(String, String)>, Failure> {
        Ok(page(
            self.tags.get(arn).into_iter().flatten().cloned(),
            from,
        ))
    }

    async fn delete_endpoint(&self, name: &str) -> Result<(), Failure> {
        self.check(&format!("delete {name}"))?;
        self.endpoints.borrow_mut().remove(name).unwrap();
        Ok(())
    }

    async fn delete_config(&self, name: &str) -> Result<(), Failure> {
        assert!(self.configs.borrow_mut().remove(name), "no config {name}");
        Ok(())
    }
}

impl Usage for &World {
    async fn invocations(
        &self,
        endpoint: &str,
        variants: &[String],
        since: i64,
        until: i64,
    ) -> Result<f64, Failure> {
        self.check(&format!("metrics of {endpoint}"))?;
        assert_eq!(until - since, 24 * HOUR);
        assert!(!variants.is_empty());
        Ok(self.invocations.get(endpoint).copied().unwrap_or(0.0))
    }
}

impl Clock for &World {
    fn now(&self) -> i64 {
        let now = self.now.get().max(NOW);
        self.now.set(now + self.tick);
        now
    }
}

fn settings() -> RunSettings {
    RunSettings {
        prefix: "pipewright".to_owned(),
        shipped_pipeline: "assets".to_owned(),
        pipelines: vec!["named".to_owned(), "Assets".to_owned()],
        idle_after: 24 * HOUR,
        dry_run: false,
        delete_endpoints: true,
        endpoints_per_run: 5,
        executions_per_run: 100,
        grace: 5 * MINUTE,
    }
}

fn keep(world: &World, settings: &RunSettings) -> RunReport {
    let keeper = Housekeeper {
        records: &world.tables,
        registry: &world.tables,
        service: world,
        usage: world,
        clock: world,
    };
    let mut run = pin!(keeper.run(settings, NOW + 5 * MINUTE));
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(report) = run.as_mut().poll(&mut context) {
            return report;
        }
    }
}

fn ended(status: &str) -> ExecutionState {
    ExecutionState {
        status: status.to_owned(),
        created_at: Some(NOW - 3 * HOUR),
        modified_at: Some(NOW - 2 * HOUR),
        ..ExecutionState::default()
    }
}

fn started(id: &str) -> Value {
    json!({
        "Id": id, "entry": "record", "createdAt": NOW - 3 * HOUR, "phase": "open",
        "templateId": "t", "pipelineExecutionArn": arn(id), "arnKey": arn(id),
    })
}

fn step(name: &str, status: &str, made: Option<(StepKind, &str)>) -> StepState {
    StepState {
        name: name.to_owned(),
        status: status.to_owned(),
        started_at: Some(NOW - 3 * HOUR),
        ended_at: Some(NOW - 2 * HOUR),
        failure_reason: (status == "Failed").then(|| "no capacity".to_owned()),
        made: made.map(|(kind, arn)| Made {
            kind,
            arn: arn.to_owned(),
        }),
        cache_hit_arn: None,
        selection_arn: None,
    }
}

const JOB: &str = "arn:aws:sagemaker:r:1:training-job/job-1";

/// What SageMaker says of the training job of `all_lost`.
fn training(status: &str) -> TrainingState {
    TrainingState {
        arn: JOB.to_owned(),
        status: status.to_owned(),
        metrics: vec![MetricState {
            name: "loss".to_owned(),
            value: 0.5,
            at: Some(NOW - 2 * HOUR),
        }],
        ..TrainingState::default()
    }
}

/// An execution all of whose events went missing.
fn all_lost() -> World {
    let model = "arn:aws:sagemaker:r:1:model/m";
    let package = "arn:aws:sagemaker:r:1:model-package/g/3";
    let mut world = World::default();
    world.put_record(&started("run-1"));
    world.executions.insert(arn("run-1"), ended("Succeeded"));
    world.steps.insert(
        arn("run-1"),
        vec![
            step(
                "features",
                "Succeeded",
                Some((StepKind::Processing, "arn:p")),
            ),
            step("train", "Succeeded", Some((StepKind::Training, JOB))),
            step("model", "Succeeded", Some((StepKind::Model, model))),
            step(
                "register",
                "Succeeded",
                Some((StepKind::RegisterModel, package)),
            ),
            step("deploy", "Failed", None),
        ],
    );
    let found = ModelFound {
        created_at: Some(NOW - 2 * HOUR),
        ..ModelFound::default()
    };
    world.models.insert("m".to_owned(), found);
    world
        .trainings
        .insert("job-1".to_owned(), training("Completed"));
    world.packages.insert(
        package.to_owned(),
        PackageState {
            arn: package.to_owned(),
            status: "Completed".to_owned(),
            approval_status: Some("PendingManualApproval".to_owned()),
            created_at: Some(NOW - 2 * HOUR),
            ..PackageState::default()
        },
    );
    world
}

#[test]
fn every_kind_of_lost_event_is_mended_and_marked_across_pages() {
    let world = all_lost();
    let report = keep(&world, &settings());
    assert_eq!(report.failures, [""; 0]);
    assert_eq!(report.executions.reconciled.len(), 9);
    let history = world.history("run-1");
    assert_eq!(history.status.as_deref(), Some("Succeeded"));
    assert_eq!(history.steps.len(), 5, "three pages of steps");
    assert_eq!(history.steps[0].reason.as_deref(), Some("no capacity"));
    let kinds: BTreeSet<&str> = history
        .changes
        .iter()
        .map(|change| change.kind.name())
        .collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["execution", "model", "package", "step"]
    );
    assert!(history.changes.iter().all(|change| change.reconciled));
    assert_eq!(history.trainings[0].metrics[0].value, json!(0.5));
    assert_eq!(
        world.record("run-1")["phase"],
        Value::from("ended#2024-05-06")
    );
}

/// What a training job ended with is added where its step's event left it out, and only then.
#[test]
fn what_a_training_ended_with_is_added_where_it_is_missing() {
    let mut world = all_lost();
    keep(&world, &settings());
    let complete = world.tables.items().clone();
    let key = ("run-1".to_owned(), "training#job-1".to_owned());
    world.tables.items().remove(&key).unwrap();

    // SageMaker still stops it, or can't be asked, or has it no more.
    world
        .trainings
        .insert("job-1".to_owned(), training("Stopping"));
    assert_eq!(keep(&world, &settings()).executions.reconciled, [""; 0]);
    world.tables.broken().insert("job-1".to_owned());
    let report = keep(&world, &settings());
    assert_eq!(
        report.failures,
        ["execution run-1, training job job-1: job-1 is broken"]
    );
    world.tables.broken().clear();
    world.trainings.clear();
    assert_eq!(keep(&world, &settings()).executions.reconciled, [""; 0]);

    world
        .trainings
        .insert("job-1".to_owned(), training("Completed"));
    let report = keep(&world, &settings());
    assert_eq!(
        report.executions.reconciled,
        ["run-1: training job-1 Completed"]
    );
    assert_eq!(*world.tables.items(), complete);
}

#[test]
fn a_training_that_ended_just_now_is_left_to_its_event() {
    let mut world = all_lost();
    for step in world.steps.get_mut(&arn("run-1")).unwrap() {
        step.ended_at = Some(NOW - 4 * MINUTE);
    }
    let report = keep(&world, &settings());
    assert!(!report.executions.reconciled.is_empty());
    assert!(world.history("run-1").trainings.is_empty());
}

/// A second run writes nothing.
#[test]
fn a_second_run_writes_nothing() {
    let world = all_lost();
    keep(&world, &settings());
    let (items, writes) = (world.tables.items().clone(), world.writes());
    let report = keep(&world, &settings());
    assert_eq!(report.executions.looked_at, 1, "ended within a week");
    assert_eq!(report.executions.reconciled, [""; 0]);
    assert_eq!((&*world.tables.items(), world.writes()), (&items, writes));
}

/// A dry run writes and deletes nothing, and says what it would have.
#[test]
fn a_dry_run_writes_and_deletes_nothing_and_says_what_it_would_have() {
    let mut world = all_lost();
    add_endpoint(&mut world, "idle", 48);
    world.put_record(&json!({
        "Id": "unstarted", "entry": "record", "createdAt": NOW - 3 * HOUR, "phase": "open",
    }));
    let before = world.tables.items().clone();
    let dry = RunSettings {
        dry_run: true,
        ..settings()
    };
    let report = keep(&world, &dry);
    assert_eq!(report.executions.reconciled.len(), 9);
    assert_eq!(report.executions.not_started, ["unstarted"]);
    assert_eq!(report.endpoints.would_delete, ["idle"]);
    assert_eq!(report.endpoints.deleted, [""; 0]);
    assert_eq!(*world.tables.items(), before);
    assert_eq!(world.writes(), 0);
    assert_eq!(world.endpoints.borrow().len(), 1);
}

/// What fails stops nothing else, and makes the run an error in the end.
#[test]
fn what_fails_stops_nothing_else_and_makes_the_run_an_error_in_the_end() {
    let mut world = all_lost();
    for id in ["a-broken", "b-broken", "z-fine"] {
        world.put_record(&started(id));
        world.executions.insert(arn(id), ended("Failed"));
    }
    *world.tables.broken() = ["a-broken", "m", "ended#2024-05-01"]
        .map(str::to_owned)
        .into();
    world.tables.broken().insert(arn("b-broken"));
    add_endpoint(&mut world, "odd", 48);
    add_endpoint(&mut world, "unmeasured", 48);
    add_endpoint(&mut world, "zombie", 48);
    world
        .tables
        .broken()
        .extend(["odd", "metrics of unmeasured"].map(str::to_owned));
    let report = keep(&world, &settings());
    assert_eq!(world.history("z-fine").status.as_deref(), Some("Failed"));
    assert_eq!(world.history("run-1").status.as_deref(), Some("Succeeded"));
    assert_eq!(report.endpoints.deleted, ["zombie"]);
    assert_eq!(report.endpoints.failed, 2);
    assert!(world.endpoints.borrow().contains_key("unmeasured"));
    assert_eq!(report.failures.len(), 6);
    let error = report.error().unwrap();
    for what in [
        "a-broken",
        "b-broken",
        "model m",
        "ended#2024-05-01",
        "odd",
        "unmeasured",
    ] {
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn an_unfinished_start_is_found_by_its_name() {
    let mut world = World::default();
    world.put_record(&json!({
        "Id": "run-1", "entry": "record", "createdAt": NOW - 20 * MINUTE, "phase": "open",
        "startFailure": {"reason": "who knows", "at": NOW},
    }));
    world.names.insert("run-1".to_owned(), arn("run-1"));
    world.executions.insert(arn("run-1"), ended("Executing"));
    let report = keep(&world, &settings());
    assert_eq!(report.executions.found, ["run-1"]);
    let record = world.record("run-1");
    assert_eq!(record["arnKey"], Value::String(arn("run-1")));
    assert_eq!(record["pipelineStatus"], Value::from("Executing"));
    assert!(!record.contains_key("startFailure"));
    assert_eq!(report.executions.open, 1);
    assert_eq!(report.executions.oldest_open.as_deref(), Some("run-1"));
    assert_eq!(report.executions.oldest_open_seconds, 20 * 60);
}

#[test]
fn the_oldest_open_execution_is_named() {
    let mut world = World::default();
    let records = [("young", Some(5)), ("old", Some(30)), ("undated", None)];
    for (id, age) in records {
        let mut record = json!({
            "Id": id, "entry": "record", "phase": "open", "pipelineExecutionArn": arn(id),
        });
        if let Some(age) = age {
            record["createdAt"] = (NOW - age * MINUTE).into();
        }
        world.put_record(&record);
        world.executions.insert(arn(id), ended("Executing"));
    }
    let report = keep(&world, &settings());
    assert_eq!(report.executions.open, 3);
    assert_eq!(report.executions.oldest_open.as_deref(), Some("old"));
    assert_eq!(report.executions.oldest_open_seconds, 30 * 60);
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["executions"]["oldestOpen"], "old");
}

/// Executions of the pipeline that SageMaker lists, by SageMaker's own ids,
/// display names and parameters `ExecutionId`.
fn listed(world: &mut World, all: &[(&str, Option<&str>, Option<&str>)]) {
    for (own, name, parameter) in all {
        world.listed.push((arn(own), name.map(str::to_owned)));
        if let Some(parameter) = parameter {
            world.parameters.insert(arn(own), (*parameter).to_owned());
        }
        world
            .executions
            .entry(arn(own))
            .or_insert_with(|| ended("Succeeded"));
    }
}

/// Each under the id that its events would have found.
#[test]
fn an_execution_started_elsewhere_that_no_event_told_of_gets_a_record() {
    let mut world = World::default();
    world.put_record(&started("run-1"));
    listed(
        &mut world,
        &[
            ("run-1", Some("run-1"), Some("run-1")),
            ("own1", Some("by-hand"), Some("parameter")),
            ("own2", Some("named"), None),
            ("own3", None, None),
            ("own4", Some("not a record's id"), None),
            ("own5", Some("run-1"), None),
            ("own6", Some("20261128-224951-a171ed4c"), None),
        ],
    );
    let train = step("train", "Succeeded", None);
    world.steps.insert(arn("own1"), vec![train]);
    let report = keep(&world, &settings());
    assert_eq!(report.failures, [""; 0]);
    let generated = "20261128-224951-a171ed4c";
    let adopted = ["own1", "own2", "own3", "own4", "own5", generated];
    assert_eq!(report.executions.adopted, adopted);
    let history = world.history("own1");
    assert_eq!(history.status.as_deref(), Some("Succeeded"));
    assert_eq!(history.steps[0].name, "train");
    assert!(history.changes.iter().all(|change| change.reconciled));
    let record = world.record("own1");
    assert_eq!(record["arnKey"], Value::String(arn("own1")));
    assert_eq!(world.record("own5")["arnKey"], Value::String(arn("own5")));

    let writes = world.writes();
    let again = keep(&world, &settings());
    assert_eq!(again.executions.adopted, [""; 0]);
    assert_eq!(world.writes(), writes);
}

fn arn_of(pipeline: &str, id: &str) -> String {
    arn(id).replace("/assets/", &format!("/{pipeline}/"))
}

/// Executions that no event told of get their records if their pipeline is followed: the shipped one, those of
/// the parameter PipelineNames, and of those that have records the ones with the installation's tag.
#[test]
fn executions_of_every_followed_pipeline_are_found_and_of_no_other() {
    let mut world = World::default();
    for (pipeline, tag) in [
        ("named", None),
        ("tagged", Some("pipewright")),
        ("of-another", Some("pipewright-2")),
        ("untagged", None),
        ("unseen", Some("pipewright")),
    ] {
        let (known, lost) = (format!("known-{pipeline}"), format!("lost-{pipeline}"));
        if pipeline != "unseen" {
            let mut record = started(&known);
            let known = arn_of(pipeline, &known);
            record["pipelineExecutionArn"] = known.clone().into();
            record["arnKey"] = known.clone().into();
            world.put_record(&record);
            world.executions.insert(known, ended("Executing"));
        }
        let lost = arn_of(pipeline, &lost);
        world.listed.push((lost.clone(), None));
        world.executions.insert(lost.clone(), ended("Succeeded"));
        let (pipeline, _) = lost.split_once("/execution/").unwrap();
        let tag = tag.map(|tag| ("pipewright:pipeline".to_owned(), tag.to_owned()));
        world
            .tags
            .insert(pipeline.to_owned(), tag.into_iter().collect());
    }
    let report = keep(&world, &settings());
    assert_eq!(report.failures, [""; 0]);
    assert_eq!(report.executions.adopted, ["lost-named", "lost-tagged"]);
    // What has a record is mended, whether its pipeline is followed or not.
    for pipeline in ["named", "tagged", "of-another", "untagged"] {
        let status = world.history(&format!("known-{pipeline}")).status;
        assert_eq!(status.as_deref(), Some("Executing"), "{pipeline}");
    }
}

#[test]
fn an_unfinished_start_of_another_pipeline_is_found_there() {
    let mut world = World::default();
    world.put_record(&json!({
        "Id": "run-1", "entry": "record", "createdAt": NOW - 20 * MINUTE, "phase": "open",
        "pipelineName": "mine",
    }));
    let found = arn_of("mine", "run-1");
    world.names.insert("run-1".to_owned(), found.clone());
    world.executions.insert(found.clone(), ended("Executing"));
    let report = keep(&world, &settings());
    assert_eq!(report.executions.found, ["run-1"]);
    assert_eq!(world.record("run-1")["arnKey"], Value::String(found));
}

#[test]
fn a_record_that_somebody_deleted_does_not_come_back() {
    let mut world = World::default();
    listed(&mut world, &[("own", Some("deleted"), Some("deleted"))]);
    assert_eq!(keep(&world, &settings()).executions.adopted, [""; 0]);
    assert_eq!(world.writes(), 0);
}

#[test]
fn an_execution_whose_events_may_be_under_way_gets_no_record_yet() {
    let mut world = World::default();
    let young = ExecutionState {
        modified_at: Some(NOW - MINUTE),
        ..ended("Executing")
    };
    world.executions.insert(arn("own"), young);
    listed(&mut world, &[("own", None, None)]);
    let early = step("train", "Failed", None);
    world.steps.insert(arn("own"), vec![early]);
    assert_eq!(keep(&world, &settings()).executions.adopted, [""; 0]);
    assert_eq!(world.writes(), 0);
}

#[test]
fn what_fails_of_one_execution_started_elsewhere_stops_no_other() {
    let mut world = World::default();
    world.put_record(&started("run-1"));
    world.executions.insert(arn("run-1"), ended("Failed"));
    listed(
        &mut world,
        &[
            ("own1", None, None),
            ("own2", None, None),
            ("own3", None, None),
        ],
    );
    *world.tables.broken() = [format!("parameters of {}", arn("own2"))].into();
    let report = keep(&world, &settings());
    assert_eq!(report.executions.adopted, ["own1", "own3"]);
    assert!(report.error().unwrap().contains(&arn("own2")));

    // Nor does a pipeline whose executions can't be listed.
    *world.tables.broken() = ["the list of assets".to_owned()].into();
    let another = arn_of("named", "own4");
    world.listed.push((another.clone(), None));
    world.executions.insert(another, ended("Succeeded"));
    let report = keep(&world, &settings());
    assert_eq!(report.executions.adopted, ["own4"]);
    let error = report.error().unwrap();
    assert!(
        error.contains("the executions of pipeline assets"),
        "{error}"
    );
    assert_eq!(world.history("run-1").status.as_deref(), Some("Failed"));
}

#[test]
fn a_dry_run_adopts_nothing_and_says_whom_it_would_have() {
    let mut world = World::default();
    listed(&mut world, &[("own", None, None)]);
    let dry = RunSettings {
        dry_run: true,
        ..settings()
    };
    let report = keep(&world, &dry);
    assert_eq!(report.executions.adopted, ["own"]);
    assert_eq!(world.writes(), 0);
}

#[test]
fn a_record_without_execution_says_so_and_is_not_taken_for_open() {
    let world = World::default();
    world.put_record(&json!({
        "Id": "run-1", "entry": "record", "createdAt": NOW - 2 * HOUR, "phase": "open",
    }));
    let report = keep(&world, &settings());
    assert_eq!(report.executions.not_started, ["run-1"]);
    assert_eq!(report.executions.open, 0);
    assert_eq!(report.executions.oldest_open, None);
    assert_eq!(report.executions.oldest_open_seconds, 0);
    let failure = world.history("run-1").start_failure.unwrap();
    assert!(failure.reason.contains("call start-execution again"));
    assert_eq!(keep(&world, &settings()).executions.not_started, [""; 0]);
}

#[test]
fn without_an_arn_it_is_waited_searched_noted_and_left_in_turn() {
    let at = |age| unstarted(Some(NOW - age), false, NOW);
    assert_eq!(at(10 * MINUTE), Unstarted::Leave);
    assert_eq!(at(11 * MINUTE), Unstarted::Search { note: false });
    assert_eq!(at(61 * MINUTE), Unstarted::Search { note: true });
    assert_eq!(at(8 * DAY), Unstarted::Leave);
    let noted = unstarted(Some(NOW - 2 * HOUR), true, NOW);
    assert_eq!(noted, Unstarted::Search { note: false });
    assert_eq!(unstarted(None, false, NOW), Unstarted::Leave);
}

/// A run stops well before its deadline, and says what is left.
#[test]
fn a_run_stops_well_before_its_deadline_and_says_what_is_left() {
    let mut world = World::default();
    for place in 0..40 {
        let id = format!("run-{place}");
        world.put_record(&started(&id));
        world.executions.insert(arn(&id), ended("Executing"));
    }
    world.tick = 10_000;
    let report = keep(&world, &settings());
    let executions = &report.executions;
    assert!(
        executions.looked_at > 0 && executions.left > 0,
        "{executions:?}"
    );
    assert_eq!(executions.looked_at + executions.left, 40);
    assert_eq!(executions.open, 40, "also those left count");
}

/// What is more than a run can do is taken up by the next ones in turn.
#[test]
fn more_than_a_run_can_do_is_taken_up_in_turns_open_ones_first() {
    let ids = |prefix: &str, count| -> Vec<String> {
        (0..count).map(|place| format!("{prefix}{place}")).collect()
    };
    let (chosen, left) = choose(ids("o", 2), ids("e", 3), 10, NOW);
    assert_eq!((chosen.len(), left), (5, 0));
    assert_eq!(choose(ids("o", 4), ids("e", 3), 3, NOW).0.len(), 3);
    let mut seen = BTreeSet::new();
    for run in 0..4 {
        let (chosen, left) = choose(ids("o", 2), ids("e", 10), 5, NOW + run * 15 * MINUTE);
        assert_eq!((chosen.len(), left), (5, 7));
        assert_eq!(chosen[..2], ["o0", "o1"]);
        seen.extend(chosen);
    }
    assert_eq!(seen.len(), 12, "each had its turn");
}

/// An endpoint of ours in service, of an age in hours.
fn add_endpoint(world: &mut World, name: &str, hours: i64) {
    let mut tags: Vec<(String, String)> = ["a", "b"]
        .map(|key| (key.to_owned(), "x".to_owned()))
        .into();
    // On the second page.
    tags.push(("pipewright:stack".to_owned(), "pipewright".to_owned()));
    tags.push(("pipewright:execution".to_owned(), "served".to_owned()));
    world.tags.insert(name.to_owned(), tags);
    let entry = EndpointRow {
        name: name.to_owned(),
        execution: "served".to_owned(),
        ..EndpointRow::default()
    };
    world.tables.endpoints().insert(name.to_owned(), entry);
    let found = EndpointFound {
        status: "InService".to_owned(),
        created_at: Some(NOW - hours * HOUR),
        modified_at: Some(NOW - hours * HOUR),
        config_name: Some(format!("{name}-config")),
        ..EndpointFound::default()
    };
    world.endpoints.borrow_mut().insert(
        name.to_owned(),
        EndpointAnswer {
            found,
            variants: vec!["AllTraffic".to_owned()],
        },
    );
    world.configs.borrow_mut().insert(format!("{name}-config"));
}

fn change_endpoint(world: &World, name: &str, change: impl FnOnce(&mut EndpointAnswer)) {
    change(world.endpoints.borrow_mut().get_mut(name).unwrap());
}

/// An endpoint of ours that is in service, older than the limit and was not
/// invoked within it is deleted, and then its configuration.
#[test]
fn an_idle_endpoint_is_deleted_with_its_configuration() {
    let mut world = World::default();
    for name in [
        "busy", "idle-1", "idle-2", "kept", "making", "other", "young",
    ] {
        add_endpoint(&mut world, name, 48);
    }
    world.invocations.insert("busy".to_owned(), 1.0);
    change_endpoint(&world, "young", |endpoint| {
        endpoint.found.modified_at = Some(NOW - 23 * HOUR);
    });
    change_endpoint(&world, "making", |endpoint| {
        endpoint.found.status = "Creating".to_owned();
    });
    let keep_tag = ("pipewright:keep".to_owned(), String::new());
    world.tags.get_mut("kept").unwrap().push(keep_tag);
    world.tags.get_mut("other").unwrap()[2].1 = "another-stack".to_owned();
    let report = keep(&world, &settings());
    assert_eq!(report.endpoints.deleted, ["idle-1", "idle-2"]);
    let kept = BTreeMap::from([
        ("inUse", 1),
        ("notInService", 1),
        ("optedOut", 1),
        ("young", 1),
    ]);
    assert_eq!((report.endpoints.ours, report.endpoints.kept), (6, kept));
    let configs = world.configs.borrow();
    assert_eq!(configs.len(), 5);
    assert!(!configs.contains("idle-1-config"));
}

/// An endpoint is deleted only if the table of endpoints has it, for the execution that its tag
/// names.
#[test]
fn an_endpoint_that_is_only_tagged_as_ours_is_left_alone() {
    let mut world = World::default();
    for name in [
        "ours",
        "tagged-only",
        "of-another-execution",
        "no-execution",
    ] {
        add_endpoint(&mut world, name, 48);
    }
    world.tables.endpoints().remove("tagged-only");
    let mut registered = world.tables.endpoints();
    registered
        .get_mut("of-another-execution")
        .unwrap()
        .execution = "another".to_owned();
    drop(registered);
    world.tags.get_mut("no-execution").unwrap().pop();
    let report = keep(&world, &settings());
    assert_eq!(report.endpoints.deleted, ["ours"]);
    assert_eq!(report.endpoints.ours, 1);
    assert_eq!(
        report.endpoints.not_registered,
        ["no-execution", "of-another-execution", "tagged-only"]
    );

    // Nothing is deleted while the table can't be read.
    add_endpoint(&mut world, "ours", 48);
    world
        .tables
        .broken()
        .insert("the table of endpoints".to_owned());
    let report = keep(&world, &settings());
    assert!(report.error().unwrap().contains("the registered endpoints"));
    assert_eq!(report.endpoints.deleted, [""; 0]);
}

#[test]
fn a_tag_false_does_not_keep_an_endpoint_and_an_unknown_age_does() {
    let tags = |value: &str| BTreeMap::from([("pipewright:keep".to_owned(), value.to_owned())]);
    let mut endpoint = EndpointFound {
        status: "InService".to_owned(),
        created_at: Some(NOW - 48 * HOUR),
        ..EndpointFound::default()
    };
    let ask = |tags: &_, endpoint: &_| kept_anyway(tags, endpoint, 24 * HOUR, NOW);
    assert_eq!(ask(&tags("True"), &endpoint), Some(Kept::OptedOut));
    assert_eq!(ask(&tags("false"), &endpoint), None);
    endpoint.created_at = None;
    assert_eq!(ask(&tags("false"), &endpoint), Some(Kept::Young));
}

#[test]
fn a_run_deletes_so_many_endpoints_and_leaves_the_rest() {
    let mut world = World::default();
    for place in 0..7 {
        add_endpoint(&mut world, &format!("idle-{place}"), 48);
    }
    world.tables.broken().insert("delete idle-0".to_owned());
    let report = keep(&world, &settings());
    assert_eq!(
        report.endpoints.deleted.len(),
        5,
        "a failed one does not count"
    );
    assert_eq!(report.endpoints.left, 1);
    let only_report = RunSettings {
        delete_endpoints: false,
        ..settings()
    };
    let report = keep(&world, &only_report);
    assert_eq!(report.endpoints.would_delete, ["idle-0", "idle-6"]);
    assert_eq!(world.endpoints.borrow().len(), 2);
}

#[test]
fn a_configuration_that_another_endpoint_has_is_kept() {
    let mut world = World::default();
    add_endpoint(&mut world, "idle", 48);
    add_endpoint(&mut world, "young", 1);
    change_endpoint(&world, "young", |endpoint| {
        endpoint.found.config_name = Some("idle-config".to_owned());
    });
    assert_eq!(keep(&world, &settings()).endpoints.deleted, ["idle"]);
    assert!(world.configs.borrow().contains("idle-config"));
}

#[test]
fn what_a_record_says_of_an_endpoint_is_made_right_and_its_end_noted() {
    let mut world = World::default();
    world.put_record(&started("run-1"));
    add_endpoint(&mut world, "forecast", 1);
    for name in ["forecast", "planned", "old"] {
        let entry = EndpointRow {
            name: name.to_owned(),
            execution: "run-1".to_owned(),
            deleted_at: (name == "old").then_some(1),
            ..EndpointRow::default()
        };
        world.tables.endpoints().insert(name.to_owned(), entry);
    }
    world.invocations.insert("forecast".to_owned(), 1.0);
    keep(&world, &settings());
    assert_eq!(
        world.record("run-1")["endpointStatus"],
        Value::from("InService")
    );

    world.endpoints.borrow_mut().clear();
    let report = keep(&world, &settings());
    assert_eq!(report.executions.reconciled, ["run-1: endpoint Deleted"]);
    assert_eq!(
        world.record("run-1")["endpointStatus"],
        Value::from("Deleted")
    );
    let deleted: Vec<bool> = world
        .tables
        .endpoints()
        .values()
        .map(|entry| entry.deleted_at.is_some())
        .collect();
    assert_eq!(
        deleted,
        [true, true, false],
        "forecast, old; planned may come"
    );
    let report = keep(&world, &settings());
    assert_eq!(report.executions.reconciled, [""; 0]);
}

#[test]
fn a_request_may_ask_for_less_care_and_nothing_unknown() {
    let request = |json: Value| serde_json::from_value::<Request>(json);
    let asked = settings().asked(&request(json!({})).unwrap()).unwrap();
    assert_eq!(asked, settings());
    let asked = json!({
        "dryRun": true, "graceSeconds": 0, "executionsPerRun": 1, "idleEndpointHours": 1,
    });
    let asked = settings().asked(&request(asked).unwrap()).unwrap();
    assert!(asked.dry_run);
    assert_eq!(
        (asked.grace, asked.executions_per_run, asked.idle_after),
        (0, 1, HOUR)
    );
    assert!(request(json!({"dryrun": true})).is_err());
}

/// A caller may ask for no other idle time than the template's parameter takes.
#[test]
fn no_request_makes_an_endpoint_idle_sooner_than_the_template_may() {
    let template = include_str!("../../../template.yaml");
    let parameter = template.split("\n  IdleEndpointHours:\n").nth(1).unwrap();
    let limit = |name: &str| -> u16 {
        let line = parameter
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let asked = |hours: u16| {
        let request = json!({"idleEndpointHours": hours});
        settings().asked(&serde_json::from_value(request).unwrap())
    };
    let (least, most) = (limit("MinValue:"), limit("MaxValue:"));
    assert_eq!((least, most), (1, 720));
    for hours in [0, most + 1, u16::MAX] {
        let error = asked(hours).unwrap_err().to_string();
        assert!(error.contains("it must be 1 to 720"), "{error}");
    }
    for hours in [least, most] {
        assert_eq!(asked(hours).unwrap().idle_after, i64::from(hours) * HOUR);
    }
}

#[test]
fn a_runs_metrics_say_what_it_did() {
    let mut world = all_lost();
    world.put_record(&started("run-2"));
    world.executions.insert(arn("run-2"), ended("Executing"));
    add_endpoint(&mut world, "idle", 48);
    let report = keep(&world, &settings());
    let line = report.metrics("pipewright", NOW).to_json();
    assert_eq!(line["ChangesReconciled"], json!(10.0));
    assert_eq!(line["EndpointsDeleted"], json!(1.0));
    assert_eq!(line["OldestOpenExecutionAge"], json!(10_800.0));
    assert_eq!(line["OpenExecutions"], json!(1.0));
    assert!(line.get("HousekeepingFailures").is_none(), "zeros cost");
    let dry = RunReport {
        dry_run: true,
        ..report
    };
    assert!(
        dry.metrics("pipewright", NOW)
            .to_json()
            .get("EndpointsDeleted")
            .is_none()
    );
    let nothing = RunReport::default().metrics("pipewright", NOW).to_json();
    assert_eq!(nothing["OpenExecutions"], json!(0.0), "a sign of life");
    assert_eq!(nothing.as_object().unwrap().len(), 3);
}
