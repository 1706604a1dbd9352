//! Bad input of every kind, against real processes: each is refused by its code, names what was
//! seen and what to do next, and leaves rows, logs, tokens and files as they were.

mod activated;
mod api;
mod carried;
mod changed;
mod checked;
mod contract;
mod corpora;
mod crowd;
mod database;
mod diagnosed;
mod faults;
mod foreign;
mod forged;
mod four_eyes;
mod hold;
mod home;
mod later;
mod limits;
mod management;
mod mounted;
mod mutations;
mod older;
mod ordered;
mod organised;
mod outputs;
mod protected;
mod reads;
mod replacing;
mod requests;
mod responder;
mod running;
mod second;
mod secrets;
mod shared;
mod signed;
mod spy;
mod starts;
mod startup;
mod state;
mod steps;
mod stepwise;
mod tokens;
#[allow(dead_code, reason = "shared with the journeys, which use more of it")]
#[path = "../journeys/api.rs"]
mod wire;
mod wrapped;

use std::cell::OnceCell;
use std::fs;
use std::process::ExitCode;

use serde_json::Value;
use support::{softhsm, spoken, suite, tool};

use home::Home;
use organised::Organised;
use running::{Call, Running};

fn main() -> ExitCode {
    // Each of these prints a `skipped:` line where it is missing.
    let tools = ["openssl", "curl", "softhsm2-util", "python3"].map(tool::find);
    if tools.iter().any(Option::is_none) || !spy_is_there() {
        return suite::run::<World>(&[], || unreachable!("no check"));
    }
    suite::run(
        &[
            api::CHECKS,
            checked::CHECKS,
            corpora::CHECKS,
            mutations::CHECKS,
            wrapped::CHECKS,
            hold::CHECKS,
            secrets::CHECKS,
            faults::CHECKS,
            startup::CHECKS,
            tokens::CHECKS,
            outputs::CHECKS,
            second::CHECKS,
            responder::CHECKS,
            older::CHECKS,
            ordered::CHECKS,
            shared::CHECKS,
            foreign::CHECKS,
            signed::CHECKS,
            steps::CHECKS,
            replacing::CHECKS,
            carried::CHECKS,
            diagnosed::CHECKS,
            protected::CHECKS,
            four_eyes::CHECKS,
            activated::CHECKS,
            reads::CHECKS,
            changed::CHECKS,
            later::CHECKS,
            limits::CHECKS,
            spy::CHECKS,
            contract::CHECKS,
        ]
        .concat(),
        World::make,
    )
}

fn spy_is_there() -> bool {
    let there =
        [softhsm::MODULE, softhsm::SPY].iter().all(|path| fs::exists(path).unwrap_or(false));
    if !there {
        println!("skipped: {} or {} is not installed", softhsm::MODULE, softhsm::SPY);
    }
    there
}

/// What the checks share: a home that no server has run in, to be copied, and a server.
struct World {
    template: Home,
    server: Running,
    /// A certificate that stays good.
    issued: String,
    organised: OnceCell<Organised>,
}

impl World {
    fn make() -> Self {
        let template = Home::made();
        let server = template.copy().serve();
        let mut world =
            Self { template, server, issued: String::new(), organised: OnceCell::new() };
        world.issued = world.issue(&requests::function_ec(&requests::base64(&requests::p256())));
        world.server.settle();
        world
    }

    /// A server with two organisations, the same for all checks that ask for one.
    fn organised(&self) -> &Organised {
        self.organised.get_or_init(|| Organised::make(self))
    }

    /// Issues a certificate and gives its id.
    fn issue(&self, order: &Value) -> String {
        let answer = self.server.call(&Call::order(order));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["id"].as_str().expect("an id").to_owned()
    }

    /// The id of a certificate that the root has issued.
    fn of_root(&self) -> String {
        let path = "/v1/certificates?authority=sigilltesteidrootcav1&serial=";
        let der = fs::read(self.server.home.path("ceremony/out/sigilltesteidfunctioncav1.cer"))
            .expect("the CA's certificate is there");
        let certificate = x509::certificate::Certificate::from_der(&der).expect("strict DER");
        let answer = self.server.call(&Call::get(&format!("{path}{}", certificate.serial())));
        let found = &answer.json["items"][0]["id"];
        found.as_str().unwrap_or_else(|| panic!("no certificate: {answer:?}")).to_owned()
    }
}

/// What OpenSSL says of a certificate.
fn certificate_text(pem: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("leaf.pem"), pem).expect("a file can be written");
    let said = spoken::openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    said.expect("openssl is installed").text
}
