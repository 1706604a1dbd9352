//! Calls that somebody must have signed for, against a server that takes no client's word (API-01, API-05, ISS-14).
//!
//! Statements are put together here as docs/formats/actor-statement.md says, and signed by OpenSSL.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::suite::Check;
use support::{program, spoken};

use crate::World;
use crate::home::Home;
use crate::ordered::{AUTHENTICATED, order};
use crate::requests::{self, base64, split};
use crate::running::{Answer, Call, Running};
use crate::stepwise;

pub const CHECKS: &[Check<World>] = &[
    ("no_call_yields_anything_for_a_person_that_nobody_signed_for", unsigned),
    ("a_statement_counts_for_its_call_its_time_and_its_administrator", judged),
];

/// The two persons: who acts, and for whom.
const TOLVAN: &str = "191212121212";
const TOLVANSSON: &str = "191003229802";
/// The HSA-ids of whom the identity provider knows, and of who signs himself.
pub const FIRST: &str = "TST2321000016-1001";
const ANNA: &str = "TST2321000016-1002";

/// A key that signs statements, and how it is named in them.
#[derive(Clone)]
pub struct Pen {
    /// PEM of the private key.
    key: String,
    algorithm: &'static str,
    named: (&'static str, String),
    /// Claims beside those about the call.
    pub more: Value,
    /// The certificate of an eID, PEM.
    certificate: String,
}

/// A server that takes nothing unsigned, and trusts an identity provider.
pub struct Desk {
    /// The server.
    pub server: Running,
    /// The identity provider's.
    pub provider: Pen,
    audience: String,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Makes a key with OpenSSL: its PEM, its public one, and a request for it in DER.
pub fn key(kind: &[&str]) -> (String, String, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = |arguments: &[&str]| {
        let said = spoken::openssl(folder.path(), arguments).expect("openssl is installed");
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.text);
    };
    let first = ["req", "-new", "-nodes", "-keyout", "key.pem", "-subj", "/CN=ignored", "-newkey"];
    run(&[&first[..], kind, &["-outform", "DER", "-out", "csr.der"]].concat());
    run(&["pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"]);
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a file");
    (text("key.pem"), text("pub.pem"), fs::read(folder.path().join("csr.der")).expect("a request"))
}

/// A key on P-256.
pub const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: &[&str] = &["rsa:2048"];

/// base64url without padding (RFC 7515 §2).
fn url(octets: &[u8]) -> String {
    base64(octets).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

impl Pen {
    /// The same with another value of a claim.
    pub fn claiming(&self, name: &str, value: Value) -> Self {
        Self { more: with_claim(self, name, value), ..self.clone() }
    }

    fn sign(&self, input: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("key.pem"), &self.key).expect("a file");
        let mut command = Command::new("openssl");
        command.args(["dgst", "-sha256", "-sign", "key.pem"]).current_dir(&folder);
        if self.algorithm == "PS256" {
            let salt = "rsa_pss_saltlen:32";
            command.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", salt]);
        }
        let said = spoken::run(&mut command, input.as_bytes());
        assert_eq!(said.code, 0, "{}", said.text);
        if self.key_is_ec() { halves(&said.out) } else { said.out }
    }

    fn key_is_ec(&self) -> bool {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("key.pem"), &self.key).expect("a file");
        let said = spoken::openssl(folder.path(), &["pkey", "-in", "key.pem", "-noout", "-text"]);
        said.expect("openssl is installed").text.contains("prime256v1")
    }

    fn header(&self) -> Value {
        let (member, name) = &self.named;
        let mut header = json!({ "alg": self.algorithm, "typ": "sigill-actor+jwt" });
        header[*member] = json!(name);
        header
    }

    fn jws(&self, header: &Value, claims: &Value) -> String {
        let input = format!(
            "{}.{}",
            url(header.to_string().as_bytes()),
            url(claims.to_string().as_bytes())
        );
        let signature = url(&self.sign(&input));
        format!("{input}.{signature}")
    }
}

