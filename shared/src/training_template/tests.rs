use super::*;
use proptest::prelude::*;
use serde_json::json;

/// The original's own default template, on other assets.
fn original() -> Value {
    json!({
        "Id": "tpl-1", "name": "golden", "createdAt": 0, "updatedAt": 0,
        "predictedAsset": "JPM",
        "feMeta": {
            "baseAssets": "all",
            "taSettings": {
                "assets": ["AAPL", "JPM"], "enabled": true,
                "bollingerBand": {"window": 20, "window_dev": 2},
                "rsi": {"window": 14}, "sma": {"window": 7}
            },
            "arimaSettings": {"assets": ["JPM"], "enabled": true, "trainSetSize": 0.8},
            "fftSettings": {
                "assetClasses": ["Energy"], "enabled": true,
                "num_comp": 7, "num_steps": [3, 6, 9, 100]
            },
            "autoEncoderSettings": {
                "enabled": true, "optimizer": "adam", "loss": "mean_squared_error",
                "fitEpoch": 460, "fitBatchSize": 256, "fitShuffle": false
            }
        },
        "deepARMeta": {
            "freq": "1D", "predictionLength": 7, "contextLength": 7,
            "startDataset": 1_262_304_000_000_u64, "endTraining": 1_514_764_800_000_u64,
            "testWindows": 4,
            "hyperParams": {
                "epochs": 400, "early_stopping_patience": 40,
                "mini_batch_size": 64, "learning_rate": 0.0005
            }
        }
    })
}

/// The faults of the original with the value at `pointer` replaced.
fn faults_with(pointer: &str, value: Value) -> Vec<String> {
    let mut document = original();
    *document.pointer_mut(pointer).unwrap() = value;
    match TrainingTemplate::parse(&document) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.faults().iter().map(ToString::to_string).collect(),
    }
}

/// A day is the same written as a date or as epoch milliseconds.
#[test]
fn a_day_is_the_same_as_a_date_or_as_milliseconds() {
    let mut dates = original();
    dates["deepARMeta"]["startDataset"] = json!("2010-01-01");
    dates["deepARMeta"]["endTraining"] = json!("2018-01-01");
    assert_eq!(
        TrainingTemplate::parse(&dates),
        TrainingTemplate::parse(&original())
    );
    for wrong in [
        "2018-02-30",
        "18-01-01",
        "2018-1-1",
        "01.01.2018",
        "2018-01-01T00:00:00Z",
        "1850-01-01",
        "2201-01-01",
        "",
    ] {
        let faults = faults_with("/deepARMeta/endTraining", json!(wrong));
        assert!(
            faults[0].contains("must be a day of the years 1900 to 2200 such as \"2018-01-01\""),
            "{faults:?}"
        );
    }
}

/// A number of seconds, or a date without hyphens, that is taken for milliseconds is warned of.
#[test]
fn a_day_of_1970_is_doubtful() {
    let warnings = |start: Value| {
        let mut document = original();
        document["deepARMeta"]["startDataset"] = start;
        let warnings = TrainingTemplate::parse(&document).unwrap().warnings();
        let mut of_day = warnings.iter().filter(|one| one.contains("startDataset"));
        of_day.next().cloned()
    };
    for seconds in [json!(1_262_304_000), json!(20_100_101)] {
        let warning = warnings(seconds).unwrap();
        assert!(warning.contains("1970-01-"), "{warning}");
    }
    assert_eq!(warnings(json!("2010-01-01")), None);
}

#[test]
fn the_fast_average_of_macd_is_faster() {
    let macd = json!({"window_slow": 12, "window_fast": 26, "window_sign": 9});
    assert_eq!(
        faults_with("/feMeta/taSettings", {
            let mut settings = original()["feMeta"]["taSettings"].clone();
            settings["macd"] = macd;
            settings
        }),
        ["feMeta.taSettings.macd: window_slow must be greater than window_fast, as 26 is than 12"]
    );
}

