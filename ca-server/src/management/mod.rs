//! The management plane's own certificates: those of the API's server and clients (architecture §2.6).
//!
//! The management CA's key lies in a token of its own. What it signs goes the same way as all else,
//! prepare, record, sign, verify, record; it stands in no status log, because nobody outside asks
//! about it and nothing of it may cross to the outer zone (docs/decisions, record 0010).

pub(crate) mod clients;
pub(crate) mod files;
pub(crate) mod server;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::algorithms::AlgorithmPolicy;
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::deployment::{Deployment, RoleName};
use ca::fields::RequestedFields;
use ca::identity::TestDomains;
use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::KeyPeriod;
use ca::key_quality::KeyBook;
use ca::prepare::{KeySource, Preparation, Signer, Way, prepare};
use ca::profile::{Profile, ProfileSet};
use ca::refusal::Refusal;
use hsm::SigningService;
use serde_json::{Value, json};
use store::{
    AuditRecord, ManagementCertificate, ManagementHolder, ManagementIntent, ManagementScope, Node,
    OpenManagementIntent, OrderId, Store, StoreError, Subject,
};
use x509::certificate::Certificate;
use x509::extension::GeneralName;
use x509::key::{SignatureAlgorithm, SpkiHash};
use x509::oid::attribute;
use x509::pem;
use x509::serial::SerialNumber;
use x509::signing::{IntentId, Pending, Recorded, Signed};
use x509::time::UnixTime;

use self::clients::ClientKeys;
use crate::config::ApiSection;
use crate::denied::Denied;
use crate::http::tls::ServerIdentity;
use crate::publication::chain;
use crate::randomness::Randomness;
use crate::service::signing::{Signing, Tried, failed_try};
use crate::service::{Service, milliseconds, storage};
use crate::start::Told;

/// The profile of clients' certificates.
pub(crate) const CLIENT_PROFILE: &str = "management-client";
/// The profile of the server's certificate.
pub(crate) const SERVER_PROFILE: &str = "management-server";
/// Management certificates carry no URL; an issuer must have some.
const NO_URL: &str = "http://none.invalid/";

/// What the running program needs to renew its own credentials and its clients'.
pub(crate) struct Management {
    /// Signs; absent where the configuration has no section `[management]`.
    pub(crate) authority: Option<ManagementAuthority>,
    pub(crate) clients: Arc<ClientKeys>,
    pub(crate) identity: Arc<ServerIdentity>,
    pub(crate) api: ApiSection,
    /// How long before its end the server certificate is renewed, where configured.
    pub(crate) server_renewal: Option<Duration>,
}

/// The management CA with its key.
pub(crate) struct ManagementAuthority {
    deployment: Deployment,
    algorithms: Arc<AlgorithmPolicy>,
    issuer: Issuer,
    signer: Arc<dyn SigningService>,
    /// Keys that are never certified: those of all CAs among them.
    keys: KeyBook,
    node: Node,
    randomness: Randomness,
}

/// A management certificate that is to be made.
pub(crate) struct ManagementWork<'a> {
    pub(crate) order: Option<OrderId>,
    pub(crate) holder: ManagementHolder,
    pub(crate) name: RoleName,
    pub(crate) profile: &'a Profile,
    pub(crate) key: KeySource<'a>,
    pub(crate) fields: RequestedFields,
    pub(crate) actor: Actor,
    /// Order, call and client, where there are such.
    pub(crate) objects: [Option<ObjectId>; 3],
    pub(crate) payload: Value,
}

/// A profile of the management plane, which must be there to renew anything.
///
/// # Errors
///
/// Names it.
pub(crate) fn profile<'a>(profiles: &'a ProfileSet, name: &str) -> anyhow::Result<&'a Profile> {
    profiles.by_name(name).with_context(|| {
        let next = "put the shipped profile of that name into the folder of profiles";
        Told::new("profile-missing", format!("profile {name} is missing"), next)
    })
}

