//! The taking up of a responder's identity key: its public half goes out, for whoever runs the CA to pin.

use anyhow::Context as _;
use ceremony_core::attendance::{TAKEN_UP_UNREAD, TO_BE_TAKEN_UP};
use ceremony_core::plan::{RelativeFile, Role, Word};
use ceremony_core::transcript::{Fact, Kind};
use ceremony_core::words::Fingerprint;

use super::{Ceremony, Holders, file};
use crate::home::replace;

impl Ceremony<'_> {
    /// The key is in its token and proves itself, its public half is written, and a witness compares the hash by which it will be pinned. Done twice it is
    /// the same.
    pub(super) fn enrol(&mut self, key_of: &Word, out: &RelativeFile) -> anyhow::Result<()> {
        let (key, token) = self.keys.get(key_of).context("the key was not made")?.clone();
        self.token(token)?.prove(&key)?;
        let name = file(out.as_str());
        let path = self.with.home.out(&name);
        replace(&path, key.spki_der())?;
        let hash = Fingerprint::of(key.spki_der());
        let (what, who) = match self.holders {
            Holders::Keys(_) => (TAKEN_UP_UNREAD, Vec::new()),
            Holders::Room(room) => {
                room.read_back(&name, &path, &hash)?;
                (TO_BE_TAKEN_UP, self.transcript.present(Role::Witness))
            }
        };
        let facts = [("sha256", Fact::from(hash.to_string())), ("what", what.into())];
        Ok(self.transcript.write_of(Kind::Readback, who, &facts)?)
    }
}
