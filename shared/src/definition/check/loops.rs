//! ForEach steps, the steps in their bodies, and Cleanup steps.

use serde_json::{Map, Value};

use super::names::{choice, one_of, show};
use super::{Checker, Code};
use crate::definition::get::{GetPath, Member};
use crate::definition::model::{FOR_EACH_BODY, ParameterType, Step};
use crate::definition::path::JsonPath;
use crate::definition::reference::{Function, Owner, Reference};
use crate::definition::step_types::StepKind;
use crate::reading::kind_of;

/// The members of a ForEach step's arguments.
const ARGUMENTS: [&str; 4] = ["IterableItems", "MaxConcurrency", "Selector", FOR_EACH_BODY];

/// How a ForEach step selects one of its rounds.
const PICKS: [&str; 2] = ["MaxBy", "MinBy"];

/// The most items that the definition itself can list, and the most rounds at
/// the same time, by the Python SDK's class.
const MOST_ITEMS: usize = 100;
const MOST_AT_ONCE: u64 = 50;

/// What a ForEach step hands on.
const RESULTS: [&str; 8] = [
    "Status",
    "InputItemCount",
    "TotalStepCount",
    "SucceededStepCount",
    "FailedStepCount",
    "StoppedStepCount",
    "IterationOutputs",
    "Selected",
];

