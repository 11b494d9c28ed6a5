//! `pipewright-local`: the stand-in for SageMaker on a laptop.

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use pipewright_aws::process;
use pipewright_local::aws::{AccountRoles, Caller, DefaultBus, Endpoints, LocalServices, S3Store};
use pipewright_local::clock::{Clock, Millis};
use pipewright_local::engine::{Edges, Engine};
use pipewright_local::guard::{Guard, guarded};
use pipewright_local::http;
use pipewright_local::names::Account;
use pipewright_local::runner::{Containers, Mounts, ProcessRunner, ProcessSettings, Pythons};
use pipewright_local::signature::AccessKey;
use pipewright_local::state::{Fault, Settings, State};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Parts of Pipewright that stand in for AWS on a laptop.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer SageMaker's API on loopback, and run pipelines.
    ///
    /// S3, EventBridge, Lambda, SQS and CloudWatch Logs are found as any AWS SDK finds them: AWS_ENDPOINT_URL (or
    /// AWS_ENDPOINT_URL_S3, ...), AWS_ACCESS_KEY_ID and so on. Jobs get the same variables, and
    /// every caller must sign with that key.
    /// When it listens, it prints one line to standard output: {"ready": true, "port": PORT}.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The region in ARNs, and that of jobs.
    #[arg(long)]
    region: String,
    /// The account in ARNs, twelve digits.
    #[arg(long, value_parser = account_id)]
    account: String,
    /// Where jobs find their files: DIR/<execution id>/<step>/opt/ml/...
    #[arg(long, value_name = "DIR")]
    run_dir: PathBuf,
    /// Run processing and training jobs of images from this repository with the programs in
    /// APPDIR; without an entrypoint of the job's own, with the program there that has the
    /// repository's last name. It is one of the account's own registry, or HOST/REPOSITORY
    /// of another. May be given several times.
    #[arg(long = "runner", value_name = "REPOSITORY=APPDIR", value_parser = runner)]
    runners: Vec<(String, PathBuf)>,
    /// Serve models of images from this repository, which has a runner, with the program
    /// of that name there and the argument `serve`. May be given several times.
    #[arg(long = "server", value_name = "REPOSITORY")]
    servers: Vec<String>,
    /// Run the programs that jobs of frameworks' images bring (script mode: scikit-learn,
    /// XGBoost, PyTorch, TensorFlow, Hugging Face) with virtual environments made by this
    /// interpreter; without it such jobs are simulated.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Where these virtual environments are kept.
    #[arg(long, value_name = "DIR", requires = "python")]
    python_environments: Option<PathBuf>,
    /// Run the programs that jobs of images from this repository bring with this interpreter, as
    /// it is. May be given several times.
    #[arg(long = "python-for", value_name = "REPOSITORY=PROGRAM", value_parser = python_for)]
    pythons: Vec<(String, PathBuf)>,
    /// Run jobs in containers of their images by this program, docker or podman, but for those that
    /// --runner or --python-for names.
    #[arg(long, value_name = "PROGRAM")]
    containers: Option<PathBuf>,
    /// Let the first TIMES attempts (1) at a step of this name fail as the service can, so that its
    /// RetryPolicies are seen at work: Step.SERVICE_FAULT, Step.THROTTLING,
    /// SageMaker.JOB_INTERNAL_ERROR, SageMaker.CAPACITY_ERROR or SageMaker.RESOURCE_LIMIT. May be
    /// given several times.
    #[arg(long = "fault", value_name = "STEP=EXCEPTION[*TIMES]")]
    faults: Vec<Fault>,
    /// How long a simulated job takes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    simulated_step_seconds: f64,
}

/// An option does not take what was given.
#[derive(Debug, thiserror::Error)]
enum ArgumentError {
    #[error("an account has twelve digits")]
    Account,
    #[error("it must be REPOSITORY=APPDIR")]
    Runner,
    #[error("it must be REPOSITORY=PROGRAM")]
    Python,
    #[error("it must be a number from 0 to 3600")]
    Seconds,
}

fn account_id(text: &str) -> Result<String, ArgumentError> {
    if text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(ArgumentError::Account)
    }
}

fn runner(text: &str) -> Result<(String, PathBuf), ArgumentError> {
    of_repository(text).ok_or(ArgumentError::Runner)
}

