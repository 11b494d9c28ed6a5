//! What is said where AWS can't be called at all.

use pipewright_aws::CONNECTION_REFUSED;
use pipewright_aws::access::{self, Lacking};
use pipewright_aws::dynamodb::TableError;
use pipewright_aws::lambda::InvokeError;
use pipewright_aws::s3::ObjectError;
use pipewright_aws::sagemaker::SageMakerError;
use pipewright_aws::sagemaker_runtime::InvocationError;
use pipewright_aws::sqs::QueueError;
use pipewright_aws::sts::CallerError;

/// A command's error, with the cure in front where the environment lacks what
/// every call needs: the SDK's own words are about the last source that it
/// tried.
pub(crate) async fn explained(error: anyhow::Error) -> anyhow::Error {
    if !is_of_aws(&error) {
        return error;
    }
    if format!("{error:#}").contains(CONNECTION_REFUSED) {
        return error.context(
            "the environment leads to a local AWS that does not run (any more): start `make local`, and do \
             `. .local/environment.sh`",
        );
    }
    match access::lacking(&pipewright_aws::config().await).await {
        Some(lacking) => error.context(cure(&lacking)),
        None => error,
    }
}

fn is_of_aws(error: &anyhow::Error) -> bool {
    error.is::<TableError>()
        || error.is::<QueueError>()
        || error.is::<InvokeError>()
        || error.is::<SageMakerError>()
        || error.is::<ObjectError>()
        || error.is::<InvocationError>()
        || error.is::<CallerError>()
}

fn cure(lacking: &Lacking) -> String {
    format!(
        "{lacking}; set AWS_REGION and credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), as \
         the AWS command line takes them, or beside a running `make local` do `. .local/environment.sh`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_a_service_is_explained_by_the_environment() {
        let of_table = TableError::Unreadable {
            table: "t".to_owned(),
            attribute: "a".to_owned(),
            value: pipewright_aws::dynamodb::UnreadableValue::Binary,
        };
        assert!(is_of_aws(&anyhow::Error::new(of_table)));
        assert!(!is_of_aws(&anyhow::anyhow!("there is no execution x")));
    }

    #[test]
    fn the_cure_names_what_lacks_and_how_to_give_it() {
        let cure = cure(&Lacking::Credentials);
        for words in [
            "no AWS credentials were found",
            "AWS_REGION",
            ". .local/environment.sh",
        ] {
            assert!(cure.contains(words), "{cure}");
        }
    }
}
