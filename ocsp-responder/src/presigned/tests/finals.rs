//! What stands for ever, of a CA that has ended (OCSP-13, decision 0035): who believes it, and when it is given.

use std::net::{IpAddr, Ipv4Addr};

use status::Position;
use status::presigned::{PresignedAnswer, Said};
use x509::ocsp::{CertId, CertIdHash, OcspRequest, OcspResponse};

use super::*;
use crate::answer::NeverIssued;
use crate::responder::{AnswerRules, AnswerSource, Responder};
use crate::testing::signed_by;

/// Long after the CA's own end.
const LATER: u64 = START + 950 * DAY;

/// The signer of final answers, whose certificate ends with the CA's.
fn signer(zones: &Zones) -> Certificate {
    let validity = Validity::between(at(START), at(START + 900 * DAY)).unwrap();
    delegate_certificate(&zones.ca, &zones.authority(), &zones.token, validity)
}

fn forever(number: u32, status: CertStatus) -> Said {
    Said {
        serial: serial(number),
        status,
        invalidity_date: None,
        archive_cutoff: Some(at(START - DAY)),
        produced_at: at(START + 20),
        this_update: at(START + 19),
        next_update: UnixTime::LAST,
    }
}

/// Puts a file of one answer where files arrive.
fn carry(zones: &Zones, said: Said, signer: &Certificate, generation: u64) -> PathBuf {
    let authority = zones.authority();
    let ca = &authority.certificate;
    let key = signer.public_key().key_bits_sha1();
    let data = said.response_data(ca.subject(), ca.public_key(), key);
    let signature = signed_by(&zones.token.pair, &data);
    let head = PresignedHead {
        issuer: authority.issuer,
        wave: Wave::of(&said.serial),
        generation,
        position: Position { epoch: 1, index: 1 },
        checkpoint: at(START),
        signers: vec![signer.clone()],
    };
    let path = zones.file(head.wave);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, head.write(vec![PresignedAnswer { said, signer: 0, signature }]).unwrap())
        .unwrap();
    path
}

/// Zones of a CA with certificate 0, which expires, and 1, which does not.
fn ended() -> Zones {
    let zones = Zones::new(0);
    let kept = |number, lasts| {
        let (before_activation, after_expiry) = (BeforeActivation::Good, AfterExpiry::Kept);
        let classes = AnswerClasses { before_activation, after_expiry };
        entry(number, Change::Issued { not_after: at(START + lasts), classes })
    };
    zones.beat(START, &[kept(0, 10), kept(1, 100 * DAY)]);
    zones
}

