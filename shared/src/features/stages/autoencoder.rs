//! The autoencoder's columns: which inputs it reads, how they are scaled, and what
//! became of them; the network is [`crate::features::autoencoder`].

use serde::Serialize;
use thiserror::Error;
use time::Date;

use super::{ColumnStage, share_of, training_rows};
use crate::features::alignment::{Panel, Table};
use crate::features::autoencoder::{self as network, Output, Training};
use crate::features::columns::{Causality, Column, ColumnDescription, ColumnKind};
use crate::features::error::FeatureError;
use crate::features::input::CatalogueAsset;
use crate::features::stage::{Log, Stage};
use crate::training_template::{
    AutoencoderInputs, AutoencoderOutput, AutoencoderSettings, FeatureSettings, TrainingTemplate,
};

/// The share of all rows that it learns from, as far as they are complete.
const SHARE: f64 = 0.7;

/// Share of later cells beyond the training range that is worth a warning: a
/// sigmoid can't follow them.
const MUCH_OUT_OF_RANGE: f64 = 0.2;

/// Why it has nothing to learn from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AutoencoderFault {
    /// No column is left without those of the predicted asset.
    #[error("every column is made from the predicted asset")]
    NoInput,
    /// No row that it may learn from has all inputs.
    #[error(
        "no row before row {training_end}, where its training ends, has a {input} in every column"
    )]
    NoCompleteRow {
        /// The row, counted from 0.
        training_end: usize,
        /// What an input is: a value, or a change.
        input: &'static str,
    },
}

/// How well the autoencoder reproduces its inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoencoderReport {
    /// Columns it reads, and columns it makes.
    pub inputs: usize,
    /// Rows it learnt from.
    pub training_rows: usize,
    /// Complete rows after those.
    pub later_rows: usize,
    /// Mean squared error on the training rows, in the scaled inputs' units.
    pub training_error: f64,
    /// The same on later rows; 0 without any.
    pub later_error: f64,
    /// The share of later cells outside the range of the training rows.
    pub out_of_range: f64,
    /// Each epoch's loss.
    #[serde(skip)]
    pub losses: Vec<f64>,
}

pub(super) struct Autoencoder;

impl ColumnStage for Autoencoder {
    fn stage(&self) -> Stage {
        Stage::Autoencoder
    }

    fn switch<'a>(&self, features: &'a mut FeatureSettings) -> (&'static str, &'a mut bool) {
        let enabled = &mut features.autoencoder.enabled;
        ("feMeta.autoEncoderSettings.enabled", enabled)
    }

    fn describe(
        &self,
        template: &TrainingTemplate,
        assets: Option<&[CatalogueAsset]>,
        before: &[ColumnDescription],
    ) -> Vec<ColumnDescription> {
        let predicted = Some(template.predicted_asset.as_str());
        let inputs = before.iter();
        let inputs: Vec<_> = inputs
            .filter(|one| one.asset.as_deref() != predicted)
            .collect();
        let of_changes = template.features.autoencoder.inputs == AutoencoderInputs::Changes;
        let first_rows = inputs
            .iter()
            .map(|input| input.warm_up_rows + usize::from(of_changes && input.is_price_like));
        let warm_up_rows = first_rows.max().unwrap_or(0);
        let unit = |number| ColumnDescription {
            warm_up_rows,
            ..unit(template, number)
        };
        match assets {
            Some(_) => (0..inputs.len()).map(unit).collect(),
            None => vec![ColumnDescription {
                name: "AE_<number>".to_owned(),
                ..unit(0)
            }],
        }
    }

    fn faults(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        columns: &[ColumnDescription],
    ) -> Vec<FeatureError> {
        let fault = inputs_of(template, &panel.sketch(columns).rows).err();
        fault.map(FeatureError::Autoencoder).into_iter().collect()
    }

    fn make(
        &self,
        template: &TrainingTemplate,
        panel: &Panel,
        threads: usize,
        log: &mut Log<'_>,
    ) -> Result<Vec<Column>, FeatureError> {
        let settings = &template.features.autoencoder;
        let rows = &panel.tables.rows;
        log.started(
            self.stage(),
            format!(
                "{} epochs, batches of {}, rows before row {}",
                settings.epochs,
                settings.batch_size,
                training_end(template, &rows.dates)
            ),
        );
        let inputs = inputs_of(template, rows).map_err(FeatureError::Autoencoder)?;
        let Encoded {
            units,
            report,
            not_finite,
        } = encode(settings, &inputs, threads, &mut log.advanced(self.stage()));
        if report.out_of_range > MUCH_OUT_OF_RANGE {
            log.warn(format!(
                "autoencoder: {:.1} % of the later cells lie outside the range of the training rows, which its output can't follow",
                100.0 * report.out_of_range
            ));
        }
        if not_finite > 0 {
            log.warn(format!(
                "autoencoder: the output of {not_finite} rows is not finite and was left missing"
            ));
        }
        log.finished(
            self.stage(),
            format!(
                "{} columns; mean squared error {:.3e} on {} training rows, {:.3e} on {} later ones, {:.1} % of later cells out of range",
                report.inputs,
                report.training_error,
                report.training_rows,
                report.later_error,
                report.later_rows,
                100.0 * report.out_of_range
            ),
        );
        log.autoencoder = Some(report);
        let units = units.into_iter().enumerate();
        let columns = units.map(|(number, values)| Column::new(unit(template, number), values));
        Ok(columns.collect())
    }
}

