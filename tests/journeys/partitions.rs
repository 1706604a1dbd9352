//! Two authorities, each with a token of its own: what one loses, the other does not feel.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::budget;
use support::demo::until;
use support::softhsm::token_folder;
use support::suite::Check;
use x509::serial::SerialNumber;

use crate::accounts::{self, Received};
use crate::api::{Api, Request};
use crate::deployment::{AUTHORITY, Deployment, FUNCTION_CA, FUNCTION_EC_CA, Template};
use crate::orders::{Form, is_put_off};

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "partitions::an_authority_works_on_while_the_token_of_another_is_away",
    an_authority_works_on_while_the_token_of_another_is_away,
)];

/// How long a signature may take, in seconds.
const DEADLINE: u64 = 3;
/// An answer of the authority whose token is there. It shares the module with the one that is away, which
/// is initialised anew now and then to find it: with a stall of the machine beside it, and far from a wait for
/// as long as the token is away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(DEADLINE + 4);
/// For how long a token is away.
const AWAY: Duration = Duration::from_secs(8);
/// A CRL with a revocation is published within this time.
const LISTED_WITHIN: Duration = Duration::from_secs(60);
/// The longest wait for what an outage leads to.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// An authority of the two.
#[derive(Clone, Copy)]
struct One {
    name: &'static str,
    profile: &'static str,
    role: &'static str,
}

const RSA: One = One { name: "sigilltesteidfunctioncav1", profile: "function", role: "issuing" };
const EC: One = One { name: AUTHORITY, profile: "function-ec", role: "issuing-b" };

/// What the test does it with.
struct World {
    deployment: Deployment,
    api: Api,
    form: Form,
}

impl World {
    fn order(&self, of: One, key: &str) -> Request {
        self.form.order_under(of.profile, key)
    }

    fn issue(&self, of: One, key: &str) -> Received {
        Received::read(key, &self.api.ask(&self.order(of, key)))
    }

    fn revoke(&self, held: &Received) {
        let path = format!("/v1/certificates/{}/revocation", held.id);
        let key = format!("revoke-{}", held.key);
        let said = self.api.ask(&Request::post(path, key, &json!({ "reason": "superseded" })));
        assert_eq!((said.status, &said.json()["state"]), (200, &json!("revoked")));
    }

    fn readiness(&self) -> (u16, Value) {
        let answer = self.api.ask(&Request::get("/readyz"));
        (answer.status, answer.json()["not-signing"].clone())
    }

    fn on_crl(&self, of: One) -> BTreeSet<SerialNumber> {
        accounts::on_crl_of(&self.deployment, of.name)
    }

    fn is_listed(&self, of: One, held: &Received) -> bool {
        let listed = || self.on_crl(of).contains(&held.serial).then_some(());
        until(LISTED_WITHIN, listed).is_some()
    }

    /// A number of the metrics with this label.
    fn metric(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let (head, label) = (format!("{name}{{"), format!("{label}=\"{value}\""));
        let metrics = self.deployment.metrics();
        let mut lines = metrics.lines();
        let line = lines.find(|line| line.starts_with(&head) && line.contains(&label))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    fn lost_for(&self, one: One) -> f64 {
        let label = self.deployment.token_label(one.role);
        self.metric("sigill_token_lost_seconds", "token", &label).expect("a token")
    }

    fn signs(&self, one: One) -> Option<f64> {
        self.metric("sigill_authority_signing", "authority", one.name)
    }
}

/// KEY-09, REV-02, ISS-03: an RSA and a P-256 authority lie in two tokens. Each is taken away in turn: the
/// other authority issues, revokes and signs its CRL as if nothing were; of the first it is told by name,
/// its orders are put off, its certificates are revoked, and its CRL is signed when the token is back.
fn an_authority_works_on_while_the_token_of_another_is_away(_: &Template) {
    let template = Template::make_for(&[FUNCTION_CA, FUNCTION_EC_CA]);
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.with_a_token_each().with_deadline(DEADLINE);
    deployment.start();
    let (api, form) = (deployment.api(), deployment.form());
    let mut world = World { deployment, api, form };
    for one in [RSA, EC] {
        world.issue(one, &format!("first-{}", one.role));
    }

    for (out, other) in [(EC, RSA), (RSA, EC)] {
        outage(&world, out, other);
    }

    let deployment = &mut world.deployment;
    deployment.stop();
    accounts::logs_add_up(deployment, &deployment.database());
}

fn outage(world: &World, out: One, other: One) {
    let name = |what: &str| format!("{what}-{}-{}", out.role, other.role);
    let [held, of_other] =
        [(out, "held"), (other, "other")].map(|(one, what)| world.issue(one, &name(what)));
    let label = world.deployment.token_label(out.role);
    let folder = token_folder(&world.deployment.home.join("tokens"), &label);
    let away = world.deployment.folder().join("token-away");
    fs::rename(&folder, &away).expect("the token is taken away");

    let begun = Instant::now();
    is_put_off(&world.api.ask(&world.order(out, &name("outage"))));
    let told = until(SEEN_WITHIN, || {
        (world.readiness() == (503, json!([out.name])) && world.lost_for(out) > 0.0).then_some(())
    });
    assert!(told.is_some(), "{:?} {}", world.readiness(), world.deployment.metrics());
    assert_eq!((world.signs(out), world.signs(other)), (Some(0.0), Some(1.0)));
    let (mut issued, mut slowest) = (0, Duration::ZERO);
    let issue = |number: u32, slowest: &mut Duration| {
        let since = Instant::now();
        let received = world.issue(other, &name(&format!("beside-{number}")));
        *slowest = since.elapsed().max(*slowest);
        received
    };
    while begun.elapsed() < AWAY {
        issue(issued, &mut slowest);
        issued += 1;
        thread::sleep(Duration::from_millis(20));
    }
    println!("measured: issued by {} beside it = {issued}", other.name);
    println!("measured: slowest, ms = {}", slowest.as_millis());
    assert!(slowest < ANSWERED_WITHIN, "{slowest:?}");
    world.revoke(&held);
    world.revoke(&of_other);
    assert!(world.is_listed(other, &of_other), "the CRL of {} is not signed", other.name);
    assert!(!world.on_crl(out).contains(&held.serial), "signed by a token that is away");
    assert_eq!(world.lost_for(other), 0.0);
    let published = until(LISTED_WITHIN, || {
        let size = world.deployment.verify_log("status")["size"].as_u64()?;
        let sql = "SELECT size FROM log_head WHERE log = 'status'";
        (size == accounts::number(&world.deployment.database(), sql)).then_some(())
    });
    assert!(published.is_some(), "the revocations were not published");
    is_put_off(&world.api.ask(&world.order(out, &name("outage"))));

    fs::rename(&away, &folder).expect("the token comes back");
    let back = Instant::now();
    let ready =
        until(budget::recovery(), || (world.readiness() == (200, Value::Null)).then_some(()));
    println!("measured: ready again after, ms = {}", back.elapsed().as_millis());
    assert!(ready.is_some(), "{:?} {}", world.readiness(), world.deployment.printed());
    assert!(world.is_listed(out, &held), "the CRL of {} is not signed", out.name);
    println!("measured: its CRL after, ms = {}", back.elapsed().as_millis());
    let late = Received::read(
        &name("outage"),
        &world.api.persevere(&mut None, &world.order(out, &name("outage"))),
    );
    let all = [&held, &of_other, &late].map(Clone::clone);
    accounts::each_order_has_one_certificate(&world.deployment.database(), &all);
    assert_eq!(world.signs(out), Some(1.0));
}
