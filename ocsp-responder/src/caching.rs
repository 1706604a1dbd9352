//! The caching headers of RFC 9919 §6.2, made once for each answer and file.

use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{
    CACHE_CONTROL, ETAG, EXPIRES, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use x509::time::UnixTime;

use crate::clock::http_date;

/// What an answer or file is known by, and when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    etag: HeaderValue,
    modified: HeaderValue,
    expires: Option<HeaderValue>,
}

impl Labels {
    /// `digest` is the hexadecimal hash of the body.
    pub(crate) fn of(digest: &str, modified: UnixTime, expires: Option<UnixTime>) -> Self {
        Self {
            etag: value(&format!("\"{digest}\"")),
            modified: value(&http_date(modified)),
            expires: expires.map(|at| value(&http_date(at))),
        }
    }

    /// Puts them into an answer, beside what Cache-Control says.
    pub(crate) fn put(&self, headers: &mut HeaderMap, control: HeaderValue) {
        headers.insert(CACHE_CONTROL, control);
        headers.insert(ETAG, self.etag.clone());
        headers.insert(LAST_MODIFIED, self.modified.clone());
        if let Some(expires) = &self.expires {
            headers.insert(EXPIRES, expires.clone());
        }
    }

    /// Whether the client has it already (RFC 9110 §13.2.2: the entity tag counts before the date).
    pub(crate) fn are_those_of(&self, asked: &HeaderMap) -> bool {
        if asked.contains_key(IF_NONE_MATCH) {
            self.have_the_tag_of(asked)
        } else {
            asked.get(IF_MODIFIED_SINCE).is_some_and(|since| *since == self.modified)
        }
    }

    /// Whether the client has it already by its entity tag. An answer's date does not tell it from another
    /// one of the same second, which a revocation may have come between (promise 5).
    pub(crate) fn have_the_tag_of(&self, asked: &HeaderMap) -> bool {
        asked.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).is_some_and(|tags| {
            tags.split(',').map(str::trim).any(|tag| {
                tag == "*" || tag.trim_start_matches("W/").as_bytes() == self.etag.as_bytes()
            })
        })
    }
}

/// How long others may keep at `now` what they may keep for `most` at most: less than what is left of
/// it, so that no copy outlives it (OCSP-09).
pub(crate) fn lasting(most: Duration, expires: UnixTime, now: UnixTime) -> Duration {
    most.min(expires.since(now).saturating_sub(Duration::from_secs(1)))
}

/// Others may keep it for so long, as it is, and ask again afterwards.
pub(crate) fn cache_control(max_age: Duration) -> HeaderValue {
    value(&format!("max-age={}, public, no-transform, must-revalidate", max_age.as_secs()))
}

/// Digits, letters and punctuation are a header's value; what were none would be left empty.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    #[test]
    fn a_client_that_has_it_gets_not_modified() {
        let labels = Labels::of("tag", UnixTime::EPOCH, None);
        let asked = |name: HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        let date = "Thu, 01 Jan 1970 00:00:00 GMT";
        for (name, value, has_it) in [
            (IF_NONE_MATCH, "\"x\", \"tag\"", true),
            (IF_NONE_MATCH, "W/\"tag\"", true),
            (IF_NONE_MATCH, "*", true),
            (IF_NONE_MATCH, "\"other\"", false),
            (IF_MODIFIED_SINCE, date, true),
            (IF_MODIFIED_SINCE, "Thu, 01 Jan 1970 00:00:01 GMT", false),
        ] {
            assert_eq!(labels.are_those_of(&asked(name.clone(), value)), has_it, "{name}: {value}");
        }
        assert!(!labels.are_those_of(&HeaderMap::new()));
        assert!(!labels.have_the_tag_of(&asked(IF_MODIFIED_SINCE, date)));
        assert!(labels.have_the_tag_of(&asked(IF_NONE_MATCH, "\"tag\"")));
        let mut both = asked(IF_NONE_MATCH, "\"other\"");
        both.insert(IF_MODIFIED_SINCE, HeaderValue::from_static(date));
        assert!(!labels.are_those_of(&both), "the entity tag counts before the date");
    }

    /// OCSP-09: in each second of an answer's life, and after it, no copy may be kept to its nextUpdate.
    #[test]
    fn no_copy_outlives_the_answer() {
        let at = |secs| UnixTime::from_secs(secs).unwrap();
        let (most, expires) = (Duration::from_secs(300), at(4600));
        for now in 1000..4600 {
            let lasts = lasting(most, expires, at(now));
            assert!(now + lasts.as_secs() < 4600 && lasts <= most, "{now}: {lasts:?}");
            assert_eq!(lasts == most, now <= 4299, "{now}: {lasts:?}");
        }
        for now in [4600, 4601, 9999] {
            assert_eq!(lasting(most, expires, at(now)), Duration::ZERO);
        }
    }

    /// OCSP-09: every header that is made of an answer is one.
    #[test]
    fn the_headers_are_those_of_rfc_9919() {
        let mut headers = HeaderMap::new();
        let expires = UnixTime::from_secs(784_111_777).unwrap();
        Labels::of(&"0f".repeat(32), UnixTime::EPOCH, Some(expires))
            .put(&mut headers, cache_control(Duration::from_secs(300)));

        let texts: Vec<_> =
            [CACHE_CONTROL, ETAG, LAST_MODIFIED, EXPIRES].map(|name| headers[name].clone()).into();
        assert_eq!(texts[0], "max-age=300, public, no-transform, must-revalidate");
        assert_eq!(texts[1], format!("\"{}\"", "0f".repeat(32)));
        assert_eq!(texts[2], "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(texts[3], "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