/// Of a certificate that may still change nobody believes what stands for ever, nor anything else by its signer; what is believed is so for
/// ever, also at a start long after the signer, the CA and the log have ended.
#[test]
fn final_answers_are_believed_of_what_has_ended_and_for_ever() {
    let mut zones = ended();
    let signer = signer(&zones);
    let unended = carry(&zones, forever(1, CertStatus::Good), &signer, START + 20);
    assert_eq!(zones.refused(START + 20), ["presigned-unended"]);
    assert_eq!(zones.given(1), None);
    fs::remove_file(unended).unwrap();
    carry(&zones, forever(0, CertStatus::Good), &signer, START + 20);
    assert!(zones.refused(START + 20).is_empty());
    assert_eq!(zones.given(0), Some(CertStatus::Good));
    let names = ["person3".to_owned()];
    assert!(zones.stock.has_final(&names) && !zones.stock.has_final(&["person4".to_owned()]));

    // Who signs for ever signs nothing that ends.
    let ends = Said { next_update: at(START + HOUR), ..forever(1, CertStatus::Good) };
    let path = carry(&zones, ends, &signer, START + 21);
    assert_eq!(zones.refused(START + 21), ["presigned-signer"]);
    fs::remove_file(path).unwrap();
    // Nor is what stands for ever taken back by an answer that ends, made before it.
    let before = Said { next_update: at(START + HOUR), ..forever(0, CertStatus::Good) };
    let kept = fs::read(zones.file(Wave::of(&serial(0)))).unwrap();
    let path = carry(&zones, before, &zones.delegate_certificate(START - 300), START + 19);
    assert_eq!(zones.refused(START + 21), ["presigned-rolled-back"]);
    // Nor by one that was made after it.
    carry(&zones, before, &zones.delegate_certificate(START - 300), START + 30);
    zones.keeper = Zones::keeper_of(zones.folder.path(), &zones.stock, &zones.view);
    assert_eq!(zones.refused(START + 30), ["presigned-rolled-back"]);
    assert_eq!(zones.given(0), Some(CertStatus::Good));
    assert_eq!(zones.stock.state_of("person3").unwrap().ends, UnixTime::LAST);
    fs::write(path, &kept).unwrap();

    for state in ["outer", "another host"] {
        let state = zones.folder.path().join(state);
        fs::create_dir_all(&state).unwrap();
        zones.stock = Arc::new(Stock::open(&state).unwrap());
        zones.keeper = Zones::keeper_of(zones.folder.path(), &zones.stock, &zones.view);
        assert!(zones.refused(LATER).is_empty());
        assert_eq!(zones.given(0), Some(CertStatus::Good));
        assert_eq!(zones.stock.state_of("person3").unwrap().ends, UnixTime::LAST);
    }
}

/// The signer's word alone makes nothing final: neither a time that has not come, by which the certificate will have expired, nor who answers every
/// day, whose delegate does not end with the CA.
#[test]
fn a_final_answer_of_the_future_or_by_a_delegate_of_days_is_refused() {
    let mut zones = ended();
    let signer = signer(&zones);
    let delegate = zones.delegate_certificate(START - 300);
    let early = |secs| Said {
        produced_at: at(START + secs),
        this_update: at(START + 9),
        ..forever(0, CertStatus::Good)
    };
    let last = delegate.validity().not_after().secs() - START - 1;
    carry(&zones, early(last), &delegate, START + 9);
    assert_eq!(zones.refused(START + 9), ["presigned-future"]);
    carry(&zones, early(11), &signer, START + 10);
    assert_eq!(zones.refused(START + 9), ["presigned-future"]);
    // Within the bound on the clocks, and the certificate lasts for this second still.
    assert_eq!(zones.refused(START + 10), ["presigned-unended"]);
    assert_eq!(zones.given(0), None);
    assert!(zones.refused(START + 11).is_empty());
    assert_eq!(zones.given(0), Some(CertStatus::Good));

    let mut zones = ended();
    let delegate = zones.delegate_certificate(START - 300);
    carry(&zones, forever(0, CertStatus::Good), &delegate, START + 20);
    assert_eq!(zones.refused(START + 20), ["presigned-signer"]);
    assert_eq!(zones.given(0), None);
}

