//! Filling a template with values that may be secret.
//!
//! A value may come from a parameter with `NoEcho`, and what is said of a
//! template that cannot be filled is shown to everyone who may see the stack. A
//! message may quote a value whole, escaped, cut, or after a filter, so no
//! search of the message finds every trace of it. Therefore what is said is
//! never taken from the filling with the real values: the template is filled
//! once more with stand-ins, and the messages are those of that filling. Of the
//! real one nothing is kept but codes, and places that the other has as well.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::fill::{FillError, FillErrors, Filled, filled};
use crate::definition::{Finding, JsonPath, Position, Segment};

/// Values shorter than this, in bytes, stand for themselves: they occur in any
/// text, and no secret is so short.
const SHORTEST: usize = 6;

/// Fills a template as [`fill`](super::fill), and quotes no value in what it
/// finds wrong or doubtful: in its place stands `(the value of NAME)`. Those of
/// the keys in `public`, and those shorter than six bytes, are not hidden.
///
/// # Errors
/// Those of [`fill`](super::fill), without the values.
pub fn fill_unseen(
    template: &str,
    values: &Map<String, Value>,
    provided: &Map<String, Value>,
    public: &[&str],
) -> Result<Filled, FillErrors> {
    let errors = match filled(template, values, provided).and_then(Filled::of) {
        Ok(filled) if filled.warnings.is_empty() => return Ok(filled),
        Ok(mut filled) => {
            let stand_ins = StandIns::new(template, values, provided, public);
            filled.warnings = stand_ins.findings(filled.warnings);
            return Ok(filled);
        }
        Err(FillErrors(errors)) => errors,
    };
    Err(FillErrors(
        StandIns::new(template, values, provided, public).errors(errors),
    ))
}

/// What a value is replaced by.
#[derive(Clone, Copy)]
enum Mask {
    /// `(the value of NAME)`.
    Name,
    /// Letters, as many as the value has: what is wrong may be its length.
    Letters,
}

/// A value and the letters that stand for it.
struct Hidden {
    letters: String,
    name: String,
}

/// The same template, filled with stand-ins.
struct StandIns {
    /// What came out of each, and what is to be said of it.
    fillings: Vec<Result<(Value, Vec<Finding>), FillErrors>>,
    hidden: Vec<Hidden>,
}

impl StandIns {
    fn new(
        template: &str,
        values: &Map<String, Value>,
        provided: &Map<String, Value>,
        public: &[&str],
    ) -> Self {
        let mut hidden = Vec::new();
        let fillings = [Mask::Name, Mask::Letters].map(|mask| {
            let masked = values
                .iter()
                .map(|(name, value)| {
                    let value = match public.contains(&name.as_str()) {
                        true => value.clone(),
                        false => masked(name, value, mask, &mut hidden),
                    };
                    (name.clone(), value)
                })
                .collect();
            filled(template, &masked, provided)
                .map(|(definition, findings)| (definition.to_value(), findings))
        });
        // Longest first: one may be part of another.
        hidden.sort_by_key(|one| std::cmp::Reverse(one.letters.len()));
        Self {
            fillings: fillings.into(),
            hidden,
        }
    }

    /// Errors of the real filling, in words of the others.
    fn errors(&self, errors: Vec<FillError>) -> Vec<FillError> {
        let mut findings = Vec::new();
        let mut told = Vec::new();
        for error in errors {
            match error {
                FillError::Fault(finding) => findings.push(finding),
                FillError::Template { position, message } => {
                    told.push(self.template_error(position, &message));
                }
                FillError::Result(_) => told.push(self.result_error()),
                FillError::Bare { name, position, .. } => told.push(FillError::Bare {
                    value: format!("the value given for {name}"),
                    name,
                    position,
                }),
                // They name keys and kinds only.
                error @ (FillError::Missing { .. }
                | FillError::Unused { .. }
                | FillError::Kind { .. }
                | FillError::ListInHole { .. }
                | FillError::NotAList { .. }
                | FillError::Values
                | FillError::Long) => told.push(error),
            }
        }
        told.extend(self.findings(findings).into_iter().map(FillError::Fault));
        told
    }

    fn others(&self) -> impl Iterator<Item = &FillError> {
        let failed = self
            .fillings
            .iter()
            .filter_map(|filling| filling.as_ref().err());
        failed.flat_map(|FillErrors(errors)| errors)
    }

    fn template_error(&self, position: Position, message: &str) -> FillError {
        let same = |other: &&FillError| matches!(other, FillError::Template { position: at, .. } if *at == position);
        let mut same: Vec<&FillError> = self.others().filter(same).collect();
        // The very same message has nothing of the values.
        same.sort_by_key(
            |other| !matches!(other, FillError::Template { message: text, .. } if text == message),
        );
        same.first().map_or_else(
            || FillError::Template {
                position,
                message: "what stands here cannot be computed with the values that are given"
                    .to_owned(),
            },
            |other| (*other).clone(),
        )
    }

