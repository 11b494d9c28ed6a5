//! ECR: whether an image is there.

use aws_config::SdkConfig;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::types::ImageIdentifier;

/// An ECR client made from `config`.
#[must_use]
pub fn client(config: &SdkConfig) -> Client {
    Client::new(config)
}

/// ECR refused an operation, or could not be reached, retries included.
#[derive(Debug, thiserror::Error)]
#[error("DescribeImages for {image}: {message}")]
pub struct EcrError {
    /// The image that was asked about.
    pub image: String,
    /// What the service or the client said.
    pub message: String,
}

/// An image of this account's registry, by its tag.
#[derive(Debug, Clone)]
pub struct Image {
    client: Client,
    repository: String,
    tag: String,
}

impl Image {
    /// The image that has `tag` in `repository`, which may not be there.
    #[must_use]
    pub fn new(client: Client, repository: String, tag: String) -> Self {
        Self {
            client,
            repository,
            tag,
        }
    }

    /// `<repository>:<tag>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// Whether the repository has an image of this tag; `false` also where
    /// there is no such repository.
    ///
    /// # Errors
    /// When ECR does not say.
    pub async fn exists(&self) -> Result<bool, EcrError> {
        let tag = ImageIdentifier::builder().image_tag(&self.tag).build();
        let found = self
            .client
            .describe_images()
            .repository_name(&self.repository)
            .image_ids(tag)
            .send()
            .await;
        match found {
            Ok(answer) => Ok(!answer.image_details().is_empty()),
            Err(error) => match error.code() {
                Some("ImageNotFoundException" | "RepositoryNotFoundException") => Ok(false),
                _ => Err(EcrError {
                    image: self.name(),
                    message: crate::service_cause(&error),
                }),
            },
        }
    }
}
