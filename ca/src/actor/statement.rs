//! The statement about one call: read strictly, and held against the call.
//!
//! The header names the key, never brings it: `x5t#S256` an eID that this CA has issued, or `kid` a key of the configuration. Every member is known
//! or the statement is refused, so that nothing that its signer meant is passed over.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509::jws::{self, CompactJws, JwsAlgorithm, JwsError};
use x509::key::PublicKey;
use x509::time::UnixTime;

use super::refused;
use crate::operation::Operation;
use crate::order::ActorId;
use crate::refusal::Refusal;
use crate::role::ActsAs;

/// What the header says of itself (RFC 8725 §3.11): no token made for something else is taken for a statement.
pub const TYPE: &str = "sigill-actor+jwt";

/// How far ahead of ours the clock of a signer may be.
pub const AHEAD: Duration = Duration::from_secs(30);

/// Where a statement is sound and the call is another one.
const SIGN_THIS: &str = "have exactly this call signed, by a statement of its own";
/// Where the statement itself is wrong.
const FORM: &str = "make it as docs/formats/actor-statement.md says";

/// The protected header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    #[serde(rename = "x5t#S256", default, skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The deployment's API: [`Deployment::audience`](crate::deployment::Deployment::audience).
    pub aud: String,
    /// Name of the client that sends the call.
    pub client: String,
    /// Its method, such as `POST`.
    pub method: String,
    /// Its path, with what stands behind a question mark.
    pub target: String,
    /// SHA-256 of the octets of its body, hexadecimal; of none where it has none.
    pub body_sha256: String,
    /// Its header Idempotency-Key, of calls that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Names the statement among those of its key: 16 to 128 visible ASCII characters.
    pub jti: String,
    /// When it was signed, Unix seconds.
    pub iat: u64,
    /// The first second at which it counts no more, Unix seconds.
    pub exp: u64,
    /// The role in which he acts, and `confidentiality` where he has that too; none of a holder who acts for himself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Id of the organisation that the role is on, of roles that are on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The identity provider; absent where an eID signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The administrator's HSA-id, as the identity provider knows him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// How sure the provider is of him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// When he last proved to the provider who he is, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
}

/// Whose key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// That of an eID: SHA-256 of its certificate.
    Eid([u8; 32]),
    /// That of an identity provider, by the name of the key in the configuration.
    Provider(String),
}

/// The call that a statement must be about.
#[derive(Clone, Debug)]
pub struct CallFacts<'a> {
    /// The deployment's API.
    pub audience: &'a str,
    /// The client, as TLS knows it.
    pub client: &'a str,
    /// The method.
    pub method: &'a str,
    /// Path and query, as received.
    pub target: &'a str,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// Its order's key.
    pub idempotency_key: Option<&'a str>,
    /// When it came.
    pub now: UnixTime,
    /// How long after its signature a statement counts at most.
    pub age: Duration,
}

/// What an identity provider is trusted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderTerms {
    /// What its statements have as `iss`.
    pub issuer: String,
    /// What they have as `acr` of who was identified at trust level 3.
    pub level: String,
    /// How long after he proved who he is.
    pub session: Duration,
}

/// A statement that has been read. Nothing of it is believed before [`Self::verify`] and [`Self::judge`].
#[derive(Clone, Debug)]
pub struct ActorStatement {
    jws: CompactJws,
    algorithm: JwsAlgorithm,
    signed_by: SignedBy,
    claims: Claims,
}

