//! What a person says at a key ceremony, or a vantage point of what it saw, and signs with a key of its own.
//!
//! A statement is a text that its signer can read, and the text is what is signed. Its first line says what it is,
//! and nothing else that is signed anywhere begins with the same words; each further line is one field. The signed form
//! has the key, the algorithm and the signature behind it. The format is told in docs/formats/statement.md.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::key::{KeyError, PublicKey, SignatureAlgorithm};

/// The words that every statement begins with.
const LABEL: &str = "sigill statement/1 ";
/// The longest signed statement.
const MAX_OCTETS: usize = 16 * 1024;
/// What stands between the text and what was made of it.
const MARK: &str = "\n-- ";

/// What is said, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    text: String,
}

impl Statement {
    /// A statement of this kind with these fields, in their order.
    ///
    /// # Errors
    ///
    /// [`StatementError::Form`] for a kind or field name of other characters than `a-z` and hyphens, a name that is there
    /// twice, and a value that is empty, has a space first or last or holds a control character.
    pub fn new(kind: &str, fields: &[(&str, &str)]) -> Result<Self, StatementError> {
        // A line feed in a value would begin a field that its signer was not shown.
        if kind.contains('\n')
            || fields.iter().any(|(name, value)| [name, value].iter().any(|one| one.contains('\n')))
        {
            return Err(StatementError::Form);
        }
        let mut text = format!("{LABEL}{kind}\n");
        for (name, value) in fields {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
        }
        Self::read(&text)
    }

    fn read(text: &str) -> Result<Self, StatementError> {
        let malformed = || StatementError::Form;
        let rest = text
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_suffix('\n'))
            .ok_or_else(malformed)?;
        let mut lines = rest.split('\n');
        if !lines.next().is_some_and(is_name) {
            return Err(StatementError::Form);
        }
        let mut names = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(malformed)?;
            let fits =
                !value.is_empty() && value.trim() == value && !value.chars().any(char::is_control);
            if !is_name(name) || !fits || names.contains(&name) {
                return Err(StatementError::Form);
            }
            names.push(name);
        }
        Ok(Self { text: text.to_owned() })
    }

    /// What kind of statement it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text.lines().next().and_then(|line| line.strip_prefix(LABEL)).unwrap_or_default()
    }

    /// The names and values of its fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text.lines().skip(1).filter_map(|line| line.split_once(": "))
    }

    /// The text, which is what is signed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c == '-';
    (1..=64).contains(&text.len()) && text.chars().all(allowed)
}

/// A statement whose signature has been verified. Whose key it is, is the caller's to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    statement: Statement,
    key: PublicKey,
    text: String,
}

impl SignedStatement {
    /// Puts a statement and the signature over its text together.
    ///
    /// # Errors
    ///
    /// [`StatementError::Key`] when the signature does not verify.
    pub fn assemble(
        statement: &Statement,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
    ) -> Result<Self, StatementError> {
        let text = format!(
            "{}-- {}\n-- {}\n-- {}\n",
            statement.text,
            STANDARD.encode(key.spki_der()),
            algorithm.name(),
            STANDARD.encode(signature)
        );
        Self::open(text.as_bytes())
    }

    /// Reads a signed statement and verifies its signature.
    ///
    /// # Errors
    ///
    /// [`StatementError`]; nothing in the bytes may be believed then.
    pub fn open(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_OCTETS {
            return Err(StatementError::TooLong { octets: bytes.len() });
        }
        let malformed = || StatementError::Form;
        let whole = std::str::from_utf8(bytes).map_err(|_| StatementError::Form)?;
        let rest = whole.strip_suffix('\n').ok_or_else(malformed)?;
        let (rest, signature) = rest.rsplit_once(MARK).ok_or_else(malformed)?;
        let (rest, algorithm) = rest.rsplit_once(MARK).ok_or_else(malformed)?;
        let (text, key) = rest.rsplit_once(MARK).ok_or_else(malformed)?;
        let statement = Statement::read(&format!("{text}\n"))?;
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| StatementError::Form);
        let key = PublicKey::from_spki_der(&decoded(key)?).map_err(StatementError::Key)?;
        let algorithm: SignatureAlgorithm = algorithm.parse().map_err(|_| StatementError::Form)?;
        key.verify(algorithm, statement.text.as_bytes(), &decoded(signature)?)
            .map_err(StatementError::Key)?;
        Ok(Self { statement, key, text: whole.to_owned() })
    }

    /// What is said.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The key that signed it.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The whole of it, as it is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Why a statement is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementError {
    /// Longer than any.
    #[error("statement has {octets} octets; at most {MAX_OCTETS} are read")]
    TooLong {
        /// Octets.
        octets: usize,
    },
    /// Not a text of such lines.
    #[error(
        "this is no statement: its first line, a field or what stands behind them has another form"
    )]
    Form,
    /// The key, or its signature.
    #[error("key or signature of the statement was refused: {0}")]
    Key(#[source] KeyError),
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    };

    use super::*;

    fn said() -> Statement {
        Statement::new("plan-approval", &[("plan", "00ff"), ("person", "anna-berg")]).unwrap()
    }

    fn signed() -> SignedStatement {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let signature = pair.sign(&random, said().as_str().as_bytes()).unwrap();
        SignedStatement::assemble(
            &said(),
            &key,
            SignatureAlgorithm::EcdsaP256Sha256,
            signature.as_ref(),
        )
        .unwrap()
    }

    #[test]
    fn what_is_signed_is_what_is_read() {
        let signed = signed();

        let read = SignedStatement::open(signed.as_str().as_bytes()).unwrap();

        assert_eq!(read, signed);
        assert_eq!(
            read.statement().as_str(),
            "sigill statement/1 plan-approval\nplan: 00ff\nperson: anna-berg\n"
        );
        assert_eq!(read.statement().kind(), "plan-approval");
        assert_eq!(
            read.statement().fields().collect::<Vec<_>>(),
            [("plan", "00ff"), ("person", "anna-berg")]
        );
    }

    #[test]
    fn no_changed_octet_survives() {
        let text = signed().as_str().to_owned();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            assert!(SignedStatement::open(&bytes).is_err(), "octet {place}");
        }
        assert!(SignedStatement::open(&text.as_bytes()[1..]).is_err());
        assert!(SignedStatement::open(format!("{text}\n").as_bytes()).is_err());
    }

    #[test]
    fn refuses_anothers_signature() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()).unwrap();
        let signature = pair.sign(b"another text");

        let refused = SignedStatement::assemble(
            &said(),
            &key,
            SignatureAlgorithm::Ed25519,
            signature.as_ref(),
        );

        assert!(matches!(refused, Err(StatementError::Key(_))), "{refused:?}");
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for (kind, fields) in [
            ("Approval", &[("plan", "1")][..]),
            ("", &[("plan", "1")]),
            ("approval", &[("plan", "1"), ("plan", "2")]),
            ("approval", &[("plan", "")]),
            ("approval", &[("plan", "1\nperson: x")]),
            ("approval", &[("plan", " 1")]),
            ("approval", &[("plan:", "1")]),
            ("approval", &[("-- plan", "1")]),
        ] {
            assert_eq!(
                Statement::new(kind, fields),
                Err(StatementError::Form),
                "{kind} {fields:?}"
            );
        }
    }
}
