//! The final OCSP answers of a CA that has ended (OCSP-13; decision 0035): for every certificate that its last CRL speaks for, one that
//! stands for ever.
//!
//! They say what the status log said at the position of the last CRL, and are held against that list first. Their signer is a delegate of its
//! own, which ends with the CA; its key lies in this process and in a file until all of them are signed, and is destroyed then. A wave of
//! certificates is one file, which is whole or not there: so whatever breaks the work off, the next run goes on with what is missing.

mod facts;
mod signer;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::refusal::Refusal;
use hsm::SigningService as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::Position;
use status::presigned::{PresignedAnswer, PresignedFile, PresignedHead, Said, Wave};
use store::{AuditRecord, CrlRow, Subject};
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::ocsp::successful;
use x509::signing::{Pending, SigningKind, ToBeSigned};
use x509::time::UnixTime;

use self::facts::{Facts, Final, Left};
use self::signer::FinalSigner;
use super::Service;
use super::authority::Authority;
use crate::denied::{Denied, Kind};
use crate::publication::chain;
use crate::publication::files::replace;

/// What the final answers of an authority come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FinalAnswers {
    /// Certificates with a final answer: good and expired, or revoked.
    pub(crate) good: u64,
    pub(crate) revoked: u64,
    /// What is in their number and what is not.
    pub(crate) left: Left,
    /// Files, and how many of them are not there, or are not what they must be.
    pub(crate) waves: usize,
    pub(crate) missing: usize,
    /// Answers that this run has signed.
    pub(crate) signed: u64,
}

/// How far the work has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) waves: usize,
    pub(crate) of_waves: usize,
    pub(crate) answers: u64,
    pub(crate) of_answers: u64,
}

/// Who wants it, and how.
pub(crate) struct FinalOrder<'a> {
    /// Opaque ids of the two persons who decided so.
    pub(crate) actors: &'a [String; 2],
    pub(crate) key_type: KeyType,
    /// Where the signer's key lies until all is signed; mode 0700.
    pub(crate) keys: &'a Path,
}

impl Service {
    /// Signs the final answers of an authority that are missing, tells how far it has come, and destroys the signer's key when none is.
    ///
    /// # Errors
    ///
    /// `final-answers-refused` before its last CRL is published, `final-answers-differ` where the log and that list say two things; whatever
    /// keeps a key from signing or a file from being written: what was written stands, and the next run goes on.
    pub(crate) fn make_final_answers(
        &self,
        authority: &Authority,
        order: &FinalOrder<'_>,
        told: &dyn Fn(Progress),
    ) -> Result<FinalAnswers, Denied> {
        let (last, facts) = self.final_facts(authority)?;
        let mut made = facts.counted();
        let missing = self.missing_waves(authority, &facts);
        made.waves = facts.waves().count();
        let mut progress = Progress {
            waves: made.waves.saturating_sub(missing.len()),
            of_waves: made.waves,
            answers: facts.answers().saturating_sub(facts.answers_of(&missing)),
            of_answers: facts.answers(),
        };
        told(progress);
        if !missing.is_empty() {
            let signer = self.final_signer(authority, order)?;
            facts.lint(authority, &signer.certificate, last.this_update)?;
            let work = Work { authority, last: &last, order, signer: &signer };
            for wave in missing {
                let answers = facts.of(wave);
                self.sign_final_wave(&work, wave, answers)?;
                let count = u64::try_from(answers.len()).unwrap_or(u64::MAX);
                made.signed = made.signed.saturating_add(count);
                progress.waves = progress.waves.saturating_add(1);
                progress.answers = progress.answers.saturating_add(count);
                told(progress);
            }
            // All of it is read again before the key is gone.
            made.missing = self.missing_waves(authority, &facts).len();
        }
        if made.missing > 0 {
            return Err(missing_still(authority, &made));
        }
        signer::destroy_all(&order.keys.join(authority.name()))
            .map_err(|error| unfit_file(order.keys, &error))?;
        Ok(made)
    }

    /// Says what the final answers of an authority come to, and how many waves are missing. Signs nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::make_final_answers`]; `final-answers-missing` where some are.
    pub(crate) fn check_final_answers(
        &self,
        authority: &Authority,
    ) -> Result<FinalAnswers, Denied> {
        let (_, facts) = self.final_facts(authority)?;
        let mut found = facts.counted();
        found.waves = facts.waves().count();
        found.missing = self.missing_waves(authority, &facts).len();
        if found.missing > 0 { Err(missing_still(authority, &found)) } else { Ok(found) }
    }

