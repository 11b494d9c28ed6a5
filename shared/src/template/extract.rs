//! Making a template of a definition: values of today become keys.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::fill::keys;
use super::looks::{self, Accounts, Look};
use crate::definition::{Definition, JsonPath};
use crate::reading::kind_of;

/// A template made of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The template. Filled with the map it was made with, it is the
    /// definition again.
    pub template: String,
    /// The keys whose values the definition does not hold, or only inside
    /// those of other keys. The template names them in an empty condition, so
    /// that it takes the whole map.
    pub unused: Vec<String>,
    /// What still looks as if it belonged to one account, region or day.
    pub remaining: Vec<Static>,
}

/// A text that looks as if it belonged to one account, region or day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// Where it stands in the definition.
    pub path: JsonPath<'static>,
    /// What it looks like.
    pub look: Look,
    /// The part of the text that does.
    pub text: String,
}

impl fmt::Display for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {:?}", self.path, self.look, self.text)
    }
}

/// Why no template can be made with a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// A key that a template cannot name.
    #[error(
        "{0:?} is not a key: one is a letter or _, then letters, digits and _, and not a word of \
         the template language"
    )]
    Key(String),
    /// A value that no key takes.
    #[error(
        "the value {key:?} is {kind}: a value is a text, a number, a boolean, or a list of texts"
    )]
    Kind {
        /// The key.
        key: String,
        /// What kind the value is of.
        kind: &'static str,
    },
}

/// All reasons why no template can be made with a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractErrors(pub Vec<ExtractError>);

impl fmt::Display for ExtractErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ExtractErrors {}

/// Makes a template: wherever a value of the map stands in the definition, its
/// key takes its place. Texts are replaced inside longer texts too, the
/// longest value first (an ARN before the bucket's name in it; of equal ones,
/// the first in the map); numbers and booleans where exactly they stand; a list
/// of texts where exactly that array stands. Keys of objects stay.
///
/// `fill(extract(definition, map), map)` gives the definition, always.
///
/// # Errors
/// [`ExtractErrors`] for keys and values that no template can have.
pub fn extract(
    definition: &Definition,
    values: &Map<String, Value>,
) -> Result<Extracted, ExtractErrors> {
    let patterns = Patterns::new(values)?;
    let mut writer = Writer {
        patterns: &patterns,
        accounts: Accounts::of(definition),
        template: String::new(),
        used: BTreeSet::new(),
        remaining: Vec::new(),
    };
    writer.value(definition.as_value(), &mut JsonPath::root(), 0);
    writer.template.push('\n');
    let Writer {
        template: body,
        used,
        remaining,
        ..
    } = writer;
    let unused: Vec<String> = values
        .keys()
        .filter(|key| !used.contains(key.as_str()))
        .cloned()
        .collect();
    let mut template = String::new();
    if !unused.is_empty() {
        template
            .push_str("{#- Keys that stand nowhere by themselves, and are taken all the same: #}");
        for key in &unused {
            template.push_str("{% if ");
            template.push_str(key);
            template.push_str(" %}{% endif %}");
        }
        template.push('\n');
    }
    template.push_str(&body);
    Ok(Extracted {
        template,
        unused,
        remaining,
    })
}

/// What is looked for.
struct Patterns<'m> {
    /// Longest first.
    texts: Vec<(&'m str, &'m str)>,
    /// Numbers and booleans by their JSON text.
    plain: Vec<(&'m str, &'m Value)>,
    lists: Vec<(&'m str, &'m Vec<Value>)>,
}

