//! What the program tells and puts right by itself, without a call: how its tokens are, and its issuers'
//! certificates in the publication tree.

use std::fs;
use std::io;
use std::path::Path;

use ca::refusal::Refusal;
use sha2::{Digest as _, Sha256};

use super::Service;
use crate::denied::{Denied, Kind};
use crate::publication::files::replace;

impl Service {
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
