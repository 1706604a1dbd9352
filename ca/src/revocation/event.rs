//! What has happened, in the words of those who ask for a revocation, and what follows from it (REV-05).
//!
//! People know that a card was stolen; which code of RFC 5280 that is, what else must be revoked with it, and
//! whether a suspension is enough, stands here once. Reasons follow the practice for public certificates
//! (Mozilla Root Store Policy 6.1.1; CA/B Baseline Requirements 7.2.2): keyCompromise wherever somebody else may
//! be able to use the key, affiliationChanged where name or employment changed, superseded where something
//! took its place or it never was what it should be, privilegeWithdrawn where its holder broke the terms.

use status::RevocationReason;

use super::{RevocationWish, Revoker};
use crate::profile::ProfileKind;
use crate::refusal::Refusal;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BusinessEvent {
    /// The carrier is lost.
    Lost,
    /// The carrier was stolen.
    Stolen,
    /// The carrier is not to be found just now.
    Mislaid,
    /// Somebody else knows the PIN.
    PinDisclosed,
    /// The carrier does not work any more.
    Damaged,
    /// Another carrier has taken its place.
    Replaced,
    /// Another eID has taken its place on the same carrier.
    Updated,
    /// The holder has another name.
    NameChanged,
    /// The holder has left the organisation.
    EmploymentEnded,
    /// The holder is dead.
    Deceased,
    /// The holder does not want it any more.
    NotWanted,
    /// Somebody else than the holder got it.
    IssuedToAnother,
    /// It says something wrong, or was issued against a rule.
    WronglyIssued,
    /// The holder broke the terms.
    TermsBroken,
    /// The organisation has left.
    OrganisationEnded,
    /// The holder did not fetch it in time.
    Unclaimed,
    /// The carrier was not activated in time.
    NotActivated,
    /// Somebody else may have the key of a function.
    KeyExposed,
    /// A function is no longer in service.
    FunctionRetired,
    /// A function has a newer certificate.
    FunctionRenewed,
    /// The organisation no longer has the domain.
    DomainLost,
    /// Such keys are known to be weak.
    WeakKey,
}

/// How far an event reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// One certificate.
    Certificate,
    /// The certificates of one eID.
    Eid,
    /// Every eID on one carrier, those of other organisations too.
    Carrier,
    /// Every eID that a holder has in one organisation, on whatever carrier.
    HolderInOrganisation,
    /// Every eID of a holder.
    Holder,
    /// Everything of an organisation and of what lies under it.
    Organisation,
}

/// Whose certificates an event can happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subjects {
    /// Persons'.
    Persons,
    /// Persons', and those of blank cards.
    Carriers,
    /// Functions' and machines'.
    Functions,
    /// All of these.
    All,
}

/// Who may say that an event has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The holder himself.
    Holder,
    /// Who revokes for the organisation: *Spärr*, *Handläggare*, and above.
    Organisation,
    /// Who revokes everywhere: *Global Spärr*.
    Global,
    /// *Ansvarig utgivare*.
    ResponsibleIssuer,
    /// An operator of the PKI.
    Operator,
    /// The CA, by a rule.
    Program,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRule {
    /// Its name in the API.
    pub name: &'static str,
    /// As card administrators read it.
    pub swedish: &'static str,
    /// What is done.
    pub wish: RevocationWish,
    /// To how much.
    pub reach: Reach,
    /// To whose certificates it can happen.
    pub of: Subjects,
    /// Who may say so. An operator always may, for the others.
    pub by: &'static [Party],
}

const HOLDERS: &[Party] = &[Party::Holder, Party::Organisation, Party::Global];
const ADMINISTRATORS: &[Party] = &[Party::Organisation, Party::Global];
const SUCCESSIONS: &[Party] = &[Party::Organisation, Party::Program];
const ISSUERS: &[Party] = &[Party::ResponsibleIssuer, Party::Operator];

impl BusinessEvent {
    /// Every event.
    pub const ALL: [Self; 22] = [
        Self::Lost,
        Self::Stolen,
        Self::Mislaid,
        Self::PinDisclosed,
        Self::Damaged,
        Self::Replaced,
        Self::Updated,
        Self::NameChanged,
        Self::EmploymentEnded,
        Self::Deceased,
        Self::NotWanted,
        Self::IssuedToAnother,
        Self::WronglyIssued,
        Self::TermsBroken,
        Self::OrganisationEnded,
        Self::Unclaimed,
        Self::NotActivated,
        Self::KeyExposed,
        Self::FunctionRetired,
        Self::FunctionRenewed,
        Self::DomainLost,
        Self::WeakKey,
    ];

