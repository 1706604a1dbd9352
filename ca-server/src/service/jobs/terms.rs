//! The lists of a job.

use ca::identity::bare_number;
use ca::key_holder::HolderName;
use store::{IndexTag, IndexTerm, JobTerm};
use x509::key::SpkiHash;

use super::super::Service;
use super::super::body::from_json;
use super::super::caller::Caller;
use super::super::order::{Answered, OrderWork, Outcome};
use super::super::revoke::offline;
use super::{job_id, malformed, may_decide};
use crate::denied::Denied;

/// Digits and letters of a card's number.
const CARD_LIMIT: usize = 32;
/// Characters of an HSA-id.
const HSA_ID_LIMIT: usize = 31;

impl Service {
    /// Adds to the lists of a planned job.
    pub(crate) fn add_job_terms(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        may_decide(caller)?;
        let job = job_id(id)?;
        let request: api::JobTermsRequest = from_json(&work.call.body)?;
        let mut terms = Vec::new();
        for number in &request.cards {
            if number.trim().is_empty() || number.chars().count() > CARD_LIMIT {
                return Err(malformed(number, "card numbers of 1 to 32 characters"));
            }
            terms.push(JobTerm::Card(IndexTerm::new(IndexTag::CardNumber, number)));
        }
        for text in &request.keys {
            let mut spki = [0; 32];
            match base16ct::mixed::decode(text, &mut spki) {
                Ok(read) if read.len() == 32 => {}
                _ => return Err(malformed(text, "SHA-256 of a key, 64 digits of hexadecimal")),
            }
            terms.push(JobTerm::Key(SpkiHash::from_bytes(spki)));
        }
        for named in &request.serials {
            let authority = self.authority_named(&named.authority)?;
            // The selection would pass over it without a word.
            if !authority.signs_here() {
                return Err(offline(&named.authority));
            }
            let serial = named.serial.parse();
            let serial =
                serial.map_err(|_| malformed(&named.serial, "a serial number, hexadecimal"))?;
            terms.push(JobTerm::Serial(authority.id, serial));
        }
        for text in &request.certificates {
            let id = text.parse().map_err(|_| malformed(text, "`crt_` and a UUID"))?;
            terms.push(JobTerm::Certificate(id));
        }
        for text in &request.holders {
            terms.push(holder(text)?);
        }
        for text in &request.hsa_ids {
            let text = text.trim();
            let fits = (1..=HSA_ID_LIMIT).contains(&text.len());
            if !fits || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(malformed("another text", "HSA-ids of 1 to 31 ASCII characters"));
            }
            terms.push(JobTerm::HsaId(IndexTerm::new(IndexTag::HsaId, text)));
        }
        let now = self.clock().read().now;
        let count = self.store().add_job_terms(job, &work.call.client, &terms, now);
        let terms = count.map_err(|e| self.note_storage(&e))?;
        Answered::unlogged(Outcome::Changed, &api::JobTerms { terms })
    }
}

/// A person by the number. What is refused is not repeated: it may be somebody's.
fn holder(text: &str) -> Result<JobTerm, Denied> {
    let number = bare_number(text);
    if number.len() != 12 || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        let limit = "personal or coordination numbers of 12 digits, such as 19121212-1212";
        return Err(malformed("another text", limit));
    }
    let term = IndexTerm::new(IndexTag::PersonalNumber, &number);
    Ok(JobTerm::Holder(HolderName::number(&number), term))
}
