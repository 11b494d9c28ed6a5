//! What the environment says about serving.

use pipewright_forecast::faults::Faults;
use thiserror::Error;

use super::request::{Configuration, RequestFault};

/// The most bytes of a request's body, unless a batch job allows more.
const BODY_BYTES: usize = 6 * 1024 * 1024;

/// The port that SageMaker asks unless it says otherwise.
const PORT: u16 = 8080;

/// How a model is served.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// The address to bind.
    pub host: String,
    /// The port to bind.
    pub port: u16,
    /// How many forecasts are computed at once.
    pub workers: usize,
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// What is forecast for a request that does not say it.
    pub configuration: Configuration,
    /// Fields of a record that its line of an answer in JSON Lines repeats.
    pub forwarded: Vec<String>,
    /// Whether only programs of this machine can connect.
    pub is_local: bool,
}

/// A variable of the environment has a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingFault {
    /// It is not a number that it could be.
    #[error("the environment variable {name} is `{value}`; it must be {expected}")]
    Value {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// It holds no configuration of forecasts.
    #[error("the environment variable DEEPAR_INFERENCE_CONFIG: {0}")]
    Configuration(RequestFault),
}

impl ServerSettings {
    /// Reads the environment through `get` (a variable's value by its name); `cpus`
    /// is the number of this machine's processors. A variable that is empty counts
    /// as none.
    ///
    /// | variable | what it says | otherwise |
    /// |---|---|---|
    /// | `SAGEMAKER_BIND_TO_HOST` | the address to bind | `0.0.0.0`; `127.0.0.1` of a local server |
    /// | `SAGEMAKER_BIND_TO_PORT` | the port to bind | 8080 |
    /// | `MODEL_SERVER_WORKERS` | how many forecasts are computed at once | one a processor |
    /// | `DEEPAR_INFERENCE_CONFIG` | the `configuration` of requests that have none | 100 samples, mean and quantiles 0.1 to 0.9 |
    /// | `DEEPAR_FORWARDED_FIELDS` | a JSON list of fields that answers in JSON Lines repeat | none |
    /// | `SAGEMAKER_BATCH`, `SAGEMAKER_MAX_PAYLOAD_IN_MB` | the most megabytes of a body in a batch job | 6 |
    /// | `PIPEWRIGHT_LOCAL` | `1`: bind loopback only, and answer no web page | |
    ///
    /// # Errors
    /// Every variable with a wrong value.
    pub fn read(
        get: impl Fn(&str) -> Option<String>,
        cpus: usize,
    ) -> Result<Self, Faults<SettingFault>> {
        let mut reader = Reader {
            get,
            faults: Faults::default(),
        };
        let is_local = reader.flag("PIPEWRIGHT_LOCAL");
        let is_batch = reader.flag("SAGEMAKER_BATCH");
        let port = reader.number("SAGEMAKER_BIND_TO_PORT", "a port, from 0 to 65535");
        let workers = reader.number("MODEL_SERVER_WORKERS", "a whole number from 1 to 1024");
        let megabytes = reader.number("SAGEMAKER_MAX_PAYLOAD_IN_MB", "a whole number of megabytes");
        let configuration = reader.configuration();
        let forwarded = reader.forwarded();
        let host = reader.value("SAGEMAKER_BIND_TO_HOST");
        let host =
            host.unwrap_or_else(|| if is_local { "127.0.0.1" } else { "0.0.0.0" }.to_owned());
        if is_local && !["127.0.0.1", "localhost", "::1"].contains(&host.as_str()) {
            reader.fault(
                "SAGEMAKER_BIND_TO_HOST",
                &host,
                "127.0.0.1 where PIPEWRIGHT_LOCAL is 1",
            );
        }
        let workers = match workers {
            Some(number @ 1..=1024) => number,
            Some(number) => {
                reader.fault(
                    "MODEL_SERVER_WORKERS",
                    &number.to_string(),
                    "a whole number from 1 to 1024",
                );
                1
            }
            None => cpus,
        };
        let body_bytes = match megabytes {
            // 0 is no limit, as SageMaker has it; a gigabyte is one all the same.
            Some(0) if is_batch => 1 << 30,
            Some(megabytes) if is_batch => megabytes.min(1024) * 1024 * 1024,
            _ => BODY_BYTES,
        };
        reader.faults.or(Self {
            host,
            port: port.unwrap_or(PORT),
            workers,
            body_bytes,
            configuration,
            forwarded,
            is_local,
        })
    }
}

struct Reader<G> {
    get: G,
    faults: Faults<SettingFault>,
}

impl<G: Fn(&str) -> Option<String>> Reader<G> {
    fn value(&self, name: &str) -> Option<String> {
        let value = (self.get)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn fault(&mut self, name: &'static str, value: &str, expected: &'static str) {
        self.faults.push(SettingFault::Value {
            name,
            value: value.to_owned(),
            expected,
        });
    }

    fn flag(&mut self, name: &'static str) -> bool {
        match self.value(name).as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => {
                let other = other.to_owned();
                self.fault(name, &other, "true or false");
                false
            }
        }
    }

