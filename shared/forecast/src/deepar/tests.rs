use std::ops::ControlFlow;

use super::*;
use crate::calendar::Period;
use crate::series::Series;

fn settings() -> ModelSettings {
    ModelSettings {
        frequency: "D".parse().unwrap(),
        context_length: 10,
        prediction_length: 4,
        likelihood: Likelihood::Gaussian,
        cardinality: vec![2],
        dynamic_features: 1,
        cells: 8,
        layers: 2,
        dropout: 0.1,
        embedding: 3,
        learning_rate: 3e-3,
        batch: 40,
        epochs: 3,
        patience: None,
        filling: Filling::Sampled,
        seed: 5,
    }
}

/// A wave around 20 with some missing points; the dynamic feature reaches
/// `further` points beyond the target.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn wave(number: u32, length: usize, further: usize) -> Series {
    let value = |t: usize| 20.0 + 5.0 * (t as f32 * 0.9 + number as f32).sin();
    Series {
        start: Period(18_000),
        target: (0..length)
            .map(|t| if t % 11 == 3 { f32::NAN } else { value(t) })
            .collect(),
        cat: vec![number % 2],
        dynamic_feat: vec![
            (0..length + further)
                .map(|t| (t as f32 * 0.3).cos())
                .collect(),
        ],
    }
}

fn waves() -> Vec<Series> {
    (0..12).map(|number| wave(number, 50, 0)).collect()
}

fn go_on(_: BatchReport) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn trained(settings: ModelSettings, series: Vec<Series>, threads: usize) -> (Model, Vec<u64>) {
    let mut trainer = Trainer::new(settings, series, threads).unwrap();
    let mut losses = Vec::new();
    while !trainer.is_finished() {
        let report = trainer.epoch(&mut go_on).unwrap().unwrap();
        losses.push(report.loss.to_bits());
    }
    (trainer.model().unwrap(), losses)
}

fn bytes(model: &Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let (one, losses) = trained(settings(), waves(), 1);
    for threads in [2, 5] {
        let (model, others) = trained(settings(), waves(), threads);
        assert_eq!(bytes(&one), bytes(&model));
        assert_eq!(losses, others);
    }
    let other_seed = ModelSettings {
        seed: 6,
        ..settings()
    };
    assert_ne!(bytes(&one), bytes(&trained(other_seed, waves(), 1).0));
}

#[test]
fn training_lowers_the_loss_and_the_best_epoch_is_kept() {
    let settings = ModelSettings {
        epochs: 25,
        patience: Some(4),
        ..settings()
    };
    let mut trainer = Trainer::new(settings, waves(), 2).unwrap();
    let mut losses = Vec::new();
    let mut best_epoch = 0;
    while !trainer.is_finished() {
        let report = trainer.epoch(&mut go_on).unwrap().unwrap();
        if report.is_best {
            best_epoch = report.epoch;
        }
        losses.push(report.loss);
    }
    let summary = trainer.model().unwrap().summary().clone();
    assert_eq!(summary.best_epoch, best_epoch);
    assert_eq!(summary.loss.to_bits(), losses[best_epoch].to_bits());
    assert!(summary.loss < losses[0] - 0.5, "{losses:?}");
    assert_eq!(summary.epochs, losses.len());
    let waited = losses.len() - 1 - summary.best_epoch;
    assert_eq!(trainer.has_stopped_early(), waited == 4);
    let validation = trainer.validate(&waves()).unwrap();
    assert!(validation < losses[0] - 0.5, "{validation} {losses:?}");
}

#[test]
fn a_resumed_training_ends_in_the_same_bits() {
    let (whole, _) = trained(settings(), waves(), 1);
    let mut first = Trainer::new(settings(), waves(), 1).unwrap();
    first.epoch(&mut go_on).unwrap();
    let mut file = Vec::new();
    first.checkpoint().write(&mut file).unwrap();

    let checkpoint = Checkpoint::read(&mut &*file).unwrap();
    assert_eq!(&checkpoint, first.checkpoint());
    let mut second = Trainer::new(settings(), waves(), 2).unwrap();
    second.resume(checkpoint.clone()).unwrap();
    assert_eq!(second.epochs(), 1);
    while !second.is_finished() {
        second.epoch(&mut go_on).unwrap();
    }
    assert_eq!(bytes(&whole), bytes(&second.model().unwrap()));

    let other = ModelSettings {
        cells: 9,
        ..settings()
    };
    let mut other = Trainer::new(other, waves(), 1).unwrap();
    let fault = other.resume(checkpoint.clone()).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the checkpoint is of another training, which has another num_cells; remove it to start anew"
    );
    let mut other = Trainer::new(settings(), waves().split_off(1), 1).unwrap();
    let fault = other.resume(checkpoint).unwrap_err();
    assert!(
        fault.to_string().contains("another training data"),
        "{fault}"
    );
}

