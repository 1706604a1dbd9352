//! `sigill order`: orders for eIDs, step by step.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};

use super::certificate::key;
use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// Rows asked for at a time.
const PAGE: &str = "1000";

/// The steps of an order, and what became of it.
#[derive(Debug, Subcommand)]
pub(crate) enum OrderCommand {
    /// Make an order (Beställ). Nothing is issued.
    #[command(
        after_help = "Example:\n  sigill order prepare order.json --idempotency-key kundportal-17"
    )]
    Prepare(Prepare),
    /// Say how the holder was identified (Identifiera).
    #[command(
        after_help = "Example:\n  sigill order evidence ord_019… --method swedish-passport --at 2026-11-23T09:00:00Z --place kontor-17"
    )]
    Evidence(Evidence),
    /// Approve it (Godkänn).
    #[command(after_help = "Example:\n  sigill order approve ord_019…")]
    Approve(Step),
    /// Give the holder's receipt (Ta emot kvittens): signed with the card, or on paper.
    #[command(
        after_help = "Example:\n  sigill order receipt ord_019… --form electronic --terms 2026-1 --card-key auth.spki --signature receipt.sig\n  sigill order receipt ord_019… --form on-paper --terms 2026-1 --sha256 ab12…"
    )]
    Receipt(Receipt),
    /// Have its certificates issued (Utfärda): all of them, or none is given out.
    #[command(
        after_help = "Example:\n  sigill order issue ord_019… --request person-hsaid-3-authentication=auth.csr --request person-hsaid-3-signature=sign.csr"
    )]
    Issue(Issue),
    /// Say that the carrier is in the holder's hands (Lämna ut).
    #[command(after_help = "Example:\n  sigill order deliver ord_019…")]
    Deliver(Step),
    /// Take the eID into use (Aktivera): all its certificates at once.
    #[command(after_help = "Example:\n  sigill order activate ord_019…")]
    Activate(Step),
    /// Take it back (Ta bort beställning). What was issued for it is revoked.
    #[command(after_help = "Example:\n  sigill order cancel ord_019…")]
    Cancel(Step),
    /// Show where it stands, with its certificates.
    #[command(after_help = "Example:\n  sigill order show ord_019… --json")]
    Show {
        /// Its id.
        id: String,
    },
    /// Show its steps: what, who, when (Historik).
    #[command(after_help = "Example:\n  sigill order history ord_019…")]
    History {
        /// Its id.
        id: String,
    },
    /// List orders, oldest first.
    #[command(after_help = "Example:\n  sigill order list --organisation 2321000131 --json")]
    List(List),
    /// List orders whose deadline strikes until a time: what the CA is about to end by itself (Frister).
    #[command(
        after_help = "Example:\n  sigill order due --before 2026-11-30T23:00:00Z\n  sigill order due --before 2026-12-01T00:00:00Z --organisation 2321000131 --json"
    )]
    Due(Due),
    /// List orders that replace what the CA revokes by itself until a time, such as eIDs in a former name (Ersätts).
    #[command(
        after_help = "Example:\n  sigill order replacing --before 2026-12-01T00:00:00Z --json"
    )]
    Replacing(Due),
    /// List orders that are parked since the database was put back from a backup: nothing ends by their deadlines before somebody takes a step (Vilande).
    #[command(
        after_help = "Example:\n  sigill order parked\n  sigill order parked --organisation 2321000131 --json"
    )]
    Parked(List),
}

/// Who takes a step.
#[derive(Debug, Args)]
pub(crate) struct By {
    /// Who takes it, by an opaque id; not needed where he signs the call (--actor-cert).
    #[arg(long)]
    by: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

/// A new order.
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// File with the order: the JSON of `EidOrderRequest` in /openapi.json.
    file: PathBuf,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

/// How the holder was identified.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    /// Its id.
    id: String,
    /// The method, such as swedish-passport.
    #[arg(long)]
    method: String,
    /// When, RFC 3339 in UTC.
    #[arg(long, value_name = "TIME")]
    at: String,
    /// Where: the id of the office.
    #[arg(long)]
    place: String,
    #[command(flatten)]
    by: By,
}

/// A step that says no more than who takes it.
#[derive(Debug, Args)]
pub(crate) struct Step {
    /// Its id.
    id: String,
    #[command(flatten)]
    by: By,
}

