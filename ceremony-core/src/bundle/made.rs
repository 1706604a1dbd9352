//! What a transcript tells was made: keys, and what keys signed.

use crate::budget::SIGN;
use crate::plan::{Operation, OperationName, Plan, RelativeFile, Word};
use crate::transcript::{Kind, Record};

/// A key pair that was made in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeKey {
    /// The step.
    pub step: String,
    /// SHA-256 of its SubjectPublicKeyInfo, 64 hexadecimal digits.
    pub spki_sha256: String,
    /// Its CKA_ID, hexadecimal.
    pub cka_id: String,
    /// Its type, as the plan names it.
    pub key_type: String,
    /// Label and serial number of the token.
    pub token: String,
    /// Whether a later run found it, and told of it then.
    pub adopted: bool,
}

/// A file that a key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeSignature {
    /// The step.
    pub step: String,
    /// The file, by its name below `out/`.
    pub what: String,
    /// Certificate, CRL or request.
    pub kind: String,
    /// The algorithm's name.
    pub algorithm: String,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signed, 64 hexadecimal digits.
    pub key: String,
    /// SHA-256 of what was to be signed.
    pub tbs_sha256: String,
    /// SHA-256 of the finished file.
    pub sha256: String,
    /// How often it was announced: once, and once more each time that the session or the program was lost.
    pub announced: u32,
}

/// A signature that was announced, and of which an exception says that nothing is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The step.
    pub step: String,
    /// What was to be signed.
    pub what: String,
    /// SHA-256 of what was to be signed.
    pub tbs_sha256: String,
    /// Why.
    pub reason: String,
}

/// A key that was destroyed with its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestroyedKey {
    /// The step.
    pub step: String,
    /// SHA-256 of its SubjectPublicKeyInfo, 64 hexadecimal digits, as announced.
    pub announced: String,
    /// The same, as told afterwards.
    pub spki_sha256: String,
    /// Label and serial number of the token.
    pub token: String,
    /// Whether a later run came to the end of it, and told of it then.
    pub adopted: bool,
}

/// Everything of which a transcript tells that it was made, or destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Made {
    /// In the order in which they were made.
    pub keys: Vec<MadeKey>,
    /// In the order in which they were signed.
    pub signatures: Vec<MadeSignature>,
    /// Signatures that may have been made, and are used by nobody.
    pub given_up: Vec<GivenUp>,
    /// Keys that were destroyed, in that order.
    pub destroyed: Vec<DestroyedKey>,
}

impl Made {
    /// The files of public keys that the plan takes up, each with SHA-256 of the key that its step made, which is that of the file.
    #[must_use]
    pub fn enrolled<'a>(&'a self, plan: &'a Plan) -> Vec<(&'a RelativeFile, &'a str)> {
        let enrols = plan.steps.iter().filter_map(|step| match &step.operation {
            Operation::Enrol { key_of, out, .. } => Some((key_of, out)),
            _ => None,
        });
        let key = |of: &Word| {
            let made = self.keys.iter().find(|made| made.step == of.as_str());
            made.map_or("", |made| made.spki_sha256.as_str())
        };
        enrols.map(|(key_of, out)| (out, key(key_of))).collect()
    }

    /// What the lines of a transcript tell, whose rules they keep.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let (mut made, mut open) = (Self::default(), None);
        for record in records {
            match record.kind {
                Kind::Intent if record.body.contains_key("again") => {
                    open = open
                        .map(|(intent, times): (&Record, u32)| (intent, times.saturating_add(1)));
                }
                Kind::Intent => open = Some((record, 1)),
                Kind::Result => {
                    if let Some((intent, times)) = open.take() {
                        made.end(intent, times, record);
                    }
                }
                Kind::Exception if record.body.contains_key("intent") => {
                    if let Some((intent, _)) = open.take() {
                        made.give_up(intent, record);
                    }
                }
                _ => {}
            }
        }
        made
    }

    fn end(&mut self, intent: &Record, announced: u32, result: &Record) {
        let of = |record: &Record, name: &str| record.text(name).unwrap_or_default().to_owned();
        let act = of(intent, "act");
        if act == SIGN {
            self.signatures.push(MadeSignature {
                step: intent.step.clone(),
                what: of(intent, "what"),
                kind: of(intent, "kind"),
                algorithm: of(intent, "algorithm"),
                key: of(intent, "key"),
                tbs_sha256: of(intent, "tbs_sha256"),
                sha256: of(result, "sha256"),
                announced,
            });
        } else if act == OperationName::GenerateKey.as_str() {
            self.keys.push(MadeKey {
                step: intent.step.clone(),
                spki_sha256: of(result, "spki_sha256"),
                cka_id: of(intent, "cka_id"),
                key_type: of(intent, "type"),
                token: of(intent, "token"),
                adopted: result.body.contains_key("adopted"),
            });
        } else if act == OperationName::Destroy.as_str() {
            self.destroyed.push(DestroyedKey {
                step: intent.step.clone(),
                announced: of(intent, "key"),
                spki_sha256: of(result, "spki_sha256"),
                token: of(intent, "token"),
                adopted: result.body.contains_key("adopted"),
            });
        }
    }

    fn give_up(&mut self, intent: &Record, exception: &Record) {
        let of = |record: &Record, name: &str| record.text(name).unwrap_or_default().to_owned();
        if intent.text("act") == Some(SIGN) {
            self.given_up.push(GivenUp {
                step: intent.step.clone(),
                what: of(intent, "what"),
                tbs_sha256: of(intent, "tbs_sha256"),
                reason: of(exception, "reason"),
            });
        }
    }
}
