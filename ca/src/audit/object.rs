//! What an audit leaf is about, and who did it: ids that mean nothing outside the database.

use std::collections::BTreeSet;

use ledger::Hash;
use status::{IssuerId, Position};
use thiserror::Error;
use x509::key::SpkiHash;

/// The most objects that one leaf names.
pub const MAX_OBJECTS: usize = 16;

/// Who acted. The id is opaque: it is never a name or number of a person, nor computed from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Actor {
    /// Sigill itself: the id of the running program.
    System([u8; 16]),
    /// A client of the API: the id of its configuration.
    Client([u8; 16]),
    /// A person behind a client or at a terminal: a random id that the database maps.
    Person([u8; 16]),
}

impl Actor {
    pub(super) const fn parts(&self) -> (u8, &[u8; 16]) {
        match self {
            Self::System(id) => (1, id),
            Self::Client(id) => (2, id),
            Self::Person(id) => (3, id),
        }
    }

    pub(super) const fn from_parts(kind: u8, id: [u8; 16]) -> Option<Self> {
        match kind {
            1 => Some(Self::System(id)),
            2 => Some(Self::Client(id)),
            3 => Some(Self::Person(id)),
            _ => None,
        }
    }
}

/// Something that an audit leaf is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectId {
    /// `crt_`: the UUID's 16 octets.
    Certificate([u8; 16]),
    /// `ord_`.
    Order([u8; 16]),
    /// `car_`.
    Carrier([u8; 16]),
    /// `eid_`.
    Eid([u8; 16]),
    /// `job_`.
    Job([u8; 16]),
    /// The call, by its correlation id.
    Call([u8; 16]),
    /// A client of the API.
    Client([u8; 16]),
    /// A CA.
    Issuer(IssuerId),
    /// A key.
    Key(SpkiHash),
    /// A document by its SHA-256: a CRL, a request, a plan, a configuration.
    Document(Hash),
    /// An entry of the status log.
    StatusEntry(Position),
    /// `org_`.
    Organisation([u8; 16]),
}

impl ObjectId {
    /// The kind and the id.
    fn octets(self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(33);
        self.write(&mut octets);
        octets
    }

    /// Appends the kind and the id.
    fn write(&self, octets: &mut Vec<u8>) {
        let (kind, id): (u8, &[u8]) = match self {
            Self::Certificate(id) => (1, id),
            Self::Order(id) => (2, id),
            Self::Carrier(id) => (3, id),
            Self::Eid(id) => (4, id),
            Self::Job(id) => (5, id),
            Self::Call(id) => (6, id),
            Self::Client(id) => (7, id),
            Self::Issuer(id) => (8, id.as_bytes()),
            Self::Key(id) => (9, id.as_bytes()),
            Self::Document(id) => (10, id.as_bytes()),
            Self::Organisation(id) => (12, id),
            Self::StatusEntry(position) => {
                octets.push(11);
                octets.extend_from_slice(&position.epoch.to_be_bytes());
                octets.extend_from_slice(&position.index.to_be_bytes());
                return;
            }
        };
        octets.push(kind);
        octets.extend_from_slice(id);
    }

    /// Takes a kind and an id off `octets`.
    fn read(octets: &mut &[u8]) -> Option<Self> {
        let uuid = |octets| take::<16>(octets);
        let hash = |octets| take::<32>(octets);
        let [kind] = take(octets)?;
        Some(match kind {
            1 => Self::Certificate(uuid(octets)?),
            2 => Self::Order(uuid(octets)?),
            3 => Self::Carrier(uuid(octets)?),
            4 => Self::Eid(uuid(octets)?),
            5 => Self::Job(uuid(octets)?),
            6 => Self::Call(uuid(octets)?),
            7 => Self::Client(uuid(octets)?),
            8 => Self::Issuer(IssuerId::from_bytes(hash(octets)?)),
            9 => Self::Key(SpkiHash::from_bytes(hash(octets)?)),
            10 => Self::Document(Hash::from_bytes(hash(octets)?)),
            11 => Self::StatusEntry(Position {
                epoch: u32::from_be_bytes(take(octets)?),
                index: u64::from_be_bytes(take(octets)?),
            }),
            12 => Self::Organisation(uuid(octets)?),
            _ => return None,
        })
    }
}

/// The objects of a leaf: at most [`MAX_OBJECTS`], each once, in the order of their octets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectIds(BTreeSet<Vec<u8>>);

impl ObjectIds {
    /// The objects of one act, so few that a leaf holds them: the compiler counts.
    #[must_use]
    pub fn of_act<const N: usize>(objects: [Option<ObjectId>; N]) -> Self {
        const { assert!(N <= MAX_OBJECTS, "a leaf names at most MAX_OBJECTS objects") };
        Self(objects.into_iter().flatten().map(ObjectId::octets).collect())
    }

    /// The first of them, as many as a leaf holds; the payload has them all.
    #[must_use]
    pub fn first_of(objects: impl IntoIterator<Item = ObjectId>) -> Self {
        Self(objects.into_iter().take(MAX_OBJECTS).map(ObjectId::octets).collect())
    }

    /// Collects objects, in any order; a repeated one counts once.
    ///
    /// # Errors
    ///
    /// [`TooManyObjects`] beyond [`MAX_OBJECTS`].
    pub fn new(objects: impl IntoIterator<Item = ObjectId>) -> Result<Self, TooManyObjects> {
        let mut set = BTreeSet::new();
        for object in objects {
            set.insert(object.octets());
        }
        if set.len() > MAX_OBJECTS {
            Err(TooManyObjects { count: set.len() })
        } else {
            Ok(Self(set))
        }
    }

    /// Returns the objects in their order.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> {
        self.0.iter().filter_map(|octets| ObjectId::read(&mut octets.as_slice()))
    }

    pub(super) fn write(&self, octets: &mut Vec<u8>) {
        octets.push(u8::try_from(self.0.len()).unwrap_or_default());
        self.0.iter().for_each(|object| octets.extend_from_slice(object));
    }

    /// Takes a count and so many objects off `octets`. Their order is the caller's to check.
    pub(super) fn read(octets: &mut &[u8]) -> Option<Self> {
        let [count] = take(octets)?;
        let objects: Vec<ObjectId> =
            (0..count).map(|_| ObjectId::read(octets)).collect::<Option<_>>()?;
        Self::new(objects).ok()
    }
}

/// A leaf names few things.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("audit leaf is about {count} objects, at most 16 fit")]
pub struct TooManyObjects {
    count: usize,
}

/// Takes the first octets off; `None` if there are too few.
pub(super) fn take<const N: usize>(octets: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = octets.split_first_chunk::<N>()?;
    *octets = rest;
    Some(*taken)
}
