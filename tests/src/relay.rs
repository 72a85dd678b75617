//! A TCP relay with faults: it takes the place of a network, and cuts or holds the connection on request or after some
//! bytes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{ports::Port, wait};

/// What happens to the line at a planned point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every connection is reset.
    Cut,
    /// Nothing passes for this long, in either direction; then it goes on.
    Pause(Duration),
    /// Nothing passes until [`Relay::resume`]: the moment for a test to break something else.
    Hold,
}

/// A relay from a port of its own to a target; gone when dropped.
#[derive(Debug)]
pub struct Relay {
    port: Port,
    shared: Arc<Shared>,
    // Aborted with everything in it when dropped.
    _accepting: JoinSet<()>,
}

/// Whether anything passes. A pause is an end in time and no task that would end it: whoever strikes it may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    ClosedUntil(Instant),
    Closed,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    /// Counts the cuts: a connection that was made before the last one ends.
    cuts: watch::Sender<u64>,
    gate: watch::Sender<Gate>,
    refusing: watch::Sender<bool>,
    bytes: AtomicU64,
    connections: AtomicUsize,
    accepted: AtomicU64,
    /// Faults to come, the next one last, each with the number of bytes relayed in all by then.
    planned: Mutex<Vec<(u64, Fault)>>,
}

impl Relay {
    /// Starts relaying from a free loopback port.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let port = Port::free()?;
        let listener = TcpListener::bind(port.address()).await.context("relay cannot listen")?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            cuts: watch::Sender::new(0),
            gate: watch::Sender::new(Gate::Open),
            refusing: watch::Sender::new(false),
            bytes: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            planned: Mutex::new(Vec::new()),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, _accepting: accepting })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// New connections go to another target.
    pub fn set_target(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Resets every connection; new ones are welcome.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Lets nothing pass until [`Relay::resume`]; connections stay open, new ones hang.
    pub fn hold(&self) {
        self.shared.gate.send_replace(Gate::Closed);
    }

    /// Lets everything pass again.
    pub fn resume(&self) {
        self.shared.gate.send_replace(Gate::Open);
    }

    /// Waits until a planned [`Fault::Hold`] has struck.
    pub async fn struck(&self) -> Result<()> {
        wait::until_true("the planned hold of the line", wait::SOON, || async {
            Ok(*self.shared.gate.borrow() == Gate::Closed)
        })
        .await
    }

    /// Resets every connection and every new one, as a broken network would; `false` mends it.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refusing.send_replace(refuse);
        if refuse {
            self.cut();
        }
    }

    /// Plans faults: each happens when this many more bytes (of both directions) have passed since now.
    pub fn plan(&self, faults: impl IntoIterator<Item = (u64, Fault)>) {
        let now = self.bytes();
        let mut planned: Vec<_> = faults.into_iter().map(|(after, fault)| (now + after, fault)).collect();
        planned.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        *self.shared.planned.lock().unwrap_or_else(PoisonError::into_inner) = planned;
    }

    /// Waits until all planned faults have happened.
    pub async fn faults_over(&self) -> Result<()> {
        wait::until_true("the planned faults", wait::SOON, || async { Ok(self.faults_to_come() == 0) }).await
    }

    /// Planned faults that have not happened yet.
    pub fn faults_to_come(&self) -> usize {
        self.shared.planned.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Bytes relayed so far, both directions.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Counts bytes about to pass, and strikes with the faults that are due: true when the line was cut.
    fn strike(&self, count: u64) -> bool {
        let so_far = self.bytes.fetch_add(count, Ordering::Relaxed) + count;
        let mut cut = false;
        while let Some(fault) = self.next_due(so_far) {
            match fault {
                Fault::Cut => {
                    self.cut();
                    cut = true;
                }
                Fault::Hold => {
                    self.gate.send_replace(Gate::Closed);
                }
                Fault::Pause(span) => {
                    self.gate.send_replace(Gate::ClosedUntil(Instant::now() + span));
                }
            }
        }
        cut
    }

    fn next_due(&self, so_far: u64) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let due = planned.last().is_some_and(|(at, _)| *at <= so_far);
        if due { planned.pop().map(|(_, fault)| fault) } else { None }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        while connections.try_join_next().is_some() {}
        if *shared.refusing.borrow() {
            client.set_zero_linger().ok();
            continue;
        }
        connections.spawn(connection(client, Arc::clone(&shared)));
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(mut server) = TcpStream::connect(target).await else {
        client.set_zero_linger().ok();
        return;
    };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    shared.connections.fetch_add(1, Ordering::Relaxed);
    let cut = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let up = pump(client_read, server_write, &shared);
        let down = pump(server_read, client_write, &shared);
        tokio::select! {
            _ = cuts.changed() => true,
            ended = async { tokio::try_join!(up, down) } => ended.is_err(),
        }
    };
    if cut {
        // With no lingering, dropping a socket resets the connection, as a cut line's firewall would.
        client.set_zero_linger().ok();
        server.set_zero_linger().ok();
    }
    shared.connections.fetch_sub(1, Ordering::Relaxed);
}

/// One direction was cut or reset: so is the other.
struct Broken;

/// Waits until something passes again.
async fn opened(gate: &mut watch::Receiver<Gate>) {
    loop {
        let state = *gate.borrow_and_update();
        match state {
            Gate::Open => return,
            Gate::ClosedUntil(end) => tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                _ = gate.changed() => {}
            },
            // The sender lives as long as the relay: this ends.
            Gate::Closed => _ = gate.changed().await,
        }
    }
}

/// Carries one direction to its orderly end.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared) -> Result<(), Broken> {
    let mut buffer = vec![0; 16 * 1024];
    let mut gate = shared.gate.subscribe();
    loop {
        let count = from.read(&mut buffer).await.map_err(|_| Broken)?;
        if count == 0 {
            return to.shutdown().await.map_err(|_| Broken);
        }
        if shared.strike(count as u64) {
            return Err(Broken);
        }
        opened(&mut gate).await;
        to.write_all(&buffer[..count]).await.map_err(|_| Broken)?;
    }
}
