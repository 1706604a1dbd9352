//! What a call asks for in the query of its URL: read here, once, for every listing.

use axum::body::Body;
use axum::extract::{FromRequestParts, Query};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use ca::refusal::Refusal;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::Call;
use super::{App, refuse};
use crate::denied::{Denied, Kind};
use crate::service::caller::Caller;

/// The parameters that `T` names, each once at most, and no others (API-11).
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + IntoParams> FromRequestParts<App> for Asked<T> {
    type Rejection = Response<Body>;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        app: &App,
    ) -> Result<Self, Self::Rejection> {
        let rejection = match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(asked)) => return Ok(Self(asked)),
            Err(rejection) => rejection,
        };
        let extensions = &parts.extensions;
        match (extensions.get::<Call>().cloned(), extensions.get::<Caller>().cloned()) {
            (Some(call), Some(caller)) => {
                let denied = unreadable::<T>(&rejection.body_text());
                Err(refuse(app, &caller, &call, denied).await)
            }
            // Calls without both do not come past the envelope.
            _ => Err(StatusCode::BAD_REQUEST.into_response()),
        }
    }
}

fn unreadable<T: IntoParams>(seen: &str) -> Denied {
    let known: Vec<String> = T::into_params(|| None).into_iter().map(|one| one.name).collect();
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "query-malformed",
            "a listing takes the parameters that /openapi.json lists",
            &seen,
            known.join(", "),
            "correct the query",
        ),
    )
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    fn read<T: DeserializeOwned + IntoParams>(query: &str) -> Result<T, Denied> {
        let uri: Uri = format!("/v1/somewhere?{query}").parse().unwrap();
        Query::<T>::try_from_uri(&uri)
            .map(|Query(asked)| asked)
            .map_err(|rejection| unreadable::<T>(&rejection.body_text()))
    }

    /// API-11: what a listing does not know, what is there twice and what is no number is refused, with the parameters that it takes.
    #[test]
    fn a_query_has_the_parameters_of_its_listing_and_no_others() {
        let asked: api::CertificateQuery = read("state=held&eid=none&limit=7").unwrap();
        assert_eq!((asked.state.as_deref(), asked.limit), (Some("held"), Some(7)));
        let known =
            "sha256, authority, serial, profile, state, order, organisation, eid, cursor, limit";
        for query in
            ["colour=red", "limit=many", "limit=-1", "limit=1&limit=2", "cursor=a&cursor=b"]
        {
            let refused = read::<api::CertificateQuery>(query).unwrap_err();
            assert_eq!((refused.kind, refused.refusal.code), (Kind::Malformed, "query-malformed"));
            assert_eq!(refused.refusal.limit, known, "{query}");
        }
        let refused = [
            read::<api::EidQuery>("personal_identity_number=191212121212").unwrap_err(),
            read::<api::OrganisationQuery>("organisation=1").unwrap_err(),
            read::<api::PageQuery>("after=1").unwrap_err(),
            read::<api::TrialQuery>("cursor=1").unwrap_err(),
            read::<api::WorkQuery>("after=x").unwrap_err(),
        ];
        let limits = refused.map(|denied| denied.refusal.limit);
        let expected = [
            "organisation, carrier, certificate, cursor, limit",
            "kind, under, on, cursor, limit",
            "cursor, limit",
            "limit",
            "after",
        ];
        assert_eq!(limits, expected);
    }
}
