//! `pipewright redrive`: what went wrong for good, and once more.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use pipewright_aws::lambda;
use pipewright_aws::sqs::{self, Message};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::installation::Installation;

mod choice;
mod message;
mod replay;

use choice::{Verdict, Wish};
use message::{Failure, NotAnEnvelope, Source, shown, unwrap};
use replay::{HIDDEN_FOR, Held};

/// Show what is in the two failure queues, and replay it.
///
/// Without a choice it only shows: each message with what it is about, when and
/// why it failed. With one, it invokes the function that failed with the
/// original event, and deletes the message after the function has succeeded; what
/// is not chosen, or fails again, stays. While it works, no other reader sees the
/// messages. The exit status is 0 only if all that was chosen was replayed.
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    installation: Installation,
    /// Replay all events. Requests, such as one to start an execution, are not
    /// among them.
    #[arg(long, conflicts_with = "message")]
    all: bool,
    /// Replay these messages: their ids, or at least the first 8 characters.
    #[arg(long, value_name = "ID", num_args = 1..)]
    message: Vec<String>,
    /// Repeat the requests of custom resources among these messages, though
    /// CloudFormation no longer waits for them and may have gone on since.
    #[arg(long, requires = "message")]
    custom_resource: bool,
    /// Only say what would be replayed.
    #[arg(long)]
    dry_run: bool,
    /// Look at so many messages of each queue at most.
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// A message, read as far as it can be.
struct Read {
    place: usize,
    message: Message,
    failure: Result<Failure, NotAnEnvelope>,
}

pub(crate) async fn run(arguments: Redrive) -> anyhow::Result<ExitCode> {
    let config = pipewright_aws::config().await;
    let queues = sqs::client(&config);
    let functions = lambda::Functions::new(lambda::client(&config));
    let mut held = Vec::new();
    for source in Source::ALL {
        let name = arguments.installation.named(source.name());
        let queue = sqs::Queue::named(queues.clone(), &name).await?;
        held.push((source, Held::nothing_of(queue)));
    }
    let result = tokio::select! {
        result = redrive(&arguments, &held, &functions) => result,
        signal = tokio::signal::ctrl_c() => {
            signal.context("signals cannot be received")?;
            Err(anyhow::anyhow!("interrupted; what was not replayed is in its queue"))
        }
    };
    for (_, held) in &held {
        let remaining = held.release().await;
        if remaining > 0 {
            say(&format!(
                "{remaining} messages show again after {} minutes only",
                HIDDEN_FOR.as_secs() / 60
            ))?;
        }
    }
    result
}

async fn redrive(
    arguments: &Redrive,
    held: &[(Source, Held<sqs::Queue>)],
    functions: &lambda::Functions,
) -> anyhow::Result<ExitCode> {
    let mut messages = Vec::new();
    for (place, (source, held)) in held.iter().enumerate() {
        let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
        let more = held
            .receive(limit)
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        for message in held.messages() {
            let failure = unwrap(*source, &message);
            messages.push(Read {
                place,
                message,
                failure,
            });
        }
        if more {
            say(&format!(
                "{}: there may be more than these; see --limit",
                source.name()
            ))?;
        }
    }
    let chosen = arguments.all || !arguments.message.is_empty();
    let wish = Wish {
        prefix: arguments.installation.prefix.clone(),
        // What a list says of a message is what --all would do with it.
        all: arguments.all || !chosen,
        ids: arguments.message.clone(),
        custom_resources: arguments.custom_resource,
    };
    wish.check(messages.iter().map(|read| read.message.id.as_str()))?;

    let (mut replayed, mut remaining, mut unmet) = (0_usize, 0_usize, 0_usize);
    for read in &messages {
        let (source, held) = &held[read.place];
        show(*source, read)?;
        match wish.judge(&read.message.id, &read.failure) {
            Verdict::NotChosen => remaining += 1,
            Verdict::Refused(why) => {
                say(&format!("    left: {why}"))?;
                remaining += 1;
                unmet += usize::from(chosen);
            }
            Verdict::Replay(_) if !chosen => remaining += 1,
            Verdict::Replay(failure) if arguments.dry_run => {
                say(&format!("    would go to function {}", failure.function))?;
                remaining += 1;
            }
            Verdict::Replay(failure) => {
                let outcome = held
                    .replay(
                        &read.message,
                        functions,
                        &failure.function,
                        &failure.payload,
                    )
                    .await;
                match outcome {
                    Ok(answer) => {
                        say(&format!("    replayed: {}", outcome_of(&answer)))?;
                        replayed += 1;
                    }
                    Err(error) => {
                        say(&format!("    left: {}", shown(&error.to_string())))?;
                        remaining += 1;
                        unmet += 1;
                    }
                }
            }
        }
    }
    say(&format!("{replayed} replayed, {remaining} in the queues"))?;
    Ok(if unmet == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::FAILURE)
    })
}

/// What a function said of an event, in words.
fn outcome_of(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().map(shown);
    match (
        text("outcome").as_deref(),
        text("executionId"),
        text("reason"),
    ) {
        (Some("recorded"), Some(id), _) => format!("recorded in execution {id}"),
        (Some("notOurs"), _, Some(reason)) => format!("nothing to record: {reason}"),
        _ => "the function succeeded".to_owned(),
    }
}

/// One message: what, when, and why it failed.
fn show(source: Source, read: &Read) -> io::Result<()> {
    let id = shown(&read.message.id);
    match &read.failure {
        Ok(failure) => {
            let sent = read.message.sent_at.and_then(iso);
            let at = failure.at.clone().or(sent).unwrap_or_default();
            say(&format!(
                "{id}  {}  {at}  {}",
                source.name(),
                failure.subject
            ))?;
            say(&format!("    cause: {}", failure.cause))
        }
        Err(_) => say(&format!("{id}  {}", source.name())),
    }
}

/// An epoch moment in milliseconds as ISO 8601.
fn iso(millis: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).ok()?;
    moment.format(&Rfc3339).ok()
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
