//! One record of JSON.

use std::borrow::Cow;
use std::fmt;

use pipewright_wording::{excerpt, nearest::likely};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Series;
use super::fault::RecordFault;
use crate::calendar::{Frequency, Period};
use crate::hyperparameters::{Cardinality, DynamicFeatures, Hyperparameters, Likelihood};

/// What records are checked against.
#[derive(Debug, Clone)]
pub struct RecordRules {
    /// The frequency of every series.
    pub frequency: Frequency,
    /// Whether there are categories, and how many of each feature. `Auto` takes
    /// what a record has.
    pub cardinality: Cardinality,
    /// Whether there are dynamic features, and how many. `Auto` takes what a
    /// record has.
    pub num_dynamic_feat: DynamicFeatures,
    /// How many values a dynamic feature has beyond the target: 0 in training,
    /// `prediction_length` when a forecast is asked for.
    pub future: usize,
    /// The likelihood that the target must suit; `None` = any.
    pub likelihood: Option<Likelihood>,
}

impl RecordRules {
    /// The rules of the train channel.
    #[must_use]
    pub fn training(hyperparameters: &Hyperparameters) -> Self {
        Self {
            frequency: hyperparameters.time_freq,
            cardinality: hyperparameters.cardinality.clone(),
            num_dynamic_feat: hyperparameters.num_dynamic_feat,
            future: 0,
            likelihood: Some(hyperparameters.likelihood),
        }
    }

    /// The rules of a request's instances: what the model was trained with.
    #[must_use]
    pub fn forecast(
        frequency: Frequency,
        cardinality: &[u32],
        num_dynamic_feat: usize,
        prediction_length: usize,
    ) -> Self {
        Self {
            frequency,
            cardinality: Cardinality::of(cardinality),
            num_dynamic_feat: DynamicFeatures::of(num_dynamic_feat),
            future: prediction_length,
            likelihood: None,
        }
    }