/// Nothing is signed over them, and a CA that has them and no delegate any more is no alarm; a program that signs itself takes up nothing
/// else.
#[test]
fn nothing_is_signed_over_final_answers() {
    let mut zones = ended();
    zones.sign(START);
    let signer = signer(&zones);
    let path = carry(&zones, forever(0, CertStatus::Good), &signer, START + 20);
    let octets = fs::read(&path).unwrap();
    zones.beat(START + 3 * HOUR, &[]);
    zones.presigner = Zones::presigner_of(zones.folder.path(), &zones.view, &zones.delegates);
    zones.sign(START + 3 * HOUR);
    assert_eq!(fs::read(&path).unwrap(), octets);

    // Nor over those that arrive while it signs.
    fs::remove_file(&path).unwrap();
    let (late, arriving) = (path.clone(), octets.clone());
    let arrive = move || fs::write(late, arriving).unwrap();
    *zones.token.meanwhile.lock().unwrap() = Some(Box::new(arrive));
    zones.presigner = Zones::presigner_of(zones.folder.path(), &zones.view, &zones.delegates);
    assert_eq!(zones.sign(START + 3 * HOUR), 1);
    assert!(zones.token.meanwhile.lock().unwrap().is_none());
    assert_eq!(fs::read(&path).unwrap(), octets);

    zones.delegates.set("person3", Vec::new());
    zones.beat(START + 30 * DAY, &[]);
    zones.sign(START + 30 * DAY);
    assert_eq!(zones.presigner.figures.figures(at(START + 30 * DAY))[3], 0, "it is not unsigned");

    let (stock, view) = (Arc::clone(&zones.stock), Arc::clone(&zones.view));
    let (validity, bound) = (Duration::from_secs(2 * HOUR), Duration::from_secs(1));
    let folder = zones.folder.path().to_owned();
    zones.keeper = StockKeeper::new(&folder, stock, view, validity, bound, TakesUp::Final);
    assert!(zones.refused(START + 3 * HOUR).is_empty());
    assert_eq!((zones.given(0), zones.given(1)), (Some(CertStatus::Good), None));
}

/// Who answers from the log of these zones, which by the clock of this machine is of the future: nothing is read from it but what never changes.
fn responder(zones: &Zones, authorities: Vec<Arc<Authority>>, source: AnswerSource) -> Responder {
    let rules = AnswerRules {
        validity: Duration::from_secs(2 * HOUR),
        max_age: Duration::from_secs(60),
        clock_bound: Duration::ZERO,
        cache: 16,
        never_issued: NeverIssued::Unknown,
    };
    let configured = authorities.len();
    let authorities = Authorities::new(authorities, configured);
    Responder::new(
        Arc::clone(&zones.view),
        Arc::new(arc_swap::ArcSwap::from_pointee(authorities)),
        Arc::default(),
        source,
        rules,
        Arc::<Metrics>::default(),
    )
}

/// What is answered to a question after a certificate.
async fn asked(
    responder: &Responder,
    authority: &Authority,
    number: u32,
    hash: CertIdHash,
) -> OcspResponse {
    let ca = &authority.certificate;
    let id = CertId::new(hash, ca.subject().as_der(), ca.public_key(), serial(number));
    let request = OcspRequest { cert_ids: vec![id], nonce: None, preferred: Vec::new() };
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    OcspResponse::from_der(&responder.answer(&request.to_der(), address).await.body).unwrap()
}

