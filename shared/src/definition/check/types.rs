//! The types of values that are known before anything runs, and where a
//! reference of one type may stand.
//!
//! SageMaker holds a reference's type against the argument's: "Cannot assign
//! property reference [Parameters.N] to argument of type [String]".

use serde_json::Value;

use super::loops::type_of_result;
use super::{Checker, Code};
use crate::definition::get::{GetPath, Member};
use crate::definition::model::{Branch, ParameterType, Step};
use crate::definition::path::JsonPath;
use crate::definition::reference::Function;
use crate::definition::shapes::{self, Scalar, Shape, Step as ShapeStep};
use crate::definition::step_types::Properties;

/// What a value will be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// A plain value.
    Plain(ParameterType),
    /// An object, a list or a map of the service's model.
    Whole(Shape),
}

impl Type {
    /// With its article, for messages.
    pub(super) fn article(self) -> String {
        match self {
            Self::Plain(ParameterType::Integer) => "an Integer".to_owned(),
            Self::Plain(plain) => format!("a {}", plain.name()),
            Self::Whole(shape) => match shape.step() {
                ShapeStep::List(_) => format!("a list ({})", shape.name()),
                ShapeStep::Map { .. } => format!("a map ({})", shape.name()),
                _ => format!("an object ({})", shape.name()),
            },
        }
    }

    /// The type of a literal.
    pub(super) fn of_literal(value: &Value) -> Option<Self> {
        Some(Self::Plain(match value {
            Value::String(_) => ParameterType::String,
            Value::Bool(_) => ParameterType::Boolean,
            Value::Number(_) if ParameterType::Integer.accepts(value) => ParameterType::Integer,
            Value::Number(_) => ParameterType::Float,
            _ => return None,
        }))
    }

    /// Whether a condition can compare two values, as far as their types go;
    /// `ordered` where it asks which one is larger.
    pub(super) fn compares(self, other: Self, ordered: bool) -> bool {
        use ParameterType::{Boolean, Float, Integer, String};
        match (self, other) {
            (Self::Plain(Integer | Float), Self::Plain(Integer | Float))
            | (Self::Plain(String), Self::Plain(String)) => true,
            (Self::Plain(Boolean), Self::Plain(Boolean)) => !ordered,
            _ => false,
        }
    }
}

/// A plain value's type by its kind in the service's model; `None` where the
/// model leaves it open.
const fn plain(scalar: Scalar) -> Option<ParameterType> {
    match scalar {
        Scalar::Text => Some(ParameterType::String),
        Scalar::Integer => Some(ParameterType::Integer),
        Scalar::Number => Some(ParameterType::Float),
        Scalar::Boolean => Some(ParameterType::Boolean),
        Scalar::Other => None,
    }
}

/// What an argument of that kind takes, in plain words.
pub(super) const fn needed(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Text => "a text",
        Scalar::Integer => "a whole number",
        Scalar::Number => "a number",
        Scalar::Boolean => "true or false",
        Scalar::Other => "a plain value",
    }
}

/// Whether a value of one type may stand where the other is taken; a `Float`
/// takes whole numbers.
fn may_stand(given: ParameterType, taken: ParameterType) -> bool {
    given == taken || (given, taken) == (ParameterType::Integer, ParameterType::Float)
}

/// Follows members through a description of the service.
///
/// # Errors
/// What is wrong with the first member that leads nowhere: the shape at which
/// it stands, and the member.
pub(super) fn follow<'m, 'a>(
    description: Shape,
    members: &'m [Member<'a>],
) -> Result<Shape, (Shape, &'m Member<'a>)> {
    members
        .iter()
        .try_fold(description, |at, member| match (at.step(), member) {
            (ShapeStep::Structure, Member::Name(name) | Member::Key(name)) => {
                at.member(name).ok_or((at, member))
            }
            (ShapeStep::List(next), Member::Index(_) | Member::Key(_))
            | (ShapeStep::Map { value: next, .. }, Member::Key(_) | Member::Name(_)) => Ok(next),
            _ => Err((at, member)),
        })
}

