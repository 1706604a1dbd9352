//! Sound certificates of every kind, in parts that a mutant can change.

use lint::{Findings, IssuerContext, Kind};
use x509::key::PublicKey;

use crate::der::{
    Der, bits, boolean, context, ia5, implicit, int, null, octets, oid, printable, seq, set, utc,
    utf8,
};

/// A certificate in parts.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) version: Option<Der>,
    pub(crate) serial: Der,
    pub(crate) inner: Der,
    pub(crate) issuer: Der,
    pub(crate) not_before: Der,
    pub(crate) not_after: Der,
    pub(crate) subject: Der,
    pub(crate) key: Der,
    pub(crate) unique: Option<Der>,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) outer: Der,
    pub(crate) signature: Der,
}

/// An extension in parts.
#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) id: &'static str,
    pub(crate) critical: Option<Der>,
    pub(crate) value: Der,
}

pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const SUBJECT_KEY: &str = "2.5.29.14";
pub(crate) const AUTHORITY_KEY: &str = "2.5.29.35";
pub(crate) const POLICIES: &str = "2.5.29.32";
pub(crate) const POINTS: &str = "2.5.29.31";
pub(crate) const ALTERNATIVE_NAMES: &str = "2.5.29.17";
pub(crate) const INFORMATION: &str = "1.3.6.1.5.5.7.1.1";
pub(crate) const NO_CHECK: &str = "1.3.6.1.5.5.7.48.1.5";
pub(crate) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub(crate) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub(crate) const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
pub(crate) const OCSP: &str = "1.3.6.1.5.5.7.48.1";
pub(crate) const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

pub(crate) fn extension(id: &'static str, value: Der) -> Extension {
    Extension { id, critical: None, value }
}

pub(crate) fn critical(id: &'static str, value: Der) -> Extension {
    Extension { id, critical: Some(boolean(0xff)), value }
}

impl Extension {
    pub(crate) fn encode(&self) -> Der {
        let octets = Der::Octets(Box::new(self.value.clone()));
        seq([Some(oid(self.id)), self.critical.clone(), Some(octets)].into_iter().flatten())
    }
}

impl Sample {
    /// The extension `id`, which is there.
    pub(crate) fn extension(&mut self, id: &str) -> &mut Extension {
        self.extensions.iter_mut().find(|extension| extension.id == id).unwrap()
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.extensions.retain(|extension| extension.id != id);
    }

    /// Writes another value of the extension `id`, which is there.
    pub(crate) fn set(&mut self, id: &str, value: Der) {
        self.extension(id).value = value;
    }

    pub(crate) fn add(&mut self, extension: Extension) {
        self.extensions.push(extension);
    }

    /// The value of the attribute `kind` of the subject.
    pub(crate) fn attribute(&mut self, kind: &str) -> &mut Der {
        let wanted = oid(kind).encode();
        let rdns = self.subject.parts().iter_mut();
        let mut attributes = rdns.map(|rdn| rdn.parts()[0].parts());
        &mut attributes.find(|attribute| attribute[0].encode() == wanted).unwrap()[1]
    }

    /// Another key, and the identifier that is made of it.
    pub(crate) fn set_key(&mut self, key: Der) {
        self.key = key;
        let identifier = octets(&self.key_hash());
        self.set(SUBJECT_KEY, identifier);
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let extensions = self.extensions.iter().map(Extension::encode);
        let to_be_signed = [
            self.version.clone().map(|version| context(0, [version])),
            Some(self.serial.clone()),
            Some(self.inner.clone()),
            Some(self.issuer.clone()),
            Some(seq([self.not_before.clone(), self.not_after.clone()])),
            Some(self.subject.clone()),
            Some(self.key.clone()),
            self.unique.clone(),
            Some(context(3, [seq(extensions)])),
        ];
        let to_be_signed = seq(to_be_signed.into_iter().flatten());
        seq([to_be_signed, self.outer.clone(), self.signature.clone()]).encode()
    }

    /// SHA-1 of the key's bits, as a responder is named.
    pub(crate) fn key_hash(&self) -> [u8; 20] {
        PublicKey::from_spki_der(&self.key.encode()).unwrap().key_bits_sha1()
    }
}

pub(crate) fn ecdsa_with_sha256() -> Der {
    seq([oid("1.2.840.10045.4.3.2")])
}

pub(crate) fn sha256_with_rsa() -> Der {
    seq([oid("1.2.840.113549.1.1.11"), null()])
}

