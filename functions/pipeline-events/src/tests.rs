//! The handler against a world in memory: whose an event is, and that the
//! items are a function of the set of events, whatever happens to them.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use aws_lambda_events::eventbridge::EventBridgeEvent;
use pipewright::arn::Home;
use pipewright::record::training::MetricState;
use pipewright::record::whose::PIPELINE_TAG;
use pipewright::record::{EndpointRow, Item, TrainingState};
use pipewright_aws::dynamodb::memory::{Fate, Memory, let_others_go_first};
use pipewright_aws::sagemaker::Origin;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::envelope::received;
use crate::handler::{Handler, HandlerError, Ours, Outcome};
use crate::ports::{Failure, Questions};

const PIPELINE: &str = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/assets";
const OWN_ID: &str = "k3v9q0zt2m1a";

fn execution_arn() -> String {
    format!("{PIPELINE}/execution/{OWN_ID}")
}

/// The tables and SageMaker, in memory.
#[derive(Default)]
struct World {
    tables: Memory,
    /// Parameter `ExecutionId` by execution ARN.
    parameters: BTreeMap<String, String>,
    display_names: BTreeMap<String, String>,
    model_tags: BTreeMap<String, String>,
    package_ids: BTreeMap<String, String>,
    /// What made a package, by its ARN.
    package_origins: BTreeMap<String, String>,
    /// Tag `pipewright:pipeline` by a pipeline's ARN.
    pipeline_tags: BTreeMap<String, String>,
    /// Why an execution failed.
    failure_reason: Option<&'static str>,
    /// Training jobs by name; of any other one, `ended_training` is answered.
    trainings: BTreeMap<String, Option<TrainingState>>,
    /// Fates of questions about training jobs.
    training_fates: Mutex<VecDeque<Fate>>,
    broken: bool,
}

/// What SageMaker says of a training job, whose metric tells it from others.
fn ended_training(job: &str) -> TrainingState {
    TrainingState {
        arn: format!("arn:aws:sagemaker:eu-west-1:123456789012:training-job/{job}"),
        status: "Completed".to_owned(),
        started_at: Some(T0),
        ended_at: Some(T0 + 1000),
        metrics: vec![MetricState {
            name: format!("loss of {job}"),
            value: 0.1,
            at: Some(T0 + 900),
        }],
        ..TrainingState::default()
    }
}

impl World {
    fn answer(&self, map: &BTreeMap<String, String>, key: &str) -> Result<Option<String>, Failure> {
        match self.broken {
            true => Err("the world is broken".into()),
            false => Ok(map.get(key).cloned()),
        }
    }

    fn record(&self, id: &str) -> Item {
        let record = self.tables.record_of(id);
        record.unwrap_or_else(|| panic!("no record {id}"))
    }
}

impl Questions for &World {
    async fn execution_id(&self, execution_arn: &str) -> Result<Option<String>, Failure> {
        self.tables.log().push("ask");
        self.answer(&self.parameters, &execution_arn.to_lowercase())
    }

    async fn display_name(&self, execution_arn: &str) -> Result<Option<String>, Failure> {
        self.tables.log().push("ask");
        self.answer(&self.display_names, &execution_arn.to_lowercase())
    }

    async fn exists(&self, execution_arn: &str) -> Result<bool, Failure> {
        Ok(self.parameters.contains_key(execution_arn))
    }

    async fn failure_reason(&self, _: &str) -> Result<Option<String>, Failure> {
        Ok(self.failure_reason.map(str::to_owned))
    }

    async fn tag(&self, arn: &str, name: &str) -> Result<Option<String>, Failure> {
        if name == PIPELINE_TAG {
            self.tables.log().push("tags");
            return self.answer(&self.pipeline_tags, arn);
        }
        assert_eq!(name, "sagemaker:pipeline-execution-arn");
        self.answer(&self.model_tags, arn)
    }

    async fn package_origin(&self, package_arn: &str) -> Result<Option<Origin>, Failure> {
        Ok(Some(Origin {
            generated_by: self.answer(&self.package_origins, package_arn)?,
            execution_id: self.answer(&self.package_ids, package_arn)?,
        }))
    }

    async fn training(&self, job: &str) -> Result<Option<TrainingState>, Failure> {
        let_others_go_first().await;
        self.tables.log().push("ask");
        let fate = self.training_fates.lock().unwrap().pop_front();
        match (self.broken, fate) {
            (true, _) | (_, Some(Fate::Throttled | Fate::AnswerLost)) => Err("throttled".into()),
            (false, _) => Ok(match self.trainings.get(job) {
                Some(state) => state.clone(),
                None => Some(ended_training(job)),
            }),
        }
    }
}

type TestHandler<'a> = Handler<&'a Memory, &'a Memory, &'a World>;

fn handler(world: &World) -> TestHandler<'_> {
    let ours = Ours {
        prefix: "pipewright".to_owned(),
        pipelines: vec!["assets".to_owned()],
    };
    Handler::new(ours, &world.tables, &world.tables, world)
}

/// Where the function runs.
fn home() -> Home {
    Home::of("arn:aws:lambda:eu-west-1:123456789012:function:pipeline-events").unwrap()
}

/// Runs a future that only ever lets others go first.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// An event as the function reads it.
fn read(event: &Value) -> Result<EventBridgeEvent, HandlerError> {
    received(event.clone()).map_err(|error| HandlerError::Envelope(error.to_string()))
}

fn deliver(world: &World, event: &Value) -> Result<Outcome, HandlerError> {
    run(handler(world).handle(&home(), &read(event)?))
}

