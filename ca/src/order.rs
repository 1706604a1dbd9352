//! What an order for a person's certificate says, checked for itself.
//!
//! [`Order::read`] turns what a caller says into types; whether a certificate may be issued for it is
//! for [`admit`](crate::admit) to say. Those who act are named by opaque ids, never by names.

use std::fmt;

use x509::key::PublicKey;
use x509::time::UnixTime;

use crate::admit::RuleRefusal;
use crate::book::Book;
use crate::carrier::{CarrierName, KeyEvidence, Maker};
use crate::deployment::Environment;
use crate::eid::{EidName, EidText};
use crate::fields::{RequestedFields, presence};
use crate::identity::{
    CardNumber, Identity, IdentityError, IdentityKindId, IdentityText, OrganisationNumber,
    Organization, ProofingId,
};
use crate::profile::{Presence, Profile, RequestField, Source};
use crate::routine::{OrdererRole, ReceiptForm, RoutineName};

/// What a caller says of an order, unchecked but for its times.
#[derive(Clone)]
pub struct OrderText {
    /// Name of the routine.
    pub routine: String,
    /// Role and id of who ordered.
    pub orderer: (String, String),
    /// Id of the holder, as the portal names actors.
    pub holder: Option<String>,
    /// Name of the identity kind.
    pub identity_kind: String,
    /// The number, of kinds that have one.
    pub identity_number: Option<String>,
    /// State, number and day of birth of a passport.
    pub passport: Option<(String, String, String)>,
    /// Name of the proofing method.
    pub proofing: String,
    /// When identity was proven.
    pub proofing_at: UnixTime,
    /// Id of who saw to it.
    pub proofing_by: String,
    /// The holder's own eID, where that is how.
    pub eid: Option<EidText>,
    /// Name of the card family.
    pub carrier: String,
    /// Number of the card.
    pub card_number: Option<String>,
    /// Id of the telephone or tablet.
    pub device: Option<String>,
    /// When the carrier's own life ends.
    pub carrier_ends: Option<UnixTime>,
    /// Name and number of the holder's organisation.
    pub user_organisation: (String, String),
    /// Name and number of the organisation that issues, where it is another one.
    pub issuing_organisation: Option<(String, String)>,
    /// When the certificate is to end at the latest.
    pub valid_until: Option<UnixTime>,
    /// Ids of those who approved, and when.
    pub approvals: Vec<(String, UnixTime)>,
    /// Form, SHA-256 in hexadecimal, and time of the receipt.
    pub receipt: Option<(String, String, UnixTime)>,
    /// The maker's public key info and signature, DER.
    pub evidence: Option<(Vec<u8>, Vec<u8>)>,
}

/// An opaque id of somebody who acts: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActorId(String);

impl ActorId {
    /// Takes an id; `None` for what is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An organisation as an order names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganisationRef {
    /// Its name.
    pub name: Organization,
    /// Its number.
    pub number: OrganisationNumber,
}

/// The receipt that the holder gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// In which form.
    pub form: ReceiptForm,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// When.
    pub at: UnixTime,
}

/// An order, checked for itself. Personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// By which routine.
    pub routine: RoutineName,
    /// In which role it was ordered.
    pub role: OrdererRole,
    /// By whom.
    pub orderer: ActorId,
    /// The holder as an actor, where the portal says.
    pub holder: Option<ActorId>,
    /// What kind of identity the holder has.
    pub identity_kind: IdentityKindId,
    /// The identity.
    pub identity: Identity,
    /// How it was proven.
    pub proofing: ProofingId,
    /// When.
    pub proofing_at: UnixTime,
    /// By whom.
    pub proofing_by: ActorId,
    /// By which eID of the holder's, where that is how.
    pub eid: Option<EidName>,
    /// On what.
    pub carrier: CarrierName,
    /// The number of the card.
    pub card: Option<CardNumber>,
    /// The telephone or tablet, where the caller says.
    pub device: Option<ActorId>,
    /// When the carrier's own life ends, where the caller says.
    pub carrier_ends: Option<UnixTime>,
    /// The holder's organisation.
    pub user: OrganisationRef,
    /// The organisation that issues, where it is another one.
    pub issuing: Option<OrganisationRef>,
    /// When the certificate is to end at the latest.
    pub end: Option<UnixTime>,
    /// Who approved, and when.
    pub approvals: Vec<(ActorId, UnixTime)>,
    /// The receipt.
    pub receipt: Option<Receipt>,
    /// Where the key was made.
    pub evidence: Option<KeyEvidence>,
}

