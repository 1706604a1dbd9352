//! Orders that are in flight when the token that signs for them dies: each has one certificate in the end.

use std::fs;
use std::thread;
use std::time::Duration;

use ca::audit::EventCode;
use rusqlite::Connection;
use support::demo::until;
use support::laboratory::Laboratory;
use support::suite::Check;

use crate::accounts::{self, Received, Serials};
use crate::api::Answer;
use crate::deployment::{Deployment, Template};
use crate::orders::is_put_off;
use crate::standby::{SOON, leaves, of_token};

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "in_flight::an_order_whose_token_dies_has_one_certificate",
    an_order_whose_token_dies_has_one_certificate,
)];

/// How long a signature may take, in seconds; the first of two tokens gets half of it.
const DEADLINE: u64 = 4;
/// Of each token. A key that has signed on it is not to prove itself before the next signature.
const SESSIONS: usize = 1;
/// Orders at once: one is with the token, the others wait for its session.
const ORDERS: usize = 3;
/// Of deaths, at most.
const ROUNDS: usize = 5;
/// Signatures that came late are recorded within this time, and looked at once more.
const ONE_LOOK: Duration = Duration::from_secs(6);

/// Two tokens with the key of the authority, behind the laboratory.
struct World {
    deployment: Deployment,
    laboratory: Laboratory,
    preferred: String,
    stand_by: String,
    received: Vec<Received>,
    /// Answers after which a signature may exist.
    doubtful: usize,
}

