//! Plain HTTP for relying parties: OCSP by GET and POST, CRLs, CA certificates.
//!
//! What a stranger sends is bounded in size and time, and every OCSP question ends in an OCSP
//! response with status 200 (OCSP-02): a client that gets HTML or a 500 knows nothing.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use crate::caching::{Labels, cache_control, lasting};
use crate::clock::now;
use crate::config::{Object, Route};
use crate::files::ServedCrls;
use crate::metrics::Counted;
use crate::responder::{Caching, Reply, Responder};
use crate::status_page::{self, Surroundings};
use crate::test_certificates::ServedTestCertificates;

/// A body is at most this long; requests themselves have a lower bound of their own.
const MAX_BODY_OCTETS: usize = 64 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long others may keep a CA's certificate.
const CERTIFICATE_MAX_AGE: Duration = Duration::from_secs(86_400);

const SIGILL_POSITION: HeaderName = HeaderName::from_static("sigill-position");

/// Padding may be missing, and spare bits are not judged: the DER inside is.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What answers HTTP requests.
pub(crate) struct Site {
    pub(crate) routes: Vec<Route>,
    pub(crate) responder: Responder,
    pub(crate) crls: Arc<ServedCrls>,
    pub(crate) tests: Arc<ServedTestCertificates>,
    pub(crate) max_age: Duration,
    pub(crate) around: Surroundings,
}

type Body = Full<Bytes>;

impl Site {
    /// Answers one request of the client at `address`.
    pub(crate) async fn serve(
        &self,
        request: Request<Incoming>,
        address: IpAddr,
    ) -> Result<Response<Body>, Infallible> {
        Ok(match find(&self.routes, host_of(&request), request.uri().path()) {
            Some((Object::Ocsp, rest)) => {
                // What cannot be decoded is answered as a request that cannot be parsed.
                let in_path = decode_get(rest).unwrap_or_default();
                self.ocsp(request, in_path, address).await
            }
            Some((Object::Crl(path), "")) => self.crl(&request, path),
            Some((Object::CrlShards(folder), name)) if !name.is_empty() => {
                self.crl(&request, &format!("{folder}{}", name.trim_start_matches('/')))
            }
            Some((Object::StatusPage, "")) => {
                status_page::serve(&self.responder, &self.around, request).await
            }
            Some((Object::TestCertificates, "")) => self.test_certificates(&request),
            Some((Object::Certificate(name), "")) => self.certificate(&request, name),
            _ => plain(StatusCode::NOT_FOUND, "nothing is served here\n"),
        })
    }

    async fn ocsp(
        &self,
        request: Request<Incoming>,
        in_path: Vec<u8>,
        address: IpAddr,
    ) -> Response<Body> {
        match *request.method() {
            Method::POST => {
                let der = read_body(request.into_body()).await;
                ocsp_response(self.responder.answer(&der, address).await, &HeaderMap::new())
            }
            // To HEAD the server below sends the length of the body and not the body (RFC 9110 §9.3.2).
            Method::GET | Method::HEAD => {
                let reply = self.responder.answer(&in_path, address).await;
                ocsp_response(reply, request.headers())
            }
            _ => not_allowed("GET, HEAD, POST"),
        }
    }

    fn crl(&self, request: &Request<Incoming>, path: &str) -> Response<Body> {
        let Some(crl) = self.crls.get(path) else {
            return plain(StatusCode::NOT_FOUND, "this CRL has not been published yet\n");
        };
        self.file(
            request,
            File {
                bytes: crl.bytes.clone(),
                content_type: "application/pkix-crl",
                labels: Labels::of(&crl.etag, crl.this_update, crl.next_update),
                max_age: crl
                    .next_update
                    .map_or(self.max_age, |next| lasting(self.max_age, next, now())),
            },
        )
    }

