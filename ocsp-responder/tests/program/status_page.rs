//! The status page over HTTP, on IPv4 and IPv6: OpenSSL made the certificate that is shown to it.

use status::{BeforeActivation, Change, RevocationReason};
use support::softhsm::alone;
use support::test_name;

use crate::client::{get, send};
use crate::fixture::{World, change, issued, wait_for};

const PATH: &str = "/status?lang=en";

fn shown(world: &World, kind: &str, body: &[u8]) -> (u16, String) {
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: any\r\nContent-Type: {kind}\r\nContent-Length: {}",
        body.len()
    );
    let answer = send(world.address, &head, body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[test]
fn the_page_tells_how_a_certificate_stands() {
    alone(test_name!(the_page_tells_how_a_certificate_stands), |softhsm| {
        let mut world = World::new(softhsm);
        let server = world.ready();
        let form = "application/x-www-form-urlencoded";
        let of = |octet: u8| {
            let serial = crate::fixture::serial(octet).to_string();
            shown(&world, form, format!("issuer=person3&serial={serial}").as_bytes())
        };

        let page = get(world.address, "any", "/status");
        let text = String::from_utf8(page.body).unwrap();
        assert_eq!(page.status, 200);
        assert!(
            text.contains("lang=\"sv\"") && text.contains("<option>person3</option>"),
            "{text}"
        );
        let english = get(world.address, "any", PATH);
        assert!(String::from_utf8(english.body).unwrap().contains("Status of a certificate"));

        assert!(of(0x55).1.contains("no certificate of this serial number"));
        let issuer = world.issuer;
        let revoked = Change::Revoked {
            reason: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        world.append(&[
            issued(issuer, 0x55, BeforeActivation::Good),
            issued(issuer, 0x56, BeforeActivation::Held),
            issued(issuer, 0x57, BeforeActivation::Good),
            change(issuer, 0x57, revoked),
        ]);
        wait_for("the log", || of(0x55).1.contains("Nothing here keeps").then_some(()));
        assert!(of(0x56).1.contains("issued but not activated"));
        assert!(of(0x57).1.contains("the key may be in other hands"));

        // The CA's own certificate is none that it has issued; what is none at all is refused.
        let (status, text) = shown(&world, "application/pkix-cert", world.ca.certificate.as_der());
        assert_eq!(status, 200);
        assert!(text.contains("no certificate of this serial number"), "{text}");
        let (status, text) = shown(&world, "application/pkix-cert", b"<script>");
        assert_eq!((status, text.contains("<script")), (400, false), "{text}");
        let (status, _) = shown(&world, "text/plain", &vec![b'a'; 100_000]);
        assert_eq!(status, 413);
        let put = send(world.address, "PUT /status HTTP/1.1\r\nHost: any", b"");
        assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, POST")));

        // The same on IPv6, and nothing of it in the log.
        let v6 = world.address_v6;
        assert_eq!(get(v6, "any", "/status").status, 200);
        assert_eq!(get(v6, "any", "/person3.cer").status, 200);
        let asked = crate::fixture::serial(0x57).to_string();
        assert!(!server.printed().contains(&asked), "a question is written down");
    });
}
