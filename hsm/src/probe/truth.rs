//! Private keys stay inside, and what the token tells of them is true (KEY-03).

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use x509::key::KeyType;

use super::bench::{Bench, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, result};
use super::pairs::{self, Pair};
use super::{secrets, wrap};
use crate::facts;

pub(super) const CHECKS: [Check; 6] = [
    Check {
        id: "HP-16",
        title: "private values of a sensitive key",
        expected: "not told: CKA_VALUE, private exponent, primes",
        clause: "KEY-03; PKCS#11 v3.1 §4.9, CKA_SENSITIVE",
        run: Run::Calls(values_stay_inside),
    },
    Check {
        id: "HP-17",
        title: "what is told of a key made inside",
        expected: "SENSITIVE, ALWAYS_SENSITIVE, NEVER_EXTRACTABLE, LOCAL; not EXTRACTABLE",
        clause: "KEY-03; PKCS#11 v3.1 §4.7 to §4.9",
        run: Run::Calls(told_of_a_made_key),
    },
    Check {
        id: "HP-18",
        title: "wrapping a key that is not extractable",
        expected: "refused by every mechanism that wraps",
        clause: "KEY-03; PKCS#11 v3.1 §5.18, C_WrapKey: CKR_KEY_UNEXTRACTABLE",
        run: Run::Calls(unextractable_stays),
    },
    Check {
        id: "HP-19",
        title: "weakening a key",
        expected: "EXTRACTABLE false to true and SENSITIVE true to false are refused",
        clause: "KEY-03; PKCS#11 v3.1 §4.9, footnotes 8 and 9 of its table",
        run: Run::Calls(no_weakening),
    },
    Check {
        id: "HP-20",
        title: "weakening a key by a copy of it",
        expected: "no copy that is extractable or not sensitive",
        clause: "KEY-03; PKCS#11 v3.1 §5.7, C_CopyObject",
        run: Run::Calls(no_weaker_copy),
    },
    Check {
        id: "HP-21",
        title: "EXTRACTABLE true to false after a backup",
        expected: "allowed; wrapping is refused then; NEVER_EXTRACTABLE stays false",
        clause: "ceremony by wrapping; PKCS#11 v3.1 §4.9",
        run: Run::Calls(closed_after_backup),
    },
];

/// A key for signing of a type that the token has.
pub(super) fn any_pair(bench: &mut Bench) -> Result<Pair, Stop> {
    match bench.pair(KeyType::EcP256, Use::Sign) {
        Err(Stop::Call(_)) => bench.pair(KeyType::Rsa { bits: 2048 }, Use::Sign),
        made => made,
    }
}

fn values_stay_inside(bench: &mut Bench) -> Result<Outcome, Stop> {
    let mut looked_at = Vec::new();
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }] {
        let Ok(pair) = bench.pair(key_type, Use::Sign) else { continue };
        let session = bench.session()?;
        for kind in [
            AttributeType::Value,
            AttributeType::PrivateExponent,
            AttributeType::Prime1,
            AttributeType::Prime2,
            AttributeType::Exponent1,
            AttributeType::Exponent2,
            AttributeType::Coefficient,
        ] {
            // Whatever is answered beside the octets is a refusal.
            let told = session.get_attributes(pair.private, &[kind]).unwrap_or_default();
            if told.iter().any(is_told) {
                return Ok(Outcome::failed(format!("{kind} of an {key_type} key is told")));
            }
        }
        looked_at.push(key_type.to_string());
    }
    if looked_at.is_empty() {
        return Ok(Outcome::skipped("no key could be made"));
    }
    Ok(Outcome::passed(format!("not told of {}", looked_at.join(", "))))
}

/// A module may hand out the right number of zeros in place of a value.
fn is_told(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Value(octets)
        | Attribute::PrivateExponent(octets)
        | Attribute::Prime1(octets)
        | Attribute::Prime2(octets)
        | Attribute::Exponent1(octets)
        | Attribute::Exponent2(octets)
        | Attribute::Coefficient(octets) => octets.iter().any(|octet| *octet != 0),
        _ => false,
    }
}

/// A boolean attribute; `None` where it is not told.
pub(super) fn flag(session: &Session, object: ObjectHandle, kind: AttributeType) -> Option<bool> {
    let told = session.get_attributes(object, &[kind]).ok()?;
    told.first().and_then(facts::flag)
}

/// Compares attributes with what they must be; the differences.
pub(super) fn unlike(
    session: &Session,
    object: ObjectHandle,
    demanded: &[(AttributeType, &str, bool)],
) -> Vec<String> {
    let of = |(kind, name, wanted): &(AttributeType, &str, bool)| {
        let found = flag(session, object, *kind);
        (found != Some(*wanted))
            .then(|| format!("{name} {}", found.map_or("not told".to_owned(), |is| is.to_string())))
    };
    demanded.iter().filter_map(of).collect()
}

