//! Accepts connections within bounds and hands them to a service.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long a request's head may take; also how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head that is read: a GET with the longest request, and its headers.
const MAX_HEAD_OCTETS: usize = 64 * 1024;
/// A connection is ended after this, so that slow readers do not hold theirs for ever.
const MAX_CONNECTION: Duration = Duration::from_secs(300);
/// How long a connection that is being ended may take for the request it has begun.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Serves until `stop` says so. At most `max_connections` are open; further ones wait unaccepted.
pub(crate) async fn run<S, F>(
    listener: TcpListener,
    max_connections: usize,
    mut stop: watch::Receiver<bool>,
    service: S,
) where
    S: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (service, mut stop) = (service.clone(), stop.clone());
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let ip = address.ip();
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(MAX_HEAD_OCTETS)
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| service(request, ip)),
                );
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                // A client that goes away or sends no HTTP is no news.
                _ = connection.as_mut() => true,
                _ = stop.wait_for(|stop| *stop) => false,
                () = tokio::time::sleep(MAX_CONNECTION) => false,
            };
            if !ended {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(END_WITHIN, connection).await;
            }
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
