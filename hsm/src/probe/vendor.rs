//! What no program can measure over PKCS#11, or none without spoiling the device. Each row says why, and what was measured by hand on
//! SoftHSM 2.6.1, so that whoever has another token knows what to ask its vendor.

use super::checks::{Check, Run};

pub(super) const CHECKS: [Check; 6] = [
    Check {
        id: "HP-90",
        title: "import of a PKCS#8 file by the vendor's tool",
        expected: "sensitive, not extractable, for signing only",
        clause: "KEY-03; the key lies in clear on the host before",
        run: Run::NotProbed(
            "a vendor's tool, not PKCS#11; softhsm2-util --import takes PKCS#8 plain and encrypted, \
             refuses SEC1 and an id that is there, and makes a sensitive key for signing",
        ),
    },
    Check {
        id: "HP-91",
        title: "import of an AES key file by the vendor's tool",
        expected: "whole, or refused",
        clause: "ceremony by wrapping",
        run: Run::NotProbed(
            "a vendor's tool, not PKCS#11; softhsm2-util --import --aes truncates at a zero octet \
             and after a line feed, and reports success: forbidden",
        ),
    },
    Check {
        id: "HP-94",
        title: "copy of what the token stores on the host",
        expected: "worthless without the device",
        clause: "KEY-01, KEY-04",
        run: Run::NotProbed(
            "the store is not reached over PKCS#11; SoftHSM 2.6.1: a copy of the token folder is a \
             full clone, and one damaged object file can make every search fail (GENERAL_ERROR)",
        ),
    },
    Check {
        id: "HP-95",
        title: "kill during key generation",
        expected: "a whole pair or nothing",
        clause: "KEY-09; a second run meets what the first left",
        run: Run::NotProbed(
            "needs another program that makes keys and is killed, and what it leaves has no label to \
             be found by; SoftHSM 2.6.1, 120 kills at EC: 1 \
             whole, 4 public only, 10 without a name, 107 empty files; 60 at RSA 4096: 6 whole, 1 \
             public only, 1 empty file",
        ),
    },
    Check {
        id: "HP-96",
        title: "attestation, audit log, activation by m of n",
        expected: "there, and used by the ceremony",
        clause: "KEY-01, KEY-04, KEY-14",
        run: Run::NotProbed(
            "vendors' own interfaces, not PKCS#11: ask the vendor; SoftHSM 2.6.1: none of them",
        ),
    },
    Check {
        id: "HP-97",
        title: "lock-out of the security officer after wrong PINs",
        expected: "locked after a few",
        clause: "KEY-04; PKCS#11 v3.1 §3.2, CKF_SO_PIN_LOCKED",
        run: Run::NotProbed(
            "where it locks, the device is of no use any more; SoftHSM 2.6.1: no lock-out",
        ),
    },
];
