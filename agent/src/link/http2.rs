//! HTTP/2 over a dialed stream, as tonic's generated clients want it: one connection whose end is known to everybody
//! who uses it, and that never reconnects behind their back.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_runtime::supervise::{BoxError, OnCancel, Supervisor, chain};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::Dialed;
use super::tls;

/// Windows large enough that a chunk of a megabyte flows without waiting; they cost nothing when idle.
const WINDOW_BYTES: u32 = 1 << 20;
const SEND_BUFFER_BYTES: usize = 64 << 10;
const MAX_HEADERS_BYTES: u32 = 16 << 10;

/// Why HTTP/2 did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot stand in a request.
    #[error("{authority:?} cannot be addressed")]
    Authority {
        /// The authority.
        authority: String,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// The other end does not speak HTTP/2.
    #[error("the control plane does not answer in HTTP/2")]
    Handshake(#[source] hyper::Error),
}

/// A connection to a control plane. Clones share it; it ends when [`close`](Self::close) is called, when either end
/// fails, or when the last clone is gone.
#[derive(Clone)]
pub struct Connection {
    sender: http2::SendRequest<Body>,
    shared: Arc<Shared>,
}

struct Shared {
    origin: Uri,
    local: bool,
    ended: CancellationToken,
    closing: CancellationToken,
    failure: OnceLock<Failure>,
}

struct Failure {
    text: String,
    cure: Option<String>,
}

impl Connection {
    /// Starts HTTP/2 on a dialed stream; `supervisor` keeps it going.
    pub async fn start(dialed: Dialed, supervisor: &Supervisor) -> Result<Self, Error> {
        let origin = Uri::builder()
            .scheme("https")
            .authority(dialed.authority.as_str())
            .path_and_query("/")
            .build()
            .map_err(|source| Error::Authority { authority: dialed.authority.clone(), source })?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(MAX_HEADERS_BYTES)
            .handshake(TokioIo::new(dialed.io))
            .await
            .map_err(Error::Handshake)?;
        let shared = Arc::new(Shared {
            origin,
            local: dialed.local,
            ended: CancellationToken::new(),
            closing: CancellationToken::new(),
            failure: OnceLock::new(),
        });
        let drive = drive(connection, Arc::clone(&shared));
        supervisor.spawn("connection", OnCancel::Finish, drive);
        Ok(Self { sender, shared })
    }

    /// Scheme and authority for generated clients.
    pub fn origin(&self) -> Uri {
        self.shared.origin.clone()
    }

    /// Whether the other end is on this machine.
    pub fn is_local(&self) -> bool {
        self.shared.local
    }

    /// Ends when the connection has.
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Whether the connection has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.ended.is_cancelled()
    }

    /// Cuts it: everything on it fails at once.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What the connection itself failed of. It often knows more than the requests that failed with it: a refused
    /// client certificate shows only here.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.get().map(|failure| match &failure.cure {
            Some(cure) => format!("{} ({cure})", failure.text),
            None => failure.text.clone(),
        })
    }
}

async fn drive<T>(
    connection: http2::Connection<TokioIo<T>, Body, TokioExecutor>,
    shared: Arc<Shared>,
) -> Result<(), Infallible>
where
    T: super::dial::Io + 'static,
{
    // Last, once the failure is stored.
    let _ended = shared.ended.clone().drop_guard();
    if let Some(Err(error)) = shared.closing.run_until_cancelled(connection).await {
        let failure = Failure { text: chain(&error), cure: tls::cure(&error) };
        let _ = shared.failure.set(failure);
    }
    Ok(())
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.sender.send_request(request);
        Box::pin(async move { answer.await.map_err(Into::into) })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("origin", &self.shared.origin).finish_non_exhaustive()
    }
}
