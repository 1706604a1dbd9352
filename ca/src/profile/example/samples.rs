//! Samples of everything that a book leads to, by the way of an order: admitted, then prepared.
//!
//! One for each profile and each kind of identity that the table has rows of for it, and one for calls without
//! an order. So what they come to changes with whatever decides: profile, table, routine, lists, card family, dated
//! rules, and the program itself.

use std::fmt;
use std::time::Duration;

use x509::certificate::Certificate;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::time::UnixTime;

use super::{ExampleError, Made, ORDERED, example, how_signed, issuer, made, sample_fields};
use crate::admit::{Admitted, Moment, RuleRefusal, admit, admit_direct};
use crate::book::Book;
use crate::carrier::CarrierFamily;
use crate::deployment::Environment;
use crate::eid::{EidHolder, EidState, EidText, KnownEid};
use crate::identity::{IdentityForm, IdentityKindId, Means};
use crate::issuer::Issuer;
use crate::order::{Order, OrderText};
use crate::profile::{EndOf, Profile, ProfileKind, TrustLevel};
use crate::routine::{OrdererRole, ReceiptRule, Routine};
use crate::table::Row;

/// How long the carrier of a sample lives: as long as any may.
const CARRIER_LIFE: Duration = Duration::from_secs(1_826 * 86_400);
/// How long before the sample the eID of its holder begins, where one proves him.
const EID_AGE: Duration = Duration::from_secs(86_400);

/// Which of a profile's samples.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SampleKind {
    /// Of a call without an order, or of a certificate that nobody orders.
    Direct,
    /// Of an order for a person who is identified so.
    Identity(IdentityKindId),
}

impl fmt::Display for SampleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Identity(id) => id.fmt(f),
        }
    }
}

/// What makes the samples of one book.
#[derive(Clone, Debug)]
pub struct Samples {
    book: Book,
}

impl Samples {
    /// The samples of `book`. Nobody signs a statement about a key of theirs, and all are made in environment
    /// test: in a copy of the book that asks for no such statement and keeps no routine to another environment.
    #[must_use]
    pub fn of(book: &Book) -> Self {
        Self { book: book.for_samples() }
    }

    /// The samples that a profile has: of persons those that the table has rows of, of everybody else one.
    #[must_use]
    pub fn kinds(&self, profile: &Profile) -> Vec<SampleKind> {
        let of_row =
            |row: &Row| row.tuple.identity.clone().map_or(SampleKind::Direct, SampleKind::Identity);
        let mut kinds: Vec<_> = self.book.table().rows_of(profile.name()).map(of_row).collect();
        kinds.sort();
        kinds.dedup();
        if kinds.is_empty() || !profile.kind().is_person() {
            return vec![SampleKind::Direct];
        }
        kinds
    }

    /// Makes one: at `at`, or, of a row that does not hold then, at noon of its first day.
    ///
    /// # Errors
    ///
    /// [`ExampleError`]: what is refused, by which rule.
    pub fn make(
        &self,
        profile: &Profile,
        kind: &SampleKind,
        at: UnixTime,
    ) -> Result<Certificate, ExampleError> {
        let of_kind = |row: &&Row| match kind {
            SampleKind::Direct => row.tuple.identity.is_none(),
            SampleKind::Identity(id) => row.tuple.identity.as_ref() == Some(id),
        };
        let rows: Vec<_> = self.book.table().rows_of(profile.name()).filter(of_kind).collect();
        if rows.is_empty() || !profile.kind().is_subscriber() {
            return self.unordered(profile, at);
        }
        let mut refused = None;
        for row in rows {
            let noon = row.days.from.begin().checked_add(Duration::from_secs(43_200));
            for at in std::iter::once(at).chain(noon) {
                match self.by_row(profile, row, at) {
                    Err(ExampleError::Refused(refusal)) => {
                        refused.get_or_insert(refusal);
                    }
                    done => return done,
                }
            }
        }
        Err(refused.map_or(ExampleError::MadeUp, ExampleError::Refused))
    }