/// `r || s` of an Ecdsa-Sig-Value.
fn halves(der: &[u8]) -> Vec<u8> {
    let parts = split(requests::header(der).1);
    let mut raw = Vec::new();
    for part in parts {
        let (_, value) = requests::header(part);
        let value = value.strip_prefix(&[0]).unwrap_or(value);
        raw.extend(std::iter::repeat_n(0, 32 - value.len()));
        raw.extend_from_slice(value);
    }
    raw
}

impl Desk {
    /// Starts it in a home of its own.
    pub fn open(world: &World) -> Self {
        Self::of(world.template.copy())
    }

    /// The desk of a home.
    pub fn of(home: Home) -> Self {
        let (key, public, _) = key(P256);
        home.write("keys/idp.pem", public);
        home.edit_config(
            "[actor-statements]\ndirect = true\n",
            "[actor-statements]\n\n[[actor-statements.provider]]\nkid = \"idp-1\"\nkey = \"../keys/idp.pem\"\n\
             issuer = \"https://idp.example.org\"\nlevel = \"loa3\"\n",
        );
        let audience = format!("urn:sigill:test:demo:{}:api", home.instance);
        let provider = Pen {
            key,
            algorithm: "ES256",
            named: ("kid", "idp-1".to_owned()),
            more: json!({ "iss": "https://idp.example.org", "sub": FIRST, "acr": "loa3", "auth_time": now(), "roles": ["management-administrator"] }),
            certificate: String::new(),
        };
        Self { server: home.serve(), provider, audience }
    }

    /// The claims of a good statement about a call.
    fn claims(&self, pen: &Pen, call: &Call) -> Value {
        static STATEMENTS: AtomicU32 = AtomicU32::new(0);
        let number = STATEMENTS.fetch_add(1, Ordering::Relaxed);
        let mut claims = json!({
            "aud": self.audience,
            "client": "portal",
            "method": call.method_name(),
            "target": call.target(),
            "body_sha256": hexadecimal(&Sha256::digest(call.octets())),
            "jti": format!("refusals-statement-{number}"),
            "iat": now(),
            "exp": now() + 300,
        });
        let object = claims.as_object_mut().expect("an object");
        if let Some(key) = call.header("Idempotency-Key") {
            object.insert("idempotency_key".to_owned(), json!(key));
        }
        object.extend(pen.more.as_object().cloned().unwrap_or_default());
        claims
    }

    /// The same after a start in the same home.
    pub fn restart(&mut self) {
        self.server.kill();
        self.server = Running::start(Rc::clone(&self.server.home));
    }

    /// A call with a statement about it.
    pub fn signed(&self, pen: &Pen, call: Call) -> Call {
        let statement = pen.jws(&pen.header(), &self.claims(pen, &call));
        call.with(&format!("Sigill-Actor-Statement: {statement}"))
    }

    /// What it comes to.
    pub fn call(&self, pen: &Pen, call: Call) -> Answer {
        self.server.call(&self.signed(pen, call))
    }

    /// What a good call comes to with a statement in which something is another.
    fn altered(&self, pen: &Pen, call: &Call, wishes: &dyn Fn(&mut Value)) -> Answer {
        let mut claims = self.claims(pen, call);
        wishes(&mut claims);
        let statement = pen.jws(&pen.header(), &claims);
        self.server.call(&call.clone().with(&format!("Sigill-Actor-Statement: {statement}")))
    }

