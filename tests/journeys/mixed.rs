//! A whole demo that issues everything it may: certificates of all profiles that a direct call can have, for
//! persons, functions, machines and cards, on keys of several types, by several callers at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};
use support::budget;
use support::suite::Check;
use support::workspace;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::accounts::{self, Received, Serials};
use crate::api::{Api, Request};
use crate::deployment::Template;
use crate::replay;

pub(crate) const CHECKS: &[Check<Template>] =
    &[("mixed::serial_numbers_are_unique_positive_and_drawn", serials_are_drawn)];

/// Callers at once.
const CALLERS: usize = 4;
/// Names of persons, as registers have them.
const NAMES: [(&str, &str); 4] = [
    ("Tolvan", "Tolvansson"),
    ("Åsa-Märta", "Öberg"),
    ("Zoë", "d’Églantine"),
    ("Łukasz", "Þórðarson von Straußwitz"),
];
/// The field of a person's number.
const PERSON: &str = "personal_identity_number";
/// One of so many keys is RSA: they take long to make.
const RSA_EVERY: u64 = 40;

/// PRO-19: what was issued is the same when it is replayed. ISS-02, ISS-03: serial numbers of 16 octets that begin with the bits 01, none of them twice, each of the
/// other 126 bits set in half of them but for five standard deviations, which is 4 750 to 5 250 of 10 000.
fn serials_are_drawn(_: &Template) {
    let Some(mut deployment) = Template::make_whole().copy() else { return };
    let wanted = budget::count("mixed-issuances");
    deployment.start();
    let api = deployment.api();
    let profiles = direct_profiles(&api);
    let (next, received) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut line = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= wanted {
                        return;
                    }
                    let count = u64::try_from(profiles.len()).expect("a count");
                    let profile = &profiles[usize::try_from(number % count).expect("an index")];
                    let request = profile.order(&format!("mixed-{number}"), number);
                    let answer = api.persevere(&mut line, &request);
                    let one = Received::read(&profile.name, &answer);
                    received.lock().expect("no caller failed").push((one.key, one.serial));
                }
            });
        }
    });
    api.tries().all_were_answered();

    let received: Vec<(String, SerialNumber)> = received.into_inner().expect("no caller failed");
    let mut of_profile: BTreeMap<&str, u64> = BTreeMap::new();
    received.iter().for_each(|(profile, _)| *of_profile.entry(profile).or_default() += 1);
    println!("measured: certificates = {}", received.len());
    println!("measured: of each profile = {of_profile:?}");
    assert_eq!(of_profile.len(), profiles.len());
    // Each profile was tried once before, and one is ordered as a whole.
    let mut issued: BTreeMap<_, _> = of_profile.iter().map(|(name, of)| (*name, of + 1)).collect();
    let ordered = profiles.iter().find(|profile| profile.name == replay::PERSON).expect("persons");
    let answer = api.ask(&ordered.whole_order("ordered", 4));
    assert_eq!(answer.status, 201, "{}", answer.text());
    issued.entry(replay::PERSON).and_modify(|of| *of += 1);
    replay::of_everything(&deployment, &issued);
    deployment.stop();
    let serials: BTreeSet<SerialNumber> = received.iter().map(|(_, serial)| *serial).collect();
    assert_eq!(serials.len(), received.len(), "a serial number was given twice");
    each_bit_is_drawn(&serials);

    let database = deployment.database();
    let status = Serials::read(&database);
    assert!(status.voided.is_empty(), "nothing failed: {:?}", status.voided);
    assert!(serials.is_subset(&status.issued), "each stands in the status log");
    accounts::logs_add_up(&deployment, &database);
}

