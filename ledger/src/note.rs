//! Signed notes: text with signature lines under it (C2SP signed-note).
//!
//! [`SignedNote::parse`] takes bytes from anywhere; nothing in the text may be believed before
//! [`SignedNote::signed_text`] has found and verified the line of a key that was pinned.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::hash::decode_hex;

/// The longest note that is read, in octets: room for 16 post-quantum signatures of 5 kB and for
/// a manifest of some ten thousand lines.
pub const MAX_NOTE_LENGTH: usize = 1 << 20;

/// The most signature lines that are read: the number every verifier must take (C2SP signed-note).
pub const MAX_SIGNATURES: usize = 16;

/// What a signature line by one of our keys is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureType {
    /// 0x01: Ed25519 over the note text.
    Ed25519,
    /// 0x04: a timestamp and Ed25519 over it and the note text (C2SP tlog-cosignature).
    TimestampedCosignature,
}

impl SignatureType {
    /// Returns the assigned identifier.
    #[must_use]
    pub const fn identifier(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::TimestampedCosignature => 0x04,
        }
    }

    const fn from_identifier(identifier: u8) -> Option<Self> {
        match identifier {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::TimestampedCosignature),
            _ => None,
        }
    }
}

/// The name of a key: not empty, no whitespace, no plus sign, no control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Takes one of our own origins, which have none of the characters that are refused.
    pub(crate) fn of_origin(origin: &impl fmt::Display) -> Self {
        Self(origin.to_string())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.contains(bad) {
            return Err(KeyNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not the name of a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("key name is empty or has whitespace, a plus sign or a control character")]
pub struct KeyNameError;

/// The four octets that, with the name, tell a verifier which key a line is by. Not a digest to
/// rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Returns the four octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The Ed25519 public key of a note signer, as followers pin it: 32 octets (RFC 8032 §5.1.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotePublicKey([u8; 32]);

impl NotePublicKey {
    /// Takes the 32 octets of an Ed25519 public key. A key that is no point verifies nothing.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies an Ed25519 signature.
    ///
    /// # Errors
    ///
    /// [`WrongSignature`] if `signature` is not one by this key over `message`.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), WrongSignature> {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .map_err(|_| WrongSignature)
    }
}

impl fmt::Display for NotePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for NotePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotePublicKey({self})")
    }
}

impl FromStr for NotePublicKey {
    type Err = NotePublicKeyError;

    /// Reads 64 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NotePublicKeyError> {
        decode_hex(text).map(Self).ok_or(NotePublicKeyError)
    }
}

/// The text is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("note public key is not 64 lower-case hexadecimal digits")]
pub struct NotePublicKeyError;

/// The signature is not the key's over the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct WrongSignature;

/// A key with the name and type under which its lines are looked for: a "vkey" (C2SP signed-note).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifierKey {
    name: KeyName,
    signature_type: SignatureType,
    public_key: NotePublicKey,
}

impl NoteVerifierKey {
    /// Puts a verifier key together.
    #[must_use]
    pub const fn new(name: KeyName, kind: SignatureType, public_key: NotePublicKey) -> Self {
        Self { name, signature_type: kind, public_key }
    }

    /// Returns the key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Returns the first four octets of SHA-256(name || 0x0A || type || public key).
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut digest = Sha256::new();
        digest.update(self.name.0.as_bytes());
        digest.update([b'\n', self.signature_type.identifier()]);
        digest.update(self.public_key.0);
        let digest: [u8; 32] = digest.finalize().into();
        let [a, b, c, d, ..] = digest;
        KeyId([a, b, c, d])
    }
}

impl fmt::Display for NoteVerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = vec![self.signature_type.identifier()];
        material.extend_from_slice(&self.public_key.0);
        write!(f, "{}+{}+{}", self.name, self.id(), STANDARD.encode(material))
    }
}

impl FromStr for NoteVerifierKey {
    type Err = NoteVerifierKeyError;

