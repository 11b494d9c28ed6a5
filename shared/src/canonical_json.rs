//! JSON text that is the same for the same value, to take digests of.

use serde_json::Value;

/// Canonical JSON: object keys in the order of their bytes at every depth, no
/// blanks, numbers in the text they came in.
pub fn canonical_json(json: &Value) -> String {
    let mut text = String::new();
    write_canonical(json, &mut text);
    text
}

fn write_canonical(json: &Value, text: &mut String) {
    match json {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (index, (name, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(element, text);
            }
            text.push(']');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_and_blanks_do_not_matter_and_numbers_keep_their_text() {
        let read = |text| canonical_json(&serde_json::from_str(text).unwrap());
        let text = r#"{"a":[1.0,{"x":null,"y":"\""}],"b":100.0}"#;
        assert_eq!(read(text), text);
        assert_eq!(
            read(r#"{ "b": 100.0, "a": [1.0, {"y": "\"", "x": null}] }"#),
            text
        );
        assert_ne!(read(r#"{"b":100,"a":[1.0,{"x":null,"y":"\""}]}"#), text);
    }
}
