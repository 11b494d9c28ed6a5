//! `pipewright execution`: watch one, or show what happened in it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use pipewright::record::history::{LogLine, history};
use pipewright::record::{History, Item, RecordId, names};
use pipewright_aws::dynamodb::{self, Executions, TableError};
use tokio::time::Instant;

use crate::output::{self, Text};

mod list;
mod render;

use render::{Style, Writer};

/// The exit status when the time was up before the execution's end.
const TIMED_OUT: u8 = 3;

/// How long after the end of an execution its last events are waited for:
/// steps, models and packages report apart from the execution.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// How many polls in a row must find nothing new before the end is believed,
/// where nothing is known to be missing.
const QUIET_POLLS: u32 = 2;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show each change as it comes, and a summary at the end. The exit status
    /// is 0 only if the execution succeeded; 3 if the time was up.
    ///
    /// An execution that is not there yet is waited for, since one that was
    /// started elsewhere has its record only with its first event.
    Watch(Watch),
    /// Show what happened so far.
    Show(Show),
    /// List the executions that are open, and those that ended lately, the
    /// newest first.
    List(list::List),
}

/// Which execution, and where its record lies.
#[derive(Debug, Args)]
struct Which {
    /// The execution's id, as start-execution answered it.
    id: String,
    /// The table of executions.
    #[arg(long)]
    table: String,
    /// Whether to colour the output; auto = on a terminal.
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    which: Which,
    /// Give up after so many seconds; without it, wait for ever.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Look so often.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(50..))]
    interval: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
    /// For people, or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Color {
    /// The style for standard output. `NO_COLOR` counts where nothing was asked.
    fn style(self) -> Style {
        let colored = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                output::stdout_is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        if colored {
            Style::Colored
        } else {
            Style::Plain
        }
    }
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let result = match command {
        Command::Watch(arguments) => watch(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::List(arguments) => list::list(arguments).await,
    };
    match result {
        // Whoever read us has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn table(name: &str) -> Executions {
    let config = pipewright_aws::config().await;
    Executions::new(dynamodb::client(&config), name)
}

/// Writes to standard output.
fn writer(style: Style) -> Writer<Text<io::Stdout>> {
    Writer::new(output::coloured_stdout(style == Style::Colored), style)
}

async fn show(arguments: Show) -> anyhow::Result<ExitCode> {
    let id = RecordId::new(arguments.which.id)?;
    let executions = table(&arguments.which.table).await;
    let items = executions.items(id.as_str()).await?;
    if items.is_empty() {
        anyhow::bail!("there is no execution {id} in table {executions}");
    }
    let history = history(id.as_str(), &items)?;
    match arguments.format {
        Format::Json => output::write_json(&history)?,
        Format::Text => {
            let mut writer = writer(arguments.which.color.style());
            Seen::default().write_new(&mut writer, &history)?;
            writer.summary(&history)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn watch(arguments: Watch) -> anyhow::Result<ExitCode> {
    let id = RecordId::new(arguments.which.id)?;
    let executions = table(&arguments.which.table).await;
    let mut writer = writer(arguments.which.color.style());
    let interval = Duration::from_millis(arguments.interval);
    let until = arguments
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut items = Items::default();
    let mut seen = Seen::default();
    let mut ended = None;
    let mut quiet_polls = 0;
    let mut told_absent = false;
    loop {
        let news = items.refresh(&executions, &id).await?;
        let history = history(id.as_str(), items.all.values())?;
        seen.write_new(&mut writer, &history)?;
        if items.all.is_empty() && !told_absent {
            told_absent = true;
            complain(&not_there_yet(&id, &executions.to_string()))?;
        }
        if history.is_final() || history.start_failure.is_some() {
            let ended = *ended.get_or_insert_with(Instant::now);
            quiet_polls = if news { 0 } else { quiet_polls + 1 };
            let complete = !is_incomplete(&history) && quiet_polls >= QUIET_POLLS;
            if complete || ended.elapsed() >= STRAGGLERS {
                writer.summary(&history)?;
                let succeeded = history.status.as_deref() == Some("Succeeded");
                return Ok(if succeeded {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(crate::FAILURE)
                });
            }
        } else {
            ended = None;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            if items.all.is_empty() {
                complain("the time is up; there is still no such execution")?;
                return Ok(ExitCode::from(TIMED_OUT));
            }
            writer.summary(&history)?;
            writer.line("the time is up; the execution has not ended")?;
            return Ok(ExitCode::from(TIMED_OUT));
        }
        tokio::time::sleep(interval).await;
    }
}

/// What is said of an execution that has no items. start-execution writes them
/// before anything runs, so the id is most likely mistyped; but what was started
/// elsewhere has its first one only with its first event, so it is waited for.
fn not_there_yet(id: &RecordId, table: &str) -> String {
    format!(
        "there is no execution {id} in table {table} yet; waiting for its first event, in case it was started \
         elsewhere. If the id is mistyped, end this with Ctrl-C: `pipewright execution list --table {table}` has the ids"
    )
}

/// Tells on standard error what is no part of the output.
fn complain(text: &str) -> io::Result<()> {
    writeln!(output::stderr(), "pipewright: {text}")
}

/// Whether an execution that ended has steps that have not: their last events
/// are still under way.
fn is_incomplete(history: &History) -> bool {
    history.steps.iter().any(|step| step.ended_at.is_none())
}

/// An execution's items by sort key, kept up to date with little reading.
#[derive(Default)]
struct Items {
    all: BTreeMap<String, Item>,
}

impl Items {
    /// Reads what may have changed; tells whether anything did. Change and
    /// training items may arrive in any order, log batches come in order.
    async fn refresh(
        &mut self,
        executions: &Executions,
        id: &RecordId,
    ) -> Result<bool, TableError> {
        let last_log = self
            .all
            .keys()
            .rev()
            .find(|entry| entry.starts_with(names::LOG_PREFIX))
            .map_or(names::LOG_PREFIX, String::as_str)
            .to_owned();
        let mut fresh = executions
            .entries(id, names::CHANGE_PREFIX, &past(names::CHANGE_PREFIX))
            .await?;
        fresh.extend(
            executions
                .entries(id, &last_log, &past(names::LOG_PREFIX))
                .await?,
        );
        fresh.extend(
            executions
                .entries(id, names::TRAINING_PREFIX, &past(names::TRAINING_PREFIX))
                .await?,
        );
        fresh.extend(executions.record(id).await?);
        let mut news = false;
        for item in fresh {
            let entry = item.get(names::ENTRY).and_then(|entry| entry.as_str());
            let entry = entry.unwrap_or_default().to_owned();
            news |= self.all.get(&entry) != Some(&item);
            self.all.insert(entry, item);
        }
        Ok(news)
    }
}

/// A sort key behind all that begin with `prefix`.
fn past(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

/// What was written already.
#[derive(Default)]
struct Seen {
    /// How many changes of each subject to each status. A change that was told
    /// once is not told again when a second message says more of it.
    changes: BTreeMap<(String, String), usize>,
    /// How many lines of each log batch.
    lines: BTreeMap<String, usize>,
    start_failure: bool,
}

impl Seen {
    /// Writes the changes and log lines that are new, in the order of their
    /// moments.
    fn write_new<W: Write>(&mut self, writer: &mut Writer<W>, history: &History) -> io::Result<()> {
        enum News<'a> {
            Change(&'a pipewright::record::history::Change),
            Line(&'a LogLine),
        }
        let mut news: Vec<(Option<i64>, News<'_>)> = Vec::new();
        let mut changes: BTreeMap<(String, String), usize> = BTreeMap::new();
        for change in &history.changes {
            let key = (render::subject(change), render::status(change));
            let count = changes.entry(key.clone()).or_default();
            *count += 1;
            if *count > self.changes.get(&key).copied().unwrap_or_default() {
                news.push((Some(change.at), News::Change(change)));
            }
        }
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for line in &history.log {
            let count = lines.entry(line.entry.clone()).or_default();
            *count += 1;
            if *count > self.lines.get(&line.entry).copied().unwrap_or_default() {
                news.push((line.at, News::Line(line)));
            }
        }
        for (key, count) in changes {
            let told = self.changes.entry(key).or_default();
            *told = (*told).max(count);
        }
        self.lines.extend(lines);
        news.sort_by_key(|(at, _)| *at);
        for (_, news) in news {
            match news {
                News::Change(change) => writer.change(change)?,
                News::Line(line) => writer.log_line(line)?,
            }
        }
        if let (Some(failure), false) = (&history.start_failure, self.start_failure) {
            self.start_failure = true;
            writer.start_failure(failure)?;
        }
        Ok(())
    }
}
