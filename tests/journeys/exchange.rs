//! `sigill-ca exchange`: what is asked of a ceremony and comes back, by the commands that an operator types, with the keys in their token.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use ceremony_core::exchange::{Request, Response};
use ceremony_core::words::Fingerprint;
use hsm::statement::SoftwarePersonKey;
use support::spoken::{self, Spoken};
use support::suite::Check;
use x509::certificate::Certificate;
use x509::request::CertificationRequest;
use x509::time::UnixTime;

use crate::deployment::{AUTHORITY, Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "exchange::what_a_ceremony_gives_back_is_taken_in_and_nothing_else",
    what_a_ceremony_gives_back_is_taken_in_and_nothing_else,
)];

const ROOT: &str = "sigilltesteidrootcav1";

fn refused(said: &Spoken, code: &str) {
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains(&format!("error: {code}: ")), "{code}: {}", said.text);
}

/// The ceremonies' side.
struct Ceremonies {
    key: SoftwarePersonKey,
    plan: Fingerprint,
}

impl Ceremonies {
    /// Answers the request in this file with this, into a file beside it.
    fn answer(&self, request: &Path, payload: &[u8]) -> String {
        let request_file =
            Request::open(&fs::read(request).expect("a request")).expect("a request");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let now = UnixTime::from_secs(now.as_secs()).expect("a time");
        let head = Fingerprint::of(b"head");
        let response = Response::to(&request_file, self.plan, head, payload.to_vec(), now);
        let signed = self.key.statement(&response.statement().expect("a statement"));
        let out = request.with_extension("response");
        fs::write(&out, response.file(&signed.expect("a signature"))).expect("a file");
        out.display().to_string()
    }
}

fn import(deployment: &Deployment, plan: &str, file: &str) -> Spoken {
    deployment.command(&["exchange", "import"], &["--plan", plan, file])
}

/// CER-07, N30, A6.
fn what_a_ceremony_gives_back_is_taken_in_and_nothing_else(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = deployment.home.clone();
    let zone = SoftwarePersonKey::create(&home.join("keys/zone.key")).expect("a key");
    let config = home.join("config/ca.toml");
    let before = fs::read_to_string(&config).expect("a configuration");
    let section = format!(
        "\n[exchange]\nkey = \"../keys/exchange.key\"\nfolder = \"../state/exchange\"\nceremony-keys = [\"{}\"]\n",
        zone.key().spki_hash()
    );
    fs::write(&config, format!("{before}{section}")).expect("a configuration");
    let made = deployment.command(&["exchange", "make-key"], &[]);
    assert_eq!(made.code, 0, "{}", made.text);
    refused(&deployment.command(&["exchange", "make-key"], &[]), "secret-file-io");
    let own = SoftwarePersonKey::open(&home.join("keys/exchange.key")).expect("the key");
    assert!(made.text.starts_with(&own.key().spki_hash().to_string()), "{}", made.text);
    let checked = deployment.command(&["check-config"], &[]);
    assert_eq!(checked.code, 0, "{}", checked.text);

    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let asks = |name: &str, words: &[&str]| {
        let out = path(name);
        let words = [&["--authority", ROOT, "--out", out.to_str().expect("text")], words].concat();
        let said = deployment.command(&["exchange", "request"], &words);
        assert_eq!(said.code, 0, "{}", said.text);
        out
    };
    let ceremonies = Ceremonies { key: zone, plan: Fingerprint::of(b"plan") };
    let (words, other) = (ceremonies.plan.words().join(" "), Fingerprint::of(b"other").to_string());

    // The list that is published goes out, is read by OpenSSL from the file as it is, and comes back.
    let list = fs::read(home.join(format!("publish/crl/{ROOT}.crl"))).expect("a CRL");
    let request = asks("1.request", &["--wanted", "root-crl"]);
    let file = request.to_str().expect("text");
    let read = spoken::openssl(folder.path(), &["crl", "-in", file, "-noout", "-crlnumber"]);
    assert!(read.is_none_or(|read| read.code == 0 && read.text.contains("crlNumber=")));
    let response = ceremonies.answer(&request, &list);
    refused(&import(&deployment, &other, &response), "exchange-plan");
    for _ in 0..2 {
        let taken = import(&deployment, &words, &response);
        assert_eq!(taken.code, 0, "{}", taken.text);
    }
    refused(&import(&deployment, &words, file), "exchange-kind");
    let crl = home.join(format!("publish/crl/{ROOT}.crl"));
    let by_itself = deployment.command(&["import"], &["--crl", crl.to_str().expect("text")]);
    refused(&by_itself, "exchange-only");
    // A restore brings back what is known.
    let outputs = home.join("ceremony/out/outputs.json");
    let again = deployment.command(&["import"], &["--from", outputs.to_str().expect("text")]);
    assert_eq!(again.code, 0, "{}", again.text);

    // An issuing CA's certificate, whose key the token of its authority holds, and no other token.
    let key = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"];
    let csr =
        ["req", "-new", "-key", "key.pem", "-subj", "/CN=ca", "-outform", "DER", "-out", "ca.csr"];
    for words in [&key[..], &csr[..]] {
        assert!(spoken::openssl(folder.path(), words).is_some_and(|said| said.code == 0));
    }
    let csr = path("ca.csr");
    let asked = asks(
        "2.request",
        &["--wanted", "issuing-certificate", "--csr", csr.to_str().expect("text")],
    );
    let octets =
        fs::read(home.join(format!("ceremony/out/{AUTHORITY}.cer"))).expect("a certificate");
    let certificate = Certificate::from_der(&octets).expect("a certificate");
    refused(
        &import(&deployment, &words, &ceremonies.answer(&asked, &octets)),
        "exchange-certificate",
    );
    refused(&import(&deployment, &words, &response), "exchange-number");

    // As if that key had made the request: what proves it is the token's.
    let mut der = fs::read(&csr).expect("a request");
    let theirs = CertificationRequest::from_der(&der).expect("a request");
    let theirs = theirs.public_key().spki_der().to_vec();
    let place = der.windows(theirs.len()).position(|window| window == theirs).expect("its key");
    der.splice(place..place + theirs.len(), certificate.public_key().spki_der().iter().copied());
    let kept = home.join("state/exchange/00000002.request");
    let mut changed = Request::open(&fs::read(&kept).expect("a request")).expect("a request").said;
    changed.payload = der;
    let signed = own.statement(&changed.statement().expect("a statement")).expect("a signature");
    for copy in [&kept, &asked] {
        fs::write(copy, changed.file(&signed)).expect("a file");
    }
    let response = ceremonies.answer(&asked, &octets);
    let whole = fs::read_to_string(&config).expect("a configuration");
    let elsewhere = whole.replace("token = \"issuing\"", "token = \"management\"");
    assert_ne!(elsewhere, whole);
    fs::write(&config, elsewhere).expect("a configuration");
    refused(&import(&deployment, &words, &response), "hsm-key-missing");
    assert!(!home.join("state/exchange/00000002.response").exists());
    fs::write(&config, whole).expect("a configuration");
    let taken = import(&deployment, &words, &response);
    assert_eq!(taken.code, 0, "{}", taken.text);
}
