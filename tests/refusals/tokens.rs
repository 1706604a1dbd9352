//! Tokens that are not the named ones, and PINs that are wrong: a start is refused, and no PIN is tried
//! twice.

use std::fs;
use std::path::PathBuf;

use support::pin_marker;
use support::suite::Check;

use crate::World;
use crate::forged;
use crate::home::{Home, value_of};
use crate::spy::TokenCalls;
use crate::starts::{judge, last_line, not_told, row};
use crate::state::State;

pub const CHECKS: &[Check<World>] =
    &[("refuses_tokens_that_are_not_the_named_ones", tokens_are_refused)];

/// KEY-02, KEY-09: a wrong PIN is tried once through three starts; tokens by label and serial.
fn tokens_are_refused(world: &World) {
    judge(
        world,
        &[
            row(
                "token missing",
                "hsm-token-missing",
                |home| {
                    fs::remove_dir_all(home.path("tokens"))
                        .and_then(|()| fs::create_dir(home.path("tokens")))
                        .expect("emptied")
                },
                &["sg-td-", "-issuing"],
            ),
            row(
                "another serial number",
                "hsm-token-serial-mismatch",
                |home| {
                    let config = home.config();
                    let (_, token) = config.split_once("[[hsm.token]]").expect("a token");
                    home.edit_config(&value_of(token, "serial"), "0123456789abcdef");
                },
                &["0123456789abcdef"],
            ),
            row(
                "no module",
                "hsm-module-unreadable",
                |home| home.edit_config("pkcs11-spy.so", "no-such.so"),
                &["no-such.so"],
            ),
            row(
                "a module that is none",
                "hsm-module-load",
                |home| {
                    home.edit_config("/usr/lib/x86_64-linux-gnu/pkcs11-spy.so", "/bin/true");
                },
                &["/bin/true"],
            ),
            row(
                "a token without the keys",
                "hsm-key-missing",
                |home| {
                    let label = format!("sg-td-{}-issuing", home.instance);
                    forged::token(home, &label);
                },
                &["key of authority"],
            )
            .logging_in(),
        ],
    );
    let home = world.template.copy();
    let right = home.read("pins/issuing.pin");
    home.write("pins/issuing.pin", "this PIN is wrong\n");
    let before = State::of(&home);
    for start in 1..=3 {
        let refused = home.serve_refused();
        assert!(refused.code.is_some_and(|code| code != 0), "start {start}: {}", refused.text);
        for word in ["PIN", &format!("sg-td-{}-issuing", home.instance)] {
            assert!(
                refused.text.contains(word),
                "start {start} does not say {word}: {}",
                refused.text
            );
        }
        assert!(!refused.text.contains("this PIN is wrong"), "{}", refused.text);
        println!("wrong PIN, start {start}: {}", last_line(&refused.text));
        let code = if start == 1 { "hsm-pin-refused" } else { "hsm-pin-refused-before" };
        assert_eq!(not_told(&refused, code), None, "start {start}");
        assert_eq!(TokenCalls::of(&home).logins, 1, "start {start}");
    }
    let after = State::of(&home);
    assert_eq!(after.calls.signatures, before.calls.signatures);
    assert_eq!(State { calls: before.calls, ..after }.difference(&before), "");
    // Another PIN is another try, and the right one heals.
    home.write("pins/issuing.pin", &right);
    let marker = pin_marker(&home);
    let text = fs::read_to_string(&marker).expect("a marker");
    assert!(pin_marker::holds(&text, "this PIN is wrong"), "{text}");
    if pin_marker::holds(&text, &right) {
        assert_eq!(not_told(&home.serve_refused(), "hsm-pin-refused-before"), None);
        let serial = text.split(' ').nth(2).expect("a serial number");
        fs::write(&marker, format!("sigill-pin/1 cleared {serial}\n")).expect("cleared");
    }
    let server = home.serve();
    assert_eq!(TokenCalls::of(&server.home).logins, 2, "the right PIN is tried once");
}

/// Where the PIN of the CA's token is noted as refused.
fn pin_marker(home: &Home) -> PathBuf {
    let folder = fs::read_dir(home.path("state")).expect("a folder");
    let mut files = folder.map(|entry| entry.expect("an entry").path());
    files
        .find(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("pin-") && name.ends_with(".marker")
        })
        .expect("a marker")
}
