//! The record of an inventory, as it is written and read (docs/formats/key-inventory.md).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ceremony_core::words::Fingerprint;
use hsm::token::TokenFacts;
use hsm::{AttributeValue, Holding, KeyProof, ObjectKind, Proofs};
use serde::{Deserialize, Serialize};
use x509::time::UnixTime;

use super::InventoryError;
use super::users::Users;

/// The first line of the format: another number is another format.
const FORMAT: &str = "sigill-key-inventory/1";

/// One inventory of one token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Record {
    format: String,
    taken_at: String,
    pub(crate) module: ModuleRecord,
    pub(crate) token: TokenRecord,
    /// Whether the private keys were asked to prove themselves.
    pub(crate) proofs: bool,
    pub(crate) objects: Vec<ObjectRecord>,
    pub(crate) findings: Vec<Finding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) differences: Option<Vec<Difference>>,
}

/// The PKCS#11 module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ModuleRecord {
    pub(crate) path: PathBuf,
    pub(crate) description: String,
}

/// What the token tells of itself (KEY-01).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TokenRecord {
    pub(crate) label: String,
    pub(crate) serial: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) firmware: String,
    pub(crate) hardware: String,
    pub(crate) software: bool,
}

/// One object of the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ObjectRecord {
    pub(crate) class: String,
    pub(crate) label: String,
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) key_type: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(crate) spki_sha256: Option<String>,
    /// How that is known: told, beside, assumed, recovered, unknown.
    pub(crate) public_half: String,
    pub(crate) proof: String,
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) wrong: Vec<String>,
    pub(crate) used_by: Vec<String>,
    /// Of a private key, where configurations were given: in-use, or pre-generated.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Of a certificate's DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Flag(bool),
    Name(String),
    Names(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Names(names) => f.write_str(&names.join(" ")),
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Finding {
    pub(crate) code: String,
    pub(crate) what: String,
}

/// Something that the earlier record says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Difference {
    pub(crate) of: String,
    pub(crate) what: String,
    pub(crate) was: String,
    pub(crate) is: String,
}

impl Record {
    pub(crate) fn new(
        now: UnixTime,
        module: ModuleRecord,
        token: TokenRecord,
        proofs: Proofs,
        holdings: &[Holding],
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            taken_at: now.to_string(),
            module,
            token,
            proofs: proofs == Proofs::Every,
            objects: holdings.iter().map(ObjectRecord::new).collect(),
            findings: Vec::new(),
            differences: None,
        }
    }

    /// Reads an earlier record.
    ///
    /// # Errors
    ///
    /// [`InventoryError`] names the file, and what of it is no record.
    pub(crate) fn read(path: &Path) -> Result<Self, InventoryError> {
        let text = std::fs::read_to_string(path).map_err(InventoryError::unreadable(path))?;
        let refused = |why| InventoryError::Record { path: path.to_path_buf(), why };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_str);
        if format != Some(FORMAT) {
            return Err(refused(format!("format is {format:?}, known is {FORMAT:?}")));
        }
        serde_json::from_value(value).map_err(|error| refused(error.to_string()))
    }

    /// Writes down which parts of the configurations use which key.
    pub(crate) fn note_users(&mut self, users: &Users) {
        for object in &mut self.objects {
            if let Some(spki) = &object.spki_sha256 {
                object.used_by = users.of(spki);
            }
            if object.is_private() && users.are_known() {
                let used = !object.used_by.is_empty();
                object.state = Some(if used { "in-use" } else { "pre-generated" }.to_owned());
            }
        }
    }

    /// Whether nothing was found and nothing differs.
    pub(crate) fn is_as_expected(&self) -> bool {
        self.findings.is_empty() && self.differences.as_ref().is_none_or(Vec::is_empty)
    }

    pub(crate) fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The hash of what the token holds.
    pub(crate) fn contents(&self) -> anyhow::Result<Fingerprint> {
        contents(&self.objects)
    }
}

/// What stays of an object when it is left out who asked, when, and what is thought of it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Content<'a> {
    class: &'a str,
    label: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    key_type: &'a str,
    spki_sha256: Option<&'a str>,
    attributes: &'a BTreeMap<String, Value>,
    sha256: Option<&'a str>,
}

/// The hash of what a token holds, which plans of ceremonies name: a line of JSON for each object, in the record's order.
pub(crate) fn contents(objects: &[ObjectRecord]) -> anyhow::Result<Fingerprint> {
    let mut text = String::new();
    for object in objects {
        let content = Content {
            class: &object.class,
            label: &object.label,
            id: &object.id,
            key_type: &object.key_type,
            spki_sha256: object.spki_sha256.as_deref(),
            attributes: &object.attributes,
            sha256: object.sha256.as_deref(),
        };
        text.push_str(&serde_json::to_string(&content)?);
        text.push('\n');
    }
    Ok(Fingerprint::of(text.as_bytes()))
}

