//! Checking a definition: all faults in one pass, each at its place.

mod names;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::graph::{self, Graph};
use super::model::{Definition, Step};
use super::path::JsonPath;
use super::reference::{Owner, Reference, walk, walk_step};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Doubtful, and possibly meant.
    Warning,
    /// SageMaker refuses it, or it cannot be meant.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

macro_rules! codes {
    ($($code:ident = $text:literal, $about:literal;)*) => {
        /// What kind of fault a finding is; the texts are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $about] $code,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The stable text, such as `E_DUP_STEP`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
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
    DuplicateStep = "E_DUP_STEP", "Two steps have the same name, possibly in different branches.";
    DuplicateParameter = "E_DUP_PARAM", "Two parameters have the same name.";
    Dangling = "E_DANGLING", "A step is named that does not exist.";
    UnknownParameter = "E_UNKNOWN_PARAM", "A parameter is read that is not declared.";
    GetPath = "E_GET_PATH", "The path of a Get cannot be read.";
    SelfReference = "E_SELF", "A step waits for itself.";
    Cycle = "E_CYCLE", "Steps wait for each other.";
    Hole = "E_HOLE", "A template's hole was left unfilled.";
    Steps = "E_STEPS", "The list of steps is missing or malformed.";
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
    /// What is wrong and how to put it right, without the place.
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

/// Checks a definition. The findings come in the document's order as far as
/// they belong to a step; time is linear in the document's size (and faults).
#[must_use]
pub fn check(definition: &Definition) -> Vec<Finding> {
    let steps = definition.steps();
    let references = definition.references_of(&steps);
    let graph = graph::build(&steps, &references);
    let mut checker = Checker {
        definition,
        index: graph::index_of(&steps),
        steps: &steps,
        references: &references,
        graph: &graph,
        findings: Vec::new(),
        suggestions: names::Suggestions::default(),
    };
    checker.run();
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
    index: HashMap<&'a str, usize>,
    references: &'a [Reference<'a>],
    graph: &'a Graph<'a>,
    findings: Vec<Finding>,
    suggestions: names::Suggestions,
}

impl Checker<'_> {
    fn report(
        &mut self,
        code: Code,
        severity: Severity,
        path: JsonPath<'_>,
        message: impl Into<String>,
    ) {
        self.findings.push(Finding {
            code,
            severity,
            path: path.into_owned(),
            message: message.into(),
        });
    }

    fn error(&mut self, code: Code, path: JsonPath<'_>, message: impl Into<String>) {
        self.report(code, Severity::Error, path, message);
    }

    fn run(&mut self) {
        self.check_parameters();
        self.check_steps();
        self.check_references();
        self.check_cycles();
        self.check_holes();
    }

    fn check_parameters(&mut self) {
        let mut seen = HashMap::new();
        for parameter in self.definition.parameters() {
            if let Some(first) = seen.insert(parameter.name(), parameter.index()) {
                self.error(
                    Code::DuplicateParameter,
                    parameter.path().key("Name"),
                    format!(
                        "the parameter {:?} is already declared at $.Parameters[{first}]",
                        parameter.name()
                    ),
                );
            }
        }
    }

    fn check_steps(&mut self) {
        match self.definition.member("Steps") {
            Some(Value::Array(_)) => {}
            Some(other) => self.error(
                Code::Steps,
                JsonPath::root().key("Steps"),
                format!(
                    "Steps must be an array, not {}",
                    super::source::kind_of(other)
                ),
            ),
            None => self.error(
                Code::Steps,
                JsonPath::root().key("Steps"),
                "the definition has no Steps",
            ),
        }
        let steps = self.steps;
        for (position, step) in steps.iter().enumerate() {
            let first = self.index.get(step.name()).copied().unwrap_or(position);
            if first != position {
                self.error(
                    Code::DuplicateStep,
                    step.path().key("Name"),
                    format!(
                        "the step name {:?} is already taken by {}: names are unique over \
                         the whole definition, branches included",
                        step.name(),
                        steps[first].path()
                    ),
                );
            }
            let listed = step.member("DependsOn").and_then(Value::as_array);
            for (item, name) in listed.into_iter().flatten().enumerate() {
                let Some(name) = name.as_str() else { continue };
                let path = step.path().key("DependsOn").index(item);
                if name == step.name() {
                    self.error(
                        Code::SelfReference,
                        path,
                        format!("the step {name:?} depends on itself"),
                    );
                } else if !self.index.contains_key(name) {
                    let hint = self.nearest_step(name);
                    self.error(
                        Code::Dangling,
                        path,
                        format!("there is no step {name:?}{hint}"),
                    );
                }
            }
        }
    }

    fn nearest_step(&mut self, name: &str) -> String {
        let steps = self.steps;
        self.suggestions
            .hint(name, steps.iter().map(super::model::Step::name))
    }

    fn check_references(&mut self) {
        use super::get::GetPath;
        let references = self.references;
        let parameters = self.definition.parameters();
        let declared: std::collections::HashSet<&str> = parameters
            .iter()
            .map(|parameter| parameter.name())
            .collect();
        for reference in references {
            match &reference.target {
                Err(error) => self.error(
                    Code::GetPath,
                    reference.path.clone(),
                    format!("{:?} is no path: {error}", reference.text),
                ),
                Ok(GetPath::Parameter(name)) if !declared.contains(name) => {
                    let hint = self
                        .suggestions
                        .hint(name, parameters.iter().map(|parameter| parameter.name()));
                    self.error(
                        Code::UnknownParameter,
                        reference.path.clone(),
                        format!(
                            "{} reads a parameter that is not declared{hint}",
                            reference.text
                        ),
                    );
                }
                Ok(GetPath::Step { step, .. }) => match self.index.get(step) {
                    None => {
                        let hint = self.nearest_step(step);
                        self.error(
                            Code::Dangling,
                            reference.path.clone(),
                            format!("{}: there is no step {step:?}{hint}", reference.text),
                        );
                    }
                    Some(target) if reference.owner == Owner::Step(*target) => self.error(
                        Code::SelfReference,
                        reference.path.clone(),
                        format!("{}: the step reads its own data", reference.text),
                    ),
                    Some(_) => {}
                },
                Ok(_) => {}
            }
        }
    }

    fn check_cycles(&mut self) {
        let graph = self.graph;
        for cycle in graph.cycles.iter().filter(|cycle| cycle.len() > 1) {
            let names: Vec<_> = cycle
                .iter()
                .chain(cycle.first())
                .map(|step| graph.names[*step])
                .collect();
            self.error(
                Code::Cycle,
                self.steps[cycle[0]].path().clone(),
                format!("steps wait for each other: {}", names.join(" -> ")),
            );
        }
    }

    fn check_holes(&mut self) {
        let mut holes = Vec::new();
        let mut look = |value: &Value, path: &JsonPath<'_>| {
            if let Some(hole) = value.as_str().and_then(names::hole) {
                holes.push((path.clone().into_owned(), hole.to_owned()));
            }
        };
        for parameter in self.definition.parameters() {
            if let Some(value) = parameter.default_value() {
                walk(
                    value,
                    parameter.path().key("DefaultValue"),
                    |_, _| false,
                    &mut look,
                );
            }
        }
        for step in self.steps {
            walk_step(step, &mut look);
        }
        for (path, hole) in holes {
            self.error(
                Code::Hole,
                path,
                format!("the hole {hole} was left unfilled"),
            );
        }
    }
}
