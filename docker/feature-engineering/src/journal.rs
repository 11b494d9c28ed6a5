//! The step's log: each line goes to standard output at once, into the full log
//! that is uploaded at the end, and in batches to the execution's record.
//!
//! [`LogQueue`] decides what goes into which batch and when; it has no clock and
//! does no I/O. [`Journal`] is the handle that the step writes its lines to.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipewright::record::RecordId;
use pipewright::record::rows::{self, StoredLine};
use pipewright::wording::cut_with_mark;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Milliseconds since the Unix epoch.
pub type EpochMs = i64;

/// Reads the clock: milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> EpochMs + Send + Sync>;

/// The least time between two writes of log lines to the record.
pub const SYNC_INTERVAL_MS: i64 = 10_000;

/// The most bytes that one line takes in the record; the full log has it whole.
pub const MAX_LINE_BYTES: usize = 8 * 1024;

/// The most bytes that one batch takes as a DynamoDB item: far below DynamoDB's
/// limit of 400 KB, so that readers page through small items.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;

/// What a line takes in a batch beside its text: the names and types of its
/// members, the level and the time, by DynamoDB's rules rounded up.
const LINE_OVERHEAD_BYTES: usize = 48;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Progress.
    Info,
    /// Something that a person should look at; the step goes on.
    Warn,
    /// Why the step ends without its outputs.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        })
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was written.
    pub at: EpochMs,
    /// How much it matters.
    pub level: Level,
    /// Its text, without a line break at the end.
    pub msg: String,
}

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");

impl fmt::Display for Line {
    /// `2026-03-01 12:00:00.250 INFO  <text>`, in UTC. Further lines of the text
    /// are indented, so that every line of the log that starts with a time is
    /// an entry.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.at) * 1_000_000)
            .ok()
            .and_then(|time| time.format(TIME).ok())
            // A clock beyond the year 9999: the number still orders the lines.
            .unwrap_or_else(|| self.at.to_string());
        write!(formatter, "{time} {:<5} ", self.level)?;
        for (index, part) in self.msg.lines().enumerate() {
            if index > 0 {
                formatter.write_str("\n    ")?;
            }
            formatter.write_str(part)?;
        }
        Ok(())
    }
}

/// Lines that go into the record as one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// The item's sort key, with the number of this step's batches so far.
    pub entry: String,
    /// The lines, none longer than [`MAX_LINE_BYTES`].
    pub lines: Vec<Line>,
}

impl LogBatch {
    /// What is stored in the record of execution `id`.
    pub fn row(&self, id: &RecordId) -> rows::LogBatch {
        let lines = self.lines.iter().map(|line| StoredLine {
            at: Some(line.at),
            level: line.level.to_string(),
            message: line.msg.clone(),
        });
        rows::LogBatch {
            id: id.to_string(),
            entry: self.entry.clone(),
            lines: lines.collect(),
        }
    }
}

/// Which lines wait for the record, and in which batches they go there.
///
/// A batch stays until it is [acknowledged](LogQueue::acknowledge) and keeps its
/// key and lines, so that to write it again after a failure of unknown outcome
/// gives the same item.
#[derive(Debug, Default)]
pub struct LogQueue {
    waiting: Vec<Line>,
    sealed: VecDeque<LogBatch>,
    last_seal: Option<EpochMs>,
    batches: usize,
}

impl LogQueue {
    /// Adds a line.
    pub fn push(&mut self, line: Line) {
        self.waiting.push(Line {
            msg: cut_with_mark(&line.msg, MAX_LINE_BYTES),
            ..line
        });
    }

    /// Whether there is something to write and the last time is long enough ago.
    pub fn due(&self, now: EpochMs) -> bool {
        let something = !self.waiting.is_empty() || !self.sealed.is_empty();
        let rested = self
            .last_seal
            .is_none_or(|last| now.saturating_sub(last) >= SYNC_INTERVAL_MS);
        something && rested
    }