fn python_for(text: &str) -> Result<(String, PathBuf), ArgumentError> {
    of_repository(text).ok_or(ArgumentError::Python)
}

fn of_repository(text: &str) -> Option<(String, PathBuf)> {
    let (repository, path) = text.split_once('=')?;
    let is_whole = !repository.is_empty() && !path.is_empty();
    is_whole.then(|| (repository.to_owned(), PathBuf::from(path)))
}

fn seconds(text: &str) -> Result<f64, ArgumentError> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .ok_or(ArgumentError::Seconds)
}

/// Variables that pip and container engines find without this at the beginning of their names: where
/// packages and images come from is the caller's business, and none of the jobs'.
const CALLERS: &str = "PIPEWRIGHT_CALLER_";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    pipewright_aws::logging::init(pipewright_aws::logging::Libraries::AsConfigured)?;
    match arguments.command {
        Command::Serve(serve) => self::serve(serve).await,
    }
}

/// The folders of programs by the repository that they stand for; each server is among them.
fn app_dirs(arguments: &Serve) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut app_dirs = BTreeMap::new();
    for (repository, folder) in &arguments.runners {
        let folder = absolute(folder)?;
        if app_dirs.insert(repository.clone(), folder).is_some() {
            bail!("--runner {repository}=... is given twice");
        }
    }
    let mut servers = arguments.servers.iter();
    if let Some(unknown) = servers.find(|server| !app_dirs.contains_key(*server)) {
        bail!("--server {unknown} has no --runner {unknown}=APPDIR");
    }
    Ok(app_dirs)
}

async fn serve(arguments: Serve) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.run_dir)
        .with_context(|| format!("cannot make --run-dir {}", arguments.run_dir.display()))?;
    let run_dir = absolute(&arguments.run_dir)?;
    let app_dirs = app_dirs(&arguments)?;
    let pythons = pythons(&arguments, &run_dir)?;
    let containers = match &arguments.containers {
        Some(engine) => Some(Containers {
            engine: interpreter(engine)?,
            environment: callers_environment(),
            certificates: std::env::var_os("SSL_CERT_FILE").map(PathBuf::from),
        }),
        None => None,
    };
    let mounts = Mounts::of_machine(&run_dir);
    if let Mounts::None { reason } = &mounts {
        tracing::warn!(
            "no mount namespace ({reason}): programs find their files by PIPEWRIGHT_ML_ROOT and their arguments, not at /opt/ml"
        );
    }
    let config = pipewright_aws::config().await;
    let store = Arc::new(S3Store::new(pipewright_aws::s3::client(&config)));
    let clock = system_clock();
    let key = AccessKey::of_environment(|name| std::env::var(name).ok())?;
    let services = Arc::new(LocalServices::new(
        Endpoints {
            lambda: endpoint("AWS_ENDPOINT_URL_LAMBDA"),
            sqs: endpoint("AWS_ENDPOINT_URL_SQS"),
            sts: endpoint("AWS_ENDPOINT_URL_STS"),
            logs: endpoint("AWS_ENDPOINT_URL_LOGS"),
        },
        Caller {
            key: key.clone(),
            region: arguments.region.clone(),
            clock: Clock::clone(&clock),
        },
    ));
    let roles = AccountRoles::new(
        LocalServices::clone(&services),
        arguments.account.clone(),
        config.clone(),
    );
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be at most 3600 seconds"
    )]
    let simulated_step_millis = (arguments.simulated_step_seconds * 1000.0) as i64;
    let state = State::new(Settings {
        account: Account {
            id: arguments.account,
            region: arguments.region.clone(),
        },
        simulated_step_millis,
        servers: arguments.servers.into_iter().collect(),
        runners: app_dirs.keys().cloned().collect(),
        pythons: pythons.named.keys().cloned().collect(),
        runs_frameworks: pythons.base.is_some(),
        runs_containers: containers.is_some(),
        faults: arguments.faults,
        // Two stand-ins started at different times, or at once, must not make the same names.
        seed: clock().0.unsigned_abs() << 22 ^ u64::from(std::process::id()),
    });
    let engine = Engine::new(
        state,
        Edges {
            store: Arc::<S3Store>::clone(&store),
            events: Arc::new(DefaultBus::new(pipewright_aws::eventbridge::client(
                &config,
            ))),
            functions: Arc::<LocalServices>::clone(&services),
            queues: Arc::<LocalServices>::clone(&services),
            runner: Arc::new(ProcessRunner::new(
                ProcessSettings {
                    run_dir,
                    app_dirs,
                    pythons,
                    containers,
                    environment: job_environment(&arguments.region),
                    mounts,
                },
                store,
                Arc::new(roles),
                services,
                Clock::clone(&clock),
            )),
            clock: Clock::clone(&clock),
        },
    );
    answer_until_stopped(engine, arguments.port, key, clock).await
}

