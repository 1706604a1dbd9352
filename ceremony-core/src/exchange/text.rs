//! Exchange files as text: fields read strictly, and written again to be compared.

use std::collections::BTreeMap;
use std::str::FromStr;

use ca::deployment::Deployment;
use x509::pem::{self, Label};
use x509::statement::{SignedStatement, Statement, StatementError};
use x509::time::UnixTime;

use super::{ExchangeFault, MAX_OCTETS, Matter, Nonce, Opened};
use crate::plan::moment;
use crate::words::Fingerprint;

/// What begins the part behind the statement.
const BEGIN: &str = "\n-----BEGIN ";

/// The statement of a file of this kind.
pub(super) fn statement(
    kind: &str,
    matter: &Matter,
    own: &[(&str, String)],
    payload: &[u8],
) -> Result<Statement, ExchangeFault> {
    let mut fields = vec![
        ("deployment", matter.deployment.to_string()),
        ("number", matter.number.to_string()),
        ("nonce", matter.nonce.to_string()),
        ("created", matter.created.to_string()),
        ("expires", matter.expires.to_string()),
        ("wanted", matter.wanted.to_string()),
        ("issuer", matter.issuer.to_string()),
    ];
    fields.extend(own.iter().map(|(name, value)| (*name, value.clone())));
    fields.push(("payload", Fingerprint::of(payload).to_string()));
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Statement::new(kind, &fields).map_err(of_statement)
}

/// The file: the signed statement, and what it is about.
pub(super) fn file(signed: &SignedStatement, label: Label, payload: &[u8]) -> String {
    format!("{}{}", signed.as_str(), pem::encode(label, payload))
}

/// A file that was read, before its fields are.
pub(super) struct Fields {
    signed: SignedStatement,
    label: Label,
    pub(super) payload: Vec<u8>,
    file: Fingerprint,
}

impl Fields {
    /// Reads a file of this kind, whose signature holds.
    pub(super) fn read(octets: &[u8], kind: &'static str) -> Result<Self, ExchangeFault> {
        let form = |why| ExchangeFault::Form { why };
        if octets.len() > MAX_OCTETS {
            return Err(form("it is longer than 1 MiB"));
        }
        let text = str::from_utf8(octets).map_err(|_| form("it is no text"))?;
        let place = text.find(BEGIN).ok_or_else(|| form("nothing in PEM is behind it"))?;
        let (said, behind) =
            text.split_at_checked(place.saturating_add(1)).ok_or_else(|| form("it is no text"))?;
        let signed = SignedStatement::open(said.as_bytes()).map_err(of_statement)?;
        if signed.statement().kind() != kind {
            let seen = signed.statement().kind().to_owned();
            return Err(ExchangeFault::Kind { seen, wanted: kind });
        }
        let blocks = pem::decode(behind).map_err(|_| form("what is behind it is no PEM"))?;
        let [(label, payload)] = <[_; 1]>::try_from(blocks)
            .map_err(|_| form("more than one thing in PEM is behind it"))?;
        if pem::encode(label, &payload) != behind {
            return Err(form("what is behind it is not written as it must be"));
        }
        Ok(Self { signed, label, payload, file: Fingerprint::of(octets) })
    }

    fn of<T: FromStr>(&self, name: &'static str) -> Result<T, ExchangeFault> {
        let fields: BTreeMap<&str, &str> = self.signed.statement().fields().collect();
        let read = fields.get(name).and_then(|value| value.parse().ok());
        read.ok_or(ExchangeFault::Field { name })
    }

    pub(super) fn hash(&self, name: &'static str) -> Result<Fingerprint, ExchangeFault> {
        self.of(name)
    }

    pub(super) fn hash_if_any(
        &self,
        name: &'static str,
    ) -> Result<Option<Fingerprint>, ExchangeFault> {
        if self.of::<String>(name)? == "none" { Ok(None) } else { self.hash(name).map(Some) }
    }

    fn time(&self, name: &'static str) -> Result<UnixTime, ExchangeFault> {
        moment(toml::Value::Datetime(self.of(name)?)).map_err(|_| ExchangeFault::Field { name })
    }

    pub(super) fn matter(&self) -> Result<Matter, ExchangeFault> {
        let digits: String = self.of("nonce")?;
        let mut nonce = [0; 16];
        let read = base16ct::lower::decode(&digits, &mut nonce);
        if read.map_or(true, |read| read.len() != 16) {
            return Err(ExchangeFault::Field { name: "nonce" });
        }
        Ok(Matter {
            deployment: self.of::<Deployment>("deployment")?,
            number: self.of("number")?,
            nonce: Nonce::from_random(nonce),
            created: self.time("created")?,
            expires: self.time("expires")?,
            wanted: self.of("wanted")?,
            issuer: self.hash("issuer")?,
        })
    }

    /// The file says this and nothing else, in this form, and what is behind it is what it says.
    pub(super) fn has_only(&self, said: &Statement, label: Label) -> Result<(), ExchangeFault> {
        if self.label != label {
            return Err(ExchangeFault::Payload { why: "it is of another kind than was asked for" });
        }
        if self.hash("payload")? != Fingerprint::of(&self.payload) {
            return Err(ExchangeFault::Payload {
                why: "it has another SHA-256 than the statement",
            });
        }
        if said != self.signed.statement() {
            let why = "its fields are not those of the format, in their order and form";
            return Err(ExchangeFault::Form { why });
        }
        Ok(())
    }

    pub(super) fn opened<T>(self, said: T) -> Opened<T> {
        let signer = Fingerprint::from_bytes(*self.signed.key().spki_hash().as_bytes());
        Opened { said, signer, file: self.file }
    }
}

fn of_statement(error: StatementError) -> ExchangeFault {
    match error {
        StatementError::Key(source) => ExchangeFault::Signature { source },
        _ => ExchangeFault::Form { why: "it is no signed statement" },
    }
}
