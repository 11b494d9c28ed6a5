//! The log on standard output, in the lines of DeepAR's container.
//!
//! A line is `[02/25/2022 07:10:58 INFO 7] text`, in UTC, with the number of the
//! process. Lines `#metrics {...}` have no such prefix. What the container does not
//! print, and this program adds, has the mark `[pipewright]`.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Reads the clock: the time since 1970. It never goes back.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[month]/[day]/[year] [hour]:[minute]:[second]");

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        })
    }
}

struct Sink {
    to: Box<dyn Write + Send>,
    fault: Option<String>,
}

/// The log.
pub struct Log {
    clock: Clock,
    process: u32,
    sink: Mutex<Sink>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// A log that prints to `to` by the times of `clock`, in the name of a process.
    #[must_use]
    pub fn new(clock: Clock, process: u32, to: Box<dyn Write + Send>) -> Self {
        Self {
            clock,
            process,
            sink: Mutex::new(Sink { to, fault: None }),
        }
    }

    /// Logs progress.
    pub fn info(&self, text: impl fmt::Display) {
        self.lines(Level::Info, "", &text.to_string());
    }

    /// Logs what the container of DeepAR does not print.
    pub fn addition(&self, text: impl fmt::Display) {
        self.lines(Level::Info, "[pipewright] ", &text.to_string());
    }

    /// Logs what a person should look at.
    pub fn warn(&self, text: impl fmt::Display) {
        self.lines(Level::Warning, "[pipewright] ", &text.to_string());
    }

    /// Logs why the work failed.
    pub fn error(&self, text: impl fmt::Display) {
        self.lines(Level::Error, "", &text.to_string());
    }

    /// Logs a line `#metrics {...}` of some amounts that were measured from `start`
    /// until now.
    pub fn metrics(&self, start: Duration, dimensions: Dimensions<'_>, amounts: &[Amount]) {
        let (start, end) = (start.as_secs_f64(), self.now().as_secs_f64());
        let mut metrics = String::new();
        for amount in amounts {
            if !metrics.is_empty() {
                metrics.push_str(", ");
            }
            metrics.push_str(&amount.to_string());
        }
        self.print(&format!(
            "#metrics {{\"StartTime\": {start:?}, \"EndTime\": {end:?}, \"Dimensions\": {dimensions}, \"Metrics\": {{{metrics}}}}}\n"
        ));
    }

    /// The present time, by the log's clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Why standard output did not take a line, if so; the work goes on without.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.fault.clone()
    }

    fn lines(&self, level: Level, mark: &str, text: &str) {
        let now = self.now();
        let time = i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .and_then(|time| time.format(TIME).ok())
            // A clock beyond the year 9999: the number still orders the lines.
            .unwrap_or_else(|| now.as_secs().to_string());
        let process = self.process;
        let mut lines = String::new();
        for line in text.lines() {
            lines.push_str(&format!("[{time} {level} {process}] {mark}{line}\n"));
        }
        self.print(&lines);
    }

    fn print(&self, lines: &str) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = sink
            .to
            .write_all(lines.as_bytes())
            .and_then(|()| sink.to.flush());
        if let Err(error) = printed {
            sink.fault.get_or_insert_with(|| error.to_string());
        }
    }
}

/// What a line `#metrics` measures.
#[derive(Debug, Clone, Copy)]
pub struct Dimensions<'a> {
    /// `AWS/DeepAR` of a training, `DeepARModel` of a server.
    pub algorithm: &'a str,
    /// The job's host.
    pub host: &'a str,
    /// `training` or `scoring`.
    pub operation: &'a str,
}

impl fmt::Display for Dimensions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            algorithm,
            host,
            operation,
        } = self;
        let host = serde_json::Value::from(*host);
        write!(
            f,
            "{{\"Algorithm\": \"{algorithm}\", \"Host\": {host}, \"Operation\": \"{operation}\"}}"
        )
    }
}

/// One amount of a line `#metrics`.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// A time span, printed in milliseconds.
    Time(&'static str, Duration),
    /// A number of things.
    Count(&'static str, usize),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(name, span) => {
                let ms = span.as_secs_f64() * 1e3;
                write!(
                    f,
                    "\"{name}\": {{\"sum\": {ms:?}, \"count\": 1, \"min\": {ms:?}, \"max\": {ms:?}}}"
                )
            }
            Self::Count(name, number) => write!(
                f,
                "\"{name}\": {{\"sum\": {number}.0, \"count\": 1, \"min\": {number}, \"max\": {number}}}"
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::io;

    /// What was printed.
    #[derive(Clone, Default)]
    pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

    impl Printed {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A log of process 7 whose clock stands at 2022-02-25 07:10:58.5 and goes on by
    /// a quarter of a second each time that it is read.
    pub(crate) fn log() -> (Log, Printed) {
        let printed = Printed::default();
        let reads = Mutex::new(0);
        let clock: Clock = Arc::new(move || {
            let mut reads = reads.lock().unwrap();
            *reads += 1;
            Duration::from_millis(1_645_773_058_250 + 250 * *reads)
        });
        (Log::new(clock, 7, Box::new(printed.clone())), printed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_container() {
        let (log, printed) = testing::log();
        log.info("Epoch[0] Batch[0] avg_epoch_loss=2.316095");
        log.addition("a seed");
        log.warn("two\nlines");
        log.error("Customer Error: x");
        log.metrics(
            Duration::from_millis(1_645_773_049_757),
            Dimensions {
                algorithm: "AWS/DeepAR",
                host: "algo-1",
                operation: "training",
            },
            &[
                Amount::Count("epochs", 20),
                Amount::Time("update.time", Duration::from_micros(1_812_981)),
            ],
        );
        assert_eq!(
            printed.text(),
            "[02/25/2022 07:10:58 INFO 7] Epoch[0] Batch[0] avg_epoch_loss=2.316095
[02/25/2022 07:10:58 INFO 7] [pipewright] a seed
[02/25/2022 07:10:59 WARNING 7] [pipewright] two
[02/25/2022 07:10:59 WARNING 7] [pipewright] lines
[02/25/2022 07:10:59 ERROR 7] Customer Error: x
#metrics {\"StartTime\": 1645773049.757, \"EndTime\": 1645773059.5, \"Dimensions\": {\"Algorithm\": \"AWS/DeepAR\", \"Host\": \"algo-1\", \"Operation\": \"training\"}, \"Metrics\": {\"epochs\": {\"sum\": 20.0, \"count\": 1, \"min\": 20, \"max\": 20}, \"update.time\": {\"sum\": 1812.981, \"count\": 1, \"min\": 1812.981, \"max\": 1812.981}}}
"
        );
        assert_eq!(log.fault(), None);
    }

    #[test]
    fn a_closed_output_is_remembered_and_stops_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("closed"))
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = Log::new(Arc::new(|| Duration::ZERO), 1, Box::new(Closed));
        log.info("x");
        log.info("y");
        assert_eq!(log.fault().as_deref(), Some("closed"));
    }
}
