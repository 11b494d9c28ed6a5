//! Runs a job as processes of this machine, one for each of its hosts.

use super::layout::{
    ArchiveMount, InputMount, JobPlan, MetricDefinition, OutputMount, config_files, identity,
    led_to,
};
use super::{JobRunner, StopSignal};
use crate::BoxFuture;
use crate::state::{JobEnd, JobResult, ProgramKind, ProgramOrder};
use crate::storage::{ObjectStore, S3Location, StorageError};
use pipewright_files::below::{self, Below, NameRefused};
use regex_lite::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// How many files are downloaded or uploaded at once.
const TRANSFERS: usize = 8;

/// SageMaker keeps this much of `output/message`, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// How long a job whose time is up, or whose other host failed, may take to end.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// What a [`ProcessRunner`] is told.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// An absolute folder: each step's files go below it.
    pub run_dir: PathBuf,
    /// The program folder for each repository name.
    pub app_dirs: BTreeMap<String, PathBuf>,
    /// What every job finds in its environment besides its own: `PATH`, the region, and how
    /// to reach the local AWS. A job's own variables win.
    pub environment: Vec<(OsString, OsString)>,
}

/// Runs jobs as processes.
pub struct ProcessRunner {
    settings: ProcessSettings,
    store: Arc<dyn ObjectStore>,
}

/// Why a job did not end well.
enum Trouble {
    Failed(String),
    Stopped,
}

impl JobRunner for ProcessRunner {
    fn run<'a>(&'a self, order: &'a ProgramOrder, stop: StopSignal) -> BoxFuture<'a, JobEnd> {
        Box::pin(async move {
            let folder = match self.folder_of(order) {
                Ok(folder) => folder,
                Err(error) => return JobResult::Failed(format!("ClientError: {error}")).into(),
            };
            tracing::info!(job = order.job_name, folder = %folder.display(), "job begins");
            let plan = match JobPlan::read(order) {
                Ok(plan) => plan,
                Err(reason) => return JobResult::Failed(reason).into(),
            };
            let hosts = hosts_of(&plan, &folder);
            let result = match self.run_job(order, &plan, &hosts, stop).await {
                Ok(()) => JobResult::Succeeded,
                Err(Trouble::Stopped) => JobResult::Stopped,
                Err(Trouble::Failed(reason)) => JobResult::Failed(reason),
            };
            let mut end = JobEnd::from(result);
            if let Some(primary) = hosts.first() {
                if order.kind == ProgramKind::Processing {
                    end.exit_message = read_message(&plan, primary).await;
                }
                end.metrics = read_metrics(&plan.metrics, &primary.log).await;
            }
            end
        })
    }
}

/// One host of a job.
#[derive(Debug, Clone)]
struct Host {
    name: String,
    /// `<folder>/opt/ml`.
    root: PathBuf,
    /// What the program writes to its standard output and error.
    log: PathBuf,
}

impl ProcessRunner {
    /// A runner that takes inputs from, and puts outputs into, `store`.
    pub fn new(settings: ProcessSettings, store: Arc<dyn ObjectStore>) -> Self {
        Self { settings, store }
    }

    fn folder_of(&self, order: &ProgramOrder) -> Result<PathBuf, NameRefused> {
        let step = match order.key.attempt {
            0 | 1 => order.key.step.clone(),
            attempt => format!("{}.attempt-{attempt}", order.key.step),
        };
        let execution = below::file_name(&order.key.execution)?;
        let step = below::file_name(&step)?;
        Ok(self.settings.run_dir.join(execution).join(step))
    }

    async fn run_job(
        &self,
        order: &ProgramOrder,
        plan: &JobPlan,
        hosts: &[Host],
        mut stop: StopSignal,
    ) -> Result<(), Trouble> {
        let prepare = async {
            for (index, host) in hosts.iter().enumerate() {
                self.prepare(order, plan, host, index)
                    .await
                    .map_err(Trouble::Failed)?;
            }
            Ok(())
        };
        tokio::select! {
            prepared = prepare => prepared?,
            _ = stop.stopped() => return Err(Trouble::Stopped),
        }
        self.run_hosts(order, plan, hosts, &mut stop).await?;
        let upload = async {
            for host in hosts {
                for output in &plan.outputs {
                    self.upload(host, output).await.map_err(Trouble::Failed)?;
                }
            }
            if let Some(primary) = hosts.first() {
                for archive in &plan.archives {
                    self.upload_archive(primary, archive)
                        .await
                        .map_err(Trouble::Failed)?;
                }
            }
            Ok(())
        };
        tokio::select! {
            uploaded = upload => uploaded,
            _ = stop.stopped() => Err(Trouble::Stopped),
        }
    }

