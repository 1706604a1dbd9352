//! What the portal asks a card for, and what the card says it is about to do. A card signs no text that it cannot read.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portal::form::Form;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::card::{CardError, Cards, Pins};

/// `typ` of the statements of administrators (docs/formats/actor-statement.md).
const STATEMENT: &str = "sigill-actor+jwt";

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To log in to the portal.
    Login {
        /// Where.
        portal: String,
        /// What the portal drew for it.
        challenge: String,
    },
    /// To sign for a call of the CA.
    Statement {
        /// Header and claims, as they are signed.
        input: String,
        /// The claims.
        claims: Value,
        /// The body of the call.
        body: String,
    },
    /// The holder's receipt (docs/formats/holder-receipt.md).
    Receipt {
        /// Id of the order.
        order: String,
        /// Serial numbers, or `-`.
        serials: String,
        /// The version of the terms.
        terms: String,
        /// What the region adds, or `-`.
        addition: String,
    },
    /// Requests for certificates of both keys.
    Requests {
        /// Id of the order.
        order: String,
    },
}

impl Ask {
    /// Reads a question; in words why it is none.
    pub(crate) fn read(form: &Form, portal: &str) -> Result<Self, &'static str> {
        let line =
            |name: &str| Some(form.text(name)).filter(|text| is_line(text)).map(str::to_owned);
        let missing = "a field is missing, or is no line of printable ASCII";
        let need = |name: &str| line(name).ok_or(missing);
        match form.text("act") {
            "login" => Ok(Self::Login { portal: portal.to_owned(), challenge: need("challenge")? }),
            "statement" => statement(form.text("input"), form.text("body")),
            "receipt" => Ok(Self::Receipt {
                order: need("order")?,
                serials: need("serials")?,
                terms: need("terms")?,
                addition: need("addition")?,
            }),
            "requests" => Ok(Self::Requests { order: need("order")? }),
            _ => Err("the question is none that a card answers"),
        }
    }

    /// Whether the PIN for signatures is wanted too.
    pub(crate) const fn wants_both(&self) -> bool {
        matches!(self, Self::Requests { .. })
    }

    /// What the card answers, as fields for the portal.
    pub(crate) fn answer(
        &self,
        cards: &Cards,
        number: &str,
        [authentication, signature]: [&str; 2],
    ) -> Result<Vec<(&'static str, String)>, CardError> {
        match self {
            Self::Login { portal, challenge } => {
                let text = login_text(portal, challenge);
                let signature = cards.sign_fixed(number, authentication, text.as_bytes())?;
                Ok(vec![("signature", URL_SAFE_NO_PAD.encode(signature))])
            }
            Self::Statement { input, .. } => {
                let signature = cards.sign_fixed(number, authentication, input.as_bytes())?;
                Ok(vec![("input", input.clone()), ("signature", URL_SAFE_NO_PAD.encode(signature))])
            }
            Self::Receipt { order, serials, terms, addition } => {
                let (key, _, signature) =
                    cards.sign_about(number, authentication, |spki| {
                        let key = base16ct::lower::encode_string(&Sha256::digest(spki));
                        format!(
                            "sigill-holder-receipt/1\norder {order}\ncard {number}\nkey {key}\nserials {serials}\nterms {terms}\naddition {addition}\n"
                        )
                    })?;
                Ok(vec![("key", STANDARD.encode(key)), ("signature", STANDARD.encode(signature))])
            }
            Self::Requests { .. } => {
                let made = cards.requests(number, &Pins::chosen(authentication, signature)?)?;
                Ok(vec![("authentication", made.authentication), ("signature", made.signature)])
            }
        }
    }
}

/// What is signed to log in.
fn login_text(portal: &str, challenge: &str) -> String {
    format!("sigill-example-login/1\nportal {portal}\nchallenge {challenge}\n")
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| (b' '..=b'~').contains(&octet))
}

/// A statement is signed by who sees what it is about: the claims are read, and the body must be the one that they name.
fn statement(input: &str, body: &str) -> Result<Ask, &'static str> {
    let unread = "the statement cannot be read";
    let (header, claims) = input.split_once('.').ok_or(unread)?;
    let part = |text: &str| -> Option<Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (header, claims) = (part(header).ok_or(unread)?, part(claims).ok_or(unread)?);
    if said(&header, "typ") != STATEMENT || said(&header, "alg") != "ES256" {
        return Err("it is no statement of an administrator");
    }
    let hash = base16ct::lower::encode_string(&Sha256::digest(body));
    if said(&claims, "body_sha256") != hash {
        return Err("what is shown is not what would be signed for");
    }
    Ok(Ask::Statement { input: input.to_owned(), claims, body: body.to_owned() })
}

fn said<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use portal::form::link;

    use super::*;

    fn asked(fields: &[(&str, &str)]) -> Result<Ask, &'static str> {
        let link = link("", fields);
        Ask::read(&Form::parse(link.trim_start_matches('?')), "http://127.0.0.1:1")
    }

    fn input(header: &str, claims: &str) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_card_signs_for_nothing_that_it_does_not_show() {
        let hash = base16ct::lower::encode_string(&Sha256::digest("{}"));
        let header = r#"{"alg":"ES256","typ":"sigill-actor+jwt"}"#;
        let claims = format!(r#"{{"body_sha256":"{hash}"}}"#);
        let ask =
            |input: &str, body| asked(&[("act", "statement"), ("input", input), ("body", body)]);

        assert!(matches!(ask(&input(header, &claims), "{}"), Ok(Ask::Statement { .. })));
        assert!(ask(&input(header, &claims), "{ }").is_err(), "another body");
        assert!(ask(&input(r#"{"alg":"ES256","typ":"JWT"}"#, &claims), "{}").is_err());
        assert!(ask(&input(header, "none"), "{}").is_err());
        assert!(ask("sigill-holder-receipt/1", "{}").is_err(), "a text of another kind");
        assert!(asked(&[("act", "sign"), ("text", "x")]).is_err());
    }

    /// A line that ends early would have the holder sign two.
    #[test]
    fn no_field_of_a_receipt_is_more_than_a_line() {
        let ask = |terms| {
            asked(&[
                ("act", "receipt"),
                ("order", "ord_1"),
                ("serials", "-"),
                ("terms", terms),
                ("addition", "-"),
            ])
        };

        assert!(ask("2026-1").is_ok());
        for terms in ["2026-1\naddition x", "", "2026\u{e5}"] {
            assert!(ask(terms).is_err(), "{terms:?}");
        }
    }
}
