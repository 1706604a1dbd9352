//! Whether a PIN looks like the one that a marker holds as refused, reckoned by OpenSSL. The marker
//! keeps one octet of a PIN, so 1 of 256 others does, and a test must know which it has.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// `marker` is `sigill-pin/1 refused SERIAL SALT OCTET`: the first octet of HMAC-SHA-256 under the salt
/// over the serial number, a zero octet and the PIN.
///
/// # Panics
///
/// If the marker is another or OpenSSL does not reckon.
#[must_use]
pub fn holds(marker: &str, pin: &str) -> bool {
    let parts: Vec<&str> = marker.split_whitespace().collect();
    let ["sigill-pin/1", "refused", serial, salt, octet] = parts[..] else { panic!("{marker}") };
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{salt}"), "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let said = format!("{serial}\0{}", pin.trim_end());
    let mut stdin = openssl.stdin.take().expect("a pipe");
    stdin.write_all(said.as_bytes()).expect("openssl reads");
    drop(stdin);
    let output = openssl.wait_with_output().expect("openssl ends");
    assert_eq!(output.stdout.len(), 32, "{output:?}");
    format!("{:02x}", output.stdout[0]) == octet
}
