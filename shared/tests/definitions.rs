//! The definitions of `tests/fixtures/definitions`, most of them made by the
//! SageMaker SDK, and broken ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use pipewright::definition::check::{check, has_errors};
use pipewright::definition::condition::all_hold;
use pipewright::definition::diff::diff;
use pipewright::definition::resolve::{DocumentSource, Resolver, Unavailable, resolve};
use pipewright::definition::{Definition, SourceMap, StepKind, render};
use pipewright::template::{extract, fill, propose, regions, shipped};
use serde_json::{Map, Value, json};

/// Name and text of every fixture.
fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/definitions");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.len() >= 8, "the fixtures are missing");
    found
}

/// Nothing is found in what the published SDKs write, of every type of step.
#[test]
fn every_step_type_is_among_the_fixtures_and_without_a_finding() {
    let mut types = BTreeSet::new();
    for (name, text) in fixtures() {
        let definition = Definition::parse(&text).unwrap();
        assert_eq!(check(&definition), [], "{name}");
        types.extend(
            definition
                .steps()
                .iter()
                .map(|step| step.type_name().to_owned()),
        );
        let graph = definition.graph();
        assert_eq!(graph.order.len(), definition.steps().len(), "{name}");
    }
    let missing: Vec<_> = StepKind::NAMES
        .iter()
        .filter(|name| !types.contains(**name))
        .copied()
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// A JSON text without the blanks between its tokens and with its strings
/// decoded and encoded again: order and numbers stay as they are written.
fn minified(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut end = 1;
            let bytes = rest.as_bytes();
            while bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let decoded: String = serde_json::from_str(&rest[..=end]).unwrap();
            out.push_str(&Value::from(decoded).to_string());
            rest = &rest[end + 1..];
        } else {
            if !c.is_whitespace() {
                out.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

#[test]
fn parsing_and_writing_changes_nothing() {
    for (name, text) in fixtures() {
        let definition = Definition::parse(&text).unwrap();
        assert_eq!(definition.canonical_json(), minified(&text), "{name}");
        assert!(
            diff(
                &definition,
                &Definition::parse(&definition.canonical_json()).unwrap()
            )
            .is_empty()
        );
    }
}

#[test]
fn what_is_extracted_fills_back_with_proposed_keys_and_with_others() {
    for (name, text) in fixtures() {
        let definition = Definition::parse(&text).unwrap();
        let proposed = propose(&definition);
        let others = json!({
            "Bucket": "example-bucket", "Uri": "s3://example-bucket", "Ex": "example", "Type": "ml.m5.large",
            "One": 1, "On": true, "Missing": "stands nowhere", "Account": "111122223333",
        });
        let others = others.as_object().unwrap().clone();
        for values in [&proposed, &others] {
            let extracted = extract(&definition, values).unwrap();
            let filled = fill(&extracted.template, values, &Map::new())
                .unwrap_or_else(|errors| panic!("{name}: {errors}"));
            assert_eq!(filled.text, definition.canonical_json(), "{name}");
        }
        let left = extract(&definition, &proposed).unwrap().remaining;
        let left: Vec<_> = left
            .iter()
            .filter(|place| !place.to_string().contains("timestamp"))
            .collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn the_sdks_asset_prediction_is_the_shipped_one_but_for_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/definitions");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    // Printed by samples/pipelines/asset_prediction.py.
    let made = Definition::parse(&read("asset-prediction.json")).unwrap();
    let proposed = propose(&made);
    let template = extract(&made, &proposed).unwrap().template;
    let back = fill(&template, &proposed, &Map::new()).unwrap();

    let values: Value = serde_json::from_str(&read("asset-prediction.values")).unwrap();
    let provided = regions::values(regions::find("eu-central-1").ok());
    let shipped = fill(shipped(), values.as_object().unwrap(), &provided).unwrap();

    let changes: Vec<String> = diff(&back.definition, &shipped.definition)
        .iter()
        .flat_map(|change| {
            change
                .to_string()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|line| line.split(':').next().unwrap_or_default().to_owned())
        .collect();
    // ModelStep puts suffixes behind its steps' names, and the SDK no longer
    // writes the profiler's rule.
    assert_eq!(
        changes,
        [
            "~ step AssetPrediction-Training-Step (Training)",
            "    Arguments.ProfilerRuleConfigurations",
            "    Arguments.ProfilerConfig.DisableProfiler",
            "+ step AssetPredictionRegisterModel (RegisterModel)",
            "~ step AssetPrediction-CreateModel-Step (Model), was named AssetPrediction-CreateModel-Step-CreateModel",
            "- step AssetPredictionRegisterModel-RegisterModel (RegisterModel)",
        ]
    );
}

/// What an execution of the second sample knows; the evaluation found this error.
struct Evaluated(f64);

impl Resolver for Evaluated {
    fn parameter(&self, name: &str) -> Result<Value, Unavailable> {
        match name {
            "LargestError" => Ok(json!(0.25)),
            _ => Err(Unavailable::Parameter),
        }
    }

    fn execution(&self, _: &str) -> Result<Value, Unavailable> {
        Ok(json!("execution"))
    }

    fn experiment(&self, _: &str) -> Result<Value, Unavailable> {
        Err(Unavailable::Experiment("ExperimentName".to_owned()))
    }

    fn step(&self, _: &str) -> Result<Value, Unavailable> {
        Err(Unavailable::NotSucceeded)
    }

    fn document(&self, _: DocumentSource<'_>) -> Result<Value, Unavailable> {
        Ok(json!({"metrics": {"rmse": self.0}}))
    }
}

#[test]
fn the_second_sample_fills_soundly_and_its_condition_can_be_decided() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/pipelines/train-evaluate-register");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let values: Value = serde_json::from_str(&read("values.json")).unwrap();
    let filled = fill(
        &read("template.json.tera"),
        values.as_object().unwrap(),
        &Map::new(),
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(filled.warnings, []);
    let steps = filled.definition.steps();
    let condition = steps
        .iter()
        .find(|step| step.name() == "GoodEnough")
        .unwrap();
    let conditions = Value::from(condition.conditions().to_vec());
    for (error, holds) in [(0.2, true), (0.25, true), (0.3, false)] {
        let resolved = resolve(&conditions, &Evaluated(error)).unwrap();
        assert_eq!(all_hold(resolved.as_array().unwrap()), Ok(holds), "{error}");
    }
}

#[test]
fn two_thousand_steps_are_checked_about_as_fast_as_they_are_parsed() {
    let steps: Vec<_> = (0..2_000)
        .map(|n| {
            let before = if n == 0 {
                json!("none")
            } else {
                json!({"Get": format!("Steps.step-{}.OutputParameters['o']", n - 1)})
            };
            json!({"Name": format!("step-{n}"), "Type": "Callback",
                "SqsQueueUrl": "https://sqs.eu-central-1.amazonaws.com/111122223333/q",
                "Arguments": {"before": before},
                "OutputParameters": [{"OutputName": "o", "OutputType": "String"}]})
        })
        .collect();
    let text = json!({"Version": "2020-12-01", "Steps": steps}).to_string();
    // Held against parsing, which takes as long as the machine is busy.
    let most = (0..5)
        .map(|_| {
            let started = Instant::now();
            let definition = Definition::parse(&text).unwrap();
            let parsed = started.elapsed();
            assert_eq!(check(&definition), []);
            (started.elapsed() - parsed).as_secs_f64() / parsed.as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    assert!(
        most < 10.0,
        "checking takes {most:.1} times as long as parsing"
    );
}

/// Xorshift: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (below as u64).max(1)).unwrap()
    }
}

/// A text with some places damaged: pieces removed, doubled, moved, or
/// replaced by what means something in JSON, in paths or in templates.
fn damaged(text: &str, dice: &mut Dice) -> String {
    const PIECES: [&str; 42] = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ",",
        ":",
        "null",
        "true",
        "1e999",
        "-0",
        "123456789012345678901234567890123456789012345678901234567890",
        "-1.5E-400",
        "\"\\ud800\"",
        "\\udc00",
        "\"Name\": \"a\", \"Name\": \"b\", ",
        "[[[[[[[[[[[[[[[[",
        "]]]]]]]]]]]]]]]]",
        "{\"Std:JsonGet\": {\"Path\": ",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ x }}",
        "{% if x %}",
        "{% endif %}",
        "{% for a in b %}",
        "{% endfor %}",
        "{% raw %}",
        "{% endraw %}",
        "| safe",
        "\"Get\": ",
        "\"Std:Join\": ",
        "Steps.",
        "['",
        "']",
        "\u{0}",
        "\u{2028}",
        "ü",
    ];
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(text.len() + 1);
        let until = (at + dice.roll(12)).min(text.len());
        match dice.roll(4) {
            0 => {
                text.drain(at..until);
            }
            1 => {
                let piece: Vec<char> = text[at..until].to_vec();
                let to = dice.roll(text.len() + 1);
                text.splice(to..to, piece);
            }
            2 => {
                text.splice(at..at, PIECES[dice.roll(PIECES.len())].chars());
            }
            _ => {
                text.splice(at..until, PIECES[dice.roll(PIECES.len())].chars());
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn no_damaged_definition_makes_anything_panic() {
    let fixtures = fixtures();
    let mut dice = Dice(0x2026_1122);
    let mut parsed = 0;
    for round in 0..2_000 {
        let text = damaged(&fixtures[round % fixtures.len()].1, &mut dice);
        let Ok(definition) = Definition::parse(&text) else {
            continue;
        };
        parsed += 1;
        let map = SourceMap::new(&text).unwrap();
        for finding in check(&definition) {
            let place = map.locate(&finding.path);
            assert!(text.get(place.value).is_some());
        }
        assert!(render::svg(&definition).ends_with("</svg>\n"));
        let values = propose(&definition);
        let extracted = extract(&definition, &values).unwrap();
        if let Ok(filled) = fill(&extracted.template, &values, &Map::new()) {
            assert_eq!(filled.text, definition.canonical_json());
        }
    }
    assert!(
        parsed > 150,
        "{parsed} of the damaged texts were JSON at all"
    );
}

/// A random JSON text: deep, with double keys, numbers of any size and strings
/// that are no Unicode; its brackets match unless the depth runs out.
fn any_json(dice: &mut Dice, depth: usize, out: &mut String) {
    const SCALARS: [&str; 14] = [
        "null",
        "true",
        "0",
        "-0.0",
        "1e-07",
        "1E+400",
        "99999999999999999999999999999999999999999999.5",
        "18446744073709551616",
        r#""""#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""Parameters.P""#,
        r#""Steps.S.Outputs['a'][99999999999999999999]""#,
        r#""{{ key }}""#,
    ];
    const KEYS: [&str; 17] = [
        "Get",
        "Std:Join",
        "Std:JsonGet",
        "Path",
        "On",
        "Values",
        "Name",
        "Type",
        "Arguments",
        "Steps",
        "IfSteps",
        "Conditions",
        "DependsOn",
        "Parameters",
        "PropertyFiles",
        "Condition",
        "Version",
    ];
    let roll = dice.roll(8);
    if depth == 0 || roll < 2 {
        *out += SCALARS[dice.roll(SCALARS.len())];
        return;
    }
    let (open, close) = if roll < 4 { ('[', ']') } else { ('{', '}') };
    out.push(open);
    for item in 0..dice.roll(4) {
        if item > 0 {
            out.push(',');
        }
        if open == '{' {
            *out += &format!("\"{}\":", KEYS[dice.roll(KEYS.len())]);
        }
        any_json(dice, depth - 1, out);
    }
    out.push(close);
}

#[test]
fn no_json_at_all_makes_anything_panic() {
    let mut dice = Dice(0x2211_2026);
    let mut parsed = 0;
    for _ in 0..20_000 {
        let mut steps = String::new();
        let depth = 1 + dice.roll(12);
        any_json(&mut dice, depth, &mut steps);
        let text = format!(
            r#"{{"Version":"2020-12-01","Steps":[{steps},{{"Name":"S","Type":"Condition","Arguments":{steps}}}]}}"#
        );
        let Ok(definition) = Definition::parse(&text) else {
            continue;
        };
        parsed += 1;
        let findings = check(&definition);
        assert!(findings.iter().all(|finding| !finding.message.is_empty()));
        assert!(render::svg(&definition).ends_with("</svg>\n"));
        assert!(diff(&definition, &definition).is_empty());
        let values = propose(&definition);
        let extracted = extract(&definition, &values).unwrap();
        if let Ok(filled) = fill(&extracted.template, &values, &Map::new()) {
            assert_eq!(filled.text, definition.canonical_json());
        }
    }
    assert!(
        parsed > 2_000,
        "{parsed} of the texts were definitions at all"
    );
}

#[test]
fn nesting_without_end_is_told_and_overflows_no_stack() {
    for (open, close) in [
        ("[", "]"),
        (r#"{"a":"#, "}"),
        (r#"{"Std:Join":{"Values":["#, "]}}"),
        (r#"{"Type":"Not","Condition":"#, "}"),
        (r#"{"Type":"Condition","Arguments":{"IfSteps":["#, "]}}"),
    ] {
        let depth = 200_000;
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let text = format!(r#"{{"Version":"2020-12-01","Steps":[{nested}]}}"#);
        let error = Definition::parse(&text).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 127 levels"), "{error}");
        assert!(SourceMap::new(&text).is_err());
        assert!(fill(&text, &Map::new(), &Map::new()).is_err());
        // As deep as is let in, everything works.
        let nested = format!("{}1{}", open.repeat(20), close.repeat(20));
        let text = format!(r#"{{"Version":"2020-12-01","Steps":[{nested}]}}"#);
        assert!(has_errors(&check(&Definition::parse(&text).unwrap())));
    }
    let tags = "{% if a %}".repeat(200_000) + &"{% endif %}".repeat(200_000);
    assert!(fill(&tags, &Map::new(), &Map::new()).is_err());
    let brackets = format!("{{{{ {}a{} }}}}", "(".repeat(200_000), ")".repeat(200_000));
    assert!(fill(&brackets, &Map::new(), &Map::new()).is_err());
}

#[test]
fn no_damaged_template_makes_the_filler_panic() {
    let values: Map<String, Value> = pipewright::template::keys(shipped())
        .unwrap()
        .into_iter()
        .map(|key| {
            let value = match key.as_str() {
                "SubnetIds" | "SecurityGroupIds" => json!(["a", "b\"{{ x }}"]),
                key if key.contains("InGB") || key.contains("InSeconds") => json!("30"),
                _ => json!("value \" \\ {{ x }} {% raw %}"),
            };
            (key, value)
        })
        .collect();
    let mut dice = Dice(0x1122_2026);
    for _ in 0..1_000 {
        let template = damaged(shipped(), &mut dice);
        // Whatever happens, an error is told or the result is a definition.
        if let Ok(filled) = fill(&template, &values, &values) {
            Definition::parse(&filled.text).unwrap();
        }
    }
}