    fn test_certificates(&self, request: &Request<Incoming>) -> Response<Body> {
        let Some(set) = self.tests.get() else {
            let told = "no test certificates have been published yet\n";
            return plain(StatusCode::NOT_FOUND, told);
        };
        self.file(
            request,
            File {
                bytes: set.bytes.clone(),
                content_type: "application/json",
                labels: Labels::of(&set.etag, set.made_at, None),
                max_age: lasting(self.max_age, set.refresh_at, now()),
            },
        )
    }

    fn certificate(&self, request: &Request<Incoming>, name: &str) -> Response<Body> {
        let authorities = self.responder.authorities.load();
        let Some(authority) = authorities.list().iter().find(|one| one.name == name) else {
            return plain(StatusCode::NOT_FOUND, "this certificate has not been published yet\n");
        };
        let certificate = &authority.certificate;
        self.file(
            request,
            File {
                bytes: Bytes::copy_from_slice(certificate.as_der()),
                content_type: "application/pkix-cert",
                labels: Labels::of(
                    &crate::authority::hex(&certificate.fingerprint()),
                    certificate.validity().not_before(),
                    None,
                ),
                max_age: CERTIFICATE_MAX_AGE,
            },
        )
    }

    fn file(&self, request: &Request<Incoming>, file: File) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        self.responder.metrics.count(Counted::File);
        let same = file.labels.are_those_of(request.headers());
        let body = if same { Body::default() } else { Body::new(file.bytes) };
        let mut response = Response::new(body);
        if same {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        file.labels.put(headers, cache_control(file.max_age));
        response
    }
}

struct File {
    bytes: Bytes,
    content_type: &'static str,
    labels: Labels,
    max_age: Duration,
}

/// The host that is asked, without port; empty for HTTP/1.0 without Host.
fn host_of<B>(request: &Request<B>) -> &str {
    let named = request
        .uri()
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| request.headers().get(HOST).and_then(|host| host.to_str().ok()))
        .unwrap_or_default();
    let host = match named.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => named.split(':').next().unwrap_or_default(),
    };
    host.trim_end_matches('.')
}

/// The route with the longest path that fits, one that names the host before one for any host; with
/// what follows its path.
fn find<'a>(routes: &'a [Route], host: &str, path: &'a str) -> Option<(&'a Object, &'a str)> {
    routes
        .iter()
        .filter(|route| route.host.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(host)))
        .filter_map(|route| {
            let rest = if route.path == "/" { path } else { path.strip_prefix(&route.path)? };
            let whole = rest.is_empty() || rest == "/" && route.object == Object::Ocsp;
            let below = matches!(route.object, Object::Ocsp | Object::CrlShards(_));
            let fits = whole || (below && rest.starts_with('/'));
            fits.then_some((route, if whole { "" } else { rest }))
        })
        .max_by_key(|(route, _)| (route.host.is_some(), route.path.len()))
        .map(|(route, rest)| (&route.object, rest))
}