impl<'m> Patterns<'m> {
    fn new(values: &'m Map<String, Value>) -> Result<Self, ExtractErrors> {
        let mut patterns = Self {
            texts: Vec::new(),
            plain: Vec::new(),
            lists: Vec::new(),
        };
        let mut errors = Vec::new();
        for (key, value) in values {
            // Whether the engine takes it wherever it will stand.
            let probe = format!(
                "{{{{ {key} }}}}{{% if {key} %}}{{% endif %}}\
                 {{% for item in {key} %}}{{{{ item }}}}{{% endfor %}}"
            );
            let is_key = key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && keys(&probe).is_ok_and(|names| names.iter().eq([key]));
            if !is_key {
                errors.push(ExtractError::Key(key.clone()));
            }
            match value {
                Value::String(text) if text.is_empty() => {}
                Value::String(text) => patterns.texts.push((key, text)),
                Value::Number(_) | Value::Bool(_) => patterns.plain.push((key, value)),
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    if !items.is_empty() {
                        patterns.lists.push((key, items));
                    }
                }
                Value::Null | Value::Object(_) | Value::Array(_) => {
                    errors.push(ExtractError::Kind {
                        key: key.clone(),
                        kind: kind_of(value),
                    });
                }
            }
        }
        // Stable, so that of equal values the first key is taken.
        patterns
            .texts
            .sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
        if errors.is_empty() {
            Ok(patterns)
        } else {
            Err(ExtractErrors(errors))
        }
    }
}

/// A part of a text.
#[derive(Clone, Copy)]
enum Part<'t> {
    Literal(&'t str),
    Key(&'t str),
}

struct Writer<'m> {
    patterns: &'m Patterns<'m>,
    accounts: Accounts,
    template: String,
    used: BTreeSet<&'m str>,
    remaining: Vec<Static>,
}

impl<'m> Writer<'m> {
    /// Recursion is bounded by the depth that parsing allows.
    fn value<'v>(&mut self, value: &'v Value, path: &mut JsonPath<'v>, depth: usize) {
        match value {
            Value::Null => self.template.push_str("null"),
            Value::Bool(_) | Value::Number(_) => {
                match self
                    .patterns
                    .plain
                    .iter()
                    .find(|(_, plain)| same(plain, value))
                {
                    Some((key, _)) => self.key(key),
                    None => self.template.push_str(&value.to_string()),
                }
            }
            Value::String(text) => self.text(text, path),
            Value::Array(items) => {
                if let Some((key, _)) = self.patterns.lists.iter().find(|(_, list)| *list == items)
                {
                    self.used.insert(key);
                    self.template.push_str(&format!(
                        "[{{% for item in {key} %}}\"{{{{ item }}}}\"\
                         {{% if not loop.last %}}, {{% endif %}}{{% endfor %}}]"
                    ));
                    return;
                }
                self.template.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, depth + 1);
                    path.push_index(index);
                    self.value(item, path, depth + 1);
                    path.pop();
                }
                self.close(items.is_empty(), depth, ']');
            }
            Value::Object(members) => {
                self.template.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    self.separate(index, depth + 1);
                    self.template.push('"');
                    self.literal(key, false);
                    self.template.push_str("\": ");
                    path.push_key(key);
                    self.value(value, path, depth + 1);
                    path.pop();
                }
                self.close(members.is_empty(), depth, '}');
            }
        }
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.template.push(',');
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.template.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        self.template.push('\n');
        for _ in 0..depth {
            self.template.push_str("  ");
        }
    }

    fn key(&mut self, key: &'m str) {
        self.used.insert(key);
        self.template.push_str("{{ ");
        self.template.push_str(key);
        self.template.push_str(" }}");
    }

    fn text(&mut self, text: &str, path: &JsonPath<'_>) {
        let parts = split(text, &self.patterns.texts);
        self.template.push('"');
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Key(key) => {
                    // The key of the map, which outlives the text.
                    if let Some((key, _)) = self.patterns.texts.iter().find(|(name, _)| name == key)
                    {
                        self.key(key);
                    }
                }
                Part::Literal(literal) => {
                    self.literal(literal, matches!(parts.get(index + 1), Some(Part::Key(_))));
                    for (look, found) in looks::find(literal, &self.accounts) {
                        self.remaining.push(Static {
                            path: path.clone().into_owned(),
                            look,
                            text: found.to_owned(),
                        });
                    }
                }
            }
        }
        self.template.push('"');
    }

    /// Writes a text as it stands in a JSON string, so that nothing in it opens
    /// a key, a tag or a comment.
    fn literal(&mut self, text: &str, before_hole: bool) {
        let quoted = Value::from(text).to_string();
        let escaped = &quoted[1..quoted.len() - 1];
        let mut characters = escaped.chars().peekable();
        while let Some(c) = characters.next() {
            let opens = match characters.peek() {
                Some('{' | '%' | '#') => true,
                Some(_) => false,
                None => before_hole,
            };
            if c == '{' && opens {
                self.template.push_str("\\u007b");
            } else {
                self.template.push(c);
            }
        }
    }
}

