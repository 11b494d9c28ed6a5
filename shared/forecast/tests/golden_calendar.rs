//! Frequencies and periods against GluonTS and pandas
//! (`tests/golden/make_calendar.py`).

use pipewright_forecast::calendar::Frequency;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    steps: Vec<i64>,
    frequencies: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    lags: Vec<usize>,
    season: usize,
    points: Vec<Points>,
}

#[derive(Deserialize)]
struct Points {
    start: String,
    ordinals: Vec<i64>,
    /// By feature, then by step.
    features: Vec<Vec<f32>>,
}

fn golden() -> Golden {
    let text = include_str!("../../../tests/golden/data/calendar.json");
    serde_json::from_str(text).expect("the golden file fits these types")
}

fn frequency(case: &Case) -> Frequency {
    case.name.parse().expect("a frequency")
}

#[test]
fn lags_and_seasons_are_those_of_gluonts() {
    let golden = golden();
    assert_eq!(golden.frequencies.len(), 150);
    for case in &golden.frequencies {
        assert_eq!(frequency(case).lags(), case.lags, "lags of {}", case.name);
        assert_eq!(frequency(case).season(), case.season, "{}", case.name);
    }
}

#[test]
fn periods_and_their_features_are_those_of_pandas() {
    let golden = golden();
    let mut compared = 0;
    for case in &golden.frequencies {
        let frequency = frequency(case);
        let mut features = vec![0.0; frequency.feature_count()];
        for points in &case.points {
            let start = frequency.parse_start(&points.start).unwrap();
            assert_eq!(features.len(), points.features.len(), "{}", case.name);
            for (t, &step) in golden.steps.iter().enumerate() {
                let period = frequency.advance(start, step);
                let place = format!("{} + {step} steps of {}", points.start, case.name);
                assert_eq!(period.0, points.ordinals[t], "{place}");
                frequency.features(period, &mut features);
                for (value, column) in features.iter().zip(&points.features) {
                    assert!((value - column[t]).abs() <= 1e-6, "{place}: {features:?}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, (1 + 2 + 3 + 3 + 4 + 4 + 5 + 5 + 5) * 10 * 12);
}
