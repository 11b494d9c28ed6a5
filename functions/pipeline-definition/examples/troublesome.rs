//! A custom resource that does what it is told: `Does` is `panic`, `hang`,
//! `block` or `chatter`. The tests run it to see that CloudFormation is
//! answered all the same.

use std::time::Duration;

use pipewright::custom_resource::{Failure, Handler, Request, Resource};
use pipewright_aws::{custom_resource, logging};
use serde_json::Value;

struct Troublesome;

impl Handler for Troublesome {
    async fn create(&self, request: Request) -> Result<Resource, Failure> {
        request.claim("half/made");
        match request.properties["Does"].as_str() {
            Some("panic") => panic!("as told"),
            Some("hang") => std::future::pending().await,
            Some("block") => {
                std::thread::sleep(Duration::from_secs(3_600));
                Ok(Resource::new("too/late"))
            }
            Some("chatter") => Ok(Resource::new("made").with("Text", "x".repeat(5_000))),
            _ => Ok(Resource::new("made")),
        }
    }

    async fn update(&self, request: Request, _: String, _: Value) -> Result<Resource, Failure> {
        self.create(request).await
    }

    async fn delete(&self, request: Request, _: String) -> Result<(), Failure> {
        self.create(request).await.map(drop)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), lambda_runtime::Error> {
    logging::init(logging::Libraries::WarningsAtMost)?;
    Ok(custom_resource::run(Troublesome).await?)
}
