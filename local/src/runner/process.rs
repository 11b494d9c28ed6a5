//! Runs a job as processes of this machine, one for each of its hosts.

use super::archive;
use super::containers::{self, Container, Containers};
use super::follow::{Followed, following, stream_of};
use super::layout::{
    ArchiveMount, CheckpointMount, InputMount, JobPlan, MetricDefinition, OutputMount, below_root,
    config_files, identity,
};
use super::mounts::Mounts;
use super::python::{Pythons, SOURCE_ARCHIVE, make_commands};
use super::{JobRunner, STOP_GRACE, Served, StopSignal};
use crate::BoxFuture;
use crate::clock::Clock;
use crate::error::JobError;
use crate::logs::LogSink;
use crate::roles::Roles;
use crate::script::{CODE, Facts, Script};
use crate::state::{
    JobEnd, JobResult, ProgramKind, ProgramOrder, PythonImage, Runner, ServersOrder, StepKey,
    TransformOrder,
};
use crate::storage::{ObjectStore, S3Location, StorageError};
use pipewright_files::below::{self, Below, NameRefused};
use pipewright_wording::{cut, cut_with_mark};
use regex_lite::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// How many files are downloaded or uploaded at once.
const TRANSFERS: usize = 8;

/// SageMaker keeps this much of `output/message`, and of a failure reason, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// How long the hosts of a job may take to end of which one has failed.
pub(super) const LAST_GRACE: Duration = Duration::from_secs(5);

/// What a [`ProcessRunner`] is told.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// An absolute folder: each step's files go below it.
    pub run_dir: PathBuf,
    /// The program folder for each repository name.
    pub app_dirs: BTreeMap<String, PathBuf>,
    /// What runs the programs that jobs of frameworks' images bring.
    pub pythons: Pythons,
    /// What runs images themselves, where that is asked for.
    pub containers: Option<Containers>,
    /// What every job finds in its environment besides its own: `PATH`, the region, and how
    /// to reach the local AWS. A job's own variables win.
    pub environment: Vec<(OsString, OsString)>,
    /// Where a job's program finds its folder.
    pub mounts: Mounts,
}

/// Runs jobs as processes.
#[derive(Clone)]
pub struct ProcessRunner {
    pub(super) settings: ProcessSettings,
    pub(super) store: Arc<dyn ObjectStore>,
    roles: Arc<dyn Roles>,
    logs: Arc<dyn LogSink>,
    clock: Clock,
}

/// Why a job did not end well.
enum Trouble {
    Failed(JobError),
    /// It was told to stop, and given so much time for it.
    Stopped(Duration),
    OutOfTime(JobError),
}

/// Why files did not get from S3 to a folder, or from there to S3.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the key '{0}': {1}")]
    Key(String, NameRefused),
    #[error(transparent)]
    Folder(#[from] JobError),
}