    fn from_str(text: &str) -> Result<Self, NoteVerifierKeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteVerifierKeyError::Parts);
        };
        let material = STANDARD.decode(material).map_err(|_| NoteVerifierKeyError::Material)?;
        let (kind, key) = material.split_first().ok_or(NoteVerifierKeyError::Material)?;
        let signature_type = SignatureType::from_identifier(*kind)
            .ok_or(NoteVerifierKeyError::UnknownType { identifier: *kind })?;
        let key: [u8; 32] = key.try_into().map_err(|_| NoteVerifierKeyError::Material)?;
        let verifier = Self { name: name.parse()?, signature_type, public_key: NotePublicKey(key) };
        if verifier.id().to_string() != id {
            return Err(NoteVerifierKeyError::WrongId { computed: verifier.id() });
        }
        Ok(verifier)
    }
}

/// Why a text is not a verifier key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteVerifierKeyError {
    /// Not three parts.
    #[error("verifier key is not <name>+<id>+<key>")]
    Parts,
    /// The name.
    #[error("verifier key has no proper name")]
    Name(#[from] KeyNameError),
    /// The type and key.
    #[error("verifier key does not end in the base64 of a type and a 32-octet key")]
    Material,
    /// A type that is not ours to verify.
    #[error("verifier key has signature type {identifier:#04x}, 0x01 and 0x04 are known")]
    UnknownType { identifier: u8 },
    /// The id does not belong to the name and key.
    #[error("verifier key does not carry its own id {computed}")]
    WrongId { computed: KeyId },
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: KeyName,
    id: KeyId,
    signature: Vec<u8>,
}

impl SignatureLine {
    /// Returns the line of `key` with the octets that follow the key id.
    #[must_use]
    pub fn new(key: &NoteVerifierKey, signature: Vec<u8>) -> Self {
        Self { name: key.name.clone(), id: key.id(), signature }
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let signature = STANDARD.decode(signature).ok()?;
        let (id, signature) = signature.split_first_chunk::<4>()?;
        if signature.is_empty() {
            return None;
        }
        Some(Self { name: name.parse().ok()?, id: KeyId(*id), signature: signature.to_vec() })
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [&self.id.0[..], &self.signature].concat();
        writeln!(f, "\u{2014} {} {}", self.name, STANDARD.encode(octets))
    }
}

/// A well-formed note whose signatures have not been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl SignedNote {
    /// Puts a text and its signature lines together. The text is one of our own encoders'.
    pub(crate) const fn from_parts(text: String, signatures: Vec<SignatureLine>) -> Self {
        Self { text, signatures }
    }

    /// Reads a note of at most [`MAX_NOTE_LENGTH`] octets and [`MAX_SIGNATURES`] lines.
    ///
    /// # Errors
    ///
    /// [`NoteParseError`]; work and memory stay proportional to the limit whatever the bytes are.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteParseError> {
        if bytes.len() > MAX_NOTE_LENGTH {
            return Err(NoteParseError::TooLong { length: bytes.len() });
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteParseError::NotUtf8)?;
        if let Some(control) = note.bytes().find(|b| *b < 0x20 && *b != b'\n') {
            return Err(NoteParseError::Control { octet: control });
        }
        let (before, lines) = note.rsplit_once("\n\n").ok_or(NoteParseError::NoBlankLine)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteParseError::NoSignatures)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteParseError::TooManySignatures);
        }
        let signatures = lines
            .split('\n')
            .map(SignatureLine::parse)
            .collect::<Option<_>>()
            .ok_or(NoteParseError::SignatureLine)?;
        Ok(Self { text: format!("{before}\n"), signatures })
    }

    /// Returns the text with its last newline. Verify a signature before believing it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the octets behind the key id in the one line that carries the name and id of `key`;
    /// unverified.
    ///
    /// # Errors
    ///
    /// [`NoteVerifyError::NotSigned`] if no line is by that key, and
    /// [`NoteVerifyError::SignedTwice`] if several are, since they could say different things.
    pub(crate) fn line_of(&self, key: &NoteVerifierKey) -> Result<&[u8], NoteVerifyError> {
        let id = key.id();
        let mut lines =
            self.signatures.iter().filter(|line| line.id == id && line.name == key.name);
        let line = lines
            .next()
            .ok_or_else(|| NoteVerifyError::NotSigned { name: key.name.clone(), id })?;
        if lines.next().is_some() {
            return Err(NoteVerifyError::SignedTwice { name: key.name.clone(), id });
        }
        Ok(&line.signature)
    }

    /// Verifies the Ed25519 (0x01) line of `key` and returns the text it signs. Lines of other
    /// keys are ignored.
    ///
    /// # Errors
    ///
    /// [`NoteVerifyError`] if there is not exactly one line by `key` or it does not verify.
    pub fn signed_text(&self, key: &NoteVerifierKey) -> Result<&str, NoteVerifyError> {
        let signature = self.line_of(key)?;
        if key.signature_type != SignatureType::Ed25519 {
            return Err(NoteVerifyError::OtherType { identifier: key.signature_type.identifier() });
        }
        key.public_key.verify(self.text.as_bytes(), signature)?;
        Ok(&self.text)
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| line.fmt(f))
    }
}

