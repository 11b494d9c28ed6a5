//! `pipewright web`: the pages of an installation on this machine, to look at only.

use std::future::IntoFuture;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use clap::Args;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use crate::execution::losses::Logs;
use crate::installation::Installation;
use crate::output;

mod routes;
mod source;
#[cfg(test)]
mod tests;

use routes::{Site, Token};
use source::{Aws, Source};

/// Show executions, endpoints and failures in a browser, as they come.
///
/// Serves pages on this machine's loopback until it is interrupted, and prints their address, which has a random part:
/// who does not know it gets nothing. The pages only read. They have the executions, one execution's page as `execution
/// report` writes it, executions compared, endpoints with their use, what is in the failure queues, and what housekeeping
/// did last.
#[derive(Debug, Args)]
pub(crate) struct Web {
    #[command(flatten)]
    installation: Installation,
    /// The table of executions; without it, PREFIX-executions.
    #[arg(long)]
    table: Option<String>,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Beside the open executions, list those that ended within so many days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(0..=366))]
    days: u16,
    #[command(flatten)]
    logs: Logs,
    /// Show the first page in the browser.
    #[arg(long)]
    open: bool,
}

pub(crate) async fn run(arguments: Web) -> anyhow::Result<ExitCode> {
    let config = pipewright_aws::config().await;
    let mut random = [0; 16];
    SysRng
        .try_fill_bytes(&mut random)
        .context("no random bits")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))
        .await
        .with_context(|| format!("port {} of 127.0.0.1 cannot be opened", arguments.port))?;
    let port = listener.local_addr()?.port();
    let prefix = arguments.installation.prefix.clone();
    let site = Rc::new(Site {
        source: Aws::new(
            config,
            arguments.installation,
            arguments.table.as_deref(),
            arguments.logs,
            arguments.days,
        ),
        token: Token::new(random),
        port,
        prefix,
    });
    // An installation that cannot be read is said here, and not on each page.
    site.source.listed(1).await?;
    let address = format!("http://127.0.0.1:{port}/{}/", site.token.as_str());
    writeln!(output::stdout(), "{address}")?;
    if arguments.open {
        crate::open::open(address.as_ref())?;
    }
    LocalSet::new().run_until(serve(listener, site)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Serves a site until it fails. What answers stays on this thread, and so need not be sent to others; the server hands it
/// each request, and gets the answer back.
async fn serve<S: Source>(listener: TcpListener, site: Rc<Site<S>>) -> io::Result<()> {
    let (requests, mut waiting) = mpsc::channel::<(Request<Body>, oneshot::Sender<Response>)>(64);
    let handler = move |request: Request<Body>| {
        let requests = requests.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            if requests.send((request, answer)).await.is_ok()
                && let Ok(response) = answered.await
            {
                return response;
            }
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    };
    let server = axum::serve(listener, Router::new().fallback(handler)).into_future();
    let answering = async {
        while let Some((request, answer)) = waiting.recv().await {
            let site = Rc::clone(&site);
            spawn_local(async move {
                // A browser may have gone away meanwhile.
                let _ = answer.send(routes::answer(site, request).await);
            });
        }
    };
    tokio::select! {
        served = server => served,
        () = answering => Ok(()),
    }
}
