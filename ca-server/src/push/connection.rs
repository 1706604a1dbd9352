//! One connection to the receiver of an outer host, and its calls (docs/formats/feed.md).

use std::fs::File;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use status::PublicationPath;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::PushError;
use super::settings::HostSection;

/// How long reaching a host may take, and proving the keys.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, but for a large body.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest line on which a large file arrives, octets in a second.
const SLOWEST: u64 = 1 << 20;
/// Octets of a file that are read at a time.
const CHUNK: usize = 64 * 1024;
/// The most of a refusal that is read: a line.
const MAX_LINE: u64 = 4096;
/// The most of a listing that is read.
pub(super) const MAX_LISTING: u64 = 16 << 20;

/// A connection that is open.
pub(super) struct Connection {
    sender: SendRequest<FileBody>,
    host: String,
    deployment: String,
}

impl Connection {
    /// Reaches the host; both sides prove their keys.
    pub(super) async fn open(
        host: &HostSection,
        tls: &Arc<ClientConfig>,
        deployment: &str,
    ) -> Result<Self, PushError> {
        let slow = |_| PushError::TimedOut { limit: CONNECT_TIMEOUT };
        let reached = timeout(CONNECT_TIMEOUT, TcpStream::connect(&host.address)).await;
        let stream = reached.map_err(slow)?.map_err(PushError::Unreachable)?;
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(host.host().unwrap_or_default().to_owned())
            .map_err(|error| PushError::Unreachable(io::Error::other(error)))?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let proven = timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await;
        let stream = proven.map_err(slow)?.map_err(PushError::Untrusted)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(PushError::Broken)?;
        // It ends with the sender, or with the stream; the calls tell of that.
        tokio::spawn(connection);
        Ok(Self { sender, host: host.address.clone(), deployment: deployment.to_owned() })
    }

    /// Sends a file of the tree under its name.
    pub(super) async fn put(
        &mut self,
        path: &PublicationPath,
        body: FileBody,
    ) -> Result<(), PushError> {
        let limit = CALL_TIMEOUT + Duration::from_secs(body.left / SLOWEST);
        let call = format!("publish/{path}");
        let called = timeout(limit, self.call(Method::PUT, &call, body, MAX_LINE)).await;
        let (status, line) = called.map_err(|_| PushError::TimedOut { limit })??;
        if status.is_success() {
            return Ok(());
        }
        Err(refused(path.to_string(), status, &line))
    }

    /// What a call answers; `None` when there is no such file.
    pub(super) async fn get(&mut self, call: &str, max: u64) -> Result<Option<Vec<u8>>, PushError> {
        let limit = CALL_TIMEOUT + Duration::from_secs(max / SLOWEST);
        let called = timeout(limit, self.call(Method::GET, call, FileBody::empty(), max)).await;
        let (status, bytes) = called.map_err(|_| PushError::TimedOut { limit })??;
        match status {
            StatusCode::OK => Ok(Some(bytes)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(call.to_owned(), status, &bytes)),
        }
    }

    async fn call(
        &mut self,
        method: Method,
        call: &str,
        body: FileBody,
        max: u64,
    ) -> Result<(StatusCode, Vec<u8>), PushError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/feed/1/{call}"))
            .header(HOST, &self.host)
            .header("sigill-deployment", &self.deployment)
            .body(body)
            .map_err(|_| PushError::Unexpected { what: "a call that cannot be written" })?;
        self.sender.ready().await.map_err(PushError::Broken)?;
        let response = self.sender.send_request(request).await.map_err(PushError::Broken)?;
        read(response, max).await
    }
}

async fn read(response: Response<Incoming>, max: u64) -> Result<(StatusCode, Vec<u8>), PushError> {
    let status = response.status();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(PushError::Broken)?.into_data() {
            bytes.extend_from_slice(&data);
        }
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found > max {
            return Err(PushError::LongAnswer { found, limit: max });
        }
    }
    Ok((status, bytes))
}

fn refused(what: String, status: StatusCode, line: &[u8]) -> PushError {
    let shown = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
    PushError::Refused { what, status: status.as_u16(), line: shown }
}

/// A file on its way: read as it is sent, whatever takes its name meanwhile.
pub(super) struct FileBody {
    from: Box<dyn io::Read + Send + Sync>,
    left: u64,
}

impl FileBody {
    fn empty() -> Self {
        Self { from: Box::new(io::empty()), left: 0 }
    }

    /// Opens a file as it is now.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        Ok(Self { from: Box::new(file), left })
    }

    /// Bytes that were read before.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let left = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { from: Box::new(io::Cursor::new(bytes)), left }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let left = self.left;
        if left == 0 {
            return Poll::Ready(None);
        }
        // The thread is this host's own: nobody else waits while the disk is read.
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        match self.from.read(&mut chunk) {
            Ok(0) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Ok(count) => {
                chunk.truncate(count);
                self.left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
                Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
