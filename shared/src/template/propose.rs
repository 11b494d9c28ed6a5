//! Suggesting keys for what in a definition belongs to one account or region.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::extract::extract;
use super::looks::{self, Accounts, Look, last_key};
use crate::definition::{Definition, JsonPath, Segment, Step};

/// Suggests a map of keys to today's values: roles and other ARNs, images,
/// queues, buckets, subnets and security groups, the region and the account.
///
/// The names come from where a value stands (`RoleArn`, `FunctionArn` with the
/// step's name where there are several) or from the value itself (a bucket's
/// name without account and region). Every suggested key has a place in the
/// definition.
#[must_use]
pub fn propose(definition: &Definition) -> Map<String, Value> {
    let mut texts = Vec::new();
    crate::definition::walk(
        definition.as_value(),
        JsonPath::root(),
        |_, _| false,
        |value, path| match value {
            Value::String(text) => texts.push((text.as_str(), path.clone(), None)),
            Value::Array(items) => texts.push(("", path.clone(), Some(items))),
            _ => {}
        },
    );
    let steps = definition.steps();
    let mut proposal = Proposal {
        accounts: Accounts::of(definition),
        ..Proposal::default()
    };
    for (text, path, list) in &texts {
        match list {
            Some(items) => proposal.add_list(items, path, &steps),
            None => proposal.add_text(text, path, &steps),
        }
    }
    // Buckets that stand alone as part of a Std:Join after "s3:/".
    for (text, path, _) in &texts {
        if let (Some(Segment::Index(1)), false) = (path.segments().last(), text.contains('/'))
            && is_after_s3(definition.as_value(), path)
        {
            proposal.add_bucket(text);
        }
    }
    proposal.settle_buckets(texts.iter().map(|(text, ..)| *text));
    for (text, ..) in &texts {
        proposal.add_parts(text);
    }
    let mut values = proposal.values;
    // What stands only inside of longer values needs no key of its own.
    if let Ok(extracted) = extract(definition, &values) {
        for key in &extracted.unused {
            values.shift_remove(key);
        }
    }
    values
}

/// Whether the item before the one at `path` is the `s3:/` of a joined URI.
fn is_after_s3(document: &Value, path: &JsonPath<'_>) -> bool {
    let segments = path.segments();
    let mut at = document;
    for segment in &segments[..segments.len().saturating_sub(1)] {
        let next = match segment {
            Segment::Key(key) => at.get(key.as_ref()),
            Segment::Index(index) => at.get(*index),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    matches!(at.get(0).and_then(Value::as_str), Some("s3:/" | "s3:"))
}

#[derive(Default)]
struct Proposal {
    accounts: Accounts,
    values: Map<String, Value>,
    taken: BTreeSet<String>,
    buckets: Vec<String>,
}

impl Proposal {
    /// Adds a value under the first of the names that is free.
    fn add(&mut self, names: &[String], value: Value) {
        if self.values.values().any(|known| *known == value) {
            return;
        }
        let name = names
            .iter()
            .find(|name| !name.is_empty() && !self.taken.contains(*name))
            .cloned()
            .unwrap_or_else(|| {
                let base = names.last().map_or("Value", String::as_str);
                (2..)
                    .map(|number| format!("{base}{number}"))
                    .find(|name| !self.taken.contains(name))
                    .unwrap_or_default()
            });
        self.taken.insert(name.clone());
        self.values.insert(name, value);
    }

    fn add_text(&mut self, text: &str, path: &JsonPath<'_>, steps: &[Step<'_>]) {
        let found = looks::find(text, &self.accounts);
        let whole = match found.as_slice() {
            [(look, part)] if part.len() == text.len() => Some(*look),
            _ => None,
        };
        let member = pascal(last_key(path));
        match whole {
            Some(Look::Arn | Look::Queue) => {
                self.add(
                    &[member.clone(), step_name(path, steps) + &member],
                    text.into(),
                );
            }
            Some(Look::Image) => {
                let repository = text
                    .split_once('/')
                    .map_or("", |(_, rest)| rest)
                    .split([':', '@'])
                    .next()
                    .unwrap_or_default();
                self.add(&[pascal(repository) + "ImageUri"], text.into());
            }
            _ => {
                for (look, part) in found {
                    if look == Look::Bucket {
                        self.add_bucket(part);
                    }
                }
            }
        }
    }

    fn add_list(&mut self, items: &[Value], path: &JsonPath<'_>, steps: &[Step<'_>]) {
        let all = |look: Look| {
            !items.is_empty()
                && items.iter().all(|item| {
                    item.as_str()
                        .is_some_and(|text| looks::find(text, &self.accounts) == [(look, text)])
                })
        };
        let name = if all(Look::Subnet) {
            "SubnetIds"
        } else if all(Look::SecurityGroup) {
            "SecurityGroupIds"
        } else {
            return;
        };
        self.add(
            &[name.to_owned(), step_name(path, steps) + name],
            Value::from(items.to_vec()),
        );
    }

    fn add_bucket(&mut self, name: &str) {
        // Shorter ones are no buckets.
        if name.len() >= 3 && !self.buckets.iter().any(|known| known == name) {
            self.buckets.push(name.to_owned());
        }
    }

    /// A bucket's name becomes a value where it stands only for itself; where
    /// the same letters stand elsewhere, `s3://name/` does.
    fn settle_buckets<'t>(&mut self, texts: impl Iterator<Item = &'t str> + Clone) {
        for bucket in std::mem::take(&mut self.buckets) {
            let alone = texts.clone().all(|text| {
                text.match_indices(&bucket).all(|(at, _)| {
                    let before = &text[..at];
                    let after = text[at + bucket.len()..].chars().next();
                    (before.is_empty() || before.ends_with("s3://") || before.ends_with(":s3:::"))
                        && after.is_none_or(|c| c == '/')
                })
            });
            let name = pascal(&self.without_account_and_region(&bucket));
            if alone {
                let name = if name.is_empty() || name.ends_with("Bucket") {
                    name
                } else {
                    name + "Bucket"
                };
                self.add(&[name, "Bucket".to_owned()], bucket.into());
            } else {
                self.add(&[name + "S3Uri"], format!("s3://{bucket}/").into());
            }
        }
    }

    fn without_account_and_region(&self, text: &str) -> String {
        let mut rest = text.to_owned();
        for (look, part) in looks::find(text, &self.accounts) {
            if matches!(look, Look::AccountId | Look::Region) {
                rest = rest.replace(part, "");
            }
        }
        rest
    }

    /// Regions and accounts wherever they stand.
    fn add_parts(&mut self, text: &str) {
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let starts_word = text[..at]
                .chars()
                .next_back()
                .is_none_or(|before| !before.is_ascii_alphanumeric());
            let rest = &text[at..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if starts_word && let Some(length) = looks::region_length(rest) {
                self.add(&["Region".to_owned()], rest[..length].into());
                at += length;
            } else if starts_word && digits == 12 && self.accounts.contains(&rest[..12]) {
                self.add(&["AccountId".to_owned()], rest[..12].into());
                at += 12;
            } else {
                at += c.len_utf8();
            }
        }
    }
}