    /// The event of a name in the API.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.rule().name == name)
    }

    /// What follows from it.
    #[must_use]
    pub const fn rule(self) -> EventRule {
        use RevocationReason::{
            AffiliationChanged, CessationOfOperation, KeyCompromise, PrivilegeWithdrawn, Superseded,
        };
        use Subjects::{All, Carriers, Functions, Persons};

        match self {
            Self::Lost => {
                rule("lost", "Förlorad", KeyCompromise, Reach::Carrier, Carriers, HOLDERS)
            }
            Self::Stolen => {
                rule("stolen", "Stulen", KeyCompromise, Reach::Carrier, Carriers, HOLDERS)
            }
            Self::Mislaid => EventRule {
                wish: RevocationWish::Hold,
                ..rule(
                    "mislaid",
                    "Borta för tillfället",
                    Superseded,
                    Reach::Carrier,
                    Persons,
                    HOLDERS,
                )
            },
            Self::PinDisclosed => rule(
                "pin-disclosed",
                "Röjd pinkod",
                KeyCompromise,
                Reach::Carrier,
                Persons,
                HOLDERS,
            ),
            Self::Damaged => {
                rule("damaged", "Trasig", CessationOfOperation, Reach::Carrier, Carriers, HOLDERS)
            }
            Self::Replaced => {
                rule("replaced", "Ersatt", Superseded, Reach::Carrier, Persons, SUCCESSIONS)
            }
            Self::Updated => rule(
                "updated",
                "Uppdaterat SITHS eID",
                Superseded,
                Reach::Eid,
                Persons,
                SUCCESSIONS,
            ),
            Self::NameChanged => rule(
                "name-changed",
                "Namnbyte",
                AffiliationChanged,
                Reach::Eid,
                Persons,
                SUCCESSIONS,
            ),
            Self::EmploymentEnded => rule(
                "employment-ended",
                "Avslutad anställning",
                AffiliationChanged,
                Reach::HolderInOrganisation,
                Persons,
                ADMINISTRATORS,
            ),
            Self::Deceased => rule(
                "deceased",
                "Avliden",
                CessationOfOperation,
                Reach::Holder,
                Persons,
                ADMINISTRATORS,
            ),
            Self::NotWanted => {
                let of = Reach::Eid;
                rule("not-wanted", "Eget önskemål", CessationOfOperation, of, Persons, HOLDERS)
            }
            Self::IssuedToAnother => rule(
                "issued-to-another",
                "Utlämnad till fel person",
                KeyCompromise,
                Reach::Carrier,
                Persons,
                ADMINISTRATORS,
            ),
            Self::WronglyIssued => rule(
                "wrongly-issued",
                "Felaktigt utfärdad",
                Superseded,
                Reach::Eid,
                All,
                ADMINISTRATORS,
            ),
            Self::TermsBroken => rule(
                "terms-broken",
                "Brott mot villkoren",
                PrivilegeWithdrawn,
                Reach::Holder,
                All,
                ISSUERS,
            ),
            Self::OrganisationEnded => rule(
                "organisation-ended",
                "Organisationen har upphört",
                CessationOfOperation,
                Reach::Organisation,
                All,
                ISSUERS,
            ),
            Self::Unclaimed => rule(
                "unclaimed",
                "Inte hämtad i tid",
                CessationOfOperation,
                Reach::Eid,
                Persons,
                &[Party::Program],
            ),
            Self::NotActivated => rule(
                "not-activated",
                "Inte aktiverad i tid",
                CessationOfOperation,
                Reach::Carrier,
                Carriers,
                &[Party::Program],
            ),
            Self::KeyExposed => {
                let of = Reach::Certificate;
                rule("key-exposed", "Röjd nyckel", KeyCompromise, of, Functions, ADMINISTRATORS)
            }
            Self::FunctionRetired => rule(
                "function-retired",
                "Avvecklad funktion",
                CessationOfOperation,
                Reach::Certificate,
                Functions,
                ADMINISTRATORS,
            ),
            Self::FunctionRenewed => rule(
                "function-renewed",
                "Förnyat funktionscertifikat",
                Superseded,
                Reach::Certificate,
                Functions,
                SUCCESSIONS,
            ),
            Self::DomainLost => rule(
                "domain-lost",
                "Domänen har bytt ägare",
                CessationOfOperation,
                Reach::Certificate,
                Functions,
                ADMINISTRATORS,
            ),
            Self::WeakKey => {
                let of = Reach::Certificate;
                rule("weak-key", "Svag nyckel", KeyCompromise, of, All, &[Party::Operator])
            }
        }
    }

    /// What is done to a certificate of `kind` to which `revoker` says that this has happened; `said` is the
    /// reason that was given beside. `kind` is `None` where nobody knows what it is.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: another reason than the event's; an event that does not happen to such certificates; one
    /// that clients do not decide about.
    pub fn wish(
        self,
        said: Option<RevocationWish>,
        kind: Option<ProfileKind>,
        revoker: Revoker,
    ) -> Result<RevocationWish, Refusal> {
        let rule = self.rule();
        if let Some(said) = said.filter(|said| *said != rule.wish) {
            return Err(Refusal::new(
                "event-contradicts-reason",
                "REV-05: an event has one reason (docs/revocation-events.md)",
                &format!("{} with {}", rule.name, in_words(said)),
                format!("{} with {}, or without a reason", rule.name, in_words(rule.wish)),
                "leave the reason out, or name the event that has happened",
            ));
        }
        if let Some(kind) = kind.filter(|kind| !rule.of.has(*kind)) {
            return Err(Refusal::new(
                "event-not-for-kind",
                "REV-05: an event happens to persons, carriers or functions (docs/revocation-events.md)",
                &format!("{} of a certificate of kind {kind}", rule.name),
                format!("certificates of {}", rule.of.name()),
                "name the event that has happened to this certificate, or give a reason alone",
            ));
        }
        let through_clients = rule.by.iter().any(|party| party.is_behind_clients());
        if revoker == Revoker::Client && !through_clients {
            return Err(Refusal::new(
                "event-not-by-client",
                "REV-02: some events are decided by the CA or its operators (docs/revocation-events.md)",
                &rule.name,
                "an event that a holder or an administrator can say has happened",
                "ask an operator of the PKI, or give a reason alone",
            ));
        }
        Ok(rule.wish)
    }
}