    /// Makes a host's folders and files and downloads its inputs.
    async fn prepare(
        &self,
        order: &ProgramOrder,
        plan: &JobPlan,
        host: &Host,
        index: usize,
    ) -> Result<(), String> {
        create_folder(&host.root.join("output")).await?;
        let outputs = plan.outputs.iter().map(|output| &output.path);
        for folder in outputs.chain(plan.archives.iter().map(|archive| &archive.path)) {
            create_folder(&host.root.join(folder)).await?;
        }
        for (name, content) in config_files(order, plan, &host.name) {
            let file = host.root.join(name);
            if let Some(folder) = file.parent() {
                create_folder(folder).await?;
            }
            tokio::fs::write(&file, content.to_string())
                .await
                .map_err(|error| internal(&file, &error))?;
        }
        for input in &plan.inputs {
            self.download(host, input, index, plan.hosts.len()).await?;
        }
        Ok(())
    }

    async fn download(
        &self,
        host: &Host,
        input: &InputMount,
        index: usize,
        hosts: usize,
    ) -> Result<(), String> {
        let target = host.root.join(&input.path);
        create_folder(&target).await?;
        let name = &input.name;
        let none = || {
            format!(
                "ClientError: Data download failed:No S3 objects found under S3 URL \"{}\" given \
                 in input data source '{name}'.",
                input.source
            )
        };
        let keys = match self.store.list(&input.source, None).await {
            Ok(keys) => keys,
            Err(StorageError::NotFound(_)) => return Err(none()),
            Err(error) => {
                return Err(format!(
                    "ClientError: Data download failed: {name}: {error}"
                ));
            }
        };
        if keys.is_empty() {
            return Err(none());
        }
        let mut files = Below::new(&target);
        let mut transfers = VecDeque::new();
        for (position, key) in keys.iter().enumerate() {
            if input.sharded && position % hosts != index {
                continue;
            }
            let Some(relative) = input.source.relative_path(key) else {
                continue;
            };
            let file = files.file(&relative).map_err(|error| {
                format!("ClientError: Data download failed: {name}: the key '{key}': {error}")
            })?;
            if let Some(folder) = file.parent() {
                create_folder(folder).await?;
            }
            let location = S3Location {
                bucket: input.source.bucket.clone(),
                key: key.clone(),
            };
            transfers.push_back((location, file));
        }
        let store = Arc::clone(&self.store);
        transfer_all(transfers, move |(location, file)| {
            let store = Arc::clone(&store);
            async move { store.download(&location, &file).await }
        })
        .await
        .map_err(|error| format!("ClientError: Data download failed: {name}: {error}"))
    }

    async fn upload(&self, host: &Host, output: &OutputMount) -> Result<(), String> {
        let source = host.root.join(&output.path);
        let files = files_below(&source).await?;
        let transfers = files
            .into_iter()
            .map(|relative| (source.join(&relative), output.target.below(&relative)))
            .collect();
        let store = Arc::clone(&self.store);
        transfer_all(transfers, move |(file, location)| {
            let store = Arc::clone(&store);
            async move { store.upload(&file, &location).await }
        })
        .await
        .map_err(|error| {
            format!(
                "ClientError: Failed to upload output '{}': {error}",
                output.name
            )
        })
    }

    async fn upload_archive(&self, host: &Host, archive: &ArchiveMount) -> Result<(), String> {
        let folder = host.root.join(&archive.path);
        let files = files_below(&folder).await?;
        if files.is_empty() && !archive.even_if_empty {
            return Ok(());
        }
        let file = folder.with_extension("tar.gz");
        pack(&folder, &files, &file).await?;
        self.store
            .upload(&file, &archive.target)
            .await
            .map_err(|error| format!("ClientError: Failed to upload {}: {error}", archive.target))
    }

