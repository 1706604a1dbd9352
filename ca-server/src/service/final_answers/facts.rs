//! What the final answers say: the status log up to the position of the last CRL, held against that list.

use std::collections::BTreeMap;

use ca::profile::ProfileKind;
use status::presigned::{Said, Wave};
use status::{AfterExpiry, CertificateStatus, Index, ShownRevocation, StatusEntry};
use store::{CertificateLookup, CrlRow, Log};
use x509::certificate::Certificate;
use x509::ocsp::CertStatus;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::{FinalAnswers, differs, finished, refused, unlinted};
use crate::denied::Denied;
use crate::publication::chain;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::service::signing::defect;

/// What is said of one certificate for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Final {
    pub(super) serial: SerialNumber,
    revoked: Option<ShownRevocation>,
    cutoff: Option<UnixTime>,
}

impl Final {
    /// The answer, made at `now`.
    pub(super) fn said(&self, now: UnixTime, this_update: UnixTime) -> Said {
        Said {
            serial: self.serial,
            status: self.status(),
            invalidity_date: self.revoked.and_then(|revoked| revoked.invalidity_date),
            archive_cutoff: self.cutoff,
            produced_at: now,
            this_update: this_update.min(now),
            next_update: UnixTime::LAST,
        }
    }

    fn status(&self) -> CertStatus {
        self.revoked.map_or(CertStatus::Good, |revoked| CertStatus::Revoked {
            at: revoked.time,
            reason: revoked.reason,
        })
    }

    /// Whether an answer of a file says it.
    pub(super) fn is_said_by(&self, said: &Said) -> bool {
        *said
            == Said {
                produced_at: said.produced_at,
                ..self.said(said.produced_at, said.this_update)
            }
    }
}

/// What has no final answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Certificates whose profile says that they are forgotten a week after their end, and that were by the last CRL.
    pub(crate) forgotten: u64,
    /// Delegates of responders that had not ended: nobody asks after them (ocsp-nocheck).
    pub(crate) delegates: u64,
}

/// All that is to be said of an authority, by wave.
pub(super) struct Facts {
    waves: BTreeMap<Wave, Vec<Final>>,
    left: Left,
}

impl Facts {
    pub(super) fn waves(&self) -> impl Iterator<Item = Wave> {
        self.waves.keys().copied()
    }

    /// In the order of their serial numbers.
    pub(super) fn of(&self, wave: Wave) -> &[Final] {
        self.waves.get(&wave).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn answers(&self) -> u64 {
        self.waves.values().map(|all| u64::try_from(all.len()).unwrap_or(u64::MAX)).sum()
    }

    pub(super) fn answers_of(&self, waves: &[Wave]) -> u64 {
        let count = |wave: &Wave| u64::try_from(self.of(*wave).len()).unwrap_or(u64::MAX);
        waves.iter().map(count).sum()
    }

    pub(super) fn counted(&self) -> FinalAnswers {
        let revoked = self.waves.values().flatten().filter(|one| one.revoked.is_some()).count();
        let revoked = u64::try_from(revoked).unwrap_or(u64::MAX);
        FinalAnswers {
            good: self.answers().saturating_sub(revoked),
            revoked,
            left: self.left,
            ..FinalAnswers::default()
        }
    }

    /// Promise 1: one answer of each shape is linted before any is signed.
    pub(super) fn lint(
        &self,
        authority: &Authority,
        signer: &Certificate,
        this_update: UnixTime,
    ) -> Result<(), Denied> {
        let shape = |one: &Final| {
            let revoked = one.revoked;
            let reason = revoked.map(|revoked| revoked.reason);
            (reason, revoked.is_some_and(|one| one.invalidity_date.is_some()), one.cutoff.is_some())
        };
        let mut shapes = Vec::new();
        for one in self.waves.values().flatten() {
            if shapes.contains(&shape(one)) {
                continue;
            }
            shapes.push(shape(one));
            let said = one.said(signer.validity().not_before().max(this_update), this_update);
            let der = finished(&said, authority, signer)
                .ok_or_else(|| defect("a final answer that cannot be encoded"))?;
            lint::ocsp_response(&der, authority.certificate.as_der())
                .into_result()
                .map_err(|findings| unlinted(authority, &findings))?;
        }
        Ok(())
    }
}

impl Service {
    /// Reads the log up to where the last CRL stands.
    ///
    /// # Errors
    ///
    /// `final-answers-differ`, `final-answers-refused`, storage errors.
    pub(super) fn read_facts(&self, authority: &Authority, last: &CrlRow) -> Result<Facts, Denied> {
        let index = self.index_of_last(authority, last)?;
        let named = self.authorities.values().filter(|one| one.id == authority.id);
        let since = named.map(|one| one.certificate.validity().not_before()).min();
        let listed = self.listed_last(authority, last)?;
        let mut facts = Facts { waves: BTreeMap::new(), left: Left::default() };
        let mut seen = 0_usize;
        let issuer = index.issuer(&authority.id);
        for (serial, status) in issuer.into_iter().flat_map(|issuer| index.certificates(issuer)) {
            self.compared(authority, last, &listed, (serial, &status), &mut seen)?;
            if !status.has_ended_at(last.this_update) && self.is_delegate(authority, serial)? {
                facts.left.delegates = facts.left.delegates.saturating_add(1);
            } else if !status.has_ended_at(self.clock().read().now) {
                let seen = format!("serial {serial} has not ended");
                return Err(refused(
                    authority,
                    &seen,
                    "run it again when its certificate has expired",
                ));
            } else if status.forgotten_from().is_some_and(|from| last.this_update >= from) {
                facts.left.forgotten = facts.left.forgotten.saturating_add(1);
            } else {
                let is_kept = status.classes.after_expiry == AfterExpiry::Kept;
                let cutoff = since.filter(|_| is_kept);
                let one = Final { serial, revoked: status.revocation(), cutoff };
                facts.waves.entry(Wave::of(&serial)).or_default().push(one);
            }
        }
        if seen != listed.len() {
            let seen =
                format!("{} entries of its last CRL, {seen} of them in the log", listed.len());
            return Err(differs(authority, &seen));
        }
        facts.waves.values_mut().for_each(|all| all.sort_unstable_by_key(|one| one.serial));
        Ok(facts)
    }