/// The holder's receipt.
#[derive(Debug, Args)]
pub(crate) struct Receipt {
    /// Its id.
    id: String,
    /// electronic, on-paper or registered-post.
    #[arg(long)]
    form: String,
    /// The version of the terms.
    #[arg(long)]
    terms: String,
    /// What the holder's region adds to them.
    #[arg(long)]
    addition: Option<String>,
    /// The card's key, of an electronic one before issuing: DER of its subject public key info.
    #[arg(long, value_name = "FILE")]
    card_key: Option<PathBuf>,
    /// The signature, of an electronic one, as docs/formats/holder-receipt.md has it.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// SHA-256 of the document, of one on paper.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    #[command(flatten)]
    by: By,
}

/// The requests for its certificates.
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// Its id.
    id: String,
    /// A profile of the order and the file with its request, PEM; once for each profile.
    #[arg(long = "request", value_name = "PROFILE=FILE", required = true)]
    requests: Vec<String>,
    #[command(flatten)]
    by: By,
}

/// Which orders.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of holders in the organisation of this number.
    #[arg(long, value_name = "NUMBER")]
    organisation: Option<String>,
}

/// Which deadlines.
#[derive(Debug, Args)]
pub(crate) struct Due {
    /// Until when they strike, RFC 3339 in UTC.
    #[arg(long, value_name = "TIME")]
    before: String,
    #[command(flatten)]
    list: List,
}

impl OrderCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let order: api::EidOrder = match self {
            Self::Prepare(prepare) => {
                let request: api::EidOrderRequest = read_json(&prepare.file)?;
                client.post("/v1/orders", &key(prepare.idempotency_key.as_deref())?, &request)?
            }
            Self::Evidence(evidence) => {
                let request = api::EidOrderEvidence {
                    method: evidence.method.clone(),
                    at: evidence.at.clone(),
                    place: evidence.place.clone(),
                    eid: None,
                    by: evidence.by.by.clone(),
                };
                evidence.by.send(client, &evidence.id, "evidence", &request)?
            }
            Self::Receipt(receipt) => receipt.send(client)?,
            Self::Issue(issue) => issue.send(client)?,
            Self::Approve(step) => step.send(client, "approvals")?,
            Self::Deliver(step) => step.send(client, "delivery")?,
            Self::Activate(step) => step.send(client, "activation")?,
            Self::Cancel(step) => step.send(client, "cancellation")?,
            Self::Show { id } => client.get(&format!("/v1/orders/{id}"), &[])?,
            Self::History { id } => {
                let order: api::EidOrder = client.get(&format!("/v1/orders/{id}"), &[])?;
                terminal.result(&order.steps, || steps(&order));
                return Ok(());
            }
            Self::List(list) => return list.run(None, client, terminal),
            Self::Due(due) => {
                return due.list.run(Some(("due_before", due.before.as_str())), client, terminal);
            }
            Self::Replacing(due) => {
                return due.list.run(
                    Some(("strikes_before", due.before.as_str())),
                    client,
                    terminal,
                );
            }
            Self::Parked(list) => return list.run(Some(("parked", "true")), client, terminal),
        };
        terminal.result(&order, || shown(&order));
        Ok(())
    }
}

impl By {
    fn send(
        &self,
        client: &Client,
        id: &str,
        step: &str,
        request: &impl serde::Serialize,
    ) -> Result<api::EidOrder, ClientError> {
        let key = key(self.idempotency_key.as_deref())?;
        client.post(&format!("/v1/orders/{id}/{step}"), &key, request)
    }
}

impl Step {
    fn send(&self, client: &Client, step: &str) -> Result<api::EidOrder, ClientError> {
        let request = api::EidOrderStepRequest { by: self.by.by.clone() };
        self.by.send(client, &self.id, step, &request)
    }
}

impl Receipt {
    fn send(&self, client: &Client) -> Result<api::EidOrder, ClientError> {
        let octets = |path: &PathBuf| read(path).map(|octets| STANDARD.encode(octets));
        let request = api::EidOrderReceiptRequest {
            form: self.form.clone(),
            terms: self.terms.clone(),
            addition: self.addition.clone(),
            key: self.card_key.as_ref().map(octets).transpose()?,
            signature: self.signature.as_ref().map(octets).transpose()?,
            sha256: self.sha256.clone(),
            by: self.by.by.clone(),
        };
        self.by.send(client, &self.id, "receipt", &request)
    }
}

impl Issue {
    fn send(&self, client: &Client) -> Result<api::EidOrder, ClientError> {
        let requests = self.requests.iter().map(|text| {
            let (profile, path) = text.split_once('=').ok_or_else(|| ClientError::Value {
                what: "--request",
                found: text.clone(),
                limit: "PROFILE=FILE",
            })?;
            let path = PathBuf::from(path);
            let csr = std::fs::read_to_string(&path)
                .map_err(|source| ClientError::File { path, source })?;
            let profile = profile.to_owned();
            Ok(api::EidOrderCertificateRequest { profile, authority: None, csr, evidence: None })
        });
        let requests = requests.collect::<Result<_, ClientError>>()?;
        let request = api::EidOrderIssuance { requests, by: self.by.by.clone() };
        self.by.send(client, &self.id, "issuance", &request)
    }
}