    /// Runs the program once on each host, until all have ended, one has failed, the job is
    /// stopped or its time is up. No process of the job is left afterwards.
    async fn run_hosts(
        &self,
        order: &ProgramOrder,
        plan: &JobPlan,
        hosts: &[Host],
        stop: &mut StopSignal,
    ) -> Result<(), Trouble> {
        let mut groups = ProcessGroups::default();
        let mut programs = JoinSet::new();
        for host in hosts {
            let mut child = self.spawn(order, plan, host).map_err(Trouble::Failed)?;
            groups.add(&child);
            let host = host.clone();
            programs.spawn(async move {
                let status = child.wait().await;
                (host, status)
            });
        }
        let deadline = tokio::time::sleep(Duration::from_secs(plan.max_runtime_seconds));
        tokio::pin!(deadline);
        let (trouble, grace) = loop {
            tokio::select! {
                ended = programs.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok((_, Ok(status)))) if status.success() => {}
                    Some(Ok((host, Ok(status)))) => {
                        let reason = failure(plan, &host, status).await;
                        break (Trouble::Failed(reason), LAST_GRACE);
                    }
                    Some(Ok((host, Err(error)))) => {
                        let reason = format!("InternalServerError: {}: {error}", host.name);
                        break (Trouble::Failed(reason), LAST_GRACE);
                    }
                    Some(Err(error)) => {
                        let reason = format!("InternalServerError: {error}");
                        break (Trouble::Failed(reason), LAST_GRACE);
                    }
                },
                grace = stop.stopped() => break (Trouble::Stopped, grace),
                () = &mut deadline => {
                    let reason = format!(
                        "ClientError: The job ran longer than its MaxRuntimeInSeconds of {}",
                        plan.max_runtime_seconds
                    );
                    break (Trouble::Failed(reason), LAST_GRACE);
                }
            }
        };
        groups.signal(Signal::TERM);
        let all_ended = async { while programs.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            groups.signal(Signal::KILL);
            while programs.join_next().await.is_some() {}
        }
        Err(trouble)
    }

    fn spawn(&self, order: &ProgramOrder, plan: &JobPlan, host: &Host) -> Result<Child, String> {
        let app_dir = self
            .settings
            .app_dirs
            .get(&order.repository)
            .ok_or_else(|| format!("InternalServerError: no runner for {}", order.repository))?;
        let mut command_line: Vec<String> = plan.entrypoint.clone();
        if command_line.is_empty() {
            // The image's own entrypoint: the program that goes by the repository's name.
            let program = app_dir.join(&order.repository);
            command_line.push(program.to_string_lossy().into_owned());
        }
        command_line.extend(plan.arguments.iter().cloned());
        let command_line: Vec<String> = command_line
            .iter()
            .map(|part| led_to(&host.root, part))
            .collect();
        let log = std::fs::File::create(&host.log).map_err(|error| internal(&host.log, &error))?;
        let log_too = log
            .try_clone()
            .map_err(|error| internal(&host.log, &error))?;
        let folder = host.log.parent().unwrap_or(&host.root);
        let program = &command_line[0];
        Command::new(program)
            .args(&command_line[1..])
            .current_dir(folder)
            .env_clear()
            .envs(
                self.settings
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("HOME", folder)
            .env("PIPEWRIGHT_ML_ROOT", &host.root)
            .env("PIPEWRIGHT_APP_DIR", app_dir)
            .envs(identity(order))
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            // A group of its own: a stop reaches whatever the program has started, and a
            // Ctrl-C in the terminal reaches the stand-in first.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                format!(
                    "ClientError: the container's entrypoint '{program}' cannot be started: {error}"
                )
            })
    }
}

fn hosts_of(plan: &JobPlan, folder: &Path) -> Vec<Host> {
    plan.hosts
        .iter()
        .map(|name| {
            let folder = if plan.hosts.len() == 1 {
                folder.to_owned()
            } else {
                folder.join(name)
            };
            Host {
                name: name.clone(),
                root: folder.join("opt").join("ml"),
                log: folder.join("container.log"),
            }
        })
        .collect()
}

/// The process groups of a job's hosts; killed when dropped.
#[derive(Default)]
struct ProcessGroups(Vec<Pid>);

impl ProcessGroups {
    fn add(&mut self, child: &Child) {
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        self.0.extend(group);
    }

    fn signal(&self, signal: Signal) {
        for group in &self.0 {
            // An error means that nobody is left in the group.
            if let Err(error) = kill_process_group(*group, signal) {
                tracing::trace!(?group, "no process to signal: {error}");
            }
        }
    }
}

impl Drop for ProcessGroups {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn internal(path: &Path, error: &std::io::Error) -> String {
    format!("InternalServerError: {}: {error}", path.display())
}

async fn create_folder(folder: &Path) -> Result<(), String> {
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|error| internal(folder, &error))
}

