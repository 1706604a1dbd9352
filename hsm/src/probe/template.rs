//! An attribute that is itself a template: CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE.
//!
//! The binding (cryptoki 0.12) has no such attributes. Its vendor-defined ones carry octets, and an
//! array of CK_ATTRIBUTE is octets: type, address and length of each value, as machine words.

use cryptoki::object::{Attribute, AttributeType};

/// CKA_WRAP_TEMPLATE.
pub(super) const WRAP: u64 = 0x4000_0211;
/// CKA_UNWRAP_TEMPLATE.
pub(super) const UNWRAP: u64 = 0x4000_0212;

/// CKA_CLASS, with one of the classes below.
pub(super) const CLASS: u64 = 0;
/// CKA_SENSITIVE.
pub(super) const SENSITIVE: u64 = 0x103;
/// CKA_EXTRACTABLE.
pub(super) const EXTRACTABLE: u64 = 0x162;
/// CKO_PRIVATE_KEY.
pub(super) const PRIVATE_KEY: u64 = 3;

/// A template that keeps what its octets point at; it must outlive the call.
pub(super) struct Nested {
    kind: u64,
    values: Vec<(u64, Box<[u8]>)>,
}

impl Nested {
    pub(super) const fn new(kind: u64) -> Self {
        Self { kind, values: Vec::new() }
    }

    pub(super) fn flag(mut self, kind: u64, value: bool) -> Self {
        self.values.push((kind, Box::new([u8::from(value)])));
        self
    }

    pub(super) fn number(mut self, kind: u64, value: u64) -> Self {
        self.values.push((kind, Box::new(value.to_ne_bytes())));
        self
    }

    /// The attribute; valid while `self` is there.
    pub(super) fn attribute(&self) -> Attribute {
        let mut octets = Vec::new();
        for (kind, value) in &self.values {
            octets.extend(kind.to_ne_bytes());
            octets.extend(value.as_ptr().expose_provenance().to_ne_bytes());
            octets.extend(value.len().to_ne_bytes());
        }
        Attribute::VendorDefined((AttributeType::VendorDefined(self.kind), octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_array_of_types_addresses_and_lengths() {
        let nested = Nested::new(UNWRAP).flag(SENSITIVE, true).number(CLASS, PRIVATE_KEY);

        let Attribute::VendorDefined((kind, octets)) = nested.attribute() else { panic!() };

        let words: Vec<u64> = octets
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(u64::from(kind), UNWRAP);
        assert_eq!((words[0], words[2], words[3], words[5]), (SENSITIVE, 1, CLASS, 8));
        assert_ne!(words[1], words[4]);
    }
}
