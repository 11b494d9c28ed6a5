//! The stages one by one, on numbers that are already in memory.

use std::fs;
use std::iter::once;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use pipewright::features::autoencoder::{Autoencoder, Training};
use pipewright::features::importance::{Gain, boost};
use pipewright::features::{arima, low_pass};
use pipewright::indicators::{ChosenIndicator, INDICATORS};
use pipewright::training_template::FftEdge;
use pipewright_matmul::{Matrix, Write, multiply};
use serde_json::{Value, json};

use crate::Series;
use crate::meter::{Measured, cpu_seconds};

const STEPS: [usize; 4] = [3, 6, 9, 100];
const LAGS: usize = 10;
const BATCH: usize = 256;

/// The wanted number of series, each of `days` prices.
fn read(series: &Series) -> Result<Vec<Vec<f64>>> {
    let path = series.data.join("prices.f64");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let numbers: Vec<f64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect();
    let columns: Vec<Vec<f64>> = numbers
        .chunks_exact(series.days.get())
        .take(series.assets)
        .map(<[f64]>::to_vec)
        .collect();
    ensure!(
        columns.len() == series.assets,
        "{} has {} series of {} days, {} are wanted",
        path.display(),
        columns.len(),
        series.days,
        series.assets
    );
    Ok(columns)
}