/// Answers calls until a signal comes, and says first that it does and at which port.
async fn answer_until_stopped(
    engine: Engine,
    port: u16,
    key: AccessKey,
    clock: Clock,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let port = listener.local_addr()?.port();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", json!({"ready": true, "port": port}))?;
    output.flush()?;
    let guard = Guard {
        port,
        key,
        service: "sagemaker",
        clock,
        largest_body: http::LARGEST_BODY,
        open: &[http::HEALTH_PATH],
    };
    let routes = guarded(http::router(engine.clone()), guard);
    let server = axum::serve(listener, routes).into_future();
    let served = tokio::select! {
        served = server => served.context("the server ended"),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    engine.shut_down().await;
    let lost = engine.event_counts().lost();
    if lost > 0 {
        tracing::error!("{lost} events could not be sent to EventBridge");
    }
    served
}

/// The interpreters, each found now: what is not there is told at once.
fn pythons(arguments: &Serve, run_dir: &Path) -> anyhow::Result<Pythons> {
    let mut named = BTreeMap::new();
    for (repository, program) in &arguments.pythons {
        let program = interpreter(program)?;
        if named.insert(repository.clone(), program).is_some() {
            bail!("--python-for {repository}=... is given twice");
        }
    }
    let environments = match &arguments.python_environments {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            absolute(folder)?
        }
        None => run_dir.join("python"),
    };
    Ok(Pythons {
        base: arguments.python.as_deref().map(interpreter).transpose()?,
        named,
        environments,
        installing: callers_environment(),
    })
}

/// What pip and container engines find in their environment.
fn callers_environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix(CALLERS)?.to_owned();
            Some((name.into(), value))
        })
        .chain(std::env::var_os("PATH").map(|path| ("PATH".into(), path)))
        .collect()
}

/// The path of a program that is given by its path or its name. Not what a link leads to: a
/// Python finds its environment by its own path.
fn interpreter(program: &Path) -> anyhow::Result<PathBuf> {
    if program.components().count() > 1 {
        let path = std::path::absolute(program)?;
        if !path.is_file() {
            bail!("there is no program {}", program.display());
        }
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("there is no program {} on the PATH", program.display()))
}

fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    folder
        .canonicalize()
        .with_context(|| format!("there is no folder {}", folder.display()))
}

fn system_clock() -> Clock {
    Arc::new(|| Millis(process::now()))
}

/// A service's own endpoint, or that of all services.
fn endpoint(variable: &str) -> Option<String> {
    [variable, "AWS_ENDPOINT_URL"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|endpoint| !endpoint.is_empty())
}

/// What leads programs to a proxy, and to the certificates that they trust; in any case.
const NETWORK: [&str; 7] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
];

/// What a container would find in its environment, as far as a laptop can give it: a search
/// path, the region, credentials, and where the local AWS is, also for those who ask AWS's own
/// hosts; and what trainings of ours are told by the person who runs the stand-in.
fn job_environment(region: &str) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            matches!(
                name.as_ref(),
                "PATH"
                    | "AWS_ACCESS_KEY_ID"
                    | "AWS_SECRET_ACCESS_KEY"
                    | "AWS_SESSION_TOKEN"
                    | "PIPEWRIGHT_SEED"
                    | "PIPEWRIGHT_THREADS"
            ) || name.starts_with("AWS_ENDPOINT_URL")
                || NETWORK.contains(&name.to_ascii_uppercase().as_str())
        })
        .collect();
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        environment.push((name.into(), region.into()));
    }
    environment
}
