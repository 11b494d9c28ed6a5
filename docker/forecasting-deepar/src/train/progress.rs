//! The lines of the log about batches and epochs.

use std::time::Duration;

use pipewright_forecast::deepar::{BatchReport, EpochReport};
use pipewright_forecast::metrics::Metric;

use crate::log::Log;

/// How many batches there are between two lines.
const EVERY: usize = 5;

/// Follows the batches of an epoch.
pub(super) struct EpochLog<'a> {
    log: &'a Log,
    host: &'a str,
    /// When the epoch began.
    pub began: Duration,
    all: Mean,
    /// Since the last line about the speed.
    latest: Mean,
    windows: usize,
    since: Duration,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

impl<'a> EpochLog<'a> {
    pub(super) fn new(log: &'a Log, host: &'a str) -> Self {
        let now = log.now();
        Self {
            log,
            host,
            began: now,
            all: Mean::default(),
            latest: Mean::default(),
            windows: 0,
            since: now,
        }
    }

    /// Tells of the first batch and of every fifth after it. The loss that the metric
    /// has is the mean since the last line about the speed: at batch 5 of the batches
    /// 0 to 5, at batch 10 of 6 to 10.
    pub(super) fn batch(&mut self, report: BatchReport) {
        let BatchReport {
            epoch,
            batch,
            windows,
            loss,
        } = report;
        self.all.add(loss);
        self.latest.add(loss);
        self.windows += windows;
        if !batch.is_multiple_of(EVERY) {
            return;
        }
        let (log, host) = (self.log, self.host);
        let (mean, latest) = (self.all.value(), self.latest.value());
        log.info(format_args!(
            "Epoch[{epoch}] Batch[{batch}] avg_epoch_loss={mean:.6}"
        ));
        let loss = latest;
        log.info(Metric::BatchLoss { epoch, batch, loss }.of(host));
        if batch > 0 {
            let now = log.now();
            let speed = rate(self.windows, now.saturating_sub(self.since));
            log.info(format_args!(
                "Epoch[{epoch}] Batch [{batch}]\tSpeed: {speed:.2} samples/sec\tloss={latest:.6}"
            ));
            (self.latest, self.windows, self.since) = (Mean::default(), 0, now);
        }
    }
}

/// Tells of an epoch of `epochs`, whose batches took `span`.
pub(super) fn tell_epoch(
    log: &Log,
    host: &str,
    report: EpochReport,
    epochs: usize,
    span: Duration,
) {
    let EpochReport {
        epoch,
        windows,
        loss,
        is_best,
    } = report;
    log.info(Metric::Throughput(rate(windows, span)).of(host));
    log.info(Metric::Progress(100.0 * count(epoch + 1) / count(epochs)).of(host));
    log.info(Metric::EpochLoss { epoch, loss }.of(host));
    log.info(if is_best {
        "best epoch loss so far"
    } else {
        "loss did not improve"
    });
}

/// So many things a second; of no time, as if it had been a nanosecond.
fn rate(things: usize, span: Duration) -> f64 {
    count(things) / span.max(Duration::from_nanos(1)).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing;

    /// Epoch 4 of the log of February 2022, whose batches' losses are chosen so that
    /// the means are those that it printed.
    #[test]
    fn the_lines_of_an_epoch_are_those_of_the_container() {
        let (log, printed) = testing::log();
        let mut epoch_log = EpochLog::new(&log, "algo-1");
        let first = 0.131_493_851_542_472_84;
        let rest = (0.188_894_849_115_361_78 * 6.0 - first) / 5.0;
        for batch in 0..11 {
            let loss = match batch {
                0 => first,
                1..=5 => rest,
                _ => 0.018_827_971_816_062_928,
            };
            epoch_log.batch(BatchReport {
                epoch: 4,
                batch,
                windows: if batch == 10 { 5 } else { 32 },
                loss,
            });
        }
        let report = EpochReport {
            epoch: 4,
            windows: 325,
            loss: 0.111_591_723_070_225_93,
            is_best: true,
        };
        tell_epoch(&log, "algo-1", report, 20, Duration::from_secs(2));
        let lines: Vec<String> = printed
            .text()
            .lines()
            .map(|line| line.split_once("] ").unwrap().1.to_owned())
            .collect();
        let expected = [
            "Epoch[4] Batch[0] avg_epoch_loss=0.131494",
            "#quality_metric: host=algo-1, epoch=4, batch=0 train loss <loss>=0.13149385154247284",
            "Epoch[4] Batch[5] avg_epoch_loss=0.188895",
            "#quality_metric: host=algo-1, epoch=4, batch=5 train loss <loss>=0.18889484911536",
            "Epoch[4] Batch [5]\tSpeed: 153.60 samples/sec\tloss=0.188895",
            "Epoch[4] Batch[10] avg_epoch_loss=0.111592",
            "#quality_metric: host=algo-1, epoch=4, batch=10 train loss <loss>=0.018827971816062",
            "Epoch[4] Batch [10]\tSpeed: 133.00 samples/sec\tloss=0.018828",
            "#throughput_metric: host=algo-1, train throughput=162.5 records/second",
            "#progress_metric: host=algo-1, completed 25.0 % of epochs",
            "#quality_metric: host=algo-1, epoch=4, train loss <loss>=0.11159172307022593",
            "best epoch loss so far",
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            // The last digits of sums are the machine's.
            assert!(line.starts_with(expected), "{line}\n{expected}");
        }
    }
}
