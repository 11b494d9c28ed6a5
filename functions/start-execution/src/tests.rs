//! The handler against a world in memory: what is started, and how often.

use pipewright::record::Item;
use pipewright_aws::dynamodb::TableError;
use pipewright_aws::dynamodb::memory::{Fate, Memory};
use pipewright_aws::sagemaker::Start;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::handler::{Answer, Handler, HandlerError, Ours};
use crate::ports::{Failure, Image, Pipeline, StartError, Templates};

const NOW: i64 = 1_714_978_800_000;

/// The tables and SageMaker, in memory. What SageMaker does has its fate as well.
#[derive(Default)]
struct World {
    templates: BTreeMap<String, Item>,
    tables: Memory,
    /// Executions by token; SageMaker answers a known token with its execution.
    executions: Mutex<BTreeMap<String, (Start, String)>>,
    /// Whether SageMaker has forgotten its tokens.
    tokens_forgotten: bool,
    refuses: Option<&'static str>,
    /// Whether the image is not pushed yet.
    image_missing: bool,
    /// The default instance type of the training, where it makes no use of a GPU.
    cpu_training: Option<&'static str>,
}

impl World {
    fn with_template() -> Self {
        Self {
            templates: BTreeMap::from([
                ("sample".to_owned(), template("sample")),
                ("other".to_owned(), template("other")),
            ]),
            ..Self::default()
        }
    }

    fn record(&self, id: &str) -> Option<Item> {
        self.tables.record_of(id)
    }

    fn started(&self) -> Vec<Start> {
        let executions = self.executions.lock().unwrap();
        executions
            .values()
            .map(|(start, _)| start.clone())
            .collect()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Item)) {
        let mut record = self.record(id).unwrap();
        change(&mut record);
        self.tables.put(record);
    }
}

impl Templates for &World {
    async fn template(&self, id: &str) -> Result<Option<Item>, TableError> {
        let found = || self.templates.get(id).cloned();
        self.tables.operation("get", id, found).await
    }
}

impl Image for &World {
    fn name(&self) -> String {
        "fe:4f0e".to_owned()
    }

    async fn exists(&self) -> Result<bool, Failure> {
        let is_there = || !self.image_missing;
        Ok(self.tables.operation("get", "image", is_there).await?)
    }
}

impl Pipeline for &World {
    async fn start(&self, start: &Start) -> Result<String, StartError> {
        if let Some(reason) = self.refuses {
            return Err(StartError::Refused(reason.into()));
        }
        let work = || {
            let mut executions = self.executions.lock().unwrap();
            let count = executions.len();
            let token = match self.tokens_forgotten {
                true => format!("{} {count}", start.client_request_token),
                false => start.client_request_token.clone(),
            };
            let (_, arn) = executions.entry(token).or_insert_with(|| {
                let arn = format!("arn:aws:sagemaker:r:1:pipeline/Assets/execution/run{count}");
                (start.clone(), arn)
            });
            arn.clone()
        };
        let started = self.tables.operation("update", "pipeline", work).await;
        started.map_err(|error| StartError::Unknown(error.into()))
    }

    async fn find(&self, start: &Start, since: i64) -> Result<Option<String>, Failure> {
        assert!(since < NOW);
        let work = || {
            let executions = self.executions.lock().unwrap();
            let found = executions
                .values()
                .find(|(known, _)| known.display_name == start.display_name);
            found.map(|(_, arn)| arn.clone())
        };
        Ok(self.tables.operation("get", "pipeline", work).await?)
    }
}

fn template(id: &str) -> Item {
    let document = json!({
        "Id": id, "predictedAsset": "JPM", "feMeta": {"baseAssets": "all"},
        "deepARMeta": {
            "freq": "1D", "predictionLength": 7, "contextLength": 28,
            "startDataset": 1_262_304_000_000_i64, "endTraining": 1_514_764_800_000_i64,
            "testWindows": 4, "hyperParams": {"epochs": 400, "learning_rate": 0.0005},
        },
    });
    document.as_object().unwrap().clone()
}

