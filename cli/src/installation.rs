//! The names of an installation, which all begin with its prefix.

use clap::Args;

use crate::argument::InvalidArgument;

/// The longest prefix that the templates take.
pub(crate) const MAX_PREFIX_LENGTH: usize = 20;

/// The prefix of an installation that was deployed without another one.
const DEFAULT_PREFIX: &str = "pipewright";

/// Which installation.
#[derive(Debug, Clone, Args)]
pub(crate) struct Installation {
    /// The installation's prefix: parameter `Prefix` of its stack.
    #[arg(long, default_value = DEFAULT_PREFIX, value_parser = prefix)]
    pub(crate) prefix: String,
}

/// The functions of every installation, without its prefix.
const FUNCTIONS: [&str; 4] = [
    "housekeeping",
    "pipeline-definition",
    "pipeline-events",
    "start-execution",
];

/// Whether a function of this name is the one of an installation with that
/// prefix. Its names may begin like those of another one: `pw-2` beside `pw`.
pub(crate) fn has_function(prefix: &str, function: &str) -> bool {
    function
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|name| FUNCTIONS.contains(&name))
}

impl Installation {
    /// The options that name this installation in a command: none for the
    /// default.
    pub(crate) fn options(&self) -> String {
        match self.prefix.as_str() {
            DEFAULT_PREFIX => String::new(),
            prefix => format!(" --prefix {prefix}"),
        }
    }

    /// The installation's own `name`: `<prefix>-<name>`.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}

/// Takes what the parameter `Prefix` takes.
fn prefix(text: &str) -> Result<String, InvalidArgument> {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let fits = (2..=MAX_PREFIX_LENGTH).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.split('-').all(part);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(InvalidArgument::Prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_the_template_takes() {
        for good in ["pipewright", "ab", "a1-b2-c3", &"x".repeat(20)] {
            assert_eq!(prefix(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a",
            "1a",
            "-a",
            "a-",
            "a--b",
            "Ab",
            "a_b",
            &"x".repeat(21),
        ] {
            assert!(prefix(bad).is_err(), "{bad:?}");
        }
    }
}
