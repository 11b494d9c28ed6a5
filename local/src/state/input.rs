//! Reading a request's members, and cutting answers into pages.

use crate::clock::Millis;
use crate::error::ApiError;
use pipewright::definition::StepKind;
use pipewright::reading::{Faults, Field};
use serde_json::{Map, Value, json};

/// A request's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Input<'a> {
    pub(crate) fn new(members: &'a Map<String, Value>) -> Self {
        Self { members }
    }

    /// All members, as they came.
    pub(crate) fn members(&self) -> &'a Map<String, Value> {
        self.members
    }

    /// The member as it came; a JSON null counts as absent, as SDKs mean it.
    pub(crate) fn value(&self, member: &str) -> Option<&'a Value> {
        self.members.get(member).filter(|value| !value.is_null())
    }

    /// The member as `read` takes it, if it is there.
    fn read<T>(
        &self,
        member: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let field = Field {
            path: member.to_owned(),
            value: self.value(member),
            required: false,
        };
        let mut faults = Faults::default();
        let read = field.read(&mut faults, expected, read);
        faults.into_result(Some(read)).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            ApiError::validation(faults.join("; "))
        })
    }

    pub(crate) fn string(&self, member: &str) -> Result<Option<&'a str>, ApiError> {
        self.read(member, "a string", Value::as_str)
    }

    pub(crate) fn required(&self, member: &str) -> Result<&'a str, ApiError> {
        self.string(member)?
            .ok_or_else(|| ApiError::constraint("null", member, "Member must not be null"))
    }

    pub(crate) fn integer(&self, member: &str) -> Result<Option<u64>, ApiError> {
        self.read(member, "a whole number", Value::as_u64)
    }

    pub(crate) fn time(&self, member: &str) -> Result<Option<Millis>, ApiError> {
        self.read(member, "a number of epoch seconds", Millis::from_json)
    }

    pub(crate) fn list(&self, member: &str) -> Result<&'a [Value], ApiError> {
        let list = self.read(member, "an array", Value::as_array)?;
        Ok(list.map_or(&[], Vec::as_slice))
    }

    /// The items of a list of objects.
    pub(crate) fn objects(
        &self,
        member: &str,
    ) -> Result<impl Iterator<Item = Input<'a>>, ApiError> {
        let objects = self.read(member, "an array of objects", |value| {
            let items = value.as_array()?.iter();
            items.map(Value::as_object).collect::<Option<Vec<_>>>()
        })?;
        Ok(objects.into_iter().flatten().map(Input::new))
    }

    pub(crate) fn object(&self, member: &str) -> Result<Option<Input<'a>>, ApiError> {
        let object = self.read(member, "an object", Value::as_object)?;
        Ok(object.map(Input::new))
    }

    /// Copies the members that are there, in the order asked for.
    pub(crate) fn copy(&self, members: &[&str], into: &mut Map<String, Value>) {
        for &member in members {
            if let Some(value) = self.value(member) {
                into.insert(member.to_owned(), value.clone());
            }
        }
    }

    /// The members of a step's request that the description of what it makes gives back.
    pub(crate) fn given_back(&self, kind: StepKind) -> Map<String, Value> {
        let step_type = kind.step_type();
        let given = self.members.iter();
        given
            .filter(|(member, value)| !value.is_null() && step_type.gives_back(member))
            .map(|(member, value)| (member.clone(), value.clone()))
            .collect()
    }

    /// A name of the alphabet that most of SageMaker's resources use:
    /// letters and digits with hyphens inside, at most `longest` characters.
    pub(crate) fn name(&self, member: &str, longest: usize) -> Result<&'a str, ApiError> {
        let name = self.required(member)?;
        if name.chars().count() > longest {
            return Err(ApiError::constraint(
                name,
                member,
                &format!("Member must have length less than or equal to {longest}"),
            ));
        }
        let fits = name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.ends_with(|last: char| last.is_ascii_alphanumeric());
        if fits {
            Ok(name)
        } else {
            Err(ApiError::constraint(
                name,
                member,
                "Member must satisfy regular expression pattern: \
                 ^[a-zA-Z0-9](-*[a-zA-Z0-9])*$",
            ))
        }
    }

    /// The idempotency token; SDKs fill it in when the caller does not.
    pub(crate) fn token(&self) -> Result<&'a str, ApiError> {
        const MEMBER: &str = "ClientRequestToken";
        let token = self.required(MEMBER)?;
        if (32..=128).contains(&token.chars().count()) {
            Ok(token)
        } else {
            Err(ApiError::constraint(
                token,
                MEMBER,
                "Member must have length between 32 and 128",
            ))
        }
    }

    /// Lists resources that are kept by their names in lower case: those whose names have
    /// `NameContains` in them, sorted by name or, unless `SortBy` says so, by `order`, and cut
    /// by [`Self::page`].
    pub(crate) fn listed<'r, R: 'r, K: Ord>(
        &self,
        list: &str,
        resources: impl Iterator<Item = (&'r String, &'r R)>,
        order: impl Fn(&R) -> K,
        row: impl Fn(&R) -> Value,
        default_order: SortOrder,
    ) -> Result<Value, ApiError> {
        let contains = self
            .string("NameContains")?
            .unwrap_or_default()
            .to_ascii_lowercase();
        let mut found: Vec<(&String, &R)> = resources
            .filter(|(key, _)| key.contains(&contains))
            .collect();
        if self.string("SortBy")? != Some("Name") {
            found.sort_by_key(|(_, resource)| order(resource));
        }
        let rows = found
            .into_iter()
            .map(|(key, resource)| (key.clone(), row(resource)))
            .collect();
        self.page(list, rows, default_order)
    }

    /// Sorts and cuts a list by the members `SortOrder`, `MaxResults` and `NextToken`.
    ///
    /// `rows` are in ascending order, each with an id of its own. A page ends with the id of
    /// its last row as the token, so that rows which come or go in between shift nothing.
    pub(crate) fn page(
        &self,
        list: &str,
        mut rows: Vec<(String, Value)>,
        default_order: SortOrder,
    ) -> Result<Value, ApiError> {
        const TOKEN_PREFIX: &str = "after:";
        let order = match self.string("SortOrder")? {
            None => default_order,
            Some("Ascending") => SortOrder::Ascending,
            Some("Descending") => SortOrder::Descending,
            Some(other) => {
                return Err(ApiError::constraint(
                    other,
                    "SortOrder",
                    "Member must satisfy enum value set: [Descending, Ascending]",
                ));
            }
        };
        if order == SortOrder::Descending {
            rows.reverse();
        }
        let size = match self.integer("MaxResults")? {
            None => 10,
            Some(size @ 1..=100) => usize::try_from(size).unwrap_or(100),
            Some(other) => {
                return Err(ApiError::constraint(
                    &other.to_string(),
                    "MaxResults",
                    "Member must have value between 1 and 100",
                ));
            }
        };
        let start = match self.string("NextToken")? {
            None => 0,
            Some(token) => token
                .strip_prefix(TOKEN_PREFIX)
                .and_then(|last| rows.iter().position(|(id, _)| id == last))
                .map(|position| position + 1)
                .ok_or_else(|| {
                    ApiError::validation(format!("The pagination token '{token}' is not valid"))
                })?,
        };
        let end = rows.len().min(start + size);
        let next =
            (end < rows.len() && end > start).then(|| format!("{TOKEN_PREFIX}{}", rows[end - 1].0));
        let page: Vec<Value> = rows
            .drain(..)
            .skip(start)
            .take(end - start)
            .map(|(_, row)| row)
            .collect();
        let mut body = json!({ list: page });
        if let Some(next) = next {
            body["NextToken"] = Value::String(next);
        }
        Ok(body)
    }
}

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortOrder {
    Ascending,
    Descending,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<(String, Value)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"Name": name})))
            .collect()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let first = json!({"MaxResults": 2});
        let body = Input::new(first.as_object().unwrap())
            .page("Things", rows(&["a", "b", "c"]), SortOrder::Ascending)
            .unwrap();
        assert_eq!(body["Things"], json!([{"Name": "a"}, {"Name": "b"}]));
        let second = json!({"MaxResults": 2, "NextToken": body["NextToken"]});
        let body = Input::new(second.as_object().unwrap())
            .page("Things", rows(&["a", "aa", "b", "c"]), SortOrder::Ascending)
            .unwrap();
        assert_eq!(body, json!({"Things": [{"Name": "c"}]}));
    }

    #[test]
    fn a_page_of_an_empty_list_has_no_token() {
        let input = json!({});
        let body = Input::new(input.as_object().unwrap())
            .page("Things", vec![], SortOrder::Descending)
            .unwrap();
        assert_eq!(body, json!({"Things": []}));
    }

    #[test]
    fn a_token_of_nowhere_and_a_size_out_of_range_are_refused() {
        for input in [
            json!({"NextToken": "after:zzz"}),
            json!({"NextToken": "zzz"}),
            json!({"MaxResults": 0}),
            json!({"MaxResults": 101}),
            json!({"SortOrder": "Sideways"}),
        ] {
            let refused = Input::new(input.as_object().unwrap()).page(
                "Things",
                rows(&["a"]),
                SortOrder::Ascending,
            );
            assert!(refused.is_err(), "{input}");
        }
    }

    #[test]
    fn a_name_keeps_to_the_services_alphabet_and_length() {
        let name = |text: &str| {
            let input = json!({"PipelineName": text});
            Input::new(input.as_object().unwrap())
                .name("PipelineName", 8)
                .map(str::to_owned)
        };
        assert_eq!(name("a-b1").unwrap(), "a-b1");
        for wrong in ["", "-a", "a-", "a_b", "123456789"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
