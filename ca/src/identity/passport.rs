//! Persons who have no Swedish number and are known by a passport.

use std::fmt;

use super::{BirthDate, Field, IdentityError};
use crate::deployment::Environment;

/// A person as a passport names one: issuing state, number and day of birth.
///
/// Never part of a certificate (PRO-08, PRO-23); `Debug` shows neither number nor birth.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PassportIdentity {
    state: String,
    number: String,
    birth: BirthDate,
}

/// The issuing state of specimens, which issues no passport (ICAO 9303-3 §5, *Utopia*): the only
/// one outside production, and never one in it (DAT-08).
const SPECIMEN: &str = "UTO";

/// Who issues passports: the three letters of ISO 3166-1, and those that ICAO 9303-3 §5 has beside
/// them for British passports, Kosovo, the European Union, the United Nations, Interpol and the
/// Sovereign Order of Malta.
const STATES: &str = "\
    ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA \
    BGD BGR BHR BHS BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN \
    CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU \
    EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB \
    GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL \
    ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO \
    LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR \
    MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER \
    PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS SHN SJM \
    SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK \
    TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM \
    VUT WLF WSM YEM ZAF ZMB ZWE \
    EUE GBD GBN GBO GBP GBS RKS UNA UNK UNO XOM XPO";

impl PassportIdentity {
    /// Reads the passport of a person in `environment`. `birth` is `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: a state that issues passports, one to nine of `A-Z0-9` for the number (ICAO
    /// 9303-4 §4.2.2), the date; [`IdentityError::NotATestIdentity`] outside production unless
    /// the state is `UTO`, and [`IdentityError::TestIdentityInProduction`] in it if it is.
    pub fn parse(
        state: &str,
        number: &str,
        birth: &str,
        environment: Environment,
    ) -> Result<Self, IdentityError> {
        let field = Field::PassportState;
        if state != SPECIMEN && !STATES.split(' ').any(|known| known == state) {
            return Err(IdentityError::Form {
                field,
                expected: "three letters of a state that issues passports, such as DNK (ISO 3166-1)",
            });
        }
        let plain = number.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !plain || !(1..=9).contains(&number.len()) {
            return Err(IdentityError::Form {
                field: Field::PassportNumber,
                expected: "1 to 9 characters A-Z and 0-9",
            });
        }
        let birth = BirthDate::parse(birth)?;
        environment.admits_identity(field, state == SPECIMEN)?;
        Ok(Self { state: state.to_owned(), number: number.to_owned(), birth })
    }

    /// The issuing state: three letters.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The passport's number: personal data.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The day of birth.
    #[must_use]
    pub const fn birth(&self) -> BirthDate {
        self.birth
    }
}

impl fmt::Debug for PassportIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PassportIdentity({})", self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        state: &str,
        number: &str,
        environment: Environment,
    ) -> Result<PassportIdentity, IdentityError> {
        PassportIdentity::parse(state, number, "1974-08-12", environment)
    }

    /// DAT-08, both ways. The number is the specimen's of ICAO 9303-4 appendix A.
    #[test]
    fn specimens_are_for_test_and_passports_of_states_for_production() {
        for environment in [Environment::Test, Environment::Qa] {
            assert!(parse("UTO", "L898902C3", environment).is_ok());
            assert_eq!(
                parse("DNK", "L898902C3", environment),
                Err(IdentityError::NotATestIdentity { field: Field::PassportState })
            );
        }
        for state in ["DNK", "DEU", "SWE", "GBN", "RKS", "ZWE", "ABW"] {
            assert!(parse(state, "L898902C3", Environment::Prod).is_ok(), "{state}");
        }
        assert_eq!(
            parse("UTO", "L898902C3", Environment::Prod),
            Err(IdentityError::TestIdentityInProduction { field: Field::PassportState })
        );
    }

    #[test]
    fn refuses_other_states_numbers_and_dates() {
        for state in ["", "UT", "UTOO", "uto", "UT0", "ÅTO", "XYZ", "DNK ", "DNK FIN", "SOV"] {
            let refused = parse(state, "L898902C3", Environment::Test);
            assert!(
                matches!(refused, Err(IdentityError::Form { field: Field::PassportState, .. })),
                "{state}"
            );
        }
        for number in ["", "L898902C36", "l898902c3", "L898902C<", "L898 902"] {
            let refused = parse("UTO", number, Environment::Test);
            assert!(
                matches!(refused, Err(IdentityError::Form { field: Field::PassportNumber, .. })),
                "{number}"
            );
        }
        assert!(matches!(
            PassportIdentity::parse("UTO", "L898902C3", "1974-02-29", Environment::Test),
            Err(IdentityError::Date { field: Field::BirthDate })
        ));
    }

    #[test]
    fn shows_neither_number_nor_birth() {
        let passport = parse("UTO", "L898902C3", Environment::Test).unwrap();

        assert_eq!(format!("{passport:?}"), "PassportIdentity(UTO)");
    }
}
