//! An LDAP server of a few lines: it reads requests, hands them to a script, and sends whatever the script says.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the script decides.
pub(crate) enum Answer {
    /// These messages.
    Send(Vec<Vec<u8>>),
    /// These bytes, then an end.
    SendAndClose(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection.
    Close,
}

/// A request, as far as the scripts need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Which connection to this server it came on, counted from 0.
    pub(crate) connection: usize,
    pub(crate) id: i64,
    pub(crate) operation: u8,
    /// Searches: the base DN. Binds: the password.
    pub(crate) base: String,
    /// Searches: the filter's BER, readable as far as it is text.
    pub(crate) filter: String,
    pub(crate) attributes: Vec<String>,
    /// The paging control's size and cookie.
    pub(crate) page: Option<(usize, Vec<u8>)>,
}

impl Request {
    pub(crate) fn is_bind(&self) -> bool {
        self.operation == 0x60
    }
}

type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A server on a port of its own; gone when dropped.
pub(crate) struct Server {
    port: u16,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let script: Script = Arc::new(script);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream, number, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { port, requests, connections, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    pub(crate) fn count(&self, matching: impl Fn(&Request) -> bool) -> usize {
        self.requests.lock().expect("the log").iter().filter(|request| matching(request)).count()
    }
}

async fn serve(mut stream: TcpStream, number: usize, script: Script, log: Arc<Mutex<Vec<Request>>>) {
    let mut buffer = Vec::new();
    loop {
        while let Some((mut request, used)) = parse(&buffer) {
            request.connection = number;
            buffer.drain(..used);
            log.lock().expect("the log").push(request.clone());
            match script(&request) {
                Answer::Send(messages) => {
                    if stream.write_all(&messages.concat()).await.is_err() {
                        return;
                    }
                }
                Answer::SendAndClose(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    return;
                }
                Answer::Hang => {}
                Answer::Close => return,
            }
        }
        if !matches!(stream.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
}

fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    let (length, start) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        let length = bytes.get(2..2 + count)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        (length, 2 + count)
    };
    Some((tag, bytes.get(start..start + length)?, &bytes[start + length..]))
}

fn parse(bytes: &[u8]) -> Option<(Request, usize)> {
    let (_, content, rest) = element(bytes)?;
    let (_, id, content) = element(content)?;
    let (operation, body, controls) = element(content)?;
    let id = id.iter().fold(0, |id, byte| id << 8 | i64::from(*byte));
    let mut request = Request { id, operation, ..Request::default() };
    match operation {
        0x60 => {
            let (_, _, after_version) = element(body)?;
            let (_, _, credentials) = element(after_version)?;
            request.base = String::from_utf8_lossy(element(credentials)?.1).into_owned();
        }
        0x63 => {
            let (_, base, mut rest) = element(body)?;
            request.base = String::from_utf8_lossy(base).into_owned();
            // scope, aliases, size, time, types
            for _ in 0..5 {
                rest = element(rest)?.2;
            }
            let (_, filter, rest) = element(rest)?;
            request.filter = String::from_utf8_lossy(filter).into_owned();
            let (_, mut names, _) = element(rest)?;
            while let Some((_, name, more)) = element(names) {
                request.attributes.push(String::from_utf8_lossy(name).into_owned());
                names = more;
            }
        }
        _ => {}
    }
    if operation == 0x63
        && let Some((0xa0, controls, _)) = element(controls)
    {
        let (_, control, _) = element(controls)?;
        let (_, _, after_name) = element(control)?;
        let (_, critical, after_critical) = element(after_name)?;
        assert_eq!(critical, [0xff], "the paging control is critical");
        let (_, value, _) = element(after_critical)?;
        let (_, value, _) = element(value)?;
        let (_, size, value) = element(value)?;
        let size = size.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
        request.page = Some((size, element(value)?.1.to_vec()));
    }
    Some((request, bytes.len() - rest.len()))
}

/// The BER of an element.
pub(crate) fn ber(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&[tag, 0x84][..], &length, content].concat()
}

/// A message with one operation.
pub(crate) fn message(id: i64, operation: u8, content: &[u8]) -> Vec<u8> {
    ber(0x30, &[ber(0x02, &id.to_be_bytes()), ber(operation, content)].concat())
}

/// The inside of a result.
pub(crate) fn done(code: u8, diagnostic: &[u8]) -> Vec<u8> {
    [ber(0x0a, &[code]), ber(0x04, b""), ber(0x04, diagnostic)].concat()
}

/// The end of a page.
pub(crate) fn done_paged(id: i64, code: u8, cookie: &[u8]) -> Vec<u8> {
    let value = ber(0x30, &[ber(0x02, &[0]), ber(0x04, cookie)].concat());
    let control = ber(0x30, &[ber(0x04, b"1.2.840.113556.1.4.319"), ber(0x04, &value)].concat());
    ber(0x30, &[ber(0x02, &id.to_be_bytes()), ber(0x65, &done(code, b"")), ber(0xa0, &control)].concat())
}

/// A search result entry.
pub(crate) fn entry(id: i64, dn: &[u8], attributes: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(name, values)| {
            let values: Vec<Vec<u8>> = values.iter().map(|value| ber(0x04, value)).collect();
            ber(0x30, &[ber(0x04, name.as_bytes()), ber(0x31, &values.concat())].concat())
        })
        .collect();
    message(id, 0x64, &[ber(0x04, dn), ber(0x30, &attributes.concat())].concat())
}
