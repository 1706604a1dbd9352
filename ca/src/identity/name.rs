//! Names of persons, functions, organisations and places.

use unicode_normalization::is_nfc;

use super::{Field, IdentityError, Script, every_character, length_within};

/// Letters of the scripts that registers of Europe use, one script a name, with combining marks.
/// Everything else - other scripts, direction marks, emoji - is refused: the caller sends the name as
/// it stands in the register, transliterated there (PRO-07). Which scripts a certificate takes, its
/// profile says.
const fn is_personal(c: char) -> bool {
    Script::of(c).is_some()
        || is_mark(c)
        || matches!(c, ' ' | '-' | '\'' | '\u{2019}' | '.' | PRIME | APOSTROPHE | MIDDLE_DOT)
}

/// Between two l of Catalan: *Gal·la*.
const MIDDLE_DOT: char = '\u{b7}';
/// Palatalization in Skolt Sámi: *Sääʹm*.
const PRIME: char = '\u{2b9}';
/// The apostrophe that is a letter: Ukrainian, Breton, Skolt Sámi.
const APOSTROPHE: char = '\u{2bc}';

/// Combining marks, for letters that have no code point of their own.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}') && c != '\u{34f}'
}

const fn is_organisational(c: char) -> bool {
    is_personal(c)
        || c.is_ascii_digit()
        || matches!(c, '&' | '(' | ')' | '/' | ',' | '+' | ':' | '_')
}

fn checked(
    field: Field,
    text: &str,
    most: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<(String, Option<Script>), IdentityError> {
    length_within(field, text, 1, most)?;
    every_character(field, text, allowed)?;
    if !is_nfc(text) {
        return Err(IdentityError::NotNormalised { field });
    }
    let script = Script::one_of(field, text)?;
    let stray = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
    if stray {
        return Err(IdentityError::Form {
            field,
            expected: "words with single spaces between them",
        });
    }
    if !marks_are_in_place(text) {
        return Err(IdentityError::Form {
            field,
            expected: "at most two marks on a letter, \u{b7} between two l, \u{2b9} and \u{2bc} beside letters",
        });
    }
    Ok((text.to_owned(), script))
}

/// Whether every mark and sign of spelling stands where its language puts it.
fn marks_are_in_place(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let at = |place: Option<usize>| place.and_then(|place| characters.get(place)).copied();
    let letter = |c: Option<char>| c.is_some_and(|c| Script::of(c).is_some());
    characters.iter().enumerate().all(|(place, &c)| {
        let (before, after) = (at(place.checked_sub(1)), at(place.checked_add(1)));
        match c {
            MIDDLE_DOT => [before, after].iter().all(|c| matches!(c, Some('l' | 'L'))),
            PRIME => letter(before) || before.is_some_and(is_mark),
            APOSTROPHE => letter(before) || letter(after),
            _ if is_mark(c) => {
                let second = before.is_some_and(is_mark);
                let base = if second { at(place.checked_sub(2)) } else { before };
                letter(base)
            }
            _ => true,
        }
    })
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $field:expr, $most:literal, $allowed:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            text: String,
            script: Option<Script>,
        }

        impl $name {
            /// The most characters.
            pub const MAX: usize = $most;

            /// Reads the name.
            ///
            /// # Errors
            ///
            /// [`IdentityError`]: length, characters, normalization, scripts, spaces, marks.
            pub fn parse(text: &str) -> Result<Self, IdentityError> {
                let (text, script) = checked($field, text, Self::MAX, $allowed)?;
                Ok(Self { text, script })
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// The script of its letters; `None` where it has none.
            #[must_use]
            pub const fn script(&self) -> Option<Script> {
                self.script
            }
        }
    };
}

name_type!(
    /// A person's given name. 64 characters is our limit; RFC 5280 (ub-name) has 32 768.
    GivenName,
    Field::GivenName,
    64,
    is_personal
);
name_type!(
    /// A person's surname. 64 characters is our limit; RFC 5280 (ub-name) has 32 768.
    Surname,
    Field::Surname,
    64,
    is_personal
);
name_type!(
    /// commonName: at most 64 characters (RFC 5280 ub-common-name).
    CommonName,
    Field::CommonName,
    64,
    |c| is_organisational(c) || c == '*'
);
name_type!(
    /// organizationName: at most 64 characters (RFC 5280 ub-organization-name).
    Organization,
    Field::Organization,
    64,
    is_organisational
);
name_type!(
    /// localityName: at most 128 characters (RFC 5280 ub-locality-name).
    Locality,
    Field::Locality,
    128,
    is_organisational
);

