//! The algorithm policy of the configuration, and what it says of the authorities at a start (KEY-11).

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use ca::algorithms::{AlgorithmPolicy, KeyPurpose, NotAllowed, Standing};
use x509::time::UnixTime;

use crate::config::ConfigFile;
use crate::service::authority::Authority;
use crate::start::Told;

/// Reads the policy that the configuration names; else the shipped one.
///
/// # Errors
///
/// Names the file that cannot be read or is no policy.
pub(crate) fn read(config: &ConfigFile) -> anyhow::Result<AlgorithmPolicy> {
    let Some(path) = &config.algorithm_policy else { return Ok(AlgorithmPolicy::shipped()?) };
    let told = |code, what: &str| {
        let what = format!("{what} algorithm policy {}", path.display());
        Told::new(code, what, "correct `algorithm-policy` or the file, or leave the key out")
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| told("algorithm-policy-unreadable", "cannot read"))?;
    AlgorithmPolicy::parse(&text).with_context(|| told("algorithm-policy-malformed", "refused"))
}

/// Refuses authorities that sign here in a way that the policy has never allowed. What has ended, or
/// begins later, starts: CRLs and OCSP go on, and nothing is issued.
///
/// # Errors
///
/// Names authority, key and algorithm.
pub(crate) fn judge(
    policy: &AlgorithmPolicy,
    authorities: &BTreeMap<String, Authority>,
) -> anyhow::Result<()> {
    for authority in authorities.values().filter(|authority| authority.signs_here()) {
        let judged = of_authority(policy, authority, UnixTime::EPOCH);
        let never = judged.filter(|refused| refused.standing == Standing::Never);
        if let Some(refused) = never {
            let next = "change `algorithm` of the authority; if the algorithm is no longer wanted, write its last day \
                        (`to`) into the policy instead of taking its line out";
            let name = authority.name();
            let what = format!("authority {name}: {refused} by the algorithm policy");
            bail!(Told::new("algorithm-not-allowed", what, next));
        }
    }
    Ok(())
}

/// What the policy says at `now` against how an authority signs.
pub(crate) fn of_authority(
    policy: &AlgorithmPolicy,
    authority: &Authority,
    now: UnixTime,
) -> Option<NotAllowed> {
    let key = authority.issuer.public_key().key_type();
    policy.signature(KeyPurpose::Issuing, key, authority.issuer.algorithm(), now).err()
}

#[cfg(test)]
mod tests {
    use ca::audit::EventCode;

    use super::*;
    use crate::service::crl::List;
    use crate::service::testing::World;

    /// How the authority of the tests signs, as the shipped policy has it.
    const LINE: &str = "signatures = [\"ecdsa-p256-sha256\"]\nfrom       = 2016-07-01";

    fn over(last: &str) -> String {
        format!("{LINE}\nto = {last}")
    }

    /// KEY-11: refused before anything is recorded, for the day and not for ever; CRLs go on.
    #[test]
    fn an_issuer_whose_algorithm_has_ended_issues_nothing_and_its_crls_go_on() {
        let mut world = World::new();
        world.edit_algorithms(LINE, &over("2020-12-31"));

        let denied = world.issue_again("one").unwrap_err();
        assert_eq!(denied.refusal.code, "issuer-algorithm-not-allowed");
        assert!(denied.refusal.limit.contains("2020-12-31"), "{denied}");
        assert_eq!(world.leaves(EventCode::CertificateIntent), 0);
        world.service.make_list(world.authority(), List::Full).unwrap();
        assert_eq!(world.leaves(EventCode::CrlIssued), 1);

        world.edit_algorithms(LINE, &over("9999-12-31"));
        assert!(world.issue_again("one").is_ok(), "the same call once the policy allows it");
    }

    /// KEY-07: the same for a subscriber's key.
    #[test]
    fn a_key_of_a_type_that_has_ended_is_not_certified() {
        let mut world = World::new();
        let line = "purpose = \"subscriber\"\nkey     = \"ec-p256\"";
        world.edit_algorithms(line, &format!("{line}\nto = 2020-12-31"));

        let denied = world.issue("one").unwrap_err();

        assert_eq!(denied.refusal.code, "key-algorithm-not-allowed");
        assert!(!denied.is_final());
        assert_eq!(world.leaves(EventCode::CertificateIntent), 0);
    }

    /// KEY-11: what was never allowed does not start; what has ended does, for its CRLs.
    #[test]
    fn an_authority_that_was_never_allowed_does_not_start() {
        let mut world = World::new();
        let judged = |world: &World| judge(&world.service.algorithms, &world.service.authorities);
        assert!(judged(&world).is_ok());
        world.edit_algorithms(LINE, &over("2020-12-31"));
        assert!(judged(&world).is_ok());
        let issuing = "purpose    = \"issuing\"\nkey        = \"ec-p256\"";
        world.edit_algorithms(issuing, &issuing.replace("issuing", "management"));

        let error = judged(&world).unwrap_err();

        assert_eq!(crate::start::code(&error), "algorithm-not-allowed");
        let line = crate::start::line(&error);
        assert!(line.contains("authority issuing: ec-p256 keys"), "{line}");
    }
}