    fn number<T: std::str::FromStr>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Option<T> {
        let value = self.value(name)?;
        let number = value.parse().ok();
        if number.is_none() {
            self.fault(name, &value, expected);
        }
        number
    }

    fn configuration(&mut self) -> Configuration {
        let Some(text) = self.value("DEEPAR_INFERENCE_CONFIG") else {
            return Configuration::default();
        };
        let mut faults = Faults::default();
        let configuration = Configuration::read(&text, &mut faults);
        for fault in faults.told() {
            self.faults.push(SettingFault::Configuration(fault.clone()));
        }
        configuration
    }

    fn forwarded(&mut self) -> Vec<String> {
        const NAME: &str = "DEEPAR_FORWARDED_FIELDS";
        let Some(text) = self.value(NAME) else {
            return Vec::new();
        };
        let fields: Vec<String> = match serde_json::from_str(&text) {
            Ok(fields) => fields,
            Err(_) => {
                self.fault(NAME, &text, "a JSON list of names, such as [\"item_id\"]");
                Vec::new()
            }
        };
        let answered = ["mean", "quantiles", "samples"];
        if fields
            .iter()
            .any(|field| answered.contains(&field.as_str()))
        {
            self.fault(
                NAME,
                &text,
                "without `mean`, `quantiles` and `samples`, which the answer has of its own",
            );
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ServerSettings, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ServerSettings::read(get, 3).map_err(|faults| faults.to_string())
    }

    #[test]
    fn an_empty_environment_has_deepars_defaults() {
        let expected = ServerSettings {
            host: "0.0.0.0".to_owned(),
            port: 8080,
            workers: 3,
            body_bytes: 6 * 1024 * 1024,
            configuration: Configuration::default(),
            forwarded: Vec::new(),
            is_local: false,
        };
        assert_eq!(read(&[]), Ok(expected.clone()));
        assert_eq!(read(&[("MODEL_SERVER_WORKERS", " ")]), Ok(expected));
    }

    #[test]
    fn the_environment_of_a_batch_job_is_read() {
        let settings = read(&[
            ("SAGEMAKER_BIND_TO_PORT", "8090"),
            ("MODEL_SERVER_WORKERS", "5"),
            ("SAGEMAKER_BATCH", "true"),
            ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "20"),
            ("DEEPAR_FORWARDED_FIELDS", r#"["item_id"]"#),
            (
                "DEEPAR_INFERENCE_CONFIG",
                r#"{"num_samples": 7, "output_types": ["mean"]}"#,
            ),
        ])
        .unwrap();
        assert_eq!((settings.port, settings.workers), (8090, 5));
        assert_eq!(settings.body_bytes, 20 << 20);
        assert_eq!(settings.forwarded, ["item_id"]);
        assert_eq!(settings.configuration.samples, 7);
        let endpoint = read(&[("SAGEMAKER_MAX_PAYLOAD_IN_MB", "20")]).unwrap();
        assert_eq!(endpoint.body_bytes, 6 << 20);
    }

    #[test]
    fn a_local_server_binds_loopback() {
        let local = ("PIPEWRIGHT_LOCAL", "1");
        let settings = read(&[local]).unwrap();
        assert_eq!(
            (settings.host.as_str(), settings.is_local),
            ("127.0.0.1", true)
        );
        let fault = read(&[local, ("SAGEMAKER_BIND_TO_HOST", "0.0.0.0")]).unwrap_err();
        assert!(
            fault.contains("127.0.0.1 where PIPEWRIGHT_LOCAL is 1"),
            "{fault}"
        );
    }

    #[test]
    fn every_wrong_variable_is_told_at_once() {
        let faults = read(&[
            ("SAGEMAKER_BIND_TO_PORT", "70000"),
            ("MODEL_SERVER_WORKERS", "0"),
            ("SAGEMAKER_BATCH", "maybe"),
            ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "x"),
            (
                "DEEPAR_INFERENCE_CONFIG",
                r#"{"num_sample": 7, "quantiles": ["2"]}"#,
            ),
            ("DEEPAR_FORWARDED_FIELDS", r#"["mean"]"#),
        ])
        .unwrap_err();
        for expected in [
            "7 faults:",
            "SAGEMAKER_BIND_TO_PORT is `70000`; it must be a port",
            "MODEL_SERVER_WORKERS is `0`; it must be a whole number from 1",
            "SAGEMAKER_BATCH is `maybe`; it must be true or false",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB is `x`",
            "DEEPAR_INFERENCE_CONFIG: configuration.num_sample",
            "DEEPAR_INFERENCE_CONFIG: configuration.quantiles[0] is `\"2\"`",
            "DEEPAR_FORWARDED_FIELDS is `[\"mean\"]`; it must be without",
        ] {
            assert!(faults.contains(expected), "{expected}\n{faults}");
        }
    }
}
