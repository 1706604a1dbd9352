//! Plain HTTP as relying parties speak it: no redirect is followed, no proxy asked.

use std::io::Read;
use std::time::Duration;

use status::Position;
use status::observation::MAX_URL;
use ureq::Agent;
use ureq::http::Response;

use super::ProbeFault;

/// The longest OCSP response that is read, octets.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// The longest CRL that is read, octets: ten million entries.
pub(crate) const LONGEST_LIST: u64 = 1 << 30;
/// A complete list and the first delta to it follow each other within so much, on a machine that is not busy.
const PAUSE: Duration = Duration::from_secs(2);

/// Somebody who asks.
pub(crate) struct Web {
    agent: Agent,
    /// Between two tries at what is published one after the other.
    pub(super) pause: Duration,
}

impl Web {
    /// Whoever does not answer within `patience` is silent.
    pub(crate) fn new(patience: Duration) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent("sigill-probe")
            .build()
            .new_agent();
        Self { agent, pause: PAUSE }
    }

    /// Asks an OCSP responder by GET: the request in Base64 behind the URL (RFC 6960 appendix A.1).
    pub(crate) fn ask_by_get(&self, url: &str, request: &str) -> Result<Answered, ProbeFault> {
        let whole = format!("{}/{request}", checked(url)?.trim_end_matches('/'));
        answered(url, self.agent.get(whole).call())
    }

    /// Asks an OCSP responder by POST.
    pub(crate) fn ask_by_post(&self, url: &str, request: &[u8]) -> Result<Answered, ProbeFault> {
        let call =
            self.agent.post(checked(url)?).header("Content-Type", "application/ocsp-request");
        answered(url, call.send(request))
    }

    /// Fetches a list, which may be long.
    pub(crate) fn fetch(
        &self,
        url: &str,
    ) -> Result<(impl Read + use<>, Option<Position>), ProbeFault> {
        let response = well(url, self.agent.get(checked(url)?).call())?;
        let position = position(&response);
        let body = response.into_body().into_with_config().limit(LONGEST_LIST).reader();
        Ok((body, position))
    }
}

/// What a responder sent.
pub(crate) struct Answered {
    pub(crate) octets: Vec<u8>,
    pub(crate) position: Option<Position>,
}

fn answered(
    url: &str,
    response: Result<Response<ureq::Body>, ureq::Error>,
) -> Result<Answered, ProbeFault> {
    let mut response = well(url, response)?;
    let position = position(&response);
    let read = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
    Ok(Answered { octets: read.map_err(|source| silent(url, source))?, position })
}

fn checked(url: &str) -> Result<&str, ProbeFault> {
    let plain = url.bytes().all(|octet| octet.is_ascii_graphic());
    if plain && url.len() <= MAX_URL && url.starts_with("http://") {
        Ok(url)
    } else {
        Err(ProbeFault::Url { url: url.chars().take(80).collect() })
    }
}

fn well(
    url: &str,
    response: Result<Response<ureq::Body>, ureq::Error>,
) -> Result<Response<ureq::Body>, ProbeFault> {
    let response = response.map_err(|source| silent(url, source))?;
    match response.status().as_u16() {
        200 => Ok(response),
        status => Err(ProbeFault::Status { url: url.to_owned(), status }),
    }
}

fn silent(url: &str, source: ureq::Error) -> ProbeFault {
    ProbeFault::Silent { url: url.to_owned(), source: Box::new(source) }
}

/// The informative header, where there is one that can be read.
fn position(response: &Response<ureq::Body>) -> Option<Position> {
    response.headers().get(api::POSITION)?.to_str().ok()?.parse().ok()
}
