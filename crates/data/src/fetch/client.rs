//! One HTTP request for the rest of a file, and what its answer means.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use ureq::http::{HeaderMap, HeaderName, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Timeout};

use super::Options;
use super::error::{Fault, FetchError, Retry};

/// A blocking HTTP client with time-outs for connections and silence, but none for a whole download.
pub(super) struct Client {
    agent: Agent,
    connect_timeout: Duration,
    stall_timeout: Duration,
}

/// An answer that brings bytes of the file.
pub(super) struct Answer {
    /// Position in the file of the first byte that follows.
    pub(super) start: u64,
    /// Length of the whole file, where the mirror says so.
    pub(super) total: Option<u64>,
    /// Names this version of the file, where the mirror has a name that stands for exact bytes.
    pub(super) etag: Option<String>,
    /// The bytes.
    pub(super) body: Box<dyn Read>,
}

impl Client {
    pub(super) fn new(options: &Options) -> Result<Client, FetchError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_connect(Some(options.connect_timeout))
            .timeout_per_read(Some(options.stall_timeout))
            .timeout_per_write(Some(options.stall_timeout));
        if !options.proxies {
            config = config.proxy(None);
        }
        if let Some(path) = &options.certificates {
            let roots = RootCerts::Specific(Arc::new(certificates(path)?));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Client {
            agent: config.build().into(),
            connect_timeout: options.connect_timeout,
            stall_timeout: options.stall_timeout,
        })
    }

    /// Asks for the bytes of `address` from `start` on, of the version that `etag` names.
    ///
    /// A mirror that cannot send a part answers with the whole file: look at [`Answer::start`].
    pub(super) fn ask(
        &self,
        address: &str,
        start: u64,
        etag: Option<&str>,
    ) -> Result<Answer, Fault> {
        let mut request = self.agent.get(address).header(ACCEPT_ENCODING, "identity");
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
            if let Some(etag) = etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = request.call().map_err(|error| self.fault(error))?;
        let headers = response.headers();
        let (start, total) = match response.status() {
            StatusCode::OK => (0, number(headers, CONTENT_LENGTH)),
            StatusCode::PARTIAL_CONTENT => content_range(headers)?,
            status => return Err(refused(status)),
        };
        let etag = text(headers, ETAG)
            .filter(|etag| !etag.starts_with("W/"))
            .map(str::to_owned);
        Ok(Answer {
            start,
            total,
            etag,
            body: Box::new(response.into_body().into_reader()),
        })
    }

    /// What an error while reading an answer's body means.
    pub(super) fn body_fault(&self, error: io::Error) -> Fault {
        self.fault(error.into())
    }

    /// A name that is not found or a port that is closed seldom changes in seconds: without a network, the answer is quick.
    fn fault(&self, error: ureq::Error) -> Fault {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof,
        };
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Fault::ConnectTimeout(self.connect_timeout)
            }
            ureq::Error::Timeout(_) => Fault::Stalled(self.stall_timeout),
            ureq::Error::Io(error) => match error.kind() {
                UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => Fault::Cut,
                TimedOut => Fault::Transport(error.to_string(), Retry::Later),
                _ => Fault::Transport(error.to_string(), Retry::Never),
            },
            error @ ureq::Error::Protocol(_) => Fault::Transport(error.to_string(), Retry::Later),
            error => Fault::Transport(error.to_string(), Retry::Never),
        }
    }
}

fn refused(status: StatusCode) -> Fault {
    let passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    let retry = if passing { Retry::Later } else { Retry::Never };
    Fault::Status(status.to_string(), retry)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// First position and total length from a header such as `bytes 100-199/200`; the total may be `*`.
fn content_range(headers: &HeaderMap) -> Result<(u64, Option<u64>), Fault> {
    let value = text(headers, CONTENT_RANGE).unwrap_or_default();
    let unclear = || {
        Fault::Transport(
            format!("a part without a usable `content-range`: `{value}`"),
            Retry::Never,
        )
    };
    let (range, total) = value
        .strip_prefix("bytes ")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(unclear)?;
    let start = range
        .split_once('-')
        .and_then(|(start, _)| start.parse().ok())
        .ok_or_else(unclear)?;
    Ok((start, total.parse().ok()))
}

/// The certificates in the PEM file at `path`.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, FetchError> {
    let pem = fs::read(path).map_err(|source| FetchError::Read {
        path: path.into(),
        source,
    })?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(FetchError::Certificates { path: path.into() });
    }
    Ok(certificates)
}
