//! Calls that the API must refuse: one row a case, each with its status, its code and what it may
//! leave behind.
//!
//! A refusal that the same body must always meet is an answered order and one audit leaf. One that
//! may end differently later leaves an open order and the leaf; refusals before an order the leaf
//! alone, and those of strangers nothing. No refusal touches a
//! token, the status log or a published file, and none issues or revokes.

use serde_json::{Value, json};
use support::suite::Check;

use crate::World;
use crate::requests::{self, base64, function, function_ec, person};
use crate::running::Call;
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[
    ("refuses_requests_that_are_no_good_request", requests_are_refused),
    ("refuses_keys_that_the_profile_does_not_allow", keys_are_refused),
    ("refuses_callers_that_are_not_clients_of_this_deployment", callers_are_refused),
    ("refuses_what_a_client_may_not_do", rights_are_refused),
    ("refuses_a_vantage_point_all_that_is_not_its_own", vantage_points_are_refused),
    ("refuses_bodies_that_are_not_the_contract", bodies_are_refused),
    ("refuses_paths_methods_queries_and_keys_that_are_not_the_contract", forms_are_refused),
    ("refuses_names_that_may_not_be_certified", names_are_refused),
    ("refuses_revocations_that_cannot_be", revocations_are_refused),
    ("requested_extensions_are_never_obeyed", extensions_are_not_obeyed),
    ("connections_without_a_certificate_of_the_management_ca_end", connections_are_refused),
];

/// What a refusal leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// Nothing at all.
    Nothing,
    /// One audit leaf.
    Leaf,
    /// An open order, which the same key goes on with, and one audit leaf.
    OpenOrder,
    /// An answered order and one audit leaf.
    Answer,
}

use Leaves::{Answer, Leaf, Nothing, OpenOrder};

struct Row {
    fault: &'static str,
    call: Call,
    status: u16,
    code: &'static str,
    leaves: Leaves,
}

fn row(fault: &'static str, call: Call, status: u16, code: &'static str, leaves: Leaves) -> Row {
    Row { fault, call, status, code, leaves }
}

