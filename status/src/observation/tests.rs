use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use x509::key::{PublicKey, SignatureAlgorithm};

use super::*;

/// A vantage point's key for tests.
pub(crate) struct Key(Ed25519KeyPair);

impl Key {
    pub(crate) fn of(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_ed25519(self.0.public_key().as_ref().try_into().unwrap()).unwrap()
    }

    pub(crate) fn sign(&self, observation: &Observation) -> SignedObservation {
        let statement = observation.to_statement().unwrap();
        let signature = self.0.sign(statement.as_str().as_bytes());
        let signed = SignedStatement::assemble(
            &statement,
            &self.public(),
            SignatureAlgorithm::Ed25519,
            signature.as_ref(),
        )
        .unwrap();
        SignedObservation::open(signed.as_str().as_bytes()).unwrap()
    }
}

pub(crate) fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

pub(crate) fn revoked() -> SeenRevocation {
    SeenRevocation { time: at(1_795_000_000), reason: Some(ReasonCode::KeyCompromise) }
}

pub(crate) fn serial(octet: u8) -> SerialNumber {
    SerialNumber::from_random([octet; 16])
}

pub(crate) fn ocsp(method: ProbeMethod) -> Observation {
    Observation {
        deployment: "test/demo/ab12".parse().unwrap(),
        vantage: "stockholm".parse().unwrap(),
        method,
        url: "http://ocsp.example.org".to_owned(),
        issuer: IssuerId::from_bytes([7; 32]),
        object_sha256: [8; 32],
        this_update: at(1_795_000_010),
        next_update: at(1_795_003_610),
        object: SeenObject::Ocsp { produced_at: at(1_795_000_011) },
        position: Some(Position { epoch: 1, index: 17 }),
        time: at(1_795_000_012),
        seen: vec![Seen { serial: serial(1), status: SeenStatus::Revoked(revoked()) }],
    }
}

pub(crate) fn crl() -> Observation {
    Observation {
        method: ProbeMethod::Crl,
        url: "http://crl.example.org/ca.crl".to_owned(),
        object: SeenObject::Crl { number: "0102".to_owned() },
        position: None,
        seen: vec![
            Seen { serial: serial(1), status: SeenStatus::Revoked(revoked()) },
            Seen { serial: serial(2), status: SeenStatus::Good },
            Seen {
                serial: serial(3),
                status: SeenStatus::Revoked(SeenRevocation { reason: None, ..revoked() }),
            },
        ],
        ..ocsp(ProbeMethod::Crl)
    }
}

/// The same list with the delta that it names.
pub(crate) fn delta() -> Observation {
    Observation {
        method: ProbeMethod::CrlDelta,
        url: "http://crl.example.org/ca.delta.crl".to_owned(),
        object: SeenObject::Delta {
            number: "0104".to_owned(),
            base: SeenBase {
                url: "http://crl.example.org/ca.crl".to_owned(),
                sha256: [9; 32],
                number: "0102".to_owned(),
            },
        },
        ..crl()
    }
}

#[test]
fn an_observation_reads_back_and_says_what_was_seen_of_each_serial() {
    for observation in [ocsp(ProbeMethod::OcspGet), ocsp(ProbeMethod::OcspPost), crl(), delta()] {
        let signed = Key::of(1).sign(&observation);

        assert_eq!(signed.observation(), &observation);
        assert_eq!(signed.observation().of(&serial(1)), Some(SeenStatus::Revoked(revoked())));
        assert_eq!(signed.observation().of(&serial(9)), None);
    }
}

