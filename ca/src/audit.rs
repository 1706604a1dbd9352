//! Audit leaf v1: what stands in the audit log for every act and refusal.
//!
//! A leaf holds no personal data. Whatever could be is in the payload, to which the leaf commits
//! with a salted hash: deleting payload and salt leaves a log that still verifies and a leaf from
//! which nothing can be guessed. The layout is for ever and is told in docs/formats/audit-leaf.md.

mod event;
mod object;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509::time::UnixTime;

pub use event::{EventCode, UnknownEvent};
use object::take;
pub use object::{Actor, MAX_OBJECTS, ObjectId, ObjectIds, TooManyObjects};

const VERSION: u8 = 1;

/// The longest policy identifier, in content octets.
const MAX_POLICY_LENGTH: usize = 63;

/// What happened, as the rules see it: a leaf without its time and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// What.
    pub code: EventCode,
    /// How it ended.
    pub result: EventResult,
    /// Who.
    pub actor: Actor,
    /// To what.
    pub objects: ObjectIds,
    /// Under which policy, where one applies.
    pub policy: Option<PolicyId>,
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventResult {
    /// It was done.
    Done,
    /// A rule refused it.
    Refused,
    /// It was allowed and could not be done.
    Failed,
}

impl EventResult {
    const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Failed => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Done),
            1 => Some(Self::Refused),
            2 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// A policy: the content octets of its DER object identifier (X.690 §8.19), 1 to 63 of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyId(Vec<u8>);

impl PolicyId {
    /// Takes the content octets of a DER object identifier.
    ///
    /// # Errors
    ///
    /// [`PolicyIdError`] if they are not 1 to 63 octets of arcs in their shortest form.
    pub fn from_content_octets(content: &[u8]) -> Result<Self, PolicyIdError> {
        // Each arc is base 128; all octets but its last have the top bit, and it has no leading zero.
        let mut arcs = content.split_inclusive(|octet| octet & 0x80 == 0);
        let complete = content.last().is_some_and(|octet| octet & 0x80 == 0);
        if !complete
            || content.len() > MAX_POLICY_LENGTH
            || arcs.any(|arc| arc.starts_with(&[0x80]))
        {
            return Err(PolicyIdError);
        }
        Ok(Self(content.to_vec()))
    }

    /// Returns the content octets.
    #[must_use]
    pub fn as_content_octets(&self) -> &[u8] {
        &self.0
    }
}

/// The octets are not an object identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("policy is not 1 to 63 content octets of a DER object identifier")]
pub struct PolicyIdError;

/// What a leaf says about its payload: SHA-256(32-octet salt || payload).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadCommitment([u8; 32]);

impl PayloadCommitment {
    /// Commits to the exact octets of a payload. `salt` is random and used once.
    #[must_use]
    pub fn new(salt: &[u8; 32], payload: &[u8]) -> Self {
        Self(Sha256::new().chain_update(salt).chain_update(payload).finalize().into())
    }

    /// Returns the 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One leaf of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLeaf {
    /// When, by the log: never before the time of an earlier leaf.
    pub time: UnixTime,
    /// What.
    pub event: AuditEvent,
    /// The payload that belongs to it.
    pub payload: PayloadCommitment,
}

impl AuditLeaf {
    /// Writes the leaf: 63 octets, the policy and the objects.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (actor_kind, actor_id) = self.event.actor.parts();
        let policy = self.event.policy.as_ref().map_or(&[][..], PolicyId::as_content_octets);

