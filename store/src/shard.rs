//! Shards of CRLs as rows: which certificates share a small list beside the full one.

use crl::ShardNumber;
use status::{IssuerId, Position};
use x509::time::UnixTime;

use crate::StoreError;
use crate::crl::{CrlRow, CrlScope, RevokedSnapshot};

impl From<ShardNumber> for CrlScope {
    fn from(number: ShardNumber) -> Self {
        Self(number.to_string())
    }
}

/// A shard and how its list stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlShard {
    /// Which of its issuer's.
    pub number: ShardNumber,
    /// The URL in its certificates and in its list, to the octet.
    pub url: String,
    /// How many certificates it still takes.
    pub places: u32,
    /// From when on it takes none; `None` while it has none yet.
    pub ends: Option<UnixTime>,
    /// The latest notAfter of a certificate that is, or may be, in it.
    pub last_end: Option<UnixTime>,
    /// The position of the last status entry of such a certificate.
    pub changed: Option<Position>,
    /// Its list of the highest number.
    pub list: Option<CrlRow>,
}

/// Places in a shard that nobody else gives away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlaces {
    /// Which shard.
    pub number: ShardNumber,
    /// Its URL.
    pub url: String,
    /// How many.
    pub count: u32,
    /// From when on none of them is taken.
    pub ends: UnixTime,
}

/// The part of [`Store`](crate::Store) that knows the shards of CRLs.
pub trait CrlShards {
    /// All shards of an issuer, by number.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], storage errors.
    fn crl_shards(&self, issuer: IssuerId) -> Result<Vec<CrlShard>, StoreError>;

    /// Opens a shard with so many places. One that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], [`StoreError::OfflineIssuer`], storage errors.
    fn open_crl_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        url: &str,
        places: u32,
    ) -> Result<(), StoreError>;

    /// Takes at most `most` places in the first shard that has some at `now` and whose list stands published. A shard's time,
    /// `window`, begins with its first place. `None` where no shard is ready.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], storage errors.
    fn take_shard_places(
        &self,
        issuer: IssuerId,
        most: u32,
        window: std::time::Duration,
        now: UnixTime,
    ) -> Result<Option<ShardPlaces>, StoreError>;

    /// Takes no further certificates into a shard.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], [`StoreError::UnknownShard`], storage errors.
    fn close_crl_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// Takes in a shard that was published and that this database, put back from a backup, does not know; it has no places.
    /// One that is known stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Self::open_crl_shard`].
    fn know_crl_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        url: &str,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// As [`Store::revoked`](crate::Store::revoked), of the certificates that are in a shard, or may be: those that a restored
    /// database knows by their serial number alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownIssuer`], storage errors.
    fn revoked_in_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        not_expired_before: UnixTime,
        read: &mut dyn FnMut(RevokedSnapshot<'_>),
    ) -> Result<(), StoreError>;
}
