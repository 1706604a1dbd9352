//! What is shown of persons, and to whom (AUD-06): written down before it is shown, and told again by the person.
//!
//! Every answer of a reading call says by its type what it shows ([`Shows`]); what does not say it does not compile. Where the record cannot be
//! written the answer is refused: nobody is shown anybody unseen.

use std::collections::HashMap;

use ca::audit::{AuditLeaf, EventCode, EventResult, ObjectId, ObjectIds};
use ca::identity::{Identity, PassportIdentity, bare_number};
use ca::key_holder::HolderName;
use ca::operation::Operation;
use ca::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use status::Position;
use store::{
    IdError, IndexTag, IndexTerm, ReadRow, Reader, ReadsWanted, Shown, ShownId, StoreError, Subject,
};
use x509::time::UnixTime;

use super::Service;
use super::caller::Caller;
use super::record::{call_of, client};
use super::signing::defect;
use crate::denied::{Denied, Kind};

/// Reads of a page unless the caller asks for fewer, and at most.
const PAGE: u32 = 100;
/// Digits of a person's number.
const DIGITS: usize = 12;

/// A call that reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadCall<'a> {
    /// The id by which log and audit speak of it.
    pub(crate) id: &'a str,
    /// What it asks for.
    pub(crate) operation: Operation,
}

/// An answer that says what it shows.
pub(crate) trait Shows {
    /// What of it may be a person's. What follows from a thing that is named need not be named beside it: the certificates of an eID.
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError>;

    /// Of a search: by what it was.
    fn by(&self) -> Option<&'static str> {
        None
    }
}

/// Answers that show nothing of a person.
macro_rules! nobodys {
    ($($answer:ty),* $(,)?) => {
        $(impl Shows for $answer {
            fn shows(&self, _shown: &mut Vec<Shown>) -> Result<(), IdError> {
                Ok(())
            }
        })*
    };
}

nobodys!(
    api::Authority,
    api::CrlShard,
    api::Domain,
    api::Job,
    api::LimitStanding,
    api::ObservationsTaken,
    api::Organisation,
    api::ProbeWork,
    api::Receipts,
    api::TrialRevocations,
);

impl<T: Shows> Shows for api::Page<T> {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        self.items.iter().try_for_each(|one| one.shows(shown))
    }
}

impl Shows for api::Certificate {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        shown.push(Shown::Certificate(self.id.parse()?));
        Ok(())
    }
}

impl Shows for api::Eid {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        shown.push(Shown::Eid(self.id.parse()?));
        Ok(())
    }
}

impl Shows for api::Carrier {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        self.eids.iter().try_for_each(|eid| eid.shows(shown))
    }
}

impl Shows for api::ScheduledRevocation {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        if let Some(id) = &self.certificate {
            shown.push(Shown::Certificate(id.parse()?));
        }
        for id in self.eid.iter().chain(&self.holder_of) {
            shown.push(Shown::Eid(id.parse()?));
        }
        Ok(())
    }
}

impl Shows for api::Diagnosis {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        for one in &self.certificates {
            shown.push(Shown::Certificate(one.id.parse()?));
        }
        Ok(())
    }
}

impl Shows for api::EidOrder {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        shown.push(Shown::Order(self.id.parse()?));
        self.certificates.iter().try_for_each(|one| one.shows(shown))
    }
}

impl Shows for api::JobItem {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        if let Some(id) = &self.certificate {
            shown.push(Shown::Certificate(id.parse()?));
        }
        Ok(())
    }
}

impl Shows for api::ReplayPage {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        for one in &self.items {
            shown.push(Shown::Certificate(one.certificate.parse()?));
        }
        Ok(())
    }
}

/// eIDs, and by what they were found.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Found {
    pub(super) page: api::Page<api::Eid>,
    #[serde(skip)]
    pub(super) by: &'static str,
}

impl Shows for Found {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        self.page.shows(shown)
    }

    fn by(&self) -> Option<&'static str> {
        Some(self.by)
    }
}

/// Rows about persons by name, each with who it is; nobody knows that of one who was forgotten.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Persons<T> {
    pub(super) page: api::Page<T>,
    #[serde(skip)]
    pub(super) holders: Vec<HolderName>,
}

impl Shows for Persons<api::ProtectedPerson> {
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        shown.extend(self.holders.iter().cloned().map(Shown::Person));
        self.page.items.iter().flat_map(|one| &one.eids).try_for_each(|eid| eid.shows(shown))
    }
}

