//! What differs from region to region: the images that SageMaker keeps in another account there, and
//! what it offers.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::nearest::nearest;

static REGIONS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/regions.json"))
        .unwrap_or_else(|error| unreachable!("the shipped table is JSON: {error}"))
});

/// A region, as far as templates depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// DeepAR, for training and inference.
    pub deepar: String,
    /// The debugger's profiler rules; `None` where the region offers none.
    pub debugger_rules: Option<String>,
    /// Whether SageMaker offers Experiments.
    pub experiments: bool,
}

/// The keys of templates that stand for a region's images.
pub const IMAGE_KEYS: [&str; 2] = ["DeepARImageUri", "DebuggerRulesImageUri"];

/// What a template may use of a region: its images, of which one that it lacks is an empty text, and
/// `HasExperiments`. A region that is not known has no Experiments, and its images must be given.
pub fn values(region: Option<Region>) -> Map<String, Value> {
    let experiments = region.as_ref().is_some_and(|region| region.experiments);
    let mut values = Map::from_iter([("HasExperiments".to_owned(), experiments.into())]);
    if let Some(region) = region {
        let images = [region.deepar, region.debugger_rules.unwrap_or_default()];
        let images = images.map(Value::from);
        values.extend(IMAGE_KEYS.map(str::to_owned).into_iter().zip(images));
    }
    values
}

/// A region that has no DeepAR image, as far as the table knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no DeepAR image is known for region {region:?}{}: give DeepARImageUri yourself, or take one \
     of the regions that have one",
    nearest.as_ref().map(|name| format!(" (the nearest name is {name:?})")).unwrap_or_default()
)]
pub struct UnknownRegion {
    /// The region that was asked for.
    pub region: String,
    /// The known region with the most similar name.
    pub nearest: Option<&'static str>,
}

/// The regions that have a DeepAR image, in the table's order.
pub fn names() -> impl Iterator<Item = &'static str> {
    REGIONS
        .get("regions")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|regions| regions.keys())
        .map(String::as_str)
}

/// A region, by its name such as `eu-central-1`.
///
/// # Errors
/// [`UnknownRegion`] where there is no DeepAR image.
pub fn find(region: &str) -> Result<Region, UnknownRegion> {
    let member = |name: &str| REGIONS.get("regions")?.get(region)?.get(name);
    let image = |name: &str| member(name)?.as_str().map(str::to_owned);
    match image("deepar") {
        Some(deepar) => Ok(Region {
            deepar,
            debugger_rules: image("debugger_rules"),
            experiments: member("experiments") == Some(&Value::Bool(true)),
        }),
        None => Err(UnknownRegion {
            region: region.to_owned(),
            nearest: nearest(region, names()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{find, names};

    #[test]
    fn every_region_has_an_image_of_its_own_and_its_partitions_suffix() {
        assert_eq!(names().count(), 37);
        for region in names() {
            let images = find(region).unwrap();
            assert!(
                images.deepar.contains(&format!(".dkr.ecr.{region}.")),
                "{region}"
            );
            assert!(images.deepar.ends_with("/forecasting-deepar:1"), "{region}");
            assert_eq!(
                images.deepar.contains(".amazonaws.com.cn/"),
                region.starts_with("cn-"),
                "{region}"
            );
        }
    }

    #[test]
    fn regions_without_debugger_have_no_rules_image() {
        assert_eq!(find("eu-central-2").unwrap().debugger_rules, None);
        assert_eq!(
            find("us-east-1").unwrap().debugger_rules.as_deref(),
            Some("503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest")
        );
    }

    #[test]
    fn an_unknown_region_is_an_error_that_names_the_nearest() {
        let message = find("eu-centrl-1").unwrap_err().to_string();
        assert!(message.contains("\"eu-centrl-1\""), "{message}");
        assert!(message.contains("\"eu-central-1\""), "{message}");
    }
}
