//! The script: what is to go wrong, as the crate's header tells it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM_TYPE, CK_RV, CKR_DEVICE_ERROR};
use serde::Deserialize;

use crate::functions::Function;
use crate::names::{ATTRIBUTES, FLAGS, MECHANISMS, RESULTS};

/// What is to go wrong.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Script {
    pub(crate) fault: Vec<Fault>,
    pub(crate) token: Vec<TokenLie>,
    pub(crate) slots: Slots,
    pub(crate) sessions: SessionLimits,
    pub(crate) mechanisms: Mechanisms,
    pub(crate) attribute: Vec<AttributeLie>,
    pub(crate) hide: Vec<Hidden>,
}

/// Why a script is none.
pub type ScriptError = toml::de::Error;

impl Script {
    /// Reads a script from its text.
    ///
    /// # Errors
    ///
    /// [`ScriptError`]: another form, or a name that PKCS#11 does not know.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        toml::from_str(text)
    }

    /// Reads the script that lies at `path`; one that does not is empty.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Something that happens to some calls.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Fault {
    pub(crate) function: Functions,
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) calls: Calls,
    pub(crate) asks: Option<Asks>,
    after_ms: Option<u64>,
    until_ms: Option<u64>,
    hang_ms: Option<u64>,
    pub(crate) hang_until: Option<PathBuf>,
    #[serde(rename = "do")]
    pub(crate) act: Option<Act>,
    pub(crate) result: Option<ResultCode>,
    #[serde(default)]
    pub(crate) passed: bool,
    pub(crate) flip_bit: Option<usize>,
}

impl Fault {
    /// Whether it strikes so long after the script was read.
    pub(crate) fn strikes_at(&self, since: Duration) -> bool {
        self.after_ms.is_none_or(|after| since >= Duration::from_millis(after))
            && self.until_ms.is_none_or(|until| since < Duration::from_millis(until))
    }

    pub(crate) fn hang(&self) -> Option<Duration> {
        self.hang_ms.map(Duration::from_millis)
    }
}

/// Which functions a fault is for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "OneOrMany")]
pub(crate) enum Functions {
    All,
    These(Vec<Function>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<OneOrMany> for Functions {
    type Error = String;

    fn try_from(written: OneOrMany) -> Result<Self, String> {
        let names = match written {
            OneOrMany::One(name) if name == "*" => return Ok(Self::All),
            OneOrMany::One(name) => vec![name],
            OneOrMany::Many(names) => names,
        };
        Ok(Self::These(names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?))
    }
}

impl Functions {
    pub(crate) fn contains(&self, function: Function) -> bool {
        match self {
            Self::All => true,
            Self::These(functions) => functions.contains(&function),
        }
    }
}

/// Which of the calls that match, counted from 1 since the script was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Calls {
    #[default]
    All,
    Between(u64, u64),
    Every(u64),
}

impl TryFrom<String> for Calls {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |part: &str| {
            let number = part.trim().parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| {
                format!("calls {text:?} is not \"all\", \"3\", \"2-5\", \"2-\" or \"every 3\"")
            })
        };
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(every) = text.strip_prefix("every ") {
            return Ok(Self::Every(number(every)?));
        }
        match text.split_once('-') {
            Some((from, "")) => Ok(Self::Between(number(from)?, u64::MAX)),
            Some((from, to)) => Ok(Self::Between(number(from)?, number(to)?)),
            None => number(&text).map(|one| Self::Between(one, one)),
        }
    }
}

impl Calls {
    pub(crate) const fn contains(self, call: u64) -> bool {
        match self {
            Self::All => true,
            Self::Between(from, to) => from <= call && call <= to,
            Self::Every(every) => call.is_multiple_of(every),
        }
    }
}

/// What a call with a place for its result asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Asks {
    Length,
    Value,
}

/// What is done behind the caller's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Act {
    DropSession,
    DropSessions,
    LogOut,
    Finalise,
    OtherKey,
    Abort,
}

/// What is told of tokens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct TokenLie {
    pub(crate) label: Option<String>,
    missing: bool,
    missing_ms: Option<u64>,
    pub(crate) set_flags: Vec<Flag>,
    pub(crate) clear_flags: Vec<Flag>,
}

impl TokenLie {
    /// Whether the token is not there so long after the script was read.
    pub(crate) fn is_missing(&self, since: Duration) -> bool {
        self.missing || self.missing_ms.is_some_and(|span| since < Duration::from_millis(span))
    }
}

/// How slots are numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Slots {
    pub(crate) add: u64,
    pub(crate) when: Renumbered,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Renumbered {
    #[default]
    Now,
    Initialise,
}

/// What the device bears.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct SessionLimits {
    pub(crate) most: Option<u64>,
    pub(crate) told_most: Option<u64>,
    idle_ms: Option<u64>,
    pub(crate) at_once: Option<u64>,
    dead: Option<ResultCode>,
}

