//! One question, from its bytes to the bytes of its answer.

mod from_stock;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hsm::{SigningService, TokenState};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use status::Position;
use status::freshness::resign_after;
use tokio::time::Instant;
use x509::key::SpkiHash;
use x509::ocsp::{
    CertId, CertStatus, OcspRequest, Refusal, ResponseData, SingleAnswer, successful,
};
use x509::time::UnixTime;

use crate::answer::{
    Archived, Finding, Found, NeverIssued, look_up, may_say_unknown, parse, times,
};
use crate::authority::{Authorities, Issuer, hex};
use crate::caching::{Labels, cache_control, lasting};
use crate::clock;
use crate::delegate::{Delegate, Delegates};
use crate::metrics::{Counted, Metrics};
use crate::presigned::{Stock, StockState};
use crate::signer::AnswerSignError;
use crate::turns::{About, Turns};
use crate::view::View;
use crate::waiting::{Seat, WaitingRoom};

/// A question waits at most this long for a newer checkpoint (promise 5).
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Answers questions.
pub(crate) struct Responder {
    pub(crate) view: Arc<View>,
    pub(crate) authorities: Arc<arc_swap::ArcSwap<Authorities>>,
    pub(crate) delegates: Arc<Delegates>,
    source: AnswerSource,
    rules: AnswerRules,
    /// Cache-Control of every answer that lives longer than the rules let others keep it.
    usual_control: HeaderValue,
    cache: Cache<Vec<u8>, Arc<Signed>>,
    waiting: Arc<WaitingRoom>,
    turns: Turns,
    pub(crate) metrics: Arc<Metrics>,
}

/// Where signatures come from.
pub(crate) enum AnswerSource {
    /// Keys of delegates, when somebody asks.
    Keys {
        /// The service of those in the token.
        service: Arc<dyn SigningService>,
        /// Final answers of CAs that have ended and get no delegates any more.
        finals: Arc<Stock>,
    },
    /// Files of answers that were signed beforehand; there is no key.
    Stock(Arc<Stock>),
}

/// How answers are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerRules {
    /// From thisUpdate to nextUpdate.
    pub(crate) validity: Duration,
    /// How long others may keep a good or revoked answer.
    pub(crate) max_age: Duration,
    /// Bound on the distance of the clocks of the two zones.
    pub(crate) clock_bound: Duration,
    /// Signed answers kept.
    pub(crate) cache: usize,
    pub(crate) never_issued: NeverIssued,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) body: Bytes,
    pub(crate) caching: Caching,
    /// The first log entry that the answer does not rest on.
    pub(crate) position: Option<Position>,
}

/// How others may keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Not at all: refusals, unknown, and answers with a nonce.
    NoStore,
    /// As RFC 9919 §6.2 says.
    Until(Freshness),
}

/// The caching headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    pub(crate) control: HeaderValue,
    pub(crate) labels: Labels,
}

/// A signed answer to one question without a nonce.
#[derive(Debug)]
struct Signed {
    finding: Finding,
    delegate: SpkiHash,
    body: Bytes,
    /// `None` for what nobody is to keep.
    labels: Option<Labels>,
    next_update: UnixTime,
    /// Since when it is given. A clock that was ahead then and was set back gives nothing from the future.
    since: UnixTime,
    /// Half of its life: from then on it is signed anew.
    renew_at: UnixTime,
}

impl Signed {
    /// Whether it may be given at that time.
    fn is_given_at(&self, now: UnixTime) -> bool {
        self.since <= now && now < self.renew_at
    }
}

/// The bytes to be signed, and thisUpdate and nextUpdate of the answer that ends first.
struct ToSign {
    data: Arc<[u8]>,
    shortest: (UnixTime, UnixTime),
}

/// What the log says about every question of a request, at one moment.
struct Facts {
    findings: Vec<Finding>,
    checkpoint: UnixTime,
    position: Position,
    /// Kept until the answer is signed, so that a flood of serials that were never issued is bounded
    /// all the way.
    _seat: Option<Seat>,
}