    /// Of a profile that has no row: as its own policy, or as nobody's order, has it.
    fn unordered(&self, profile: &Profile, at: UnixTime) -> Result<Certificate, ExampleError> {
        let key_type = quickest(profile.keys()).ok_or(ExampleError::MadeUp)?;
        if !profile.kind().is_subscriber() {
            return example(profile, key_type, at);
        }
        let algorithm = how_signed(profile, key_type);
        let issuer = issuer(profile, algorithm, at)?;
        let admitted = admit_direct(profile, &issuer, &self.book, moment(at))?;
        self.of_call(profile, &issuer, &admitted, (key_type, algorithm))
    }

    fn by_row(
        &self,
        profile: &Profile,
        row: &Row,
        at: UnixTime,
    ) -> Result<Certificate, ExampleError> {
        let family = self.family(row, at);
        let keys = |family: &CarrierFamily| -> Vec<KeyType> {
            profile.keys().iter().copied().filter(|key| family.keys().contains(key)).collect()
        };
        let keys = family.map_or_else(|| profile.keys().to_vec(), keys);
        let key_type = quickest(&keys).ok_or(ExampleError::MadeUp)?;
        let algorithm = how_signed(profile, key_type);
        let issuer = issuer(profile, algorithm, at)?.of_class(row.tuple.issuer.clone());
        let (Some(_), Some(family)) = (&row.tuple.identity, family) else {
            let admitted = admit_direct(profile, &issuer, &self.book, moment(at))?;
            return self.of_call(profile, &issuer, &admitted, (key_type, algorithm));
        };
        let text = self.order(profile, row, family, at).ok_or(ExampleError::MadeUp)?;
        let order = Order::read(&text, &self.book, Environment::Test)?;
        let eid = order.eid.as_ref().and_then(|_| self.eid(row, at));
        let moment = moment(at);
        let admitted = admit(&order, eid.as_ref(), profile, &issuer, &self.book, moment)?;
        let mut fields = sample_fields(profile);
        // What the order says is the order's to say.
        fields.personal_identity_number = None;
        fields.card_number = None;
        fields.organization = None;
        order.fill(&mut fields, profile);
        let (issuer, admitted) = (&issuer, Some(&admitted));
        made(&Made { profile, key_type, algorithm, issuer, fields, at, ends_at: None, admitted })
    }

    fn of_call(
        &self,
        profile: &Profile,
        issuer: &Issuer,
        admitted: &Admitted,
        (key_type, algorithm): (KeyType, SignatureAlgorithm),
    ) -> Result<Certificate, ExampleError> {
        let (fields, at) = (sample_fields(profile), admitted.at());
        let ends_at = match profile.validity().end_of {
            EndOf::Lifetime => None,
            EndOf::Order => at.checked_add(ORDERED),
        };
        let admitted = Some(admitted);
        made(&Made { profile, key_type, algorithm, issuer, fields, at, ends_at, admitted })
    }

    /// The first family of the row's kind of carrier.
    fn family(&self, row: &Row, at: UnixTime) -> Option<&CarrierFamily> {
        let day = moment(at).day();
        let fits = |family: &&CarrierFamily| {
            Some(family.kind()) == row.tuple.carrier
                && family.days().contain(day)
                && row.tuple.level.is_some_and(|level| family.levels().contains(&level))
        };
        self.book.carriers().iter().find(fits)
    }

