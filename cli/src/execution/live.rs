//! What stands below the lines of `execution watch` on a terminal while the execution goes on: its steps, and where its
//! trainings are. It is drawn anew in place.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use pipewright::record::History;
use pipewright::record::history::Step;
use pipewright_aws::sagemaker::SageMaker;
use tokio::time::Instant;

use super::losses::Logs;
use super::render::{Writer, clean, span};
use crate::output::{self, Size, Text};

/// How often SageMaker is asked at most where a training is.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// The width of a status in the block.
const STATUS: usize = 10;

/// The width of a duration in the block, as of `59 min 59 s`.
const DURATION: usize = 11;

/// A line of the block.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Painted as such.
    status: String,
    /// What follows.
    rest: String,
}

/// The lines of the block, none wider than the terminal and no more than fit on it: a line for each step, and one below a
/// training for where it is. Steps that have ended give way first.
fn lines(history: &History, trainings: &[(String, String)], now: i64, size: Size) -> Vec<Line> {
    let line = |step: &Step| {
        let took = match (step.started_at, step.ended_at) {
            (Some(start), Some(end)) => span(start, end),
            // Whole seconds, which is how often it is looked.
            (Some(start), None) => span(start / 1000 * 1000, now / 1000 * 1000),
            (None, _) => "-".to_owned(),
        };
        let rest = format!("  {took:>DURATION$}  {}", step.name);
        let training = trainings
            .iter()
            .find(|(name, text)| *name == step.name && !text.is_empty());
        let training = training.map(|(_, text)| (String::new(), format!("  {text}")));
        [(step.status.clone(), rest)].into_iter().chain(training)
    };
    // The cursor stands in a line of its own below, and the last line that was told above should be seen.
    let most = size.rows.saturating_sub(3 + trainings.len()).max(1);
    let mut steps: Vec<&Step> = history.steps.iter().collect();
    let mut left_out = None;
    if steps.len() > most {
        // The line that says so takes the place of one more.
        let too_many = steps.len() - most + 1;
        for _ in 0..too_many {
            let ended = steps.iter().position(|step| step.ended_at.is_some());
            steps.remove(ended.unwrap_or(0));
        }
        left_out = Some((String::new(), format!("  {too_many} more steps")));
    }
    let texts = left_out.into_iter().chain(steps.into_iter().flat_map(line));
    let room = size.columns.saturating_sub(STATUS + 1);
    texts
        .map(|(status, rest)| Line {
            status: clean(&status).chars().take(STATUS).collect(),
            rest: clean(&rest).chars().take(room).collect(),
        })
        .collect()
}

/// The block at the bottom of the terminal.
pub(super) struct Block {
    logs: Logs,
    sagemaker: SageMaker,
    /// How many lines stand there.
    drawn: usize,
    /// What SageMaker said of a training, and when, by the step's name.
    asked: BTreeMap<String, (Instant, String)>,
}

impl Block {
    pub(super) fn new(logs: Logs, sagemaker: SageMaker) -> Self {
        Self {
            logs,
            sagemaker,
            drawn: 0,
            asked: BTreeMap::new(),
        }
    }

    /// Takes it away.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        output::erase(std::mem::take(&mut self.drawn))
    }

    /// Draws it, in the place of what stands there.
    pub(super) async fn draw(
        &mut self,
        writer: &mut Writer<Text<io::Stdout>>,
        history: &History,
        now: i64,
    ) -> io::Result<()> {
        let trainings = self.trainings(history).await;
        self.clear()?;
        let lines = lines(history, &trainings, now, output::size());
        for line in &lines {
            let text = format!("{}{}", writer.paint_status(&line.status, STATUS), line.rest);
            writer.line(&text)?;
        }
        self.drawn = lines.len();
        Ok(())
    }

    /// Where the trainings under way are, by their steps: of the log where it lies on this machine, or else in SageMaker's
    /// words. That it is not known is no reason to end.
    async fn trainings(&mut self, history: &History) -> Vec<(String, String)> {
        let under_way =
            |step: &&Step| step.ended_at.is_none() && step.step_type.as_deref() == Some("Training");
        let mut trainings = Vec::new();
        for step in history.steps.iter().filter(under_way) {
            let text = match self.logs.curve(history, &step.name) {
                Some(curve) => curve.last(),
                None => self.asked(step).await,
            };
            trainings.push((step.name.clone(), text));
        }
        trainings
    }

    async fn asked(&mut self, step: &Step) -> String {
        if let Some((at, text)) = self.asked.get(&step.name)
            && at.elapsed() < ASKED_EVERY
        {
            return text.clone();
        }
        let job = step.resource_arn.as_deref();
        let Some(job) = job.and_then(|arn| arn.rsplit('/').next()) else {
            return String::new();
        };
        let state = self.sagemaker.training_state(job).await;
        let metrics = state
            .ok()
            .flatten()
            .map_or_else(Vec::new, |state| state.metrics);
        let metrics: Vec<String> = metrics
            .iter()
            .map(|metric| format!("{} {:.4}", metric.name, metric.value))
            .collect();
        let text = metrics.join(", ");
        self.asked
            .insert(step.name.clone(), (Instant::now(), text.clone()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::example;
    use super::*;

    // 2024-05-06T07:02:30Z
    const NOW: i64 = 1_714_978_950_500;

    fn text(history: &History, columns: usize, rows: usize) -> Vec<String> {
        let trainings = [(
            "Training".to_owned(),
            "epoch 12: training loss 3.2100".to_owned(),
        )];
        let lines = lines(history, &trainings, NOW, Size { columns, rows });
        lines
            .iter()
            .map(|line| format!("{:STATUS$}{}", line.status, line.rest))
            .collect()
    }

    fn running() -> History {
        let mut history = example();
        history.steps[1].status = "Executing".to_owned();
        history.steps[1].ended_at = None;
        history
    }

    #[test]
    fn steps_and_trainings_stand_in_a_line_each() {
        assert_eq!(
            text(&running(), 80, 24),
            [
                "Succeeded    1 min 05 s  Features",
                "Executing    2 min 29 s  Training",
                "            epoch 12: training loss 3.2100",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in [5, 20, 40] {
            let lines = text(&running(), columns, 24);
            // The cursor may not wrap either.
            let widest = columns.max(STATUS + 1) - 1;
            assert!(
                lines.iter().all(|line| line.chars().count() <= widest),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn what_has_ended_gives_way_where_there_is_no_room() {
        let mut history = running();
        for number in 0..9 {
            let mut step = history.steps[0].clone();
            step.name = format!("Step-{number}");
            history.steps.insert(0, step);
        }
        let lines = text(&history, 80, 7);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].trim(), "9 more steps");
        assert!(lines[2].ends_with("  Training"), "{lines:?}");
    }
}
