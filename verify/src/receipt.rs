//! `sigill-verify receipt`: a receipt of revocations, judged from itself and from pinned keys.
//!
//! The receipt's own signature and each observation's are verified by two libraries. Then the rule of promise 4 is
//! applied anew: every revocation was seen at every point, and every vantage point that was named here is among them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ledger::note::{MAX_NOTE_LENGTH, NotePublicKey};
use ledger::receipt::RECEIPT;
use ledger::{DeploymentName, ReceiptText};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::VantageName;
use status::observation::{Observation, SeenObject, SeenRevocation, SeenStatus, SignedObservation};
use status::receipt::{Point, Receipt, ReceiptEntry};
use x509::crl::{CrlForm, CrlReader};
use x509::key::SpkiHash;
use x509::ocsp::{CertStatus, OcspResponse};

use crate::signatures;

/// What is to be judged, and whom to believe.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sigill-verify receipt receipt.note --key \"$RECEIPT_KEY\" --deployment test/demo/ab12 \\\n    --vantage \"stockholm=$VANTAGE_SPKI_SHA256\""
)]
pub(crate) struct ReceiptArguments {
    /// The receipt.
    file: PathBuf,
    /// Public key of receipts, 64 hexadecimal digits, from a source that you trust.
    #[arg(long, value_name = "HEX")]
    key: NotePublicKey,
    /// The deployment that it must be of: environment/pki/instance.
    #[arg(long, value_name = "NAME")]
    deployment: DeploymentName,
    /// A vantage point and the SHA-256 of its key, from a source that you trust; once for each that must have seen it.
    #[arg(long, value_name = "NAME=HEX", required = true)]
    vantage: Vec<PinnedVantage>,
    /// Folder with the objects that were seen, each under its SHA-256: they must say what the observations say.
    #[arg(long, value_name = "DIR")]
    objects: Option<PathBuf>,
}

/// A vantage point that is believed.
#[derive(Clone, Debug)]
struct PinnedVantage {
    name: VantageName,
    key: SpkiHash,
}

impl FromStr for PinnedVantage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, key) = text.split_once('=').ok_or("not <name>=<SHA-256 of its key>")?;
        Ok(Self {
            name: name.parse().map_err(|error| format!("{error}"))?,
            key: key.parse().map_err(|_| "the key is not 64 hexadecimal digits".to_owned())?,
        })
    }
}

/// A receipt that holds.
#[derive(Debug)]
pub(crate) struct Findings(Receipt);

/// Judges a receipt.
///
/// # Errors
///
/// The first thing that does not hold.
pub(crate) fn judge(arguments: &ReceiptArguments) -> anyhow::Result<Findings> {
    let path = &arguments.file;
    let length = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    ensure!(
        usize::try_from(length).is_ok_and(|length| length <= MAX_NOTE_LENGTH),
        "{} has {length} octets, a receipt has at most {MAX_NOTE_LENGTH}",
        path.display()
    );
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let text = ReceiptText::open(&bytes, arguments.key).context("first verification")?;
    ensure!(
        *text.deployment() == arguments.deployment,
        "receipt is of {}, not of {}",
        text.deployment(),
        arguments.deployment
    );
    let name = format!("sigill/{}/{RECEIPT}", arguments.deployment);
    let signed = signatures::verify_plain(&bytes, &name, arguments.key.as_bytes())
        .context("second verification")?;
    ensure!(signed == text.to_text(), "two readers of the receipt disagree about its text");
    let receipt = Receipt::from_text(&text)?;
    must_be_pinned(&receipt, &arguments.vantage)?;
    for observation in receipt.observations() {
        let signed = observation.signed();
        let vantage = &observation.observation().vantage;
        signatures::verify_statement(signed.as_str())
            .with_context(|| format!("second verification of an observation from {vantage}"))?;
        if let Some(folder) = &arguments.objects {
            must_say_the_same(folder, observation.observation())?;
        }
    }
    Ok(Findings(receipt))
}

/// The points are those of the pinned vantage points, all of them and no other.
fn must_be_pinned(receipt: &Receipt, pinned: &[PinnedVantage]) -> anyhow::Result<()> {
    for Point { vantage, key, .. } in receipt.points() {
        ensure!(
            pinned.iter().any(|one| one.name == *vantage && one.key == *key),
            "receipt rests on vantage point {vantage} with key {key}, which no --vantage names"
        );
    }
    for one in pinned {
        ensure!(
            receipt.points().iter().any(|point| point.vantage == one.name),
            "receipt does not rest on vantage point {}, which --vantage names",
            one.name
        );
    }
    Ok(())
}

