//! Fields of forms and queries (`application/x-www-form-urlencoded`, WHATWG URL §5).

/// Fields in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a query or the body of a form. What is no escape stands for itself, as browsers have it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
        )
    }

    /// A field without white space around it; empty where it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// The same; `None` where it is empty.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// All values of a field that may come several times, none of them empty.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.clone()).collect()
    }
}

fn decoded(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'+' => octets.push(b' '),
            b'%' => {
                let digits = rest.clone().take(2).collect::<Vec<_>>();
                match u8::from_str_radix(&String::from_utf8_lossy(&digits), 16) {
                    Ok(value) if digits.iter().all(u8::is_ascii_hexdigit) && digits.len() == 2 => {
                        octets.push(value);
                        rest.nth(1);
                    }
                    _ => octets.push(octet),
                }
            }
            _ => octets.push(octet),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// A URL with fields behind a question mark.
#[must_use]
pub fn link(url: &str, fields: &[(&str, &str)]) -> String {
    let mut link = url.to_owned();
    for (number, (name, value)) in fields.iter().enumerate() {
        link.push(if number == 0 { '?' } else { '&' });
        escaped(&mut link, name);
        link.push('=');
        escaped(&mut link, value);
    }
    link
}

fn escaped(link: &mut String, text: &str) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            link.push(char::from(octet));
        } else {
            link.push_str(&format!("%{octet:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_says_is_read_again() {
        let fields = [("namn", "Åsa & Örjan = 100 % +1"), ("tom", ""), ("rad", "a\nb")];
        let link = link("http://h/p", &fields);
        assert!(link.is_ascii() && !link.contains(' '), "{link}");

        let form = Form::parse(link.split_once('?').unwrap().1);

        for (name, value) in fields {
            assert_eq!(form.text(name), value, "{name}");
        }
    }

    #[test]
    fn a_form_of_a_browser_is_read() {
        let form = Form::parse("a=1+2&b=%C3%A5&a=3&c&&d=%zz%2&e=%+1&f=");

        assert_eq!((form.text("a"), form.text("b"), form.text("c")), ("1 2", "å", ""));
        assert_eq!((form.text("d"), form.text("e")), ("%zz%2", "% 1"));
        assert_eq!(form.all("a"), ["1 2", "3"]);
        assert_eq!(
            (form.given("f"), form.given("g"), form.given("b")),
            (None, None, Some("å".into()))
        );
        assert_eq!(Form::parse("x=%FF").text("x"), "\u{fffd}");
    }
}