    /// Reads one record, a JSON object with `start`, `target` and, if the rules
    /// have them, `cat` and `dynamic_feat`. Other fields are left alone.
    ///
    /// A missing value of the target is `null` or `"NaN"`; `NaN` without the
    /// quotes, which Python writes though JSON has no such thing, is read as
    /// well. `cat` may be one number instead of a list.
    ///
    /// # Errors
    /// Every fault of the record, never none.
    pub fn read(&self, json: &str) -> Result<Series, Vec<RecordFault>> {
        let json = quote_non_numbers(json);
        let fields: Fields<'_> = serde_json::from_str(&json).map_err(|fault| {
            let text = fault.to_string();
            let text = text.split(" at line ").next().unwrap_or(&text);
            let place = match fault.column() {
                0 => String::new(),
                column => format!(" (column {column})"),
            };
            vec![RecordFault::NotJson(format!("{text}{place}"))]
        })?;
        let mut faults = Vec::new();
        let start = self.start(&fields, &mut faults);
        let target = self.target(&fields, &mut faults);
        let cat = self.cat(&fields, &mut faults);
        let points = target.as_ref().map(Vec::len);
        let dynamic_feat = self.dynamic_feat(&fields, points, &mut faults);
        match (start, target) {
            (Some(start), Some(target)) if faults.is_empty() => Ok(Series {
                start,
                target,
                cat,
                dynamic_feat,
            }),
            _ => Err(faults),
        }
    }

    fn start(&self, fields: &Fields<'_>, faults: &mut Vec<RecordFault>) -> Option<Period> {
        let raw = fields.required("start", fields.start, faults)?;
        let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw.get()) else {
            faults.push(value_fault("start".to_owned(), raw, "a text"));
            return None;
        };
        let start = self.frequency.parse_start(&text);
        start.map_err(|fault| faults.push(fault.into())).ok()
    }

    fn target(&self, fields: &Fields<'_>, faults: &mut Vec<RecordFault>) -> Option<Vec<f32>> {
        let raw = fields.required("target", fields.target, faults)?;
        numbers(raw, "target", Missing::Allowed, self.likelihood, faults)
    }

    fn cat(&self, fields: &Fields<'_>, faults: &mut Vec<RecordFault>) -> Vec<u32> {
        let raw = match (&self.cardinality, fields.cat) {
            (Cardinality::Ignore, _) | (Cardinality::Auto, None) => return Vec::new(),
            (_, raw) => raw,
        };
        let Some(raw) = fields.required("cat", raw, faults) else {
            return Vec::new();
        };
        let one = serde_json::from_str::<u32>(raw.get()).map(|one| vec![one]);
        let Ok(cat) = one.or_else(|_| serde_json::from_str::<Vec<u32>>(raw.get())) else {
            faults.push(value_fault(
                "cat".to_owned(),
                raw,
                "a list of whole numbers from 0",
            ));
            return Vec::new();
        };
        self.check_categories(&cat, faults);
        cat
    }

    pub(super) fn check_categories(&self, cat: &[u32], faults: &mut Vec<RecordFault>) {
        let Cardinality::Given(cardinality) = &self.cardinality else {
            return;
        };
        if cat.len() != cardinality.len() {
            faults.push(RecordFault::CategoryCount {
                found: cat.len(),
                expected: cardinality.len(),
            });
            return;
        }
        for (feature, (&found, &cardinality)) in cat.iter().zip(cardinality).enumerate() {
            if found >= cardinality {
                faults.push(RecordFault::Category {
                    place: format!("cat[{feature}]"),
                    found,
                    greatest: cardinality.saturating_sub(1),
                });
            }
        }
    }

    /// `points` is the length of the target, if that could be read.
    fn dynamic_feat(
        &self,
        fields: &Fields<'_>,
        points: Option<usize>,
        faults: &mut Vec<RecordFault>,
    ) -> Vec<Vec<f32>> {
        let raw = match (self.num_dynamic_feat, fields.dynamic_feat) {
            (DynamicFeatures::Ignore, _) | (DynamicFeatures::Auto, None) => return Vec::new(),
            (_, raw) => raw,
        };
        let Some(raw) = fields.required("dynamic_feat", raw, faults) else {
            return Vec::new();
        };
        let Ok(lists) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            let expected = "a list of lists of numbers";
            faults.push(value_fault("dynamic_feat".to_owned(), raw, expected));
            return Vec::new();
        };
        let features: Vec<Vec<f32>> = lists
            .iter()
            .enumerate()
            .filter_map(|(feature, raw)| {
                let place = format!("dynamic_feat[{feature}]");
                numbers(raw, &place, Missing::Refused, None, faults)
            })
            .collect();
        if features.len() == lists.len() {
            self.check_features(&features, points, faults);
        }
        features
    }

    pub(super) fn check_features(
        &self,
        features: &[Vec<f32>],
        points: Option<usize>,
        faults: &mut Vec<RecordFault>,
    ) {
        if let DynamicFeatures::Given(expected) = self.num_dynamic_feat
            && features.len() != expected
        {
            faults.push(RecordFault::FeatureCount {
                found: features.len(),
                expected,
            });
        }
        let Some(target) = points else { return };
        for (feature, values) in features.iter().enumerate() {
            if values.len() != target + self.future {
                faults.push(RecordFault::FeatureLength {
                    place: format!("dynamic_feat[{feature}]"),
                    found: values.len(),
                    target,
                    future: self.future,
                });
            }
        }
    }
}

/// The fields of a record that are read, as text, and the names of the others.
#[derive(Default)]
struct Fields<'a> {
    start: Option<&'a RawValue>,
    target: Option<&'a RawValue>,
    cat: Option<&'a RawValue>,
    dynamic_feat: Option<&'a RawValue>,
    others: Vec<String>,
}