fn recorded_under(result: Result<Outcome, HandlerError>) -> (String, bool) {
    match result.unwrap() {
        Outcome::Recorded { id, latest } => (id.as_str().to_owned(), latest),
        Outcome::NotOurs { why } => panic!("not ours: {why}"),
    }
}

fn event(detail_type: &str, at: i64, detail: Value) -> Value {
    json!({
        "version": "0", "id": "e", "detail-type": detail_type, "source": "aws.sagemaker",
        "account": "123456789012", "time": at, "region": "eu-west-1", "resources": [],
        "detail": detail,
    })
}

const T0: i64 = 1_714_978_800_000;

fn execution(at: i64, status: &str, display_name: Option<&str>) -> Value {
    event(
        "SageMaker Model Building Pipeline Execution Status Change",
        T0 + at,
        json!({
            "pipelineExecutionDisplayName": display_name, "pipelineArn": PIPELINE,
            "pipelineExecutionArn": execution_arn(), "currentPipelineExecutionStatus": status,
        }),
    )
}

fn step(at: i64, name: &str, status: &str) -> Value {
    event(
        "SageMaker Model Building Pipeline Execution Step Status Change",
        T0 + at,
        json!({
            "stepName": name, "stepType": "Training", "currentStepStatus": status,
            "pipelineExecutionArn": execution_arn(),
        }),
    )
}

/// The event of a step that ran a training job.
fn trained(at: i64, name: &str, status: &str, job: &str) -> Value {
    let mut event = step(at, name, status);
    let arn = format!("arn:aws:sagemaker:eu-west-1:123456789012:training-job/{job}");
    event["detail"]["metadata"] = json!({"trainingJob": {"arn": arn}});
    event
}

const MODEL: &str = "arn:aws:sagemaker:eu-west-1:123456789012:model/pipelines-k3v9q0zt2m1a-model-x";
const PACKAGE: &str = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/assets/3";

fn model(at: i64, tags: Value) -> Value {
    let name = "pipelines-k3v9q0zt2m1a-Model-x";
    let detail = json!({"ModelName": name, "ModelArn": MODEL, "CreationTime": T0, "Tags": tags});
    event("SageMaker Model State Change", T0 + at, detail)
}

fn package(at: i64, approval: &str) -> Value {
    event(
        "SageMaker Model Package State Change",
        T0 + at,
        json!({
            "ModelPackageArn": PACKAGE, "ModelPackageGroupName": "Assets",
            "ModelPackageStatus": "Completed", "ModelApprovalStatus": approval,
        }),
    )
}

/// The event of the step that made the model.
fn made_model(at: i64) -> Value {
    let mut event = step(at, "create-model", "Succeeded");
    event["detail"]["stepType"] = "Model".into();
    event["detail"]["metadata"] = json!({"model": {"arn": MODEL}});
    event
}

/// The event of the step that registered the package.
fn made_package(at: i64) -> Value {
    let mut event = step(at, "register", "Succeeded");
    event["detail"]["stepType"] = "RegisterModel".into();
    event["detail"]["metadata"] = json!({"registerModel": {"arn": PACKAGE}});
    event
}

fn endpoint(at: i64, status: &str) -> Value {
    let detail = json!({"EndpointName": "forecast", "EndpointStatus": status});
    event("SageMaker Endpoint State Change", T0 + at, detail)
}

/// An execution that start-execution started as `run-1`.
fn started_by_us() -> World {
    let arn = execution_arn();
    let record = json!({"Id": "run-1", "entry": "record", "createdAt": T0, "templateId": "t"});
    let endpoint = EndpointRow {
        name: "forecast".to_owned(),
        execution: "run-1".to_owned(),
        ..EndpointRow::default()
    };
    let tables = Memory::default();
    tables.put(record.as_object().unwrap().clone());
    tables.endpoints().insert(endpoint.name.clone(), endpoint);
    World {
        tables,
        parameters: BTreeMap::from([(arn.clone(), "run-1".to_owned())]),
        display_names: BTreeMap::from([(arn.clone(), "run-1".to_owned())]),
        model_tags: BTreeMap::from([(MODEL.to_owned(), arn)]),
        package_ids: BTreeMap::from([(PACKAGE.to_owned(), "run-1".to_owned())]),
        failure_reason: Some("Step failure: one or multiple steps failed."),
        ..World::default()
    }
}

/// An execution's event is two writes and no read.
#[test]
fn an_executions_event_is_two_writes_and_no_read() {
    let world = started_by_us();
    let result = deliver(&world, &execution(1, "Executing", Some("run-1")));
    assert_eq!(recorded_under(result), ("run-1".to_owned(), true));
    assert_eq!(*world.tables.log(), ["update", "put"]);
}

/// A step's event asks SageMaker for its execution's id once, while the
/// process is warm.
#[test]
fn a_steps_event_asks_once_while_the_process_is_warm() {
    let world = started_by_us();
    let handler = handler(&world);
    for (at, status) in ["Starting", "Executing", "Succeeded"]
        .into_iter()
        .enumerate()
    {
        let at = i64::try_from(at).unwrap();
        recorded_under(run(
            handler.handle(&home(), &read(&step(at, "train", status)).unwrap())
        ));
    }
    let operations = world.tables.log();
    assert_eq!(operations[..3], ["ask", "update", "put"]);
    assert_eq!(operations.iter().filter(|name| **name == "ask").count(), 1);
    assert_eq!(operations.len(), 7);
}

/// The end of a step that ran a training job is a question and a write more.
#[test]
fn the_end_of_a_training_costs_a_question_and_a_write() {
    let world = started_by_us();
    deliver(&world, &trained(1, "train", "Executing", "job-1")).unwrap();
    assert_eq!(
        std::mem::take(&mut *world.tables.log()),
        ["ask", "update", "put"]
    );
    deliver(&world, &trained(2, "train", "Succeeded", "job-1")).unwrap();
    assert_eq!(*world.tables.log(), ["ask", "update", "put", "ask", "put"]);
}