impl Responder {
    pub(crate) fn new(
        view: Arc<View>,
        authorities: Arc<arc_swap::ArcSwap<Authorities>>,
        delegates: Arc<Delegates>,
        source: AnswerSource,
        rules: AnswerRules,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            view,
            authorities,
            delegates,
            source,
            rules,
            usual_control: cache_control(rules.max_age),
            cache: Cache::new(rules.cache.max(1)),
            waiting: Arc::default(),
            turns: Turns::new(),
            metrics,
        }
    }

    /// How many questions wait for a newer checkpoint.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.count()
    }

    /// How the tokens are in which the delegates' keys lie.
    pub(crate) fn tokens(&self) -> Vec<TokenState> {
        match &self.source {
            AnswerSource::Keys { service, .. } => service.tokens(),
            AnswerSource::Stock(_) => Vec::new(),
        }
    }

    /// How the answers of an authority are that were signed beforehand; `None` where answers are signed when asked.
    pub(crate) fn stock_of(&self, authority: &str) -> Option<Option<StockState>> {
        match &self.source {
            AnswerSource::Keys { .. } => None,
            AnswerSource::Stock(stock) => Some(stock.state_of(authority)),
        }
    }

    /// Whether an authority has ended, so that its final answers are given for ever.
    pub(crate) fn has_final(&self, authority: &str) -> bool {
        let authorities = self.authorities.load();
        let issuer = authorities.issuer_of(authority);
        issuer.is_some_and(|issuer| self.finals().has_final(&issuer.names))
    }

    const fn finals(&self) -> &Arc<Stock> {
        match &self.source {
            AnswerSource::Keys { finals: stock, .. } | AnswerSource::Stock(stock) => stock,
        }
    }

    /// The delegate that signs for an authority now, where no client wishes for another.
    pub(crate) fn delegate_of(&self, authority: &str, now: UnixTime) -> Option<Arc<Delegate>> {
        let authorities = self.authorities.load();
        self.delegates.choose(&authorities.issuer_of(authority)?.names, &[], now)
    }

    /// What keeps a delegate from signing now; `None` while it signs. Makes no call.
    pub(crate) fn obstacle(&self, delegate: &Delegate) -> Option<String> {
        match &self.source {
            AnswerSource::Keys { .. } => delegate.obstacle(),
            AnswerSource::Stock(_) => None,
        }
    }

    /// Whether any answer by a delegate is kept that could be given now without a signature, for a
    /// question without a nonce.
    pub(crate) fn keeps_answers(&self, delegate: &Delegate) -> bool {
        let (now, key) = (clock::now(), delegate.spki());
        self.cache.iter().any(|(_, signed)| signed.is_given_at(now) && signed.delegate == key)
    }

    /// Answers the request in `der`, which came from `address`.
    pub(crate) async fn answer(&self, der: &[u8], address: IpAddr) -> Reply {
        let arrival = clock::now();
        let reply = match self.decide(der, address, arrival).await {
            Ok(reply) => reply,
            Err(refusal) => {
                self.metrics.count(Counted::Refusal(refusal));
                Reply {
                    body: Bytes::copy_from_slice(&refusal.to_der()),
                    caching: Caching::NoStore,
                    position: None,
                }
            }
        };
        self.metrics.count(Counted::Question);
        reply
    }

    async fn decide(
        &self,
        der: &[u8],
        address: IpAddr,
        arrival: UnixTime,
    ) -> Result<Reply, Refusal> {
        let request = parse(der)?;
        let issuer = self.issuer_of(&request)?;
        let outcome = match &self.source {
            AnswerSource::Stock(stock) => {
                self.give_from_stock(stock, &request, &issuer, address, arrival).await
            }
            AnswerSource::Keys { .. } => {
                self.give_signed(&request, &issuer, address, arrival).await
            }
        };
        // What stands for ever needs neither a delegate nor a fresh checkpoint.
        match outcome {
            Err(Refusal::TryLater) => {
                self.give_final(&request, &issuer).await.ok_or(Refusal::TryLater)
            }
            decided => decided,
        }
    }

    /// Signs an answer, or repeats one.
    async fn give_signed(
        &self,
        request: &OcspRequest,
        issuer: &Issuer,
        address: IpAddr,
        arrival: UnixTime,
    ) -> Result<Reply, Refusal> {
        let facts = self.facts(request, issuer, address, arrival).await?;
        let now = clock::now();
        let delegate = self.delegates.choose(&issuer.names, &request.preferred, now);
        let Some(delegate) = delegate else {
            // As where there never is a key: of what nobody issued, and of what is forgotten, no final answer says anything.
            let is_said = |finding: &Finding| {
                matches!(finding.status, CertStatus::Good | CertStatus::Revoked { .. })
            };
            let has_ended = self.finals().has_final(&issuer.names);
            let is_over = has_ended && !facts.findings.iter().all(is_said);
            return Err(if is_over { Refusal::Unauthorized } else { Refusal::TryLater });
        };
        if let Some(reply) = self.cached(request, &facts, &delegate, now) {
            self.metrics.count(Counted::FromCache);
            return Ok(reply);
        }
        self.sign_answer(request, issuer, facts, delegate).await
    }

    /// The one issuer that the request is about. Delegates are of one CA, so that a request about two
    /// cannot be answered in one response (OCSP-14).
    fn issuer_of(&self, request: &OcspRequest) -> Result<Arc<Issuer>, Refusal> {
        let authorities = self.authorities.load();
        let stranger =
            if authorities.complete() { Refusal::Unauthorized } else { Refusal::TryLater };
        let mut named: Option<&Arc<Issuer>> = None;
        for id in &request.cert_ids {
            let issuer = authorities.named(id).ok_or(stranger)?;
            if named.is_some_and(|named| !Arc::ptr_eq(named, issuer)) {
                return Err(Refusal::Unauthorized);
            }
            named = Some(issuer);
        }
        named.cloned().ok_or(Refusal::MalformedRequest)
    }

    /// Looks the serials up, waiting for a checkpoint that may say unknown where one is needed.
    async fn facts(
        &self,
        request: &OcspRequest,
        issuer: &Issuer,
        address: IpAddr,
        arrival: UnixTime,
    ) -> Result<Facts, Refusal> {
        // Most questions are about what is known, and need wait for nothing.
        let known = self.look(&request.cert_ids, issuer).ok_or(Refusal::TryLater)?;
        if known.findings.iter().all(|finding| finding.found == Found::Yes) {
            return Ok(known);
        }
        let mut newest = self.view.subscribe();
        let mut seat = None;
        let deadline = Instant::now().checked_add(MAX_WAIT).ok_or(Refusal::TryLater)?;
        loop {
            newest.mark_unchanged();
            let facts = self.look(&request.cert_ids, issuer).ok_or(Refusal::TryLater)?;
            let missing = facts.findings.iter().any(|finding| finding.found == Found::NotYet);
            if !missing || may_say_unknown(facts.checkpoint, arrival, self.rules.clock_bound) {
                return Ok(Facts { _seat: seat, ..facts });
            }
            if seat.is_none() {
                seat = Some(self.waiting.enter(address).ok_or(Refusal::TryLater)?);
            }
            match tokio::time::timeout_at(deadline, newest.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Refusal::TryLater),
            }
        }
    }

    fn look(&self, cert_ids: &[CertId], issuer: &Issuer) -> Option<Facts> {
        let (now, never_issued) = (clock::now(), self.rules.never_issued);
        self.view.read(now, |seen| {
            let issuer = seen.index.issuer(&issuer.id);
            let find =
                |id: &CertId| look_up(seen.index, issuer, id.serial().as_ref(), never_issued, now);
            let findings = cert_ids.iter().map(find).collect();
            Facts { findings, checkpoint: seen.checkpoint, position: seen.position, _seat: None }
        })
    }

    /// A kept answer that says what the log says now, by the delegate that signs now, in the first
    /// half of its life.
    fn cached(
        &self,
        request: &OcspRequest,
        facts: &Facts,
        delegate: &Delegate,
        now: UnixTime,
    ) -> Option<Reply> {
        let key = cache_key(request, delegate.spki())?;
        let signed = self.cache.get(key.as_ref())?;
        let same = facts.findings.first() == Some(&signed.finding)
            && signed.delegate == delegate.spki()
            && signed.is_given_at(now);
        same.then(|| self.reply_from(&signed, facts.position, now))
    }

    fn reply_from(&self, signed: &Signed, position: Position, now: UnixTime) -> Reply {
        let caching = match &signed.labels {
            None => Caching::NoStore,
            Some(labels) => {
                let most = self.rules.max_age;
                let lasts = lasting(most, signed.next_update, now);
                let control =
                    if lasts < most { cache_control(lasts) } else { self.usual_control.clone() };
                Caching::Until(Freshness { control, labels: labels.clone() })
            }
        };
        Reply { body: signed.body.clone(), caching, position: Some(position) }
    }

    async fn sign_answer(
        &self,
        request: &OcspRequest,
        issuer: &Issuer,
        facts: Facts,
        delegate: Arc<Delegate>,
    ) -> Result<Reply, Refusal> {
        let never_issued = facts.findings.iter().any(|finding| finding.found == Found::NotYet);
        let about = if never_issued { About::NeverIssued } else { About::Issued };
        let turn = self.turns.take(about, MAX_WAIT).await.ok_or(Refusal::TryLater)?;
        let now = clock::now();
        let ToSign { data, shortest } =
            self.response_data(request, issuer, &facts, &delegate, now)?;
        let signature = delegate.sign_beside(&data).await;
        drop(turn);
        let signature = signature.map_err(|error| self.not_signed(&error))?;
        let body =
            successful(&data, delegate.algorithm(), &signature, delegate.certificate.as_der())
                .ok_or(Refusal::InternalError)?;
        self.metrics.count(Counted::Signed);
        // The turn and the token may have taken seconds: nothing leaves that the log contradicts by now.
        let said_now = self.look(&request.cert_ids, issuer).ok_or(Refusal::TryLater)?;
        if said_now.findings != facts.findings {
            return Err(Refusal::TryLater);
        }
        Ok(self.keep(request, facts, &delegate, body, shortest, now))
    }

    fn response_data(
        &self,
        request: &OcspRequest,
        issuer: &Issuer,
        facts: &Facts,
        delegate: &Delegate,
        now: UnixTime,
    ) -> Result<ToSign, Refusal> {
        let mut answers = Vec::with_capacity(request.cert_ids.len());
        let mut shortest = None;
        for (cert_id, finding) in request.cert_ids.iter().zip(&facts.findings) {
            let times = times(
                (finding.status, finding.ends),
                facts.checkpoint,
                now,
                self.rules.validity,
                delegate.not_after(),
            )
            .ok_or(Refusal::TryLater)?;
            let (this_update, next_update) = (times.this_update, times.next_update);
            if shortest.is_none_or(|(_, earliest)| next_update < earliest) {
                shortest = Some((this_update, next_update));
            }
            answers.push(SingleAnswer {
                cert_id,
                status: finding.status,
                this_update,
                next_update,
                archive_cutoff: (finding.archived == Archived::Yes).then_some(issuer.since),
                invalidity_date: finding.invalidity_date,
            });
        }
        let data = ResponseData {
            responder_key: delegate.key().key_bits_sha1(),
            produced_at: now,
            answers: &answers,
            nonce: request.nonce.as_deref(),
        };
        let shortest = shortest.ok_or(Refusal::MalformedRequest)?;
        Ok(ToSign { data: data.to_der().into(), shortest })
    }

    fn keep(
        &self,
        request: &OcspRequest,
        facts: Facts,
        delegate: &Delegate,
        body: Vec<u8>,
        (this_update, next_update): (UnixTime, UnixTime),
        now: UnixTime,
    ) -> Reply {
        let single = facts.findings.first().copied().filter(|_| facts.findings.len() == 1);
        let cacheable = request.nonce.is_none();
        let body = Bytes::from(body);
        let (Some(finding), true) = (single, cacheable) else {
            return Reply { body, caching: Caching::NoStore, position: Some(facts.position) };
        };
        let half = resign_after(next_update.since(now));
        let signed = Arc::new(Signed {
            finding,
            delegate: delegate.spki(),
            labels: (!is_fleeting(finding.status))
                .then(|| Labels::of(&hex(&Sha256::digest(&body)), this_update, Some(next_update))),
            body,
            next_update,
            since: now,
            renew_at: now.checked_add(half).unwrap_or(now),
        });
        if !is_fleeting(finding.status)
            && let Some(key) = cache_key(request, delegate.spki())
        {
            self.cache.insert(key.into_owned(), Arc::clone(&signed));
        }
        self.reply_from(&signed, facts.position, now)
    }

    fn not_signed(&self, error: &AnswerSignError) -> Refusal {
        self.metrics.count(Counted::SignFailure);
        tracing::error!(error = %crate::chain(error), "answer was not signed");
        match error {
            AnswerSignError::Key(_) | AnswerSignError::Count(_) => Refusal::TryLater,
            AnswerSignError::Lost | AnswerSignError::OtherCount | AnswerSignError::Pending(_) => {
                Refusal::InternalError
            }
        }
    }
}

/// Whether an answer may be another one at any moment, so that nobody is to keep it.
const fn is_fleeting(status: CertStatus) -> bool {
    matches!(status, CertStatus::Unknown | CertStatus::NeverIssued)
}

/// Only answers to one question without a nonce are kept; those to whoever wishes for algorithms beside the
/// others, by the delegate that the wishes came to, so that no list of wishes takes a place of its own.
fn cache_key(request: &OcspRequest, delegate: SpkiHash) -> Option<Cow<'_, [u8]>> {
    let ([one], None) = (request.cert_ids.as_slice(), &request.nonce) else { return None };
    Some(if request.preferred.is_empty() {
        Cow::Borrowed(one.as_der())
    } else {
        Cow::Owned([one.as_der(), delegate.as_bytes()].concat())
    })
}
