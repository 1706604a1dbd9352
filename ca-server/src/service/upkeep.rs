//! What the program puts right by itself, without a call: readiness to sign, and its issuers'
//! certificates in the publication tree.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use ca::refusal::Refusal;
use sha2::{Digest as _, Sha256};

use super::{COME_BACK, Service};
use crate::denied::{Denied, Kind};
use crate::publication::chain;
use crate::publication::files::replace;

impl Service {
    /// While signing is known to fail: has every key prove itself, so that a CA without orders becomes
    /// ready again when its tokens are back. Stops at the first that does not: one deadline at most.
    pub(crate) fn probe_signing(&self) -> Result<(), Denied> {
        if self.is_ready_to_sign() {
            return Ok(());
        }
        for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
            let key = authority.certificate.public_key().spki_hash();
            self.signer.prove(&key).map_err(|error| {
                Denied::new(
                    Kind::Unavailable,
                    Refusal::new(
                        error.code(),
                        "/readyz: every authority's key signs",
                        &format!("key of {}: {}", authority.name(), chain(&error)),
                        "a token that signs within the deadline",
                        error.next_step(),
                    ),
                )
                .retry_after(COME_BACK)
            })?;
        }
        self.readiness.signing.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the last signature asked for was made.
    pub(crate) fn is_ready_to_sign(&self) -> bool {
        self.readiness.signing.load(Ordering::Relaxed)
    }

    /// Puts how the tokens are into the metrics. Makes no call to them.
    pub(crate) fn observe_tokens(&self) {
        for token in self.signer.tokens() {
            crate::observe::token(&token);
        }
    }

    /// Puts the certificates of all issuers where those that they issue point to (PRO-13), from the
    /// database. A file that is not there is written; one that differs is an alarm, and replaced.
    pub(crate) fn publish_issuers(&self) -> Result<(), Denied> {
        for issuer in self.store().issuers().map_err(|error| self.note_storage(&error))? {
            let name = &issuer.declared.name;
            let path = self.folders.folder.join(format!("aia/{name}.cer"));
            stand(&path, name, &issuer.declared.certificate_der)
                .map_err(|error| unwritable(&path, &error))?;
        }
        Ok(())
    }
}

fn stand(path: &Path, name: &str, ours: &[u8]) -> io::Result<()> {
    match fs::read(path) {
        Ok(found) if found == ours => return Ok(()),
        Ok(found) => {
            metrics::counter!("sigill_issuer_file_alarms_total").increment(1);
            tracing::error!(
                authority.name = name,
                file = %path.display(),
                file.sha256 = %sha256(&found),
                certificate.sha256 = %sha256(ours),
                "published certificate of the issuer was another one and is replaced: somebody else writes the publication tree"
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(
                authority.name = name,
                file = %path.display(),
                certificate.sha256 = %sha256(ours),
                "published certificate of the issuer was missing and is written again"
            );
        }
        Err(error) => return Err(error),
    }
    replace(path, ours)
}

fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

fn unwritable(path: &Path, error: &io::Error) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "publication-unwritable",
            "PRO-13: an issuer's certificate lies where its certificates point to",
            &format!("{}: {error}", path.display()),
            "a folder that takes files",
            "make the publication folder writable; the file is written by itself",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::World;

    /// An idle CA becomes ready again without a certificate being issued.
    #[test]
    fn readiness_to_sign_heals_without_an_order() {
        let world = World::new();
        world.signer.works(false);
        assert!(world.issue("one").is_err());
        assert!(!world.is_ready_to_sign());

        assert_eq!(world.service.probe_signing().unwrap_err().refusal.code, "hsm-unanswered");
        assert!(!world.is_ready_to_sign());
        world.signer.works(true);
        let before = world.counts();
        world.service.probe_signing().unwrap();

        assert!(world.is_ready_to_sign());
        assert_eq!(world.counts(), before, "nothing was issued or recorded");
    }

    #[test]
    fn a_key_that_signs_is_not_asked_for_proofs() {
        let world = World::new();

        world.service.probe_signing().unwrap();

        assert_eq!(world.signer.proofs(), 0);
    }

    /// PRO-13.
    #[test]
    fn an_issuers_certificate_that_was_lost_or_replaced_is_published_again() {
        let world = World::new();
        let path = world.folder("publish/aia/issuing.cer");
        let ours = world.authority().certificate.as_der().to_vec();
        assert!(!path.exists());

        world.service.publish_issuers().unwrap();
        assert_eq!(fs::read(&path).unwrap(), ours);
        fs::write(&path, b"another certificate").unwrap();
        world.service.publish_issuers().unwrap();

        assert_eq!(fs::read(&path).unwrap(), ours);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let world = World::new();
        fs::create_dir_all(world.folder("publish/aia/issuing.cer")).unwrap();

        let denied = world.service.publish_issuers().unwrap_err();

        assert_eq!(denied.refusal.code, "publication-unwritable");
        assert!(denied.refusal.seen.contains("issuing.cer"), "{denied}");
    }
}
