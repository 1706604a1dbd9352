//! What is known of the outer hosts, for issuing, readiness and operators.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ca::refusal::Refusal;
use tokio::sync::watch;
use x509::time::UnixTime;

use super::settings::HostSection;
use crate::denied::{Denied, Kind};

/// The outer hosts; none where nothing is pushed.
#[derive(Debug, Default)]
pub(crate) struct OuterHosts {
    hosts: Mutex<BTreeMap<String, HostState>>,
    /// What the log of a host says against the database: the program must end.
    contradiction: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct HostState {
    section: HostSection,
    /// Its log has been compared with the database since the start.
    is_read: bool,
    /// It has not had the last checkpoint for too long.
    is_behind: bool,
}

impl OuterHosts {
    pub(crate) fn of(sections: &[HostSection]) -> Self {
        let state = |section: &HostSection| HostState {
            section: section.clone(),
            is_read: false,
            is_behind: false,
        };
        let hosts = sections.iter().map(|one| (one.name.clone(), state(one))).collect();
        Self { hosts: Mutex::new(hosts), contradiction: watch::Sender::default() }
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, HostState>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log of this host has been compared and fits.
    pub(super) fn has_read(&self, name: &str) {
        if let Some(host) = self.lock().get_mut(name) {
            host.is_read = true;
        }
    }

    pub(super) fn is_read(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|host| host.is_read)
    }

    /// Says whether a host lacks the last checkpoint; true if that is new.
    pub(super) fn tell_behind(&self, name: &str, is_behind: bool) -> bool {
        let mut hosts = self.lock();
        let before =
            hosts.get_mut(name).map(|host| std::mem::replace(&mut host.is_behind, is_behind));
        before.is_some_and(|before| before != is_behind)
    }

    /// Hosts that lack the last checkpoint for longer than they may.
    pub(crate) fn behind(&self) -> Vec<String> {
        self.named(|host| host.is_behind)
    }

    /// Hosts whose log has not been compared since the start.
    pub(crate) fn unread(&self) -> Vec<String> {
        self.named(|host| !host.is_read)
    }

    fn named(&self, wanted: impl Fn(&HostState) -> bool) -> Vec<String> {
        let hosts = self.lock();
        hosts.iter().filter(|(_, host)| wanted(host)).map(|(name, _)| name.clone()).collect()
    }

    /// Refuses to issue as long as a host is waited for: it may have entries that this database lacks
    /// (architecture §2.2). Revocations are taken all the same.
    ///
    /// # Errors
    ///
    /// `outer-host-unread` names the hosts.
    pub(crate) fn may_issue(&self, now: UnixTime) -> Result<(), Denied> {
        let waited = self.named(|host| !host.is_read && host.section.is_waited_for(now));
        if waited.is_empty() {
            return Ok(());
        }
        let refusal = Refusal::new(
            "outer-host-unread",
            "architecture §2.2: what every outer host has published is read back before anything is issued",
            &waited.join(", "),
            "every host read back since the start, or its read-back waived",
            "bring the host back, or write read-back-waived-until into its [[push.host]] and restart",
        );
        Err(Denied::new(Kind::Unavailable, refusal).retry_after(crate::service::COME_BACK))
    }

    /// A host has what this database has not: nothing more may be signed.
    pub(super) fn contradict(&self, why: String) {
        self.contradiction.send_replace(Some(why));
    }

    /// Whether a host has what this database has not.
    pub(super) fn is_contradicted(&self) -> bool {
        self.contradiction.borrow().is_some()
    }

    /// Told of the contradiction, if there is one.
    pub(crate) fn contradiction(&self) -> watch::Receiver<Option<String>> {
        self.contradiction.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(more: &str) -> HostSection {
        toml::from_str(&format!("name = \"o1\"\naddress = \"[::1]:1\"\nkeys = [\"00\"]\n{more}"))
            .unwrap()
    }

    /// Architecture §2.2: an unreachable host stops issuing until it is read, or an operator waives it.
    #[test]
    fn issuing_waits_for_every_host_that_is_not_waived() {
        let noon = UnixTime::of_day(2026, 11, 23).unwrap();
        let later = UnixTime::of_day(2026, 11, 25).unwrap();
        let hosts = OuterHosts::of(&[section("")]);

        let denied = hosts.may_issue(noon).unwrap_err();
        assert_eq!((denied.refusal.code, denied.is_final()), ("outer-host-unread", false));
        hosts.has_read("o1");
        assert!(hosts.may_issue(noon).is_ok() && hosts.unread().is_empty());

        let waived = OuterHosts::of(&[section("read-back-waived-until = 2026-11-24")]);
        assert!(waived.may_issue(noon).is_ok());
        assert_eq!(waived.unread(), ["o1"], "told all the same");
        assert!(waived.may_issue(later).is_err(), "a waiver ends");
        assert!(OuterHosts::default().may_issue(noon).is_ok());
    }

    #[test]
    fn a_host_that_falls_behind_is_told_of_once() {
        let hosts = OuterHosts::of(&[section("")]);

        assert!(!hosts.tell_behind("o1", false));
        assert!(hosts.tell_behind("o1", true) && !hosts.tell_behind("o1", true));
        assert_eq!(hosts.behind(), ["o1"]);
        assert!(hosts.tell_behind("o1", false));
    }

    #[test]
    fn a_host_without_a_fitting_name_address_or_key_is_refused() {
        let key = "00".repeat(32);
        let read = |name: &str, address: &str, keys: &str| -> HostSection {
            let text = format!("name = {name:?}\naddress = {address:?}\nkeys = {keys}");
            toml::from_str(&text).unwrap()
        };
        let good = format!("[{key:?}]");

        assert_eq!(read("o-1", "ocsp1.example.org:8843", &good).pins().unwrap().len(), 1);
        assert_eq!(read("o-1", "[2001:db8::1]:8843", &good).host(), Some("2001:db8::1"));
        for (name, address, keys) in [
            ("../x", "h:1", good.as_str()),
            ("", "h:1", &good),
            ("o1", "h", &good),
            ("o1", "h:99999", &good),
            ("o1", ":1", &good),
            ("o1", "h:1", "[]"),
            ("o1", "h:1", "[\"12\"]"),
        ] {
            assert!(read(name, address, keys).pins().is_err(), "{name} {address} {keys}");
        }
    }
}
