//! Keys wrapped and unwrapped again: by which mechanism, to how many octets (ceremony by wrapping).

use cryptoki::error::Error;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType as DeviceKeyType, ObjectClass, ObjectHandle};
use x509::key::KeyType;

use super::bench::{Bench, ID, LABEL, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, call, is_gone, result};
use super::pairs::Pair;
use super::{secrets, sign, software};
use crate::find_key::device_key_type;

const ROUND: &str = "EC P-384, RSA 4096 and AES-256 are wrapped, and open again as the same key";
const NEVER: &str = "refused";

pub(super) const CHECKS: [Check; 12] = [
    Check {
        id: "HP-70",
        title: "CKM_AES_KEY_WRAP (0x2109)",
        expected: ROUND,
        clause: "RFC 3394; PKCS#11 v3.1 §5.18, C_WrapKey",
        run: Run::Calls(key_wrap),
    },
    Check {
        id: "HP-71",
        title: "CKM_AES_KEY_WRAP_PAD (0x210A)",
        expected: ROUND,
        clause: "RFC 5649 or PKCS#7 and RFC 3394, by vendor: HP-72 tells which",
        run: Run::Calls(|bench| moved(bench, &PAD, Wish::All)),
    },
    Check {
        id: "HP-72",
        title: "octets of CKM_AES_KEY_WRAP_PAD, judged in software",
        expected: "RFC 5649 both ways; padding by PKCS#7 is refused",
        clause: "RFC 5649 §3; PKCS#11 v3.0 took the number for PKCS#7 and RFC 3394",
        run: Run::Calls(judged),
    },
    Check {
        id: "HP-73",
        title: "CKM_AES_KEY_WRAP_KWP (0x210B)",
        expected: ROUND,
        clause: "RFC 5649; PKCS#11 v3.1 §5.18",
        run: Run::NotProbed(
            "the PKCS#11 binding (cryptoki 0.12) has no mechanism of this number; SoftHSM 2.6.1: \
             MECHANISM_INVALID, its 0x210A is RFC 5649",
        ),
    },
    Check {
        id: "HP-74",
        title: "CKM_AES_CBC",
        expected: NEVER,
        clause: "no integrity; wraps by luck of length where it wraps at all",
        run: Run::Calls(|bench| moved(bench, &CBC, Wish::Never)),
    },
    Check {
        id: "HP-75",
        title: "CKM_AES_CBC_PAD",
        expected: NEVER,
        clause: "no integrity: a padding oracle",
        run: Run::Calls(|bench| moved(bench, &CBC_PAD, Wish::Never)),
    },
    Check {
        id: "HP-76",
        title: "CKM_AES_GCM",
        expected: "wraps and opens, or is refused",
        clause: "PKCS#11 v3.1 §5.18; no ceremony uses it",
        run: Run::Calls(|bench| moved(bench, &GCM, Wish::Any)),
    },
    Check {
        id: "HP-77",
        title: "CKM_RSA_PKCS (v1.5)",
        expected: NEVER,
        clause: "RFC 8017 §7.2: a padding oracle",
        run: Run::Calls(|bench| moved(bench, &RSA_PKCS, Wish::Never)),
    },
    Check {
        id: "HP-78",
        title: "CKM_RSA_PKCS_OAEP with SHA-1",
        expected: "AES-256 is wrapped and opens",
        clause: "RFC 8017 §7.1; the outer layer of a transport key",
        run: Run::Calls(|bench| moved(bench, &OAEP_SHA1, Wish::Secret)),
    },
    Check {
        id: "HP-79",
        title: "CKM_RSA_PKCS_OAEP with SHA-256",
        expected: "AES-256 is wrapped and opens",
        clause: "RFC 8017 §7.1",
        run: Run::Calls(|bench| moved(bench, &OAEP_SHA256, Wish::Secret)),
    },
    Check {
        id: "HP-80",
        title: "CKM_RSA_AES_KEY_WRAP (0x1054)",
        expected: ROUND,
        clause: "PKCS#11 v3.1 §6.1; transport in one call, without an AES key object",
        run: Run::NotProbed(
            "the PKCS#11 binding (cryptoki 0.12) has no mechanism of this number; SoftHSM 2.6.1: \
             MECHANISM_INVALID; HP-81 does it in two calls",
        ),
    },
    Check {
        id: "HP-81",
        title: "RSA and AES in two calls (OAEP, then 0x210A)",
        expected: "EC P-384 and RSA 4096 move under an RSA transport key",
        clause: "the structure of CKM_RSA_AES_KEY_WRAP; migration way W1",
        run: Run::Calls(two_calls),
    },
];

