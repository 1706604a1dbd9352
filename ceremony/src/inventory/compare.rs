//! An inventory beside an earlier one of the same token: what differs, by name.

use super::record::{Difference, ObjectRecord, Record};

/// An object of both records, or of one of them: its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) before: Option<usize>,
    pub(crate) now: Option<usize>,
}

/// Finds for each object of either record the one of the other: by its key or certificate, else by
/// label and id.
pub(crate) fn pairs(before: &Record, now: &Record) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut left: Vec<usize> = (0..now.objects.len()).collect();
    let mut lonely: Vec<usize> = (0..before.objects.len()).collect();
    for is_same in [has_same_names_and_key, has_same_key, has_same_names] {
        lonely.retain(|place| {
            let Some(old) = before.objects.get(*place) else { return false };
            let found = left.iter().position(|candidate| {
                now.objects.get(*candidate).is_some_and(|new| is_same(old, new))
            });
            let Some(found) = found else { return true };
            pairs.push(Pair { before: Some(*place), now: Some(left.remove(found)) });
            false
        });
    }
    pairs.extend(lonely.into_iter().map(|place| Pair { before: Some(place), now: None }));
    pairs.extend(left.into_iter().map(|place| Pair { before: None, now: Some(place) }));
    pairs
}

fn has_same_key(one: &ObjectRecord, other: &ObjectRecord) -> bool {
    let same_certificate = one.sha256 == other.sha256;
    let same_key = one.spki_sha256.is_some() && one.spki_sha256 == other.spki_sha256;
    one.class == other.class && same_certificate && (same_key || one.sha256.is_some())
}

fn has_same_names(one: &ObjectRecord, other: &ObjectRecord) -> bool {
    one.class == other.class && one.label == other.label && one.id == other.id
}

fn has_same_names_and_key(one: &ObjectRecord, other: &ObjectRecord) -> bool {
    has_same_names(one, other) && has_same_key(one, other)
}

/// Names each difference: of the token, of objects that came or went, of what they tell.
pub(crate) fn differences(before: &Record, now: &Record, pairs: &[Pair]) -> Vec<Difference> {
    let mut differences = Vec::new();
    of_token(before, now, &mut differences);
    for pair in pairs {
        let old = pair.before.and_then(|place| before.objects.get(place));
        let new = pair.now.and_then(|place| now.objects.get(place));
        match (old, new) {
            (Some(old), Some(new)) => of_object(old, new, &mut differences),
            (Some(old), None) => {
                differences.push(difference(&old.name(), "object", "there", "gone"));
            }
            (None, Some(new)) => {
                differences.push(difference(&new.name(), "object", "not there", "there"));
            }
            (None, None) => {}
        }
    }
    differences
}

fn of_token(before: &Record, now: &Record, differences: &mut Vec<Difference>) {
    let (old, new) = (&before.token, &now.token);
    let software = [old, new].map(|token| token.software.to_string());
    for (what, was, is) in [
        ("label", &old.label, &new.label),
        ("serial", &old.serial, &new.serial),
        ("manufacturer", &old.manufacturer, &new.manufacturer),
        ("model", &old.model, &new.model),
        ("firmware", &old.firmware, &new.firmware),
        ("hardware", &old.hardware, &new.hardware),
        ("software", &software[0], &software[1]),
        ("module", &before.module.description, &now.module.description),
    ] {
        if was != is {
            differences.push(difference("token", what, was, is));
        }
    }
}

fn of_object(old: &ObjectRecord, new: &ObjectRecord, differences: &mut Vec<Difference>) {
    let name = old.name();
    let mut compare = |what: &str, was: &str, is: &str| {
        if was != is {
            differences.push(difference(&name, what, was, is));
        }
    };
    compare("label", &old.label, &new.label);
    compare("id", &old.id, &new.id);
    let told = |object: &ObjectRecord| ["told", "beside"].contains(&object.public_half.as_str());
    match (&old.spki_sha256, &new.spki_sha256) {
        (Some(was), Some(is)) => compare("public value", was, is),
        (Some(was), None) if told(old) => compare("public value", was, "not told"),
        // It was not known then, or had been recovered by a proof that was not asked for now.
        _ => {}
    }
    if old.spki_sha256.is_some() && new.spki_sha256.is_some() {
        compare("type", &old.key_type, &new.key_type);
    }
    if let (Some(was), Some(is)) = (&old.sha256, &new.sha256) {
        compare("certificate", was, is);
    }
    let names: std::collections::BTreeSet<&String> =
        old.attributes.keys().chain(new.attributes.keys()).collect();
    for attribute in names {
        let told = |object: &ObjectRecord| {
            object
                .attributes
                .get(attribute)
                .map_or_else(|| "not told".to_owned(), ToString::to_string)
        };
        compare(attribute, &told(old), &told(new));
    }
}

fn difference(of: &str, what: &str, was: &str, is: &str) -> Difference {
    Difference { of: of.to_owned(), what: what.to_owned(), was: was.to_owned(), is: is.to_owned() }
}
