//! Who is logged in: by a signature of his card over what was drawn for it, and a cookie that the portal knows again after a restart.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use portal::files;
use x509::jws;

use crate::config::Administrator;
use crate::statement::is_signed;

/// Seconds until somebody logs in anew.
const LIFE: u64 = 8 * 3600;
/// Seconds in which a card answers a challenge.
const CHALLENGE_LIFE: u64 = 300;

/// Logins.
pub(crate) struct Sessions {
    cookies: hmac::Key,
    /// Of this run alone: a challenge that a run before drew is none.
    challenges: hmac::Key,
    used: Mutex<BTreeSet<String>>,
}

impl Sessions {
    /// Reads the key of the cookies, or makes it.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("cookies.key");
        let octets = match fs::read(&path) {
            Ok(octets) if octets.len() == 32 => octets,
            _ => {
                let drawn = drawn()?;
                files::replace(&path, &drawn).with_context(|| path.display().to_string())?;
                drawn.to_vec()
            }
        };
        Ok(Self {
            cookies: hmac::Key::new(HMAC_SHA256, &octets),
            challenges: hmac::Key::new(HMAC_SHA256, &drawn()?),
            used: Mutex::new(BTreeSet::new()),
        })
    }

    /// What a card is to sign for an administrator to log in.
    pub(crate) fn challenge(&self, hsa_id: &str, now: u64) -> anyhow::Result<String> {
        let text = format!("{}.{}", now.saturating_add(CHALLENGE_LIFE), jws::text(&drawn()?));
        Ok(sealed(&self.challenges, &text, hsa_id))
    }

    /// Whether an administrator's card has answered his challenge: once, and in time.
    pub(crate) fn answers(
        &self,
        administrator: &Administrator,
        (portal, challenge, signature): (&str, &str, &str),
        now: u64,
    ) -> bool {
        let ours = opened(&self.challenges, challenge, &administrator.said.hsa_id, now).is_some();
        let text = format!("sigill-example-login/1\nportal {portal}\nchallenge {challenge}\n");
        let signed = jws::octets(signature)
            .is_some_and(|signature| is_signed(administrator, text.as_bytes(), &signature));
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        ours && signed && used.insert(challenge.to_owned())
    }

    /// The cookie of who has logged in.
    pub(crate) fn cookie(&self, hsa_id: &str, now: u64) -> String {
        let text = format!("{}.{}", now.saturating_add(LIFE), jws::text(hsa_id.as_bytes()));
        let value = sealed(&self.cookies, &text, "cookie");
        format!("portal={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={LIFE}")
    }

    /// The HSA-id of a cookie.
    pub(crate) fn who(&self, cookie: &str, now: u64) -> Option<String> {
        let octets = jws::octets(opened(&self.cookies, cookie, "cookie", now)?)?;
        String::from_utf8(octets).ok()
    }
}

fn drawn() -> anyhow::Result<[u8; 32]> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).context("no random numbers")?;
    Ok(octets)
}

/// `text`, which begins with a time, and what only this key makes of it.
fn sealed(key: &hmac::Key, text: &str, about: &str) -> String {
    let tag = hmac::sign(key, format!("{about}\n{text}").as_bytes());
    format!("{text}.{}", jws::text(tag.as_ref()))
}

/// What stands behind the time, where the key made it and the time is not over.
fn opened<'a>(key: &hmac::Key, sealed: &'a str, about: &str, now: u64) -> Option<&'a str> {
    let (text, tag) = sealed.rsplit_once('.')?;
    hmac::verify(key, format!("{about}\n{text}").as_bytes(), &jws::octets(tag)?).ok()?;
    let (until, content) = text.split_once('.')?;
    (until.parse::<u64>().ok()? > now).then_some(content)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;

    use super::*;
    use crate::statement::tests::administrator;

    #[test]
    fn a_card_logs_its_holder_in_once_and_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(folder.path()).unwrap();
        let (pair, anna) = administrator();
        let (_, other) = administrator();
        let portal = "http://127.0.0.1:1";
        let challenge = sessions.challenge("TST1", 1000).unwrap();
        let text = format!("sigill-example-login/1\nportal {portal}\nchallenge {challenge}\n");
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        let signature = jws::text(signature.as_ref());
        let answers = |sessions: &Sessions, who, portal, now| {
            sessions.answers(who, (portal, &challenge, &signature), now)
        };

        assert!(!answers(&sessions, &other, portal, 1001), "another card");
        assert!(!answers(&sessions, &anna, "http://127.0.0.1:2", 1001), "another portal");
        assert!(!answers(&sessions, &anna, portal, 1300), "too late");
        assert!(
            !answers(&Sessions::open(folder.path()).unwrap(), &anna, portal, 1001),
            "of another run"
        );
        assert!(answers(&sessions, &anna, portal, 1001));
        assert!(!answers(&sessions, &anna, portal, 1002), "once");
    }

    #[test]
    fn a_cookie_outlives_a_restart_and_no_alteration() {
        let folder = tempfile::tempdir().unwrap();
        let cookie = Sessions::open(folder.path()).unwrap().cookie("TST1", 1000);
        let value = cookie.strip_prefix("portal=").unwrap().split(';').next().unwrap();
        let sessions = Sessions::open(folder.path()).unwrap();

        assert_eq!(sessions.who(value, 1001).as_deref(), Some("TST1"));
        assert_eq!(sessions.who(value, 1000 + LIFE), None);
        assert_eq!(sessions.who(&value.replacen("VFNUMQ", "VFNUMg", 1), 1001), None);
        assert_eq!(sessions.who("", 1001), None);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(Sessions::open(elsewhere.path()).unwrap().who(value, 1001), None);
    }
}