/// A mechanism that may wrap.
#[derive(Clone, Copy)]
pub(super) struct WrapWay {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    KeyWrap,
    Pad,
    Cbc,
    CbcPad,
    Gcm,
    RsaPkcs,
    OaepSha1,
    OaepSha256,
}

pub(super) const KEY_WRAP: WrapWay = WrapWay { name: "CKM_AES_KEY_WRAP", kind: Kind::KeyWrap };
pub(super) const PAD: WrapWay = WrapWay { name: "CKM_AES_KEY_WRAP_PAD", kind: Kind::Pad };
const CBC: WrapWay = WrapWay { name: "CKM_AES_CBC", kind: Kind::Cbc };
const CBC_PAD: WrapWay = WrapWay { name: "CKM_AES_CBC_PAD", kind: Kind::CbcPad };
const GCM: WrapWay = WrapWay { name: "CKM_AES_GCM", kind: Kind::Gcm };
const RSA_PKCS: WrapWay = WrapWay { name: "CKM_RSA_PKCS", kind: Kind::RsaPkcs };
const OAEP_SHA1: WrapWay = WrapWay { name: "CKM_RSA_PKCS_OAEP with SHA-1", kind: Kind::OaepSha1 };
const OAEP_SHA256: WrapWay =
    WrapWay { name: "CKM_RSA_PKCS_OAEP with SHA-256", kind: Kind::OaepSha256 };

/// All of them.
pub(super) const WAYS: [WrapWay; 8] =
    [KEY_WRAP, PAD, CBC, CBC_PAD, GCM, RSA_PKCS, OAEP_SHA1, OAEP_SHA256];

/// The key that wraps and the key that opens.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) outer: ObjectHandle,
    pub(super) inner: ObjectHandle,
}

impl WrapWay {
    /// Whether the key that wraps is an AES key.
    pub(super) const fn is_aes(&self) -> bool {
        !matches!(self.kind, Kind::RsaPkcs | Kind::OaepSha1 | Kind::OaepSha256)
    }

    /// The probe's key for it.
    pub(super) fn key(&self, bench: &mut Bench) -> Result<Ends, Stop> {
        if self.is_aes() {
            let handle = secrets::kek(bench)?.handle;
            return Ok(Ends { outer: handle, inner: handle });
        }
        let pair = bench.pair(KeyType::Rsa { bits: 4096 }, Use::Move)?;
        Ok(Ends { outer: pair.public, inner: pair.private })
    }

    /// Does `work` with the mechanism.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Mechanism<'_>) -> T) -> T {
        let oaep = |hash, mgf| {
            Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()))
        };
        match self.kind {
            Kind::KeyWrap => work(&Mechanism::AesKeyWrap),
            Kind::Pad => work(&Mechanism::AesKeyWrapPad),
            Kind::Cbc => work(&Mechanism::AesCbc([0; 16])),
            Kind::CbcPad => work(&Mechanism::AesCbcPad([0; 16])),
            Kind::Gcm => {
                let mut iv = [0; 12];
                match GcmParams::new(&mut iv, &[], 128.into()) {
                    Ok(parameters) => work(&Mechanism::AesGcm(parameters)),
                    // Cannot be: twelve octets fit.
                    Err(_) => work(&Mechanism::AesCbcPad([0; 16])),
                }
            }
            Kind::RsaPkcs => work(&Mechanism::RsaPkcs),
            Kind::OaepSha1 => work(&oaep(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1)),
            Kind::OaepSha256 => work(&oaep(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256)),
        }
    }
}

/// What is hoped for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Every kind of key moves.
    All,
    /// AES keys move.
    Secret,
    /// Nothing is wrapped.
    Never,
    /// Whatever it does.
    Any,
}

/// What became of one key.
enum Moved {
    /// It opened as the same key.
    Same(String),
    /// It was wrapped and not opened.
    OneWay(String),
    /// It was not wrapped.
    Refused(String),
}

/// What is wrapped.
#[derive(Clone)]
enum Load {
    Pair(Pair),
    Secret(ObjectHandle),
}

const LOADS: [(&str, Option<KeyType>); 3] = [
    ("EC P-384", Some(KeyType::EcP384)),
    ("RSA 4096", Some(KeyType::Rsa { bits: 4096 })),
    ("AES-256", None),
];

