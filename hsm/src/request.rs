//! What a key in a token signs to be certified: its own PKCS#10 request, and the responder's
//! request that carries it inward.
//!
//! Both are built here from typed parts, so that these doors sign nothing else, and both are
//! verified before they leave.

use thiserror::Error;
use x509::key::PublicKey;
use x509::name::Name;
use x509::request::{CertificationRequest, CertificationRequestInfo, RequestError};
use x509::responder_request::{ResponderRequest, ResponderRequestBody, ResponderRequestError};
use x509::statement::StatementError;

use crate::opened::Token;
use crate::operation::{Operation, proving_algorithm};
use crate::service::SignError;

impl Token {
    /// Has the private key of `key` sign a PKCS#10 request for `subject` (RFC 2986).
    ///
    /// # Errors
    ///
    /// [`SignRequestError`]: the token's or key's, or a signature that does not verify.
    pub fn certification_request(
        &self,
        key: &PublicKey,
        subject: &Name,
    ) -> Result<CertificationRequest, SignRequestError> {
        let info = CertificationRequestInfo { subject: subject.clone(), public_key: key.clone() };
        let signature = self.sign_typed(key, &info.to_der())?;
        info.with_signature(proving_algorithm(key.key_type()), &signature)
            .map_err(SignRequestError::Request)
    }

    /// Has the responder's identity key sign what it sends inward.
    ///
    /// # Errors
    ///
    /// [`SignRequestError`]: the token's or key's, or a body that names another identity key.
    pub fn responder_request(
        &self,
        identity: &PublicKey,
        body: &ResponderRequestBody,
    ) -> Result<ResponderRequest, SignRequestError> {
        let signature = self.sign_typed(identity, &body.to_der())?;
        let algorithm = proving_algorithm(identity.key_type());
        ResponderRequest::assemble(body, algorithm, &signature, identity)
            .map_err(SignRequestError::ResponderRequest)
    }

    /// Signs the bytes of a typed thing; what it is, its caller in this room has built.
    pub(crate) fn sign_typed(
        &self,
        key: &PublicKey,
        bytes: &[u8],
    ) -> Result<Vec<u8>, SignRequestError> {
        let algorithm = proving_algorithm(key.key_type());
        let operation = Operation::over_message(algorithm, bytes, self.quirks())
            .map_err(|source| SignRequestError::Request(RequestError::PublicKey(source)))?;
        self.sign_twice(key, operation, self.deadline()).map_err(SignRequestError::Sign)
    }
}

/// Why a request was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignRequestError {
    /// The token or the key.
    #[error("request was not signed")]
    Sign(#[source] SignError),
    /// What was signed is no good request.
    #[error("signed request was refused")]
    Request(#[source] RequestError),
    /// What was signed is no good responder request.
    #[error("signed responder request was refused")]
    ResponderRequest(#[source] ResponderRequestError),
    /// What was signed is no good statement.
    #[error("signed statement was refused")]
    Statement(#[source] StatementError),
}

impl SignRequestError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sign(error) => error.code(),
            Self::Request(_) => "hsm-request",
            Self::ResponderRequest(_) => "hsm-responder-request",
            Self::Statement(_) => "hsm-statement",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Sign(error) => error.next_step(),
            Self::Request(_) => "check subject and key of the request",
            Self::ResponderRequest(_) => {
                "check which identity key the responder is configured with"
            }
            Self::Statement(_) => "check which key of the token is the person's",
        }
    }
}
