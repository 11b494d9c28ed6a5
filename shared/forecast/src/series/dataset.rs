//! A channel's series as a training uses them.

use std::collections::BTreeSet;

use thiserror::Error;

use super::Series;
use super::reader::Channel;
use super::record::RecordRules;
use super::statistics::Statistics;
use crate::faults::Faults;
use crate::hyperparameters::{Cardinality, DynamicFeatures, Hyperparameters};

/// The fewest points that a training needs, all series together.
pub const FEWEST_OBSERVATIONS: usize = 300;

/// The series of the train channel.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    /// Those that are trained on: at least `prediction_length` points long.
    pub series: Vec<Series>,
    /// How many were shorter than that, and are ignored.
    pub ignored: usize,
    /// The number of categories of each categorical feature; empty = none.
    pub cardinality: Vec<u32>,
    /// The number of dynamic features.
    pub num_dynamic_feat: usize,
    /// Statistics of the series that are trained on.
    pub statistics: Statistics,
}

/// The series of the test channel.
#[derive(Debug, Clone)]
pub struct TestSet {
    /// Those that are scored: at least `prediction_length` points long. The last
    /// `prediction_length` of each are held out.
    pub series: Vec<Series>,
    /// How many were shorter than that, and are ignored.
    pub ignored: usize,
    /// Statistics of the series that are scored, held-out points included.
    pub statistics: Statistics,
}

/// The series of a channel can't be used together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DatasetFault {
    /// No series is long enough.
    #[error(
        "none of the {found} series is prediction_length ({prediction_length}) points long; shorter ones are ignored"
    )]
    AllShort {
        /// How many series there are.
        found: usize,
        /// The hyperparameter.
        prediction_length: usize,
    },
    /// There are too few points.
    #[error(
        "the training series have {found} points in all; at least {FEWEST_OBSERVATIONS} are needed (series shorter than prediction_length don't count)"
    )]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// Every value is missing.
    #[error("every value of the training series is missing")]
    AllMissing,
    /// Every value is 0.
    #[error("the training series consist of only zeros")]
    AllZero,
    /// A category never occurs.
    #[error(
        "category {category} of cat[{feature}] occurs in no training series; number the categories from 0 without gaps, or give fewer in cardinality"
    )]
    UnusedCategory {
        /// Which categorical feature.
        feature: usize,
        /// The category.
        category: u32,
    },
}

impl TrainingSet {
    /// Checks the records of the train channel, and leaves out the short ones.
    ///
    /// # Errors
    /// No series or too few points are left, all values are missing or 0, or a
    /// category never occurs.
    pub fn new(
        channel: Channel,
        hyperparameters: &Hyperparameters,
    ) -> Result<Self, Faults<DatasetFault>> {
        let dynamic_features = channel.dynamic_features;
        let categorical_features = channel.categorical_features;
        let (series, ignored) = long_enough(channel.series, hyperparameters.prediction_length)?;
        let statistics = Statistics::of(&series);
        let mut faults = Faults::default();
        if statistics.observations < FEWEST_OBSERVATIONS {
            faults.push(DatasetFault::TooFew {
                found: statistics.observations,
            });
        }
        if statistics.missing == statistics.observations {
            faults.push(DatasetFault::AllMissing);
        } else if statistics.min == 0.0 && statistics.max == 0.0 {
            faults.push(DatasetFault::AllZero);
        }
        let given = match &hyperparameters.cardinality {
            Cardinality::Given(cardinality) => Some(&cardinality[..]),
            Cardinality::Auto | Cardinality::Ignore => None,
        };
        let cardinality = cardinality(&series, categorical_features, given, &mut faults);
        faults.or(Self {
            series,
            ignored,
            cardinality,
            num_dynamic_feat: dynamic_features,
            statistics,
        })
    }

    /// What the records of the test channel are checked against: they must have
    /// what the training records have.
    #[must_use]
    pub fn test_rules(&self, hyperparameters: &Hyperparameters) -> RecordRules {
        RecordRules {
            cardinality: Cardinality::of(&self.cardinality),
            num_dynamic_feat: DynamicFeatures::of(self.num_dynamic_feat),
            ..RecordRules::training(hyperparameters)
        }
    }
}

impl TestSet {
    /// Leaves out the records of the test channel that are too short to score.
    ///
    /// # Errors
    /// None is long enough.
    pub fn new(channel: Channel, prediction_length: usize) -> Result<Self, Faults<DatasetFault>> {
        let (series, ignored) = long_enough(channel.series, prediction_length)?;
        Ok(Self {
            statistics: Statistics::of(&series),
            series,
            ignored,
        })
    }
}

/// The series of at least `prediction_length` points, and how many are shorter.
fn long_enough(
    series: Vec<Series>,
    prediction_length: usize,
) -> Result<(Vec<Series>, usize), DatasetFault> {
    let found = series.len();
    let mut series = series;
    series.retain(|series| series.target.len() >= prediction_length);
    match series.len() {
        0 => Err(DatasetFault::AllShort {
            found,
            prediction_length,
        }),
        long => Ok((series, found - long)),
    }
}

