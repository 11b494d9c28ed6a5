//! Pages of HTML: what all of them have in common, and what a browser may do with them.
//!
//! A page is either a file, which loads nothing, or one that `pipewright web` serves, which loads itself anew from there.
//! Texts are escaped by the templates, all of whose names end with `.html`; what is inserted as it is, by `safe`, is made
//! here: style, scripts, and SVG.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tera::{Context, Tera};

use crate::execution::render::{Tone, moment};

const STYLE: &str = include_str!("html/page.css");
/// Copies, and searches logs.
const SCRIPT: &str = include_str!("html/page.js");
/// Takes up what has changed.
const LIVE: &str = include_str!("html/live.js");

/// By name; each extends the first.
const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("html/base.html")),
    (EXECUTION, include_str!("execution/report/page.html")),
    (COMPARISON, include_str!("execution/compare/page.html")),
    (EXECUTIONS, include_str!("web/executions.html")),
    (ENDPOINTS, include_str!("web/endpoints.html")),
    (FAILURES, include_str!("web/failures.html")),
    (HOUSEKEEPING, include_str!("web/housekeeping.html")),
    (MESSAGE, include_str!("web/message.html")),
];

/// All templates, read once for as many pages as are made.
static ENGINE: LazyLock<Tera> = LazyLock::new(|| {
    let mut engine = Tera::new();
    engine
        .add_raw_templates(TEMPLATES)
        .unwrap_or_else(|error| unreachable!("the shipped templates are Tera's: {error}"));
    engine
});

pub(crate) const EXECUTION: &str = "execution.html";
pub(crate) const COMPARISON: &str = "comparison.html";
pub(crate) const EXECUTIONS: &str = "executions.html";
pub(crate) const ENDPOINTS: &str = "endpoints.html";
pub(crate) const FAILURES: &str = "failures.html";
pub(crate) const HOUSEKEEPING: &str = "housekeeping.html";
pub(crate) const MESSAGE: &str = "message.html";

/// Where a page is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// As a file, which needs nothing but itself.
    File,
    /// In a browser that got it from `pipewright web`.
    Web {
        /// Which of the pages in the list of pages it is; empty for one that is not there.
        here: &'static str,
        /// The address, relative to its own, that tells when the page has changed; `None` if it does not change.
        events: Option<String>,
    },
}

/// The pages that each page of `pipewright web` leads to, by their addresses, and what they are called.
const PAGES: [(&str, &str); 4] = [
    ("", "Executions"),
    ("endpoints", "Endpoints"),
    ("failures", "Failures"),
    ("housekeeping", "Housekeeping"),
];

#[derive(Debug, Serialize)]
struct Link {
    address: String,
    name: &'static str,
    here: bool,
}

/// A status with the colour family that shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    text: String,
    tone: &'static str,
}

impl Status {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let tone = tone(&text);
        Self { text, tone }
    }
}

/// The class of the style sheet that shows a status.
fn tone(status: &str) -> &'static str {
    match Tone::of(status) {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Over => "warn",
        Tone::Busy => "busy",
    }
}

/// What a browser may do with a page, as a content security policy: run these scripts, and no other. A page that is served
/// may ask its server for more.
fn policy(scripts: &[&str], served: bool) -> String {
    let digests: Vec<String> = scripts
        .iter()
        .map(|script| format!("'sha256-{}'", BASE64.encode(Sha256::digest(script))))
        .collect();
    let digests = digests.join(" ");
    let more = if served {
        "; connect-src 'self'; form-action 'self'; base-uri 'none'"
    } else {
        ""
    };
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src {digests}; img-src data:{more}"
    )
}

/// The same, as the header of each answer of `pipewright web`.
pub(crate) fn policy_of_server() -> String {
    format!("{}; frame-ancestors 'none'", policy(&[SCRIPT, LIVE], true))
}

/// A page by its template. `now` is in epoch milliseconds.
pub(crate) fn page(
    template: &str,
    mut context: Context,
    frame: &Frame,
    now: i64,
) -> Result<String, tera::Error> {
    let (scripts, links, events) = match frame {
        Frame::File => (vec![SCRIPT], Vec::new(), None),
        Frame::Web { here, events } => {
            let links = PAGES.iter().map(|(address, name)| Link {
                address: format!("./{address}"),
                name,
                here: name == here,
            });
            (vec![SCRIPT, LIVE], links.collect(), events.as_ref())
        }
    };
    context.insert("policy", &policy(&scripts, *frame != Frame::File));
    context.insert("links", &links);
    context.insert("events", &events);
    context.insert("style", STYLE);
    context.insert("scripts", &scripts);
    context.insert("version", crate::VERSION);
    context.insert("made_at", &moment(now).unwrap_or_default());
    ENGINE.render(template, &context)
}

/// A page without its own scripts, for tests of what else it runs.
#[cfg(test)]
pub(crate) fn without_scripts(page: &str) -> String {
    page.replace(SCRIPT, "").replace(LIVE, "")
}

/// What no record that we write has, but could be put into a table by others.
#[cfg(test)]
pub(crate) const HOSTILE: &str = "\"'></p><script>alert(1)</script><img src=x onerror=alert(1)>";

/// Fails if a hostile text has become markup of a page.
#[cfg(test)]
pub(crate) fn assert_harmless(page: &str, scripts: usize) {
    let page = without_scripts(page);
    assert_eq!(page.matches("<script").count(), scripts, "the page's own");
    assert!(!page.contains("<img"));
    assert!(!page.contains("\" onload"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_run_the_scripts_that_stand_in_it() {
        for (frame, scripts) in [
            (Frame::File, vec![SCRIPT]),
            (
                Frame::Web {
                    here: "Failures",
                    events: None,
                },
                vec![SCRIPT, LIVE],
            ),
        ] {
            let mut context = Context::new();
            context.insert("queues", &[0; 0]);
            context.insert("title", "Failures");
            let page = page(FAILURES, context, &frame, 0).unwrap();
            for script in scripts {
                let digest = BASE64.encode(Sha256::digest(script));
                assert!(page.contains(&format!("'sha256-{digest}'")));
                assert!(page.contains(&format!("<script>{script}</script>")));
            }
        }
        assert!(policy_of_server().contains("frame-ancestors 'none'"));
    }
}