    /// Closes the batches: what waits now gets its keys and is ready to be
    /// written, each batch at most [`MAX_BATCH_BYTES`].
    pub fn seal(&mut self, now: EpochMs) {
        self.last_seal = Some(now);
        let mut bytes = 0;
        let mut open: Option<LogBatch> = None;
        for line in std::mem::take(&mut self.waiting) {
            let size = line.msg.len() + LINE_OVERHEAD_BYTES;
            if bytes + size > MAX_BATCH_BYTES {
                self.sealed.extend(open.take());
            }
            match &mut open {
                Some(batch) => {
                    bytes += size;
                    batch.lines.push(line);
                }
                None => {
                    bytes = size;
                    open = Some(LogBatch {
                        entry: rows::LogBatch::key(line.at, self.batches),
                        lines: vec![line],
                    });
                    self.batches += 1;
                }
            }
        }
        self.sealed.extend(open);
    }

    /// The oldest batch that is ready to be written.
    pub fn next(&self) -> Option<&LogBatch> {
        self.sealed.front()
    }

    /// Forgets the batch of that key: it has been written.
    pub fn acknowledge(&mut self, entry: &str) {
        self.sealed.retain(|batch| batch.entry != entry);
    }

    /// Number of lines that are not in the record.
    pub fn unwritten(&self) -> usize {
        self.waiting.len() + self.sealed.iter().map(|b| b.lines.len()).sum::<usize>()
    }
}

struct State {
    sink: Box<dyn Write + Send>,
    sink_fault: Option<String>,
    full: String,
    queue: LogQueue,
}

/// The handle that the step writes its lines to; clones write to one log.
#[derive(Clone)]
pub struct Journal {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

impl Journal {
    /// A log that prints to `sink` (standard output) by the times of `clock`.
    pub fn new(clock: Clock, sink: Box<dyn Write + Send>) -> Self {
        Self {
            clock,
            state: Arc::new(Mutex::new(State {
                sink,
                sink_fault: None,
                full: String::new(),
                queue: LogQueue::default(),
            })),
        }
    }

    /// Logs progress.
    pub fn info(&self, msg: impl Into<String>) {
        self.log(Level::Info, msg.into());
    }

    /// Logs what a person should look at.
    pub fn warn(&self, msg: impl Into<String>) {
        self.log(Level::Warn, msg.into());
    }

    /// Logs why the step ends.
    pub fn error(&self, msg: impl Into<String>) {
        self.log(Level::Error, msg.into());
    }

    /// The present time, by the log's clock.
    pub fn now(&self) -> EpochMs {
        (self.clock)()
    }

    /// The whole log so far, one entry after the other.
    pub fn full(&self) -> String {
        self.state().full.clone()
    }

    /// Why standard output did not take a line, if so. The step goes on
    /// without; the full log has every line.
    pub fn sink_fault(&self) -> Option<String> {
        self.state().sink_fault.clone()
    }

    /// Runs `work` on the queue of lines for the record.
    pub fn with_queue<T>(&self, work: impl FnOnce(&mut LogQueue) -> T) -> T {
        work(&mut self.state().queue)
    }

    fn log(&self, level: Level, msg: String) {
        let at = self.now();
        let line = Line { at, level, msg };
        let text = format!("{line}\n");
        let mut state = self.state();
        let printed = state
            .sink
            .write_all(text.as_bytes())
            .and_then(|()| state.sink.flush());
        if let Err(error) = printed {
            state.sink_fault.get_or_insert_with(|| error.to_string());
        }
        state.full.push_str(&text);
        state.queue.push(line);
    }

    /// A thread that panicked while it held the lock leaves the state usable:
    /// every change to it is a whole line.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(at: EpochMs, msg: &str) -> Line {
        Line {
            at,
            level: Level::Info,
            msg: msg.to_owned(),
        }
    }

    fn drain(queue: &mut LogQueue) -> Vec<LogBatch> {
        let mut batches = Vec::new();
        while let Some(batch) = queue.next().cloned() {
            queue.acknowledge(&batch.entry);
            batches.push(batch);
        }
        batches
    }