/// How many categories each feature has: as many as are `given`, or one more than
/// the greatest that occurs. One that never occurs is a fault: its embedding would
/// not be trained.
fn cardinality(
    series: &[Series],
    features: usize,
    given: Option<&[u32]>,
    faults: &mut Faults<DatasetFault>,
) -> Vec<u32> {
    let occurring = |feature: usize| -> BTreeSet<u32> {
        let categories = series.iter().filter_map(|series| series.cat.get(feature));
        categories.copied().collect()
    };
    (0..features)
        .map(|feature| {
            let occurring = occurring(feature);
            let greatest = occurring.last().copied().unwrap_or(0);
            let given = given.and_then(|given| given.get(feature));
            let cardinality = given.copied().unwrap_or(greatest.saturating_add(1));
            for category in (0..cardinality).filter(|category| !occurring.contains(category)) {
                faults.push(DatasetFault::UnusedCategory { feature, category });
            }
            cardinality
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Reader;
    use std::collections::BTreeMap;

    fn hyperparameters(more: &[(&str, &str)]) -> Hyperparameters {
        let least = [
            ("time_freq", "D"),
            ("epochs", "1"),
            ("context_length", "2"),
            ("prediction_length", "5"),
        ];
        let texts = least.iter().chain(more);
        let texts: BTreeMap<String, String> = texts
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        Hyperparameters::from_texts(&texts).unwrap()
    }

    /// A record of so many points of `value`.
    fn record(points: usize, value: &str, fields: &str) -> String {
        let target = vec![value; points].join(",");
        format!("{{\"start\":\"2020-01-01\",\"target\":[{target}]{fields}}}\n")
    }

    fn channel(rules: RecordRules, lines: &[String]) -> Channel {
        let mut reader = Reader::new(rules);
        reader.json_lines("train.json", lines.concat().as_bytes());
        reader.finish().unwrap()
    }

    fn training(
        hyperparameters: &Hyperparameters,
        lines: &[String],
    ) -> Result<TrainingSet, Faults<DatasetFault>> {
        let channel = channel(RecordRules::training(hyperparameters), lines);
        TrainingSet::new(channel, hyperparameters)
    }

    #[test]
    fn short_series_are_ignored_and_counted() {
        let set = training(
            &hyperparameters(&[]),
            &[
                record(4, "9", ""),
                record(300, "1", ""),
                record(5, "2", ""),
                record(0, "", ""),
            ],
        )
        .unwrap();
        assert_eq!((set.series.len(), set.ignored), (2, 2));
        assert_eq!(
            (set.statistics.observations, set.statistics.max),
            (305, 2.0)
        );
    }

    #[test]
    fn too_few_points_are_refused() {
        let faults = training(&hyperparameters(&[]), &[record(299, "1", "")]).unwrap_err();
        assert_eq!(faults.told(), [DatasetFault::TooFew { found: 299 }]);
        let faults = training(&hyperparameters(&[]), &[record(4, "1", "")]).unwrap_err();
        let short = DatasetFault::AllShort {
            found: 1,
            prediction_length: 5,
        };
        assert_eq!(faults.told(), [short]);
    }

    #[test]
    fn targets_of_nothing_but_zeros_or_gaps_are_refused() {
        let faults = training(&hyperparameters(&[]), &[record(300, "0", "")]).unwrap_err();
        assert_eq!(faults.told(), [DatasetFault::AllZero]);
        let faults = training(&hyperparameters(&[]), &[record(300, "null", "")]).unwrap_err();
        assert_eq!(faults.told(), [DatasetFault::AllMissing]);
    }

    #[test]
    fn every_category_must_occur() {
        let lines = [
            record(300, "1", ",\"cat\":[0,1]"),
            record(300, "1", ",\"cat\":[3,0]"),
            record(2, "1", ",\"cat\":[1,2]"),
        ];
        let faults = training(&hyperparameters(&[]), &lines).unwrap_err();
        let unused = |feature, category| DatasetFault::UnusedCategory { feature, category };
        assert_eq!(faults.told(), [unused(0, 1), unused(0, 2)]);
        let faults = training(&hyperparameters(&[("cardinality", "[4, 3]")]), &lines).unwrap_err();
        assert_eq!(faults.told(), [unused(0, 1), unused(0, 2), unused(1, 2)]);
        let set = training(&hyperparameters(&[("cardinality", "ignore")]), &lines).unwrap();
        assert!(set.cardinality.is_empty() && set.series[0].cat.is_empty());
    }

    #[test]
    fn a_category_beyond_a_million_is_refused() {
        let line = record(300, "1", ",\"cat\":[4294967295]").repeat(2);
        let mut reader = Reader::new(RecordRules::training(&hyperparameters(&[])));
        reader.json_lines("train.json", line.as_bytes());
        let fault = reader.finish().unwrap_err().to_string();
        assert!(
            fault.contains("cat[0] is 4294967295; it must be from 0 to 999999"),
            "{fault}"
        );
    }

    #[test]
    fn the_test_channel_must_have_what_the_training_has() {
        let hyperparameters = hyperparameters(&[("likelihood", "beta")]);
        let set = training(
            &hyperparameters,
            &[
                record(300, "0.5", ",\"cat\":[0]"),
                record(300, "0.5", ",\"cat\":[1]"),
            ],
        )
        .unwrap();
        assert_eq!((&set.cardinality[..], set.num_dynamic_feat), (&[2][..], 0));
        let rules = set.test_rules(&hyperparameters);
        let mut reader = Reader::new(rules.clone());
        let lines = [
            record(9, "0.5", ",\"cat\":[2]"),
            record(9, "0.5", ""),
            record(1, "1.5", ",\"cat\":[1]"),
        ];
        reader.json_lines("test.json", lines.concat().as_bytes());
        assert_eq!(
            reader.finish().unwrap_err().to_string(),
            "3 faults:
  test.json, line 1: cat[0] is 2; it must be from 0 to 1
  test.json, line 2: the field `cat` is missing
  test.json, line 3: target[0] is `1.5`; likelihood beta is for numbers from 0 to 1"
        );
        let lines = [
            record(9, "0.5", ",\"cat\":[1]"),
            record(4, "0.5", ",\"cat\":[1]"),
        ];
        let test = TestSet::new(channel(rules, &lines), 5).unwrap();
        assert_eq!((test.series.len(), test.ignored), (1, 1));
    }
}
