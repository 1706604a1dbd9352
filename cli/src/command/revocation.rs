//! `sigill revocation`: revocations of later, and requests that were taken on paper or by telephone.

mod taken;

use clap::{ArgGroup, Args, Subcommand};

use self::taken::Register;
use super::certificate::{actor, key, listed};
use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, Yes, facts, table};

/// Rows asked for at a time.
const PAGE: &str = "1000";

/// What can be done about them.
#[derive(Debug, Subcommand)]
pub(crate) enum RevocationCommand {
    /// Have the CA revoke something at a time of the future (Spärra senare). It can be taken back until then.
    #[command(
        after_help = "Example:\n  sigill revocation schedule --holder-of eid_019… --last-day 2027-01-31 --event employment-ended\n  sigill revocation schedule --eid eid_019… --at 2027-02-01T07:00:00Z --reason superseded"
    )]
    Schedule(Box<Schedule>),
    /// List revocations of later in the order in which they were asked for; with --due-before, what strikes until then.
    #[command(
        after_help = "Example:\n  sigill revocation list --due-before 2027-02-01T00:00:00Z --json\n  sigill revocation list --organisation 2321000131 --state waiting"
    )]
    List(List),
    /// Show one.
    #[command(after_help = "Example:\n  sigill revocation show rev_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// Take one back before its time (Ta bort).
    #[command(after_help = "Example:\n  sigill revocation cancel rev_019… --actor op-1")]
    Cancel(Cancel),
    /// Register requests that were taken on paper, by telephone or by a visit while the CA could not be reached: one a line of a file. Run it again
    /// after a break: what was registered is told, and not done twice.
    #[command(
        after_help = "Example:\n  sigill revocation register --from requests.csv --report registered.csv --actor op-1\n  head -1 requests.csv:\n  reference;requested_at;asked_by;way;card_number;eid;certificate;authority;serial;event;reason"
    )]
    Register(Register),
}

/// What is to be revoked, when and why.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("target").required(true).args(["certificate", "eid", "carrier", "holder_of"])),
    group(ArgGroup::new("time").required(true).args(["at", "last_day"]))
)]
pub(crate) struct Schedule {
    /// This certificate.
    #[arg(long, value_name = "ID")]
    certificate: Option<String>,
    /// The certificates of this eID, also those that it gets until then.
    #[arg(long, value_name = "ID")]
    eid: Option<String>,
    /// Every eID on this carrier, also those that come onto it until then.
    #[arg(long, value_name = "ID")]
    carrier: Option<String>,
    /// Every eID that the holder of this one has then in its organisation.
    #[arg(long, value_name = "ID")]
    holder_of: Option<String>,
    /// The second at which it strikes, RFC 3339.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The last day on which it still holds, by Swedish time.
    #[arg(long, value_name = "DAY")]
    last_day: Option<String>,
    /// What will have happened, such as employment-ended (`sigill events` lists them); the reason follows from it.
    #[arg(long)]
    event: Option<String>,
    /// unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn; unspecified where neither it nor
    /// --event is given.
    #[arg(long)]
    reason: Option<String>,
    /// Opaque id of the person who acts.
    #[arg(long)]
    actor: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Which of them.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those asked for the organisation of this number.
    #[arg(long, value_name = "NUMBER")]
    organisation: Option<String>,
    /// Only those that wait and strike until this time, RFC 3339 in UTC.
    #[arg(long, value_name = "TIME")]
    due_before: Option<String>,
    /// Only those that stand there: waiting, done or cancelled.
    #[arg(long)]
    state: Option<String>,
}

/// One that is taken back.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Its id.
    id: String,
    /// Opaque id of the person who acts.
    #[arg(long)]
    actor: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl RevocationCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let one: api::ScheduledRevocation = match self {
            Self::Schedule(schedule) => schedule.send(client, terminal)?,
            Self::Show { id } => client.get(&format!("/v1/scheduled-revocations/{id}"), &[])?,
            Self::Cancel(cancel) => {
                let path = format!("/v1/scheduled-revocations/{}/cancellation", cancel.id);
                let request = api::ScheduleCancellation { actor: actor(cancel.actor.as_deref()) };
                client.post(&path, &key(cancel.idempotency_key.as_deref())?, &request)?
            }
            Self::List(list) => return list.run(client, terminal),
            Self::Register(register) => return register.run(client, terminal),
        };
        terminal.result(&one, || shown(&one));
        Ok(())
    }
}