        let mut octets = vec![VERSION];
        octets.extend_from_slice(&self.event.code.number().to_be_bytes());
        octets.extend_from_slice(&self.time.secs().to_be_bytes());
        octets.extend_from_slice(&[self.event.result.number(), actor_kind]);
        octets.extend_from_slice(actor_id);
        octets.extend_from_slice(&self.payload.0);
        octets.push(u8::try_from(policy.len()).unwrap_or_default());
        octets.extend_from_slice(policy);
        self.event.objects.write(&mut octets);
        octets
    }

    /// Reads a leaf.
    ///
    /// # Errors
    ///
    /// [`LeafParseError`] if the octets are not exactly what [`Self::encode`] writes for some leaf.
    pub fn decode(octets: &[u8]) -> Result<Self, LeafParseError> {
        let mut rest = octets;
        let [version] = take(&mut rest).ok_or(LeafParseError::Truncated)?;
        if version != VERSION {
            return Err(LeafParseError::UnknownVersion { version });
        }
        let code = u16::from_be_bytes(take(&mut rest).ok_or(LeafParseError::Truncated)?);
        let code = EventCode::from_number(code).ok_or(LeafParseError::UnknownEvent { code })?;
        let secs = u64::from_be_bytes(take(&mut rest).ok_or(LeafParseError::Truncated)?);
        let time =
            UnixTime::from_secs(secs).map_err(|_| LeafParseError::TimeOutOfRange { secs })?;
        let [result, kind] = take(&mut rest).ok_or(LeafParseError::Truncated)?;
        let result =
            EventResult::from_number(result).ok_or(LeafParseError::UnknownResult { result })?;
        let actor = Actor::from_parts(kind, take(&mut rest).ok_or(LeafParseError::Truncated)?)
            .ok_or(LeafParseError::UnknownActor { kind })?;
        let payload = PayloadCommitment(take(&mut rest).ok_or(LeafParseError::Truncated)?);
        let policy = read_policy(&mut rest)?;
        let objects = ObjectIds::read(&mut rest).ok_or(LeafParseError::Objects)?;

        let event = AuditEvent { code, result, actor, objects, policy };
        let leaf = Self { time, event, payload };
        // Objects in another order or twice, and octets after them, are not written back.
        if leaf.encode() == octets { Ok(leaf) } else { Err(LeafParseError::NotCanonical) }
    }
}

fn read_policy(rest: &mut &[u8]) -> Result<Option<PolicyId>, LeafParseError> {
    let [length] = take(rest).ok_or(LeafParseError::Truncated)?;
    let (content, after) =
        rest.split_at_checked(usize::from(length)).ok_or(LeafParseError::Truncated)?;
    *rest = after;
    if content.is_empty() {
        return Ok(None);
    }
    Ok(Some(PolicyId::from_content_octets(content)?))
}

/// Why octets are not an audit leaf.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeafParseError {
    /// Too few octets.
    #[error("audit leaf ends early")]
    Truncated,
    /// A later format.
    #[error("audit leaf has version {version}, 1 is known")]
    UnknownVersion { version: u8 },
    /// No such event.
    #[error("audit leaf has event code {code:#06x}, which is not known")]
    UnknownEvent { code: u16 },
    /// A time beyond what certificates can carry.
    #[error("audit leaf has the time {secs}, which is after the year 9999")]
    TimeOutOfRange { secs: u64 },
    /// No such result.
    #[error("audit leaf has result {result}, 0 to 2 are known")]
    UnknownResult { result: u8 },
    /// No such kind of actor.
    #[error("audit leaf has an actor of kind {kind}, 1 to 3 are known")]
    UnknownActor { kind: u8 },
    /// The policy.
    #[error("audit leaf has no proper policy")]
    Policy(#[from] PolicyIdError),
    /// The objects.
    #[error("audit leaf has an unknown or incomplete object, or more than 16")]
    Objects,
    /// Octets that encoding does not write.
    #[error("audit leaf has objects out of order or octets after them")]
    NotCanonical,
}

#[cfg(test)]
mod tests {
    use ledger::Hash;
    use proptest::prelude::*;
    use status::{IssuerId, Position};
    use x509::key::SpkiHash;

    use super::*;

    fn leaf() -> AuditLeaf {
        let objects = [
            ObjectId::StatusEntry(Position { epoch: 1, index: 300 }),
            ObjectId::Order([2; 16]),
            ObjectId::Certificate([1; 16]),
            ObjectId::Issuer(IssuerId::from_bytes([8; 32])),
            ObjectId::Key(SpkiHash::from_bytes([9; 32])),
            ObjectId::Document(Hash::from_bytes([10; 32])),
        ];
        AuditLeaf {
            time: UnixTime::from_secs(1_795_300_000).unwrap(),
            event: AuditEvent {
                code: EventCode::CertificateIssued,
                result: EventResult::Done,
                actor: Actor::Client([0xcc; 16]),
                objects: ObjectIds::new(objects).unwrap(),
                policy: Some(PolicyId::from_content_octets(&[0x88, 0x37, 0x01]).unwrap()),
            },
            payload: PayloadCommitment::new(&[5; 32], b"payload"),
        }
    }