fn moved(bench: &mut Bench, way: &WrapWay, wish: Wish) -> Result<Outcome, Stop> {
    let ends = way.key(bench)?;
    let mut seen = Vec::new();
    let (mut same, mut wrapped, mut secret_moves) = (0_usize, 0_usize, false);
    for (name, key_type) in LOADS {
        let moved = match load(bench, key_type) {
            Ok(load) => there_and_back(bench, way, ends, &load)?,
            Err(Stop::Call(error)) => Moved::Refused(format!("not made, {}", call(&error))),
            Err(stop) => return Err(stop),
        };
        let said = match moved {
            Moved::Same(said) => {
                same = same.saturating_add(1);
                wrapped = wrapped.saturating_add(1);
                secret_moves |= key_type.is_none();
                said
            }
            Moved::OneWay(said) => {
                wrapped = wrapped.saturating_add(1);
                said
            }
            Moved::Refused(said) => said,
        };
        seen.push(format!("{name}: {said}"));
    }
    let seen = seen.join("; ");
    Ok(match wish {
        Wish::Never if wrapped == 0 => Outcome::passed(seen),
        _ if wrapped == 0 => Outcome::unsupported(seen),
        Wish::Never => Outcome::differs(format!("{seen}; never to be used")),
        Wish::Secret if secret_moves => Outcome::passed(seen),
        _ if same == LOADS.len() => Outcome::passed(seen),
        _ => Outcome::differs(seen),
    })
}

fn load(bench: &mut Bench, key_type: Option<KeyType>) -> Result<Load, Stop> {
    match key_type {
        Some(key_type) => Ok(Load::Pair(bench.pair(key_type, Use::Move)?)),
        None => Ok(Load::Secret(secrets::target(bench)?.handle)),
    }
}

fn there_and_back(
    bench: &mut Bench,
    way: &WrapWay,
    ends: Ends,
    load: &Load,
) -> Result<Moved, Stop> {
    let object = match load {
        Load::Pair(pair) => pair.private,
        Load::Secret(handle) => *handle,
    };
    let session = bench.session()?;
    let blob = match way.with(|mechanism| session.wrap_key(mechanism, ends.outer, object)) {
        Ok(blob) => blob,
        Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(error) => return Ok(Moved::Refused(result(&error))),
    };
    let size = format!("{} octets", blob.len());
    let opened = match load {
        Load::Pair(pair) => open_pair(bench, way, ends.inner, &blob, pair)?,
        Load::Secret(handle) => open_secret(bench, way, ends.inner, &blob, *handle)?,
    };
    Ok(match opened {
        Ok(true) => Moved::Same(format!("{size}, opens")),
        Ok(false) => {
            let said = format!("{}: {size} open as another key", way.name);
            return Err(Stop::Row(Outcome::failed(said)));
        }
        Err(error) => Moved::OneWay(format!("{size}, does not open: {}", result(&error))),
    })
}

/// Unwraps a private key by a full template and has it sign: whether it is that of `pair`.
pub(super) fn open_pair(
    bench: &mut Bench,
    way: &WrapWay,
    inner: ObjectHandle,
    blob: &[u8],
    pair: &Pair,
) -> Result<Result<bool, Error>, Stop> {
    let on_token = bench.on_token;
    let signing = sign::way_of(bench, pair)?;
    let session = bench.session()?;
    let template = private_template(pair.key.key_type(), on_token);
    let opened = way.with(|mechanism| session.unwrap_key(mechanism, inner, blob, &template));
    let handle = match opened {
        Ok(handle) => handle,
        Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(error) => return Ok(Err(error)),
    };
    let verified = signing.verified(session, &pair.key, handle, 1)?;
    session.destroy_object(handle)?;
    Ok(Ok(verified == 1))
}

fn open_secret(
    bench: &mut Bench,
    way: &WrapWay,
    inner: ObjectHandle,
    blob: &[u8],
    original: ObjectHandle,
) -> Result<Result<bool, Error>, Stop> {
    let wanted = secrets::fingerprint(bench, original)?;
    let template = secret_template(bench.on_token);
    let session = bench.session()?;
    let opened = way.with(|mechanism| session.unwrap_key(mechanism, inner, blob, &template));
    let handle = match opened {
        Ok(handle) => handle,
        Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(error) => return Ok(Err(error)),
    };
    let found = secrets::fingerprint(bench, handle)?;
    bench.session()?.destroy_object(handle)?;
    Ok(Ok(found == wanted))
}

/// All of a private key's flags stated, as a ceremony states them.
pub(super) fn private_template(key_type: KeyType, on_token: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(device_key_type(key_type)),
        Attribute::Token(on_token),
        Attribute::Label(format!("{LABEL}opened").into_bytes()),
        Attribute::Id(ID.to_vec()),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ]
}