/// The last metrics of a training job are in the record when its step has ended, of each attempt
/// those of its own job.
#[test]
fn a_trainings_metrics_are_in_the_record_when_its_step_has_ended() {
    let mut world = started_by_us();
    let reason = "AlgorithmError: first line\nsecond line, exit code: 1";
    let failed = TrainingState {
        status: "Failed".to_owned(),
        failure_reason: Some(reason.to_owned()),
        metrics: Vec::new(),
        ..ended_training("job-0")
    };
    world.trainings.insert("job-0".to_owned(), Some(failed));
    deliver(&world, &trained(1, "train", "Failed", "job-0")).unwrap();
    deliver(&world, &trained(2, "train", "Executing", "job-1")).unwrap();
    deliver(&world, &trained(3, "train", "Succeeded", "job-1")).unwrap();
    let history = world.tables.history("run-1");
    let [first, second] = &history.trainings[..] else {
        panic!("{:?}", history.trainings);
    };
    assert_eq!(first.reason.as_deref(), Some(reason));
    assert_eq!(second.step_name, "train");
    assert_eq!(second.metrics[0].name, "loss of job-1");
    assert_eq!(second.metrics[0].value.to_string(), "0.1");
    assert_eq!(second.metrics[0].at, Some(T0 + 900));
}

/// A training job that cannot be asked about loses no status: the event is written, and delivered
/// again for the metrics.
#[test]
fn a_training_that_cannot_be_asked_about_loses_no_status() {
    let world = World {
        training_fates: Mutex::new(VecDeque::from([Fate::Throttled])),
        ..started_by_us()
    };
    let event = trained(1, "train", "Failed", "job-1");
    let error = deliver(&world, &event).unwrap_err();
    assert_eq!(error.kind(), "TrainingNotRecorded");
    assert!(error.to_string().contains("job-1"), "{error}");
    let entries = |world: &World| -> Vec<String> {
        let items = world.tables.items();
        items.keys().map(|(_, entry)| entry.clone()).collect()
    };
    assert!(
        entries(&world)
            .iter()
            .any(|entry| entry.contains("#Failed#"))
    );
    assert!(!entries(&world).contains(&"training#job-1".to_owned()));
    recorded_under(deliver(&world, &event));
    assert!(entries(&world).contains(&"training#job-1".to_owned()));
}

/// A training job that SageMaker does not have, or not as ended, leaves its step's event recorded.
#[test]
fn a_training_that_is_not_there_or_has_not_ended_is_left_to_housekeeping() {
    let mut world = started_by_us();
    let stopping = TrainingState {
        status: "Stopping".to_owned(),
        ..ended_training("job-1")
    };
    world.trainings.insert("job-1".to_owned(), Some(stopping));
    world.trainings.insert("job-2".to_owned(), None);
    for job in ["job-1", "job-2"] {
        recorded_under(deliver(&world, &trained(1, job, "Stopped", job)));
    }
    // The record and two changes.
    assert_eq!(world.tables.items().len(), 3);
}

/// The worst case, an execution from elsewhere whose parameter and name are both other ones' ids,
/// is four updates, two questions and one put.
#[test]
fn the_worst_case_is_four_updates_two_questions_and_one_put() {
    let mut world = started_by_us();
    let taken = ["20240506-070000-000000aa", "20240506-070000-000000bb"];
    let other = json!({"arnKey": "other"}).as_object().unwrap().clone();
    *world.tables.items() = taken
        .map(|id| ((id.to_owned(), "record".to_owned()), other.clone()))
        .into();
    world
        .parameters
        .insert(execution_arn(), taken[0].to_owned());
    world
        .display_names
        .insert(execution_arn(), taken[1].to_owned());
    let result = deliver(&world, &step(1, "train", "Executing"));
    assert_eq!(recorded_under(result), (OWN_ID.to_owned(), true));
    let operations = world.tables.log();
    assert_eq!(
        *operations,
        ["ask", "update", "ask", "update", "update", "update", "put"]
    );
}

/// The event of a model or package that comes before its step's is three writes and a read; a
/// step that made one reads as well.
#[test]
fn what_a_step_made_costs_a_read_with_either_event() {
    let world = started_by_us();
    let tags = json!({"sagemaker:pipeline-execution-arn": execution_arn()});
    deliver(&world, &model(1, tags.clone())).unwrap();
    assert_eq!(
        std::mem::take(&mut *world.tables.log()),
        ["ask", "update", "put", "query"]
    );
    deliver(&world, &made_model(2)).unwrap();
    assert_eq!(
        std::mem::take(&mut *world.tables.log()),
        ["ask", "update", "put", "query", "update"]
    );
    assert_eq!(world.record("run-1")["modelArn"], Value::from(MODEL));
    deliver(&world, &model(3, tags)).unwrap();
    assert_eq!(*world.tables.log(), ["ask", "update", "put"]);
}

/// A late event adds to the history and changes nothing of the present
/// state.
#[test]
fn a_late_event_leaves_its_change_item_only() {
    let world = started_by_us();
    deliver(&world, &execution(5, "Succeeded", Some("run-1"))).unwrap();
    let result = deliver(&world, &execution(1, "Executing", Some("run-1")));
    assert_eq!(recorded_under(result), ("run-1".to_owned(), false));
    assert_eq!(
        world.record("run-1")["pipelineStatus"],
        Value::from("Succeeded")
    );
    assert_eq!(world.tables.items().len(), 3);
}

