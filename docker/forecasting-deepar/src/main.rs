//! `forecasting-deepar train` and `forecasting-deepar serve`, as SageMaker calls
//! them.
//!
//! It reads the arguments, the environment, the clock and the signals; what is done
//! stands in the library.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use forecasting_deepar::layout::Layout;
use forecasting_deepar::log::{Clock, Log};
use forecasting_deepar::serve::{self, Server, ServerSettings};
use forecasting_deepar::train::{self, Job, TrainingOutcome};
use tokio::signal::unix::{SignalKind, signal};

/// How long requests that are being answered may go on when the server is stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// DeepAR with the contract of SageMaker's forecasting-deepar image.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Root of SageMaker's folders; by default PIPEWRIGHT_ML_ROOT, else /opt/ml.
    #[arg(long, global = true, value_name = "FOLDER")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model on input/data/train, and score it on input/data/test.
    Train {
        /// Fail if there is no checkpoint to go on from. Without this, one that is in
        /// checkpoints/ is gone on from as well, and if there is none a new training
        /// begins.
        #[arg(long)]
        resume: bool,
    },
    /// Answer requests for forecasts with the model in model/.
    Serve {
        /// The port to bind, 0 for any that is free; by default
        /// SAGEMAKER_BIND_TO_PORT, else 8080.
        #[arg(long)]
        port: Option<u16>,
        /// The address to bind; by default SAGEMAKER_BIND_TO_HOST, else all.
        #[arg(long)]
        host: Option<String>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let log = Log::new(clock(), std::process::id(), Box::new(io::stdout()));
    let root = arguments
        .root
        .unwrap_or_else(|| pipewright_job::ml_root(variable));
    let layout = Layout::new(root);
    let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let code = match arguments.command {
        Command::Train { resume } => {
            log.info("Docker entrypoint called with argument(s): train");
            train(&layout, &log, cpus, resume)?
        }
        Command::Serve { port, host } => {
            log.info("Docker entrypoint called with argument(s): serve");
            return serve(&layout, log, cpus, port, host);
        }
    };
    if let Some(fault) = log.fault() {
        #[expect(
            clippy::print_stderr,
            reason = "the log itself is what cannot be printed"
        )]
        {
            eprintln!("forecasting-deepar: standard output did not take the whole log: {fault}");
        }
    }
    Ok(code)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn train(layout: &Layout, log: &Log, cpus: usize, resume: bool) -> anyhow::Result<ExitCode> {
    let threads = number::<NonZeroUsize>("PIPEWRIGHT_THREADS", "a whole number from 1")?;
    let threads = threads.map_or(cpus, NonZeroUsize::get);
    let seed = number(
        "PIPEWRIGHT_SEED",
        "a whole number from 0 to 18446744073709551615",
    )?;
    let stopped = Arc::new(AtomicBool::new(false));
    watch_signals(Arc::clone(&stopped))?;
    let job = Job {
        layout,
        log,
        threads,
        resume,
        seed,
        draw_seed: &draw_seed,
        is_stopped: &|| stopped.load(Ordering::Relaxed),
    };
    Ok(match train::run(&job) {
        Ok(TrainingOutcome::Finished | TrainingOutcome::Stopped | TrainingOutcome::Bystander) => {
            ExitCode::SUCCESS
        }
        Err(fault) => ExitCode::from(fault.exit_status()),
    })
}

/// The number in a variable of the environment; one that is empty counts as none.
fn number<T: FromStr>(name: &str, expected: &str) -> anyhow::Result<Option<T>> {
    match variable(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            anyhow!("the environment variable {name} is `{text}`; it must be {expected}")
        }),
    }
}

/// Sets `stopped` on SIGTERM, which SageMaker sends two minutes before it kills a
/// job that is stopped, and on SIGINT.
fn watch_signals(stopped: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("starting the runtime")?;
    let signals = {
        let _inside = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        (terminate, interrupt)
    };
    std::thread::spawn(move || {
        let (mut terminate, mut interrupt) = signals;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        stopped.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// A number that differs from run to run: the standard library draws its hashers'
/// keys from the system's random numbers.
fn draw_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn serve(
    layout: &Layout,
    log: Log,
    cpus: usize,
    port: Option<u16>,
    host: Option<String>,
) -> anyhow::Result<ExitCode> {
    let options = |name: &str| match name {
        "SAGEMAKER_BIND_TO_PORT" => port.map(|port| port.to_string()).or_else(|| variable(name)),
        "SAGEMAKER_BIND_TO_HOST" => host.clone().or_else(|| variable(name)),
        _ => variable(name),
    };
    let started = ServerSettings::read(options, cpus)
        .map_err(anyhow::Error::from)
        .and_then(|settings| Ok((serve::load(layout)?, settings)));
    let (model, settings) = match started {
        Ok(started) => started,
        Err(error) => {
            log.error(format_args!("Customer Error: {error}"));
            return Ok(ExitCode::from(2));
        }
    };
    let trained = model.settings();
    log.addition(format_args!(
        "model of time_freq {}, prediction_length {}, {} workers",
        trained.frequency, trained.prediction_length, settings.workers
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(listen(Arc::new(Server::new(model, settings, log))))?;
    // Forecasts that are still computed end with the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn listen(server: Arc<Server>) -> anyhow::Result<()> {
    let (host, port) = server.address();
    let listener = tokio::net::TcpListener::bind((host, port))
        .await
        .with_context(|| format!("binding {host}, port {port}"))?;
    let address = listener.local_addr().context("asking for the port")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    server
        .log()
        .addition(format_args!("listening on http://{address}"));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let serving =
        axum::serve(listener, Arc::clone(&server).router()).with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // The receiver is dropped only when serving has ended.
            let _ = stop.send(());
        });
    let out_of_time = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(LAST_ANSWERS).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serving => served.context("serving")?,
        () = out_of_time => server.log().warn("stopped while requests were being answered"),
    }
    server.log().addition("stopped by a signal");
    Ok(())
}

/// The system's clock at the start, and from then on the time that has passed, so
/// that it never goes back.
fn clock() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the clock that is passed in comes from"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 counts as 1970.
    let start = now.unwrap_or(Duration::ZERO);
    let since = Instant::now();
    Arc::new(move || start + since.elapsed())
}
