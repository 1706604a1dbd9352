//! Shards as the API shows them.

use crl::ShardNumber;
use store::CrlShard;

use crate::denied::Denied;
use crate::service::authority::Authority;
use crate::service::{Service, show};

/// Shards of a page, at most: the entries of each are counted, some ten thousand.
const PAGE: u32 = 100;

impl Service {
    /// The shards of an authority's CRL, by number.
    pub(crate) fn crl_shards(
        &self,
        name: &str,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<api::Page<api::CrlShard>, Denied> {
        let authority = self.authority_named(name)?;
        let after: Option<ShardNumber> = cursor.map(str::parse).transpose().map_err(|_| {
            show::malformed("cursor", &cursor.unwrap_or_default(), "`next` of the page before")
        })?;
        let limit = limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(show::malformed("limit", &limit, "1 to 100"));
        }
        let mut shards = self.shards(authority)?;
        shards.retain(|shard| after.is_none_or(|after| shard.number > after));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = shards.len() > limit;
        shards.truncate(limit);
        let next = shards.last().filter(|_| more).map(|shard| shard.number.to_string());
        let items = shards.iter().map(|shard| self.shown_shard(authority, shard));
        Ok(api::Page { items: items.collect::<Result<_, _>>()?, next })
    }

    fn shown_shard(
        &self,
        authority: &Authority,
        shard: &CrlShard,
    ) -> Result<api::CrlShard, Denied> {
        let (mut entries, mut outcome) = (0_u64, Ok(()));
        let now = self.clock().read().now;
        let read =
            self.store().revoked_in_shard(authority.id, shard.number, now, &mut |snapshot| {
                for row in snapshot.rows {
                    entries = entries.saturating_add(1);
                    if let Err(error) = row {
                        outcome = Err(error);
                        break;
                    }
                }
            });
        read.and(outcome).map_err(|e| self.note_storage(&e))?;
        Ok(api::CrlShard {
            number: shard.number.to_string(),
            url: shard.url.clone(),
            places: shard.places,
            takes_until: shard.ends.map(|time| time.to_string()),
            last_end: shard.last_end.map(|time| time.to_string()),
            entries,
            list: shard.list.as_ref().map(show::list),
        })
    }

    /// Shards of an authority whose lists go on, and the octets of their lists, for forecasts.
    pub(crate) fn shards_going_on(&self, authority: &Authority) -> Result<(u64, u64), Denied> {
        let now = self.clock().read().now;
        let all = self.shards(authority)?;
        let going_on = all.iter().filter(|shard| shard.last_end.is_some_and(|end| end >= now));
        Ok(going_on.fold((0_u64, 0_u64), |(count, octets), shard| {
            let length = shard.list.as_ref().map_or(0, |list| list.length);
            (count.saturating_add(1), octets.saturating_add(length))
        }))
    }
}
