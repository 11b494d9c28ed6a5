//! The path of a `Get`: `Parameters.X`, `Execution.X`,
//! `PipelineExperimentConfig.X`, `Steps.NAME.Member[0]['key']`, and within a
//! ForEach step `ForEach.CurrentItem.Member` and `IterationOutput.NAME.Member`.

use std::fmt;

/// One member of a step's description.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Member<'a> {
    /// `.Name`
    Name(&'a str),
    /// `[3]`
    Index(usize),
    /// `['key']`: a map's key, or an item of a list by its name.
    Key(&'a str),
}

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, ".{name}"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, "['{key}']"),
        }
    }
}

/// A parsed `Get` path; what it names may not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GetPath<'a> {
    /// A pipeline parameter by its name.
    Parameter(&'a str),
    /// An execution variable such as `PipelineExecutionId`.
    Execution(&'a str),
    /// `ExperimentName` or `TrialName`.
    Experiment(&'a str),
    /// A member of a step's description; without members the step itself.
    Step {
        /// The step's name.
        step: &'a str,
        /// The way into its description.
        members: Vec<Member<'a>>,
    },
    /// The item that a step in the body of a ForEach step is run for.
    Item {
        /// The way into it; without members the item itself.
        members: Vec<Member<'a>>,
    },
    /// What a step of the body gives in each round, by which a ForEach step
    /// selects one.
    Iteration {
        /// The name of the step in the body.
        step: &'a str,
        /// The way into its description.
        members: Vec<Member<'a>>,
    },
}

/// Why a text is no `Get` path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetPathError {
    /// It starts with none of the words that a path begins with.
    #[error(
        "a path begins with Parameters, Execution, PipelineExperimentConfig or Steps, not with {0:?}"
    )]
    UnknownRoot(String),
    /// Something else than the current item of a ForEach step.
    #[error("a ForEach step has a CurrentItem, and no {0:?}")]
    NoItem(String),
    /// Nothing, or nothing usable, stands where a name is expected.
    #[error("a name is missing at character {at}")]
    MissingName {
        /// Where, in characters from 1.
        at: usize,
    },
    /// Something else than `.Name`, `[0]` or `['key']`.
    #[error("at character {at} .Name, [0] or ['key'] is expected, not {found:?}")]
    Unexpected {
        /// What stands there.
        found: String,
        /// Where, in characters from 1.
        at: usize,
    },
    /// A bracket that is not closed.
    #[error("the bracket at character {at} is not closed")]
    Unclosed {
        /// Where the bracket opens, in characters from 1.
        at: usize,
    },
    /// A bracket holds something that is not a number and no quoted key.
    #[error("[{found}] at character {at}: a bracket holds a number or a key in single quotes")]
    BadIndex {
        /// What the bracket holds.
        found: String,
        /// Where it opens, in characters from 1.
        at: usize,
    },
}

/// The words a path can begin with.
const ROOTS: [&str; 6] = [
    "Parameters",
    "Execution",
    "PipelineExperimentConfig",
    "Steps",
    "ForEach",
    "IterationOutput",
];

/// What follows `ForEach`.
const ITEM: &str = "CurrentItem";

impl<'a> GetPath<'a> {
    /// Parses the text of a `Get`.
    ///
    /// # Errors
    /// [`GetPathError`], naming the place in the text.
    pub fn parse(text: &'a str) -> Result<Self, GetPathError> {
        let (root, rest) = match text.split_once('.') {
            Some((root, rest)) => (root, Some(rest)),
            None => (text, None),
        };
        if !ROOTS.contains(&root) {
            return Err(GetPathError::UnknownRoot(root.to_owned()));
        }
        let after = root.len() + 1;
        let rest = rest.ok_or(GetPathError::MissingName { at: after + 1 })?;
        if matches!(root, "Steps" | "ForEach" | "IterationOutput") {
            // A step's name holds no dot and no bracket.
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err(GetPathError::MissingName { at: after + 1 });
            }
            let members = parse_members(text, after + end, &['\''])?;
            let step = &rest[..end];
            return match root {
                "Steps" => Ok(Self::Step { step, members }),
                "IterationOutput" => Ok(Self::Iteration { step, members }),
                _ if step == ITEM => Ok(Self::Item { members }),
                _ => Err(GetPathError::NoItem(step.to_owned())),
            };
        }
        if rest.is_empty() {
            return Err(GetPathError::MissingName { at: after + 1 });
        }
        if let Some(bad) = rest.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')) {
            return Err(GetPathError::Unexpected {
                found: rest[bad..].to_owned(),
                at: character(text, after + bad),
            });
        }
        Ok(match root {
            "Parameters" => Self::Parameter(rest),
            "Execution" => Self::Execution(rest),
            _ => Self::Experiment(rest),
        })
    }

    /// The step that is named, if it is one.
    #[must_use]
    pub const fn step(&self) -> Option<&'a str> {
        match self {
            Self::Step { step, .. } => Some(step),
            _ => None,
        }
    }
}