impl ActorStatement {
    /// Reads the text of a statement.
    ///
    /// # Errors
    ///
    /// `actor-statement-malformed`, `actor-statement-algorithm`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let jws = CompactJws::parse(text).map_err(|error| {
            malformed(&error, "the compact serialisation of a JSON Web Signature (RFC 7515)")
        })?;
        let header: Header = serde_json::from_slice(jws.header())
            .map_err(|error| malformed(&error, "alg, typ, and one of x5t#S256 and kid"))?;
        let Some(algorithm) = JwsAlgorithm::from_name(&header.alg) else {
            return Err(of_algorithm(&header.alg));
        };
        if header.typ != TYPE {
            return Err(malformed(&header.typ, TYPE));
        }
        let signed_by = match (header.x5t, header.kid) {
            (Some(hash), None) => jws::octets(&hash)
                .and_then(|octets| <[u8; 32]>::try_from(octets).ok())
                .map(SignedBy::Eid)
                .ok_or_else(|| malformed(&"x5t#S256", "SHA-256 in base64url"))?,
            (None, Some(name)) => SignedBy::Provider(name),
            _ => return Err(malformed(&"both or neither", "one of x5t#S256 and kid")),
        };
        let claims: Claims = serde_json::from_slice(jws.payload())
            .map_err(|error| malformed(&error, "the claims of the format and no others"))?;
        let fits = (16..=128).contains(&claims.jti.len())
            && claims.jti.bytes().all(|octet| octet.is_ascii_graphic());
        if !fits {
            return Err(malformed(&"jti", "16 to 128 visible ASCII characters"));
        }
        Ok(Self { jws, algorithm, signed_by, claims })
    }

    /// Whose key is to verify it.
    #[must_use]
    pub const fn signed_by(&self) -> &SignedBy {
        &self.signed_by
    }

    /// What it claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Its text without the signature. Two that agree in it are one statement, whatever their signatures are.
    #[must_use]
    pub fn signed(&self) -> &str {
        self.jws.signing_input()
    }

    /// Names it for ever among all statements: SHA-256 over whose key signed it, and its `jti`.
    #[must_use]
    pub fn name(&self) -> [u8; 32] {
        let hash = match &self.signed_by {
            SignedBy::Eid(sha256) => Sha256::new().chain_update(b"eid\0").chain_update(sha256),
            SignedBy::Provider(kid) => {
                Sha256::new().chain_update(b"kid\0").chain_update(kid).chain_update(b"\0")
            }
        };
        hash.chain_update(&self.claims.jti).finalize().into()
    }

    /// The last second at which it counts: [`Self::judge`] refuses it after that.
    #[must_use]
    pub fn until(&self, age: Duration) -> Option<UnixTime> {
        let last = self.claims.iat.saturating_add(age.as_secs());
        UnixTime::from_secs(last.min(self.claims.exp.saturating_sub(1))).ok()
    }

    /// Verifies its signature with the key that its header names.
    ///
    /// # Errors
    ///
    /// `actor-statement-algorithm` where the key makes no such signatures, `actor-statement-signature`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Refusal> {
        self.jws.verify(key, self.algorithm).map_err(|error| match error {
            JwsError::Algorithm { .. } => of_algorithm(&error),
            _ => {
                let limit = "a signature by the key that the header names";
                refused("actor-statement-signature", &error, limit, FORM)
            }
        })
    }

    /// Holds it against the call that it came with.
    ///
    /// # Errors
    ///
    /// `actor-statement-audience`, `-client`, `-target`, `-body`, `-key`, `-early`, `-late`.
    pub fn judge(&self, call: &CallFacts<'_>) -> Result<(), Refusal> {
        let Claims { aud, client, method, target, .. } = &self.claims;
        let other = |code, seen: &dyn std::fmt::Display, limit: &str| {
            refused(code, &seen, limit, SIGN_THIS)
        };
        if aud != call.audience {
            return Err(other("actor-statement-audience", aud, call.audience));
        }
        if client != call.client {
            return Err(other("actor-statement-client", client, call.client));
        }
        if (method.as_str(), target.as_str()) != (call.method, call.target) {
            let limit = format!("{} {}", call.method, call.target);
            let seen = format!("{method} {target}");
            return Err(other("actor-statement-target", &seen, &limit));
        }
        if self.claims.body_sha256 != hexadecimal(&call.body_sha256) {
            let limit = hexadecimal(&call.body_sha256);
            return Err(other("actor-statement-body", &self.claims.body_sha256, &limit));
        }
        if self.claims.idempotency_key.as_deref() != call.idempotency_key {
            let limit = "the call's Idempotency-Key, and none where it has none";
            return Err(other("actor-statement-key", &"another key, or none", limit));
        }
        self.in_time(call.now, call.age)
    }

    fn in_time(&self, now: UnixTime, age: Duration) -> Result<(), Refusal> {
        let Claims { iat, exp, .. } = self.claims;
        if iat > now.secs().saturating_add(AHEAD.as_secs()) {
            let limit =
                format!("{} at the latest, by a clock at most {} s ahead", now, AHEAD.as_secs());
            let next = "set the signer's clock";
            return Err(refused("actor-statement-early", &iat, limit, next));
        }
        if now.secs() >= exp || now.secs() > iat.saturating_add(age.as_secs()) {
            let seen = format!("iat {iat}, exp {exp}, at {}", now.secs());
            let limit = format!("{} s after iat, and before exp", age.as_secs());
            return Err(refused("actor-statement-late", &seen, limit, SIGN_THIS));
        }
        Ok(())
    }

    /// In which role he acts, if that may do this; `None` is a call that needs nobody.
    ///
    /// # Errors
    ///
    /// `actor-roles` for words that are no role, or several, or an organisation with a role that is on none or the reverse;
    /// `actor-role-refused`.
    pub fn judge_role(&self, operation: Option<Operation>) -> Result<ActsAs, Refusal> {
        let limit = "one role of docs/roles.md, beside it confidentiality, and the organisation that it is on";
        let next = "state the role in which the call is done";
        let acts = ActsAs::read(self.claims.roles.iter().map(String::as_str))
            .map_err(|fault| refused("actor-roles", &fault, limit, next))?;
        if acts.is_on_an_organisation() != self.claims.organisation.is_some() {
            let seen = format!("{acts} with an organisation, or without");
            return Err(refused("actor-roles", &seen, limit, next));
        }
        match operation {
            Some(one) if !acts.may(one) => {
                let limit = format!("a role that may {} (docs/roles.md)", one.id());
                let next = "have somebody act who has such a role";
                Err(refused("actor-role-refused", &acts, limit, next))
            }
            _ => Ok(acts),
        }
    }

    /// The administrator whom an identity provider names, by what it is trusted for.
    ///
    /// # Errors
    ///
    /// `actor-statement-malformed` where something of him is missing, `actor-statement-issuer`, `actor-level`, `actor-session`.
    pub fn judge_provider(&self, terms: &ProviderTerms, now: UnixTime) -> Result<ActorId, Refusal> {
        let Claims { iss, sub, acr, auth_time, .. } = &self.claims;
        let (Some(iss), Some(sub), Some(acr), Some(proven)) = (iss, sub, acr, auth_time) else {
            return Err(malformed(&"fewer", "iss, sub, acr and auth_time of an identity provider"));
        };
        if *iss != terms.issuer {
            let next = "have it signed by the provider of this key";
            return Err(refused("actor-statement-issuer", iss, &terms.issuer, next));
        }
        if *acr != terms.level {
            let next = "have the administrator identified at trust level 3";
            return Err(refused("actor-level", acr, &terms.level, next));
        }
        let ahead = now.secs().saturating_add(AHEAD.as_secs());
        if *proven > ahead || now.secs() > proven.saturating_add(terms.session.as_secs()) {
            let limit = format!("at most {} s ago", terms.session.as_secs());
            let next = "have the administrator log in again";
            return Err(refused("actor-session", proven, limit, next));
        }
        ActorId::new(sub).ok_or_else(|| malformed(&"sub", "1 to 128 visible ASCII characters"))
    }

    /// Refuses what only identity providers say of somebody, in a statement that an eID signs.
    ///
    /// # Errors
    ///
    /// `actor-statement-malformed`.
    pub fn judge_eid_claims(&self) -> Result<(), Refusal> {
        let Claims { iss, sub, acr, auth_time, .. } = &self.claims;
        if iss.is_some() || sub.is_some() || acr.is_some() || auth_time.is_some() {
            let limit = "neither iss, sub, acr nor auth_time: the eID says who he is";
            return Err(malformed(&"more", limit));
        }
        Ok(())
    }
}

/// What is signed of a statement with these claims: its header and payload.
///
/// # Errors
///
/// Claims that are no JSON: none.
pub fn signing_input(
    algorithm: JwsAlgorithm,
    signed_by: &SignedBy,
    claims: &Claims,
) -> Result<String, serde_json::Error> {
    let (x5t, kid) = match signed_by {
        SignedBy::Eid(sha256) => (Some(jws::text(sha256)), None),
        SignedBy::Provider(name) => (None, Some(name.clone())),
    };
    let header = Header { alg: algorithm.name().to_owned(), typ: TYPE.to_owned(), x5t, kid };
    Ok(jws::signing_input(&serde_json::to_vec(&header)?, &serde_json::to_vec(claims)?))
}

/// Octets as the claims have them: hexadecimal, lower case.
#[must_use]
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn malformed(seen: &impl std::fmt::Display, limit: &str) -> Refusal {
    refused("actor-statement-malformed", seen, limit, FORM)
}

fn of_algorithm(seen: &impl std::fmt::Display) -> Refusal {
    let limit = "ES256 with a P-256 key, PS256 or RS256 with an RSA key";
    refused("actor-statement-algorithm", seen, limit, "sign with the key that the header names")
}
