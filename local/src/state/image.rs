//! Which program of this machine stands for an image.

use super::Settings;
use pipewright::template::regions;

impl Settings {
    /// The name of the runner that stands for an image, if there is one.
    ///
    /// An image of the account's own registry, of this machine's or of none has the runner with
    /// whose name its repository's ends, at a slash; of several the longest. So has Amazon's
    /// image of DeepAR. An image of any other registry has only the runner that is named with
    /// it, `HOST/REPOSITORY`: what somebody else has pushed is not ours for its name.
    pub(super) fn runner_of(&self, image: &str) -> Option<&str> {
        let repository = without_tag(image);
        if !self.is_own(repository) {
            return self.runners.get(repository).map(String::as_str);
        }
        let runners = self.runners.iter().map(String::as_str);
        let ends_with = |runner: &&str| {
            let before = repository.strip_suffix(runner);
            before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        runners.filter(ends_with).max_by_key(|runner| runner.len())
    }

    fn is_own(&self, repository: &str) -> bool {
        let (host, _) = repository.split_once('/').unwrap_or_default();
        let is_host = host.contains(['.', ':']);
        let registry = format!("{}.dkr.ecr.", self.account.id);
        let deepar = regions::images(&self.account.region);
        !is_host
            || host.starts_with(&registry)
            || host.split(':').next() == Some("localhost")
            || deepar.is_ok_and(|images| without_tag(&images.deepar) == repository)
    }
}

/// An image's URI without tag and digest.
fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // What follows the colon of a port has a slash.
        Some((before, tag)) if !tag.contains('/') => before,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Account;

    /// A foreign image that is only named like one with a runner is not run by that runner.
    #[test]
    fn a_foreign_image_is_not_ours_for_its_name() {
        let foreign = "683313688378.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn";
        let settings = Settings {
            account: Account {
                id: "123456789012".to_owned(),
                region: "eu-west-1".to_owned(),
            },
            simulated_step_millis: 0,
            runners: ["features", "team/features", "forecasting-deepar", foreign]
                .map(str::to_owned)
                .into(),
            servers: [].into(),
            seed: 1,
        };
        let own = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let deepar = regions::images("eu-west-1").unwrap().deepar;
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
            assert_eq!(settings.runner_of(&image), runner, "{image}");
        }
    }
}
