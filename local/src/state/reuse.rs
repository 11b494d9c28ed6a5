//! Results of earlier executions that stand for a step's own.

use super::State;
use super::input::Input;
use super::launch::NotLaunched;
use super::run::{Execution, Phase, StepRun};
use crate::clock::Millis;
use crate::error::ApiError;
use pipewright::definition::{Definition, Step};
use pipewright::record::{CACHE_HIT, REUSED_FROM, SELECTION};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most steps that a start may select.
const MOST_SELECTED: usize = 50;

/// Whose result a step has that did not run itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// That of an execution in which the step ran with the same arguments.
    Cache(String),
    /// That of the execution that a selective one names.
    Selection(String),
}

impl Source {
    /// Its member of a step's row, and the execution's ARN.
    pub(super) fn row(&self) -> (&'static str, Value) {
        let (member, arn) = match self {
            Self::Cache(arn) => ("CacheHitResult", arn),
            Self::Selection(arn) => ("SelectiveExecutionResult", arn),
        };
        (member, json!({"SourcePipelineExecutionArn": arn}))
    }

    /// Its member of a step's events, and the execution's ARN.
    pub(super) fn in_event(&self) -> (&'static str, Value) {
        let (member, arn) = match self {
            Self::Cache(arn) => (CACHE_HIT, arn),
            Self::Selection(arn) => (SELECTION, arn),
        };
        (member, json!({REUSED_FROM: arn}))
    }
}

/// What a step takes over from an earlier run.
#[derive(Debug)]
pub(super) struct Reused {
    source: Source,
    metadata: Value,
    simulated: Option<String>,
    document: Option<Value>,
    outcome: Option<bool>,
}

impl Reused {
    fn of(run: &StepRun, source: Source) -> Self {
        Self {
            source,
            metadata: run.metadata.clone(),
            simulated: run.simulated.clone(),
            document: run.document.clone(),
            outcome: run.outcome,
        }
    }
}

impl StepRun {
    pub(super) fn take_over(&mut self, reused: Reused) {
        self.source = Some(reused.source);
        self.metadata = reused.metadata;
        self.simulated = reused.simulated;
        self.document = reused.document;
        self.outcome = reused.outcome;
    }

    /// Whether it has run itself, to a good end.
    fn has_result(&self) -> bool {
        self.phase == Phase::Succeeded && self.source.is_none()
    }
}

impl Execution {
    /// What of a step of a cached type is compared with earlier runs, references resolved.
    pub(super) fn compared(
        &self,
        now: Millis,
        position: usize,
        step: &Step<'_>,
        arguments: &Map<String, Value>,
    ) -> Result<Option<Value>, NotLaunched> {
        let step_type = step.step_type();
        if !step_type.is_cached() {
            return Ok(None);
        }
        let mut values = Vec::new();
        for path in step_type.compared {
            let mut keys = path.split('.');
            let outermost = match keys.next() {
                Some("Arguments") => json!(arguments),
                Some(member) => match step.member(member) {
                    Some(value) => self.resolve(now, Some(position), None, value)?,
                    None => Value::Null,
                },
                None => Value::Null,
            };
            let value = keys.try_fold(&outermost, |value, key| value.get(key));
            values.push(value.cloned().unwrap_or(Value::Null));
        }
        Ok(Some(Value::Array(values)))
    }
}

impl State {
    /// The result of the latest run of the same step of the same pipeline with the same arguments,
    /// if the step is cached and the run is not too old.
    ///
    /// A run that took its own result over does not count: a cache that hits does not live longer.
    pub(super) fn cached(
        &self,
        now: Millis,
        execution: &Execution,
        step: &Step<'_>,
        compared: &Value,
    ) -> Option<Reused> {
        let cache = step.cache()?;
        let is_young = |ended: Millis| {
            cache
                .expire_after
                .is_none_or(|seconds| ended.seconds_until(now) <= seconds)
        };
        let others = self.executions.values();
        let runs = others
            .filter(|other| other.pipeline == execution.pipeline)
            .flat_map(|other| other.steps.iter().map(move |run| (other, run)))
            .filter(|(_, run)| run.name == step.name() && run.has_result())
            .filter(|(_, run)| run.compared.as_ref() == Some(compared))
            .filter(|(_, run)| run.ended.is_some_and(is_young));
        let (other, run) = runs.max_by_key(|(other, run)| (run.ended, other.serial))?;
        Some(Reused::of(run, Source::Cache(other.arn.clone())))
    }
}

