//! The autoencoder's columns: which inputs it reads, how they are scaled, and
//! what became of them ([`super::autoencoder`]).

use serde::Serialize;

use super::autoencoder::{Autoencoder, Output, Training};
use super::columns::{Column, ColumnKind};
use crate::training_template::{AutoencoderInputs, AutoencoderOutput, AutoencoderSettings};

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

/// The columns' values by unit, and how well the network did.
pub(super) struct Encoded {
    pub(super) units: Vec<Vec<f64>>,
    pub(super) report: AutoencoderReport,
    /// Rows whose output is not a finite number; they are missing.
    pub(super) not_finite: usize,
}

/// Trains on the complete rows before `training_end` of every column not made
/// from the predicted asset, and encodes all complete rows.
///
/// # Errors
/// Why there is nothing to learn from.
pub(super) fn encode(
    settings: &AutoencoderSettings,
    predicted: &str,
    columns: &[Column],
    training_end: usize,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Encoded, String> {
    let inputs: Vec<Vec<f64>> = columns
        .iter()
        .filter(|column| column.asset.as_deref() != Some(predicted))
        .map(|column| match settings.inputs {
            AutoencoderInputs::Changes if column.kind != ColumnKind::Rsi => {
                changes(&column.values, training_end)
            }
            _ => column.values.clone(),
        })
        .collect();
    if inputs.is_empty() {
        return Err("every column is made from the predicted asset".to_owned());
    }
    let rows = inputs[0].len();
    let complete: Vec<usize> = (0..rows)
        .filter(|row| inputs.iter().all(|column| !column[*row].is_nan()))
        .collect();
    let (training, later) = complete.split_at(complete.partition_point(|row| *row < training_end));
    if training.is_empty() {
        return Err(format!(
            "no row before row {training_end}, where its training ends, has a value in every column"
        ));
    }

    let scales: Vec<Scale> = inputs
        .iter()
        .map(|column| Scale::of(column, training))
        .collect();
    let width = inputs.len();
    let scaled = |rows: &[usize]| -> Vec<f32> {
        let mut cells = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let row_cells = inputs
                .iter()
                .zip(&scales)
                .map(|(column, scale)| scale.apply(column[*row]));
            cells.extend(row_cells);
        }
        cells
    };
    let (training_cells, later_cells) = (scaled(training), scaled(later));
    let outside = later_cells
        .iter()
        .filter(|x| !(0.0..=1.0).contains(*x))
        .count();

    let mut network = Autoencoder::new(width, settings.seed);
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
    let mut units = vec![vec![f64::NAN; rows]; width];
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
    Ok(Encoded {
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
    })
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
    /// 0 for a constant column.
    width: f64,
}

impl Scale {
    fn of(column: &[f64], training: &[usize]) -> Self {
        let (least, most) = training
            .iter()
            .map(|row| column[*row])
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| {
                (least.min(x), most.max(x))
            });
        Self {
            least,
            width: most - least,
        }
    }

    /// 0 at the least, 1 at the most training value; not clipped.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the network is single precision"
    )]
    fn apply(&self, value: f64) -> f32 {
        if self.width > 0.0 {
            ((value - self.least) / self.width) as f32
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
        assert_eq!(Scale::of(&[4.0, 4.0], &[0, 1]).apply(7.0), 0.0);
    }
}