/// A P-256 key in its form; nothing here asks whether the point lies on the curve.
pub(crate) fn ec_key(seed: u8) -> Der {
    let algorithm = seq([oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
    seq([algorithm, bits(0, &[&[0x04][..], &[seed; 64]].concat())])
}

/// An RSA key in its form.
pub(crate) fn rsa_key() -> Der {
    rsa_key_of(&[&[0x00][..], &[0xc5; 256]].concat(), &[1, 0, 1])
}

pub(crate) fn rsa_key_of(modulus: &[u8], exponent: &[u8]) -> Der {
    let key = seq([int(modulus), int(exponent)]);
    seq([seq([oid("1.2.840.113549.1.1.1"), null()]), bits(0, &key.encode())])
}

pub(crate) fn attribute(kind: &str, value: Der) -> Der {
    set([seq([oid(kind), value])])
}

fn name_of_ca(common_name: &str) -> Der {
    seq([
        attribute("2.5.4.6", printable("SE")),
        attribute("2.5.4.10", utf8("Sigill Test")),
        attribute("2.5.4.3", utf8(common_name)),
    ])
}

/// What a SITHS-shaped person is called; å and ö on purpose.
fn name_of_person() -> Der {
    seq([
        attribute("2.5.4.6", printable("SE")),
        attribute("2.5.4.10", utf8("Region Gävleborg")),
        attribute("2.5.4.3", utf8("Åsa Öberg")),
        attribute("2.5.4.4", utf8("Öberg")),
        attribute("2.5.4.42", utf8("Åsa")),
        attribute("2.5.4.5", printable("TST2321000016-1002")),
    ])
}

fn name_of_host(common_name: &str) -> Der {
    seq([
        attribute("2.5.4.6", printable("SE")),
        attribute("2.5.4.10", utf8("Sigill Test")),
        attribute("2.5.4.3", utf8(common_name)),
    ])
}

pub(crate) fn uri(text: &str) -> Der {
    implicit(6, text.as_bytes())
}

pub(crate) fn point(text: &str) -> Der {
    seq([context(0, [context(0, [uri(text)])])])
}

pub(crate) fn access(method: &str, text: &str) -> Der {
    seq([oid(method), uri(text)])
}

fn public_pointers() -> [Extension; 3] {
    let cps = seq([oid("1.3.6.1.5.5.7.2.1"), ia5("https://pki.example.org/cps")]);
    [
        extension(POLICIES, seq([seq([oid("2.999.752.1"), seq([cps])])])),
        extension(POINTS, seq([point("http://crl.example.org/ca.crl")])),
        extension(
            INFORMATION,
            seq([
                access(OCSP, "http://ocsp.example.org"),
                access(CA_ISSUERS, "http://aia.example.org/ca.cer"),
            ]),
        ),
    ]
}

fn deployment() -> Extension {
    extension(ALTERNATIVE_NAMES, seq([uri("urn:sigill:test:demo:ab12:client:portal")]))
}

/// A certificate of nobody in particular under `issuer`, its key made from `seed`.
fn certificate(seed: u8, issuer: Option<&Sample>, subject: Der) -> Sample {
    let authority = issuer.map(|issuer| {
        let mut issuer = issuer.clone();
        let Der::Leaf(_, key) = issuer.extension(SUBJECT_KEY).value.clone() else { panic!() };
        extension(AUTHORITY_KEY, seq([implicit(0, &key)]))
    });
    let mut sample = Sample {
        version: Some(int(&[2])),
        serial: int(&[&[0x40, seed][..], &[0x5a; 14]].concat()),
        inner: ecdsa_with_sha256(),
        issuer: issuer.map_or_else(|| subject.clone(), |issuer| issuer.subject.clone()),
        not_before: utc("260101000000Z"),
        not_after: utc("300101000000Z"),
        subject,
        key: ec_key(seed),
        unique: None,
        extensions: vec![extension(SUBJECT_KEY, null())],
        outer: ecdsa_with_sha256(),
        signature: bits(0, &seq([int(&[0x55; 32]), int(&[0x55; 32])]).encode()),
    };
    sample.set_key(ec_key(seed));
    sample.extensions.extend(authority);
    sample
}

fn ca(seed: u8, issuer: Option<&Sample>, name: &str) -> Sample {
    let mut sample = certificate(seed, issuer, name_of_ca(name));
    sample.not_after = utc("490101000000Z");
    sample.add(critical(BASIC_CONSTRAINTS, seq([boolean(0xff)])));
    sample.add(critical(KEY_USAGE, bits(1, &[0x06])));
    sample
}

pub(crate) fn root() -> Sample {
    ca(1, None, "SIGILL TEST e-id Root CA v1")
}

/// A sound certificate of `kind` and, if it has another, its issuer's.
pub(crate) fn sample(kind: Kind) -> (Sample, Option<Sample>) {
    let root = root();
    let mut issuing = ca(2, Some(&root), "SIGILL TEST e-id Function CA v1");
    issuing.extension(BASIC_CONSTRAINTS).value = seq([boolean(0xff), int(&[0])]);
    issuing.extensions.extend(public_pointers());
    let mut management = ca(9, None, "SIGILL TEST Management CA v1");
    management.add(deployment());
    let person = |usage: Der| {
        let mut person = certificate(3, Some(&issuing), name_of_person());
        person.add(critical(KEY_USAGE, usage));
        person.extensions.extend(public_pointers());
        person
    };
    let manage = |purpose, usage| {
        let mut host = certificate(8, Some(&management), name_of_host("portal"));
        host.add(critical(KEY_USAGE, usage));
        host.add(extension(EXTENDED_KEY_USAGE, seq([oid(purpose)])));
        host.add(deployment());
        host
    };
    match kind {
        Kind::RootCa => (root, None),
        Kind::IssuingCa => (issuing, Some(root)),
        Kind::CrossCa => {
            let mut successor = ca(10, Some(&root), "SIGILL TEST e-id Root CA v2");
            successor.extension(BASIC_CONSTRAINTS).value = seq([boolean(0xff), int(&[1])]);
            successor.extensions.extend(public_pointers());
            (successor, Some(root))
        }
        Kind::OcspResponder => {
            let mut responder = certificate(4, Some(&issuing), name_of_host("OCSP responder"));
            responder.not_after = utc("260115000000Z");
            responder.add(critical(KEY_USAGE, bits(7, &[0x80])));
            responder.add(extension(EXTENDED_KEY_USAGE, seq([oid(OCSP_SIGNING)])));
            responder.add(extension(NO_CHECK, null()));
            (responder, Some(issuing))
        }
        Kind::PersonAuthentication => {
            let mut person = person(bits(7, &[0x80]));
            person.add(extension(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH)])));
            person.add(extension("1.2.752.34.2.1", printable("9752270000000000006")));
            (person, Some(issuing))
        }
        Kind::PersonSignature => (person(bits(6, &[0x40])), Some(issuing)),
        Kind::Function => {
            let mut host = certificate(5, Some(&issuing), name_of_host("idp.example.org"));
            host.set_key(rsa_key());
            host.subject.parts().push(attribute("2.5.4.5", printable("TST2321000016-F1")));
            host.add(critical(KEY_USAGE, bits(5, &[0xa0])));
            host.add(extension(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH), oid(SERVER_AUTH)])));
            host.add(extension(ALTERNATIVE_NAMES, seq([implicit(2, b"idp.example.org")])));
            host.extensions.extend(public_pointers());
            (host, Some(issuing))
        }
        Kind::Machine => {
            let mut machine = certificate(5, Some(&issuing), name_of_host("Robot 7"));
            machine.subject.parts().push(attribute("2.5.4.5", printable("TST2321000016-F1")));
            machine.add(critical(KEY_USAGE, bits(7, &[0x80])));
            machine.add(extension(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH)])));
            machine.extensions.extend(public_pointers());
            (machine, Some(issuing))
        }
        Kind::CardTransport => {
            let number = "9752270000000000006";
            let mut card = certificate(3, Some(&issuing), name_of_host(number));
            card.subject.parts().push(attribute("2.5.4.5", printable(number)));
            card.add(critical(KEY_USAGE, bits(7, &[0x80])));
            card.add(extension(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH)])));
            card.add(extension("1.2.752.34.2.1", printable(number)));
            card.extensions.extend(public_pointers());
            (card, Some(issuing))
        }
        Kind::ManagementCa => (management, None),
        Kind::ManagementServer => (manage(SERVER_AUTH, bits(7, &[0x80])), Some(management)),
        Kind::ManagementClient => (manage(CLIENT_AUTH, bits(7, &[0x80])), Some(management)),
        Kind::Imported => {
            let (mut imported, issuer) = sample(Kind::Function);
            imported.remove(EXTENDED_KEY_USAGE);
            (imported, issuer)
        }
    }
}

/// Lints `sample` under `issuer`.
pub(crate) fn judge(sample: &[u8], issuer: Option<&Sample>, kind: Kind) -> Findings {
    let issuer = issuer.map(Sample::encode);
    let context = issuer.as_deref().map_or(IssuerContext::SelfSigned, IssuerContext::Certificate);
    lint::certificate(sample, &context, kind)
}

pub(crate) const KINDS: [Kind; 13] = [
    Kind::RootCa,
    Kind::IssuingCa,
    Kind::CrossCa,
    Kind::OcspResponder,
    Kind::PersonAuthentication,
    Kind::PersonSignature,
    Kind::Function,
    Kind::Machine,
    Kind::CardTransport,
    Kind::ManagementCa,
    Kind::ManagementServer,
    Kind::ManagementClient,
    Kind::Imported,
];