    fn index_of_last(&self, authority: &Authority, last: &CrlRow) -> Result<Index, Denied> {
        let position = last
            .position
            .ok_or_else(|| differs(authority, "its last CRL rests on no position of the log"))?;
        let mut index = Index::new(position.epoch);
        while index.next().index < position.index {
            let range = index.next().index..position.index;
            let entries = self
                .store()
                .log_entries(Log::Status, position.epoch, range)
                .map_err(|error| self.note_storage(&error))?;
            if entries.is_empty() {
                return Err(differs(authority, "the log ends before the position of its last CRL"));
            }
            for entry in entries {
                let decoded = StatusEntry::decode(&entry.bytes);
                let decoded = decoded.map_err(|error| differs(authority, &chain(&error)))?;
                index
                    .apply(index.next(), &decoded)
                    .map_err(|error| differs(authority, &chain(&error)))?;
            }
        }
        Ok(index)
    }

    /// What the last CRL lists.
    fn listed_last(
        &self,
        authority: &Authority,
        last: &CrlRow,
    ) -> Result<Vec<(SerialNumber, ShownRevocation)>, Denied> {
        let reader = self.full_list(authority, last.sha256).map_err(|error| {
            differs(authority, &format!("its last CRL cannot be read: {error}"))
        })?;
        let mut listed = Vec::new();
        for entry in reader {
            let entry = entry.map_err(|error| differs(authority, &chain(&error)))?;
            let shown = ShownRevocation {
                time: entry.revocation_date,
                reason: entry.reason,
                invalidity_date: entry.invalidity_date,
            };
            listed.push((entry.serial, shown));
        }
        listed.sort_unstable_by_key(|(serial, _)| *serial);
        Ok(listed)
    }

    /// REV-08: what the list says of a certificate, the log says too; and the list lacks nobody who is revoked and had not expired.
    fn compared(
        &self,
        authority: &Authority,
        last: &CrlRow,
        listed: &[(SerialNumber, ShownRevocation)],
        (serial, status): (SerialNumber, &CertificateStatus),
        seen: &mut usize,
    ) -> Result<(), Denied> {
        let place = listed.binary_search_by_key(&serial, |(serial, _)| *serial).ok();
        let on_list = place.and_then(|place| listed.get(place)).map(|(_, entry)| *entry);
        let in_log = status.revocation();
        let is_wanted = in_log.is_some() && status.not_after >= last.this_update;
        match on_list {
            Some(_) if on_list == in_log => {
                *seen = seen.saturating_add(1);
                Ok(())
            }
            None if !is_wanted => Ok(()),
            _ => {
                let said =
                    format!("serial {serial}: the log says {in_log:?}, the list {on_list:?}");
                Err(differs(authority, &said))
            }
        }
    }

    fn is_delegate(&self, authority: &Authority, serial: SerialNumber) -> Result<bool, Denied> {
        let found = self
            .store()
            .certificate(&CertificateLookup::Serial(authority.id, serial))
            .map_err(|error| self.note_storage(&error))?;
        let profile = found.and_then(|record| record.row.profile);
        let profile = profile.and_then(|one| self.book.profiles().by_name(&one.name));
        Ok(profile.is_some_and(|profile| profile.kind() == ProfileKind::OcspResponder))
    }
}
