//! The properties of the custom resource, read and checked.

use pipewright::nearest::nearest;
use serde_json::{Map, Value};

use crate::location::{is_bucket, is_prefix, is_sha256};

/// The prefix when the properties name none.
pub const DEFAULT_PREFIX: &str = "definitions";

/// The properties that are known. CloudFormation adds its own to ours.
const KNOWN: [&str; 7] = [
    "Bucket",
    "CodeVersion",
    "KeyPrefix",
    "ServiceTimeout",
    "ServiceToken",
    "Template",
    "Values",
];

/// The members of a template that is an object in S3.
const KNOWN_OF_TEMPLATE: [&str; 4] = ["Bucket", "Key", "Sha256", "VersionId"];

/// What a creation or an update is to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Properties {
    /// The bucket that keeps the definition.
    pub bucket: String,
    /// The key prefix, without a slash at either end.
    pub prefix: String,
    /// Where the template comes from.
    pub template: TemplateSource,
    /// The values to fill it with.
    pub values: Map<String, Value>,
}

/// Where a template comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    /// The shipped one.
    Shipped,
    /// The text given.
    Inline(String),
    /// An object in S3, pinned by its version, its digest, or both.
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The version; the newest if absent.
        version_id: Option<String>,
        /// The SHA-256 that its bytes must have, in lower case.
        sha256: Option<String>,
    },
}

impl Properties {
    /// Reads `ResourceProperties`.
    ///
    /// # Errors
    /// Every fault, each with the property's name and what it must be.
    pub fn read(properties: &Value) -> Result<Self, Vec<String>> {
        let Some(members) = properties.as_object() else {
            return Err(vec!["the properties are not an object".to_owned()]);
        };
        let mut faults = unknown("property", "", members, &KNOWN);
        let bucket = bucket(members, "Bucket", &mut faults);
        let prefix = match members.get("KeyPrefix") {
            None => Some(DEFAULT_PREFIX.to_owned()),
            Some(Value::String(prefix)) if is_prefix(prefix) => Some(prefix.clone()),
            Some(_) => {
                faults.push(
                    "KeyPrefix must be a text of at most 512 letters, digits and !_.*'()-, \
                     parted by single slashes and without one at either end"
                        .to_owned(),
                );
                None
            }
        };
        let template = template(members, &mut faults);
        let values = match members.get("Values") {
            None => Some(Map::new()),
            Some(Value::Object(values)) => Some(values.clone()),
            Some(_) => {
                faults.push("Values must be a map from the template's keys to values".to_owned());
                None
            }
        };
        match (bucket, prefix, template, values) {
            (Some(bucket), Some(prefix), Some(template), Some(values)) if faults.is_empty() => {
                Ok(Self {
                    bucket,
                    prefix,
                    template,
                    values,
                })
            }
            _ => Err(faults),
        }
    }
}

fn template(members: &Map<String, Value>, faults: &mut Vec<String>) -> Option<TemplateSource> {
    match members.get("Template") {
        None => Some(TemplateSource::Shipped),
        Some(Value::String(text)) if !text.trim().is_empty() => {
            Some(TemplateSource::Inline(text.clone()))
        }
        Some(Value::Object(object)) => {
            faults.extend(unknown("member", "Template.", object, &KNOWN_OF_TEMPLATE));
            let bucket = bucket_of("Template.Bucket", object.get("Bucket"), faults);
            let key = text(object, "Key", faults);
            if key.is_none() && !object.contains_key("Key") {
                faults.push("Template.Key is missing: name the template's object".to_owned());
            }
            let version_id = text(object, "VersionId", faults);
            let sha256 = text(object, "Sha256", faults).map(|digest| digest.to_ascii_lowercase());
            if sha256.as_deref().is_some_and(|digest| !is_sha256(digest)) {
                faults.push("Template.Sha256 must be 64 hexadecimal digits".to_owned());
            }
            if !object.contains_key("VersionId") && !object.contains_key("Sha256") {
                faults.push(
                    "Template has neither VersionId nor Sha256: give one of them, or a changed \
                     object would change what an old stack rolls back to"
                        .to_owned(),
                );
            }
            Some(TemplateSource::Object {
                bucket: bucket?,
                key: key?,
                version_id,
                sha256,
            })
        }
        Some(_) => {
            faults.push(
                "Template must be absent (the shipped one), a text that is not empty (the \
                 template), or an object with Bucket, Key and VersionId or Sha256"
                    .to_owned(),
            );
            None
        }
    }
}

