//! The address that a reply is put to: a secret, and not trusted.

use std::fmt;

/// The DNS suffixes of every AWS partition: the commercial one and GovCloud,
/// China, the European Sovereign Cloud, and the isolated ones.
const AWS_SUFFIXES: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

/// How the name of the bucket that takes replies begins; the region without
/// its hyphens follows.
const BUCKET: &str = "cloudformation-custom-resource-response-";

/// Which hosts a reply may be put to: those of the bucket that CloudFormation
/// has replies put into, in one region. CloudFormation calls a function of the
/// stack's own region only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPolicy {
    region: String,
    loopback: bool,
}

impl UrlPolicy {
    /// CloudFormation's bucket in `region`, by https.
    #[must_use]
    pub fn of_region(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            loopback: false,
        }
    }

    /// The same and, for tests, this machine as well (`127.0.0.1`, `[::1]`,
    /// `localhost`), by http or https.
    #[must_use]
    pub fn or_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Whether `host`, in lower case, is CloudFormation's bucket, by one of S3's
    /// names for it: `<bucket>.s3.`, `.s3-<region>.`, `.s3.<region>.` or
    /// `.s3.dualstack.<region>.` before the suffix of a partition.
    fn takes(&self, host: &str) -> bool {
        let region = &self.region;
        let bucket = format!("{BUCKET}{}.", region.replace('-', ""));
        let Some(place) = host.strip_prefix(&bucket) else {
            return false;
        };
        AWS_SUFFIXES.iter().any(|suffix| {
            place
                .strip_suffix(suffix)
                .and_then(|service| service.strip_suffix('.'))
                .is_some_and(|service| {
                    service == "s3"
                        || service == format!("s3-{region}")
                        || service == format!("s3.{region}")
                        || service == format!("s3.dualstack.{region}")
                })
        })
    }
}

/// The presigned address that CloudFormation waits at. Everyone who has it can
/// answer in the resource's name, so it shows its host alone: `Debug` prints
/// nothing else, there is no `Display`, and [`ResponseUrl::expose`] is for the
/// one request that delivers the reply.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseUrl {
    url: String,
    host: String,
}

/// Why an address was refused. It names the host, never the path or the query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedUrl {
    /// Not of the form `https://host/path`, or with characters no URL has.
    #[error("ResponseURL is not an https URL with a plain host name, so no reply can be sent")]
    Malformed,
    /// Not encrypted.
    #[error("ResponseURL at host {host} is not https, so no reply is sent there")]
    NotHttps {
        /// The host it named.
        host: String,
    },
    /// A host that is not CloudFormation's.
    #[error(
        "ResponseURL names host {host}, which is not the bucket that CloudFormation has replies put into in this \
         region, so no reply is sent there"
    )]
    ForeignHost {
        /// The host it named.
        host: String,
    },
}

impl ResponseUrl {
    /// Takes `url` if `policy` allows its scheme and host.
    ///
    /// # Errors
    /// [`RefusedUrl`] when it is not a URL, is not https, holds credentials or an
    /// unusual port, or names another host than CloudFormation's.
    pub fn parse(url: &str, policy: &UrlPolicy) -> Result<Self, RefusedUrl> {
        // A URL is printable ASCII; a backslash is a slash to some readers, and
        // a fragment is nothing that is ever sent.
        if !url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#')
        {
            return Err(RefusedUrl::Malformed);
        }
        let (scheme, rest) = url.split_once("://").ok_or(RefusedUrl::Malformed)?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return Err(RefusedUrl::Malformed);
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = split_port(authority).ok_or(RefusedUrl::Malformed)?;
        let host = host.to_ascii_lowercase();

        let loopback = ["127.0.0.1", "[::1]", "localhost"].contains(&host.as_str());
        if loopback && policy.loopback {
            return Ok(Self {
                url: url.to_owned(),
                host,
            });
        }
        if !is_host_name(&host) {
            return Err(RefusedUrl::Malformed);
        }
        if !https {
            return Err(RefusedUrl::NotHttps { host });
        }
        if !policy.takes(&host) || port.is_some_and(|port| port != "443") {
            return Err(RefusedUrl::ForeignHost { host });
        }
        Ok(Self {
            url: url.to_owned(),
            host,
        })
    }

