//! Failed steps that run again, as their retry policies say.

use super::run::{Execution, Phase, StepRun};
use super::{State, Turn};
use crate::clock::Millis;
use pipewright::definition::{RetryPolicy, StepKind};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

/// The retries of a step since it began.
#[derive(Debug, Default)]
pub(super) struct Retries {
    /// When it first began.
    pub(super) since: Millis,
    /// When the next attempt begins, while the step waits for it.
    pub(super) next: Option<Millis>,
    /// How many each policy has ordered, by its position.
    ordered: BTreeMap<usize, u32>,
}

/// The failures that a retry policy can name: the type, and what the service says of one. Its
/// first word tells a failure's type.
const FAULTS: [(&str, &str); 5] = [
    (
        "SageMaker.JOB_INTERNAL_ERROR",
        "InternalServerError: We encountered an internal error. Please try again.",
    ),
    (
        "SageMaker.CAPACITY_ERROR",
        "CapacityError: Unable to provision requested ML compute capacity. Please retry using a \
         different ML instance type.",
    ),
    (
        "SageMaker.RESOURCE_LIMIT",
        "ResourceLimitExceeded: The account-level service limit of the instance type is exceeded. \
         Please use AWS Service Quotas to request an increase for this quota.",
    ),
    ("Step.THROTTLING", "ThrottlingException: Rate exceeded"),
    (
        "Step.SERVICE_FAULT",
        "InternalFailure: The request processing has failed because of an unknown error, \
         exception or failure.",
    ),
];

/// The type of a failure, if a retry policy can name it.
fn type_of(reason: &str, kind: StepKind) -> Option<&'static str> {
    let word = |text: &str| text.split(' ').next().map(str::to_owned);
    let known = |(_, text): &&(&str, &str)| word(text) == word(reason);
    let (exception, _) = FAULTS.iter().find(known)?;
    // Such jobs begin their own jobs anew, and the documentation excepts them.
    let retries_itself = matches!(kind, StepKind::Tuning | StepKind::AutoMl)
        && *exception == "SageMaker.JOB_INTERNAL_ERROR";
    (!retries_itself).then_some(*exception)
}

/// A failure that is asked for: the first attempts at a step have it, whatever they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The step's name.
    step: String,
    reason: &'static str,
    /// How many attempts of an execution have it.
    times: u32,
}

/// A text asks for no failure that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It is not an assignment, or not with a number.
    #[error("it must be STEP=EXCEPTION, or STEP=EXCEPTION*TIMES with TIMES of at least 1")]
    Form,
    /// The type of the failure is unknown.
    #[error("'{0}' is not one of the exceptions {known}", known = FAULTS.map(|(name, _)| name).join(", "))]
    Unknown(String),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (step, exception) = text.split_once('=').ok_or(FaultError::Form)?;
        let (exception, times) = exception.split_once('*').unwrap_or((exception, "1"));
        let times: NonZeroU32 = times.parse().map_err(|_| FaultError::Form)?;
        let known = FAULTS.iter().find(|(name, _)| *name == exception);
        let (_, reason) = known.ok_or_else(|| FaultError::Unknown(exception.to_owned()))?;
        Ok(Self {
            step: step.to_owned(),
            reason,
            times: times.get(),
        })
    }
}

impl State {
    /// Why this attempt at a step is to fail, where that is asked for.
    pub(super) fn asked_fault(&self, step: &StepRun) -> Option<&'static str> {
        let mut faults = self.settings.faults.iter();
        let fault = faults.find(|fault| fault.step == step.name && step.attempt <= fault.times)?;
        Some(fault.reason)
    }
}

impl Execution {
    /// When the next attempt of any step begins.
    pub(super) fn next_retry(&self) -> Option<Millis> {
        self.steps.iter().filter_map(|step| step.retries.next).min()
    }

    /// Ends an attempt that failed: the step waits for its next one, if a policy says so.
    pub(super) fn fail_or_retry(&mut self, turn: &mut Turn, position: usize, reason: &str) {
        match self.retry_at(turn.now, position, reason) {
            Some(at) => self.steps[position].retries.next = Some(at),
            None => self.fail_step(turn, position, reason),
        }
    }

