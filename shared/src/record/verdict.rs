//! A model's test scores beside those of naive forecasts, in words.
//!
//! The feature step scores last value, seasonal naive and drift on the windows
//! of the test channel (`baselines` of its summary); DeepAR scores itself on the
//! same windows by the same formulas and tells so in its metrics. Those are one
//! figure for all windows and series together. Where the model's scores in each
//! window were asked for ([`ModelScore`]), a sign test says whether chance alone
//! would do, and the predicted asset has figures of its own. A figure that is
//! better is not called skill.

use serde_json::Value;

use super::history::Training;
use super::model::{Compared, MeasureCompared, ModelScore};
use super::rows::StepReport;

/// The measures, by the names that they have in the summary; as metrics they
/// have `test:` before them. All are the better the lower.
const MEASURES: [&str; 2] = ["mean_wQuantileLoss", "RMSE"];

/// The fewest windows in which a sign test can find anything at the level of
/// 5 %: with five, all in favour of one side have probability 2/32.
const FEWEST_WINDOWS: u64 = 6;

/// Below which p-value chance alone is no good explanation.
const LEVEL: f64 = 0.05;

/// What is to be said, a sentence each; nothing where the feature step left no
/// scores.
pub(super) fn verdict(
    report: Option<&StepReport>,
    trainings: &[Training],
    score: Option<&ModelScore>,
) -> Vec<String> {
    if let Some(score) = score {
        return beside(score);
    }
    let Some(baselines) = report
        .map(|report| &report.summary["baselines"])
        .filter(|baselines| baselines.is_object())
    else {
        return Vec::new();
    };
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let windows = number(&baselines["windows"]);
    let all = &baselines["allSeries"];
    let held_out = format!(
        "{} of {} in {}",
        counted(
            number(&all["observations"]),
            "held-out value",
            "held-out values"
        ),
        counted(number(&all["series"]), "series", "series"),
        counted(windows, "test window", "test windows"),
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
                if let (Some(model), Some(best)) = (model, best) {
                    sentences.push(beside_best(measure, &held_out, model, best));
                }
            }
            let too_few = match windows < FEWEST_WINDOWS {
                true => format!("; {windows} are too few for a test"),
                false => String::new(),
            };
            sentences.push(format!(
                "whether the difference is more than chance is not known: the training tells one figure over all \
                 windows, and `pipewright score` the model's figure of each{too_few}"
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
                "of {asset} alone ({}) the best baselines have {to_beat}; a training's metrics are over all series, \
                 and `pipewright score` tells the model's error for {asset}",
                counted(
                    number(&predicted["observations"]),
                    "held-out value",
                    "held-out values"
                ),
            ));
        }
    }
    sentences
}

/// What is to be said of a model whose scores in each window are known.
pub fn beside(score: &ModelScore) -> Vec<String> {
    let windows = counted(score.windows as u64, "test window", "test windows");
    let of = |compared: &Compared| {
        let held_out = counted(
            compared.observations as u64,
            "held-out value",
            "held-out values",
        );
        match &compared.asset {
            Some(asset) => format!("{held_out} of {asset} alone in {windows}"),
            None => format!(
                "{held_out} of {} in {windows}",
                counted(compared.series as u64, "series", "series")
            ),
        }
    };
    let mut sentences = Vec::new();
    for compared in [Some(&score.all_series), score.predicted.as_ref()]
        .into_iter()
        .flatten()
    {
        for measure in &compared.measures {
            sentences.push(format!(
                "{}, {}",
                beside_best(
                    &measure.measure,
                    &of(compared),
                    measure.model,
                    (&measure.method, measure.baseline)
                ),
                window_by_window(measure),
            ));
        }
    }
    sentences
}

/// A measure of the model and of the best baseline, and which is better.
fn beside_best(measure: &str, of: &str, model: f64, (method, best): (&str, f64)) -> String {
    format!(
        "{measure} over {of}: model {}, best baseline ({method}) {}: {}",
        significant(model),
        significant(best),
        difference(model, best)
    )
}

