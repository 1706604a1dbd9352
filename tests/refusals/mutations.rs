//! Good requests with one octet changed: none of them proves possession of anything.

use support::budget;
use support::suite::Check;

use crate::World;
use crate::crowd::{self, Doubtful};
use crate::requests::{asking, base64, function, made, p256};
use crate::running::Call;

pub const CHECKS: &[Check<World>] = &[("no_changed_octet_of_a_request_is_believed", changed)];

/// Of the draw; the requests themselves are of fresh keys, and a finding shows its own.
const SEED: u64 = 0x5160_1113_2026_1122;

/// ISS-13: every octet of a request is part of what is signed, or of the signature, or is fixed by DER. So no
/// request in which one octet is another one gives a certificate, and none troubles the server.
fn changed(world: &World) {
    let good = [
        p256(),
        made(&["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], &["-sha384"]),
        made(&["rsa:2048"], &["-sha256"]),
        asking("subjectAltName=DNS:elsewhere.example.org"),
    ];
    for request in &good {
        let answer = world.server.call(&Call::order(&function(&base64(request))));
        assert_eq!(answer.status, 201, "unchanged it is good: {answer:?}");
    }
    let mut draw = Draw(SEED);
    let doubtful: Vec<Doubtful> = (0..budget::count("request-mutations"))
        .map(|number| {
            let mut request = draw.one_of(&good).clone();
            let at = draw.below(request.len());
            let other = 1 + u8::try_from(draw.below(255)).expect("below 255");
            request[at] ^= other;
            let request = base64(&request);
            let name = format!("mutation {number}, octet {at} xor {other:#04x} of {request}");
            Doubtful { name, order: function(&request) }
        })
        .collect();

    let codes = crowd::refused(world, "mutations", &doubtful);

    // All layers are met: DER, the proof, and what stands before either.
    for code in ["csr-malformed", "csr-possession"] {
        assert!(codes.contains_key(code), "none was refused by {code}: {codes:?}");
    }
}

/// Numbers that are the same in every run: splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit).expect("a length")).expect("a length")
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
