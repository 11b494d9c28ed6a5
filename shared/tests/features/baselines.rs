//! The scores of naive forecasts against the files that DeepAR reads: the same
//! records, windows and formulas.

use pipewright::features::{AssetScored, BaselineScore, Scored};
use pipewright_forecast::baseline::Baseline;
use pipewright_forecast::hyperparameters::Quantile;
use pipewright_forecast::score::{Metrics, Score};
use serde_json::{Value, json};

use super::{
    Assets, MONDAY, asset, assets, end_of_training, files, lines, run, series, template, weekdays,
};

const LENGTH: usize = 7;

/// The scores of records of the test file, worked out from its lines.
fn scores_of<'a>(
    records: impl Iterator<Item = &'a Value>,
    season: usize,
    levels: &[&str],
) -> Vec<Metrics> {
    let quantiles: Vec<Quantile> = levels
        .iter()
        .map(|text| Quantile::parse(text).unwrap())
        .collect();
    let values: Vec<f64> = quantiles.iter().map(|quantile| quantile.value).collect();
    let mut scores = vec![Score::new(&quantiles); Baseline::ALL.len()];
    for record in records {
        let target: Vec<f32> = record["target"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.to_string().parse().unwrap_or(f32::NAN))
            .collect();
        let (past, actuals) = target.split_at(target.len() - LENGTH);
        for (score, baseline) in scores.iter_mut().zip(Baseline::ALL) {
            let forecast = baseline.forecast(past, season, LENGTH).unwrap();
            score.add(actuals, &forecast.mean, &forecast.quantiles(&values));
        }
    }
    scores.iter().map(Score::metrics).collect()
}

fn assert_same(scores: &[BaselineScore], observations: usize, expected: &[Metrics]) {
    assert_eq!(scores.len(), expected.len());
    for ((score, expected), baseline) in scores.iter().zip(expected).zip(Baseline::ALL) {
        assert_eq!(score.method, baseline.name());
        assert_eq!(observations, expected.points);
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} {b}");
        near(score.rmse, expected.rmse);
        near(
            score.mean_absolute_quantile_loss,
            expected.mean_absolute_quantile_loss,
        );
        near(
            score.mean_weighted_quantile_loss,
            expected.mean_weighted_quantile_loss,
        );
        assert_eq!(
            score.weighted_quantile_loss.len(),
            expected.weighted_quantile_loss.len()
        );
        for (quantile, loss) in &expected.weighted_quantile_loss {
            near(score.weighted_quantile_loss[&quantile.text], *loss);
        }
    }
}

/// Every score of a baseline is that of the records that DeepAR reads, by the formulas of its own
/// scores.
#[test]
fn every_score_is_that_of_the_records_that_deepar_reads() {
    for (calendar, season) in [("daily", 7), ("trading", 5)] {
        let mut document = template(end_of_training());
        document["deepARMeta"]["calendar"] = json!(calendar);
        document["deepARMeta"]["testWindows"] = json!(3);
        document["deepARMeta"]["hyperParams"]["test_quantiles"] = json!([0.1, 0.5, 0.9]);
        let levels = ["0.1", "0.5", "0.9"];
        let set = run(&document, assets(130), 2).unwrap();
        let [_, _, test] = files(&set);
        let test = lines(&test);
        let map = set.series_map();
        let map = map.as_array().unwrap();
        let count = map.len();
        let baselines = set.baselines().unwrap();
        assert_eq!(baselines.season, season);

        let all = &baselines.all_series;
        assert_eq!(all.series, count);
        assert_same(
            &all.scores,
            all.observations,
            &scores_of(test.iter(), season, &levels),
        );
        let of_window = |window: usize| test[window * count..(window + 1) * count].iter();
        assert_eq!(all.windows.len(), 3);
        for (number, window) in all.windows.iter().enumerate() {
            let expected = scores_of(of_window(number), season, &levels);
            assert_same(&window.scores, window.observations, &expected);
        }

        let tickers: Vec<&str> = baselines
            .assets
            .iter()
            .map(|one| one.asset.as_str())
            .collect();
        assert_eq!(tickers, ["A", "B", "C"]);
        for AssetScored { asset, scored } in &baselines.assets {
            let line = map
                .iter()
                .position(|entry| entry["column"] == json!(asset))
                .unwrap();
            let of_asset = |window: usize| &test[window * count + line];
            let expected = scores_of((0..3).map(of_asset), season, &levels);
            assert_same(&scored.scores, scored.observations, &expected);
            for (number, window) in scored.windows.iter().enumerate() {
                let expected = scores_of(std::iter::once(of_asset(number)), season, &levels);
                assert_same(&window.scores, window.observations, &expected);
            }
        }
        let predicted = baselines.predicted.as_ref().unwrap();
        assert_eq!(predicted, &baselines.assets[0]);
    }
}

