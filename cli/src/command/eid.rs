//! `sigill eid` and `sigill carrier`: what belongs together, shown and revoked as one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::certificate::{How, key};
use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// What can be asked and done about eIDs.
#[derive(Debug, Subcommand)]
pub(crate) enum EidCommand {
    /// List eIDs, oldest first.
    #[command(
        after_help = "Example:\n  sigill eid list --organisation 2321000131 --json\n  sigill eid list --certificate crt_019…"
    )]
    List(List),
    /// Search by a person's number, by the end of an HSA-id or by the number of a card; what is found is noted in the audit log.
    #[command(
        after_help = "Example:\n  sigill eid find --hsa-id-end 1002\n  sigill eid find --person 19121212-1212 --json"
    )]
    Find(Find),
    /// Show one with its certificates.
    #[command(after_help = "Example:\n  sigill eid show eid_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// Revoke or hold its certificates, all of them or none (Spärra SITHS eID).
    #[command(
        after_help = "Example:\n  sigill eid revoke eid_019… --event name-changed --yes\n  sigill eid revoke eid_019… --reason certificateHold"
    )]
    Revoke(Revoke),
}

/// What can be asked and done about carriers.
#[derive(Debug, Subcommand)]
pub(crate) enum CarrierCommand {
    /// Show one with every eID on it.
    #[command(after_help = "Example:\n  sigill carrier show car_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// Show the one of a card number.
    #[command(
        after_help = "Example:\n  sigill carrier find --card-number 9752269874512325436 --json"
    )]
    Find {
        /// The number on the card, 19 digits.
        #[arg(long)]
        card_number: String,
    },
    /// Revoke or hold every eID on it, those of other organisations too, all of them or none (Spärra kort).
    #[command(after_help = "Example:\n  sigill carrier revoke car_019… --event stolen --yes")]
    Revoke(Revoke),
    /// Take cards into the register before there is a certificate on them: ordinary ones as ordered, reserve cards as blank (Beställ, Registrera).
    #[command(
        after_help = "Example:\n  sigill carrier register --family reserve-card-2023 --organisation 2321000131 --cards cards.txt"
    )]
    Register(Register),
    /// List the cards that were registered, oldest first.
    #[command(
        after_help = "Example:\n  sigill carrier list --organisation 2321000131 --stage blank --json"
    )]
    List(ListCarriers),
    /// The supplier has sent it (Skicka).
    #[command(after_help = "Example:\n  sigill carrier send car_019…")]
    Send(Move),
    /// Take its order back before it is sent (Ta bort beställning).
    #[command(after_help = "Example:\n  sigill carrier cancel car_019…")]
    Cancel(Move),
    /// Take it out of the register; nothing is issued onto it any more (Avregistrera).
    #[command(after_help = "Example:\n  sigill carrier deregister car_019…")]
    Deregister(Move),
}

/// Cards of one family.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Their family.
    #[arg(long)]
    family: String,
    /// Number of the organisation that they are for.
    #[arg(long, value_name = "NUMBER")]
    organisation: String,
    /// File with the numbers on them, one a line; 1 to 500.
    #[arg(long, value_name = "FILE")]
    cards: PathBuf,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

/// Which cards.
#[derive(Debug, Args)]
pub(crate) struct ListCarriers {
    /// Only those registered for the organisation of this number.
    #[arg(long, value_name = "NUMBER")]
    organisation: Option<String>,
    /// Only those that stand there before a certificate: ordered, sent, blank, cancelled or deregistered.
    #[arg(long)]
    stage: Option<String>,
}

/// A card that is moved.
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// Its id.
    id: String,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

/// Which eIDs.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of holders in the organisation of this number.
    #[arg(long)]
    organisation: Option<String>,
    /// Only on this carrier.
    #[arg(long, value_name = "ID")]
    carrier: Option<String>,
    /// Only the one of this certificate.
    #[arg(long, value_name = "ID")]
    certificate: Option<String>,
}

