//! The zones as networks: inner host, gate and outer host are namespaces, and the outer one has no route to the inner.
//!
//! The gate passes TCP of one port outwards, and forwards nothing. The journey runs itself again inside the inner
//! namespace, where everything but the responder is started as in the other journeys.

use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio, id};
use std::time::Duration;

use support::demo::until;
use support::spoken::{self, Spoken};
use support::suite::Check;
use support::{program, tool};

use crate::accounts::Received;
use crate::deployment::{Deployment, Template};
use crate::feed::{Outer, PUSH};
use crate::revocation::{ocsp_arguments, revoke};

const NAME: &str = "zones::the_outer_host_has_no_route_inwards";

pub(crate) const CHECKS: &[Check<Template>] = &[(NAME, the_outer_host_has_no_route_inwards)];

/// Names the gate's and the outer host's namespaces for the run inside the inner one.
const INSIDE: &str = "SIGILL_TEST_ZONES";
const SEEN_WITHIN: Duration = Duration::from_secs(120);

/// Passes TCP on: arguments are where it listens and where it connects to.
const PASS: &str = "
import asyncio, sys
async def copy(r, w):
    try:
        while data := await r.read(65536):
            w.write(data); await w.drain()
    except OSError:
        pass
    finally:
        w.close()
async def met(r, w):
    try:
        far = await asyncio.open_connection(sys.argv[3], int(sys.argv[4]))
    except OSError:
        return w.close()
    await asyncio.gather(copy(r, far[1]), copy(far[0], w))
async def main():
    server = await asyncio.start_server(met, sys.argv[1], int(sys.argv[2]))
    await server.serve_forever()
asyncio.run(main())
";

/// The namespaces; gone when dropped.
struct Zones {
    inner: String,
    gate: String,
    outer: String,
}

impl Zones {
    /// `None` where no namespace can be made, and that is said.
    fn make() -> Option<Self> {
        let name = |zone: &str| format!("sg{zone}{}", id());
        let zones = Self { inner: name("i"), gate: name("g"), outer: name("o") };
        let (inner, gate, outer) = (&zones.inner, &zones.gate, &zones.outer);
        let all = [inner, gate, outer];
        let made = ip(&["netns", "add", inner]);
        if made.code != 0 {
            println!("skipped: no network namespace can be made here: {}", made.text.trim());
            return None;
        }
        let add = |words: &str| {
            let said = ip(&words.split(' ').collect::<Vec<_>>());
            assert_eq!(said.code, 0, "ip {words}: {}", said.text);
        };
        add(&format!("netns add {gate}"));
        add(&format!("netns add {outer}"));
        for zone in all {
            add(&format!("-n {zone} link set lo up"));
        }
        for (one, other, net) in [(inner, gate, 1), (gate, outer, 2)] {
            add(&format!("link add v{net} netns {one} type veth peer name v{net} netns {other}"));
            for (zone, host) in [(one, 1), (other, 2)] {
                add(&format!("-n {zone} addr add 10.231.{net}.{host}/30 dev v{net}"));
                add(&format!("-n {zone} link set v{net} up"));
            }
        }
        Some(zones)
    }
}

impl Drop for Zones {
    fn drop(&mut self) {
        for zone in [&self.inner, &self.gate, &self.outer] {
            let _ = ip(&["netns", "del", zone]);
        }
    }
}

fn ip(words: &[&str]) -> Spoken {
    spoken::run(Command::new("ip").args(words), &[])
}

/// A command inside a namespace.
fn within(zone: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", zone]).arg(program);
    command
}

/// Ends a program that was started in a namespace.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// ENV-04, architecture §2.1: the inner zone opens every connection. Log, CRLs and requests cross all the same, and who is
/// between the zones, or in the outer one, gets nowhere.
fn the_outer_host_has_no_route_inwards(template: &Template) {
    if let Ok(zones) = env::var(INSIDE) {
        let (gate, outer) = zones.split_once(' ').expect("two names");
        return inside(template, gate, outer);
    }
    if tool::find("ip").is_none() || tool::find("python3").is_none() {
        return;
    }
    let Some(zones) = Zones::make() else { return };
    let this = env::current_exe().expect("a test knows its own path");
    let mut again = within(&zones.inner, &this);
    again.arg(NAME).env(INSIDE, format!("{} {}", zones.gate, zones.outer));
    let said = spoken::run(&mut again, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("1 passed"), "{}", said.text);
    said.text
        .lines()
        .filter(|line| line.starts_with("measured"))
        .for_each(|line| println!("{line}"));
}

