//! Search as administrators do it: by a person's number, by the end of an HSA-id, or by the number of a card (the portal's three fields).
//!
//! What is looked for stands in the database as keyed hashes alone (docs/formats/sealed-fields.md). Of an HSA-id the last three characters
//! are one; of those that share them, the sealed fields of the holder say whose end is longer.

use std::collections::BTreeMap;

use ca::identity::bare_number;
use ca::key_holder::HolderName;
use ca::refusal::Refusal;
use serde_json::Value;
use store::{BoundTo, CertificateLookup, EidFilter, EidRow, IndexTag, IndexTerm};

use super::Service;
use super::caller::Caller;
use super::reads::Found;
use crate::denied::{Denied, Kind};

/// eIDs of a page unless the caller asks for fewer, and at most.
const PAGE: u32 = 100;
/// The fewest characters of an end, and as many as are indexed.
const END: usize = 3;
/// Characters of an HSA-id.
const HSA_ID_LIMIT: usize = 31;
/// Pages of the store that one page of the answer may come from: a client of one organisation passes over the eIDs of others. Where the list
/// goes on is looked for in what is left of them.
const LOOKS: usize = 50;

/// The indexed end of an HSA-id, which is ASCII; all of a shorter one.
pub(super) fn end_of(id: &str) -> &str {
    id.len().checked_sub(END).and_then(|from| id.get(from..)).unwrap_or(id)
}

/// What is looked for.
enum Wanted {
    Person(HolderName),
    Card(IndexTerm),
    /// In lower case.
    HsaIdEnd(String),
}

impl Wanted {
    const fn name(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Card(_) => "card-number",
            Self::HsaIdEnd(_) => "hsa-id-end",
        }
    }
}

impl Service {
    /// eIDs that one of the three fields leads to, of those that the caller sees, oldest first. A page may have fewer than were asked for;
    /// the list ends where there is no `next`.
    pub(crate) fn search(&self, caller: &Caller, search: &api::EidSearch) -> Result<Found, Denied> {
        caller.must_read()?;
        let wanted = wanted(search)?;
        let limit = search.limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", "1 to 100"));
        }
        let after = search.cursor.as_deref().map(str::parse::<u64>).transpose();
        let mut after = after.map_err(|_| malformed("cursor", "`next` of a page"))?;
        let organisation = match search.organisation.as_deref() {
            Some(number) => self.listed_organisation(caller, Some(number))?,
            None => None,
        };
        let protected = caller.protected();
        let mut filter = EidFilter { organisation, protected, ..EidFilter::default() };
        match &wanted {
            Wanted::Person(holder) => filter.holder = Some(holder.clone()),
            Wanted::Card(number) => filter.mark = Some(number.clone()),
            Wanted::HsaIdEnd(end) => {
                filter.term = Some(IndexTerm::new(IndexTag::HsaIdEnd, end_of(end)));
            }
        }
        let mut own = BTreeMap::new();
        let mut found = Vec::new();
        // Where the list goes on, and whether with an eID that the caller sees: that others are there is not told.
        let (mut on, mut goes_on) = (None, false);
        for _ in 0..LOOKS {
            let fills = found.is_empty();
            let page = self.store().eids(&filter, after, if fills { limit } else { PAGE });
            let page = page.map_err(|e| self.note_storage(&e))?;
            for row in page.rows {
                if !self.is_found(caller, &wanted, &row, &mut own)? {
                    continue;
                }
                if !fills {
                    goes_on = true;
                    break;
                }
                found.push(row);
            }
            after = page.next;
            if fills {
                on = after;
            }
            if after.is_none() || goes_on {
                break;
            }
        }
        let items = found.iter().map(|row| self.shown_eid(row)).collect::<Result<_, _>>()?;
        let next = if goes_on { on } else { after };
        let page = api::Page { items, next: next.map(|next| next.to_string()) };
        Ok(Found { page, by: wanted.name() })
    }

    /// Whether an eID is one of the caller's and of those that are looked for. `own` keeps what is known of organisations.
    fn is_found(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        row: &EidRow,
        own: &mut BTreeMap<String, bool>,
    ) -> Result<bool, Denied> {
        let seen = match own.get(&row.organisation) {
            Some(seen) => *seen,
            None => {
                let seen = self.is_of(caller, &row.organisation)?;
                own.insert(row.organisation.clone(), seen);
                seen
            }
        };
        Ok(seen && self.has_end(row, wanted)?)
    }

    /// Whether an eID has a certificate whose HSA-id ends so, where that is asked for.
    fn has_end(&self, row: &EidRow, wanted: &Wanted) -> Result<bool, Denied> {
        let Wanted::HsaIdEnd(end) = wanted else { return Ok(true) };
        if end.len() <= END {
            return Ok(true);
        }
        for (_, certificate) in self.bound(BoundTo::Eid(row.id))? {
            let lookup = CertificateLookup::Id(certificate.id);
            let record = self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
            let holder = record.and_then(|record| record.holder).unwrap_or_default();
            let holder: Value = serde_json::from_slice(&holder).unwrap_or_default();
            let id = holder.get("hsa_id").and_then(Value::as_str).unwrap_or_default();
            if id.to_lowercase().ends_with(end) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Reads the one field that is given. What is refused is not repeated: it may be somebody's.
fn wanted(search: &api::EidSearch) -> Result<Wanted, Denied> {
    let all = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|octet| octet.is_ascii_digit())
    };
    match (&search.person, &search.hsa_id_end, &search.card_number) {
        (Some(text), None, None) => {
            let number = bare_number(text);
            if !all(&number, 12) {
                return Err(malformed("person", "12 digits, such as 19121212-1212"));
            }
            Ok(Wanted::Person(HolderName::number(&number)))
        }
        (None, Some(text), None) => {
            let end = text.trim().to_lowercase();
            let fits = (END..=HSA_ID_LIMIT).contains(&end.len());
            if !fits || !end.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(malformed("hsa_id_end", "3 to 31 ASCII characters"));
            }
            Ok(Wanted::HsaIdEnd(end))
        }
        (None, None, Some(text)) => {
            let number = bare_number(text);
            if !all(&number, 19) {
                return Err(malformed("card_number", "19 digits"));
            }
            Ok(Wanted::Card(IndexTerm::new(IndexTag::CardNumber, &number)))
        }
        _ => Err(malformed("fields", "one of person, hsa_id_end, card_number")),
    }
}

