//! The CA of another operator, taken over: its relying parties see the same name, key identifier, distribution point
//! and entries as before, byte for byte (MIG-02, CRL-06, CRL-11).

use x509::crl::CrlTail;

use super::*;

const URL: &str = "http://crl1.siths.se/sithseidrootcav2.crl";
const AUTHORITY_KEY_ID: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x23];
const DISTRIBUTION_POINT: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x1c];

/// What the other operator's program writes into its lists beside the entries.
struct Shape {
    authority_key_id: &'static str,
    distribution_point: &'static str,
    /// What the CA's section says of it here.
    ours: Option<Scope>,
}

const SHAPES: [Shape; 3] = [
    Shape { authority_key_id: "keyid:always", distribution_point: "", ours: None },
    Shape {
        authority_key_id: "keyid:always",
        distribution_point: "fullname = URI:http://crl1.siths.se/sithseidrootcav2.crl",
        ours: Some(Scope::All),
    },
    Shape {
        authority_key_id: "keyid:always",
        distribution_point: "fullname = URI:http://crl1.siths.se/sithseidrootcav2.crl\nonlyCA = TRUE",
        ours: Some(Scope::CaCertificates),
    },
];

impl TestCa {
    /// A list as OpenSSL makes it, with three entries in no order.
    fn foreign(&self, shape: &Shape) -> Vec<u8> {
        let point = match shape.distribution_point {
            "" => "",
            _ => "issuingDistributionPoint = critical, @point\n",
        };
        let config = format!(
            "[ca]\ndefault_ca = own\n[own]\ndatabase = {}\ncrlnumber = {}\ndefault_md = sha256\n\
             default_crl_days = 1\ncrl_extensions = list\n[list]\nauthorityKeyIdentifier = {}\n{point}\
             [point]\n{}\n",
            self.path("index.txt"),
            self.path("crlnumber"),
            shape.authority_key_id,
            shape.distribution_point,
        );
        write(&self.path("ca.cnf"), config.as_bytes());
        write(&self.path("crlnumber"), b"1267\n");
        let entry = |serial: &str, reason: &str| {
            format!("R\t400101000000Z\t260102030405Z{reason}\t{serial}\tunknown\t/CN=someone\n")
        };
        let index = [
            entry("0F00000000000000000000000000000003", ",keyCompromise"),
            entry("4000000000000001", ""),
            entry("0F00000000000000000000000000000002", ",superseded"),
        ];
        write(&self.path("index.txt"), index.concat().as_bytes());
        let output = Command::new("openssl")
            .args(["ca", "-gencrl", "-config", &self.path("ca.cnf")])
            .args(["-keyfile", &self.path("key.der"), "-keyform", "DER"])
            .args(["-cert", &self.path("ca.pem"), "-out", &self.path("foreign.pem")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let der = ["crl", "-in", &self.path("foreign.pem"), "-outform", "DER", "-out"];
        let output =
            Command::new("openssl").args(der).arg(self.path("foreign.crl")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        read(&self.path("foreign.crl"))
    }

    /// Our first list after that one, where it may follow.
    fn follow(&self, foreign: &[u8], point: Option<Scope>) -> Result<Vec<u8>, CompareError> {
        let mut reader = whole(foreign);
        let mut rows: Vec<CrlEntry> =
            reader.by_ref().map(|entry| CrlEntry::from(entry.unwrap())).collect();
        rows.sort();
        let number = reader.finish().unwrap().extensions.number.unwrap();
        let number = CrlNumber::from_content_octets(&number).unwrap().next().unwrap();
        let point =
            point.map(|scope| IssuingDistributionPoint { full_name: vec![URL.to_owned()], scope });
        let order = CrlOrder {
            new_dates: NewDates::Imported,
            issuing_distribution_point: point.as_ref(),
            ..order(&self.issuer, &number, NOW)
        };
        let mut spool = spool();
        let previous = PreviousCrl::foreign(whole(foreign)).unwrap();
        let rows = rows.into_iter().map(Ok::<_, &str>);
        match prepare(&order, rows, &mut spool, Some(previous), &mut unexplained) {
            Ok(prepared) => {
                assert_eq!(prepared.comparison.unwrap().changed, 0);
                let recorded = Recorded::by(NoRecord, prepared.pending.intent()).unwrap();
                prepared.pending.input(&recorded).unwrap();
                let tbs = spool.file.get_ref().clone();
                let signature = self.key.sign(&SystemRandom::new(), &tbs).unwrap();
                let signed = prepared.pending.finish(signature.as_ref().to_vec()).unwrap();
                let mut crl = Vec::new();
                spool.file.rewind().unwrap();
                finish(&signed, &mut spool.file, &mut crl).unwrap();
                Ok(crl)
            }
            Err(PrepareError::Compare(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn whole(crl: &[u8]) -> CrlReader<&[u8]> {
    CrlReader::start(crl, CrlForm::CertificateList, MAX_OCTETS).unwrap()
}

fn tail(crl: &[u8]) -> CrlTail {
    whole(crl).finish().unwrap()
}

/// The DER of the extension of that identifier; empty where there is none.
fn extension<'a>(crl: &'a [u8], id: &[u8]) -> &'a [u8] {
    let Some(at) = crl.windows(id.len()).rposition(|window| window == id) else { return &[] };
    let begin = at - 2;
    assert_eq!(crl[begin], 0x30, "a short extension");
    &crl[begin..at + usize::from(crl[begin + 1])]
}

/// MIG-02, CRL-11: the names of SITHS' own CAs, in both of the string types that they have, and lists with and
/// without a distribution point.
#[test]
fn a_list_after_a_takeover_has_the_bytes_of_the_one_before() {
    for (subject, mask) in [
        ("/C=SE/O=Inera AB/CN=SITHS e-id Root CA v2", "utf8only"),
        ("/C=SE/O=SITHS CA/CN=SITHS CA TEST v3", "nombstr"),
    ] {
        let Some(ca) = TestCa::named(subject, mask) else { return };
        for shape in &SHAPES {
            let foreign = ca.foreign(shape);

            let ours = ca.follow(&foreign, shape.ours).unwrap();

            assert_eq!(whole(&ours).head().issuer, whole(&foreign).head().issuer);
            for id in [AUTHORITY_KEY_ID, DISTRIBUTION_POINT] {
                assert_eq!(extension(&ours, id), extension(&foreign, id), "{subject} {mask}");
            }
            assert!(!extension(&ours, AUTHORITY_KEY_ID).is_empty());
            assert_eq!(extension(&ours, DISTRIBUTION_POINT).is_empty(), shape.ours.is_none());
            let entries = |crl: &[u8]| -> BTreeMap<SerialNumber, RevokedEntry> {
                whole(crl).map(|entry| entry.map(|entry| (entry.serial, entry)).unwrap()).collect()
            };
            assert_eq!(entries(&ours), entries(&foreign));
            assert!(tail(&ours).extensions.number > tail(&foreign).extensions.number);
        }
    }
}

/// CRL-06, CRL-11: a section that says another distribution point than the lists had until then makes none.
#[test]
fn a_list_after_a_takeover_with_another_scope_is_refused() {
    let Some(ca) = TestCa::new() else { return };
    for shape in &SHAPES {
        let foreign = ca.foreign(shape);
        let others = [None, Some(Scope::All), Some(Scope::CaCertificates)];
        for other in others.into_iter().filter(|other| *other != shape.ours) {
            let refused = ca.follow(&foreign, other);
            assert!(
                matches!(refused, Err(CompareError::Differs("issuingDistributionPoint"))),
                "{other:?}: {refused:?}"
            );
        }
    }
}

/// The names of the real certificates are the ones that the lists above have, octet for octet.
#[test]
fn names_of_real_cas_are_kept_as_they_are() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/siths/ca");
    for (file, subject, mask) in [
        ("siths-e-id-root-ca-v2.pem", "/C=SE/O=Inera AB/CN=SITHS e-id Root CA v2", "utf8only"),
        ("siths-ca-test-v3.pem", "/C=SE/O=SITHS CA/CN=SITHS CA TEST v3", "nombstr"),
    ] {
        let Ok(pem) = std::fs::read_to_string(format!("{folder}/{file}")) else {
            println!("skipped: {folder}/{file} is not here");
            return;
        };
        let Some(ca) = TestCa::named(subject, mask) else { return };
        let (label, der) = (x509::pem::Label::Certificate, pem);
        let real = x509::pem::decode_one(&der, label).unwrap();
        let name = ca.issuer.certificate().subject().as_der();
        assert!(real.windows(name.len()).any(|window| window == name), "{file}");
    }
}
