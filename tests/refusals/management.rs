//! A management CA made with OpenSSL, and the clients that it certifies.

use std::fs;

use support::spoken;

use crate::home::Home;

/// Puts a new management CA, server certificate and clients into a home and its configuration.
///
/// Clients of the configuration: `portal`, `auditor` (reads only), `reckless`, whose
/// configuration lists profiles that no client may have, and which may not read, and `vantage`, a vantage point.
pub fn replace(home: &Home) {
    fs::create_dir(home.path("management")).expect("a folder can be made");
    authority(home, "tls/management-ca.pem", "management-ca.key");
    let pinned = crate::home::value_of(&home.config(), "management-ca-sha256");
    home.edit_config(&pinned, &fingerprint(home, "tls/management-ca.pem"));
    let instance = &home.instance;
    let server =
        format!("DNS:localhost,IP:127.0.0.1,URI:urn:sigill:test:demo:{instance}:server:ca1");
    Leaf { usage: "serverAuth", names: Some(server), days: 30, ..Leaf::new("server") }.make(home);
    let (before, clients) = split_clients(&home.config());
    assert!(clients.contains("\"portal\""), "{clients}");
    // The token does not have this management CA's key.
    let mut config = without_renewal(&before);
    for (name, profiles, rights) in [
        (
            "portal",
            "\"person-hsaid-3-authentication\", \"person-hsaid-3-signature\", \"person-id-3-authentication\", \
             \"person-id-3-signature\", \"extra-hsaid-3-authentication\", \"mobile-authentication\", \"function\", \"function-ec\"",
            "read = true\nrevoke = true\nrelease = true",
        ),
        ("auditor", "", "read = true\nrevoke = false"),
        ("reckless", "\"management-client\", \"ocsp\", \"root\"", "read = false\nrevoke = false"),
        ("vantage", "", "vantage = \"stockholm\""),
    ] {
        Leaf::client(name, &uri(instance, name)).make(home);
        let spki = spki_sha256(home, name);
        config.push_str(&format!(
            "[[client]]\nname = \"{name}\"\nspki-sha256 = \"{spki}\"\nprofiles = [{profiles}]\n{rights}\n\n"
        ));
    }
    home.write("config/ca.toml", config);
    strangers(home);
}

/// Certificates that the API must not let in, each as `tls/NAME.pem` and `tls/NAME.key`.
fn strangers(home: &Home) {
    let instance = &home.instance;
    let client = |file: &str, uri: String| Leaf::client(file, &uri).make(home);
    client("nobody", uri(instance, "nobody"));
    client("portal-other-key", uri(instance, "portal"));
    client("other-instance", "urn:sigill:test:demo:zzzz:client:portal".to_owned());
    client("other-pki", format!("urn:sigill:test:systemtest:{instance}:client:portal"));
    client("other-environment", format!("urn:sigill:qa:test:{instance}:client:portal"));
    client("other-role", format!("urn:sigill:test:demo:{instance}:server:portal"));
    Leaf { names: None, ..Leaf::new("nameless") }.make(home);
    Leaf { days: -1, ..Leaf::client("expired", &uri(instance, "portal")) }.make(home);
    let server = Leaf::client("server-usage", &uri(instance, "portal"));
    Leaf { usage: "serverAuth", ..server }.make(home);
    authority(home, "tls/stranger-ca.pem", "stranger-ca.key");
    let stranger = Leaf::client("stranger", &uri(instance, "portal"));
    Leaf { ca: ("tls/stranger-ca.pem", "stranger-ca.key"), ..stranger }.make(home);
}

fn uri(instance: &str, name: &str) -> String {
    format!("urn:sigill:test:demo:{instance}:client:{name}")
}

/// A self-signed CA; its key stays in the home's folder `management`, which no program reads.
fn authority(home: &Home, certificate: &str, key: &str) {
    let key = home.path("management").join(key);
    run(
        home,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/C=SE/O=Sigill Test/CN=Refusals management CA",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            key.to_str().expect("text"),
            "-out",
            certificate,
        ],
    );
}

