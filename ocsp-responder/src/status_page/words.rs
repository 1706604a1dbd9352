//! The page's words, in Swedish and in English, and its HTML: no script, no style sheet, nothing from elsewhere.

use status::{CertificateState, Obstacle};

use super::form::{About, Asked};
use super::judge::Verdict;

/// In which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Swedish,
    English,
}

impl Language {
    fn pick<T>(self, swedish: T, english: T) -> T {
        match self {
            Self::Swedish => swedish,
            Self::English => english,
        }
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn page(language: Language, body: &str) -> String {
    let (tag, title, other) = language.pick(
        ("sv", "Certifikatets status", "<a hreflang=\"en\" href=\"?lang=en\">In English</a>"),
        ("en", "Status of a certificate", "<a hreflang=\"sv\" href=\"?lang=sv\">På svenska</a>"),
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"{tag}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n\
         <body><main><h1>{title}</h1>\n{body}\n</main><footer><p>{other}</p></footer></body></html>\n"
    )
}

/// The page with the form.
pub(crate) fn form(language: Language, environment: &str, authorities: &[String]) -> String {
    let options: String =
        authorities.iter().map(|name| format!("<option>{}</option>", escaped(name))).collect();
    let [intro, paste, file, or, issuer, serial, level, any, ask, kept] = language.pick(
        [
            "Här ser du om ett certifikat gäller, och varför en inloggning med det misslyckas. Sidan svarar för miljön",
            "Klistra in certifikatet (PEM)",
            "eller välj en fil (PEM eller DER)",
            "Eller ange utfärdare och serienummer",
            "Utfärdare",
            "Serienummer (hexadecimalt)",
            "Tillitsnivå som inloggningen kräver",
            "ingen särskild",
            "Visa status",
            "Certifikatet sparas inte och visas inte för någon annan.",
        ],
        [
            "Here you see whether a certificate holds, and why a login with it fails. The page answers for the environment",
            "Paste the certificate (PEM)",
            "or choose a file (PEM or DER)",
            "Or give issuer and serial number",
            "Issuer",
            "Serial number (hexadecimal)",
            "Trust level that the login wants",
            "none in particular",
            "Show the status",
            "The certificate is not kept, nor shown to anybody else.",
        ],
    );
    let lang = language.pick("sv", "en");
    page(
        language,
        &format!(
            "<p>{intro} <b>{}</b>. {kept}</p>\n<form method=\"post\" action=\"?lang={lang}\" enctype=\"multipart/form-data\">\n\
             <p><label>{paste}<br><textarea name=\"certificate\" rows=\"12\" cols=\"66\"></textarea></label></p>\n\
             <p><label>{file} <input type=\"file\" name=\"file\"></label></p>\n\
             <fieldset><legend>{or}</legend><p><label>{issuer} <select name=\"issuer\">{options}</select></label> \
             <label>{serial} <input name=\"serial\"></label></p></fieldset>\n\
             <p><label>{level} <select name=\"level\"><option value=\"\">{any}</option><option>2</option><option>3</option></select></label></p>\n\
             <p><button>{ask}</button></p>\n</form>",
            escaped(environment)
        ),
    )
}

/// What is found.
pub(crate) fn verdict(language: Language, asked: &Asked, verdict: &Verdict) -> String {
    let (good, bad) = language.pick(
        ("Inget här hindrar en inloggning.", "En inloggning med det här certifikatet misslyckas."),
        ("Nothing here keeps a login from succeeding.", "A login with this certificate fails."),
    );
    let untold = language.pick(
        "Serienumret visar inte om en inloggning lyckas.",
        "The serial number does not tell whether a login succeeds.",
    );
    let said = match verdict.obstacles.as_slice() {
        [] => good,
        some if some.iter().any(Obstacle::is_certain) => bad,
        _ => untold,
    };
    let reasons: String = verdict
        .obstacles
        .iter()
        .map(|one| format!("<li>{}</li>", escaped(&told(language, one))))
        .collect();
    let reasons = if reasons.is_empty() { reasons } else { format!("<ul>{reasons}</ul>\n") };
    let facts: String = facts(language, asked, verdict)
        .into_iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escaped(&value)))
        .collect();
    let again = language.pick("Fråga om ett annat", "Ask about another one");
    let lang = language.pick("sv", "en");
    page(
        language,
        &format!(
            "<p><b>{said}</b></p>\n{reasons}<dl>{facts}</dl>\n<p><a href=\"?lang={lang}\">{again}</a></p>"
        ),
    )
}