/// The name of the innermost step around a value, as part of a key.
fn step_name(path: &JsonPath<'_>, steps: &[Step<'_>]) -> String {
    steps
        .iter()
        .filter(|step| path.segments().starts_with(step.path().segments()))
        .max_by_key(|step| step.path().segments().len())
        .map_or_else(String::new, |step| pascal(step.name()))
}

/// `my-data_x` as `MyDataX`; what is not a letter or digit separates words.
fn pascal(text: &str) -> String {
    let name: String = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .flat_map(|word| {
            let mut characters = word.chars();
            characters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(characters)
        })
        .collect();
    // A key begins with a letter.
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("N{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::propose;
    use crate::definition::Definition;
    use crate::template::{extract, fill};

    fn definition() -> Definition {
        Definition::parse(
            r#"{"Version":"2020-12-01","Parameters":[{"Name":"In","DefaultValue":"s3://my-data-111122223333-us-east-1/in"}],
            "Steps":[{"Name":"Call-it","Type":"Lambda","FunctionArn":"arn:aws:lambda:us-east-1:111122223333:function:f",
               "Arguments":{"role":"arn:aws:iam::111122223333:role/r","in":{"Get":"Parameters.In"},
                 "uri":{"Std:Join":{"On":"/","Values":["s3:/","models-us-east-1",{"Get":"Execution.PipelineExecutionId"}]}},
                 "Subnets":["subnet-0a1b2c3d","subnet-0a1b2c3e"],"region":"us-east-1",
                 "other":"s3://data/x","path":"/opt/data","image":"111122223333.dkr.ecr.us-east-1.amazonaws.com/fe-step:1"}},
              {"Name":"again","Type":"Lambda","FunctionArn":"arn:aws:lambda:us-east-1:111122223333:function:g","Arguments":{}}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn keys_are_named_after_what_they_are() {
        let proposed = propose(&definition());
        assert_eq!(
            serde_json::Value::Object(proposed),
            json!({
                "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:f",
                "Role": "arn:aws:iam::111122223333:role/r",
                "SubnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
                "FeStepImageUri": "111122223333.dkr.ecr.us-east-1.amazonaws.com/fe-step:1",
                "AgainFunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:g",
                "MyDataBucket": "my-data-111122223333-us-east-1",
                "DataS3Uri": "s3://data/",
                "ModelsBucket": "models-us-east-1",
                "Region": "us-east-1",
            })
        );
    }

    #[test]
    fn digits_are_a_key_only_where_they_are_an_account() {
        let definition = Definition::parse(
            r#"{"Version":"2020-12-01","Steps":[{"Name":"L","Type":"Lambda",
              "FunctionArn":"arn:aws:lambda:us-east-1:111122223333:function:f","Arguments":{
                "seed":"004912345678","owner":"of 111122223333",
                "run":"s3://my-data/run-202104051057/out"}}]}"#,
        )
        .unwrap();
        let values = propose(&definition);
        assert_eq!(
            serde_json::Value::Object(values.clone()),
            json!({
                "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:f",
                "MyDataBucket": "my-data",
                "AccountId": "111122223333",
            })
        );
        let left = extract(&definition, &values).unwrap().remaining;
        let left: Vec<_> = left.iter().map(ToString::to_string).collect();
        assert_eq!(
            left,
            ["$.Steps[0].Arguments.run: timestamp \"202104051057\""]
        );
    }

    #[test]
    fn a_proposed_map_leaves_nothing_static_and_fills_back() {
        let definition = definition();
        let values = propose(&definition);
        let extracted = extract(&definition, &values).unwrap();
        assert_eq!(extracted.remaining, []);
        assert_eq!(extracted.unused, [""; 0]);
        let filled = fill(&extracted.template, &values, &Map::new()).unwrap();
        assert_eq!(filled.definition, definition);
    }
}