    /// An eID for somebody, and the pen of its key.
    fn eid(&self, kind: &[&str], body: &dyn Fn(&str) -> Value) -> (Pen, String) {
        let (key, _, csr) = key(kind);
        let issued = stepwise::issued(self, &self.provider, &body(&base64(&csr)));
        let pem = issued["certificate"].as_str().expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("cer.pem"), pem).expect("a file");
        let arguments = ["x509", "-in", "cer.pem", "-outform", "DER", "-out", "cer.der"];
        spoken::openssl(folder.path(), &arguments).expect("openssl is installed");
        let der = fs::read(folder.path().join("cer.der")).expect("a certificate");
        let pen = Pen {
            key,
            algorithm: if kind == RSA { "RS256" } else { "ES256" },
            named: ("x5t#S256", url(&Sha256::digest(der))),
            more: json!({ "roles": ["management-administrator"] }),
            certificate: pem.to_owned(),
        };
        (pen, issued["id"].as_str().expect("an id").to_owned())
    }

    fn change(&self, id: &str, reason: &str) {
        let call = Call::revocation(id, &json!({ "reason": reason }));
        let answer = self.call(&self.provider, call);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// Lower-case hexadecimal.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The order of an eID in the name of `orderer`.
pub fn ordered(csr: &str, profile: &str, orderer: &str, number: &str, hsa_id: &str) -> Value {
    let mut call = order();
    call["csr"] = json!(csr);
    call["profile"] = json!(profile);
    call["subject"]["hsa_id"] = json!(hsa_id);
    call["subject"].as_object_mut().expect("an object").remove("personal_identity_number");
    call["order"]["orderer"]["id"] = json!(orderer);
    call["order"]["identity"]["number"] = json!(number);
    call
}

/// Refused with this status and code, in all its words.
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    answer.must_be_whole();
}

/// Every operation of the contract, by a portal whose certificate is good, with and without a body: nothing is issued, and nothing shown.
fn unsigned(world: &World) {
    let desk = Desk::open(world);
    let contract = desk.server.call(&Call::get("/openapi.json")).json;
    let paths = contract["paths"].as_object().expect("paths");
    let eid = order();
    let certificates = || desk.server.home.rows("certificate");
    let before = certificates();
    let mut codes: BTreeMap<String, u32> = BTreeMap::new();
    for (path, operations) in paths {
        let path = path
            .replace("{name}", "sigilltesteidpersonhsaid3cav1")
            .replace("{id}", &world.issued)
            .replace("{serial}", "01");
        for method in operations.as_object().expect("operations").keys() {
            let bodies: &[Value] =
                if method == "post" { &[eid.clone(), json!({})] } else { &[Value::Null] };
            for body in bodies {
                let call = if body.is_null() {
                    Call::get(&path)
                } else {
                    Call::post(&path, body.to_string())
                };

                let answer = desk.server.call(&call.method(&method.to_uppercase()));

                assert!(!answer.text.contains("BEGIN CERTIFICATE"), "{method} {path}: {answer:?}");
                assert!(!answer.json.to_string().contains("BEGIN CERTIFICATE"), "{answer:?}");
                *codes.entry(answer.code().to_owned()).or_default() += 1;
                let own = path.starts_with("/v1/probe/") || path.ends_with("/self/renewal");
                let expected = if own { answer.code() } else { "actor-statement-required" };
                assert_eq!(answer.code(), expected, "{method} {path}: {answer:?}");
            }
        }
    }
    assert!(codes["actor-statement-required"] > 40, "{codes:?}");
    assert_eq!(certificates(), before, "nothing was issued");
    // Other methods, and a statement that is none, open nothing.
    for call in [
        Call::order(&eid).method("PUT"),
        Call::order(&eid).with("Sigill-Actor-Statement: none"),
        Call::order(&eid).with("Sigill-Actor-Statement: "),
        Call::order(&eid)
            .with("Sigill-Actor-Statement: e30.e30.")
            .with("Sigill-Actor-Statement: e30.e30."),
    ] {
        assert_eq!(desk.server.call(&call).status, 401, "{call:?}");
    }
    assert_eq!(certificates(), before);
    // The configuration without it: a client that orders for persons has to have them signed.
    let home = desk.server.stop();
    home.edit_config("name = \"portal\"", "name = \"portal\"\nstatements = \"none\"");
    let refused = home.serve_refused();
    assert!(refused.text.contains("statements = \"none\""), "{}", refused.text);
}

