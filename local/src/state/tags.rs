//! Tags, kept by the ARN of what they are on.

use super::input::{Input, SortOrder};
use super::{State, Turn};
use crate::error::ApiError;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most tags that SageMaker lets a resource have.
const MOST_TAGS: usize = 50;

/// Every tag of the account. A resource is in here from its creation to its deletion.
#[derive(Debug, Default)]
pub(super) struct Tags {
    by_arn: BTreeMap<String, BTreeMap<String, String>>,
}

impl Tags {
    /// Begins to keep the tags of a new resource.
    pub(super) fn create(&mut self, arn: &str, tags: BTreeMap<String, String>) {
        self.by_arn.insert(arn.to_ascii_lowercase(), tags);
    }

    /// Forgets a deleted resource.
    pub(super) fn remove(&mut self, arn: &str) {
        self.by_arn.remove(&arn.to_ascii_lowercase());
    }

    /// The tags as events carry them: a map.
    pub(super) fn as_map(&self, arn: &str) -> Value {
        self.by_arn
            .get(&arn.to_ascii_lowercase())
            .map_or_else(|| json!({}), |tags| json!(tags))
    }

    fn of(&mut self, arn: &str) -> Result<&mut BTreeMap<String, String>, ApiError> {
        self.by_arn
            .get_mut(&arn.to_ascii_lowercase())
            .ok_or_else(|| ApiError::not_found(format!("Resource '{arn}' does not exist.")))
    }
}

/// Reads a `Tags` member: a list of `{Key, Value}`.
pub(super) fn read_tags(input: Input<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in input.objects("Tags")? {
        let key = tag.required("Key")?;
        if key.is_empty() || key.chars().count() > 128 {
            return Err(ApiError::constraint(
                key,
                "Tags.Key",
                "Member must have length between 1 and 128",
            ));
        }
        let value = tag.required("Value")?;
        if value.chars().count() > 256 {
            return Err(ApiError::constraint(
                value,
                "Tags.Value",
                "Member must have length less than or equal to 256",
            ));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(ApiError::validation(format!(
                "Tags: the key '{key}' is there twice"
            )));
        }
    }
    if tags.len() > MOST_TAGS {
        return Err(ApiError::validation(format!(
            "Tags: {} are given, {MOST_TAGS} are allowed",
            tags.len()
        )));
    }
    Ok(tags)
}

fn tag_list(tags: &BTreeMap<String, String>) -> Vec<(String, Value)> {
    tags.iter()
        .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})))
        .collect()
}

impl State {
    pub(super) fn add_tags(&mut self, _: &mut Turn, input: Input<'_>) -> Result<Value, ApiError> {
        let added = read_tags(input)?;
        let tags = self.tags.of(input.required("ResourceArn")?)?;
        let mut all = tags.clone();
        all.extend(added);
        if all.len() > MOST_TAGS {
            return Err(ApiError::validation(format!(
                "Tags: the resource would have {}, {MOST_TAGS} are allowed",
                all.len()
            )));
        }
        *tags = all;
        let list: Vec<Value> = tag_list(tags).into_iter().map(|(_, tag)| tag).collect();
        Ok(json!({"Tags": list}))
    }

    pub(super) fn list_tags(&mut self, _: &mut Turn, input: Input<'_>) -> Result<Value, ApiError> {
        let rows = tag_list(self.tags.of(input.required("ResourceArn")?)?);
        input.page("Tags", rows, SortOrder::Ascending)
    }

    pub(super) fn delete_tags(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let keys: BTreeSet<&str> = input
            .list("TagKeys")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        self.tags
            .of(input.required("ResourceArn")?)?
            .retain(|key, _| !keys.contains(key.as_str()));
        Ok(json!({}))
    }
}