impl List {
    fn run(
        &self,
        only: Option<(&str, &str)>,
        client: &Client,
        terminal: &Terminal,
    ) -> Result<(), ClientError> {
        let mut all: api::Page<api::EidOrder> = api::Page { items: Vec::new(), next: None };
        let mut cursor: Option<String> = None;
        loop {
            let given = [
                ("organisation", self.organisation.clone()),
                (only.map_or("", |(name, _)| name), only.map(|(_, value)| value.to_owned())),
                ("cursor", cursor.take()),
            ];
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let page: api::Page<api::EidOrder> = client.get("/v1/orders", &query)?;
            all.items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} orders", all.items.len()));
        }
        terminal.result(&all, || {
            let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
            let columns = [
                "ORDER",
                "STAGE",
                "ORGANISATION",
                "ROUTINE",
                "DUE",
                "DEADLINE",
                "REPLACES",
                "ENDS",
            ];
            table(&columns, &rows)
        });
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::File { path: path.to_path_buf(), source })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ClientError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|source| ClientError::Input { path: path.to_path_buf(), source: source.into() })
}

fn row(order: &api::EidOrder) -> Vec<String> {
    let due = order.due.as_ref();
    vec![
        order.id.clone(),
        order.stage.clone(),
        order.organisation.clone(),
        order.routine.clone(),
        due.map(|due| due.at.clone()).unwrap_or_default(),
        due.map(|due| due.term_sv.clone()).unwrap_or_default(),
        replaced(order),
        order.replaces.as_ref().and_then(|one| one.due.clone()).unwrap_or_default(),
    ]
}

/// What it replaces.
fn replaced(order: &api::EidOrder) -> String {
    let of = order.replaces.as_ref();
    of.and_then(|one| one.eid.clone().or_else(|| one.carrier.clone())).unwrap_or_default()
}

fn steps(order: &api::EidOrder) -> Vec<String> {
    let row = |step: &api::EidOrderStep| {
        vec![
            step.number.to_string(),
            step.act.clone(),
            step.act_sv.clone(),
            step.stage.clone(),
            step.at.clone(),
            step.by.clone().unwrap_or_default(),
            step.client.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = order.steps.iter().map(row).collect();
    table(&["STEP", "ACT", "PÅ SVENSKA", "STAGE", "AT", "BY", "CLIENT"], &rows)
}

fn shown(order: &api::EidOrder) -> Vec<String> {
    let due = order.due.as_ref();
    let mut lines = facts(&[
        ("order", order.id.clone()),
        ("stage", order.stage.clone()),
        ("på svenska", order.stage_sv.clone()),
        ("routine", order.routine.clone()),
        ("organisation", order.organisation.clone()),
        ("profiles", order.profiles.join(", ")),
        ("due", due.map(|due| due.at.clone()).unwrap_or_default()),
        ("deadline", due.map(|due| due.term_sv.clone()).unwrap_or_default()),
        ("receipt", order.receipt.as_ref().map(|one| one.form.clone()).unwrap_or_default()),
    ]);
    if let Some(one) = &order.replaces {
        lines.extend(facts(&[
            ("replaces", replaced(order)),
            ("because", format!("{} ({})", one.event, one.event_sv)),
            ("ends by itself", one.due.clone().unwrap_or_default()),
            ("revoked", one.done.clone().unwrap_or_default()),
            ("stands", one.stage.clone().unwrap_or_default()),
            ("står", one.stage_sv.clone().unwrap_or_default()),
            ("warning", one.warning.clone().unwrap_or_default()),
            ("varning", one.warning_sv.clone().unwrap_or_default()),
        ]));
    }
    if let Some(parked) = &order.parked {
        lines.extend(facts(&[
            ("parked", parked.since.clone()),
            ("warning", parked.warning.clone()),
            ("varning", parked.warning_sv.clone()),
        ]));
    }
    if !order.certificates.is_empty() {
        let row = |one: &api::Certificate| {
            vec![
                one.id.clone(),
                one.profile.clone(),
                super::word(Some(one.state)),
                one.not_after.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = order.certificates.iter().map(row).collect();
        lines.push(String::new());
        lines.extend(table(&["CERTIFICATE", "PROFILE", "STATE", "VALID TO"], &rows));
    }
    lines
}
