//! A TCP forwarder that the test can cut, at once or after so many bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// No cut by the number of bytes.
const UNLIMITED: i64 = i64::MAX / 2;

/// Forwards from its own port to another one. Dropping it cuts everything.
pub(crate) struct CuttableLine {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    _task: JoinSet<()>,
}

pub(crate) struct Shared {
    cut: watch::Sender<u32>,
    /// Bytes that may still pass from the agent to the gateway before the line is cut by itself.
    budget: AtomicI64,
    pub(crate) cuts: AtomicU32,
}

impl CuttableLine {
    pub(crate) async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { cut: watch::Sender::new(0), budget: AtomicI64::new(UNLIMITED), cuts: AtomicU32::new(0) });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, gateway, Arc::clone(&shared)));
        Self { address, shared, _task: task }
    }

    /// Cuts every connection now.
    pub(crate) fn cut(&self) {
        self.shared.cut();
    }

    /// Cuts once this many more bytes have gone up.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.shared.budget.store(bytes, Ordering::SeqCst);
    }
}

impl Shared {
    fn cut(&self) {
        self.budget.store(UNLIMITED, Ordering::SeqCst);
        self.cuts.fetch_add(1, Ordering::SeqCst);
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, gateway: SocketAddr, shared: Arc<Shared>) {
    let mut forwards = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(gateway).await else { continue };
        let mut cut = shared.cut.subscribe();
        let shared = Arc::clone(&shared);
        forwards.spawn(async move {
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::select! {
                () = forward(near_read, far_write, Some(&shared)) => {}
                () = forward(far_read, near_write, None) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn forward(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, counted: Option<&Shared>) {
    let mut buffer = vec![0; 8192];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        if read == 0 {
            return;
        }
        if let Some(shared) = counted {
            let bytes = i64::try_from(read).unwrap();
            let left = shared.budget.fetch_sub(bytes, Ordering::SeqCst) - bytes;
            if left < 0 {
                return shared.cut();
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
