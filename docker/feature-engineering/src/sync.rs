//! Brings log and report into the execution's record while the step runs.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipewright::record::RecordId;

use crate::journal::{EpochMs, Journal, SYNC_INTERVAL_MS};
use crate::report::{Event, Reporter};
use crate::store::{Body, ObjectError, Objects, Store, StoreError, retried};

/// How often the syncer looks whether there is something to write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long one write may take, the client's own retries included.
const WRITE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long the upload of the log may take.
const LOG_UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How much time the end of the step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// As long as it needs.
    None,
    /// The job is being stopped and will be killed soon.
    Stopping,
}

impl Haste {
    /// How often the final report is tried.
    fn report_attempts(self) -> u32 {
        match self {
            Self::None => 5,
            Self::Stopping => 2,
        }
    }

    /// `usual`, or less.
    fn limit(self, usual: Duration) -> Duration {
        match self {
            Self::None => usual,
            Self::Stopping => usual.min(Duration::from_secs(5)),
        }
    }
}

/// Writes what the journal and the reporter hold into the record.
///
/// A write that fails while the step runs is told once and tried again; only
/// the final report has to succeed. Any write may be cut off in the middle:
/// log batches keep their keys, and the record takes no report that is older
/// than the one it has.
pub struct Syncer<'a, S, O> {
    store: &'a S,
    objects: &'a O,
    id: &'a RecordId,
    journal: &'a Journal,
    reporter: &'a Reporter,
    trouble: Mutex<Trouble>,
}

/// The faults of writing so far.
#[derive(Debug, Default)]
struct Trouble {
    /// Of the last try to write log lines.
    log: Option<String>,
    /// Of the last try to write a report, and when to try again.
    report: Option<(String, EpochMs)>,
}

impl<'a, S: Store, O: Objects> Syncer<'a, S, O> {
    /// Between the step's log and report and its record.
    pub fn new(
        store: &'a S,
        objects: &'a O,
        id: &'a RecordId,
        journal: &'a Journal,
        reporter: &'a Reporter,
    ) -> Self {
        Self {
            store,
            objects,
            id,
            journal,
            reporter,
            trouble: Mutex::default(),
        }
    }

