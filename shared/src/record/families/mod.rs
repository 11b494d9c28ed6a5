//! The families of events that the record follows, one file for each detail-type.
//!
//! A file has all that is known of its family: statuses and their order, how an event's `detail` is
//! read, what it writes into the record and into its change item.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Event, EventError};
use super::fold::Beyond;
use super::id::ExecutionArn;
use super::reader::{Read, Reader};
use super::rows::ChangeRow;

/// The families, each by its module, its kind and what its events tell. A new one is a line here, and its file.
macro_rules! families {
    ($($(#[$doc:meta])* $([$default:meta])? $module:ident: $kind:ident($facts:ident);)*) => {
        $(mod $module;)*
        $(pub use $module::$facts;)*

        /// What an event is about.
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "lowercase")]
        pub enum Kind {
            $($(#[$doc])* $(#[$default])? $kind,)*
        }

        /// In the order of [`Kind`].
        const FAMILIES: &[&Family] = &[$(&$module::FAMILY),*];

        /// What an event is about, and what it tells of that.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Subject {
            $($(#[$doc])* $kind($facts),)*
        }

        impl Subject {
            pub(super) fn facts(&self) -> &dyn Facts {
                match self {
                    $(Self::$kind(facts) => facts,)*
                }
            }
        }
    };
}

families! {
    /// A pipeline execution.
    [default] execution: Execution(ExecutionFacts);
    /// A step of an execution.
    step: Step(StepFacts);
    /// A model.
    model: Model(ModelFacts);
    /// A model package (a registered version of a model).
    package: Package(PackageFacts);
    /// An endpoint.
    endpoint: Endpoint(EndpointFacts);
}

pub use step::{CACHE_HIT, REUSED_FROM, SELECTION};

/// The tag by which SageMaker links what a step made, such as a model or a job, to the execution.
pub const SAGEMAKER_EXECUTION_TAG: &str = "sagemaker:pipeline-execution-arn";

/// How the execution is found that an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Owner<'a> {
    /// SageMaker itself names it.
    Named {
        /// Its ARN.
        execution: &'a ExecutionArn,
        /// Its display name, where the event tells.
        display_name: Option<&'a str>,
    },
    /// The tag [`SAGEMAKER_EXECUTION_TAG`] names it, which any other of the account may write as well: it counts where a
    /// step of the execution made what has the tag.
    Tagged {
        /// What the tag says, where the event has it.
        execution: Option<&'a ExecutionArn>,
        /// The ARN of what has the tag.
        arn: Option<&'a str>,
        /// The name of what has the tag.
        name: Option<&'a str>,
    },
    /// The properties of a model package name it, which count where a step of the execution registered the package.
    Package(&'a PackageFacts),
    /// The table of endpoints has an endpoint of this name, with the execution whose model it serves.
    Endpoint(&'a str),
}

impl Subject {
    /// The name by which a person knows it, where the event has one.
    pub fn name(&self) -> Option<&str> {
        self.facts().name()
    }

    /// Its ARN, where the event has it; of a step, its execution's.
    pub fn arn(&self) -> Option<&str> {
        self.facts().arn()
    }

    /// How its execution is found.
    pub fn owner(&self) -> Owner<'_> {
        self.facts().owner()
    }
}

/// What is known of a family of events, beside what an event of it says.
#[derive(Debug)]
pub(super) struct Family {
    /// What its events are about.
    pub(super) kind: Kind,
    /// The kind's name in change items and in text.
    name: &'static str,
    /// The `detail-type` of its events.
    detail_type: &'static str,
    /// The attribute of the record with the position of its latest event; of a step's, it is that of
    /// [`made`](Self::made).
    pub(super) position: &'static str,
    /// Of what steps make.
    pub(super) made: Option<Made>,
    /// The statuses known, in the order in which they follow each other, each with its rank. Equal
    /// ranks don't follow each other.
    pub(super) statuses: &'static [(&'static str, u8)],
    /// Reads a `detail`.
    pub(super) read: fn(&mut Reader<'_>) -> Result<Read, EventError>,
    /// What a change item is about, among what its family is about: the name, or a package's ARN.
    /// `None` if the item does not tell.
    pub(super) subject: fn(&ChangeRow) -> Option<&str>,
    /// Whether such names differ by their capital letters alone.
    pub(super) names_have_case: bool,
}

/// How steps make something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// The type of the steps.
    step_type: &'static str,
    /// The attribute of the record with the ARN of what the latest of them made.
    pub(super) arn: &'static str,
    /// The attribute with the position of that step's event.
    pub(super) position: &'static str,
}

/// What an event of a family tells besides its status.
pub(super) trait Facts {
    /// The family.
    fn family(&self) -> &'static Family;

    /// The name by which a person knows what the event is about.
    fn name(&self) -> Option<&str>;

    /// The ARN of what the event is about; of a step, its execution's.
    fn arn(&self) -> Option<&str>;

    /// How the execution is found that it belongs to.
    fn owner(&self) -> Owner<'_>;

    /// The execution that the event itself names.
    fn execution(&self) -> Option<&ExecutionArn> {
        match self.owner() {
            Owner::Named { execution, .. } => Some(execution),
            Owner::Tagged { execution, .. } => execution,
            Owner::Package(facts) => facts.execution.as_ref(),
            Owner::Endpoint(_) => None,
        }
    }

    /// The ARN of what a step made: what the event is about, or what its step made.
    fn made_arn(&self) -> Option<&str> {
        self.family().made.and_then(|_| self.arn())
    }

    /// The moment of the change itself, epoch milliseconds, where the event tells it more exactly
    /// than by EventBridge's whole seconds.
    fn moment(&self) -> Option<i64> {
        None
    }

    /// Whether it follows an event of the same moment and status that is not so.
    fn is_later(&self) -> bool {
        false
    }

    /// The attribute of the record with the family's position, and the attributes that are written
    /// with it, or removed where they are null. `None` if the record keeps nothing of the event.
    fn attributes(&self, event: &Event, beyond: &Beyond) -> Option<(&'static str, Value)>;

    /// Writes what its change item keeps of it.
    fn write(&self, row: &mut ChangeRow);
}

impl Kind {
    /// What is known of the family.
    pub(super) const fn family(self) -> &'static Family {
        FAMILIES[self as usize]
    }

    /// The name in change items and in text.
    pub fn name(self) -> &'static str {
        self.family().name
    }

    /// The `detail-type` of its events.
    pub const fn detail_type(self) -> &'static str {
        self.family().detail_type
    }

    /// What events of this `detail-type` are about.
    pub fn of_detail_type(detail_type: &str) -> Option<Self> {
        let found = FAMILIES
            .iter()
            .find(|family| family.detail_type == detail_type);
        found.map(|family| family.kind)
    }

    /// The type of the steps that make what is of this kind; `None` for what no
    /// step makes.
    ///
    /// Everyone who may tag models, or register packages, can name any execution there.
    /// That a step made them is SageMaker's own word, which only SageMaker gives.
    pub fn made_by(self) -> Option<&'static str> {
        self.family().made.map(|made| made.step_type)
    }

    /// What steps of this type make, if it is followed.
    pub fn made_by_step(step_type: Option<&str>) -> Option<Self> {
        let makes = |family: &&&Family| {
            let made = family.made.map(|made| made.step_type);
            made.is_some() && made == step_type
        };
        FAMILIES.iter().find(makes).map(|family| family.kind)
    }
}