/// Prices that rise by 1 a trading day, worked out by hand.
#[test]
fn the_scores_of_a_straight_line_are_those_worked_out_by_hand() {
    let dates = weekdays(150);
    let line: Assets = [("A", "X"), ("B", "X"), ("C", "Y")]
        .map(|(ticker, class)| {
            let prices = series(ticker, &dates, |row| {
                100.0 + f64::from(u32::try_from(row).unwrap())
            });
            (asset(ticker, class), prices)
        })
        .into();
    let mut document = template(end_of_training());
    document["deepARMeta"]["calendar"] = json!("trading");
    document["feMeta"]
        .as_object_mut()
        .unwrap()
        .remove("taSettings");
    document["feMeta"]
        .as_object_mut()
        .unwrap()
        .remove("fftSettings");
    let set = run(&document, line, 1).unwrap();
    let baselines = set.baselines().unwrap();
    let Scored {
        observations,
        scores,
        windows,
        ..
    } = &baselines.predicted.as_ref().unwrap().scored;
    assert_eq!(*observations, 14);
    // A week is 20 rows of 5: training ends before row 100, a Monday.
    let first = MONDAY + time::Duration::weeks(20);
    assert_eq!(windows[0].first_date, first);
    assert_eq!(windows[0].last_date, first + time::Duration::days(8));
    assert_eq!(windows[1].first_date, first + time::Duration::days(9));
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
    // The last value lags by 1 to 7, the season by 5 for five days and 10 for two.
    near(scores[0].rmse, (140.0_f64 / 7.0).sqrt());
    near(scores[1].rmse, (325.0_f64 / 7.0).sqrt());
    near(scores[2].rmse, 0.0);
    // Every earlier error was the same, so the quantiles are right to the point.
    for score in scores {
        near(score.mean_weighted_quantile_loss, 0.0);
        near(score.coverage["80"], 100.0);
    }
}

#[test]
fn the_file_and_the_summary_say_the_same_for_any_number_of_threads() {
    let document = template(end_of_training());
    let set = run(&document, assets(130), 1).unwrap();
    let written = |set: &pipewright::features::FeatureSet| -> Value {
        let outputs = set.outputs();
        let output = outputs
            .iter()
            .find(|output| output.name() == "features/baselines.json")
            .unwrap();
        let mut bytes = Vec::new();
        output.write(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let file = written(&set);
    assert_eq!(file["predicted"]["asset"], "A");
    assert_eq!(file["predicted"]["windows"][0]["window"], 1);
    let summary = serde_json::to_value(set.summary()).unwrap();
    let summary = &summary["baselines"];
    assert_eq!(summary["windows"], 2);
    for (file, summary) in [
        (&file["allSeries"], &summary["allSeries"]),
        (&file["predicted"], &summary["predicted"]),
    ] {
        assert_eq!(file["observations"], summary["observations"]);
        for number in 0..3 {
            for name in ["method", "RMSE", "mean_wQuantileLoss"] {
                assert_eq!(
                    file["scores"][number][name],
                    summary["scores"][number][name]
                );
            }
        }
    }
    let other = run(&document, assets(130), 3).unwrap();
    assert_eq!(written(&other), file);
}
