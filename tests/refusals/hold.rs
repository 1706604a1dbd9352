//! Holds: whom they are for, how they end, and what the CRL says meanwhile (REV-03, REV-04).

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::{Value, json};
use support::spoken;
use support::suite::Check;

use crate::World;
use crate::home::Home;
use crate::requests::{self, base64};
use crate::running::{Answer, Call};

pub const CHECKS: &[Check<World>] = &[("a_hold_ends_by_a_release_or_a_revocation", holds)];

/// How long a CRL may take to follow.
const CRL_WITHIN: Duration = Duration::from_secs(30);

/// What the answer says was done, and how the certificate stands.
fn told(answer: &Answer) -> (u16, &Value, &Value, &Value) {
    let json = &answer.json;
    (answer.status, &json["outcome"], &json["state"], &json["reason"])
}

/// What the published CRL says of a serial, once it says whether it is `listed`.
pub fn crl_entry(home: &Home, authority: &str, serial: &str, listed: bool) -> String {
    let file = home.path(&format!("publish/crl/{authority}.crl"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let started = Instant::now();
    loop {
        fs::copy(&file, folder.path().join("crl")).expect("a CRL");
        let arguments = ["crl", "-inform", "DER", "-in", "crl", "-noout", "-text"];
        let text = spoken::openssl(folder.path(), &arguments).expect("openssl is installed").text;
        let entry = text.split_once(&format!("Serial Number: {serial}"));
        if entry.is_some() == listed {
            return entry
                .map(|(_, after)| after[..after.len().min(200)].to_owned())
                .unwrap_or_default();
        }
        assert!(started.elapsed() < CRL_WITHIN, "{serial} listed: {}", !listed);
        thread::sleep(Duration::from_millis(250));
    }
}

/// REV-03, REV-04: a person's certificate is held, released, held again and revoked; each answer
/// says what was done, the CRL follows, and a release of what is not held changes nothing.
fn holds(world: &World) {
    let server = &world.server;
    let order = server.call(&Call::order(&requests::person(&base64(&requests::p256()))));
    assert_eq!(order.status, 201, "{order:?}");
    let text = |name: &str| order.json[name].as_str().expect("a text").to_owned();
    let (id, authority, serial) = (text("id"), text("authority"), text("serial"));
    let revoke = |reason: &str| server.call(&Call::revocation(&id, &json!({ "reason": reason })));
    let release = || {
        server.call(&Call::post(&format!("/v1/certificates/{id}/release"), json!({}).to_string()))
    };
    let (changed, already) = (json!("changed"), json!("already-so"));
    let (held, hold, none) = (json!("held"), json!("certificateHold"), Value::Null);

    assert_eq!(told(&release()), (200, &already, &json!("issued"), &none));
    assert_eq!(told(&revoke("certificateHold")), (200, &changed, &held, &hold));
    let entry = crl_entry(&world.server.home, &authority, &serial, true);
    assert!(entry.contains("Certificate Hold"), "{entry}");
    assert_eq!(told(&revoke("certificateHold")), (200, &already, &held, &hold));
    let released = release();
    assert_eq!(told(&released), (200, &changed, &json!("issued"), &none));
    assert_eq!(released.json["revoked_at"], Value::Null);
    crl_entry(&world.server.home, &authority, &serial, false);

    assert_eq!(told(&revoke("certificateHold")), (200, &changed, &held, &hold));
    let revoked = (&json!("revoked"), &json!("keyCompromise"));
    let answer = revoke("keyCompromise");
    assert_eq!(told(&answer), (200, &changed, revoked.0, revoked.1));
    let refused = release();
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.json["code"], "transition-illegal", "{refused:?}");
    let held_again = revoke("certificateHold");
    assert_eq!(held_again.status, 409, "{held_again:?}");
    server.settle();
}
