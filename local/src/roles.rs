//! The seam to the roles of jobs and models.

use crate::BoxFuture;
use crate::error::JobError;
use crate::storage::ObjectStore;
use std::sync::Arc;

/// What a job or a model's container may do: what its role may.
#[derive(Clone)]
pub struct Rights {
    /// S3 with these rights.
    pub store: Arc<dyn ObjectStore>,
    /// The variables by which a program calls AWS with them.
    pub environment: Vec<(&'static str, String)>,
}

/// Knows what roles may do.
pub trait Roles: Send + Sync {
    /// The rights of a role; none where they are not known here, and the account's own count.
    ///
    /// The error is that of a role that SageMaker may not assume.
    fn rights_of<'a>(
        &'a self,
        role_arn: &'a str,
    ) -> BoxFuture<'a, Result<Option<Rights>, JobError>>;
}