    fn result_error(&self) -> FillError {
        let mut others = self.others();
        let found = others.find(|other| matches!(other, FillError::Result(_)));
        found.cloned().unwrap_or(FillError::Values)
    }

    /// Findings about the real definition, in words of those about the others.
    fn findings(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut unused: Vec<Vec<&Finding>> = self
            .fillings
            .iter()
            .map(|filling| filling.iter().flat_map(|(_, found)| found).collect())
            .collect();
        let mut told: Vec<Finding> = Vec::new();
        for finding in findings {
            let found = unused.iter_mut().find_map(|others| {
                let alike =
                    |other: &&Finding| other.code == finding.code && other.path == finding.path;
                let exact = others
                    .iter()
                    .position(|other| alike(other) && other.message == finding.message);
                let place = exact.or_else(|| others.iter().position(alike))?;
                Some(others.swap_remove(place).clone())
            });
            let mut found = found.unwrap_or_else(|| self.in_general(&finding));
            found.message = self.named(found.message);
            if !told.contains(&found) {
                told.push(found);
            }
        }
        told
    }

    /// A finding that no other filling has: its code, and where it is as far as
    /// that is known without the values.
    fn in_general(&self, finding: &Finding) -> Finding {
        let documents = self.fillings.iter().flatten();
        let (path, here) = documents
            .map(|(document, _)| known_part(&finding.path, document))
            .max_by_key(|(path, _)| path.segments().len())
            .unwrap_or_else(|| (JsonPath::root(), &Value::Null));
        let mut names = BTreeSet::new();
        self.names_in(here, &mut names);
        let of = match names.len() {
            0 => "the values".to_owned(),
            _ => format!(
                "the value of {}",
                names.into_iter().collect::<Vec<_>>().join(", of ")
            ),
        };
        Finding {
            code: finding.code,
            severity: finding.severity,
            path,
            message: format!(
                "{} It comes of {of}, which is not shown",
                finding.code.about()
            ),
        }
    }

    /// The keys whose stand-ins are in a part of a document.
    fn names_in<'a>(&'a self, part: &Value, names: &mut BTreeSet<&'a str>) {
        match part {
            Value::String(text) => {
                let text = self.named(text.clone());
                let held = self
                    .hidden
                    .iter()
                    .filter(|one| text.contains(&by_name(&one.name)));
                names.extend(held.map(|one| one.name.as_str()));
            }
            Value::Array(items) => items.iter().for_each(|item| self.names_in(item, names)),
            Value::Object(members) => members
                .values()
                .for_each(|member| self.names_in(member, names)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A message with names in the place of letters that stand for values.
    fn named(&self, mut message: String) -> String {
        for Hidden { letters, name } in &self.hidden {
            let name = by_name(name);
            for spelt in [name.to_uppercase(), name.to_lowercase(), letters.clone()] {
                message = message.replace(&spelt, &name);
            }
        }
        message
    }
}

fn by_name(name: &str) -> String {
    format!("(the value of {name})")
}

/// What stands for a value. Empty ones stay, since conditions ask for them, and
/// what reads as a number or a boolean stays one.
fn masked(name: &str, value: &Value, mask: Mask, hidden: &mut Vec<Hidden>) -> Value {
    match value {
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| masked(name, item, mask, hidden))
                .collect(),
        ),
        Value::String(text) if text.len() >= SHORTEST => {
            let is_number = text.parse::<f64>().is_ok() && super::fill::is_bare(text);
            let length = text.chars().count();
            let letters = if is_number { "9" } else { "x" }.repeat(length);
            hidden.push(Hidden {
                letters: letters.clone(),
                name: name.to_owned(),
            });
            Value::String(match mask {
                Mask::Name if !is_number => by_name(name),
                Mask::Name | Mask::Letters => letters,
            })
        }
        other => other.clone(),
    }
}

