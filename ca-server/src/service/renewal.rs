//! Renewal of the API's own credentials: a client's by its call, the server's by the schedule.
//!
//! Same name, new key (architecture §2.6).

use std::sync::atomic::Ordering;
use std::time::Duration;

use ca::audit::{Actor, ObjectId};
use ca::client::{OVERLAP, RENEWALS};
use ca::deployment::{ManagementRole, RoleName};
use ca::prepare::KeySource;
use ca::refusal::Refusal;
use serde_json::json;
use store::{ManagementCertificate, ManagementHolder, ManagementScope};
use x509::certificate::Certificate;
use x509::extension::GeneralName;
use x509::key::SpkiHash;
use x509::pem;
use x509::request::CertificationRequest;
use x509::time::UnixTime;
use x509::validity::Validity;

use super::Service;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome, unwritable};
use super::record::{call_object, client};
use super::signing::unsigned;
use crate::denied::{Denied, Kind};
use crate::management::clients::ClientKeys;
use crate::management::files;
use crate::management::server::{replace_pair, unusable};
use crate::management::{
    self, CLIENT_PROFILE, Management, ManagementAuthority, ManagementWork, SERVER_PROFILE,
    same_names,
};
use crate::publication::chain;

impl Service {
    /// Certifies a new key of the caller under the caller's own name.
    pub(crate) fn renew_client(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let plane = self.management.as_ref().ok_or_else(not_here)?;
        let authority = plane.authority.as_ref().ok_or_else(not_here)?;
        let now = self.signing_time()?;
        if work.progress.is_some() {
            let made = self.store().management_certificates().map_err(|e| self.note_storage(&e))?;
            if let Some(made) = made.iter().find(|one| one.order == Some(work.order)) {
                return credential_answer(authority, made);
            }
            authority.give_up(self.store(), &ManagementScope::Order(work.order), now);
        }
        must_be_newest(caller, &plane.clients)?;
        let request: api::RenewalRequest = from_json(&work.call.body)?;
        let request_der = ca::request::der_from_text(&request.csr)
            .map_err(|error| Denied::rule(error.refusal()))?;
        let name = role_name(&caller.name)?;
        let own = self.deployment.management_uri(ManagementRole::Client, &name);
        judge_request(&request_der, &own, &plane.clients)?;
        must_be_rare(caller, &plane.clients, now)?;
        let fields = same_names(&caller.certificate, name.clone());
        let actor = client(&caller.name);
        let objects = [
            Some(ObjectId::Order(*work.order.as_bytes())),
            Some(call_object(work.call)),
            client_object(actor),
        ];
        let issued = authority.issue(
            self.store(),
            now,
            ManagementWork {
                order: Some(work.order),
                holder: ManagementHolder::Client { pinned: caller.pinned },
                name,
                profile: self.management_profile(CLIENT_PROFILE)?,
                key: KeySource::Request(&request_der),
                fields,
                actor,
                objects,
                payload: json!({
                    "call": work.call.correlation_id,
                    "client": caller.name,
                    "present_key": caller.certificate.public_key().spki_hash().to_string(),
                }),
            },
        )?;
        plane.clients.take_renewed(&issued);
        tracing::info!(client.name = %caller.name, key = %issued.key, not_after = %issued.not_after, "client certificate renewed");
        credential_answer(authority, &issued)
    }

    /// Notes how long the credentials last, and renews the server's when its time has come.
    pub(crate) fn tend_management(&self) -> Result<(), Denied> {
        let Some(plane) = &self.management else { return Ok(()) };
        let now = self.clock().read().now;
        self.observe_credentials(plane, now);
        let present = plane.identity.certificate();
        let Some(authority) = &plane.authority else { return Ok(()) };
        if !is_due(present.validity(), plane.server_renewal, now) {
            return Ok(());
        }
        let renewed = self.renew_server(plane, authority);
        if renewed.is_err() {
            metrics::counter!("sigill_server_certificate_renewal_failures_total").increment(1);
        }
        self.observe_credentials(plane, now);
        renewed
    }

    /// The management CA's key, where it was there at the start.
    pub(crate) fn management_key(&self) -> Option<SpkiHash> {
        let authority = self.management.as_ref()?.authority.as_ref()?;
        Some(authority.certificate().public_key().spki_hash())
    }

