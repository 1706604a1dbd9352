//! A PKCS#11 module that passes every call to another one and, by a script, lets it fail.
//!
//! For tests only; no program links it. The programs load it as their module
//! (`liblaboratory.so`, found by `support::laboratory`), and it loads the real one:
//!
//! | environment          | what it says                                                        |
//! |----------------------|---------------------------------------------------------------------|
//! | `LABORATORY_MODULE`   | the module that calls are passed to                                |
//! | `LABORATORY_SCRIPT`   | the script; read again before each call if the file has changed. No file: nothing is disturbed. A script that cannot be read: every call returns CKR_GENERAL_ERROR, and why stands in `PID.error` |
//! | `LABORATORY_COUNTERS` | a folder for what was counted: `PID.counters` and `PID.signed`     |
//!
//! It speaks PKCS#11 2.40 (no `C_GetInterface`), so callers take its function list.
//!
//! # The script
//!
//! TOML; every key may be left out. Put a new script in place by renaming, so that no half of one is
//! read. Reading a script begins its counts and times anew; what it did to the device stays.
//!
//! ```toml
//! [[fault]]                        # any number; all that match a call strike, in order
//! function = "C_SignInit"          # a name, a list of names, or "*"
//! token = "sg-td-ab12-issuing"     # only calls on the token of this label
//! calls = "1"                      # which matching calls: "all" (default), "3", "2-5", "2-", "every 3"
//! asks = "value"                   # C_Sign and its like are called twice: for the "length", for the "value"
//! after-ms = 100                   # only so long after the script was read ...
//! until-ms = 2000                  # ... and no longer
//! hang-ms = 60000                  # first waits so long
//! hang-until = "/tmp/go"           # first waits until this file is there
//! do = "drop-session"              # then does one thing behind the caller's back (see below)
//! result = "CKR_DEVICE_ERROR"      # returns this, by name or number, and does not pass the call on
//! passed = true                    # passes it on all the same: the device has done it, nobody hears of it
//! flip-bit = 9                     # turns this bit of the signature round
//!
//! [[token]]                        # what is told of tokens
//! label = "sg-td-ab12-issuing"     # of this one only
//! missing = true                   # it is not there: CKR_TOKEN_NOT_PRESENT, its sessions are closed
//! missing-ms = 2000                # so long after the script was read
//! set-flags = ["CKF_USER_PIN_COUNT_LOW"]
//! clear-flags = ["CKF_USER_PIN_LOCKED"]
//!
//! [slots]
//! add = 1000                       # what is added to each slot's number
//! when = "initialise"              # from the next C_Initialize on; default "now"
//!
//! [sessions]
//! most = 4                         # another one is refused with CKR_SESSION_COUNT
//! told-most = 0                    # what CK_TOKEN_INFO says of it (0: no limit)
//! idle-ms = 500                    # one that was not used so long is closed
//! at-once = 1                      # more calls on sessions at once, and the device is dead ...
//! dead = "CKR_DEVICE_ERROR"        # ... with this, until it is initialised again
//!
//! [mechanisms]
//! refuse = ["CKM_RSA_PKCS_PSS"]    # not listed, CKR_MECHANISM_INVALID
//! spoil = ["CKM_ECDSA"]            # signs, and a bit of each such signature is turned round
//! ecdsa = "hashed"                 # "raw": CKM_ECDSA only; "hashed": CKM_ECDSA_SHA256, _SHA384 and _SHA512 only;
//!                                  # "both". The laboratory hashes where the real module does not.
//! most-bits = 2048                 # longer RSA keys, which take their time, are not made: CKR_KEY_SIZE_RANGE
//!
//! [[attribute]]                    # what is told of objects
//! class = "private"                # "private", "public"; default: all
//! label = "issuing"                # of objects with this label only
//! type = "CKA_EXTRACTABLE"
//! value = true                     # a boolean, a number, a text, or octets as "0x..."
//! hidden = true                    # or: the device does not know this attribute
//! of-next = true                   # or: the value of the next object of the same class (labels and ids shuffled)
//!
//! [[hide]]                         # objects that are not found
//! class = "public"
//! label = "issuing"
//! ```
//!
//! `do` is one of: `drop-session` (the call's own), `drop-sessions` (all of its token, or of the module, which
//! logs out as well), `log-out`, `finalise` (as if something else in the process had), `other-key`
//! (C_SignInit: another private key of the same type signs), `abort` (the process dies).
//!
//! # What is counted
//!
//! `PID.counters` has lines `NAME = VALUE`, each changed in place: `calls.C_X` for each function, and
//! [`Counter`]. `PID.signed` has a line for each signature that the real module made: `delivered`,
//! `spoiled` or `withheld`, the mechanism, and the input of C_Sign in hexadecimal, or of long inputs
//! `sha256:` and their hash.

mod counters;
mod device;
mod ffi;
mod functions;
mod lies;
mod names;
mod script;
mod sessions;

pub use counters::{Counted, Counter, Fate, Signed};
pub use functions::Function;
pub use names::RESULTS;
pub use script::{Script, ScriptError};
