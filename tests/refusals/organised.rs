//! A server with two organisations in its tree, a client, `reckless`, that is limited to one of them, and something of each kind that is the other's.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use x509::time::UnixTime;

use crate::World;
use crate::ordered::{AUTHENTICATION, order};
use crate::requests::{self, base64};
use crate::running::{Call, Running};

/// The number of the client's organisation, and that of the other.
pub const OWN: &str = "2321000131";
pub const OTHER: &str = "5565594230";

/// The card of an eID of the other organisation.
pub const CARD: &str = "9752269874512325490";
/// What stands in this eID, its order and its organisation, and nowhere else.
pub const CANARIES: &[&str] = &[
    CARD,
    OTHER,
    "191003229802",
    "Kanariehemmet",
    "kanariehemmet.se",
    "Gulfjader",
    "Burfinksson",
    "canary-holder",
    "canary-administrator",
    "canary-approver",
];

/// The server.
pub struct Organised {
    pub server: Running,
    pub theirs: Theirs,
}

/// One of each kind, all of the other organisation or of another client.
pub struct Theirs {
    /// As its issuing was answered.
    pub certificate: Value,
    pub eid: String,
    pub carrier: String,
    pub organisation: String,
    pub job: String,
    pub domain: String,
    /// One that is made in steps.
    pub order: String,
    /// A revocation of its eID, years from now.
    pub scheduled: String,
}

impl Organised {
    pub fn make(world: &World) -> Self {
        let home = world.template.copy();
        for client in ["portal", "auditor"] {
            let name = format!("name = \"{client}\"");
            home.edit_config(&name, &format!("{name}\noperator = true"));
        }
        let server = home.serve();
        let add = |kind: &str, name: &str, under: Option<(&str, &str)>| {
            let mut body =
                json!({ "kind": kind, "name": name, "from": "2020-01-01", "actor": "op-1" });
            if let Some((under, number)) = under {
                body["parent"] = json!(under);
                body["number"] = json!(number);
            }
            let call = Call::post("/v1/organisations", body.to_string()).by("auditor");
            let added = server.call(&call);
            assert_eq!(added.status, 201, "{added:?}");
            id_of(&added.json)
        };
        let area = add("issuing-area", "Väst", None);
        let own = add("directly-connected", "Sigill Test", Some((&area, OWN)));
        let other = add("third-party", "Kanariehemmet", Some((&area, OTHER)));
        let home = server.stop();
        let may = format!("read = true\nrevoke = true\nrelease = true\norganisations = [{own:?}]");
        home.edit_config("read = false\nrevoke = false", &may);
        let server = Running::start(home);
        let theirs = Theirs::make(&server, other);
        Self { server, theirs }
    }
}

impl Theirs {
    fn make(server: &Running, organisation: String) -> Self {
        let made = |call: Call, status: u16| {
            let answer = server.call(&call);
            assert_eq!(answer.status, status, "{answer:?}");
            answer.json
        };
        let mut call = order();
        call["profile"] = json!(AUTHENTICATION);
        call["csr"] = json!(base64(&requests::p256()));
        call["subject"] = json!({ "given_name": "Gulfjader", "surname": "Burfinksson" });
        for (pointer, value) in [
            ("/order/holder", "canary-holder"),
            ("/order/orderer/id", "canary-administrator"),
            ("/order/proofing/by", "canary-administrator"),
            ("/order/approvals/0/by", "canary-approver"),
            ("/order/identity/number", "191003229802"),
            ("/order/carrier/card_number", CARD),
            ("/order/organisations/user/number", OTHER),
            ("/order/organisations/user/name", "Kanariehemmet"),
        ] {
            *call.pointer_mut(pointer).expect("a field of the order") = json!(value);
        }
        let certificate = made(Call::order(&call), 201);
        let asked = json!({ "card_number": CARD }).to_string();
        let card = made(Call::post("/v1/carriers/lookup", asked).headers(&[]), 200);
        let plan = json!({
            "reason": "superseded", "wave": 1, "pause": 0, "actor": "op-1", "note": "a drill",
            "selector": { "authority": certificate["authority"] },
        });
        let job = id_of(&made(Call::post("/v1/jobs", plan.to_string()), 201));
        let (eid, carrier) = (id_of(&card["eids"][0]), id_of(&card));
        let in_steps = json!({
            "routine": call["order"]["routine"],
            "role": "id-administrator",
            "by": "canary-administrator",
            "holder": "canary-holder",
            "identity": call["order"]["identity"],
            "carrier": call["order"]["carrier"],
            "organisations": call["order"]["organisations"],
            "profiles": [AUTHENTICATION],
            "subject": call["subject"],
        });
        let order = id_of(&made(Call::post("/v1/orders", in_steps.to_string()), 201));
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        let at = UnixTime::from_secs(since_1970.as_secs() + 100 * 86_400).expect("a time");
        let later = json!({ "eid": eid, "at": at.to_string(), "reason": "superseded" });
        let later = made(Call::post("/v1/scheduled-revocations", later.to_string()), 201);
        let scheduled = id_of(&later);
        let stated =
            json!({ "organisation": organisation, "domain": "kanariehemmet.se", "actor": "op-1" });
        let domain = id_of(&made(Call::post("/v1/domains", stated.to_string()), 201));
        Self { certificate, eid, carrier, organisation, job, domain, order, scheduled }
    }
}

/// The id of what was shown.
pub fn id_of(shown: &Value) -> String {
    shown["id"].as_str().unwrap_or_else(|| panic!("no id: {shown}")).to_owned()
}
