//! A model's test scores beside those of naive forecasts, in words.
//!
//! The feature step scores last value, seasonal naive and drift on the windows
//! of the test channel (`baselines` of its summary); DeepAR scores itself on the
//! same windows by the same formulas and tells so in its metrics. A figure that
//! is better is not called skill: of a model there is one figure for all windows
//! together, so whether the difference is more than chance can't be tested.

use serde_json::Value;

use super::history::{Report, Training};

/// The measures, by the names that they have in the summary; as metrics they
/// have `test:` before them. All are the better the lower.
const MEASURES: [&str; 2] = ["mean_wQuantileLoss", "RMSE"];

/// The fewest windows in which a sign test can find anything at the level of
/// 5 %: with five, all in favour of one side have probability 2/32.
const FEWEST_WINDOWS: u64 = 6;

/// What is to be said, a sentence each; nothing where the feature step left no
/// scores.
pub(super) fn verdict(report: Option<&Report>, trainings: &[Training]) -> Vec<String> {
    let Some(baselines) = report
        .map(|report| &report.summary["baselines"])
        .filter(|baselines| baselines.is_object())
    else {
        return Vec::new();
    };
    let windows = baselines["windows"].as_u64().unwrap_or(0);
    let all = &baselines["allSeries"];
    let counted = |number: &Value, one: &str, many: &str| {
        let number = number.as_u64().unwrap_or(0);
        format!("{number} {}", if number == 1 { one } else { many })
    };
    let held_out = format!(
        "{} of {} in {}",
        counted(&all["observations"], "held-out value", "held-out values"),
        counted(&all["series"], "series", "series"),
        counted(&baselines["windows"], "test window", "test windows"),
    );
    let mut sentences = Vec::new();
    let model = trainings.iter().rev().find_map(|training| {
        let told = MEASURES.map(|measure| metric(training, measure));
        told.iter().any(Option::is_some).then_some(told)
    });
    let best = MEASURES.map(|measure| best(all, measure));
    match model {
        Some(told) => {
            for ((measure, model), best) in MEASURES.iter().zip(told).zip(best) {
                if let (Some(model), Some((method, best))) = (model, best) {
                    sentences.push(format!(
                        "{measure} over {held_out}: model {}, best baseline ({method}) {}: {}",
                        significant(model),
                        significant(best),
                        difference(model, best)
                    ));
                }
            }
            let too_few = match windows < FEWEST_WINDOWS {
                true => format!(", and {windows} would be too few for one"),
                false => String::new(),
            };
            sentences.push(format!(
                "whether the difference is more than chance can't be judged: the training tells one figure over \
                 all windows, and a paired test needs the model's figure of each{too_few}"
            ));
        }
        None => {
            let to_beat = to_beat(best);
            if !to_beat.is_empty() {
                sentences.push(format!(
                    "no training tells a test score; over {held_out} a model has to beat {to_beat}"
                ));
            }
        }
    }
    let predicted = &baselines["predicted"];
    if let Some(asset) = predicted["asset"].as_str() {
        let to_beat = to_beat(MEASURES.map(|measure| self::best(predicted, measure)));
        if !to_beat.is_empty() {
            sentences.push(format!(
                "of {asset} alone ({}) the best baselines have {to_beat}; a training's metrics are over all series \
                 and don't tell the model's error for {asset}",
                counted(&predicted["observations"], "held-out value", "held-out values"),
            ));
        }
    }
    sentences
}

/// A training's last value of a measure, if it is a number.
fn metric(training: &Training, measure: &str) -> Option<f64> {
    let name = |name: &str| name.strip_prefix("test:") == Some(measure);
    let metric = training.metrics.iter().find(|metric| name(&metric.name))?;
    metric.value.as_f64()
}

