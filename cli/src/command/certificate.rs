//! `sigill certificate`: issue, show, list, revoke, release.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use x509::import::ImportedCertificate;
use x509::pem::{self, Label};

use super::outcome::{Told, reach};
use super::word;
use crate::ad;
use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, Yes, facts, table};

/// Rows asked for at a time.
const PAGE: u32 = 200;

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Certificate {
    /// Issue a certificate for a PKCS#10 request.
    #[command(
        after_help = "Example:\n  sigill certificate issue --profile person-hsaid-3-authentication --csr tolvan.csr \\\n    --given-name Tolvan --surname Tolvansson --hsa-id TST2321000016-1002 --organization 'Sigill Test'"
    )]
    Issue(Box<Issue>),
    /// Show one certificate.
    #[command(
        after_help = "Example:\n  sigill certificate show crt_019…\n  sigill certificate show crt_019… --ad"
    )]
    Show {
        /// Its id, or its SHA-256.
        id: String,
        /// Print alone how Active Directory maps it to an account: issuer and reversed serial number
        /// (altSecurityIdentities).
        #[arg(long)]
        ad: bool,
    },
    /// List certificates, oldest first.
    #[command(after_help = "Example:\n  sigill certificate list --state revoked --json")]
    List(List),
    /// Revoke a certificate (spärra).
    #[command(
        after_help = "Example:\n  sigill certificate revoke crt_019… --reason keyCompromise --yes"
    )]
    Revoke(Revoke),
    /// End a hold: the certificate stands as it did before.
    #[command(after_help = "Example:\n  sigill certificate release crt_019… --yes")]
    Release(Release),
    /// Revoke a serial whose certificate is not in the database (after a restore).
    #[command(
        after_help = "Example:\n  sigill certificate revoke-serial sigilltesteidfunctioncav1 52095AF3EF50B4FA0A053B807AA9D7DB --yes"
    )]
    RevokeSerial(RevokeSerial),
}

/// A new certificate.
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// The profile.
    #[arg(long)]
    profile: String,
    /// The authority, where several issue the profile.
    #[arg(long)]
    authority: Option<String>,
    /// The PKCS#10 request, PEM.
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// Common name of a function.
    #[arg(long)]
    common_name: Option<String>,
    /// Given name (förnamn).
    #[arg(long)]
    given_name: Option<String>,
    /// Surname (efternamn).
    #[arg(long)]
    surname: Option<String>,
    /// HSA-id.
    #[arg(long)]
    hsa_id: Option<String>,
    /// Personnummer or samordningsnummer, 12 digits.
    #[arg(long)]
    personal_identity_number: Option<String>,
    /// Organisation.
    #[arg(long)]
    organization: Option<String>,
    /// Place or county.
    #[arg(long)]
    locality: Option<String>,
    /// Card number (kortserienummer), 19 digits.
    #[arg(long)]
    card_number: Option<String>,
    /// User principal name.
    #[arg(long)]
    upn: Option<String>,
    /// E-mail address.
    #[arg(long)]
    email: Option<String>,
    /// DNS name; may be given several times.
    #[arg(long)]
    dns: Vec<String>,
    /// The organisation that owns the function: its certificate's DNS names lie under domains that this, or what it lies under, has proved.
    #[arg(long, value_name = "ID")]
    owner: Option<String>,
    /// The order of a person's certificate: a file with the JSON of `order` in POST /v1/certificates.
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
    /// The certificate of the holder's own eID that proved who he is, PEM: goes into the order's proofing.
    #[arg(long, value_name = "FILE", requires = "order")]
    eid: Option<PathBuf>,
    /// Opaque id of the person who acts.
    #[arg(long)]
    actor: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Write the certificate and its chain to this file, PEM.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Which certificates.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this authority.
    #[arg(long)]
    authority: Option<String>,
    /// Only this serial number (with --authority).
    #[arg(long)]
    serial: Option<String>,
    /// Only of this profile.
    #[arg(long)]
    profile: Option<String>,
    /// issued, activated, held or revoked.
    #[arg(long)]
    state: Option<String>,
    /// Only of this order.
    #[arg(long)]
    order: Option<String>,
    /// Only of eIDs of holders in the organisation of this number.
    #[arg(long, value_name = "NUMBER")]
    organisation: Option<String>,
    /// Only of this eID; `none`: only those that belong to none.
    #[arg(long, value_name = "ID")]
    eid: Option<String>,
    /// At most so many; all of them when left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// A revocation by serial.