fn handler(world: &World) -> Handler<&World, &Memory, &World, &World> {
    let ours = Ours {
        pipeline: "assets".to_owned(),
        package_group: "assets".to_owned(),
        cpu_training: world.cpu_training.map(str::to_owned),
    };
    Handler::new(ours, world, &world.tables, vec![world], world)
}

fn call(world: &World, request: &Value) -> Result<Answer, HandlerError> {
    let handler = handler(world);
    let mut future = std::pin::pin!(handler.handle(request, NOW, 7));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
    }
}

fn request(id: &str) -> Value {
    json!({"templateId": "sample", "executionId": id})
}

/// The record keeps the template as it was at the start.
#[test]
fn a_start_freezes_the_template_and_sends_every_parameter() {
    let world = World::with_template();
    let answer = call(&world, &request("run-1")).unwrap();
    assert_eq!(answer.execution_id, "run-1");
    assert!(!answer.already_started);
    let record = world.record("run-1").unwrap();
    assert_eq!(record["parameters"], Value::Object(template("sample")));
    assert_eq!(record["createdAt"], Value::from(NOW));
    assert_eq!(
        record["pipelineExecutionArn"].as_str(),
        Some(answer.pipeline_execution_arn.as_str())
    );
    assert_eq!(
        record["arnKey"].as_str(),
        Some("arn:aws:sagemaker:r:1:pipeline/assets/execution/run0")
    );
    let start = &world.started()[0];
    assert_eq!(
        (start.pipeline.as_str(), start.display_name.as_str()),
        ("assets", "run-1")
    );
    assert_eq!(start.parameters["ExecutionId"], "run-1");
    assert_eq!(start.parameters["HyperParamLearningRate"], "0.0005");
    assert_eq!(start.parameters["HyperParamEarlyStoppingPatience"], "400");
    assert_eq!(start.parameters["ModelPackageGroupName"], "assets");
    let sent = serde_json::to_value(&start.parameters).unwrap();
    assert_eq!(record["pipelineParameters"], sent);
}

#[test]
fn without_an_id_a_new_one_is_made() {
    let world = World::with_template();
    let answer = call(&world, &json!({"templateId": "sample"})).unwrap();
    assert_eq!(answer.execution_id, "20240506-070000-00000007");
    assert!(world.record(&answer.execution_id).is_some());
}

#[test]
fn a_repeated_call_is_answered_from_the_record_even_without_the_template() {
    let mut world = World::with_template();
    let first = call(&world, &request("run-1")).unwrap();
    world.templates.clear();
    let second = call(&world, &request("run-1")).unwrap();
    assert_eq!(second.pipeline_execution_arn, first.pipeline_execution_arn);
    assert!(second.already_started);
    assert_eq!(world.started().len(), 1);
}

/// The same id with another template is a conflict.
#[test]
fn the_same_id_with_another_template_is_a_conflict() {
    let world = World::with_template();
    call(&world, &request("run-1")).unwrap();
    let other = json!({"templateId": "other", "executionId": "run-1"});
    let error = call(&world, &other).unwrap_err();
    assert_eq!(error.kind(), "Conflict");
    assert!(error.to_string().contains("template \"sample\""), "{error}");
}

#[test]
fn an_id_that_an_execution_from_elsewhere_has_is_a_conflict() {
    let world = World::with_template();
    let record = json!({"Id": "run-1", "entry": "record", "arnKey": "a"});
    world.tables.put(record.as_object().unwrap().clone());
    assert_eq!(
        call(&world, &request("run-1")).unwrap_err().kind(),
        "Conflict"
    );
    assert!(world.started().is_empty());
}

#[test]
fn a_call_that_died_before_its_arn_goes_on_with_frozen_parameters() {
    let mut world = World::with_template();
    call(&world, &request("run-1")).unwrap();
    world.change("run-1", |record| {
        record.remove("arnKey");
        record.remove("pipelineExecutionArn");
    });
    world.templates.clear();
    call(&world, &request("run-1")).unwrap();
    assert_eq!(world.started().len(), 1);
    assert!(world.record("run-1").unwrap().contains_key("arnKey"));
}