impl JobRunner for ProcessRunner {
    fn run<'a>(&'a self, order: &'a ProgramOrder, stop: StopSignal) -> BoxFuture<'a, JobEnd> {
        Box::pin(async move {
            let folder = match job_folder(&self.settings.run_dir, &order.key) {
                Ok(folder) => folder,
                Err(error) => return JobResult::Failed(JobError::client(error).to_string()).into(),
            };
            tracing::info!(job = order.job_name, folder = %folder.display(), "job begins");
            let plan = match JobPlan::read(order) {
                Ok(plan) => plan,
                Err(error) => return JobResult::Failed(error.to_string()).into(),
            };
            let hosts = hosts_of(&plan, &folder);
            let role = order.request.get("RoleArn").and_then(Value::as_str);
            let own = match self.acting_as(role).await {
                Ok(own) => own,
                Err(error) => return JobResult::Failed(error.to_string()).into(),
            };
            let begun = (self.clock)().0.div_euclid(1000);
            let logs = hosts
                .iter()
                .map(|host| Followed::new(stream_of(order, &host.name, begun), &host.log));
            let work = own.run_job(order, &plan, &hosts, stop);
            let result = match following(&*self.logs, logs.collect(), work).await {
                Ok(()) => JobResult::Succeeded,
                Err(Trouble::Stopped(_)) => JobResult::Stopped,
                Err(Trouble::OutOfTime(error)) => JobResult::OutOfTime(error.to_string()),
                Err(Trouble::Failed(error)) => JobResult::Failed(error.to_string()),
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

    fn transform<'a>(
        &'a self,
        order: &'a TransformOrder,
        mut stop: StopSignal,
    ) -> BoxFuture<'a, JobEnd> {
        Box::pin(async move { self.run_transform(order, &mut stop).await.into() })
    }

    fn serve<'a>(
        &'a self,
        order: &'a ServersOrder,
        mut stop: StopSignal,
        ready: Box<dyn FnOnce(Vec<Served>) + Send + 'a>,
    ) -> BoxFuture<'a, Result<(), JobError>> {
        Box::pin(async move { self.serve_all(order, &mut stop, ready).await })
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
    /// The Python that stands for the image's, found as the job is prepared.
    interpreter: OnceLock<PathBuf>,
}

impl ProcessRunner {
    /// A runner that takes inputs from, and puts outputs into, `store`, unless a role has rights
    /// of its own; `logs` gets what its programs print.
    pub fn new(
        settings: ProcessSettings,
        store: Arc<dyn ObjectStore>,
        roles: Arc<dyn Roles>,
        logs: Arc<dyn LogSink>,
        clock: Clock,
    ) -> Self {
        Self {
            settings,
            store,
            roles,
            logs,
            clock,
        }
    }

    /// This runner with the rights of a role.
    pub(super) async fn acting_as(&self, role: Option<&str>) -> Result<Self, JobError> {
        let mut own = self.clone();
        let rights = match role {
            Some(role) => self.roles.rights_of(role).await?,
            None => None,
        };
        if let Some(rights) = rights {
            own.store = rights.store;
            let given = |name: &OsString| rights.environment.iter().any(|(known, _)| name == known);
            let environment = &mut own.settings.environment;
            environment.retain(|(name, _)| !given(name));
            let variables = rights.environment.iter();
            environment.extend(variables.map(|(name, value)| (name.into(), value.into())));
        }
        Ok(own)
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
            grace = stop.stopped() => return Err(Trouble::Stopped(grace)),
        }
        let ended = self.run_hosts(order, plan, hosts, &mut stop).await;
        let kept = self.keep_checkpoints(plan, hosts).await;
        match ended {
            Ok(()) => kept.map_err(Trouble::Failed)?,
            Err(trouble) => {
                if let Err(reason) = kept {
                    tracing::warn!(job = order.job_name, "{reason}");
                }
                self.keep_what_there_is(order, plan, hosts, &trouble).await;
                return Err(trouble);
            }
        }
        let upload = async {
            for host in hosts {
                for output in &plan.outputs {
                    self.upload(host, output).await.map_err(Trouble::Failed)?;
                }
            }
            if let Some(primary) = hosts.first() {
                for archive in &plan.archives {
                    self.upload_archive(primary, archive, archive.even_if_empty)
                        .await
                        .map_err(Trouble::Failed)?;
                }
            }
            Ok(())
        };
        tokio::select! {
            uploaded = upload => uploaded,
            grace = stop.stopped() => Err(Trouble::Stopped(grace)),
        }
    }

    /// Uploads the model of a job that was stopped, or whose time was up: what it has until
    /// then is not lost.
    async fn keep_what_there_is(
        &self,
        order: &ProgramOrder,
        plan: &JobPlan,
        hosts: &[Host],
        trouble: &Trouble,
    ) {
        let time = match trouble {
            Trouble::Failed(_) => return,
            Trouble::Stopped(grace) => *grace,
            Trouble::OutOfTime(_) => STOP_GRACE,
        };
        let upload = async {
            if let Some(primary) = hosts.first() {
                for archive in &plan.archives {
                    self.upload_archive(primary, archive, false).await?;
                }
            }
            Ok(())
        };
        let uploaded = tokio::time::timeout(time, upload)
            .await
            .unwrap_or_else(|_| Err(JobError::client("the time that a stopped job has was up")));
        if let Err(reason) = uploaded {
            tracing::warn!(job = order.job_name, "the model is not uploaded: {reason}");
        }
    }

