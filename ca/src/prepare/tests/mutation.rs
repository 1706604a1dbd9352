//! Every octet of every profile's certificate is somebody's: altered, it is a finding of the linter or a difference
//! from the order.

use x509::certificate::Certificate;
use x509::signing::assemble;

use super::golden;
use crate::prepare::agreement::{self, Expected, Part};
use crate::prepare::{Disagreement, KeySource, PrepareError, Prepared, Signer, judgement};
use crate::testing::{Ask, TestKey};

/// The finished certificate that `ask` was prepared to.
pub(super) fn finished_of(ask: &Ask<'_>, prepared: &Prepared) -> Vec<u8> {
    let KeySource::Proven(key) = ask.key else { panic!("a proven key") };
    let (signer, algorithm) = match ask.signer {
        Signer::Issuer(issuer) => (issuer.public_key(), issuer.algorithm()),
        Signer::Itself(algorithm) => (key, algorithm),
    };
    let placeholder = algorithm.placeholder(signer.key_type());
    assemble(prepared.pending().bytes().unwrap(), algorithm, &placeholder).unwrap()
}

/// A finished certificate of `ask` and what it is compared with.
pub(super) fn with_finished<T>(ask: &Ask<'_>, run: impl FnOnce(&[u8], &Expected<'_>) -> T) -> T {
    let prepared = ask.prepare().unwrap();
    let KeySource::Proven(key) = ask.key else { panic!("a proven key") };
    let finished = finished_of(ask, &prepared);
    let certificate = Certificate::from_der(&finished).unwrap();
    let facts = prepared.facts();
    ask.with(|preparation| {
        let expected = Expected {
            preparation,
            fields: &facts.fields,
            key,
            issuer: certificate.issuer(),
            validity: facts.validity,
        };
        run(&finished, &expected)
    })
}

/// Judges an altered certificate as production does. What the profile fixes is the linter's to find; where it finds
/// nothing, the order must know a part that is another, and not only a reader that gave up.
#[derive(Default)]
struct Tally {
    by_linter: usize,
    by_order: usize,
    unseen: Vec<String>,
}

impl Tally {
    fn judge(&mut self, altered: &[u8], expected: &Expected<'_>, what: impl FnOnce() -> String) {
        if !judgement::findings(altered, expected.preparation).is_empty() {
            self.by_linter += 1;
        } else if let Err(Disagreement::Part { .. }) = agreement::check(altered, expected) {
            self.by_order += 1;
        } else {
            self.unseen.push(what());
        }
    }

    fn assert(&self, by_the_linter: usize, by_the_order: usize) {
        let Self { by_linter, by_order, unseen } = self;
        assert!(unseen.is_empty(), "{unseen:#?}");
        assert!(
            *by_linter > by_the_linter && *by_order > by_the_order,
            "{by_linter} and {by_order}"
        );
    }
}

/// PRO-03: one bit of each octet, the placeholder signature excepted, in every shipped profile.
#[test]
fn no_octet_of_any_profile_can_be_another() {
    let mut tally = Tally::default();
    golden::each(|name, ask| {
        with_finished(ask, |finished, expected| {
            assert!(judgement::judge(finished, expected).is_ok(), "{name}");
            let certificate = Certificate::from_der(finished).unwrap();
            for place in 0..finished.len() - certificate.signature().len() {
                let mut altered = finished.to_vec();
                altered[place] ^= 1;
                let octet = finished[place];
                tally.judge(&altered, expected, || format!("{name}: octet {place}, {octet:02x}"));
            }
        });
    });
    tally.assert(5_000, 500);
}

/// PRO-03: each element left out, written twice, or changed places with the one after it.
#[test]
fn no_element_of_any_profile_can_go_double_or_move() {
    let mut tally = Tally::default();
    golden::each(|name, ask| {
        with_finished(ask, |finished, expected| {
            let whole = Element::read(finished).remove(0);
            assert_eq!(whole.encode(), finished, "{name}");
            for place in 0..whole.count() {
                for (what, change) in CHANGES {
                    let mut altered = whole.clone();
                    altered.alter(&mut { place }, change);
                    let altered = altered.encode();
                    if altered != finished {
                        tally.judge(&altered, expected, || format!("{name}: {place} {what}"));
                    }
                }
            }
        });
    });
    tally.assert(2_000, 5);
}

type Change = fn(&mut Vec<Element>, usize);

const CHANGES: [(&str, Change); 3] = [
    ("left out", |parts, at| drop(parts.remove(at))),
    ("twice", |parts, at| parts.insert(at, parts[at].clone())),
    ("after the next", |parts, at| {
        let next = parts.len().min(at + 2) - 1;
        parts.swap(at, next);
    }),
];

