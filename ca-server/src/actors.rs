//! The two persons of an act that no one does alone, as a command is told of them.

/// The longest opaque id of a person, in characters.
const LIMIT: usize = 64;

/// What is wanted, for a refusal.
pub(crate) const WANTED: &str =
    "--actor is wanted twice, for two persons of at most 64 characters each";

/// Two different persons; `None` of anything else.
pub(crate) fn two(told: &[String]) -> Option<[String; 2]> {
    let [one, other] = told else { return None };
    let is_told = |who: &str| !who.trim().is_empty() && who.chars().count() <= LIMIT;
    let differ = one.trim() != other.trim();
    (differ && is_told(one) && is_told(other)).then(|| [one.clone(), other.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_not_two() {
        let told = |names: &[&str]| two(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let long = "x".repeat(65);
        for refused in [
            &[][..],
            &["op-7"],
            &["op-7", "op-7 "],
            &["op-7", " "],
            &["a", "b", "c"],
            &["a", &long],
        ] {
            assert_eq!(told(refused), None, "{refused:?}");
        }
        assert_eq!(told(&["op-7", "op-9"]), Some(["op-7".to_owned(), "op-9".to_owned()]));
    }
}