/// An execution that start-execution did not start goes by SageMaker's own id, whatever name and
/// parameter it was given.
#[test]
fn an_execution_started_elsewhere_goes_by_sagemakers_own_id() {
    for (parameter, name) in [
        (Some("by-hand"), Some("a-name")),
        (Some("by-hand"), None),
        (None, Some("a-name")),
        (None, Some("A name")),
        (None, None),
    ] {
        let mut world = World::default();
        let arn = execution_arn();
        world
            .parameters
            .extend(parameter.map(|id| (arn.clone(), id.to_owned())));
        world
            .display_names
            .extend(name.map(|name| (arn.clone(), name.to_owned())));
        for event in [
            execution(1, "Executing", name),
            execution(2, "Stopping", None),
            step(1, "train", "Starting"),
        ] {
            assert_eq!(recorded_under(deliver(&world, &event)).0, OWN_ID);
        }
        assert_eq!(
            world.record(OWN_ID)["pipelineStatus"],
            Value::from("Stopping")
        );
    }
}

/// An execution whose record was deleted keeps the id that start-execution made up for it.
#[test]
fn an_id_that_start_execution_made_up_is_used_without_its_record() {
    let id = "20261128-224951-a171ed4c";
    for (parameter, name) in [(Some(id), Some(id)), (None, Some(id)), (Some(id), None)] {
        let mut world = World::default();
        let arn = execution_arn();
        world
            .parameters
            .extend(parameter.map(|id| (arn.clone(), id.to_owned())));
        world
            .display_names
            .extend(name.map(|name| (arn.clone(), name.to_owned())));
        for event in [
            execution(1, "Executing", name),
            step(1, "train", "Starting"),
            execution(2, "Stopping", None),
        ] {
            assert_eq!(recorded_under(deliver(&world, &event)).0, id);
        }
    }
}

/// Executions started elsewhere under one display name have each their own record, in whatever
/// order their events come.
#[test]
fn a_shared_display_name_is_no_id() {
    let name = Some("PipelineExecutionViaLambda");
    let first = execution(1, "Succeeded", name);
    let mut second = execution(2, "Failed", name);
    let arn = execution_arn().replace(OWN_ID, "bbbbbbbbbbbb");
    second["detail"]["pipelineExecutionArn"] = arn.into();
    let items = |events: [&Value; 2]| {
        let world = World::default();
        for event in events {
            deliver(&world, event).unwrap();
        }
        world.tables.items().clone()
    };
    let ordered = items([&first, &second]);
    assert_eq!(items([&second, &first]), ordered);
    assert!(ordered.contains_key(&(OWN_ID.to_owned(), "record".to_owned())));
    assert!(ordered.contains_key(&("bbbbbbbbbbbb".to_owned(), "record".to_owned())));
}

/// The record of another execution is left alone, though the id be the
/// same.
#[test]
fn an_id_that_belongs_to_another_execution_is_left_alone() {
    let world = started_by_us();
    let claimed = json!({"Id": "run-1", "entry": "record", "arnKey": "arn:of:another"});
    let claimed = claimed.as_object().unwrap().clone();
    world.tables.put(claimed.clone());
    for event in [
        execution(1, "Executing", Some("run-1")),
        step(1, "train", "Starting"),
        model(
            2,
            json!({"sagemaker:pipeline-execution-arn": execution_arn()}),
        ),
    ] {
        assert_eq!(recorded_under(deliver(&world, &event)).0, OWN_ID);
    }
    assert_eq!(world.record("run-1"), claimed);
}

#[test]
fn a_failed_executions_reason_is_asked_for_and_a_retry_clears_it() {
    let world = started_by_us();
    deliver(&world, &execution(1, "Failed", Some("run-1"))).unwrap();
    let reason = world.record("run-1")["failureReason"].clone();
    assert_eq!(
        reason.as_str(),
        Some("Step failure: one or multiple steps failed.")
    );
    deliver(&world, &execution(2, "Executing", Some("run-1"))).unwrap();
    assert!(!world.record("run-1").contains_key("failureReason"));
}

#[test]
fn models_packages_and_endpoints_find_their_execution() {
    let world = started_by_us();
    for event in [made_model(1), made_package(1)] {
        deliver(&world, &event).unwrap();
    }
    let tags = json!({"sagemaker:pipeline-execution-arn": execution_arn().to_uppercase().replace(
        "ARN:AWS:SAGEMAKER:EU-WEST-1", "arn:aws:sagemaker:eu-west-1").replace("PIPELINE/", "pipeline/").replace("/EXECUTION/", "/execution/")});
    for event in [
        model(1, tags),
        model(2, Value::Null),
        package(3, "PendingManualApproval"),
        endpoint(4, "CREATING"),
    ] {
        assert_eq!(
            recorded_under(deliver(&world, &event)),
            ("run-1".to_owned(), true)
        );
    }
    let record = world.record("run-1");
    assert_eq!(record["modelStatus"], Value::from("Changed"));
    assert_eq!(
        record["approvalStatus"],
        Value::from("PendingManualApproval")
    );
    assert_eq!(record["endpointStatus"], Value::from("Creating"));
}

#[test]
fn a_deleted_model_is_found_by_the_execution_in_its_name() {
    let mut world = started_by_us();
    world.model_tags.clear();
    deliver(&world, &made_model(1)).unwrap();
    assert_eq!(
        recorded_under(deliver(&world, &model(2, json!({})))).0,
        "run-1"
    );
    assert_eq!(world.record("run-1")["modelStatus"], Value::from("Deleted"));
    world.parameters.clear();
    let outcome = deliver(&world, &model(2, json!({}))).unwrap();
    assert!(matches!(outcome, Outcome::NotOurs { .. }));
}