fn told_of_a_made_key(bench: &mut Bench) -> Result<Outcome, Stop> {
    let pair = any_pair(bench)?;
    let moved = bench.pair(KeyType::EcP256, Use::Move).ok();
    let session = bench.session()?;
    let mut wrong = unlike(
        session,
        pair.private,
        &[
            (AttributeType::Sensitive, "SENSITIVE", true),
            (AttributeType::AlwaysSensitive, "ALWAYS_SENSITIVE", true),
            (AttributeType::Extractable, "EXTRACTABLE", false),
            (AttributeType::NeverExtractable, "NEVER_EXTRACTABLE", true),
            (AttributeType::Local, "LOCAL", true),
        ],
    );
    if let Some(moved) = moved {
        let of_the_other = unlike(
            session,
            moved.private,
            &[
                (AttributeType::Extractable, "EXTRACTABLE", true),
                (AttributeType::NeverExtractable, "NEVER_EXTRACTABLE", false),
            ],
        );
        wrong.extend(of_the_other.into_iter().map(|said| format!("extractable key: {said}")));
    }
    if wrong.is_empty() {
        Ok(Outcome::passed("ALWAYS_SENSITIVE=1 NEVER_EXTRACTABLE=1 LOCAL=1 EXTRACTABLE=0"))
    } else {
        Ok(Outcome::failed(wrong.join(", ")))
    }
}

fn unextractable_stays(bench: &mut Bench) -> Result<Outcome, Stop> {
    let pair = any_pair(bench)?;
    let secret = secrets::secret(bench, "fixed", &[Attribute::Encrypt(true)]).ok();
    let mut refused = Vec::new();
    for way in wrap::WAYS {
        let Ok(kek) = way.key(bench) else { continue };
        let session = bench.session()?;
        let objects = [Some(("private", pair.private)), secret.as_ref().map(|s| ("AES", s.handle))];
        for (name, object) in objects.into_iter().flatten() {
            match way.with(|mechanism| session.wrap_key(mechanism, kek.outer, object)) {
                Ok(blob) => {
                    return Ok(Outcome::failed(format!(
                        "{} wraps a {name} key that is not extractable ({} octets)",
                        way.name,
                        blob.len()
                    )));
                }
                Err(error) => refused.push(result(&error)),
            }
        }
    }
    refused.sort();
    refused.dedup();
    if refused.is_empty() {
        return Ok(Outcome::unsupported("the token has no key that wraps"));
    }
    Ok(Outcome::passed(refused.join(", ")))
}

const WEAKER: [(Attribute, AttributeType, &str, bool); 2] = [
    (Attribute::Extractable(true), AttributeType::Extractable, "EXTRACTABLE", true),
    (Attribute::Sensitive(false), AttributeType::Sensitive, "SENSITIVE", false),
];

fn no_weakening(bench: &mut Bench) -> Result<Outcome, Stop> {
    let pair = any_pair(bench)?;
    let session = bench.session()?;
    let mut seen = Vec::new();
    for (attribute, kind, name, weak) in WEAKER {
        let set = session.update_attributes(pair.private, &[attribute]);
        if flag(session, pair.private, kind) == Some(weak) {
            return Ok(Outcome::failed(format!("{name} can be set to {weak}")));
        }
        seen.push(match set {
            Ok(()) => format!("{name}: taken without effect"),
            Err(error) => format!("{name}: {}", result(&error)),
        });
    }
    Ok(Outcome::passed(seen.join(", ")))
}

fn no_weaker_copy(bench: &mut Bench) -> Result<Outcome, Stop> {
    let pair = any_pair(bench)?;
    let on_token = bench.on_token;
    let session = bench.session()?;
    let mut seen = Vec::new();
    for (attribute, kind, name, weak) in WEAKER {
        match session.copy_object(pair.private, &[Attribute::Token(on_token), attribute]) {
            Ok(copy) => {
                let is_weak = flag(session, copy, kind) == Some(weak);
                session.destroy_object(copy)?;
                if is_weak {
                    return Ok(Outcome::failed(format!("a copy has {name} {weak}")));
                }
                seen.push(format!("{name}: a copy without it"));
            }
            Err(error) => seen.push(format!("{name}: {}", result(&error))),
        }
    }
    Ok(Outcome::passed(seen.join(", ")))
}

fn closed_after_backup(bench: &mut Bench) -> Result<Outcome, Stop> {
    let pair = pairs::make(bench, KeyType::EcP256, Use::Move, &[])?;
    let kek = secrets::kek(bench)?;
    let session = bench.session()?;
    if let Err(error) = session.update_attributes(pair.private, &[Attribute::Extractable(false)]) {
        return Ok(Outcome::differs(format!("refused: {}", result(&error))));
    }
    if flag(session, pair.private, AttributeType::NeverExtractable) != Some(false) {
        return Ok(Outcome::failed("NEVER_EXTRACTABLE is not false, though it was extractable"));
    }
    let mut refused = Vec::new();
    for way in wrap::WAYS.iter().filter(|way| way.is_aes()) {
        match way.with(|mechanism| session.wrap_key(mechanism, kek.handle, pair.private)) {
            Ok(_) => return Ok(Outcome::failed(format!("{} still wraps it", way.name))),
            Err(error) => refused.push(result(&error)),
        }
    }
    refused.sort();
    refused.dedup();
    Ok(Outcome::passed(format!(
        "allowed; wrapping then {}; NEVER_EXTRACTABLE=0",
        refused.join(", ")
    )))
}