/// An AES key that encrypts, so that it can be compared, and unwraps.
pub(super) fn secret_template(on_token: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(DeviceKeyType::AES),
        Attribute::Token(on_token),
        Attribute::Label(format!("{LABEL}opened").into_bytes()),
        Attribute::Id(ID.to_vec()),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Unwrap(true),
    ]
}

/// The plain PKCS#8 of an extractable key of the probe, and its pair.
fn plain(bench: &mut Bench, kek: &[u8], inner: ObjectHandle) -> Result<(Pair, Vec<u8>), Stop> {
    let pair = bench.pair(KeyType::EcP384, Use::Move)?;
    let session = bench.session()?;
    let blob = PAD.with(|mechanism| session.wrap_key(mechanism, inner, pair.private))?;
    let plain = software::unwrap_rfc5649(kek, &blob)
        .ok_or_else(|| Stop::Row(Outcome::differs("does not open as RFC 5649")))?;
    Ok((pair, plain.to_vec()))
}

fn key_wrap(bench: &mut Bench) -> Result<Outcome, Stop> {
    let mut outcome = moved(bench, &KEY_WRAP, Wish::All)?;
    let kek = secrets::kek(bench)?;
    if let Some(value) = &kek.value
        && let Ok((pair, plain)) = plain(bench, value, kek.handle)
        && let Some(padded) = software::wrap_padded_by_pkcs7(value, &plain)
        && let Ok(true) = open_pair(bench, &KEY_WRAP, kek.handle, &padded, &pair)?
    {
        outcome.seen.push_str("; a blob padded by PKCS#7 opens too");
    }
    Ok(outcome)
}

fn judged(bench: &mut Bench) -> Result<Outcome, Stop> {
    let kek = secrets::kek(bench)?;
    let Some(value) = &kek.value else {
        return Ok(Outcome::skipped("the token takes no AES key from outside"));
    };
    let (pair, plain) = plain(bench, value, kek.handle)?;
    let Some(zeros) = software::zeros_after_der(&plain) else {
        return Ok(Outcome::differs("opens in software, and is no DER with zeros behind it"));
    };
    let made = software::wrap_rfc5649(value, &plain)
        .ok_or_else(|| Stop::Row(Outcome::skipped("no blob could be made in software")))?;
    match open_pair(bench, &PAD, kek.handle, &made, &pair)? {
        Ok(true) => {}
        Ok(false) => return Ok(Outcome::failed("a blob made in software opens as another key")),
        Err(error) => {
            let said = format!("opens in software; one made there: {}", result(&error));
            return Ok(Outcome::differs(said));
        }
    }
    let padded = software::wrap_padded_by_pkcs7(value, &plain)
        .ok_or_else(|| Stop::Row(Outcome::skipped("no blob could be made in software")))?;
    let both = format!("RFC 5649 both ways, {zeros} zero octets behind the DER");
    Ok(match open_pair(bench, &PAD, kek.handle, &padded, &pair)? {
        Ok(_) => Outcome::differs(format!("{both}; padding by PKCS#7 is taken too")),
        Err(error) => Outcome::passed(format!("{both}; padding by PKCS#7: {}", result(&error))),
    })
}

/// The AES key goes under the RSA key, and the private key under the AES key.
fn two_calls(bench: &mut Bench) -> Result<Outcome, Stop> {
    let ends = OAEP_SHA1.key(bench)?;
    let secret = secrets::target(bench)?;
    let on_token = bench.on_token;
    let session = bench.session()?;
    let outer =
        OAEP_SHA1.with(|mechanism| session.wrap_key(mechanism, ends.outer, secret.handle))?;
    let mut seen = Vec::new();
    for (name, key_type) in LOADS.into_iter().filter_map(|(name, kind)| Some((name, kind?))) {
        let pair = bench.pair(key_type, Use::Move)?;
        let session = bench.session()?;
        let blob =
            PAD.with(|mechanism| session.wrap_key(mechanism, secret.handle, pair.private))?;
        let opened = OAEP_SHA1.with(|mechanism| {
            session.unwrap_key(mechanism, ends.inner, &outer, &secret_template(on_token))
        })?;
        match open_pair(bench, &PAD, opened, &blob, &pair)? {
            Ok(true) => seen.push(format!("{name}: {} and {} octets", outer.len(), blob.len())),
            Ok(false) => return Ok(Outcome::failed(format!("{name} opens as another key"))),
            Err(error) => return Ok(Outcome::differs(format!("{name}: {}", result(&error)))),
        }
        bench.session()?.destroy_object(opened)?;
    }
    Ok(Outcome::passed(seen.join("; ")))
}