    /// Has the management CA's key prove itself: it is asked for a signature a few times a year, and a
    /// token that died meanwhile would be missed only then.
    pub(crate) fn prove_management_key(&self) -> Result<(), Denied> {
        let Some(key) = self.management_key() else { return Ok(()) };
        let proven = self.signer.prove(&key);
        self.note_renewing(proven.is_ok() && self.signer.within_reach(&key).is_ok());
        proven.map_err(|error| {
            let mut denied = unsigned(&error);
            let seen = denied.refusal.seen;
            denied.refusal.seen = format!("key of the management CA: {seen}");
            denied
        })
    }

    /// Says so at once when the management CA's token is lost or takes no calls. Makes no call.
    pub(crate) fn tell_management_reach(&self) {
        if self.management_key().is_some_and(|key| self.signer.within_reach(&key).is_err()) {
            self.note_renewing(false);
        }
    }

    /// Whether the management CA's key signs, as far as its last proof and its token tell.
    pub(crate) fn is_renewing(&self) -> bool {
        self.readiness.renewal.load(Ordering::Relaxed)
    }

    fn note_renewing(&self, renews: bool) {
        self.readiness.renewal.store(renews, Ordering::Relaxed);
        metrics::gauge!("sigill_renewal_unavailable").set(if renews { 0.0 } else { 1.0 });
    }

    /// Makes a new key and certificate for the server and takes them into use.
    fn renew_server(
        &self,
        plane: &Management,
        authority: &ManagementAuthority,
    ) -> Result<(), Denied> {
        let now = self.signing_time()?;
        let api = &plane.api;
        let take = || {
            let exchanged = plane.identity.exchange(&api.certificate, &api.key);
            exchanged.map_err(|error| unusable(&chain(&error)))
        };
        files::finish(&api.certificate, &api.key).map_err(|error| unusable(&error))?;
        // A pair that lies in its place already is not made a second time.
        if api.certificate.exists() && api.key.exists() {
            take()?;
            let found = plane.identity.certificate();
            if !is_due(found.validity(), plane.server_renewal, now) {
                return Ok(());
            }
        }
        let profile = self.management_profile(SERVER_PROFILE)?;
        let present = plane.identity.certificate();
        let made = replace_pair(authority, self.store(), profile, &present, api, now)?;
        take()?;
        tracing::info!(not_after = %made.not_after, "server certificate renewed");
        Ok(())
    }

    fn observe_credentials(&self, plane: &Management, now: UnixTime) {
        let server = plane.identity.certificate().validity();
        self.readiness.tls.store(server.contains(now), Ordering::Relaxed);
        let left = |role: &'static str, name: &str, end: UnixTime| {
            let ahead = crate::publication::lossy(end.since(now).as_secs());
            let behind = crate::publication::lossy(now.since(end).as_secs());
            metrics::gauge!("sigill_management_certificate_seconds_left", "role" => role, "name" => name.to_owned())
                .set(ahead - behind);
        };
        left("server", &self.node.name, server.not_after());
        for (name, end) in plane.clients.ends() {
            left("client", &name, end);
        }
        if let Some(authority) = &plane.authority {
            left("ca", "management", authority.certificate().validity().not_after());
        }
    }

    fn management_profile(&self, name: &str) -> Result<&ca::profile::Profile, Denied> {
        management::profile(self.book.profiles(), name).map_err(|_| not_here())
    }
}

/// The certificate with the management CA's behind it, PEM.
pub(crate) fn chain_pem(der: &[u8], authority: &ManagementAuthority) -> String {
    format!("{}{}", pem::encode(pem::Label::Certificate, der), authority.pem())
}

/// Refuses a request that names somebody else, or a key that names a client already.
///
/// The other names in a request are ignored as everywhere (ISS-13); a URI is the name that counts in
/// this plane, and whoever sends another one has mistaken something.
pub(crate) fn judge_request(der: &[u8], own: &str, clients: &ClientKeys) -> Result<(), Denied> {
    // What cannot be read is refused by `prepare`, with the right words.
    let Ok(request) = CertificationRequest::from_der(der) else { return Ok(()) };
    let names = request.requested_alt_names();
    if let Some(other) = names.iter().filter_map(GeneralName::uri).find(|uri| *uri != own) {
        return Err(Denied::rule(Refusal::new(
            "client-name-differs",
            "architecture §2.6: a renewal keeps the name",
            &other,
            own,
            "make a request without names, or with your own URI",
        )));
    }
    let key = request.public_key().spki_hash();
    if clients.is_pinned(&key) {
        return Err(management::key_reused(&key));
    }
    Ok(())
}

