//! Who may say that a revocation was seen, and the key that receipts are signed with: section `[receipts]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use hsm::note::SoftwareNoteKey;
use ledger::origin::DeploymentName;
use ledger::signer::{NoteSigner, ReceiptSigner};
use serde::Deserialize;
use status::VantageName;
use x509::key::SpkiHash;

use crate::start::Told;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReceiptsSection {
    /// Signs receipts and nothing else: a software key, mode 0600, allowed in environment test.
    pub(crate) key: PathBuf,
    /// Where every revocation has to be seen.
    #[serde(rename = "vantage")]
    pub(crate) vantages: Vec<VantageSection>,
}

/// One vantage point.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct VantageSection {
    /// Its name, as it stands in its observations.
    pub(crate) name: String,
    /// SHA-256 of the SubjectPublicKeyInfo of its key, as `sigill probe make-key` says.
    pub(crate) spki_sha256: String,
}

/// What receipts rest on.
pub(crate) struct Receipts {
    pub(crate) deployment: DeploymentName,
    pub(crate) signer: Arc<dyn NoteSigner>,
    pub(crate) vantages: Vec<(VantageName, SpkiHash)>,
}

impl Receipts {
    /// Opens the receipt key and reads the vantage points.
    ///
    /// # Errors
    ///
    /// Names the file or the vantage point that is not fit; none, one name or key twice, or a key of `others`.
    pub(crate) fn open(
        section: &ReceiptsSection,
        deployment: &DeploymentName,
        others: &[[u8; 32]],
    ) -> anyhow::Result<Self> {
        let key = SoftwareNoteKey::open(&section.key, deployment)
            .with_context(|| format!("receipt key {}", section.key.display()))?;
        ensure!(
            !others.contains(&key.public_key()),
            Told::new(
                "note-key-twice",
                "section [receipts] names a key of section [notes]; receipts have one of their own",
                "make one with `sigill-ca make-receipt-key`",
            )
        );
        let vantages = vantages(&section.vantages)?;
        let signer = Arc::new(ReceiptSigner::new(key));
        Ok(Self { deployment: deployment.clone(), signer, vantages })
    }
}

fn vantages(sections: &[VantageSection]) -> anyhow::Result<Vec<(VantageName, SpkiHash)>> {
    let mut read: Vec<(VantageName, SpkiHash)> = Vec::new();
    for section in sections {
        let name: VantageName = section
            .name
            .parse()
            .with_context(|| format!("vantage point {:?} in section [receipts]", section.name))?;
        let key: SpkiHash = section.spki_sha256.parse().with_context(|| {
            format!("spki-sha256 of vantage point {name} is not 64 hexadecimal digits")
        })?;
        let known = read.iter().any(|(other, of)| *other == name || *of == key);
        ensure!(
            !known,
            Told::new(
                "vantage-twice",
                format!("section [receipts] names vantage point {name} or its key twice"),
                "give each vantage point a name and a key of its own",
            )
        );
        read.push((name, key));
    }
    ensure!(
        !read.is_empty(),
        Told::new(
            "vantage-missing",
            "section [receipts] names no vantage point: nobody could see a revocation",
            "add a [[receipts.vantage]], or leave the section out",
        )
    );
    Ok(read)
}

/// Makes the receipt key of a configuration and returns its public half in hexadecimal.
///
/// # Errors
///
/// No section `[receipts]`, a file that is there already, any environment but test.
pub(crate) fn make_key(path: &Path, deployment: &DeploymentName) -> anyhow::Result<String> {
    let key = SoftwareNoteKey::create(path, deployment)
        .with_context(|| format!("receipt key {}", path.display()))?;
    Ok(base16ct::lower::encode_string(&key.public_key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, key: &str) -> VantageSection {
        VantageSection { name: name.to_owned(), spki_sha256: key.to_owned() }
    }

    fn refused(sections: &[VantageSection]) -> String {
        format!("{:#}", vantages(sections).unwrap_err())
    }

    #[test]
    fn vantage_points_have_names_and_keys_of_their_own() {
        let [one, two] = ["11".repeat(32), "22".repeat(32)];
        assert_eq!(vantages(&[section("here", &one), section("there", &two)]).unwrap().len(), 2);

        assert!(refused(&[]).contains("no vantage point"));
        assert!(refused(&[section("Here", &one)]).contains("Here"));
        assert!(refused(&[section("here", "11")]).contains("64 hexadecimal"));
        assert!(refused(&[section("here", &one), section("here", &two)]).contains("twice"));
        assert!(refused(&[section("here", &one), section("there", &one)]).contains("twice"));
    }

    /// Architecture §2.2: the note keys sign nothing else.
    #[test]
    fn a_key_of_the_logs_is_no_receipt_key() {
        let folder = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder.path(), private).unwrap();
        let deployment: DeploymentName = "test/demo/ab12".parse().unwrap();
        let key = folder.path().join("receipt.key");
        make_key(&key, &deployment).unwrap();
        let vantages = vec![section("here", &"11".repeat(32))];
        let section = ReceiptsSection { key, vantages };

        let receipts = Receipts::open(&section, &deployment, &[[0; 32]]).unwrap();
        let refused = Receipts::open(&section, &deployment, &[receipts.signer.public_key()]);

        assert!(refused.is_err_and(|error| error.to_string().contains("a key of section [notes]")));
        let manifest = ledger::manifest::Manifest::new(
            deployment,
            "crl".parse().unwrap(),
            ["crl/a.crl 00 01 -".to_owned()],
        );
        assert!(manifest.unwrap().sign(receipts.signer.as_ref()).is_err(), "no list by this key");
    }
}
