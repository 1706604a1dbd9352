//! Sends the log: tiles first, the checkpoint last, and in passes where that takes its time.

use std::io;
use std::time::{Duration, Instant};

use ledger::checkpoint::CheckpointNote;
use ledger::tile::{self, Width};
use status::PublicationPath;

use super::super::connection::{Connection, FileBody};
use super::super::error::PushError;
use super::Host;
use crate::publication::lossy;

/// A pass that took longer is followed by another: its checkpoint has aged, and the host judges it by its time.
const PASS: Duration = Duration::from_secs(2);
/// The most passes before the checkpoint is sent, however old: each one has less to send than the one before.
const PASSES: u32 = 16;

/// A published checkpoint.
struct Published {
    bytes: Vec<u8>,
    size: u64,
}

impl Host {
    /// Sends what the published tree has beyond the host's `size`; how large the log is there then.
    pub(super) async fn push_log(
        &mut self,
        connection: &mut Connection,
        size: u64,
    ) -> Result<u64, PushError> {
        let Some(mut published) = self.published()? else { return Ok(size) };
        if self.taken.as_ref() == Some(&published.bytes) {
            self.abreast = Instant::now();
            return Ok(size);
        }
        let mut sent = size;
        for _ in 0..PASSES {
            if published.size < sent {
                // A tree that is being written again; the host keeps what it has.
                return Ok(size);
            }
            let begun = Instant::now();
            if !self.push_tiles(connection, sent, &published).await? {
                return Ok(size);
            }
            sent = published.size;
            if begun.elapsed() < PASS {
                break;
            }
            let Some(newer) = self.published()? else { return Ok(size) };
            published = newer;
        }
        if published.size != sent {
            // The next look sends what is left.
            return Ok(size);
        }
        let body = FileBody::of(published.bytes.clone());
        let taken = connection.put(&PublicationPath::Checkpoint, body).await;
        // Taken, it covers them; refused, it may be for one that is not there.
        self.carried.clear();
        taken?;
        self.taken = Some(published.bytes);
        self.abreast = Instant::now();
        let host = self.section.name.clone();
        metrics::gauge!("sigill_push_log_size", "host" => host).set(lossy(sent));
        Ok(sent)
    }

    /// Sends the tiles of a published tree that one of `sent` entries has not; false where it is another tree by now.
    async fn push_tiles(
        &mut self,
        connection: &mut Connection,
        sent: u64,
        published: &Published,
    ) -> Result<bool, PushError> {
        for tile in tile::paths_between(sent, published.size) {
            if self.carried.contains(&tile) {
                continue;
            }
            let file = self.feed.folder.tile(&tile);
            let body = match FileBody::open(&file) {
                Ok(body) => body,
                // Swept away after a later checkpoint, which the next look finds.
                Err(_) if self.published()?.is_none_or(|now| now.bytes != published.bytes) => {
                    return Ok(false);
                }
                Err(error) => return Err(PushError::local(file)(error)),
            };
            connection.put(&PublicationPath::Tile(tile), body).await?;
            if tile.width == Width::Full {
                self.carried.insert(tile);
            }
            self.observe();
        }
        Ok(true)
    }

    /// The checkpoint that is published here.
    fn published(&self) -> Result<Option<Published>, PushError> {
        let path = self.feed.folder.checkpoint();
        let bytes = self.feed.folder.read_checkpoint().map_err(PushError::local(&path))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let note = CheckpointNote::open(&bytes, self.feed.key)
            .map_err(|error| PushError::local(path)(io::Error::other(error)))?;
        Ok(Some(Published { size: note.checkpoint().size, bytes }))
    }
}
