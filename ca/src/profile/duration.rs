//! Spans of time as profiles write them: a number and one of `d`, `h`, `m`, `s`.

use std::time::Duration;

/// Reads `730d`, `1h`, `5m`, `30s`. `None` for anything else, zero and overflow included.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|&number| plain && number > 0)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_and_a_unit_and_nothing_else() {
        assert_eq!(parse("730d"), Some(Duration::from_secs(730 * 86_400)));
        assert_eq!(parse("1h"), Some(Duration::from_secs(3_600)));
        for text in
            ["", "d", "1", "0d", "-1d", "+1d", "1.5h", "1y", "1 d", "é", "99999999999999999999d"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
