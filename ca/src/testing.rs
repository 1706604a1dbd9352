//! Keys, issuers and requests for the tests of this room.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use x509::certificate::Certificate;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::serial::SerialNumber;
use x509::signing::{Intent, IntentId, Recorded, Recorder, SigningInput, ToBeSigned};
use x509::time::UnixTime;

use crate::admit::{Admitted, Moment, admit_direct};
use crate::algorithms::{AlgorithmPolicy, SHIPPED};
use crate::book::{Book, BookErrors};
use crate::deployment::{Deployment, Environment};
use crate::fields::RequestedFields;
use crate::identity::TestDomains;
use crate::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use crate::key_period::KeyPeriod;
use crate::key_quality::KeyBook;
use crate::prepare::{KeySource, Preparation, PrepareError, Prepared, Signer, Way, prepare};
use crate::profile::{EndOf, Profile, ProfileSet};
use crate::table::PolicyTable;

/// Every shipped file of the book that is no profile: where it lies below `profiles/`, and its text.
pub(crate) const BOOK: [(&str, &str); 14] = {
    macro_rules! shipped {
        ($($path:literal),*) => {
            [$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/", $path)))),*]
        };
    }
    shipped!(
        "carriers/nls-card-2023.toml",
        "carriers/reserve-card-2023.toml",
        "carriers/telephone.toml",
        "lists/identity-kinds.toml",
        "lists/proofing-methods.toml",
        "routines/demo-direct.toml",
        "routines/mobile-self-service.toml",
        "routines/office-visit-2.toml",
        "routines/office-visit.toml",
        "routines/reserve-card-2.toml",
        "routines/reserve-card-3.toml",
        "rules/loa2.toml",
        "rules/sweden.toml",
        "tables/policies.toml"
    )
};

/// The shipped files of the book as a book is read from, with profiles.
pub(crate) fn book_files() -> Vec<(String, String)> {
    let profiles = PROFILES.iter().map(|(name, text)| (format!("{name}.toml"), (*text).to_owned()));
    let others = BOOK.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    profiles.chain(others).collect()
}

/// Reads files as a book.
pub(crate) fn read_book(files: &[(String, String)]) -> Result<Book, BookErrors> {
    Book::parse(files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())))
}

/// 2026-11-21T22:00:00Z.
pub(crate) const NOW: u64 = 1_795_298_400;

/// The text of every shipped profile.
pub(crate) const PROFILES: [(&str, &str); 29] = {
    macro_rules! shipped {
        ($($name:literal),*) => {
            [$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/", $name, ".toml")))),*]
        };
    }
    shipped!(
        "root",
        "issuing",
        "cross",
        "ocsp",
        "ocsp-offline",
        "ocsp-final",
        "person-hsaid-3-authentication",
        "person-hsaid-3-signature",
        "person-hsaid-2-authentication",
        "person-hsaid-2-signature",
        "person-id-3-authentication",
        "person-id-3-signature",
        "person-id-2-authentication",
        "person-id-2-signature",
        "mobile-authentication",
        "reserve-hsaid-3-authentication",
        "reserve-hsaid-3-signature",
        "reserve-hsaid-2-authentication",
        "reserve-hsaid-2-signature",
        "extra-hsaid-3-authentication",
        "extra-hsaid-3-signature",
        "function",
        "function-client",
        "function-ec",
        "function-machine",
        "card-transport",
        "management-ca",
        "management-server",
        "management-client"
    )
};

pub(crate) fn profile_text(name: &str) -> &'static str {
    PROFILES.iter().find(|(shipped, _)| *shipped == name).unwrap().1
}

/// A shipped profile, however its issuer signs: those of the tests have EC keys.
pub(crate) fn profile(name: &str) -> Profile {
    Profile::parse(signed_by_any(profile_text(name)).as_bytes()).unwrap()
}

/// A profile's text without its section about signatures.
pub(crate) fn signed_by_any(text: &str) -> String {
    match text.split_once("[signature]") {
        Some((head, rest)) => format!("{head}[{}", rest.split_once("\n[").unwrap().1),
        None => text.to_owned(),
    }
}

pub(crate) fn all_profiles() -> ProfileSet {
    ProfileSet::new(PROFILES.iter().map(|(name, _)| profile(name))).unwrap()
}

/// The root profile with a key type that tests make quickly.
pub(crate) fn quick_root() -> Profile {
    Profile::parse(profile_text("root").replace("\"rsa-4096\"", "\"ec-p256\"").as_bytes()).unwrap()
}

pub(crate) fn deployment() -> Deployment {
    "test/demo/ab12".parse().unwrap()
}

pub(crate) fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

/// The shipped policy in which `from` reads `to`.
pub(crate) fn edited_policy(from: &str, to: &str) -> AlgorithmPolicy {
    assert!(SHIPPED.contains(from), "{from}");
    AlgorithmPolicy::parse(&SHIPPED.replacen(from, to, 1)).unwrap()
}