/// The type of a member of a ForEach step; `None` where its steps decide it.
pub(super) fn type_of_result(members: &[Member<'_>]) -> Option<ParameterType> {
    match members {
        [Member::Name("Status")] => Some(ParameterType::String),
        [Member::Name(name)] if name.ends_with("Count") => Some(ParameterType::Integer),
        _ => None,
    }
}

impl Checker<'_> {
    pub(super) fn check_for_each(
        &mut self,
        step: &Step<'_>,
        arguments: &Map<String, Value>,
        path: &JsonPath<'_>,
    ) {
        self.check_members(
            arguments,
            path,
            "the arguments of a ForEach step",
            &ARGUMENTS,
        );
        let items = path.key("IterableItems");
        match arguments.get("IterableItems") {
            Some(Value::Array(list)) if (1..=MOST_ITEMS).contains(&list.len()) => {}
            Some(Value::Object(object)) if Function::of(object).is_some() => {}
            Some(Value::Array(list)) => self.report(
                Code::ForEach,
                items,
                format!("{} items are listed: take 1 to {MOST_ITEMS}", list.len()),
            ),
            Some(other) => self.report(
                Code::ForEach,
                items,
                format!(
                    "IterableItems is a list or a reference to one, not {}",
                    kind_of(other)
                ),
            ),
            None => self.report(Code::ForEach, items, "a ForEach step needs IterableItems"),
        }
        let at_once = arguments.get("MaxConcurrency");
        if !at_once
            .and_then(Value::as_u64)
            .is_some_and(|count| (1..=MOST_AT_ONCE).contains(&count))
        {
            let found = at_once.map_or_else(|| "missing".to_owned(), Value::to_string);
            self.report(
                Code::ForEach,
                path.key("MaxConcurrency"),
                format!("MaxConcurrency is a whole number of 1 to {MOST_AT_ONCE}, and is {found}"),
            );
        }
        let place = path.key(FOR_EACH_BODY);
        self.check_list_of_steps(arguments.get(FOR_EACH_BODY), place.clone());
        let body = step.body();
        if body.is_empty() {
            self.report(
                Code::ForEach,
                place,
                "a ForEach step needs a step in its body",
            );
        }
        for inner in &body {
            if matches!(
                inner.kind(),
                StepKind::Condition | StepKind::Fail | StepKind::ForEach
            ) {
                let message = format!(
                    "a step of type {} can't stand in the body of a ForEach step",
                    inner.type_name()
                );
                self.report(Code::ForEach, inner.path().key("Type"), message);
            }
        }
        if let Some(selector) = arguments.get("Selector").filter(|value| !value.is_null()) {
            self.check_selector(selector, &path.key("Selector"));
        }
    }

    fn check_selector(&mut self, selector: &Value, path: &JsonPath<'_>) {
        let Some(members) = selector.as_object() else {
            let message = format!("Selector is an object, not {}", kind_of(selector));
            return self.report(Code::ForEach, path.clone(), message);
        };
        self.check_members(members, path, "a Selector", &["Pick", "Field"]);
        let pick = members
            .get("Pick")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !PICKS.contains(&pick) {
            let choice = choice(pick, &PICKS);
            let message = format!("there is no Pick {}{choice}", show(pick));
            self.report(Code::ForEach, path.key("Pick"), message);
        }
        let field = members.get("Field").and_then(Value::as_object);
        let reads_iteration = matches!(
            field.and_then(Function::of),
            Some(Function::Get(Value::String(text)))
                if matches!(GetPath::parse(text), Ok(GetPath::Iteration { .. }) | Err(_))
        );
        if !reads_iteration {
            self.report(
                Code::ForEach,
                path.key("Field"),
                "Field must be {\"Get\": \"IterationOutput.STEP.MEMBER\"}, of a step in the body",
            );
        }
    }

    /// Whether a step of that name stands in the body of a ForEach step.
    pub(super) fn is_in_body(&self, for_each: usize, name: &str) -> bool {
        self.body_index
            .get(name)
            .is_some_and(|position| self.bodies[*position].0 == for_each)
    }

    /// The step of that name in any body.
    pub(super) fn step_of_body(&self, name: &str) -> Option<&(usize, Step<'_>)> {
        self.body_index
            .get(name)
            .map(|position| &self.bodies[*position])
    }

    /// Checks `ForEach.CurrentItem` and `IterationOutput.STEP`.
    pub(super) fn check_loop_reference(&mut self, reference: &Reference<'_>, step: Option<&str>) {
        let Owner::Step(owner) = reference.owner else {
            let message = format!(
                "{} is known within a ForEach step only",
                show(reference.text)
            );
            return self.report(Code::ForEach, reference.path.clone(), message);
        };
        let place = match step {
            None => FOR_EACH_BODY,
            Some(_) => "Selector",
        };
        let inside = self.steps[owner].path().key("Arguments").key(place);
        let is_inside = self.steps[owner].kind() == StepKind::ForEach
            && reference.path.segments().starts_with(inside.segments());
        let message = match step {
            _ if !is_inside => format!(
                "{} can be read in the {place} of a ForEach step only",
                show(reference.text)
            ),
            Some(name) if !self.is_in_body(owner, name) => {
                let known: Vec<_> = self.steps[owner].body().iter().map(Step::name).collect();
                format!(
                    "the body has no step {}: it has {}",
                    show(name),
                    one_of(&known)
                )
            }
            _ => return,
        };
        self.report(Code::ForEach, reference.path.clone(), message);
    }

    /// Checks what of a ForEach step is read.
    pub(super) fn check_result(
        &mut self,
        reference: &Reference<'_>,
        target: &Step<'_>,
        members: &[Member<'_>],
    ) {
        let text = show(reference.text);
        let message = match members {
            [
                Member::Name("IterationOutputs"),
                Member::Index(_),
                Member::Name(name),
                ..,
            ] => {
                let body = target.body();
                if body.iter().any(|inner| inner.name() == *name) {
                    return;
                }
                let known: Vec<_> = body.iter().map(Step::name).collect();
                format!(
                    "{text}: the body has no step {}: it has {}",
                    show(name),
                    one_of(&known)
                )
            }
            [Member::Name("IterationOutputs"), ..] => {
                format!("{text}: IterationOutputs[0].STEP.MEMBER is meant, of a step in the body")
            }
            [Member::Name(name), ..] if RESULTS.contains(name) => return,
            [Member::Name(name), ..] => {
                let choice = choice(name, &RESULTS);
                format!("{text}: a ForEach step has no {}{choice}", show(name))
            }
            _ => return,
        };
        self.report(Code::Member, reference.path.clone(), message);
    }

    /// Checks that a Cleanup step names steps.
    pub(super) fn check_cleanup(&mut self, arguments: &Map<String, Value>, path: &JsonPath<'_>) {
        let sources = arguments
            .get("Resources")
            .and_then(|resources| resources.get("S3"))
            .and_then(Value::as_array);
        let place = path.key("Resources").key("S3");
        for (index, source) in sources.into_iter().flatten().enumerate() {
            let name = source.get("StepName").and_then(Value::as_str);
            if let Some(name) = name.filter(|name| !self.index.contains_key(name)) {
                let hint = self.nearest_step(name);
                let message = format!("there is no step {}{hint}", show(name));
                self.report(Code::Dangling, place.index(index).key("StepName"), message);
            }
        }
    }
}