/// As much of a path as leads somewhere in a document, and what is there.
fn known_part<'a>(path: &JsonPath<'_>, document: &'a Value) -> (JsonPath<'static>, &'a Value) {
    let mut known = JsonPath::root();
    let mut here = document;
    for segment in path.segments() {
        let next = match segment {
            Segment::Key(key) => here.get(key.as_ref()),
            Segment::Index(index) => here.get(index),
        };
        let Some(next) = next else { break };
        match segment {
            Segment::Key(key) => known.push_owned_key(key.clone().into_owned()),
            Segment::Index(index) => known.push_index(*index),
        }
        here = next;
    }
    (known, here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::map;
    use proptest::prelude::*;
    use serde_json::json;

    fn told(template: &str, values: Value) -> String {
        match fill_unseen(template, &map(values), &Map::new(), &["Region"]) {
            Ok(filled) => filled.warnings.iter().map(ToString::to_string).collect(),
            Err(errors) => errors.to_string(),
        }
    }

    fn step(name: &str) -> String {
        format!(
            r#"{{"Version":"2020-12-01","Steps":[{{"Name":"{name}","Type":"Fail","Arguments":{{"ErrorMessage":"x"}}}}]}}"#
        )
    }

    #[test]
    fn a_value_is_told_by_its_name_however_it_is_spelt() {
        let long = "s3cret".repeat(40);
        for (key, value) in [
            ("{{ Name }}", "hunter2 secret"),
            ("{{ Name }}", "hunter2\"secret"),
            ("{{ Name }}", "hunter2\n\tsecret\u{1}"),
            ("{{ Name | upper }}", "hunter2-secret-value!"),
        ] {
            let told = told(&step(key), json!({"Name": value}));
            assert!(
                told.contains("$.Steps[0].Name: \"(the value of Name)\" is not a step's name"),
                "{told}"
            );
        }
        let told = told(&step("{{ Name }}"), json!({"Name": long}));
        assert!(
            told.contains("E_STEP_NAME") || told.contains("the value of Name"),
            "{told}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn what_only_the_value_explains_is_told_by_its_kind() {
        // Only with this value the name is taken twice.
        let template = r#"{"Version":"2020-12-01","Steps":[
            {"Name":"hunter2","Type":"Fail","Arguments":{"ErrorMessage":"x"}},
            {"Name":"{{ Name }}","Type":"Fail","Arguments":{"ErrorMessage":"x"}}]}"#;
        let told = told(template, json!({"Name": "hunter2"}));
        assert!(
            told.contains("E_DUP_STEP") && told.contains("It comes of the value of Name"),
            "{told}"
        );
    }

    #[test]
    fn faults_that_are_not_the_values_are_told_as_they_are() {
        let template = r#"{"Version":"2020-12-01","Steps":[
            {"Name":"a","Type":"Fial","Arguments":{"ErrorMessage":"{{ Text }}"}}]}"#;
        let values = map(json!({"Text": "something"}));
        let unseen = fill_unseen(template, &values, &Map::new(), &[]).unwrap_err();
        let plain = crate::template::fill(template, &values, &Map::new()).unwrap_err();
        assert_eq!(unseen, plain);
    }

    #[test]
    fn a_public_value_is_shown() {
        let region = |name: &str| {
            told(
                &step(&format!("{{{{ {name} }}}}")),
                json!({name: "eu west 1"}),
            )
        };
        assert!(region("Region").contains("\"eu west 1\""));
        assert!(!region("Other").contains("eu west 1"));
    }

    proptest! {
        /// Of a value of six bytes or more nothing is quoted in a reason: neither whole, nor escaped, cut, or
        /// after a filter.
        #[test]
        fn no_part_of_a_value_is_ever_quoted(
            secret in "[Q-Z]{3}[!-~ \n\t\"\\\\]{0,200}[Q-Z]{3}",
            place in 0_usize..9,
        ) {
            let template = [
                step("{{ V }}"),
                step("{{ V | upper }}"),
                step("{{ V | lower }}"),
                step("a{{ V | truncate(length=9) }}"),
                step("{{ V | reverse }}"),
                r#"{"Version":"{{ V }}","Steps":[{"{{ V }}":1}]}"#.to_owned(),
                r#"{"Version":"2020-12-01","Parameters":[{"Name":"{{ V }}","Type":"{{ V }}"}],"Steps":{{ V }}}"#.to_owned(),
                r#"{"Version":"2020-12-01","Steps":[{"Name":"a","Type":"{{ V }}","DependsOn":["{{ V }}"]}]}"#.to_owned(),
                r#"{"Version":"2020-12-01","Steps":[{"Name":"a","Type":"Fail","Arguments":{"ErrorMessage":{"Get":"Parameters.{{ V }}"}}}]}"#.to_owned(),
            ][place].clone();
            let told = told(&template, json!({"V": secret}));
            // Three letters in a row that no message of ours has in capitals, either way round.
            for cut in [&secret[..3], &secret[secret.len() - 3..]] {
                let turned: String = cut.chars().rev().collect();
                for spelt in [cut.to_owned(), turned] {
                    prop_assert!(!told.contains(&spelt), "{spelt}: {told}");
                }
            }
        }
    }
}