/// Refuses a key that another has taken the place of. Its owner has the newer one; whoever comes with
/// the older one may have stolen it, and would be a client for ever.
fn must_be_newest(caller: &Caller, clients: &ClientKeys) -> Result<(), Denied> {
    let found = caller.certificate.public_key().spki_hash();
    if clients.may_renew(&caller.name, found) {
        return Ok(());
    }
    refused_renewals("superseded").increment(1);
    tracing::error!(
        client.name = %caller.name,
        key = %found,
        problem.code = "renewal-superseded",
        "a client wants to renew with a key that was renewed before: was it stolen?"
    );
    Err(Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "renewal-superseded",
            "architecture §2.6: only the newest key of a client renews",
            &format!("client {} with key {found}, which was renewed before", caller.name),
            "the key that was certified last for this client",
            "use the renewed pair; if it is lost, have an operator run `sigill-ca tls recover`",
        ),
    ))
}

/// Refuses a client that renews again and again.
fn must_be_rare(caller: &Caller, clients: &ClientKeys, now: UnixTime) -> Result<(), Denied> {
    let Some(until) = clients.renewals_spent(&caller.name, now) else { return Ok(()) };
    refused_renewals("too-many").increment(1);
    Err(Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "renewals-too-many",
            "architecture §2.6: a client renews now and then, not all the time",
            &format!("client {}, which has renewed {RENEWALS} times within a day", caller.name),
            format!("{RENEWALS} times a day"),
            "use the pair that was certified last; the next renewal is possible after Retry-After",
        ),
    )
    .retry_after(until.since(now)))
}

/// Counts renewals that were refused because of their key or their number.
fn refused_renewals(why: &'static str) -> metrics::Counter {
    metrics::counter!("sigill_client_renewals_refused_total", "why" => why)
}

/// Puts the counters of this file at 0.
pub(crate) fn start_alarms() {
    for why in ["superseded", "too-many"] {
        refused_renewals(why).absolute(0);
    }
}

/// A client as an object of a leaf.
pub(crate) const fn client_object(actor: Actor) -> Option<ObjectId> {
    match actor {
        Actor::Client(id) => Some(ObjectId::Client(id)),
        _ => None,
    }
}

/// The name in a SAN URI of a client; every configured one is such a name or no certificate has it.
pub(crate) fn role_name(name: &str) -> Result<RoleName, Denied> {
    name.parse().map_err(|_| {
        Denied::rule(Refusal::new(
            "client-name",
            "a client's name stands in its SAN URI",
            &name,
            "1 to 21 characters a-z, 0-9 and hyphen",
            "give the client another name in the configuration",
        ))
    })
}

/// Whether the server certificate is renewed now: after two thirds of its life, or `before` its end.
fn is_due(validity: Validity, before: Option<Duration>, now: UnixTime) -> bool {
    let life = validity.not_after().since(validity.not_before());
    // More than half of its life would have it renewed for ever.
    let before = before.map_or(life / 3, |before| before.min(life / 2));
    validity.not_after().since(now) <= before
}

fn credential_answer(
    authority: &ManagementAuthority,
    made: &ManagementCertificate,
) -> Result<Answered, Denied> {
    let certificate = Certificate::from_der(&made.der).map_err(|_| unwritable())?;
    let until = made.issued.checked_add(OVERLAP).unwrap_or(UnixTime::LAST);
    let shown = api::ClientCredential {
        client: made.name.clone(),
        serial: made.serial.to_string(),
        not_before: certificate.validity().not_before().to_string(),
        not_after: made.not_after.to_string(),
        sha256: base16ct::lower::encode_string(&certificate.fingerprint()),
        spki_sha256: SpkiHash::to_string(&made.key),
        certificate: pem::encode(pem::Label::Certificate, &made.der),
        chain: vec![authority.pem()],
        old_keys_until: until.to_string(),
    };
    Answered::unlogged(Outcome::Created, &shown)
}

