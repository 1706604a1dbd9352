//! One key, one holder: judged in the transaction that records the intent, so that of two orders at once
//! one is refused (ISS-12).

use ca::key_holder::{HolderName, KeyHolder, KeyReuse};
use rusqlite::{Connection, Row};
use status::{CertificateState, RevocationReason};
use x509::import::ImportedCertificate;

use super::certificates::der_place;
use super::columns::{array, column, to_reason, to_state};
use super::group::Act;
use super::seals;
use crate::StoreError;
use crate::key::SubjectKey;
use crate::sealing::{BlindIndex, IndexTag, IndexTerm, Sealer};

/// Refuses a key that is another holder's, that a certificate was revoked for the compromise of, or that
/// is to be new and is not; else what its holder is called in the intent.
pub(super) fn claim(act: &Act<'_>, key: &SubjectKey) -> Result<Claimant, StoreError> {
    let claimant = Claimant::of(act.sealer(), &key.holder);
    let certified = certified(act.connection(), act.sealer(), key)?;
    if certified.iter().any(|one| one.is_compromised) {
        return Err(StoreError::KeyCompromised);
    }
    let intended = intended(act.connection(), key)?;
    if key.reuse == KeyReuse::Never {
        // What is being signed may come to nothing.
        if !certified.is_empty() {
            claimant.must_be(act.connection(), certified.iter().map(|one| one.holder))?;
            return Err(StoreError::KeyUsed);
        }
        if !intended.is_empty() {
            return Err(StoreError::KeyInUse);
        }
    }
    claimant.must_be(act.connection(), certified.iter().map(|one| one.holder))?;
    match claimant.must_be(act.connection(), intended.into_iter()) {
        Err(StoreError::KeyOfAnother | StoreError::KeyOfUnknown) => Err(StoreError::KeyClaimed),
        other => other.map(|()| claimant),
    }
}

/// Who is to get a certificate on the key, as keyed hashes.
pub(super) struct Claimant {
    pub(super) subject: BlindIndex,
    pub(super) person: Option<BlindIndex>,
}

/// Who is known to have one.
#[derive(Clone, Copy)]
struct Known {
    /// `None` where nobody can say any more: its subject's data key is gone, and it came from elsewhere.
    subject: Option<BlindIndex>,
    /// `None` where nobody said.
    person: Option<BlindIndex>,
}

impl Claimant {
    fn of(sealer: &Sealer, holder: &KeyHolder) -> Self {
        let person = holder.person.as_ref().map(|person| tag(sealer, person));
        Self { subject: tag(sealer, &holder.subject), person }
    }

    /// All of them must be this one. Whose a subject is, orders for it say where nobody else did. Two persons
    /// are compared as persons, whatever their subjects are; where one of them is not known, the one must have
    /// a name of the other.
    ///
    /// What orders say of a subject may be said otherwise tomorrow. So it is final only between two persons who
    /// were named themselves, and between two subjects that nobody names a person for.
    fn must_be(
        &self,
        connection: &Connection,
        others: impl Iterator<Item = Known>,
    ) -> Result<(), StoreError> {
        let mine = whose(connection, self.person, Some(self.subject))?;
        let mut unsure = false;
        for other in others {
            let theirs = whose(connection, other.person, other.subject)?;
            let same_subject = other.subject == Some(self.subject);
            let is_same = match (mine, theirs) {
                (Whose::Several, _) | (_, Whose::Several) => false,
                (Whose::One(mine), Whose::One(theirs)) => mine == theirs,
                (Whose::One(mine), Whose::Unknown) => other.subject == Some(mine) || same_subject,
                (Whose::Unknown, Whose::One(theirs)) => self.subject == theirs || same_subject,
                (Whose::Unknown, Whose::Unknown) => same_subject,
            };
            let is_final = matches!((mine, theirs), (Whose::Unknown, Whose::Unknown))
                || (self.person.is_some() && other.person.is_some());
            if !is_same && is_final {
                return Err(StoreError::KeyOfAnother);
            }
            unsure |= !is_same;
        }
        if unsure { Err(StoreError::KeyOfUnknown) } else { Ok(()) }
    }
}

/// Whose a subject is.
#[derive(Clone, Copy)]
enum Whose {
    Unknown,
    One(BlindIndex),
    /// Orders have given it to more than one.
    Several,
}