/// The steps that a selective execution runs, and what the others before them have left.
#[derive(Debug)]
pub(super) struct Selection {
    /// As it was given, the steps in the definition's order.
    pub(super) described: Value,
    /// By position.
    selected: BTreeSet<usize>,
    reused: BTreeMap<usize, Reused>,
}

impl Selection {
    /// What a step that does not run itself has instead; none if it has no part in the execution.
    pub(super) fn instead(&mut self, position: usize) -> Option<Option<Reused>> {
        (!self.selected.contains(&position)).then(|| self.reused.remove(&position))
    }
}

/// The steps from which a step is reached, near and far.
fn ancestors(dependencies: &[Vec<usize>], of: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut left = vec![of];
    while let Some(step) = left.pop() {
        left.extend(
            dependencies[step]
                .iter()
                .filter(|&&before| found.insert(before)),
        );
    }
    found
}

/// Whether steps hang together by dependencies among them.
fn are_connected(dependencies: &[Vec<usize>], steps: &BTreeSet<usize>) -> bool {
    let mut reached: BTreeSet<usize> = steps.first().copied().into_iter().collect();
    loop {
        let next = steps.difference(&reached).find(|&&step| {
            let depends = |of: usize, on: usize| dependencies[of].contains(&on);
            let mut known = reached.iter();
            known.any(|&known| depends(step, known) || depends(known, step))
        });
        match next.copied() {
            Some(step) => reached.insert(step),
            None => return reached.len() == steps.len(),
        };
    }
}

impl State {
    /// Reads SelectiveExecutionConfig of a start of a pipeline, given by its key.
    pub(super) fn read_selection(
        &self,
        input: Input<'_>,
        pipeline: &str,
        definition: &Definition,
    ) -> Result<Option<Selection>, ApiError> {
        let Some(given) = input.object("SelectiveExecutionConfig")? else {
            return Ok(None);
        };
        let steps = definition.steps();
        let names_of = |positions: &BTreeSet<usize>| {
            let names: Vec<&str> = positions.iter().map(|&at| steps[at].name()).collect();
            names.join(", ")
        };
        let refuse = |what: String| Err(ApiError::validation(format!("Invalid {what}")));
        let mut selected = BTreeSet::new();
        for step in given.objects("SelectedSteps")? {
            let name = step.required("StepName")?;
            let Some(position) = steps.iter().position(|step| step.name() == name) else {
                return refuse(format!("SelectedSteps: the pipeline has no step '{name}'."));
            };
            selected.insert(position);
        }
        if selected.is_empty() || selected.len() > MOST_SELECTED {
            return Err(ApiError::validation(format!(
                "SelectiveExecutionConfig: 1 to {MOST_SELECTED} steps can be selected, not {}",
                selected.len()
            )));
        }
        let dependencies = definition.graph().dependencies();
        let before: BTreeMap<usize, BTreeSet<usize>> = selected
            .iter()
            .map(|&step| (step, ancestors(&dependencies, step)))
            .collect();
        let others = before.values().flatten().copied();
        let needed: BTreeSet<usize> = others.filter(|step| !selected.contains(step)).collect();
        let between: BTreeSet<usize> = needed
            .iter()
            .copied()
            .filter(|&step| !ancestors(&dependencies, step).is_disjoint(&selected))
            .collect();
        if !between.is_empty() {
            return refuse(format!(
                "SelectedSteps: steps that lie between selected ones must be selected as well: {}.",
                names_of(&between)
            ));
        }
        if !are_connected(&dependencies, &selected) {
            return refuse(format!(
                "SelectedSteps: the selected steps [{}] are not connected with each other.",
                names_of(&selected)
            ));
        }
        let source = given.string("SourcePipelineExecutionArn")?;
        let reused = match source {
            Some(arn) => self.results_of(arn, pipeline, &needed, definition)?,
            None if needed.is_empty() => BTreeMap::new(),
            None => {
                return refuse(format!(
                    "SourcePipelineExecutionArn: null. The selected steps [{}] have dependencies \
                     on [{}]",
                    names_of(&selected),
                    names_of(&needed)
                ));
            }
        };
        let rows = selected
            .iter()
            .map(|&at| json!({"StepName": steps[at].name()}));
        let mut described = json!({"SelectedSteps": rows.collect::<Vec<_>>()});
        if let Some(arn) = source {
            described["SourcePipelineExecutionArn"] = json!(arn);
        }
        Ok(Some(Selection {
            described,
            selected,
            reused,
        }))
    }