    /// Uploads the checkpoints, however the job ended. SageMaker does so while it runs.
    async fn keep_checkpoints(&self, plan: &JobPlan, hosts: &[Host]) -> Result<(), JobError> {
        let Some(checkpoints) = &plan.checkpoints else {
            return Ok(());
        };
        for host in hosts {
            let folder = host.root.join(&checkpoints.path);
            self.upload_below(&folder, &checkpoints.target)
                .await
                .map_err(|error| {
                    JobError::Client(format!("Failed to upload the checkpoints: {error}"))
                })?;
        }
        Ok(())
    }

    /// Makes a host's folders and files and downloads its inputs.
    async fn prepare(
        &self,
        order: &ProgramOrder,
        plan: &JobPlan,
        host: &Host,
        index: usize,
    ) -> Result<(), JobError> {
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
                .map_err(|error| JobError::file(&file, &error))?;
        }
        for input in &plan.inputs {
            self.download(host, input, index, plan.hosts.len()).await?;
        }
        if let Some(CheckpointMount { target, path }) = &plan.checkpoints {
            let folder = host.root.join(path);
            create_folder(&folder).await?;
            self.download_below(target, &folder, |_| true)
                .await
                .map_err(|error| JobError::Client(format!("the checkpoints: {error}")))?;
        }
        if let Runner::Python(image) = &order.runner {
            let script = Script::of(&order.request);
            let source = script.as_ref().and_then(|script| script.source.as_deref());
            let inputs = plan.inputs.iter().map(|input| host.root.join(&input.path));
            let inputs: Vec<PathBuf> = inputs.collect();
            let interpreter = self
                .prepare_python(image, &host.root, source, &inputs, &host.log)
                .await?;
            host.interpreter.get_or_init(|| interpreter);
        }
        Ok(())
    }

    async fn download(
        &self,
        host: &Host,
        input: &InputMount,
        index: usize,
        hosts: usize,
    ) -> Result<(), JobError> {
        let target = host.root.join(&input.path);
        create_folder(&target).await?;
        let name = &input.name;
        let found = self
            .download_below(&input.source, &target, |position| {
                !input.sharded || position % hosts == index
            })
            .await
            .map_err(|error| JobError::Client(format!("Data download failed: {name}: {error}")))?;
        match found {
            0 => Err(JobError::no_objects(&input.source, name)),
            _ => Ok(()),
        }
    }

    /// Downloads the objects under a prefix, those whose position is `wanted`; gives how many
    /// there are in all.
    async fn download_below(
        &self,
        source: &S3Location,
        target: &Path,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<usize, TransferError> {
        let keys = match self.store.list(source, None).await {
            Ok(keys) => keys,
            Err(StorageError::NotFound(_)) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut files = Below::new(target);
        let mut transfers = VecDeque::new();
        for (position, key) in keys.iter().enumerate() {
            if !wanted(position) {
                continue;
            }
            let Some(relative) = source.relative_path(key) else {
                continue;
            };
            let file = files
                .file(&relative)
                .map_err(|error| TransferError::Key(key.clone(), error))?;
            if let Some(folder) = file.parent() {
                create_folder(folder).await?;
            }
            let location = S3Location {
                bucket: source.bucket.clone(),
                key: key.clone(),
            };
            transfers.push_back((location, file));
        }
        let store = Arc::clone(&self.store);
        transfer_all(transfers, move |(location, file)| {
            let store = Arc::clone(&store);
            async move { store.download(&location, &file).await }
        })
        .await?;
        Ok(keys.len())
    }

    async fn upload(&self, host: &Host, output: &OutputMount) -> Result<(), JobError> {
        self.upload_below(&host.root.join(&output.path), &output.target)
            .await
            .map_err(|error| {
                let name = &output.name;
                JobError::Client(format!("Failed to upload output '{name}': {error}"))
            })
    }

    async fn upload_below(&self, source: &Path, target: &S3Location) -> Result<(), TransferError> {
        let files = files_below(source).await?;
        let transfers = files
            .into_iter()
            .map(|relative| (source.join(&relative), target.below(&relative)))
            .collect();
        let store = Arc::clone(&self.store);
        transfer_all(transfers, move |(file, location)| {
            let store = Arc::clone(&store);
            async move { store.upload(&file, &location).await }
        })
        .await?;
        Ok(())
    }

    async fn upload_archive(
        &self,
        host: &Host,
        archive: &ArchiveMount,
        even_if_empty: bool,
    ) -> Result<(), JobError> {
        let folder = host.root.join(&archive.path);
        let files = files_below(&folder).await?;
        if files.is_empty() && !even_if_empty {
            return Ok(());
        }
        let file = folder.with_extension("tar.gz");
        pack(folder, files, file.clone()).await?;
        self.store
            .upload(&file, &archive.target)
            .await
            .map_err(|error| {
                JobError::Client(format!("Failed to upload {}: {error}", archive.target))
            })
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
                        let reason = self.failure(order, plan, &host, status).await;
                        break (Trouble::Failed(reason), LAST_GRACE);
                    }
                    Some(Ok((host, Err(error)))) => {
                        let error = JobError::Internal(format!("{}: {error}", host.name));
                        break (Trouble::Failed(error), LAST_GRACE);
                    }
                    Some(Err(error)) => {
                        break (Trouble::Failed(JobError::internal(error)), LAST_GRACE);
                    }
                },
                grace = stop.stopped() => break (Trouble::Stopped(grace), grace),
                () = &mut deadline => {
                    let error = JobError::Client(format!(
                        "The job ran longer than its MaxRuntimeInSeconds of {}",
                        plan.max_runtime_seconds
                    ));
                    break (Trouble::OutOfTime(error), STOP_GRACE);
                }
            }
        };
        end_all(&groups, &mut programs, grace).await;
        if let (Runner::Container(_), Some(containers)) = (&order.runner, &self.settings.containers)
        {
            for host in hosts {
                containers
                    .remove(&containers::name_of(order, &host.name))
                    .await;
            }
        }
        Err(trouble)
    }

    /// Why a host's program failed, in SageMaker's words; where it left none, with the place
    /// of the log, for which SageMaker has CloudWatch.
    async fn failure(
        &self,
        order: &ProgramOrder,
        plan: &JobPlan,
        host: &Host,
        status: ExitStatus,
    ) -> JobError {
        let message = match read_text(plan, host).await {
            Some(message) => message,
            None => {
                let log = tokio::fs::read(&host.log).await.unwrap_or_default();
                let log_text = String::from_utf8_lossy(&log);
                let note = self.settings.mounts.note(&log_text);
                let note = note.map_or_else(String::new, |note| format!("; {note}"));
                let place = host.log.display();
                match (&order.runner, Script::of(&order.request)) {
                    (Runner::Python(_), Some(script)) => {
                        script.failure(&log_text, is_package(host), status.code()) + &note
                    }
                    _ => format!("See job logs for more information ({place}){note}"),
                }
            }
        };
        let of = |message: String| JobError::Algorithm(format!("{message}, {}", ending(status)));
        let around = of(String::new()).to_string().len();
        of(cut_with_mark(
            &message,
            LONGEST_MESSAGE.saturating_sub(around),
        ))
    }

    /// Where the programs of an image lie, of a runner by its name.
    pub(super) fn app_dir(&self, name: &str) -> Result<&Path, JobError> {
        let found = self.settings.app_dirs.get(name);
        found
            .map(PathBuf::as_path)
            .ok_or_else(|| JobError::Internal(format!("no runner for {name}")))
    }

    /// A program that stands for a container: with the environment of every container, in
    /// the log's folder, with its output at the end of the log, and with `root` at `/opt/ml`
    /// where the machine can do that.
    ///
    /// The error says why it can't be started.
    pub(super) fn container(
        &self,
        command_line: &[String],
        runner: &Runner,
        root: &Path,
        log_file: &Path,
        environment: &[(String, String)],
    ) -> Result<Command, JobError> {
        let folder = log_file.parent().unwrap_or(root);
        let inherited = self.settings.environment.iter();
        let path = inherited.clone().find(|(name, _)| name == "PATH");
        let mut path = path.map_or(OsString::new(), |(_, path)| path.clone());
        let mut own: Vec<(&str, &OsStr)> = Vec::new();
        match runner {
            Runner::Programs(name) => {
                own.push(("PIPEWRIGHT_APP_DIR", self.app_dir(name)?.as_os_str()));
            }
            Runner::Python(_) => {
                let mut before = commands_folder(folder).into_os_string();
                before.push(":");
                before.push(&path);
                path = before;
                // As the frameworks' images have it; what is printed is read while it runs.
                own.push(("PYTHONUNBUFFERED", OsStr::new("TRUE")));
                own.push(("PYTHONDONTWRITEBYTECODE", OsStr::new("TRUE")));
            }
            Runner::Container(_) => {}
        }
        let whole = self
            .settings
            .mounts
            .command_line(root, command_line, environment, &path)
            .map_err(|error| not_started(&command_line[0], &error))?;
        let mut command = Command::new(&whole[0]);
        command
            .args(&whole[1..])
            .current_dir(folder)
            .env_clear()
            .envs(inherited.map(|(name, value)| (name, value)))
            .env("PATH", &path)
            .env("HOME", folder)
            .env("PIPEWRIGHT_ML_ROOT", root)
            .envs(own)
            .envs(environment.iter().map(|(name, value)| (name, value)));
        logged(&mut command, log_file)?;
        Ok(command)
    }

    /// Starts a container of a job's image.
    fn spawn_container(
        &self,
        image: &str,
        order: &ProgramOrder,
        plan: &JobPlan,
        host: &Host,
    ) -> Result<Child, JobError> {
        let containers = self.settings.containers.as_ref();
        let containers =
            containers.ok_or_else(|| JobError::internal("nothing runs containers here"))?;
        let inherited = self.settings.environment.iter().cloned();
        let identity = identity(order);
        let identity = identity
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        let own = plan.environment.iter();
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let environment = inherited
            // The image has its own.
            .filter(|(name, _)| name != "PATH")
            .chain(identity)
            .chain(own)
            .collect();
        let name = containers::name_of(order, &host.name);
        let mut command = containers.run(&Container {
            name: &name,
            image,
            root: &host.root,
            entrypoint: &plan.entrypoint,
            arguments: &plan.arguments,
            environment: &environment,
        });
        logged(&mut command, &host.log)?;
        let engine = containers.engine.display().to_string();
        let started = command.spawn();
        started.map_err(|error| JobError::Client(format!("{engine} cannot be started: {error}")))
    }

    fn spawn(&self, order: &ProgramOrder, plan: &JobPlan, host: &Host) -> Result<Child, JobError> {
        if let Runner::Container(image) = &order.runner {
            return self.spawn_container(image, order, plan, host);
        }
        let mut brought = None;
        let mut command_line: Vec<String> = plan.entrypoint.clone();
        match &order.runner {
            Runner::Programs(name) if command_line.is_empty() => {
                // The image's own entrypoint.
                let program = own_program(self.app_dir(name)?, name);
                command_line.push(program.to_string_lossy().into_owned());
            }
            Runner::Programs(_) | Runner::Container(_) => {}
            Runner::Python(_) => match Script::of(&order.request) {
                Some(script) if command_line.is_empty() => {
                    command_line = script.command_line(is_package(host));
                    lead_python(&mut command_line, host);
                    brought = Some(script);
                }
                _ => lead_python(&mut command_line, host),
            },
        }
        if brought.is_none() {
            command_line.extend(plan.arguments.iter().cloned());
        }
        let identity = identity(order).into_iter();
        let mut environment: Vec<(String, String)> = identity
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if let Some(script) = &brought {
            environment.extend(self.script_environment(script, order, plan, host));
        }
        // Of two variables of one name, the later counts.
        environment.extend(plan.environment.iter().cloned());
        let mut command = self.container(
            &command_line,
            &order.runner,
            &host.root,
            &host.log,
            &environment,
        )?;
        if brought.is_some() {
            command.current_dir(host.root.join(CODE));
        }
        command
            .spawn()
            .map_err(|error| not_started(&command_line[0], &error))
    }

    /// What script mode adds to the environment of a training's program.
    fn script_environment(
        &self,
        script: &Script,
        order: &ProgramOrder,
        plan: &JobPlan,
        host: &Host,
    ) -> Vec<(String, String)> {
        let files: BTreeMap<_, _> = config_files(order, plan, &host.name).into_iter().collect();
        let of = |name| files.get(name).cloned().unwrap_or_default();
        let channels: Vec<&str> = plan
            .inputs
            .iter()
            .map(|input| input.name.as_str())
            .collect();
        let root = self.settings.mounts.seen(&host.root);
        script.environment(&Facts {
            root: &root.to_string_lossy(),
            job_name: &order.job_name,
            channels: &channels,
            input_data_config: &of("input/config/inputdataconfig.json"),
            resource_config: &of("input/config/resourceconfig.json"),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        })
    }

    /// Gets what a framework's image has: the sources of the program, and a Python with its
    /// packages, whose path it gives.
    pub(super) async fn prepare_python(
        &self,
        image: &PythonImage,
        root: &Path,
        source: Option<&str>,
        folders: &[PathBuf],
        log: &Path,
    ) -> Result<PathBuf, JobError> {
        let code = root.join(CODE);
        if let Some(source) = source {
            self.fetch_source(source, root, &code).await?;
        }
        let folders: Vec<PathBuf> = std::iter::once(code)
            .chain(folders.iter().cloned())
            .collect();
        let pythons = &self.settings.pythons;
        let interpreter = pythons.interpreter(image, &folders, log).await?;
        let folder = log.parent().unwrap_or(root);
        make_commands(&commands_folder(folder), &interpreter).await?;
        Ok(interpreter)
    }

    /// Unpacks the archive of a program's sources; one that is not an archive is the program itself.
    async fn fetch_source(&self, source: &str, root: &Path, code: &Path) -> Result<(), JobError> {
        let failed = |why: &dyn std::fmt::Display| {
            JobError::Client(format!("the program's sources {source}: {why}"))
        };
        create_folder(code).await?;
        let file = match below_root(source) {
            Ok(path) if root.join(&path).is_dir() => {
                let (from, to) = (root.join(path), code.to_owned());
                return copy_below(&from, &to).await.map_err(|error| failed(&error));
            }
            Ok(path) => root.join(path),
            Err(_) => {
                let location = S3Location::parse(source).map_err(|error| failed(&error))?;
                let file = root.join(SOURCE_ARCHIVE);
                self.store
                    .download(&location, &file)
                    .await
                    .map_err(|error| failed(&error))?;
                file
            }
        };
        let code = code.to_owned();
        tokio::task::spawn_blocking(move || archive::unpack(&file, &code))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&format!("not a gzip-compressed tar archive: {error}")))
    }
}

