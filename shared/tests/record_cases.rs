//! One folder of `tests/fixtures/events` is one case: `event.json` meets
//! `record-before.json` (none: no record yet) and must leave `after.json`, the
//! record and the change item, or the refusal.
//!
//! After a wanted change of behaviour, `PIPEWRIGHT_BLESS=1 cargo test -p
//! pipewright --test record_cases` writes the files anew: read the difference.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use pipewright::record::{Beyond, Event, Item, RecordId, writes};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/events")
}

fn read(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn item(json: &Value) -> Item {
    json.as_object().unwrap().clone()
}

fn json_of(item: &Item) -> Value {
    Value::Object(item.clone())
}

#[test]
fn every_case_leaves_what_its_folder_says() {
    let bless = std::env::var_os("PIPEWRIGHT_BLESS").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() > 20, "only {} cases found", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let event = Event::parse(&read(&case.join("event.json")).unwrap()).unwrap();
        let before = read(&case.join("record-before.json")).map(|json| item(&json));
        let id = RecordId::new("run-1").unwrap();
        let written = writes(&event, &id, &Beyond::default());
        let record = match written.update.apply(before.as_ref()) {
            Ok(after) => json_of(&after),
            Err(refusal) => json!(format!("{refusal:?}")),
        };
        let after = json!({
            "record": record,
            "change": json_of(&written.change.item()),
            "unknownFields": event.unknown_fields,
            "unreadFields": event.unread_fields,
        });
        let file = case.join("after.json");
        if bless {
            let text = serde_json::to_string_pretty(&after).unwrap();
            fs::write(&file, text + "\n").unwrap();
        } else {
            let expected = read(&file).unwrap_or_else(|| panic!("{name}: no after.json"));
            assert_eq!(after, expected, "case {name}");
        }
    }
}
