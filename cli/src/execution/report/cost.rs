//! What the jobs of an execution cost, as far as their instances' prices are known.

use std::collections::BTreeMap;

use anyhow::Context;
use pipewright::definition::{Definition, Step as Defined};
use pipewright::record::history::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::render::duration;
use super::page::of_parameter;

/// On-demand prices in dollars. `docs/COST.md`, whose arithmetic reads the same file, says where they come from.
const PRICES: &str = include_str!("prices.json");

const HOURS_OF_MONTH: f64 = 730.0;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prices {
    /// The region whose prices they are.
    region: String,
    /// Of an hour, by instance type.
    instance_hour: BTreeMap<String, f64>,
    /// Of a job's volume, for a gigabyte and a month.
    volume_gigabyte_month: f64,
}

/// An estimate of what jobs cost.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Cost {
    /// The region whose prices these are.
    region: String,
    jobs: Vec<Job>,
    /// The sum of the jobs whose price is known, in dollars.
    total: String,
    /// Whether a price is missing, so that the sum is too small.
    is_incomplete: bool,
}

/// A step's job: its instances and volumes, and what they cost.
#[derive(Debug, PartialEq, Serialize)]
struct Job {
    step: String,
    /// How many of which type: `2 x ml.m5.xlarge`.
    instances: String,
    duration: String,
    /// In dollars; `None` where the instance's price is unknown.
    cost: Option<String>,
}

/// What an execution's jobs cost that really ran and have ended; `None` where it has none. A step's time is its last
/// attempt's, from the start of the step, which is longer than what is billed.
///
/// # Errors
/// If the table of prices cannot be read.
pub(super) fn cost(
    steps: &[Step],
    definition: &Definition,
    parameters: &[(String, String)],
) -> anyhow::Result<Option<Cost>> {
    let prices: Prices = serde_json::from_str(PRICES).context("the table of prices")?;
    let defined = definition.steps();
    let (mut jobs, mut total, mut is_incomplete) = (Vec::new(), 0.0, false);
    let ran = steps.iter().filter(|step| {
        !step.simulated && step.cache_hit_arn.is_none() && step.selection_arn.is_none()
    });
    for step in ran {
        let of_definition = defined.iter().find(|one| one.name() == step.name);
        let (Some(cluster), Some((from, to))) = (
            of_definition.and_then(|one| Cluster::of(one, parameters)),
            step.started_at.zip(step.ended_at),
        ) else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of days at most")]
        let hours = (to - from).max(0) as f64 / 3_600_000.0;
        let hour = prices.instance_hour.get(&cluster.instance_type);
        let volume = cluster.gigabytes * prices.volume_gigabyte_month / HOURS_OF_MONTH;
        let cost = hour.map(|hour| cluster.instances * hours * (hour + volume));
        is_incomplete |= cost.is_none();
        total += cost.unwrap_or_default();
        jobs.push(Job {
            step: step.name.clone(),
            instances: format!("{} x {}", cluster.instances, cluster.instance_type),
            duration: duration(to - from),
            cost: cost.map(dollars),
        });
    }
    Ok((!jobs.is_empty()).then(|| Cost {
        region: prices.region,
        jobs,
        total: dollars(total),
        is_incomplete,
    }))
}

fn dollars(cost: f64) -> String {
    format!("{cost:.4}")
}

/// The instances of a job.
struct Cluster {
    instance_type: String,
    instances: f64,
    /// Of each instance's volume.
    gigabytes: f64,
}

impl Cluster {
    /// As a step's arguments and the execution's parameters tell.
    fn of(step: &Defined<'_>, parameters: &[(String, String)]) -> Option<Self> {
        let members = with_instances(step.arguments()?)?;
        let text = |name: &str| match members.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            value => of_parameter(value, parameters),
        };
        let number = |name: &str| text(name)?.parse::<f64>().ok();
        Some(Self {
            instance_type: text("InstanceType")?,
            instances: number("InstanceCount").unwrap_or(1.0),
            gigabytes: number("VolumeSizeInGB").unwrap_or_default(),
        })
    }
}

/// The object among a step's arguments that says on what instances its job runs.
fn with_instances(value: &Value) -> Option<&Map<String, Value>> {
    let members = value.as_object()?;
    match members.contains_key("InstanceType") {
        true => Some(members),
        false => members.values().find_map(with_instances),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(name: &str, minutes: i64) -> Step {
        let mut step = super::super::super::render::tests::example().steps[0].clone();
        step.name = name.to_owned();
        (step.started_at, step.ended_at) = (Some(0), Some(minutes * 60_000));
        (step.simulated, step.cache_hit_arn) = (false, None);
        step
    }

    /// A job costs its instances and volumes for the time of its step, by the execution's parameters; what was simulated or taken from the cache costs nothing.
    #[test]
    fn the_cost_of_jobs_is_that_of_their_instances_and_volumes() {
        let job = |kind: &str, arguments: Value| json!({"Name": kind, "Type": kind, "Arguments": arguments});
        let definition = json!({"Version": "2020-12-01",
            "Parameters": [{"Name": "Type", "Type": "String", "DefaultValue": "ml.m5.large"}],
            "Steps": [
                job("Processing", json!({"ProcessingResources": {"ClusterConfig": {
                    "InstanceType": {"Get": "Parameters.Type"}, "InstanceCount": 2, "VolumeSizeInGB": 30}}})),
                job("Training", json!({"ResourceConfig": {"InstanceType": "ml.unknown", "InstanceCount": 1}})),
                job("Model", json!({})),
                job("Transform", json!({"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1}}))]});
        let definition = Definition::parse(&definition.to_string()).unwrap();
        let parameters = [("Type".to_owned(), "ml.m5.xlarge".to_owned())];
        let mut cached = step("Transform", 60);
        cached.cache_hit_arn = Some("arn".to_owned());
        let steps = [
            step("Processing", 30),
            step("Training", 10),
            step("Model", 1),
            cached,
        ];
        let cost = cost(&steps, &definition, &parameters).unwrap().unwrap();
        let expected = 2.0 * 0.5 * (0.23 + 30.0 * 0.14 / 730.0);
        assert_eq!(cost.total, format!("{expected:.4}"));
        assert!(cost.is_incomplete);
        let told: Vec<_> = cost
            .jobs
            .iter()
            .map(|job| {
                (
                    job.step.as_str(),
                    job.instances.as_str(),
                    job.cost.is_some(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("Processing", "2 x ml.m5.xlarge", true),
                ("Training", "1 x ml.unknown", false)
            ]
        );
        assert_eq!(
            super::cost(&steps[2..], &definition, &parameters).unwrap(),
            None
        );
    }
}