fn each_bit_is_drawn(serials: &BTreeSet<SerialNumber>) {
    let mut set = [0_u32; 128];
    for serial in serials {
        let octets: [u8; 16] = serial.as_octets().try_into().expect("16 octets");
        let number = u128::from_be_bytes(octets);
        assert_eq!(number >> 126, 1, "{serial} is positive and of its whole length");
        for (bit, count) in set.iter_mut().enumerate() {
            *count += u32::from(number >> bit & 1 == 1);
        }
    }
    let count = f64::from(u32::try_from(serials.len()).expect("a count"));
    let (half, bound) = (count / 2.0, 5.0 * count.sqrt() / 2.0);
    let drawn = &set[..126];
    let (least, most) = (drawn.iter().min().expect("bits"), drawn.iter().max().expect("bits"));
    println!("measured: bits are set = {least} to {most} times of {count}");
    for (bit, times) in drawn.iter().enumerate() {
        let off = (f64::from(*times) - half).abs();
        assert!(off <= bound, "bit {bit} is set {times} times of {count}, {bound} off at most");
    }
}

/// A profile, and what its file says that orders need.
struct Orderable {
    name: String,
    kind: String,
    keys: Vec<String>,
    /// Where the subject's attributes come from, and the card number where it is required.
    fields: BTreeSet<String>,
    /// What stands in `[alternative-names]`.
    names: BTreeSet<String>,
}

/// All that the demo's portal may have. A profile of trust level 2 may be refused by a rule that is named:
/// that level has an end.
fn direct_profiles(api: &Api) -> Vec<Orderable> {
    let text = |path: &str| fs::read_to_string(workspace::root().join(path)).expect("a file");
    let demo: toml::Value =
        toml::from_str(&text("environments/demo/hierarchy.toml")).expect("the demo's hierarchy");
    let clients = demo["management"]["client"].as_array().expect("clients");
    let portal = clients.iter().find(|client| client["name"].as_str() == Some("portal"));
    let profiles = portal.expect("the portal")["profiles"].as_array().expect("profiles");
    let mut direct = Vec::new();
    for name in profiles {
        let name = name.as_str().expect("a name");
        let file: toml::Value =
            toml::from_str(&text(&format!("profiles/{name}.toml"))).expect("a profile");
        let profile = Orderable::read(name, &file);
        if profile.is_for_orders_alone(&file) {
            println!("{name} is issued by a whole order alone");
            continue;
        }
        let answer = api.ask(&profile.order(&format!("first-{name}"), 0));
        if answer.status == 201 {
            direct.push(profile);
            continue;
        }
        // A direct call names no end.
        let by_order = file["validity"].get("end").and_then(toml::Value::as_str) == Some("order");
        if by_order && answer.json()["code"] == "end-missing" {
            continue;
        }
        let is_of_level_2 = file.get("trust-level").and_then(toml::Value::as_str) == Some("loa2");
        let by_rule = answer.json()["code"] == "restricted-by-rule";
        assert!(is_of_level_2 && by_rule, "{name}: {}", answer.text());
        println!("{name} is not issued today: {}", answer.text());
    }
    assert!(direct.len() >= 10, "{}", direct.len());
    direct
}

impl Orderable {
    fn read(name: &str, file: &toml::Value) -> Self {
        let texts = |list: &toml::Value, key: Option<&str>| {
            let list = list.as_array().expect("a list").iter();
            let of = |item: &toml::Value| key.map_or(Some(item), |key| item.get(key)).cloned();
            let text = |item: toml::Value| item.as_str().map(str::to_owned);
            list.filter_map(of).filter_map(text).collect::<Vec<_>>()
        };
        let names = file.get("alternative-names").and_then(toml::Value::as_table);
        let mut fields: BTreeSet<_> =
            texts(&file["subject"]["attributes"], Some("from")).into_iter().collect();
        if file["extensions"].get("card-number").and_then(toml::Value::as_str) == Some("required") {
            fields.insert("card-number".to_owned());
        }
        Self {
            name: name.to_owned(),
            kind: file["kind"].as_str().expect("a kind").to_owned(),
            keys: texts(&file["key"]["allow"], None),
            fields,
            names: names.into_iter().flat_map(|names| names.keys().cloned()).collect(),
        }
    }