    /// Keeps the record up to date until the future is dropped.
    pub async fn keep(&self) -> Infallible {
        loop {
            self.pass().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Writes what is due now.
    async fn pass(&self) {
        let now = self.journal.now();
        let wait = self.trouble().report.as_ref().map(|(_, until)| *until);
        if wait.is_none_or(|until| now >= until) {
            self.report_progress(now).await;
        }
        let due = self.journal.with_queue(|queue| {
            let due = queue.due(now);
            if due {
                queue.seal(now);
            }
            due
        });
        if due {
            let fault = self.write_batches(WRITE_TIMEOUT).await.err();
            let fault = fault.map(|error| error.to_string());
            if let (Some(fault), None) = (&fault, &self.trouble().log) {
                self.journal.warn(format!(
                    "log lines do not reach the record: {fault}; they are kept and tried again"
                ));
            }
            self.trouble().log = fault;
        }
    }

    async fn report_progress(&self, now: EpochMs) {
        let fault = self.write_report(WRITE_TIMEOUT).await.err();
        let known = self.trouble().report.is_some();
        if let (Some(fault), false) = (&fault, known) {
            self.journal.warn(format!(
                "the step's progress does not reach the record: {fault}; it is tried again"
            ));
        }
        self.trouble().report =
            fault.map(|error| (error.to_string(), now.saturating_add(SYNC_INTERVAL_MS)));
    }

    /// Ends the step's record: the rest of the log, the whole log as an object
    /// under `log_key`, then the final report, so that a reader who sees that
    /// finds everything else in its place.
    ///
    /// # Errors
    /// The final report can't be written. Log lines that can't be are told in
    /// the report's notes.
    pub async fn finish(
        &self,
        event: Event,
        log_key: &str,
        haste: Haste,
    ) -> Result<(), StoreError> {
        let mut notes = Vec::new();
        self.journal
            .with_queue(|queue| queue.seal(self.journal.now()));
        if let Err(error) = self.write_batches(haste.limit(WRITE_TIMEOUT)).await {
            let missing = self.journal.with_queue(|queue| queue.unwritten());
            notes.push(format!(
                "{missing} log lines are missing from the record: {error}"
            ));
        }
        if let Some(fault) = self.journal.sink_fault() {
            notes.push(format!("standard output did not take the log: {fault}"));
        }
        for note in &notes {
            self.journal.warn(note.clone());
        }
        if let Err(error) = self.upload_log(log_key, haste).await {
            let note = format!("the whole log was not kept: {error}");
            self.journal.warn(note.clone());
            notes.push(note);
        }
        self.reporter.apply(event, self.journal.now());
        self.reporter.note(notes);

        retried(
            self.journal,
            "writing the final report",
            haste.report_attempts(),
            async || self.write_report(haste.limit(WRITE_TIMEOUT)).await,
        )
        .await
    }

    /// Writes the batches that are ready, oldest first, up to the first failure.
    async fn write_batches(&self, limit: Duration) -> Result<(), StoreError> {
        while let Some(batch) = self.journal.with_queue(|queue| queue.next().cloned()) {
            let write = self.store.write_log(self.id, &batch);
            bounded("PutItem", limit, write).await?;
            self.journal
                .with_queue(|queue| queue.acknowledge(&batch.entry));
        }
        Ok(())
    }

    async fn write_report(&self, limit: Duration) -> Result<(), StoreError> {
        if let Some(report) = self.reporter.unwritten() {
            let write = self.store.write_report(self.id, &report);
            bounded("UpdateItem", limit, write).await?;
            self.reporter.acknowledge(report.at);
        }
        Ok(())
    }

    async fn upload_log(&self, key: &str, haste: Haste) -> Result<(), ObjectError> {
        let log = self.journal.full();
        let limit = haste.limit(LOG_UPLOAD_TIMEOUT);
        let upload = self.objects.put(key, Body::Text(&log));
        tokio::time::timeout(limit, upload)
            .await
            .unwrap_or_else(|_| {
                Err(ObjectError {
                    uri: self.objects.uri(key),
                    cause: format!("no answer within {} s", limit.as_secs()),
                })
            })
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of `write`, or an error when it takes longer than `limit`.
async fn bounded(
    operation: &'static str,
    limit: Duration,
    write: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    tokio::time::timeout(limit, write)
        .await
        .unwrap_or(Err(StoreError::TimedOut {
            operation,
            seconds: limit.as_secs(),
        }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::testing::{Behaviour, FakeObjects, FakeStore, START, journal};
    use pipewright::record::Item;
    use serde_json::Map;

    struct Scene {
        store: FakeStore,
        objects: FakeObjects,
        id: RecordId,
        journal: Journal,
        reporter: Reporter,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                store: FakeStore::with_record(Item::new()),
                objects: FakeObjects::default(),
                id: RecordId::new("run-1").unwrap(),
                journal: journal(),
                reporter: Reporter::new(Report::begin("merge", START)),
            }
        }

        fn syncer(&self) -> Syncer<'_, FakeStore, FakeObjects> {
            Syncer::new(
                &self.store,
                &self.objects,
                &self.id,
                &self.journal,
                &self.reporter,
            )
        }

        /// Lets the syncer run for so many seconds of the paused clock.
        async fn keep_for(&self, seconds: u64) {
            let keeping = self.syncer();
            let limit = Duration::from_secs(seconds);
            let _ = tokio::time::timeout(limit, keeping.keep()).await;
        }

        async fn finish(&self, event: Event, haste: Haste) -> Result<(), StoreError> {
            self.syncer().finish(event, "log", haste).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stages_reach_the_record_within_a_second_and_lines_every_ten() {
        let scene = Scene::new();
        let work = async {
            // Goes on for a while after the last stage, so that its turn to be written comes.
            for second in 0..27 {
                scene.journal.info(format!("line {second}"));
                if second % 3 == 0 {
                    let stage = Event::Stage(format!("stage {second}"));
                    scene.reporter.apply(stage, scene.journal.now());
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! { () = work => {}, never = async { scene.syncer().keep().await } => match never {} }
        let stages = scene.store.stages.lock().unwrap().clone();
        for second in (0..25).step_by(3) {
            let stage = format!("stage {second}");
            assert!(stages.contains(&stage), "{stage} of {stages:?}");
        }
        let batches = scene.store.items.lock().unwrap().len() - 1;
        assert_eq!(batches, 3, "at 0, 10 and 20 s");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_while_nothing_happens() {
        let scene = Scene::new();
        scene.keep_for(60).await;
        assert_eq!(scene.store.stages.lock().unwrap().len(), 1);
        assert!(scene.store.log_lines().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_sync_that_fails_for_a_while_loses_no_line() {
        let scene = Scene::new();
        *scene.store.logs.lock().unwrap() = Behaviour::FailsTimes(2);
        scene.journal.info("first");
        scene.keep_for(45).await;
        scene
            .finish(Event::Succeeded(Map::new()), Haste::None)
            .await
            .unwrap();
        let lines = scene.store.log_lines();
        assert_eq!(lines[0], "first");
        assert!(
            lines[1].contains("log lines do not reach the record"),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 2, "the trouble is told once: {lines:?}");
        assert_eq!(scene.store.report()["notes"], serde_json::Value::Null);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_never_reach_the_record_are_told_at_the_end() {
        for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
            let scene = Scene::new();
            *scene.store.logs.lock().unwrap() = behaviour;
            scene.journal.info("first");
            scene.keep_for(30).await;
            scene
                .finish(Event::Succeeded(Map::new()), Haste::None)
                .await
                .unwrap();
            let report = scene.store.report();
            assert_eq!(report["status"], "Succeeded");
            let note = report["notes"][0].as_str().unwrap();
            assert!(
                note.contains("2 log lines are missing from the record"),
                "{note}"
            );
            assert!(scene.objects.text("log").contains("log lines are missing"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_final_report_is_tried_again_while_dynamodb_throttles() {
        let scene = Scene::new();
        *scene.store.reports.lock().unwrap() = Behaviour::FailsTimes(4);
        scene
            .finish(Event::Failed("why".to_owned()), Haste::None)
            .await
            .unwrap();
        assert_eq!(scene.store.report()["reason"], "why");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_report_that_cannot_be_written_is_an_error() {
        for behaviour in [Behaviour::Fails, Behaviour::Hangs] {
            let scene = Scene::new();
            *scene.store.reports.lock().unwrap() = behaviour;
            let result = scene
                .finish(Event::Succeeded(Map::new()), Haste::None)
                .await;
            assert!(result.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_is_gone_or_has_a_later_report_is_not_tried_again() {
        let scene = Scene::new();
        scene.store.items.lock().unwrap().clear();
        let before = tokio::time::Instant::now();
        let gone = scene
            .finish(Event::Succeeded(Map::new()), Haste::None)
            .await;
        assert!(matches!(gone, Err(StoreError::Gone { .. })));
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_job_ends_within_half_a_minute_even_if_nothing_answers() {
        let scene = Scene::new();
        *scene.store.logs.lock().unwrap() = Behaviour::Hangs;
        *scene.store.reports.lock().unwrap() = Behaviour::Hangs;
        *scene.objects.puts.lock().unwrap() = Behaviour::Hangs;
        scene.journal.info("first");
        let before = tokio::time::Instant::now();
        let result = scene
            .finish(Event::Stopped("SIGTERM".to_owned()), Haste::Stopping)
            .await;
        assert!(result.is_err());
        assert!(
            before.elapsed() < Duration::from_secs(30),
            "{:?}",
            before.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_cannot_be_uploaded_is_noted_in_the_report() {
        let scene = Scene::new();
        *scene.objects.puts.lock().unwrap() = Behaviour::Fails;
        scene
            .finish(Event::Succeeded(Map::new()), Haste::None)
            .await
            .unwrap();
        let note = scene.store.report()["notes"][0].to_string();
        assert!(note.contains("s3://models/log"), "{note}");
    }
}