impl ManagementAuthority {
    /// Puts the authority together. `signer` must have its key.
    ///
    /// # Errors
    ///
    /// Says why the certificate is no issuer's, or that the key is not there.
    pub(crate) fn new(
        deployment: Deployment,
        algorithms: Arc<AlgorithmPolicy>,
        certificate: Certificate,
        signer: Arc<dyn SigningService>,
        keys: KeyBook,
        node: Node,
    ) -> anyhow::Result<Self> {
        let key = certificate.public_key().spki_hash();
        ensure!(
            signer.keys().contains(&key),
            Told::new(
                "hsm-key-missing",
                format!("token has no key {key} of the management CA"),
                "check that [management] names the token that the key was made in",
            )
        );
        let keys = keys.with_own(key);
        let issuer = issuer(certificate)?;
        let randomness = Randomness::default();
        Ok(Self { deployment, algorithms, issuer, signer, keys, node, randomness })
    }

    /// Its certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        pem::encode(pem::Label::Certificate, self.issuer.certificate().as_der())
    }

    /// Its certificate.
    pub(crate) const fn certificate(&self) -> &Certificate {
        self.issuer.certificate()
    }

    /// Who records what it signs.
    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    /// The one way of a management certificate: rules and lint, intent, signature, verification,
    /// record. What it returns has been recorded and may be released.
    pub(crate) fn issue(
        &self,
        store: &dyn Store,
        now: UnixTime,
        work: ManagementWork<'_>,
    ) -> Result<ManagementCertificate, Denied> {
        let ids = OrderId::from_time_and_random(milliseconds(now), self.randomness.draw()?);
        let prepared = prepare(&Preparation {
            deployment: self.deployment,
            algorithms: &self.algorithms,
            test_domains: &TestDomains::default(),
            profile: work.profile,
            signer: Signer::Issuer(&self.issuer),
            way: Way::Internal,
            fields: &work.fields,
            key: work.key,
            keys: &self.keys,
            serial: SerialNumber::from_random(self.randomness.draw()?),
            id: IntentId::from_bytes(*ids.as_bytes()),
            now,
            ends_at: None,
            admitted: None,
        })
        .map_err(|error| Denied::unprepared(&error))?;
        let facts = prepared.facts();
        let intent = ManagementIntent {
            order: work.order,
            holder: work.holder,
            name: work.name.to_string(),
            serial: facts.serial,
            key: facts.subject_key,
            not_after: facts.validity.not_after(),
            node: self.node.clone(),
        };
        let [first, second, third] = work.objects;
        let objects = ObjectIds::of_act([first, second, third, Some(ObjectId::Key(intent.key))]);
        let record = |code, payload: &Value| {
            let (done, subject) = (EventResult::Done, Subject::Deployment);
            Service::record(code, done, work.actor, objects.clone(), None, payload, subject)
        };
        let (pending, _) = prepared.into_parts();
        let recorded = store
            .record_management_intent(
                &pending,
                &intent,
                &record(EventCode::ManagementIntent, &work.payload),
                now,
            )
            .map_err(|error| recording(&error, &intent))?;
        let issued = json!({
            "name": intent.name,
            "role": match intent.holder {
                ManagementHolder::Client { .. } => "client",
                ManagementHolder::Server => "server",
            },
            "serial": intent.serial.to_string(),
            "not_after": intent.not_after.to_string(),
        });
        let signed = self.signed(store, now, (pending, &recorded), &intent);
        let made = signed.and_then(|signed| {
            let record = record(EventCode::ManagementIssued, &issued);
            store
                .record_management_issued(&signed, &record, now)
                .map_err(|error| recording(&error, &intent))
        });
        if made.is_err() {
            self.give_up(store, &ManagementScope::Intent(recorded.intent_id()), now);
        }
        made
    }

    fn signed(
        &self,
        store: &dyn Store,
        now: UnixTime,
        (pending, recorded): (Pending, &Recorded),
        intent: &ManagementIntent,
    ) -> Result<Signed, Denied> {
        let tried = |tried: Tried<'_>| {
            let Some(seen) = tried.failure() else { return };
            let payload = json!({
                "kind": "management",
                "intent": recorded.intent_id().to_string(),
                "serial": intent.serial.to_string(),
                "seen": seen,
            });
            if let Err(error) = store.record_audit(&failed_try(self.system(), &payload), now) {
                tracing::warn!(intent.id = %recorded.intent_id(), error = %chain(&error), "failed try could not be recorded");
            }
        };
        let signing = Signing { signer: self.signer.as_ref(), tried: &tried };
        let signature = signing.signature(&pending, recorded, self.signer.deadline())?;
        signing.verified(pending, signature)
    }

    /// Ends open intents; nobody gets what they become. What cannot be ended now is ended at the
    /// next start.
    pub(crate) fn give_up(&self, store: &dyn Store, scope: &ManagementScope, now: UnixTime) {
        match store.void_management_intents(scope, &|open| self.voided(open), now) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "intents to sign management certificates given up"),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "an intent could not be given up");
            }
        }
    }

    fn voided(&self, open: &OpenManagementIntent) -> AuditRecord {
        let objects = ObjectIds::of_act([
            Some(ObjectId::Key(open.key)),
            open.order.map(|order| ObjectId::Order(*order.as_bytes())),
        ]);
        let payload = json!({
            "kind": "management",
            "intent": open.intent.to_string(),
            "serial": open.serial.to_string(),
            "name": open.name,
            "node": open.node.name,
        });
        let (code, done) = (EventCode::CertificateVoided, EventResult::Done);
        Service::record(code, done, self.system(), objects, None, &payload, Subject::Deployment)
    }

    /// The record that the management CA's key was found and proven, as it is when a signer has it.
    pub(crate) fn proven(&self) -> AuditRecord {
        let key = self.certificate().public_key().spki_hash();
        let objects = ObjectIds::of_act([Some(ObjectId::Key(key))]);
        let payload = json!({ "authority": self.issuer.name() });
        let (code, done) = (EventCode::KeyProven, EventResult::Done);
        Service::record(code, done, self.system(), objects, None, &payload, Subject::Deployment)
    }

    /// The record that a credential was recovered locally.
    pub(crate) fn recovered(&self, made: &ManagementCertificate) -> AuditRecord {
        let objects = ObjectIds::of_act([Some(ObjectId::Key(made.key))]);
        let payload = json!({
            "name": made.name,
            "serial": made.serial.to_string(),
            "key": made.key.to_string(),
        });
        let (code, done) = (EventCode::TlsRecovered, EventResult::Done);
        Service::record(code, done, self.system(), objects, None, &payload, Subject::Deployment)
    }

    const fn system(&self) -> Actor {
        Actor::System(*self.node.boot.as_bytes())
    }
}

