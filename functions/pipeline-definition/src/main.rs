//! The Lambda function behind `Custom::PipelineDefinition`.

use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;
use pipeline_definition::PipelineDefinition;
use pipeline_definition::s3::S3Store;
use pipewright_aws::{CONNECT_TIMEOUT, custom_resource, function, logging};

/// How long one attempt of a call to S3 may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long a call to S3 may take with its retries. A creation makes three, and
/// they fit into what the driver leaves of 60 s, so that the reason of a
/// failure names S3 and the call.
const OPERATION: Duration = Duration::from_secs(14);

// A second worker watches the clock while the first one fills a template.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), lambda_runtime::Error> {
    // The events hold a secret address, which libraries would write to the log.
    logging::init(logging::Libraries::WarningsAtMost)?;
    let config = function::config()
        .into_builder()
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(OPERATION)
                .build(),
        )
        .build();
    let store = S3Store::new(pipewright_aws::s3::client(&config));
    Ok(custom_resource::run(PipelineDefinition::new(store)).await?)
}
