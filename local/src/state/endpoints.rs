//! Endpoint configurations and endpoints.
//!
//! An endpoint whose models can all be served is served by programs of this machine; any other
//! is only an entry.

use super::effect::{ServersKey, ServersOrder};
use super::input::{Input, SortOrder};
use super::tags::read_tags;
use super::{Effect, State, Turn};
use crate::clock::Millis;
use crate::error::ApiError;
use crate::event::Event;
use crate::names::{key_of, name_of};
use pipewright::definition::StepKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const CONFIG: &str = "endpoint-config";
const ENDPOINT: &str = "endpoint";

/// Configurations and endpoints by name in lower case.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    configs: BTreeMap<String, Config>,
    endpoints: BTreeMap<String, Endpoint>,
    /// How many endpoints there have been.
    made: u64,
}

#[derive(Debug)]
struct Config {
    name: String,
    arn: String,
    created: Millis,
    members: Map<String, Value>,
}

#[derive(Debug)]
struct Endpoint {
    name: String,
    arn: String,
    config: String,
    variants: Vec<Value>,
    status: Status,
    /// Why it has failed.
    failure: Option<String>,
    /// The programs behind it; none if it is only an entry.
    servers: Option<ServersKey>,
    /// How often it was invoked.
    invocations: u64,
    created: Millis,
    modified: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Creating,
    InService,
    Failed,
    Deleting,
}