/// Why a host's program failed, in SageMaker's words; where it left none, with the place of
/// the log, for which SageMaker has CloudWatch.
async fn failure(plan: &JobPlan, host: &Host, status: ExitStatus) -> String {
    let message = read_message(plan, host)
        .await
        .unwrap_or_else(|| format!("See job logs for more information ({})", host.log.display()));
    format!("AlgorithmError: {message}, {}", ending(status))
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        // A container reports a signal as a shell does.
        (None, Some(signal)) => format!("exit code: {} (signal {signal})", 128 + signal),
        (Some(code), _) => format!("exit code: {code}"),
        (None, None) => format!("{status}"),
    }
}

async fn read_message(plan: &JobPlan, host: &Host) -> Option<String> {
    let bytes = tokio::fs::read(host.root.join(plan.message_file))
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut end = text.len().min(LONGEST_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let message = text[..end].trim();
    (!message.is_empty()).then(|| message.to_owned())
}

/// The last value of each metric in a log. A pattern that can't be used is told in the
/// stand-in's own log, and finds nothing.
async fn read_metrics(definitions: &[MetricDefinition], log: &Path) -> Vec<(String, f64)> {
    if definitions.is_empty() {
        return Vec::new();
    }
    let Ok(bytes) = tokio::fs::read(log).await else {
        return Vec::new();
    };
    metrics_in(definitions, &String::from_utf8_lossy(&bytes))
}

fn metrics_in(definitions: &[MetricDefinition], log: &str) -> Vec<(String, f64)> {
    let mut metrics = Vec::new();
    for definition in definitions {
        let pattern = match Regex::new(&definition.pattern) {
            Ok(pattern) => pattern,
            Err(error) => {
                tracing::warn!("metric '{}' can't be read: {error}", definition.name);
                continue;
            }
        };
        let last = pattern
            .captures_iter(log)
            .filter_map(|found| found.get(1)?.as_str().trim().parse().ok())
            .last();
        if let Some(value) = last {
            metrics.push((definition.name.clone(), value));
        }
    }
    metrics
}

/// Packs files below a folder into a compressed archive.
async fn pack(folder: &Path, files: &[String], archive: &Path) -> Result<(), String> {
    // By way of a list: a command line has an end, and a name may begin with a hyphen.
    let list = archive.with_extension("list");
    let mut names = files.join("\0");
    if !names.is_empty() {
        names.push('\0');
    }
    tokio::fs::write(&list, names)
        .await
        .map_err(|error| internal(&list, &error))?;
    let output = Command::new("tar")
        .arg("-czf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .args(["--null", "-T"])
        .arg(&list)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("InternalServerError: tar cannot be started: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "InternalServerError: tar failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// The files below a folder, as S3 keys relative to it, sorted.
async fn files_below(folder: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut pending = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        let mut entries = tokio::fs::read_dir(&folder)
            .await
            .map_err(|error| internal(&folder, &error))?;
        while let Some(entry) = entries
            .next_entry()
            .await
            .map_err(|error| internal(&folder, &error))?
        {
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|name| {
                format!("ClientError: the file name {name:?} is not UTF-8 and can't be a key")
            })?;
            let key = format!("{prefix}{name}");
            let kind = entry
                .file_type()
                .await
                .map_err(|error| internal(&path, &error))?;
            if kind.is_dir() {
                pending.push((path, format!("{key}/")));
            } else if kind.is_file() || path.is_file() {
                files.push(key);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Works through a queue, several at once; ends with the first error.
async fn transfer_all<T, F, W>(mut queue: VecDeque<T>, work: W) -> Result<(), StorageError>
where
    F: Future<Output = Result<(), StorageError>> + Send + 'static,
    W: Fn(T) -> F,
{
    let mut running = JoinSet::new();
    loop {
        while running.len() < TRANSFERS {
            let Some(item) = queue.pop_front() else { break };
            running.spawn(work(item));
        }
        match running.join_next().await {
            None => return Ok(()),
            Some(Ok(result)) => result?,
            Some(Err(error)) => {
                return Err(StorageError::Failed {
                    location: "a transfer".to_owned(),
                    message: error.to_string(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_last_value_that_the_log_shows() {
        let metric = |name: &str, pattern: &str| MetricDefinition {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
        };
        let found = metrics_in(
            &[
                metric("loss", r"loss=(\S+)"),
                metric("absent", r"none=(\S+)"),
                metric("broken", "("),
            ],
            "epoch 1 loss=0.5\nepoch 2 loss=0.25\nloss=nothing\n",
        );
        assert_eq!(found, [("loss".to_owned(), 0.25)]);
    }
}