/// `f` of every item, on `threads` threads.
fn map<T: Send>(
    items: &[Vec<f64>],
    threads: NonZeroUsize,
    f: impl Fn(&[f64]) -> T + Sync,
) -> Vec<T> {
    let part = items.len().div_ceil(threads.get()).max(1);
    thread::scope(|scope| {
        let f = &f;
        let workers: Vec<_> = items
            .chunks(part)
            .map(|items| scope.spawn(move || items.iter().map(|item| f(item)).collect::<Vec<T>>()))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn sum<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().filter(|x| x.is_finite()).sum()
}

pub(crate) fn indicators(series: &Series, threads: NonZeroUsize) -> Result<Measured> {
    let prices = read(series)?;
    // The three that the other side makes.
    let settings: [(&str, &[f64]); 3] = [
        ("bollingerBand", &[20.0, 2.0]),
        ("rsi", &[14.0]),
        ("sma", &[7.0]),
    ];
    let chosen: Vec<ChosenIndicator> = settings
        .iter()
        .map(|(name, values)| {
            let indicator = INDICATORS.iter().find(|one| one.name == *name);
            Ok(ChosenIndicator {
                indicator: indicator.with_context(|| format!("no indicator {name}"))?,
                values: values.to_vec(),
            })
        })
        .collect::<Result<_>>()?;
    Measured::of(|| {
        let sums = map(&prices, threads, |prices| {
            let made = chosen.iter().flat_map(|one| one.make(prices));
            made.map(|column| sum(&column)).collect::<Vec<f64>>()
        });
        Ok(json!({ "checks": totals(&sums) }))
    })
}

/// The sum of each column of rows of one length.
fn totals(rows: &[impl AsRef<[f64]>]) -> Vec<f64> {
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    (0..columns)
        .map(|i| rows.iter().map(|row| row.as_ref()[i]).sum())
        .collect()
}

pub(crate) fn arima(series: &Series, threads: NonZeroUsize) -> Result<Measured> {
    let prices = read(series)?;
    let training = series.days.get() / 5 * 4;
    Measured::of(|| {
        let began = cpu_seconds();
        let fits = map(&prices, threads, |prices| {
            arima::Arima::fit(&prices[..training], 5, 1)
        });
        let fits = fits.into_iter().collect::<Result<Vec<_>, _>>()?;
        let fitted = cpu_seconds() - began;
        let likelihood: f64 = fits.iter().map(arima::Arima::log_likelihood).sum();
        // The first rows hang on how the filter starts; leave them out.
        let predicted: f64 = prices
            .iter()
            .zip(&fits)
            .map(|(prices, fit)| sum(fit.predict(prices).iter().skip(10)))
            .sum();
        Ok(json!({ "checks": [likelihood, predicted], "fit": fitted }))
    })
}

pub(crate) fn fft_global(series: &Series, threads: NonZeroUsize) -> Result<Measured> {
    let prices = read(series)?;
    Measured::of(|| {
        let rows = prices.first().map_or(0, Vec::len);
        let transform = low_pass::Global::new(rows, &STEPS)?;
        let sums: Vec<[f64; 4]> = map(&prices, threads, |prices| {
            let mut sums = [0.0; 4];
            for (total, column) in sums.iter_mut().zip(transform.columns(prices)) {
                *total = sum(weighted(&column).iter());
            }
            sums
        });
        Ok(json!({ "checks": totals(&sums) }))
    })
}

/// Values times their row, counted from 1: their plain sum is that of the
/// prices whatever the filter does.
#[expect(clippy::cast_precision_loss, reason = "rows are far below 2^53")]
fn weighted(values: &[f64]) -> Vec<f64> {
    let rows = 1_usize..;
    rows.zip(values).map(|(row, x)| row as f64 * x).collect()
}

pub(crate) fn fft_expanding(series: &Series, threads: NonZeroUsize) -> Result<Measured> {
    let prices = read(series)?;
    let columns: Vec<&[f64]> = prices.iter().map(Vec::as_slice).collect();
    Measured::of(|| {
        let values = low_pass::expanding(
            &columns,
            &STEPS,
            FftEdge::Mirror,
            threads.get(),
            &mut |_, _| (),
        )?;
        let checks: Vec<f64> = (0..STEPS.len())
            .map(|step| values.iter().map(|asset| sum(&asset[step])).sum())
            .collect();
        Ok(json!({ "checks": checks }))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "boosting is defined on single precision"
)]
pub(crate) fn boosting(series: &Series, threads: NonZeroUsize) -> Result<Measured> {
    let prices = read(series)?;
    let (target, others) = prices.split_first().context("there are no series")?;
    let rows = LAGS..series.days.get() / 5 * 4;
    let single = |column: &[f64], lag: usize| -> Vec<f32> {
        rows.clone().map(|row| column[row - lag] as f32).collect()
    };
    let features: Vec<Vec<f32>> = others
        .iter()
        .map(|column| single(column, 0))
        .chain((1..=LAGS).map(|lag| single(target, lag)))
        .collect();
    let target = single(target, 0);
    Measured::of(|| {
        let gains = boost(&features, &target, threads.get());
        let splits: usize = gains.iter().map(|gain| gain.splits).sum();
        let mean: f64 = gains.iter().map(Gain::mean).sum();
        Ok(json!({ "checks": [splits, mean], "features": features.len(), "rows": target.len() }))
    })
}

pub(crate) fn autoencoder(
    folder: &Path,
    columns: usize,
    epochs: usize,
    threads: NonZeroUsize,
) -> Result<Measured> {
    let path = folder.join("autoencoder.f32");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let cells: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    ensure!(
        columns > 0 && cells.len().is_multiple_of(columns),
        "{} is not a matrix of {columns} columns",
        path.display()
    );
    Measured::of(|| {
        let mut network = Autoencoder::<f32>::new(columns, 0);
        let training = Training {
            epochs,
            batch_size: BATCH,
            shuffle: false,
            seed: 0,
        };
        let losses = network.train(&cells, training, threads.get(), &mut |_, _| ());
        Ok(json!({
            "losses": losses,
            "gflop": gflop_of_training(columns, cells.len() / columns) * whole(epochs),
        }))
    })
}

/// Billions of floating-point operations of one epoch's matrix products: each
/// layer's forward product, its weights' gradient, and, but for the first, its
/// input's gradient; two operations a weight and row each.
fn gflop_of_training(columns: usize, rows: usize) -> f64 {
    let widths = [columns, 600, 330, columns, 330, 600, columns];
    let weights: usize = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let first = widths[0] * widths[1];
    2.0 * whole(rows) * whole(3 * weights - first) * 1e-9
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn whole(n: usize) -> f64 {
    n as f64
}

pub(crate) fn sgemm(size: usize, repeat: usize, threads: NonZeroUsize) -> Result<Measured> {
    let lhs = vec![1.0_f32; size * size];
    let rhs = vec![0.5_f32; size * size];
    let mut out = vec![0.0_f32; size * size];
    Measured::of(|| {
        let gflop = 2.0 * whole(size).powi(3) * 1e-9;
        let mut runs: Vec<Value> = Vec::with_capacity(repeat);
        let rows = size.div_ceil(threads.get()).max(1);
        for _ in 0..repeat {
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            thread::scope(|scope| {
                for (out, lhs) in out.chunks_mut(rows * size).zip(lhs.chunks(rows * size)) {
                    let rhs = &rhs;
                    scope.spawn(move || {
                        multiply(
                            out,
                            Write::Replace,
                            Matrix::new(lhs, lhs.len() / size, size),
                            Matrix::new(rhs, size, size),
                        );
                    });
                }
            });
            runs.push(json!({
                "perWallSecond": gflop / wall.elapsed().as_secs_f64(),
                "perCpuSecond": gflop / (cpu_seconds() - cpu),
            }));
        }
        let (first, last) = (out.first(), out.last());
        let checks: Vec<f64> = once(first)
            .chain([last])
            .flatten()
            .map(|x| f64::from(*x))
            .collect();
        Ok(json!({ "runs": runs, "checks": checks }))
    })
}
