//! The program's clock, read once per question and per look at the publication folder.

use std::time::{SystemTime, UNIX_EPOCH};

use x509::time::UnixTime;

/// Now, in whole seconds rounded down.
pub(crate) fn now() -> UnixTime {
    #[cfg(test)]
    if let Some(time) = tests::SET.get() {
        return time;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_secs(since.as_secs()).unwrap_or(UnixTime::LAST)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
pub(crate) fn http_date(time: UnixTime) -> String {
    let secs = i64::try_from(time.secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(secs)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static SET: Cell<Option<UnixTime>> = const { Cell::new(None) };
    }

    /// Sets the clock of this thread, on which it then stands still.
    pub(crate) fn set(time: UnixTime) {
        SET.set(Some(time));
    }

    #[test]
    fn writes_the_date_of_rfc_9110() {
        let time = UnixTime::from_secs(784_111_777).unwrap();

        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