    /// What steps have left in an execution of the pipeline that has ended.
    fn results_of(
        &self,
        arn: &str,
        pipeline: &str,
        needed: &BTreeSet<usize>,
        definition: &Definition,
    ) -> Result<BTreeMap<usize, Reused>, ApiError> {
        let source = self.execution(arn)?;
        let refuse = |why: String| {
            ApiError::validation(format!("Invalid SourcePipelineExecutionArn: {arn}. {why}"))
        };
        if source.pipeline != pipeline {
            return Err(refuse("It is an execution of another pipeline.".to_owned()));
        }
        if !source.status.is_final() {
            let status = source.status.name();
            return Err(refuse(format!(
                "The execution is {status}: it must have ended."
            )));
        }
        let steps = definition.steps();
        let result = |position: usize| {
            let name = steps[position].name();
            let mut runs = source.steps.iter();
            let run = runs.find(|run| run.name == name && run.phase == Phase::Succeeded);
            let run = run.ok_or_else(|| {
                refuse(format!(
                    "The selected steps depend on step '{name}', which has not succeeded in it."
                ))
            })?;
            let reused = Reused::of(run, Source::Selection(source.arn.clone()));
            Ok((position, reused))
        };
        needed.iter().map(|&position| result(position)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use serde_json::{Value, json};

    const MINUTE: i64 = 60_000;

    /// A pipeline of one processing step whose image, word and output are parameters.
    fn cached(expire_after: &str) -> Value {
        json!({"Version": "2020-12-01",
            "Parameters": [
                {"Name": "Image", "Type": "String", "DefaultValue": "host/other:1"},
                {"Name": "Word", "Type": "String", "DefaultValue": "a"},
                {"Name": "Size", "Type": "Integer", "DefaultValue": 10}],
            "Steps": [
                {"Name": "P", "Type": "Processing",
                    "CacheConfig": {"Enabled": true, "ExpireAfter": expire_after},
                    "Arguments": {
                        "AppSpecification": {"ImageUri": {"Get": "Parameters.Image"}},
                        "Environment": {"WORD": {"Get": "Parameters.Word"}},
                        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {
                            "LocalPath": "/opt/ml/processing/o", "S3UploadMode": "EndOfJob",
                            "S3Uri": {"Std:Join": {"On": "/", "Values":
                                ["s3://b", {"Get": "Execution.PipelineExecutionId"}]}}}}]},
                        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
                            "InstanceType": "ml.m5.large",
                            "VolumeSizeInGB": {"Get": "Parameters.Size"}}},
                        "RoleArn": "arn:aws:iam::123456789012:role/r"}},
                {"Name": "Read", "Type": "Lineage", "Arguments": {"Uri": {"Get":
                    "Steps.P.ProcessingOutputConfig.Outputs['o'].S3Output.S3Uri"}}}]})
    }

    /// Runs the pipeline `p` to its end; gives the row of its step P.
    fn run(world: &mut World, parameters: Value) -> Value {
        let arn = world.start("p", json!({"PipelineParameters": parameters}));
        world.finish();
        world.step(&arn, "P")
    }

    fn hit(row: &Value) -> Option<&str> {
        row["CacheHitResult"]["SourcePipelineExecutionArn"].as_str()
    }

    /// A step whose arguments an earlier execution had takes that one's result, which other steps read as its own.
    #[test]
    fn a_step_that_ran_with_the_same_arguments_is_not_run_again() {
        let mut world = World::new();
        world.create("p", &cached("PT1H"));
        let first = world.start("p", json!({}));
        world.finish();
        let job = world.step(&first, "P")["Metadata"].clone();
        world.events.clear();
        let second = world.start("p", json!({}));
        world.finish();

        let row = world.step(&second, "P");
        assert_eq!(hit(&row), Some(first.as_str()));
        assert_eq!(row["StepStatus"], "Succeeded");
        assert_eq!(row["Metadata"], job, "the job is the earlier one");
        assert!(
            row["StepDescription"]
                .as_str()
                .unwrap()
                .starts_with("[simulated")
        );
        let events: Vec<_> = world
            .events
            .iter()
            .filter(|event| event.detail["stepName"] == "P")
            .map(|event| {
                let detail = &event.detail;
                (
                    detail["currentStepStatus"].as_str().unwrap(),
                    detail["cacheHitResult"]["sourcePipelineExecutionArn"].as_str(),
                )
            })
            .collect();
        assert_eq!(
            events,
            [("Starting", None), ("Succeeded", Some(first.as_str()))]
        );
        let output = |arn: &str| format!("s3://b/{}", arn.rsplit('/').next().unwrap());
        assert_eq!(world.argument(&second, "Read", "Uri"), output(&first));
        let described = world.describe(&second);
        assert_eq!(described["PipelineExecutionStatus"], "Succeeded");
    }

    /// How old a run may be is counted from its end, and a hit does not make it younger.
    #[test]
    fn a_run_that_is_too_old_is_not_taken() {
        let mut world = World::new();
        world.create("p", &cached("PT30M"));
        let first = run(&mut world, json!([]));
        assert_eq!(hit(&first), None);
        let ended = world.now;
        world.now = ended.plus(29 * MINUTE);
        assert!(hit(&run(&mut world, json!([]))).is_some());
        world.now = ended.plus(31 * MINUTE);
        assert_eq!(hit(&run(&mut world, json!([]))), None);
        world.now = ended.plus(32 * MINUTE);
        assert!(
            hit(&run(&mut world, json!([]))).is_some(),
            "the third is younger"
        );
    }

    /// Another image, input or variable of the environment runs the step anew; another size of its machine does not.
    #[test]
    fn what_the_documentation_compares_decides_about_a_hit() {
        let mut world = World::new();
        world.create("p", &cached("P1D"));
        let first = world.start("p", json!({}));
        world.finish();
        for (name, value, hits) in [
            ("Image", "host/other:2", false),
            ("Word", "b", false),
            ("Size", "20", true),
        ] {
            let row = run(&mut world, json!([{"Name": name, "Value": value}]));
            assert_eq!(hit(&row).is_some(), hits, "{name}");
        }
        assert_eq!(hit(&run(&mut world, json!([]))), Some(first.as_str()));
    }

    #[test]
    fn neither_a_failed_run_nor_one_of_another_pipeline_is_taken() {
        let mut world = World::new();
        world.create("other", &cached("P1D"));
        world.start("other", json!({}));
        world.finish();
        world.create("p", &cached("P1D"));
        world.start("p", json!({}));
        while world.happen_first(false) {}
        assert_eq!(hit(&run(&mut world, json!([]))), None);
        assert!(hit(&run(&mut world, json!([]))).is_some());
    }

    #[test]
    fn a_step_whose_cache_is_off_runs_and_serves_others_all_the_same() {
        let mut world = World::new();
        let mut definition = cached("P1D");
        definition["Steps"][0]["CacheConfig"]["Enabled"] = json!(false);
        world.create("p", &definition);
        run(&mut world, json!([]));
        assert_eq!(hit(&run(&mut world, json!([]))), None);
        world.update("p", &cached("P1D"));
        assert!(hit(&run(&mut world, json!([]))).is_some());
    }

    fn chain() -> Value {
        let step = |name: &str, before: &[&str]| {
            json!({"Name": name, "Type": "Lineage", "DependsOn": before,
                "Arguments": {"Word": {"Get": "Parameters.Word"}}})
        };
        let mut last = step("D", &["C"]);
        last["Arguments"]["Word"] = json!({"Get": "Steps.B.Word"});
        json!({"Version": "2020-12-01",
            "Parameters": [{"Name": "Word", "Type": "String", "DefaultValue": "old"}],
            "Steps": [step("A", &[]), step("B", &["A"]), step("C", &["B"]), last,
                step("E", &["D"]), step("Apart", &[])]})
    }

    fn selecting(steps: &[&str], source: Option<&str>) -> Value {
        let steps: Vec<Value> = steps.iter().map(|name| json!({"StepName": name})).collect();
        let mut config = json!({"SelectedSteps": steps});
        if let Some(arn) = source {
            config["SourcePipelineExecutionArn"] = json!(arn);
        }
        json!({"SelectiveExecutionConfig": config,
            "PipelineParameters": [{"Name": "Word", "Value": "new"}]})
    }

    /// A selective execution runs the selected steps alone, and those before them have their results of the execution that it names.
    #[test]
    fn selected_steps_run_and_read_the_results_of_another_execution() {
        let mut world = World::new();
        world.create("p", &chain());
        let source = world.start("p", json!({}));
        world.finish();
        world.events.clear();
        let start = selecting(&["C", "D"], Some(&source));
        let arn = world.start("p", start.clone());
        world.finish();

        let described = world.describe(&arn);
        assert_eq!(described["PipelineExecutionStatus"], "Succeeded");
        assert_eq!(
            described["SelectiveExecutionConfig"],
            start["SelectiveExecutionConfig"]
        );
        let rows = world.steps(&arn);
        let taken: Vec<_> = rows
            .iter()
            .map(|row| {
                let from = &row["SelectiveExecutionResult"]["SourcePipelineExecutionArn"];
                (row["StepName"].as_str().unwrap(), from.as_str())
            })
            .collect();
        let from = Some(source.as_str());
        assert_eq!(
            taken,
            [("D", None), ("C", None), ("B", from), ("A", from)],
            "neither what comes after nor what stands apart"
        );
        assert!(rows.iter().all(|row| row["StepStatus"] == "Succeeded"));
        assert_eq!(world.argument(&arn, "C", "Word"), "new");
        assert_eq!(world.argument(&arn, "D", "Word"), "old", "it reads B's");
        let told = |event: &&crate::event::Event| event.detail["stepName"] == "A";
        let told: Vec<_> = world
            .events
            .iter()
            .filter(told)
            .map(|event| event.detail["currentStepStatus"].clone())
            .collect();
        assert_eq!(told, ["Starting", "Succeeded"]);
    }

    /// A selection that cannot run is refused for its reason, and nothing has begun.
    #[test]
    fn a_selection_that_cannot_run_is_refused() {
        let mut world = World::new();
        world.create("p", &chain());
        world.create("other", &chain());
        let elsewhere = world.start("other", json!({}));
        let failed = world.start("p", json!({}));
        while world.happen_first(false) {}
        let running = world.start("p", json!({}));
        for (steps, source, reason) in [
            (
                &["C"][..],
                None,
                "Invalid SourcePipelineExecutionArn: null. The selected steps [C] have \
                 dependencies on [A, B]",
            ),
            (&["B", "D"], Some(&failed), "must be selected as well: C"),
            (&["A", "Apart"], None, "[A, Apart] are not connected"),
            (&["Z"], None, "no step 'Z'"),
            (&[], None, "1 to 50 steps can be selected, not 0"),
            (
                &["B"],
                Some(&failed),
                "depend on step 'A', which has not succeeded",
            ),
            (&["B"], Some(&running), "The execution is Executing"),
            (&["B"], Some(&elsewhere), "another pipeline"),
        ] {
            let refusal = world.refused("p", selecting(steps, source.map(String::as_str)));
            assert!(refusal.contains(reason), "{refusal}");
        }
        let arn = world.start("p", selecting(&["A", "B"], None));
        world.finish();
        assert_eq!(world.steps(&arn).len(), 2);
    }

    #[test]
    fn the_branch_of_a_selection_is_that_of_its_source() {
        let mut world = World::new();
        let definition = json!({"Version": "2020-12-01", "Parameters": [], "Steps": [
            {"Name": "If", "Type": "Condition", "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
                "IfSteps": [{"Name": "Then", "Type": "Lineage", "Arguments": {}}],
                "ElseSteps": [{"Name": "Else", "Type": "Lineage", "Arguments": {}}]}}]});
        world.create("p", &definition);
        let source = world.start("p", json!({}));
        world.finish();
        for (step, runs) in [("Then", 2), ("Else", 1)] {
            let mut start = selecting(&[step], Some(&source));
            start.as_object_mut().unwrap().remove("PipelineParameters");
            let arn = world.start("p", start);
            world.finish();
            assert_eq!(world.steps(&arn).len(), runs, "{step}");
            assert_eq!(world.describe(&arn)["PipelineExecutionStatus"], "Succeeded");
        }
    }

    /// No more steps run at once than the pipeline allows, or the start of an execution where it says another number.
    #[test]
    fn a_pipelines_parallelism_holds_where_a_start_names_no_other() {
        let steps: Vec<Value> = (0..6)
            .map(|number| json!({"Name": format!("S{number}"), "Type": "Lineage", "Arguments": {}}))
            .collect();
        let definition = json!({"Version": "2020-12-01", "Parameters": [], "Steps": steps});
        let mut world = World::new();
        world.create("p", &definition);
        let limit = |most: u32| json!({"MaxParallelExecutionSteps": most});
        world.set_parallelism("p", limit(2));
        for (start, most) in [
            (json!({}), 2),
            (json!({"ParallelismConfiguration": limit(3)}), 3),
        ] {
            let arn = world.start("p", start);
            let described = world.describe(&arn);
            assert_eq!(described["ParallelismConfiguration"], limit(most));
            assert_eq!(world.steps(&arn).len(), most as usize);
            world.finish();
            assert_eq!(world.steps(&arn).len(), 6);
        }
    }
}