/// What is looked for.
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// Personal or coordination number, 12 digits.
    #[arg(long, value_name = "NUMBER", required_unless_present_any = ["hsa_id_end", "card_number"])]
    person: Option<String>,
    /// The last characters of an HSA-id, three or more.
    #[arg(long, value_name = "END", conflicts_with = "person")]
    hsa_id_end: Option<String>,
    /// The number on the card, 19 digits.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["person", "hsa_id_end"])]
    card_number: Option<String>,
    /// Only of holders in the organisation of this number.
    #[arg(long, value_name = "NUMBER")]
    organisation: Option<String>,
}

/// A revocation of all that belongs together.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Its id.
    id: String,
    #[command(flatten)]
    how: How,
}

impl EidCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List(list) => list.run(client, terminal),
            Self::Find(find) => find.run(client, terminal),
            Self::Show { id } => {
                let eid: api::Eid = client.get(&format!("/v1/eids/{id}"), &[])?;
                terminal.result(&eid, || shown(&eid));
                Ok(())
            }
            Self::Revoke(Revoke { id, how }) => {
                let path = format!("/v1/eids/{id}/revocation");
                let eid: api::Eid = how.send(id, &path, client, terminal)?;
                terminal.result(&eid, || shown(&eid));
                Ok(())
            }
        }
    }
}

impl CarrierCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let carrier: api::Carrier = match self {
            Self::Show { id } => client.get(&format!("/v1/carriers/{id}"), &[])?,
            Self::Find { card_number } => {
                let asked = api::CarrierLookup { card_number: card_number.clone() };
                client.ask("/v1/carriers/lookup", &asked)?
            }
            Self::Revoke(Revoke { id, how }) => {
                how.send(id, &format!("/v1/carriers/{id}/revocation"), client, terminal)?
            }
            Self::Register(register) => return register.run(client, terminal),
            Self::List(list) => return list.run(client, terminal),
            Self::Send(moved) => moved.send("send", client)?,
            Self::Cancel(moved) => moved.send("cancel", client)?,
            Self::Deregister(moved) => moved.send("deregister", client)?,
        };
        terminal.result(&carrier, || {
            let mut lines = facts(&[
                ("carrier", carrier.id.clone()),
                ("kind", carrier.kind.clone()),
                ("family", carrier.family.clone()),
                ("stage", super::word(Some(carrier.stage))),
                ("på svenska", carrier.stage_sv.clone()),
                ("revoked at", carrier.revoked_at.clone().unwrap_or_default()),
                ("still to revoke", super::word(carrier.reach)),
                ("of no eID", of_no_eid(carrier.unbound)),
            ]);
            let rows: Vec<Vec<String>> =
                carrier.eids.iter().flat_map(|eid| rows(&eid.id, eid)).collect();
            lines.extend(certificates(&rows));
            lines
        });
        Ok(())
    }
}

impl Move {
    fn send(&self, act: &str, client: &Client) -> Result<api::Carrier, ClientError> {
        let path = format!("/v1/carriers/{}/moves", self.id);
        let request = api::CarrierMove { act: act.to_owned() };
        client.post(&path, &key(self.idempotency_key.as_deref())?, &request)
    }
}

impl Register {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let path = self.cards.clone();
        let text =
            std::fs::read_to_string(&path).map_err(|source| ClientError::File { path, source })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let request = api::CarrierRegistration {
            family: self.family.clone(),
            organisation: self.organisation.clone(),
            card_numbers: lines.map(str::to_owned).collect(),
        };
        let key = key(self.idempotency_key.as_deref())?;
        let done: api::RegisteredCarriers = client.post("/v1/carriers", &key, &request)?;
        terminal.result(&done, || carriers(&done.carriers));
        Ok(())
    }
}