    /// An order that leads to the row, as its routine wants one.
    fn order(
        &self,
        profile: &Profile,
        row: &Row,
        family: &CarrierFamily,
        at: UnixTime,
    ) -> Option<OrderText> {
        let routine = self.book.routine(row.tuple.routine.as_ref()?.as_str())?;
        let kind = self.book.identity_kind(row.tuple.identity.as_ref()?.as_str())?;
        let method = self.method(routine, row.tuple.level?)?;
        let role = routine.ordered_by.first()?;
        let orderer = if *role == OrdererRole::Holder { "holder" } else { "orderer" };
        let organisation = || ("Sigill Example".to_owned(), "2321000131".to_owned());
        let (number, passport) = match kind.form() {
            IdentityForm::Personnummer => (Some("191212121212".to_owned()), None),
            IdentityForm::Samordningsnummer => (Some("195401812390".to_owned()), None),
            IdentityForm::Passport => {
                let text = |text: &str| text.to_owned();
                (None, Some((text("UTO"), text("L898902C3"), text("1974-08-12"))))
            }
        };
        let receipt = match routine.receipt {
            ReceiptRule::BeforeIssuing => {
                Some((routine.receipt_forms.first()?.to_string(), "ab".repeat(32), at))
            }
            ReceiptRule::AfterIssuing | ReceiptRule::None => None,
        };
        Some(OrderText {
            routine: routine.name.to_string(),
            orderer: (role.to_string(), orderer.to_owned()),
            holder: Some("holder".to_owned()),
            identity_kind: kind.id().to_string(),
            identity_number: number,
            passport,
            proofing: method.0,
            proofing_at: at,
            proofing_by: "prover".to_owned(),
            eid: method.1,
            carrier: family.name().to_string(),
            card_number: family.kind().is_card().then(|| "9752269874512325436".to_owned()),
            device: None,
            carrier_ends: at.checked_add(CARRIER_LIFE),
            user_organisation: organisation(),
            issuing_organisation: Some(organisation()),
            valid_until: match profile.validity().end_of {
                EndOf::Lifetime => None,
                EndOf::Order => at.checked_add(ORDERED),
            },
            approvals: (0..routine.approvals).map(|one| (format!("approver-{one}"), at)).collect(),
            receipt,
            evidence: None,
        })
    }

    /// The first method of the routine that proves enough, and the eID that it names, if it is one.
    fn method(&self, routine: &Routine, level: TrustLevel) -> Option<(String, Option<EidText>)> {
        let methods =
            routine.proofing.iter().filter_map(|id| self.book.proofing_method(id.as_str()));
        let mut methods = methods.filter(|method| method.levels().contains(&level));
        let method = methods.next()?;
        let eid = (method.means() == Means::OwnEid)
            .then(|| EidText::Serial("sigillexamplecav1".to_owned(), "01".to_owned()));
        Some((method.id().to_string(), eid))
    }

    /// An eID as the first row has it by which a holder may prove himself for this one.
    fn eid(&self, row: &Row, at: UnixTime) -> Option<KnownEid> {
        let routine = self.book.routine(row.tuple.routine.as_ref()?.as_str())?;
        let proves = |other: &&Row| {
            let profile = self.book.profiles().by_name(other.tuple.profile.as_str());
            let kind = profile.map(Profile::kind);
            kind == Some(ProfileKind::PersonAuthentication)
                && other.tuple.carrier.is_some_and(|it| routine.eid_carriers.contains(&it))
                && other.tuple.level >= row.tuple.level
        };
        let proof = self.book.table().rows().iter().find(proves)?;
        Some(KnownEid {
            profile: Some(proof.tuple.profile.clone()),
            policy: Some(proof.policy),
            not_before: at.saturating_sub(EID_AGE),
            not_after: at.checked_add(CARRIER_LIFE)?,
            state: EidState::Active,
            since: at.saturating_sub(EID_AGE),
            holder: EidHolder::Same,
        })
    }
}

impl From<RuleRefusal> for ExampleError {
    fn from(refusal: RuleRefusal) -> Self {
        Self::Refused(refusal)
    }
}

const fn moment(now: UnixTime) -> Moment {
    Moment { now, environment: Environment::Test }
}

/// P-256 where it may be, or else the first.
fn quickest(keys: &[KeyType]) -> Option<KeyType> {
    let p256 = keys.iter().find(|key| **key == KeyType::EcP256);
    p256.or_else(|| keys.first()).copied()
}

#[cfg(test)]
mod tests;
