//! The files of a channel, read record by record.

use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::Series;
use super::fault::{PlacedFault, RecordFault, Unit};
use super::record::RecordRules;
use crate::faults::Faults;
use crate::hyperparameters::{Cardinality, DynamicFeatures, MOST_CATEGORIES};

/// The longest line that is read, in bytes: fifty million points.
pub const LONGEST_LINE: usize = 512 << 20;

/// Reads the files of a channel, one after the other, and keeps their series and
/// their faults.
///
/// If the rules leave categories or dynamic features to be found out (`auto`), the
/// first record decides: all others must have what it has, and what it lacks is
/// not used.
#[derive(Debug)]
pub struct Reader {
    rules: RecordRules,
    series: Vec<Series>,
    faults: Faults<PlacedFault>,
}

/// The records of a channel.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The series, in the files' order.
    pub series: Vec<Series>,
    /// How many categorical features each has.
    pub categorical_features: usize,
    /// How many dynamic features each has.
    pub dynamic_features: usize,
}

impl Reader {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(rules: RecordRules) -> Self {
        Self {
            rules,
            series: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// Reads JSON Lines: one record a line; blank lines are skipped. `file` is the
    /// name that faults have.
    pub fn json_lines(&mut self, file: &str, input: impl BufRead) {
        self.lines_up_to(LONGEST_LINE, file, input);
    }

    fn lines_up_to(&mut self, longest: usize, file: &str, mut input: impl BufRead) {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let limit = longest as u64 + 1;
            let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
            let fault = match read {
                Ok(0) => return,
                Ok(_) if number == 1 && line.starts_with(&[0x1f, 0x8b]) => RecordFault::Compressed,
                Ok(_) if line.len() > longest => RecordFault::TooLong(longest),
                Ok(_) => {
                    let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
                    let text = text.trim_ascii();
                    if !text.is_empty() {
                        self.add(file, Unit::Line, number, self.line(text));
                    }
                    continue;
                }
                Err(fault) => RecordFault::Unreadable(fault.to_string()),
            };
            return self.add(file, Unit::Line, number, Err(vec![fault]));
        }
    }

    /// Reads JSON Lines compressed by gzip.
    pub fn json_lines_gzip(&mut self, file: &str, input: impl Read) {
        self.json_lines(file, BufReader::new(MultiGzDecoder::new(input)));
    }

    fn line(&self, line: &[u8]) -> Result<Series, Vec<RecordFault>> {
        match std::str::from_utf8(line) {
            Ok(text) => self.rules.read(text),
            Err(fault) => Err(vec![RecordFault::NotText(fault.valid_up_to() + 1)]),
        }
    }

    #[cfg(feature = "parquet")]
    pub(super) fn rules(&self) -> &RecordRules {
        &self.rules
    }

    pub(super) fn add(
        &mut self,
        file: &str,
        unit: Unit,
        number: usize,
        read: Result<Series, Vec<RecordFault>>,
    ) {
        match read {
            Ok(series) => {
                if self.series.is_empty() {
                    self.decide(&series);
                }
                self.series.push(series);
            }
            Err(faults) => {
                for fault in faults {
                    self.faults.push(PlacedFault {
                        file: file.to_owned(),
                        unit,
                        number,
                        fault,
                    });
                }
            }
        }
    }

    /// Makes the first record's categories and dynamic features the rule.
    fn decide(&mut self, first: &Series) {
        if self.rules.cardinality == Cardinality::Auto {
            self.rules.cardinality = match first.cat.len() {
                0 => Cardinality::Ignore,
                // How many categories there are is known when all are read.
                features => Cardinality::Given(vec![MOST_CATEGORIES; features]),
            };
        }
        if self.rules.num_dynamic_feat == DynamicFeatures::Auto {
            self.rules.num_dynamic_feat = match first.dynamic_feat.len() {
                0 => DynamicFeatures::Ignore,
                features => DynamicFeatures::Given(features),
            };
        }
    }

