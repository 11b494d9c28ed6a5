//! Which of a job's hosts does the work.
//!
//! SageMaker starts the same container on every instance of a job. The work is
//! not distributed: one host, the primary, does it all, and the others say so
//! and end, so that an instance count above one costs money but harms nothing.

use serde_json::Value;
use thiserror::Error;

/// What this host is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Do the work; there are this many hosts in all.
    Primary {
        /// This host's name; `algo-1` outside SageMaker.
        this: String,
        /// Number of the job's hosts, at least 1.
        hosts: usize,
    },
    /// Do nothing: another host does the work.
    Bystander {
        /// This host's name.
        this: String,
        /// The name of the host that does the work.
        primary: String,
    },
}

/// `config/resourceconfig.json` can't be understood. To guess here could make
/// two hosts do the work, or none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ResourceConfigError {
    /// Not JSON at all.
    #[error("config/resourceconfig.json is not JSON: {0}")]
    Syntax(String),
    /// A member is absent or of another type.
    #[error(
        "config/resourceconfig.json must have current_host (a string) and hosts (a list of strings, not empty)"
    )]
    Shape,
    /// The current host is not in the list.
    #[error("config/resourceconfig.json: current_host {0:?} is not among its hosts")]
    Stranger(String),
}

/// Decides from the text of `config/resourceconfig.json`, `None` where there is
/// none (a single host outside SageMaker). The primary is the first of the
/// hosts' names, sorted bytewise: every host decides alike without asking.
///
/// # Errors
/// A file that can't be understood.
pub fn role(resource_config: Option<&str>) -> Result<Role, ResourceConfigError> {
    let Some(text) = resource_config else {
        return Ok(Role::Primary {
            this: "algo-1".to_owned(),
            hosts: 1,
        });
    };
    let config: Value = serde_json::from_str(text)
        .map_err(|error| ResourceConfigError::Syntax(error.to_string()))?;
    let this = config["current_host"]
        .as_str()
        .ok_or(ResourceConfigError::Shape)?;
    let mut hosts = config["hosts"]
        .as_array()
        .ok_or(ResourceConfigError::Shape)?
        .iter()
        .map(|host| host.as_str().ok_or(ResourceConfigError::Shape))
        .collect::<Result<Vec<&str>, _>>()?;
    hosts.sort_unstable();
    let primary = *hosts.first().ok_or(ResourceConfigError::Shape)?;
    if !hosts.contains(&this) {
        return Err(ResourceConfigError::Stranger(this.to_owned()));
    }
    Ok(if this == primary {
        Role::Primary {
            this: this.to_owned(),
            hosts: hosts.len(),
        }
    } else {
        Role::Bystander {
            this: this.to_owned(),
            primary: primary.to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_resource_config_has_one_host() {
        let this = "algo-1".to_owned();
        assert_eq!(role(None), Ok(Role::Primary { this, hosts: 1 }));
    }

    #[test]
    fn the_first_host_by_name_acts_whatever_the_order_of_the_list() {
        let config = |this: &str| {
            format!(r#"{{"current_host":"{this}","hosts":["algo-2","algo-1","algo-3"]}}"#)
        };
        assert_eq!(
            role(Some(&config("algo-1"))),
            Ok(Role::Primary {
                this: "algo-1".to_owned(),
                hosts: 3
            })
        );
        for this in ["algo-2", "algo-3"] {
            assert_eq!(
                role(Some(&config(this))),
                Ok(Role::Bystander {
                    this: this.to_owned(),
                    primary: "algo-1".to_owned()
                })
            );
        }
    }

    #[test]
    fn a_resource_config_that_cannot_be_understood_is_an_error() {
        assert!(matches!(
            role(Some("{")),
            Err(ResourceConfigError::Syntax(_))
        ));
        for text in [
            "{}",
            r#"{"current_host":1,"hosts":["a"]}"#,
            r#"{"current_host":"a","hosts":[]}"#,
            r#"{"current_host":"a","hosts":["a",2]}"#,
        ] {
            assert_eq!(role(Some(text)), Err(ResourceConfigError::Shape), "{text}");
        }
        assert_eq!(
            role(Some(r#"{"current_host":"z","hosts":["a"]}"#)),
            Err(ResourceConfigError::Stranger("z".to_owned()))
        );
    }
}