/// A TLV; an OCTET STRING's contents are elements where they can be.
#[derive(Clone, Debug)]
struct Element {
    tag: u8,
    leaf: Vec<u8>,
    parts: Vec<Self>,
}

impl Element {
    fn read(mut octets: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        while let Some((element, rest)) = Self::first(octets) {
            found.push(element);
            octets = rest;
        }
        if octets.is_empty() { found } else { Vec::new() }
    }

    fn first(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (tag, length) = (*octets.first()?, *octets.get(1)?);
        let (header, length) = match length {
            0x81 => (3, usize::from(*octets.get(2)?)),
            0x82 => (4, usize::from(*octets.get(2)?) * 256 + usize::from(*octets.get(3)?)),
            short => (2, usize::from(short)),
        };
        let (whole, rest) = octets.split_at_checked(header + length)?;
        let leaf = whole[header..].to_vec();
        let parts = if tag & 0x20 != 0 || tag == 4 { Self::read(&leaf) } else { Vec::new() };
        Some((Self { tag, leaf, parts }, rest))
    }

    fn encode(&self) -> Vec<u8> {
        let parts: Vec<u8> = self.parts.iter().flat_map(Self::encode).collect();
        let content = if self.parts.is_empty() { &self.leaf } else { &parts };
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let header = match (length, content.len()) {
            ([_, short], 0..=0x7f) => vec![short],
            ([_, long], 0x80..=0xff) => vec![0x81, long],
            ([high, low], _) => vec![0x82, high, low],
        };
        [&[self.tag][..], &header, content].concat()
    }

    /// Elements below this one.
    fn count(&self) -> usize {
        self.parts.iter().map(|part| 1 + part.count()).sum()
    }

    /// Changes the element below this one that `place` counts down to.
    fn alter(&mut self, place: &mut usize, change: Change) {
        for at in 0..self.parts.len() {
            if *place == 0 {
                *place = usize::MAX;
                change(&mut self.parts, at);
                // An element that has lost its last part holds nothing, rather than what it held.
                self.leaf.clear();
                return;
            }
            *place -= 1;
            self.parts[at].alter(place, change);
            if *place == usize::MAX {
                return;
            }
        }
    }
}

/// PRO-03: what the linter cannot know: each part that an order decides, sound in itself and yet another.
#[test]
fn what_the_order_says_is_compared() {
    let key = TestKey::new();
    golden::each(|name, ask| {
        let disagreement = |change: &dyn Fn(&mut Ask<'_>)| {
            let mut other = ask.clone();
            change(&mut other);
            with_finished(&other, |finished, _| {
                with_finished(ask, |_, expected| agreement::check(finished, expected))
            })
        };
        let another = |part| Err(Disagreement::Part { part });

        assert_eq!(disagreement(&|_| ()), Ok(()), "{name}");
        assert_eq!(disagreement(&|ask| ask.serial[3] ^= 4), another(Part::Serial), "{name}");
        assert_eq!(disagreement(&|ask| ask.now += 1), another(Part::Validity), "{name}");
        if name == "function" {
            let dns = |ask: &mut Ask<'_>| ask.fields.dns.swap(0, 1);
            assert_eq!(disagreement(&dns), another(Part::AlternativeNames), "{name}");
        }
        if ask.fields.card_number.is_some() {
            let number = |ask: &mut Ask<'_>| {
                ask.fields.card_number = Some("9752269874512325444".to_owned());
            };
            let parts = [another(Part::CardNumber), another(Part::Subject)];
            assert!(parts.contains(&disagreement(&number)), "{name}");
        }
        if ask.fields.organization.is_some() {
            let named = |ask: &mut Ask<'_>| ask.fields.organization = Some("Region X".to_owned());
            // What signs itself has its subject as its issuer.
            let part =
                if matches!(ask.signer, Signer::Itself(_)) { Part::Issuer } else { Part::Subject };
            assert_eq!(disagreement(&named), another(part), "{name}");
        }
        if ask.profile.keys().contains(&key.public.key_type()) {
            let rekeyed = with_finished(ask, |finished, expected| {
                agreement::check(finished, &Expected { key: &key.public, ..*expected })
            });
            assert_eq!(rekeyed, another(Part::Key), "{name}");
        }
    });
}

/// A certificate that cannot be read back is no certificate of the order.
#[test]
fn refuses_what_cannot_be_read_back() {
    golden::each(|name, ask| {
        with_finished(ask, |finished, expected| {
            let cut = &finished[..finished.len() - 1];

            let refused = agreement::check(cut, expected);

            assert!(matches!(refused, Err(Disagreement::Unreadable { .. })), "{name}");
            assert_eq!(PrepareError::from(refused.unwrap_err()).refusal().code, "order-disagrees");
        });
    });
}
