//! Our side of `make bench`: does one workload and prints, as one line of JSON,
//! what it cost inside the process (input read before and apart) and sums of
//! its results, which the Python side must agree with. `tests/bench` drives it.

mod generate;
mod kernels;
mod meter;
mod step;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use meter::Measured;

#[derive(Parser)]
#[command(about = "Our side of the benchmarks: one workload a process")]
struct Arguments {
    /// Threads to use.
    #[arg(long, global = true, default_value = "2")]
    threads: NonZeroUsize,
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Subcommand)]
enum Workload {
    /// Nothing: what a process costs.
    Nothing,
    /// Write generated prices: `prices.f64` for the kernels and, with `--step`,
    /// one CSV file an asset, `assets.csv` and `template.json`.
    Generate {
        /// Where to.
        #[arg(long)]
        data: PathBuf,
        /// Assets.
        #[arg(long)]
        assets: usize,
        /// Days with a price.
        #[arg(long)]
        days: usize,
        /// Seed of the walks.
        #[arg(long, default_value = "1")]
        seed: u64,
        /// Write what the whole step reads as well.
        #[arg(long)]
        step: bool,
    },
    /// Bollinger bands, RSI and SMA.
    Indicators(Series),
    /// Fit ARIMA(5,1,0) to the first 80 % of each series, then predict every day
    /// one step ahead.
    Arima(Series),
    /// Low-pass of the whole series.
    FftGlobal(Series),
    /// Causal low-pass, mirrored.
    FftExpanding(Series),
    /// Exact boosted trees: the first series from the others and its own lags.
    Boosting(Series),
    /// Train the network on `autoencoder.f32`.
    Autoencoder {
        /// The folder of `autoencoder.f32`.
        #[arg(long)]
        data: PathBuf,
        /// Columns of the matrix.
        #[arg(long)]
        columns: usize,
        /// Passes.
        #[arg(long)]
        epochs: usize,
    },
    /// The best of some products of two n x n matrices, single precision.
    Sgemm {
        /// Rows and columns.
        #[arg(long, default_value = "2048")]
        size: usize,
        /// Products.
        #[arg(long, default_value = "6")]
        repeat: usize,
    },
    /// Write DeepAR's training and test files of the series alone.
    Deepar(step::Files),
    /// The whole step: read, make features, write all files.
    Step(step::Files),
    /// Write what each column of the step is, for the ablation.
    Columns(step::Files),
}

#[derive(clap::Args)]
pub(crate) struct Series {
    /// The folder of `prices.f64`.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Days of each series in the file.
    #[arg(long)]
    pub(crate) days: NonZeroUsize,
    /// How many of the series to use.
    #[arg(long)]
    pub(crate) assets: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let threads = arguments.threads;
    let measured = match arguments.workload {
        Workload::Nothing => Measured::of(|| Ok(serde_json::json!({})))?,
        Workload::Generate {
            data,
            assets,
            days,
            seed,
            step,
        } => Measured::of(|| generate::write(&data, assets, days, seed, step))?,
        Workload::Indicators(series) => kernels::indicators(&series, threads)?,
        Workload::Arima(series) => kernels::arima(&series, threads)?,
        Workload::FftGlobal(series) => kernels::fft_global(&series, threads)?,
        Workload::FftExpanding(series) => kernels::fft_expanding(&series, threads)?,
        Workload::Boosting(series) => kernels::boosting(&series, threads)?,
        Workload::Autoencoder {
            data,
            columns,
            epochs,
        } => kernels::autoencoder(&data, columns, epochs, threads)?,
        Workload::Sgemm { size, repeat } => kernels::sgemm(size, repeat, threads)?,
        Workload::Deepar(files) => step::deepar(&files, threads)?,
        Workload::Step(files) => step::step(&files, threads)?,
        Workload::Columns(files) => step::columns(&files)?,
    };
    writeln!(std::io::stdout(), "{}", measured.json())?;
    Ok(())
}
