//! `pipewright redrive`: what went wrong for good, once more or never again.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use pipewright_aws::lambda;
use pipewright_aws::sqs::{self, Message};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::confirm;
use crate::execution::Format;
use crate::installation::Installation;
use crate::output;

mod choice;
mod look;
mod message;
mod replay;

pub(crate) use look::{Queued, look};

use choice::{Verdict, Wish};
use message::{Failure, NotAnEnvelope, Source, shown, unwrap};
use replay::{HIDDEN_FOR, Held};

/// Show what is in the two failure queues, and replay it.
///
/// Without a choice it only shows: each message with what it is about, when and
/// why it failed. With one, it invokes the function that failed with the
/// original event, and deletes the message after the function has succeeded; what
/// is not chosen, or fails again, stays. While it works, no other reader sees the
/// messages. What can never succeed is taken out with --discard. The exit status
/// is 0 only if all that was chosen was replayed, or discarded.
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    installation: Installation,
    /// Replay all events. Requests, such as one to start an execution, are not
    /// among them: they are shown and stay, and do not count for the exit status.
    #[arg(long, conflicts_with = "message")]
    all: bool,
    /// Replay these messages: their ids, or at least the first 8 characters.
    #[arg(long, value_name = "ID", num_args = 1..)]
    message: Vec<String>,
    /// Repeat the requests of custom resources among these messages, though
    /// CloudFormation no longer waits for them and may have gone on since.
    #[arg(long, requires = "message")]
    custom_resource: bool,
    /// Delete these messages for good instead of replaying them; each is shown
    /// and asked for.
    #[arg(long, requires = "message", conflicts_with_all = ["all", "custom_resource"])]
    discard: bool,
    /// Ask nothing before a message is discarded.
    #[arg(long, requires = "discard")]
    yes: bool,
    /// Only say what would be replayed, or discarded.
    #[arg(long)]
    dry_run: bool,
    /// For people, or, where nothing is chosen, for programs: an array of {queue, id, at, subject, cause}.
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with_all = ["all", "message"])]
    format: Format,
    /// Look at so many messages of each queue at most.
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// A message, for programs.
#[derive(Debug, Serialize)]
struct Told {
    queue: &'static str,
    #[serde(flatten)]
    message: Queued,
}

/// A message, read as far as it can be.
struct Read {
    place: usize,
    message: Message,
    failure: Result<Failure, NotAnEnvelope>,
}