/// Has a command write to the end of a log, in a group of its own: a stop reaches whatever the
/// program has started, and a Ctrl-C in the terminal reaches the stand-in first.
fn logged(command: &mut Command, log_file: &Path) -> Result<(), JobError> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log_file)
        .map_err(|error| JobError::file(log_file, &error))?;
    let log_too = log
        .try_clone()
        .map_err(|error| JobError::file(log_file, &error))?;
    command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .process_group(0)
        .kill_on_drop(true);
    Ok(())
}

/// Whether a job's sources are a package.
fn is_package(host: &Host) -> bool {
    host.root.join(CODE).join("setup.py").is_file()
}

/// Where the commands `python` and `pip` of a job are.
fn commands_folder(folder: &Path) -> PathBuf {
    folder.join("bin")
}

/// Leads an image's own Python, which lies somewhere else in each image, to the one that stands
/// for it.
fn lead_python(command_line: &mut [String], host: &Host) {
    let (Some(program), Some(interpreter)) = (command_line.first_mut(), host.interpreter.get())
    else {
        return;
    };
    let name = program.rsplit('/').next().unwrap_or_default();
    let version = name.strip_prefix("python");
    let is_python = version.is_some_and(|version| {
        version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    if is_python {
        *program = interpreter.display().to_string();
    }
}

async fn copy_below(from: &Path, to: &Path) -> Result<(), JobError> {
    for name in files_below(from).await? {
        let target = to.join(&name);
        if let Some(folder) = target.parent() {
            create_folder(folder).await?;
        }
        tokio::fs::copy(from.join(&name), &target)
            .await
            .map_err(|error| JobError::file(&target, &error))?;
    }
    Ok(())
}

/// The program that goes by the last part of the repository's name.
pub(super) fn own_program(app_dir: &Path, repository: &str) -> PathBuf {
    app_dir.join(repository.rsplit('/').next().unwrap_or(repository))
}

fn not_started(program: &str, error: &std::io::Error) -> JobError {
    JobError::Client(format!(
        "the container's entrypoint '{program}' cannot be started: {error}"
    ))
}

/// Where the files of a step's job are.
pub(super) fn job_folder(run_dir: &Path, key: &StepKey) -> Result<PathBuf, NameRefused> {
    let step = match key.attempt {
        0 | 1 => key.step.clone(),
        attempt => format!("{}.attempt-{attempt}", key.step),
    };
    let execution = below::file_name(&key.execution)?;
    let step = below::file_name(&step)?;
    Ok(run_dir.join(execution).join(step))
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
                interpreter: OnceLock::new(),
            }
        })
        .collect()
}