/// A model or package belongs to an execution if a step of that execution made it: a tag, or what
/// was written into a package's metadata, moves nothing in the record and is not shown.
#[test]
fn a_tag_alone_moves_nothing() {
    let tags = json!({"sagemaker:pipeline-execution-arn": execution_arn()});
    let mut tagged = model(5, tags.clone());
    let stranger = MODEL.replace("model-x", "stranger");
    tagged["detail"]["ModelName"] = "stranger".into();
    tagged["detail"]["ModelArn"] = stranger.clone().into();
    let mut registered = package(5, "Approved");
    registered["detail"]["ModelPackageArn"] = format!("{PACKAGE}0").into();
    registered["detail"]["CustomerMetadataProperties"] = json!({"ExecutionId": "run-1"});
    let mut generated = package(5, "Approved");
    generated["detail"]["ModelPackageArn"] = format!("{PACKAGE}1").into();
    generated["detail"]["MetadataProperties"] = json!({"GeneratedBy": execution_arn()});
    let own = [
        execution(0, "Executing", Some("run-1")),
        made_model(1),
        made_package(1),
        model(2, tags),
        package(2, "PendingManualApproval"),
        execution(3, "Succeeded", Some("run-1")),
    ];
    let record_of = |events: &[&Value]| {
        let world = started_by_us();
        for event in events {
            deliver(&world, event).unwrap();
        }
        let history = world.tables.history("run-1");
        (world.record("run-1"), history.resources)
    };
    let strangers = [&tagged, &registered, &generated];
    let own: Vec<&Value> = own.iter().collect();
    let expected = record_of(&own);
    assert_eq!(expected.0["modelArn"], Value::from(MODEL));
    assert_eq!(expected.0["modelPackageArn"], Value::from(PACKAGE));
    assert_eq!(expected.1.len(), 2);
    for place in 0..=own.len() {
        let mut events = own.clone();
        events.splice(place..place, strangers);
        assert_eq!(record_of(&events), expected, "at {place}");
    }
}

/// A package that names an execution which was not started makes no record, nor does a model.
#[test]
fn a_package_that_names_no_execution_makes_no_record() {
    let world = World::default();
    let mut by_hand = package(1, "Approved");
    by_hand["detail"]["CustomerMetadataProperties"] = json!({"ExecutionId": "made-up"});
    let tags = json!({"sagemaker:pipeline-execution-arn": execution_arn()});
    for event in [by_hand, model(1, tags)] {
        let outcome = deliver(&world, &event).unwrap();
        assert!(matches!(outcome, Outcome::NotOurs { .. }), "{outcome:?}");
    }
    assert!(world.tables.items().is_empty());
}

/// A package that names an execution from elsewhere by SageMaker's own id is recorded, whichever of their events
/// comes first.
#[test]
fn a_package_of_an_execution_from_elsewhere_is_recorded_in_any_order() {
    let arn = execution_arn();
    let own_id = arn.rsplit('/').next().unwrap();
    let mut package = package(2, "Approved");
    package["detail"]["CustomerMetadataProperties"] = json!({"ExecutionId": own_id});
    let execution = execution(1, "Executing", None);
    let world = || World {
        parameters: BTreeMap::from([(arn.clone(), own_id.to_owned())]),
        ..World::default()
    };
    let (ordered, shuffled) = (world(), world());
    deliver_all(&ordered, &[execution.clone(), package.clone()]);
    deliver_all(&shuffled, &[package, execution]);
    let ordered = ordered.tables.items().clone();
    assert!(
        ordered
            .keys()
            .any(|(_, entry)| entry.contains("#Completed#"))
    );
    assert_eq!(shuffled.tables.items().clone(), ordered);
}

/// Events of another account or region are not ours, nor is what lies there.
#[test]
fn an_event_of_another_account_or_region_is_not_ours() {
    let world = started_by_us();
    let before = world.tables.items().clone();
    let tags = json!({"sagemaker:pipeline-execution-arn": execution_arn()});
    for event in [
        execution(1, "Executing", Some("run-1")),
        step(1, "train", "Executing"),
        model(1, tags),
        package(1, "Approved"),
        endpoint(1, "IN_SERVICE"),
    ] {
        for (ours, theirs) in [("eu-west-1", "us-east-1"), ("123456789012", "210987654321")] {
            let mut copies = vec![event.to_string().replace(ours, theirs)];
            if event["detail"]["EndpointName"].is_null() {
                // Such an event, sent on by a bus of ours.
                let mut sent_on: Value = serde_json::from_str(&copies[0]).unwrap();
                for field in ["account", "region"] {
                    sent_on[field] = event[field].clone();
                }
                copies.push(sent_on.to_string());
            }
            for copy in copies {
                let outcome = deliver(&world, &serde_json::from_str(&copy).unwrap()).unwrap();
                assert!(matches!(outcome, Outcome::NotOurs { .. }), "{copy}");
            }
        }
    }
    // The tag of a model of ours may name an execution elsewhere.
    let tags = json!({"sagemaker:pipeline-execution-arn": execution_arn().replace("eu-", "us-")});
    let outcome = deliver(&world, &model(1, tags)).unwrap();
    assert!(matches!(outcome, Outcome::NotOurs { .. }));
    assert_eq!(*world.tables.items(), before);
}

/// The execution of another pipeline, and `event` as it would be of that one.
fn execution_of(pipeline: &str) -> String {
    execution_arn().replace("/assets/", &format!("/{pipeline}/"))
}

fn of_pipeline(pipeline: &str, event: &Value) -> Value {
    let text = event
        .to_string()
        .replace("/assets/", &format!("/{pipeline}/"));
    serde_json::from_str(&text).unwrap()
}