/// What was believed before a start is given and counted as final, though the publication folder has none, or has others, by now.
#[test]
fn a_start_knows_the_final_answers_of_its_state_folder() {
    let mut zones = ended();
    let path = carry(&zones, forever(0, CertStatus::Good), &signer(&zones), START + 20);
    assert!(zones.refused(START + 20).is_empty());
    let ordinary = Said { next_update: at(START + HOUR), ..forever(0, CertStatus::Good) };
    let state = zones.folder.path().join("outer");
    for (takes_up, replaced) in [
        (TakesUp::All, true),
        (TakesUp::Final, true),
        (TakesUp::All, false),
        (TakesUp::Final, false),
    ] {
        if replaced {
            carry(&zones, ordinary, &zones.delegate_certificate(START - 300), START + 30);
        } else if path.exists() {
            fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
        zones.stock = Arc::new(Stock::open(&state).unwrap());
        let (stock, view) = (Arc::clone(&zones.stock), Arc::clone(&zones.view));
        let (validity, bound) = (Duration::from_secs(2 * HOUR), Duration::from_secs(1));
        let folder = zones.folder.path().to_owned();
        zones.keeper = StockKeeper::new(&folder, stock, view, validity, bound, takes_up);

        let is_refused = replaced && takes_up == TakesUp::All;
        assert_eq!(zones.refused(START + 31).len(), usize::from(is_refused));

        assert!(zones.stock.has_final(&["person3".to_owned()]));
        assert_eq!(zones.stock.state_of("person3").map(|one| one.ends), Some(UnixTime::LAST));
        assert_eq!(zones.given(0), Some(CertStatus::Good));
    }
}

/// Final answers under another name of the CA, which shares its delegates, are taken up and given, also while an answer that ends lies under the
/// first name; what ends is not taken up there, and the CA is not missed by who signs.
#[tokio::test]
async fn final_answers_under_another_name_of_the_ca_are_given() {
    let mut zones = ended();
    zones.sign(START);
    assert!(zones.refused(START).is_empty());
    let renewed = authority_of(&zones.ca, "renewed");
    let both = vec![zones.authority(), Arc::clone(&renewed)];
    zones.authorities = Authorities::new(both.clone(), 2);
    let folder = zones.folder.path().join("presigned/renewed");
    fs::create_dir_all(&folder).unwrap();
    let put = |zones: &Zones, number: u32| {
        let from = zones.file(Wave::of(&serial(number)));
        fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    };
    put(&zones, 1);
    let kept = fs::read(zones.file(Wave::of(&serial(0)))).unwrap();
    let path = carry(&zones, forever(0, CertStatus::Good), &signer(&zones), START + 20);
    put(&zones, 0);
    fs::write(path, kept).unwrap();
    let mut codes = Vec::new();
    let mut refuse = |error: &StockError| codes.push(error.code());
    zones.keeper.step(&renewed, DelegateSource::Shared, at(START + 20), &mut refuse);
    assert!(codes.is_empty(), "{codes:?}");
    assert!(zones.stock.find(&renewed, &serial(1)).is_none());

    let responder = responder(&zones, both, AnswerSource::Stock(Arc::clone(&zones.stock)));
    assert!(responder.has_final("person3") && responder.has_final("renewed"));
    let OcspResponse::Basic(basic) = asked(&responder, &renewed, 0, CertIdHash::Sha256).await
    else {
        panic!("no answer")
    };
    assert!(basic.answers.iter().all(|one| one.next_update == Some(UnixTime::LAST)));

    zones.delegates.set("person3", Vec::new());
    zones.beat(START + 30 * DAY, &[]);
    zones.sign(START + 30 * DAY);
    assert_eq!(zones.presigner.figures.figures(at(START + 30 * DAY))[3], 0, "it is not unsigned");
}

/// Where no delegate lives and the log is not fresh, the final answer is given, with its 9999, as long as it says what the log says; and nothing
/// else is.
#[tokio::test]
async fn a_final_answer_needs_neither_a_delegate_nor_a_fresh_checkpoint() {
    let mut zones = ended();
    let signer = signer(&zones);
    carry(&zones, forever(0, CertStatus::Good), &signer, START + 20);
    assert!(zones.refused(START + 20).is_empty());
    let (service, finals) = (zones.token.clone(), Arc::clone(&zones.stock));
    let source = AnswerSource::Keys { service, finals };
    let responder = responder(&zones, vec![zones.authority()], source);
    let authority = zones.authority();
    let ask = async |number, hash| asked(&responder, &authority, number, hash).await;
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256, CertIdHash::Sha1] {
        let OcspResponse::Basic(basic) = ask(0, hash).await else { panic!("no answer") };
        basic.verify(signer.public_key()).unwrap();
        for one in &basic.answers {
            assert_eq!(one.status, CertStatus::Good);
            assert_eq!(one.next_update, Some(UnixTime::LAST));
        }
    }
    // tryLater
    let refused = OcspResponse::Refused(3);
    for (number, hash) in [(1, CertIdHash::Sha1), (7, CertIdHash::Sha1), (0, CertIdHash::Sha512)] {
        assert_eq!(ask(number, hash).await, refused, "{number}");
    }
    zones.beat(START + 30, &[revoked(0)]);
    assert_eq!(ask(0, CertIdHash::Sha1).await, refused, "the log says another thing");
}