pub(crate) async fn run(arguments: Redrive) -> anyhow::Result<ExitCode> {
    let asks = arguments.discard && !arguments.yes && !arguments.dry_run;
    if asks && !confirm::somebody_is_there() {
        anyhow::bail!("messages are discarded only with --yes where no question can be asked");
    }
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
            Err(anyhow::anyhow!("interrupted; what was not replayed, or discarded, is in its queue"))
        }
    };
    for (_, held) in &held {
        let remaining = held.release().await;
        if remaining > 0 {
            say(&format!(
                "{} again after {} minutes only",
                match remaining {
                    1 => "1 message shows".to_owned(),
                    many => format!("{many} messages show"),
                },
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
    let messages = receive(arguments.limit, held).await?;
    let chosen = arguments.all || !arguments.message.is_empty();
    let wish = Wish {
        prefix: arguments.installation.prefix.clone(),
        // What a list says of a message is what --all would do with it.
        all: arguments.all || !chosen,
        ids: arguments.message.clone(),
        custom_resources: arguments.custom_resource,
        discard: arguments.discard,
    };
    if arguments.format == Format::Json {
        let told = messages.iter().map(|read| Told {
            queue: held[read.place].0.name(),
            message: look::read(held[read.place].0, &read.message),
        });
        output::write_json(&told.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    wish.check(messages.iter().map(|read| read.message.id.as_str()))?;

    let mut tally = Tally::default();
    for read in &messages {
        let (source, held) = &held[read.place];
        let verdict = wish.judge(&read.message.id, &read.failure);
        if verdict == Verdict::NotChosen {
            tally.not_chosen += 1;
            continue;
        }
        show(*source, read)?;
        if let (Verdict::Discard, Err(problem)) = (&verdict, &read.failure) {
            say(&format!("    {problem}"))?;
        }
        match verdict {
            Verdict::NotChosen => {}
            Verdict::Spared(how) => {
                say(&format!("    left: {how}"))?;
                tally.left += 1;
                tally.spared += usize::from(chosen);
            }
            Verdict::Refused(why) => {
                say(&format!("    left: {why}"))?;
                tally.left += 1;
                tally.unmet += usize::from(chosen);
            }
            Verdict::Replay(_) if !chosen => tally.left += 1,
            Verdict::Replay(failure) if arguments.dry_run => {
                say(&format!("    would go to function {}", failure.function))?;
                tally.left += 1;
            }
            Verdict::Replay(failure) => {
                replay(held, &read.message, functions, failure, &mut tally).await?;
            }
            Verdict::Discard if arguments.dry_run => {
                say("    would be discarded")?;
                tally.left += 1;
            }
            Verdict::Discard => discard(arguments.yes, held, &read.message, &mut tally).await?,
        }
    }
    say(&tally.sentence(arguments.discard))?;
    Ok(if tally.unmet == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::exit::FAILURE)
    })
}

/// The messages of all queues, at most `limit` of each.
async fn receive(limit: u32, held: &[(Source, Held<sqs::Queue>)]) -> anyhow::Result<Vec<Read>> {
    let mut messages = Vec::new();
    for (place, (source, held)) in held.iter().enumerate() {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
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
            // It is no part of what is listed.
            writeln!(
                output::stderr(),
                "{}: there may be more than these; see --limit",
                source.name()
            )?;
        }
    }
    Ok(messages)
}

/// Hands a message on to its function, and says what came of it.
async fn replay(
    held: &Held<sqs::Queue>,
    message: &Message,
    functions: &lambda::Functions,
    failure: &Failure,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let outcome = held
        .replay(message, functions, &failure.function, &failure.payload)
        .await;
    match outcome {
        Ok(answer) => {
            tally.replayed += 1;
            say(&format!("    replayed: {}", outcome_of(&answer)))?;
        }
        Err(error) => {
            tally.left += 1;
            tally.unmet += 1;
            say(&format!("    left: {}", shown(&error.to_string())))?;
        }
    }
    Ok(())
}

/// Deletes a message, unless the answer is not yes, and says what came of it.
async fn discard(
    yes: bool,
    held: &Held<sqs::Queue>,
    message: &Message,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let question = format!("Delete message {} for good?", shown(&message.id));
    let why_left = if !yes && !confirm::yes(&question).await? {
        Some("the answer was not yes".to_owned())
    } else {
        let outcome = held.discard(message).await;
        outcome.err().map(|error| shown(&error.to_string()))
    };
    match why_left {
        None => {
            tally.discarded += 1;
            say("    discarded")?;
        }
        Some(why) => {
            tally.left += 1;
            tally.unmet += 1;
            say(&format!("    left: {why}"))?;
        }
    }
    Ok(())
}

/// What became of the messages.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    replayed: usize,
    discarded: usize,
    /// Shown, and still in a queue.
    left: usize,
    /// Of these, requests that --all leaves alone.
    spared: usize,
    /// Not shown, since others were chosen.
    not_chosen: usize,
    /// How many were not treated as they should have been.
    unmet: usize,
}

impl Tally {
    fn sentence(self, discard: bool) -> String {
        let (done, how) = match discard {
            true => (self.discarded, "discarded"),
            false => (self.replayed, "replayed"),
        };
        let note = match (self.not_chosen, self.spared) {
            (0, 0) => String::new(),
            (0, 1) => " (1 is a request, which only --message chooses)".to_owned(),
            (0, count) => format!(" ({count} are requests, which only --message chooses)"),
            (count, _) => format!(" ({count} not chosen)"),
        };
        let remaining = self.left + self.not_chosen;
        format!("{done} {how}, {remaining} in the queues{note}")
    }
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
    writeln!(output::stdout(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        _redrive: Redrive,
    }

    fn is_taken(words: &str) -> bool {
        Line::try_parse_from(["redrive"].into_iter().chain(words.split_whitespace())).is_ok()
    }

    #[test]
    fn only_messages_that_are_named_can_be_discarded() {
        assert!(is_taken("--message 12345678 --discard"));
        assert!(is_taken("--message 12345678 --discard --yes"));
        assert!(is_taken("--message 12345678 --discard --dry-run"));
        for refused in [
            "--discard",
            "--discard --all",
            "--discard --all --yes",
            "--message 12345678 --discard --custom-resource",
            "--message 12345678 --yes",
        ] {
            assert!(!is_taken(refused), "{refused}");
        }
    }

    #[test]
    fn the_last_line_counts_what_was_not_chosen() {
        let tally = Tally {
            replayed: 1,
            discarded: 2,
            left: 3,
            spared: 0,
            not_chosen: 4,
            unmet: 0,
        };
        let all = Tally {
            not_chosen: 0,
            ..tally
        };
        assert_eq!(
            tally.sentence(false),
            "1 replayed, 7 in the queues (4 not chosen)"
        );
        assert_eq!(all.sentence(true), "2 discarded, 3 in the queues");
        for (spared, end) in [
            (1, "(1 is a request, which only --message chooses)"),
            (2, "(2 are requests, which only --message chooses)"),
        ] {
            let sentence = Tally { spared, ..all }.sentence(false);
            assert_eq!(sentence, format!("1 replayed, 3 in the queues {end}"));
        }
    }
}