fn issuer(certificate: Certificate) -> anyhow::Result<Issuer> {
    // It has signed itself in the way that its ceremony chose.
    let (own, key_type) = (certificate.algorithm(), certificate.public_key().key_type());
    let algorithm =
        if own.fits(key_type) { own } else { SignatureAlgorithm::default_for(key_type) };
    let settings = IssuerSettings {
        name: "management".to_owned(),
        algorithm,
        crl_url: NO_URL.to_owned(),
        ocsp_url: NO_URL.to_owned(),
        aia_url: NO_URL.to_owned(),
        profiles: vec![CLIENT_PROFILE.parse()?, SERVER_PROFILE.parse()?],
        crl_scope_stated: CrlScopeStated::No,
        period: KeyPeriod::default(),
    };
    Issuer::new(certificate, settings).context("management CA")
}

/// The names of a present certificate, for the one that follows it: same name, new key.
pub(crate) fn same_names(certificate: &Certificate, name: RoleName) -> RequestedFields {
    let mut fields = RequestedFields {
        common_name: certificate.subject().text_of(attribute::COMMON_NAME),
        organization: certificate.subject().text_of(attribute::ORGANIZATION),
        management_name: Some(name),
        ..RequestedFields::default()
    };
    for alternative in certificate.subject_alt_names() {
        match alternative {
            GeneralName::Dns(dns) => fields.dns.push(dns.as_str().to_owned()),
            GeneralName::Ip(ip) => fields.ip.push(ip),
            _ => {}
        }
    }
    fields
}

/// A key that has a certificate, or had one.
pub(crate) fn key_reused(key: &SpkiHash) -> Denied {
    Denied::rule(Refusal::new(
        "key-reused",
        "architecture §2.6: a renewal is for a new key, and a key names one client once",
        &format!("key {key}, which has or had a management certificate"),
        "a key that was never certified here",
        "make a new key and a request with it, or run `sigill client renew`, which does both",
    ))
}

fn recording(error: &StoreError, intent: &ManagementIntent) -> Denied {
    match error {
        StoreError::Pinned => key_reused(&intent.key),
        other => storage(other),
    }
}