#[test]
fn the_originals_template_is_read_with_the_defaults_of_the_additions() {
    let template = TrainingTemplate::parse(&original()).unwrap();
    assert_eq!(template.predicted_asset, "JPM");
    assert_eq!(template.features.base_assets, BaseAssets::All);
    assert_eq!(template.features.fft.steps, [3, 6, 9, 100]);
    assert_eq!(
        template.features.fft.mode,
        FftMode::Expanding(FftEdge::Mirror)
    );
    assert_eq!(template.features.arima.order, (5, 1, 0));
    assert_eq!(template.features.autoencoder.epochs, 460);
    assert_eq!(template.deepar.calendar, Calendar::Daily);
    assert_eq!(template.deepar.start_dataset.to_string(), "2010-01-01");
    assert_eq!(template.deepar.end_training.to_string(), "2018-01-01");
    assert_eq!(
        template.deepar.hyper_params.iter().collect::<Vec<_>>(),
        [
            ("early_stopping_patience", "40"),
            ("epochs", "400"),
            ("learning_rate", "0.0005"),
            ("mini_batch_size", "64"),
        ]
    );
    assert_eq!(template.warnings().len(), 1, "{:?}", template.warnings());
}

#[test]
fn a_low_pass_that_sees_the_future_says_so() {
    let warnings = |mode: &str, enabled: bool| {
        let mut document = original();
        document["feMeta"]["fftSettings"]["mode"] = json!(mode);
        document["feMeta"]["fftSettings"]["enabled"] = json!(enabled);
        let warnings = TrainingTemplate::parse(&document).unwrap().warnings();
        warnings.iter().any(|w| w.contains("sees the future"))
    };
    assert!(warnings("global", true));
    assert!(!warnings("global", false));
    assert!(!warnings("expanding", true));
}

#[test]
fn all_faults_are_reported_at_once_each_with_its_path() {
    let mut document = original();
    document["predictedAsset"] = json!("");
    document["feMeta"]["fftSettings"]["num_steps"] = json!([3, 0, 9, 3]);
    document["deepARMeta"]["freq"] = json!("1H");
    document["deepARMeta"]["hyperParams"]["epochs"] = json!(null);
    let faults = TrainingTemplate::parse(&document).unwrap_err();
    let paths: Vec<&str> = faults.faults().iter().map(|f| f.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "predictedAsset",
            "feMeta.fftSettings.num_steps[1]",
            "feMeta.fftSettings.num_steps[3]",
            "deepARMeta.freq",
            "deepARMeta.hyperParams.epochs",
        ]
    );
    assert!(faults.to_string().contains("has 5 faults"));
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let mut document = original();
    document["feMeta"]["fftSetings"] = json!({});
    document["deepARMeta"]["hyperParams"]["prediction_length"] = json!(7);
    let faults = TrainingTemplate::parse(&document).unwrap_err();
    assert_eq!(
        faults.faults()[0].to_string(),
        "feMeta.fftSetings: is unknown: did you mean feMeta.fftSettings?"
    );
    assert!(
        faults.faults()[1]
            .text
            .contains("deepARMeta.predictionLength")
    );
}

#[test]
fn a_stage_that_is_absent_or_off_needs_none_of_its_settings() {
    let mut document = original();
    let meta = document["feMeta"].as_object_mut().unwrap();
    meta.remove("taSettings");
    meta["arimaSettings"] = json!({"enabled": false});
    meta["autoEncoderSettings"] = json!({"enabled": false});
    let template = TrainingTemplate::parse(&document).unwrap();
    assert!(!template.features.indicators.enabled);
    assert!(!template.features.arima.enabled);
}

#[test]
fn a_stage_that_is_on_needs_all_of_them() {
    let faults = faults_with("/feMeta/taSettings", json!({"enabled": true, "rsi": {}}));
    assert_eq!(
        faults,
        [
            "feMeta.taSettings.assets: is missing; it must be a list of tickers",
            "feMeta.taSettings.bollingerBand: is missing; it must be an object",
            "feMeta.taSettings.rsi.window: is missing; it must be a whole number from 1 to 1000000",
            "feMeta.taSettings.sma: is missing; it must be an object",
        ]
    );
}

#[test]
fn only_adam_and_squared_error_are_accepted() {
    assert_eq!(
        faults_with("/feMeta/autoEncoderSettings/optimizer", json!("sgd")),
        ["feMeta.autoEncoderSettings.optimizer: must be `adam`, not `sgd`"]
    );
}

