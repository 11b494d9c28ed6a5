//! AWS's signatures of version 4, made and verified with the SDKs' own signer.

use crate::clock::Millis;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const TIME: &[BorrowedFormatItem<'static>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// How far a signature's time may be from now: the SDKs' clocks are seldom exact.
const LARGEST_SKEW_MILLIS: i64 = 15 * 60 * 1000;

/// The one header of AWS's that the SDKs don't sign, as proxies may change it.
const NEVER_SIGNED: &str = "x-amz-user-agent";

/// An access key with its secret.
#[derive(Clone)]
pub struct AccessKey {
    /// What names the key in a request.
    pub id: String,
    /// What signs.
    pub secret: String,
    /// What comes with a key of a role's session.
    pub token: Option<String>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The environment holds no access key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not set, and no call could be signed: give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which \
     callers sign with"
)]
pub struct MissingKey(&'static str);

impl AccessKey {
    /// The key of the environment; `get` gives a variable by its name.
    ///
    /// # Errors
    /// The variable that is missing or empty.
    pub fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, MissingKey> {
        let find = |name: &str| get(name).filter(|value| !value.is_empty());
        let must = |name| find(name).ok_or(MissingKey(name));
        Ok(Self {
            id: must("AWS_ACCESS_KEY_ID")?,
            secret: must("AWS_SECRET_ACCESS_KEY")?,
            token: find("AWS_SESSION_TOKEN"),
        })
    }
}

/// Why a request is not known to come from who has the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature in the header `Authorization`.
    #[error("The request is not signed")]
    Missing,
    /// It cannot be read, or leaves something out.
    #[error("The request's signature is incomplete: {0}")]
    Incomplete(String),
    /// It is made with another key.
    #[error(
        "The access key {0}, or its session token, is not known here. The stand-in has another key \
         with every start: `. .local/environment.sh` gives it to this shell"
    )]
    UnknownKey(String),
    /// It was made too long ago, or will be made.
    #[error("The signature is of {0}, more than 15 minutes from now")]
    NotNow(String),
    /// It is another than it must be: of another secret, or of another request.
    #[error("The request signature we calculated does not match the signature you provided")]
    Mismatch,
    /// It could not be computed.
    #[error("The request cannot be signed: {0}")]
    Impossible(String),
}

impl SignatureError {
    /// AWS's code for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationToken",
            Self::Incomplete(_) => "IncompleteSignature",
            Self::UnknownKey(_) => "UnrecognizedClientException",
            Self::NotNow(_) => "RequestTimeTooSkewed",
            Self::Mismatch | Self::Impossible(_) => "InvalidSignatureException",
        }
    }
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The whole URI, as it is sent.
    pub uri: &'a str,
    /// The headers that the signature covers; host and time are added.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

/// What a signature is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// For example `eu-west-1`.
    pub region: &'a str,
    /// For example `sagemaker`.
    pub service: &'a str,
    /// When it is made.
    pub time: Millis,
}

/// The headers that a request needs to be signed, and the signature itself.
///
/// # Errors
/// [`SignatureError::Impossible`], of a request that is none in HTTP.
pub fn signed(
    request: Signable<'_>,
    key: &AccessKey,
    scope: Scope<'_>,
) -> Result<(Vec<(String, String)>, String), SignatureError> {
    let impossible = |error: &dyn std::error::Error| {
        SignatureError::Impossible(pipewright_aws::error_chain(error))
    };
    let credentials = Credentials::new(
        key.id.clone(),
        key.secret.clone(),
        key.token.clone(),
        None,
        "pipewright",
    );
    let mut settings = SigningSettings::default();
    // What is signed is the caller's choice.
    settings.excluded_headers = None;
    let millis = u64::try_from(scope.time.0).unwrap_or_default();
    let identity = credentials.into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(UNIX_EPOCH + Duration::from_millis(millis))
        .settings(settings)
        .build()
        .map_err(|error| impossible(&error))?
        .into();
    let signable = SignableRequest::new(
        request.method,
        request.uri,
        request.headers.iter().copied(),
        SignableBody::Bytes(request.body),
    )
    .map_err(|error| impossible(&error))?;
    let (instructions, signature) = sign(signable, &parameters)
        .map_err(|error| impossible(&error))?
        .into_parts();
    let headers = instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok((headers, signature))
}

