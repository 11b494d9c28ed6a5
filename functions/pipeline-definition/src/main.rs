//! The CloudFormation custom resource: fill, check and upload a pipeline definition.
fn main() {}