    /// The last CRL, and what is to be said, held against it.
    fn final_facts(&self, authority: &Authority) -> Result<(CrlRow, Facts), Denied> {
        if !authority.signs_here() {
            return Err(refused(authority, "its key is not here", "hold a ceremony"));
        }
        let last = self.last_crl(authority)?.filter(|row| row.published.is_some());
        let next = "make its last CRL first: `sigill-ca last-crl --help`";
        let Some(last) = last else {
            return Err(refused(authority, "it has no last CRL that is published", next));
        };
        let facts = self.read_facts(authority, &last)?;
        Ok((last, facts))
    }

    /// The waves whose files are not there, or do not say what they must.
    fn missing_waves(&self, authority: &Authority, facts: &Facts) -> Vec<Wave> {
        let stands = |wave: &Wave| {
            let bytes = std::fs::read(self.final_path(authority, *wave)).unwrap_or_default();
            PresignedFile::read(&bytes)
                .is_ok_and(|file| stands(&file, authority, *wave, facts.of(*wave)))
        };
        facts.waves().filter(|wave| !stands(wave)).collect()
    }

    fn final_path(&self, authority: &Authority, wave: Wave) -> PathBuf {
        let name = format!("presigned/{}/{wave}.answers", authority.name());
        self.folders.folder.join(name)
    }

    /// Records, signs, verifies and writes the answers of a wave.
    fn sign_final_wave(
        &self,
        work: &Work<'_>,
        wave: Wave,
        answers: &[Final],
    ) -> Result<(), Denied> {
        let now = self.signing_time()?;
        let (ca, signer) = (&work.authority.certificate, work.signer);
        let said: Vec<Said> =
            answers.iter().map(|one| one.said(now, work.last.this_update)).collect();
        let mut pendings = Vec::with_capacity(said.len());
        for one in &said {
            let key = signer.key();
            let data = one.response_data(ca.subject(), ca.public_key(), key.key_bits_sha1());
            let pending = Pending::new(
                self.draw_intent_id(now)?,
                SigningKind::OcspAnswer,
                key.clone(),
                SignatureAlgorithm::default_for(key.key_type()),
                ToBeSigned::Bytes(Arc::from(data)),
            );
            pendings.push(pending.map_err(|error| unsigned(work.authority, &error))?);
        }
        let record = self.final_record(work, wave, &pendings);
        let recorded = self
            .store()
            .record_final_answers(work.authority.id, &pendings, &record, now)
            .map_err(|error| self.note_storage(&error))?;
        let mut signed = Vec::with_capacity(said.len());
        for ((pending, recorded), said) in pendings.into_iter().zip(&recorded).zip(said) {
            let fault = |error: &dyn std::error::Error| unsigned(work.authority, error);
            let input = pending.input(recorded).map_err(|error| fault(&error))?;
            let within = signer.service.deadline();
            let signature = signer
                .service
                .sign_telling(&input, within, &mut |_| {})
                .map_err(|error| fault(&error))?;
            let finished = pending.finish(signature).map_err(|error| fault(&error))?;
            signed.push(PresignedAnswer {
                said,
                signer: 0,
                signature: finished.signature().to_vec(),
            });
        }
        self.write_final_wave(work, wave, signed, now)
    }

    /// What the audit log is told before the answers of a wave are signed.
    fn final_record(&self, work: &Work<'_>, wave: Wave, pendings: &[Pending]) -> AuditRecord {
        let mut digest = Sha256::new();
        pendings.iter().for_each(|one| digest.update(one.intent().digest()));
        let payload = json!({
            "actors": work.order.actors,
            "wave": wave.to_string(),
            "answers": pendings.len(),
            "last_crl": work.last.number.to_string(),
            "signer": work.signer.key().spki_hash().to_string(),
            "sha256_of_digests": base16ct::lower::encode_string(&digest.finalize()),
        });
        Self::record(
            EventCode::FinalAnswers,
            EventResult::Done,
            self.system(),
            ObjectIds::of_act([
                Some(ObjectId::Issuer(work.authority.id)),
                Some(ObjectId::Key(work.signer.key().spki_hash())),
            ]),
            None,
            &payload,
            Subject::Deployment,
        )
    }

