//! `pipewright endpoint`: serve an execution's model, list what serves, and end that.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use pipewright::record::reconcile::EndpointFound;
use pipewright::record::whose::{EXECUTION_TAG, STACK_TAG};
use pipewright::record::{History, RecordId, history};
use pipewright_aws::dynamodb;
use pipewright_aws::dynamodb::endpoints::{Endpoints, Registration, Registry};
use pipewright_aws::sagemaker::SageMaker;
use pipewright_aws::sagemaker::endpoints::Variant;
use tokio::time::Instant;

use crate::confirm;
use crate::exit;
use crate::installation::Installation;
use crate::output;
use crate::search::Search;
use pipewright_aws::process::now;

pub(crate) mod list;
mod plan;

pub(crate) use plan::model_of;

/// How soon an endpoint is looked at again; later looks come less often.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// How seldom at most.
const LAST_LOOK: Duration = Duration::from_secs(15);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the model that an execution trained. Costs money from now on.
    ///
    /// Makes an endpoint configuration and an endpoint of the same name, tagged
    /// with the installation's prefix, so that clean-up knows them, and with the
    /// execution. The same call again finds what is there and makes what is not.
    Create(Create),
    /// Delete an execution's endpoint, and its configuration. Its entry in the
    /// table of endpoints stays, for events that come late.
    Delete(Delete),
    /// List the endpoints that serve models of executions.
    List(list::List),
}

/// Which endpoint, and where its execution's record lies.
#[derive(Debug, Args)]
struct Which {
    /// The execution: its id, ARN or display name.
    #[arg(long, value_name = "ID")]
    execution: String,
    /// The endpoint's name; without it, PREFIX-EXECUTION, shortened where
    /// that is too long.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    installation: Installation,
    /// The table of executions; without it, PREFIX-executions.
    #[arg(long)]
    table: Option<String>,
    /// The table of endpoints; without it, PREFIX-endpoints.
    #[arg(long, value_name = "TABLE")]
    endpoints_table: Option<String>,
    /// Wait until SageMaker is done; the exit status is 3 if the time was up.
    #[arg(long)]
    wait: bool,
    /// How long to wait.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1800,
        requires = "wait"
    )]
    timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    which: Which,
    /// The type of the instances that serve it.
    #[arg(long, default_value = "ml.m5.large", value_parser = plan::instance_type)]
    instance_type: String,
    /// How many of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    instance_count: i32,
    /// Serve a model whose training was only simulated by the local stand-in.
    #[arg(long)]
    simulated: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    which: Which,
    /// Ask nothing.
    #[arg(long)]
    yes: bool,
}

/// What is at hand in AWS.
struct World {
    search: Search,
    endpoints: Endpoints,
    sagemaker: SageMaker,
}

impl World {
    async fn of(which: &Which) -> Self {
        let config = pipewright_aws::config().await;
        let search = Search::new(&config, &which.installation, which.table.as_deref());
        let endpoints = match &which.endpoints_table {
            Some(table) => table.clone(),
            None => which.installation.named("endpoints"),
        };
        Self {
            endpoints: Endpoints::new(dynamodb::client(&config), endpoints),
            sagemaker: search.sagemaker.clone(),
            search,
        }
    }

    async fn history(&self, id: &RecordId) -> anyhow::Result<History> {
        let items = self.search.executions.items(id.as_str()).await?;
        Ok(history(id.as_str(), &items))
    }
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(arguments) => create(&arguments).await,
        Command::Delete(arguments) => delete(&arguments).await,
        Command::List(arguments) => list::list(&arguments).await,
    }
}

