//! What a request asks for.

use std::fmt;

use pipewright_forecast::deepar::PredictError;
use pipewright_forecast::faults::Faults;
use pipewright_forecast::hyperparameters::Quantile;
use pipewright_forecast::series::{RecordFault, RecordRules, Series, quote_non_numbers};
use pipewright_wording::excerpt;
use pipewright_wording::nearest::{likely, nearest};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// The most instances of a request.
pub const MOST_INSTANCES: usize = 10_000;
/// The most samples of a forecast.
pub const MOST_SAMPLES: usize = 100_000;
/// The most numbers of an answer, and values of the samples of one forecast: about
/// 100 MB as text and 32 MB in memory.
pub const MOST_NUMBERS: usize = 1 << 23;
/// The most quantiles of a forecast.
const MOST_QUANTILES: usize = 1_000;

/// What is forecast of each instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Samples that a forecast is made of, at least 1.
    pub samples: usize,
    /// Whether their mean is answered.
    pub mean: bool,
    /// The quantiles that are answered; empty = none.
    pub quantiles: Vec<Quantile>,
    /// Whether the samples themselves are answered.
    pub paths: bool,
}

impl Default for Configuration {
    /// DeepAR's: 100 samples, their mean and the quantiles 0.1 to 0.9.
    fn default() -> Self {
        Self {
            samples: 100,
            mean: true,
            quantiles: default_quantiles(),
            paths: false,
        }
    }
}

fn default_quantiles() -> Vec<Quantile> {
    let texts = [
        "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9",
    ];
    texts.into_iter().filter_map(Quantile::parse).collect()
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The body is not text.
    #[error("the body is not UTF-8, first at byte {0}")]
    NotText(usize),
    /// The body is not JSON of the form that is asked for.
    #[error("{place} is not {expected}: {cause}")]
    Form {
        /// The body or a part of it.
        place: &'static str,
        /// What it must be.
        expected: &'static str,
        /// Why it is not.
        cause: String,
    },
    /// There are no instances.
    #[error("the field `instances`, a list of records, is missing{}", near.as_deref().map_or_else(String::new, |near| format!("; is it `{near}`?")))]
    NoInstances {
        /// A field that can be a misspelling of it.
        near: Option<String>,
    },
    /// There is no such field, and it is probably another.
    #[error("{place} is not a field that is read; is it `{nearest}`?")]
    Unknown {
        /// The field.
        place: String,
        /// The one that it may be.
        nearest: &'static str,
    },
    /// A field has a wrong value.
    #[error("{place} is `{found}`; it must be {expected}")]
    Value {
        /// The field.
        place: String,
        /// Its beginning.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A record is wrong.
    #[error("{place}: {fault}")]
    Record {
        /// Which one: `instances[3]` or `line 4`.
        place: String,
        /// What is wrong.
        fault: RecordFault,
    },
    /// A record does not fit the model.
    #[error("{place}: {fault}")]
    Model {
        /// Which one.
        place: String,
        /// What is wrong.
        fault: PredictError,
    },
    /// A record lacks a field that its answer must have.
    #[error(
        "{place}: the field `{field}` is missing, which DEEPAR_FORWARDED_FIELDS wants in the answer"
    )]
    NotForwarded {
        /// Which record.
        place: String,
        /// The field.
        field: String,
    },
    /// There are too many records.
    #[error(
        "the request has {found} records; at most {MOST_INSTANCES} are forecast at once: send several requests"
    )]
    TooManyInstances {
        /// How many there are.
        found: usize,
    },
    /// Samples would not fit into memory.
    #[error(
        "num_samples × prediction_length is {samples} × {length}; it must be at most {MOST_NUMBERS}: choose a smaller num_samples"
    )]
    TooManySamples {
        /// Samples that are asked for.
        samples: usize,
        /// Points of a forecast.
        length: usize,
    },
    /// The answer would be too long.
    #[error(
        "the answer would have {numbers} numbers; it must have at most {MOST_NUMBERS}: send fewer records at once, or ask for fewer samples, quantiles or output_types"
    )]
    TooLong {
        /// The numbers that it would have.
        numbers: usize,
    },
}

/// A record of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Which it is: `instances[3]` or `line 4`.
    pub place: String,
    /// What is forecast.
    pub series: Series,
    /// Fields that the answer repeats, with their JSON.
    pub forwarded: Vec<(String, String)>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The records.
    pub instances: Vec<Instance>,
    /// What is forecast of each.
    pub configuration: Configuration,
}

