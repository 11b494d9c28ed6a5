//! Takes what the programs of a job print to CloudWatch Logs while they run: SageMaker's SDK shows it from there.

use crate::logs::{LogSink, LogStream};
use crate::state::{ProgramKind, ProgramOrder};
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Notify;

/// How often a log is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// How much of a log is read at once. PutLogEvents takes a MiB.
const MOST_BYTES: u64 = 512 * 1024;

/// The stream of one host of a job.
pub(super) fn stream_of(order: &ProgramOrder, host: &str, seconds: i64) -> LogStream {
    let group = match order.kind {
        ProgramKind::Processing => "/aws/sagemaker/ProcessingJobs",
        ProgramKind::Training => "/aws/sagemaker/TrainingJobs",
    };
    let name = format!("{}/{host}-{seconds}", order.job_name);
    LogStream { group, name }
}

/// A log that is taken to CloudWatch Logs.
pub(super) struct Followed {
    stream: LogStream,
    log: PathBuf,
    /// How much of it has been read.
    position: u64,
    /// The beginning of a line whose end is not there yet.
    begun: Vec<u8>,
}

/// Takes the logs to `sink` while `work` writes them; they need not be there at the beginning.
pub(super) async fn following<T>(
    sink: &dyn LogSink,
    mut logs: Vec<Followed>,
    work: impl Future<Output = T>,
) -> T {
    let ended = Notify::new();
    let work = async {
        let result = work.await;
        ended.notify_one();
        result
    };
    let follow = async {
        let mut is_last = false;
        loop {
            for log in &mut logs {
                log.take(sink, is_last).await;
            }
            if is_last {
                return;
            }
            tokio::select! {
                () = ended.notified() => is_last = true,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    };
    tokio::join!(work, follow).0
}

impl Followed {
    pub(super) fn new(stream: LogStream, log: &Path) -> Self {
        Self {
            stream,
            log: log.to_owned(),
            position: 0,
            begun: Vec::new(),
        }
    }

    /// Takes what was printed since the last time, whole lines only unless it is the last time.
    async fn take(&mut self, sink: &dyn LogSink, is_last: bool) {
        loop {
            let Ok(read) = read_from(&self.log, self.position).await else {
                // Nothing is printed yet. Why a log cannot be read, its job says.
                return;
            };
            let is_end = read.is_empty();
            self.position += read.len() as u64;
            self.begun.extend(read);
            let lines = take_lines(&mut self.begun, is_last && is_end);
            if !lines.is_empty()
                && let Err(error) = sink.put(&self.stream, &lines).await
            {
                let (count, stream) = (lines.len(), &self.stream.name);
                tracing::warn!("{count} lines of {stream} are not in CloudWatch Logs: {error}");
            }
            if is_end {
                return;
            }
        }
    }
}

async fn read_from(log: &Path, position: u64) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(log).await?;
    file.seek(SeekFrom::Start(position)).await?;
    let mut read = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut read).await?;
    Ok(read)
}

/// Takes the whole lines, without empty ones, which CloudWatch Logs does not; what has no end yet stays,
/// unless `all` is asked for.
fn take_lines(text: &mut Vec<u8>, all: bool) -> Vec<String> {
    let end = match text.iter().rposition(|&byte| byte == b'\n') {
        _ if all => text.len(),
        Some(last) => last + 1,
        None => 0,
    };
    let whole: Vec<u8> = text.drain(..end).collect();
    String::from_utf8_lossy(&whole)
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_whole_and_the_last_one_at_the_end() {
        let mut text = b"one\r\n\n two\nthr".to_vec();
        assert_eq!(take_lines(&mut text, false), ["one", " two"]);
        assert_eq!(text, b"thr");
        assert!(take_lines(&mut text, false).is_empty());
        text.extend(b"ee\xff");
        assert_eq!(take_lines(&mut text, true), ["three\u{fffd}"]);
        assert!(text.is_empty());
    }
}