    /// The host, which is not a secret.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The whole address, secret query included, for the request that delivers
    /// the reply. It must go into no message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "ResponseUrl(host {}, the rest is secret)",
            self.host
        )
    }
}

/// `host` and `host:port` into their parts; nothing for anything else.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let digits =
        |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    // In `[::1]:80` the host itself has colons.
    let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[host_end..].find(':') {
        None => Some((authority, None)),
        Some(colon) => {
            let (host, port) = (
                &authority[..host_end + colon],
                &authority[host_end + colon + 1..],
            );
            digits(port).then_some((host, Some(port)))
        }
    }
}

/// Whether `host` is labels of letters, digits and inner hyphens.
fn is_host_name(host: &str) -> bool {
    host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<ResponseUrl, RefusedUrl> {
        ResponseUrl::parse(url, &UrlPolicy::of_region("us-east-1"))
    }

    /// Replies go by https to the bucket that CloudFormation has replies put into in the function's
    /// region, in every partition.
    #[test]
    fn cloudformations_bucket_is_taken_in_every_partition() {
        for (region, host) in [
            ("us-east-1", "useast1.s3.amazonaws.com"),
            ("us-east-1", "USEAST1.S3.AMAZONAWS.COM"),
            ("us-east-1", "useast1.s3.us-east-1.amazonaws.com"),
            ("eu-west-1", "euwest1.s3-eu-west-1.amazonaws.com"),
            ("eu-west-1", "euwest1.s3.dualstack.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "usgovwest1.s3.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "cnnorth1.s3.cn-north-1.amazonaws.com.cn"),
            (
                "eusc-de-east-1",
                "euscdeeast1.s3.eusc-de-east-1.amazonaws.eu",
            ),
            ("us-iso-east-1", "usisoeast1.s3.us-iso-east-1.c2s.ic.gov"),
            (
                "us-isob-east-1",
                "usisobeast1.s3.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "eu-isoe-west-1",
                "euisoewest1.s3.eu-isoe-west-1.cloud.adc-e.uk",
            ),
            (
                "us-isof-south-1",
                "usisofsouth1.s3.us-isof-south-1.csp.hci.ic.gov",
            ),
        ] {
            let host = format!("{BUCKET}{host}");
            let policy = UrlPolicy::of_region(region);
            let url = format!("https://{host}/arn%3Aaws?X-Amz-Signature=abc");
            let taken = ResponseUrl::parse(&url, &policy).unwrap();
            assert_eq!(taken.host(), host.to_ascii_lowercase());
            assert!(ResponseUrl::parse(&format!("https://{host}:443/x?y"), &policy).is_ok());
        }
    }

    /// Replies go to no other host, be it one of AWS's or a customer's in AWS; a refused one is
    /// named.
    #[test]
    fn another_host_is_refused_by_name() {
        let bucket = format!("{BUCKET}useast1");
        for host in [
            "example.com".to_owned(),
            "amazonaws.com.example.com".to_owned(),
            "s3.amazonaws.com.".to_owned(),
            "amazonaws.com".to_owned(),
            ".amazonaws.com".to_owned(),
            "169.254.169.254".to_owned(),
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
            "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com".to_owned(),
            "ec2-198-51-100-7.compute-1.amazonaws.com".to_owned(),
            "load-balancer-1.us-east-1.elb.amazonaws.com".to_owned(),
            "s3.amazonaws.com".to_owned(),
            "bucket.s3.amazonaws.com".to_owned(),
            "bucket.s3.us-east-1.amazonaws.com".to_owned(),
            // Names that anybody may give a bucket of theirs.
            format!("{bucket}-2.s3.amazonaws.com"),
            format!("{bucket}.x.s3.amazonaws.com"),
            format!("my-{bucket}.s3.amazonaws.com"),
            format!("{BUCKET}.s3.amazonaws.com"),
            format!("{BUCKET}useast2.s3.amazonaws.com"),
            format!("{bucket}.s3.us-east-2.amazonaws.com"),
            format!("{bucket}.s3-website-us-east-1.amazonaws.com"),
            format!("{bucket}.s3.amazonaws.com.example.com"),
            format!("{bucket}.amazonaws.com"),
            format!("{bucket}.s3.evilamazonaws.com"),
        ] {
            let refused = parse(&format!("https://{host}/x?X-Amz-Signature=abc")).unwrap_err();
            assert!(
                matches!(
                    refused,
                    RefusedUrl::ForeignHost { .. } | RefusedUrl::Malformed
                ),
                "{host}: {refused}"
            );
        }
        assert_eq!(
            parse("https://example.com/x?secret").unwrap_err(),
            RefusedUrl::ForeignHost {
                host: "example.com".to_owned()
            }
        );
    }

    /// CloudFormation's bucket in the region of these tests.
    const HOST: &str = "cloudformation-custom-resource-response-useast1.s3.amazonaws.com";

    #[test]
    fn tricks_that_hide_the_true_host_are_refused() {
        for url in [
            "",
            "https://",
            "https:///x",
            "https:HOST/x",
            "ftp://HOST/x",
            "https://user@HOST/x",
            "https://user:pass@HOST/x",
            "https://example.com\\.HOST/x",
            "https://example.com#.HOST/x",
            "https://example.com?.HOST",
            "https://example.com/.HOST",
            "https://HOST:8443/x",
            "https://HOST:/x",
            "https://HOST /x",
            "https://HOST\n/x",
            "https://[::1].HOST/x",
            "https://-.HOST/x",
            "https://.HOST/x",
            "https://HOST./x",
        ] {
            let url = url.replace("HOST", HOST);
            assert!(parse(&url).is_err(), "{url:?}");
        }
        let cut = HOST.replace(".amazonaws", "\u{3002}amazonaws");
        assert!(parse(&format!("https://{cut}/x")).is_err());
    }

    #[test]
    fn plain_http_is_refused() {
        assert!(matches!(
            parse(&format!("http://{HOST}/x?y")),
            Err(RefusedUrl::NotHttps { .. })
        ));
    }

    /// Replies go to this machine only behind a switch for tests, which nothing
    /// that is deployed sets.
    #[test]
    fn loopback_is_taken_only_behind_the_switch() {
        let policy = UrlPolicy::of_region("us-east-1").or_loopback();
        for url in [
            "http://127.0.0.1:4566/x?y",
            "https://localhost/x",
            "http://[::1]:80/x",
        ] {
            assert!(parse(url).is_err(), "{url}");
            assert!(ResponseUrl::parse(url, &policy).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.2/x", "http://127.0.0.1@example.com/x"] {
            assert!(ResponseUrl::parse(url, &policy).is_err(), "{url}");
        }
    }

    /// Nothing of a ResponseURL but its host is shown by an error or by debug
    /// output.
    #[test]
    fn neither_debug_nor_an_error_shows_path_or_query() {
        let secret = "X-Amz-Signature=0123456789abcdef";
        let url = parse(&format!("https://{HOST}/path-part?{secret}")).unwrap();
        let shown = format!("{url:?} {:#?}", url);
        assert!(
            !shown.contains(secret) && !shown.contains("path-part"),
            "{shown}"
        );
        assert!(url.expose().ends_with(secret));
        for url in [
            "https://example.com/p?",
            "http://a.amazonaws.com/p?",
            "https://a b/p?",
        ] {
            let refused = parse(&format!("{url}{secret}")).unwrap_err();
            let shown = format!("{refused} {refused:?}");
            assert!(!shown.contains(secret) && !shown.contains("/p"), "{shown}");
        }
    }
}