/// What requests are read by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What records are checked against.
    pub records: RecordRules,
    /// Points of a forecast.
    pub prediction_length: usize,
    /// What is forecast if the request does not say it.
    pub configuration: Configuration,
    /// Fields that answers in JSON Lines repeat.
    pub forwarded: Vec<String>,
}

impl Rules {
    /// Reads a body in JSON: an object with `instances`, a list of records, and
    /// perhaps `configuration`.
    ///
    /// # Errors
    /// Every fault.
    pub fn json(&self, body: &[u8]) -> Result<Request, Faults<RequestFault>> {
        let body = text(body)?;
        let body = quote_non_numbers(body);
        let members: Members = parse("the body", "one JSON object", &body)?;
        let mut faults = Faults::default();
        let mut configuration = self.configuration.clone();
        let mut instances = None;
        let mut others = Vec::new();
        for (name, raw) in &members.0 {
            match name.as_str() {
                "instances" => instances = Some(raw),
                "configuration" => configuration = Configuration::read(raw.get(), &mut faults),
                other => others.push(other),
            }
        }
        let Some(instances) = instances else {
            let near = likely("instances", others).map(excerpt);
            faults.push(RequestFault::NoInstances { near });
            return Err(faults);
        };
        if let Some(other) = likely("configuration", others) {
            faults.push(RequestFault::Unknown {
                place: excerpt(other),
                nearest: "configuration",
            });
        }
        let Ok(records) = serde_json::from_str::<Vec<&RawValue>>(instances.get()) else {
            faults.push(RequestFault::Value {
                place: "instances".to_owned(),
                found: excerpt(instances.get()),
                expected: "a list of records".to_owned(),
            });
            return Err(faults);
        };
        let records = records
            .into_iter()
            .enumerate()
            .map(|(number, raw)| (format!("instances[{number}]"), raw.get()));
        self.request(configuration, records.collect(), &[], faults)
    }

    /// Reads a body in JSON Lines: a record a line; blank lines are skipped.
    ///
    /// # Errors
    /// Every fault.
    pub fn json_lines(&self, body: &[u8]) -> Result<Request, Faults<RequestFault>> {
        let body = text(body)?;
        let body = quote_non_numbers(body);
        let lines = body
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| (format!("line {}", number + 1), line.trim()));
        let configuration = self.configuration.clone();
        self.request(
            configuration,
            lines.collect(),
            &self.forwarded,
            Faults::default(),
        )
    }

    fn request(
        &self,
        configuration: Configuration,
        records: Vec<(String, &str)>,
        forwarded: &[String],
        mut faults: Faults<RequestFault>,
    ) -> Result<Request, Faults<RequestFault>> {
        self.check_sizes(&configuration, records.len(), &mut faults);
        if faults.count() > 0 {
            return Err(faults);
        }
        let mut instances = Vec::with_capacity(records.len());
        for (place, json) in records {
            match self.records.read(json) {
                Ok(series) => instances.push(Instance {
                    forwarded: forward(&place, json, forwarded, &mut faults),
                    place,
                    series,
                }),
                Err(wrong) => {
                    for fault in wrong {
                        let place = place.clone();
                        faults.push(RequestFault::Record { place, fault });
                    }
                }
            }
        }
        faults.or(Request {
            instances,
            configuration,
        })
    }

    fn check_sizes(
        &self,
        configuration: &Configuration,
        instances: usize,
        faults: &mut Faults<RequestFault>,
    ) {
        let Configuration {
            samples,
            mean,
            quantiles,
            paths,
        } = configuration;
        let length = self.prediction_length;
        if instances > MOST_INSTANCES {
            faults.push(RequestFault::TooManyInstances { found: instances });
        }
        if samples.saturating_mul(length) > MOST_NUMBERS {
            faults.push(RequestFault::TooManySamples {
                samples: *samples,
                length,
            });
        }
        let each = usize::from(*mean) + quantiles.len() + if *paths { *samples } else { 0 };
        let numbers = each.saturating_mul(length).saturating_mul(instances);
        if numbers > MOST_NUMBERS {
            faults.push(RequestFault::TooLong { numbers });
        }
    }
}

