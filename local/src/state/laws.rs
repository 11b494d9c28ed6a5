//! What holds for every execution, whatever happens around it and in whatever order.

use super::world::{TOKEN, World};
use super::{Effect, JobOrder, Runner};
use crate::event::Event;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A step of a generated definition: what kind, and which earlier steps it waits for.
#[derive(Debug, Clone)]
struct Sketch {
    kind: Kind,
    waits_for: Vec<Index>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Job,
    Function,
    /// A condition with one step on each side.
    Condition(bool),
    Fail,
}

/// What the world does next, when several things could happen.
#[derive(Debug, Clone)]
enum Turn {
    Succeed(Index),
    Fail(Index),
    Stop,
    Retry,
}

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let kind = prop_oneof![
        6 => Just(Kind::Job),
        2 => Just(Kind::Function),
        3 => any::<bool>().prop_map(Kind::Condition),
        1 => Just(Kind::Fail),
    ];
    let sketch = (kind, prop::collection::vec(any::<Index>(), 0..3))
        .prop_map(|(kind, waits_for)| Sketch { kind, waits_for });
    prop::collection::vec(sketch, 0..8)
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        20 => any::<Index>().prop_map(Turn::Succeed),
        2 => any::<Index>().prop_map(Turn::Fail),
        1 => Just(Turn::Stop),
        1 => Just(Turn::Retry),
    ];
    prop::collection::vec(turn, 0..40)
}

fn definition(sketches: &[Sketch]) -> Value {
    let step = |name: String, kind: Kind| match kind {
        Kind::Function => json!({"Name": name, "Type": "Lambda", "Arguments": {},
            "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f"}),
        Kind::Fail => json!({"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}),
        _ => json!({"Name": name, "Type": "Lineage", "Arguments": {}}),
    };
    let mut can_be_waited_for: Vec<String> = Vec::new();
    let mut steps = Vec::new();
    for (number, sketch) in sketches.iter().enumerate() {
        let name = format!("s{number}");
        let mut made = match sketch.kind {
            Kind::Condition(holds) => json!({"Name": name, "Type": "Condition", "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": holds, "RightValue": true}],
                "IfSteps": [step(format!("{name}-if"), Kind::Job)],
                "ElseSteps": [step(format!("{name}-else"), Kind::Job)]}}),
            kind => step(name.clone(), kind),
        };
        let waits_for: Vec<&String> = if can_be_waited_for.is_empty() {
            Vec::new()
        } else {
            sketch
                .waits_for
                .iter()
                .map(|index| index.get(&can_be_waited_for))
                .collect()
        };
        made["DependsOn"] = json!(waits_for);
        steps.push(made);
        if !matches!(sketch.kind, Kind::Fail) {
            can_be_waited_for.push(name);
        }
    }
    json!({"Version": "2020-12-01", "Parameters": [], "Steps": steps})
}

/// The statuses that may follow one, in the events of an execution or a step.
fn may_follow(previous: Option<&str>, current: &str) -> bool {
    match previous {
        None => ["Executing", "Starting"].contains(&current),
        Some("Starting") => ["Executing", "Succeeded", "Failed", "Stopping"].contains(&current),
        Some("Executing") => ["Succeeded", "Failed", "Stopping"].contains(&current),
        Some("Stopping") => ["Stopped", "Succeeded", "Failed"].contains(&current),
        // Only a retry goes on from an end.
        Some("Failed" | "Stopped") => ["Executing", "Starting"].contains(&current),
        _ => false,
    }
}

/// Each event continues the one before it of the same execution or step, and says so.
fn check_events(events: &[Event]) -> BTreeMap<String, String> {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for event in events {
        let text = |member: &str| event.detail.get(member).and_then(Value::as_str);
        let (name, current, previous) = if event.detail_type == Event::STEP {
            (
                text("stepName").unwrap(),
                text("currentStepStatus").unwrap(),
                text("previousStepStatus"),
            )
        } else {
            (
                "the execution",
                text("currentPipelineExecutionStatus").unwrap(),
                text("previousPipelineExecutionStatus"),
            )
        };
        let before = last.get(name).map(String::as_str);
        assert!(
            may_follow(before, current),
            "{name}: {before:?}, then {current}"
        );
        if current != "Starting" {
            assert_eq!(previous, before, "{name} is {current}");
        }
        last.insert(name.to_owned(), current.to_owned());
    }
    last
}