/// Why bytes are not a signed note.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteParseError {
    /// The size limit.
    #[error("note has {length} octets, at most 1048576 are read")]
    TooLong { length: usize },
    /// Encoding.
    #[error("note is not UTF-8")]
    NotUtf8,
    /// A control character.
    #[error("note has the control character {octet:#04x}")]
    Control { octet: u8 },
    /// Text and signatures are not separated.
    #[error("note has no blank line before its signatures")]
    NoBlankLine,
    /// Nothing, or no final newline, after the blank line.
    #[error("note does not end in a signature line")]
    NoSignatures,
    /// The signature limit.
    #[error("note has more than 16 signatures")]
    TooManySignatures,
    /// A line after the blank one that is no signature.
    #[error("note has a signature line that is not an em dash, a key name and a base64 signature")]
    SignatureLine,
}

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteVerifyError {
    /// No line by the pinned key.
    #[error("note carries no signature by {name} with key id {id}")]
    NotSigned { name: KeyName, id: KeyId },
    /// Several lines by the pinned key.
    #[error("note carries more than one signature by {name} with key id {id}")]
    SignedTwice { name: KeyName, id: KeyId },
    /// The caller asked for a plain signature with another type of key.
    #[error("a key of signature type {identifier:#04x} does not sign text alone")]
    OtherType { identifier: u8 },
    /// The line does not verify.
    #[error("note is not authentic")]
    WrongSignature(#[from] WrongSignature),
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE_KEY: &str =
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const EXAMPLE_NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

    /// The worked example of C2SP signed-note: its verifier key verifies its note.
    #[test]
    fn the_example_of_the_specification_verifies() {
        let key: NoteVerifierKey = EXAMPLE_KEY.parse().unwrap();
        let note = SignedNote::parse(EXAMPLE_NOTE.as_bytes()).unwrap();

        assert_eq!(note.signed_text(&key), Ok("This is an example message.\n"));
        assert_eq!(key.id().to_string(), "530d903a");
        assert_eq!(key.to_string(), EXAMPLE_KEY);
        assert_eq!(note.to_string(), EXAMPLE_NOTE);
    }

    /// The first example of C2SP signed-note: its text has an empty line of its own.
    #[test]
    fn the_text_ends_at_the_last_empty_line() {
        let note = SignedNote::parse(POEM.as_bytes()).unwrap();

        assert!(note.text().ends_with("raggio di sole:\n\ned è subito sera.\n"));
        assert_eq!(note.to_string(), POEM);
    }

    #[test]
    fn refuses_a_changed_text_and_a_changed_signature() {
        let key: NoteVerifierKey = EXAMPLE_KEY.parse().unwrap();
        for (old, new) in [("example", "exbmple"), ("Okn8", "Okn9")] {
            let note = EXAMPLE_NOTE.replacen(old, new, 1);
            let note = SignedNote::parse(note.as_bytes()).unwrap();

            assert_eq!(
                note.signed_text(&key),
                Err(NoteVerifyError::WrongSignature(WrongSignature))
            );
        }
    }

    #[test]
    fn ignores_other_keys_but_not_a_second_line_of_the_same() {
        let key: NoteVerifierKey = EXAMPLE_KEY.parse().unwrap();
        let line = EXAMPLE_NOTE.lines().last().unwrap();
        let renamed = line.replace("/foo", "/bar");
        let other_id = line.replace(" Uw2Q", " Uw2R");

        let note = SignedNote::parse(format!("{EXAMPLE_NOTE}{renamed}\n{other_id}\n").as_bytes());
        assert!(note.unwrap().signed_text(&key).is_ok());

        let note = SignedNote::parse(format!("{EXAMPLE_NOTE}{line}\n").as_bytes()).unwrap();
        assert!(matches!(note.signed_text(&key), Err(NoteVerifyError::SignedTwice { .. })));

        let note = SignedNote::parse(EXAMPLE_NOTE.replace(line, &renamed).as_bytes()).unwrap();
        assert!(matches!(note.signed_text(&key), Err(NoteVerifyError::NotSigned { .. })));
    }

    #[test]
    fn takes_sixteen_signatures_and_refuses_seventeen() {
        let line = EXAMPLE_NOTE.lines().last().unwrap();
        let note = |count| format!("text\n\n{}", format!("{line}\n").repeat(count));

        assert!(SignedNote::parse(note(16).as_bytes()).is_ok());
        assert_eq!(SignedNote::parse(note(17).as_bytes()), Err(NoteParseError::TooManySignatures));
    }

    #[test]
    fn refuses_what_is_not_a_note() {
        let line = EXAMPLE_NOTE.lines().last().unwrap();
        let long = "x".repeat(MAX_NOTE_LENGTH + 1);
        for (bytes, error) in [
            (&b""[..], NoteParseError::NoBlankLine),
            (long.as_bytes(), NoteParseError::TooLong { length: MAX_NOTE_LENGTH + 1 }),
            (b"text\xff\n\n", NoteParseError::NotUtf8),
            (b"text\r\n\n", NoteParseError::Control { octet: b'\r' }),
            (b"text\0\n\n", NoteParseError::Control { octet: 0 }),
            (format!("{line}\n").as_bytes(), NoteParseError::NoBlankLine),
            (format!("\n{line}\n").as_bytes(), NoteParseError::NoBlankLine),
            (b"text\n\n", NoteParseError::NoSignatures),
            (format!("text\n\n{line}").as_bytes(), NoteParseError::NoSignatures),
            (format!("text\n\n{line}\n\n").as_bytes(), NoteParseError::NoSignatures),
            (b"text\n\n-- name AAAAAAAA\n", NoteParseError::SignatureLine),
            ("text\n\n\u{2014} name AAAAAA==\n".as_bytes(), NoteParseError::SignatureLine),
            ("text\n\n\u{2014} name AAAAAAA\n".as_bytes(), NoteParseError::SignatureLine),
            ("text\n\n\u{2014} na+me AAAAAAAA\n".as_bytes(), NoteParseError::SignatureLine),
            ("text\n\n\u{2014} na\u{a0}me AAAAAAAA\n".as_bytes(), NoteParseError::SignatureLine),
            ("text\n\n\u{2014}  AAAAAAAA\n".as_bytes(), NoteParseError::SignatureLine),
            ("text\n\n\u{2014} name AAAAAAAA \n".as_bytes(), NoteParseError::SignatureLine),
            (format!("text\n\n{line}\nmore\n").as_bytes(), NoteParseError::SignatureLine),
        ] {
            assert_eq!(SignedNote::parse(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn refuses_what_is_not_a_verifier_key() {
        for text in [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
            "example.com/foo+530d903a+",
            "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        ] {
            assert!(text.parse::<NoteVerifierKey>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_written_back_unchanged(
            text in "[a\\n\u{2014} +=A]{0,80}",
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            for bytes in [text.as_bytes(), &bytes] {
                if let Ok(note) = SignedNote::parse(bytes) {
                    proptest::prop_assert_eq!(note.to_string().into_bytes(), bytes);
                }
            }
        }
    }
}
