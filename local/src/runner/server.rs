//! Runs programs that serve models: one process for each production variant.

use super::process::{
    LAST_GRACE, ProcessGroups, ProcessRunner, create_folder, end_all, ending, own_program,
};
use super::{Served, StopSignal, archive};
use crate::client::Client;
use crate::error::JobError;
use crate::script::{self, CODE};
use crate::state::{PythonImage, Runner, ServerOrder, ServersOrder};
use crate::storage::{S3Location, StorageError};
use pipewright_files::below;
use pipewright_wording::cut_with_mark;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;
use tokio::process::Child;
use tokio::task::JoinSet;

/// Asks the functions of an inference program, in the place of a framework's image.
const SERVE: &str = include_str!("serve.py");

/// How long a program may take to answer whether it is well.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a program that is not up yet is asked.
const STARTING_EVERY: Duration = Duration::from_millis(50);

/// How often a program that serves is asked, and how often it may fail to answer.
const SERVING_EVERY: Duration = Duration::from_secs(10);
const MISSED_PINGS: u32 = 3;

/// The most bytes of a log's last line in a failure reason.
const LONGEST_LINE: usize = 500;

/// A program that serves a model.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) served: Served,
    client: Client,
}

impl ProcessRunner {
    /// Runs the programs of an endpoint until one fails or they are stopped; tells `ready` when
    /// all answer. None is left afterwards.
    pub(super) async fn serve_all(
        &self,
        order: &ServersOrder,
        stop: &mut StopSignal,
        ready: Box<dyn FnOnce(Vec<Served>) + Send + '_>,
    ) -> Result<(), JobError> {
        let name = format!("{}.{}", order.key.endpoint, order.key.serial);
        let folder = below::file_name(&name)
            .map(|name| self.settings.run_dir.join("endpoints").join(name))
            .map_err(JobError::client)?;
        let mut groups = ProcessGroups::default();
        let mut programs = JoinSet::new();
        let start = async {
            let mut served = Vec::new();
            for server in &order.servers {
                let folder = below::file_name(&server.variant)
                    .map(|variant| folder.join(variant))
                    .map_err(JobError::client)?;
                let own = self.acting_as(server.role.as_deref()).await?;
                let mut running = own.start_server(server, &folder, &[]).await?;
                groups.add(&running.child);
                let patience = Duration::from_secs(server.startup_seconds);
                running.until_ready(patience).await?;
                served.push(running.served.clone());
                programs.spawn(running.until_dead());
            }
            Ok::<_, JobError>(served)
        };
        let started = tokio::select! {
            started = start => started,
            grace = stop.stopped() => {
                end_all(&groups, &mut programs, grace).await;
                return Ok(());
            }
        };
        ready(started?);
        let (result, grace) = tokio::select! {
            dead = programs.join_next() => {
                let error = match dead {
                    Some(Ok(error)) => error,
                    Some(Err(error)) => JobError::internal(error),
                    None => JobError::internal("there is no program to serve"),
                };
                (Err(error), LAST_GRACE)
            }
            grace = stop.stopped() => (Ok(()), grace),
        };
        end_all(&groups, &mut programs, grace).await;
        result
    }

    /// Unpacks the model and starts the program, with more in its environment.
    pub(super) async fn start_server(
        &self,
        server: &ServerOrder,
        folder: &Path,
        environment: &[(&str, String)],
    ) -> Result<Running, JobError> {
        let root = folder.join("opt").join("ml");
        let model = root.join("model");
        create_folder(&model).await?;
        if let Some(uri) = &server.model_data {
            self.fetch_model(uri, &model).await?;
        }
        let log_file = folder.join("container.log");
        let command_line = match &server.runner {
            Runner::Programs(name) => {
                let program = own_program(self.app_dir(name)?, name);
                vec![program.to_string_lossy().into_owned(), "serve".to_owned()]
            }
            Runner::Python(image) => self.serving_python(server, image, &root, &log_file).await?,
            Runner::Container(image) => {
                return Err(JobError::Internal(format!("{image} is not served here")));
            }
        };
        let port = free_port().map_err(JobError::internal)?;
        let child = self
            .container(
                &command_line,
                &server.runner,
                &root,
                &log_file,
                &server.environment,
            )?
            .envs(environment.iter().map(|(name, value)| (name, value)))
            // Reached by way of the runtime API only.
            .env("PIPEWRIGHT_LOCAL", "1")
            .env("SAGEMAKER_BIND_TO_HOST", Ipv4Addr::LOCALHOST.to_string())
            .env("SAGEMAKER_BIND_TO_PORT", port.to_string())
            .spawn()
            .map_err(|error| {
                JobError::Client(format!(
                    "the container's program {} cannot be started: {error}",
                    command_line[0]
                ))
            })?;
        Ok(Running {
            child,
            served: Served {
                variant: server.variant.clone(),
                port,
                log: log_file,
            },
            client: Client::new(PING_TIMEOUT),
        })
    }

