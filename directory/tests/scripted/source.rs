//! What the agent reports about the source of entries.

use postern_directory::{Mark, Source};
use tokio_util::sync::CancellationToken;

use crate::play::*;

async fn source(server: &Server) -> Source {
    source_of(config(&[server.url()])).await
}

async fn source_of(config: DirectoryConfig) -> Source {
    let mut enumeration = Directory::new(config).expect("valid").enumerate(CancellationToken::new());
    tokio::time::timeout(BOUND, enumeration.source()).await.expect("an answer")
}

fn mark(server: &str, value: &str) -> Mark {
    Mark { server: server.to_owned(), value: value.to_owned() }
}

/// An answer to a read of one entry.
fn one(request: &Request, attributes: &[(&str, &[&[u8]])]) -> Answer {
    let found = entry(request.id, request.base.as_bytes(), attributes);
    Answer::Send(vec![found, message(request.id, 0x65, &done(0, b""))])
}

#[tokio::test]
async fn a_domain_controller_tells_its_own_counter_and_how_far_it_is_with_the_others() {
    let (own, other): (Vec<u8>, Vec<u8>) = ((0..16).collect(), (16..32).collect());
    let mut vector = [2_u32.to_le_bytes(), [0; 4], 2_u32.to_le_bytes(), [0; 4]].concat();
    for (id, counter) in [(&other, 77_u64), (&own, 5)] {
        vector.extend(id);
        vector.extend(counter.to_le_bytes());
        vector.extend([0; 8]);
    }
    let server = Server::start(move |request| match request.base.as_str() {
        "" if !request.is_bind() => one(
            request,
            &[
                ("supportedCapabilities", &[b"1.2.840.113556.1.4.800"]),
                ("defaultNamingContext", &[b"dc=x"]),
                ("dsServiceName", &[b"CN=NTDS Settings,CN=DC1,dc=x"]),
                ("highestCommittedUSN", &[b"12345"]),
            ],
        ),
        "CN=NTDS Settings,CN=DC1,dc=x" => one(request, &[("invocationId", &[&own])]),
        "dc=x" => one(request, &[("replUpToDateVector", &[&vector])]),
        "ou=people,dc=x" if request.page.is_none() => one(request, &[("objectGUID", &[&own])]),
        _ => well_behaved(request, 1),
    })
    .await;
    let found = source(&server).await;
    let (own, other) = ("03020100-0504-0706-0809-0a0b0c0d0e0f", "13121110-1514-1716-1819-1a1b1c1d1e1f");
    assert_eq!(found.server, own);
    assert_eq!(found.marks, [mark(own, "00000000000000012345"), mark(other, "00000000000000000077")]);
    assert!(found.users_digest.is_some() && found.groups_digest.is_some());
    assert!(!format!("{found:?}").contains("DC1"), "the server's name stays here");
}

#[tokio::test]
async fn openldap_tells_the_latest_change_of_each_server() {
    let server = Server::start(|request| match request.base.as_str() {
        "" if !request.is_bind() => {
            one(request, &[("objectClass", &[b"OpenLDAProotDSE"]), ("namingContexts", &[b"dc=other", b"dc=x"])])
        }
        "dc=x" => {
            let changes: [&[u8]; 2] = [b"20261127120000.5Z#000000#002#000000", b"20261127110000.5Z#000000#001#000000"];
            one(request, &[("contextCSN", &changes)])
        }
        _ => well_behaved(request, 1),
    })
    .await;
    let found = source(&server).await;
    let first = mark("001", "20261127110000.5Z#000000#001#000000");
    assert_eq!((found.server.as_str(), &found.marks[0], found.marks.len()), ("", &first, 2));
    assert_eq!(found.users_digest, None, "without a key there is no digest");
}

#[tokio::test]
async fn another_server_is_recognised_by_a_hash_that_needs_the_directorys_own_key() {
    let start = |uuid: &'static [u8]| {
        Server::start(move |request| match request.base.as_str() {
            "" if !request.is_bind() => one(request, &[("vendorName", &[b"somebody"])]),
            "ou=people,dc=x" if request.page.is_none() => one(request, &[("entryUUID", &[uuid])]),
            _ => well_behaved(request, 1),
        })
    };
    let key = b"00000000-0000-0000-0000-000000000001";
    let (first, second, keyless) = (start(key).await, start(key).await, start(b"").await);
    // With one address there is no other server to distinguish.
    assert_eq!(source(&first).await.server, "");
    let two = |server: &Server| config(&[server.url(), server.url()]);
    let (one, other) = (source_of(two(&first)).await, source_of(two(&second)).await);
    assert!(one.server.len() == 64 && one.server != other.server && one.marks.is_empty());
    assert_eq!(one.users_digest, other.users_digest, "one configuration");
    let mut changed = two(&first);
    changed.users.filter = Some("(title=in)".to_owned());
    let changed = source_of(changed).await;
    assert_eq!(changed.server, one.server);
    assert!(changed.users_digest != one.users_digest && changed.groups_digest == one.groups_digest);
    assert_eq!(source_of(two(&keyless)).await, Source::default(), "nothing that could be guessed");
}
