//! Log lines on standard error: text, or JSON lines for CloudWatch Logs.

use tracing::Level;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The level when neither `RUST_LOG` nor `AWS_LAMBDA_LOG_LEVEL` is set: ours
/// from information on, that of libraries from warnings on.
const DEFAULT_FILTER: &str = "info,aws_config=warn,aws_runtime=warn,aws_sdk_cloudwatch=warn,aws_sdk_dynamodb=warn,\
    aws_sdk_eventbridge=warn,aws_sdk_s3=warn,aws_sdk_sagemaker=warn,aws_smithy_http_client=warn,\
    aws_smithy_runtime=warn,h2=warn,hyper=warn,hyper_util=warn,lambda_runtime=warn,rustls=warn";

/// The crates of this workspace whose names do not begin with `pipewright`.
const OURS: [&str; 5] = [
    "feature_engineering",
    "housekeeping",
    "pipeline_definition",
    "pipeline_events",
    "start_execution",
];

/// How much of the libraries' own logging may come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libraries {
    /// As `RUST_LOG` says.
    AsConfigured,
    /// Warnings and errors at most, whatever `RUST_LOG` says. At their verbose
    /// levels, the Lambda runtime writes whole events and HTTP clients whole
    /// addresses; a program that is handed secrets in either keeps them quiet.
    WarningsAtMost,
}

/// What decides the shape of log lines; [`LogSettings::from_env`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON lines (`AWS_LAMBDA_LOG_FORMAT=JSON`) instead of text.
    pub json: bool,
    /// A filter in the syntax of `RUST_LOG`: `RUST_LOG` if set, else
    /// `AWS_LAMBDA_LOG_LEVEL` (which Lambda sets for JSON lines), else
    /// information from us and warnings from libraries.
    pub filter: String,
    /// How much of the libraries' logging may come through.
    pub libraries: Libraries,
}

impl LogSettings {
    /// Reads `AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL` and `RUST_LOG`.
    #[must_use]
    pub fn from_env(libraries: Libraries) -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            json: set("AWS_LAMBDA_LOG_FORMAT")
                .is_some_and(|format| format.eq_ignore_ascii_case("json")),
            filter: set("RUST_LOG")
                .or_else(|| set("AWS_LAMBDA_LOG_LEVEL"))
                .unwrap_or_else(|| DEFAULT_FILTER.to_owned()),
            libraries,
        }
    }
}

/// Starts logging to standard error by the environment's settings; once in a
/// process, before the first log line. `AWS_LAMBDA_LOG_FORMAT=JSON` gives JSON
/// lines, `RUST_LOG` or else `AWS_LAMBDA_LOG_LEVEL` the level; one that cannot
/// be read is the first thing to be logged.
///
/// # Errors
/// When the process has a subscriber already.
pub fn init(libraries: Libraries) -> Result<(), TryInitError> {
    let settings = LogSettings::from_env(libraries);
    subscriber(&settings, std::io::stderr).try_init()?;
    if let Err(error) = settings.filter.parse::<Targets>() {
        tracing::warn!(
            "the log filter {:?} cannot be read, so the default one holds: {error}",
            settings.filter
        );
    }
    Ok(())
}

/// The subscriber behind [`init`], writing wherever `writer` says. A filter
/// that cannot be read counts as the default one.
pub fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync + 'static
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter: Targets = settings
        .filter
        .parse()
        .or_else(|_| DEFAULT_FILTER.parse())
        .expect("the default filter is a constant that parses");
    let capped = settings.libraries == Libraries::WarningsAtMost;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    let lines = if settings.json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .boxed()
    } else {
        lines.boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter_fn(move |metadata| {
            !capped || *metadata.level() <= Level::WARN || is_ours(metadata.target())
        })))
        .with(filter)
}

/// Whether `target` belongs to a crate of this workspace.
fn is_ours(target: &str) -> bool {
    let krate = target.split("::").next().unwrap_or(target);
    OURS.contains(&krate) || krate.starts_with("pipewright")
}

#[cfg(test)]
mod tests {
    use std::io::{Result, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    /// What comes of a line of ours and two of a library.
    fn logged(json: bool, filter: &str, libraries: Libraries) -> String {
        let lines = Lines::default();
        let settings = LogSettings {
            json,
            filter: filter.to_owned(),
            libraries,
        };
        let writer = lines.clone();
        let subscriber = subscriber(&settings, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "pipeline_definition::handler", answer = 42, "ours");
            tracing::info!(target: "lambda_runtime::layers", "a whole event");
            tracing::warn!(target: "hyper_util::client", "a warning");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn at_most_warnings_of_libraries_pass_whatever_the_filter_says() {
        let log = logged(false, "trace", Libraries::WarningsAtMost);
        assert!(log.contains("ours") && log.contains("a warning"), "{log}");
        assert!(!log.contains("a whole event"), "{log}");
        let log = logged(false, "lambda_runtime=trace", Libraries::WarningsAtMost);
        assert!(!log.contains("a whole event"), "{log}");
    }

    #[test]
    fn libraries_pass_as_configured_where_they_may() {
        let log = logged(false, "trace", Libraries::AsConfigured);
        assert!(log.contains("a whole event"), "{log}");
        let log = logged(false, DEFAULT_FILTER, Libraries::AsConfigured);
        assert!(
            !log.contains("a whole event") && log.contains("a warning"),
            "{log}"
        );
    }

    #[test]
    fn a_filter_that_cannot_be_read_counts_as_the_default() {
        let log = logged(
            false,
            "pipeline_definition=loud=very",
            Libraries::AsConfigured,
        );
        assert!(!log.contains("ours") && log.contains("a warning"), "{log}");
    }

    #[test]
    fn json_lines_hold_their_fields_beside_the_message() {
        let log = logged(true, "trace", Libraries::WarningsAtMost);
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(line["level"], "TRACE");
        assert_eq!(line["message"], "ours");
        assert_eq!(line["answer"], serde_json::json!(42));
        assert!(line["timestamp"].is_string());
    }
}
