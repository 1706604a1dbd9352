//! Responders whose identity key is in other hands: they get nothing, and what they have is revoked.
//!
//! The configuration withdraws a key, as it gives and takes clients theirs (architecture §2.3, §2.6).

use std::collections::BTreeSet;
use std::fs;
use std::io;

use anyhow::Context as _;
use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::refusal::Refusal;
use serde::Deserialize;
use serde_json::json;
use status::RevocationReason;
use store::{CertificateRow, Responder, StatusAct, StatusChange, StatusTarget, Subject};
use x509::key::SpkiHash;
use x509::time::UnixTime;

use super::super::Service;
use super::super::authority::Authority;
use super::refused;
use crate::config::ConfigFile;
use crate::denied::Denied;
use crate::start::Told;

/// Responders whose identity key is in other hands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RespondersSection {
    /// SHA-256 of their identity keys' SubjectPublicKeyInfo, hexadecimal.
    #[serde(default)]
    pub(crate) withdrawn: Vec<String>,
}

/// Identity keys that are believed no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct WithdrawnResponders(BTreeSet<SpkiHash>);

impl WithdrawnResponders {
    /// Reads `[responders] withdrawn`.
    ///
    /// # Errors
    ///
    /// Names what is no hash of a key.
    pub(crate) fn read(config: &ConfigFile) -> anyhow::Result<Self> {
        let hashes = config.responders.withdrawn.iter().map(|written| {
            written.parse().with_context(|| {
                Told::config(format!(
                    "[responders] withdrawn = {written:?} is not 64 hexadecimal digits"
                ))
            })
        });
        Ok(Self(hashes.collect::<anyhow::Result<_>>()?))
    }

    /// Those of a list that nobody has pinned: a hash that was mistyped withdraws nothing.
    pub(crate) fn unknown<'a>(
        &'a self,
        pinned: &'a [Responder],
    ) -> impl Iterator<Item = &'a SpkiHash> {
        self.0.iter().filter(|key| pinned.iter().all(|responder| responder.key != **key))
    }

    /// Refuses a request that such a key has signed.
    pub(super) fn must_not_have(&self, responder: &Responder) -> Result<(), Denied> {
        if !self.0.contains(&responder.key) {
            return Ok(());
        }
        let denied = Denied::rule(Refusal::new(
            "responder-withdrawn",
            "architecture §2.3: a responder asks with the identity key that was pinned at its enrolment, and that nobody has withdrawn",
            &format!("responder {}, identity key {}", responder.name, responder.key),
            "an identity key that `[responders] withdrawn` does not name",
            "find out who asks: nobody should have this key any more",
        ));
        Err(denied.for_now())
    }
}

impl Service {
    /// Revokes the delegates of withdrawn responders and takes them out of the publication tree; of a CA that has ended they are
    /// only taken out. What fails is tried again in the next round.
    pub(super) fn revoke_withdrawn(&self, now: UnixTime) -> Result<(), Denied> {
        if self.withdrawn.0.is_empty() {
            return Ok(());
        }
        let pinned = self.store().responders().map_err(|e| self.note_storage(&e))?;
        let gone = pinned.iter().filter(|responder| self.withdrawn.0.contains(&responder.key));
        for responder in gone {
            for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
                for row in self.live_delegates(authority, responder, now)? {
                    self.revoke_delegate(authority, responder, &row, now)?;
                }
            }
        }
        Ok(())
    }

    fn revoke_delegate(
        &self,
        authority: &Authority,
        responder: &Responder,
        row: &CertificateRow,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let name = format!("{}.cer", row.spki);
        let path = self.folders.folder.join("responder").join(authority.name()).join(name);
        let was_there = match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let limit = "a folder that files can be taken out of";
                return Err(refused(&path, "publication-unwritable", &error, limit));
            }
            removed => removed.is_ok(),
        };
        // No list will follow that could say it, and the log says nothing that the last one does not (CRL-05).
        if self.last_crl(authority)?.is_some() {
            if was_there {
                tracing::error!(problem.code = "responder-withdrawn", authority.name = authority.name(),
                    responder.name = responder.name, certificate.serial = %row.serial, certificate.not_after = %row.not_after,
                    "delegate of a withdrawn responder is taken out of the publication folder; its CA has ended, so it is not revoked");
            }
            return Ok(());
        }
        let record = Self::record(
            EventCode::CertificateRevoked,
            EventResult::Done,
            self.system(),
            ObjectIds::of_act([
                Some(ObjectId::Issuer(authority.id)),
                Some(ObjectId::Key(responder.key)),
                Some(ObjectId::Certificate(*row.id.as_bytes())),
            ]),
            None,
            &json!({ "responder": responder.name, "why": "identity key withdrawn" }),
            row.order.map_or(Subject::Deployment, Subject::Order),
        );
        let change = StatusChange {
            target: StatusTarget::Certificate(row.id),
            act: StatusAct::Revoke {
                reason: Some(RevocationReason::KeyCompromise),
                invalidity: None,
            },
            requested_at: None,
            alone: None,
        };
        self.store().change_status(&change, &record, now).map_err(|e| self.note_storage(&e))?;
        authority.ask_for_crl();
        tracing::error!(problem.code = "responder-withdrawn", authority.name = authority.name(),
            responder.name = responder.name, certificate.serial = %row.serial,
            "delegate of a withdrawn responder is revoked");
        Ok(())
    }
}