/// A unit's column. Its warm-up is that of the inputs.
fn unit(template: &TrainingTemplate, unit: usize) -> ColumnDescription {
    let settings = &template.features.autoencoder;
    ColumnDescription {
        name: format!("AE_{unit}"),
        asset: None,
        stage: Stage::Autoencoder.name(),
        kind: ColumnKind::Autoencoder { unit },
        title: "autoencoder".to_owned(),
        is_price_like: true,
        formula: format!(
            "{} of the autoencoder (600 sigmoid, 330 relu, d relu, 330 relu, 600 relu, d sigmoid) on the {}s of the d columns not made from {}, each scaled to 0..1 on the rows it learns from",
            match settings.output {
                AutoencoderOutput::Reconstruction => "unit of the last layer",
                AutoencoderOutput::Middle => "unit of the third layer",
            },
            input(settings),
            template.predicted_asset
        ),
        warm_up_rows: 0,
        causality: Causality::Fitted {
            learns_from: format!("the complete ones among the first {SHARE} of all rows"),
            before: template.deepar.end_training,
        },
    }
}

/// What an input is.
fn input(settings: &AutoencoderSettings) -> &'static str {
    match settings.inputs {
        AutoencoderInputs::Changes => "change",
        AutoencoderInputs::Levels => "value",
    }
}

/// The row where training ends.
fn training_end(template: &TrainingTemplate, dates: &[Date]) -> usize {
    (share_of(dates.len(), SHARE) + 1).min(training_rows(template, dates, 1.0))
}

/// The rows that have all inputs.
pub(in crate::features) fn complete_rows(template: &TrainingTemplate, rows: &Table) -> Vec<usize> {
    inputs_of(template, rows).map_or_else(|_| Vec::new(), |inputs| inputs.complete)
}

fn inputs_of(template: &TrainingTemplate, rows: &Table) -> Result<Inputs, AutoencoderFault> {
    Inputs::new(
        &template.features.autoencoder,
        &template.predicted_asset,
        &rows.columns,
        training_end(template, &rows.dates),
    )
}

/// What it reads.
struct Inputs {
    /// Each with a value a row.
    columns: Vec<Vec<f64>>,
    /// The rows that have all of them.
    complete: Vec<usize>,
    /// How many of those it learns from.
    training: usize,
}

impl Inputs {
    /// Every column not made from the predicted asset, learnt from on the complete
    /// rows before `training_end`.
    fn new(
        settings: &AutoencoderSettings,
        predicted: &str,
        columns: &[Column],
        training_end: usize,
    ) -> Result<Self, AutoencoderFault> {
        let columns: Vec<Vec<f64>> = columns
            .iter()
            .filter(|column| column.asset.as_deref() != Some(predicted))
            .map(|column| match settings.inputs {
                AutoencoderInputs::Changes if column.is_price_like => {
                    changes(&column.values, training_end)
                }
                _ => column.values.clone(),
            })
            .collect();
        let rows = columns.first().ok_or(AutoencoderFault::NoInput)?.len();
        let complete: Vec<usize> = (0..rows)
            .filter(|row| columns.iter().all(|column| !column[*row].is_nan()))
            .collect();
        let training = complete.partition_point(|row| *row < training_end);
        if training == 0 {
            let input = input(settings);
            return Err(AutoencoderFault::NoCompleteRow {
                training_end,
                input,
            });
        }
        Ok(Self {
            columns,
            complete,
            training,
        })
    }
}

