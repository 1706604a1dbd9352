//! The order of things: the only place that knows how an issuance, a revocation or a CRL goes.
//!
//! Every signing path has the same three words: prepare, record, sign. All of it blocks; the HTTP
//! layer and the schedule call it on threads of their own.

pub(crate) mod actor;
pub(crate) mod approvals;
pub(crate) mod authority;
pub(crate) mod bindings;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod canary;
pub(crate) mod carriers;
pub(crate) mod closed;
pub(crate) mod configured;
pub(crate) mod crl;
pub(crate) mod delegate;
mod diagnosis;
pub(crate) mod domains;
mod eid;
pub(crate) mod final_answers;
pub(crate) mod health;
mod held;
pub(crate) mod issue;
pub(crate) mod issuing;
pub(crate) mod jobs;
pub(crate) mod key_survey;
pub(crate) mod key_use;
mod limits;
pub(crate) mod offline_crl;
pub(crate) mod order;
mod ordered;
pub(crate) mod organisations;
mod own_order;
mod previous;
mod probing;
pub(crate) mod protection;
pub(crate) mod reads;
mod receipt;
pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod refusal;
mod registers;
pub(crate) mod renewal;
mod replay;
pub(crate) mod revoke;
mod search;
pub(crate) mod show;
mod sight;
pub(crate) mod signing;
pub(crate) mod steps;
pub(crate) mod test_certificates;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod trials;
mod two_acts;
mod unseen;
pub(crate) mod upkeep;
pub(crate) mod versions;
pub(crate) mod watch;
mod whose;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ca::algorithms::AlgorithmPolicy;
use ca::book::Book;
use ca::deployment::{Deployment, Environment};
use ca::four_eyes::FourEyes;
use ca::identity::TestDomains;
use ca::key_quality::KeyBook;
use ca::limit::Limits;
use ca::refusal::Refusal;
use hsm::SigningService;
use sha2::{Digest as _, Sha256};
use status::Position;
use store::{CertificateId, JobError, Node, OrderId, OrderKey, Store, StoreError};
use x509::serial::SerialNumber;
use x509::signing::IntentId;
use x509::time::UnixTime;

use crate::activation::Holding;
use crate::clock::Clock;
use crate::config::PublicationSection;
use crate::danger::Danger;
use crate::denied::{Denied, Kind};
use crate::limits::ReadLimits;
use crate::management::Management;
use crate::observe::Readiness;
use crate::publication::PublicationState;
use crate::publication::crl_files::CrlFiles;
use crate::push::OuterHosts;
use crate::randomness::Randomness;
use crate::receipts::Receipts;
use crate::registers::Registers;
use crate::statements::ActorStatements;
use authority::Authority;
use closed::ClosedProfiles;
use delegate::{DoneRequests, WithdrawnResponders};
use domains::DomainRule;
use health::SigningHealth;
use jobs::worker::JobsWaiting;
use key_use::KeyUses;
use order::{OrdersLeft, Wait};
use refusal::RefusalCounts;
use revoke::ToldOnce;
use test_certificates::TestSet;
use trials::RunningTrials;

/// How long an answer waits for its publication, where it waits.
const PUBLICATION_WAITS: Duration = Duration::from_secs(10);
/// When a caller is told to come back after a fault that heals by itself.
pub(crate) const COME_BACK: Duration = Duration::from_secs(5);

