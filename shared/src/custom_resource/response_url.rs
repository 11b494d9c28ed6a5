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

/// Which hosts a reply may be put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlPolicy {
    /// Hosts of AWS, by https.
    AwsOnly,
    /// Those, and for tests also this machine (`127.0.0.1`, `[::1]`,
    /// `localhost`) by http or https.
    AwsOrLoopback,
}

/// The presigned address that CloudFormation waits at. Whoever has it can
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
    /// A host outside AWS.
    #[error(
        "ResponseURL names host {host}, which belongs to no AWS partition, so no reply is sent there"
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
    /// [`RefusedUrl`] when it is no URL, is not https, holds credentials or an
    /// unusual port, or names a host that does not end with the DNS suffix of
    /// an AWS partition.
    pub fn parse(url: &str, policy: UrlPolicy) -> Result<Self, RefusedUrl> {
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
        if loopback && policy == UrlPolicy::AwsOrLoopback {
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
        let of_aws = AWS_SUFFIXES.iter().any(|suffix| {
            host.strip_suffix(suffix)
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
        });
        if !of_aws || port.is_some_and(|port| port != "443") {
            return Err(RefusedUrl::ForeignHost { host });
        }
        Ok(Self {
            url: url.to_owned(),
            host,
        })
    }

    /// The host, which is no secret.
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
        ResponseUrl::parse(url, UrlPolicy::AwsOnly)
    }

    /// Replies go by https to hosts of AWS, in every partition.
    #[test]
    fn a_host_of_every_aws_partition_is_taken() {
        for host in [
            "cloudformation-custom-resource-response-useast1.s3.amazonaws.com",
            "cloudformation-custom-resource-response-euwest1.s3-eu-west-1.amazonaws.com",
            "cloudformation-custom-resource-response-usgovwest1.s3.us-gov-west-1.amazonaws.com",
            "cloudformation-custom-resource-response-cnnorth1.s3.cn-north-1.amazonaws.com.cn",
            "cloudformation-custom-resource-response-euscdee1.s3.eusc-de-east-1.amazonaws.eu",
            "bucket.s3.us-iso-east-1.c2s.ic.gov",
            "bucket.s3.us-isob-east-1.sc2s.sgov.gov",
            "bucket.s3.eu-isoe-west-1.cloud.adc-e.uk",
            "bucket.s3.us-isof-south-1.csp.hci.ic.gov",
            "BUCKET.S3.AMAZONAWS.COM",
        ] {
            let url = format!("https://{host}/arn%3Aaws?X-Amz-Signature=abc");
            assert_eq!(parse(&url).unwrap().host(), host.to_ascii_lowercase());
            assert!(parse(&format!("https://{host}:443/x?y")).is_ok());
        }
    }

    /// Replies go to no host outside AWS; a refused one is named.
    #[test]
    fn a_host_outside_aws_is_refused_by_name() {
        for host in [
            "example.com",
            "amazonaws.com.example.com",
            "evilamazonaws.com",
            "s3.amazonaws.com.",
            "amazonaws.com",
            ".amazonaws.com",
            "s3.amazonaws.com.cn.example",
            "169.254.169.254",
            "127.0.0.1",
            "localhost",
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

    #[test]
    fn tricks_that_hide_the_true_host_are_refused() {
        for url in [
            "",
            "https://",
            "https:///x",
            "https:s3.amazonaws.com/x",
            "ftp://s3.amazonaws.com/x",
            "https://user@s3.amazonaws.com/x",
            "https://user:pass@s3.amazonaws.com/x",
            "https://example.com\\.s3.amazonaws.com/x",
            "https://example.com#.s3.amazonaws.com/x",
            "https://example.com?.s3.amazonaws.com",
            "https://example.com/.s3.amazonaws.com",
            "https://s3.amazonaws.com:8443/x",
            "https://s3.amazonaws.com:/x",
            "https://s3.amazonaws.com /x",
            "https://s3.amazonaws.com\n/x",
            "https://s3\u{3002}amazonaws.com/x",
            "https://[::1].s3.amazonaws.com/x",
            "https://-.amazonaws.com/x",
        ] {
            assert!(parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn plain_http_is_refused() {
        assert!(matches!(
            parse("http://bucket.s3.amazonaws.com/x?y"),
            Err(RefusedUrl::NotHttps { .. })
        ));
    }

    /// Replies go to this machine only behind a switch for tests, which nothing
    /// that is deployed sets.
    #[test]
    fn loopback_is_taken_only_behind_the_switch() {
        for url in [
            "http://127.0.0.1:4566/x?y",
            "https://localhost/x",
            "http://[::1]:80/x",
        ] {
            assert!(parse(url).is_err(), "{url}");
            assert!(
                ResponseUrl::parse(url, UrlPolicy::AwsOrLoopback).is_ok(),
                "{url}"
            );
        }
        assert!(ResponseUrl::parse("http://127.0.0.2/x", UrlPolicy::AwsOrLoopback).is_err());
        assert!(
            ResponseUrl::parse("http://127.0.0.1@example.com/x", UrlPolicy::AwsOrLoopback).is_err()
        );
    }

    /// Nothing of a ResponseURL but its host is shown by an error or by debug
    /// output.
    #[test]
    fn neither_debug_nor_an_error_shows_path_or_query() {
        let secret = "X-Amz-Signature=0123456789abcdef";
        let url = parse(&format!("https://b.s3.amazonaws.com/path-part?{secret}")).unwrap();
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