/// The columns' values by unit, and how well the network did.
struct Encoded {
    units: Vec<Vec<f64>>,
    report: AutoencoderReport,
    /// Rows whose output is not a finite number; they are missing.
    not_finite: usize,
}

/// Trains on the training rows and encodes all complete rows.
fn encode(
    settings: &AutoencoderSettings,
    inputs: &Inputs,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Encoded {
    let columns = &inputs.columns;
    let (training, later) = inputs.complete.split_at(inputs.training);
    let scales: Vec<Scale> = columns
        .iter()
        .map(|column| Scale::of(column, training))
        .collect();
    let width = columns.len();
    let scaled = |rows: &[usize]| -> Vec<f32> {
        let mut cells = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let row_cells = columns
                .iter()
                .zip(&scales)
                .map(|(column, scale)| scale.apply(column[*row]));
            cells.extend(row_cells);
        }
        cells
    };
    let (training_cells, later_cells) = (scaled(training), scaled(later));
    let outside = columns
        .iter()
        .zip(&scales)
        .map(|(column, scale)| {
            let beyond = |row: &&usize| !scale.covers(column[**row]);
            later.iter().filter(beyond).count()
        })
        .sum();

    let mut network = network::Autoencoder::new(width, settings.seed);
    let losses = network.train(
        &training_cells,
        Training {
            epochs: settings.epochs,
            batch_size: settings.batch_size,
            shuffle: settings.shuffle,
            seed: settings.seed,
        },
        threads,
        progress,
    );
    let output = match settings.output {
        AutoencoderOutput::Reconstruction => Output::Reconstruction,
        AutoencoderOutput::Middle => Output::Middle,
    };
    let mut units = vec![vec![f64::NAN; columns[0].len()]; width];
    let mut not_finite = 0;
    for (rows, cells) in [(training, &training_cells), (later, &later_cells)] {
        let predicted = network.predict(cells, output);
        for (row, outputs) in rows.iter().zip(predicted.chunks_exact(width)) {
            if outputs.iter().all(|x| x.is_finite()) {
                for (unit, value) in units.iter_mut().zip(outputs) {
                    unit[*row] = f64::from(*value);
                }
            } else {
                not_finite += 1;
            }
        }
    }
    Encoded {
        units,
        report: AutoencoderReport {
            inputs: width,
            training_rows: training.len(),
            later_rows: later.len(),
            training_error: network.loss(&training_cells),
            later_error: network.loss(&later_cells),
            out_of_range: share(outside, later_cells.len()),
            losses,
        },
        not_finite,
    }
}

/// Differences from the row before: of logarithms if every value before
/// `training_end` is positive, else plain. Which of the two is settled by the
/// training rows alone, so that no later price reaches back; a later value
/// without a logarithm leaves its differences missing.
fn changes(values: &[f64], training_end: usize) -> Vec<f64> {
    let known = &values[..training_end.min(values.len())];
    let positive = known.iter().all(|x| x.is_nan() || *x > 0.0);
    let mut changes = Vec::with_capacity(values.len());
    changes.extend(values.first().map(|_| f64::NAN));
    changes.extend(values.windows(2).map(|pair| match pair {
        [before, here] if !positive => here - before,
        [before, here] if *before > 0.0 && *here > 0.0 => here.ln() - before.ln(),
        _ => f64::NAN,
    }));
    changes
}

