//! What a training job ended with: its metrics, and why it failed.
//!
//! A step's event names the job and says nothing of its metrics, so SageMaker
//! is asked when the step has ended (DescribeTrainingJob). Of a job that has
//! ended the answer does not change any more, and the item that is made of it
//! has the job's name in its key: whichever function asks, in whatever order and however
//! often, writes the same item.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::event::Event;
use super::families::Subject;
use super::fold::{MAX_KEY_PART_BYTES, cut};
use super::id::RecordId;
use super::names;
use super::reconcile::StepState;
use super::rows::{ChangeRow, Metric, TrainingRow};
use super::status::is_final;

/// What SageMaker answers about a training job. Moments are epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingState {
    /// Its ARN.
    pub arn: String,
    /// Its status: `InProgress`, `Completed`, `Failed`, `Stopping` or `Stopped`.
    pub status: String,
    /// Why it failed: the text that the container left, with what SageMaker
    /// puts around it.
    pub failure_reason: Option<String>,
    /// When the training began.
    pub started_at: Option<i64>,
    /// When the training ended.
    pub ended_at: Option<i64>,
    /// The last value of each of its metrics.
    pub metrics: Vec<MetricState>,
}

/// The last value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricState {
    /// Its name in the job's metric definitions.
    pub name: String,
    /// Its value, in the API's precision; it may be NaN or infinite.
    pub value: f32,
    /// When it had that value.
    pub at: Option<i64>,
}

/// A training job that a step ran and that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTraining {
    /// The step's name.
    pub step: String,
    /// The job's ARN.
    pub arn: String,
}

impl EndedTraining {
    /// The job of a step's final event, if it ran one.
    pub fn of_event(event: &Event) -> Option<Self> {
        let Subject::Step(facts) = &event.subject else {
            return None;
        };
        Self::of(
            &facts.name,
            &event.status.name,
            facts.resource_arn.as_deref(),
        )
    }

    /// The job of a step that has ended, as SageMaker lists it.
    pub fn of_step(state: &StepState) -> Option<Self> {
        let arn = state.made.as_ref().map(|made| made.arn.as_str());
        Self::of(&state.name, &state.status, arn)
    }

    /// The job of a step's change item, if it tells the step's end.
    pub fn of_change(change: &ChangeRow) -> Option<Self> {
        let step = change.step_name.as_deref()?;
        Self::of(step, &change.status, change.resource_arn.as_deref())
    }

    /// Steps of several types run training jobs; what they ran tells.
    fn of(step: &str, status: &str, arn: Option<&str>) -> Option<Self> {
        let arn = arn.filter(|arn| job_name(arn).is_some())?;
        is_final(status).then(|| Self {
            step: step.to_owned(),
            arn: arn.to_owned(),
        })
    }

    /// The job's name.
    pub fn job(&self) -> &str {
        job_name(&self.arn).unwrap_or_default()
    }

    /// The sort key of its item. Events may have ARNs in lower case.
    pub fn entry(&self) -> String {
        let name = self.job().to_ascii_lowercase();
        format!(
            "{}{}",
            names::TRAINING_PREFIX,
            cut(&name, MAX_KEY_PART_BYTES)
        )
    }

    /// The item of execution `id` that keeps what the job ended with; `None`
    /// while it has not ended: SageMaker's answer may lag behind its event.
    pub fn row(&self, id: &RecordId, state: &TrainingState) -> Option<TrainingRow> {
        let ended = matches!(state.status.as_str(), "Completed" | "Failed" | "Stopped");
        ended.then(|| TrainingRow {
            id: id.to_string(),
            entry: self.entry(),
            step_name: self.step.clone(),
            resource_arn: state.arn.clone(),
            status: state.status.clone(),
            reason: state.failure_reason.clone(),
            started_at: state.started_at,
            ended_at: state.ended_at,
            metrics: state.metrics.iter().map(metric).collect(),
        })
    }
}

/// The training jobs that the steps of an execution ended with, each once, as
/// its change items and SageMaker's list of its steps name them. A retried
/// step's earlier jobs are known from its change items only.
pub fn ended_trainings<'a>(
    changes: impl IntoIterator<Item = &'a ChangeRow>,
    steps: impl IntoIterator<Item = &'a StepState>,
) -> Vec<EndedTraining> {
    let of_changes = changes.into_iter().filter_map(EndedTraining::of_change);
    let of_steps = steps.into_iter().filter_map(EndedTraining::of_step);
    let by_entry: BTreeMap<String, EndedTraining> = of_changes
        .chain(of_steps)
        .map(|training| (training.entry(), training))
        .collect();
    by_entry.into_values().collect()
}

/// `job-1` of `arn:aws:sagemaker:eu-west-1:123456789012:training-job/job-1`.
fn job_name(arn: &str) -> Option<&str> {
    let (scope, name) = arn.split_once(":training-job/")?;
    (scope.starts_with("arn:") && !name.is_empty()).then_some(name)
}

