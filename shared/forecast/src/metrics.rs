//! The metrics of a training: the lines of its log that have them, and the
//! expressions by which SageMaker takes them off it.
//!
//! | metric | what it is |
//! |---|---|
//! | `train:loss` | the mean loss of the latest batches |
//! | `train:loss:epoch` | the mean loss of an epoch's batches |
//! | `validation:loss` | the loss, after an epoch, of windows that are not learned from |
//! | `train:final_loss` | the lowest epoch's loss: that of the model |
//! | `train:progress` | the percentage of the epochs that is done |
//! | `train:throughput` | windows learned from in a second of an epoch |
//! | `test:RMSE` | the root of the mean squared error of the mean forecasts of the test channel |
//! | `test:mean_wQuantileLoss` | the weighted quantile loss of that channel, averaged over the quantiles |
//!
//! A loss is the negative log-likelihood of a point. `validation:loss` is an
//! addition of this implementation. DeepAR's documentation names `test:RMSE`,
//! `test:mean_wQuantileLoss` and `train:final_loss`; the other names, and the
//! expressions, are those that SageMaker's other algorithms have.

use std::fmt;

/// A metric and where SageMaker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its name in a training job's description.
    pub name: &'static str,
    /// The regular expression that finds it in a line of the log; its one group is
    /// the value.
    pub regex: &'static str,
}

/// Every metric, as `AlgorithmSpecification.MetricDefinitions` has them. A line of
/// the log matches at most one.
pub const DEFINITIONS: [Definition; 8] = [
    Definition {
        name: "train:loss",
        regex: r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train loss <loss>=(\S+)",
    },
    Definition {
        name: "train:loss:epoch",
        regex: r"#quality_metric: host=\S+, epoch=\S+, train loss <loss>=(\S+)",
    },
    Definition {
        name: "validation:loss",
        regex: r"#quality_metric: host=\S+, epoch=\S+, validation loss <loss>=(\S+)",
    },
    Definition {
        name: "train:final_loss",
        regex: r"#quality_metric: host=\S+, train final_loss <loss>=(\S+)",
    },
    Definition {
        name: "train:progress",
        regex: r"#progress_metric: host=\S+, completed (\S+) %",
    },
    Definition {
        name: "train:throughput",
        regex: r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    },
    Definition {
        name: "test:RMSE",
        regex: r"#quality_metric: host=\S+, test RMSE <loss>=(\S+)",
    },
    Definition {
        name: "test:mean_wQuantileLoss",
        regex: r"#quality_metric: host=\S+, test mean_wQuantileLoss <loss>=(\S+)",
    },
];

/// A line of the log that has a metric, without the log's prefix. Epochs and
/// batches count from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// `train:loss`, of the batches up to this one.
    BatchLoss {
        /// The epoch.
        epoch: usize,
        /// The batch of the epoch.
        batch: usize,
        /// The mean of the losses.
        loss: f64,
    },
    /// `train:loss:epoch`.
    EpochLoss {
        /// The epoch.
        epoch: usize,
        /// The mean of its batches' losses.
        loss: f64,
    },
    /// `validation:loss`.
    ValidationLoss {
        /// The epoch after which it was computed.
        epoch: usize,
        /// The loss.
        loss: f64,
    },
    /// `train:final_loss`.
    FinalLoss(f64),
    /// `train:progress`, in percent.
    Progress(f64),
    /// `train:progress` of 100 percent, though epochs are left: the training was
    /// stopped early.
    StoppedEarly,
    /// `train:throughput`.
    Throughput(f64),
    /// `test:RMSE`.
    TestRmse(f64),
    /// `test:mean_wQuantileLoss`.
    TestQuantileLoss(f64),
}

impl Metric {
    /// The line for a host, such as `algo-1`.
    #[must_use]
    pub fn of(self, host: &str) -> impl fmt::Display {
        Line { metric: self, host }
    }
}

