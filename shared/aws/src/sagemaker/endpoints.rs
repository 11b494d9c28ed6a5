//! Endpoints and their configurations.

use aws_sdk_sagemaker::types::{ProductionVariant, ProductionVariantInstanceType, Tag};
use pipewright::record::reconcile::EndpointFound;

use super::states::millis;
use super::{SageMaker, SageMakerError, unless_not_found};
use crate::Page;

/// An endpoint in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEndpoint {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
}

/// An endpoint that there is, and what stands behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointAnswer {
    /// What its record follows.
    pub found: EndpointFound,
    /// The names of its variants, shadow variants among them.
    pub variants: Vec<String>,
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
    /// An endpoint and its variants; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn endpoint(&self, name: &str) -> Result<Option<EndpointAnswer>, SageMakerError> {
        let sent = self
            .client
            .describe_endpoint()
            .endpoint_name(name)
            .send()
            .await
            .map_err(|error| SageMakerError::of("DescribeEndpoint", name, &error));
        let Some(answer) = unless_not_found(sent)? else {
            return Ok(None);
        };
        let variants = answer
            .production_variants()
            .iter()
            .chain(answer.shadow_production_variants())
            .filter_map(|variant| variant.variant_name())
            .map(str::to_owned)
            .collect();
        Ok(Some(EndpointAnswer {
            variants,
            found: EndpointFound {
                created_at: millis(answer.creation_time()),
                modified_at: millis(answer.last_modified_time()),
                status: answer
                    .endpoint_status()
                    .map(|status| status.as_str().to_owned())
                    .unwrap_or_default(),
                arn: answer.endpoint_arn,
                config_name: answer.endpoint_config_name,
                failure_reason: answer.failure_reason,
            },
        }))
    }

    /// A page of the region's endpoints.
    ///
    /// # Errors
    /// [`SageMakerError`] if SageMaker did not answer.
    pub async fn list_endpoints(
        &self,
        from: Option<String>,
    ) -> Result<Page<ListedEndpoint>, SageMakerError> {
        let answer = self
            .client
            .list_endpoints()
            .set_next_token(from)
            .max_results(100)
            .send()
            .await
            .map_err(|error| SageMakerError::of("ListEndpoints", "the region", &error))?;
        Ok(Page {
            rows: answer
                .endpoints()
                .iter()
                .filter_map(|endpoint| {
                    Some(ListedEndpoint {
                        name: endpoint.endpoint_name()?.to_owned(),
                        arn: endpoint.endpoint_arn()?.to_owned(),
                    })
                })
                .collect(),
            next: answer.next_token,
        })
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
        Ok(unless_not_found(sent)?
            .map(|answer| answer.production_variants().iter().map(variant).collect()))
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
        Ok(unless_not_found(sent)?.is_some())
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
        Ok(unless_not_found(sent)?.is_some())
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
