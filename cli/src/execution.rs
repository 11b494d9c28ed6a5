//! `pipewright execution`: start one, watch it, show what happened in it, stop it, retry it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use pipewright::record::history::{LogLine, history};
use pipewright::record::{ExecutionArn, History, Item, Record, RecordId, arn_of, is_final, names};
use pipewright_aws::dynamodb::{Executions, Records, TableError};
use pipewright_aws::process::now;
use tokio::time::Instant;

use crate::exit;
use crate::installation::Installation;
use crate::output::{self, Text};
use crate::search::{Found, Search};

mod charts;
pub(crate) mod compare;
pub(crate) mod known;
pub(crate) mod list;
pub(crate) mod listing;
mod live;
pub(crate) mod losses;
pub(crate) mod render;
pub(crate) mod report;
mod start;

use live::Block;
use losses::Logs;
use render::{Style, Writer};

/// How long after the end of an execution its last events are waited for:
/// steps, models and packages report apart from the execution.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// How long a retried execution's first event is waited for.
const FIRST_EVENT: Duration = Duration::from_secs(15);

/// How often an execution that is not there is looked for by its display name,
/// which reads many records.
const LOOK_FOR_NAME: Duration = Duration::from_secs(5);

/// How many polls in a row must find nothing new before the end is believed,
/// where nothing is known to be missing.
const QUIET_POLLS: u32 = 2;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start an execution of any pipeline.
    ///
    /// Its record is made first, and its id is the execution's display name and, where the pipeline
    /// declares it, the parameter ExecutionId. The same id again starts nothing more.
    Start(start::Start),
    /// Show each change as it comes, and a summary at the end. The exit status
    /// is 0 only if the execution succeeded; 3 if the time was up.
    ///
    /// An execution that SageMaker has, by its ARN, is waited for until its
    /// first event has made its record. An unknown one is an error,
    /// unless --wait is given.
    Watch(Watch),
    /// Show what happened so far.
    Show(Show),
    Report(report::Report),
    Compare(compare::Compare),
    /// List the executions that are open, and those that ended lately, the
    /// newest first.
    List(list::List),
    /// Stop an execution. What its steps have done so far stays, and
    /// `retry` goes on from there.
    Stop(Act),
    /// Go on with an execution that failed or was stopped, from the steps that
    /// did not succeed.
    Retry(Act),
}

/// Where executions are recorded.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    installation: Installation,
    /// The table of executions; without it, PREFIX-executions.
    #[arg(long)]
    table: Option<String>,
}

impl Place {
    async fn search(&self) -> Search {
        let config = pipewright_aws::config().await;
        Search::new(&config, &self.installation, self.table.as_deref())
    }

    /// The options that lead a command here.
    fn options(&self) -> String {
        match &self.table {
            Some(table) => format!(" --table {table}"),
            None => self.installation.options(),
        }
    }
}

/// An execution to do something with.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// The execution: its id, ARN or display name.
    execution: String,
    #[command(flatten)]
    place: Place,
}