#[test]
fn an_epoch_that_is_broken_off_leaves_no_trace() {
    let mut trainer = Trainer::new(settings(), waves(), 1).unwrap();
    let before = trainer.checkpoint().clone();
    let mut batches = 0;
    let report = trainer.epoch(&mut |_| {
        batches += 1;
        if batches == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!((report.unwrap(), batches), (None, 3));
    assert_eq!(trainer.checkpoint(), &before);
    assert!(trainer.model().is_none());
}

#[test]
fn a_forecast_depends_on_its_own_series_alone() {
    let (model, _) = trained(settings(), waves(), 1);
    let asked: Vec<Series> = (0..5).map(|number| wave(number, 30, 4)).collect();
    let alone = model.predict(&asked[3], 150).unwrap();
    assert_eq!(model.predict_by(&asked[3], 150, 4).as_ref(), Ok(&alone));
    let all = model.predict_all(&asked, 150, 2);
    assert_eq!(all[3].as_ref(), Ok(&alone));
    let turned: Vec<Series> = asked.iter().rev().chain(&asked[3..4]).cloned().collect();
    let others = model.predict_all(&turned, 150, 1);
    assert_eq!(others[1].as_ref(), Ok(&alone));
    assert_eq!(others[5].as_ref(), Ok(&alone));
    assert_ne!(all[2].as_ref(), Ok(&alone));
}

/// The first samples are the same, however many are drawn.
#[test]
fn more_samples_begin_with_the_same_ones() {
    let (model, _) = trained(settings(), waves(), 1);
    let few = model.predict(&wave(1, 30, 4), 3).unwrap();
    let many = model.predict(&wave(1, 30, 4), 300).unwrap();
    assert_eq!(many.samples().len(), 300);
    assert!(few.samples().zip(many.samples()).all(|(a, b)| a == b));
    assert!(
        many.samples()
            .all(|sample| sample.iter().all(|x| x.is_finite()))
    );
}

#[test]
fn mean_and_quantiles_are_those_of_the_samples() {
    let prediction = Prediction::of(vec![vec![1.0, 4.0], vec![3.0, 0.0], vec![8.0, 2.0]]);
    assert_eq!(prediction.mean(), [4.0, 2.0]);
    let quantiles = prediction.quantiles(&[0.1, 0.5, 0.9]);
    assert_eq!(quantiles, [[1.0, 0.0], [3.0, 2.0], [8.0, 4.0]]);
}

#[test]
fn a_series_without_a_point_or_all_missing_is_a_cold_start() {
    let (model, _) = trained(settings(), waves(), 1);
    for target in [
        vec![],
        vec![f32::NAN; 7],
        vec![f32::NAN],
        vec![21.0],
        vec![0.0; 9],
    ] {
        let series = Series {
            dynamic_feat: vec![vec![0.5; target.len() + 4]],
            target,
            ..wave(0, 0, 0)
        };
        let forecast = model.predict(&series, 20).unwrap();
        assert!(
            forecast
                .mean()
                .iter()
                .all(|x| x.is_finite() && x.abs() < 1e4)
        );
    }
}

#[test]
fn a_series_that_does_not_fit_the_model_is_refused_by_field() {
    let (model, _) = trained(settings(), waves(), 1);
    let good = wave(0, 20, 4);
    let mut cases = vec![(good.clone(), 0, "`num_samples` is 0")];
    let mut bad = good.clone();
    bad.cat = vec![];
    cases.push((
        bad,
        1,
        "`cat` has 0 value(s), but the model was trained with 1",
    ));
    let mut bad = good.clone();
    bad.cat = vec![2];
    cases.push((
        bad,
        1,
        "`cat[0]` is 2, but the model was trained with categories 0 to 1",
    ));
    let mut bad = good.clone();
    bad.dynamic_feat = vec![];
    cases.push((bad, 1, "`dynamic_feat` has 0 list(s)"));
    cases.push((
        wave(0, 20, 3),
        1,
        "`dynamic_feat[0]` has 23 values, but needs 24",
    ));
    for (series, samples, wanted) in cases {
        let fault = model.predict(&series, samples).unwrap_err().to_string();
        assert!(fault.contains(wanted), "{fault}");
    }
    assert!(model.predict(&good, 1).is_ok());
}

#[test]
fn a_model_is_read_back_and_predicts_the_same() {
    let (model, _) = trained(settings(), waves(), 1);
    let file = bytes(&model);
    let read = Model::read(&mut &*file).unwrap();
    assert_eq!(read.settings(), model.settings());
    assert_eq!(read.summary(), model.summary());
    assert_eq!(bytes(&read), file);
    let series = wave(2, 25, 4);
    assert_eq!(read.predict(&series, 30), model.predict(&series, 30));
}

/// Every number of the header comes back to the last bit: about one in ten of these doesn't in serde_json without `float_roundtrip`.
#[test]
fn a_model_that_is_read_back_is_written_the_same() {
    let (mut model, _) = trained(settings(), waves(), 1);
    for number in 0..200 {
        model.training.loss = (f64::from(number) * 0.7).sin() * 3.1;
        let file = bytes(&model);
        let back = Model::read(&mut &*file).unwrap();
        assert_eq!(back.training.loss, model.training.loss);
        assert_eq!(bytes(&back), file);
    }
}

#[test]
fn a_damaged_foreign_or_newer_file_is_refused() {
    let (model, _) = trained(settings(), waves(), 1);
    let file = bytes(&model);
    for at in (0..file.len()).step_by(97).chain(0..24) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        assert!(Model::read(&mut &*damaged).is_err(), "byte {at}");
        assert!(Model::read(&mut &file[..at]).is_err(), "first {at} bytes");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert!(matches!(
        Model::read(&mut &*longer),
        Err(ArtifactError::Damaged(_))
    ));
    let mut newer = file.clone();
    newer[8] = 2;
    let fault = Model::read(&mut &*newer).unwrap_err().to_string();
    assert!(fault.contains("format version 2"), "{fault}");
    let fault = Model::read(&mut &b"PK\x03\x04 something else"[..]).unwrap_err();
    assert!(matches!(fault, ArtifactError::Foreign("model")));
}

#[test]
fn nothing_to_learn_from_is_refused_in_words() {
    let short = Trainer::new(settings(), vec![wave(0, 3, 0)], 1).unwrap_err();
    assert!(
        short.to_string().contains("prediction_length = 4"),
        "{short}"
    );
    for value in [0.0, f32::NAN] {
        let mut series = wave(0, 30, 0);
        series.target.fill(value);
        let zeros = Trainer::new(settings(), vec![series], 1).unwrap_err();
        assert_eq!(zeros, TrainError::OnlyZeros);
    }
}

/// Data without use, and data of use: the loss and the forecast
/// stay finite, or the training says that it does not converge.
#[test]
fn constant_zero_enormous_and_tiny_targets_stay_finite() {
    for likelihood in Likelihood::ALL {
        let mut cases: Vec<(&str, Vec<f32>)> = vec![
            ("constant", vec![0.25; 40]),
            ("zeros but one", [vec![0.0; 39], vec![1.0]].concat()),
            (
                "one observed",
                [vec![f32::NAN; 20], vec![1.0], vec![f32::NAN; 19]].concat(),
            ),
            (
                "outlier",
                [vec![1.0; 20], vec![1e15], vec![1.0; 19]].concat(),
            ),
        ];
        for scale in [1e15, 1e-12_f32] {
            let name = if scale > 1.0 { "enormous" } else { "tiny" };
            let wave = wave(0, 40, 0).target;
            cases.push((name, wave.iter().map(|value| value * scale).collect()));
        }
        for (name, target) in cases {
            let settings = ModelSettings {
                likelihood,
                batch: 8,
                epochs: 2,
                ..settings()
            };
            let mut series = wave(0, 40, 0);
            series.target = target;
            let mut trainer = Trainer::new(settings, vec![series.clone()], 1).unwrap();
            while !trainer.is_finished() {
                let report = trainer.epoch(&mut go_on);
                let report = report.unwrap_or_else(|error| panic!("{likelihood}, {name}: {error}"));
                assert!(report.unwrap().loss.is_finite(), "{likelihood}, {name}");
            }
            series.dynamic_feat[0].extend([0.0; 4]);
            let forecast = trainer.model().unwrap().predict(&series, 10).unwrap();
            let mean = forecast.mean();
            assert!(
                mean.iter().all(|x| x.is_finite()),
                "{likelihood}, {name}: {mean:?}"
            );
        }
    }
}
