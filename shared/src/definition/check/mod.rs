//! Checking a definition: all faults in one pass, each at its place.
//!
//! An error is what SageMaker refuses (by its documentation, its observed
//! answers, its SDK's own checks or its service model) or what cannot be
//! meant; a warning is what is doubtful and possibly meant. The code decides
//! which of the two a finding is.

mod arguments;
mod conditions;
mod document;
mod limits;
mod locations;
mod loops;
mod names;
mod policies;
mod references;
mod steps;
mod texts;
mod types;

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::graph::{self, Graph};
use super::model::{Definition, Parameter, Step};
use super::path::JsonPath;
use super::reference::Reference;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Doubtful, and possibly meant.
    Warning,
    /// SageMaker refuses it, or it cannot be meant.
    Error,
}

impl Severity {
    /// `warning` or `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($code:ident = $severity:ident $text:literal, $about:literal;)*) => {
        /// What kind of fault a finding is; the texts are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $about] $code,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The stable text, such as `E_DUP_STEP`; `E` stands for errors,
            /// `W` for warnings.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
                }
            }

            /// How bad a fault of this kind is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$code => Severity::$severity,)*
                }
            }

            /// What the code means, in a sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$code => $about,)*
                }
            }
        }
    };
}

codes! {
    Version = Error "E_VERSION", "The version of the definition language is missing or not known.";
    Metadata = Error "E_METADATA", "The metadata is not an object of texts.";
    MisspeltKey = Error "E_UNKNOWN_KEY", "A member that the language does not know, and whose name shows what was meant.";
    UnknownKey = Warning "W_UNKNOWN_KEY", "A member that the language does not know.";
    Parameter = Error "E_PARAM", "A parameter's declaration is malformed.";
    DuplicateParameter = Error "E_DUP_PARAM", "Two parameters have the same name.";
    ParameterType = Error "E_PARAM_TYPE", "A parameter has a type that does not exist.";
    ParameterDefault = Error "E_PARAM_DEFAULT", "A parameter's default is not of its type.";
    ParameterEnum = Error "E_PARAM_ENUM", "A parameter's allowed values are malformed, or its default is none of them.";
    ParameterLimit = Warning "W_PARAM_LIMIT", "A parameter goes beyond what the published schema or the API take.";
    UnusedParameter = Warning "W_UNUSED_PARAM", "A parameter is declared and nothing reads it.";
    Experiment = Error "E_EXPERIMENT", "The experiment's or MLflow's configuration is malformed.";
    Steps = Error "E_STEPS", "The list of steps is missing or malformed.";
    NoSteps = Warning "W_NO_STEPS", "The definition has no step.";
    StepName = Error "E_STEP_NAME", "A step's name is missing or has characters it may not have.";
    DuplicateStep = Error "E_DUP_STEP", "Two steps have the same name, possibly in different branches.";
    StepType = Error "E_STEP_TYPE", "A step has no type, or a misspelt one.";
    UnknownStepType = Warning "W_STEP_TYPE", "A step has a type that this program does not know.";
    Text = Error "E_TEXT", "A display name or description is not a string, or too long.";
    Arguments = Error "E_ARGS", "A step's arguments lack what the step needs, or have what it may not have.";
    MisplacedArgument = Error "E_ARGS_MEMBER", "An argument that is misspelt, or stands in the wrong place.";
    UnknownArgument = Warning "W_ARGS_MEMBER", "An argument that the service's request does not have, or that pipelines were seen to refuse.";
    MissingArgument = Error "E_ARGS_MISSING", "An argument that the service's request needs is missing.";
    ArgumentValue = Error "E_ARGS_VALUE", "An argument's value that the service's request does not take.";
    ArgumentLimit = Error "E_ARGS_LIMIT", "An argument's value is too long, too large, too many, or not of the form that the service takes.";
    DoubtfulValue = Warning "W_ARGS_VALUE", "An argument's value that the service may not take: a list of values that grows, or a name in the place of an ARN.";
    ReferenceType = Error "E_REF_TYPE", "A reference is of another type than the argument that it stands for.";
    DoubtfulType = Warning "W_REF_TYPE", "A reference is of another type than what a step's own member takes.";
    DependsOn = Error "E_DEPENDS_ON", "DependsOn is not a list of step names or of steps with a Trigger.";
    ForEach = Error "E_FOREACH", "A ForEach step is malformed, or what only its steps can read is read elsewhere.";
    RepeatedDependency = Warning "W_DEPENDS_ON", "DependsOn names a step twice.";
    Dangling = Error "E_DANGLING", "A step is named that does not exist.";
    FailReference = Error "E_REF_FAIL", "A step depends on or reads a Fail step, after which nothing runs.";
    SelfReference = Error "E_SELF", "A step waits for itself.";
    Cycle = Error "E_CYCLE", "Steps wait for each other.";
    ImpossibleBranch = Error "E_BRANCH_REF", "A condition waits for a step of its own branch.";
    BranchReference = Warning "W_BRANCH_REF", "A step waits for a step of a branch that may not be taken.";
    Unordered = Warning "W_UNORDERED", "A step reads a location that another one writes, and neither waits for the other.";
    Cache = Error "E_CACHE", "The cache's configuration is malformed.";
    DoubtfulCache = Warning "W_CACHE", "A cache for a type of step that has none, for months, or for no time.";
    Retry = Error "E_RETRY", "A retry policy is malformed.";
    UnknownRetry = Warning "W_RETRY", "A retry policy for an exception or a type of step that is not documented, or whose intervals shrink.";
    PropertyFile = Error "E_PROPERTY_FILE", "A property file is malformed, not declared, or not of a processing step's output.";
    PropertyFilesElsewhere = Warning "W_PROPERTY_FILE", "Property files on a step that is not a processing step.";
    OutputParameter = Error "E_OUTPUT_PARAM", "An output parameter is malformed, not declared, or of a step that has none.";
    Output = Error "E_OUTPUT", "An input, output or channel is read that the step does not have.";
    Member = Error "E_MEMBER", "A member is read that the step's description does not have.";
    Condition = Error "E_COND", "A condition is malformed, or compares values that are never comparable.";
    DoubtfulCondition = Warning "W_COND", "A condition of a type that no SDK writes, or one that never holds.";
    Get = Error "E_GET", "A Get is malformed.";
    GetBeside = Warning "W_GET", "A Get stands beside other members and is not a reference.";
    GetPath = Error "E_GET_PATH", "The path of a Get cannot be read.";
    Join = Error "E_JOIN", "A Std:Join is malformed.";
    JsonGet = Error "E_JSONGET", "A Std:JsonGet is malformed.";
    UnknownFunction = Error "E_FUNC", "A function that does not exist.";
    UnknownParameter = Error "E_UNKNOWN_PARAM", "A parameter is read that is not declared.";
    UnknownVariable = Error "E_UNKNOWN_EXEC", "An execution variable is read that does not exist.";
    UnfilledKey = Warning "W_HOLE", "A text that looks like a key of a template that was left unfilled.";
    Printed = Error "E_PRINTED", "A text that is Python's print of an object.";
    ForeignFunction = Warning "W_FOREIGN", "A function of CloudFormation, which is not resolved within a definition.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of fault.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// Where; a missing member is named by the place where it should be.
    pub path: JsonPath<'static>,
    /// What is wrong, with the offending text and, where there is one, the
    /// name that was probably meant; without the place.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}[{}] {}: {}",
            self.severity, self.code, self.path, self.message
        )
    }
}

