//! A pipeline definition of any bytes is read, checked, drawn and compared without a panic, and what is said of it
//! stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewright::definition::Definition;
use pipewright::definition::SourceMap;
use pipewright::definition::check::check;
use pipewright::definition::diff::diff;

fuzz_target!(|text: &str| {
    let Ok(definition) = Definition::parse(text) else {
        return;
    };
    let source = SourceMap::new(text).expect("what parses as a definition is JSON");
    for finding in check(&definition) {
        let _ = source.locate(&finding.path);
        assert!(!finding.message.is_empty(), "{finding:?}");
    }
    let _ = definition.graph().dependencies();
    assert!(
        diff(&definition, &definition).is_empty(),
        "a definition differs from itself"
    );
    let canonical = definition.canonical_json();
    let again = Definition::parse(&canonical).expect("canonical JSON is JSON");
    assert_eq!(canonical, again.canonical_json());
});