#[derive(Debug, Args)]
pub(crate) struct RevokeSerial {
    /// The authority's short name.
    authority: String,
    /// The serial number, hexadecimal.
    serial: String,
    #[command(flatten)]
    how: How,
}

/// A revocation.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The certificate's id.
    id: String,
    #[command(flatten)]
    how: How,
}

/// The end of a hold.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The certificate's id.
    id: String,
    /// Opaque id of the person who acts.
    #[arg(long)]
    actor: Option<String>,
    /// Idempotency key; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Why and for whom.
#[derive(Debug, Args)]
pub(super) struct How {
    /// What has happened, such as stolen or employment-ended (`sigill events` lists them); the reason follows from it.
    #[arg(long)]
    event: Option<String>,
    /// unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold or
    /// privilegeWithdrawn; unspecified where neither it nor --event is given.
    #[arg(long)]
    reason: Option<String>,
    /// When revocation was asked for, if earlier (RFC 3339, UTC).
    #[arg(long, value_name = "TIME")]
    requested_at: Option<String>,
    /// Opaque id of the person who acts.
    #[arg(long)]
    actor: Option<String>,
    /// Idempotency key; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Certificate {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::Issue(issue) => issue.run(client, terminal),
            Self::Show { id, ad: true } => {
                let certificate = find(client, id)?;
                let mapping = mapping(&certificate)?;
                terminal.result(&mapping, || vec![mapping.alt_security_identities.clone()]);
                Ok(())
            }
            Self::Show { id, ad: false } => {
                let certificate = find(client, id)?;
                terminal.result(&certificate, || {
                    let mut lines = shown(&certificate);
                    lines.extend(
                        certificate.certificate.iter().map(|pem| pem.trim_end().to_owned()),
                    );
                    lines
                });
                Ok(())
            }
            Self::List(list) => list.run(client, terminal),
            Self::Revoke(revoke) => revoke.run(client, terminal),
            Self::Release(release) => release.run(client, terminal),
            Self::RevokeSerial(revoke) => revoke.run(client, terminal),
        }
    }
}

impl Issue {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let csr = std::fs::read_to_string(&self.csr)
            .map_err(|source| ClientError::File { path: self.csr.clone(), source })?;
        let request = api::IssueRequest {
            profile: self.profile.clone(),
            authority: self.authority.clone(),
            csr,
            subject: api::SubjectFields {
                common_name: self.common_name.clone(),
                given_name: self.given_name.clone(),
                surname: self.surname.clone(),
                hsa_id: self.hsa_id.clone(),
                personal_identity_number: self.personal_identity_number.clone(),
                organization: self.organization.clone(),
                locality: self.locality.clone(),
                card_number: self.card_number.clone(),
            },
            alternative_names: api::AlternativeNames {
                upn: self.upn.clone(),
                email: self.email.clone(),
                dns: self.dns.clone(),
            },
            actor: actor(self.actor.as_deref()),
            order: self.order()?,
            function: self.owner.clone().map(|owner| api::FunctionFields { owner }),
        };
        let key = key(self.idempotency_key.as_deref())?;
        let certificate: api::Certificate = client.post("/v1/certificates", &key, &request)?;
        if let Some(path) = &self.out {
            let leaf = certificate.certificate.iter();
            let text: String = leaf.chain(&certificate.chain).map(String::as_str).collect();
            std::fs::write(path, text)
                .map_err(|source| ClientError::File { path: path.clone(), source })?;
        }
        terminal.result(&certificate, || shown(&certificate));
        Ok(())
    }
}

impl Issue {
    /// The order of its file, with the eID of its own file.
    fn order(&self) -> Result<Option<api::OrderFields>, ClientError> {
        let Some(path) = &self.order else { return Ok(None) };
        let mut order = order(path)?;
        if let Some(path) = &self.eid {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ClientError::File { path: path.clone(), source })?;
            let first = first_certificate(&text).to_owned();
            let (authority, serial) = (None, None);
            let eid = api::order::OrderEid { certificate: Some(first), authority, serial };
            order.proofing.eid = Some(eid);
        }
        Ok(Some(order))
    }
}

/// The first block of a file with a certificate and, maybe, its chain.
fn first_certificate(text: &str) -> &str {
    const END: &str = "-----END CERTIFICATE-----";
    text.find(END).and_then(|at| text.get(..at.saturating_add(END.len()))).unwrap_or(text)
}