/// Asks all programs to end, and kills them when they have not within `grace`.
pub(super) async fn end_all<T: 'static>(
    groups: &ProcessGroups,
    programs: &mut JoinSet<T>,
    grace: Duration,
) {
    groups.signal(Signal::TERM);
    let all_ended = async { while programs.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        groups.signal(Signal::KILL);
        while programs.join_next().await.is_some() {}
    }
}

/// The process groups of a job's hosts; killed when dropped.
#[derive(Default)]
pub(super) struct ProcessGroups(Vec<Pid>);

impl ProcessGroups {
    pub(super) fn add(&mut self, child: &Child) {
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        self.0.extend(group);
    }

    fn signal(&self, signal: Signal) {
        for group in &self.0 {
            // An error means that the group has no process left.
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

pub(super) async fn create_folder(folder: &Path) -> Result<(), JobError> {
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|error| JobError::file(folder, &error))
}

pub(super) fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        // A container reports a signal as a shell does.
        (None, Some(signal)) => format!("exit code: {} (signal {signal})", 128 + signal),
        (Some(code), _) => format!("exit code: {code}"),
        (None, None) => format!("{status}"),
    }
}

async fn read_message(plan: &JobPlan, host: &Host) -> Option<String> {
    let text = read_text(plan, host).await?;
    Some(cut(&text, LONGEST_MESSAGE).to_owned())
}

