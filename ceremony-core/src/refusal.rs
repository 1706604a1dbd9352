//! Everything that stops a ceremony, in one table. No option of any program overrides a row of it.
//!
//! The codes R01 to R20 stand in the printed script too, so that whoever sees one on the screen finds it on paper.

use crate::script::Language;

/// Why a ceremony does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The plan does not hold by itself.
    Plan,
    /// The plan is not the one that was approved.
    PlanChanged,
    /// Approvals are missing.
    Approvals,
    /// The clock.
    Clock,
    /// The program, its PKCS#11 module or the image.
    Program,
    /// A network.
    Network,
    /// The token.
    Token,
    /// The deployment.
    Deployment,
    /// People are missing.
    Quorum,
    /// The inputs.
    Input,
    /// The device behaves otherwise.
    Device,
    /// The linter.
    Lint,
    /// The key.
    Key,
    /// The CRL.
    Crl,
    /// The signature budget.
    Budget,
    /// Wrong PINs.
    Pin,
    /// The rehearsal.
    Rehearsal,
    /// The transcript.
    Transcript,
    /// The exchange file.
    Exchange,
    /// The output medium.
    Output,
    /// The process.
    Process,
}

impl Refusal {
    /// The whole table, in the order of its codes.
    pub const ALL: [Self; 21] = [
        Self::Plan,
        Self::PlanChanged,
        Self::Approvals,
        Self::Clock,
        Self::Program,
        Self::Network,
        Self::Token,
        Self::Deployment,
        Self::Quorum,
        Self::Input,
        Self::Device,
        Self::Lint,
        Self::Key,
        Self::Crl,
        Self::Budget,
        Self::Pin,
        Self::Rehearsal,
        Self::Transcript,
        Self::Exchange,
        Self::Output,
        Self::Process,
    ];

    /// Its code, `R01` to `R20`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// What the program ends with.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.row().1
    }

    /// When it refuses, for people.
    #[must_use]
    pub const fn when(self, language: Language) -> &'static str {
        match language {
            Language::Swedish => self.row().2,
            Language::English => self.row().3,
        }
    }

    /// Code, exit code, and when it refuses in Swedish and in English.
    const fn row(self) -> (&'static str, u8, &'static str, &'static str) {
        match self {
            Self::Plan => (
                "R01",
                10,
                "Planen kan inte läsas eller säger emot sig själv.",
                "The plan cannot be read or contradicts itself.",
            ),
            Self::PlanChanged => {
                ("R01", 11, "Planen är inte den godkända.", "The plan is not the approved one.")
            }
            Self::Approvals => (
                "R02",
                11,
                "Det finns färre giltiga godkännanden än planen kräver, eller en person är räknad två gånger.",
                "There are fewer valid approvals than the plan requires, or one person was counted twice.",
            ),
            Self::Clock => (
                "R03",
                13,
                "Klockan ligger utanför tidsfönstret, före något som redan är daterat, mer än 60 s från den oberoende \
                 klockan, eller har ställts om.",
                "The clock is outside the window, before something that is dated already, more than 60 s off the \
                 independent clock, or was set.",
            ),
            Self::Program => (
                "R04",
                13,
                "Programmet, PKCS#11-modulen eller avbildningen har en annan hash än planens.",
                "The program, the PKCS#11 module or the image has another hash than the plan's.",
            ),
            Self::Network => (
                "R05",
                13,
                "Ett nätverksgränssnitt är aktivt, eller blev det.",
                "A network interface is up, or came up.",
            ),
            Self::Token => (
                "R06",
                14,
                "HSM:en är inte den planerade eller har ett annat innehåll.",
                "The token is not the planned one or holds something else.",
            ),
            Self::Deployment => (
                "R07",
                13,
                "Miljö eller PKI hos HSM, indata eller deltagare stämmer inte.",
                "Environment or PKI of token, inputs or participants do not fit.",
            ),
            Self::Quorum => (
                "R08",
                12,
                "Personer eller roller som steget kräver saknas, eller roller går inte ihop.",
                "People or roles that the step requires are missing, or roles exclude each other.",
            ),
            Self::Input => (
                "R09",
                13,
                "Indata saknas, har en annan hash, eller en fil som inte står i planen finns på mediet.",
                "An input is missing or has another hash, or a file that the plan does not name is on the medium.",
            ),
            Self::Device => (
                "R10",
                14,
                "HSM:en beter sig annorlunda än planens mätning.",
                "The device behaves otherwise than the plan's measurement.",
            ),
            Self::Lint => (
                "R11",
                15,
                "Granskningen av certifikatet eller CRL:en hittade fel, eller det som ska signeras ändrades efteråt.",
                "The linter found a fault, or what is to be signed was changed after it.",
            ),
            Self::Key => (
                "R12",
                16,
                "Den publika nyckeln, nyckelns prov eller dess attribut avviker.",
                "The public key, the key's proof or its attributes deviate.",
            ),
            Self::Crl => (
                "R13",
                17,
                "CRL:ens nummer, tider eller spärrade serienummer går bakåt.",
                "Number, times or revoked serial numbers of the CRL go back.",
            ),
            Self::Budget => (
                "R14",
                14,
                "Planen har inte detta i steget, eller inte så många gånger, eller har något som inte är gjort.",
                "The plan does not have this in the step, or not so often, or has something that is not done.",
            ),
            Self::Pin => (
                "R15",
                19,
                "Antalet felaktiga PIN-försök är nått, eller HSM:en säger att nästa är det sista.",
                "The number of wrong PINs is reached, or the token says that the next try is the last.",
            ),
            Self::Rehearsal => (
                "R16",
                13,
                "Repetition saknas, är för gammal eller har en annan form.",
                "The rehearsal is missing, too old, or of another shape.",
            ),
            Self::Transcript => (
                "R17",
                18,
                "Protokollet är brutet, eller dess kopia är en annan.",
                "The transcript is broken, or its copy is another.",
            ),
            Self::Exchange => (
                "R18",
                21,
                "Utbytesfilens engångsvärde är redan använt, har gått ut eller hör till en annan begäran.",
                "The nonce of the exchange file was seen before, has expired or is for another request.",
            ),
            Self::Output => (
                "R19",
                13,
                "Utmediet är inte tomt, eller kopian läses tillbaka annorlunda.",
                "The output medium is not empty, or the copy reads back differently.",
            ),
            Self::Process => (
                "R20",
                13,
                "En avlusare är ansluten, växling eller minnesdumpar är på, eller indata kommer inte från en terminal.",
                "A debugger is attached, swap or core dumps are on, or the input is no terminal.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_code_and_both_languages() {
        // R01 has two rows: a plan that does not hold, and one that was not approved.
        let numbers = std::iter::once(1).chain(1..);
        for (row, number) in Refusal::ALL.into_iter().zip(numbers) {
            assert_eq!(row.code(), format!("R{number:02}"));
            assert!((10..=22).contains(&row.exit_code()), "{row:?}");
            assert_ne!(row.when(Language::Swedish), row.when(Language::English));
        }
    }
}