/// The best of the baselines by a measure.
fn best<'a>(scored: &'a Value, measure: &str) -> Option<(&'a str, f64)> {
    let scores = scored["scores"].as_array()?.iter();
    scores
        .filter_map(|score| Some((score["method"].as_str()?, score[measure].as_f64()?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn to_beat(best: [Option<(&str, f64)>; 2]) -> String {
    let told: Vec<String> = MEASURES
        .iter()
        .zip(best)
        .filter_map(|(measure, best)| {
            let (method, value) = best?;
            Some(format!("{measure} {} ({method})", significant(value)))
        })
        .collect();
    told.join(" and ")
}

/// How the model compares, in percent of the baseline.
fn difference(model: f64, best: f64) -> String {
    let percent = 100.0 * (best - model).abs() / best;
    match model.partial_cmp(&best) {
        Some(std::cmp::Ordering::Less) => format!("the model is {percent:.1} % better"),
        Some(std::cmp::Ordering::Greater) if percent.is_finite() => {
            format!("the baseline is better, the model {percent:.1} % worse")
        }
        Some(std::cmp::Ordering::Greater) => "the baseline is better".to_owned(),
        _ => "neither is better".to_owned(),
    }
}

/// A number with four significant digits.
fn significant(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = number.abs().log10().floor();
    if !(-5.0..9.0).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 8"
    )]
    let decimals = (3.0 - magnitude).max(0.0) as usize;
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::history::Metric;
    use serde_json::json;

    fn report(windows: u64) -> Report {
        let score = |method: &str, rmse: Option<f64>, loss: f64| json!({"method": method, "RMSE": rmse, "mean_wQuantileLoss": loss});
        Report {
            status: "Succeeded".to_owned(),
            stage: None,
            reason: None,
            at: None,
            summary: json!({"baselines": {
                "windows": windows,
                "allSeries": {"series": 106, "observations": 2120, "scores": [
                    score("last value", Some(12.0), 0.04),
                    score("seasonal naive", Some(14.0), 0.05),
                    score("drift", Some(11.0), 0.045),
                ]},
                "predicted": {"asset": "JPM", "series": 1, "observations": 20, "scores": [
                    score("last value", Some(1.5), 0.0101),
                    score("seasonal naive", None, 0.02),
                ]},
            }}),
            notes: Vec::new(),
        }
    }

    fn training(metrics: &[(&str, Value)]) -> Training {
        let metric = |(name, value): &(&str, Value)| Metric {
            name: (*name).to_owned(),
            value: value.clone(),
            at: None,
        };
        Training {
            step_name: "train".to_owned(),
            job_arn: String::new(),
            status: "Completed".to_owned(),
            reason: None,
            started_at: None,
            ended_at: None,
            metrics: metrics.iter().map(metric).collect(),
        }
    }

    /// A model's scores are told beside those of the best baseline, and a difference is never called
    /// skill.
    #[test]
    fn a_model_is_told_beside_the_best_baseline_and_never_called_skilful() {
        let trained = training(&[
            ("train:final_loss", json!(3.5)),
            ("test:RMSE", json!(13.2)),
            ("test:mean_wQuantileLoss", json!(0.03)),
        ]);
        let sentences = verdict(Some(&report(4)), &[trained]);
        assert_eq!(
            sentences,
            [
                "mean_wQuantileLoss over 2120 held-out values of 106 series in 4 test windows: model 0.03000, best \
                 baseline (last value) 0.04000: the model is 25.0 % better",
                "RMSE over 2120 held-out values of 106 series in 4 test windows: model 13.20, best baseline (drift) \
                 11.00: the baseline is better, the model 20.0 % worse",
                "whether the difference is more than chance can't be judged: the training tells one figure over all \
                 windows, and a paired test needs the model's figure of each, and 4 would be too few for one",
                "of JPM alone (20 held-out values) the best baselines have mean_wQuantileLoss 0.01010 (last value) and \
                 RMSE 1.500 (last value); a training's metrics are over all series and don't tell the model's error \
                 for JPM",
            ]
        );
        let trained = training(&[("test:RMSE", json!(11.0))]);
        let sentences = verdict(Some(&report(6)), &[trained]);
        assert!(
            sentences[0].ends_with("11.00: neither is better"),
            "{sentences:?}"
        );
        assert!(!sentences[1].contains("too few"), "{sentences:?}");
    }

    #[test]
    fn the_last_training_that_tells_a_score_counts() {
        let trainings = [
            training(&[("test:RMSE", json!(1.0))]),
            training(&[("test:RMSE", json!(22.0))]),
            training(&[("test:RMSE", json!("NaN"))]),
        ];
        let sentences = verdict(Some(&report(4)), &trainings);
        assert!(sentences[0].contains("model 22.00"), "{sentences:?}");
    }

    #[test]
    fn without_a_score_the_figures_to_beat_are_told() {
        let sentences = verdict(Some(&report(4)), &[training(&[])]);
        assert_eq!(
            sentences[0],
            "no training tells a test score; over 2120 held-out values of 106 series in 4 test windows a model has to \
             beat mean_wQuantileLoss 0.04000 (last value) and RMSE 11.00 (drift)"
        );
    }

    #[test]
    fn without_baselines_nothing_is_said() {
        assert!(verdict(None, &[]).is_empty());
        let mut report = report(4);
        report.summary = json!({"rows": 1});
        assert!(verdict(Some(&report), &[training(&[("test:RMSE", json!(1.0))])]).is_empty());
    }

    #[test]
    fn numbers_have_four_significant_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.001_234_56, "0.001235"),
            (12.345_6, "12.35"),
            (123_456.0, "123456"),
            (1.5e12, "1.500e12"),
            (2.5e-9, "2.500e-9"),
        ] {
            assert_eq!(significant(number), text);
        }
    }
}