/// Everything that the use cases need.
pub(crate) struct Service {
    pub(crate) deployment: Deployment,
    pub(crate) node: Node,
    pub(crate) clock: Arc<Clock>,
    pub(crate) randomness: Randomness,
    /// Whether the last word of the audit log about the clock is that it can be trusted.
    pub(crate) clock_told: AtomicBool,
    pub(crate) store: Arc<dyn Store>,
    /// The same as `key_uses`.
    pub(crate) signer: Arc<dyn SigningService>,
    pub(crate) key_uses: Arc<KeyUses>,
    pub(crate) health: SigningHealth,
    pub(crate) book: Book,
    pub(crate) algorithms: Arc<AlgorithmPolicy>,
    /// Whether DNS names rest on proved domains.
    pub(crate) domain_rule: DomainRule,
    /// Whose mail addresses are nobody's.
    pub(crate) test_domains: TestDomains,
    /// Environments of issuers that are not ours, by the issuers' common names.
    pub(crate) elsewhere: BTreeMap<String, String>,
    /// Certificates that one client may revoke or hold alone in an hour (REV-09).
    pub(crate) alone: u64,
    /// Hours in which a client was told that it may revoke no more alone: whoever is alarmed is alarmed once.
    pub(crate) alone_told: ToldOnce,
    /// How much of persons each client is shown in an hour (AUD-06).
    pub(crate) read_limits: ReadLimits,
    /// Hours in which a client was told that it is shown nobody any more.
    pub(crate) reads_told: ToldOnce,
    pub(crate) jobs_waiting: JobsWaiting,
    /// Whose statements about calls are taken.
    pub(crate) actors: ActorStatements,
    /// Whether two persons have activated what it issues with.
    pub(crate) holding: Holding,
    /// What another person approves before it is done.
    pub(crate) four_eyes: FourEyes,
    /// How much clients may order.
    pub(crate) limits: Limits,
    /// By short name.
    pub(crate) authorities: BTreeMap<String, Authority>,
    pub(crate) publication: Arc<PublicationState>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) files: Arc<CrlFiles>,
    pub(crate) folders: PublicationSection,
    /// Keys that are never certified for a subscriber.
    pub(crate) keys: KeyBook,
    pub(crate) delegates_done: DoneRequests,
    /// Responders that get nothing any more.
    pub(crate) withdrawn: WithdrawnResponders,
    pub(crate) refusals: RefusalCounts,
    pub(crate) delegate_refusals: RefusalCounts,
    pub(crate) danger: Danger,
    pub(crate) orders_left: OrdersLeft,
    /// Outer hosts that issuing waits for.
    pub(crate) outer_hosts: Arc<OuterHosts>,
    /// Profiles under which nothing is issued.
    pub(crate) closed: ClosedProfiles,
    /// Renewal of the API's own credentials; absent where the service is tested without an API.
    pub(crate) management: Option<Management>,
    /// Who sees revocations from outside; absent where nobody is configured to.
    pub(crate) receipts: Option<Receipts>,
    /// What is asked at issuing.
    pub(crate) registers: Registers,
    /// The published set of test certificates; absent where none is configured.
    pub(crate) test_set: Option<TestSet>,
    /// Revocations that are made to be measured; absent where none are.
    pub(crate) trials: Option<RunningTrials>,
}

