//! Reads JSON bodies. What is wrong with one is told without what stands in it: that may be somebody's number, and who refuses it puts it into no
//! answer.

use ca::refusal::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::{Category, Error};

use crate::denied::{Denied, Kind};

/// Reads a JSON body; unknown fields are refused by name, and no value is repeated.
pub(crate) fn from_json<T: DeserializeOwned + Serialize>(body: &[u8]) -> Result<T, Denied> {
    let read: T = serde_json::from_slice(body).map_err(|error| malformed(&fault(&error)))?;
    // The parser takes a list for an object whose fields come in their order. The contract does not.
    if body.contains(&b'[') {
        let sent = serde_json::from_slice(body).map_err(|error| malformed(&fault(&error)))?;
        let again = serde_json::to_value(&read).map_err(|error| malformed(&fault(&error)))?;
        if has_list_for_object(&sent, &again) {
            return Err(malformed("invalid type, expected an object in place of a list"));
        }
    }
    Ok(read)
}

/// Whether a list stands in `sent` where what was read of it has fields.
fn has_list_for_object(sent: &Value, read: &Value) -> bool {
    match (sent, read) {
        (Value::Array(_), Value::Object(_)) => true,
        (Value::Array(sent), Value::Array(read)) => {
            sent.iter().zip(read).any(|(sent, read)| has_list_for_object(sent, read))
        }
        (Value::Object(sent), Value::Object(read)) => sent
            .iter()
            .any(|(name, sent)| read.get(name).is_some_and(|read| has_list_for_object(sent, read))),
        _ => false,
    }
}

fn malformed(seen: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "body-malformed",
            "a body is the JSON that /openapi.json describes",
            &seen,
            "the fields of the contract and no others",
            "correct the body",
        ),
    )
}

/// What is wrong, and where: the words of the parser and of the contract, never a value.
fn fault(error: &Error) -> String {
    let text = error.to_string();
    if error.classify() != Category::Data {
        return text;
    }
    // Of a fault that has no place the parser says none.
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(what) => format!("{}{place}", of_data(what)),
        None => of_data(&text),
    }
}

fn of_data(text: &str) -> String {
    for kind in ["missing field", "duplicate field", "unknown field"] {
        let rest = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix(" `"));
        if let Some((name, _)) = rest.and_then(|rest| rest.split_once('`')) {
            let is_told = kind != "unknown field" || is_word(name);
            return if is_told { format!("{kind} `{name}`") } else { kind.to_owned() };
        }
    }
    for kind in ["invalid type", "invalid value", "unknown variant"] {
        if text.starts_with(kind) {
            // The contract's words come last.
            let expected = text.rsplit_once(", expected ");
            return expected.map_or_else(
                || kind.to_owned(),
                |(_, expected)| format!("{kind}, expected {expected}"),
            );
        }
    }
    "data that the contract does not have".to_owned()
}

/// Whether a field that nobody knows is called as fields are: its name is the caller's.
fn is_word(name: &str) -> bool {
    name.len() <= 40 && name.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<T: DeserializeOwned + Serialize>(body: &str) -> String {
        let read = from_json::<T>(body.as_bytes()).map(|_| ());
        read.unwrap_err().refusal.seen
    }

    /// API-11: somebody's number stands in no refusal, wherever in a body it was written.
    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        let search = seen::<api::EidSearch>;
        for (body, told) in [
            (r#"{"person": 191212121212}"#, "invalid type, expected a string at line 1 column "),
            (r#"{"limit": "a, expected 191212121212"}"#, "invalid type, expected u32 at line 1 "),
            (r#"{"limit": 191212121212}"#, "invalid value, expected u32 at line 1 column "),
            (r#"{"people": "191212121212"}"#, "unknown field `people` at line 1 column "),
            (r#"{"191212121212": 1}"#, "unknown field at line 1 column "),
            (r#"{"x`, expected 191212121212": 1}"#, "unknown field `x` at line 1 column "),
            (r#"{"person": "191212121212", "person": 1}"#, "duplicate field `person` at line 1 "),
            (r#"{"person": "191212121212""#, "EOF while parsing an object at line 1 column "),
        ] {
            let seen = search(body);
            assert!(seen.starts_with(told), "{body}: {seen}");
            assert!(!seen.contains("1212"), "{body}: {seen}");
        }
        let reason = seen::<api::RevocationRequest>(r#"{"reason": "191212121212"}"#);
        assert!(reason.starts_with("unknown variant, expected one of `"), "{reason}");
        assert!(!reason.contains("1212"), "{reason}");
    }

    /// API-11: what the contract calls an object is one, wherever it stands.
    #[test]
    fn a_list_is_no_object() {
        let job = |selector: &str, more: &str| {
            let body = format!(
                r#"{{"actor":"a","note":"n","pause":0,"reason":"superseded","wave":1,"selector":{selector}{more}}}"#
            );
            from_json::<api::JobRequest>(body.as_bytes()).map(|_| ()).map_err(|it| it.refusal.code)
        };
        assert_eq!(job(r#"{"organisations":["2321000131"]}"#, ""), Ok(()));
        assert_eq!(job("[null, null]", ""), Err("body-malformed"));
        assert_eq!(job("[]", ""), Err("body-malformed"));
        let terms = |body: &str| from_json::<api::JobTermsRequest>(body.as_bytes()).is_ok();
        assert!(terms(r#"{"serials":[{"authority":"a","serial":"0A"}]}"#));
        assert!(!terms(r#"{"serials":[["a","0A"]]}"#));
        assert!(!terms("[]"));
        assert!(from_json::<api::ReleaseRequest>(br#"{"actor":["a"]}"#).is_err());
    }
}
