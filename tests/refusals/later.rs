//! REV-10, REV-01: revocations of later against a program that is killed over their time, and forms that were taken while it was away, by the API and
//! by the command line, for persons' eIDs and under the clients' rights.

use std::fs;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::suite::Check;
use x509::time::UnixTime;

use crate::World;
use crate::limits::cli;
use crate::ordered::{AUTHENTICATED, AUTHENTICATION, order};
use crate::organised::id_of;
use crate::requests::{self, base64};
use crate::running::{Answer, Call, Running};

pub const CHECKS: &[Check<World>] = &[
    ("an_employment_that_ends_while_the_ca_is_away_has_ended_when_it_is_back", ends),
    ("forms_are_registered_once_and_each_for_itself", registered),
];

const CARD: &str = "9752269874512325451";
const OTHER_CARD: &str = "9752269874512325469";
const HERE: &str = "2321000131";
const ELSEWHERE: &str = "5565594230";
/// How long it may take until what is due is carried out.
const SOON: Duration = Duration::from_secs(30);

/// That many seconds from now.
fn later(seconds: u64) -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    UnixTime::from_secs(now + seconds).expect("a time")
}

fn issue(server: &Running, profile: &str, card: &str, organisation: &str) -> String {
    let mut call = order();
    call["profile"] = json!(profile);
    call["csr"] = json!(base64(&requests::p256()));
    call["subject"] = json!({ "given_name": "Tolvan", "surname": "Tolvansson" });
    if profile == AUTHENTICATED {
        call["subject"]["hsa_id"] = json!("TST2321000016-1002");
    }
    call["order"]["carrier"]["card_number"] = json!(card);
    call["order"]["organisations"]["user"]["number"] = json!(organisation);
    let answer = server.call(&Call::order(&call));
    assert_eq!(answer.status, 201, "{answer:?}");
    id_of(&answer.json)
}

fn eid_of(server: &Running, certificate: &str) -> String {
    let listed = server.call(&Call::get(&format!("/v1/eids?certificate={certificate}")));
    id_of(&listed.json["items"][0])
}

fn schedule(server: &Running, body: &Value) -> Answer {
    server.call(&Call::post("/v1/scheduled-revocations", body.to_string()))
}