/// Reads the file of an order.
fn order(path: &Path) -> Result<api::OrderFields, ClientError> {
    let file = |source| ClientError::File { path: path.to_path_buf(), source };
    let text = std::fs::read(path).map_err(file)?;
    serde_json::from_slice(&text).map_err(|error| file(std::io::Error::other(error)))
}

impl List {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut items: Vec<api::Certificate> = Vec::new();
        let mut cursor: Option<String> = None;
        let limit = self.limit.map(usize::try_from).and_then(Result::ok);
        let wanted = limit.unwrap_or(usize::MAX);
        loop {
            let left = wanted.saturating_sub(items.len());
            let page = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
            if page == 0 {
                break;
            }
            let mut query = vec![("limit", page.to_string())];
            let optional = [
                ("authority", &self.authority),
                ("serial", &self.serial),
                ("profile", &self.profile),
                ("state", &self.state),
                ("order", &self.order),
                ("organisation", &self.organisation),
                ("eid", &self.eid),
                ("cursor", &cursor),
            ];
            for (name, value) in optional {
                query.extend(value.clone().map(|value| (name, value)));
            }
            let page: api::Page<api::Certificate> = client.get("/v1/certificates", &query)?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        terminal.result(&items, || {
            let rows: Vec<Vec<String>> = items.iter().map(row).collect();
            table(&["ID", "AUTHORITY", "PROFILE", "STATE", "VALID TO", "SERIAL"], &rows)
        });
        Ok(())
    }
}

impl Revoke {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let path = format!("/v1/certificates/{}/revocation", self.id);
        let certificate: api::Certificate = self.how.send(&self.id, &path, client, terminal)?;
        terminal.result(&certificate, || shown(&certificate));
        Ok(())
    }
}

impl Release {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        terminal.confirmed(
            &format!("Releasing {} from hold; relying parties will trust it again.", self.id),
            if self.yes { Yes::Given } else { Yes::Ask },
        )?;
        let path = format!("/v1/certificates/{}/release", self.id);
        let request = api::ReleaseRequest { actor: actor(self.actor.as_deref()) };
        let key = key(self.idempotency_key.as_deref())?;
        let certificate: api::Certificate = client.post(&path, &key, &request)?;
        terminal.result(&certificate, || shown(&certificate));
        Ok(())
    }
}

impl RevokeSerial {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let Self { authority, serial, how } = self;
        let path = format!("/v1/authorities/{authority}/serials/{serial}/revocation");
        let what = format!("serial {serial} of {authority}");
        let status: api::SerialStatus = how.send(&what, &path, client, terminal)?;
        terminal.result(&status, || {
            facts(&[
                ("authority", status.authority.clone()),
                ("serial", status.serial.clone()),
                (
                    "outcome",
                    Told {
                        outcome: status.outcome,
                        state: status.state,
                        reason: status.reason,
                        revoked_at: Some(&status.revoked_at),
                    }
                    .line(),
                ),
                ("reason", word(status.reason)),
                ("still to revoke", reach(status.reach).to_owned()),
                ("revoked at", status.revoked_at.clone()),
                ("log position", status.position.clone()),
            ])
        });
        Ok(())
    }
}

impl How {
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        client: &Client,
        terminal: &Terminal,
    ) -> Result<T, ClientError> {
        let event: Option<api::BusinessEvent> =
            listed("--event", self.event.as_deref(), "an event that `sigill events` lists")?;
        let reasons = "unspecified, keyCompromise, affiliationChanged, superseded, \
                       cessationOfOperation, certificateHold, privilegeWithdrawn";
        let unsaid = event.is_none().then_some("unspecified");
        let reason: Option<api::ReasonCode> =
            listed("--reason", self.reason.as_deref().or(unsaid), reasons)?;
        if let Some(time) = &self.requested_at {
            time.parse::<jiff::Timestamp>().map_err(|_| ClientError::Value {
                what: "--requested-at",
                found: time.clone(),
                limit: "a time in UTC, such as 2026-11-21T09:30:00Z",
            })?;
        }
        terminal.confirmed(
            &match (event, reason) {
                (Some(api::BusinessEvent::Mislaid), _)
                | (_, Some(api::ReasonCode::CertificateHold)) => format!(
                    "Putting {what} on hold; `sigill certificate release` ends it, \
                     a revocation makes it final."
                ),
                _ => {
                    let why = self.event.as_deref().or(self.reason.as_deref());
                    let why = why.unwrap_or("unspecified");
                    format!("Revoking {what} for {why}; this cannot be undone.")
                }
            },
            if self.yes { Yes::Given } else { Yes::Ask },
        )?;
        let request = api::RevocationRequest {
            reason,
            event,
            requested_at: self.requested_at.clone(),
            actor: actor(self.actor.as_deref()),
        };
        client.post(path, &key(self.idempotency_key.as_deref())?, &request)
    }
}

