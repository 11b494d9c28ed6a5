//! The images of the frameworks in which SageMaker runs a program that the job brings (script
//! mode), and the Python packages that such an image has.

/// A framework's image, known by its repository.
#[derive(Debug)]
pub(crate) struct Framework {
    /// The name of its repository, whatever registry it is pulled from.
    pub(crate) repository: &'static str,
    /// The package whose version an image's tag begins with.
    package: &'static str,
    /// Packages that the image has as well.
    others: &'static [&'static str],
}

/// What every one of these images has: programs read more than their channels from S3.
const OF_ALL: &str = "boto3";

/// From the Python SDK's `image_uris` and the images' own Dockerfiles.
const FRAMEWORKS: [Framework; 8] = [
    Framework {
        repository: "sagemaker-scikit-learn",
        package: "scikit-learn",
        others: &["pandas", "joblib"],
    },
    Framework {
        repository: "sagemaker-xgboost",
        package: "xgboost",
        others: &["scikit-learn", "pandas"],
    },
    Framework {
        repository: "pytorch-training",
        package: "torch",
        others: &["numpy", "pandas", "scikit-learn"],
    },
    Framework {
        repository: "pytorch-inference",
        package: "torch",
        others: &["numpy", "pandas", "scikit-learn"],
    },
    Framework {
        repository: "tensorflow-training",
        package: "tensorflow",
        others: &["pandas", "scikit-learn"],
    },
    Framework {
        repository: "huggingface-pytorch-training",
        package: "torch",
        others: &["transformers", "datasets", "accelerate"],
    },
    Framework {
        repository: "huggingface-pytorch-inference",
        package: "torch",
        others: &["transformers"],
    },
    Framework {
        repository: "huggingface-tensorflow-training",
        package: "tensorflow",
        others: &["transformers", "datasets"],
    },
];

/// The first version of scikit-learn whose builds take numpy 2, which the older ones do not refuse
/// by their metadata.
const SCIKIT_LEARN_FOR_NUMPY_2: (u32, u32) = (1, 5);
/// The same of PyTorch.
const TORCH_FOR_NUMPY_2: (u32, u32) = (2, 3);

impl Framework {
    /// The framework whose images lie in a repository, given without its registry.
    pub(crate) fn of_repository(repository: &str) -> Option<&'static Self> {
        FRAMEWORKS
            .iter()
            .find(|framework| framework.repository == repository)
    }

    /// What pip is to install for an image with this tag: the version that the tag begins with,
    /// such as `scikit-learn~=1.2.0` for `1.2-1-cpu-py3`, and the other packages.
    pub(crate) fn requirements(&self, tag: &str) -> Vec<String> {
        let version = version_of(tag);
        let mut found = vec![match version {
            Some((major, minor)) => format!("{}~={major}.{minor}.0", self.package),
            None => self.package.to_owned(),
        }];
        found.extend(self.other_packages());
        let needs_old_numpy = match self.package {
            "scikit-learn" => version.is_some_and(|version| version < SCIKIT_LEARN_FOR_NUMPY_2),
            "torch" => version.is_some_and(|version| version < TORCH_FOR_NUMPY_2),
            _ => false,
        };
        if needs_old_numpy {
            found.push("numpy<2".to_owned());
        }
        found
    }

    /// The same without versions, for a Python that the tag's has no builds for.
    pub(crate) fn newest(&self) -> Vec<String> {
        std::iter::once(self.package.to_owned())
            .chain(self.other_packages())
            .collect()
    }

    fn other_packages(&self) -> impl Iterator<Item = String> {
        let others = self.others.iter().chain([&OF_ALL]);
        others.map(|&other| other.to_owned())
    }
}

/// Major and minor version at the beginning of a tag.
fn version_of(tag: &str) -> Option<(u32, u32)> {
    let version = tag.split('-').next()?;
    let mut parts = version.split('.').map(str::parse);
    match (parts.next()?, parts.next()?) {
        (Ok(major), Ok(minor)) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_version_of_its_framework() {
        let of = |repository, tag: &str| {
            let framework = Framework::of_repository(repository).unwrap();
            framework.requirements(tag).join(" ")
        };
        assert_eq!(
            of("sagemaker-scikit-learn", "1.2-1-cpu-py3"),
            "scikit-learn~=1.2.0 pandas joblib boto3 numpy<2"
        );
        assert_eq!(
            of("sagemaker-xgboost", "1.7-1"),
            "xgboost~=1.7.0 scikit-learn pandas boto3"
        );
        assert_eq!(
            of(
                "huggingface-pytorch-training",
                "2.1.0-transformers4.36.0-gpu-py310"
            ),
            "torch~=2.1.0 transformers datasets accelerate boto3 numpy<2"
        );
        assert_eq!(
            of("pytorch-training", "2.5.1-cpu-py311"),
            "torch~=2.5.0 numpy pandas scikit-learn boto3"
        );
        assert_eq!(
            of("sagemaker-scikit-learn", "latest"),
            "scikit-learn pandas joblib boto3"
        );
        assert!(Framework::of_repository("feature-engineering").is_none());
    }
}