/// A P-256 key in our hands.
pub(crate) struct TestKey {
    pair: EcdsaKeyPair,
    request: rcgen::KeyPair,
    pub(crate) public: PublicKey,
}

impl TestKey {
    pub(crate) fn new() -> Self {
        let request = rcgen::KeyPair::generate().unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, request.serialized_der())
                .unwrap();
        let public = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        Self { pair, request, public }
    }

    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }

    /// The signature as RFC 7518 §3.4 writes it: `r || s`.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let pkcs8 = self.request.serialized_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).unwrap();
        pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }

    pub(crate) fn sign(&self, input: &SigningInput) -> Vec<u8> {
        let ToBeSigned::Bytes(bytes) = input.to_be_signed() else { panic!("bytes") };
        self.sign_bytes(bytes)
    }

    /// A request by this key, after `wishes` have been made.
    pub(crate) fn request(&self, wishes: impl FnOnce(&mut rcgen::CertificateParams)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        wishes(&mut params);
        params.serialize_request(&self.request).unwrap().der().to_vec()
    }
}

struct Memory;

impl Recorder for Memory {
    type Error = std::convert::Infallible;
    fn record(self, _: &Intent) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Signs what was prepared, as the programs do.
pub(crate) fn signed(prepared: Prepared, key: &TestKey) -> Certificate {
    let (pending, _) = prepared.into_parts();
    let recorded = Recorded::by(Memory, pending.intent()).unwrap();
    let input = pending.input(&recorded).unwrap();
    let signature = key.sign(&input);
    Certificate::from_der(&pending.finish(signature).unwrap().to_der().unwrap()).unwrap()
}

/// A question to [`prepare`] with everything filled in; tests change what they are about.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) deployment: Deployment,
    pub(crate) algorithms: AlgorithmPolicy,
    pub(crate) profile: &'a Profile,
    pub(crate) signer: Signer<'a>,
    pub(crate) way: Way,
    pub(crate) fields: RequestedFields,
    pub(crate) key: KeySource<'a>,
    pub(crate) keys: KeyBook,
    pub(crate) serial: [u8; 16],
    pub(crate) now: u64,
    pub(crate) ends_at: Option<u64>,
    /// Another leave than that of a call without an order.
    pub(crate) admitted: Option<Admitted>,
}

impl<'a> Ask<'a> {
    pub(crate) fn new(profile: &'a Profile, signer: Signer<'a>, key: KeySource<'a>) -> Self {
        let way = if profile.kind().is_subscriber() { Way::Direct } else { Way::Internal };
        Self {
            deployment: deployment(),
            algorithms: AlgorithmPolicy::shipped().unwrap(),
            profile,
            signer,
            way,
            fields: fields_for(profile),
            key,
            keys: KeyBook::default(),
            serial: [0x5a; 16],
            now: NOW,
            ends_at: (profile.validity().end_of == EndOf::Order).then_some(NOW + 14 * 86_400),
            admitted: None,
        }
    }

    pub(crate) fn prepare(&self) -> Result<Prepared, PrepareError> {
        self.with(prepare)
    }

    pub(crate) fn with<T>(&self, run: impl FnOnce(&Preparation<'_>) -> T) -> T {
        let direct = self.direct();
        run(&Preparation {
            admitted: self.admitted.as_ref().or(direct.as_ref()),
            deployment: self.deployment,
            algorithms: &self.algorithms,
            test_domains: &TestDomains::default(),
            profile: self.profile,
            signer: self.signer,
            way: self.way,
            fields: &self.fields,
            key: self.key,
            keys: &self.keys,
            serial: SerialNumber::from_random(self.serial),
            id: IntentId::from_bytes([7; 16]),
            now: at(self.now),
            ends_at: self.ends_at.map(at),
        })
    }

    /// Leave for a call without an order, under the first policy that the table has for the profile.
    pub(crate) fn direct(&self) -> Option<Admitted> {
        let Signer::Issuer(issuer) = self.signer else { return None };
        let table = BOOK.iter().find(|(path, _)| *path == "tables/policies.toml").unwrap().1;
        let table = PolicyTable::parse(table.as_bytes()).unwrap();
        let policy = table.rows_of(self.profile.name()).next().map(|row| row.policy);
        let book = Book::of_example(self.profile, issuer.class(), policy);
        let moment = Moment { now: at(self.now), environment: Environment::Test };
        admit_direct(self.profile, issuer, &book, moment).ok()
    }

    /// The same leave, of an order that names this end.
    pub(crate) fn ordered(&self, end: u64) -> Admitted {
        self.direct().unwrap().until(at(end))
    }

    pub(crate) fn refusal(&self) -> &'static str {
        match self.prepare() {
            Ok(_) => "issued",
            Err(error) => error.refusal().code,
        }
    }
}

