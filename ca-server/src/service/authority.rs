//! One certification authority at work: its certificate, its rules, its CRL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ca::issuer::Issuer;
use ca::refusal::Refusal;
use crl::ShardPlan;
use status::{IssuerId, Position};
use store::{ShardPlaces, SharedText};
use x509::certificate::Certificate;
use x509::key::SpkiHash;

use super::Service;
use crate::config::AuthoritySection;
use crate::denied::{Denied, Kind};

/// An authority as it is wired.
pub(crate) struct Authority {
    pub(crate) section: AuthoritySection,
    pub(crate) certificate: Certificate,
    pub(crate) issuer: Issuer,
    pub(crate) id: IssuerId,
    /// A revocation waits for a CRL.
    crl_wanted: AtomicBool,
    /// A change waits for a CRL that this node has seen in the log, whichever node wrote it: where it stands.
    crl_wanted_over: Mutex<Option<Position>>,
    /// A job has revoked certificates of it, and has not asked for a CRL yet.
    crl_owed: AtomicBool,
    /// How shards of its CRL are opened; `None` where its certificates name the full one.
    pub(super) shard_plan: Option<ShardPlan>,
    /// Places of shards that this program gives away.
    pub(super) places: Mutex<Option<ShardPlaces>>,
    /// A revocation waits for the list of a shard.
    shards_wanted: AtomicBool,
    /// Its chain, made when it is first shown: a signature to verify for each link.
    chain: OnceLock<Vec<String>>,
    /// The same as answers write it, which the store keeps once.
    chain_text: OnceLock<Option<SharedText>>,
}

impl Authority {
    pub(crate) fn new(section: AuthoritySection, certificate: Certificate, issuer: Issuer) -> Self {
        let id = IssuerId::of(certificate.subject().as_der(), certificate.public_key().spki_der());
        // A revocation may have been committed right before the last end of the program, and only its
        // memory knew that it waited.
        let crl_wanted = AtomicBool::new(section.crl_on_revocation);
        let shards_wanted = AtomicBool::new(section.crl_on_revocation);
        Self {
            section,
            certificate,
            issuer,
            id,
            crl_wanted,
            crl_wanted_over: Mutex::default(),
            crl_owed: AtomicBool::new(false),
            shard_plan: None,
            places: Mutex::default(),
            shards_wanted,
            chain: OnceLock::new(),
            chain_text: OnceLock::new(),
        }
    }

    /// The same, whose certificates are put into shards.
    pub(crate) fn with_shards(mut self, plan: Option<ShardPlan>) -> Self {
        self.shard_plan = plan;
        self
    }

    /// How shards of its CRL are opened.
    pub(crate) const fn shard_plan(&self) -> Option<&ShardPlan> {
        self.shard_plan.as_ref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.section.name
    }

    /// Whether its key is in a token of this program.
    pub(crate) fn signs_here(&self) -> bool {
        self.section.token.is_some()
    }

    /// Its key.
    pub(crate) fn key(&self) -> SpkiHash {
        self.certificate.public_key().spki_hash()
    }

    /// Says that a revocation waits for a CRL.
    pub(crate) fn ask_for_crl(&self) {
        if self.section.crl_on_revocation {
            self.crl_wanted.store(true, Ordering::Release);
            self.shards_wanted.store(true, Ordering::Release);
        }
    }

    /// Says that the change at this position waits for a CRL.
    pub(crate) fn ask_for_crl_over(&self, position: Position) {
        if self.section.crl_on_revocation {
            let mut wanted = self.wanted_over();
            *wanted = (*wanted).max(Some(position));
            self.shards_wanted.store(true, Ordering::Release);
        }
    }

    fn wanted_over(&self) -> MutexGuard<'_, Option<Position>> {
        // A plain value, written whole.
        self.crl_wanted_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a job will ask for a CRL when its wave has ended.
    pub(crate) fn owe_crl(&self) {
        self.crl_owed.store(true, Ordering::Release);
    }

    /// Whether a job will ask for a CRL: what is changed meanwhile comes on that one, too.
    fn owes_crl(&self) -> bool {
        self.crl_owed.load(Ordering::Acquire)
    }

    /// Takes what a job owes.
    pub(crate) fn take_owed_crl(&self) -> bool {
        self.crl_owed.swap(false, Ordering::AcqRel)
    }