impl ListCarriers {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut all: api::Page<api::Carrier> = api::Page { items: Vec::new(), next: None };
        let mut cursor: Option<String> = None;
        loop {
            let given = [
                ("organisation", self.organisation.clone()),
                ("stage", self.stage.clone()),
                ("cursor", cursor.take()),
            ];
            let mut query = vec![("limit", "1000".to_owned())];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let page: api::Page<api::Carrier> = client.get("/v1/carriers", &query)?;
            all.items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} carriers", all.items.len()));
        }
        terminal.result(&all, || carriers(&all.items));
        Ok(())
    }
}

fn carriers(all: &[api::Carrier]) -> Vec<String> {
    let row = |one: &api::Carrier| {
        vec![
            one.id.clone(),
            super::word(Some(one.stage)),
            one.kind.clone(),
            one.family.clone(),
            one.organisation.clone().unwrap_or_default(),
            one.created.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    table(&["CARRIER", "STAGE", "KIND", "FAMILY", "ORGANISATION", "CREATED"], &rows)
}

impl List {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut all: api::Page<api::Eid> = api::Page { items: Vec::new(), next: None };
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", "1000".to_owned())];
            let given = [
                ("organisation", self.organisation.clone()),
                ("carrier", self.carrier.clone()),
                ("certificate", self.certificate.clone()),
                ("cursor", cursor.take()),
            ];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let page: api::Page<api::Eid> = client.get("/v1/eids", &query)?;
            all.items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} eIDs", all.items.len()));
        }
        terminal.result(&all, || listed(&all.items));
        Ok(())
    }
}

impl Find {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut all: api::Page<api::Eid> = api::Page { items: Vec::new(), next: None };
        let mut search = api::EidSearch {
            person: self.person.clone(),
            hsa_id_end: self.hsa_id_end.clone(),
            card_number: self.card_number.clone(),
            organisation: self.organisation.clone(),
            ..api::EidSearch::default()
        };
        loop {
            let page: api::Page<api::Eid> = client.ask("/v1/eids/search", &search)?;
            all.items.extend(page.items);
            search.cursor = page.next;
            if search.cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} eIDs", all.items.len()));
        }
        terminal.result(&all, || listed(&all.items));
        Ok(())
    }
}

fn listed(eids: &[api::Eid]) -> Vec<String> {
    let row = |eid: &api::Eid| {
        vec![
            eid.id.clone(),
            super::word(Some(eid.stage)),
            eid.organisation.clone(),
            eid.carrier.clone(),
            eid.certificates.len().to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = eids.iter().map(row).collect();
    table(&["EID", "STAGE", "ORGANISATION", "CARRIER", "CERTIFICATES"], &rows)
}

/// Living certificates with the card's number that the carrier does not take with it; empty where there are none.
fn of_no_eid(count: u64) -> String {
    if count == 0 {
        return String::new();
    }
    format!(
        "{count} living certificates, not revoked with the carrier: `sigill revoke --cards` revokes them"
    )
}

fn shown(eid: &api::Eid) -> Vec<String> {
    let mut lines = facts(&[
        ("eid", eid.id.clone()),
        ("stage", super::word(Some(eid.stage))),
        ("på svenska", eid.stage_sv.clone()),
        ("organisation", eid.organisation.clone()),
        ("issued by", eid.issuing_organisation.clone().unwrap_or_default()),
        ("carrier", eid.carrier.clone()),
        ("still to revoke", super::word(eid.reach)),
    ]);
    lines.extend(certificates(&rows(&eid.id, eid)));
    lines
}

fn certificates(rows: &[Vec<String>]) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.extend(table(&["EID", "CERTIFICATE", "PROFILE", "STATE", "VALID TO", "OUTCOME"], rows));
    lines
}

fn rows(id: &str, eid: &api::Eid) -> Vec<Vec<String>> {
    eid.certificates
        .iter()
        .map(|one| {
            vec![
                id.to_owned(),
                one.id.clone(),
                one.profile.clone(),
                super::word(Some(one.state)),
                one.not_after.clone(),
                super::word(one.outcome),
            ]
        })
        .collect()
}