/// Whatever pipeline a rule brings events of, they are recorded as the shipped one's.
#[test]
fn events_of_any_pipeline_are_recorded_as_the_shipped_ones() {
    let events = [
        execution(1, "Executing", Some("run-1")),
        step(2, "train", "Starting"),
        made_model(3),
        made_package(3),
        model(
            4,
            json!({"sagemaker:pipeline-execution-arn": execution_arn()}),
        ),
        {
            let mut generated = package(5, "Approved");
            generated["detail"]["MetadataProperties"] = json!({"GeneratedBy": execution_arn()});
            generated
        },
        execution(6, "Succeeded", Some("run-1")),
    ];
    let items = |pipeline: &str| {
        let mut world = started_by_us();
        world
            .parameters
            .insert(execution_of(pipeline), "run-1".to_owned());
        for event in &events {
            deliver(&world, &of_pipeline(pipeline, event)).unwrap();
        }
        let items = world.tables.items().clone();
        let text = format!("{items:?}").replace(&format!("/{pipeline}/"), "/assets/");
        (
            items.keys().map(|(id, _)| id.clone()).collect::<Vec<_>>(),
            text,
        )
    };
    let (ids, of_another) = items("other");
    assert_eq!(ids, vec!["run-1"; events.len() + 1]);
    // Keys have digests of what the events say.
    let parts = |text: &str| text.matches("String(").count();
    assert_eq!(parts(&of_another), parts(&items("assets").1));
}

/// The model or package of an execution whose record is not there yet is kept if the pipeline has the
/// installation's tag, and is in the record in whatever order the events come; it is asked for once.
#[test]
fn a_pipelines_tag_says_whether_its_models_are_followed() {
    let mut generated = package(5, "Approved");
    generated["detail"]["MetadataProperties"] = json!({"GeneratedBy": execution_arn()});
    let events: Vec<Value> = [
        made_model(3),
        made_package(3),
        model(
            4,
            json!({"sagemaker:pipeline-execution-arn": execution_arn()}),
        ),
        generated,
        execution(6, "Succeeded", None),
    ]
    .iter()
    .map(|event| of_pipeline("other", event))
    .collect();
    let world = |prefix: &str| {
        let pipeline = PIPELINE.replace("/assets", "/other");
        World {
            parameters: BTreeMap::from([(execution_of("other"), "elsewhere".to_owned())]),
            pipeline_tags: BTreeMap::from([(pipeline, prefix.to_owned())]),
            ..World::default()
        }
    };
    let (ordered, shuffled) = (world("pipewright"), world("pipewright"));
    deliver_all(&ordered, &events);
    deliver_all(&shuffled, events.iter().rev());
    let asked = |world: &World| {
        let operations = world.tables.log();
        operations.iter().filter(|name| **name == "tags").count()
    };
    // Beside the record, the tag says nothing.
    assert_eq!((asked(&ordered), asked(&shuffled)), (0, 0));
    let first = world("pipewright");
    deliver_all(
        &first,
        [&events[3], &events[2], &events[1], &events[0], &events[4]],
    );
    assert_eq!(asked(&first), 1);
    let record = first.record(OWN_ID);
    assert_eq!(record["modelArn"], Value::from(MODEL));
    assert_eq!(record["approvalStatus"], Value::from("Approved"));
    let ordered = ordered.tables.items().clone();
    assert_eq!(shuffled.tables.items().clone(), ordered);
    assert_eq!(first.tables.items().clone(), ordered);

    let foreign = world("another");
    for event in &events[2..4] {
        let outcome = deliver(&foreign, event).unwrap();
        assert!(matches!(outcome, Outcome::NotOurs { .. }), "{outcome:?}");
    }
    assert!(foreign.tables.items().clone().is_empty());
}

/// What SageMaker no longer has is an answer: the event is recorded with what it says.
#[test]
fn an_event_of_an_execution_that_is_gone_is_recorded_with_what_it_says() {
    let mut world = started_by_us();
    let arn_key = json!({"Id": "run-1", "entry": "record", "arnKey": execution_arn()});
    let record = arn_key.as_object().unwrap().clone();
    world.tables.put(record);
    world.parameters.clear();
    world.display_names.clear();
    world.failure_reason = None;
    let result = deliver(&world, &execution(1, "Failed", Some("run-1")));
    assert_eq!(recorded_under(result), ("run-1".to_owned(), true));
    assert!(!world.record("run-1").contains_key("failureReason"));
    let result = deliver(&world, &step(1, "train", "Failed"));
    assert_eq!(recorded_under(result).0, OWN_ID);
}

/// An event of what is not ours writes nothing.
#[test]
fn what_is_not_ours_is_let_go_without_a_trace() {
    let mut world = started_by_us();
    world.model_tags.clear();
    world.tables.endpoints().clear();
    let before = world.tables.items().clone();
    // What is of a pipeline that is not followed, and names an execution that is there.
    let other = execution_of("other");
    world.parameters.insert(other.clone(), "run-2".to_owned());
    let other_model = model(1, json!({"sagemaker:pipeline-execution-arn": other}));
    let mut other_package = package(1, "Approved");
    other_package["detail"]["MetadataProperties"] = json!({"GeneratedBy": other});
    let mut without_execution = package(1, "Approved");
    without_execution["detail"]["ModelPackageArn"] = format!("{PACKAGE}9").into();
    let mut made_by_hand = model(1, Value::Null);
    made_by_hand["detail"]["ModelName"] = "by-hand".into();
    for event in [
        other_model,
        other_package,
        without_execution,
        made_by_hand,
        endpoint(1, "IN_SERVICE"),
        event("SageMaker Training Job State Change", 1, json!({})),
        json!({"source": "aws.s3"}),
        json!(null),
    ] {
        let outcome = deliver(&world, &event).unwrap();
        assert!(matches!(outcome, Outcome::NotOurs { .. }), "{event}");
    }
    assert_eq!(*world.tables.items(), before);
}