/// Each thing that is wrong with a statement, or with whose it is, by a code of its own, and each is in the audit log.
fn judged(world: &World) {
    let desk = Desk::open(world);
    let anna = |csr: &str| ordered(csr, AUTHENTICATED, FIRST, TOLVAN, ANNA);
    let (pen, _) = desk.eid(P256, &anna);
    let of =
        |hsa_id: &'static str| move |csr: &str| ordered(csr, AUTHENTICATED, FIRST, TOLVAN, hsa_id);
    let (rsa, ended) = desk.eid(RSA, &of("TST2321000016-1003"));
    let (held_pen, held) = desk.eid(P256, &of("TST2321000016-1004"));
    let signing = |csr: &str| ordered(csr, "person-hsaid-3-signature", FIRST, TOLVAN, ANNA);
    let (signature, _) = desk.eid(P256, &signing);
    let csr = base64(&requests::p256());
    let body = ordered(&csr, AUTHENTICATED, ANNA, TOLVANSSON, "TST2321000016-1009");
    let [before, orders] = ["certificate", "eid_order"].map(|table| desk.server.home.rows(table));
    let call = Call::order(&body);
    let wrong = |code: &str, wishes: &dyn Fn(&mut Value)| {
        refused(&desk.altered(&pen, &call, wishes), 401, code);
    };

    wrong("actor-statement-audience", &|it| it["aud"] = json!("urn:sigill:test:demo:zz99:api"));
    wrong("actor-statement-client", &|it| it["client"] = json!("auditor"));
    wrong("actor-statement-target", &|it| it["target"] = json!("/v1/jobs"));
    wrong("actor-statement-target", &|it| it["method"] = json!("GET"));
    wrong("actor-statement-body", &|it| it["body_sha256"] = json!("00".repeat(32)));
    wrong("actor-statement-key", &|it| it["idempotency_key"] = json!("another"));
    wrong("actor-statement-early", &|it| it["iat"] = json!(now() + 3600));
    wrong("actor-statement-late", &|it| it["iat"] = json!(now() - 3600));
    wrong("actor-statement-late", &|it| it["exp"] = json!(now() - 1));
    wrong("actor-statement-malformed", &|it| it["role"] = json!("au"));
    wrong("actor-statement-malformed", &|it| it["sub"] = json!(ANNA));
    let headed = |header: &Value, signer: &Pen| {
        let statement = signer.jws(header, &desk.claims(&pen, &call));
        desk.server.call(&call.clone().with(&format!("Sigill-Actor-Statement: {statement}")))
    };
    let with = |member: &str, value: Value| {
        let mut header = pen.header();
        header[member] = value;
        header
    };
    for algorithm in ["none", "HS256", "ES384"] {
        let header = with("alg", json!(algorithm));
        refused(&headed(&header, &pen), 401, "actor-statement-algorithm");
    }
    // Confused: the right signature by another algorithm's name, and one made with the public key for a secret.
    refused(&headed(&with("alg", json!("RS256")), &pen), 401, "actor-statement-algorithm");
    refused(&headed(&with("jwk", json!({ "kty": "EC" })), &pen), 401, "actor-statement-malformed");
    refused(&headed(&with("x5t#S256", json!(url(&[0; 32]))), &pen), 401, "actor-key-unknown");
    let unknown = Pen { named: ("kid", "idp-2".to_owned()), ..desk.provider.clone() };
    refused(&desk.call(&unknown, call.clone()), 401, "actor-key-unknown");
    let forged = Pen { named: pen.named.clone(), ..desk.provider.clone() };
    refused(&headed(&forged.header(), &forged), 401, "actor-statement-signature");
    refused(&desk.call(&signature, call.clone()), 401, "actor-eid-kind");
    let low =
        Pen { more: with_claim(&desk.provider, "acr", json!("loa2")), ..desk.provider.clone() };
    refused(&desk.call(&low, call.clone()), 401, "actor-level");
    let long_ago = with_claim(&desk.provider, "auth_time", json!(now() - 90_000));
    let old = Pen { more: long_ago, ..desk.provider.clone() };
    refused(&desk.call(&old, call.clone()), 401, "actor-session");

    // The command line signs its calls itself.
    by_the_command_line(&desk, &pen);

    // RSA by both of its ways, until it is revoked: at that second.
    for algorithm in ["RS256", "PS256"] {
        let pen = Pen { algorithm, ..rsa.clone() };
        assert_eq!(desk.call(&pen, Call::get("/v1/authorities")).status, 200, "{algorithm}");
    }
    desk.change(&ended, "keyCompromise");
    refused(&desk.call(&rsa, Call::get("/v1/authorities")), 401, "actor-eid-revoked");
    desk.change(&held, "certificateHold");
    refused(&desk.call(&held_pen, Call::get("/v1/authorities")), 401, "actor-eid-held");

    // Roles: by the row of the one that is claimed.
    for (role, call, expected) in [
        (json!(["global-reader"]), call.clone(), "actor-role-refused"),
        (json!([]), Call::get("/v1/eids"), "actor-role-refused"),
        (json!(["global-revoker"]), Call::get("/v1/certificates"), "actor-role-refused"),
        (json!(["ca-operator"]), call.clone(), "actor-role-refused"),
        (json!(["reader"]), Call::get("/v1/eids"), "actor-roles"),
        (json!(["root"]), Call::get("/v1/eids"), "actor-roles"),
    ] {
        let refusing = Pen { more: json!({ "roles": role }), ..pen.clone() };
        refused(&desk.call(&refusing, call), 403, expected);
    }
    let unlisted = desk.call(&pen, Call::order(&body).method("PUT"));
    refused(&unlisted, 403, "actor-role-refused");
    let reading = Pen { more: json!({ "roles": ["global-reader"] }), ..pen.clone() };
    assert_eq!(desk.call(&reading, Call::get("/v1/authorities")).status, 200);

    // Duties: in another's name, for himself.
    let named = ordered(&csr, AUTHENTICATED, FIRST, TOLVANSSON, "TST2321000016-1009");
    refused(&desk.call(&pen, Call::order(&named)), 403, "actor-not-orderer");
    let own = ordered(&csr, AUTHENTICATED, ANNA, TOLVAN, "TST2321000016-1010");
    refused(&desk.call(&pen, Call::order(&own)), 403, "actor-own-eid");
    let mut bare = body.clone();
    bare.as_object_mut().expect("an object").remove("order");
    refused(&desk.call(&pen, Call::order(&bare)), 422, "actor-order-missing");
    assert_eq!(desk.server.home.rows("certificate"), before, "nothing was issued");

    // ISS-14: that another has approved it is not for one to say, however good his statement is.
    refused(&desk.call(&pen, call.clone()), 403, "order-in-steps");

    // A call with a good statement; repeated, it is answered as it was; for anything else it is spent.
    let body = stepwise::prepared(&body).to_string();
    let good = desk.signed(&pen, Call::post("/v1/orders", body.clone()));
    let made = desk.server.call(&good);
    assert_eq!(made.status, 201, "{made:?}");
    let again = desk.server.call(&good);
    assert_eq!((again.status, &again.json["id"]), (201, &made.json["id"]), "{again:?}");
    let statement = good.header("Sigill-Actor-Statement").expect("a statement");
    let elsewhere =
        Call::post("/v1/orders", body).with(&format!("Sigill-Actor-Statement: {statement}"));
    refused(&desk.server.call(&elsewhere), 401, "actor-statement-key");
    // What only reads is asked again with its statement, and no other call has that.
    let about = |path: &str| {
        let call = Call::get(path);
        let mut claims = desk.claims(&pen, &call);
        claims["jti"] = json!("read-0123456789abcdef");
        let statement = pen.jws(&pen.header(), &claims);
        call.with(&format!("Sigill-Actor-Statement: {statement}"))
    };
    let (read, other) = (about("/v1/authorities"), about("/v1/certificates"));
    for _ in 0..2 {
        assert_eq!(desk.server.call(&read).status, 200);
    }
    refused(&desk.server.call(&other), 401, "actor-statement-replayed");
    let Desk { server, .. } = desk;
    let server = Running::start(server.stop());
    refused(&server.call(&other), 401, "actor-statement-replayed");
    assert_eq!(server.call(&read).status, 200);
    let rows = |table: &str| server.home.rows(table);
    assert_eq!((rows("certificate"), rows("eid_order")), (before, orders + 1));

    audited(&server.home);
}