/// The fields of a record that its answer repeats.
fn forward(
    place: &str,
    json: &str,
    fields: &[String],
    faults: &mut Faults<RequestFault>,
) -> Vec<(String, String)> {
    if fields.is_empty() {
        return Vec::new();
    }
    // The record has been read, so that this is an object.
    let members = serde_json::from_str(json).unwrap_or(Members(Vec::new())).0;
    let mut forwarded = Vec::with_capacity(fields.len());
    for field in fields {
        match members.iter().find(|(name, _)| name == field) {
            Some((_, raw)) => forwarded.push((field.clone(), raw.get().to_owned())),
            None => faults.push(RequestFault::NotForwarded {
                place: place.to_owned(),
                field: excerpt(field),
            }),
        }
    }
    forwarded
}

impl Configuration {
    /// Reads a `configuration`: an object that may have `num_samples`,
    /// `output_types` and `quantiles`. What it lacks is DeepAR's default.
    pub fn read(json: &str, faults: &mut Faults<RequestFault>) -> Self {
        let mut configuration = Self::default();
        let members: Members = match parse("configuration", "a JSON object", json) {
            Ok(members) => members,
            Err(fault) => {
                faults.push(fault);
                return configuration;
            }
        };
        let mut types = None;
        for (name, raw) in &members.0 {
            match name.as_str() {
                "num_samples" => configuration.samples = samples(raw, faults),
                "output_types" => types = Some(output_types(raw, faults)),
                "quantiles" => configuration.quantiles = quantiles(raw, faults),
                other => {
                    let known = ["num_samples", "output_types", "quantiles"];
                    faults.push(RequestFault::Unknown {
                        place: format!("configuration.{}", excerpt(other)),
                        nearest: nearest(other, known).unwrap_or("num_samples"),
                    });
                }
            }
        }
        if let Some([mean, quantiles, paths]) = types {
            configuration.mean = mean;
            configuration.paths = paths;
            if !quantiles {
                configuration.quantiles.clear();
            }
        }
        configuration
    }
}

/// A number of samples; 1 if it is none.
fn samples(raw: &RawValue, faults: &mut Faults<RequestFault>) -> usize {
    let number = serde_json::from_str(raw.get()).ok();
    let number = number.filter(|number| (1..=MOST_SAMPLES).contains(number));
    number.unwrap_or_else(|| {
        faults.push(RequestFault::Value {
            place: "configuration.num_samples".to_owned(),
            found: excerpt(raw.get()),
            expected: format!("a whole number from 1 to {MOST_SAMPLES}"),
        });
        1
    })
}

/// Whether mean, quantiles and samples are asked for.
fn output_types(raw: &RawValue, faults: &mut Faults<RequestFault>) -> [bool; 3] {
    const KNOWN: [&str; 3] = ["mean", "quantiles", "samples"];
    let types: Vec<String> = serde_json::from_str(raw.get()).unwrap_or_default();
    let known = types.iter().all(|name| KNOWN.contains(&name.as_str()));
    if types.is_empty() || !known {
        faults.push(RequestFault::Value {
            place: "configuration.output_types".to_owned(),
            found: excerpt(raw.get()),
            expected: "a list of at least one of \"mean\", \"quantiles\" and \"samples\""
                .to_owned(),
        });
    }
    KNOWN.map(|known| types.iter().any(|name| name == known))
}

/// Quantiles, texts or numbers, each once.
fn quantiles(raw: &RawValue, faults: &mut Faults<RequestFault>) -> Vec<Quantile> {
    const PLACE: &str = "configuration.quantiles";
    let mut fault = |place: String, found: &str, expected: &str| {
        faults.push(RequestFault::Value {
            place,
            found: excerpt(found),
            expected: expected.to_owned(),
        });
    };
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    if list.is_empty() || list.len() > MOST_QUANTILES {
        fault(
            PLACE.to_owned(),
            raw.get(),
            "a list of 1 to 1000 quantiles, such as [\"0.1\", \"0.5\", \"0.9\"]",
        );
        return Vec::new();
    }
    let mut quantiles: Vec<Quantile> = Vec::with_capacity(list.len());
    for (number, raw) in list.into_iter().enumerate() {
        // A number is its own text.
        let text = serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        match Quantile::parse(&text) {
            Some(quantile) if quantiles.iter().any(|other| other.text == text) => drop(quantile),
            Some(quantile) => quantiles.push(quantile),
            None => fault(
                format!("{PLACE}[{number}]"),
                raw.get(),
                "a text such as \"0.9\", of a number above 0 and below 1",
            ),
        }
    }
    quantiles
}

