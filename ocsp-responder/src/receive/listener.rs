//! Accepts connections of the inner zone, within bounds.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::service::Receiver;

/// Connections at once: two nodes that push, and one that is just being replaced.
const CONNECTIONS: usize = 16;
/// Who has not proven its key by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which no request comes for so long is dropped: the inner zone asks every second.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a call that is under way has when the program ends.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Serves until `stop` says so.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    receiver: Arc<Receiver>,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "connection of the inner zone was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Whoever finds no place is told by a closed connection; waiting strangers would keep us out.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (acceptor, receiver, stop) = (acceptor.clone(), Arc::clone(&receiver), stop.clone());
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
            match shaken {
                Ok(Ok(stream)) => serve(stream, receiver, stop).await,
                Ok(Err(error)) => {
                    tracing::debug!(peer.address = %address, error = %error, "no handshake");
                }
                Err(_) => tracing::debug!(peer.address = %address, "no handshake in time"),
            }
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    receiver: Arc<Receiver>,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let receiver = Arc::clone(&receiver);
        async move { receiver.serve(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        _ = connection.as_mut() => true,
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(END_WITHIN, connection).await;
    }
}
