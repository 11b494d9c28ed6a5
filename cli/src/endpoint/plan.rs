//! What an endpoint is to be called and which model it is to serve: decided
//! from the execution's history alone.

use pipewright::instance_type::is_instance_type;
use pipewright::record::history::Step;
use pipewright::record::{History, Kind, RecordId};
use pipewright::wording::hex;
use sha2::{Digest, Sha256};

use crate::argument::InvalidArgument;

/// The longest name of an endpoint, and of its configuration.
const MAX_NAME_LENGTH: usize = 63;

/// How many hex digits of an id's digest stand for what a name leaves out.
const DIGEST_DIGITS: usize = 8;

/// Why there is no model to serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NoModel {
    /// The execution ended without success.
    #[error("execution {id} ended as {status}{}: only the model of one that succeeds is served", because(.reason))]
    Ended {
        id: String,
        status: String,
        reason: Option<String>,
    },
    /// No model is recorded so far.
    #[error(
        "execution {id} has no model yet; its status is {status}: wait for it with `pipewright execution watch`"
    )]
    NotYet { id: String, status: String },
    /// It succeeded, and no step of it makes a model.
    #[error(
        "execution {id} has succeeded and made no model: only what a Model step makes is served, which a registered package is not"
    )]
    NoStep { id: String },
    /// Its model was deleted.
    #[error("the model {model} of execution {id} was deleted")]
    Deleted { id: String, model: String },
    /// The record names a model that no step of it made.
    #[error(
        "no step of execution {id} made the model {model} that its record names, so it is not served: see what made it \
         with `aws sagemaker describe-model --model-name {model}`"
    )]
    NotMade { id: String, model: String },
    /// Its model was never trained.
    #[error(
        "the model {model} of execution {id} is simulated: nothing was trained, and an endpoint could serve nothing; \
         --simulated makes one all the same, in the local stand-in for SageMaker"
    )]
    Simulated { id: String, model: String },
}

fn because(reason: &Option<String>) -> String {
    reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"))
}

/// A name that no endpoint may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} can't be an endpoint's name: it must have 1 to {MAX_NAME_LENGTH} lower-case letters, digits and inner \
     hyphens (SageMaker lower-cases names in some ARNs)"
)]
pub(crate) struct InvalidName {
    name: String,
}

