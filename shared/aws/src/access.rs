//! What a program needs to be let into AWS: a region and credentials.

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;

/// What the environment lacks, so that no call can succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lacking {
    /// Nothing names a region.
    #[error("no AWS region is set")]
    Region,
    /// No source gives credentials.
    #[error("no AWS credentials were found")]
    Credentials,
}

/// What `config` lacks; `None` if calls can be made. Asks for credentials, which
/// takes as long as their source takes: best asked when a call has failed.
pub async fn lacking(config: &SdkConfig) -> Option<Lacking> {
    if config.region().is_none() {
        return Some(Lacking::Region);
    }
    let provider = config.credentials_provider()?;
    let given = provider.provide_credentials().await;
    given.err().map(|_| Lacking::Credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::{SharedCredentialsProvider, future};

    #[derive(Debug)]
    struct WithoutCredentials;

    impl ProvideCredentials for WithoutCredentials {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none")))
        }
    }

    #[tokio::test]
    async fn a_region_and_credentials_are_all_that_is_needed() {
        let somebody = SharedCredentialsProvider::new(Credentials::for_tests());
        let without = SharedCredentialsProvider::new(WithoutCredentials);
        let region = Some(Region::from_static("eu-west-1"));
        for (region, provider, expected) in [
            (None, somebody.clone(), Some(Lacking::Region)),
            (region.clone(), somebody, None),
            (region, without, Some(Lacking::Credentials)),
        ] {
            let config = SdkConfig::builder()
                .region(region)
                .credentials_provider(provider)
                .build();
            assert_eq!(lacking(&config).await, expected);
        }
    }
}