impl<'a> Fields<'a> {
    /// `raw`, or a fault that names the field.
    fn required(
        &self,
        field: &'static str,
        raw: Option<&'a RawValue>,
        faults: &mut Vec<RecordFault>,
    ) -> Option<&'a RawValue> {
        if raw.is_none() {
            let near = likely(field, self.others.iter().map(String::as_str));
            faults.push(RecordFault::Missing {
                field,
                near: near.map(excerpt),
            });
        }
        raw
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `start` and `target`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<String>()? {
                    let value: &'de RawValue = map.next_value()?;
                    let field = match name.as_str() {
                        "start" => &mut fields.start,
                        "target" => &mut fields.target,
                        "cat" => &mut fields.cat,
                        "dynamic_feat" => &mut fields.dynamic_feat,
                        _ => {
                            fields.others.push(name);
                            continue;
                        }
                    };
                    if field.replace(value).is_some() {
                        return Err(serde::de::Error::custom(format!(
                            "the field `{name}` stands twice"
                        )));
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Whether a list may have missing values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// They become NaN.
    Allowed,
    /// They are faults.
    Refused,
}

/// The numbers of a JSON list, or `None` if one of them is a fault.
fn numbers(
    raw: &RawValue,
    place: &str,
    missing: Missing,
    likelihood: Option<Likelihood>,
    faults: &mut Vec<RecordFault>,
) -> Option<Vec<f32>> {
    let before = faults.len();
    let mut list = NumberList {
        values: Vec::new(),
        place,
        missing,
        likelihood,
        faults,
    };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let is_list = (&mut list).deserialize(&mut deserializer).is_ok();
    let values = list.values;
    if !is_list {
        faults.push(value_fault(place.to_owned(), raw, "a list of numbers"));
    }
    // Grown by doubling; a series is kept, so it takes no more than it needs.
    (faults.len() == before).then(|| values.as_slice().to_vec())
}

/// The list that is being read.
struct NumberList<'a> {
    values: Vec<f32>,
    place: &'a str,
    missing: Missing,
    likelihood: Option<Likelihood>,
    faults: &'a mut Vec<RecordFault>,
}

impl<'de> DeserializeSeed<'de> for &mut NumberList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut NumberList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        // The text of an element: a number is parsed to single precision once,
        // and what is not a number is a fault of that element alone.
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            let text = raw.get();
            let value = match text.as_bytes().first() {
                Some(b'-' | b'0'..=b'9') => text.parse().ok(),
                _ if matches!(text, "null" | "\"NaN\"") => Some(f32::NAN),
                _ => None,
            };
            let place = || format!("{}[{}]", self.place, self.values.len());
            let found = || format!("`{}`", excerpt(text));
            let value = checked(value, self.missing, self.likelihood, place, found);
            let value = value.map_err(|fault| self.faults.push(fault));
            self.values.push(value.unwrap_or(f32::NAN));
        }
        Ok(())
    }
}

/// A value of a list, or its fault: it is not a number (`None`), missing (NaN) where
/// it may not be, infinite, or none that the likelihood can give.
pub(super) fn checked(
    value: Option<f32>,
    missing: Missing,
    likelihood: Option<Likelihood>,
    place: impl FnOnce() -> String,
    found: impl FnOnce() -> String,
) -> Result<f32, RecordFault> {
    let value = value.filter(|value| missing == Missing::Allowed || !value.is_nan());
    let expected = match value {
        None => match missing {
            Missing::Allowed => "a number, or null or \"NaN\" where it is missing",
            Missing::Refused => "a number; missing values are only allowed in target",
        },
        Some(value) if value.is_infinite() => "a number below 3.4e38 in size",
        Some(value) => {
            return match likelihood {
                Some(likelihood) if !likelihood.suits(value) => Err(RecordFault::Likelihood {
                    place: place(),
                    found: found(),
                    likelihood,
                }),
                _ => Ok(value),
            };
        }
    };
    Err(RecordFault::Value {
        place: place(),
        found: found(),
        expected,
    })
}

fn value_fault(place: String, raw: &RawValue, expected: &'static str) -> RecordFault {
    RecordFault::Value {
        place,
        found: format!("`{}`", excerpt(raw.get())),
        expected,
    }
}

/// The text with `NaN` and `Infinity` outside of strings put into quotes: Python
/// writes them as they are, which no JSON reader takes.
#[must_use]
pub fn quote_non_numbers(json: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
    if !WORDS.iter().any(|word| json.contains(word)) {
        return Cow::Borrowed(json);
    }
    let bytes = json.as_bytes();
    let mut quoted = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut in_string = false;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'N' | b'I' | b'-' if !in_string => {
                let word = WORDS
                    .iter()
                    .find(|word| bytes[at..].starts_with(word.as_bytes()));
                if let Some(word) = word {
                    quoted.extend([&json[copied..at], "\"", word, "\""]);
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    quoted.push_str(&json[copied..]);
    Cow::Owned(quoted)
}
