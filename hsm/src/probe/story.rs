//! One closing of all sessions and one login after it, which several rows tell of.

use cryptoki::object::{Attribute, ObjectClass};
use x509::key::KeyType;

use super::bench::{Bench, ID, LABEL, Use};
use super::outcome::Stop;
use super::parallel::{is_user, open_beside};
use super::{pairs, sign};

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// Whether the first session after all were closed was logged in.
    pub(super) logged_in_after_close: bool,
    /// Private keys of the probe that it showed.
    pub(super) shown_without_login: usize,
    /// Whether that session, opened before the login, was logged in after it.
    pub(super) older_session_logged_in: bool,
    /// Whether a session opened after the login was.
    pub(super) newer_session_logged_in: bool,
    /// Token objects of the kind that was made before, found after it.
    pub(super) kept: usize,
    /// Whether the key signs as before.
    pub(super) kept_signs: bool,
    /// Session objects made before, found after it; none where the token has no such objects.
    pub(super) session_objects: Option<usize>,
}

/// Lives it once.
pub(super) fn of(bench: &mut Bench) -> Result<Story, Stop> {
    if let Some(story) = &bench.story {
        return Ok(story.clone());
    }
    let (own, way) = sign::any_way(bench)?;
    let key_type: KeyType = own.key.key_type();
    let kept = pairs::make_labelled(bench, key_type, Use::Sign, "kept", true, &[])?;
    let has_session_objects = !bench.on_token;
    if has_session_objects {
        pairs::make_labelled(bench, key_type, Use::Sign, "brief", false, &[])?;
    }
    bench.close();

    let older = open_beside(bench)?;
    let logged_in_after_close = is_user(&older)?;
    let private = |label: &str| {
        [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Id(ID.to_vec()),
            Attribute::Label(format!("{LABEL}{label}").into_bytes()),
        ]
    };
    let shown_without_login =
        if logged_in_after_close { 0 } else { older.find_objects(&private("kept"))?.len() };
    bench.session()?;
    let older_session_logged_in = is_user(&older)?;
    let newer_session_logged_in = is_user(&open_beside(bench)?)?;
    let session = bench.session()?;
    let found = session.find_objects(&private("kept"))?;
    let kept_signs = match found.as_slice() {
        [handle] => way.verified(session, &kept.key, *handle, 1)? == 1,
        _ => false,
    };
    let session_objects = if has_session_objects {
        Some(session.find_objects(&private("brief"))?.len())
    } else {
        None
    };
    let story = Story {
        logged_in_after_close,
        shown_without_login,
        older_session_logged_in,
        newer_session_logged_in,
        kept: found.len(),
        kept_signs,
        session_objects,
    };
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let [_, id, label] = private("kept");
        for object in session.find_objects(&[Attribute::Class(class), id, label])? {
            session.destroy_object(object)?;
        }
    }
    bench.story = Some(story.clone());
    Ok(story)
}