/// Checks an endpoint's name.
///
/// # Errors
/// [`InvalidName`] if SageMaker would not take it, or would spell it otherwise
/// in its ARNs.
pub(crate) fn check_name(name: &str) -> Result<(), InvalidName> {
    let fits = (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if fits {
        Ok(())
    } else {
        Err(InvalidName {
            name: name.to_owned(),
        })
    }
}

/// The name of an execution's endpoint where none was chosen:
/// `<prefix>-<execution id>`. An id that is too long for that, or has upper-case
/// letters, which two ids may differ by alone, is told apart by its digest.
pub(crate) fn default_name(prefix: &str, id: &RecordId) -> String {
    let plain = format!("{prefix}-{id}");
    if check_name(&plain).is_ok() {
        return plain;
    }
    let digest = Sha256::digest(id.as_str());
    let suffix = format!("-{}", hex(&digest[..DIGEST_DIGITS / 2]));
    let mut name = plain.to_ascii_lowercase();
    // All of it is ASCII.
    name.truncate(MAX_NAME_LENGTH - suffix.len());
    name.truncate(name.trim_end_matches('-').len());
    name + &suffix
}

/// The name of the model that an execution trained.
///
/// `simulated` takes one whose training was only simulated.
///
/// # Errors
/// [`NoModel`] says why there is none.
pub(crate) fn model_of(history: &History, simulated: bool) -> Result<String, NoModel> {
    let id = history.id.clone();
    let status = history
        .status
        .clone()
        .unwrap_or_else(|| "unknown so far".to_owned());
    if history.is_final() && status != "Succeeded" {
        return Err(NoModel::Ended {
            id,
            status,
            reason: history.failure_reason.clone(),
        });
    }
    let of_record = history.attributes().model;
    let Some(model) = of_record.model_name else {
        return Err(match status.as_str() {
            "Succeeded" => NoModel::NoStep { id },
            _ => NoModel::NotYet { id, status },
        });
    };
    if of_record.model_status.as_deref() == Some("Deleted") {
        return Err(NoModel::Deleted { id, model });
    }
    if !is_made(history) {
        return Err(NoModel::NotMade { id, model });
    }
    if !simulated && is_simulated(history) {
        return Err(NoModel::Simulated { id, model });
    }
    Ok(model)
}

/// Whether a step made the model that the record names. A model's tags may name
/// any execution; a step's event is SageMaker's own word.
fn is_made(history: &History) -> bool {
    let is_model_step = |step: &&Step| step.step_type.as_deref() == Kind::Model.made_by();
    let mut steps = history.steps.iter().filter(is_model_step);
    steps.any(|step| made_the_model(history, step))
}

/// Whether the training of the model, or its making, was only simulated.
fn is_simulated(history: &History) -> bool {
    history.steps.iter().any(|step| {
        step.simulated
            && (step.step_type.as_deref() == Some("Training") || made_the_model(history, step))
    })
}

/// Whether a step made the model that the record names, whatever the case of
/// its ARN.
fn made_the_model(history: &History, step: &Step) -> bool {
    let arn = history.attributes().model.model_arn;
    arn.zip(step.resource_arn.as_ref())
        .is_some_and(|(arn, made)| made.eq_ignore_ascii_case(&arn))
}

/// Takes an instance type for hosting, such as `ml.m5.large`.
///
/// # Errors
/// When it is another text.
pub(crate) fn instance_type(text: &str) -> Result<String, InvalidArgument> {
    match is_instance_type(text) {
        true => Ok(text.to_owned()),
        false => Err(InvalidArgument::InstanceType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipewright::record::history;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const MODEL_ARN: &str = "arn:aws:sagemaker:eu-west-1:123456789012:model/pipelines-k3v9-model";

    fn history_of(record: &Value, steps: &[Value]) -> History {
        let mut items = vec![record.clone()];
        items[0]["Id"] = "run-1".into();
        items[0]["entry"] = "record".into();
        for (number, step) in steps.iter().enumerate() {
            let mut item = json!({
                "Id": "run-1", "entry": format!("change#{number:013}#step#02#Succeeded#0"), "kind": "step",
                "at": number, "status": "Succeeded", "stepName": format!("step-{number}"),
            });
            for (name, value) in step.as_object().unwrap() {
                item[name] = value.clone();
            }
            items.push(item);
        }
        let items: Vec<_> = items
            .iter()
            .map(|item| item.as_object().unwrap().clone())
            .collect();
        history("run-1", &items)
    }

    fn trained() -> Value {
        json!({"pipelineStatus": "Succeeded", "modelName": "m", "modelArn": MODEL_ARN, "modelStatus": "Created"})
    }

    /// The step that made the model.
    fn create() -> Value {
        json!({"stepType": "Model", "resourceArn": MODEL_ARN.to_uppercase()})
    }

    #[test]
    fn the_model_of_a_success_is_served() {
        let steps = [
            json!({"stepType": "Training"}),
            create(),
            json!({"simulated": true}),
        ];
        assert_eq!(
            model_of(&history_of(&trained(), &steps), false).unwrap(),
            "m"
        );
    }

    #[test]
    fn what_has_no_model_says_why() {
        let case = |changes: Value| {
            let mut record = trained();
            for (name, value) in changes.as_object().unwrap() {
                match value {
                    Value::Null => drop(record.as_object_mut().unwrap().remove(name)),
                    value => record[name] = value.clone(),
                }
            }
            model_of(&history_of(&record, &[create()]), true)
                .unwrap_err()
                .to_string()
        };
        let failed = case(json!({"pipelineStatus": "Failed", "failureReason": "no data"}));
        assert!(failed.contains("ended as Failed (no data)"), "{failed}");
        assert!(case(json!({"pipelineStatus": "Stopped"})).contains("ended as Stopped:"));
        let running = case(json!({"pipelineStatus": "Executing", "modelName": null}));
        assert!(
            running.contains("no model yet; its status is Executing"),
            "{running}"
        );
        assert!(case(json!({"modelStatus": "Deleted"})).contains("was deleted"));
    }

    /// A model that no step of the execution made is not served, whatever its record says.
    #[test]
    fn a_model_of_the_record_that_no_step_made_is_not_served() {
        let other = json!({"stepType": "Model", "resourceArn": format!("{MODEL_ARN}-2")});
        let training = json!({"stepType": "Training", "resourceArn": MODEL_ARN});
        for steps in [vec![], vec![other], vec![training]] {
            let refused = model_of(&history_of(&trained(), &steps), true).unwrap_err();
            assert!(refused.to_string().contains("no step of"), "{refused}");
        }
    }

    #[test]
    fn a_simulated_model_is_served_only_where_that_is_wanted() {
        let mut simulated = create();
        simulated["simulated"] = true.into();
        for steps in [
            [json!({"stepType": "Training", "simulated": true}), create()],
            [json!({"stepType": "Training"}), simulated],
        ] {
            let history = history_of(&trained(), &steps);
            let refused = model_of(&history, false).unwrap_err();
            assert!(refused.to_string().contains("--simulated"), "{refused}");
            assert_eq!(model_of(&history, true).unwrap(), "m");
        }
    }

    #[test]
    fn names_are_those_that_sagemaker_spells_alike_everywhere() {
        for good in ["a", "pipewright-run-1", &"x".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "ä", &"x".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_type_has_three_parts() {
        for good in ["ml.m5.large", "ml.inf2.24xlarge", "ml.p4de.24xlarge"] {
            assert!(instance_type(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "m5.large",
            "ml.m5",
            "ml..large",
            "ml.m5.large.x",
            "ML.m5.large",
        ] {
            assert!(instance_type(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_execution_has_a_usable_name_of_its_own(
            one in "[A-Za-z0-9]([A-Za-z0-9-]{0,80}[A-Za-z0-9])?",
            other in "[A-Za-z0-9]([A-Za-z0-9-]{0,80}[A-Za-z0-9])?",
        ) {
            let name = |id: &str| default_name("a-prefix-of-20-chars", &RecordId::new(id).unwrap());
            prop_assert!(check_name(&name(&one)).is_ok(), "{}", name(&one));
            prop_assert_eq!(name(&one) == name(&other), one == other);
            let swapped = one.to_ascii_uppercase();
            prop_assert_eq!(name(&one) == name(&swapped), one == swapped);
        }
    }
}
