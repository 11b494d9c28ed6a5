//! An EventBridge event of any JSON is read or refused; what it writes is written once, however often it is delivered,
//! and reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewright::record::{Beyond, Event, RecordId, history, writes};

fuzz_target!(|text: &str| {
    let Ok(event) = serde_json::from_str(text) else {
        return;
    };
    let Ok(event) = Event::parse(&event) else {
        return;
    };
    let id = RecordId::new("run-1").expect("a valid id");
    let writes = writes(&event, &id, &Beyond::default());
    assert!(!writes.change.entry.is_empty());
    let mut items = vec![writes.change.item()];
    if let Ok(record) = writes.update.apply(None) {
        let again = writes
            .update
            .apply(Some(&record))
            .unwrap_or_else(|_| record.clone());
        assert_eq!(record, again, "a second delivery changes the record");
        items.push(record);
    }
    let history = history("run-1", &items);
    assert!(history.unknown_entries.is_empty(), "{history:?}");
});