/// Judges every row and names all that are not as the table says.
fn judge(world: &World, rows: &[Row]) {
    let server = &world.server;
    let mut wrong = Vec::new();
    for Row { fault, call, status, code, leaves } in rows {
        let before = State::of(&server.home);
        let answer = server.call(call);
        let after = State::of(&server.home);
        let leaf = [("audit_leaf", 1), ("audit_payload", 1)];
        // What names a person is sealed under his data key, which he may have already.
        let keys = |state: &State| state.rows["data_key"];
        let is_his = call.says("personal_identity_number") && keys(&before) == keys(&after);
        let order = [("orders", 1), ("order_body", 1), ("data_key", u64::from(!is_his))];
        let expected = match leaves {
            Nothing => before.clone(),
            Leaf => before.with(&leaf, 1),
            OpenOrder => before.with(&[&leaf[..], &order].concat(), 1),
            Answer => before.with(&[&leaf[..], &order, &[("order_response", 1)]].concat(), 1),
        };
        println!("{fault}: {} {}", answer.status, answer.code());
        if (answer.status, answer.code()) != (*status, *code) {
            wrong.push(format!("{fault}: wanted {status} {code}, got {answer:?}"));
            continue;
        }
        answer.must_be_whole();
        let difference = expected.difference(&after);
        if !difference.is_empty() {
            wrong.push(format!("{fault}: leaves {leaves:?} and: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// ISS-13, PRO-01: unsigned, wrongly signed, cut off, too large, not DER, not a request.
fn requests_are_refused(world: &World) {
    let order = |csr: &str| Call::order(&function(csr));
    let der = |der: Vec<u8>| order(&base64(&der));
    let good = requests::p256();
    let twice = requests::pem("CERTIFICATE REQUEST", &good).repeat(2);
    let certificate = requests::pem("CERTIFICATE", &good);
    let refused = || requests::asking("basicConstraints=critical,CA:TRUE");
    judge(
        world,
        &[
            row("unsigned", der(requests::unsigned()), 422, "csr-malformed", Answer),
            row("empty signature", der(requests::empty_signature()), 422, "csr-possession", Answer),
            row("wrongly signed", der(requests::wrongly_signed()), 422, "csr-possession", Answer),
            row("truncated", der(requests::truncated()), 422, "csr-malformed", Answer),
            row("indefinite length", der(requests::indefinite()), 422, "csr-malformed", Answer),
            row("length too long", der(requests::long_length()), 422, "csr-malformed", Answer),
            row("nothing", order(""), 422, "csr-unreadable", Answer),
            row("no base64", order("@@@@"), 422, "csr-unreadable", Answer),
            row("a certificate", order(&certificate), 422, "csr-unreadable", Answer),
            row("two requests", order(&twice), 422, "csr-unreadable", Answer),
            row("over 64 KiB", der(vec![0x30; 70_000]), 422, "csr-malformed", Answer),
            row("over 128 KiB", der(vec![0x30; 200_000]), 413, "body-too-large", Leaf),
            row(
                "extensions where the profile refuses them",
                Call::order(&function_ec(&base64(&refused()))),
                422,
                "csr-extensions",
                Answer,
            ),
        ],
    );
}

/// ISS-11: keys that are weak, foreign to the profile, or a CA's own.
fn keys_are_refused(world: &World) {
    let rsa = |bits: &'static str| requests::made(&[bits], &[]);
    let curve =
        |name: &str| requests::made(&["ec", "-pkeyopt", &format!("ec_paramgen_curve:{name}")], &[]);
    let order = |csr: Vec<u8>| Call::order(&function(&base64(&csr)));
    let ec = |csr: Vec<u8>| Call::order(&function_ec(&base64(&csr)));
    let small = requests::made(&["rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"], &[]);
    let own = requests::own_key(&world.server.home);
    judge(
        world,
        &[
            row("RSA 1024", order(rsa("rsa:1024")), 422, "key-not-allowed", Answer),
            row("RSA with exponent 3", order(small), 422, "weak-key", Answer),
            row("P-521", order(curve("P-521")), 422, "csr-malformed", Answer),
            row("secp256k1", order(curve("secp256k1")), 422, "csr-malformed", Answer),
            row(
                "Ed25519",
                order(requests::made(&["ed25519"], &[])),
                422,
                "key-not-allowed",
                Answer,
            ),
            row("RSA where EC is asked for", ec(rsa("rsa:2048")), 422, "key-not-allowed", Answer),
            row("a CA's own key", ec(own), 422, "own-key", Answer),
        ],
    );
}

/// API-01: a certificate of the management CA is not enough; name, key and deployment must fit.
fn callers_are_refused(world: &World) {
    let call = || Call::get("/v1/certificates");
    let order = || Call::order(&function(&base64(&requests::p256())));
    let mut rows = Vec::new();
    for (fault, client) in [
        ("a name that is not configured", "nobody"),
        ("a configured name with another key", "portal-other-key"),
        ("another instance", "other-instance"),
        ("another PKI", "other-pki"),
        ("another environment", "other-environment"),
        ("a server's name", "other-role"),
        ("no name", "nameless"),
    ] {
        rows.push(row(fault, call().by(client), 401, "client-unknown", Nothing));
        rows.push(row(fault, order().by(client), 401, "client-unknown", Nothing));
    }
    judge(world, &rows);
}

/// API-01, ENV-05, DAT-04: TLS itself refuses.
fn connections_are_refused(world: &World) {
    let server = &world.server;
    for (fault, call) in [
        ("no certificate", Call::get("/v1/certificates").by_nobody()),
        ("another CA's certificate", Call::get("/v1/certificates").by("stranger")),
        ("an expired certificate", Call::get("/v1/certificates").by("expired")),
        ("a server's certificate", Call::get("/v1/certificates").by("server-usage")),
    ] {
        let before = State::of(&server.home);
        let answer = server.call(&call);
        assert_eq!(answer.status, 0, "{fault}: {answer:?}");
        assert!(
            answer.text.contains("alert") || answer.text.contains("SSL"),
            "{fault}: {answer:?}"
        );
        assert_eq!(before.difference(&State::of(&server.home)), "", "{fault}");
        println!("{fault}: TLS alert");
    }
}

/// API-04: a client does what its configuration lists, and no more.
fn rights_are_refused(world: &World) {
    let csr = base64(&requests::p256());
    let order = |profile: &str| {
        let mut body = function(&csr);
        body["profile"] = json!(profile);
        Call::order(&body)
    };
    let revocation = Call::revocation(&world.issued, &json!({ "reason": "superseded" }));
    let list = Call::get("/v1/certificates");
    let show = Call::get(&format!("/v1/certificates/{}", world.issued));
    let allowed = "client-not-allowed";
    judge(
        world,
        &[
            row("unknown profile", order("no-such-profile"), 422, "profile-unknown", OpenOrder),
            row("profile of nobody", order("management-client"), 403, allowed, OpenOrder),
            row("reader orders", order("function").by("auditor"), 403, allowed, Leaf),
            row("reader revokes", revocation.clone().by("auditor"), 403, allowed, Leaf),
            row("no reader lists", list.by("reckless"), 403, allowed, Leaf),
            row("no reader shows", show.by("reckless"), 403, allowed, Leaf),
            row(
                "a client whose configuration lists a management profile",
                order("management-client").by("reckless"),
                422,
                "authority-not-fitting",
                OpenOrder,
            ),
            row(
                "a client whose configuration lists the root profile",
                order("root").by("reckless"),
                422,
                "authority-not-fitting",
                OpenOrder,
            ),
        ],
    );
    let mut ocsp = function(&csr);
    ocsp["profile"] = json!("ocsp");
    ocsp["authority"] = json!("sigilltesteidfunctioncav1");
    let mut elsewhere = function(&csr);
    elsewhere["authority"] = json!("sigilltesteidpersonhsaid3cav1");
    let mut root = function(&csr);
    root["authority"] = json!("sigilltesteidrootcav1");
    let not_fitting = "authority-not-fitting";
    judge(
        world,
        &[
            row(
                "a client whose configuration lists the responder profile",
                Call::order(&ocsp).by("reckless"),
                422,
                "way-not-allowed",
                Answer,
            ),
            row("another CA's profile", Call::order(&elsewhere), 422, not_fitting, OpenOrder),
            row("the root", Call::order(&root), 422, not_fitting, OpenOrder),
        ],
    );
}

/// API-04, promise 7: a vantage point stands in the outer zone. Of all that the contract lists it may ask what to look at, say what it
/// saw, and renew itself.
fn vantage_points_are_refused(world: &World) {
    let contract = world.server.call(&Call::get("/openapi.json")).json;
    let paths = contract["paths"].as_object().expect("paths").iter();
    let is_its_own = |path: &str| path.starts_with("/v1/probe/") || path.ends_with("/self/renewal");
    let refused = |call: Call| row("other", call.by("vantage"), 403, "client-not-allowed", Leaf);
    let mut rows = Vec::new();
    for (path, methods) in paths.filter(|(path, _)| !is_its_own(path)) {
        let named = path
            .replace("{id}", &world.issued)
            .replace("{name}", "sigilltesteidfunctioncav1")
            .replace("{serial}", "0A");
        for method in methods.as_object().expect("methods").keys() {
            let call = if method == "get" { Call::get(&named) } else { Call::post(&named, "{}") };
            rows.push(refused(call));
        }
    }
    assert!(rows.len() > 20, "{}", rows.len());
    let others = ["/openapi.json", "/readyz", "/v1/no-such-path"];
    rows.extend(others.map(|path| refused(Call::get(path))));
    let work = Call::get("/v1/probe/work");
    let seen = Call::post("/v1/probe/observations", json!({ "observations": [] }).to_string());
    for call in [work, seen] {
        rows.push(row("its own", call.by("vantage"), 409, "receipts-not-configured", Leaf));
    }
    judge(world, &rows);
}

/// API-04: the JSON of the contract and no other.
fn bodies_are_refused(world: &World) {
    let csr = base64(&requests::p256());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = function(&csr);
        change(&mut body);
        Call::order(&body)
    };
    let raw = |body: &[u8]| Call::post("/v1/certificates", body);
    let code = "body-malformed";
    let twice = br#"{"profile":"function","profile":"function-ec","csr":"AA=="}"#;
    let deep = [vec![b'['; 60_000], vec![b']'; 60_000]].concat();
    judge(
        world,
        &[
            row("unknown field", with(&|b| b["not_after"] = json!("2099")), 400, code, Answer),
            row("unknown name", with(&|b| b["subject"]["title"] = json!("x")), 400, code, Answer),
            row(
                "unknown alternative name",
                with(&|b| b["alternative_names"]["ip"] = json!(["10.0.0.1"])),
                400,
                code,
                Answer,
            ),
            row("no profile", raw(br#"{"csr":"AA=="}"#), 400, code, Answer),
            row("no request", raw(br#"{"profile":"function"}"#), 400, code, Answer),
            row("a number", with(&|b| b["profile"] = json!(7)), 400, code, Answer),
            row("a field twice", raw(twice), 400, code, Answer),
            row("an array", raw(b"[]"), 400, code, Answer),
            row("nothing", raw(b""), 400, code, Answer),
            row("no JSON", raw(b"profile=function"), 400, code, Answer),
            row("JSON and more", raw(br#"{"profile":"f","csr":""} {}"#), 400, code, Answer),
            row("deep nesting", raw(&deep), 400, code, Answer),
            row("no UTF-8", raw(b"{\"profile\":\"\xff\xfe\",\"csr\":\"\"}"), 400, code, Answer),
        ],
    );
}

/// API-02, API-04: paths, methods, queries and the idempotency key.
fn forms_are_refused(world: &World) {
    let order = || Call::order(&function(&base64(&requests::p256())));
    let key = |headers: &[&str]| order().headers(headers);
    let (long, required) =
        (format!("Idempotency-Key: {}", "k".repeat(201)), "idempotency-key-required");
    let get = Call::get;
    let query = |text: &str| Call::get(&format!("/v1/certificates?{text}"));
    let malformed = "query-malformed";
    judge(
        world,
        &[
            row("no key", key(&[]), 400, required, Leaf),
            row("an empty key", key(&["Idempotency-Key;"]), 400, required, Leaf),
            row("a long key", key(&[&long]), 400, required, Leaf),
            row("a key with a space", key(&["Idempotency-Key: a b"]), 400, required, Leaf),
            row("a key outside ASCII", key(&["Idempotency-Key: nyckelå"]), 400, required, Leaf),
            row(
                "two keys",
                key(&["Idempotency-Key: a", "Idempotency-Key: b"]),
                400,
                required,
                Leaf,
            ),
            row("unknown path", get("/v1/certs"), 404, "path-unknown", Leaf),
            row("path with a slash more", get("/v1/certificates/"), 404, "path-unknown", Leaf),
            row("the root path", get("/"), 404, "path-unknown", Leaf),
            row("climbing path", get("/v1/%2e%2e/pins/issuing.pin"), 404, "path-unknown", Leaf),
            row(
                "wrong method",
                get("/v1/certificates").method("DELETE"),
                405,
                "method-not-allowed",
                Leaf,
            ),
            row(
                "revocation by GET",
                get(&format!("/v1/certificates/{}/revocation", world.issued)),
                405,
                "method-not-allowed",
                Leaf,
            ),
            row("unknown parameter", query("name=Tolvan"), 400, malformed, Leaf),
            row("limit of nothing", query("limit=0"), 400, malformed, Leaf),
            row("limit too high", query("limit=100000"), 400, malformed, Leaf),
            row("limit that is no number", query("limit=many"), 400, malformed, Leaf),
            row("no such cursor", query("cursor=%27%20OR%201=1"), 400, malformed, Leaf),
            row("no fingerprint", query("sha256=xyz"), 400, malformed, Leaf),
            row("no state", query("state=lost"), 400, malformed, Leaf),
            row("serial without authority", query("serial=01"), 422, malformed, Leaf),
            row("no serial", query("authority=x&serial=zz"), 400, malformed, Leaf),
            row("no such certificate", get(&unknown_id("")), 404, "certificate-unknown", Leaf),
            row("no id", get("/v1/certificates/crt_x"), 404, "certificate-unknown", Leaf),
            row("no UTF-8", get("/v1/certificates/%ff"), 404, "path-unknown", Leaf),
            row("no such authority", get("/v1/authorities/x"), 404, "authority-unknown", Leaf),
        ],
    );
    let mut forbidden = function(&base64(&requests::p256()));
    forbidden["profile"] = json!("management-client");
    let first = Call::order(&forbidden).headers(&["Idempotency-Key: reused"]);
    let second = order().headers(&["Idempotency-Key: reused"]);
    judge(
        world,
        &[
            row("a key's first body", first, 403, "client-not-allowed", OpenOrder),
            row("a key's other body", second, 422, "idempotency-key-reused", Leaf),
        ],
    );
}

/// The path of a certificate that is not.
fn unknown_id(rest: &str) -> String {
    format!("/v1/certificates/crt_0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b{rest}")
}

/// DAT-08, PRO-17, PRO-20: real persons, wrong check digits, names that deceive.
fn names_are_refused(world: &World) {
    let csr = base64(&requests::p256());
    let function = |change: &dyn Fn(&mut Value)| {
        let mut body = function(&csr);
        change(&mut body);
        Call::order(&body)
    };
    let person = |field: &str, value: Value| {
        let mut body = person(&csr);
        body["subject"][field] = value;
        Call::order(&body)
    };
    let dns = |name: &str| function(&|b| b["alternative_names"]["dns"] = json!([name]));
    let common = |name: &str| function(&|b| b["subject"]["common_name"] = json!(name));
    judge(
        world,
        &[
            row(
                "a number outside the test series",
                person("personal_identity_number", json!("198507091232")),
                422,
                "not-a-test-identity",
                Answer,
            ),
            row(
                "a wrong check digit",
                person("personal_identity_number", json!("191212121213")),
                422,
                "field-check-digit",
                Answer,
            ),
            row(
                "an HSA-id outside the test series",
                person("hsa_id", json!("SE2321000016-1002")),
                422,
                "not-a-test-identity",
                Answer,
            ),
            row("no HSA-id", person("hsa_id", Value::Null), 422, "field-missing", Answer),
            row("no surname", person("surname", Value::Null), 422, "field-missing", Answer),
            row(
                "a common name for a person",
                person("common_name", json!("x")),
                422,
                "field-not-taken",
                Answer,
            ),
            row(
                "a line break",
                person("surname", json!("Tolv\nansson")),
                422,
                "field-character",
                Answer,
            ),
            row(
                "a name that reads backwards",
                person("surname", json!("nos\u{202e}snavloT")),
                422,
                "field-character",
                Answer,
            ),
            row(
                "65 characters",
                person("surname", json!("x".repeat(65))),
                422,
                "field-length",
                Answer,
            ),
            row("a name of spaces", person("surname", json!("   ")), 422, "field-form", Answer),
            row("a wildcard", dns("*.example.org"), 422, "field-character", Answer),
            row("a DNS name of one word", dns("localhost"), 422, "field-form", Answer),
            row("an address as DNS name", dns("10.0.0.1"), 422, "field-form", Answer),
            row(
                "no DNS name",
                function(&|b| b["alternative_names"]["dns"] = json!([])),
                422,
                "dns-count",
                Answer,
            ),
            row(
                "a DNS name twice",
                function(&|b| {
                    b["alternative_names"]["dns"] =
                        json!(["refusals.example.org", "refusals.example.org"])
                }),
                422,
                "dns-twice",
                Answer,
            ),
            row(
                "a common name that is no DNS name of it",
                common("bank.example.org"),
                422,
                "common-name-not-listed",
                Answer,
            ),
        ],
    );
}

/// REV-01, REV-03, REV-06: unknown, twice, of an offline CA, in times to come.
fn revocations_are_refused(world: &World) {
    let server = &world.server;
    let revoked = world.issue(&function_ec(&base64(&requests::p256())));
    let body = json!({ "reason": "keyCompromise" });
    let answer = server.call(&Call::revocation(&revoked, &body));
    assert_eq!(answer.status, 200, "{answer:?}");
    server.settle();
    let of = |body: Value| Call::revocation(&world.issued, &body);
    let code = "requested-at-malformed";
    let at = |time: &str| of(json!({ "reason": "superseded", "requested_at": time }));
    let unknown = Call::post(&unknown_id("/revocation"), body.to_string());
    let hold = json!({ "reason": "certificateHold" });
    let superseded = json!({ "reason": "superseded" });
    let root = Call::revocation(&world.of_root(), &body);
    judge(
        world,
        &[
            row("unknown certificate", unknown, 404, "certificate-unknown", Answer),
            row("no id", Call::revocation("crt_x", &body), 404, "certificate-unknown", Answer),
            row(
                "a hold of a function",
                Call::revocation(&revoked, &hold),
                422,
                "hold-not-for-kind",
                Answer,
            ),
            row("a certificate of the root", root, 409, "authority-offline", OpenOrder),
            row("a time to come", at("2999-01-01T00:00:00Z"), 422, code, Answer),
            row("a time before 1970", at("1969-12-31T23:59:59Z"), 422, code, Answer),
            row("no time", at("yesterday"), 422, code, Answer),
            row("neither reason nor event", of(json!({})), 400, "reason-missing", Answer),
            row(
                "an event with another reason than its own",
                of(json!({ "event": "key-exposed", "reason": "superseded" })),
                422,
                "event-contradicts-reason",
                Answer,
            ),
            row(
                "a stolen function",
                of(json!({ "event": "stolen" })),
                422,
                "event-not-for-kind",
                Answer,
            ),
            row(
                "an unknown reason",
                of(json!({ "reason": "lost" })),
                400,
                "body-malformed",
                Answer,
            ),
            row(
                "a revocation date",
                of(json!({ "reason": "superseded", "revoked_at": "2020-01-01T00:00:00Z" })),
                400,
                "body-malformed",
                Answer,
            ),
        ],
    );

    // Revoking again is no fault: the first reason and its time stand, nothing is signed, and the
    // answer and a leaf of the audit log say so.
    let before = State::of(&server.home);
    let shown = server.call(&Call::get(&format!("/v1/certificates/{revoked}")));
    let again = server.call(&Call::revocation(&revoked, &superseded));
    let after = State::of(&server.home);
    assert_eq!((again.status, &again.json["reason"]), (200, &json!("keyCompromise")), "{again:?}");
    assert_eq!(again.json["outcome"], json!("already-so"));
    assert_eq!(before.logs.1 + 1, after.logs.1, "one leaf");
    assert_eq!(again.json["revoked_at"], shown.json["revoked_at"]);
    assert_eq!(again.json["position"], shown.json["position"]);
    assert_eq!((before.logs.0, before.calls), (after.logs.0, after.calls));
    assert_eq!(before.files, after.files);
}

/// ISS-13: what the profile ignores is read past, whatever it asks for.
fn extensions_are_not_obeyed(world: &World) {
    for (extension, forbidden) in [
        ("basicConstraints=critical,CA:TRUE", "CA:TRUE"),
        ("keyUsage=critical,keyCertSign,cRLSign", "Certificate Sign"),
        ("extendedKeyUsage=OCSPSigning", "OCSP Signing"),
        ("subjectAltName=DNS:bank.example.org,email:x@example.org", "bank.example.org"),
        ("authorityInfoAccess=OCSP;URI:http://elsewhere.example.org", "elsewhere"),
        ("1.3.6.1.5.5.7.48.1.5=critical,DER:0500", "No Check"),
        ("nameConstraints=critical,permitted;DNS:org", "Name Constraints"),
        ("1.2.3.4=critical,DER:0500", "1.2.3.4:"),
    ] {
        let csr = requests::asking(extension);
        let shown = world.server.call(&Call::order(&function(&base64(&csr))));
        assert_eq!(shown.status, 201, "{extension}: {shown:?}");
        let pem = shown.json["certificate"].as_str().expect("a certificate in PEM");
        let text = crate::certificate_text(pem);
        assert!(text.contains("refusals.example.org"), "{text}");
        assert!(!text.contains(forbidden), "{extension} was obeyed: {text}");
        assert!(!text.contains("CN = ignored"), "{text}");
        println!("{extension}: ignored");
    }
    world.server.settle();
}
