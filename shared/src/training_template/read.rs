//! Reading a training template by the table of settings.

use std::collections::BTreeSet;

use pipewright_forecast::hyperparameters::MOST_POINTS;
use serde_json::Value;
use time::Date;
use time::macros::format_description;

use super::hyper_params::read_hyper_params;
use super::*;
use crate::instance_type::is_instance_type;
use crate::reading::{Faults, Field, Object};

/// A section; its keys are those of the table of settings.
fn section_of<'a>(faults: &mut Faults, field: Field<'a>) -> Object<'a> {
    let keys = settings::members(&field.path);
    Object::of(faults, field, &keys)
}

/// `enabled`, which decides whether the section's other keys must be there.
fn enabled(faults: &mut Faults, section: &mut Object<'_>) -> bool {
    let mut field = section.optional("enabled");
    field.required = section.members.is_some();
    let enabled = field.boolean(faults).unwrap_or(false);
    section.required = enabled;
    enabled
}

/// What the table of settings says of a value.
fn takes(field: &Field<'_>) -> Option<settings::Takes> {
    settings::find(&field.path).map(|setting| setting.takes)
}

/// A whole number as the table of settings has it; `2.0` and `2e1` are whole.
fn whole(faults: &mut Faults, field: &Field<'_>) -> Option<usize> {
    let (takes, range) = match takes(field) {
        Some(takes @ settings::Takes::Points) => (takes, 1..=MOST_POINTS as u64),
        Some(takes @ settings::Takes::Whole(least)) => (takes, least.into()..=GREATEST.into()),
        // An item of a list.
        _ => (settings::Takes::Whole(1), 1..=GREATEST.into()),
    };
    field.read(faults, &takes.to_string(), |value| {
        let number = value.as_f64().and_then(whole_number)?;
        usize::try_from(number)
            .ok()
            .filter(|_| range.contains(&number))
    })
}

/// A number as the table of settings has it, whole or not.
fn number(faults: &mut Faults, field: &Field<'_>) -> Option<f64> {
    match takes(field) {
        Some(settings::Takes::Whole(_)) => {
            let number = whole(faults, field)?;
            u32::try_from(number).ok().map(f64::from)
        }
        _ => real(faults, field),
    }
}

/// A number above 0, up to the one that the table of settings has.
fn real(faults: &mut Faults, field: &Field<'_>) -> Option<f64> {
    let most = match takes(field) {
        Some(settings::Takes::UpTo(most)) => most,
        _ => f64::MAX,
    };
    let expected = settings::Takes::UpTo(most).to_string();
    field.read(faults, &expected, |value| {
        let number = value.as_f64()?;
        (number > 0.0 && number <= most).then_some(number)
    })
}

/// A day: ISO 8601, or epoch milliseconds.
fn day(faults: &mut Faults, field: &Field<'_>) -> Option<Date> {
    const UNIX_EPOCH: i64 = 2_440_588; // as a Julian day
    let of_milliseconds = |number: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
        let milliseconds = number.floor() as i64;
        let day = milliseconds.div_euclid(86_400_000) + UNIX_EPOCH;
        Date::from_julian_day(i32::try_from(day).ok()?).ok()
    };
    field.read(faults, &settings::Takes::Day.to_string(), |value| {
        let day = match value {
            Value::String(text) => {
                Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
            }
            _ => value
                .as_f64()
                .filter(|number| number.is_finite() && number.abs() < 1e16)
                .and_then(of_milliseconds),
        };
        // As of prices.
        day.filter(|day| YEARS.contains(&day.year()))
    })
}

fn ticker(faults: &mut Faults, field: &Field<'_>) -> Option<String> {
    let text = field.text(faults)?;
    match ticker_fault(text) {
        Some(fault) => {
            faults.add(&field.path, fault.to_string());
            None
        }
        None => Some(text.to_owned()),
    }
}

