use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::status_page::judge::tests::{authority, certificate_der};

struct World {
    folder: tempfile::TempDir,
    keeper: TestCertificateKeeper,
    served: Arc<ServedTestCertificates>,
    begun: Instant,
}

impl World {
    fn new(authorities: Authorities) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let served = Arc::new(ServedTestCertificates::default());
        let keeper = TestCertificateKeeper::new(
            folder.path(),
            &"test/demo/ab12".parse().unwrap(),
            Arc::new(ArcSwap::from_pointee(authorities)),
            Arc::clone(&served),
        );
        Self { folder, keeper, served, begun: Instant::now() }
    }

    /// What comes of this file, and what is served then.
    fn step(&mut self, file: &Value, seconds: u64) -> (Option<&'static str>, Option<Value>) {
        let path = self.folder.path().join("test-certificates.json");
        fs::write(path, file.to_string()).unwrap();
        let step = self.keeper.step(self.begun + Duration::from_secs(seconds));
        let served = self.served.get();
        let served = served.map(|set| serde_json::from_slice(&set.bytes).unwrap());
        (step.err().map(|error| error.code()), served)
    }
}

fn set(certificate: &[u8]) -> Value {
    json!({
        "format": "sigill-test-certificates/1",
        "deployment": "test/demo/ab12",
        "made_at": "2026-11-23T05:00:00Z",
        "refresh_at": "2026-12-01T05:00:00Z",
        "made_of": "00",
        "certificates": [{
            "profile": "p", "authority": "person3", "state": "held", "ocsp": "revoked", "on_crl": true,
            "reason": "certificateHold", "certificate": pem::encode(Label::Certificate, certificate),
        }],
        "missing": [],
        "chains": {},
    })
}

/// PRO-21, promise 7: only certificates of the authorities here leave by this door, and only known fields.
#[test]
fn serves_certificates_of_its_authorities_and_nothing_else() {
    let (ca, other) = (authority(), authority());
    let mut world = World::new(Authorities::new(vec![Arc::clone(&ca.0)], 1));
    let good = set(&certificate_der(&ca, 1));
    let mut more = good.clone();
    more["certificates"][0]["holder"] = json!("Tolvan");
    assert_eq!(world.step(&more, 0), (None, Some(good.clone())), "what is not known is left out");

    let refused = Some("test-certificates-refused");
    let changed = |path: &str, value: Value| {
        let mut set = set(&certificate_der(&ca, 2));
        *set.pointer_mut(path).unwrap() = value;
        set
    };
    let foreign = pem::encode(Label::Certificate, other.0.certificate.as_der());
    for bad in [
        set(&certificate_der(&other, 1)),
        changed("/deployment", json!("test/demo/zzzz")),
        changed("/format", json!("sigill-test-certificates/2")),
        changed("/made_at", json!("yesterday")),
        changed("/certificates/0/state", json!("nice")),
        changed("/certificates/0/certificate", json!("Tolvan")),
        changed("/chains", json!({ "person3": [foreign] })),
        json!([]),
    ] {
        assert_eq!(world.step(&bad, 0), (refused, Some(good.clone())), "{bad}");
    }
}

/// A set that came before the certificate of its authority is judged again, and not five times a second.
#[test]
fn a_set_that_was_refused_is_judged_again() {
    let ca = authority();
    let mut world = World::new(Authorities::default());
    let good = set(&certificate_der(&ca, 1));
    assert_eq!(world.step(&good, 0).0, Some("test-certificates-refused"));
    world.keeper.authorities.store(Arc::new(Authorities::new(vec![Arc::clone(&ca.0)], 1)));
    assert_eq!(world.step(&good, 1), (None, None));

    assert_eq!(world.step(&good, 6), (None, Some(good)));
}
