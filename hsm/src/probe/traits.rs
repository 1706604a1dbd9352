//! Attributes that say what may be done with an object itself.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use x509::key::KeyType;

use super::bench::{Bench, ID, LABEL, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, result};
use super::pairs;
use super::truth::{any_pair, flag};
use crate::find_key;

pub(super) const CHECKS: [Check; 4] = [
    Check {
        id: "HP-23",
        title: "MODIFIABLE=false stated",
        expected: "told, and a later change is refused",
        clause: "KEY-03 where the token has it; PKCS#11 v3.1 §4.4",
        run: Run::Calls(not_modifiable),
    },
    Check {
        id: "HP-24",
        title: "MODIFIABLE true to false later",
        expected: "refused: read-only once the object is there",
        clause: "PKCS#11 v3.1 §4.4; the ceremony decides at birth",
        run: Run::Calls(modifiable_later),
    },
    Check {
        id: "HP-25",
        title: "DESTROYABLE and COPYABLE",
        expected: "true unless stated; DESTROYABLE=false is kept to",
        clause: "KEY-03 where the token has it; PKCS#11 v3.1 §4.4",
        run: Run::Calls(destroyable),
    },
    Check {
        id: "HP-32",
        title: "public object of another key with the same CKA_ID",
        expected: "allowed: so an id never says which public key belongs to a private one",
        clause: "PKCS#11 v3.1 §4.7; keys prove themselves before use",
        run: Run::Calls(foreign_public),
    },
];

fn not_modifiable(bench: &mut Bench) -> Result<Outcome, Stop> {
    let extra = [Attribute::Modifiable(false)];
    let pair = pairs::make(bench, KeyType::EcP256, Use::Move, &extra)?;
    let session = bench.session()?;
    if flag(session, pair.private, AttributeType::Modifiable) != Some(false) {
        return Ok(Outcome::differs("taken, and not told as false"));
    }
    let mut seen = Vec::new();
    for (attribute, name) in [
        (Attribute::Label(format!("{LABEL}renamed").into_bytes()), "label"),
        (Attribute::Extractable(false), "EXTRACTABLE to false"),
    ] {
        match session.update_attributes(pair.private, &[attribute]) {
            Ok(()) => return Ok(Outcome::differs(format!("{name} can be changed all the same"))),
            Err(error) => seen.push(format!("{name}: {}", result(&error))),
        }
    }
    let kept = [AttributeType::Destroyable, AttributeType::Copyable]
        .map(|kind| flag(session, pair.private, kind).map_or('?', |is| if is { '1' } else { '0' }));
    let [destroyable, copyable] = kept;
    seen.push(format!("DESTROYABLE={destroyable} COPYABLE={copyable}"));
    Ok(Outcome::passed(seen.join(", ")))
}

fn modifiable_later(bench: &mut Bench) -> Result<Outcome, Stop> {
    let key_type = any_pair(bench)?.key.key_type();
    let pair = pairs::make(bench, key_type, Use::Sign, &[])?;
    let session = bench.session()?;
    match session.update_attributes(pair.private, &[Attribute::Modifiable(false)]) {
        Ok(()) => Ok(Outcome::differs("taken")),
        Err(error) => Ok(Outcome::passed(result(&error))),
    }
}

fn destroyable(bench: &mut Bench) -> Result<Outcome, Stop> {
    let own = any_pair(bench)?;
    let session = bench.session()?;
    let defaults = [AttributeType::Destroyable, AttributeType::Copyable]
        .map(|kind| flag(session, own.private, kind));
    let [Some(true), Some(true)] = defaults else {
        return Ok(Outcome::differs("not told as true where nothing was stated"));
    };
    if bench.on_token {
        return Ok(Outcome::skipped("true by default; a token object could not be removed again"));
    }
    let extra = [Attribute::Destroyable(false)];
    let pair = pairs::make(bench, own.key.key_type(), Use::Sign, &extra)?;
    let session = bench.session()?;
    if flag(session, pair.private, AttributeType::Destroyable) != Some(false) {
        return Ok(Outcome::differs("true by default; false is taken and told as true"));
    }
    match session.destroy_object(pair.private) {
        Ok(()) => Ok(Outcome::differs("true by default; false is taken and not kept to")),
        Err(error) => {
            Ok(Outcome::passed(format!("1 by default; false kept to: {}", result(&error))))
        }
    }
}

fn foreign_public(bench: &mut Bench) -> Result<Outcome, Stop> {
    let key_type = any_pair(bench)?.key.key_type();
    let on_token = bench.on_token;
    let pair = pairs::make_labelled(bench, key_type, Use::Sign, "owner", on_token, &[])?;
    let session = bench.session()?;
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
    let rsa = [AttributeType::Modulus, AttributeType::PublicExponent];
    let kinds = if matches!(key_type, KeyType::Rsa { .. }) { &rsa } else { &wanted };
    let mut template = session.get_attributes(pair.public, kinds)?;
    template.extend([
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(find_key::device_key_type(key_type)),
        Attribute::Token(on_token),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Label(format!("{LABEL}twin").into_bytes()),
        Attribute::Id(ID.to_vec()),
    ]);
    match session.create_object(&template) {
        Ok(_) => Ok(Outcome::passed("allowed")),
        Err(error) => Ok(Outcome::differs(format!("refused: {}", result(&error)))),
    }
}