fn inside(template: &Template, gate: &str, outer_zone: &str) {
    let Some(mut deployment) = template.copy() else { return };
    let far: SocketAddr = "10.231.2.2:8843".parse().expect("an address");
    let near: SocketAddr = "10.231.1.2:8843".parse().expect("an address");
    let outer = Outer::at(&deployment, far);
    let mut responder = within(outer_zone, &program::built("sigill-ocsp"));
    responder.args(["serve", "--config"]).arg(deployment.home.join("config/ocsp.toml"));
    responder.env("SOFTHSM2_CONF", deployment.home.join("softhsm2.conf"));
    responder.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _responder = Started(responder.spawn().expect("the responder starts"));
    let mut pass = within(gate, Path::new("python3"));
    pass.args(["-c", PASS, &near.ip().to_string(), "8843", &far.ip().to_string(), "8843"]);
    let _pass = Started(pass.stdin(Stdio::null()).spawn().expect("python3 starts"));
    let waived = outer.host_at("ocsp1", near) + "read-back-waived-until = 2999-12-31\n";
    deployment.start_with(&(PUSH.to_owned() + &waived));

    let issued = Received::read("one", &deployment.api().ask(&deployment.order("one")));
    let ask = || ask(&deployment, outer_zone, &issued);
    let good = until(SEEN_WITHIN, || ask().contains("Cert Status: good").then_some(()));
    assert!(good.is_some(), "{}", ask());
    assert_eq!(revoke(&deployment, &issued.id, "superseded", "r").status, 200);
    let revoked = until(SEEN_WITHIN, || ask().contains("Cert Status: revoked").then_some(()));
    assert!(revoked.is_some(), "{}", ask());

    // The outer host reaches nobody inside, and who is between the zones is no sender.
    for zone in ["10.231.1.1", "10.231.1.2"] {
        let route = ip(&["-n", outer_zone, "route", "get", zone]);
        assert!(route.code != 0 && route.text.contains("unreachable"), "{}", route.text);
    }
    let listens = deployment.api_address();
    let mut call = within(outer_zone, Path::new("curl"));
    call.args(["--silent", "--insecure", "--max-time", "5"]);
    let said = spoken::run(call.arg(format!("https://10.231.1.1:{}/", listens.port())), &[]);
    assert_eq!(said.code, 7, "no route, no connection: {}", said.text);
    let tls = deployment.home.join("tls");
    let put = |more: &[&str]| {
        let mut call = within(gate, Path::new("curl"));
        call.args(["--silent", "--insecure", "--max-time", "10", "--upload-file", "/dev/null"]);
        call.args(["--output", "/dev/null", "--write-out", "%{http_code}"]).args(more);
        call.arg(format!("https://{far}/feed/1/publish/checkpoint")).current_dir(&tls);
        spoken::run(&mut call, &[])
    };
    // The receiver is there and answers who has the key, so that what it tells a stranger counts.
    let known = put(&["--cert", "push.pem", "--key", "push.key"]);
    let status: Option<u16> = known.text.trim().parse().ok();
    assert!(known.code == 0 && status.is_some_and(|status| status >= 400), "{}", known.text);
    let stranger = put(&[]);
    let refused = [35, 56].contains(&stranger.code);
    assert!(refused, "a stranger is let in: {} {}", stranger.code, stranger.text);
    deployment.stop();
}

/// What the responder in the outer zone tells OpenSSL there.
fn ask(deployment: &Deployment, zone: &str, issued: &Received) -> String {
    let mut command = within(zone, Path::new("openssl"));
    command.args(ocsp_arguments(deployment, &deployment.ocsp_url(), issued.serial));
    spoken::run(&mut command, &[]).text
}
