//! Accepts connections within bounds and hands them to a service.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use host::vital;
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

/// Serves as [`run`] does, on a task of `tasks`. One that panics would be missed by nobody where there is another address: it ends the
/// program.
pub(crate) fn start<S, F>(
    tasks: &mut JoinSet<()>,
    listener: TcpListener,
    max_connections: usize,
    stop: watch::Receiver<bool>,
    service: S,
) where
    S: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    tasks.spawn(vital::task("http", run(listener, max_connections, stop, service)));
}

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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::process::Command;

    use super::*;

    /// Says to the test, run as a program of its own, what its server does.
    const CHILD: &str = "SIGILL_TEST_SERVER";

    /// Can be taken to a connection in one kind of program alone.
    struct Fragile(bool);

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(!self.0, "as the test asks");
            Self(false)
        }
    }

    /// What takes the connections of one address, of several, does not end unseen: whoever asks there would wait for ever.
    #[test]
    fn a_public_address_that_nobody_serves_any_more_ends_the_program() {
        if let Ok(act) = std::env::var(CHILD) {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let (stop, stopped) = watch::channel(false);
                let (mut tasks, fragile) = (JoinSet::new(), Fragile(act == "panics"));
                let service = move |_: Request<Incoming>, _| {
                    let _taken = &fragile;
                    async { Ok(Response::new(Full::default())) }
                };
                start(&mut tasks, listener, 4, stopped, service);
                let _connection = TcpStream::connect(address).unwrap();
                if act == "ends" {
                    stop.send_replace(true);
                }
                while tasks.join_next().await.is_some() {}
            });
            std::process::exit(7);
        }
        let name = "server::tests::a_public_address_that_nobody_serves_any_more_ends_the_program";
        for (act, code) in [("panics", 1), ("ends", 7)] {
            let mut child = Command::new(std::env::current_exe().unwrap());
            let ended = child.args([name, "--exact"]).env(CHILD, act).output().unwrap();
            assert_eq!(ended.status.code(), Some(code), "{act}: {ended:?}");
        }
    }
}
