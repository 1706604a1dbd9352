//! What no program with a user PIN can measure. Each row says why, and what was measured by hand on
//! SoftHSM 2.6.1, so that whoever has another token knows what to ask its vendor.

use super::checks::{Check, Run};

pub(super) const CHECKS: [Check; 8] = [
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
        id: "HP-92",
        title: "security officer sets a new user PIN",
        expected: "the new PIN signs with the old keys",
        clause: "PKCS#11 v3.1 §5.5, C_InitPIN",
        run: Run::NotProbed(
            "needs the security officer's PIN, which a probe never has; SoftHSM 2.6.1: works",
        ),
    },
    Check {
        id: "HP-93",
        title: "initialising the token again",
        expected: "wipes all objects, and a wrong security officer's PIN is refused",
        clause: "PKCS#11 v3.1 §5.5, C_InitToken; KEY-08",
        run: Run::NotProbed(
            "would wipe the token; SoftHSM 2.6.1: wipes, the serial stays; a wrong PIN of the \
             security officer: PIN_INCORRECT",
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
            "the probe would have to kill the process that it is; SoftHSM 2.6.1, 120 kills at EC: 1 \
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
        id: "HP-69",
        title: "lock-out after wrong PINs",
        expected: "locked after a few, for user and security officer",
        clause: "KEY-04; PKCS#11 v3.1 §3.2, CKF_USER_PIN_LOCKED",
        run: Run::NotProbed(
            "would lock the token; SoftHSM 2.6.1: no lock-out, for neither user nor security officer",
        ),
    },
];