/// A list of different tickers.
fn tickers(faults: &mut Faults, field: &Field<'_>) -> Vec<String> {
    let items = field.list(faults, "a list of tickers").unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut tickers = Vec::with_capacity(items.len());
    for field in field.items(items) {
        if let Some(ticker) = ticker(faults, &field) {
            if seen.insert(ticker.clone()) {
                tickers.push(ticker);
            } else {
                faults.add(&field.path, format!("names `{ticker}` a second time"));
            }
        }
    }
    tickers
}

/// A number without a fractional part that fits 53 bits.
pub(super) fn whole_number(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within 0..=2^53, checked just above"
        )]
        Some(number as u64)
    } else {
        None
    }
}

pub(super) fn read_template(faults: &mut Faults, document: &Value) -> Option<TrainingTemplate> {
    let root = section_of(faults, Field::root(document));
    root.members?;
    let id = root.field("Id").text(faults).map(str::to_owned);
    if id.as_deref() == Some("") {
        faults.add("Id", "can't be empty");
    }
    let name = root.optional("name").text(faults).map(str::to_owned);
    let predicted_asset = ticker(faults, &root.field("predictedAsset"));
    let mut features = read_features(faults, root.field("feMeta"));
    let deepar = read_deepar(faults, root.field("deepARMeta"));
    if let (Some(features), Some(deepar)) = (&mut features, &deepar)
        && features.alignment == Alignment::PREDICTED
        && document["feMeta"]["maxAge"].is_null()
    {
        let max_age = deepar.freq.longest_days();
        features.alignment = Alignment::Predicted { max_age };
    }
    let is_union = |features: &FeatureSettings| features.alignment == Alignment::Union;
    let is_trading = |deepar: &DeepArSettings| deepar.calendar == Calendar::Trading;
    if features.as_ref().is_some_and(is_union) && deepar.as_ref().is_some_and(is_trading) {
        faults.add(
            "deepARMeta.calendar",
            "must be `daily` under feMeta.alignment `union`, not `trading`: a point would be a day on which any asset has a price, and most have none",
        );
    }
    let processing_instance_type =
        read_instance_type(faults, &root.optional("processingInstanceType"));
    let training_instance_type = read_instance_type(faults, &root.optional("trainingInstanceType"));
    let model_approval_status = root
        .optional("modelApprovalStatus")
        .choice(
            faults,
            &["Approved", "Rejected", "PendingManualApproval"].map(|name| (name, name)),
        )
        .map(str::to_owned);
    Some(TrainingTemplate {
        id: id?,
        name,
        predicted_asset: predicted_asset?,
        features: features?,
        deepar: deepar?,
        processing_instance_type,
        training_instance_type,
        model_approval_status,
    })
}

fn read_instance_type(faults: &mut Faults, field: &Field<'_>) -> Option<String> {
    let text = field.text(faults)?;
    if is_instance_type(text) {
        return Some(text.to_owned());
    }
    field.wrong_text(faults, &settings::Takes::InstanceType.to_string(), text);
    None
}

fn read_features(faults: &mut Faults, field: Field<'_>) -> Option<FeatureSettings> {
    let section = section_of(faults, field);
    let base_assets = read_base_assets(faults, &section.field("baseAssets"));
    let alignment = read_alignment(faults, &section);
    Some(FeatureSettings {
        alignment,
        indicators: read_indicators(faults, section.optional("taSettings")),
        arima: read_arima(faults, section.optional("arimaSettings")),
        fft: read_fft(faults, section.optional("fftSettings")),
        autoencoder: read_autoencoder(faults, section.optional("autoEncoderSettings")),
        base_assets: base_assets?,
    })
}

fn read_alignment(faults: &mut Faults, section: &Object<'_>) -> Alignment {
    let choices = [Alignment::Common, Alignment::PREDICTED, Alignment::Union];
    let choices = choices.map(|alignment| (alignment.name(), alignment));
    let chosen = section.optional("alignment").choice(faults, &choices);
    let alignment = chosen.unwrap_or(Alignment::Common);
    let field = section.optional("maxAge");
    match (whole(faults, &field), alignment) {
        (Some(max_age), Alignment::Predicted { .. }) => Alignment::Predicted { max_age },
        (Some(_), Alignment::Common | Alignment::Union) => {
            faults.add(
                &field.path,
                format!(
                    "counts only under feMeta.alignment `predicted`, not `{}`; take it out, or set that",
                    alignment.name()
                ),
            );
            alignment
        }
        (None, _) => alignment,
    }
}