    #[test]
    fn nothing_is_due_while_there_is_nothing_to_write() {
        let mut queue = LogQueue::default();
        assert!(!queue.due(0));
        queue.seal(0);
        assert!(!queue.due(1_000_000));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn batches_are_at_least_ten_seconds_apart() {
        let mut queue = LogQueue::default();
        queue.push(line(1, "a"));
        assert!(queue.due(1), "the first line need not wait");
        queue.seal(1_000);
        drain(&mut queue);
        queue.push(line(2_000, "b"));
        assert!(!queue.due(10_999));
        assert!(queue.due(11_000));
    }

    #[test]
    fn a_batch_that_was_not_written_stays_under_its_key() {
        let mut queue = LogQueue::default();
        queue.push(line(1_700_000_000_123, "a"));
        queue.seal(1_700_000_000_200);
        let first = queue.next().cloned().unwrap();
        assert_eq!(first.entry, "log#1700000000123#0000");
        queue.push(line(1_700_000_005_000, "b"));
        queue.seal(1_700_000_010_200);
        assert_eq!(queue.next(), Some(&first));
        assert_eq!(queue.unwritten(), 2);
        assert!(queue.due(1_700_000_030_000), "it is tried again");
        let batches = drain(&mut queue);
        assert_eq!(batches[1].entry, "log#1700000005000#0001");
        assert_eq!(queue.unwritten(), 0);
    }

    #[test]
    fn a_long_line_is_cut_with_a_mark_in_the_record_and_whole_in_the_full_log() {
        let long = "ä".repeat(MAX_LINE_BYTES);
        let journal = Journal::new(Arc::new(|| 5), Box::new(std::io::sink()));
        journal.info(long.clone());
        assert!(journal.full().contains(&long));
        journal.with_queue(|queue| {
            queue.seal(5);
            let msg = &queue.next().unwrap().lines[0].msg;
            assert!(msg.len() <= MAX_LINE_BYTES);
            assert!(
                msg.ends_with("[cut: 16384 bytes]"),
                "{}",
                &msg[msg.len() - 40..]
            );
        });
    }

    #[test]
    fn a_line_reads_as_a_person_reads_it() {
        let line = Line {
            at: 1_700_000_000_250,
            level: Level::Warn,
            msg: "two\nlines".to_owned(),
        };
        assert_eq!(
            line.to_string(),
            "2023-11-14 22:13:20.250 WARN  two\n    lines"
        );
    }

    #[test]
    fn a_standard_output_that_is_closed_does_not_stop_the_log() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let journal = Journal::new(Arc::new(|| 0), Box::new(Closed));
        journal.info("a");
        assert_eq!(journal.sink_fault().as_deref(), Some("broken pipe"));
        assert!(journal.full().ends_with("INFO  a\n"));
    }

    proptest! {
        #[test]
        fn every_line_is_in_one_batch_in_order_and_no_batch_is_too_large(
            sizes in prop::collection::vec(0usize..20_000, 0..60),
            seals in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut queue = LogQueue::default();
            for (index, (size, seal)) in sizes.iter().zip(&seals).enumerate() {
                let at = i64::try_from(index).unwrap();
                queue.push(line(at, &format!("{index} {}", "x".repeat(*size))));
                if *seal {
                    queue.seal(at);
                }
            }
            queue.seal(100);
            let batches = drain(&mut queue);
            let seen: Vec<String> = batches
                .iter()
                .flat_map(|batch| &batch.lines)
                .map(|line| line.msg.split(' ').next().unwrap().to_owned())
                .collect();
            let expected: Vec<String> = (0..sizes.len()).map(|index| index.to_string()).collect();
            prop_assert_eq!(seen, expected);
            let mut keys: Vec<&String> = batches.iter().map(|batch| &batch.entry).collect();
            for batch in &batches {
                let bytes: usize = batch.lines.iter().map(|l| l.msg.len() + LINE_OVERHEAD_BYTES).sum();
                prop_assert!(bytes <= MAX_BATCH_BYTES);
                prop_assert!(!batch.lines.is_empty());
            }
            let sorted = keys.clone();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys, sorted, "keys are distinct and sort by time");
        }
    }
}