impl World {
    /// So many orders at once under keys that begin with `name`; the codes of those that were put off,
    /// each of which goes on to its certificate once `then` was done.
    fn orders(&mut self, name: &str, count: usize, then: impl FnOnce(&Self)) -> Vec<String> {
        let (api, form) = (self.deployment.api(), self.deployment.form());
        let keys: Vec<_> = (0..count).map(|number| format!("{name}-{number}")).collect();
        let answers: Vec<Answer> = thread::scope(|scope| {
            let ask = |key: &String| {
                let (api, order) = (&api, form.order(key));
                scope.spawn(move || api.ask(&order))
            };
            let asked: Vec<_> = keys.iter().map(ask).collect();
            asked.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        let put_off = answers.iter().filter(|answer| answer.status != 201);
        let codes: Vec<_> = put_off.map(is_put_off).collect();
        println!("measured: {name} = {codes:?}");
        then(self);
        for key in &keys {
            let answer = api.persevere(&mut None, &form.order(key));
            self.received.push(Received::read(key, &answer));
        }
        codes
    }

    /// The token of this label, which signs while `before` holds, is struck by `death` under orders, of
    /// which one must end by this code; after that `after` holds.
    ///
    /// The module is initialised anew while another token of it is looked for. Then the key is to prove
    /// itself, and it is the proof that is struck and not the order, so that there is another round.
    fn dies(&mut self, label: &str, code: &str, [before, death, after]: [&str; 3]) {
        for round in 0..ROUNDS {
            self.laboratory.disturb(before);
            self.signs(label);
            self.lists_what_is_voided();
            let _none_put_off = self.orders(&format!("warm-{label}-{code}-{round}"), 1, |_| {});
            self.laboratory.disturb(&format!("{before}{death}"));
            let name = format!("{label}-{code}-{round}");
            let codes = self.orders(&name, ORDERS, |world| world.laboratory.disturb(after));
            let doubtful = codes.iter().filter(|one| *one == code).count();
            self.doubtful += doubtful;
            if doubtful > 0 {
                return;
            }
        }
        panic!("no order met the death of {label} by {code}");
    }

    /// No CRL is to be signed any more.
    fn lists_what_is_voided(&self) {
        let database = self.deployment.database();
        let listed = until(SOON, || {
            let voided = Serials::read(&database).voided;
            voided.is_subset(&accounts::on_crl(&self.deployment)).then_some(())
        });
        assert!(listed.is_some(), "voided serials are not on the CRL");
    }

    fn stands(&self, name: &str, label: &str, number: u64) {
        let seen = || (of_token(&self.deployment, name, label) == number).then_some(());
        assert!(until(SOON, seen).is_some(), "{name} {label}: {}", self.deployment.metrics());
    }

    fn signs(&self, label: &str) {
        self.stands("sigill_hsm_token_active", label, 1);
        self.stands("sigill_hsm_token_set_aside", label, 0);
    }
}

/// The token dies in the middle of its signatures, which nobody gets.
fn dies(label: &str) -> String {
    format!(
        "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ntoken = {label:?}\nhang-ms = 300\n\
         result = \"CKR_DEVICE_REMOVED\"\npassed = true\n"
    )
}

/// The token is there, and does not sign.
fn fails(label: &str) -> String {
    format!(
        "[[fault]]\nfunction = \"C_SignInit\"\ntoken = {label:?}\nresult = \"CKR_FUNCTION_FAILED\"\n"
    )
}

/// Promise 2, ISS-03, KEY-09: the preferred token dies under orders, and then, while it is away, the other
/// one; a token falls silent in the middle of a signature, and one fails before it signs. Every order ends
/// with one certificate, no intent is signed twice by the two tokens together, and what may have been
/// signed for nobody is on the CRL.
fn an_order_whose_token_dies_has_one_certificate(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let deployment = deployment.with_stand_by().with_deadline(DEADLINE);
    let (mut deployment, laboratory) = deployment.disturbed(SESSIONS);
    deployment.start();
    let [preferred, stand_by] = ["issuing", "issuing-b"].map(|role| deployment.token_label(role));
    let (received, doubtful) = (Vec::new(), 0);
    let mut world = World { deployment, laboratory, preferred, stand_by, received, doubtful };
    let (preferred, stand_by) = (world.preferred.clone(), world.stand_by.clone());
    let (no_preferred, no_stand_by) = (fails(&preferred), fails(&stand_by));
    let in_doubt = "hsm-sign-in-doubt";

    world.dies(&preferred, in_doubt, ["", &dies(&preferred), &no_preferred]);
    world.dies(&stand_by, in_doubt, [&no_preferred, &dies(&stand_by), &no_stand_by]);
    let go = world.deployment.folder().join("go");
    let hangs = format!(
        "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ntoken = {preferred:?}\n\
         hang-until = {go:?}\n"
    );
    world.dies(&preferred, "hsm-unanswered", ["", &hangs, &hangs]);
    fs::write(go, "").expect("the calls come back");
    world.laboratory.calm();
    world.signs(&preferred);

    world.laboratory.disturb(&fails(&preferred));
    let put_off = world.orders("before-it-signs", ORDERS, |_| {});
    assert!(put_off.is_empty(), "the other token signs within the call: {put_off:?}");
    world.laboratory.calm();
    world.signs(&preferred);

    thread::sleep(ONE_LOOK);
    all_adds_up(world);
}

fn all_adds_up(mut world: World) {
    let database = world.deployment.database();
    let voided = accounts::each_order_has_one_certificate(&database, &world.received);
    println!("measured: orders = {}, voided tries of them = {voided}", world.received.len());
    assert!(voided >= world.doubtful, "{voided} {}", world.doubtful);
    accounts::every_key_gives_its_answer_again(&world.deployment, &world.received);
    world.lists_what_is_voided();
    assert_eq!(leaves(&database, EventCode::KeyUseUnexplained), 0);
    world.deployment.stop();
    no_intent_is_signed_twice(&database, &world.laboratory);
    accounts::logs_add_up(&world.deployment, &database);
}

/// What both tokens really signed, by the laboratory between.
fn no_intent_is_signed_twice(database: &Connection, laboratory: &Laboratory) {
    let signed = laboratory.signed();
    for intent in accounts::intents(database) {
        let times = signed.iter().filter(|one| one.is_over(&intent.digest)).count();
        match intent.state.as_str() {
            "fulfilled" => assert_eq!(times, 1, "{intent:?}"),
            "voided" => assert!(times <= 1, "{times} signatures of {intent:?}"),
            _ => panic!("left open: {intent:?}"),
        }
    }
}