/// A column's range in the training rows.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(column: &[f64], training: &[usize]) -> Self {
        let (least, most) = training
            .iter()
            .map(|row| column[*row])
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| {
                (least.min(x), most.max(x))
            });
        Self { least, most }
    }

    fn covers(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }

    /// 0 at the least, 1 at the most training value, not clipped; 0 for a
    /// column that is constant in training.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the network is single precision"
    )]
    fn apply(&self, value: f64) -> f32 {
        let width = self.most - self.least;
        if width > 0.0 {
            ((value - self.least) / width) as f32
        } else {
            0.0
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_columns_change_by_logarithms_and_others_plainly() {
        let log = changes(&[1.0, 2.0, 1.0], 3);
        assert!(log[0].is_nan());
        assert_eq!(log[1..], [2.0_f64.ln(), -(2.0_f64.ln())]);
        assert_eq!(changes(&[1.0, -2.0, 1.0], 3)[1..], [-3.0, 3.0]);
    }

    #[test]
    fn a_later_value_decides_nothing_about_earlier_rows() {
        let later = changes(&[1.0, 2.0, -1.0, 3.0, 6.0], 2);
        assert_eq!(later[1], 2.0_f64.ln());
        assert!(later[2].is_nan() && later[3].is_nan());
        assert_eq!(later[4], 6.0_f64.ln() - 3.0_f64.ln());
    }

    #[test]
    fn scaling_is_by_the_training_rows_and_does_not_clip() {
        let scale = Scale::of(&[1.0, 3.0, 100.0], &[0, 1]);
        assert_eq!(
            [1.0, 2.0, 3.0, 5.0].map(|x| scale.apply(x)),
            [0.0, 0.5, 1.0, 2.0]
        );
        assert!(scale.covers(3.0) && !scale.covers(5.0) && !scale.covers(0.5));
        let constant = Scale::of(&[4.0, 4.0], &[0, 1]);
        assert_eq!(constant.apply(7.0), 0.0);
        assert!(constant.covers(4.0) && !constant.covers(7.0));
    }

    const ROWS: usize = 60;
    const TRAINING_END: usize = 40;

    /// Prices of eight assets (fewer inputs can leave a middle layer that is
    /// always 0), the first of which is predicted; the second has a row without
    /// a value.
    fn columns() -> Vec<Column> {
        ["A", "B", "C", "D", "E", "F", "G", "H"]
            .into_iter()
            .zip(3_u8..)
            .map(|(ticker, pace)| {
                let pace = 0.1 * f64::from(pace);
                let row = |i: u32| 50.0 + 5.0 * (f64::from(i) * pace).sin();
                let mut values: Vec<f64> = (0..60).map(row).collect();
                if ticker == "B" {
                    values[20] = f64::NAN;
                }
                Column::price(ticker, values)
            })
            .collect()
    }

    fn encoded(columns: &[Column], threads: usize) -> Encoded {
        let settings = AutoencoderSettings {
            enabled: true,
            epochs: 2,
            batch_size: 16,
            shuffle: true,
            inputs: AutoencoderInputs::Changes,
            output: AutoencoderOutput::Reconstruction,
            seed: 5,
        };
        let inputs = Inputs::new(&settings, "A", columns, TRAINING_END).unwrap();
        encode(&settings, &inputs, threads, &mut |_, _| ())
    }

    fn bits(units: &[Vec<f64>], rows: std::ops::Range<usize>) -> Vec<u64> {
        let cells = units.iter().flat_map(|unit| &unit[rows.clone()]);
        cells.map(|x| x.to_bits()).collect()
    }

    #[test]
    fn later_prices_change_no_earlier_row_and_training_sees_none_of_them() {
        let before = encoded(&columns(), 1);
        for changed in [TRAINING_END, 50] {
            let mut columns = columns();
            for column in &mut columns {
                for value in &mut column.values[changed..] {
                    *value *= 1.5;
                }
            }
            let after = encoded(&columns, 1);
            assert_eq!(after.report.losses, before.report.losses);
            assert_eq!(
                bits(&after.units, 0..changed),
                bits(&before.units, 0..changed)
            );
            assert_ne!(
                bits(&after.units, changed..ROWS),
                bits(&before.units, changed..ROWS)
            );
        }
    }

    #[test]
    fn rows_after_training_are_the_same_when_the_data_end_there() {
        let whole = encoded(&columns(), 1);
        let mut columns = columns();
        for column in &mut columns {
            column.values.truncate(50);
        }
        let part = encoded(&columns, 1);
        for (part, whole) in part.units.iter().zip(&whole.units) {
            for (a, b) in part.iter().zip(&whole[..50]) {
                let same = if a.is_nan() {
                    b.is_nan()
                } else {
                    (a - b).abs() <= 1e-6
                };
                assert!(same, "{a} {b}");
            }
        }
    }

    #[test]
    fn rows_that_miss_an_input_are_missing_and_the_target_is_not_one() {
        let encoded = encoded(&columns(), 2);
        assert_eq!((encoded.units.len(), encoded.report.inputs), (7, 7));
        // A change needs the row before as well.
        for unit in &encoded.units {
            let missing: Vec<usize> = (0..ROWS).filter(|row| unit[*row].is_nan()).collect();
            assert_eq!(missing, [0, 20, 21]);
        }
        let report = &encoded.report;
        assert_eq!((report.training_rows, report.later_rows), (37, 20));
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit_of_the_units() {
        let run = |threads| bits(&encoded(&columns(), threads).units, 0..ROWS);
        assert_eq!(run(1), run(4));
    }
}