/// The request in the path of a GET: base64, URL-encoded or not (OCSP-01).
fn decode_get(rest: &str) -> Option<Vec<u8>> {
    if rest.len() > MAX_BODY_OCTETS {
        return None;
    }
    let mut octets = rest.bytes();
    let mut text = Vec::with_capacity(rest.len());
    while let Some(octet) = octets.next() {
        let plain = match octet {
            b'%' => {
                let digits = [octets.next()?, octets.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        };
        match plain {
            b' ' | b'\r' | b'\n' | b'\t' => {}
            b'-' => text.push(b'+'),
            b'_' => text.push(b'/'),
            other => text.push(other),
        }
    }
    // Base64 of a SEQUENCE begins with M: every slash before it is the path's.
    let start = text.iter().position(|octet| *octet != b'/')?;
    LENIENT.decode(text.get(start..)?).ok()
}

/// The body; empty when it is too long or does not come in time.
async fn read_body(body: Incoming) -> Bytes {
    let whole = Limited::new(body, MAX_BODY_OCTETS).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        _ => Bytes::new(),
    }
}

fn ocsp_response(reply: Reply, asked: &HeaderMap) -> Response<Body> {
    let mut same = false;
    let mut response = Response::new(Body::new(reply.body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-response"));
    if let Some(position) = reply.position
        && let Ok(value) = HeaderValue::from_str(&position.to_string())
    {
        headers.insert(SIGILL_POSITION, value);
    }
    match reply.caching {
        Caching::NoStore => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Caching::Until(fresh) => {
            same = fresh.labels.have_the_tag_of(asked);
            fresh.labels.put(headers, fresh.control);
        }
    }
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::default();
    }
    response
}

fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method is not served here\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: Option<&str>, path: &str, object: Object) -> Route {
        Route { host: host.map(str::to_owned), path: path.to_owned(), object }
    }

    /// MIG-04, of the outer zone: the same DNS names and paths as before, whatever they are.
    #[test]
    fn finds_objects_by_host_and_path() {
        let crl = |path: &str| Object::Crl(path.to_owned());
        let routes = [
            route(Some("ocsp1.example.org"), "/", Object::Ocsp),
            route(Some("crl1.example.org"), "/a.crl", crl("crl/a.crl")),
            route(None, "/ocsp", Object::Ocsp),
            route(None, "/a.crl", crl("crl/b.crl")),
            route(None, "/shards", Object::CrlShards("crl/c/".to_owned())),
        ];
        let found = |host, path| find(&routes, host, path);
        let below = Object::CrlShards("crl/c/".to_owned());
        assert_eq!(found("x", "/shards/000001.crl"), Some((&below, "/000001.crl")));
        assert_eq!(found("x", "/shards"), Some((&below, "")));
        assert_eq!(found("x", "/shardsx"), None);
        assert_eq!(found("ocsp1.example.org", "/"), Some((&Object::Ocsp, "")));
        assert_eq!(found("ocsp1.example.org", "/MFE="), Some((&Object::Ocsp, "/MFE=")));
        assert_eq!(found("crl1.example.org", "/a.crl"), Some((&crl("crl/a.crl"), "")));
        assert_eq!(found("", "/a.crl"), Some((&crl("crl/b.crl"), "")));
        assert_eq!(found("x", "/ocsp"), Some((&Object::Ocsp, "")));
        assert_eq!(found("x", "/ocsp/"), Some((&Object::Ocsp, "")));
        assert_eq!(found("x", "/ocsp/MFE="), Some((&Object::Ocsp, "/MFE=")));
        for path in ["/", "/ocspx", "/a.crl/", "/a.crl/x", "/checkpoint", "/tile/0/000"] {
            assert_eq!(found("x", path), None, "{path}");
        }
    }

    #[test]
    fn reads_the_host_without_port() {
        for (header, host) in
            [("OCSP1.Example.org:80", "OCSP1.Example.org"), ("[::1]:80", "::1"), ("a.", "a")]
        {
            let request = Request::builder().header(HOST, header).body(()).unwrap();
            assert_eq!(host_of(&request), host);
        }
        assert_eq!(host_of(&Request::builder().body(()).unwrap()), "");
    }

    /// OCSP-01: %2F, %2B, plain + and /, doubled slashes, missing padding, a newline at the end.
    #[test]
    fn decodes_every_spelling_of_a_get() {
        let der = [0x30, 0xfb, 0xff, 0xfb, 0xef, 0xbe, 0x02];
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        assert!(text.contains('/') && text.contains('+'), "{text}");
        let encoded = text.replace('/', "%2F").replace('+', "%2B").replace('=', "%3d");
        for spelled in [
            format!("/{text}"),
            format!("//{text}"),
            format!("/{encoded}"),
            format!("/{}", text.trim_end_matches('=')),
            format!("/{text}%0A"),
            format!("/{}", text.replace('+', "-").replace('/', "_")),
        ] {
            assert_eq!(decode_get(&spelled).as_deref(), Some(&der[..]), "{spelled}");
        }
        for bad in ["", "/", "/%zz", "/%4", "/\u{e5}", "/<html>"] {
            assert_eq!(decode_get(bad), None, "{bad}");
        }
    }
}