#[test]
fn an_event_of_ours_that_lacks_what_it_needs_is_an_error() {
    for (field, message) in [
        (
            "pipelineExecutionArn",
            "detail.pipelineExecutionArn is missing",
        ),
        ("stepName", "detail.stepName is missing"),
        ("currentStepStatus", "detail.currentStepStatus is missing"),
    ] {
        let mut event = step(1, "train", "Starting");
        event["detail"].as_object_mut().unwrap().shift_remove(field);
        let error = deliver(&started_by_us(), &event).unwrap_err();
        assert_eq!(error.kind(), "MalformedEvent");
        assert!(error.to_string().contains(message), "{error}");
    }
    let mut event = step(1, "train", "Starting");
    event["time"] = "noon".into();
    assert!(deliver(&started_by_us(), &event).is_err());
}

/// What could not be asked or written is an error, so that Lambda delivers
/// the event again.
#[test]
fn what_could_not_be_asked_or_written_is_an_error() {
    let mut world = started_by_us();
    world.broken = true;
    world.tables.fates().extend([Fate::Throttled; 9]);
    let write = deliver(&world, &execution(1, "Executing", Some("run-1"))).unwrap_err();
    assert_eq!(write.kind(), "WriteFailed");
    let lookup = deliver(&world, &step(1, "train", "Starting")).unwrap_err();
    assert_eq!(lookup.kind(), "LookupFailed");
    let lookup = deliver(&world, &endpoint(1, "IN_SERVICE")).unwrap_err();
    assert_eq!(lookup.kind(), "LookupFailed");
}

/// Any event of the execution, of any family, at one of a few moments so that
/// they often tie; `extra` makes another message of the same change.
fn any_event() -> impl Strategy<Value = Value> {
    let at = 0..6_i64;
    let extra = prop_oneof![3 => Just(None), 1 => (0..3_i64).prop_map(Some)];
    let execution_status = prop::sample::select(vec![
        "Executing",
        "Stopping",
        "Failed",
        "Succeeded",
        "Stopped",
        "Odd",
    ]);
    let step_status = prop::sample::select(vec![
        "Starting",
        "Executing",
        "Failed",
        "Succeeded",
        "Novel",
    ]);
    let step_type = prop::sample::select(vec!["Training", "Model", "RegisterModel"]);
    let spelled_lower = any::<bool>();
    prop_oneof![
        (at.clone(), execution_status, extra.clone()).prop_map(|(at, status, extra)| {
            with_extra(execution(at, status, Some("run-1")), extra)
        }),
        (
            at.clone(),
            0..3,
            step_status,
            step_type,
            extra.clone(),
            spelled_lower
        )
            .prop_map(|(at, name, status, step_type, extra, lower)| {
                let mut event = step(at, &format!("step-{name}"), status);
                event["detail"]["stepType"] = step_type.into();
                if status == "Succeeded" {
                    let made = match (step_type, name) {
                        ("Model", 0) => MODEL.to_owned(),
                        ("Model", 1) => MODEL.to_ascii_uppercase(),
                        ("RegisterModel", 0) => PACKAGE.to_owned(),
                        ("Training", _) => {
                            let jobs = "arn:aws:sagemaker:eu-west-1:123456789012:training-job";
                            format!("{jobs}/Step-{name}-job-{at}")
                        }
                        _ => format!("arn-{at}"),
                    };
                    event["detail"]["metadata"] = json!({"made": {"arn": made}});
                }
                if !lower {
                    let arn = execution_arn().replace("pipeline/assets", "pipeline/Assets");
                    event["detail"]["pipelineExecutionArn"] = arn.into();
                }
                with_extra(event, extra)
            }),
        (at.clone(), any::<bool>(), extra.clone()).prop_map(|(at, tagged, extra)| {
            let tags = match tagged {
                true => {
                    json!([{"Key": "sagemaker:pipeline-execution-arn", "Value": execution_arn()}])
                }
                false => Value::Null,
            };
            with_extra(model(at, tags), extra)
        }),
        (at.clone(), any::<bool>(), any::<bool>(), extra.clone()).prop_map(
            |(at, approved, generated_by, extra)| {
                let approval = if approved {
                    "Approved"
                } else {
                    "PendingManualApproval"
                };
                let mut event = package(at, approval);
                if generated_by {
                    event["detail"]["MetadataProperties"] = json!({"GeneratedBy": execution_arn()});
                }
                with_extra(event, extra)
            }
        ),
        (
            at,
            prop::sample::select(vec!["CREATING", "IN_SERVICE", "DELETING", "DELETED"]),
            extra
        )
            .prop_map(|(at, status, extra)| with_extra(endpoint(at, status), extra)),
    ]
}

fn with_extra(mut event: Value, extra: Option<i64>) -> Value {
    if let Some(extra) = extra {
        event["detail"]["somethingMore"] = extra.into();
    }
    event
}

/// Delivers events in turn, each until it is recorded, as Lambda would.
fn deliver_all<'a>(world: &World, events: impl IntoIterator<Item = &'a Value>) {
    let (handler, home) = (handler(world), home());
    for event in events {
        let event = read(event).unwrap();
        while run(handler.handle(&home, &event)).is_err() {}
    }
}

