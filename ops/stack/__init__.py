"""An installation as CloudFormation stacks: deployed, looked at, removed."""
