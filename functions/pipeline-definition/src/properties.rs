//! The properties of the custom resource, read and checked.

use pipewright::reading::{Fault, Faults, Field, Object};
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

const PREFIX: &str = "a text of at most 512 letters, digits and !_.*'()-, parted by single \
                      slashes and without one at either end";

const TEMPLATE: &str = "absent (the shipped one), a text that is not empty (the template), or an \
                        object with Bucket, Key and VersionId or Sha256";

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
    /// Every fault, each with the property's name and what it must be. None quotes a value,
    /// which may be a secret.
    pub fn read(properties: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::unseen();
        let properties = read(&mut faults, properties);
        faults.into_result(properties)
    }
}

fn read(faults: &mut Faults, properties: &Value) -> Option<Properties> {
    let root = Object::of(faults, Field::root(properties), &KNOWN);
    root.members?;
    let bucket = bucket(faults, &root.given("Bucket").required());
    let prefix = match root.given("KeyPrefix") {
        Field { value: None, .. } => Some(DEFAULT_PREFIX),
        prefix => text(faults, &prefix, PREFIX, is_prefix),
    };
    let template = template(faults, root.given("Template"));
    let values = match root.given("Values") {
        Field { value: None, .. } => Some(Map::new()),
        values => {
            let expected = "a map from the template's keys to values";
            values.read(faults, expected, |values| values.as_object().cloned())
        }
    };
    Some(Properties {
        bucket: bucket?,
        prefix: prefix?.to_owned(),
        template: template?,
        values: values?,
    })
}

fn template(faults: &mut Faults, field: Field<'_>) -> Option<TemplateSource> {
    match field.value {
        None => return Some(TemplateSource::Shipped),
        Some(Value::Object(_)) => {}
        Some(_) => {
            return text(faults, &field, TEMPLATE, |text| !text.trim().is_empty())
                .map(|text| TemplateSource::Inline(text.to_owned()));
        }
    }
    let object = Object::of(faults, field, &KNOWN_OF_TEMPLATE);
    let bucket = bucket(faults, &object.given("Bucket").required());
    let short = |text: &str| !text.is_empty() && text.len() <= 1_024;
    let key = object.given("Key").required();
    let key = text(
        faults,
        &key,
        "a text of 1 to 1,024 bytes: the key of an object",
        short,
    );
    let version_id = object.given("VersionId");
    let sha256 = object.given("Sha256");
    if version_id.value.is_none() && sha256.value.is_none() {
        faults.add(
            &object.path,
            "has neither VersionId nor Sha256: give one of them, or a changed object would \
             change what an old stack rolls back to",
        );
    }
    let version_id = text(faults, &version_id, "a text of 1 to 1,024 bytes", short);
    let digest = |digest: &str| is_sha256(&digest.to_ascii_lowercase());
    let sha256 = text(faults, &sha256, "64 hexadecimal digits", digest);
    Some(TemplateSource::Object {
        bucket: bucket?,
        key: key?.to_owned(),
        version_id: version_id.map(str::to_owned),
        sha256: sha256.map(str::to_ascii_lowercase),
    })
}

fn bucket(faults: &mut Faults, field: &Field<'_>) -> Option<String> {
    let expected = "a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens";
    text(faults, field, expected, is_bucket).map(str::to_owned)
}

/// A text that fits, if it is there.
fn text<'a>(
    faults: &mut Faults,
    field: &Field<'a>,
    expected: &str,
    fits: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    field.read(faults, expected, |value| {
        value.as_str().filter(|text| fits(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn faults(properties: Value) -> Vec<String> {
        let faults = Properties::read(&properties).unwrap_err();
        faults.iter().map(ToString::to_string).collect()
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
            faults[0].text.contains("neither VersionId nor Sha256"),
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
        assert_eq!(faults[0], "Buket: is unknown: did you mean Bucket?");
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
