//! Which tokens are software, by what they tell of themselves (KEY-01).
//!
//! The names are data, in software-tokens.txt. A token that lies is not found out here: what keeps it
//! away is that an operator names every token by label and serial number.

use crate::module::Module;
use crate::token::TokenFacts;

/// The names, with their comments.
const NAMES: &str = include_str!("software-tokens.txt");

/// Whether a software token may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftwareTokens {
    /// In environment test alone.
    TestOnly,
    /// Everywhere: the keys of real certificates may lie in a file. An operator has said so.
    DangerAllowed,
}

impl TokenFacts {
    /// Whether it is one of the software tokens that we know of, or stands behind the module of one.
    #[must_use]
    pub fn is_software(&self, module: &Module) -> bool {
        is_named(&format!("{} {}", self.manufacturer, self.model)) || is_named(module.description())
    }
}

/// Whether `words` hold a name of the list; case and the number of blanks do not matter.
fn is_named(words: &str) -> bool {
    let words = words.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    names().any(|name| words.contains(name))
}

fn names() -> impl Iterator<Item = &'static str> {
    NAMES.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_of_the_list_can_be_met() {
        let names: Vec<&str> = names().collect();
        assert!(names.len() > 10, "{names:?}");
        for name in &names {
            assert!(name.len() >= 6, "{name} is so short that it may be met by chance");
            let plain = name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(plain, **name, "no token can be met by another spelling");
            assert!(is_named(&format!("ACME {} v1", name.to_uppercase())), "{name}");
        }
    }

    /// KEY-01: manufacturer and model as these tokens tell them, and as hardware tells them.
    #[test]
    fn tells_software_from_hardware() {
        for software in [
            "SoftHSM project SoftHSM v2",
            "SoftHSM Implementation of PKCS11 2.6 (PKCS#11 2.40)",
            "Kryoptic Project Kryoptic v1",
            "Mozilla Foundation NSS 3",
            "IBM Soft",
            "IBM SW   TPM",
            "Gnome Keyring 1.0",
            "Utimaco IS GmbH CryptoServer Simulator",
        ] {
            assert!(is_named(software), "{software}");
        }
        for hardware in [
            "SafeNet, Inc. LunaSA 7.4",
            "Thales Luna K7",
            "nCipher Corp. Ltd",
            "Utimaco IS GmbH CryptoServer Se-Series",
            "Yubico YubiHSM",
            "IBM EP11",
            "STMicro ST33TPHF2XSPI",
            "Nitrokey NetHSM",
            "PKCS#11 Kit PKCS#11 Kit Proxy Module 1.1 (PKCS#11 2.40)",
            "",
        ] {
            assert!(!is_named(hardware), "{hardware}");
        }
    }
}
