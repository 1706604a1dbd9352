//! The holder's receipt (*kvittens*): signed with the card itself, or on paper; kept sealed, and shown again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::life::OrderAct;
use ca::profile::ProfileKind;
use ca::refusal::Refusal;
use ca::routine::{ReceiptForm, ReceiptRule, Routine};
use ca::steps::{HolderReceipt, ReceiptWords};
use sha2::{Digest as _, Sha256};
use store::CertificateLookup;
use x509::certificate::Certificate;
use x509::key::{PublicKey, SpkiHash};

use super::kept::Keep as _;
use super::said::Known;
use super::{Move, malformed};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::body::from_json;
use crate::service::caller::Caller;
use crate::service::order::{Answered, OrderWork};
use crate::service::signing::defect;

/// The key that an electronic receipt is signed with, and the serial numbers that it is about.
struct About {
    key: PublicKey,
    serials: Vec<String>,
}

impl Service {
    /// Takes the holder's receipt.
    pub(crate) fn take_order_receipt(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderReceiptRequest = from_json(&work.call.body)?;
        self.next_step_of(caller, id, work, request.by.as_deref(), |known| {
            let routine = self.routine_of(known)?;
            let form = ReceiptForm::from_word(&request.form)
                .ok_or_else(|| malformed("form", &request.form, "a form such as electronic"))?;
            if !routine.receipt_forms.contains(&form) {
                let forms: Vec<_> = routine.receipt_forms.iter().map(ToString::to_string).collect();
                let refusal = Refusal::new(
                    "routine-refused",
                    format!("routine/{}/receipt-form", routine.name),
                    &form,
                    forms.join(", "),
                    "have the holder give a receipt as the routine says",
                );
                return Err(Denied::rule(refusal).for_now());
            }
            let receipt = match form {
                ReceiptForm::Electronic => self.electronic(known, routine, &request)?,
                ReceiptForm::OnPaper | ReceiptForm::RegisteredPost => on_paper(&request)?,
            };
            let at = self.clock().read().now.to_string();
            let receipt = api::EidOrderReceipt { at, ..receipt };
            Ok(Move::of(OrderAct::TakeReceipt, receipt.kept()?))
        })
    }

    fn electronic(
        &self,
        known: &Known,
        routine: &Routine,
        request: &api::EidOrderReceiptRequest,
    ) -> Result<api::EidOrderReceipt, Denied> {
        if request.sha256.is_some() {
            return Err(malformed("sha256", &"a hash", "none: the signed text has its own"));
        }
        let (terms, addition) = words(request)?;
        let About { key, serials } = match routine.receipt {
            ReceiptRule::AfterIssuing => self.about_certificates(known, request)?,
            ReceiptRule::BeforeIssuing | ReceiptRule::None => {
                let text = request.key.as_deref();
                let der = text.and_then(|text| STANDARD.decode(text).ok());
                let key = der.and_then(|der| PublicKey::from_spki_der(&der).ok());
                let limit = "the subject public key info of the card's key, base64 of its DER";
                let key = key.ok_or_else(|| malformed("key", &"none, or another text", limit))?;
                About { key, serials: Vec::new() }
            }
        };
        let signature = request.signature.as_deref().and_then(|text| STANDARD.decode(text).ok());
        let limit = "the holder's signature in base64";
        let signature = signature.ok_or_else(|| malformed("signature", &"none", limit))?;
        let id = known.id.to_string();
        let receipt = HolderReceipt {
            order: &id,
            card: known.prepared.carrier.card_number.as_deref(),
            key: &key,
            serials: &serials,
            terms: &terms,
            addition: addition.as_ref(),
        };
        receipt.verify(&signature).map_err(|fault| {
            Denied::rule(Refusal::new(
                "receipt-signature",
                "ISS-15: the holder signs with the key of the card that he gets",
                &fault,
                "a signature as docs/formats/holder-receipt.md has it",
                "have the card sign the text of this order",
            ))
        })?;
        let text = receipt.text();
        Ok(api::EidOrderReceipt {
            form: request.form.clone(),
            at: String::new(),
            terms: terms.to_string(),
            addition: addition.map(|words| words.to_string()),
            sha256: base16ct::lower::encode_string(&Sha256::digest(&text)),
            text: Some(text),
            key: Some(STANDARD.encode(key.spki_der())),
            signature: Some(STANDARD.encode(&signature)),
        })
    }

    /// The key of the certificate for authentication, or of the only one, and all serial numbers.
    fn about_certificates(
        &self,
        known: &Known,
        request: &api::EidOrderReceiptRequest,
    ) -> Result<About, Denied> {
        if request.key.is_some() {
            return Err(malformed("key", &"a key", "none: it is that of the certificate"));
        }
        let rows = self.store().eid_order_certificates(known.id);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        let signs = |profile: Option<&str>| profile.is_some_and(|name| self.authenticates(name));
        let profile_of = |row: &store::CertificateRow| row.profile.clone().map(|one| one.name);
        let of = rows.iter().find(|row| signs(profile_of(row).as_deref())).or(rows.first());
        let of = of.ok_or_else(|| {
            let limit = "an order with certificates: first have them issued";
            malformed("signature", &"an order without a certificate", limit).for_now()
        })?;
        let record = self.store().certificate(&CertificateLookup::Id(of.id));
        let der = record.map_err(|e| self.note_storage(&e))?.and_then(|record| record.der);
        let read = der.and_then(|der| Certificate::from_der(&der).ok());
        let certificate = read.ok_or_else(|| defect("a certificate that does not read back"))?;
        let serials = rows.iter().map(|row| row.serial.to_string()).collect();
        Ok(About { key: certificate.public_key().clone(), serials })
    }

    /// Whether certificates of this profile are for authentication.
    pub(super) fn authenticates(&self, profile: &str) -> bool {
        let profile = self.book.profiles().by_name(profile);
        profile.is_some_and(|profile| profile.kind() == ProfileKind::PersonAuthentication)
    }
}

fn on_paper(request: &api::EidOrderReceiptRequest) -> Result<api::EidOrderReceipt, Denied> {
    if request.key.is_some() || request.signature.is_some() {
        let limit = "neither key nor signature, of a receipt on paper";
        return Err(malformed("signature", &"a key or a signature", limit));
    }
    let (terms, addition) = words(request)?;
    // Any SHA-256 is read as that of a key is.
    let sha256 = request.sha256.as_deref().and_then(|text| text.parse::<SpkiHash>().ok());
    let limit = "SHA-256 of the document, in hexadecimal";
    let sha256 = sha256.ok_or_else(|| malformed("sha256", &"none, or another text", limit))?;
    Ok(api::EidOrderReceipt {
        form: request.form.clone(),
        at: String::new(),
        terms: terms.to_string(),
        addition: addition.map(|words| words.to_string()),
        sha256: sha256.to_string(),
        text: None,
        key: None,
        signature: None,
    })
}

fn words(
    request: &api::EidOrderReceiptRequest,
) -> Result<(ReceiptWords, Option<ReceiptWords>), Denied> {
    let limit =
        "1 to 64 printable ASCII characters, without a space at either end, and not - alone";
    let read = |field, text: &str| {
        ReceiptWords::new(text).ok_or_else(|| malformed(field, &"another text", limit))
    };
    let addition = request.addition.as_deref().map(|text| read("addition", text)).transpose()?;
    Ok((read("terms", &request.terms)?, addition))
}