impl TokenRecord {
    pub(crate) fn new(facts: &TokenFacts, software: bool) -> Self {
        Self {
            label: facts.label.clone(),
            serial: facts.serial.clone(),
            manufacturer: facts.manufacturer.clone(),
            model: facts.model.clone(),
            firmware: facts.firmware.clone(),
            hardware: facts.hardware.clone(),
            software,
        }
    }
}

impl ObjectRecord {
    pub(crate) fn new(holding: &Holding) -> Self {
        let attributes = holding.attributes.iter().map(|(name, value)| {
            let value = match value {
                AttributeValue::Flag(value) => Value::Flag(*value),
                AttributeValue::Mechanism(name) => Value::Name(name.clone()),
                AttributeValue::Mechanisms(names) => Value::Names(names.clone()),
            };
            (name.to_owned(), value)
        });
        let wrong = holding.refusals.iter().map(|refused| {
            let (attribute, found) = (refused.attribute(), refused.found());
            format!("{attribute} {found}, demanded is {}", refused.demanded())
        });
        Self {
            class: holding.kind.name().to_owned(),
            label: holding.name.label().to_owned(),
            id: holding.name.hexadecimal_id(),
            key_type: holding.key_type.clone(),
            spki_sha256: holding.public.key().map(|key| key.spki_hash().to_string()),
            public_half: holding.public.name().to_owned(),
            proof: proof(&holding.proof),
            attributes: attributes.collect(),
            wrong: wrong.collect(),
            used_by: Vec::new(),
            state: None,
            sha256: holding.certificate_sha256.map(|hash| base16ct::lower::encode_string(&hash)),
        }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.class == ObjectKind::PrivateKey.name()
    }

    pub(crate) fn is(&self, kind: ObjectKind) -> bool {
        self.class == kind.name()
    }

    /// As operators name it: class, label, id.
    pub(crate) fn name(&self) -> String {
        let class = self.class.replace('-', " ");
        let id = if self.id.is_empty() { "none" } else { &self.id };
        format!("{class} {:?} (id {id})", self.label)
    }
}

fn proof(proof: &KeyProof) -> String {
    match proof {
        KeyProof::NotAsked => "not-asked".to_owned(),
        KeyProof::Proven => "proven".to_owned(),
        KeyProof::NothingToProve => "nothing-to-prove".to_owned(),
        KeyProof::Refuted { told: Some(told) } => {
            format!("refuted: the token tells {}", told.spki_hash())
        }
        KeyProof::Refuted { told: None } => "refuted".to_owned(),
        KeyProof::Refused(failure) => {
            format!("refused: {} returned {}", failure.function(), failure.result())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: &str, label: &str) -> ObjectRecord {
        ObjectRecord {
            class: class.to_owned(),
            label: label.to_owned(),
            id: "0a".to_owned(),
            key_type: "ec-p384".to_owned(),
            spki_sha256: Some("ab".repeat(32)),
            public_half: "beside".to_owned(),
            proof: "not-asked".to_owned(),
            attributes: BTreeMap::from([("sign".to_owned(), Value::Flag(true))]),
            wrong: Vec::new(),
            used_by: Vec::new(),
            state: None,
            sha256: None,
        }
    }

    /// The text that docs/formats/key-inventory.md tells, and what changes its hash: what is there, and not what is thought of it.
    #[test]
    fn the_hash_of_contents_is_that_of_a_line_of_json_an_object() {
        let key = object("private-key", "root-key");
        let line = format!(
            "{{\"class\":\"private-key\",\"label\":\"root-key\",\"id\":\"0a\",\"type\":\"ec-p384\",\"spki-sha256\":\"{}\",\
             \"attributes\":{{\"sign\":true}},\"sha256\":null}}\n",
            "ab".repeat(32)
        );
        let hash = contents(std::slice::from_ref(&key)).unwrap();
        assert_eq!(hash, Fingerprint::of(line.as_bytes()));

        let mut thought = key.clone();
        thought.used_by = vec!["authority root".to_owned()];
        thought.proof = "proven".to_owned();
        assert_eq!(contents(&[thought]).unwrap(), hash);
        let mut changed = key.clone();
        changed.attributes.insert("sign".to_owned(), Value::Flag(false));
        for other in
            [vec![], vec![changed], vec![object("private-key", "other")], vec![key.clone(), key]]
        {
            assert_ne!(contents(&other).unwrap(), hash);
        }
    }
}