/// Which execution, and where its record lies.
#[derive(Debug, Args)]
struct Which {
    /// The execution: its id, ARN or display name.
    execution: String,
    #[command(flatten)]
    place: Place,
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
    /// Wait for an execution that is unknown as yet, such as one that is about
    /// to be started elsewhere.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    logs: Logs,
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
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Color {
    /// The style for standard output. `NO_COLOR` counts where nothing was asked.
    pub(crate) fn style(self) -> Style {
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
        Command::Start(arguments) => start::start(arguments).await,
        Command::Watch(arguments) => watch(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Compare(arguments) => compare::compare(arguments).await,
        Command::Report(arguments) => report::report(arguments).await,
        Command::List(arguments) => list::list(arguments).await,
        Command::Stop(arguments) => stop(&arguments).await,
        Command::Retry(arguments) => retry(&arguments).await,
    };
    match result {
        // The reader has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard output.
pub(crate) fn writer(style: Style) -> Writer<Text<io::Stdout>> {
    Writer::new(output::coloured_stdout(style == Style::Colored), style)
}

async fn show(arguments: Show) -> anyhow::Result<ExitCode> {
    let search = arguments.which.place.search().await;
    let id = search.recorded(&arguments.which.execution, now()).await?;
    let items = search.executions.items(id.as_str()).await?;
    let history = history(id.as_str(), &items);
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
    let search = arguments.which.place.search().await;
    let mut writer = writer(arguments.which.color.style());
    let interval = Duration::from_millis(arguments.interval);
    let until = arguments
        .timeout
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let Some(id) = await_record(&search, &arguments, interval, until).await? else {
        complain("the time is up; there is still no record of that execution")?;
        return Ok(ExitCode::from(exit::TIMED_OUT));
    };
    let mut items = Items::default();
    let mut seen = Seen::default();
    let mut ended = None;
    let mut quiet_polls = 0;
    let mut block = output::stdout_moves()
        .then(|| Block::new(arguments.logs.clone(), search.sagemaker.clone()));
    loop {
        let news = items.refresh(&search.executions, &id).await?;
        let history = history(id.as_str(), items.all());
        if let Some(block) = block.as_mut().filter(|_| news) {
            block.clear()?;
        }
        seen.write_new(&mut writer, &history)?;
        if let Some(block) = &mut block {
            block.draw(&mut writer, &history, now()).await?;
        }
        if history.is_over() {
            let ended = *ended.get_or_insert_with(Instant::now);
            quiet_polls = if news { 0 } else { quiet_polls + 1 };
            let complete = !is_incomplete(&history) && quiet_polls >= QUIET_POLLS;
            let time_is_up = until.is_some_and(|until| Instant::now() >= until);
            if complete || time_is_up || ended.elapsed() >= STRAGGLERS {
                if let Some(block) = &mut block {
                    block.clear()?;
                }
                writer.summary(&history)?;
                let succeeded = history.status.as_deref() == Some("Succeeded");
                return Ok(if succeeded {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(exit::FAILURE)
                });
            }
        } else {
            ended = None;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            if let Some(block) = &mut block {
                block.clear()?;
            }
            writer.summary(&history)?;
            writer.line("the time is up; the execution has not ended")?;
            return Ok(ExitCode::from(exit::TIMED_OUT));
        }
        tokio::time::sleep(interval).await;
    }
}

/// The id of the execution that is meant, as soon as it has a record; `None` if the time was up.
///
/// start-execution and `execution start` make the record before anything runs; what was started elsewhere
/// has one with its first event only. So what SageMaker has is waited for, and what is unknown if that
/// is asked for.
async fn await_record(
    search: &Search,
    arguments: &Watch,
    interval: Duration,
    until: Option<Instant>,
) -> anyhow::Result<Option<RecordId>> {
    let text = &arguments.which.execution;
    match search.look(text, now()).await? {
        Ok(Found::Recorded(id)) => return Ok(Some(id)),
        Ok(Found::Unrecorded(arn)) => complain(&format!(
            "execution {arn} has no record in table {} yet; waiting for its first event, which comes if a rule brings \
             those of its pipeline",
            search.executions
        ))?,
        Err(unknown) if arguments.wait => complain(&format!("{unknown}; waiting for it"))?,
        Err(unknown) => return Err(unknown.into()),
    }
    let plain = match ExecutionArn::parse(text.as_str()) {
        Ok(_) => None,
        Err(_) => RecordId::new(text.as_str()).ok(),
    };
    let mut looked = Instant::now();
    while until.is_none_or(|until| Instant::now() < until) {
        tokio::time::sleep(interval).await;
        if let Some(id) = &plain
            && search.has(id).await?
        {
            return Ok(Some(id.clone()));
        }
        if plain.is_none() || looked.elapsed() >= LOOK_FOR_NAME {
            looked = Instant::now();
            if let Ok(Found::Recorded(id)) = search.look(text, now()).await? {
                return Ok(Some(id));
            }
        }
    }
    Ok(None)
}

/// The ARN of the execution that is meant, and how it is called: by its record's id, if it has one.
async fn to_act_on(search: &Search, text: &str) -> anyhow::Result<(String, Option<RecordId>)> {
    let id = match search.look(text, now()).await?? {
        Found::Recorded(id) => id,
        Found::Unrecorded(arn) => return Ok((arn.to_string(), None)),
    };
    let record = search.executions.record(&id).await?;
    match record.as_ref().and_then(arn_of) {
        Some(arn) => Ok((arn.to_owned(), Some(id))),
        None => anyhow::bail!(
            "the record of execution {id} has no ARN: its start is under way, or has failed; `pipewright execution \
             show {id}` says so"
        ),
    }
}

async fn stop(arguments: &Act) -> anyhow::Result<ExitCode> {
    let search = arguments.place.search().await;
    let (arn, id) = to_act_on(&search, &arguments.execution).await?;
    if let Err(error) = search.sagemaker.stop(&arn).await {
        return Err(refused(&search, id.as_ref(), error.is_refusal(), "stop")
            .await?
            .unwrap_or(error.into()));
    }
    let name = id.map_or(arn, |id| id.to_string());
    writeln!(output::stdout(), "execution {name} is being stopped")?;
    Ok(ExitCode::SUCCESS)
}

async fn retry(arguments: &Act) -> anyhow::Result<ExitCode> {
    let search = arguments.place.search().await;
    let (arn, id) = to_act_on(&search, &arguments.execution).await?;
    let Some(id) = id else {
        search.sagemaker.retry(&arn).await?;
        writeln!(output::stdout(), "execution {arn} goes on")?;
        return Ok(ExitCode::SUCCESS);
    };
    let before = position(&search, &id).await?;
    if let Err(error) = search.sagemaker.retry(&arn).await {
        return Err(refused(&search, Some(&id), error.is_refusal(), "retry")
            .await?
            .unwrap_or(error.into()));
    }
    // A watch that begins now must not take the old end for the new one.
    let until = Instant::now() + FIRST_EVENT;
    while position(&search, &id).await? == before {
        if Instant::now() >= until {
            writeln!(
                output::stdout(),
                "execution {id} goes on; its record, which no event has reached yet, still says how it ended before"
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    writeln!(output::stdout(), "execution {id} goes on")?;
    Ok(ExitCode::SUCCESS)
}

/// Why SageMaker refused to stop or to retry an execution, where its record tells: that it has ended.
async fn refused(
    search: &Search,
    id: Option<&RecordId>,
    is_refusal: bool,
    what: &str,
) -> Result<Option<anyhow::Error>, TableError> {
    let Some(id) = id.filter(|_| is_refusal) else {
        return Ok(None);
    };
    let status = ended_as(search, id).await?;
    Ok(status.map(|status| {
        anyhow::anyhow!("execution {id} has ended as {status}: there is nothing to {what}")
    }))
}

/// The status that an execution has ended with, by its record; `None` while it goes on.
pub(crate) async fn ended_as(search: &Search, id: &RecordId) -> Result<Option<String>, TableError> {
    let record = search.executions.record(id).await?;
    let status = record.and_then(|record| Record::read(&record).execution.pipeline_status);
    Ok(status.filter(|status| is_final(status)))
}

/// The place of an execution's last event, which every later one moves.
async fn position(search: &Search, id: &RecordId) -> Result<Option<String>, TableError> {
    let record = search.executions.record(id).await?;
    let position = record.and_then(|record| record.get(names::PIPELINE_POSITION).cloned());
    Ok(position.and_then(|position| position.as_str().map(str::to_owned)))
}

/// Tells on standard error what is not part of the output.
fn complain(text: &str) -> io::Result<()> {
    writeln!(output::stderr(), "pipewright: {text}")
}

/// Whether an execution that ended has steps that have not: their last events
/// are still under way.
fn is_incomplete(history: &History) -> bool {
    history.steps.iter().any(|step| step.ended_at.is_none())
}

/// An execution's items by sort key, kept up to date with little reading.
#[derive(Debug, Default)]
pub(crate) struct Items {
    all: BTreeMap<String, Item>,
}

impl Items {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Item> {
        self.all.values()
    }

    /// Reads what may have changed; tells whether anything did. Change and
    /// training items may arrive in any order, log batches come in order.
    pub(crate) async fn refresh(
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