async fn create(arguments: &Create) -> anyhow::Result<ExitCode> {
    let which = &arguments.which;
    if let Some(name) = &which.name {
        plan::check_name(name)?;
    }
    let world = World::of(which).await;
    let id = world.search.recorded(&which.execution, now()).await?;
    let prefix = which.installation.prefix.as_str();
    let name = match &which.name {
        Some(name) => name.clone(),
        None => plan::default_name(prefix, &id),
    };
    plan::check_name(&name)?;
    let model = plan::model_of(&world.history(&id).await?, arguments.simulated)?;
    let variant = Variant {
        model,
        instance_type: arguments.instance_type.clone(),
        instance_count: arguments.instance_count,
    };

    let found = described(&world.sagemaker, &name).await?;
    if found.is_some() && world.endpoints.find(&name).await?.is_none() {
        bail!(
            "there is an endpoint {name} that is not in table {}, so it is none of ours; choose another name with \
             --name",
            world.endpoints.table()
        );
    }
    // Before anything is made, so that the first event finds its execution.
    let registration = world
        .endpoints
        .register(&name, &id, &name, &variant.model)
        .await?;
    if let Registration::OfAnother(other) = registration {
        bail!(
            "endpoint {name} is, or was, the one of execution {other}, whose events go to that record; choose another \
             name with --name"
        );
    }
    let tags = [(STACK_TAG, prefix), (EXECUTION_TAG, id.as_str())];
    make_config(&world.sagemaker, &name, &variant, &tags).await?;
    let status = match found {
        Some(endpoint) => usable(&name, endpoint)?,
        None => make_endpoint(&world.sagemaker, &name, &tags).await?,
    };
    say(&format!(
        "endpoint {name}: {status}, serves model {} of execution {id} on {} x {}",
        variant.model, variant.instance_count, variant.instance_type
    ))?;
    if !which.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let endpoint = settle(&world.sagemaker, which, &name, |endpoint| {
        endpoint.is_none_or(|endpoint| !is_under_way(endpoint))
    })
    .await?;
    match endpoint {
        Waited::TimeIsUp => Ok(ExitCode::from(exit::TIMED_OUT)),
        Waited::Settled(Some(endpoint)) => {
            say(&format!("endpoint {name}: {}", usable(&name, endpoint)?))?;
            Ok(ExitCode::SUCCESS)
        }
        Waited::Settled(None) => bail!("endpoint {name} was deleted meanwhile"),
    }
}

/// Makes the configuration, or finds that it is there as it should be.
async fn make_config(
    sagemaker: &SageMaker,
    name: &str,
    wanted: &Variant,
    tags: &[(&str, &str)],
) -> anyhow::Result<()> {
    let mut found = sagemaker.endpoint_config(name).await?;
    if found.is_none() {
        match sagemaker.create_endpoint_config(name, wanted, tags).await {
            Ok(()) => return Ok(()),
            // Another call was faster, or the answer to ours got lost.
            Err(error) if error.is_taken() => found = sagemaker.endpoint_config(name).await?,
            Err(error) => return Err(error.into()),
        }
    }
    let found = found.with_context(|| format!("endpoint configuration {name} is gone again"))?;
    if found != [wanted.clone()] {
        let shown = |variant: &Variant| {
            format!(
                "model {} on {} x {}",
                variant.model, variant.instance_count, variant.instance_type
            )
        };
        bail!(
            "there is an endpoint configuration {name} already, for {}, and what is asked for is {}; delete it with \
             `pipewright endpoint delete`, or choose another name with --name",
            found.iter().map(shown).collect::<Vec<_>>().join(" and "),
            shown(wanted)
        );
    }
    Ok(())
}

