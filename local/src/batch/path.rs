//! The part of JSONPath that batch transform takes for its filters.
//!
//! | operator | what it takes |
//! |---|---|
//! | `$` | the whole |
//! | `.name`, `['name']` | a member |
//! | `['name', 'other']` | several members, as an object |
//! | `[0]`, `[-1]` | an element, counted from the end if negative |
//! | `[0, 2]` | several elements, as a list |
//! | `[1:3]`, `[1:]`, `[:-1]` | a range of elements, as a list |
//! | `*`, `[*]` | every member or element, as a list |

use serde_json::{Map, Value};

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Member(String),
    Members(Vec<String>),
    Element(i64),
    Elements(Vec<i64>),
    Range(Option<i64>, Option<i64>),
    Every,
}

/// A text is not a path that batch transform takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a JSONPath that batch transform takes: it cannot be read from '{rest}' on; \
     there are $, .name, ['name', ...], [number, ...], [start:end] and *"
)]
pub(crate) struct JsonPathError {
    text: String,
    rest: String,
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// When it is not a path of the part that batch transform takes.
    pub(crate) fn parse(text: &str) -> Result<Self, JsonPathError> {
        let wrong = |rest: &str| JsonPathError {
            text: text.to_owned(),
            rest: rest.to_owned(),
        };
        let mut rest = text.strip_prefix('$').ok_or_else(|| wrong(text))?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let (segment, after) = match rest.strip_prefix('.') {
                // A dot may stand before a bracket.
                Some(after) if !after.starts_with('[') => name(after),
                Some(after) => bracket(after),
                None => bracket(rest),
            }
            .ok_or_else(|| wrong(rest))?;
            segments.push(segment);
            rest = after;
        }
        Ok(Self(segments))
    }

    /// What the path takes of a value: what it names, or, if it may name several, a list; of
    /// several members, an object. `None` if what it names is not there.
    pub(crate) fn of(&self, value: &Value) -> Option<Value> {
        take(&self.0, value)
    }
}

fn name(text: &str) -> Option<(Segment, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => None,
        ("*", rest) => Some((Segment::Every, rest)),
        (name, rest) => Some((Segment::Member(name.to_owned()), rest)),
    }
}

fn bracket(text: &str) -> Option<(Segment, &str)> {
    let inside = text.strip_prefix('[')?.trim_start();
    if inside.starts_with(['\'', '"']) {
        return names(inside);
    }
    let (inside, rest) = inside.split_once(']')?;
    let inside = inside.trim();
    let segment = if inside == "*" {
        Segment::Every
    } else if let Some((start, end)) = inside.split_once(':') {
        let bound = |text: &str| match text.trim() {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        };
        Segment::Range(bound(start)?, bound(end)?)
    } else {
        let numbers: Option<Vec<i64>> = inside
            .split(',')
            .map(|number| number.trim().parse().ok())
            .collect();
        match numbers?.as_slice() {
            [only] => Segment::Element(*only),
            several => Segment::Elements(several.to_vec()),
        }
    };
    Some((segment, rest))
}

/// Quoted names up to the closing bracket.
fn names(mut text: &str) -> Option<(Segment, &str)> {
    let mut names = Vec::new();
    loop {
        let quote = text.chars().next().filter(|quote| "'\"".contains(*quote))?;
        let (name, rest) = text[1..].split_once(quote)?;
        names.push(name.to_owned());
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix(']') {
            let segment = match names.as_slice() {
                [only] => Segment::Member(only.clone()),
                _ => Segment::Members(names),
            };
            return Some((segment, rest));
        }
        text = rest.strip_prefix(',')?.trim_start();
    }
}

fn take(path: &[Segment], value: &Value) -> Option<Value> {
    let Some((segment, rest)) = path.split_first() else {
        return Some(value.clone());
    };
    let each = |values: Vec<&Value>| -> Value {
        let taken = values.into_iter().filter_map(|value| take(rest, value));
        taken.collect()
    };
    match segment {
        Segment::Member(name) => take(rest, value.as_object()?.get(name)?),
        Segment::Members(names) => {
            let members = value.as_object()?;
            let mut taken = Map::new();
            for name in names {
                if let Some(value) = members.get(name).and_then(|value| take(rest, value)) {
                    taken.insert(name.clone(), value);
                }
            }
            Some(Value::Object(taken))
        }
        Segment::Element(index) => take(rest, element(value.as_array()?, *index)?),
        Segment::Elements(indexes) => {
            let list = value.as_array()?;
            let found = indexes.iter().filter_map(|index| element(list, *index));
            Some(each(found.collect()))
        }
        Segment::Range(start, end) => {
            let list = value.as_array()?;
            let (start, end) = (
                start.map_or(0, |start| bound(list, start)),
                end.map_or(list.len(), |end| bound(list, end)),
            );
            Some(each(
                list.get(start..end).unwrap_or_default().iter().collect(),
            ))
        }
        Segment::Every => Some(each(match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(members) => members.values().collect(),
            _ => return None,
        })),
    }
}

fn element(list: &[Value], index: i64) -> Option<&Value> {
    let position = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 {
        list.get(list.len().checked_sub(position)?)
    } else {
        list.get(position)
    }
}

/// The end of a range as a position of the list.
fn bound(list: &[Value], index: i64) -> usize {
    let position = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    if index < 0 {
        list.len().saturating_sub(position)
    } else {
        position.min(list.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_documented_operator_takes_its_part() {
        let value = json!({"a": {"b": 1, "c d": 2}, "list": [10, 20, 30], "rows": [{"x": 1}, {"x": 2}, {}]});
        for (path, expected) in [
            ("$", value.clone()),
            ("$.a.b", json!(1)),
            ("$['a']['c d']", json!(2)),
            ("$.a.['c d']", json!(2)),
            ("$[\"a\"].b", json!(1)),
            ("$['a', 'none']", json!({"a": {"b": 1, "c d": 2}})),
            (
                "$.['a','list']",
                json!({"a": {"b": 1, "c d": 2}, "list": [10, 20, 30]}),
            ),
            ("$.list[0]", json!(10)),
            ("$.list[-1]", json!(30)),
            ("$.list[0,-1, 7]", json!([10, 30])),
            ("$.list[1:]", json!([20, 30])),
            ("$.list[:-1]", json!([10, 20])),
            ("$.list[1:2]", json!([20])),
            ("$.list[2:1]", json!([])),
            ("$.list[-9:9]", json!([10, 20, 30])),
            ("$.rows[*].x", json!([1, 2])),
            ("$.a.*", json!([1, 2])),
        ] {
            let taken = JsonPath::parse(path).unwrap().of(&value);
            assert_eq!(taken, Some(expected), "{path}");
        }
        for path in [
            "$.none",
            "$.a[0]",
            "$.list.x",
            "$.list[3]",
            "$.list[-4]",
            "$.a.b.*",
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().of(&value), None, "{path}");
        }
    }

    #[test]
    fn what_is_not_a_path_is_quoted() {
        for wrong in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$[",
            "$[]",
            "$[x]",
            "$['a'",
            "$['a' 'b']",
            "$['a',]",
            "$[1:2:3]",
            "$.a[?(@.b > 1)]",
            "$[1,]",
            "$.é[",
        ] {
            let error = JsonPath::parse(wrong).unwrap_err().to_string();
            assert!(
                error.contains(&format!("'{wrong}' is not a JSONPath")),
                "{error}"
            );
        }
    }
}
