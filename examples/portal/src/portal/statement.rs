//! The statement that an administrator's card signs about one call (docs/formats/actor-statement.md).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509::jws;

use crate::config::Administrator;
use crate::ledger::Begun;

/// Seconds for which it counts: the card is asked and the call made within them.
const LIFE: u64 = 240;

/// Whom it is told to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'a> {
    pub(crate) api: &'a str,
    pub(crate) client: &'a str,
}

/// What the card is to sign: header and claims.
pub(crate) fn input(
    audience: Audience<'_>,
    administrator: &Administrator,
    act: &Begun,
    (jti, now): (&[u8; 16], u64),
) -> String {
    let header = json!({
        "alg": "ES256",
        "typ": "sigill-actor+jwt",
        "x5t#S256": jws::text(&administrator.fingerprint),
    });
    let mut claims = json!({
        "aud": audience.api,
        "client": audience.client,
        "method": "POST",
        "target": act.target,
        "body_sha256": hash(&act.body),
        "idempotency_key": act.key,
        "roles": administrator.said.roles,
        "jti": jws::text(jti),
        "iat": now,
        "exp": now.saturating_add(LIFE),
    });
    if let (Some(organisation), Some(claims)) =
        (&administrator.said.organisation, claims.as_object_mut())
    {
        claims.insert("organisation".to_owned(), json!(organisation));
    }
    jws::signing_input(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

/// The statement, where it is this administrator's about this call; in words why it is not.
pub(crate) fn taken(
    administrator: &Administrator,
    act: &Begun,
    input: &str,
    signature: &str,
) -> Result<String, &'static str> {
    let claims = input.split_once('.').and_then(|(_, claims)| jws::octets(claims));
    let claims: Value = claims
        .and_then(|claims| serde_json::from_slice(&claims).ok())
        .ok_or("the statement cannot be read")?;
    let said = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let same = said("target") == act.target
        && said("idempotency_key") == act.key
        && said("body_sha256") == hash(&act.body);
    if !same {
        return Err("the statement is about another call");
    }
    let octets = jws::octets(signature).ok_or("the signature cannot be read")?;
    if !is_signed(administrator, input.as_bytes(), &octets) {
        return Err("the card that signed is another one");
    }
    Ok(jws::compact(input, &octets))
}

/// Whether an administrator's card has signed this.
pub(crate) fn is_signed(administrator: &Administrator, text: &[u8], signature: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, administrator.key.key_bits());
    key.verify(text, signature).is_ok()
}

fn hash(body: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(body))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use x509::key::PublicKey;

    use super::*;
    use crate::config::AdministratorFile;

    pub(crate) fn administrator() -> (EcdsaKeyPair, Administrator) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let said = AdministratorFile {
            name: "Anna".to_owned(),
            hsa_id: "TST1".to_owned(),
            card: "9752269874512325436".to_owned(),
            certificate: PathBuf::new(),
            roles: vec!["id-administrator".to_owned()],
            organisation: Some("org_1".to_owned()),
        };
        (pair, Administrator { said, fingerprint: [7; 32], key })
    }

    fn act(body: &str, key: &str) -> Begun {
        Begun {
            act: "a".to_owned(),
            kind: "prepare".to_owned(),
            by: "TST1".to_owned(),
            target: "/v1/orders".to_owned(),
            key: key.to_owned(),
            body: body.to_owned(),
            after: String::new(),
            at: 0,
        }
    }

    #[test]
    fn a_statement_is_taken_for_its_call_and_from_its_card_alone() {
        let (pair, anna) = administrator();
        let (_, other) = administrator();
        let audience = Audience { api: "urn:sigill:test:demo:ab12:api", client: "portal" };
        let call = act("{}", "k1");
        let input = input(audience, &anna, &call, (&[1; 16], 1_795_298_400));
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        let signature = jws::text(signature.as_ref());

        let statement = taken(&anna, &call, &input, &signature).unwrap();

        let read = jws::CompactJws::parse(&statement).unwrap();
        assert_eq!(read.verify(&anna.key, jws::JwsAlgorithm::Es256), Ok(()));
        let claims: Value = serde_json::from_slice(read.payload()).unwrap();
        assert_eq!(
            (&claims["roles"][0], &claims["organisation"]),
            (&json!("id-administrator"), &json!("org_1"))
        );
        assert!(taken(&other, &call, &input, &signature).is_err());
        assert!(taken(&anna, &act("{ }", "k1"), &input, &signature).is_err());
        assert!(taken(&anna, &act("{}", "k2"), &input, &signature).is_err());
        assert!(taken(&anna, &call, &input, &jws::text(&[0; 64])).is_err());
        assert!(taken(&anna, &call, "none", &signature).is_err());
    }
}
