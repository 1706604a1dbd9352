//! Where calls are begun, signed for and made, again and again until each has its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use portal::form::{Form, link};
use serde_json::Value;

use crate::acts::Kind;
use crate::ca::{Ca, Trouble};
use crate::config::{Administrator, Config};
use crate::ledger::{Act, Begun, Ledger, LedgerError, Line, Standing};
use crate::session::Sessions;
use crate::statement::{self, Audience};

/// Between two tries of what has no answer.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// The portal behind its pages.
pub(crate) struct Desk {
    pub(crate) ca: Ca,
    pub(crate) administrators: Vec<Administrator>,
    pub(crate) sessions: Sessions,
    /// Origin of the card reader.
    pub(crate) reader: String,
    /// Its own origin.
    pub(crate) origin: String,
    ledger: Mutex<Ledger>,
    /// Calls that are being made: one at a time each.
    under_way: Mutex<BTreeSet<String>>,
    /// Why the last try of a call had no answer.
    troubles: Mutex<BTreeMap<String, Value>>,
}

impl Desk {
    /// Opens what the portal remembers.
    pub(crate) fn open(config: Config) -> anyhow::Result<Self> {
        let administrators = config.administrators()?;
        let ledger = Ledger::open(&config.state)?;
        Ok(Self {
            ca: Ca::new(&config.ca)?,
            administrators,
            sessions: Sessions::open(&config.state)?,
            reader: config.reader,
            origin: format!("http://{}", config.listen),
            ledger: Mutex::new(ledger),
            under_way: Mutex::default(),
            troubles: Mutex::default(),
        })
    }

    /// Somebody by his HSA-id.
    pub(crate) fn administrator(&self, hsa_id: &str) -> Option<&Administrator> {
        self.administrators.iter().find(|one| one.said.hsa_id == hsa_id)
    }

    /// Writes down what a form asks for, with its idempotency key; its id. In words why not.
    pub(crate) fn begin(
        &self,
        who: &Administrator,
        kind: &Kind,
        form: &Form,
    ) -> Result<String, String> {
        let call = kind.call(form)?;
        let id = drawn().map_err(|error| error.to_string())?;
        let act = base16ct::lower::encode_string(&id);
        let begun = Begun {
            act: act.clone(),
            kind: kind.name.to_owned(),
            by: who.said.hsa_id.clone(),
            target: call.target,
            key: format!("portal-{act}"),
            body: call.body,
            after: call.after,
            at: now(),
        };
        self.write(&Line::Begun(begun)).map_err(|error| error.to_string())?;
        Ok(act)
    }

    /// Where the card is asked to sign for a call; `None` where that is not this person's to sign, or needs no signature.
    pub(crate) fn to_sign(&self, who: &Administrator, act: &Act) -> anyhow::Result<Option<String>> {
        let begun = &act.begun;
        if begun.by != who.said.hsa_id || !matches!(act.standing, Standing::ToSign(_)) {
            return Ok(None);
        }
        let audience = Audience { api: &self.ca.audience, client: &self.ca.client };
        let input = statement::input(audience, who, begun, (&drawn()?, now()));
        Ok(Some(link(
            &format!("{}/ask", self.reader),
            &[
                ("act", "statement"),
                ("card", &who.said.card),
                ("input", &input),
                ("body", &begun.body),
                ("back", &format!("/acts/{}/signed", begun.act)),
            ],
        )))
    }

    /// Takes the signature for a call, and makes the call. In words why it is not taken.
    pub(crate) fn signed(&self, who: &Administrator, act: &Act, form: &Form) -> Result<(), String> {
        if act.begun.by != who.said.hsa_id {
            return Err("somebody else began it".to_owned());
        }
        // The same page again, after a kill: it was written down then.
        if matches!(act.standing, Standing::ToSign(_)) {
            let (input, signature) = (form.text("input"), form.text("signature"));
            let statement = statement::taken(who, &act.begun, input, signature)?;
            let line = Line::Signed { act: act.begun.act.clone(), statement };
            match self.write(&line) {
                Ok(()) | Err(LedgerError::Standing { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        self.carry(&act.begun.act);
        Ok(())
    }

    /// Gives up a call that nobody has signed for.
    pub(crate) fn drop_act(&self, who: &Administrator, act: &Act) -> Result<(), String> {
        if act.begun.by != who.said.hsa_id {
            return Err("somebody else began it".to_owned());
        }
        self.write(&Line::Dropped { act: act.begun.act.clone() }).map_err(|error| error.to_string())
    }

    /// Makes the calls that have a signature and no answer, for ever: those of before a kill, and those that had no answer since.
    pub(crate) fn carry_on(&self) {
        loop {
            let waiting: Vec<String> = {
                let ledger = held(&self.ledger);
                let sent = ledger.acts().filter(|act| matches!(act.standing, Standing::Sent(_)));
                sent.map(|act| act.begun.act.clone()).collect()
            };
            waiting.iter().for_each(|act| self.carry(act));
            thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Makes a call once, where it has a signature and no answer, and writes down what came of it.
    fn carry(&self, id: &str) {
        if !held(&self.under_way).insert(id.to_owned()) {
            return;
        }
        if let Some((begun, statement)) = self.sent(id) {
            let act = begun.act.clone();
            let line = match self.ca.act(&begun, &statement) {
                Ok(answer) => Some(Line::Answered { act, answer }),
                Err(trouble) => {
                    held(&self.troubles).insert(act.clone(), trouble.json());
                    came_of(trouble, act)
                }
            };
            // Where that cannot be written the call is made again, and answered as before.
            if let Some(Err(error)) = line.map(|line| self.write(&line)) {
                let why = serde_json::json!({ "code": "ledger", "detail": error.to_string() });
                held(&self.troubles).insert(begun.act, why);
            }
        }
        held(&self.under_way).remove(id);
    }

    fn sent(&self, id: &str) -> Option<(Begun, String)> {
        match held(&self.ledger).act(id) {
            Some(Act { begun, standing: Standing::Sent(statement) }) => {
                Some((begun.clone(), statement.clone()))
            }
            _ => None,
        }
    }

    /// Why the last try of a call had no answer.
    pub(crate) fn trouble(&self, id: &str) -> Option<Value> {
        held(&self.troubles).get(id).cloned()
    }

    /// A call by its id.
    pub(crate) fn act(&self, id: &str) -> Option<Act> {
        held(&self.ledger).act(id).cloned()
    }

    /// All calls, newest first.
    pub(crate) fn acts(&self) -> Vec<Act> {
        held(&self.ledger).acts().rev().cloned().collect()
    }

    /// What an order was made with: the body of the call that made it.
    pub(crate) fn ordered(&self, order: &str) -> Option<api::EidOrderRequest> {
        let ledger = held(&self.ledger);
        let made = ledger.acts().find(|act| {
            act.begun.kind == "prepare"
                && matches!(&act.standing, Standing::Done(answer) if answer["id"] == order)
        })?;
        serde_json::from_str(&made.begun.body).ok()
    }

    fn write(&self, line: &Line) -> Result<(), LedgerError> {
        held(&self.ledger).write(line)
    }
}

/// What is written down of a try that was not answered as hoped; nothing where it is tried again.
fn came_of(trouble: Trouble, act: String) -> Option<Line> {
    if trouble.passes() {
        None
    } else if trouble.is_about_the_statement() {
        Some(Line::Unsigned { act, problem: trouble.json() })
    } else {
        Some(Line::Refused { act, problem: trouble.json() })
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn drawn() -> anyhow::Result<[u8; 16]> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).context("no random numbers")?;
    Ok(octets)
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