impl Service {
    pub(crate) const fn deployment(&self) -> Deployment {
        self.deployment
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    /// Waits until followers can see `position`, where the caller or the environment asks for it.
    ///
    /// The act stands whether or not it can be seen: a caller that is told to come back meets the
    /// same outcome under the same key.
    pub(crate) fn await_publication(&self, position: Position, wait: Wait) -> Result<(), Denied> {
        self.publication.wake();
        if !self.waits(wait) {
            return Ok(());
        }
        self.publication.wait_for(position, PUBLICATION_WAITS).map_err(|_| {
            Denied::new(
                Kind::Unavailable,
                Refusal::new(
                    "not-yet-published",
                    "promise 2: the answer waits until a published checkpoint covers the act",
                    &format!("position {position} not published after 10 s"),
                    "10 s",
                    "the act is recorded; repeat the call with the same key to get its answer",
                ),
            )
            .retry_after(COME_BACK)
        })
    }

    /// Whether the caller or the environment asks for answers that wait.
    pub(crate) fn waits(&self, wait: Wait) -> bool {
        wait == Wait::Yes || matches!(self.deployment.environment(), Environment::Prod)
    }

    /// An id for logs, audit and problems: 16 random octets in hexadecimal.
    pub(crate) fn draw_correlation_id(&self) -> String {
        // A predictable id harms nobody; the act that needs randomness fails by itself.
        base16ct::lower::encode_string(&self.randomness.draw::<16>().unwrap_or_default())
    }

    pub(crate) fn draw_order_id(&self, now: UnixTime) -> Result<OrderId, Denied> {
        Ok(OrderId::from_time_and_random(milliseconds(now), self.randomness.draw()?))
    }

    /// As [`Self::draw_order_id`], and there always is one: revoking does not wait for the generator
    /// (REV-02). It need not be secret, only another one each time, so it is made of all that differs.
    pub(crate) fn revocation_order_id(&self, now: UnixTime, key: &OrderKey) -> OrderId {
        let id = Sha256::new()
            .chain_update(self.randomness.draw_whatever())
            .chain_update(self.node.boot.as_bytes())
            .chain_update(&self.node.name)
            .chain_update(format!("{key:?}"))
            .finalize();
        let [a, b, c, d, e, f, g, h, i, j, ..]: [u8; 32] = id.into();
        OrderId::from_time_and_random(milliseconds(now), [a, b, c, d, e, f, g, h, i, j])
    }

    pub(crate) fn draw_certificate_id(&self, now: UnixTime) -> Result<CertificateId, Denied> {
        Ok(CertificateId::from_time_and_random(milliseconds(now), self.randomness.draw()?))
    }

    pub(crate) fn draw_intent_id(&self, now: UnixTime) -> Result<IntentId, Denied> {
        let id = OrderId::from_time_and_random(milliseconds(now), self.randomness.draw()?);
        Ok(IntentId::from_bytes(*id.as_bytes()))
    }

    /// A fresh serial number (ISS-02).
    pub(crate) fn draw_serial(&self) -> Result<SerialNumber, Denied> {
        Ok(SerialNumber::from_random(self.randomness.draw()?))
    }
}

pub(crate) const fn milliseconds(now: UnixTime) -> u64 {
    now.secs().saturating_mul(1000)
}

/// A failure of the store as a denied call. Rules that the store keeps are final; faults heal.
pub(crate) fn storage(error: &StoreError) -> Denied {
    let refusal = |rule, limit: &str, next| {
        Refusal::new(error.code(), rule, &crate::publication::chain(error), limit, next)
    };
    match error {
        StoreError::Busy
        | StoreError::Full
        | StoreError::ReadOnly
        | StoreError::Device(_)
        | StoreError::Unreachable(_)
        | StoreError::OlderThanSeen { .. }
        | StoreError::Closed
        | StoreError::Overloaded
        | StoreError::AuditRefused(_) => Denied::new(
            Kind::Unavailable,
            refusal(
                "nothing happens that cannot be recorded (promise 2)",
                "a database that takes the act",
                "an operator mends the database; repeat the call with the same key",
            ),
        )
        .retry_after(COME_BACK),
        StoreError::SchemaNewer { .. } => Denied::new(
            Kind::Unavailable,
            refusal(
                "a program that is older than its database writes nothing into it",
                "a database of this version",
                "stop this node and start the version that the others run; repeat the call with the same key at another node",
            ),
        )
        .retry_after(COME_BACK),
        StoreError::ClockBehind { .. } => Denied::new(
            Kind::Unavailable,
            refusal(
                "REV-13: nothing is issued while the clock is behind the log",
                "2 s",
                "set the clock right; issuing goes on by itself",
            ),
        )
        .retry_after(COME_BACK),
        StoreError::ShardEnded { .. } => Denied::new(
            Kind::Unavailable,
            refusal(
                "CRL-07: a certificate is put into a shard whose list goes on",
                "a shard without its last list",
                "repeat the call with the same key: the program stood still, and takes a place in another one",
            ),
        )
        .retry_after(Duration::from_secs(1)),
        StoreError::KeyOfAnother => Denied::rule(refusal(
            "one public key belongs to one subject (ISS-12)",
            "a key of this holder alone",
            "make a new key",
        )),
        // What is being signed for somebody else may come to nothing.
        StoreError::KeyClaimed => Denied::rule(refusal(
            "one public key belongs to one subject (ISS-12)",
            "a key of this holder alone",
            "make a new key, or repeat the call in a minute: the other order may come to nothing",
        ))
        .for_now(),
        StoreError::KeyOfUnknown => Denied::rule(refusal(
            "one public key belongs to one subject (ISS-12)",
            "a key of this holder alone",
            "first order a certificate of the older one's subject for this person, on another key; or make a new key",
        ))
        .for_now(),
        StoreError::KeyCompromisedMeanwhile => Denied::new(
            Kind::Unavailable,
            refusal(
                "a key is not used again once a certificate on it was revoked for compromise (ISS-12)",
                "a key without such a certificate",
                "make a new key; the same call has its final answer when it is repeated",
            ),
        )
        .retry_after(Duration::from_secs(1)),
        // Admission names the reason when the call is repeated.
        StoreError::EidNotActive { .. } => Denied::rule(refusal(
            "an eID that proves its holder holds until the certificate is recorded (ISS-20)",
            "an eID that is active",
            "repeat the call with the same key: its answer says how the eID stands",
        ))
        .for_now(),
        StoreError::KeyCompromised => Denied::rule(refusal(
            "a key is not used again once a certificate on it was revoked for compromise (ISS-12)",
            "a key without such a certificate",
            "make a new key",
        )),
        StoreError::KeyUsed => Denied::rule(refusal(
            "[key] reuse = \"never\" of the profile (ISS-12)",
            "a key that has not been certified",
            "make a new key",
        )),
        StoreError::KeyInUse => Denied::rule(refusal(
            "[key] reuse = \"never\" of the profile (ISS-12)",
            "a key that is not being certified",
            "make a new key, or repeat the call in a minute: the other order may come to nothing",
        ))
        .for_now(),
        // A serial that is not known now may come with an import.
        StoreError::UnknownCertificate { .. } | StoreError::UnknownSerial => Denied::new(
            Kind::NotFound,
            refusal(
                "a certificate is named by its id",
                "a certificate of this deployment",
                "look it up by fingerprint or by authority and serial",
            ),
        )
        .for_now(),
        StoreError::IssuerEnded => Denied::new(
            Kind::Conflict,
            refusal(
                "CRL-05: after a CA's last CRL it signs nothing, and no status of its certificates changes",
                "an authority that has not ended",
                "nothing: its last CRL stands for ever",
            ),
        ),
        StoreError::IssuerUnfinished => Denied::new(
            Kind::Conflict,
            refusal(
                "OCSP-13: what stands for ever is signed when nothing of it changes any more",
                "an authority with its last CRL",
                "make its last CRL first: `sigill-ca last-crl --help`",
            ),
        ),
        // What was seen before has changed since: on another node, or by a call that was under way.
        StoreError::IssuerUnended { .. } | StoreError::LateChange { .. } => Denied::rule(refusal(
            "CRL-05: a CA's last CRL is made when it issues no more and each of its certificates has expired or is revoked",
            "a retired authority without a certificate that is good or on hold",
            "run it again; it says which certificates are in the way",
        ))
        .for_now(),
        StoreError::Transition(_) => Denied::new(
            Kind::Conflict,
            refusal(
                "REV-03: the state machine of a certificate",
                "a change that its state allows",
                "show the certificate and see how it stands",
            ),
        ),
        StoreError::AloneSpent { .. } => Denied::new(
            Kind::Limited,
            refusal(
                "REV-09: one client revokes so many certificates in an hour; for more two decide",
                "`alone` of [revocation], in an hour of UTC",
                "two operators revoke many by a job: `sigill revoke --help`; or repeat the call with the same key after Retry-After",
            ),
        ),
        StoreError::ReadsSpent { .. } => Denied::new(
            Kind::Limited,
            refusal(
                "AUD-06: one client is shown so much of persons in an hour",
                "`per-hour` of [reading], or `reads-per-hour` of the client, in an hour of UTC",
                "repeat the call after Retry-After; who needs more has an operator write it down",
            ),
        ),
        StoreError::Job(JobError::Unknown { .. }) => Denied::new(
            Kind::NotFound,
            refusal("a job is named by its id", "a job of this deployment", "`sigill job list` names them"),
        )
        .for_now(),
        StoreError::Job(JobError::SameHand { .. }) => Denied::new(
            Kind::Forbidden,
            refusal(
                "REV-09: past what one client may revoke alone, another client and another person agree",
                "another client, another actor, and another administrator where they sign",
                "another operator looks at the forecast and approves it",
            ),
        ),
        StoreError::Job(JobError::OtherHand { .. }) => Denied::new(
            Kind::Forbidden,
            refusal(
                "REV-09: the client that planned a job makes and starts it; another approves it",
                "the client that planned the job",
                "its planner starts it and you approve it, or plan a job of your own",
            ),
        ),
        StoreError::Job(JobError::SelectsAll) => Denied::new(
            Kind::Conflict,
            refusal(
                "REV-11: a job says which certificates: by a list, by a condition, or by both",
                "at least one list or one condition",
                "add a list, or plan a job with a condition; `--authority` names all certificates of one",
            ),
        )
        .for_now(),
        StoreError::Job(JobError::Operation { .. }) => Denied::new(
            Kind::Conflict,
            refusal(
                "REV-09: what is started or approved is exactly what was forecast",
                "the operation of the forecast",
                "look at the job again with `sigill job show`, and decide anew",
            ),
        )
        .for_now(),
        StoreError::Job(JobError::State { .. }) => Denied::new(
            Kind::Conflict,
            refusal(
                "a job is planned, forecast, started, where needed approved, and then runs",
                "a state that the act follows",
                "look at the job with `sigill job show`",
            ),
        )
        .for_now(),
        StoreError::Carrier(fault) => carriers::fault(fault),
        StoreError::CarrierRevoked { .. } => Denied::new(
            Kind::Conflict,
            refusal(
                "a carrier that was revoked bears no eID any more (docs/states.md)",
                "a carrier that is not revoked",
                "order for another carrier; `sigill carrier find` shows what became of this one",
            ),
        ),
        StoreError::CarrierOfAnother { .. } => Denied::new(
            Kind::Conflict,
            refusal(
                "a telephone bears eIDs of one holder (docs/states.md)",
                "a device on which no other holder has a living eID",
                "have the other holder's eID on this device revoked, or use another device",
            ),
        )
        .for_now(),
        StoreError::EidOfOrderRevoked { .. } => Denied::new(
            Kind::Conflict,
            refusal(
                "an eID is revoked with all its certificates, those that are still to be issued too (docs/states.md)",
                "an identification of the holder after which its eID was not revoked",
                "identify the holder anew, if he is to have another eID, and order by that identification",
            ),
        ),
        StoreError::EidRevoked { .. } => Denied::new(
            Kind::Conflict,
            refusal(
                "an eID is revoked with all its certificates, those that are being signed too (docs/states.md)",
                "an eID that is not revoked while a certificate is made for it",
                "order under a new Idempotency-Key if the holder is to have another eID",
            ),
        ),
        StoreError::UnknownBound { .. } => bindings::no_such(error.code(), "eID or carrier"),
        StoreError::Organisation(fault) => organisations::denied(fault),
        StoreError::Domain(fault) => domains::denied(fault),
        StoreError::EidOrder(fault) => steps::fault(*fault),
        // The published log says so for ever: this order yields nothing more.
        StoreError::CertificateLost { .. } => Denied::new(
            Kind::Conflict,
            refusal(
                "promise 2: an order yields one certificate; this one's was issued after the backup that the database was put back from",
                "an order whose certificate is in the database",
                "order again under a new Idempotency-Key; an operator revokes the lost certificate with sigill certificate revoke-serial",
            ),
        ),
        StoreError::IntentVoided
        | StoreError::OrderFulfilled { .. }
        | StoreError::OrderState { .. }
        | StoreError::NodeSuperseded { .. } => Denied::new(
            Kind::Unavailable,
            refusal(
                "promise 2: an order has one holder and one certificate, a voided intent none",
                "",
                "repeat the call with the same key",
            ),
        )
        .retry_after(Duration::from_secs(1)),
        _ => Denied::new(
            Kind::Internal,
            refusal(
                "an invariant of the store",
                "",
                "an operator reads the log of sigill-ca by the correlation id",
            ),
        ),
    }
}