#[test]
fn long_after_an_execution_is_searched_by_name_before_a_new_start() {
    let mut world = World::with_template();
    call(&world, &request("run-1")).unwrap();
    world.tokens_forgotten = true;
    world.change("run-1", |record| {
        record.remove("arnKey");
        record.remove("pipelineExecutionArn");
        record.insert("createdAt".to_owned(), Value::from(NOW - 86_400_000));
    });
    let answer = call(&world, &request("run-1")).unwrap();
    assert!(answer.already_started);
    assert_eq!(world.started().len(), 1);
    // And where there is none, it is started after all.
    world.executions.lock().unwrap().clear();
    world.change("run-1", |record| {
        record.remove("arnKey");
        record.remove("pipelineExecutionArn");
    });
    assert!(!call(&world, &request("run-1")).unwrap().already_started);
    assert_eq!(world.started().len(), 1);
}

#[test]
fn what_sagemaker_refuses_is_noted_in_the_record_and_may_be_tried_again() {
    let mut world = World::with_template();
    world.refuses = Some("no such pipeline");
    let error = call(&world, &request("run-1")).unwrap_err();
    assert_eq!(error.kind(), "StartRefused");
    assert!(error.to_string().contains("no such pipeline"));
    let failure = world.record("run-1").unwrap()["startFailure"].clone();
    assert_eq!(
        failure.as_object().unwrap()["reason"].as_str(),
        Some("no such pipeline")
    );
    world.refuses = None;
    call(&world, &request("run-1")).unwrap();
    assert!(!world.record("run-1").unwrap().contains_key("startFailure"));
}

/// Nothing is started or recorded before the processing image is there.
#[test]
fn nothing_is_started_or_recorded_before_the_image_is_there() {
    let mut world = World::with_template();
    world.image_missing = true;
    let error = call(&world, &request("run-1")).unwrap_err();
    assert_eq!(error.kind(), "ImageMissing");
    assert!(error.to_string().contains("fe:4f0e"), "{error}");
    assert!(world.record("run-1").is_none());
    world.image_missing = false;
    call(&world, &request("run-1")).unwrap();
}

/// Nothing is started on an instance whose accelerator Pipewright's own image would not use, be it the template's or the default.
#[test]
fn an_accelerator_that_nothing_uses_is_refused() {
    let mut world = World::with_template();
    call(&world, &request("run-1")).unwrap();
    world.cpu_training = Some("ml.g5.xlarge");
    let error = call(&world, &request("run-2")).unwrap_err();
    assert_eq!(error.kind(), "InvalidTemplate");
    assert!(error.to_string().contains("ml.g5.xlarge"), "{error}");
    assert!(world.record("run-2").is_none());
    world.cpu_training = Some("ml.m5.xlarge");
    call(&world, &request("run-2")).unwrap();
    let template = world.templates.get_mut("sample").unwrap();
    template.insert("trainingInstanceType".to_owned(), json!("ml.p3.2xlarge"));
    call(&world, &request("run-3")).unwrap_err();
    world.cpu_training = None;
    call(&world, &request("run-3")).unwrap();
}

#[test]
fn what_a_call_left_is_not_started_without_the_image_either() {
    let mut world = World::with_template();
    world.refuses = Some("throttled for good");
    call(&world, &request("run-1")).unwrap_err();
    world.refuses = None;
    world.image_missing = true;
    let error = call(&world, &request("run-1")).unwrap_err();
    assert_eq!(error.kind(), "ImageMissing");
    assert!(world.started().is_empty());
}

#[test]
fn nothing_is_started_while_it_is_unknown_whether_the_image_is_there() {
    let world = World::with_template();
    // The operations in their order: the record's look-up, the template's, the image's.
    *world.tables.fates() = [Fate::Done, Fate::Done, Fate::Throttled].into();
    let error = call(&world, &request("run-1")).unwrap_err();
    assert_eq!(error.kind(), "ImageUnknown");
    assert!(world.record("run-1").is_none());
}