/// `sigill` with an administrator's certificate and key, and without.
fn by_the_command_line(desk: &Desk, pen: &Pen) {
    let home = &desk.server.home;
    let [certificate, key] = ["anna.pem", "anna.key"].map(|name| home.beside(name));
    fs::write(&certificate, &pen.certificate).expect("a file");
    fs::write(&key, &pen.key).expect("a file");
    let sigill = |more: &[&str]| {
        let mut command = Command::new(program::built("sigill"));
        command.args(["--json", "--url", &format!("https://{}", home.api)]);
        for (option, file) in
            [("--cert", "portal.pem"), ("--key", "portal.key"), ("--ca", "management-ca.pem")]
        {
            command.arg(option).arg(home.path(&format!("tls/{file}")));
        }
        command.args(["eid", "list", "--organisation", "2321000131"]).args(more);
        spoken::run(&mut command, &[])
    };
    let [certificate, key] =
        [&certificate, &key].map(|path| path.to_str().expect("a path in UTF-8"));
    let signs = ["--actor-cert", certificate, "--actor-key", key];

    let unsigned = sigill(&[]);
    let role = sigill(&[&signs[..], &["--actor-role", "security-officer"]].concat());
    let shown = sigill(&[&signs[..], &["--actor-role", "global-reader"]].concat());

    assert_eq!(unsigned.code, 1, "{}", unsigned.text);
    assert!(unsigned.text.contains("actor-statement-required"), "{}", unsigned.text);
    assert_eq!(role.code, 1, "{}", role.text);
    assert!(role.text.contains("actor-role-refused"), "{}", role.text);
    assert_eq!(shown.code, 0, "{}", shown.text);
    let shown: Value = serde_json::from_slice(&shown.out).expect("JSON");
    assert!(shown.to_string().contains("eid_"), "{shown}");
}

pub fn with_claim(pen: &Pen, name: &str, value: Value) -> Value {
    let mut more = pen.more.clone();
    more[name] = value;
    more
}

/// What was taken has a leaf with the person who signed; what was refused one, too.
fn audited(home: &Home) {
    let stated = home.audited("actor.stated");
    assert!(stated.len() >= 8, "{}", stated.len());
    assert!(home.audited("call.refused").len() >= 25);
    let mut persons: Vec<&str> = Vec::new();
    for leaf in &stated {
        assert_eq!(leaf["actor"]["kind"], "person", "{leaf}");
        persons.push(leaf["actor"]["id"].as_str().expect("an id"));
        let kinds: Vec<_> =
            leaf["objects"].as_array().into_iter().flatten().map(|one| &one["kind"]).collect();
        assert!(kinds.contains(&&json!("call")) && kinds.contains(&&json!("client")), "{leaf}");
    }
    persons.sort_unstable();
    persons.dedup();
    assert_eq!(persons.len(), 4, "the provider's two, Anna, and who had an RSA key");
}