    /// When a step that failed is to run again; counts it.
    fn retry_at(&mut self, now: Millis, position: usize, reason: &str) -> Option<Millis> {
        let definition = Arc::clone(&self.definition);
        let steps = definition.steps();
        let exception = type_of(reason, steps[position].kind())?;
        let mut policies = steps[position].retry_policies();
        if steps[position].step_type().retried {
            policies.push(RetryPolicy::of_service());
        }
        let is_for = |policy: &RetryPolicy| policy.exceptions.iter().any(|each| each == exception);
        let index = policies.iter().position(is_for)?;
        let step = &mut self.steps[position];
        if step.phase != Phase::Executing {
            return None;
        }
        let retries = step.retries.ordered.entry(index).or_default();
        let elapsed = step.retries.since.seconds_until(now);
        let wait = policies[index].wait(*retries, elapsed)?;
        *retries += 1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "float to integer casts saturate"
        )]
        let millis = (wait * 1000.0) as i64;
        // Its events are later ones than those of the attempt that failed.
        Some(now.plus(millis).max(now.next_second()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::{Fault, FaultError};
    use serde_json::{Value, json};

    const CAPACITY: &str = "CapacityError: Unable to provision requested ML compute capacity. \
                            Please retry using a different ML instance type.";

    fn definition(kind: &str, policies: Value) -> Value {
        let arguments = match kind {
            "Processing" => json!({
                "AppSpecification": {"ImageUri": "host/other:1"},
                "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1,
                    "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
                "RoleArn": "arn:aws:iam::123456789012:role/r"}),
            _ => json!({}),
        };
        json!({"Version": "2020-12-01", "Parameters": [], "Steps": [
            {"Name": "P", "Type": kind, "Arguments": arguments, "RetryPolicies": policies}]})
    }

    /// The seconds between the failures of a step's attempts and the beginnings of the next ones, until the step ends.
    fn waits(world: &mut World, arn: &str, reason: &str) -> Vec<i64> {
        let mut waits = Vec::new();
        while world.describe(arn)["PipelineExecutionStatus"] == "Executing" {
            if world.fail_job(reason) {
                let failed = world.now;
                let attempt = world.step(arn, "P")["AttemptCount"].clone();
                while world.step(arn, "P")["AttemptCount"] == attempt && world.happen_first(true) {}
                if world.step(arn, "P")["AttemptCount"] != attempt {
                    waits.push((world.now.0 - failed.0 + 500) / 1000);
                }
            } else {
                assert!(world.happen_first(true), "it never ends");
            }
        }
        waits
    }

    fn outcome(policies: Value, reason: &str) -> (Vec<i64>, Value) {
        let mut world = World::new();
        world.create("p", &definition("Processing", policies));
        let arn = world.start("p", json!({}));
        let waits = waits(&mut world, &arn, reason);
        (waits, world.step(&arn, "P"))
    }

    /// A step that fails for a reason of a policy's types runs again after intervals that grow, until its attempts are used up.
    #[test]
    fn a_step_is_retried_at_the_intervals_of_its_policy() {
        let policies = json!([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"],
            "IntervalSeconds": 10, "BackoffRate": 3, "MaxAttempts": 3}]);
        let (waits, row) = outcome(policies, CAPACITY);
        assert_eq!(waits, [10, 30, 90]);
        assert_eq!(row["StepStatus"], "Failed");
        assert_eq!(row["AttemptCount"], 4);
        assert_eq!(row["FailureReason"], CAPACITY);
    }

    #[test]
    fn a_policy_may_end_by_the_time_since_the_step_began() {
        let policies = json!([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"],
            "IntervalSeconds": 30, "BackoffRate": 1, "ExpireAfterMin": 1}]);
        let (waits, row) = outcome(policies, CAPACITY);
        assert_eq!(waits, [30, 30], "the third failure comes after the minute");
        assert_eq!(row["AttemptCount"], 3);
    }

    #[test]
    fn a_failure_of_another_type_is_not_retried() {
        let policies = json!([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"]}]);
        for reason in [
            "InternalServerError: We encountered an internal error. Please try again.",
            "AlgorithmError: no",
        ] {
            let (waits, row) = outcome(policies.clone(), reason);
            assert!(waits.is_empty(), "{reason}: {waits:?}");
            assert_eq!(row["AttemptCount"], 1);
        }
    }

    #[test]
    fn throttling_is_retried_without_a_policy_and_a_policy_overrides_that() {
        let reason = "ThrottlingException: Rate exceeded";
        assert_eq!(outcome(json!([]), reason).0, [1, 2, 4, 8, 16]);
        let policies = json!([{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 0}]);
        assert!(outcome(policies, reason).0.is_empty());
    }

    #[test]
    fn tuning_jobs_are_not_retried_for_internal_errors() {
        let policies = json!([{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"]}]);
        let mut world = World::new();
        let mut tuning = definition("Tuning", policies);
        tuning["Steps"][0]["Arguments"] = json!({"HyperParameterTuningJobConfig":
            {"Strategy": "Bayesian", "ResourceLimits": {"MaxParallelTrainingJobs": 1}},
            "TrainingJobDefinition": {"AlgorithmSpecification": {"TrainingImage": "host/i:1",
                "TrainingInputMode": "File"}, "RoleArn": "arn:aws:iam::123456789012:role/r",
                "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
                "StoppingCondition": {"MaxRuntimeInSeconds": 60}}});
        world.create("p", &tuning);
        let arn = world.start("p", json!({}));
        assert!(waits(&mut world, &arn, "InternalServerError: no").is_empty());
    }

    /// A step that waits for its next attempt is stopped at once, and one that succeeds then says how often it was tried.
    #[test]
    fn a_step_between_two_attempts_can_be_stopped_or_succeed() {
        let policies = json!([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"],
            "IntervalSeconds": 60}]);
        for stops in [true, false] {
            let mut world = World::new();
            world.create("p", &definition("Processing", policies.clone()));
            let arn = world.start("p", json!({}));
            assert!(world.fail_job(CAPACITY));
            assert_eq!(world.step(&arn, "P")["StepStatus"], "Executing");
            if stops {
                world.stop(&arn);
            }
            world.finish();
            let row = world.step(&arn, "P");
            let (status, attempts) = if stops {
                ("Stopped", 1)
            } else {
                ("Succeeded", 2)
            };
            assert_eq!(row["StepStatus"], status);
            assert_eq!(row["AttemptCount"], attempts);
            assert!(row.get("FailureReason").is_none(), "{row}");
            assert_eq!(world.describe(&arn)["PipelineExecutionStatus"], status);
        }
    }

    #[test]
    fn a_call_that_retries_an_execution_gives_its_policies_anew() {
        let policies = json!([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "MaxAttempts": 1}]);
        let mut world = World::new();
        world.create("p", &definition("Processing", policies));
        let arn = world.start("p", json!({}));
        assert_eq!(waits(&mut world, &arn, CAPACITY).len(), 1);
        world.retry(&arn);
        assert_eq!(waits(&mut world, &arn, CAPACITY).len(), 1);
        assert_eq!(world.step(&arn, "P")["AttemptCount"], 4);
    }

    /// A failure that is asked for befalls the first attempts at its step, whose retry policy then decides.
    #[test]
    fn the_first_attempts_fail_as_it_is_asked_for() {
        let policies = json!([{"ExceptionType": ["SageMaker.CAPACITY_ERROR"]}]);
        let mut world = World::new();
        let fault = "P=SageMaker.CAPACITY_ERROR*2".parse().unwrap();
        world.state.settings.faults = vec![fault];
        world.create("p", &definition("Processing", policies));
        let arn = world.start("p", json!({}));
        world.finish();
        let row = world.step(&arn, "P");
        assert_eq!(row["StepStatus"], "Succeeded");
        assert_eq!(row["AttemptCount"], 3);
    }

    #[test]
    fn an_unknown_fault_is_refused_with_those_that_are_known() {
        let refused = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        assert!(refused("P=Capacity").contains("SageMaker.CAPACITY_ERROR, SageMaker.RESOURCE"));
        for wrong in [
            "P",
            "P=Step.THROTTLING*x",
            "P=Step.THROTTLING*0",
            "P=Step.THROTTLING*-1",
        ] {
            assert_eq!(refused(wrong), FaultError::Form.to_string(), "{wrong}");
        }
    }
}
