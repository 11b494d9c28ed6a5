//! Models.

use super::effect::{JobOrder, ServerOrder, StepKey, TransformOrder};
use super::image::Runner;
use super::input::{Input, SortOrder};
use super::tags::read_tags;
use super::{State, Turn};
use crate::clock::Millis;
use crate::error::ApiError;
use crate::event::Event;
use crate::names::{key_of, name_of};
use crate::script;
use pipewright::definition::StepKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const KIND: &str = "model";

/// What a program is called that serves a model for no variant of an endpoint.
const ONLY_VARIANT: &str = "AllTraffic";

/// How long a program may take until it answers, unless its variant says otherwise.
const STARTUP_SECONDS: u64 = 60;

/// The account's models by name in lower case.
#[derive(Debug, Default)]
pub(super) struct Models {
    by_key: BTreeMap<String, Model>,
}

#[derive(Debug)]
struct Model {
    name: String,
    arn: String,
    created: Millis,
    /// What CreateModel was given and DescribeModel gives back.
    members: Map<String, Value>,
}

impl Model {
    fn describe(&self) -> Value {
        let mut body = self.members.clone();
        body.insert("ModelName".to_owned(), json!(self.name));
        body.insert("CreationTime".to_owned(), self.created.to_json());
        body.insert("ModelArn".to_owned(), json!(self.arn));
        Value::Object(body)
    }
}

/// The variables of an `Environment`.
fn variables(environment: &Value) -> Vec<(String, String)> {
    let variables = environment.as_object().into_iter().flatten();
    variables
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A container as events show it.
fn container_in_event(container: &Value) -> Value {
    let mut shown = Map::new();
    shown.insert("ContainerHostname".to_owned(), Value::Null);
    for member in ["ContainerHostname", "Image", "ModelDataUrl"] {
        if let Some(value) = container.get(member) {
            shown.insert(member.to_owned(), value.clone());
        }
    }
    Value::Object(shown)
}

impl State {
    /// Creates a model; also what a Model step does. Gives the model's ARN.
    pub(super) fn add_model(
        &mut self,
        turn: &mut Turn,
        request: Input<'_>,
        tags: BTreeMap<String, String>,
    ) -> Result<String, ApiError> {
        let name = request.name("ModelName", 63)?;
        let arn = self.arn(KIND, name);
        let key = key_of(KIND, name);
        if self.models.by_key.contains_key(&key) {
            return Err(ApiError::validation(format!(
                "Cannot create already existing model \"{arn}\"."
            )));
        }
        let containers = request.list("Containers")?;
        let primary = request.object("PrimaryContainer")?;
        if containers.is_empty() == primary.is_none() {
            return Err(ApiError::validation(
                "A model has either PrimaryContainer or Containers, and exactly one of them.",
            ));
        }
        let members = request.given_back(StepKind::Model);
        self.tags.create(&arn, tags);
        let shown: Vec<Value> = containers.iter().map(container_in_event).collect();
        turn.emit(
            Event::MODEL,
            vec![arn.clone()],
            json!({
                "ModelName": name,
                "PrimaryContainer": members.get("PrimaryContainer").map(container_in_event),
                "Containers": (!shown.is_empty()).then_some(shown),
                "ExecutionRoleArn": members.get("ExecutionRoleArn"),
                "CreationTime": turn.now.0,
                "ModelArn": arn,
                "Tags": self.tags.as_map(&arn),
            }),
        );
        self.models.by_key.insert(
            key,
            Model {
                name: name.to_owned(),
                arn: arn.clone(),
                created: turn.now,
                members,
            },
        );
        Ok(arn)
    }

    pub(super) fn create_model(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let tags = read_tags(input)?;
        let arn = self.add_model(turn, input, tags)?;
        Ok(json!({"ModelArn": arn}))
    }

    fn model_key(&self, name: &str) -> Result<String, ApiError> {
        let key = key_of(KIND, name);
        if self.models.by_key.contains_key(&key) {
            Ok(key)
        } else {
            // The service answers ValidationException here, not ResourceNotFound.
            Err(ApiError::validation(format!(
                "Could not find model \"{}\".",
                self.arn(KIND, name_of(KIND, name))
            )))
        }
    }

    pub(super) fn describe_model(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.model_key(input.required("ModelName")?)?;
        Ok(self.models.by_key[&key].describe())
    }

    /// The program of this machine that serves a model: one of one container, for whose image
    /// there is such a program.
    pub(super) fn server_of(&self, name: &str) -> Option<ServerOrder> {
        let model = self.models.by_key.get(&key_of(KIND, name))?;
        let container = match model.members.get("Containers").and_then(Value::as_array) {
            Some(containers) => match containers.as_slice() {
                [only] => only,
                _ => return None,
            },
            None => model.members.get("PrimaryContainer")?,
        };
        let runner = self.settings.runner_of(container["Image"].as_str()?)?;
        let environment = variables(&container["Environment"]);
        let serves = match &runner {
            Runner::Programs(name) => self.settings.servers.contains(name),
            Runner::Python(_) => script::serves(&environment),
            // Its port is the image's own business.
            Runner::Container(_) => false,
        };
        serves.then(|| ServerOrder {
            variant: ONLY_VARIANT.to_owned(),
            runner,
            model_data: container["ModelDataUrl"].as_str().map(str::to_owned),
            environment,
            role: model
                .members
                .get("ExecutionRoleArn")
                .and_then(Value::as_str)
                .map(str::to_owned),
            startup_seconds: STARTUP_SECONDS,
        })
    }

    /// The job of a batch transform, if a program serves its model.
    pub(super) fn transform_order(
        &self,
        key: StepKey,
        request: &Map<String, Value>,
    ) -> Option<JobOrder> {
        let mut server = self.server_of(request.get("ModelName")?.as_str()?)?;
        // Of two variables of one name, the later counts.
        let own = request.get("Environment").map(variables);
        server.environment.extend(own.unwrap_or_default());
        Some(JobOrder::Transform(TransformOrder {
            key,
            server,
            request: request.clone(),
        }))
    }

    /// What DescribeModel says of a model that a step made.
    pub(super) fn model_document(&self, name: &str) -> Option<Value> {
        self.models
            .by_key
            .get(&key_of(KIND, name))
            .map(Model::describe)
    }

    pub(super) fn delete_model(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.model_key(input.required("ModelName")?)?;
        if let Some(model) = self.models.by_key.remove(&key) {
            self.tags.remove(&model.arn);
            // A deletion looks like a creation, only that nothing is left to tell.
            turn.emit(
                Event::MODEL,
                vec![model.arn.clone()],
                json!({
                    "ModelName": model.name,
                    "PrimaryContainer": null,
                    "Containers": null,
                    "ExecutionRoleArn": null,
                    "CreationTime": model.created.0,
                    "ModelArn": model.arn,
                    "Tags": {},
                }),
            );
        }
        Ok(json!({}))
    }

    pub(super) fn list_models(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        input.listed(
            "Models",
            self.models.by_key.iter(),
            |model| model.created,
            |model| {
                json!({
                    "ModelName": model.name,
                    "ModelArn": model.arn,
                    "CreationTime": model.created.to_json(),
                })
            },
            SortOrder::Descending,
        )
    }
}
