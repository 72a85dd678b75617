//! One address that leads to several servers, as with several domain controllers behind one name or a load balancer: the
//! first connection reaches one server, and those after it may reach another one that lags.

use std::sync::atomic::Ordering;

use postern_directory::{Class, NotVisible, Phase, Sight, Sought};
use tokio_util::sync::CancellationToken;

use crate::play::*;
use crate::windows::windows;

/// A domain controller of this name, with one group of `members` members.
fn controller(request: &Request, name: &str, members: usize) -> Answer {
    if request.is_bind() || !request.base.is_empty() {
        return windows(request, members);
    }
    let service = format!("CN=NTDS Settings,CN={name},dc=x");
    let said: &[(&str, &[&[u8]])] = &[
        ("supportedCapabilities", &[b"1.2.840.113556.1.4.800"]),
        ("namingContexts", &[b"dc=x"]),
        ("dsServiceName", &[service.as_bytes()]),
    ];
    let root = entry(request.id, b"", said);
    Answer::Send(vec![root, message(request.id, 0x65, &done(0, b""))])
}

/// An `OpenLDAP` server that is this far in the changes, with three users.
fn replica(request: &Request, change: &str) -> Answer {
    let one = |said: &[(&str, &[&[u8]])]| {
        let found = entry(request.id, request.base.as_bytes(), said);
        Answer::Send(vec![found, message(request.id, 0x65, &done(0, b""))])
    };
    match request.base.as_str() {
        "" if !request.is_bind() => one(&[
            ("objectClass", &[b"OpenLDAProotDSE"]),
            ("namingContexts", &[b"dc=x"]),
            ("subschemaSubentry", &[b"cn=subschema"]),
        ]),
        "dc=x" if request.page.is_some() => Answer::Send(vec![done_paged(request.id, 0, b"")]),
        "dc=x" => one(&[("contextCSN", &[format!("{change}#000000#000#000000").as_bytes()])]),
        name if name.starts_with("uid=gone") => Answer::Send(vec![message(request.id, 0x65, &done(32, b""))]),
        _ => well_behaved(request, 3),
    }
}

fn gone() -> [Sought; 1] {
    let (external_id, last_dn) = ("id-gone".to_owned(), "uid=gone,ou=people,dc=x".to_owned());
    [Sought { phase: Phase::Users, external_id, last_dn }]
}

/// Reads everything, and looks for somebody who did not come.
async fn read_and_look(server: &Server) -> Result<Vec<Sight>, Error> {
    let mut enumeration = directory(server).enumerate(CancellationToken::new());
    let reading = async { while enumeration.next().await.is_some_and(|page| page.is_ok()) {} };
    tokio::time::timeout(BOUND, reading).await.expect("an end");
    assert!(enumeration.is_complete(), "{:?}", enumeration.totals());
    tokio::time::timeout(BOUND, enumeration.second_look().look(&gone())).await.expect("an end")
}

/// What ends a reading, without the words for how far it came.
fn reason(error: Error) -> Error {
    match error {
        Error::Ended { source, .. } => *source,
        error => error,
    }
}

#[tokio::test]
async fn further_members_are_not_read_from_another_domain_controller() {
    // The other one does not have the last members yet.
    let server = Server::start(|request| match request.connection {
        0 => controller(request, "DC1", 3_200),
        _ => controller(request, "DC2", 2_000),
    })
    .await;
    let (_, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    let error = error.expect("the group is not whole");
    assert_eq!((error.class(), error.retryable()), (Class::Directory, true));
    assert!(error.cure().is_some_and(|cure| cure.contains("load balancer")), "{error:?}");
    assert!(matches!(reason(error), Error::OtherServer));
}

#[tokio::test]
async fn a_load_balancer_is_asked_until_it_leads_to_the_same_domain_controller() {
    let server = Server::start(|request| match request.connection {
        0 | 4 => controller(request, "DC1", 3_200),
        _ => controller(request, "DC2", 2_000),
    })
    .await;
    let (pages, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    let group = pages.iter().flat_map(|page| &page.entries).next().expect("the group");
    assert_eq!(group.members.len(), 3_200);
    assert_eq!(server.connections.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn the_second_look_goes_on_where_the_reading_ended() {
    let server = Server::start(|request| match request.connection {
        0 => replica(request, "20261128120000.000000Z"),
        _ => Answer::Close,
    })
    .await;
    assert_eq!(read_and_look(&server).await.expect("sights"), [Sight::Absent]);
}

/// The server closes its first connection after it was read to the end, so that the second look needs another one.
async fn closed_after_reading(next: &'static str) -> Result<Vec<Sight>, Error> {
    let server = Server::start(move |request| match (request.connection, request.base.as_str()) {
        (0, "dc=x") if request.page.is_some() => Answer::Close,
        (0, _) => replica(request, "20261128120000.000000Z"),
        _ => replica(request, next),
    })
    .await;
    read_and_look(&server).await
}

#[tokio::test]
async fn a_server_that_lags_says_nothing_about_who_is_gone() {
    let lagging = closed_after_reading("20261128115959.000000Z").await;
    assert!(matches!(lagging, Err(Error::OtherServer)), "{lagging:?}");
    for next in ["20261128120000.000000Z", "20261128120001.000000Z"] {
        assert_eq!(closed_after_reading(next).await.expect("sights"), [Sight::Absent]);
    }
}

#[tokio::test]
async fn nothing_is_seen_before_the_reading_has_ended() {
    let server = Server::start(|request| replica(request, "20261128120000.000000Z")).await;
    let enumeration = directory(&server).enumerate(CancellationToken::new());
    let sights = enumeration.second_look().look(&gone()).await.expect("sights");
    assert_eq!(sights, [Sight::NotVisible(NotVisible::Unavailable)]);
}