/// The container whose model counts: the only one, or the first of several.
fn first_container<'a>(
    primary: Option<&'a Value>,
    containers: Option<&'a Value>,
) -> Option<&'a Value> {
    primary.or_else(|| containers?.as_array()?.first())
}

/// Tags come as a map, or as the API's list of `{Key, Value}`.
fn tags(json: &Value) -> Option<Vec<(String, String)>> {
    let pair =
        |key: &Value, value: &Value| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()));
    match json {
        Value::Object(map) => Some(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        ),
        Value::Array(list) => Some(
            list.iter()
                .filter_map(|tag| pair(&tag["Key"], &tag["Value"]))
                .collect(),
        ),
        _ => None,
    }
}

/// The execution that an event's tags name.
fn tagged_execution(
    reader: &mut Reader<'_>,
    tags: Option<Vec<(String, String)>>,
) -> Option<ExecutionArn> {
    let is_it = |(key, _): &(String, String)| key.eq_ignore_ascii_case(SAGEMAKER_EXECUTION_TAG);
    let (_, arn) = tags?.into_iter().find(is_it)?;
    let parsed = ExecutionArn::parse(arn);
    if parsed.is_err() {
        reader.leave(format!("Tags.{SAGEMAKER_EXECUTION_TAG}"));
    }
    parsed.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        for (place, family) in FAMILIES.iter().enumerate() {
            let kind = family.kind;
            assert_eq!(kind as usize, place);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(Kind::of_detail_type(kind.detail_type()), Some(kind));
        }
    }

    #[test]
    fn every_rank_has_two_digits() {
        let statuses = FAMILIES.iter().flat_map(|family| family.statuses);
        for (status, rank) in statuses {
            assert!((10..100).contains(rank), "{status}");
        }
    }
}
