//! EventBridge events of SageMaker to the execution record in DynamoDB.
fn main() {}