struct Line<'a> {
    metric: Metric,
    host: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host;
        match self.metric {
            Metric::BatchLoss { epoch, batch, loss } => write!(
                f,
                "#quality_metric: host={host}, epoch={epoch}, batch={batch} train loss <loss>={loss:?}"
            ),
            Metric::EpochLoss { epoch, loss } => write!(
                f,
                "#quality_metric: host={host}, epoch={epoch}, train loss <loss>={loss:?}"
            ),
            Metric::ValidationLoss { epoch, loss } => write!(
                f,
                "#quality_metric: host={host}, epoch={epoch}, validation loss <loss>={loss:?}"
            ),
            Metric::FinalLoss(loss) => write!(
                f,
                "#quality_metric: host={host}, train final_loss <loss>={loss:?}"
            ),
            Metric::Progress(percent) => write!(
                f,
                "#progress_metric: host={host}, completed {percent:?} % of epochs"
            ),
            Metric::StoppedEarly => {
                write!(
                    f,
                    "#progress_metric: host={host}, completed 100 % of epochs"
                )
            }
            Metric::Throughput(rate) => write!(
                f,
                "#throughput_metric: host={host}, train throughput={rate:?} records/second"
            ),
            Metric::TestRmse(error) => write!(
                f,
                "#quality_metric: host={host}, test RMSE <loss>={error:?}"
            ),
            Metric::TestQuantileLoss(loss) => write!(
                f,
                "#quality_metric: host={host}, test mean_wQuantileLoss <loss>={loss:?}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_lite::Regex;

    /// What SageMaker takes of a line: names and values.
    fn found(line: &str) -> Vec<(&'static str, f64)> {
        let find = |definition: &Definition| {
            let groups = Regex::new(definition.regex).unwrap().captures(line)?;
            Some((definition.name, groups[1].parse().unwrap()))
        };
        DEFINITIONS.iter().filter_map(find).collect()
    }

    /// Each metric's line is matched by that metric's expression and no other, with
    /// every digit of its value.
    #[test]
    fn each_line_is_matched_by_its_own_expression_only() {
        let value = -0.169_594_859_393_934_4;
        let (epoch, batch) = (12, 5);
        let lines = [
            (
                "train:loss",
                Metric::BatchLoss {
                    epoch,
                    batch,
                    loss: value,
                },
            ),
            ("train:loss:epoch", Metric::EpochLoss { epoch, loss: value }),
            (
                "validation:loss",
                Metric::ValidationLoss { epoch, loss: value },
            ),
            ("train:final_loss", Metric::FinalLoss(value)),
            ("train:progress", Metric::Progress(value)),
            ("train:throughput", Metric::Throughput(value)),
            ("test:RMSE", Metric::TestRmse(value)),
            ("test:mean_wQuantileLoss", Metric::TestQuantileLoss(value)),
        ];
        assert_eq!(lines.len(), DEFINITIONS.len());
        for (name, metric) in lines {
            let line = format!("[02/25/2022 07:10:58 INFO 7] {}", metric.of("algo-1"));
            assert_eq!(found(&line), [(name, value)], "{line}");
        }
        let line = Metric::StoppedEarly.of("algo-1").to_string();
        assert_eq!(found(&line), [("train:progress", 100.0)]);
    }

    /// Lines that the real container printed, and ours of the same values.
    #[test]
    fn lines_are_those_of_the_container() {
        let lines = [
            (
                Metric::BatchLoss {
                    epoch: 4,
                    batch: 10,
                    loss: 0.018_827_971_816_062_928,
                },
                "#quality_metric: host=algo-1, epoch=4, batch=10 train loss <loss>=0.018827971816062928",
            ),
            (
                Metric::EpochLoss {
                    epoch: 4,
                    loss: 0.111_591_723_070_225_93,
                },
                "#quality_metric: host=algo-1, epoch=4, train loss <loss>=0.11159172307022593",
            ),
            (
                Metric::FinalLoss(3.611_852_537_501_942),
                "#quality_metric: host=algo-1, train final_loss <loss>=3.611852537501942",
            ),
            (
                Metric::Progress(25.0),
                "#progress_metric: host=algo-1, completed 25.0 % of epochs",
            ),
            (
                Metric::StoppedEarly,
                "#progress_metric: host=algo-1, completed 100 % of epochs",
            ),
            (
                Metric::Throughput(184.187_642_804_156_8),
                "#throughput_metric: host=algo-1, train throughput=184.1876428041568 records/second",
            ),
            (
                Metric::TestRmse(413.511_353_991_309_93),
                "#quality_metric: host=algo-1, test RMSE <loss>=413.51135399130993",
            ),
            (
                Metric::TestQuantileLoss(0.112_470_448_069_737_1),
                "#quality_metric: host=algo-1, test mean_wQuantileLoss <loss>=0.1124704480697371",
            ),
        ];
        for (metric, line) in lines {
            assert_eq!(metric.of("algo-1").to_string(), line);
        }
    }
}