fn shown(server: &Running, id: &str) -> Value {
    let answer = server.call(&Call::get(&format!("/v1/certificates/{id}")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

/// A copy in which a client that may revoke has a role over an organisation that is not there.
fn served(world: &World) -> Running {
    let home = world.template.copy();
    let none = "organisations = [\"org_019f0000-0000-7000-8000-000000000001\"]";
    let may = format!("read = true\nrevoke = true\n{none}");
    home.edit_config("read = false\nrevoke = false", &may);
    home.serve()
}

/// REV-10: the holder's eIDs in that organisation, also the one that came after the call, and no other; once, by whichever start.
fn ends(world: &World) {
    let mut server = served(world);
    let first = issue(&server, AUTHENTICATION, CARD, HERE);
    let elsewhere = issue(&server, AUTHENTICATION, CARD, ELSEWHERE);
    let eid = eid_of(&server, &first);
    let strikes = later(15);
    let body = json!({ "holder_of": eid, "at": strikes.to_string(), "event": "employment-ended" });
    let asked = schedule(&server, &body);
    assert_eq!((asked.status, &asked.json["state"]), (201, &json!("waiting")), "{asked:?}");
    assert_eq!(asked.json["reason"], json!("affiliationChanged"));
    assert_eq!(asked.json["organisation"], json!(HERE));
    let id = id_of(&asked.json);
    let path = format!("/v1/scheduled-revocations/{id}");
    // The event of a card is none of a holder's, and who has no role over the organisation hears of nothing.
    let wrong = json!({ "eid": eid, "at": later(900).to_string(), "event": "employment-ended" });
    let wrong = schedule(&server, &wrong);
    assert_eq!((wrong.status, wrong.code()), (422, "scheduled-reach"), "{wrong:?}");
    let stranger = server.call(&Call::get(&path).by("reckless"));
    assert_eq!((stranger.status, stranger.code()), (404, "scheduled-unknown"), "{stranger:?}");
    let theirs = Call::post("/v1/scheduled-revocations", body.to_string()).by("reckless");
    assert_eq!(server.call(&theirs).code(), "eid-not-known");
    let all = server.call(&Call::get("/v1/scheduled-revocations").by("reckless"));
    assert_eq!((all.status, all.code()), (422, "query-malformed"), "{all:?}");
    let due = cli(
        &server,
        "portal",
        &["--json", "revocation", "list", "--due-before", &later(60).to_string()],
    );
    let due: Value = serde_json::from_slice(&due.out).expect("JSON");
    assert_eq!((id_of(&due["items"][0]), due["items"].as_array().map(Vec::len)), (id, Some(1)));
    let kept = issue(&server, AUTHENTICATED, OTHER_CARD, HERE);
    let other = eid_of(&server, &kept);
    let said = cli(
        &server,
        "portal",
        &[
            "--json",
            "revocation",
            "schedule",
            "--eid",
            &other,
            "--at",
            &later(900).to_string(),
            "--yes",
        ],
    );
    assert_eq!(said.code, 0, "{}", said.text);
    let taken_back: Value = serde_json::from_slice(&said.out).expect("JSON");
    let back = cli(&server, "portal", &["revocation", "cancel", &id_of(&taken_back)]);
    assert!(back.code == 0 && back.text.contains("cancelled"), "{}", back.text);
    // It takes a card more meanwhile, and the CA is away over the second.
    let second = issue(&server, "person-id-3-signature", OTHER_CARD, HERE);
    server.kill();
    while later(0) <= strikes {
        thread::sleep(Duration::from_millis(100));
    }
    let server = Running::start(Rc::clone(&server.home));
    let begun = Instant::now();
    let done = loop {
        let answer = server.call(&Call::get(&path));
        if answer.json["state"] == json!("done") {
            break answer.json;
        }
        assert!(begun.elapsed() < SOON, "{answer:?}");
        thread::sleep(Duration::from_millis(200));
    };

    for id in [&first, &second] {
        let found = shown(&server, id);
        assert_eq!(found["state"], json!("revoked"), "{found}");
        assert_eq!(found["requested_at"], json!(strikes.to_string()));
        assert!(found["revoked_at"].as_str() > found["requested_at"].as_str(), "{found}");
    }
    // `kept` names the same person by his HSA-id in the same organisation: it ends with the employment, whatever became of its own revocation.
    assert_eq!(done["revoked"], json!(3), "{done}");
    assert_eq!(shown(&server, &kept)["state"], json!("revoked"));
    assert_eq!(shown(&server, &elsewhere)["state"], json!("issued"));
    let late = server.call(&Call::post(&format!("{path}/cancellation"), "{}"));
    assert_eq!((late.status, late.code()), (409, "scheduled-over"), "{late:?}");
    server.settle();
    assert_eq!(server.home.audited("revocation.scheduled").len(), 2);
    assert_eq!(server.home.audited("revocation.unscheduled").len(), 1);
    assert_eq!(server.home.audited("certificate.revoked").len(), 1);
    server.home.verified_log("status");
}

/// REV-01: a file of forms, with one that is refused; sent again as it is, and mended.
fn registered(world: &World) {
    let server = served(world);
    let first = issue(&server, AUTHENTICATION, CARD, HERE);
    let second = issue(&server, AUTHENTICATION, OTHER_CARD, HERE);
    let eid = eid_of(&server, &second);
    let asked = later(0).saturating_sub(Duration::from_secs(7_200)).to_string();
    let file = server.home.beside("requests.csv");
    let report = server.home.beside("registered.csv");
    let lines = |last: &str| {
        format!(
            "reference;requested_at;asked_by;way;card_number;eid;event\n\
             B-1;{asked};TST2321000016-1001;paper;{CARD};;stolen\n\
             B-2;{asked};holder;telephone;;{last};not-wanted\n"
        )
    };
    let register = || {
        let (file, report) = (file.to_str().expect("a path"), report.to_str().expect("a path"));
        let act = ["--json", "revocation", "register", "--from", file, "--report", report];
        let said = cli(&server, "portal", &act);
        let answer: Value = serde_json::from_slice(&said.out).expect("JSON");
        (said.code, answer["items"].clone(), said.text)
    };
    fs::write(&file, lines("eid_019f0000-0000-7000-8000-000000000001")).expect("a file");

    let (code, items, text) = register();
    assert_eq!((code, items[0]["outcome"].clone()), (1, json!("done")), "{text}");
    assert_eq!(items[1]["problem"]["code"], json!("eid-not-known"), "{items}");
    assert_eq!((items[0]["line"].clone(), items[1]["line"].clone()), (json!(2), json!(3)));
    assert!(text.contains("1 of 2 lines were refused"), "{text}");
    let told = fs::read_to_string(&report).expect("a report");
    assert!(told.lines().count() == 3 && told.contains("\n3;B-2;refused;"), "{told}");
    let found = shown(&server, &first);
    assert_eq!(
        (&found["requested_at"], &found["reason"]),
        (&json!(asked), &json!("keyCompromise"))
    );

    fs::write(&file, lines(&eid)).expect("a file");
    let (code, again, text) = register();
    assert_eq!((code, &again[0]), (0, &items[0]), "{text}");
    assert_eq!((&again[1]["outcome"], &again[1]["revoked"]), (&json!("done"), &json!(1)));
    assert_eq!(register().1, again);
    assert_eq!(shown(&server, &second)["state"], json!("revoked"));
    // Another client's rights and numbers are its own.
    let one = json!({ "requests": [{ "reference": "B-1", "requested_at": asked, "asked_by": "holder", "way": "visit",
        "card_number": OTHER_CARD, "event": "lost" }] });
    let call = Call::post("/v1/revocation-requests", one.to_string());
    let theirs = server.call(&call.by("reckless"));
    assert_eq!(theirs.status, 200, "{theirs:?}");
    assert_eq!(theirs.json["items"][0]["problem"]["code"], json!("carrier-not-known"));
    let ours = server.call(&Call::post("/v1/revocation-requests", one.to_string()));
    assert_eq!(ours.json["items"][0]["problem"]["code"], json!("request-reference-taken"));
    server.settle();
    assert_eq!(server.home.audited("revocation.registered").len(), 2);
}