impl Status {
    /// As the API spells it.
    fn in_api(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::InService => "InService",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

impl Config {
    fn describe(&self) -> Value {
        let mut body = self.members.clone();
        body.insert("EndpointConfigName".to_owned(), json!(self.name));
        body.insert("EndpointConfigArn".to_owned(), json!(self.arn));
        body.insert("CreationTime".to_owned(), self.created.to_json());
        Value::Object(body)
    }
}

impl Endpoint {
    fn describe(&self) -> Value {
        let mut body = json!({
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "EndpointConfigName": self.config,
            "ProductionVariants": self.variants,
            "EndpointStatus": self.status.in_api(),
            "CreationTime": self.created.to_json(),
            "LastModifiedTime": self.modified.to_json(),
        });
        if let Some(reason) = &self.failure {
            body["FailureReason"] = json!(reason);
        }
        body
    }

    /// The variant that the next invocation goes to: each as often as its weight says.
    fn next_variant(&self) -> Option<&str> {
        let weight = |variant: &Value| variant["CurrentWeight"].as_f64().unwrap_or(1.0);
        let total: f64 = self.variants.iter().map(weight).sum();
        // The multiples of the golden ratio's fraction spread evenly, without any chance.
        #[expect(clippy::cast_precision_loss, reason = "it only has to spread")]
        let mut point = (self.invocations as f64 * 0.618_033_988_749_894_9).fract() * total;
        let chosen = self.variants.iter().find(|variant| {
            point -= weight(variant);
            point < 0.0
        });
        chosen.or(self.variants.last())?["VariantName"].as_str()
    }

    /// `status` is spelt in capitals here; DELETED exists in events only.
    fn emit(&self, turn: &mut Turn, status: &str, tags: Value) {
        turn.emit(
            Event::ENDPOINT,
            vec![self.arn.clone()],
            json!({
                "EndpointName": self.name,
                "EndpointArn": self.arn,
                "EndpointConfigName": self.config,
                "ProductionVariants": self.variants,
                "EndpointStatus": status,
                "FailureReason": self.failure,
                "CreationTime": self.created.0,
                "LastModifiedTime": self.modified.0,
                "Tags": tags,
            }),
        );
    }
}

/// A variant of a configuration as a running endpoint shows it.
fn running_variant(variant: &Value) -> Value {
    let mut shown = json!({
        "VariantName": variant["VariantName"],
        "CurrentWeight": variant.get("InitialVariantWeight").cloned().unwrap_or(json!(1.0)),
        "DesiredWeight": variant.get("InitialVariantWeight").cloned().unwrap_or(json!(1.0)),
    });
    if let Some(count) = variant.get("InitialInstanceCount") {
        shown["CurrentInstanceCount"] = count.clone();
        shown["DesiredInstanceCount"] = count.clone();
    }
    if let Some(serverless) = variant.get("ServerlessConfig") {
        shown["CurrentServerlessConfig"] = serverless.clone();
    }
    shown
}

impl State {
    pub(super) fn create_endpoint_config(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let tags = read_tags(input)?;
        let arn = self.add_endpoint_config(turn, input, tags)?;
        Ok(json!({"EndpointConfigArn": arn}))
    }

    /// Also what an EndpointConfig step does. Gives the configuration's ARN.
    pub(super) fn add_endpoint_config(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
        tags: BTreeMap<String, String>,
    ) -> Result<String, ApiError> {
        let name = input.name("EndpointConfigName", 63)?;
        let key = key_of(CONFIG, name);
        let arn = self.arn(CONFIG, name);
        if self.endpoints.configs.contains_key(&key) {
            return Err(ApiError::validation(format!(
                "Cannot create already existing endpoint configuration \"{arn}\"."
            )));
        }
        let variants = input.list("ProductionVariants")?;
        if variants.is_empty() {
            return Err(ApiError::constraint(
                "[]",
                "ProductionVariants",
                "Member must have length greater than or equal to 1",
            ));
        }
        for variant in variants {
            let named = variant.get("VariantName").is_some_and(Value::is_string);
            if !named {
                return Err(ApiError::validation(format!(
                    "ProductionVariants: {variant} has no VariantName"
                )));
            }
            if let Some(model) = variant.get("ModelName").and_then(Value::as_str)
                && self.model_document(model).is_none()
            {
                return Err(ApiError::validation(format!(
                    "Could not find model \"{}\".",
                    self.arn("model", model)
                )));
            }
        }
        let members = input.given_back(StepKind::EndpointConfig);
        self.tags.create(&arn, tags);
        turn.emit(
            Event::ENDPOINT_CONFIG,
            vec![arn.clone()],
            json!({
                "EndpointConfigName": name,
                "EndpointConfigArn": arn,
                "ProductionVariants": variants,
                "KmsKeyId": members.get("KmsKeyId"),
                "CreationTime": turn.now.0,
                "Tags": self.tags.as_map(&arn),
            }),
        );
        self.endpoints.configs.insert(
            key,
            Config {
                name: name.to_owned(),
                arn: arn.clone(),
                created: turn.now,
                members,
            },
        );
        Ok(arn)
    }

    fn config_key(&self, name: &str) -> Result<String, ApiError> {
        let key = key_of(CONFIG, name);
        if self.endpoints.configs.contains_key(&key) {
            Ok(key)
        } else {
            Err(ApiError::validation(format!(
                "Could not find endpoint configuration \"{}\".",
                self.arn(CONFIG, name_of(CONFIG, name))
            )))
        }
    }

    pub(super) fn describe_endpoint_config(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.config_key(input.required("EndpointConfigName")?)?;
        Ok(self.endpoints.configs[&key].describe())
    }

    /// What DescribeEndpointConfig says of a configuration that a step made.
    pub(super) fn endpoint_config_document(&self, name: &str) -> Option<Value> {
        self.endpoints
            .configs
            .get(&key_of(CONFIG, name))
            .map(Config::describe)
    }

    /// What DescribeEndpoint says of an endpoint that a step made.
    pub(super) fn endpoint_document(&self, name: &str) -> Option<Value> {
        self.endpoints
            .endpoints
            .get(&key_of(ENDPOINT, name))
            .map(Endpoint::describe)
    }

    pub(super) fn delete_endpoint_config(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.config_key(input.required("EndpointConfigName")?)?;
        if let Some(config) = self.endpoints.configs.remove(&key) {
            self.tags.remove(&config.arn);
        }
        Ok(json!({}))
    }

    pub(super) fn list_endpoint_configs(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        input.listed(
            "EndpointConfigs",
            self.endpoints.configs.iter(),
            |config| config.created,
            |config| {
                json!({
                    "EndpointConfigName": config.name,
                    "EndpointConfigArn": config.arn,
                    "CreationTime": config.created.to_json(),
                })
            },
            SortOrder::Descending,
        )
    }

    pub(super) fn create_endpoint(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let tags = read_tags(input)?;
        let arn = self.add_endpoint(turn, input, tags)?;
        Ok(json!({"EndpointArn": arn}))
    }

    /// Also what an Endpoint step does. Gives the endpoint's ARN.
    pub(super) fn add_endpoint(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
        tags: BTreeMap<String, String>,
    ) -> Result<String, ApiError> {
        let name = input.name("EndpointName", 63)?;
        let config = self.config_key(input.required("EndpointConfigName")?)?;
        let config = &self.endpoints.configs[&config];
        let key = key_of(ENDPOINT, name);
        let arn = self.arn(ENDPOINT, name);
        if self.endpoints.endpoints.contains_key(&key) {
            return Err(ApiError::validation(format!(
                "Cannot create already existing endpoint \"{arn}\"."
            )));
        }
        let variants = config
            .members
            .get("ProductionVariants")
            .and_then(Value::as_array)
            .map(|variants| variants.iter().map(running_variant).collect())
            .unwrap_or_default();
        let serving = ServersKey {
            endpoint: key.clone(),
            serial: self.endpoints.made + 1,
        };
        let order = self.servers_of(config, serving);
        let endpoint = Endpoint {
            name: name.to_owned(),
            arn: arn.clone(),
            config: config.name.clone(),
            variants,
            status: Status::Creating,
            failure: None,
            servers: order.as_ref().map(|order| order.key.clone()),
            invocations: 0,
            created: turn.now,
            modified: turn.now,
        };
        self.tags.create(&arn, tags);
        endpoint.emit(turn, "CREATING", self.tags.as_map(&arn));
        turn.effects.push(match order {
            Some(order) => Effect::StartServers(order),
            None => Effect::EndpointAt {
                name: name.to_owned(),
                at: turn.now.plus(self.settings.simulated_step_millis),
            },
        });
        self.endpoints.made += 1;
        self.endpoints.endpoints.insert(key, endpoint);
        Ok(arn)
    }

    /// The programs for the variants of a configuration; `None` if there is one that no
    /// program can serve.
    fn servers_of(&self, config: &Config, key: ServersKey) -> Option<ServersOrder> {
        let variants = config.members.get("ProductionVariants")?.as_array()?;
        let server = |variant: &Value| {
            let mut server = self.server_of(variant["ModelName"].as_str()?)?;
            variant["VariantName"]
                .as_str()?
                .clone_into(&mut server.variant);
            let startup = variant["ContainerStartupHealthCheckTimeoutInSeconds"].as_u64();
            server.startup_seconds = startup.unwrap_or(server.startup_seconds);
            Some(server)
        };
        Some(ServersOrder {
            key,
            servers: variants.iter().map(server).collect::<Option<_>>()?,
        })
    }

    /// Which program an invocation goes to: the endpoint's programs, and the variant.
    ///
    /// # Errors
    /// A text in the service's words, if there is nothing to invoke.
    pub fn route_invocation(
        &mut self,
        name: &str,
        variant: Option<&str>,
    ) -> Result<(ServersKey, String), String> {
        let account = &self.settings.account.id;
        let Some(endpoint) = self.endpoints.endpoints.get_mut(&key_of(ENDPOINT, name)) else {
            return Err(format!("Endpoint {name} of account {account} not found."));
        };
        if endpoint.status != Status::InService {
            let reason = endpoint.failure.as_ref();
            return Err(format!(
                "Endpoint {name} of account {account} is not in service: its status is {}{}",
                endpoint.status.in_api(),
                reason.map_or_else(|| ".".to_owned(), |reason| format!(" ({reason})"))
            ));
        }
        let Some(servers) = &endpoint.servers else {
            return Err(format!(
                "Endpoint {name} is only simulated by the local stand-in for SageMaker: no \
                 program here serves the image of its model"
            ));
        };
        let chosen = match variant {
            Some(variant) => endpoint
                .variants
                .iter()
                .filter_map(|known| known["VariantName"].as_str())
                .find(|known| *known == variant),
            None => endpoint.next_variant(),
        };
        let Some(chosen) = chosen else {
            return Err(format!(
                "Variant {} of endpoint {name} not found.",
                variant.unwrap_or_default()
            ));
        };
        let route = (servers.clone(), chosen.to_owned());
        endpoint.invocations += 1;
        Ok(route)
    }

    /// The endpoint of these programs, unless it is another by now.
    fn served(&mut self, key: &ServersKey) -> Option<&mut Endpoint> {
        self.endpoints
            .endpoints
            .get_mut(&key.endpoint)
            .filter(|endpoint| endpoint.servers.as_ref() == Some(key))
    }

    /// The programs of an endpoint answer.
    pub(super) fn servers_ready(&mut self, turn: &mut Turn, key: &ServersKey) {
        let is_awaited = self
            .served(key)
            .is_some_and(|endpoint| endpoint.status == Status::Creating);
        if is_awaited {
            self.settle_endpoint(turn, &key.endpoint);
        }
    }

    /// The programs of an endpoint have ended: it is gone, or has failed.
    pub(super) fn servers_ended(
        &mut self,
        turn: &mut Turn,
        key: &ServersKey,
        result: Result<(), String>,
    ) {
        let Some(endpoint) = self.served(key) else {
            return;
        };
        if endpoint.status == Status::Deleting {
            self.settle_endpoint(turn, &key.endpoint);
            return;
        }
        endpoint.status = Status::Failed;
        endpoint.modified = turn.now;
        endpoint.failure = Some(
            result
                .err()
                .unwrap_or_else(|| "the stand-in stopped its programs".to_owned()),
        );
        let arn = endpoint.arn.clone();
        let tags = self.tags.as_map(&arn);
        if let Some(endpoint) = self.endpoints.endpoints.get(&key.endpoint) {
            endpoint.emit(turn, "FAILED", tags);
        }
    }

    fn endpoint_key(&self, name: &str) -> Result<String, ApiError> {
        let key = key_of(ENDPOINT, name);
        if self.endpoints.endpoints.contains_key(&key) {
            Ok(key)
        } else {
            Err(ApiError::validation(format!(
                "Could not find endpoint \"{}\".",
                self.arn(ENDPOINT, name_of(ENDPOINT, name))
            )))
        }
    }

    pub(super) fn describe_endpoint(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.endpoint_key(input.required("EndpointName")?)?;
        Ok(self.endpoints.endpoints[&key].describe())
    }

    pub(super) fn delete_endpoint(
        &mut self,
        turn: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let key = self.endpoint_key(input.required("EndpointName")?)?;
        let Some(endpoint) = self.endpoints.endpoints.get_mut(&key) else {
            return Err(ApiError::validation("the endpoint is gone"));
        };
        if endpoint.status == Status::Creating {
            return Err(ApiError::validation(format!(
                "Cannot update in-progress endpoint \"{}\".",
                endpoint.arn
            )));
        }
        if endpoint.status != Status::Deleting {
            let is_served = endpoint.status == Status::InService;
            endpoint.status = Status::Deleting;
            endpoint.modified = turn.now;
            endpoint.emit(turn, "DELETING", self.tags.as_map(&endpoint.arn));
            turn.effects.push(match &endpoint.servers {
                Some(servers) if is_served => Effect::StopServers(servers.clone()),
                _ => Effect::EndpointAt {
                    name: endpoint.name.clone(),
                    at: turn.now.plus(self.settings.simulated_step_millis),
                },
            });
        }
        Ok(json!({}))
    }

    /// The end of a creation or a deletion.
    pub(super) fn settle_endpoint(&mut self, turn: &mut Turn, name: &str) {
        let key = key_of(ENDPOINT, name);
        let Some(endpoint) = self.endpoints.endpoints.get_mut(&key) else {
            return;
        };
        endpoint.modified = turn.now;
        match endpoint.status {
            Status::Creating => {
                endpoint.status = Status::InService;
                endpoint.emit(turn, "IN_SERVICE", self.tags.as_map(&endpoint.arn));
            }
            Status::Deleting => {
                endpoint.emit(turn, "DELETED", self.tags.as_map(&endpoint.arn));
                self.tags.remove(&endpoint.arn);
                self.endpoints.endpoints.remove(&key);
            }
            Status::InService | Status::Failed => {}
        }
    }

    pub(super) fn list_endpoints(
        &mut self,
        _: &mut Turn,
        input: Input<'_>,
    ) -> Result<Value, ApiError> {
        let status = input.string("StatusEquals")?;
        let by_status = input.string("SortBy")? == Some("Status");
        input.listed(
            "Endpoints",
            self.endpoints.endpoints.iter().filter(|(_, endpoint)| {
                status.is_none_or(|wanted| wanted == endpoint.status.in_api())
            }),
            |endpoint| {
                (
                    by_status.then(|| endpoint.status.in_api()),
                    endpoint.created,
                )
            },
            |endpoint| {
                json!({
                    "EndpointName": endpoint.name,
                    "EndpointArn": endpoint.arn,
                    "CreationTime": endpoint.created.to_json(),
                    "LastModifiedTime": endpoint.modified.to_json(),
                    "EndpointStatus": endpoint.status.in_api(),
                })
            },
            SortOrder::Descending,
        )
    }
}