#[test]
fn an_execution_that_takes_the_id_meanwhile_is_a_conflict() {
    let world = World::with_template();
    let handler = handler(&world);
    let request = request("run-1");
    let mut call = std::pin::pin!(handler.handle(&request, NOW, 7));
    let mut context = Context::from_waker(Waker::noop());
    let error = loop {
        match call.as_mut().poll(&mut context) {
            Poll::Ready(answer) => break answer.unwrap_err(),
            Poll::Pending if world.record("run-1").is_some() => world.change("run-1", |record| {
                let other = "arn:aws:sagemaker:r:1:pipeline/assets/execution/else";
                record.insert("arnKey".to_owned(), Value::from(other));
            }),
            Poll::Pending => {}
        }
    };
    assert_eq!(error.kind(), "Conflict");
    assert!(error.to_string().contains("execution/else"), "{error}");
}

/// A bad request starts nothing and says what is wrong.
#[test]
fn bad_requests_start_nothing_and_say_what_is_wrong() {
    let mut world = World::with_template();
    let mut faulty = template("faulty");
    let Value::Object(deepar) = faulty.get_mut("deepARMeta").unwrap() else {
        panic!("deepARMeta is a map");
    };
    let hyper_params = json!({"epochs": 0, "likelihood": "poisson"});
    deepar.insert("hyperParams".to_owned(), hyper_params);
    world.templates.insert("faulty".to_owned(), faulty);
    for (request, kind, words) in [
        (json!({}), "InvalidRequest", vec!["templateId"]),
        (
            json!(["sample", null]),
            "InvalidRequest",
            vec!["an array", "a JSON object with templateId"],
        ),
        (json!(null), "InvalidRequest", vec!["is null"]),
        (
            json!({"templateId": "sample", "id": "x"}),
            "InvalidRequest",
            vec!["`id`"],
        ),
        (
            json!({"templateId": "none"}),
            "UnknownTemplate",
            vec!["\"none\""],
        ),
        (
            json!({"templateId": ""}),
            "InvalidTemplateId",
            vec!["0 bytes"],
        ),
        (
            json!({"templateId": "a".repeat(2_049)}),
            "InvalidTemplateId",
            vec!["2049 bytes"],
        ),
        (
            json!({"templateId": "sample", "executionId": "-a"}),
            "InvalidExecutionId",
            vec!["\"-a\""],
        ),
        (
            json!({"templateId": "faulty"}),
            "InvalidTemplate",
            vec!["epochs", "likelihood", "poisson"],
        ),
    ] {
        let error = call(&world, &request).unwrap_err();
        assert_eq!(error.kind(), kind);
        for word in words {
            assert!(error.to_string().contains(word), "{word} in {error}");
        }
    }
    assert!(world.started().is_empty());
    assert!(world.tables.items().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Up to ten calls with one id at once, whatever fails on the way, each
    /// repeated until it is answered, start one execution.
    #[test]
    fn calls_with_one_id_start_one_execution(
        calls in 1_usize..=10,
        choices in prop::collection::vec(0_usize..16, 1..60),
        fates in prop::collection::vec(
            prop_oneof![3 => Just(Fate::Done), 1 => Just(Fate::Throttled), 1 => Just(Fate::AnswerLost)],
            0..40,
        ),
    ) {
        let world = World::with_template();
        *world.tables.fates() = fates.into();
        let handler = handler(&world);
        let request = request("run-1");
        let start = || Box::pin(handler.handle(&request, NOW, 7));
        let mut under_way: Vec<_> = (0..calls).map(|_| start()).collect();
        let mut answers = Vec::new();
        let mut choices = choices.iter().cycle();
        let mut context = Context::from_waker(Waker::noop());
        while !under_way.is_empty() {
            let place = choices.next().unwrap() % under_way.len();
            match under_way[place].as_mut().poll(&mut context) {
                Poll::Pending => {}
                Poll::Ready(Ok(answer)) => {
                    answers.push(answer.pipeline_execution_arn);
                    drop(under_way.swap_remove(place));
                }
                Poll::Ready(Err(_)) => under_way[place] = start(),
            }
        }
        prop_assert_eq!(world.started().len(), 1);
        answers.dedup();
        prop_assert_eq!(answers.len(), 1);
    }
}