/// Delivers events all at once: `choices` say which of the deliveries under
/// way makes its next operation. A delivery that fails starts over.
fn deliver_interleaved(world: &World, events: &[Value], choices: &[usize]) {
    type Delivery<'a> = Pin<Box<dyn Future<Output = Result<Outcome, HandlerError>> + 'a>>;
    let (handler, home) = (handler(world), home());
    let events: Vec<EventBridgeEvent> = events.iter().map(|event| read(event).unwrap()).collect();
    let start = |event| -> Delivery<'_> { Box::pin(handler.handle(&home, event)) };
    let mut under_way: Vec<(&EventBridgeEvent, Delivery<'_>)> =
        events.iter().map(|event| (event, start(event))).collect();
    let mut choices = choices.iter().cycle();
    let mut context = Context::from_waker(Waker::noop());
    while !under_way.is_empty() {
        let place = choices.next().unwrap() % under_way.len();
        match under_way[place].1.as_mut().poll(&mut context) {
            Poll::Pending => {}
            Poll::Ready(Ok(_)) => drop(under_way.swap_remove(place)),
            Poll::Ready(Err(_)) => {
                let event = under_way[place].0;
                under_way[place].1 = start(event);
            }
        }
    }
}

fn any_fates() -> impl Strategy<Value = VecDeque<Fate>> {
    let fate =
        prop_oneof![4 => Just(Fate::Done), 1 => Just(Fate::Throttled), 1 => Just(Fate::AnswerLost)];
    prop::collection::vec(fate, 0..60).prop_map(VecDeque::from)
}

/// Whatever long texts an event has, its item fits into DynamoDB, and a cut is told.
#[test]
fn an_event_of_any_length_fits_into_an_item() {
    for long in [
        "failureReason",
        "stepDisplayName",
        "cacheHitResult",
        "unknown",
    ] {
        let mut event = step(1, "Train", "Failed");
        event["detail"][long] = "ü".repeat(125_000).into();
        let world = started_by_us();
        deliver_all(&world, &[event]);
        let items = world.tables.items();
        for item in items.values() {
            let json = serde_json::to_string(item).unwrap();
            assert!(json.len() < 409_600, "{long}: {}", json.len());
            let reason = item.get("reason").and_then(Value::as_str);
            if let (Some(reason), "failureReason") = (reason, long) {
                assert!(
                    reason.ends_with("… (cut; it has 250000 bytes)"),
                    "{}",
                    &reason[reason.len() - 60..]
                );
            }
        }
    }
}

/// Some hundreds of cases each; `PIPEWRIGHT_CASES` asks for more.
fn cases() -> ProptestConfig {
    let cases = std::env::var("PIPEWRIGHT_CASES").ok();
    ProptestConfig::with_cases(cases.and_then(|text| text.parse().ok()).unwrap_or(300))
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever the order of events, however often each comes, whichever writes
    /// come at the same time and whichever writer dies between two of them: the items are the
    /// same.
    #[test]
    fn any_order_repetition_interleaving_and_crash_leaves_the_same_items(
        events in prop::collection::vec(any_event(), 1..14),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        choices in prop::collection::vec(0_usize..16, 1..40),
        fates in any_fates(),
        training_fates in any_fates(),
        known in any::<bool>(),
    ) {
        // An execution that start-execution began, or one from elsewhere.
        let world = || {
            let world = started_by_us();
            if !known {
                world.tables.items().clear();
            }
            world
        };
        let expected = world();
        deliver_all(&expected, &events);
        let expected = expected.tables.items().clone();

        let mut deliveries: Vec<Value> = order.iter().map(|index| index.get(&events).clone()).collect();
        deliveries.extend(events.iter().rev().cloned());

        let one_by_one = World {
            training_fates: Mutex::new(training_fates.clone()),
            ..world()
        };
        *one_by_one.tables.fates() = fates.clone();
        deliver_all(&one_by_one, &deliveries);
        prop_assert_eq!(&one_by_one.tables.items().clone(), &expected);

        let at_once = World {
            training_fates: Mutex::new(training_fates),
            ..world()
        };
        *at_once.tables.fates() = fates;
        deliver_interleaved(&at_once, &deliveries, &choices);
        prop_assert_eq!(&at_once.tables.items().clone(), &expected);
    }

    /// What an update sets, sets where there is nothing, and removes are never the same attribute, which DynamoDB
    /// refuses.
    #[test]
    fn an_update_names_no_attribute_twice(event in any_event()) {
        let event = pipewright::record::Event::parse(&event).unwrap();
        let id = pipewright::record::RecordId::new("run-1").unwrap();
        let writes = pipewright::record::writes(&event, &id, &pipewright::record::Beyond::default());
        let update = writes.update;
        let set = update.set.keys().map(String::as_str);
        let absent = update.set_if_absent.keys().map(String::as_str);
        let named: Vec<&str> = set.chain(absent).chain(update.remove.iter().map(String::as_str)).collect();
        let once: std::collections::BTreeSet<&str> = named.iter().copied().collect();
        prop_assert_eq!(named.len(), once.len(), "{:?}", named);
    }

    #[test]
    fn the_record_shows_the_latest_event_of_each_family(
        events in prop::collection::vec(any_event(), 1..14),
    ) {
        let world = started_by_us();
        deliver_all(&world, &events);
        let record = world.record("run-1");
        let latest = events
            .iter()
            .map(|event| pipewright::record::Event::parse(event).unwrap())
            .filter(|event| event.kind() == pipewright::record::Kind::Execution)
            .max_by_key(|event| event.position());
        let status = latest.map(|event| Value::String(event.status.name));
        prop_assert_eq!(record.get("pipelineStatus"), status.as_ref());
        let items = world.tables.items();
        let changes = items.keys().filter(|(_, entry)| entry.starts_with("change#")).count();
        let distinct: std::collections::BTreeSet<String> = events.iter().map(Value::to_string).collect();
        prop_assert_eq!(changes, distinct.len());
    }
}
