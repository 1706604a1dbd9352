//! What is to be signed, as text: read anew from its octets, not from what made them.

use anyhow::Context as _;
use ceremony_core::script::Language;
use ceremony_core::words::Fingerprint;
use crl::CrlNumber;
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader};
use x509::extension::BasicConstraints;
use x509::key::SignatureAlgorithm;
use x509::name::Name;
use x509::request::CertificationRequest;
use x509::signing::{Intent, SigningKind, assemble};

use super::Room;
use super::layout::Screen;

/// Stands where the signature will: only what is before it is shown.
const NO_SIGNATURE: &[u8] = &[0];

impl Room<'_> {
    /// Shows what will be signed, to be read against the plan.
    ///
    /// # Errors
    ///
    /// [`crate::stopped::Paused`]; octets that cannot be read.
    pub(crate) fn read(&self, what: &str, intent: &Intent, octets: &[u8]) -> anyhow::Result<()> {
        let l = self.desk.language;
        let lines = text(intent.kind(), intent.algorithm(), octets, l)?;
        let screen = Screen::new(
            format!("text {what}"),
            format!("{}: {what}", l.pick("Det här signeras", "This will be signed")),
        )
        .tell_all(lines)
        .asks(l.pick(
            "Enter: läst högt, och stämmer med planen · p: paus",
            "Enter: read aloud, and agrees with the plan · p: pause",
        ));
        drop(self.desk.ask(&screen)?);
        Ok(())
    }
}

fn text(
    kind: SigningKind,
    algorithm: SignatureAlgorithm,
    octets: &[u8],
    l: Language,
) -> anyhow::Result<Vec<String>> {
    let der = assemble(octets, algorithm, NO_SIGNATURE).context("it is too large")?;
    let mut rows =
        vec![(l.pick("Signaturalgoritm", "Signature algorithm"), algorithm.name().to_owned())];
    match kind {
        SigningKind::Crl => rows.extend(of_list(&der, l)?),
        SigningKind::Request => {
            let request = CertificationRequest::from_der(&der)?;
            rows.push((l.pick("Ämne", "Subject"), request.subject().to_string()));
            rows.extend(of_key(request.public_key(), l));
        }
        _ => rows.extend(of_certificate(&Certificate::from_der(&der)?, l)),
    }
    Ok(rows.into_iter().map(|(name, value)| format!("{name}: {value}")).collect())
}

fn of_certificate(certificate: &Certificate, l: Language) -> Vec<(&'static str, String)> {
    let validity = certificate.validity();
    let mut rows = vec![
        (l.pick("Ämne", "Subject"), certificate.subject().to_string()),
        (l.pick("Utfärdare", "Issuer"), certificate.issuer().to_string()),
        (l.pick("Serienummer", "Serial number"), certificate.serial().to_string()),
        (l.pick("Giltigt från", "Valid from"), validity.not_before().to_string()),
        (l.pick("Giltigt till och med", "Valid until"), validity.not_after().to_string()),
    ];
    rows.extend(of_key(certificate.public_key(), l));
    let ca = match certificate.basic_constraints() {
        BasicConstraints::EndEntity => l.pick("nej", "no").to_owned(),
        BasicConstraints::Ca { path_len: None } => l.pick("ja", "yes").to_owned(),
        BasicConstraints::Ca { path_len: Some(below) } => {
            format!("{} {below}", l.pick("ja, CA:er under den högst", "yes, CAs below it at most"))
        }
    };
    rows.push((l.pick("Är CA", "Is a CA"), ca));
    if let Some(usage) = certificate.key_usage() {
        let bits: Vec<&str> = usage.iter().map(|bit| bit.name()).collect();
        rows.push((l.pick("Nyckelanvändning", "Key usage"), bits.join(", ")));
    }
    for (name, uris) in [
        ("CRL", certificate.crl_uris()),
        ("OCSP", certificate.ocsp_uris()),
        (l.pick("Utfärdarens certifikat", "Issuer's certificate"), certificate.ca_issuers_uris()),
    ] {
        rows.extend(uris.into_iter().map(|uri| (name, uri)));
    }
    let oids: Vec<String> =
        certificate.extensions().iter().map(|extension| extension.oid.to_string()).collect();
    rows.push((l.pick("Tillägg", "Extensions"), oids.join(", ")));
    rows
}

fn of_key(key: &x509::key::PublicKey, l: Language) -> [(&'static str, String); 2] {
    let hash = Fingerprint::of(key.spki_der()).groups();
    [
        (l.pick("Nyckeltyp", "Type of key"), key.key_type().to_string()),
        (l.pick("Nyckelns SHA-256", "SHA-256 of the key"), hash),
    ]
}

fn of_list(der: &[u8], l: Language) -> anyhow::Result<Vec<(&'static str, String)>> {
    let octets = u64::try_from(der.len()).unwrap_or(u64::MAX);
    let mut reader = CrlReader::start(der, CrlForm::CertificateList, octets)?;
    let entries = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
    let head = reader.head().clone();
    let number = reader.finish()?.extensions.number.context("the list has no number")?;
    let end = head.next_update.map_or_else(|| "-".to_owned(), |end| end.to_string());
    let mut rows = vec![
        (l.pick("Utfärdare", "Issuer"), Name::from_der(&head.issuer)?.to_string()),
        (l.pick("Nummer", "Number"), CrlNumber::from_content_octets(&number)?.to_string()),
        (l.pick("Gäller från", "True since"), head.this_update.to_string()),
        (l.pick("Nästa senast", "Next at the latest"), end),
        (l.pick("Spärrade certifikat", "Revoked certificates"), entries.len().to_string()),
    ];
    // The root's list names some CAs; whoever has more reads them on paper.
    for entry in entries.iter().rev().take(10) {
        let said = format!("{}, {}", entry.serial, entry.revocation_date);
        rows.push((l.pick("Spärrat", "Revoked"), said));
    }
    Ok(rows)
}