fn not_here() -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "renewal-not-configured",
            "architecture §2.6: the key of the management CA renews credentials",
            &"a configuration without section [management], or without its profiles",
            "section [management] and the profiles management-client and management-server",
            "an operator adds them and restarts sigill-ca; the present certificate goes on working",
        ),
    )
    .for_now()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::sync::Arc;

    use ca::audit::EventCode;
    use ca::fields::RequestedFields;
    use ca::key_quality::KeyBook;

    use super::*;
    use crate::http::tls::ServerIdentity;
    use crate::management::files::NewKey;
    use crate::service::testing::World;

    fn day(day: u64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + day * 86_400).unwrap()
    }

    /// Of a certificate of 300 days.
    fn due(before: Option<u64>, on: u64) -> bool {
        let validity = Validity::between(day(0), day(300)).unwrap();
        is_due(validity, before.map(|days| Duration::from_secs(days * 86_400)), day(on))
    }

    #[test]
    fn a_server_certificate_is_renewed_after_two_thirds_of_its_life() {
        assert!(!due(None, 199) && due(None, 200) && due(None, 400));
    }

    #[test]
    fn a_configured_time_counts_up_to_half_of_its_life() {
        assert!(!due(Some(10), 289) && due(Some(10), 290));
        assert!(!due(Some(1000), 149) && due(Some(1000), 150));
    }

    /// A service with an API whose server certificate is due; its pair lies in the folder `tls`.
    pub(crate) fn with_a_due_certificate() -> World {
        let mut world = World::new();
        let life = "lifetime    = \"397d\"";
        world.edit_profile(SERVER_PROFILE, life, "lifetime    = \"6m\"");
        let service = &mut world.service;
        let ca = service.authorities.values().next().unwrap().certificate.clone();
        let signer: Arc<dyn hsm::SigningService> = world.signer.clone();
        let node = service.node.clone();
        let policy = Arc::clone(&service.algorithms);
        let authority = ManagementAuthority::new(
            service.deployment,
            policy,
            ca,
            signer,
            KeyBook::default(),
            node,
        )
        .unwrap();
        let key = NewKey::draw().unwrap();
        let work = ManagementWork {
            order: None,
            holder: ManagementHolder::Server,
            name: "ca1".parse().unwrap(),
            profile: service.book.profiles().by_name(SERVER_PROFILE).unwrap(),
            key: KeySource::Proven(&key.public),
            fields: RequestedFields {
                common_name: Some("Sigill".to_owned()),
                organization: Some("Sigill Test".to_owned()),
                dns: vec!["localhost".to_owned()],
                management_name: Some("ca1".parse().unwrap()),
                ..RequestedFields::default()
            },
            actor: Actor::System([1; 16]),
            objects: [None; 3],
            payload: json!({}),
        };
        let made = authority.issue(service.store(), service.clock().read().now, work).unwrap();
        let file = |name: &str| world.folder("tls").join(name);
        fs::create_dir(world.folder("tls")).unwrap();
        fs::write(file("server.pem"), chain_pem(&made.der, &authority)).unwrap();
        fs::write(file("server.key"), key.pem.as_bytes()).unwrap();
        fs::set_permissions(file("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "listen = \"127.0.0.1:1\"\ncertificate = {:?}\nkey = {:?}\nmanagement-ca = \"\"\nmanagement-ca-sha256 = \"\"\n",
            file("server.pem"),
            file("server.key")
        );
        let api: crate::config::ApiSection = toml::from_str(&text).unwrap();
        let identity =
            ServerIdentity::load(world.service.deployment, &api.certificate, &api.key).unwrap();
        world.service.management = Some(Management {
            authority: Some(authority),
            clients: Arc::default(),
            identity: Arc::new(identity),
            api,
            server_renewal: Some(Duration::from_secs(397 * 86_400)),
        });
        world.edit_profile(SERVER_PROFILE, life, life);
        world
    }

    fn server_files(world: &mut World) -> (&mut PathBuf, &mut PathBuf) {
        let api = &mut world.service.management.as_mut().unwrap().api;
        (&mut api.certificate, &mut api.key)
    }

    fn certificates(world: &World) -> usize {
        world.service.store().management_certificates().unwrap().len()
    }

    /// Promise 2: what nobody can keep is not signed, however often it is tried.
    #[test]
    fn nothing_is_signed_while_the_folder_takes_no_file() {
        let mut world = with_a_due_certificate();
        let tls = world.folder("tls");
        fs::create_dir(tls.join("server.key.next")).unwrap();
        let fails = |world: &World| {
            let before = world.counts();
            for _ in 0..2 {
                let denied = world.service.tend_management().unwrap_err();
                assert_eq!(denied.refusal.code, "server-certificate-unwritable");
            }
            assert_eq!((world.counts(), certificates(world)), (before, 1));
        };
        fails(&world);
        fs::remove_dir(tls.join("server.key.next")).unwrap();
        fs::create_dir(tls.join("server.pem.next")).unwrap();
        fails(&world);
        fs::remove_dir(tls.join("server.pem.next")).unwrap();
        let (certificate, key) = server_files(&mut world);
        let (right, right_key) = (certificate.clone(), key.clone());
        *certificate = right.join("in-a-file.pem");
        *key = right.join("in-a-file.key");
        fails(&world);
        let (certificate, key) = server_files(&mut world);
        (*certificate, *key) = (right, right_key);

        world.service.tend_management().unwrap();

        assert_eq!(certificates(&world), 2);
        assert_eq!(fs::read_dir(tls).unwrap().count(), 2, "nothing is left beside the pair");
    }

    /// A signature is made once: the next try goes on with the key and certificate of the last.
    #[test]
    fn a_pair_that_could_not_be_put_in_place_is_not_made_again() {
        let mut world = with_a_due_certificate();
        let tls = world.folder("tls");
        let (certificate, key) = server_files(&mut world);
        (*certificate, *key) = (tls.join("new.pem"), tls.join("new.key"));
        // A file cannot be renamed over a folder.
        fs::create_dir(tls.join("new.key")).unwrap();
        world.service.tend_management().unwrap_err();
        let after = (world.counts(), certificates(&world));
        assert_eq!(after.1, 2);

        world.service.tend_management().unwrap_err();
        assert_eq!((world.counts(), certificates(&world)), after);
        fs::remove_dir(tls.join("new.key")).unwrap();
        world.service.tend_management().unwrap();

        assert_eq!((world.counts(), certificates(&world)), after);
        let plane = world.service.management.as_ref().unwrap();
        let made = world.service.store().management_certificates().unwrap();
        assert_eq!(plane.identity.certificate().as_der(), made.last().unwrap().der);
    }

    /// Promise 1: every try is in the audit log, and what was given up says which intent it was.
    #[test]
    fn a_try_that_fails_and_the_intent_that_it_ends_are_in_the_audit_log() {
        let world = with_a_due_certificate();
        world.signer.works(false);

        assert_eq!(world.service.tend_management().unwrap_err().refusal.code, "hsm-unanswered");

        assert_eq!(world.leaves(EventCode::SignatureTried), 1);
        let voided = world.leaf(EventCode::CertificateVoided);
        let plane = world.service.management.as_ref().unwrap();
        let waiting = files::waiting_key(&plane.api.key).unwrap();
        let key = ObjectId::Key(waiting.public.spki_hash());
        assert!(voided.event.objects.iter().any(|object| object == key), "{voided:?}");
    }

    /// Its token is used a few times a year: that it is dead is told before the renewal that needs it.
    #[test]
    fn a_management_key_that_does_not_sign_is_told_of_until_it_does() {
        let world = with_a_due_certificate();
        let service = &world.service;
        service.prove_management_key().unwrap();
        assert!(service.is_renewing());

        world.signer.works(false);
        let denied = service.prove_management_key().unwrap_err();
        assert_eq!(denied.refusal.code, "hsm-unanswered");
        assert!(denied.refusal.seen.starts_with("key of the management CA: "), "{denied:?}");
        assert!(!service.is_renewing());

        world.signer.works(true);
        service.prove_management_key().unwrap();
        assert!(service.is_renewing());

        // Between two proofs the token itself knows.
        world.signer.is_lost(true);
        service.tell_management_reach();
        assert!(!service.is_renewing());
        world.signer.is_lost(false);
        service.tell_management_reach();
        assert!(!service.is_renewing(), "that it is back, only a proof tells");
        service.prove_management_key().unwrap();
        assert!(service.is_renewing());
    }

    #[test]
    fn the_management_key_is_proven_in_the_audit_log_too() {
        let world = with_a_due_certificate();

        world.service.record_proven_keys().unwrap();

        assert_eq!(world.leaves(EventCode::KeyProven), 2);
    }
}
