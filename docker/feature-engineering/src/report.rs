//! The container's own word on how the step goes: `processingStepReport` in the
//! execution's record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pipewright::record::rows::StepReport;
use pipewright::wording::cut_with_mark;
use serde_json::{Map, Value};

use crate::journal::EpochMs;

/// The most bytes of a reason, in the report as in SageMaker's failure message.
pub const MAX_REASON_BYTES: usize = 1024;

/// How the step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// At work.
    Running,
    /// All outputs are in their places.
    Succeeded,
    /// No outputs; the reason says why.
    Failed,
    /// No outputs: the job was stopped.
    Stopped,
}

impl Status {
    /// The word in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        self != Self::Running
    }
}

/// What is written as `processingStepReport`.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How the step stands.
    pub status: Status,
    /// What it is doing, or did last.
    pub stage: String,
    /// Why it ended without outputs.
    pub reason: Option<String>,
    /// When this report was made. Each report of a step is later than the one
    /// before, so that a delayed write can be told from the latest.
    pub at: EpochMs,
    /// Figures about the outputs.
    pub summary: Option<Map<String, Value>>,
    /// What a reader of the record should know about the step beside its
    /// outcome, such as log lines that are missing from the record.
    pub notes: Vec<String>,
}

/// What happened to the step.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A stage began.
    Stage(String),
    /// Everything is in its place.
    Succeeded(Map<String, Value>),
    /// It can't be done, for this reason.
    Failed(String),
    /// Somebody stopped the job, in this way.
    Stopped(String),
}

impl Report {
    /// The report after `event`, which came at `now`. A final report stands:
    /// whatever comes after it changes nothing.
    #[must_use]
    pub fn fold(self, event: Event, now: EpochMs) -> Self {
        if self.status.is_final() {
            return self;
        }
        let reason = |text: &str| Some(cut_with_mark(text, MAX_REASON_BYTES));
        let (status, reason, summary) = match &event {
            Event::Stage(_) => (Status::Running, None, None),
            Event::Succeeded(summary) => (Status::Succeeded, None, Some(summary.clone())),
            Event::Failed(text) => (Status::Failed, reason(text), None),
            Event::Stopped(text) => (Status::Stopped, reason(text), None),
        };
        Self {
            status,
            stage: match event {
                Event::Stage(stage) => stage,
                _ => self.stage,
            },
            reason,
            at: now.max(self.at.saturating_add(1)),
            summary,
            notes: self.notes,
        }
    }

    /// What is stored in the record.
    pub fn row(&self) -> StepReport {
        StepReport {
            status: self.status.as_str().to_owned(),
            stage: Some(self.stage.clone()),
            reason: self.reason.clone(),
            at: Some(self.at),
            summary: self.summary.clone().map_or(Value::Null, Value::Object),
            notes: self.notes.clone(),
        }
    }

    /// A step that begins with `stage`.
    pub fn begin(stage: impl Into<String>, now: EpochMs) -> Self {
        Self {
            status: Status::Running,
            stage: stage.into(),
            reason: None,
            at: now,
            summary: None,
            notes: Vec::new(),
        }
    }
}

/// The current report, shared by the step's work and the writer.
#[derive(Debug)]
pub struct Reporter {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    report: Report,
    written: Option<EpochMs>,
}

impl Reporter {
    /// Starts with a report that is not yet written.
    pub fn new(report: Report) -> Self {
        Self {
            state: Mutex::new(State {
                report,
                written: None,
            }),
        }
    }

    /// Folds an event into the report.
    pub fn apply(&self, event: Event, now: EpochMs) {
        let mut state = self.state();
        state.report = state.report.clone().fold(event, now);
    }

    /// Adds notes to the report, whatever its status.
    pub fn note(&self, notes: Vec<String>) {
        self.state().report.notes.extend(notes);
    }

    /// The report as it stands.
    pub fn current(&self) -> Report {
        self.state().report.clone()
    }

    /// The report, if it has not been written as it stands.
    pub fn unwritten(&self) -> Option<Report> {
        let state = self.state();
        (state.written != Some(state.report.at)).then(|| state.report.clone())
    }

    /// The report of that time has been written.
    pub fn acknowledge(&self, at: EpochMs) {
        self.state().written = Some(at);
    }

    /// Every change is one assignment, so a panic elsewhere leaves it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stage_keeps_the_step_running() {
        let report = Report::begin("merge", 1_000).fold(Event::Stage("fft".to_owned()), 2_000);
        assert_eq!(
            report,
            Report {
                status: Status::Running,
                stage: "fft".to_owned(),
                reason: None,
                at: 2_000,
                summary: None,
                notes: Vec::new()
            }
        );
    }

    #[test]
    fn a_failure_tells_the_stage_and_a_reason_that_fits() {
        let report = Report::begin("merge", 1).fold(Event::Failed("ß".repeat(5_000)), 2);
        assert_eq!(report.status, Status::Failed);
        assert_eq!(report.stage, "merge");
        assert!(report.reason.unwrap().len() <= MAX_REASON_BYTES);
    }

    #[test]
    fn a_final_report_stands() {
        let stopped = Report::begin("merge", 1).fold(Event::Stopped("SIGTERM".to_owned()), 2);
        assert_eq!(
            stopped.clone().fold(Event::Succeeded(Map::new()), 3),
            stopped
        );
    }

    #[test]
    fn the_reporter_tells_what_is_not_written() {
        let reporter = Reporter::new(Report::begin("merge", 5));
        let first = reporter.unwritten().unwrap();
        reporter.apply(Event::Stage("fft".to_owned()), 5);
        reporter.acknowledge(first.at);
        let second = reporter.unwritten().unwrap();
        assert_eq!(second.stage, "fft");
        reporter.acknowledge(second.at);
        assert_eq!(reporter.unwritten(), None);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            5 => "[a-z]{1,5}".prop_map(Event::Stage),
            1 => Just(Event::Succeeded(Map::new())),
            1 => "[a-z]{1,5}".prop_map(Event::Failed),
            1 => "[a-z]{1,5}".prop_map(Event::Stopped),
        ]
    }

    proptest! {
        #[test]
        fn reports_that_differ_are_later_whatever_the_clock_does(
            events in prop::collection::vec((event(), -5i64..5), 0..20)
        ) {
            let mut report = Report::begin("first", 0);
            for (event, now) in events {
                let next = report.clone().fold(event, now);
                prop_assert!(next.at > report.at || next == report);
                prop_assert_eq!(next.reason.is_some(), matches!(next.status, Status::Failed | Status::Stopped));
                prop_assert_eq!(next.summary.is_some(), next.status == Status::Succeeded);
                report = next;
            }
        }
    }
}