/// Makes the endpoint; gives its status.
async fn make_endpoint(
    sagemaker: &SageMaker,
    name: &str,
    tags: &[(&str, &str)],
) -> anyhow::Result<String> {
    match sagemaker.create_endpoint(name, name, tags).await {
        Ok(_) => Ok("Creating".to_owned()),
        Err(error) if error.is_taken() => {
            let endpoint = described(sagemaker, name).await?;
            usable(
                name,
                endpoint.with_context(|| format!("endpoint {name} is gone again"))?,
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// The status of an endpoint that serves the model, or will.
fn usable(name: &str, endpoint: EndpointFound) -> anyhow::Result<String> {
    match status(&endpoint).unwrap_or("unknown") {
        "Failed" => bail!(
            "endpoint {name} failed ({}); delete it with `pipewright endpoint delete`",
            endpoint
                .failure_reason
                .unwrap_or_else(|| "SageMaker gives no reason".to_owned())
        ),
        "Deleting" => bail!("endpoint {name} is being deleted; create it again when it is gone"),
        _ if endpoint
            .config_name
            .as_deref()
            .is_some_and(|config| config != name) =>
        {
            bail!(
                "endpoint {name} has the configuration {}, which this command did not make; choose another name with \
             --name",
                endpoint.config_name.unwrap_or_default()
            )
        }
        status => Ok(status.to_owned()),
    }
}

/// What SageMaker says about an endpoint; `None` if there is none.
async fn described(sagemaker: &SageMaker, name: &str) -> anyhow::Result<Option<EndpointFound>> {
    Ok(sagemaker.endpoint(name).await?.map(|answer| answer.found))
}

/// An endpoint's status, if SageMaker told one.
fn status(endpoint: &EndpointFound) -> Option<&str> {
    Some(endpoint.status.as_str()).filter(|status| !status.is_empty())
}

fn is_under_way(endpoint: &EndpointFound) -> bool {
    matches!(
        endpoint.status.as_str(),
        "Creating" | "Updating" | "SystemUpdating" | "RollingBack"
    )
}

async fn delete(arguments: &Delete) -> anyhow::Result<ExitCode> {
    let which = &arguments.which;
    let world = World::of(which).await;
    let id = world.search.recorded(&which.execution, now()).await?;
    let name = match &which.name {
        Some(name) => name.clone(),
        None => {
            let recorded = world.history(&id).await?.attributes().endpoint;
            recorded
                .endpoint_name
                .unwrap_or_else(|| plan::default_name(&which.installation.prefix, &id))
        }
    };
    let table = world.endpoints.table();
    let config = match world.endpoints.find(&name).await? {
        None => bail!("there is no endpoint {name} in table {table}, so it is none of ours"),
        Some(entry) if entry.execution != id.as_str() => {
            bail!(
                "endpoint {name} is the one of execution {}, not of {id}",
                entry.execution
            )
        }
        Some(entry) => entry.config.unwrap_or_else(|| name.clone()),
    };
    let endpoint = described(&world.sagemaker, &name).await?;
    if let Some(endpoint) = &endpoint {
        if is_under_way(endpoint) {
            bail!(
                "endpoint {name} can't be deleted while its status is {}; try again in some minutes",
                endpoint.status
            );
        }
        if !arguments.yes && !confirmed(&name, endpoint).await? {
            bail!("endpoint {name} was not deleted");
        }
        world.sagemaker.delete_endpoint(&name).await?;
    }
    let had_config = world.sagemaker.delete_endpoint_config(&config).await?;
    let what = match (&endpoint, had_config) {
        (Some(_), true) => "it and its configuration are being deleted",
        (Some(_), false) => "it is being deleted; its configuration was gone already",
        (None, true) => "it was gone already; its configuration is deleted",
        (None, false) => "it and its configuration were gone already",
    };
    say(&format!("endpoint {name}: {what}"))?;
    if let Some(other) = endpoint
        .and_then(|endpoint| endpoint.config_name)
        .filter(|other| *other != config)
    {
        say(&format!(
            "endpoint configuration {other}, which somebody gave the endpoint later, stays"
        ))?;
    }
    if which.wait {
        let waited = settle(&world.sagemaker, which, &name, |endpoint| {
            endpoint.is_none()
        })
        .await?;
        if matches!(waited, Waited::TimeIsUp) {
            return Ok(ExitCode::from(exit::TIMED_OUT));
        }
        say(&format!("endpoint {name}: gone"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the person at the terminal.
async fn confirmed(name: &str, endpoint: &EndpointFound) -> anyhow::Result<bool> {
    if !confirm::somebody_is_there() {
        bail!("endpoint {name} is deleted only with --yes where no question can be asked");
    }
    let status = status(endpoint).unwrap_or("unknown status");
    confirm::yes(&format!("Delete endpoint {name} ({status})?")).await
}

/// How waiting ended.
enum Waited {
    Settled(Option<EndpointFound>),
    TimeIsUp,
}

/// Looks at an endpoint until it is as wanted, or the time is up.
async fn settle(
    sagemaker: &SageMaker,
    which: &Which,
    name: &str,
    wanted: impl Fn(Option<&EndpointFound>) -> bool,
) -> anyhow::Result<Waited> {
    let until = Instant::now() + Duration::from_secs(which.timeout);
    let mut pause = FIRST_LOOK;
    loop {
        let endpoint = described(sagemaker, name).await?;
        if wanted(endpoint.as_ref()) {
            return Ok(Waited::Settled(endpoint));
        }
        if Instant::now() >= until {
            let status = endpoint.as_ref().and_then(status);
            say(&format!(
                "the time is up; the status of endpoint {name} is {}",
                status.unwrap_or("unknown")
            ))?;
            return Ok(Waited::TimeIsUp);
        }
        tokio::time::sleep(pause.min(until - Instant::now())).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

fn say(line: &str) -> io::Result<()> {
    writeln!(output::stdout(), "{line}")
}