/// A value of a closed list of the API.
pub(super) fn listed<T: DeserializeOwned>(
    what: &'static str,
    said: Option<&str>,
    limit: &'static str,
) -> Result<Option<T>, ClientError> {
    let Some(said) = said else { return Ok(None) };
    serde_json::from_value(serde_json::Value::String(said.to_owned()))
        .map(Some)
        .map_err(|_| ClientError::Value { what, found: said.to_owned(), limit })
}

/// The certificate of this id or SHA-256.
fn find(client: &Client, id: &str) -> Result<api::Certificate, ClientError> {
    if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let query = [("sha256", id.to_owned())];
        let page: api::Page<api::Certificate> = client.get("/v1/certificates", &query)?;
        return page.items.into_iter().next().ok_or_else(|| ClientError::Value {
            what: "SHA-256",
            found: id.to_owned(),
            limit: "a certificate of this CA",
        });
    }
    client.get(&format!("/v1/certificates/{id}"), &[])
}

/// How Active Directory is told whose a certificate is, as JSON has it.
#[derive(Serialize)]
struct Mapping {
    alt_security_identities: String,
}

/// From the certificate itself: its issuer's bytes, not a name in the database.
fn mapping(certificate: &api::Certificate) -> Result<Mapping, ClientError> {
    let unread = |found: &str| ClientError::Value {
        what: "certificate",
        found: found.to_owned(),
        limit: "a certificate that the CA shows whole",
    };
    let text = certificate.certificate.as_deref().ok_or_else(|| unread("not shown"))?;
    let der = pem::decode_one(text, Label::Certificate).map_err(|_| unread("not PEM"))?;
    let read = ImportedCertificate::from_der(&der).map_err(|_| unread("not DER"))?;
    let alt_security_identities = ad::issuer_and_serial(read.issuer(), read.serial());
    Ok(Mapping { alt_security_identities })
}

fn shown(certificate: &api::Certificate) -> Vec<String> {
    facts(&[
        ("id", certificate.id.clone()),
        ("order", certificate.order.clone().unwrap_or_default()),
        ("authority", certificate.authority.clone()),
        ("profile", certificate.profile.clone()),
        ("serial", certificate.serial.clone()),
        ("state", state(certificate)),
        (
            "outcome",
            Told {
                outcome: certificate.outcome,
                state: certificate.state,
                reason: certificate.reason,
                revoked_at: certificate.revoked_at.as_deref(),
            }
            .line(),
        ),
        ("reason", word(certificate.reason)),
        ("still to revoke", reach(certificate.reach).to_owned()),
        ("revoked at", certificate.revoked_at.clone().unwrap_or_default()),
        ("requested at", certificate.requested_at.clone().unwrap_or_default()),
        ("valid from", certificate.not_before.clone()),
        ("valid to", certificate.not_after.clone()),
        ("ended by", certificate.ended_by.clone().unwrap_or_default()),
        ("SHA-256", certificate.sha256.clone()),
        ("log position", certificate.position.clone()),
    ])
}

fn row(certificate: &api::Certificate) -> Vec<String> {
    vec![
        certificate.id.clone(),
        certificate.authority.clone(),
        certificate.profile.clone(),
        state(certificate),
        certificate.not_after.clone(),
        certificate.serial.clone(),
    ]
}

fn state(certificate: &api::Certificate) -> String {
    word(Some(certificate.state))
}

pub(super) fn actor(id: Option<&str>) -> Option<api::Actor> {
    id.map(|id| api::Actor { id: id.to_owned(), role: None })
}

/// The given key, or 16 random octets.
pub(super) fn key(given: Option<&str>) -> Result<String, ClientError> {
    if let Some(key) = given {
        return Ok(key.to_owned());
    }
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|_| ClientError::Random)?;
    Ok(base16ct::lower::encode_string(&octets))
}