impl fmt::Display for GetPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "Parameters.{name}"),
            Self::Execution(name) => write!(f, "Execution.{name}"),
            Self::Experiment(name) => write!(f, "PipelineExperimentConfig.{name}"),
            Self::Step { step, members } => {
                write!(f, "Steps.{step}")?;
                members.iter().try_for_each(|member| write!(f, "{member}"))
            }
            Self::Item { members } => {
                write!(f, "ForEach.{ITEM}")?;
                members.iter().try_for_each(|member| write!(f, "{member}"))
            }
            Self::Iteration { step, members } => {
                write!(f, "IterationOutput.{step}")?;
                members.iter().try_for_each(|member| write!(f, "{member}"))
            }
        }
    }
}

/// The number of the character at byte `offset`, from 1.
fn character(text: &str, offset: usize) -> usize {
    text[..offset].chars().count() + 1
}

/// Parses `.Name[0]['key']...` of `text` from the byte `start`; keys stand in one
/// of the quotes.
pub(crate) fn parse_members<'a>(
    text: &'a str,
    start: usize,
    quotes: &[char],
) -> Result<Vec<Member<'a>>, GetPathError> {
    let mut members = Vec::new();
    let mut at = start;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[', ']', '\'', '"']).unwrap_or(name.len());
            if end == 0 {
                return Err(GetPathError::MissingName {
                    at: character(text, at + 1),
                });
            }
            members.push(Member::Name(&name[..end]));
            at += 1 + end;
        } else if let Some((quote, key)) = quotes
            .iter()
            .find_map(|quote| Some((*quote, rest.strip_prefix('[')?.strip_prefix(*quote)?)))
        {
            let end = key
                .find(&format!("{quote}]"))
                .ok_or_else(|| GetPathError::Unclosed {
                    at: character(text, at),
                })?;
            if key[..end].contains(quote) {
                return Err(GetPathError::BadIndex {
                    found: format!("{quote}{}{quote}", &key[..end]),
                    at: character(text, at),
                });
            }
            members.push(Member::Key(&key[..end]));
            at += 2 + end + 2;
        } else if let Some(index) = rest.strip_prefix('[') {
            let end = index.find(']').ok_or_else(|| GetPathError::Unclosed {
                at: character(text, at),
            })?;
            let digits = &index[..end];
            let bad = || GetPathError::BadIndex {
                found: digits.to_owned(),
                at: character(text, at),
            };
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(bad());
            }
            members.push(Member::Index(digits.parse().map_err(|_| bad())?));
            at += 1 + end + 1;
        } else {
            return Err(GetPathError::Unexpected {
                found: rest.to_owned(),
                at: character(text, at),
            });
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::{GetPath, GetPathError, Member};

    #[test]
    fn a_foreach_step_has_paths_of_its_own() {
        for text in [
            "ForEach.CurrentItem",
            "ForEach.CurrentItem.a['b'][0]",
            "IterationOutput.Body.OutputParameters['n']",
        ] {
            let parsed = GetPath::parse(text).unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(parsed.step(), None);
        }
        assert_eq!(
            GetPath::parse("ForEach.Item").unwrap_err().to_string(),
            "a ForEach step has a CurrentItem, and no \"Item\""
        );
    }

    #[test]
    fn every_form_that_the_sdk_writes_is_read() {
        assert_eq!(
            GetPath::parse("Parameters.A-b_1"),
            Ok(GetPath::Parameter("A-b_1"))
        );
        assert_eq!(
            GetPath::parse("Execution.PipelineExecutionId"),
            Ok(GetPath::Execution("PipelineExecutionId"))
        );
        assert_eq!(
            GetPath::parse("PipelineExperimentConfig.TrialName"),
            Ok(GetPath::Experiment("TrialName"))
        );
        assert_eq!(
            GetPath::parse("Steps.My-Step.A.Outputs['v:r m.se'].List[12]['x']"),
            Ok(GetPath::Step {
                step: "My-Step",
                members: vec![
                    Member::Name("A"),
                    Member::Name("Outputs"),
                    Member::Key("v:r m.se"),
                    Member::Name("List"),
                    Member::Index(12),
                    Member::Key("x"),
                ],
            })
        );
        assert_eq!(GetPath::parse("Steps.S").unwrap().step(), Some("S"));
    }

    #[test]
    fn a_path_is_displayed_as_it_was_written() {
        for text in ["Parameters.A", "Steps.S.A[0]['k'].B", "Execution.X"] {
            assert_eq!(GetPath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        let message = |text: &str| GetPath::parse(text).unwrap_err().to_string();
        assert!(message("Parameter.X").contains("not with \"Parameter\""));
        assert!(message("Steps").contains("a name is missing at character 7"));
        assert!(message("Steps..X").contains("a name is missing at character 7"));
        assert!(message("Steps.S.").contains("a name is missing at character 9"));
        assert!(message("Parameters.").contains("a name is missing"));
        assert!(message("Parameters.A.B").contains("at character 13"));
        assert!(message("Steps.S.Outputs[\"train\"].X").contains("[\"train\"] at character 16"));
        assert!(matches!(
            GetPath::parse("Steps.S.Outputs['train.X"),
            Err(GetPathError::Unclosed { at: 16 })
        ));
        assert!(message("Steps.S.A[-1]").contains("[-1]"));
        assert!(message("Steps.S.A[]").contains("[]"));
        assert!(message("Steps.S.A[99999999999999999999999]").contains("a bracket holds a number"));
        assert!(message("Steps.S.A]b").contains("\"]b\""));
    }
}