    fn write_final_wave(
        &self,
        work: &Work<'_>,
        wave: Wave,
        answers: Vec<PresignedAnswer>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let path = self.final_path(work.authority, wave);
        let before = std::fs::read(&path).unwrap_or_default();
        let before = PresignedFile::read(&before).map_or(0, |file| file.head().generation);
        let head = PresignedHead {
            issuer: work.authority.id,
            wave,
            generation: now.secs().max(before.saturating_add(1)),
            position: work.last.position.unwrap_or(Position { epoch: 0, index: 0 }),
            checkpoint: work.last.this_update,
            signers: vec![work.signer.certificate.clone()],
        };
        let octets = head.write(answers).map_err(|error| unsigned(work.authority, &error))?;
        replace(&path, &octets).map_err(|error| unfit_file(&path, &error))
    }
}

/// What the answers of all waves have in common.
struct Work<'a> {
    authority: &'a Authority,
    last: &'a CrlRow,
    order: &'a FinalOrder<'a>,
    signer: &'a FinalSigner,
}

/// Whether a file is that of the final answers, each signed by a delegate of the authority.
fn stands(file: &PresignedFile<'_>, authority: &Authority, wave: Wave, answers: &[Final]) -> bool {
    let ca = &authority.certificate;
    let is_ours = |signer: &Certificate| signer.verify_signed_by(ca.public_key()).is_ok();
    let says = |wanted: &Final| {
        let answer = file.find(&wanted.serial)?;
        let signer: &PublicKey = file.signer_of(&answer)?.public_key();
        answer.verified(ca.subject(), ca.public_key(), signer).ok()?;
        wanted.is_said_by(&answer.said).then_some(())
    };
    let head = file.head();
    file.is_final()
        && (head.issuer, head.wave) == (authority.id, wave)
        && head.signers.iter().all(is_ours)
        && file.answers().count() == answers.len()
        && answers.iter().all(|wanted| says(wanted).is_some())
}

/// An answer under a placeholder signature, as relying parties get it.
fn finished(said: &Said, authority: &Authority, signer: &Certificate) -> Option<Vec<u8>> {
    let (ca, key) = (&authority.certificate, signer.public_key());
    let algorithm = SignatureAlgorithm::default_for(key.key_type());
    let data = said.response_data(ca.subject(), ca.public_key(), key.key_bits_sha1());
    successful(&data, algorithm, &algorithm.placeholder(key.key_type()), signer.as_der())
}

const RULE: &str =
    "OCSP-13: what stands for ever is signed when nothing of its authority changes any more";

fn refused(authority: &Authority, seen: &str, next: &'static str) -> Denied {
    Denied::rule(Refusal::new(
        "final-answers-refused",
        RULE,
        &format!("{}: {seen}", authority.name()),
        "an authority with its last CRL, published",
        next,
    ))
}

fn differs(authority: &Authority, seen: &str) -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "final-answers-differ",
            "REV-08: OCSP and CRL say the same",
            &format!("{}: {seen}", authority.name()),
            "the status log and the last CRL in agreement",
            "keep both as evidence and find out which was changed; nothing was signed",
        ),
    )
}

fn unlinted(authority: &Authority, findings: &lint::Findings) -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "final-answers-lint",
            "PRO-04: what the linter refuses is not signed",
            &format!("{}: {}", authority.name(), chain(findings)),
            "an answer of each shape that breaks no rule",
            "see what the rule that is named says of the signer's or the CA's certificate; nothing was signed. Is the CA's certificate another \
             one than when the signer was made? Then move the folder of the signer's key away and run it again: another signer is made",
        ),
    )
}

fn missing_still(authority: &Authority, found: &FinalAnswers) -> Denied {
    let seen = format!("{} of {} files", found.missing, found.waves);
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "final-answers-missing",
            RULE,
            &format!("{}: {seen}", authority.name()),
            "a file for each wave of its certificates, which says what the last CRL says",
            "`sigill-ca final-answers` makes what is missing; without the authority's key bring the files back from an outer host or a backup",
        ),
    )
}

fn unsigned(authority: &Authority, error: &dyn std::error::Error) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "final-answers-unsigned",
            "promise 2: recorded, signed, verified, and released then",
            &format!("{}: {}", authority.name(), chain(error)),
            "a signature that verifies",
            "run it again: it goes on with what is missing",
        ),
    )
}

fn unfit_file(path: &Path, error: &dyn std::error::Error) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "final-answers-unwritable",
            "a file of final answers, and their signer's key, is there whole or not at all",
            &format!("{}: {}", path.display(), chain(error)),
            "folders that take files",
            "make room, or correct the permissions, and run it again: it goes on with what is missing",
        ),
    )
}