/// A certificate of a management CA and its key: `tls/NAME.pem`, `tls/NAME.key`.
pub struct Leaf {
    name: String,
    usage: &'static str,
    names: Option<String>,
    days: i32,
    ca: (&'static str, &'static str),
}

impl Leaf {
    fn new(name: &str) -> Self {
        let ca = ("tls/management-ca.pem", "management-ca.key");
        Self { name: name.to_owned(), usage: "clientAuth", names: None, days: 30, ca }
    }

    fn client(name: &str, uri: &str) -> Self {
        Self { names: Some(format!("URI:{uri}")), ..Self::new(name) }
    }

    /// The server certificate of the home's API under another SAN URI.
    pub fn server(uri: &str) -> Self {
        let names = Some(format!("DNS:localhost,IP:127.0.0.1,URI:{uri}"));
        Self { usage: "serverAuth", names, ..Self::new("server") }
    }

    /// Makes it, over what is there.
    pub fn make(&self, home: &Home) {
        let file = |kind: &str| format!("tls/{}.{kind}", self.name);
        let mut extensions = format!(
            "keyUsage=critical,digitalSignature\nextendedKeyUsage={}\n\
             subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
            self.usage
        );
        if let Some(names) = &self.names {
            extensions.push_str(&format!("subjectAltName={names}\n"));
        }
        let settings = home.beside("leaf.cnf");
        fs::write(&settings, extensions).expect("a file can be written");
        let request = home.beside("leaf.csr");
        let (request, settings) =
            (request.to_str().expect("text"), settings.to_str().expect("text"));
        let subject = format!("/C=SE/O=Sigill Test/CN=Refusals {}", self.name);
        run(
            home,
            &[
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                &subject,
                "-keyout",
                &file("key"),
                "-out",
                request,
            ],
        );
        let key = home.path("management").join(self.ca.1);
        run(
            home,
            &[
                "x509",
                "-req",
                "-in",
                request,
                "-CA",
                self.ca.0,
                "-CAkey",
                key.to_str().expect("text"),
                "-days",
                &self.days.to_string(),
                "-extfile",
                settings,
                "-set_serial",
                &format!("0x40{:016x}", serial()),
                "-out",
                &file("pem"),
            ],
        );
        home.mode(&file("key"), 0o600);
    }
}

/// Distinct numbers: two certificates of one CA never share one.
fn serial() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// SHA-256 of a certificate's DER.
fn fingerprint(home: &Home, certificate: &str) -> String {
    let said = run(home, &["x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"]);
    let digits = said.trim().rsplit('=').next().expect("a fingerprint").replace(':', "");
    digits.to_lowercase()
}

/// SHA-256 of the public key of a client's certificate.
fn spki_sha256(home: &Home, name: &str) -> String {
    let pem = home.read(&format!("tls/{name}.pem"));
    let der = x509::pem::decode_one(&pem, x509::pem::Label::Certificate).expect("a certificate");
    let certificate = x509::certificate::Certificate::from_der(&der).expect("strict DER");
    certificate.public_key().spki_hash().to_string()
}

fn run(home: &Home, arguments: &[&str]) -> String {
    let said = spoken::openssl(&home.path(""), arguments).expect("openssl is installed");
    assert_eq!(said.code, 0, "openssl {arguments:?}: {}", said.text);
    String::from_utf8_lossy(&said.out).into_owned()
}

/// The configuration without the section `[management]` and its token.
fn without_renewal(config: &str) -> String {
    let token = config.find("[[hsm.token]]\nrole = \"management\"").expect("a management token");
    let end = config.find("[notes]").expect("a section [notes]");
    let (before, rest) = config.split_at(token);
    let (_, after) = rest.split_at(end - token);
    format!("{before}{after}")
}

/// The configuration before its clients, and the clients.
fn split_clients(config: &str) -> (String, String) {
    let at = config.find("[[client]]").expect("the configuration has clients");
    let (before, clients) = config.split_at(at);
    (before.to_owned(), clients.to_owned())
}
