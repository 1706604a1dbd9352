//! What is told of mechanisms and objects instead of the truth.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CKM_ECDSA, CKM_ECDSA_SHA256,
    CKM_ECDSA_SHA384, CKM_ECDSA_SHA512, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY,
};

use crate::script::{Class, Ecdsa, Script};
use crate::sessions::Hash;

/// ECDSA with the laboratory's own hashing.
const HASHED: [(CK_MECHANISM_TYPE, Hash); 3] = [
    (CKM_ECDSA_SHA256, Hash::Sha256),
    (CKM_ECDSA_SHA384, Hash::Sha384),
    (CKM_ECDSA_SHA512, Hash::Sha512),
];

/// What an attribute is told to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: the device does not know it.
    Nothing,
    /// These octets.
    Octets(Vec<u8>),
    /// What the next object of the class has.
    OfNext,
}

/// An object as lies are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) class: Option<CK_OBJECT_CLASS>,
    pub(crate) label: Option<String>,
}

impl Object {
    fn is(&self, class: Option<Class>, label: Option<&String>) -> bool {
        let class = class.map(|class| match class {
            Class::Private => CKO_PRIVATE_KEY,
            Class::Public => CKO_PUBLIC_KEY,
        });
        (class.is_none() || class == self.class)
            && (label.is_none() || label == self.label.as_ref())
    }
}

impl Script {
    /// What is told of an attribute; `None`: the truth.
    pub(crate) fn told(&self, kind: CK_ATTRIBUTE_TYPE, object: &Object) -> Option<Told> {
        let lie = self
            .attribute
            .iter()
            .find(|lie| lie.kind.0 == kind && object.is(lie.class, lie.label.as_ref()))?;
        match &lie.value {
            _ if lie.hidden => Some(Told::Nothing),
            _ if lie.of_next => Some(Told::OfNext),
            Some(value) => Some(Told::Octets(value.0.clone())),
            None => None,
        }
    }

    pub(crate) fn hides(&self, object: &Object) -> bool {
        self.hide.iter().any(|hidden| object.is(hidden.class, hidden.label.as_ref()))
    }

    /// The mechanisms that a token offers, from those that it has.
    pub(crate) fn offered(&self, real: Vec<CK_MECHANISM_TYPE>) -> Vec<CK_MECHANISM_TYPE> {
        let mut offered = real;
        if matches!(self.mechanisms.ecdsa, Some(Ecdsa::Hashed | Ecdsa::Both)) {
            let missing = HASHED.iter().map(|(hashed, _)| *hashed);
            let missing: Vec<_> = missing.filter(|hashed| !offered.contains(hashed)).collect();
            offered.extend(missing);
        }
        offered.retain(|mechanism| !self.refuses(*mechanism));
        offered
    }

    pub(crate) fn refuses(&self, mechanism: CK_MECHANISM_TYPE) -> bool {
        let is_hashed = HASHED.iter().any(|(hashed, _)| *hashed == mechanism);
        self.mechanisms.refuse.iter().any(|refused| refused.0 == mechanism)
            || match self.mechanisms.ecdsa {
                Some(Ecdsa::Raw) => is_hashed,
                Some(Ecdsa::Hashed) => mechanism == CKM_ECDSA,
                Some(Ecdsa::Both) | None => false,
            }
    }

    /// Whether what is signed so is wrong.
    pub(crate) fn spoils(&self, mechanism: CK_MECHANISM_TYPE) -> bool {
        self.mechanisms.spoil.iter().any(|spoiled| spoiled.0 == mechanism)
    }

    /// The mechanism that the real module is asked for in its place.
    pub(crate) fn real_mechanism(&self, mechanism: CK_MECHANISM_TYPE) -> CK_MECHANISM_TYPE {
        self.hash_for(mechanism).map_or(mechanism, |_| CKM_ECDSA)
    }

    /// As [`Self::real_mechanism`], for the octets of a list of them.
    pub(crate) fn real_mechanisms(&self, list: &[u8]) -> Vec<CK_MECHANISM_TYPE> {
        let (words, _) = list.as_chunks();
        let told = words.iter().map(|word| CK_MECHANISM_TYPE::from_ne_bytes(*word));
        told.map(|mechanism| self.real_mechanism(mechanism)).collect()
    }

    /// How the laboratory hashes for a mechanism.
    pub(crate) fn hash_for(&self, mechanism: CK_MECHANISM_TYPE) -> Option<Hash> {
        self.mechanisms.ecdsa.filter(|ecdsa| *ecdsa != Ecdsa::Raw)?;
        HASHED.iter().find(|(hashed, _)| *hashed == mechanism).map(|(_, hash)| *hash)
    }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CKA_EXTRACTABLE, CKA_LABEL, CKM_RSA_PKCS};

    use super::*;

    #[test]
    fn lies_are_told_of_the_named_objects_only() {
        let script = Script::parse(
            "[[attribute]]\nclass = \"private\"\nlabel = \"a\"\ntype = \"CKA_EXTRACTABLE\"\nvalue = true\n\
             [[hide]]\nclass = \"public\"",
        )
        .unwrap();
        let object = |class, label: &str| Object { class: Some(class), label: Some(label.into()) };

        let told = |kind, object| script.told(kind, &object);
        assert_eq!(
            told(CKA_EXTRACTABLE, object(CKO_PRIVATE_KEY, "a")),
            Some(Told::Octets(vec![1]))
        );
        assert_eq!(told(CKA_EXTRACTABLE, object(CKO_PRIVATE_KEY, "b")), None);
        assert_eq!(told(CKA_EXTRACTABLE, object(CKO_PUBLIC_KEY, "a")), None);
        assert_eq!(told(CKA_LABEL, object(CKO_PRIVATE_KEY, "a")), None);
        assert!(script.hides(&object(CKO_PUBLIC_KEY, "a")));
        assert!(!script.hides(&object(CKO_PRIVATE_KEY, "a")));
    }

    #[test]
    fn a_hashing_device_knows_no_raw_ecdsa() {
        let script = Script::parse("[mechanisms]\necdsa = \"hashed\"").unwrap();

        assert_eq!(
            script.offered(vec![CKM_ECDSA]),
            [CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512]
        );
        assert_eq!(script.hash_for(CKM_ECDSA_SHA384), Some(Hash::Sha384));
        let list = [CKM_ECDSA_SHA384, CKM_RSA_PKCS].map(CK_MECHANISM_TYPE::to_ne_bytes).concat();
        assert_eq!(script.real_mechanisms(&list), [CKM_ECDSA, CKM_RSA_PKCS]);
        assert_eq!(Script::default().hash_for(CKM_ECDSA_SHA384), None);
    }
}