/// The person who was said, else the one that all orders for the subject are for.
fn whose(
    connection: &Connection,
    person: Option<BlindIndex>,
    subject: Option<BlindIndex>,
) -> Result<Whose, StoreError> {
    if let Some(person) = person {
        return Ok(Whose::One(person));
    }
    let Some(subject) = subject else { return Ok(Whose::Unknown) };
    let bounds: (Option<[u8; 32]>, Option<[u8; 32]>) = connection
        .prepare_cached(
            "SELECT min(person_tag), max(person_tag) FROM intent \
             WHERE holder_tag = ?1 AND person_tag IS NOT NULL AND state <> 'voided'",
        )?
        .query_row([subject.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match bounds {
        (Some(first), Some(last)) if first == last => Whose::One(BlindIndex(first)),
        (None, None) => Whose::Unknown,
        _ => Whose::Several,
    })
}

/// What a holder is called here.
pub(super) fn tag(sealer: &Sealer, name: &HolderName) -> BlindIndex {
    sealer.blind(&IndexTerm::new(IndexTag::KeyHolder, name.as_str()))
}

/// A certificate on the key.
struct Certified {
    holder: Known,
    is_compromised: bool,
}

fn certified(
    connection: &Connection,
    sealer: &Sealer,
    key: &SubjectKey,
) -> Result<Vec<Certified>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT certificate.certificate_id, certificate.data_key, certificate.der, serial.state, \
             serial.reason, intent.holder_tag, \
             coalesce(certificate.person_tag, intent.person_tag) AS person_tag \
         FROM certificate JOIN serial ON serial.row = certificate.serial_row \
         LEFT JOIN intent ON intent.serial_row = certificate.serial_row \
         WHERE certificate.spki_sha256 = ?1",
    )?;
    let mut rows = statement.query([key.spki.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let recorded: Option<[u8; 32]> = column(row, "holder_tag")?;
        let subject = match recorded {
            Some(tag) => Some(BlindIndex(tag)),
            None => subject_of(connection, sealer, row)?,
        };
        let person: Option<[u8; 32]> = column(row, "person_tag")?;
        found.push(Certified {
            holder: Known { subject, person: person.map(BlindIndex) },
            is_compromised: is_compromised(row)?,
        });
    }
    Ok(found)
}

/// The subject of a certificate that no intent names one of: it was taken in, or is older than the column.
fn subject_of(
    connection: &Connection,
    sealer: &Sealer,
    row: &Row<'_>,
) -> Result<Option<BlindIndex>, StoreError> {
    let der: Vec<u8> = column(row, "der")?;
    let der = match column::<Option<i64>>(row, "data_key")? {
        None => Some(der),
        Some(_) => {
            let id: [u8; 16] = array(row, "certificate_id")?;
            seals::open(connection, sealer, der_place(&id), &der)?
        }
    };
    let read = der.and_then(|der| ImportedCertificate::from_der(&der).ok());
    Ok(read.map(|certificate| tag(sealer, &HolderName::in_subject(certificate.subject()))))
}

/// Refuses to release a certificate on a key that was compromised since the certificate was begun.
pub(super) fn must_not_be_compromised(
    connection: &Connection,
    intent: i64,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT serial.state, serial.reason \
         FROM certificate JOIN serial ON serial.row = certificate.serial_row \
         WHERE certificate.spki_sha256 = (SELECT subject_spki FROM intent WHERE row = ?1) \
             AND serial.state = 'revoked'",
    )?;
    let mut rows = statement.query([intent])?;
    while let Some(row) = rows.next()? {
        if is_compromised(row)? {
            return Err(StoreError::KeyCompromisedMeanwhile);
        }
    }
    Ok(())
}

fn is_compromised(row: &Row<'_>) -> Result<bool, StoreError> {
    let revoked = to_state(&column::<String>(row, "state")?)? == Some(CertificateState::Revoked);
    let reason = to_reason(column(row, "reason")?)?;
    let compromise = matches!(
        reason,
        Some(
            RevocationReason::KeyCompromise
                | RevocationReason::CaCompromise
                | RevocationReason::AaCompromise
        )
    );
    Ok(revoked && compromise)
}

/// The holders of open intents on the key: certificates that may come to be.
fn intended(connection: &Connection, key: &SubjectKey) -> Result<Vec<Known>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT holder_tag, person_tag FROM intent \
         WHERE state = 'open' AND subject_spki = ?1 AND holder_tag IS NOT NULL",
    )?;
    let known = statement.query_map([key.spki.as_bytes()], |row| {
        let person: Option<[u8; 32]> = row.get(1)?;
        Ok(Known { subject: Some(BlindIndex(row.get(0)?)), person: person.map(BlindIndex) })
    })?;
    Ok(known.collect::<Result<_, _>>()?)
}