#[test]
fn numbers_may_be_written_in_any_form_but_must_be_whole_where_counts_are() {
    assert!(faults_with("/deepARMeta/testWindows", json!(4.0)).is_empty());
    assert_eq!(faults_with("/deepARMeta/testWindows", json!(4.5)).len(), 1);
    assert_eq!(faults_with("/deepARMeta/testWindows", json!(-4)).len(), 1);
    assert_eq!(
        faults_with("/deepARMeta/testWindows", json!(1e300)).len(),
        1
    );
    assert_eq!(faults_with("/deepARMeta/testWindows", json!("4")).len(), 1);
    assert_eq!(faults_with("/deepARMeta/endTraining", json!(1e15)).len(), 1);
}

#[test]
fn training_must_end_after_it_starts() {
    assert_eq!(
        faults_with("/deepARMeta/endTraining", json!(1_262_304_000_000_u64)),
        ["deepARMeta.endTraining: (2010-01-01) must be later than startDataset (2010-01-01)"]
    );
}

/// A training template takes for each hyperparameter what the training takes, so that nothing is paid for a value that it refuses.
#[test]
fn every_hyperparameter_of_deepar_is_checked_and_rendered_as_text() {
    let mut document = original();
    document["deepARMeta"]["hyperParams"] = json!({
        "epochs": "10.0", "dropout_rate": 0, "likelihood": "Student-t",
        "cardinality": [5.0, 3], "num_dynamic_feat": 2,
        "test_quantiles": [0.1, 0.5], "num_cells": 4e1, "early_stopping_patience": " "
    });
    let template = TrainingTemplate::parse(&document).unwrap();
    let params = &template.deepar.hyper_params;
    assert_eq!(params.get("epochs"), Some("10"));
    assert_eq!(params.get("num_cells"), Some("40"));
    assert_eq!(params.get("test_quantiles"), Some("[0.1, 0.5]"));
    assert_eq!(params.get("mini_batch_size"), None);
    assert_eq!(params.get("likelihood"), Some("student-T"));
    assert_eq!(params.get("cardinality"), Some("[5, 3]"));
    assert_eq!(params.get("early_stopping_patience"), Some(""));
    assert!(
        template
            .warnings()
            .iter()
            .any(|w| w.contains("num_dynamic_feat"))
    );
    for (name, value) in [
        ("epochs", json!(0)),
        ("dropout_rate", json!(1)),
        ("num_layers", json!(101)),
        ("epochs", json!(2.5)),
        ("learning_rate", json!("0")),
        ("learning_rate", json!("NaN")),
        ("likelihood", json!("student t")),
        ("cardinality", json!([1.5])),
        ("test_quantiles", json!([0.1, 1])),
        ("test_quantiles", json!([])),
    ] {
        let mut document = original();
        document["deepARMeta"]["hyperParams"][name] = value;
        let faults = TrainingTemplate::parse(&document).unwrap_err();
        assert_eq!(
            faults.faults()[0].path,
            format!("deepARMeta.hyperParams.{name}")
        );
    }
}

#[test]
fn tickers_that_could_leave_their_folder_are_refused() {
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "..\\x",
        "a\nb",
        " a",
        &"x".repeat(10_000),
    ] {
        assert!(ticker_fault(bad).is_some(), "{bad:?}");
    }
    for good in ["BRK.B", "A_B", "^GSPC", "EURUSD=X", "日経"] {
        assert_eq!(ticker_fault(good), None);
    }
}

#[test]
fn a_message_about_a_long_value_stays_short() {
    let faults = faults_with("/feMeta/baseAssets", json!("x".repeat(100_000)));
    assert!(faults[0].len() < 300, "{}", faults[0].len());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused_without_a_panic(document in any_json()) {
        prop_assert!(TrainingTemplate::parse(&document).is_err());
    }

    #[test]
    fn any_value_anywhere_is_read_or_refused_without_a_panic(
        value in any_json(),
        pointer in prop::sample::select(vec![
            "/Id", "/predictedAsset", "/feMeta", "/feMeta/baseAssets", "/feMeta/taSettings",
            "/feMeta/taSettings/assets", "/feMeta/taSettings/bollingerBand/window_dev",
            "/feMeta/arimaSettings/trainSetSize", "/feMeta/fftSettings/num_steps",
            "/feMeta/fftSettings/num_steps/1", "/feMeta/autoEncoderSettings/fitEpoch",
            "/deepARMeta", "/deepARMeta/startDataset", "/deepARMeta/hyperParams",
            "/deepARMeta/hyperParams/learning_rate",
        ]),
    ) {
        let _ = faults_with(pointer, value);
    }
}