/// What the program left about how it ended; `None` if nothing.
async fn read_text(plan: &JobPlan, host: &Host) -> Option<String> {
    let bytes = tokio::fs::read(host.root.join(plan.message_file))
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
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
        // JSON has no other numbers.
        if let Some(value) = last.filter(|value: &f64| value.is_finite()) {
            metrics.push((definition.name.clone(), value));
        }
    }
    metrics
}

/// Packs files below a folder into a compressed archive.
async fn pack(folder: PathBuf, files: Vec<String>, file: PathBuf) -> Result<(), JobError> {
    let packed = {
        let file = file.clone();
        tokio::task::spawn_blocking(move || archive::pack(&folder, &files, &file))
    };
    match packed.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(JobError::file(&file, &error)),
        Err(error) => Err(JobError::Internal(format!("{}: {error}", file.display()))),
    }
}

/// The files below a folder, as S3 keys relative to it, sorted.
async fn files_below(folder: &Path) -> Result<Vec<String>, JobError> {
    let mut files = Vec::new();
    let mut pending = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        let mut entries = tokio::fs::read_dir(&folder)
            .await
            .map_err(|error| JobError::file(&folder, &error))?;
        while let Some(entry) = entries
            .next_entry()
            .await
            .map_err(|error| JobError::file(&folder, &error))?
        {
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|name| {
                JobError::Client(format!(
                    "the file name {name:?} is not UTF-8 and can't be a key"
                ))
            })?;
            let key = format!("{prefix}{name}");
            let kind = entry
                .file_type()
                .await
                .map_err(|error| JobError::file(&path, &error))?;
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
                metric("infinite", r"rate=(\S+)"),
            ],
            "epoch 1 loss=0.5\nepoch 2 loss=0.25\nloss=nothing\nrate=inf\n",
        );
        assert_eq!(found, [("loss".to_owned(), 0.25)]);
    }
}