    /// Takes the wish for lists of shards, if there is one.
    pub(crate) fn take_shard_wish(&self) -> bool {
        self.shards_wanted.swap(false, Ordering::AcqRel)
    }

    /// Says that a revocation waits for the list of a shard still.
    pub(crate) fn keep_shard_wish(&self) {
        self.shards_wanted.store(true, Ordering::Release);
    }

    /// Takes the wish for a CRL, if there is one that the lists do not grant; `listed` says up to where these rest on the log.
    ///
    /// # Errors
    ///
    /// Those of `listed`; the wish stays then.
    pub(crate) fn take_crl_wish(
        &self,
        listed: impl FnOnce() -> Result<Option<Position>, Denied>,
    ) -> Result<bool, Denied> {
        let over = *self.wanted_over();
        let is_listed = match over {
            // A list names the first entry that it does not rest on.
            Some(over) => listed()?.is_some_and(|listed| listed > over),
            None => true,
        };
        self.wanted_over().take_if(|wanted| Some(*wanted) == over);
        Ok(self.crl_wanted.swap(false, Ordering::AcqRel) || !is_listed)
    }
}

impl Service {
    /// Asks for the lists that wait for what this node has published, whichever node wrote it; after it took over from another one
    /// for those of all authorities, since what that one had published and not listed yet is not known.
    pub(crate) fn ask_for_waiting_crls(&self) {
        let has_taken_over = self.publication.take_takeover();
        let changed = self.publication.take_changes();
        for authority in self.authorities.values() {
            if has_taken_over {
                authority.ask_for_crl();
            }
            // What another node has changed may have been a step of the same job.
            let changed = changed.get(&authority.id).filter(|_| !authority.owes_crl());
            if let Some(position) = changed {
                authority.ask_for_crl_over(*position);
            }
        }
    }

    /// The authority of this id.
    pub(crate) fn authority_of(&self, id: IssuerId) -> Result<&Authority, Denied> {
        self.authorities.values().find(|authority| authority.id == id).ok_or_else(|| {
            Denied::new(
                Kind::Conflict,
                Refusal::new(
                    "authority-not-configured",
                    "a certificate is changed by the program that its authority is configured in",
                    &id,
                    "an authority of the configuration",
                    "configure the authority, or call the program that has it",
                ),
            )
            .for_now()
        })
    }

    /// The authority of this short name.
    pub(crate) fn authority_named(&self, name: &str) -> Result<&Authority, Denied> {
        self.authorities.get(name).ok_or_else(|| {
            Denied::new(
                Kind::NotFound,
                Refusal::new(
                    "authority-unknown",
                    "an authority is named by its short name",
                    &name,
                    "a name of GET /v1/authorities",
                    "list the authorities",
                ),
            )
            .for_now()
        })
    }

    /// The chain of an authority in PEM: itself first, the root last.
    pub(crate) fn chain_of(&self, authority: &Authority) -> Vec<String> {
        authority.chain.get_or_init(|| self.make_chain(authority)).clone()
    }

    /// The chain of an authority as answers write it.
    pub(super) fn chain_text_of(&self, authority: &Authority) -> Option<SharedText> {
        let made = || SharedText::new(serde_json::to_vec(&self.chain_of(authority)).ok()?);
        authority.chain_text.get_or_init(made).clone()
    }

    /// What answers of any act may hold in common.
    pub(super) fn shared_texts(&self) -> Vec<SharedText> {
        self.authorities.values().filter_map(|authority| self.chain_text_of(authority)).collect()
    }

    fn make_chain(&self, authority: &Authority) -> Vec<String> {
        let mut chain = Vec::new();
        let mut current = Some(authority);
        // A chain of CAs is short; the bound ends a configuration that runs in circles.
        while let Some(authority) = current.filter(|_| chain.len() < 8) {
            chain.push(x509::pem::encode(
                x509::pem::Label::Certificate,
                authority.certificate.as_der(),
            ));
            let issuer = authority.certificate.issuer();
            current = if issuer == authority.certificate.subject() {
                None
            } else {
                self.authorities.values().find(|other| {
                    other.certificate.subject() == issuer
                        && authority
                            .certificate
                            .verify_signed_by(other.certificate.public_key())
                            .is_ok()
                })
            };
        }
        chain
    }
}