/// Checks a definition: everything that is wrong with it, at once.
///
/// Time is linear in the size of the definition and the number of findings.
#[must_use]
pub fn check(definition: &Definition) -> Vec<Finding> {
    let steps = definition.steps();
    let references = definition.references_of(&steps);
    let graph = graph::build(&steps, &references);
    let parameters = definition.parameters();
    let bodies: Vec<_> = steps
        .iter()
        .enumerate()
        .flat_map(|(position, step)| step.body().into_iter().map(move |inner| (position, inner)))
        .collect();
    let mut checker = Checker {
        definition,
        body_index: bodies
            .iter()
            .enumerate()
            .rev()
            .map(|(at, (_, step))| (step.name(), at))
            .collect(),
        bodies: &bodies,
        index: graph::index_of(&steps),
        steps: &steps,
        declared: index_of_parameters(&parameters),
        parameters: &parameters,
        references: &references,
        graph: &graph,
        landed: HashSet::new(),
        findings: Vec::new(),
        suggestions: names::Suggestions::default(),
    };
    checker.check_document();
    checker.check_steps();
    checker.check_references();
    checker.check_cycles();
    checker.check_locations();
    checker.check_texts_of_values();
    checker.findings
}

/// Whether there is an error among the findings.
#[must_use]
pub fn has_errors(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

/// What the checks share.
struct Checker<'a> {
    definition: &'a Definition,
    steps: &'a [Step<'a>],
    /// The steps' positions by name.
    index: HashMap<&'a str, usize>,
    /// The steps in the bodies of ForEach steps, each with the position of its
    /// ForEach step.
    bodies: &'a [(usize, Step<'a>)],
    /// The positions in `bodies` by name.
    body_index: HashMap<&'a str, usize>,
    parameters: &'a [Parameter<'a>],
    /// The parameters' positions by name; of parameters with one name the first.
    declared: HashMap<&'a str, usize>,
    references: &'a [Reference<'a>],
    graph: &'a Graph<'a>,
    /// For which parameters it was looked at which of the service's types they
    /// stand for.
    landed: HashSet<(usize, &'static str)>,
    findings: Vec<Finding>,
    suggestions: names::Suggestions,
}