impl Shows for Persons<api::PersonRead> {
    /// Who was shown him is shown of him.
    fn shows(&self, shown: &mut Vec<Shown>) -> Result<(), IdError> {
        if !self.page.items.is_empty() {
            shown.extend(self.holders.iter().cloned().map(Shown::Person));
        }
        Ok(())
    }
}

/// What the payload of a read's leaf says. It names no person: who was shown follows from the ids, who signed from the leaf of the statement.
#[derive(Serialize, Deserialize)]
struct Noted {
    call: String,
    client: String,
    operation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The position of the leaf of the statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    /// Ids of what was shown.
    shown: Vec<String>,
    /// How many persons were shown by name.
    persons: usize,
}

/// Who signed for a call, as its leaf says.
#[derive(Clone, Default, Deserialize)]
struct Signed {
    administrator: Option<String>,
    role: Option<String>,
    organisation: Option<String>,
}

impl Service {
    /// What `work` shows, once it stands in the audit log that it is shown.
    ///
    /// # Errors
    ///
    /// Those of `work`, and those of the storage: what cannot be written down is not shown.
    pub(crate) fn reading<T: Shows>(
        &self,
        caller: &Caller,
        call: ReadCall<'_>,
        work: impl FnOnce(&Self) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        let answer = work(self)?;
        let mut shown = Vec::new();
        answer.shows(&mut shown).map_err(|_| defect("an answer with an id that is none"))?;
        if !shown.is_empty() {
            self.note_shown(caller, call, &shown, answer.by())?;
        }
        Ok(answer)
    }

    fn note_shown(
        &self,
        caller: &Caller,
        call: ReadCall<'_>,
        shown: &[Shown],
        by: Option<&str>,
    ) -> Result<(), Denied> {
        let ids: Vec<String> = shown.iter().filter_map(id_of).collect();
        let noted = Noted {
            call: call.id.to_owned(),
            client: caller.name.clone(),
            operation: call.operation.id().to_owned(),
            by: by.map(str::to_owned),
            statement: caller.acting.as_ref().map(|acting| acting.stated.to_string()),
            persons: shown.len().saturating_sub(ids.len()),
            shown: ids,
        };
        let objects = shown.iter().filter_map(object_of);
        let record = Self::record(
            EventCode::SealedRead,
            EventResult::Done,
            client(&caller.name),
            ObjectIds::first_of([call_of(call.id)].into_iter().chain(objects)),
            None,
            &json!(noted),
            Subject::Deployment,
        );
        let now = self.clock().read().now;
        let reader =
            Reader { client: caller.name.clone(), most: self.read_limits.of(&caller.name) };
        let recorded = self.store().record_read(shown, &reader, &record, now);
        recorded.map(drop).map_err(|error| self.unshown(&caller.name, &error, now))
    }

    /// An answer that the store did not take. Somebody hears of a client that wants to be shown more persons than it may.
    fn unshown(&self, client: &str, error: &StoreError, now: UnixTime) -> Denied {
        let denied = self.note_storage(error);
        let StoreError::ReadsSpent { per_hour, ends } = *error else { return denied };
        metrics::counter!("sigill_reads_stopped_total").increment(1);
        if self.reads_told.is_first(client, ends) {
            tracing::error!(
                problem.code = error.code(),
                client.name = client,
                shown = per_hour,
                "a client has been shown in this hour all of persons that it may, and wants to go on: find out whether it is itself"
            );
        }
        denied.retry_after(ends.since(now))
    }