    #[test]
    fn a_leaf_reads_back_whatever_the_order_of_its_objects() {
        let leaf = leaf();
        let octets = leaf.encode();

        assert_eq!(AuditLeaf::decode(&octets), Ok(leaf.clone()));
        assert_eq!(octets.len(), 63 + 3 + 6 + 16 * 2 + 32 * 3 + 12);

        let mut reversed: Vec<ObjectId> = leaf.event.objects.iter().collect();
        reversed.reverse();
        let event = AuditEvent { objects: ObjectIds::new(reversed).unwrap(), ..leaf.event.clone() };
        assert_eq!(AuditLeaf { event, ..leaf }.encode(), octets);
    }

    /// AUD-08: without salt and payload the leaf does not tell which payload it was.
    #[test]
    fn the_commitment_depends_on_the_salt() {
        assert_ne!(
            PayloadCommitment::new(&[1; 32], b"payload"),
            PayloadCommitment::new(&[2; 32], b"payload")
        );
    }

    #[test]
    fn refuses_a_leaf_cut_anywhere_and_one_that_goes_on() {
        let octets = leaf().encode();
        for length in 0..octets.len() {
            assert!(AuditLeaf::decode(&octets[..length]).is_err(), "{length}");
        }
        let longer = [&octets[..], &[0]].concat();
        assert_eq!(AuditLeaf::decode(&longer), Err(LeafParseError::NotCanonical));
    }

    #[test]
    fn refuses_what_encoding_does_not_write() {
        let octets = leaf().encode();
        let objects = 65;
        for (at, value, error) in [
            (0, 2, LeafParseError::UnknownVersion { version: 2 }),
            (1, 0xff, LeafParseError::UnknownEvent { code: 0xff02 }),
            (3, 1, LeafParseError::TimeOutOfRange { secs: (1 << 56) + 1_795_300_000 }),
            (11, 3, LeafParseError::UnknownResult { result: 3 }),
            (12, 0, LeafParseError::UnknownActor { kind: 0 }),
            (62, 0x80, LeafParseError::Policy(PolicyIdError)),
            (objects, 17, LeafParseError::Objects),
            (objects, 7, LeafParseError::Objects),
            (objects, 5, LeafParseError::NotCanonical),
            (objects + 1, 13, LeafParseError::Objects),
            (objects + 1, 3, LeafParseError::NotCanonical),
        ] {
            let mut octets = octets.clone();
            octets[at] = value;
            assert_eq!(AuditLeaf::decode(&octets), Err(error), "{at} {value}");
        }
    }

    #[test]
    fn refuses_the_same_object_twice() {
        let object = ObjectId::Order([2; 16]);
        let event = AuditEvent { objects: ObjectIds::new([object]).unwrap(), ..leaf().event };
        let mut octets = AuditLeaf { event, ..leaf() }.encode();
        let written: Vec<u8> = octets[66..].to_vec();
        octets.extend_from_slice(&written);
        octets[65] = 2;

        assert_eq!(AuditLeaf::decode(&octets), Err(LeafParseError::NotCanonical));
    }

    #[test]
    fn refuses_more_objects_than_fit() {
        let orders = |count: u8| ObjectIds::new((0..count).map(|n| ObjectId::Order([n; 16])));

        assert!(orders(16).is_ok());
        assert!(orders(17).is_err());
    }

    #[test]
    fn refuses_octets_that_are_no_object_identifier() {
        for content in [&[][..], &[0x80, 0x01], &[0x2a, 0x80, 0x01], &[0x2a, 0x86], &[1; 64]] {
            assert_eq!(
                PolicyId::from_content_octets(content),
                Err(PolicyIdError),
                "{content:02x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_octets_are_refused_or_written_back(octets: Vec<u8>, at in 0..170usize, value: u8) {
            let mut changed = leaf().encode();
            if let Some(octet) = changed.get_mut(at) {
                *octet = value;
            }
            for octets in [octets, changed] {
                if let Ok(leaf) = AuditLeaf::decode(&octets) {
                    prop_assert_eq!(leaf.encode(), octets);
                }
            }
        }
    }
}
