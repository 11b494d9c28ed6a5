//! What SageMaker knows of its own algorithms' images.

use super::image::Runner;
use pipewright_forecast::metrics;
use serde_json::{Map, Value, json};

/// The repository of DeepAR's image.
const DEEPAR: &str = "forecasting-deepar";

/// Gives a training request the metric definitions of its algorithm, which SageMaker knows
/// though the request has none.
pub(super) fn add_metric_definitions(runner: &Runner, request: &mut Map<String, Value>) {
    if !matches!(runner, Runner::Programs(name) if name == DEEPAR) {
        return;
    }
    let definitions: Vec<Value> = metrics::DEFINITIONS
        .iter()
        .map(|metric| json!({"Name": metric.name, "Regex": metric.regex}))
        .collect();
    if let Some(Value::Object(specification)) = request.get_mut("AlgorithmSpecification") {
        specification
            .entry("MetricDefinitions")
            .or_insert_with(|| json!(definitions));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deepar_has_metrics_of_its_own_and_other_images_those_they_are_given() {
        let request = || {
            let request = json!({"AlgorithmSpecification": {"TrainingImage": "i"}});
            request.as_object().cloned().unwrap()
        };
        let mut deepar = request();
        add_metric_definitions(&Runner::Programs(DEEPAR.to_owned()), &mut deepar);
        let names: Vec<&str> = deepar["AlgorithmSpecification"]["MetricDefinitions"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|metric| metric["Name"].as_str())
            .collect();
        assert!(names.contains(&"test:RMSE"), "{names:?}");
        let mut other = request();
        add_metric_definitions(&Runner::Programs("mine".to_owned()), &mut other);
        assert_eq!(other, request());
    }
}
