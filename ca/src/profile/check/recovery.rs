//! Every fault in the TOML of a profile, not only the first: what is wrong is noted and taken out,
//! and the rest is read again.

use std::ops::Range;

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::super::file::ProfileFile;

/// More faults than these say nothing more.
const MOST: usize = 100;

/// One fault in a text.
pub(super) struct Found {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) says: String,
}

/// The faults that keep `text` from being read as a profile; none if it can be.
pub(super) fn faults(text: &str) -> Vec<Found> {
    let (mut tree, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<_> = errors.iter().map(|error| note(text, error)).collect();
    if !found.is_empty() {
        return found;
    }
    let mut taken: Vec<String> = Vec::new();
    while found.len() < MOST {
        let Err(error) = ProfileFile::deserialize(Deserializer::from(tree.clone())) else { break };
        let missing = error.message().strip_prefix("missing field ");
        if missing.is_some_and(|name| taken.iter().any(|one| name == format!("`{one}`"))) {
            break;
        }
        found.push(note(text, &error));
        let removed = match (missing, error.span()) {
            (None, Some(span)) => remove(tree.get_mut(), &span),
            _ => None,
        };
        match removed {
            Some(key) => taken.push(key),
            None => break,
        }
    }
    found
}

fn note(text: &str, error: &Error) -> Found {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(start);
    Found {
        line: before.filter(|octet| **octet == b'\n').count().saturating_add(1),
        says: error.message().to_owned(),
    }
}

/// Takes out the innermost entry in which `span` lies; its key. `None` when there is none.
fn remove(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let keys: Vec<_> = table.keys().cloned().collect();
    for key in &keys {
        let value = table.get_mut(key)?;
        if let Some(inner) = remove_in(value.get_mut(), span) {
            return Some(inner);
        }
        if lies_in(span, &key.span()) || lies_in(span, &value.span()) {
            table.remove(key);
            return Some(key.get_ref().to_string());
        }
    }
    None
}

fn remove_in(value: &mut DeValue<'_>, span: &Range<usize>) -> Option<String> {
    match value {
        DeValue::Table(table) => remove(table, span),
        DeValue::Array(array) => {
            for element in array.iter_mut() {
                if let Some(inner) = remove_in(element.get_mut(), span) {
                    return Some(inner);
                }
            }
            let place = array.iter().position(|element| lies_in(span, &element.span()))?;
            let rest = array.iter().enumerate().filter(|(at, _)| *at != place);
            *array = rest.map(|(_, element)| element.clone()).collect();
            Some(String::new())
        }
        _ => None,
    }
}

const fn lies_in(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