/// What a request says of its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    time: Millis,
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Claim {
    /// Reads the head of a request, and refuses what the body can't mend.
    ///
    /// # Errors
    /// Whatever is wrong but the signature itself.
    pub fn read(
        headers: &HeaderMap,
        key: &AccessKey,
        service: &str,
        now: Millis,
    ) -> Result<Self, SignatureError> {
        let incomplete = |what: &str| SignatureError::Incomplete(what.to_owned());
        let one = |name: &str| -> Result<Option<&str>, SignatureError> {
            let mut values = headers.get_all(name).iter();
            let first = values.next();
            if values.next().is_some() {
                return Err(incomplete(&format!("there are several headers {name}")));
            }
            first
                .map(|value| value.to_str())
                .transpose()
                .map_err(|_| incomplete(&format!("the header {name} is not a string")))
        };
        let authorization = one("authorization")?.ok_or(SignatureError::Missing)?;
        let fields = authorization
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete(&format!("its algorithm is not {ALGORITHM}")))?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(&format!("the header Authorization lacks {name}")))
        };
        let credential = field("Credential")?;
        let [id, date, region, scoped_service, TERMINATOR] =
            credential.split('/').collect::<Vec<_>>()[..]
        else {
            return Err(incomplete(&format!(
                "'{credential}' is no KEY/DATE/REGION/SERVICE/{TERMINATOR}"
            )));
        };
        if id != key.id || one("x-amz-security-token")? != key.token.as_deref() {
            return Err(SignatureError::UnknownKey(id.to_owned()));
        }
        if scoped_service != service {
            return Err(incomplete(&format!(
                "it is for {scoped_service}, and this is {service}"
            )));
        }
        let timestamp =
            one("x-amz-date")?.ok_or_else(|| incomplete("there is no header X-Amz-Date"))?;
        let time = PrimitiveDateTime::parse(timestamp, TIME)
            .ok()
            .filter(|_| timestamp.starts_with(date) && date.len() == 8)
            .ok_or_else(|| {
                incomplete(&format!("it is of {date}, and X-Amz-Date is {timestamp}"))
            })?;
        let time = Millis(time.assume_utc().unix_timestamp() * 1000);
        if time.0.abs_diff(now.0) > LARGEST_SKEW_MILLIS.unsigned_abs() {
            return Err(SignatureError::NotNow(timestamp.to_owned()));
        }
        let signed_headers: Vec<String> = field("SignedHeaders")?
            .split(';')
            .map(str::to_owned)
            .collect();
        let forgotten = headers.keys().find(|name| {
            let name = name.as_str();
            let must = name == "host" || (name.starts_with("x-amz-") && name != NEVER_SIGNED);
            must && !signed_headers.iter().any(|signed| signed == name)
        });
        if let Some(name) = forgotten {
            return Err(incomplete(&format!("the header {name} is not signed")));
        }
        Ok(Self {
            time,
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers,
            signature: field("Signature")?.to_owned(),
        })
    }

    /// Compares the signature with the one that the whole request must have.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`], and what makes it impossible to tell.
    pub fn verify(
        &self,
        request: &Parts,
        body: &[u8],
        key: &AccessKey,
    ) -> Result<(), SignatureError> {
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            if self
                .signed_headers
                .iter()
                .any(|signed| signed == name.as_str())
            {
                let value = value.to_str().map_err(|_| {
                    SignatureError::Incomplete(format!("the header {name} is not a string"))
                })?;
                headers.push((name.as_str(), value));
            }
        }
        let host = headers
            .iter()
            .find_map(|(name, value)| (*name == "host").then_some(*value))
            .ok_or_else(|| {
                SignatureError::Incomplete("the header host is not signed".to_owned())
            })?;
        let path = request
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let (_, expected) = signed(
            Signable {
                method: request.method.as_str(),
                uri: &format!("http://{host}{path}"),
                headers: &headers,
                body,
            },
            key,
            Scope {
                region: &self.region,
                service: &self.service,
                time: self.time,
            },
        )?;
        if is_same(&expected, &self.signature) {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// Compares in a time that tells nothing of where two texts of one length differ.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one
            .bytes()
            .zip(other.bytes())
            .fold(0, |differing, (one, other)| differing | (one ^ other))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const NOW: Millis = Millis(1_764_500_000_000);
    const BODY: &[u8] = br#"{"PipelineName":"p"}"#;

    fn key() -> AccessKey {
        AccessKey {
            id: "AKIAEXAMPLE".to_owned(),
            secret: "secret".to_owned(),
            token: None,
        }
    }

    /// A signed request, changed before it is looked at.
    fn judged(
        with: &AccessKey,
        at: Millis,
        change: impl FnOnce(&mut Parts),
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "SageMaker.DescribePipeline"),
        ];
        let (added, _) = signed(
            Signable {
                method: "POST",
                uri: "http://127.0.0.1:4567/",
                headers: &headers,
                body: BODY,
            },
            with,
            Scope {
                region: "eu-west-1",
                service: "sagemaker",
                time: at,
            },
        )
        .unwrap();
        let mut request = Request::post("/").header("host", "127.0.0.1:4567");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in added {
            request = request.header(name, value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        change(&mut parts);
        Claim::read(&parts.headers, &key(), "sagemaker", NOW)?.verify(&parts, body, &key())
    }

    fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut Parts) {
        move |parts| {
            parts.headers.insert(name, value.parse().unwrap());
        }
    }

    #[test]
    fn a_signature_of_the_key_is_taken_and_any_other_refused() {
        assert_eq!(judged(&key(), NOW, |_| {}, BODY), Ok(()));
        let other = AccessKey {
            secret: "another".to_owned(),
            ..key()
        };
        assert_eq!(
            judged(&other, NOW, |_| {}, BODY),
            Err(SignatureError::Mismatch)
        );
        let unknown = AccessKey {
            id: "test".to_owned(),
            ..key()
        };
        assert_eq!(
            judged(&unknown, NOW, |_| {}, BODY),
            Err(SignatureError::UnknownKey("test".to_owned()))
        );
        let session = AccessKey {
            token: Some("token".to_owned()),
            ..key()
        };
        assert!(matches!(
            judged(&session, NOW, |_| {}, BODY),
            Err(SignatureError::UnknownKey(_))
        ));
    }

    #[test]
    fn a_request_that_was_changed_since_it_was_signed_is_refused() {
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(judged(&key(), NOW, |_| {}, b"{}"), mismatch);
        let target = set("x-amz-target", "SageMaker.DeletePipeline");
        assert_eq!(judged(&key(), NOW, target, BODY), mismatch);
        let host = set("host", "localhost:4567");
        assert_eq!(judged(&key(), NOW, host, BODY), mismatch);
        let path = |parts: &mut Parts| parts.uri = "/other?x=1".parse().unwrap();
        assert_eq!(judged(&key(), NOW, path, BODY), mismatch);
        let added = set("x-amz-security-token", "t");
        assert!(judged(&key(), NOW, added, BODY).is_err());
        let unsigned = set("x-amz-meta", "m");
        assert!(matches!(
            judged(&key(), NOW, unsigned, BODY),
            Err(SignatureError::Incomplete(what)) if what.contains("x-amz-meta")
        ));
    }

    #[test]
    fn a_signature_is_good_for_15_minutes() {
        for (millis, good) in [
            (899_000, true),
            (-899_000, true),
            (901_000, false),
            (-901_000, false),
        ] {
            let result = judged(&key(), NOW.plus(millis), |_| {}, BODY);
            assert_eq!(result.is_ok(), good, "{millis}: {result:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let missing = |parts: &mut Parts| {
            parts.headers.remove("authorization");
        };
        assert_eq!(
            judged(&key(), NOW, missing, BODY),
            Err(SignatureError::Missing)
        );
        for (value, word) in [
            ("AWS AKIAEXAMPLE:c2ln", "algorithm"),
            ("AWS4-HMAC-SHA256 x", "Credential"),
            ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host", "a/b"),
            (
                "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20251130/r/s3/aws4_request",
                "s3",
            ),
        ] {
            let error = judged(&key(), NOW, set("authorization", value), BODY).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_key_takes_both_its_variables() {
        let get = |given: &'static [(&str, &str)]| {
            AccessKey::of_environment(move |name| {
                let found = given.iter().find(|(each, _)| *each == name)?;
                Some(found.1.to_owned())
            })
        };
        let both = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert_eq!(get(Box::leak(Box::new(both))).unwrap().token, None);
        assert_eq!(
            get(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "")]).unwrap_err(),
            MissingKey("AWS_SECRET_ACCESS_KEY")
        );
    }
}