impl Order {
    /// Reads what a caller says of an order.
    ///
    /// # Errors
    ///
    /// [`RuleRefusal`] names the field (`order/…`) that is not what it should be, or the name that the
    /// book does not have; of identities, what is wrong with them.
    pub fn read(
        text: &OrderText,
        book: &Book,
        environment: Environment,
    ) -> Result<Self, RuleRefusal> {
        let routine = named(book.routine(&text.routine), "routine", &text.routine)?;
        let carrier = named(book.carrier(&text.carrier), "carrier", &text.carrier)?;
        let kind = named(book.identity_kind(&text.identity_kind), "identity", &text.identity_kind)?;
        let method = named(book.proofing_method(&text.proofing), "proofing", &text.proofing)?;
        let said = match (&text.identity_number, &text.passport) {
            (Some(number), None) => IdentityText::Number(number),
            (None, Some((state, number, birth))) => IdentityText::Passport { state, number, birth },
            _ => return Err(malformed("identity", &"both or neither", "a number or a passport")),
        };
        let of_identity = |error: IdentityError| RuleRefusal::of_identity(&error);
        let (role, orderer) = &text.orderer;
        Ok(Self {
            routine: routine.name.clone(),
            role: OrdererRole::from_word(role)
                .ok_or_else(|| malformed("orderer", role, "a role such as id-administrator"))?,
            orderer: actor("orderer", orderer)?,
            holder: text.holder.as_deref().map(|id| actor("holder", id)).transpose()?,
            identity_kind: kind.id().clone(),
            identity: kind.read(said, environment).map_err(of_identity)?,
            proofing: method.id().clone(),
            proofing_at: text.proofing_at,
            proofing_by: actor("proofing", &text.proofing_by)?,
            eid: text.eid.as_ref().map(eid).transpose()?,
            carrier: carrier.name().clone(),
            card: text
                .card_number
                .as_deref()
                .map(CardNumber::parse)
                .transpose()
                .map_err(of_identity)?,
            device: text.device.as_deref().map(|id| actor("carrier/device", id)).transpose()?,
            carrier_ends: text.carrier_ends,
            user: organisation(&text.user_organisation)?,
            issuing: text.issuing_organisation.as_ref().map(organisation).transpose()?,
            end: text.valid_until,
            approvals: text
                .approvals
                .iter()
                .map(|(id, at)| Ok((actor("approvals", id)?, *at)))
                .collect::<Result<_, RuleRefusal>>()?,
            receipt: text.receipt.as_ref().map(receipt).transpose()?,
            evidence: text.evidence.as_ref().map(evidence).transpose()?,
        })
    }
}

impl Order {
    /// Puts into `fields` what the order says and the caller left out, as far as `profile` takes it.
    pub fn fill(&self, fields: &mut RequestedFields, profile: &Profile) {
        let takes = |field| presence(profile, field) != Presence::Refused;
        if takes(RequestField::PersonalIdentityNumber) && fields.personal_identity_number.is_none()
        {
            let number = self.identity.number();
            fields.personal_identity_number = number.map(|number| number.as_str().to_owned());
        }
        if profile.card_number() != Presence::Refused && fields.card_number.is_none() {
            fields.card_number = self.card.as_ref().map(|card| card.as_str().to_owned());
        }
        if takes(RequestField::Organization) && fields.organization.is_none() {
            let organisation = self.organisation_of(profile);
            fields.organization = organisation.map(|one| one.name.as_str().to_owned());
        }
    }

    /// The organisation that a certificate of `profile` names; `None` where the order does not say it.
    #[must_use]
    pub fn organisation_of(&self, profile: &Profile) -> Option<&OrganisationRef> {
        profile.subject().attributes().iter().find_map(|one| match one.source {
            Source::Field(RequestField::Organization) | Source::UserOrganization => {
                Some(&self.user)
            }
            Source::IssuingOrganization => self.issuing.as_ref(),
            _ => None,
        })
    }
}

fn named<'a, T>(
    found: Option<&'a T>,
    what: &'static str,
    name: &str,
) -> Result<&'a T, RuleRefusal> {
    found.ok_or_else(|| {
        RuleRefusal::new(
            "order-unknown-name",
            format!("order/{what}"),
            &name,
            "a name in the book of this deployment",
            "correct the name, or have the operator add the file",
        )
    })
}

fn malformed(field: &str, seen: &impl fmt::Display, limit: &str) -> RuleRefusal {
    let rule = format!("order/{field}");
    RuleRefusal::new("order-malformed", rule, seen, limit, "correct the order").for_ever()
}

fn actor(field: &str, text: &str) -> Result<ActorId, RuleRefusal> {
    ActorId::new(text)
        .ok_or_else(|| malformed(field, &text, "an opaque id, 1 to 128 visible ASCII characters"))
}

fn eid(text: &EidText) -> Result<EidName, RuleRefusal> {
    match text {
        EidText::Certificate(text) => EidName::of_certificate(text)
            .map_err(|error| malformed("eid", &error, "a certificate: PEM, or base64 of its DER")),
        EidText::Serial(authority, serial) => {
            let read = serial.parse().map_err(|_| {
                malformed("eid", serial, "a serial number of 1 to 20 octets in hexadecimal")
            });
            Ok(EidName::Serial(authority.clone(), read?))
        }
    }
}

fn organisation((name, number): &(String, String)) -> Result<OrganisationRef, RuleRefusal> {
    let refused = |error: IdentityError| RuleRefusal::of_identity(&error);
    Ok(OrganisationRef {
        name: Organization::parse(name).map_err(refused)?,
        number: OrganisationNumber::parse(number).map_err(refused)?,
    })
}

fn receipt((form, hash, at): &(String, String, UnixTime)) -> Result<Receipt, RuleRefusal> {
    let form = ReceiptForm::from_word(form)
        .ok_or_else(|| malformed("receipt", form, "a form such as electronic"))?;
    // Any SHA-256 is read as that of a key is.
    let sha256: x509::key::SpkiHash =
        hash.parse().map_err(|_| malformed("receipt", hash, "SHA-256 in hexadecimal"))?;
    Ok(Receipt { form, sha256: *sha256.as_bytes(), at: *at })
}

fn evidence((key, signature): &(Vec<u8>, Vec<u8>)) -> Result<KeyEvidence, RuleRefusal> {
    let limit = "the DER of an ECDSA or RSA subject public key info";
    let key =
        PublicKey::from_spki_der(key).map_err(|error| malformed("evidence", &error, limit))?;
    let maker = Maker::new(key).map_err(|error| malformed("evidence", &error, limit))?;
    Ok(KeyEvidence { maker, signature: signature.clone() })
}
