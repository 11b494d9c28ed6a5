//! Jobs in their own images, by docker or podman.

use crate::state::ProgramOrder;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

use super::layout::CONTAINER_ROOT;

/// The program that runs containers.
#[derive(Debug, Clone)]
pub struct Containers {
    /// `docker` or `podman`, by its path.
    pub engine: PathBuf,
    /// What it finds in its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The file of certificates that the jobs' environment names; an absolute path.
    pub certificates: Option<PathBuf>,
}

/// A container that is to run.
pub(super) struct Container<'a> {
    /// Unique on this machine.
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    /// The folder that is mounted at `/opt/ml`.
    pub(super) root: &'a Path,
    /// In the place of the image's own; empty for that one.
    pub(super) entrypoint: &'a [String],
    pub(super) arguments: &'a [String],
    pub(super) environment: &'a BTreeMap<OsString, OsString>,
}

/// The name of the container of one host of a job.
pub(super) fn name_of(order: &ProgramOrder, host: &str) -> String {
    format!("{}-{host}", order.job_name)
}

impl Containers {
    /// The command that runs a container to its end, and ends it when it is told to end itself.
    pub(super) fn run(&self, container: &Container<'_>) -> Command {
        let mut volume = container.root.as_os_str().to_owned();
        volume.push(":");
        volume.push(CONTAINER_ROOT);
        let mut command = Command::new(&self.engine);
        command
            .env_clear()
            .envs(self.own())
            // The local AWS listens on loopback.
            .args([
                "run",
                "--rm",
                "--init",
                "--network",
                "host",
                "--name",
                container.name,
            ])
            .arg("--volume")
            .arg(volume);
        if let Some(certificates) = &self.certificates {
            let mut volume = certificates.as_os_str().to_owned();
            volume.push(":");
            volume.push(certificates);
            volume.push(":ro");
            command.arg("--volume").arg(volume);
        }
        for (name, value) in container.environment {
            command.arg("--env");
            if self.own().any(|(own, _)| own == name) {
                // The engine's own of that name means something else.
                let mut both = name.clone();
                both.push("=");
                both.push(value);
                command.arg(both);
            } else {
                // By its name: what is on a command line, every user of the machine can read.
                command.arg(name).env(name, value);
            }
        }
        let mut arguments = container.entrypoint.iter();
        if let Some(program) = arguments.next() {
            command.arg("--entrypoint").arg(program);
        }
        command
            .arg(container.image)
            .args(arguments)
            .args(container.arguments);
        command
    }

    /// Removes a container that has not ended with the command that ran it. One that has is no
    /// fault.
    pub(super) async fn remove(&self, name: &str) {
        let removed = Command::new(&self.engine)
            .env_clear()
            .envs(self.own())
            .args(["rm", "--force", name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if let Err(error) = removed {
            tracing::warn!("the container {name} may still run: {error}");
        }
    }

    fn own(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let own = self.environment.iter();
        own.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_has_the_jobs_folder_program_and_environment() {
        let containers = Containers {
            engine: "docker".into(),
            environment: vec![("HOME".into(), "/home/me".into())],
            certificates: Some("/run/ca.pem".into()),
        };
        let environment = [("HOME", "/root"), ("SECRET", "value")];
        let environment = environment
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let texts =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&t| t.to_owned()).collect() };
        let run = |entrypoint: &[&str]| {
            let command = containers.run(&Container {
                name: "job-algo-1",
                image: "image:1",
                root: Path::new("/run/opt/ml"),
                entrypoint: &texts(entrypoint),
                arguments: &texts(&["--n", "1"]),
                environment: &environment,
            });
            let line: Vec<String> = command
                .as_std()
                .get_args()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            line.join(" ")
        };
        let head = "run --rm --init --network host --name job-algo-1 --volume /run/opt/ml:/opt/ml \
            --volume /run/ca.pem:/run/ca.pem:ro --env HOME=/root --env SECRET";
        assert_eq!(run(&[]), format!("{head} image:1 --n 1"));
        assert_eq!(
            run(&["python3", "a.py"]),
            format!("{head} --entrypoint python3 image:1 a.py --n 1")
        );
    }
}