fn text(body: &[u8]) -> Result<&str, RequestFault> {
    std::str::from_utf8(body).map_err(|fault| RequestFault::NotText(fault.valid_up_to() + 1))
}

fn parse<'a, T: Deserialize<'a>>(
    place: &'static str,
    expected: &'static str,
    json: &'a str,
) -> Result<T, RequestFault> {
    serde_json::from_str(json).map_err(|fault| RequestFault::Form {
        place,
        expected,
        cause: excerpt_of(&fault),
    })
}

/// What the parser says, on one line of bounded length.
fn excerpt_of(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    let place = format!(" (line {}, column {})", fault.line(), fault.column());
    let text = text.split(" at line ").next().unwrap_or(&text);
    excerpt(text) + &place
}

/// The members of a JSON object, none twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!(
                            "the field `{}` stands twice",
                            excerpt(&name)
                        )));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright_forecast::calendar::Period;

    fn rules() -> Rules {
        Rules {
            records: RecordRules::forecast("D".parse().unwrap(), &[], 0, 7),
            prediction_length: 7,
            configuration: Configuration::default(),
            forwarded: vec!["id".to_owned()],
        }
    }

    fn faults(body: &str) -> String {
        rules().json(body.as_bytes()).unwrap_err().to_string()
    }

    /// The request of DeepAR's documentation, but for its features.
    #[test]
    fn the_documented_request_is_read() {
        let body = br#"{
            "instances": [
                {"start": "2009-11-01 00:00:00", "target": [4.0, 10.0, "NaN", 100.0, NaN, null], "cat": [0, 1]},
                {"start": "2012-01-30", "target": [1.0]},
                {"start": "1999-01-30", "target": []}
            ],
            "configuration": {"num_samples": 50, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.5", "0.9", 0.25, "0.50", "0.5"]}
        }"#;
        let request = rules().json(body).unwrap();
        let targets = request.instances.iter().map(|one| one.series.target.len());
        assert_eq!(targets.collect::<Vec<_>>(), [6, 1, 0]);
        assert_eq!(request.instances[1].series.start, Period(15_369));
        let Configuration {
            samples,
            mean,
            quantiles,
            paths,
        } = request.configuration;
        assert_eq!((samples, mean, paths), (50, true, true));
        let texts: Vec<&str> = quantiles.iter().map(|q| q.text.as_str()).collect();
        assert_eq!(texts, ["0.5", "0.9", "0.25", "0.50"]);
    }

    #[test]
    fn what_a_configuration_lacks_is_the_default() {
        let read = |json: &str| {
            let mut faults = Faults::default();
            let configuration = Configuration::read(json, &mut faults);
            assert_eq!(faults.count(), 0, "{faults}");
            configuration
        };
        assert_eq!(read("{}"), Configuration::default());
        let mean = read(r#"{"output_types": ["mean"]}"#);
        assert!(mean.mean && !mean.paths && mean.quantiles.is_empty());
        let samples = read(r#"{"output_types": ["samples"], "quantiles": ["0.5"]}"#);
        assert!(!samples.mean && samples.paths && samples.quantiles.is_empty());
        let request = rules().json(br#"{"instances": []}"#).unwrap();
        assert_eq!(request.configuration, Configuration::default());
        assert_eq!(request.instances, []);
    }

    #[test]
    fn json_lines_are_records_and_forward_fields() {
        let body = "{\"start\": \"2020-01-01\", \"target\": [1], \"id\": {\"a\": [1, NaN]}}\r\n\n  \n\
                    {\"id\": \"x\", \"start\": \"2020-01-02\", \"target\": [NaN]}";
        let request = rules().json_lines(body.as_bytes()).unwrap();
        let [first, second] = &request.instances[..] else {
            panic!("{request:?}");
        };
        assert_eq!(
            (first.place.as_str(), second.place.as_str()),
            ("line 1", "line 4")
        );
        let forwarded = |field: &str| vec![("id".to_owned(), field.to_owned())];
        assert_eq!(first.forwarded, forwarded("{\"a\": [1, \"NaN\"]}"));
        assert_eq!(second.forwarded, forwarded("\"x\""));
        let body = b"{\"start\": \"2020-01-01\", \"target\": [1]}";
        let fault = rules().json_lines(body).unwrap_err().to_string();
        assert_eq!(
            fault,
            "line 1: the field `id` is missing, which DEEPAR_FORWARDED_FIELDS wants in the answer"
        );
        assert_eq!(rules().json_lines(b"\n").unwrap().instances, []);
    }

    #[test]
    fn every_fault_names_instance_field_and_cure() {
        assert_eq!(
            faults(
                r#"{"instances": [{"start": "2020-01-01", "target": [1, "x"]}, {"start": "2020-13-01", "targets": [1]}, 5]}"#
            ),
            "4 faults:
  instances[0]: target[1] is `\"x\"`; it must be a number, or null or \"NaN\" where it is missing
  instances[1]: start: `2020-13-01` does not exist: its month is out of range
  instances[1]: the field `target` is missing; is it `targets`?
  instances[2]: this is not one JSON object: invalid type: integer `5`, expected an object with `start` and `target` (column 1)"
        );
        assert_eq!(
            faults(
                r#"{"instances": [], "configuration": {"num_samples": 1e9, "output_types": ["median"], "quantiles": ["0.5", "1", 2], "num_sample": 3}}"#
            ),
            "5 faults:
  configuration.num_samples is `1e9`; it must be a whole number from 1 to 100000
  configuration.output_types is `[\"median\"]`; it must be a list of at least one of \"mean\", \"quantiles\" and \"samples\"
  configuration.quantiles[1] is `\"1\"`; it must be a text such as \"0.9\", of a number above 0 and below 1
  configuration.quantiles[2] is `2`; it must be a text such as \"0.9\", of a number above 0 and below 1
  configuration.num_sample is not a field that is read; is it `num_samples`?"
        );
        for (body, expected) in [
            (
                "",
                "the body is not one JSON object: EOF while parsing a value",
            ),
            (
                "[1]",
                "the body is not one JSON object: invalid type: sequence",
            ),
            ("{}", "the field `instances`, a list of records, is missing"),
            (r#"{"instance": []}"#, "is missing; is it `instance`?"),
            (
                r#"{"instances": 5}"#,
                "instances is `5`; it must be a list of records",
            ),
            (
                r#"{"instances": [], "instances": []}"#,
                "the field `instances` stands twice",
            ),
            (
                r#"{"instances": [], "configurations": {}}"#,
                "configurations is not a field that is read; is it `configuration`?",
            ),
            (
                r#"{"instances": [], "configuration": []}"#,
                "configuration is not a JSON object",
            ),
            (
                r#"{"instances": [], "configuration": {"num_samples": 0}}"#,
                "configuration.num_samples is `0`; it must be a whole number from 1",
            ),
            (
                r#"{"instances": [], "configuration": {"quantiles": []}}"#,
                "configuration.quantiles is `[]`; it must be a list of 1 to 1000 quantiles",
            ),
        ] {
            let faults = faults(body);
            assert!(faults.contains(expected), "{body}\n{faults}");
        }
        assert_eq!(
            rules().json(b"{\xff").unwrap_err().to_string(),
            "the body is not UTF-8, first at byte 2"
        );
    }

    #[test]
    fn what_would_not_fit_is_refused_before_it_is_read() {
        let many = vec!["{}"; MOST_INSTANCES + 1].join(",");
        let faults_of = |text: &str, configuration: &str| {
            faults(&format!(
                "{{\"instances\": [{text}], \"configuration\": {configuration}}}"
            ))
        };
        assert_eq!(
            faults_of(&many, "{}"),
            "the request has 10001 records; at most 10000 are forecast at once: send several requests"
        );
        let mut long = rules();
        long.prediction_length = 100;
        let body = br#"{"instances": [], "configuration": {"num_samples": 100000}}"#;
        assert_eq!(
            long.json(body).unwrap_err().to_string(),
            "num_samples × prediction_length is 100000 × 100; it must be at most 8388608: choose a smaller num_samples"
        );
        let ten_thousand = vec!["{}"; 10_000].join(",");
        assert_eq!(
            faults_of(
                &ten_thousand,
                r#"{"num_samples": 120, "output_types": ["samples"]}"#
            ),
            "the answer would have 8400000 numbers; it must have at most 8388608: send fewer records at once, or ask for fewer samples, quantiles or output_types"
        );
    }
}