impl Schedule {
    fn send(
        &self,
        client: &Client,
        terminal: &Terminal,
    ) -> Result<api::ScheduledRevocation, ClientError> {
        let event: Option<api::BusinessEvent> =
            listed("--event", self.event.as_deref(), "an event that `sigill events` lists")?;
        let unsaid = event.is_none().then_some("unspecified");
        let reasons = "unspecified, keyCompromise, affiliationChanged, superseded, \
                       cessationOfOperation, privilegeWithdrawn";
        let reason = listed("--reason", self.reason.as_deref().or(unsaid), reasons)?;
        let given = [&self.certificate, &self.eid, &self.carrier, &self.holder_of];
        let what: Vec<&str> = given.into_iter().flatten().map(String::as_str).collect();
        let when = match (&self.at, &self.last_day) {
            (Some(at), _) => format!("at {at}"),
            (None, day) => format!("after {}", day.as_deref().unwrap_or_default()),
        };
        terminal.confirmed(
            &format!(
                "The CA revokes {} {when} by itself; it can be taken back until then.",
                what.join(" ")
            ),
            if self.yes { Yes::Given } else { Yes::Ask },
        )?;
        let request = api::ScheduleRequest {
            certificate: self.certificate.clone(),
            eid: self.eid.clone(),
            carrier: self.carrier.clone(),
            holder_of: self.holder_of.clone(),
            at: self.at.clone(),
            last_day: self.last_day.clone(),
            reason,
            event,
            actor: actor(self.actor.as_deref()),
        };
        let key = key(self.idempotency_key.as_deref())?;
        client.post("/v1/scheduled-revocations", &key, &request)
    }
}

impl List {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut all: api::Page<api::ScheduledRevocation> =
            api::Page { items: Vec::new(), next: None };
        let mut cursor: Option<String> = None;
        loop {
            let given = [
                ("organisation", self.organisation.clone()),
                ("due_before", self.due_before.clone()),
                ("state", self.state.clone()),
                ("cursor", cursor.take()),
            ];
            let mut query = vec![("limit", PAGE.to_owned())];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let page: api::Page<api::ScheduledRevocation> =
                client.get("/v1/scheduled-revocations", &query)?;
            all.items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} revocations", all.items.len()));
        }
        terminal.result(&all, || {
            let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
            let columns = ["REVOCATION", "STATE", "STRIKES", "OF", "WHAT", "ORGANISATION", "WHY"];
            table(&columns, &rows)
        });
        Ok(())
    }
}

/// What kind of thing it revokes, and which.
fn target(one: &api::ScheduledRevocation) -> (&'static str, String) {
    let all = [
        ("certificate", &one.certificate),
        ("eid", &one.eid),
        ("carrier", &one.carrier),
        ("holder of", &one.holder_of),
    ];
    let named = all.into_iter().find_map(|(kind, id)| Some((kind, id.clone()?)));
    named.unwrap_or_default()
}

fn why(one: &api::ScheduledRevocation) -> String {
    one.event.clone().unwrap_or_else(|| super::word(one.reason))
}

fn row(one: &api::ScheduledRevocation) -> Vec<String> {
    let (kind, id) = target(one);
    vec![
        one.id.clone(),
        super::word(Some(one.state)),
        one.at.clone(),
        kind.to_owned(),
        id,
        one.organisation.clone().unwrap_or_default(),
        why(one),
    ]
}

fn shown(one: &api::ScheduledRevocation) -> Vec<String> {
    let (kind, id) = target(one);
    facts(&[
        ("revocation", one.id.clone()),
        ("state", super::word(Some(one.state))),
        ("strikes", one.at.clone()),
        (kind, id),
        ("organisation", one.organisation.clone().unwrap_or_default()),
        ("why", why(one)),
        ("asked by", one.client.clone()),
        ("asked at", one.created.clone()),
        ("ended", one.ended.clone().unwrap_or_default()),
        ("revoked", one.revoked.map(|count| count.to_string()).unwrap_or_default()),
    ])
}