    /// Who was shown what of a person, newest first.
    ///
    /// # Errors
    ///
    /// A caller that does not reach everywhere, or that nobody signed for and that is no operator; a question that names not exactly one person.
    pub(crate) fn reads_of(
        &self,
        caller: &Caller,
        search: &api::ReadSearch,
    ) -> Result<Persons<api::PersonRead>, Denied> {
        let act = "see who was shown a person";
        caller.must_read_all(act)?;
        if caller.acting.is_none() {
            caller.must_operate(act)?;
        }
        let (holder, number) = self.person_of(search)?;
        let limit = search.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", "1 to 100"));
        }
        let before = search.cursor.as_deref().map(str::parse::<Position>).transpose();
        let before = before.map_err(|_| malformed("cursor", "`next` of a page"))?;
        let wanted = ReadsWanted { holder: holder.clone(), number, protected: caller.protected() };
        let rows = self.store().reads_of(&wanted, before, limit);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| full).map(|last| last.position.to_string());
        let mut signed = HashMap::new();
        let items: Result<Vec<_>, _> =
            rows.iter().map(|row| self.told_read(row, &mut signed)).collect();
        Ok(Persons { page: api::Page { items: items?, next }, holders: vec![holder] })
    }

    fn person_of(
        &self,
        search: &api::ReadSearch,
    ) -> Result<(HolderName, Option<IndexTerm>), Denied> {
        match (&search.person, &search.passport) {
            (Some(text), None) => {
                let number = bare_number(text);
                if number.len() != DIGITS || !number.bytes().all(|octet| octet.is_ascii_digit()) {
                    return Err(malformed("person", "12 digits, such as 19121212-1212"));
                }
                let term = IndexTerm::new(IndexTag::PersonalNumber, &number);
                Ok((HolderName::number(&number), Some(term)))
            }
            (None, Some(given)) => {
                let environment = self.deployment.environment();
                let (state, number) = (&given.state, &given.number);
                let read = PassportIdentity::parse(state, number, &given.birth_date, environment);
                // What a state and a number may be no schema says.
                let read = read.map_err(|_| Denied {
                    kind: Kind::Rule,
                    ..malformed("passport", "state, number and day of birth")
                })?;
                Ok((HolderName::of_identity(&Identity::Passport(read)), None))
            }
            _ => Err(malformed("fields", "one of person and passport")),
        }
    }

    /// A read as it is told. `signed` keeps what is known of statements.
    fn told_read(
        &self,
        row: &ReadRow,
        signed: &mut HashMap<Position, Signed>,
    ) -> Result<api::PersonRead, Denied> {
        let unreadable = || defect("a leaf of a read that does not read back");
        let leaf = AuditLeaf::decode(&row.leaf).map_err(|_| unreadable())?;
        let payload = self.store().audit_payload(row.position);
        let payload = payload.map_err(|e| self.note_storage(&e))?.ok_or_else(unreadable)?;
        let noted: Noted = serde_json::from_slice(&payload).map_err(|_| unreadable())?;
        let statement = noted.statement.as_deref().map(str::parse::<Position>).transpose();
        let by = match statement.map_err(|_| unreadable())? {
            Some(position) => self.stated_at(position, signed)?,
            None => Signed::default(),
        };
        Ok(api::PersonRead {
            at: leaf.time.to_string(),
            position: row.position.to_string(),
            call: noted.call,
            client: noted.client,
            operation: noted.operation,
            by: noted.by,
            administrator: by.administrator,
            role: by.role,
            organisation: by.organisation,
            shown: row.shown.iter().map(word_of).collect(),
        })
    }

    /// Who signed, by the leaf of the statement; nobody knows once he has been forgotten.
    fn stated_at(
        &self,
        position: Position,
        known: &mut HashMap<Position, Signed>,
    ) -> Result<Signed, Denied> {
        if let Some(signed) = known.get(&position) {
            return Ok(signed.clone());
        }
        let payload = self.store().audit_payload(position).map_err(|e| self.note_storage(&e))?;
        let signed = match payload {
            Some(payload) => serde_json::from_slice::<Value>(&payload)
                .and_then(serde_json::from_value::<Signed>)
                .map_err(|_| defect("a leaf of a statement that does not read back"))?,
            None => Signed::default(),
        };
        known.insert(position, signed.clone());
        Ok(signed)
    }
}

fn id_of(shown: &Shown) -> Option<String> {
    match shown {
        Shown::Certificate(id) => Some(id.to_string()),
        Shown::Eid(id) => Some(id.to_string()),
        Shown::Order(id) => Some(id.to_string()),
        Shown::Person(_) => None,
    }
}

fn object_of(shown: &Shown) -> Option<ObjectId> {
    match shown {
        Shown::Certificate(id) => Some(ObjectId::Certificate(*id.as_bytes())),
        Shown::Eid(id) => Some(ObjectId::Eid(*id.as_bytes())),
        Shown::Order(id) => Some(ObjectId::Order(*id.as_bytes())),
        Shown::Person(_) => None,
    }
}

fn word_of(shown: &ShownId) -> String {
    match shown {
        ShownId::Certificate(id) => id.to_string(),
        ShownId::Eid(id) => id.to_string(),
        ShownId::Order(id) => id.to_string(),
        ShownId::Person => "person".to_owned(),
    }
}

/// What was sent is not repeated: it is somebody's.
fn malformed(field: &'static str, limit: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "query-malformed",
            "reads are asked for by one person: a number or a passport",
            &field,
            limit,
            "correct the body",
        ),
    )
}

#[cfg(test)]
mod tests;