const fn rule(
    name: &'static str,
    swedish: &'static str,
    reason: RevocationReason,
    reach: Reach,
    of: Subjects,
    by: &'static [Party],
) -> EventRule {
    EventRule { name, swedish, wish: RevocationWish::Revoke(Some(reason)), reach, of, by }
}

/// What is done, as CRLs call it.
#[must_use]
pub fn in_words(wish: RevocationWish) -> String {
    match wish {
        RevocationWish::Revoke(Some(reason)) => reason.to_string(),
        RevocationWish::Revoke(None) => "unspecified".to_owned(),
        RevocationWish::Hold => "certificateHold".to_owned(),
        RevocationWish::Release => "a release".to_owned(),
    }
}

impl Reach {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Eid => "eid",
            Self::Carrier => "carrier",
            Self::HolderInOrganisation => "holder-in-organisation",
            Self::Holder => "holder",
            Self::Organisation => "organisation",
        }
    }
}

impl Subjects {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persons => "persons",
            Self::Carriers => "persons and blank cards",
            Self::Functions => "functions and machines",
            Self::All => "persons, blank cards, functions and machines",
        }
    }

    fn has(self, kind: ProfileKind) -> bool {
        let is_function = matches!(kind, ProfileKind::Function | ProfileKind::Machine);
        match self {
            Self::Persons => kind.is_person(),
            Self::Carriers => kind.is_person() || kind == ProfileKind::CardTransport,
            Self::Functions => is_function,
            Self::All => kind.is_subscriber(),
        }
    }
}

impl Party {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Organisation => "organisation",
            Self::Global => "global",
            Self::ResponsibleIssuer => "responsible issuer",
            Self::Operator => "operator",
            Self::Program => "the CA",
        }
    }

    /// Whether such a party comes through a client of the API.
    const fn is_behind_clients(self) -> bool {
        match self {
            Self::Holder | Self::Organisation | Self::Global | Self::ResponsibleIssuer => true,
            Self::Operator | Self::Program => false,
        }
    }
}

const HEAD: &str = "\
# What has happened, and what is revoked

This page is written by `sigill events --markdown` from the code that decides; a test fails when they differ. A revocation names the event (`event`, `--event`); reason and hold follow from it. A reason
given beside must be the event's, or the call is refused (`event-contradicts-reason`).

*Reaches* says how much is to be revoked. A call revokes the certificate, the eID or the carrier that it names, and its answer says how far the event reaches beyond (`reach`): **revoke the rest as well**, an eID with `sigill eid revoke`,
a carrier with `sigill carrier revoke`, and what came before eIDs were kept with `sigill revoke --cards`. *By* says who may say that it has happened; an operator may for all others. Which administrator stands behind a client, the client says.

| event | på svenska | reason | reaches | of | by |
| --- | --- | --- | --- | --- | --- |
";

/// The page docs/revocation-events.md, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for rule in BusinessEvent::ALL.map(BusinessEvent::rule) {
        let by: Vec<&str> = rule.by.iter().map(|party| party.name()).collect();
        let (wish, of) = (in_words(rule.wish), rule.of.name());
        let cells = [rule.name, rule.swedish, &wish, rule.reach.name(), of, &by.join(", ")];
        page.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    page
}

#[cfg(test)]
mod tests;
