//! Mutants of a certificate that keep every standard and yet are not what the profile says.

use lint::shape::{
    AttributeShape, ExtensionShape, NameForm, NameShape, PolicyShape, PurposeShape, PurposeStands,
    Shape, Stated, StringShape, ValueShape,
};
use lint::{Findings, IssuerContext, Kind, KnownIssuer};
use x509::extension::{Criticality, KeyUsageBit};
use x509::key::SignatureAlgorithm;
use x509::oid::{ObjectIdentifier, attribute as attributes, usage};

use crate::Verdict;
use crate::der::{bits, implicit, oid, printable, seq, utf8};
use crate::sample::{
    ALTERNATIVE_NAMES, BASIC_CONSTRAINTS, CA_ISSUERS, EXTENDED_KEY_USAGE, INFORMATION, KEY_USAGE,
    OCSP, POINTS, POLICIES, SERVER_AUTH, Sample, access, attribute, critical, point, sample,
};

fn policy() -> ObjectIdentifier {
    "2.999.752.1".parse().unwrap()
}

/// What the sample of a function is, under its issuer.
fn shape(issuer: &[u8; 20]) -> Shape<'_> {
    let attribute = |kind, value| AttributeShape {
        kind,
        string: StringShape::Standard,
        stated: Stated::Always,
        value,
    };
    let extension = |value, critical| ExtensionShape { value, critical, stated: Stated::Always };
    let plain = |value| extension(value, Criticality::NonCritical);
    let purpose = |id| PurposeShape { id, stands: PurposeStands::Always };
    let mail = PurposeShape { id: usage::EMAIL_PROTECTION, stands: PurposeStands::BesideMail };
    let usage_of_rsa = &[KeyUsageBit::DigitalSignature, KeyUsageBit::KeyEncipherment];
    let hosts = NameShape { form: NameForm::Dns, fewest: 1, most: 2 };
    let policy = PolicyShape { id: policy(), cps: Some("https://pki.example.org/cps") };
    Shape {
        signature: SignatureAlgorithm::EcdsaP256Sha256,
        subject: vec![
            attribute(attributes::COUNTRY, Some("SE")),
            AttributeShape { stated: Stated::Perhaps, ..attribute(attributes::LOCALITY, None) },
            attribute(attributes::ORGANIZATION, None),
            attribute(attributes::COMMON_NAME, None),
            attribute(attributes::SERIAL_NUMBER, None),
        ],
        extensions: vec![
            plain(ValueShape::SubjectKeyIdentifier),
            plain(ValueShape::AuthorityKeyIdentifier(Some(issuer))),
            extension(
                ValueShape::KeyUsage { rsa: usage_of_rsa, curve: &usage_of_rsa[..1] },
                Criticality::Critical,
            ),
            plain(ValueShape::Purposes(vec![
                purpose(usage::CLIENT_AUTH),
                purpose(usage::SERVER_AUTH),
                mail,
            ])),
            ExtensionShape { stated: Stated::Perhaps, ..plain(ValueShape::CardNumber) },
            plain(ValueShape::AlternativeNames(vec![hosts])),
            plain(ValueShape::Policies(vec![policy])),
            plain(ValueShape::DistributionPoint("http://crl.example.org/ca.crl")),
            plain(ValueShape::AuthorityInformation {
                ocsp: "http://ocsp.example.org",
                issuer: "http://aia.example.org/ca.cer",
            }),
        ],
    }
}