fn facts(language: Language, asked: &Asked, verdict: &Verdict) -> Vec<(&'static str, String)> {
    let [issuer, serial, from, until, state, level] = language.pick(
        ["Utfärdare", "Serienummer", "Gäller från", "Gäller till", "Status", "Tillitsnivå"],
        ["Issuer", "Serial number", "Valid from", "Valid until", "State", "Trust level"],
    );
    let mut facts = match &asked.about {
        About::Certificate(certificate) => vec![
            (issuer, certificate.issuer().to_string()),
            (serial, certificate.serial().to_string()),
            (from, certificate.not_before().to_string()),
            (until, certificate.not_after().to_string()),
        ],
        About::Serial(authority, number) => vec![
            (issuer, authority.certificate.subject().to_string()),
            (serial, number.to_string()),
        ],
    };
    facts.push((state, state_of(language, verdict.state).to_owned()));
    facts.extend(verdict.level.map(|number| (level, number.to_string())));
    facts
}

fn state_of(language: Language, state: Option<CertificateState>) -> &'static str {
    let (swedish, english) = match state {
        None => ("okänt här", "not known here"),
        Some(CertificateState::Issued) => ("utfärdat", "issued"),
        Some(CertificateState::Activated) => ("aktiverat", "activated"),
        Some(CertificateState::Held(_)) => ("tillfälligt spärrat", "on hold"),
        Some(CertificateState::Revoked) => ("spärrat", "revoked"),
        Some(CertificateState::Voided) => ("aldrig utlämnat", "never handed out"),
    };
    language.pick(swedish, english)
}

fn told(language: Language, obstacle: &Obstacle) -> String {
    let (reason, remedy) = (obstacle.reason(), obstacle.remedy());
    language.pick(
        format!("{} {}", reason.swedish, remedy.swedish),
        format!("{} {}", reason.english, remedy.english),
    )
}

/// What was sent holds no question.
pub(crate) fn unreadable(language: Language) -> String {
    page(
        language,
        language.pick(
            "<p><b>Det som skickades går inte att läsa som ett certifikat, och inte heller som utfärdare och serienummer.</b></p>\n<p><a href=\"?lang=sv\">Försök igen</a></p>",
            "<p><b>What was sent is readable neither as a certificate nor as issuer and serial number.</b></p>\n<p><a href=\"?lang=en\">Try again</a></p>",
        ),
    )
}

/// There is nothing fresh to answer from.
pub(crate) fn not_now(language: Language) -> String {
    page(
        language,
        language.pick(
            "<p><b>Just nu kan tjänsten inte svara: den saknar färska uppgifter. Försök igen om en stund.</b></p>",
            "<p><b>The service cannot answer now: it has no fresh information. Try again in a while.</b></p>",
        ),
    )
}

#[cfg(test)]
mod tests {
    use x509::import::ImportedCertificate;
    use x509::time::UnixTime;

    use super::super::judge::tests::{authority, certificate_der};
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn asked() -> Asked {
        let der = certificate_der(&authority(), 1);
        let certificate = Box::new(ImportedCertificate::from_der(&der).unwrap());
        Asked { about: About::Certificate(certificate), level: None }
    }

    /// Each reason has words of its own in both languages.
    #[test]
    fn the_page_tells_reason_and_remedy_in_its_language() {
        let expired = Obstacle::Expired { at: at(4) };
        let seen = Verdict { state: None, level: None, obstacles: vec![expired] };
        let (swedish, english) = (
            verdict(Language::Swedish, &asked(), &seen),
            verdict(Language::English, &asked(), &seen),
        );
        let (in_swedish, in_english) = ("Beställ ett nytt.", "Order a new one.");
        assert!(swedish.contains("Certifikatet gick ut 1970") && swedish.contains(in_swedish));
        assert!(
            english.contains("The certificate expired at 1970") && english.contains(in_english)
        );
        assert!(!swedish.contains(in_english) && !english.contains(in_swedish));
    }

    /// DAT: the subject of the certificate, which names a person, does not stand on the page.
    #[test]
    fn the_page_says_nothing_of_the_person() {
        let asked = asked();
        let About::Certificate(certificate) = &asked.about else { panic!() };
        assert!(certificate.subject().to_string().contains("Tolvan"), "the test names a person");
        let verdict_of = Verdict {
            state: None,
            level: Some(3),
            obstacles: vec![Obstacle::Revoked { at: at(1), reason: None }],
        };
        for language in [Language::Swedish, Language::English] {
            let text = verdict(language, &asked, &verdict_of);
            assert!(!text.contains("Tolvan"), "{text}");
            assert!(!text.contains("<script"), "{text}");
        }
    }

    #[test]
    fn what_others_wrote_is_text() {
        let (one, _) = authority();
        let name = "<script>alert(1)</script>\"'&".to_owned();
        let text = form(Language::English, &name, &[name.clone(), one.name.clone()]);
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), "{text}");
    }
}