/// As many serials as one CRL may be looked through for at once fit into a statement.
#[test]
fn the_most_serials_fit() {
    let mut octets = [0; 20];
    let serials = (0..MAX_SEEN).map(|number| {
        octets[19] = u8::try_from(number).unwrap();
        SerialNumber::from_content_octets(&octets).unwrap()
    });
    let seen = serials.map(|serial| Seen { serial, status: SeenStatus::Revoked(revoked()) });
    let url = format!("http://{}", "u".repeat(MAX_URL - 7));
    let base = SeenBase { url: url.clone(), sha256: [9; 32], number: "01".repeat(20) };
    let object = SeenObject::Delta { number: "02".repeat(20), base };
    let most = Observation { url, object, seen: seen.collect(), ..delta() };

    assert_eq!(Key::of(1).sign(&most).observation().seen.len(), MAX_SEEN);
}

fn refuses_each(good: &Observation, wrong: &[(&str, &str)]) {
    let statement = good.to_statement().unwrap();
    let fields: Vec<(String, String)> =
        statement.fields().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let with = |name: &str, value: &str| {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), if n == name { value } else { v.as_str() }))
            .collect();
        Observation::from_statement(&Statement::new(OBSERVATION, &fields).unwrap())
    };
    assert!(with("method", good.method.as_str()).is_ok());
    for (name, value) in wrong {
        assert!(fields.iter().any(|(n, _)| n == name), "{name}");
        assert!(with(name, value).is_err(), "{name}: {value}");
    }
    for dropped in 0..fields.len() {
        let less: Vec<(&str, &str)> = fields
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != dropped)
            .map(|(_, (n, v))| (n.as_str(), v.as_str()))
            .collect();
        let statement = Statement::new(OBSERVATION, &less).unwrap();
        assert!(Observation::from_statement(&statement).is_err(), "{dropped}");
    }
}

#[test]
fn refuses_what_is_written_in_another_way() {
    let wrong = [
        ("deployment", "test/demo"),
        ("vantage", "Stockholm"),
        ("method", "ocsp-get"),
        ("method", "crl-delta"),
        ("method", "ldap"),
        ("url", "ldap://crl.example.org"),
        ("url", "http://crl.example.org/a b"),
        ("issuer", "07"),
        ("object", "zz"),
        ("this-update", "01795000010"),
        ("next-update", "soon"),
        ("crl-number", "102"),
        ("position", "1"),
        ("time", "-1"),
        ("seen", "41=maybe"),
        ("seen", "41=good 41=good"),
        ("seen", "4a=good"),
        ("seen", "41=revoked@1/7"),
        ("seen", "41=revoked@1"),
    ];
    refuses_each(&crl(), &wrong);
    let wrong = [
        ("method", "crl"),
        ("crl-number", "1"),
        ("base-url", "ldap://crl.example.org"),
        ("base-object", "0909"),
        ("base-number", "01 02"),
    ];
    refuses_each(&delta(), &wrong);
    let other = Statement::new("plan-approval", &[("plan", "1")]).unwrap();
    assert!(matches!(Observation::from_statement(&other), Err(ObservationError::Kind { .. })));
    let two = Observation { seen: crl().seen, ..ocsp(ProbeMethod::OcspGet) };
    assert!(two.to_statement().is_err(), "an OCSP answer tells of one serial");
    let of_another_kind = Observation { object: crl().object, ..delta() };
    assert!(of_another_kind.to_statement().is_err(), "a delta names its base");
}

#[test]
fn refuses_what_is_old_from_the_future_or_of_an_object_that_had_ended() {
    let fresh = |observation: &Observation, now: u64| {
        observation.must_be_fresh(at(now), Duration::from_secs(300), Duration::from_secs(60))
    };
    let seen = ocsp(ProbeMethod::OcspGet);
    let time = seen.time.secs();

    for now in [time - 60, time, time + 300] {
        assert_eq!(fresh(&seen, now), Ok(()), "{now}");
    }
    for now in [time - 61, time + 301] {
        assert!(matches!(fresh(&seen, now), Err(StaleObservation::Time { .. })), "{now}");
    }
    let ended = Observation { next_update: at(time - 1), ..seen };
    assert!(matches!(fresh(&ended, time), Err(StaleObservation::Object { .. })));
}