    /// The records that were read.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn finish(self) -> Result<Channel, Faults<PlacedFault>> {
        let channel = Channel {
            series: self.series,
            categorical_features: match self.rules.cardinality {
                Cardinality::Given(features) => features.len(),
                Cardinality::Auto | Cardinality::Ignore => 0,
            },
            dynamic_features: match self.rules.num_dynamic_feat {
                DynamicFeatures::Given(features) => features,
                DynamicFeatures::Auto | DynamicFeatures::Ignore => 0,
            },
        };
        self.faults.or(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Period;
    use crate::hyperparameters::Likelihood;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{self, Write};

    fn rules() -> RecordRules {
        RecordRules {
            frequency: "D".parse().unwrap(),
            cardinality: Cardinality::Auto,
            num_dynamic_feat: DynamicFeatures::Auto,
            future: 0,
            likelihood: None,
        }
    }

    fn read(rules: RecordRules, text: &str) -> Result<Channel, String> {
        let mut reader = Reader::new(rules);
        reader.json_lines("a.json", text.as_bytes());
        reader.finish().map_err(|faults| faults.to_string())
    }

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn records_are_read_with_every_way_to_say_missing() {
        let channel = read(
            rules(),
            "\u{feff}{\"start\": \"1970-01-03 00:00:00\", \"target\": [1, -2.5e3, null, \"NaN\", NaN, 0.1], \"cat\": [0, 7], \"dynamic_feat\": [[1,2,3,4,5,6]]}\r\n\
             \n  \t\n\
             {\"target\":[],\"start\":\"1970-01-01\",\"cat\":[3,1],\"dynamic_feat\":[[]],\"name\":\"Infinity \\\" NaN\"}",
        )
        .unwrap();
        let [first, second] = &channel.series[..] else {
            panic!("{channel:?}");
        };
        let missing = f32::NAN;
        assert_eq!(first.start, Period(2));
        assert_eq!(
            bits(&first.target),
            bits(&[1.0, -2500.0, missing, missing, missing, 0.1])
        );
        assert_eq!(first.cat, [0, 7]);
        assert_eq!(first.dynamic_feat, [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]);
        assert_eq!((second.start, second.target.len()), (Period(0), 0));
        assert_eq!(
            (channel.categorical_features, channel.dynamic_features),
            (2, 1)
        );
    }

    #[test]
    fn a_single_category_may_be_a_bare_number() {
        let text = "{\"start\":\"1970-01-01\",\"target\":[1],\"cat\":4}";
        assert_eq!(read(rules(), text).unwrap().series[0].cat, [4]);
    }

    #[test]
    fn every_fault_is_told_with_file_line_and_field() {
        let mut rules = rules();
        rules.likelihood = Some(Likelihood::NegativeBinomial);
        let faults = read(
            rules,
            r#"{"start":"2020-01-01","target":[1,2],"cat":[0],"dynamic_feat":[[1,2]]}
{"start":"2020-13-01","target":[1,"x",-1,0.5,1e39,Infinity,true],"cat":[0,1],"dynamic_feat":[[1,null]]}

{"targets":[1],"start":5,"cat":["a"],"dynamic_feat":[[1,2],[3]]}
{"start":"2020-01-01","target":{},"cat":[-1],"dynamic_feat":{}}
[1]
{"start":"2020-01-01","start":"2020-01-01"}
{"start":"2020-01-01","target":[1]} x
{"start":"2020-01-01","target":[1,2],"cat":[0],"dynamic_feat":[[1]]}"#,
        )
        .unwrap_err();
        assert_eq!(
            faults,
            "20 faults:
  a.json, line 2: start: `2020-13-01` does not exist: its month is out of range
  a.json, line 2: target[1] is `\"x\"`; it must be a number, or null or \"NaN\" where it is missing
  a.json, line 2: target[2] is `-1`; likelihood negative-binomial is for whole numbers from 0
  a.json, line 2: target[3] is `0.5`; likelihood negative-binomial is for whole numbers from 0
  a.json, line 2: target[4] is `1e39`; it must be a number below 3.4e38 in size
  a.json, line 2: target[5] is `\"Infinity\"`; it must be a number, or null or \"NaN\" where it is missing
  a.json, line 2: target[6] is `true`; it must be a number, or null or \"NaN\" where it is missing
  a.json, line 2: cat has 2 values; every record must have 1
  a.json, line 2: dynamic_feat[0][1] is `null`; it must be a number; missing values are only allowed in target
  a.json, line 4: start is `5`; it must be a text
  a.json, line 4: the field `target` is missing; is it `targets`?
  a.json, line 4: cat is `[\"a\"]`; it must be a list of whole numbers from 0
  a.json, line 4: dynamic_feat has 2 lists; every record must have 1
  a.json, line 5: target is `{}`; it must be a list of numbers
  a.json, line 5: cat is `[-1]`; it must be a list of whole numbers from 0
  a.json, line 5: dynamic_feat is `{}`; it must be a list of lists of numbers
  a.json, line 6: this is not one JSON object: invalid type: sequence, expected an object with `start` and `target`
  a.json, line 7: this is not one JSON object: the field `start` stands twice (column 43)
  a.json, line 8: this is not one JSON object: trailing characters (column 37)
  a.json, line 9: dynamic_feat[0] has 1 value; it must have 2: the 2 of target"
        );
    }

    #[test]
    fn compressed_files_are_read_in_all_their_members() {
        let one = "{\"start\":\"1970-01-01\",\"target\":[1]}\n";
        let mut file = compressed(one);
        file.extend(compressed(one));
        let mut reader = Reader::new(rules());
        reader.json_lines_gzip("a.json.gz", &file[..]);
        assert_eq!(reader.finish().unwrap().series.len(), 2);
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_refused_as_that() {
        let text = "{\"start\":\"1970-01-01\",\"target\":[1]}\n";
        let mut reader = Reader::new(rules());
        reader.json_lines("b.json", &compressed(text)[..]);
        reader.json_lines_gzip("c.json.gz", text.as_bytes());
        let cut = compressed(&text.repeat(9_000));
        reader.json_lines_gzip("d.json.gz", &cut[..cut.len() / 2]);
        let faults = reader.finish().unwrap_err();
        let told: Vec<String> = faults.told().iter().map(ToString::to_string).collect();
        assert_eq!(
            told[0],
            "b.json, line 1: the file is compressed by gzip; give it a name that ends in .json.gz"
        );
        assert!(
            told[1].starts_with("c.json.gz, line 1: the file can't be read from here on: "),
            "{told:?}"
        );
        assert!(told[2].starts_with("d.json.gz, line "), "{told:?}");
        assert_eq!(told.len(), 3);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = Reader::new(rules());
        reader.lines_up_to(100, "a.json", BufReader::new(io::repeat(b' ')));
        let fault = reader.finish().unwrap_err().to_string();
        assert_eq!(fault, "a.json, line 1: the record is longer than 100 bytes");
    }

    #[test]
    fn a_failed_read_is_a_fault_of_that_line() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let mut reader = Reader::new(rules());
        let good = "{\"start\":\"1970-01-01\",\"target\":[1]}\n".as_bytes();
        reader.json_lines("a.json", BufReader::new(good.chain(Failing)));
        assert_eq!(
            reader.finish().unwrap_err().to_string(),
            "a.json, line 2: the file can't be read from here on: the disk is gone"
        );
    }

    #[test]
    fn what_is_ignored_is_not_even_looked_at() {
        let rules = RecordRules {
            cardinality: Cardinality::Ignore,
            num_dynamic_feat: DynamicFeatures::Ignore,
            ..rules()
        };
        let text = "{\"start\":\"1970-01-01\",\"target\":[1],\"cat\":\"x\",\"dynamic_feat\":7}";
        let channel = read(rules, text).unwrap();
        assert!(channel.series[0].cat.is_empty() && channel.series[0].dynamic_feat.is_empty());
    }

    #[test]
    fn what_the_first_record_lacks_is_not_used() {
        let text = "{\"start\":\"1970-01-01\",\"target\":[1]}\n{\"start\":\"1970-01-01\",\"target\":[1],\"cat\":[1]}";
        let channel = read(rules(), text).unwrap();
        assert_eq!(
            (channel.categorical_features, channel.series[1].cat.len()),
            (0, 0)
        );
    }

    fn told(rules: &RecordRules, record: &str) -> Vec<String> {
        let faults = rules.read(record).unwrap_err();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_forecast_needs_dynamic_features_into_the_future() {
        let rules = RecordRules::forecast("D".parse().unwrap(), &[3], 1, 2);
        let cold = r#"{"start":"1970-01-01","target":[],"cat":2,"dynamic_feat":[[1,2]]}"#;
        assert!(rules.read(cold).unwrap().target.is_empty());
        let refused = r#"{"start":"1970-01-01","target":[1],"cat":[3],"dynamic_feat":[[1,NaN]]}"#;
        assert_eq!(
            told(&rules, refused),
            [
                "cat[0] is 3; it must be from 0 to 2",
                "dynamic_feat[0][1] is `\"NaN\"`; it must be a number; missing values are only allowed in target",
            ]
        );
        let rules = RecordRules::forecast("D".parse().unwrap(), &[], 1, 2);
        let short = r#"{"start":"1970-01-01","target":[1],"dynamic_feat":[[1,2],[1,2,3]]}"#;
        assert_eq!(
            told(&rules, short),
            [
                "dynamic_feat has 2 lists; every record must have 1",
                "dynamic_feat[0] has 2 values; it must have 3: the 1 of target and the 2 that are forecast",
            ]
        );
    }
}