fn read_base_assets(faults: &mut Faults, field: &Field<'_>) -> Option<BaseAssets> {
    let expected = settings::Takes::BaseAssets.to_string();
    let listed = field.read(faults, &expected, |value| match value {
        Value::String(text) if text == "all" => Some(None),
        Value::Array(items) => Some(Some(items)),
        _ => None,
    })?;
    Some(match listed {
        None => BaseAssets::All,
        Some(items) => {
            let items = field.items(items);
            BaseAssets::Listed(items.filter_map(|item| ticker(faults, &item)).collect())
        }
    })
}

fn read_indicators(faults: &mut Faults, field: Field<'_>) -> IndicatorSettings {
    let mut section = section_of(faults, field);
    let enabled = enabled(faults, &mut section);
    let assets = tickers(faults, &section.field("assets"));
    let mut chosen = Vec::new();
    for indicator in INDICATORS {
        let mut field = section.field(indicator.name);
        field.required &= indicator.required || field.value.is_some();
        let own = section_of(faults, field);
        let values: Vec<Option<f64>> = indicator
            .parameters
            .iter()
            .map(|parameter| number(faults, &own.field(parameter.name)))
            .collect();
        // Where one is missing that must be there, that is a fault by now.
        if let Some(values) = values.into_iter().collect() {
            let values: Vec<f64> = values;
            if let Some(fault) = (indicator.fault)(&values) {
                faults.add(&own.path, fault);
            }
            chosen.push(ChosenIndicator { indicator, values });
        }
    }
    IndicatorSettings {
        enabled,
        assets,
        chosen,
    }
}

fn read_arima(faults: &mut Faults, field: Field<'_>) -> ArimaSettings {
    const DEFAULT_ORDER: (usize, usize, usize) = (5, 1, 0);
    const EXPECTED: &str = "a list [p, d, 0] with p from 0 to 20 and d from 0 to 2";
    let mut section = section_of(faults, field);
    let enabled = enabled(faults, &mut section);
    let assets = tickers(faults, &section.field("assets"));
    let train_set_size = real(faults, &section.field("trainSetSize")).unwrap_or(0.8);
    let order = section.optional("order");
    let order = match order.list(faults, EXPECTED) {
        None => DEFAULT_ORDER,
        Some(items) => {
            let numbers: Vec<Option<u64>> = items
                .iter()
                .map(|item| item.as_f64().and_then(whole_number))
                .collect();
            match numbers[..] {
                [Some(p @ 0..=20), Some(d @ 0..=2), Some(0)] => {
                    let size = |n| usize::try_from(n).unwrap_or(0);
                    (size(p), size(d), 0)
                }
                _ => {
                    faults.add(&order.path, format!("must be {EXPECTED}"));
                    DEFAULT_ORDER
                }
            }
        }
    };
    ArimaSettings {
        enabled,
        assets,
        train_set_size,
        order,
    }
}

fn read_fft(faults: &mut Faults, field: Field<'_>) -> FftSettings {
    let mut section = section_of(faults, field);
    let enabled = enabled(faults, &mut section);
    let classes = section.field("assetClasses");
    let asset_classes = match classes.list(faults, "a list of asset classes") {
        None => Vec::new(),
        Some(items) => classes
            .items(items)
            .filter_map(|item| item.text(faults).map(str::to_owned))
            .collect(),
    };
    whole(faults, &section.optional("num_comp"));
    let field = section.field("num_steps");
    let mut steps = Vec::new();
    if let Some(items) = field.list(faults, "a list of whole numbers from 1") {
        if items.is_empty() && enabled {
            faults.add(
                &field.path,
                "must name at least one step, or switch the stage off",
            );
        }
        for item in field.items(items) {
            if let Some(step) = whole(faults, &item) {
                if steps.contains(&step) {
                    faults.add(&item.path, format!("names {step} a second time"));
                } else {
                    steps.push(step);
                }
            }
        }
    }
    let edge = section.optional("edge");
    let edge_given = edge.value.is_some();
    let edge = edge
        .choice(
            faults,
            &[("mirror", FftEdge::Mirror), ("periodic", FftEdge::Periodic)],
        )
        .unwrap_or(FftEdge::Mirror);
    let mode = section
        .optional("mode")
        .choice(
            faults,
            &[
                ("expanding", FftMode::Expanding(edge)),
                ("global", FftMode::Global),
            ],
        )
        .unwrap_or(FftMode::Expanding(edge));
    if mode == FftMode::Global && edge_given {
        faults.add(
            &section.path_of("edge"),
            "has no meaning under mode `global`; take it out",
        );
    }
    FftSettings {
        enabled,
        asset_classes,
        steps,
        mode,
    }
}