/// The positions of parameters by name.
fn index_of_parameters<'a>(parameters: &[Parameter<'a>]) -> HashMap<&'a str, usize> {
    let mut index = HashMap::with_capacity(parameters.len());
    for (position, parameter) in parameters.iter().enumerate() {
        index.entry(parameter.name()).or_insert(position);
    }
    index
}

impl<'a> Checker<'a> {
    /// The declared parameter of that name.
    fn parameter(&self, name: &str) -> Option<Parameter<'a>> {
        self.declared
            .get(name)
            .map(|position| self.parameters[*position])
    }

    fn report(&mut self, code: Code, path: JsonPath<'_>, message: impl Into<String>) {
        self.findings.push(Finding {
            code,
            severity: code.severity(),
            path: path.into_owned(),
            message: message.into(),
        });
    }

    /// Reports a member that is not known: an error where it is clear that
    /// another was meant, since it would be without effect.
    fn report_unknown_key(&mut self, path: JsonPath<'_>, key: &str, of: &str, known: &[&str]) {
        match names::meant(key, known.iter().copied()) {
            Some(meant) if meant.surely => self.report(
                Code::MisspeltKey,
                path,
                format!("{of} has no member {key:?}: did you mean {:?}?", meant.name),
            ),
            near => {
                let hint = near.map_or_else(
                    || " that is known".to_owned(),
                    |meant| format!(": did you mean {:?}?", meant.name),
                );
                let message = format!("{of} has no member {key:?}{hint}");
                self.report(Code::UnknownKey, path, message);
            }
        }
    }

    fn nearest_step(&mut self, name: &str) -> String {
        let steps = self.steps;
        self.suggestions.hint(name, steps.iter().map(Step::name))
    }

    fn check_cycles(&mut self) {
        let graph = self.graph;
        // A step that waits for itself alone is reported where it says so.
        for cycle in graph.cycles.iter().filter(|cycle| cycle.len() > 1) {
            const SHOWN: usize = 12;
            let mut names: Vec<_> = cycle
                .iter()
                .take(SHOWN)
                .map(|step| graph.names[*step])
                .collect();
            if cycle.len() > SHOWN {
                names.push("...");
            }
            names.push(graph.names[cycle[0]]);
            self.report(
                Code::Cycle,
                self.steps[cycle[0]].path().clone(),
                format!("steps wait for each other: {}", names.join(" -> ")),
            );
        }
    }
}

#[cfg(test)]
mod argument_tests;
#[cfg(test)]
mod tests;