    /// Gets the program that a model's container names, and gives the command line of the server
    /// that asks its functions.
    async fn serving_python(
        &self,
        server: &ServerOrder,
        image: &PythonImage,
        root: &Path,
        log: &Path,
    ) -> Result<Vec<String>, JobError> {
        let variable = |name: &str| {
            let mut found = server.environment.iter();
            let found = found.rfind(|(known, _)| known == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let source = variable(script::SERVING_SOURCE);
        // A model's archive may hold its program.
        let in_model = root.join("model").join(CODE);
        let is_apart = source.starts_with("s3://");
        let code = if is_apart { root.join(CODE) } else { in_model };
        self.prepare_python(
            image,
            root,
            Some(source).filter(|_| is_apart),
            std::slice::from_ref(&code),
            log,
        )
        .await?;
        let program = variable(script::SERVING_PROGRAM).to_owned();
        if !code.join(&program).is_file() {
            let place = if is_apart {
                source
            } else {
                "code/ of the model's archive"
            };
            return Err(JobError::Client(format!(
                "there is no {program} in {place}"
            )));
        }
        let serve = log.with_file_name("serve.py");
        tokio::fs::write(&serve, SERVE)
            .await
            .map_err(|error| JobError::file(&serve, &error))?;
        let line = [
            Path::new("python3"),
            &serve,
            &code,
            Path::new(&program),
            &root.join("model"),
        ];
        Ok(line
            .map(|part| part.to_string_lossy().into_owned())
            .to_vec())
    }

    async fn fetch_model(&self, uri: &str, folder: &Path) -> Result<(), JobError> {
        let failed = |why: &dyn std::fmt::Display| {
            JobError::Container(format!(
                "Failed to download model data from URL: \"{uri}\": {why}"
            ))
        };
        let location = S3Location::parse(uri).map_err(|error| failed(&error))?;
        let file = folder.with_extension("tar.gz");
        self.store
            .download(&location, &file)
            .await
            .map_err(|error| match error {
                StorageError::NotFound(_) => failed(&"there is no object at the URL"),
                other => failed(&other),
            })?;
        let (archive, folder) = (file, folder.to_owned());
        tokio::task::spawn_blocking(move || archive::unpack(&archive, &folder))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&format!("it is not a gzip-compressed tar archive: {error}")))
    }
}

impl Running {
    /// Waits until the program answers.
    pub(super) async fn until_ready(&mut self, patience: Duration) -> Result<(), JobError> {
        let (client, port) = (&self.client, self.served.port);
        let answers = async {
            while !answers(client, port).await {
                tokio::time::sleep(STARTING_EVERY).await;
            }
        };
        tokio::select! {
            () = answers => Ok(()),
            status = self.child.wait() => Err(dead(&self.served, status)),
            () = tokio::time::sleep(patience) => Err(unwell(&self.served)),
        }
    }

    /// Waits until the program ends or does not answer any more; gives why.
    pub(super) async fn until_dead(mut self) -> JobError {
        let mut missed = 0;
        loop {
            tokio::select! {
                status = self.child.wait() => return dead(&self.served, status),
                () = tokio::time::sleep(SERVING_EVERY) => {}
            }
            if answers(&self.client, self.served.port).await {
                missed = 0;
                continue;
            }
            missed += 1;
            if missed == MISSED_PINGS {
                return unwell(&self.served);
            }
        }
    }
}

async fn answers(client: &Client, port: u16) -> bool {
    let uri = format!("http://127.0.0.1:{port}/ping");
    let ping = client.send("GET", uri, &[], Vec::new());
    let answer = tokio::time::timeout(PING_TIMEOUT, ping).await;
    matches!(answer, Ok(Ok(answer)) if answer.is_success())
}

/// A port of loopback that is free at this moment. If another takes it before the program does,
/// the program says so and ends.
fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn unwell(served: &Served) -> JobError {
    told(served, "did not pass the ping health check".to_owned())
}

fn dead(served: &Served, status: std::io::Result<std::process::ExitStatus>) -> JobError {
    let what = match status {
        Ok(status) => format!("ended with {}", ending(status)),
        Err(error) => format!("is lost: {error}"),
    };
    told(served, what)
}

/// What became of a program, with the last that it said.
fn told(served: &Served, what: String) -> JobError {
    let last = last_line(&served.log)
        .map(|line| format!(" Its log ends: {line}"))
        .unwrap_or_default();
    JobError::Container(format!(
        "The primary container for production variant {} {what}.{last} ({})",
        served.variant,
        served.log.display()
    ))
}

fn last_line(log: &Path) -> Option<String> {
    let bytes = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(cut_with_mark(line.trim(), LONGEST_LINE))
}
