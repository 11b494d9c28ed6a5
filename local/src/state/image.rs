//! What of this machine stands for an image.

use super::Settings;
use crate::framework::Framework;
use pipewright::template::regions;
use std::collections::BTreeSet;

/// What stands for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runner {
    /// The programs of a folder, by the name that it was given under.
    Programs(String),
    /// A Python of this machine, which runs the program that the job brings.
    Python(PythonImage),
    /// The image itself, by its URI, in a container.
    Container(String),
}

/// An image in whose place a Python runs programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonImage {
    /// The name that a Python was given under, or the repository of a framework's image.
    pub repository: String,
    /// The image's tag; empty if it has none.
    pub tag: String,
}

impl Settings {
    /// What stands for an image, if anything does: a folder of programs, else a Python that was
    /// given for its repository, else a container of the image itself, where these are run, else, for
    /// an image of a framework, the Python that was given for those.
    pub(super) fn runner_of(&self, image: &str) -> Option<Runner> {
        if let Some(name) = self.name_of(image, &self.runners) {
            return Some(Runner::Programs(name.to_owned()));
        }
        let python = |repository: &str| {
            Runner::Python(PythonImage {
                repository: repository.to_owned(),
                tag: tag_of(image).to_owned(),
            })
        };
        if let Some(name) = self.name_of(image, &self.pythons) {
            return Some(python(name));
        }
        if self.runs_containers {
            return Some(Runner::Container(image.to_owned()));
        }
        let (_, path) = host_and_path(without_tag(image));
        let framework = Framework::of_repository(path).filter(|_| self.runs_frameworks)?;
        Some(python(framework.repository))
    }

    /// The name, among those given, that is an image's.
    ///
    /// An image of the account's own registry, of this machine's or of none has the name
    /// that its repository's ends with, at a slash; of several the longest. So has Amazon's
    /// image of DeepAR. An image of any other registry has only the name with its host,
    /// `HOST/REPOSITORY`: what somebody else has pushed is not ours for its name.
    fn name_of<'a>(&self, image: &str, names: &'a BTreeSet<String>) -> Option<&'a str> {
        let repository = without_tag(image);
        if !self.is_own(repository) {
            return names.get(repository).map(String::as_str);
        }
        let ends_with = |name: &&str| {
            let before = repository.strip_suffix(name);
            before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        let names = names.iter().map(String::as_str);
        names.filter(ends_with).max_by_key(|name| name.len())
    }

    fn is_own(&self, repository: &str) -> bool {
        let (host, _) = host_and_path(repository);
        let registry = format!("{}.dkr.ecr.", self.account.id);
        let deepar = regions::find(&self.account.region);
        host.is_empty()
            || host.starts_with(&registry)
            || host.split(':').next() == Some("localhost")
            || deepar.is_ok_and(|images| without_tag(&images.deepar) == repository)
    }
}

/// The host of a registry, empty where there is none, and the repository's path in it.
fn host_and_path(repository: &str) -> (&str, &str) {
    match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) => (host, path),
        _ => ("", repository),
    }
}

/// An image's URI without tag and digest.
fn without_tag(image: &str) -> &str {
    split_tag(image).0
}

fn tag_of(image: &str) -> &str {
    split_tag(image).1
}

fn split_tag(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // What follows the colon of a port has a slash.
        Some((before, tag)) if !tag.contains('/') => (before, tag),
        _ => (image, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Account;

    fn settings(runners: &[&str], pythons: &[&str]) -> Settings {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Settings {
            account: Account {
                id: "123456789012".to_owned(),
                region: "eu-west-1".to_owned(),
            },
            simulated_step_millis: 0,
            runners: names(runners),
            servers: [].into(),
            pythons: names(pythons),
            runs_frameworks: true,
            runs_containers: false,
            faults: Vec::new(),
            seed: 1,
        }
    }

    /// A foreign image that is only named like one with a runner is not run by that runner.
    #[test]
    fn a_foreign_image_is_not_ours_for_its_name() {
        let foreign = "683313688378.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn";
        let settings = settings(
            &["features", "team/features", "forecasting-deepar", foreign],
            &[],
        );
        let own = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let deepar = regions::find("eu-west-1").unwrap().deepar;
        for (image, runner) in [
            (format!("{own}/features:1.2"), Some("features")),
            (format!("{own}/one/features@sha256:abc"), Some("features")),
            (format!("{own}/team/features:1"), Some("team/features")),
            (format!("{own}/no-features:1"), None),
            ("localhost:5000/features".to_owned(), Some("features")),
            ("features".to_owned(), Some("features")),
            (deepar.clone(), Some("forecasting-deepar")),
            (format!("{foreign}:1.2-1-cpu-py3"), Some(foreign)),
            (
                "999999999999.dkr.ecr.eu-west-1.amazonaws.com/features:1".to_owned(),
                None,
            ),
            ("ghcr.io/somebody/features:1".to_owned(), None),
            (
                "999999999999.dkr.ecr.eu-west-1.amazonaws.com/forecasting-deepar:1".to_owned(),
                None,
            ),
        ] {
            let runner = runner.map(|name| Runner::Programs(name.to_owned()));
            assert_eq!(settings.runner_of(&image), runner, "{image}");
        }
    }

    /// An image of a framework is run by a Python, unless it has programs of its own.
    #[test]
    fn an_image_of_a_framework_is_run_by_a_python() {
        let own = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let amazons = "683313688378.dkr.ecr.eu-west-1.amazonaws.com";
        let settings = settings(&["pytorch-training"], &["team/scripts"]);
        let python = |repository: &str, tag: &str| {
            Some(Runner::Python(PythonImage {
                repository: repository.to_owned(),
                tag: tag.to_owned(),
            }))
        };
        for (image, runner) in [
            (
                format!("{amazons}/sagemaker-scikit-learn:1.2-1-cpu-py3"),
                python("sagemaker-scikit-learn", "1.2-1-cpu-py3"),
            ),
            (
                format!("{own}/sagemaker-xgboost@sha256:abc"),
                python("sagemaker-xgboost", ""),
            ),
            (format!("{own}/team/scripts:1"), python("team/scripts", "1")),
            (format!("{amazons}/team/scripts:1"), None),
            (format!("{amazons}/mine/sagemaker-scikit-learn:1"), None),
            (
                format!("{own}/pytorch-training:2.1"),
                Some(Runner::Programs("pytorch-training".to_owned())),
            ),
            (
                format!("{amazons}/pytorch-training:2.1"),
                python("pytorch-training", "2.1"),
            ),
        ] {
            assert_eq!(settings.runner_of(&image), runner, "{image}");
        }
        let without = Settings {
            runs_frameworks: false,
            ..settings.clone()
        };
        let image = format!("{amazons}/sagemaker-scikit-learn:1.2-1-cpu-py3");
        assert_eq!(without.runner_of(&image), None);
        let with_containers = Settings {
            runs_containers: true,
            ..settings
        };
        assert_eq!(
            with_containers.runner_of(&image),
            Some(Runner::Container(image))
        );
        assert_eq!(
            with_containers.runner_of("pytorch-training"),
            Some(Runner::Programs("pytorch-training".to_owned()))
        );
    }
}
