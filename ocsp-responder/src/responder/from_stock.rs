//! Answers that were signed beforehand (decision 0027).
//!
//! The log decides, as where a key is at hand: an answer is given while it says what the log says. Without a key nothing can be
//! said of what nobody signed for, so a serial that was never issued is unauthorized (RFC 9919 §3.2.3), and one for which no answer has
//! arrived yet is tryLater.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use sha2::{Digest as _, Sha256};
use status::presigned::Said;
use x509::ocsp::{CertStatus, OcspRequest, Refusal};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::{Finding, Found, MAX_WAIT, Reply, Responder, Signed};
use crate::answer::look_up;
use crate::authority::{Authority, Issuer, hex};
use crate::caching::Labels;
use crate::clock;
use crate::metrics::Counted;
use crate::presigned::{Given, Stock, says};
use crate::turns::About;

/// An answer is looked for anew after this: a later one may have arrived.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Responder {
    /// Answers from the stock.
    pub(super) async fn give_from_stock(
        &self,
        stock: &Arc<Stock>,
        request: &OcspRequest,
        issuer: &Issuer,
        address: IpAddr,
        arrival: UnixTime,
    ) -> Result<Reply, Refusal> {
        let (cert_id, serial) = may_be_in_stock(request)?;
        let facts = self.facts(request, issuer, address, arrival).await?;
        let finding = facts.findings.first().copied().ok_or(Refusal::MalformedRequest)?;
        let is_said = matches!(finding.status, CertStatus::Good | CertStatus::Revoked { .. });
        if finding.found == Found::NotYet || !is_said {
            return Err(Refusal::Unauthorized);
        }
        let now = clock::now();
        if let Some(signed) = self.cache.get(cert_id)
            && signed.finding == finding
            && signed.is_given_at(now)
        {
            self.metrics.count(Counted::FromCache);
            return Ok(self.reply_from(&signed, facts.position, now));
        }
        let lasts = |said: &Said| clock::now() < said.next_update;
        let given = self.find(stock, issuer, serial, lasts).await?;
        let now = clock::now();
        let signed = Arc::new(given.signed(finding, now).ok_or(Refusal::TryLater)?);
        // Reading may have taken long: nothing leaves that the log contradicts by now.
        let said_now = self.look(&request.cert_ids, issuer).ok_or(Refusal::TryLater)?;
        if said_now.findings.first() != Some(&finding) {
            return Err(Refusal::TryLater);
        }
        self.cache.insert(cert_id.to_vec(), Arc::clone(&signed));
        Ok(self.reply_from(&signed, facts.position, now))
    }

    /// The final answer of a CA that has ended (decision 0035), as long as it says what the log says, however old the log is: nothing of such a
    /// CA changes any more. `None` where there is none.
    pub(super) async fn give_final(&self, request: &OcspRequest, issuer: &Issuer) -> Option<Reply> {
        let stock = self.finals();
        if !stock.has_final(&issuer.names) {
            return None;
        }
        let (cert_id, serial) = may_be_in_stock(request).ok()?;
        let now = clock::now();
        let finding = self.view.look_back(|index| {
            look_up(index, index.issuer(&issuer.id), Some(&serial), self.rules.never_issued, now)
        })?;
        let (_, position, _) = self.view.state();
        if let Some(signed) = self.cache.get(cert_id)
            && signed.finding == finding
            && signed.is_given_at(now)
            && signed.next_update == UnixTime::LAST
        {
            self.metrics.count(Counted::FromCache);
            return Some(self.reply_from(&signed, position, now));
        }
        let is_final = |said: &Said| said.next_update == UnixTime::LAST;
        let given = self.find(stock, issuer, serial, is_final).await.ok()?;
        let signed = Arc::new(given.signed(finding, clock::now())?);
        self.cache.insert(cert_id.to_vec(), Arc::clone(&signed));
        Some(self.reply_from(&signed, position, now))
    }

    /// Reads the first answer that is wanted from the files of the CA's certificates, as many at once as there are turns: a file is read
    /// whole for each, and a flood of questions is not to take all memory.
    async fn find(
        &self,
        stock: &Arc<Stock>,
        issuer: &Issuer,
        serial: SerialNumber,
        is_wanted: fn(&Said) -> bool,
    ) -> Result<Given, Refusal> {
        let authorities = self.authorities.load();
        let own = authorities.list().iter().filter(|authority| authority.issuer == issuer.id);
        let own: Vec<Arc<Authority>> = own.cloned().collect();
        let stock = Arc::clone(stock);
        let turn = self.turns.take(About::Issued, MAX_WAIT).await.ok_or(Refusal::TryLater)?;
        let looking = tokio::task::spawn_blocking(move || {
            let mut found = own.iter().filter_map(|authority| stock.find(authority, &serial));
            found.find(|given| is_wanted(&given.said))
        });
        let given = looking.await;
        drop(turn);
        given.map_err(|_| Refusal::InternalError)?.ok_or(Refusal::TryLater)
    }
}