/// Fields that a profile takes, about the Swedish test person and a test function.
pub(crate) fn fields_for(profile: &Profile) -> RequestedFields {
    let some = |text: &str| Some(text.to_owned());
    let organization = some("Sigill Test");
    match profile.name().as_str() {
        name if name.starts_with("person-id") || name.starts_with("mobile") => RequestedFields {
            given_name: some("Tolvan"),
            surname: some("Tolvansson"),
            personal_identity_number: some("191212121212"),
            card_number: some("9752269874512325436").filter(|_| name.starts_with("person")),
            ..RequestedFields::default()
        },
        "card-transport" => RequestedFields {
            organization,
            card_number: some("9752269874512325436"),
            ..RequestedFields::default()
        },
        "function-machine" => RequestedFields {
            common_name: some("Robot 7"),
            hsa_id: some("TSTNMT2321000156-B02"),
            organization,
            ..RequestedFields::default()
        },
        name if profile.kind().is_person() => RequestedFields {
            given_name: some("Tolvan"),
            surname: some("Tolvansson"),
            hsa_id: some("TST2321000016-1002"),
            personal_identity_number: some("191212121212"),
            organization,
            locality: some("Örebro"),
            card_number: some("9752269874512325436"),
            upn: some("TST2321000016-1002@test.example.org")
                .filter(|_| name.ends_with("authentication")),
            email: some("tolvan@example.org").filter(|_| name.ends_with("authentication")),
            ..RequestedFields::default()
        },
        name if name.starts_with("function") => RequestedFields {
            common_name: some("idp.example.org"),
            hsa_id: some("TSTNMT2321000156-B02"),
            organization,
            dns: vec!["idp.example.org".to_owned(), "idp2.example.org".to_owned()],
            ..RequestedFields::default()
        },
        "management-server" => RequestedFields {
            common_name: some("sigill-ca"),
            organization,
            dns: vec!["localhost".to_owned()],
            ip: vec![[127, 0, 0, 1].into()],
            management_name: Some("sigill-ca".parse().unwrap()),
            ..RequestedFields::default()
        },
        "management-ca" => RequestedFields {
            common_name: some("SIGILL TEST Management CA v1"),
            organization,
            management_name: Some("portal".parse().unwrap()),
            ..RequestedFields::default()
        },
        name if name.starts_with("management") => RequestedFields {
            common_name: some("portal"),
            organization,
            management_name: Some("portal".parse().unwrap()),
            ..RequestedFields::default()
        },
        "root" => RequestedFields {
            common_name: some("SIGILL TEST e-id Test CA v1"),
            organization,
            ..RequestedFields::default()
        },
        // No subject has its issuer's name.
        name => RequestedFields {
            common_name: Some(format!("SIGILL TEST e-id {name}")),
            organization,
            ..RequestedFields::default()
        },
    }
}

pub(crate) fn settings(
    name: &str,
    algorithm: SignatureAlgorithm,
    profiles: &[&str],
) -> IssuerSettings {
    IssuerSettings {
        name: name.to_owned(),
        algorithm,
        crl_url: format!("http://crl.example.org/{name}.crl"),
        ocsp_url: "http://ocsp.example.org".to_owned(),
        aia_url: format!("http://aia.example.org/{name}.cer"),
        profiles: profiles.iter().map(|name| name.parse().unwrap()).collect(),
        crl_scope_stated: CrlScopeStated::No,
        period: KeyPeriod::default(),
    }
}

/// A root and an issuing CA under it with keys in our hands.
pub(crate) struct Hierarchy {
    pub(crate) root: Issuer,
    pub(crate) root_key: TestKey,
    pub(crate) issuing: Issuer,
    pub(crate) issuing_key: TestKey,
}

impl Hierarchy {
    pub(crate) fn new(profiles: &[&str]) -> Self {
        Self::under("SIGILL TEST e-id Test CA v1", profiles)
    }

    /// The same below a root of this name.
    pub(crate) fn under(root_name: &str, profiles: &[&str]) -> Self {
        let ecdsa = SignatureAlgorithm::EcdsaP256Sha256;
        let (root_key, issuing_key) = (TestKey::new(), TestKey::new());
        let (root_profile, issuing_profile) = (quick_root(), profile("issuing"));
        let mut ask =
            Ask::new(&root_profile, Signer::Itself(ecdsa), KeySource::Proven(&root_key.public));
        ask.fields.common_name = Some(root_name.to_owned());
        let root = signed(ask.prepare().unwrap(), &root_key);
        let root =
            Issuer::new(root, settings("root", ecdsa, &["issuing", "ocsp-offline"])).unwrap();
        let mut ask = Ask::new(
            &issuing_profile,
            Signer::Issuer(&root),
            KeySource::Proven(&issuing_key.public),
        );
        ask.fields.common_name = Some("SIGILL TEST e-id Issuing CA v1".to_owned());
        let issuing = signed(ask.prepare().unwrap(), &root_key);
        let issuing = Issuer::new(issuing, settings("issuing", ecdsa, profiles)).unwrap();
        Self { root, root_key, issuing, issuing_key }
    }
}
