//! A web server for one person on this machine: requests in, pages and redirections out, each on a thread that may wait.
//!
//! It listens on loopback alone, answers to its own name alone (so that no page elsewhere reaches it by a name that leads here), and takes forms
//! from its own pages alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request as HttpRequest, Response, StatusCode, header};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::form::Form;
use crate::html;

/// The longest body of a form, in octets.
const LONGEST_FORM: usize = 256 * 1024;

/// What a browser wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To see.
    Get,
    /// To do.
    Post,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it wants.
    pub verb: Verb,
    /// Its path, without a query.
    pub path: String,
    /// The fields of its query, or of its body where it has one.
    pub form: Form,
    /// Its cookies.
    pub cookies: String,
}

impl Request {
    /// The value of a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A page.
    Page {
        /// HTTP status.
        status: u16,
        /// The page.
        html: String,
    },
    /// Look there (303).
    See {
        /// Where.
        to: String,
        /// A cookie to set: `name=value` with its attributes.
        cookie: Option<String>,
    },
}

impl Reply {
    /// A page that was asked for.
    #[must_use]
    pub const fn page(html: String) -> Self {
        Self::Page { status: 200, html }
    }

    /// Another page.
    #[must_use]
    pub fn see(to: &str) -> Self {
        Self::See { to: to.to_owned(), cookie: None }
    }
}

/// Where a site is, and which other sites its forms may lead to.
#[derive(Clone, Debug)]
pub struct Site {
    /// Address and port, of loopback.
    pub listen: SocketAddr,
    /// Origins, such as `http://127.0.0.1:18701`.
    pub partners: Vec<String>,
}

impl Site {
    /// Its own origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.listen)
    }
}

/// Why a site is not served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Others would reach it.
    #[error("{found} is no address of this machine alone; listen on 127.0.0.1 or [::1]")]
    NotLoopback {
        /// The address.
        found: SocketAddr,
    },
    /// The system refuses.
    #[error("cannot serve {listen}")]
    System {
        /// The address.
        listen: SocketAddr,
        /// What it says.
        #[source]
        source: io::Error,
    },
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

#[derive(Clone)]
struct Served {
    site: Arc<Site>,
    answer: Arc<Answer>,
}

/// Serves until the process ends; `ready` is called when it listens.
///
/// # Errors
///
/// [`ServeError`].
pub fn serve(
    site: Site,
    ready: impl FnOnce(&Site),
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Result<(), ServeError> {
    let listen = site.listen;
    if !listen.ip().is_loopback() {
        return Err(ServeError::NotLoopback { found: listen });
    }
    let system = |source| ServeError::System { listen, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system)?;
    let served = Served { site: Arc::new(site), answer: Arc::new(answer) };
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.map_err(system)?;
        ready(&served.site);
        let router = Router::new().fallback(respond).with_state(served);
        axum::serve(listener, router).await.map_err(system)
    })
}

async fn respond(State(served): State<Served>, request: HttpRequest<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Some(refused) = foreign(&served.site, &parts.method, &parts.headers) {
        return plain(&served.site, StatusCode::FORBIDDEN, refused);
    }
    if parts.uri.path() == "/style.css" {
        let response = Response::builder().header(header::CONTENT_TYPE, "text/css; charset=utf-8");
        return response.body(Body::from(html::STYLE)).unwrap_or_default();
    }
    let verb = match parts.method {
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Post,
        _ => return plain(&served.site, StatusCode::METHOD_NOT_ALLOWED, "GET, POST"),
    };
    let form = match verb {
        Verb::Get => Form::parse(parts.uri.query().unwrap_or_default()),
        Verb::Post => match to_bytes(body, LONGEST_FORM).await {
            Ok(octets) => Form::parse(&String::from_utf8_lossy(&octets)),
            Err(_) => return plain(&served.site, StatusCode::PAYLOAD_TOO_LARGE, "256 KiB"),
        },
    };
    let cookies = parts.headers.get(header::COOKIE).and_then(|value| value.to_str().ok());
    let request = Request {
        verb,
        path: parts.uri.path().to_owned(),
        form,
        cookies: cookies.unwrap_or_default().to_owned(),
    };
    // It may wait for the CA.
    let answer = Arc::clone(&served.answer);
    match tokio::task::spawn_blocking(move || answer(&request)).await {
        Ok(reply) => response(&served.site, reply),
        Err(_) => plain(&served.site, StatusCode::INTERNAL_SERVER_ERROR, "defect"),
    }
}

/// Why a request is not for this site.
fn foreign(site: &Site, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::HOST) != Some(&site.listen.to_string()) {
        return Some("another host");
    }
    let own = text(header::ORIGIN).is_none_or(|origin| origin == site.origin());
    (*method == Method::POST && !own).then_some("a form of another site")
}

fn response(site: &Site, reply: Reply) -> Response<Body> {
    match reply {
        Reply::Page { status, html } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            sent(site, status, html)
        }
        Reply::See { to, cookie } => {
            let mut response =
                Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to);
            if let Some(cookie) = cookie {
                response = response.header(header::SET_COOKIE, cookie);
            }
            let built = response.header(header::CACHE_CONTROL, "no-store").body(Body::empty());
            built.unwrap_or_else(|_| plain(site, StatusCode::INTERNAL_SERVER_ERROR, "no address"))
        }
    }
}

fn plain(site: &Site, status: StatusCode, why: &str) -> Response<Body> {
    let content = format!("<p>{status}: {}</p>", html::escape(why));
    sent(site, status, html::page(("Det gick inte", "Refused"), "", &content))
}

fn sent(site: &Site, status: StatusCode, html: String) -> Response<Body> {
    let partners = site.partners.join(" ");
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {partners}; base-uri 'none'; frame-ancestors 'none'"
    );
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "same-origin")
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(html))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_its_own_pages_post_to_a_site() {
        let site = Site { listen: "127.0.0.1:18700".parse().unwrap(), partners: Vec::new() };
        let host = (header::HOST, "127.0.0.1:18700");
        let from = |origin| headers(&[host.clone(), (header::ORIGIN, origin)]);
        let refused = |method: Method, headers: &HeaderMap| foreign(&site, &method, headers);

        assert_eq!(refused(Method::POST, &headers(std::slice::from_ref(&host))), None);
        assert_eq!(refused(Method::POST, &from("http://127.0.0.1:18700")), None);
        assert_eq!(refused(Method::GET, &from("http://evil.example")), None);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:18701"] {
            assert!(refused(Method::POST, &from(origin)).is_some(), "{origin}");
        }
        for host in ["evil.example", "localhost:18700", "127.0.0.1"] {
            assert!(refused(Method::GET, &headers(&[(header::HOST, host)])).is_some(), "{host}");
        }
        assert!(refused(Method::GET, &HeaderMap::new()).is_some());
    }

    #[test]
    fn a_site_that_others_would_reach_is_not_served() {
        let site = Site { listen: "0.0.0.0:0".parse().unwrap(), partners: Vec::new() };

        let refused = serve(site, |_| (), |_| Reply::see("/"));

        assert!(matches!(refused, Err(ServeError::NotLoopback { .. })), "{refused:?}");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let request = Request {
            verb: Verb::Get,
            path: "/".to_owned(),
            form: Form::default(),
            cookies: "a=1; portal=x.y=z; b=2".to_owned(),
        };
        assert_eq!(request.cookie("portal"), Some("x.y=z"));
        assert_eq!(request.cookie("port"), None);
    }
}