/// Whether a request asks what can have been answered beforehand: about one certificate (RFC 9919 §3.1.1), named by a hash that
/// answers are made for. A nonce is passed over (§3.2.1), and so are preferred algorithms.
fn may_be_in_stock(request: &OcspRequest) -> Result<(&[u8], SerialNumber), Refusal> {
    let [cert_id] = request.cert_ids.as_slice() else { return Err(Refusal::Unauthorized) };
    let serial = cert_id.serial().filter(|_| Said::answers_by(cert_id.hash()));
    Ok((cert_id.as_der(), serial.ok_or(Refusal::Unauthorized)?))
}

impl Given {
    /// The answer as it is kept; `None` where it has ended or says another thing than the log.
    fn signed(self, finding: Finding, now: UnixTime) -> Option<Signed> {
        let Self { said, signer, body } = self;
        let is_true = says(&said, &finding) && now < said.next_update;
        let again = now.checked_add(LOOK_AGAIN).unwrap_or(now);
        is_true.then(|| Signed {
            finding,
            delegate: signer.public_key().spki_hash(),
            labels: Some(Labels::of(
                &hex(&Sha256::digest(&body)),
                said.this_update,
                Some(said.next_update),
            )),
            body: Bytes::from(body),
            next_update: said.next_update,
            since: said.this_update.min(now),
            renew_at: again.min(said.next_update),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use status::IssuerId;

    use super::*;
    use crate::answer::NeverIssued;
    use crate::responder::{AnswerRules, AnswerSource};
    use crate::view::View;

    /// Promise 5: so many files are read at once and no more; who has no turn in time is to try later.
    #[tokio::test]
    async fn a_flood_reads_no_more_files_than_there_are_turns() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Arc::new(Stock::open(folder.path()).unwrap());
        let rules = AnswerRules {
            validity: Duration::from_secs(7200),
            max_age: Duration::from_secs(60),
            clock_bound: Duration::ZERO,
            cache: 1,
            never_issued: NeverIssued::Unknown,
        };
        let view = Arc::new(View::new(1, Duration::from_secs(60), Duration::ZERO));
        let source = AnswerSource::Stock(Arc::clone(&stock));
        let responder =
            Responder::new(view, Arc::default(), Arc::default(), source, rules, Arc::default());
        let id = IssuerId::from_bytes([1; 32]);
        let issuer = Issuer { id, names: Vec::new(), since: UnixTime::EPOCH };
        let mut turns = Vec::new();
        while let Some(turn) = responder.turns.take(About::Issued, Duration::ZERO).await {
            turns.push(turn);
        }

        let serial = SerialNumber::from_random([7; 16]);
        let begun = Instant::now();
        let refused = responder.find(&stock, &issuer, serial, |_| true).await.unwrap_err();
        assert!(refused == Refusal::TryLater && begun.elapsed() >= MAX_WAIT);

        turns.pop();
        let begun = Instant::now();
        let refused = responder.find(&stock, &issuer, serial, |_| true).await.unwrap_err();
        assert!(refused == Refusal::TryLater && begun.elapsed() < MAX_WAIT, "there is no file");
    }
}