proptest! {
    /// An execution always ends, its events tell one story, and its end is what its steps say.
    #[test]
    fn every_execution_ends_and_its_events_tell_one_story(
        sketches in sketches(),
        turns in turns(),
        rest in any::<Index>(),
    ) {
        let mut world = World::new();
        let definition = definition(&sketches);
        world.call("CreatePipeline", json!({
            "PipelineName": "p", "ClientRequestToken": TOKEN,
            "RoleArn": "arn:aws:iam::123456789012:role/r",
            "PipelineDefinition": definition.to_string(),
        })).unwrap();
        let started = world.call("StartPipelineExecution", json!({
            "PipelineName": "p", "ClientRequestToken": TOKEN,
        })).unwrap();
        let arn = started["PipelineExecutionArn"].clone();
        let mut retries = 0;
        for turn in &turns {
            match turn {
                Turn::Succeed(which) => { world.happen(|most| which.index(most), true); }
                Turn::Fail(which) => { world.happen(|most| which.index(most), false); }
                Turn::Stop => {
                    world.call("StopPipelineExecution",
                        json!({"PipelineExecutionArn": arn, "ClientRequestToken": TOKEN}));
                }
                Turn::Retry => {
                    retries += 1;
                    world.call("RetryPipelineExecution", json!({"PipelineExecutionArn": arn,
                        "ClientRequestToken": format!("{TOKEN}{retries}")}));
                }
            }
        }
        let mut happened = 0;
        while world.happen(|most| rest.index(most), true) {
            happened += 1;
            prop_assert!(happened < 1000, "it never ends");
        }
        let last = check_events(&world.events);
        let status = &last["the execution"];
        let any = |wanted: &str| {
            last.iter().any(|(name, status)| name != "the execution" && status == wanted)
        };
        match status.as_str() {
            "Succeeded" => prop_assert!(!any("Failed") && !any("Stopped")),
            "Failed" => prop_assert!(any("Failed")),
            "Stopped" => {}
            other => prop_assert!(false, "it ended as {}", other),
        }
        for active in ["Starting", "Executing", "Stopping"] {
            prop_assert!(!any(active), "a step is still {}", active);
        }
        let described = world
            .call("DescribePipelineExecution", json!({"PipelineExecutionArn": arn}))
            .unwrap();
        prop_assert_eq!(&described["PipelineExecutionStatus"], &json!(status));
    }

    /// No call can make the state panic, whatever its members are.
    #[test]
    fn no_request_makes_the_state_panic(
        operation in any::<Index>(),
        members in prop::collection::vec((any::<Index>(), any::<Index>()), 0..6),
    ) {
        const NAMES: [&str; 12] = ["PipelineName", "PipelineExecutionArn", "ClientRequestToken",
            "RoleArn", "PipelineDefinition", "PipelineParameters", "ModelName", "Tags",
            "ResourceArn", "NextToken", "MaxResults", "ModelPackageGroupName"];
        let values = [json!(null), json!(""), json!("x"), json!(TOKEN), json!(-1), json!(1.5),
            json!([null]), json!([{}]), json!({}), json!("arn:aws:sagemaker:r:1:pipeline/x"),
            json!("\u{e9}\u{e9}"), json!({"Steps": []}).to_string().into()];
        let members: Map<String, Value> = members
            .iter()
            .map(|(name, value)| {
                ((*name.get(&NAMES)).to_owned(), value.get(&values).clone())
            })
            .collect();
        let mut world = World::new();
        let (name, _) = operation.get(super::OPERATIONS);
        world.call(name, Value::Object(members));
    }
}

#[test]
fn an_image_with_a_runner_is_run_and_any_other_is_simulated() {
    let mut world = World::new();
    let step = |name: &str, image: &str| {
        json!({"Name": name, "Type": "Processing", "Arguments": {
            "AppSpecification": {"ImageUri": image},
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
                "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
            "RoleArn": "arn:aws:iam::123456789012:role/r"}})
    };
    let definition = json!({"Version": "2020-12-01", "Parameters": [],
        "Steps": [step("Real", "host/r:1"), step("Simulated", "host/other:1")]});
    world
        .call(
            "CreatePipeline",
            json!({"PipelineName": "p", "ClientRequestToken": TOKEN,
                "RoleArn": "arn:aws:iam::123456789012:role/r",
                "PipelineDefinition": definition.to_string()}),
        )
        .unwrap();
    world
        .call(
            "StartPipelineExecution",
            json!({"PipelineName": "p", "ClientRequestToken": TOKEN}),
        )
        .unwrap();
    let orders: Vec<&JobOrder> = world
        .pending
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartJob(order) => Some(order.as_ref()),
            _ => None,
        })
        .collect();
    assert!(
        matches!(orders[0], JobOrder::Program(order) if order.runner == Runner::Programs("r".to_owned())),
        "{orders:?}"
    );
    assert!(
        matches!(orders[1], JobOrder::Simulated { .. }),
        "{orders:?}"
    );
    let marked: Vec<bool> = world
        .events
        .iter()
        .filter(|event| event.detail["currentStepStatus"] == "Executing")
        .map(|event| event.detail["metadata"]["pipewrightLocal"]["simulated"] == json!(true))
        .collect();
    assert_eq!(marked, [false, true]);
}