impl CommonName {
    /// A person's: given name, space, surname.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Length`] when both together pass 64 characters.
    pub fn of_person(given: &GivenName, surname: &Surname) -> Result<Self, IdentityError> {
        Self::parse(&format!("{} {}", given.as_str(), surname.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRO-02: names of each language of Europe as its register spells them. Latin, Greek, Cyrillic.
    const OF_EUROPE: [(Script, &str); 3] = [
        (
            Script::Latin,
            "Åsa Örjan Märta-Stina André Zoë Čálliidmánnu Máhtte Áŋŋel Ŋiŧŧo Đorđe Šárá Jõgi Łukasz \
             Ñuñez Nguyễn O'Brien O’Brien von der Å St. John Þór Ægir Győző Ș İsmail Isıl ẞ Weiß \
             Øyvind Søren Jógvan Sääʹmǩiõll Ǩeeʹrjj Ǯuäkk Haʒʒ Vääʹrr Gal·la Paral·lel Cʼhoadeg \
             Ħamrun Ġorġ Żebbuġ Ċensu Lluís François Œuvray Ÿsaÿe Ştefan Țepeș Ă Žemaitė Ąžuolas \
             Ėglė Ūla Ņina Ķempe Ļubova Ģirts Ťažký Ĺubica Ŕebeka Dvořák Ůlehla Ćirić Ž Ərtoğrul \
             Ŵyn Ŷnyr Ġużè j\u{303} Ĳssel Ǆemal Ërza Çelik Ŭladzimir ĝ Ĵaŭdo",
        ),
        (Script::Greek, "Γιώργος Ελένη Αΐδα Προΰδης Παπαδόπουλος Ήρα Όμηρος Ώρα ΐΰ ς"),
        (
            Script::Cyrillic,
            "Иван Ёлка Ђорђе Љиљана Њего Џон Ѓорѓи Ќосе Ѕвездан Їжакевич Ґалаґан Євген Соломʼяна \
             Соломʼяна Уладзімір Ўладзіслаў Щекн Ъглен Ӓйна Ҋ Па\u{304}нн Кильдӣн Ѝ",
        ),
    ];

    #[test]
    fn takes_the_names_of_the_registers_unchanged() {
        for (script, names) in OF_EUROPE {
            for name in names.split_whitespace() {
                let given = GivenName::parse(name).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!((given.as_str(), given.script()), (name, Some(script)));
                assert_eq!(Surname::parse(name).unwrap().as_str(), name);
            }
            let whole = names.chars().take(64).collect::<String>();
            assert!(GivenName::parse(whole.trim()).is_ok());
        }
    }

    /// Letters that look alike would make two names of one: Latin a, Cyrillic а, Greek α.
    #[test]
    fn refuses_two_scripts_in_one_name() {
        for (name, first, found) in [
            ("Аnna", Script::Cyrillic, 'n'),
            ("Annа", Script::Latin, 'а'),
            ("Anna Иван", Script::Latin, 'И'),
            ("Γιώργoς", Script::Greek, 'o'),
            ("Αнна", Script::Greek, 'н'),
        ] {
            assert_eq!(
                GivenName::parse(name),
                Err(IdentityError::MixedScripts { field: Field::GivenName, first, found }),
                "{name}"
            );
        }
        let given = GivenName::parse("Иван").unwrap();
        let surname = Surname::parse("Ivanov").unwrap();
        assert!(matches!(
            CommonName::of_person(&given, &surname),
            Err(IdentityError::MixedScripts { field: Field::CommonName, .. })
        ));
    }

    #[test]
    fn refuses_marks_and_signs_out_of_place() {
        for name in [
            "Ga·la",
            "·l",
            "l·",
            "Gal·",
            "ʹa",
            "A ʹ",
            "ʼ",
            "A ʼ B",
            "j\u{303}\u{303}\u{303}",
            "A-\u{303}",
            "A \u{303}",
            "\u{328}\u{301}nna",
        ] {
            assert!(matches!(GivenName::parse(name), Err(IdentityError::Form { .. })), "{name:?}");
        }
    }

    /// PRO-02: never mangled: refused by the character or form that is wrong.
    #[test]
    fn refuses_other_scripts_marks_emoji_and_controls() {
        for name in [
            "שרה",
            "Գոռ",
            "გია",
            "ǃxu",
            "ʻO",
            "محمد",
            "李",
            "Anna\u{202e}",
            "A\u{200d}B",
            "\u{feff}Anna",
            "Anna😀",
            "An\0na",
            "Anna\n",
            "Anna\t",
            "Anna\u{ad}",
            "A×B",
            "A\u{34f}B",
            "R2D2",
            "<b>",
            "A=B",
            "A,B",
            "A\"B",
        ] {
            assert!(
                matches!(GivenName::parse(name), Err(IdentityError::Character { .. })),
                "{name:?}"
            );
        }
    }

    #[test]
    fn refuses_decomposed_letters_stray_spaces_and_wrong_lengths() {
        assert!(matches!(GivenName::parse("A\u{30a}sa"), Err(IdentityError::NotNormalised { .. })));
        for name in [" Anna", "Anna ", "Anna  Karin"] {
            assert!(matches!(GivenName::parse(name), Err(IdentityError::Form { .. })), "{name:?}");
        }
        assert!(matches!(GivenName::parse(""), Err(IdentityError::Length { .. })));
        assert!(matches!(
            CommonName::parse(&"å".repeat(65)),
            Err(IdentityError::Length { found: 65, most: 64, .. })
        ));
        assert!(CommonName::parse(&"å".repeat(64)).is_ok());
    }

    #[test]
    fn a_persons_common_name_has_a_limit_of_its_own() {
        let given = GivenName::parse(&"a".repeat(40)).unwrap();
        let surname = Surname::parse(&"b".repeat(24)).unwrap();

        assert!(matches!(
            CommonName::of_person(&given, &surname),
            Err(IdentityError::Length { found: 65, .. })
        ));
    }

    #[test]
    fn organisations_have_digits_and_signs_that_persons_have_not() {
        assert!(Organization::parse("Region Östergötland & Co (2:a)").is_ok());
        assert!(GivenName::parse("Anna 2").is_err());
    }
}
