use super::*;

const TERMS: JobTerms = JobTerms {
    job: [7; 16],
    reason: Some(RevocationReason::KeyCompromise),
    wave: 10_000,
    pause: 60,
};

fn serial(last: u8) -> SerialNumber {
    SerialNumber::from_random([last; 16])
}

fn issuer(octet: u8) -> IssuerId {
    IssuerId::from_bytes([octet; 32])
}

fn hash_of(instance: &str, terms: &JobTerms, certificates: &[(u8, u8)]) -> OperationHash {
    let deployment = Deployment::from_parts("test", "demo", instance).unwrap();
    let count = u64::try_from(certificates.len()).unwrap();
    let mut hasher = OperationHasher::new(deployment, terms, count);
    for (from, number) in certificates {
        hasher.push(issuer(*from), serial(*number)).unwrap();
    }
    hasher.finish()
}

/// REV-09: an approval is of one operation. Whatever is changed of it, the hash is another.
#[test]
fn whatever_is_changed_of_an_operation_changes_its_hash() {
    let certificates = [(1, 1), (1, 2), (2, 1)];
    let approved = hash_of("ab12", &TERMS, &certificates);

    assert_eq!(approved, hash_of("ab12", &TERMS, &certificates));
    for other in [
        hash_of("ab13", &TERMS, &certificates),
        hash_of("ab12", &JobTerms { job: [8; 16], ..TERMS }, &certificates),
        hash_of("ab12", &JobTerms { reason: None, ..TERMS }, &certificates),
        hash_of("ab12", &JobTerms { wave: 9_999, ..TERMS }, &certificates),
        hash_of("ab12", &JobTerms { pause: 0, ..TERMS }, &certificates),
        hash_of("ab12", &TERMS, &certificates[..2]),
        hash_of("ab12", &TERMS, &[(1, 1), (1, 2), (2, 2)]),
        hash_of("ab12", &TERMS, &[(1, 1), (1, 2), (3, 1)]),
    ] {
        assert_ne!(approved, other);
    }
}

/// One selection has one hash: no certificate comes twice, or before its turn.
#[test]
fn refuses_certificates_out_of_order() {
    let deployment = Deployment::from_parts("test", "demo", "ab12").unwrap();
    for second in [(1, 2), (1, 1), (0, 9)] {
        let mut hasher = OperationHasher::new(deployment, &TERMS, 2);
        hasher.push(issuer(1), serial(2)).unwrap();

        assert_eq!(hasher.push(issuer(second.0), serial(second.1)), Err(OperationOrderError));
    }
}

/// The bytes are those of docs/formats/revocation-job.md: the vector was made by its second reader.
#[test]
fn the_hash_is_that_of_the_page() {
    let page = include_str!("../../../docs/formats/vectors/revocation-job.json");
    let hash = hash_of("ab12", &TERMS, &[(1, 1), (1, 2), (2, 1)]);

    assert!(page.contains(&hash.to_string()), "{hash}");
}

#[test]
fn a_hash_reads_back_in_its_one_spelling() {
    let hash = hash_of("ab12", &TERMS, &[]);
    let text = hash.to_string();

    assert_eq!(text.parse(), Ok(hash));
    for refused in [&text[1..], &text.to_uppercase(), &format!("+{}", &text[1..]), ""] {
        assert_eq!(refused.parse::<OperationHash>(), Err(OperationHashError), "{refused}");
    }
}

/// REV-09: nothing runs that was not started after its forecast, and past the limit approved.
#[test]
fn the_states_of_a_job_as_a_table() {
    use JobAct::{
        Approve, Cancel, Finish, Freeze, Pause, Resume, Select, StartAlone, StartWithApproval,
    };
    const ACTS: [JobAct; 9] =
        [Select, Freeze, StartAlone, StartWithApproval, Approve, Pause, Resume, Cancel, Finish];
    let possible = |state: JobState| {
        ACTS.into_iter().filter(|act| state.after(*act).is_some()).collect::<Vec<_>>()
    };

    assert_eq!(possible(JobState::Draft), [Select, Cancel]);
    assert_eq!(possible(JobState::Selecting), [Freeze, Cancel]);
    assert_eq!(possible(JobState::Forecast), [StartAlone, StartWithApproval, Cancel]);
    assert_eq!(possible(JobState::Waiting), [Approve, Cancel]);
    assert_eq!(possible(JobState::Running), [Pause, Cancel, Finish]);
    assert_eq!(possible(JobState::Paused), [Resume, Cancel]);
    assert_eq!(possible(JobState::Cancelled), []);
    assert_eq!(possible(JobState::Done), []);
    for state in JobState::ALL {
        assert_eq!(state.name().parse(), Ok(state));
    }
}
