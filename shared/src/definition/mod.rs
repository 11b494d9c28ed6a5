//! SageMaker pipeline definitions (the JSON of `pipeline.definition()`):
//! parsing without loss, references, the graph of steps, checking everything
//! at once, and the evaluation that a stand-in for SageMaker needs.

pub mod check;
pub mod condition;
pub mod diff;
mod excerpt;
mod foreign;
mod get;
pub mod graph;
mod model;
mod path;
mod policies;
mod reference;
pub mod render;
pub mod resolve;
mod shapes;
pub mod source;
mod step_types;

pub use check::{Code, Finding, Severity};
pub use excerpt::Excerpt;
pub use foreign::Foreign;
pub use get::{GetPath, GetPathError, Member};
pub use graph::{Edge, EdgeKind, Graph};
pub use model::{
    Branch, Definition, OutputParameter, Parameter, ParameterType, PropertyFile, Side, Step,
};
pub use path::{JsonPath, Segment};
pub use policies::{Cache, RetryEnd, RetryPolicy};
pub(crate) use reference::walk;
pub use reference::{Function, Owner, Reference};
pub use source::{DuplicateKey, ParseError, Position, SourceMap};
pub use step_types::{
    Arguments, Beside, NamedItems, Need, Properties, Resource, StepKind, StepType, in_events,
};
