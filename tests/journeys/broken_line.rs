//! A line to an outer host that breaks off after so many octets, again and again: the push of a log goes on behind what
//! was carried.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::demo::until;
use support::ports::free_address;
use support::suite::Check;

use crate::accounts::Received;
use crate::api::Request;
use crate::deployment::{Deployment, Template};
use crate::feed::{Outer, PUSH};
use crate::revocation::ocsp;

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "broken_line::a_push_that_breaks_off_goes_on_behind_what_was_carried",
    a_push_that_breaks_off_goes_on_behind_what_was_carried,
)];

/// Certificates that are issued and revoked: two whole tiles of entries, and more.
const CERTIFICATES: u64 = 330;
const CALLERS: usize = 4;
/// What a connection carries beside the largest tile: its handshake, listings, and the tiles that are not whole.
const BESIDE: u64 = 16 << 10;
const SEEN_WITHIN: Duration = Duration::from_secs(180);

/// Passes connections on, each until it has carried so many octets towards the host.
struct Line {
    address: SocketAddr,
    broken: Arc<AtomicU64>,
}

impl Line {
    fn to(host: SocketAddr, carries: u64) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("a port");
        let broken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&broken);
        // It ends with the process.
        thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(host) else { continue };
                let back = (to.try_clone().expect("a socket"), from.try_clone().expect("a socket"));
                let count = Arc::clone(&count);
                thread::spawn(move || pass(back.0, back.1, u64::MAX));
                thread::spawn(move || {
                    if pass(from, to, carries) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, broken }
    }
}

/// Copies one direction; true where it was cut off.
fn pass(mut from: TcpStream, mut to: TcpStream, carries: u64) -> bool {
    let (mut left, mut chunk) = (carries, [0; 1024]);
    while left > 0 {
        let Ok(count @ 1..) = from.read(&mut chunk) else { break };
        left = left.saturating_sub(u64::try_from(count).expect("a count"));
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    left == 0
}

/// The octets of all files below a folder, and of the largest.
fn measured(folder: &Path) -> (u64, u64) {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.fold((0, 0), |(all, most), entry| {
        let facts = entry.metadata().expect("a file");
        let (octets, largest) =
            if facts.is_dir() { measured(&entry.path()) } else { (facts.len(), facts.len()) };
        (all + octets, most.max(largest))
    })
}

fn fill(deployment: &Deployment) -> Received {
    let (api, next) = (deployment.api(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut line = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CERTIFICATES {
                        return;
                    }
                    let key = format!("fill-{number}");
                    let answer = api.persevere(&mut line, &deployment.order(&key));
                    let issued = Received::read(&key, &answer);
                    let path = format!("/v1/certificates/{}/revocation", issued.id);
                    let body = json!({ "reason": "superseded" });
                    let revoked = api.persevere(&mut line, &Request::post(path, &key, &body));
                    assert_eq!(revoked.status, 200, "{}", revoked.text());
                }
            });
        }
    });
    Received::read("last", &api.ask(&deployment.order("last")))
}

/// A push goes on where it was broken off. From zero each time this one would never come to its end.
fn a_push_that_breaks_off_goes_on_behind_what_was_carried(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let last = fill(&deployment);
    deployment.stop();
    let (all, largest) = measured(&deployment.home.join("publish/tile"));
    let carries = largest + BESIDE;
    assert!(all > carries * 3 / 2, "{all} octets pass over one connection of {carries}");

    let host = free_address();
    let line = Line::to(host, carries);
    let outer = Outer::at(&deployment, host);
    let responder = deployment.responder();
    deployment.start_with(&(PUSH.to_owned() + &outer.host_at("ocsp1", line.address)));
    let good = || ocsp(&deployment, last.serial).contains("Cert Status: good").then_some(());
    assert!(until(SEEN_WITHIN, good).is_some(), "{}", responder.printed());
    let broken = line.broken.load(Ordering::Relaxed);
    println!(
        "measured: octets of the log = {all}, over connections of = {carries}, broken = {broken}"
    );
    assert!(broken >= 1, "no connection has broken");
}