fn read_autoencoder(faults: &mut Faults, field: Field<'_>) -> AutoencoderSettings {
    let mut section = section_of(faults, field);
    let enabled = enabled(faults, &mut section);
    section.field("optimizer").choice(faults, &[("adam", ())]);
    section
        .field("loss")
        .choice(faults, &[("mean_squared_error", ())]);
    let seed = section.optional("seed");
    let expected = settings::Takes::Seed.to_string();
    let seed = seed.read(faults, &expected, |value| {
        value.as_f64().and_then(whole_number)
    });
    AutoencoderSettings {
        enabled,
        epochs: whole(faults, &section.field("fitEpoch")).unwrap_or(460),
        batch_size: whole(faults, &section.field("fitBatchSize")).unwrap_or(256),
        shuffle: section.field("fitShuffle").boolean(faults).unwrap_or(false),
        inputs: section
            .optional("inputs")
            .choice(
                faults,
                &[
                    ("changes", AutoencoderInputs::Changes),
                    ("levels", AutoencoderInputs::Levels),
                ],
            )
            .unwrap_or(AutoencoderInputs::Changes),
        output: section
            .optional("output")
            .choice(
                faults,
                &[
                    ("reconstruction", AutoencoderOutput::Reconstruction),
                    ("middle", AutoencoderOutput::Middle),
                ],
            )
            .unwrap_or(AutoencoderOutput::Reconstruction),
        seed: seed.unwrap_or(0),
    }
}

fn read_deepar(faults: &mut Faults, field: Field<'_>) -> Option<DeepArSettings> {
    let section = section_of(faults, field);
    let freq = section.field("freq");
    let freq = match freq.text(faults) {
        Some(text) => {
            let named = Freq::ALL.into_iter().find(|freq| freq.is(text));
            if named.is_none() {
                let expected = "`1D`, `1W` or `1M`, since prices are of days, weeks or months";
                freq.wrong_text(faults, expected, text);
            }
            named
        }
        None => None,
    };
    let prediction_length = whole(faults, &section.field("predictionLength"));
    let context_length = whole(faults, &section.field("contextLength"));
    let start_dataset = day(faults, &section.field("startDataset"));
    let end_training = day(faults, &section.field("endTraining"));
    if let (Some(start), Some(end)) = (start_dataset, end_training)
        && start >= end
    {
        faults.add(
            &section.path_of("endTraining"),
            format!("({end}) must be later than startDataset ({start})"),
        );
    }
    let test_windows = whole(faults, &section.field("testWindows"));
    let calendar = section
        .optional("calendar")
        .choice(
            faults,
            &[("daily", Calendar::Daily), ("trading", Calendar::Trading)],
        )
        .unwrap_or(Calendar::Daily);
    let compress = section
        .optional("compress")
        .boolean(faults)
        .unwrap_or(false);
    let hyper_params = read_hyper_params(faults, section.field("hyperParams"));
    Some(DeepArSettings {
        freq: freq?,
        prediction_length: prediction_length?,
        context_length: context_length?,
        start_dataset: start_dataset?,
        end_training: end_training?,
        test_windows: test_windows?,
        calendar,
        compress,
        hyper_params,
    })
}
