//! Who may say that a revocation was seen, and the key that receipts are signed with: section `[receipts]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hsm::note::SoftwareNoteKey;
use ledger::origin::DeploymentName;
use ledger::signer::{NoteSigner, ReceiptSigner};
use serde::Deserialize;
use status::difference::Difference;
use status::{IssuerId, ProbeMethod, ReceiptMethod, VantageName};
use x509::key::SpkiHash;
use x509::time::UnixTime;

use crate::start::Told;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReceiptsSection {
    /// Signs receipts and nothing else: a software key, mode 0600, allowed in environment test.
    pub(crate) key: PathBuf,
    /// A revocation that OCSP has not shown everywhere for so long is told of: seconds (REV-07: 60).
    #[serde(default = "default_ocsp_limit")]
    pub(crate) ocsp_limit: u64,
    /// The same for CRLs: seconds (REV-07: an hour).
    #[serde(default = "default_crl_limit")]
    pub(crate) crl_limit: u64,
    /// What is awaited: `ocsp`, `crl`. Where answers are signed beforehand, no OCSP (docs/operations/presigned.md).
    #[serde(default = "default_methods")]
    pub(crate) methods: Vec<String>,
    /// Where every revocation has to be seen.
    #[serde(rename = "vantage")]
    pub(crate) vantages: Vec<VantageSection>,
}

fn default_methods() -> Vec<String> {
    ReceiptMethod::ALL.map(|method| method.as_str().to_owned()).to_vec()
}

const fn default_ocsp_limit() -> u64 {
    60
}

const fn default_crl_limit() -> u64 {
    3600
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
    pub(crate) ocsp_limit: Duration,
    pub(crate) crl_limit: Duration,
    pub(crate) methods: Vec<ReceiptMethod>,
    pub(crate) told: Mutex<ToldOf>,
}

/// What was told of, so that each thing is told of once. It is forgotten at the end of the program, and told of again.
#[derive(Debug, Default)]
pub(crate) struct ToldOf {
    late: BTreeSet<(ReceiptMethod, VantageName)>,
    differences: BTreeSet<(IssuerId, Vec<u8>, VantageName, ProbeMethod, String)>,
    written: BTreeMap<VantageName, (u64, u32)>,
    heard: BTreeMap<VantageName, UnixTime>,
    ended_gone: Option<UnixTime>,
}

/// Whether a difference is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    Yes,
    /// And none after it in this hour.
    Last,
    No,
}

/// The differences that are remembered.
const DIFFERENCES: usize = 10_000;
/// Differences of one vantage point that are written down in an hour of UTC; those after are counted.
const WRITTEN: u32 = 100;

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
        Ok(Self {
            deployment: deployment.clone(),
            signer,
            vantages,
            ocsp_limit: Duration::from_secs(section.ocsp_limit),
            crl_limit: Duration::from_secs(section.crl_limit),
            methods: methods(&section.methods)?,
            told: Mutex::default(),
        })
    }

    /// How long a revocation may be unseen.
    pub(crate) const fn limit(&self, method: ReceiptMethod) -> Duration {
        match method {
            ReceiptMethod::Ocsp => self.ocsp_limit,
            ReceiptMethod::Crl => self.crl_limit,
        }
    }

    fn told(&self) -> MutexGuard<'_, ToldOf> {
        // A panic elsewhere leaves the sets whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that revocations are late there; true when they have just begun to be.
    pub(crate) fn begins_to_be_late(&self, method: ReceiptMethod, vantage: &VantageName) -> bool {
        self.told().late.insert((method, vantage.clone()))
    }

    /// Notes that they are late no more.
    pub(crate) fn is_in_time(&self, method: ReceiptMethod, vantage: &VantageName) {
        self.told().late.remove(&(method, vantage.clone()));
    }

    /// Whether this serial was not found different there before.
    pub(crate) fn is_first_difference(&self, found: &Difference) -> bool {
        let Difference { issuer, serial, vantage, method, url, .. } = found;
        let mut told = self.told();
        if told.differences.len() >= DIFFERENCES {
            told.differences.clear();
        }
        let serial = serial.as_octets().to_vec();
        told.differences.insert((*issuer, serial, vantage.clone(), *method, url.clone()))
    }

    /// Whether it is time to forget what has ended: once an hour, and on where there was any.
    pub(crate) fn forgets_ended(&self, now: UnixTime) -> bool {
        self.told().ended_gone.is_none_or(|last| now.since(last) >= Duration::from_secs(3600))
    }

    /// Notes how many were forgotten.
    pub(crate) fn forgot_ended(&self, count: u64, now: UnixTime) {
        self.told().ended_gone = (count == 0).then_some(now);
    }

    /// Whether another difference of this vantage point is written down in this hour, and counts it.
    pub(crate) fn writes_difference(&self, vantage: &VantageName, now: UnixTime) -> Writes {
        let hour = now.secs() / 3600;
        let mut told = self.told();
        let (of, count) = told.written.entry(vantage.clone()).or_insert((hour, 0));
        if *of != hour {
            (*of, *count) = (hour, 0);
        }
        *count = count.saturating_add(1);
        match (*count).cmp(&WRITTEN) {
            std::cmp::Ordering::Less => Writes::Yes,
            std::cmp::Ordering::Equal => Writes::Last,
            std::cmp::Ordering::Greater => Writes::No,
        }
    }

    /// Notes that a vantage point has sent what was taken: its key has signed it.
    pub(crate) fn note_life(&self, vantage: &VantageName, now: UnixTime) {
        self.told().heard.insert(vantage.clone(), now);
    }

    /// For how long each vantage point has sent nothing, counted from the start where it never has.
    pub(crate) fn silences(&self, now: UnixTime) -> Vec<(VantageName, Duration)> {
        let mut told = self.told();
        let mut silence = |(vantage, _): &(VantageName, SpkiHash)| {
            let heard = *told.heard.entry(vantage.clone()).or_insert(now);
            (vantage.clone(), now.since(heard))
        };
        self.vantages.iter().map(&mut silence).collect()
    }
}

fn methods(names: &[String]) -> anyhow::Result<Vec<ReceiptMethod>> {
    let known = |name: &String| ReceiptMethod::ALL.into_iter().find(|one| one.as_str() == name);
    let read: Option<Vec<_>> = names.iter().map(known).collect();
    read.filter(|read| !read.is_empty()).ok_or_else(|| {
        anyhow::Error::from(Told::new(
            "config-value",
            format!("methods = {names:?} in section [receipts]"),
            "name \"ocsp\", \"crl\" or both; left out, it is both",
        ))
    })
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

    #[test]
    fn one_method_or_both_are_awaited() {
        let named = |names: &[&str]| {
            methods(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(named(&["crl"]).unwrap(), [ReceiptMethod::Crl]);
        assert_eq!(methods(&default_methods()).unwrap(), ReceiptMethod::ALL);
        assert!(named(&[]).is_err() && named(&["crl", "delta"]).is_err());
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
        let section = ReceiptsSection {
            key,
            ocsp_limit: 60,
            crl_limit: 3600,
            methods: default_methods(),
            vantages,
        };

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