fn judged(change: impl FnOnce(&mut Sample), reshape: impl FnOnce(&mut Shape<'_>)) -> Findings {
    let (mut sample, issuer) = sample(Kind::Function);
    let issuer = issuer.unwrap();
    let identifier = issuer.key_hash();
    let mut shape = shape(&identifier);
    change(&mut sample);
    reshape(&mut shape);
    let known = KnownIssuer::read(&issuer.encode()).unwrap();
    lint::certificate_of(&sample.encode(), &IssuerContext::Known(&known), Kind::Function, &shape)
}

fn mutant(change: impl FnOnce(&mut Sample)) -> Findings {
    judged(change, |_| ())
}

/// PRO-03: the sample, and what its shape leaves to an order.
#[test]
fn what_the_profile_says_passes() {
    let dns = |name: &str| implicit(2, name.as_bytes());
    let names = seq([dns("idp.example.org"), dns("b.example.org")]);
    let sound = [
        mutant(|_| ()),
        mutant(|it| it.set(ALTERNATIVE_NAMES, names)),
        mutant(|it| it.subject.parts().insert(1, attribute("2.5.4.7", utf8("Gävle")))),
        judged(
            |it| *it.attribute("2.5.4.10") = printable("Region Gotland"),
            |shape| shape.subject[2].string = StringShape::PrintableOrUtf8,
        ),
        judged(
            |it| *it.attribute("2.5.4.10") = utf8("Region Gävleborg"),
            |shape| shape.subject[2].string = StringShape::PrintableOrUtf8,
        ),
    ];
    for findings in sound {
        assert!(findings.is_empty(), "{findings}");
    }
}

/// An issuer that is read once judges as one that is read each time.
#[test]
fn a_known_issuer_judges_as_its_certificate() {
    let (mut sample, issuer) = sample(Kind::Function);
    sample.not_after = crate::der::utc("490101000001Z");
    let (der, issuer) = (sample.encode(), issuer.unwrap().encode());
    let known = KnownIssuer::read(&issuer).unwrap();
    let judge = |context: &IssuerContext<'_>| lint::certificate(&der, context, Kind::Function);

    let findings = judge(&IssuerContext::Known(&known));

    assert_eq!(findings.count(), 1, "{findings}");
    assert_eq!(findings, judge(&IssuerContext::Certificate(&issuer)));
    assert!(KnownIssuer::read(&issuer[1..]).is_err());
}

/// PRO-03: what a profile excepts is put aside with its findings, and what it may not except is a closed list.
#[test]
fn exceptions_are_put_aside_and_not_lost() {
    let findings = mutant(|it| it.extensions.swap(0, 1));
    let rule = findings.iter().next().unwrap().rule;

    let (left, aside) = findings.clone().without(&[rule]);

    assert!(left.is_empty(), "{left}");
    assert_eq!(aside, findings);
    let judge =
        |id: &str| lint::RULES.iter().find(|rule| rule.id.as_str() == id).unwrap().may_be_ignored();
    for never in ["pro-01/boolean", "pro-03/profile-values", "iss-02/serial", "pro-15/issuer-bytes"]
    {
        assert!(!judge(never), "{never}");
    }
    assert!(!judge("promise-8/deployment-uri"));
    assert!(judge("pro-13/http-uri") && judge("pro-17/upn-form"));
}

pub(crate) fn all() -> Vec<Verdict> {
    [subjects(), extensions(), values()].concat()
}

fn subjects() -> Vec<Verdict> {
    vec![
        (
            "pro-03/profile-signature",
            "another hash",
            judged(|_| (), |shape| shape.signature = SignatureAlgorithm::EcdsaP384Sha384),
        ),
        (
            "pro-03/profile-attributes",
            "organisation before country",
            mutant(|it| it.subject.parts().swap(0, 1)),
        ),
        (
            "pro-03/profile-attributes",
            "a title",
            mutant(|it| it.subject.parts().push(attribute("2.5.4.12", utf8("Server")))),
        ),
        (
            "pro-03/profile-attributes",
            "an attribute less",
            judged(
                |_| (),
                |shape| {
                    let unit = attributes::ORGANIZATIONAL_UNIT;
                    shape.subject.push(AttributeShape { kind: unit, ..shape.subject[3].clone() });
                },
            ),
        ),
        (
            "pro-03/profile-strings",
            "organisation in PrintableString",
            mutant(|it| *it.attribute("2.5.4.10") = printable("Sigill Test")),
        ),
        (
            "pro-03/profile-strings",
            "UTF8String without need",
            judged(|_| (), |shape| shape.subject[2].string = StringShape::PrintableOrUtf8),
        ),
        (
            "pro-03/profile-fixed-values",
            "another country",
            mutant(|it| *it.attribute("2.5.4.6") = printable("NO")),
        ),
    ]
}

fn extensions() -> Vec<Verdict> {
    vec![
        (
            "pro-03/profile-extensions",
            "the first two the other way round",
            mutant(|it| it.extensions.swap(0, 1)),
        ),
        (
            "pro-03/profile-extensions",
            "an end entity's basicConstraints",
            mutant(|it| it.add(critical(BASIC_CONSTRAINTS, seq([])))),
        ),
        (
            "pro-03/profile-extensions",
            "one less",
            judged(
                |_| (),
                |shape| {
                    let value = ValueShape::EndEntity;
                    shape.extensions.push(ExtensionShape { value, ..shape.extensions[0].clone() });
                },
            ),
        ),
        (
            "pro-03/profile-critical",
            "policies as the profile does not say",
            judged(|_| (), |shape| shape.extensions[6].critical = Criticality::Critical),
        ),
    ]
}

fn values() -> Vec<Verdict> {
    let rule = "pro-03/profile-values";
    let cps = |uri: &str| seq([seq([oid("1.3.6.1.5.5.7.2.1"), crate::der::ia5(uri)])]);
    let other_cps = seq([seq([oid("2.999.752.1"), cps("https://pki.example.org/CPS")])]);
    let sound = seq([oid("2.999.752.1"), cps("https://pki.example.org/cps")]);
    let more = seq([sound.clone(), seq([oid("2.999.752.2")])]);
    let issuer = access(CA_ISSUERS, "http://aia.example.org/ca.cer");
    let ocsp = access(OCSP, "http://ocsp.example.org");
    let [issuer_first, twice] = [[&issuer, &ocsp, &ocsp], [&ocsp, &ocsp, &issuer]]
        .map(|list| seq(list.into_iter().cloned()));
    let three = ["idp", "b", "c"].map(|name| implicit(2, format!("{name}.example.org").as_bytes()));
    vec![
        (rule, "digitalSignature alone", mutant(|it| it.set(KEY_USAGE, bits(7, &[0x80])))),
        (rule, "one purpose", mutant(|it| it.set(EXTENDED_KEY_USAGE, seq([oid(SERVER_AUTH)])))),
        (
            rule,
            "mail protection without mail",
            judged(
                |_| (),
                |shape| {
                    let ValueShape::Purposes(purposes) = &mut shape.extensions[3].value else {
                        panic!()
                    };
                    purposes[2].stands = PurposeStands::Always;
                },
            ),
        ),
        (rule, "another practice statement", mutant(|it| it.set(POLICIES, other_cps))),
        (rule, "a second policy", mutant(|it| it.set(POLICIES, more))),
        (rule, "no qualifier", mutant(|it| it.set(POLICIES, seq([seq([oid("2.999.752.1")])])))),
        (
            rule,
            "another CRL",
            mutant(|it| it.set(POINTS, seq([point("http://crl.example.org/ca2.crl")]))),
        ),
        (
            rule,
            "a second CRL",
            mutant(|it| {
                let both =
                    ["ca", "cb"].map(|it| point(&format!("http://crl.example.org/{it}.crl")));
                it.set(POINTS, seq(both));
            }),
        ),
        (rule, "pointers in another order", mutant(|it| it.set(INFORMATION, issuer_first))),
        (rule, "a pointer twice", mutant(|it| it.set(INFORMATION, twice))),
        (rule, "three hosts", mutant(|it| it.set(ALTERNATIVE_NAMES, seq(three)))),
        (
            rule,
            "a CA's basicConstraints where an end entity's are meant",
            judged(
                |it| it.add(critical(BASIC_CONSTRAINTS, seq([]))),
                |shape| {
                    let value = ValueShape::Authority(None);
                    shape.extensions.push(ExtensionShape {
                        value,
                        critical: Criticality::Critical,
                        stated: Stated::Always,
                    });
                },
            ),
        ),
    ]
}