/// The object of an observation, read again: is it the one, and does it say what was signed?
fn must_say_the_same(folder: &Path, seen: &Observation) -> anyhow::Result<()> {
    let sha256: String = seen.object_sha256.iter().map(|octet| format!("{octet:02x}")).collect();
    let end = if seen.method.is_by_list() { "crl" } else { "ors" };
    let path = folder.join(format!("{sha256}.{end}"));
    let octets = std::fs::read(&path).with_context(|| path.display().to_string())?;
    ensure!(
        Sha256::digest(&octets).as_slice() == seen.object_sha256,
        "{} is not what its name says",
        path.display()
    );
    let same = match &seen.object {
        SeenObject::Ocsp { produced_at } => {
            let OcspResponse::Basic(basic) = OcspResponse::from_der(&octets)? else {
                bail!("{} is no answer", path.display());
            };
            basic.produced_at == *produced_at
                && seen.seen.iter().all(|one| {
                    basic.answers.iter().any(|answer| {
                        let status = match answer.status {
                            CertStatus::Good => SeenStatus::Good,
                            CertStatus::Unknown => SeenStatus::Unknown,
                            CertStatus::Revoked { at, reason } => {
                                SeenStatus::Revoked(SeenRevocation { time: at, reason })
                            }
                            CertStatus::NeverIssued => SeenStatus::NEVER_ISSUED,
                        };
                        answer.cert_id.serial() == Some(one.serial)
                            && status == one.status
                            && answer.this_update == seen.this_update
                            && answer.next_update == Some(seen.next_update)
                    })
                })
        }
        SeenObject::Crl { number } => list_says(&octets, number, seen)?,
        SeenObject::Delta { .. } => bail!("a delta CRL has no receipt"),
    };
    ensure!(same, "{} does not say what the observation says", path.display());
    Ok(())
}

fn list_says(octets: &[u8], number: &str, seen: &Observation) -> anyhow::Result<bool> {
    let longest = u64::try_from(octets.len())?;
    let mut reader = CrlReader::start(octets, CrlForm::CertificateList, longest)?;
    let head = reader.head().clone();
    let mut found: Vec<SeenStatus> = vec![SeenStatus::Good; seen.seen.len()];
    for entry in reader.by_ref() {
        let entry = entry?;
        for (place, one) in found.iter_mut().zip(&seen.seen) {
            if one.serial == entry.serial {
                let (time, reason) = (entry.revocation_date, entry.reason);
                *place = SeenStatus::Revoked(SeenRevocation { time, reason });
            }
        }
    }
    let own = reader.finish()?.extensions.number.unwrap_or_default();
    let own: String = own.iter().map(|octet| format!("{octet:02X}")).collect();
    Ok(own == number
        && head.this_update == seen.this_update
        && head.next_update == Some(seen.next_update)
        && seen.seen.iter().map(|one| one.status).eq(found))
}

impl Findings {
    /// For programs.
    pub(crate) fn to_json(&self) -> String {
        let receipt = &self.0;
        let entries: Vec<_> = receipt.entries().iter().map(entry).collect();
        let points: Vec<_> = receipt
            .points()
            .iter()
            .map(|point| {
                json!({
                    "vantage": point.vantage.as_str(),
                    "method": point.method.as_str(),
                    "url": point.url,
                    "seen": receipt.observations().iter().filter(|one| point.is_of(one))
                        .map(SignedObservation::observation).map(|one| one.time.to_string()).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "deployment": receipt.deployment().as_str(),
            "method": receipt.method().as_str(),
            "time": receipt.time().to_string(),
            "revocations": entries,
            "points": points,
        })
        .to_string()
    }

    /// For people.
    pub(crate) fn to_text(&self) -> String {
        let receipt = &self.0;
        let mut lines = vec![
            format!("verified    receipt of {} by {}", receipt.deployment(), receipt.method()),
            format!("signed at   {}", receipt.time()),
        ];
        lines.extend(receipt.entries().iter().map(|entry| {
            let ReceiptEntry { position, serial, revocation, .. } = entry;
            format!("revoked     serial {serial} at {}, position {position}", revocation.time)
        }));
        lines.extend(receipt.points().iter().map(|point| {
            let Point { vantage, method, url, .. } = point;
            let of_point = receipt.observations().iter().filter(|one| point.is_of(one));
            let last = of_point.map(|one| one.observation().time).max();
            let at = last.map(|time| time.to_string()).unwrap_or_default();
            format!("seen        from {vantage} by {method} at {url}, {at}")
        }));
        lines.join("\n")
    }
}

fn entry(entry: &ReceiptEntry) -> serde_json::Value {
    json!({
        "position": entry.position.to_string(),
        "issuer": entry.issuer.to_string(),
        "serial": entry.serial.to_string(),
        "revoked_at": entry.revocation.time.to_string(),
        "reason": entry.revocation.reason.map_or(0, x509::crl::ReasonCode::code),
    })
}