/// Whether two plain values have the same JSON text.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a.as_str() == b.as_str(),
        _ => false,
    }
}

/// Cuts a text at the values, the longest first.
fn split<'t>(text: &'t str, patterns: &[(&'t str, &'t str)]) -> Vec<Part<'t>> {
    let mut parts = vec![Part::Literal(text)];
    for (key, value) in patterns {
        if value.len() > text.len() || !text.contains(value) {
            continue;
        }
        let mut cut = Vec::with_capacity(parts.len() + 2);
        for part in parts {
            let Part::Literal(mut literal) = part else {
                cut.push(part);
                continue;
            };
            while let Some(at) = literal.find(value) {
                if at > 0 {
                    cut.push(Part::Literal(&literal[..at]));
                }
                cut.push(Part::Key(key));
                literal = &literal[at + value.len()..];
            }
            if !literal.is_empty() {
                cut.push(Part::Literal(literal));
            }
        }
        parts = cut;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::extract;
    use crate::definition::Definition;
    use crate::template::fill;
    use crate::template::tests::map;

    /// A definition without errors that holds the value as an argument.
    fn holding(value: &str) -> Definition {
        Definition::parse(&format!(
            r#"{{"Version":"2020-12-01","Steps":[{{"Name":"L","Type":"Lambda","FunctionArn":"f",
                "Arguments":{{"x":{value}}}}}]}}"#
        ))
        .unwrap()
    }

    fn argument_of(template: &str) -> &str {
        let start = template.find("\"x\": ").unwrap() + 5;
        template[start..].split("\n      }").next().unwrap()
    }

    fn round_trip(definition: &Definition, values: &Map<String, Value>) -> String {
        let extracted = extract(definition, values).unwrap();
        let filled = fill(&extracted.template, values, &Map::new())
            .unwrap_or_else(|errors| panic!("{errors}\n{}", extracted.template));
        assert_eq!(
            filled.text,
            definition.canonical_json(),
            "{}",
            extracted.template
        );
        extracted.template
    }

    #[test]
    fn the_longest_value_is_replaced_first_and_inside_longer_texts() {
        let definition = holding(r#""arn:aws:s3:::data-1/x data-1 data""#);
        let values = map(json!({"Name": "data", "Bucket": "data-1", "Arn": "arn:aws:s3:::data-1"}));
        let template = round_trip(&definition, &values);
        assert_eq!(
            argument_of(&template),
            r#""{{ Arn }}/x {{ Bucket }} {{ Name }}""#
        );
    }

    #[test]
    fn numbers_booleans_and_lists_are_replaced_where_exactly_they_stand() {
        let definition = holding(r#"[30, 30.0, "30", true, ["s-1", "s-2"], ["s-1"]]"#);
        let values = map(json!({"Size": 30, "Flag": true, "Subnets": ["s-1", "s-2"]}));
        let template = round_trip(&definition, &values);
        let argument: String = argument_of(&template).split_whitespace().collect();
        assert_eq!(
            argument,
            r#"[{{Size}},30.0,"30",{{Flag}},[{%foriteminSubnets%}"{{item}}"{%ifnotloop.last%},{%endif%}{%endfor%}],["s-1"]]"#
        );
    }

    #[test]
    fn braces_of_the_definition_open_no_hole() {
        for text in [
            "{{ x }}",
            "{% if %}",
            "{# c #}",
            "{{{",
            "a{",
            "{",
            "}}",
            "{{-",
            "\\{{",
            "{\"a\":{\"b\":1}}",
        ] {
            let definition = holding(&Value::from(format!("{text}v{text}")).to_string());
            round_trip(&definition, &map(json!({"V": "v"})));
            round_trip(&definition, &Map::new());
        }
        round_trip(&holding(r#"{"{{ k }}": 1}"#), &Map::new());
    }

    #[test]
    fn keys_without_a_place_of_their_own_are_named_and_taken() {
        let definition = holding(r#""bucket-of-mine""#);
        let values =
            map(json!({"Inner": "bucket", "Outer": "bucket-of-mine", "None": "", "No": []}));
        // `None` is a word of the template language.
        assert!(
            extract(&definition, &values)
                .unwrap_err()
                .to_string()
                .contains("\"None\"")
        );
        let values =
            map(json!({"Inner": "bucket", "Outer": "bucket-of-mine", "Empty": "", "No": []}));
        assert_eq!(
            extract(&definition, &values).unwrap().unused,
            ["Inner", "Empty", "No"]
        );
        round_trip(&definition, &values);
    }

    #[test]
    fn keys_and_values_that_no_template_can_have_are_refused_at_once() {
        let values = map(
            json!({"a-b": "x", "1a": "x", "not": "x", "none": "x", "Null": null, "Map": {}, "Mixed": ["a", 1]}),
        );
        let message = extract(&holding("1"), &values).unwrap_err().to_string();
        assert_eq!(message.lines().count(), 7, "{message}");
        assert!(
            message.contains("the value \"Mixed\" is an array"),
            "{message}"
        );
    }

    #[test]
    fn words_of_the_template_language_are_keys_where_the_engine_takes_them() {
        for key in [
            "in", "loop", "if", "item", "is", "self", "raw", "endif", "_",
        ] {
            let values = Map::from_iter([(key.to_owned(), json!("v"))]);
            if extract(&holding("1"), &values).is_ok() {
                round_trip(&holding(r#"["v", "w"]"#), &values);
                round_trip(&holding(r#""w""#), &values);
            }
        }
    }

    #[test]
    fn what_looks_static_is_listed() {
        let definition = holding(
            r#"["s3://my-data/x", "111122223333.dkr.ecr.us-east-1.amazonaws.com/fe:1", "plain"]"#,
        );
        let remaining = extract(&definition, &map(json!({"Bucket": "my-data"})))
            .unwrap()
            .remaining;
        let shown: Vec<_> = remaining.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "$.Steps[0].Arguments.x[1]: image \"111122223333.dkr.ecr.us-east-1.amazonaws.com/fe:1\""
            ]
        );
    }

    /// Texts of few letters, so that values overlap, with everything that could
    /// be taken for a part of a template.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ab]{0,6}",
            r#"([ab]|\{\{|\}\}|\{%|%\}|\{|\}|"|\\|\n|ü|\{#|-| |\u{2028}){0,8}"#,
            any::<String>(),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            text().prop_map(Value::from),
            (-3_i64..40).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(json!(null)),
            Just(serde_json::from_str::<Value>("1e-07").unwrap()),
            Just(serde_json::from_str::<Value>("30.0").unwrap()),
            prop::collection::vec("[ab]{0,2}", 0..3).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text(), inner), 0..4).prop_map(|members| {
                    // What would be a function is none with this beside it.
                    let mut object = Map::from_iter(members);
                    object.insert("beside".into(), json!(1));
                    object.insert("beside 2".into(), json!(2));
                    Value::Object(object)
                }),
            ]
        })
    }

    fn values() -> impl Strategy<Value = Map<String, Value>> {
        let value = prop_oneof![
            text().prop_map(Value::from),
            (-3_i64..40).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(serde_json::from_str::<Value>("1e-07").unwrap()),
            prop::collection::vec("[ab]{0,2}", 0..3).prop_map(Value::from),
        ];
        prop::collection::vec(("[K-P][a-z]{0,2}", value), 0..6).prop_map(Map::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn filling_what_was_extracted_gives_the_definition(value in value(), values in values()) {
            let definition = holding(&value.to_string());
            round_trip(&definition, &values);
        }

        #[test]
        fn any_text_that_is_filled_in_comes_out_again(text in any::<String>()) {
            let values = map(json!({"Key": text}));
            let template = r#"{"Version":"2020-12-01","Steps":[{"Name":"L","Type":"Lambda",
                "FunctionArn":"f","Arguments":{"x":"{{ Key }}"}}]}"#;
            let filled = fill(template, &values, &Map::new()).unwrap();
            let steps = filled.definition.steps();
            prop_assert_eq!(&steps[0].arguments().unwrap()["x"], &json!(text));
        }
    }
}
