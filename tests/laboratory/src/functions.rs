//! The functions of PKCS#11 2.40 by name.

use std::str::FromStr;

macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        /// A function of `CK_FUNCTION_LIST`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Function { $($name),* }

        impl Function {
            /// All of them, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, such as `C_SignInit`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => concat!("C_", stringify!($name))),* }
            }
        }
    };
}

functions! {
    Initialize, Finalize, GetInfo, GetFunctionList, GetSlotList, GetSlotInfo, GetTokenInfo,
    GetMechanismList, GetMechanismInfo, InitToken, InitPIN, SetPIN, OpenSession, CloseSession,
    CloseAllSessions, GetSessionInfo, GetOperationState, SetOperationState, Login, Logout,
    CreateObject, CopyObject, DestroyObject, GetObjectSize, GetAttributeValue, SetAttributeValue,
    FindObjectsInit, FindObjects, FindObjectsFinal, EncryptInit, Encrypt, EncryptUpdate,
    EncryptFinal, DecryptInit, Decrypt, DecryptUpdate, DecryptFinal, DigestInit, Digest,
    DigestUpdate, DigestKey, DigestFinal, SignInit, Sign, SignUpdate, SignFinal, SignRecoverInit,
    SignRecover, VerifyInit, Verify, VerifyUpdate, VerifyFinal, VerifyRecoverInit, VerifyRecover,
    DigestEncryptUpdate, DecryptDigestUpdate, SignEncryptUpdate, DecryptVerifyUpdate, GenerateKey,
    GenerateKeyPair, WrapKey, UnwrapKey, DeriveKey, SeedRandom, GenerateRandom, GetFunctionStatus,
    CancelFunction, WaitForSlotEvent,
}

impl FromStr for Function {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|function| function.name() == name);
        found.copied().ok_or_else(|| format!("{name:?} is no function of PKCS#11 2.40"))
    }
}