impl Checker<'_> {
    /// The type of a function's value; `None` where it is only known later, or
    /// the function is faulty.
    pub(super) fn type_of_function(&self, function: Function<'_>) -> Option<Type> {
        match function {
            Function::Get(Value::String(text)) => self.type_of_path(&GetPath::parse(text).ok()?),
            Function::Join(_) => Some(Type::Plain(ParameterType::String)),
            Function::Get(_) | Function::JsonGet(_) | Function::Unknown(..) => None,
        }
    }

    /// The type of a condition's operand, as far as the definition itself says.
    ///
    /// A plain member of a step's description has none: the SDK's integration
    /// tests compare a hyperparameter, which is a text, with a number.
    pub(super) fn type_of_operand(&self, value: &Value) -> Option<Type> {
        let Some(function) = value.as_object().and_then(Function::of) else {
            return Type::of_literal(value);
        };
        let found = self.type_of_function(function)?;
        let Function::Get(Value::String(text)) = function else {
            return Some(found);
        };
        let declared = match GetPath::parse(text).ok()? {
            GetPath::Parameter(_) | GetPath::Experiment(_) => true,
            GetPath::Execution(name) => !name.ends_with("DateTime"),
            GetPath::Step { members, .. } => {
                matches!(found, Type::Whole(_))
                    || matches!(members.first(), Some(Member::Name("OutputParameters")))
            }
            GetPath::Item { .. } | GetPath::Iteration { .. } => false,
        };
        declared.then_some(found)
    }

    fn type_of_path(&self, path: &GetPath<'_>) -> Option<Type> {
        match path {
            GetPath::Parameter(name) => self
                .parameter(name)
                .and_then(|parameter| parameter.parameter_type())
                .map(Type::Plain),
            GetPath::Execution(_) | GetPath::Experiment(_) => {
                Some(Type::Plain(ParameterType::String))
            }
            GetPath::Step { step, members } => {
                let target = match self.index.get(step) {
                    Some(position) => &self.steps[*position],
                    None => &self.step_of_body(step)?.1,
                };
                self.type_of_member(target, members)
            }
            GetPath::Item { .. } | GetPath::Iteration { .. } => None,
        }
    }

    fn type_of_member(&self, target: &Step<'_>, members: &[Member<'_>]) -> Option<Type> {
        match (target.step_type().properties, members) {
            (
                Properties::Open,
                [
                    Member::Name("OutputParameters"),
                    Member::Key(name) | Member::Name(name),
                ],
            ) => target
                .output_parameters()
                .iter()
                .find(|output| output.name == *name)
                .and_then(|output| ParameterType::from_name(output.output_type))
                .map(Type::Plain),
            (Properties::Baselines, [Member::Name(_)]) => Some(Type::Plain(ParameterType::String)),
            (Properties::Rounds, members) => type_of_result(members).map(Type::Plain),
            // Nothing says what a step as a whole gives.
            (_, []) => None,
            (Properties::Described(call), members) => {
                let found = follow(shapes::description(call)?, members).ok()?;
                match found.step() {
                    ShapeStep::Scalar(scalar) => plain(scalar).map(Type::Plain),
                    _ => Some(Type::Whole(found)),
                }
            }
            _ => None,
        }
    }

    /// Checks that a function may stand where a plain value is taken, and
    /// returns whether it may, as far as that is known.
    pub(super) fn check_assigned(
        &mut self,
        code: Code,
        taken: Scalar,
        function: Function<'_>,
        path: &JsonPath<'_>,
    ) -> bool {
        let (Some(wanted), Some(given)) = (plain(taken), self.type_of_function(function)) else {
            return true;
        };
        if matches!(given, Type::Plain(given) if may_stand(given, wanted)) {
            return true;
        }
        let message = mismatch(function, given, taken);
        self.report(code, path.clone(), message);
        false
    }

    /// Checks that a member beside a step's arguments, where it is a function,
    /// has the type that is taken there.
    pub(super) fn check_member_type(&mut self, step: &Step<'_>, key: &str, taken: Scalar) {
        if let Some(function) = step
            .member(key)
            .and_then(Value::as_object)
            .and_then(Function::of)
        {
            let path = step.path().key(key).into_owned();
            self.check_assigned(Code::DoubtfulType, taken, function, &path);
        }
    }

    /// Whether two steps stand on opposite sides of one condition.
    pub(super) fn exclude_each_other(&self, one: usize, other: usize) -> bool {
        self.branches(one).any(|branch| {
            self.branches(other)
                .any(|other| other.condition == branch.condition && other.side != branch.side)
        })
    }

    /// The branches that a step stands in, the innermost first.
    pub(super) fn branches(&self, mut step: usize) -> impl Iterator<Item = Branch> {
        let steps = self.steps;
        std::iter::from_fn(move || {
            let branch = steps[step].branch()?;
            step = branch.condition;
            Some(branch)
        })
    }
}

/// What is wrong with a function in a place of another type, and the cure.
fn mismatch(function: Function<'_>, given: Type, taken: Scalar) -> String {
    let name = match function {
        Function::Get(Value::String(text)) => text.as_str(),
        _ => "a Std:Join",
    };
    let cure = match (function, given, taken) {
        (_, Type::Whole(shape), _) => match shape.step() {
            ShapeStep::Structure => {
                let mut members: Vec<_> = shape.members().collect();
                members.sort_unstable();
                members.truncate(6);
                format!("read one of its members, such as {}", members.join(", "))
            }
            ShapeStep::List(_) => "read one of its items, by [0] or ['name']".to_owned(),
            _ => "read one of its entries, by ['key']".to_owned(),
        },
        (Function::Get(get), Type::Plain(_), Scalar::Text) => {
            let declare = if name.starts_with("Parameters.") {
                ", or declare it as String"
            } else {
                ""
            };
            format!(
                "{{\"Std:Join\": {{\"On\": \"\", \"Values\": [{{\"Get\": {get}}}]}}}} makes one of \
                 it (to_string() in the SDK){declare}"
            )
        }
        (Function::Get(_), ..) if name.starts_with("Parameters.") => match taken {
            Scalar::Boolean => "declare it as Boolean".to_owned(),
            Scalar::Integer => "declare it as Integer".to_owned(),
            _ => "declare it as Float or Integer".to_owned(),
        },
        (Function::Get(_), ..) if name.contains(".OutputParameters[") => {
            "declare the output with the OutputType that is needed".to_owned()
        }
        _ => "nothing makes one of it".to_owned(),
    };
    format!(
        "{name} is {}, and {} is needed here: {cure}",
        given.article(),
        needed(taken)
    )
}
