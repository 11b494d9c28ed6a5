//! Where the logs of trainings lie, which the curves of losses are read from.

use std::path::PathBuf;

use clap::Args;
use pipewright::record::{ExecutionArn, History};
use pipewright_aws::process::optional_variable;
use pipewright_files::below;

use super::charts::Curve;

/// The variable that names the folder where `make local` keeps the jobs of executions.
const JOBS: &str = "PIPEWRIGHT_JOBS";

/// The log of a job in its folder there.
const LOG: &str = "container.log";

/// Where logs lie.
#[derive(Debug, Clone, Args)]
pub(crate) struct Logs {
    /// The folder in which the local stand-in keeps jobs, DIR/EXECUTION/STEP/container.log, for the losses of
    /// trainings; without it, that of PIPEWRIGHT_JOBS, which `make local` sets.
    #[arg(long, value_name = "DIR")]
    jobs: Option<PathBuf>,
}

/// The losses of trainings, by their steps.
pub(crate) type Curves = Vec<(String, Curve)>;

impl Logs {
    /// The losses of an execution's trainings that have a log in the folder of jobs. An execution of an AWS account has
    /// none there, and neither has a training of an image that tells no losses.
    pub(crate) fn curves(&self, history: &History) -> Curves {
        let steps = history.trainings.iter().map(|training| &training.step_name);
        steps
            .filter_map(|step| Some((step.clone(), self.curve(history, step)?)))
            .collect()
    }

    /// The losses of one of its trainings, which may be under way.
    pub(super) fn curve(&self, history: &History, step: &str) -> Option<Curve> {
        let jobs = self.folder()?;
        let arn = ExecutionArn::parse(history.execution_arn.as_deref()?).ok()?;
        let file = below::relative(&format!("{}/{step}/{LOG}", arn.execution_id())).ok()?;
        let log = std::fs::read(jobs.join(file)).ok()?;
        Curve::of_log(&String::from_utf8_lossy(&log))
    }

    /// The folder of jobs, if there is one.
    fn folder(&self) -> Option<PathBuf> {
        self.jobs
            .clone()
            .or_else(|| optional_variable(JOBS).map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::example;
    use super::*;
    use pipewright::record::history::Training;

    #[test]
    fn the_losses_of_a_training_are_found_and_no_other_file_is() {
        let folder = std::env::temp_dir().join(format!("pipewright-logs-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let jobs = folder.join("jobs");
        std::fs::create_dir_all(jobs.join("abc/Train")).unwrap();
        let log = "#quality_metric: host=algo-1, epoch=0, train loss <loss>=6.5\n";
        std::fs::write(jobs.join("abc/Train/container.log"), log).unwrap();
        std::fs::write(folder.join("container.log"), log).unwrap();
        let mut history = example();
        history.trainings = ["Train", "Other", "../.."]
            .map(|step| Training {
                step_name: step.to_owned(),
                job_arn: String::new(),
                status: "Completed".to_owned(),
                reason: None,
                started_at: None,
                ended_at: None,
                metrics: Vec::new(),
            })
            .into();
        let found = Logs { jobs: Some(jobs) }.curves(&history);
        let steps: Vec<_> = found.iter().map(|(step, _)| step.as_str()).collect();
        assert_eq!(steps, ["Train"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
