//! Keys of every type in two tokens of two modules: each is failed over, and back.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hsm::token::TokenName;
use hsm::{KeyPolicy, KeyUse, SigningService as _, Standing, TokenSigner};
use support::softhsm::{MODULE, token_folder};
use support::stop::StopOnDrop;
use support::two_tokens::{PREFERRED, STAND_BY};
use support::{spoken, test_name};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::pem;

use crate::standby::{Pair, second_module, sign_telling, until};

/// Types of key, and how a CA of each signs. P-256 is shown by the tests in `standby`.
const KINDS: [(KeyType, SignatureAlgorithm); 5] = [
    (KeyType::Rsa { bits: 2048 }, SignatureAlgorithm::RsaPkcs1Sha256),
    (KeyType::Rsa { bits: 3072 }, SignatureAlgorithm::RsaPssSha384),
    (KeyType::Rsa { bits: 4096 }, SignatureAlgorithm::RsaPkcs1Sha512),
    (KeyType::EcP384, SignatureAlgorithm::EcdsaP384Sha384),
    (KeyType::Ed25519, SignatureAlgorithm::Ed25519),
];
/// A caller's pause between two signatures.
const BETWEEN: Duration = Duration::from_millis(40);
/// Signatures by a token that show that it is asked.
const SOME: u64 = 3;

/// A signature as its caller got it.
struct Signed {
    kind: usize,
    text: String,
    signature: Vec<u8>,
}

/// What both tokens did with a key.
struct Uses {
    preferred: KeyUse,
    stand_by: KeyUse,
}

impl Uses {
    fn of(signer: &TokenSigner, pair: &Pair, key: &PublicKey) -> Self {
        let of = |token: &TokenName| {
            let mut uses = signer.uses().into_iter();
            uses.find(|used| used.key == key.spki_hash() && used.token == *token).unwrap()
        };
        Self { preferred: of(&pair.preferred), stand_by: of(&pair.stand_by) }
    }

    fn standings(&self) -> (Standing, Standing) {
        (self.preferred.standing, self.stand_by.standing)
    }

    fn signatures(&self) -> (u64, u64) {
        (self.preferred.signatures, self.stand_by.signatures)
    }
}

/// KEY-09, KEY-11: two tokens hold five keys, and a caller for each signs all the time. The preferred
/// token goes away and comes back, and so does the one that stands by. Every call gets one signature, and
/// OpenSSL verifies each.
#[test]
fn keys_of_every_type_are_failed_over_and_back_under_load() {
    let test = test_name!(keys_of_every_type_are_failed_over_and_back_under_load);
    let types = KINDS.map(|(key_type, _)| key_type);
    Pair::with_keys(test, &types, second_module, |pair| {
        let tokens = [pair.softhsm.tokens(), pair.softhsm.second_tokens()];
        let second = tokens[0].parent().unwrap().join("second-module.so");
        let sources =
            [pair.source(MODULE.as_ref(), &pair.preferred), pair.source(&second, &pair.stand_by)];
        let signer = TokenSigner::new(Duration::from_secs(6));
        for key in &pair.keys {
            let away = signer.add_in_order(&sources, key, KeyPolicy::issuing()).unwrap();
            assert!(away.is_empty(), "{away:?}");
        }
        let uses = || pair.keys.iter().map(|key| Uses::of(&signer, pair, key)).collect::<Vec<_>>();
        // Each key stands so in the two tokens, and the one that is asked has signed since.
        let reach = |wanted: (Standing, Standing)| {
            until(|| uses().iter().all(|it| it.standings() == wanted));
            let before: Vec<_> = uses().iter().map(Uses::signatures).collect();
            let by = |(preferred, stand_by): (u64, u64)| match wanted.0 {
                Standing::Signs => preferred,
                _ => stand_by,
            };
            let signs =
                |(now, before): (&Uses, &(u64, u64))| by(now.signatures()) >= by(*before) + SOME;
            until(|| uses().iter().zip(&before).all(signs));
        };

        let (stop, signed) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let _stop = StopOnDrop(&stop);
            for kind in 0..KINDS.len() {
                let (signer, stop, signed) = (&signer, &stop, &signed);
                scope.spawn(move || sign_until(stop, signer, pair, kind, signed));
            }
            let folders = [token_folder(&tokens[0], PREFERRED), token_folder(&tokens[1], STAND_BY)];
            let away = pair.softhsm.state().join("away");
            reach((Standing::Signs, Standing::StandsBy));

            fs::rename(&folders[0], &away).unwrap();
            reach((Standing::SetAside, Standing::Signs));
            fs::rename(&away, &folders[0]).unwrap();
            reach((Standing::Signs, Standing::StandsBy));

            fs::rename(&folders[1], &away).unwrap();
            // It is asked for nothing, so it is learnt by a proof, as the schedule wants it.
            signer.prove_stand_bys();
            reach((Standing::Signs, Standing::SetAside));
            fs::rename(&away, &folders[1]).unwrap();
            reach((Standing::Signs, Standing::StandsBy));
        });

        let signed = signed.into_inner().unwrap();
        for (kind, used) in uses().iter().enumerate() {
            let made = signed.iter().filter(|one| one.kind == kind).count();
            let (preferred, stand_by) = used.signatures();
            println!(
                "measured: {} = {preferred} by the preferred token, {stand_by} by the other",
                KINDS[kind].0
            );
            assert_eq!(usize::try_from(preferred + stand_by).unwrap(), made, "one for each call");
            assert_eq!((used.preferred.failovers, used.preferred.late), (1, 0));
        }
        openssl_verifies(pair, &signed);
    });
}

fn sign_until(
    stop: &AtomicBool,
    signer: &TokenSigner,
    pair: &Pair,
    kind: usize,
    signed: &Mutex<Vec<Signed>>,
) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let text = format!("certificate {kind} {number}");
        let (signature, _) = sign_telling(signer, &pair.keys[kind], KINDS[kind].1, &text);
        signed.lock().unwrap().push(Signed { kind, text, signature });
        thread::sleep(BETWEEN);
    }
}

fn openssl_verifies(pair: &Pair, signed: &[Signed]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (kind, key) in pair.keys.iter().enumerate() {
        let pem = pem::encode(pem::Label::PublicKey, key.spki_der());
        fs::write(path(&format!("{kind}.pem")), pem).unwrap();
    }
    for one in signed {
        fs::write(path("text"), &one.text).unwrap();
        fs::write(path("signature"), &one.signature).unwrap();
        let key = format!("{}.pem", one.kind);
        let more: &[&str] = match KINDS[one.kind].1 {
            SignatureAlgorithm::RsaPkcs1Sha256 => &["-digest", "sha256"],
            SignatureAlgorithm::RsaPkcs1Sha512 => &["-digest", "sha512"],
            SignatureAlgorithm::EcdsaP384Sha384 => &["-digest", "sha384"],
            SignatureAlgorithm::Ed25519 => &[],
            SignatureAlgorithm::RsaPssSha384 => &[
                "-digest",
                "sha384",
                "-pkeyopt",
                "rsa_padding_mode:pss",
                "-pkeyopt",
                "rsa_pss_saltlen:digest",
            ],
            other => panic!("{other:?} is none of these"),
        };
        let verify = ["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", &key, "-in", "text"];
        let all = [&verify[..], &["-sigfile", "signature"], more].concat();
        // The tool says itself that it is missing.
        let Some(said) = spoken::openssl(folder.path(), &all) else { return };
        assert_eq!(said.code, 0, "{}: {}", one.text, said.text);
    }
    println!("measured: signatures that OpenSSL verified = {}", signed.len());
}
