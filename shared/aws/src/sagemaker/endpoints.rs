//! Endpoints and their configurations.

use aws_sdk_sagemaker::types::{ProductionVariant, ProductionVariantInstanceType, Tag};

use super::{SageMaker, SageMakerError};

/// What SageMaker says about an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointDescription {
    /// Its ARN.
    pub arn: Option<String>,
    /// Its configuration.
    pub config: Option<String>,
    /// Its status, in the API's spelling.
    pub status: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
}

/// The one variant of a configuration of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The model's name.
    pub model: String,
    /// The type of its instances, such as `ml.m5.large`.
    pub instance_type: String,
    /// How many of them.
    pub instance_count: i32,
}

/// The name of a configuration's only variant.
const VARIANT: &str = "AllTraffic";

impl SageMaker {
    /// What SageMaker says about an endpoint; `None` if there is none.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn endpoint(
        &self,
        name: &str,
    ) -> Result<Option<EndpointDescription>, SageMakerError> {
        let sent = self
            .client
            .describe_endpoint()
            .endpoint_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeEndpoint", name, &error));
        match sent {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => Ok(Some(EndpointDescription {
                arn: answer.endpoint_arn,
                config: answer.endpoint_config_name,
                status: answer
                    .endpoint_status
                    .map(|status| status.as_str().to_owned()),
                failure_reason: answer.failure_reason,
            })),
        }
    }

    /// The variants of a configuration; `None` if there is no such
    /// configuration.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn endpoint_config(
        &self,
        name: &str,
    ) -> Result<Option<Vec<Variant>>, SageMakerError> {
        let sent = self
            .client
            .describe_endpoint_config()
            .endpoint_config_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeEndpointConfig", name, &error));
        match sent {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => Ok(Some(
                answer.production_variants().iter().map(variant).collect(),
            )),
        }
    }

    /// Creates a configuration of one variant.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer;
    /// [`SageMakerError::is_taken`] if there is one of this name.
    pub async fn create_endpoint_config(
        &self,
        name: &str,
        variant: &Variant,
        tags: &[(&str, &str)],
    ) -> Result<(), SageMakerError> {
        self.client
            .create_endpoint_config()
            .endpoint_config_name(name)
            .production_variants(
                ProductionVariant::builder()
                    .variant_name(VARIANT)
                    .model_name(&variant.model)
                    .instance_type(ProductionVariantInstanceType::from(
                        variant.instance_type.as_str(),
                    ))
                    .initial_instance_count(variant.instance_count)
                    .initial_variant_weight(1.0)
                    .build(),
            )
            .set_tags(Some(sdk_tags(tags)))
            .send()
            .await
            .map_err(|error| SageMakerError::of("CreateEndpointConfig", name, &error))?;
        Ok(())
    }

    /// Creates an endpoint of a configuration; answers with its ARN.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer;
    /// [`SageMakerError::is_taken`] if there is one of this name.
    pub async fn create_endpoint(
        &self,
        name: &str,
        config: &str,
        tags: &[(&str, &str)],
    ) -> Result<Option<String>, SageMakerError> {
        let answer = self
            .client
            .create_endpoint()
            .endpoint_name(name)
            .endpoint_config_name(config)
            .set_tags(Some(sdk_tags(tags)))
            .send()
            .await
            .map_err(|error| SageMakerError::of("CreateEndpoint", name, &error))?;
        Ok(answer.endpoint_arn)
    }

    /// Begins to delete an endpoint; tells whether there was one.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer.
    pub async fn delete_endpoint(&self, name: &str) -> Result<bool, SageMakerError> {
        let sent = self
            .client
            .delete_endpoint()
            .endpoint_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DeleteEndpoint", name, &error));
        match sent {
            Err(error) if error.is_not_found() => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Deletes a configuration; tells whether there was one.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker refused or did not answer.
    pub async fn delete_endpoint_config(&self, name: &str) -> Result<bool, SageMakerError> {
        let sent = self
            .client
            .delete_endpoint_config()
            .endpoint_config_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DeleteEndpointConfig", name, &error));
        match sent {
            Err(error) if error.is_not_found() => Ok(false),
            other => other.map(|_| true),
        }
    }
}

impl SageMakerError {
    /// Whether the service says that something of this name exists already.
    pub fn is_taken(&self) -> bool {
        self.code.as_deref() == Some("ValidationException")
            && self
                .message
                .to_ascii_lowercase()
                .contains("already existing")
    }
}

fn variant(variant: &ProductionVariant) -> Variant {
    Variant {
        model: variant.model_name().unwrap_or_default().to_owned(),
        instance_type: variant
            .instance_type()
            .map_or_else(String::new, |kind| kind.as_str().to_owned()),
        instance_count: variant.initial_instance_count().unwrap_or_default(),
    }
}

fn sdk_tags(tags: &[(&str, &str)]) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(*key).value(*value).build())
        .collect()
}