    /// Whether its end or its organisation stands in a whole order, which a direct call has not.
    fn is_for_orders_alone(&self, file: &toml::Value) -> bool {
        let ends_by_order = file["validity"].get("end").and_then(toml::Value::as_str);
        ends_by_order == Some("order") || self.fields.contains("user-organization")
    }

    /// The same by a visit to an administrator, with all that is said of it.
    fn whole_order(&self, key: &str, number: u64) -> Request {
        let mut request = self.order(key, number);
        let mut body: Value = serde_json::from_slice(&request.body).expect("JSON");
        // Of a machine on any day: yesterday, and an end on a full minute (ISS-09) in half a year.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        let minute = since_1970.as_secs() / 60;
        let of = |minute: u64| UnixTime::from_secs(minute * 60).expect("a time").to_string();
        let (at, end) = (of(minute - 24 * 60), of(minute + 200 * 24 * 60));
        body["order"] = json!({
            "routine": "office-visit",
            "orderer": { "role": "id-administrator", "id": "administrator-1" },
            "holder": "holder-7",
            "identity": { "kind": "personnummer", "number": "191212121212" },
            "proofing": { "method": "swedish-passport", "at": at, "by": "administrator-1" },
            "carrier": {
                "family": "nls-card-2023", "card_number": format!("9752{number:015}"),
            },
            "organisations": {
                "user": { "name": body["subject"]["organization"], "number": "2321000131" },
            },
            "valid_until": end,
            "approvals": [{ "by": "approver-1", "at": at }],
            "receipt": { "form": "electronic", "sha256": "ab".repeat(32), "at": at },
        });
        request.body = body.to_string().into_bytes();
        request
    }

    /// An order for holder `number`, on a key of its own.
    fn order(&self, key: &str, number: u64) -> Request {
        let host = format!("host{number}.example.org");
        let (given_name, surname) = NAMES[usize::try_from(number % 4).expect("an index")];
        let mut subject = BTreeMap::new();
        for field in &self.fields {
            let (field, value) = match field.as_str() {
                "common-name" if self.kind == "machine" => {
                    ("common_name", format!("Robot {number}"))
                }
                "common-name" => ("common_name", host.clone()),
                "organization" | "user-organization" | "issuing-organization" => {
                    ("organization", "Sigill Test".to_owned())
                }
                "locality" => ("locality", "Örebro".to_owned()),
                // Of both: they stand in the subject, too.
                "person-name" => continue,
                "given-name" => ("given_name", given_name.to_owned()),
                "surname" => ("surname", surname.to_owned()),
                "hsa-id" => ("hsa_id", format!("TST2321000016-{number}")),
                "personal-identity-number" => (PERSON, "191212121212".to_owned()),
                "card-number" => ("card_number", format!("9752{number:015}")),
                other => panic!("{}: no value for {other}", self.name),
            };
            subject.insert(field, value);
        }
        let mut names = serde_json::Map::new();
        if self.names.contains("dns-count") {
            names.insert("dns".to_owned(), json!([host]));
        }
        for name in ["upn", "email"] {
            if self.names.contains(name) && number.is_multiple_of(3) {
                names.insert(name.to_owned(), json!(format!("{name}{number}@example.org")));
            }
        }
        let body = json!({
            "profile": self.name,
            "csr": self.request(number),
            "subject": subject,
            "alternative_names": Value::Object(names),
        });
        Request::post("/v1/certificates", key, &body)
    }

    /// A request for a new key of one of the types that the profile allows.
    fn request(&self, number: u64) -> String {
        let allows = |key: &str| self.keys.iter().any(|allowed| allowed == key);
        let algorithm = match number % RSA_EVERY {
            7 if allows("rsa-2048") => &rcgen::PKCS_RSA_SHA256,
            third if third % 3 == 0 && allows("ec-p384") => &rcgen::PKCS_ECDSA_P384_SHA384,
            _ => &rcgen::PKCS_ECDSA_P256_SHA256,
        };
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut wishes = CertificateParams::default();
        wishes.distinguished_name = DistinguishedName::new();
        let request = wishes.serialize_request(&key).expect("a request");
        request.pem().expect("PEM")
    }
}