/// In how many windows the model is the better one, and what that is worth.
fn window_by_window(measure: &MeasureCompared) -> String {
    let MeasureCompared {
        better, worse, p, ..
    } = measure;
    let windows = better + worse;
    let head = format!("the model ahead in {better} of {windows} windows");
    if (windows as u64) < FEWEST_WINDOWS {
        return format!("{head}, too few for a sign test");
    }
    let judgement = match *p < LEVEL {
        true => "more than chance explains in these windows",
        false => "no more than chance explains",
    };
    format!("{head} (sign test: p = {}), {judgement}", significant(*p))
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
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

    fn report(windows: u64) -> StepReport {
        let score = |method: &str, rmse: Option<f64>, loss: f64| json!({"method": method, "RMSE": rmse, "mean_wQuantileLoss": loss});
        StepReport {
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
        let sentences = verdict(Some(&report(4)), &[trained], None);
        assert_eq!(
            sentences,
            [
                "mean_wQuantileLoss over 2120 held-out values of 106 series in 4 test windows: model 0.03000, best \
                 baseline (last value) 0.04000: the model is 25.0 % better",
                "RMSE over 2120 held-out values of 106 series in 4 test windows: model 13.20, best baseline (drift) \
                 11.00: the baseline is better, the model 20.0 % worse",
                "whether the difference is more than chance is not known: the training tells one figure over all \
                 windows, and `pipewright score` the model's figure of each; 4 are too few for a test",
                "of JPM alone (20 held-out values) the best baselines have mean_wQuantileLoss 0.01010 (last value) and \
                 RMSE 1.500 (last value); a training's metrics are over all series, and `pipewright score` tells the \
                 model's error for JPM",
            ]
        );
        let trained = training(&[("test:RMSE", json!(11.0))]);
        let sentences = verdict(Some(&report(6)), &[trained], None);
        assert!(
            sentences[0].ends_with("11.00: neither is better"),
            "{sentences:?}"
        );
        assert!(!sentences[1].contains("too few"), "{sentences:?}");
    }

    /// Where the model's score in each window is known, a sign test says whether chance alone would do, and the
    /// predicted asset has figures of its own.
    #[test]
    fn a_score_of_each_window_is_held_against_chance() {
        let measure = |model, better, worse, p| MeasureCompared {
            measure: "RMSE".to_owned(),
            model,
            method: "drift".to_owned(),
            baseline: 2.0,
            better,
            worse,
            p,
        };
        let compared = |asset: Option<&str>, measure| Compared {
            asset: asset.map(str::to_owned),
            series: 3,
            observations: 60,
            measures: vec![measure],
        };
        let score = |windows, all, predicted| ModelScore {
            at: 0,
            model: String::new(),
            windows,
            all_series: compared(None, all),
            predicted: Some(compared(Some("JPM"), predicted)),
        };
        let few = score(4, measure(1.5, 4, 0, 0.125), measure(3.0, 1, 3, 0.625));
        assert_eq!(
            verdict(Some(&report(4)), &[], Some(&few)),
            [
                "RMSE over 60 held-out values of 3 series in 4 test windows: model 1.500, best baseline (drift) 2.000: \
                 the model is 25.0 % better, the model ahead in 4 of 4 windows, too few for a sign test",
                "RMSE over 60 held-out values of JPM alone in 4 test windows: model 3.000, best baseline (drift) \
                 2.000: the baseline is better, the model 50.0 % worse, the model ahead in 1 of 4 windows, too few \
                 for a sign test",
            ]
        );
        let many = score(9, measure(1.5, 9, 0, 0.003_9), measure(1.5, 5, 4, 1.0));
        let sentences = verdict(None, &[], Some(&many));
        assert!(
            sentences[0]
                .ends_with("(sign test: p = 0.003900), more than chance explains in these windows"),
            "{sentences:?}"
        );
        assert!(
            sentences[1].ends_with("(sign test: p = 1.000), no more than chance explains"),
            "{sentences:?}"
        );
    }

    #[test]
    fn the_last_training_that_tells_a_score_counts() {
        let trainings = [
            training(&[("test:RMSE", json!(1.0))]),
            training(&[("test:RMSE", json!(22.0))]),
            training(&[("test:RMSE", json!("NaN"))]),
        ];
        let sentences = verdict(Some(&report(4)), &trainings, None);
        assert!(sentences[0].contains("model 22.00"), "{sentences:?}");
    }

    #[test]
    fn without_a_score_the_figures_to_beat_are_told() {
        let sentences = verdict(Some(&report(4)), &[training(&[])], None);
        assert_eq!(
            sentences[0],
            "no training tells a test score; over 2120 held-out values of 106 series in 4 test windows a model has to \
             beat mean_wQuantileLoss 0.04000 (last value) and RMSE 11.00 (drift)"
        );
    }

    #[test]
    fn without_baselines_nothing_is_said() {
        assert!(verdict(None, &[], None).is_empty());
        let mut report = report(4);
        report.summary = json!({"rows": 1});
        let trained = [training(&[("test:RMSE", json!(1.0))])];
        assert!(verdict(Some(&report), &trained, None).is_empty());
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