/// A metric as it is stored. DynamoDB has no number that is none: those are
/// kept as texts, as JSON's writers of the AWS APIs spell them.
fn metric(metric: &MetricState) -> Metric {
    let value = match metric.value {
        value if value.is_nan() => Value::from("NaN"),
        f32::INFINITY => Value::from("Infinity"),
        f32::NEG_INFINITY => Value::from("-Infinity"),
        // The shortest digits that read back as this value, never more than
        // DynamoDB's 38. It knows no negative zero.
        value => Value::Number(Number::from_string_unchecked((value + 0.0).to_string())),
    };
    Metric {
        name: metric.name.clone(),
        value,
        at: metric.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const JOB: &str =
        "arn:aws:sagemaker:eu-west-1:123456789012:training-job/pipelines-abc-Train-x1";

    fn training() -> EndedTraining {
        EndedTraining {
            step: "Train".to_owned(),
            arn: JOB.to_owned(),
        }
    }

    fn ended(metrics: Vec<MetricState>) -> TrainingState {
        TrainingState {
            arn: JOB.to_owned(),
            status: "Completed".to_owned(),
            started_at: Some(1_714_978_800_000),
            ended_at: Some(1_714_978_860_000),
            metrics,
            ..TrainingState::default()
        }
    }

    fn value_of(value: f32) -> Value {
        let state = ended(vec![MetricState {
            name: "loss".to_owned(),
            value,
            at: None,
        }]);
        let row = training().row(&RecordId::new("run-1").unwrap(), &state);
        row.unwrap().item()["metrics"][0]["value"].clone()
    }

    #[test]
    fn the_item_has_each_metric_by_name_value_and_moment() {
        let state = ended(vec![
            MetricState {
                name: "test:RMSE".to_owned(),
                value: 0.1,
                at: Some(1_714_978_859_000),
            },
            MetricState {
                name: "train:loss".to_owned(),
                value: f32::NAN,
                at: None,
            },
        ]);
        let id = RecordId::new("run-1").unwrap();
        let item = training().row(&id, &state).unwrap().item();
        assert_eq!(
            Value::Object(item),
            json!({
                "Id": "run-1", "entry": "training#pipelines-abc-train-x1", "stepName": "Train",
                "resourceArn": JOB, "status": "Completed",
                "startedAt": 1_714_978_800_000_i64, "endedAt": 1_714_978_860_000_i64,
                "metrics": [
                    {"name": "test:RMSE", "value": 0.1, "at": 1_714_978_859_000_i64},
                    {"name": "train:loss", "value": "NaN"},
                ],
            })
        );
    }

    #[test]
    fn a_job_that_has_not_ended_makes_no_item() {
        let id = RecordId::new("run-1").unwrap();
        for status in ["InProgress", "Stopping", ""] {
            let state = TrainingState {
                status: status.to_owned(),
                ..ended(Vec::new())
            };
            assert_eq!(training().row(&id, &state), None, "{status}");
        }
    }

    #[test]
    fn a_failed_job_keeps_the_containers_text_whole() {
        let reason = "AlgorithmError: line one\nline two, exit code: 1";
        let state = TrainingState {
            status: "Failed".to_owned(),
            failure_reason: Some(reason.to_owned()),
            ..ended(Vec::new())
        };
        let id = RecordId::new("run-1").unwrap();
        let item = training().row(&id, &state).unwrap().item();
        assert_eq!(item["reason"], Value::from(reason));
        assert!(!item.contains_key("metrics"));
    }

    #[test]
    fn only_the_end_of_a_step_that_ran_a_training_job_names_one() {
        let of = |status: &str, arn: &str| {
            let event = json!({
                "source": "aws.sagemaker", "time": 1_714_978_800_000_i64,
                "detail-type": "SageMaker Model Building Pipeline Execution Step Status Change",
                "detail": {
                    "stepName": "Train", "currentStepStatus": status,
                    "pipelineExecutionArn": "arn:aws:sagemaker:eu-west-1:1:pipeline/p/execution/abc",
                    "metadata": {"trainingJob": {"arn": arn}},
                },
            });
            EndedTraining::of_event(&Event::parse(&event).unwrap())
        };
        for status in ["Succeeded", "Failed", "Stopped"] {
            assert_eq!(of(status, JOB), Some(training()), "{status}");
        }
        assert_eq!(of("Executing", JOB), None);
        for other in ["processing-job", "hyper-parameter-tuning-job"] {
            assert_eq!(of("Succeeded", &JOB.replace("training-job", other)), None);
        }
        assert_eq!(of("Succeeded", "arn:aws:sagemaker:::training-job/"), None);
    }

    #[test]
    fn each_job_is_named_once_in_whatever_case() {
        let change = |name: &str, arn: &str, status: &str| ChangeRow {
            step_name: Some(name.to_owned()),
            status: status.to_owned(),
            resource_arn: Some(arn.to_owned()),
            ..ChangeRow::default()
        };
        let earlier = JOB.replace("x1", "x0");
        let changes = [
            change("Train", &earlier, "Failed"),
            change("Train", JOB, "Executing"),
            change("Train", &JOB.to_ascii_lowercase(), "Succeeded"),
        ];
        let step = StepState {
            name: "Train".to_owned(),
            status: "Succeeded".to_owned(),
            made: Some(crate::record::reconcile::Made {
                kind: crate::definition::StepKind::Training,
                arn: JOB.to_owned(),
            }),
            ..StepState::default()
        };
        let jobs: Vec<String> = ended_trainings(&changes, &[step])
            .iter()
            .map(|training| training.arn.clone())
            .collect();
        assert_eq!(jobs, [earlier, JOB.to_owned()]);
    }

    proptest! {
        /// The value of a metric is kept to the last bit, one that is not a number as a text.
        #[test]
        fn a_metrics_value_is_kept_to_the_last_bit(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            match value_of(value) {
                Value::Number(number) => {
                    let text = number.to_string();
                    prop_assert!(value.is_finite());
                    prop_assert_eq!(text.parse::<f32>().unwrap(), value);
                    prop_assert!(!text.contains(['e', 'E', '+']), "{}", text);
                    let digits = text.trim_start_matches(['-', '0', '.']).replace('.', "");
                    prop_assert!(digits.trim_end_matches('0').len() <= 38, "{}", text);
                    prop_assert_ne!(text.as_str(), "-0");
                }
                Value::String(text) => {
                    prop_assert!(!value.is_finite());
                    let read: f32 = text.parse().unwrap();
                    prop_assert!(read == value || (read.is_nan() && value.is_nan()));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
