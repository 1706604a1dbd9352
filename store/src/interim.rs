//! Names of rooms that are still being written.

pub mod crl {
    #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct CrlNumber(pub Vec<u8>);
}
pub mod audit {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditEvent {}
}