fn malformed(field: &'static str, limit: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "query-malformed",
            "a search is by a person's number, the end of an HSA-id or the number of a card",
            &field,
            limit,
            "correct the body",
        ),
    )
}

#[cfg(test)]
mod tests {
    use ca::audit::EventCode;
    use ca::operation::Operation;
    use serde_json::json;

    use super::*;
    use crate::service::reads::ReadCall;
    use crate::service::testing::World;

    fn search(fields: &Value) -> api::EidSearch {
        serde_json::from_value(fields.clone()).unwrap()
    }

    #[test]
    fn an_end_is_three_characters_of_what_is_longer() {
        assert_eq!(end_of("TST2321000016-1002"), "002");
        assert_eq!(end_of("X1"), "X1");
        assert_eq!(end_of(""), "");
    }

    /// API-11: a search is by one field, and what is refused stands in no answer.
    #[test]
    fn a_search_that_is_none_is_refused_and_not_repeated() {
        let world = World::new();
        let caller = world.caller();
        for fields in [
            json!({}),
            json!({ "person": "191212121212", "card_number": "9752269874512325436" }),
            json!({ "person": "1212121212" }),
            json!({ "person": "19121212121A" }),
            json!({ "hsa_id_end": "02" }),
            json!({ "hsa_id_end": "å02" }),
            json!({ "hsa_id_end": "TST2321000016-100200000000000000" }),
            json!({ "card_number": "975226987451232543" }),
            json!({ "person": "191212121212", "limit": 101 }),
            json!({ "person": "191212121212", "limit": 0 }),
            json!({ "person": "191212121212", "cursor": "191212121212" .repeat(3) }),
        ] {
            let denied = world.service.search(&caller, &search(&fields)).unwrap_err();

            assert_eq!((denied.kind, denied.refusal.code), (Kind::Malformed, "query-malformed"));
            let said = format!("{denied:?}").replace("19121212-1212", "an example");
            for part in ["1912", "1212", "0000", "45123"] {
                assert!(!said.contains(part), "{fields}: {said}");
            }
        }
        let blind = Caller { read: false, ..world.caller() };
        let fields = json!({ "person": "19121212-1212" });
        let denied = world.service.search(&blind, &search(&fields)).unwrap_err();
        assert_eq!(denied.kind, Kind::Forbidden);
        // Nobody was shown to anybody.
        let call = ReadCall { id: "call", operation: Operation::SearchEids };
        let found =
            world.service.reading(&caller, call, |one| one.search(&caller, &search(&fields)));
        let page = found.unwrap().page;
        assert_eq!((page.items.len(), page.next), (0, None));
        assert_eq!(world.leaves(EventCode::SealedRead), 0);
    }
}
