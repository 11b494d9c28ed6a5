//! The images that SageMaker keeps in another account in each region.

use std::sync::LazyLock;

use serde_json::Value;

use crate::nearest::nearest;

static IMAGES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/image_uris.json"))
        .unwrap_or_else(|error| unreachable!("the shipped table is JSON: {error}"))
});

/// The images of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionImages {
    /// DeepAR, for training and inference.
    pub deepar: String,
    /// The debugger's profiler rules; `None` where the region offers none.
    pub debugger_rules: Option<String>,
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
    IMAGES
        .get("regions")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|regions| regions.keys())
        .map(String::as_str)
}

/// The images of a region, by its name such as `eu-central-1`.
///
/// # Errors
/// [`UnknownRegion`] where there is no DeepAR image.
pub fn images(region: &str) -> Result<RegionImages, UnknownRegion> {
    let image = |name: &str| {
        IMAGES
            .get("regions")?
            .get(region)?
            .get(name)?
            .as_str()
            .map(str::to_owned)
    };
    match image("deepar") {
        Some(deepar) => Ok(RegionImages {
            deepar,
            debugger_rules: image("debugger_rules"),
        }),
        None => Err(UnknownRegion {
            region: region.to_owned(),
            nearest: nearest(region, names()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{images, names};

    #[test]
    fn every_region_has_an_image_of_its_own_and_its_partitions_suffix() {
        assert_eq!(names().count(), 37);
        for region in names() {
            let images = images(region).unwrap();
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
        assert_eq!(images("eu-central-2").unwrap().debugger_rules, None);
        assert_eq!(
            images("us-east-1").unwrap().debugger_rules.as_deref(),
            Some("503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest")
        );
    }

    #[test]
    fn an_unknown_region_is_an_error_that_names_the_nearest() {
        let message = images("eu-centrl-1").unwrap_err().to_string();
        assert!(message.contains("\"eu-centrl-1\""), "{message}");
        assert!(message.contains("\"eu-central-1\""), "{message}");
    }
}