/// A member of `Template`: a text that is not empty, if it is there.
fn text(object: &Map<String, Value>, name: &str, faults: &mut Vec<String>) -> Option<String> {
    match object.get(name) {
        None => None,
        Some(Value::String(text)) if !text.is_empty() && text.len() <= 1_024 => Some(text.clone()),
        Some(_) => {
            faults.push(format!(
                "Template.{name} must be a text of 1 to 1,024 bytes"
            ));
            None
        }
    }
}

fn bucket(members: &Map<String, Value>, name: &str, faults: &mut Vec<String>) -> Option<String> {
    bucket_of(name, members.get(name), faults)
}

fn bucket_of(name: &str, value: Option<&Value>, faults: &mut Vec<String>) -> Option<String> {
    match value {
        Some(Value::String(bucket)) if is_bucket(bucket) => Some(bucket.clone()),
        Some(_) => {
            faults.push(format!(
                "{name} must be a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens"
            ));
            None
        }
        None => {
            faults.push(format!("{name} is missing: name an existing bucket"));
            None
        }
    }
}

/// A fault for every member that is not known.
fn unknown(what: &str, path: &str, members: &Map<String, Value>, known: &[&str]) -> Vec<String> {
    members
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| {
            let hint = nearest(name, known.iter().copied())
                .map(|near| format!(": did you mean {path}{near}?"))
                .unwrap_or_default();
            format!("{what} \"{path}{name}\" is unknown{hint}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn faults(properties: Value) -> Vec<String> {
        Properties::read(&properties).unwrap_err()
    }

    #[test]
    fn the_least_properties_are_a_bucket() {
        assert_eq!(
            Properties::read(&json!({"ServiceToken": "arn", "Bucket": "bucket"})).unwrap(),
            Properties {
                bucket: "bucket".to_owned(),
                prefix: "definitions".to_owned(),
                template: TemplateSource::Shipped,
                values: Map::new(),
            }
        );
    }

    #[test]
    fn a_template_in_s3_is_pinned_by_version_or_digest() {
        let digest = "AB".repeat(32);
        let read =
            |template: Value| Properties::read(&json!({"Bucket": "bucket", "Template": template}));
        let pinned = read(json!({"Bucket": "other", "Key": "k", "Sha256": digest})).unwrap();
        assert_eq!(
            pinned.template,
            TemplateSource::Object {
                bucket: "other".to_owned(),
                key: "k".to_owned(),
                version_id: None,
                sha256: Some("ab".repeat(32)),
            }
        );
        assert!(read(json!({"Bucket": "other", "Key": "k", "VersionId": "v"})).is_ok());
        let faults = read(json!({"Bucket": "other", "Key": "k"})).unwrap_err();
        assert!(
            faults[0].contains("neither VersionId nor Sha256"),
            "{faults:?}"
        );
    }

    /// All faults of the properties are told at once, each with the name that was probably meant.
    #[test]
    fn every_fault_is_told_at_once() {
        let faults = faults(json!({
            "Buket": "x",
            "KeyPrefix": "/a/",
            "Template": {"Bucket": 7, "Kee": "k", "Sha256": "12"},
            "Values": ["a"],
        }));
        assert_eq!(faults.len(), 8, "{faults:#?}");
        assert_eq!(
            faults[0],
            "property \"Buket\" is unknown: did you mean Bucket?"
        );
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("did you mean Template.Key?"))
        );
    }

    proptest! {
        #[test]
        fn wrong_types_anywhere_are_faults_not_panics(
            name in prop::sample::select(KNOWN.to_vec()),
            member in prop::sample::select(KNOWN_OF_TEMPLATE.to_vec()),
            wrong in prop::sample::select(vec![
                json!(null), json!(7), json!(true), json!([]), json!([1]), json!(""), json!({"x": {}}),
            ]),
        ) {
            let mut properties = json!({
                "Bucket": "bucket",
                "Template": {"Bucket": "bucket", "Key": "k", "VersionId": "v"},
            });
            properties["Template"][member] = wrong.clone();
            let template_is_wrong = Properties::read(&properties).is_err();
            prop_assert!(template_is_wrong);
            properties[name] = wrong;
            let _ = Properties::read(&properties);
        }
    }
}