impl SessionLimits {
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.idle_ms.map(Duration::from_millis)
    }

    pub(crate) fn dead(&self) -> CK_RV {
        self.dead.map_or(CKR_DEVICE_ERROR, |code| code.0)
    }
}

/// How the device signs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Mechanisms {
    pub(crate) refuse: Vec<MechanismCode>,
    pub(crate) spoil: Vec<MechanismCode>,
    pub(crate) ecdsa: Option<Ecdsa>,
    pub(crate) most_bits: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ecdsa {
    Raw,
    Hashed,
    Both,
}

/// What is told of objects.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AttributeLie {
    pub(crate) class: Option<Class>,
    pub(crate) label: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: AttributeCode,
    pub(crate) value: Option<Value>,
    #[serde(default)]
    pub(crate) hidden: bool,
    #[serde(default)]
    pub(crate) of_next: bool,
}

/// Objects that are not found.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Hidden {
    pub(crate) class: Option<Class>,
    pub(crate) label: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Private,
    Public,
}

/// The octets of an attribute.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "WrittenValue")]
pub(crate) struct Value(pub(crate) Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenValue {
    Truth(bool),
    Number(u64),
    Text(String),
}

impl TryFrom<WrittenValue> for Value {
    type Error = String;

    fn try_from(written: WrittenValue) -> Result<Self, String> {
        Ok(Self(match written {
            WrittenValue::Truth(truth) => vec![u8::from(truth)],
            WrittenValue::Number(number) => number.to_ne_bytes().to_vec(),
            WrittenValue::Text(text) => match text.strip_prefix("0x") {
                Some(digits) => octets(digits).ok_or_else(|| format!("{text:?} is no octets"))?,
                None => text.into_bytes(),
            },
        }))
    }
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A number of the standard, by its name or as a number.
macro_rules! code {
    ($code:ident, $kind:ty, $names:expr, $what:literal) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "NumberOrName")]
        pub(crate) struct $code(pub(crate) $kind);

        impl TryFrom<NumberOrName> for $code {
            type Error = String;

            fn try_from(written: NumberOrName) -> Result<Self, String> {
                match written {
                    NumberOrName::Number(number) => Ok(Self(number)),
                    NumberOrName::Name(name) => name.parse(),
                }
            }
        }

        impl FromStr for $code {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                let found = $names.iter().find(|(known, _)| *known == name);
                found
                    .map(|(_, number)| Self(*number))
                    .ok_or_else(|| format!(concat!("{:?} is no ", $what), name))
            }
        }
    };
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrName {
    Number(u64),
    Name(String),
}

code!(ResultCode, CK_RV, RESULTS, "result that the binding knows");
code!(Flag, CK_FLAGS, FLAGS, "flag of a token");
code!(AttributeCode, CK_ATTRIBUTE_TYPE, ATTRIBUTES, "attribute; write its number");
code!(MechanismCode, CK_MECHANISM_TYPE, MECHANISMS, "mechanism; write its number");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_a_script_that_is_read() {
        let header = include_str!("lib.rs");
        let lines = header.lines().filter_map(|line| line.strip_prefix("//! "));
        let script: String = lines
            .skip_while(|line| *line != "```toml")
            .skip(1)
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();

        let script = Script::parse(&script).unwrap();

        assert_eq!(script.fault[0].result, Some(ResultCode(CKR_DEVICE_ERROR)));
        assert_eq!(script.fault[0].calls, Calls::Between(1, 1));
        assert_eq!(script.sessions.at_once, Some(1));
        assert_eq!(script.attribute[0].value, Some(Value(vec![1])));
    }

    #[test]
    fn refuses_names_that_pkcs11_does_not_know() {
        for (script, named) in [
            ("[[fault]]\nfunction = \"C_Sing\"", "C_Sing"),
            ("[[fault]]\nfunction = \"*\"\nresult = \"CKR_FINE\"", "CKR_FINE"),
            ("[[fault]]\nfunction = \"*\"\ncalls = \"0\"", "calls"),
            ("[[token]]\nset-flags = [\"CKF_SAD\"]", "CKF_SAD"),
            ("[[falt]]\nfunction = \"*\"", "falt"),
        ] {
            let refused = Script::parse(script).unwrap_err();
            assert!(refused.to_string().contains(named), "{refused}");
        }
    }

    #[test]
    fn calls_are_counted_from_one() {
        let calls = |text: &str| Calls::try_from(text.to_owned()).unwrap();
        let struck = |text: &str| (1..8).filter(|n| calls(text).contains(*n)).collect::<Vec<_>>();

        assert_eq!(struck("all"), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(struck("3"), [3]);
        assert_eq!(struck("2-5"), [2, 3, 4, 5]);
        assert_eq!(struck("6-"), [6, 7]);
        assert_eq!(struck("every 3"), [3, 6]);
    }

    #[test]
    fn an_absent_script_disturbs_nothing() {
        assert_eq!(Script::read(Path::new("/nowhere/script.toml")), Ok(Script::default()));
    }
}
