//! Answers, as JSON.

use pipewright_forecast::deepar::Prediction;

use super::request::Configuration;

/// The object that answers one record: what is asked for, and the fields of the
/// record that are repeated. A number that single precision does not hold is null.
pub(super) fn answer(
    prediction: &Prediction,
    configuration: &Configuration,
    forwarded: &[(String, String)],
) -> String {
    let mut json = String::from("{");
    let mut member = |name: &str, value: &dyn Fn(&mut String)| {
        if json.len() > 1 {
            json.push(',');
        }
        push(&mut json, name);
        json.push(':');
        value(&mut json);
    };
    if configuration.mean {
        member("mean", &|json| push(json, &prediction.mean()));
    }
    if !configuration.quantiles.is_empty() {
        let levels: Vec<f64> = configuration.quantiles.iter().map(|q| q.value).collect();
        let lists = prediction.quantiles(&levels);
        member("quantiles", &|json| {
            json.push('{');
            for (number, (quantile, list)) in configuration.quantiles.iter().zip(&lists).enumerate()
            {
                if number > 0 {
                    json.push(',');
                }
                push(json, &quantile.text);
                json.push(':');
                // A quantile is one of the samples, which are of single precision.
                #[expect(clippy::cast_possible_truncation, reason = "they are f32")]
                let list: Vec<f32> = list.iter().map(|value| *value as f32).collect();
                push(json, &list);
            }
            json.push('}');
        });
    }
    if configuration.paths {
        member("samples", &|json| {
            json.push('[');
            for (number, sample) in prediction.samples().enumerate() {
                if number > 0 {
                    json.push(',');
                }
                push(json, sample);
            }
            json.push(']');
        });
    }
    for (name, value) in forwarded {
        member(name, &|json| json.push_str(value));
    }
    json.push('}');
    json
}

/// Appends a value's JSON.
fn push(json: &mut String, value: &(impl serde::Serialize + ?Sized)) {
    // Texts and lists of numbers always have a JSON form.
    if let Ok(text) = serde_json::to_string(value) {
        json.push_str(&text);
    }
}
