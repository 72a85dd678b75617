//! A server without an index for the external id, which refuses to search for it.

use postern_directory::{CheckState, NotVisible, Phase, Sight, Sought};
use tokio_util::sync::CancellationToken;

use crate::play::*;

const FIRST: &str = "00000000-0000-0000-0000-000000000001";

/// A server with `users` users that refuses to search for external ids. The second reading of the bases asks for these
/// alone, and brings `again` users.
async fn server(code: u8, users: usize, again: usize) -> Server {
    Server::start(move |request| {
        let end = |code| message(request.id, 0x65, &done(code, b""));
        let sought = ["id-", "00000000-"].iter().any(|id| request.filter.contains(id));
        match request.base.as_str() {
            "" if !request.is_bind() => {
                let root: &[(&str, &[&[u8]])] = &[
                    ("objectClass", &[b"OpenLDAProotDSE"]),
                    ("namingContexts", &[b"dc=x"]),
                    ("subschemaSubentry", &[b"cn=subschema"]),
                ];
                Answer::Send(vec![entry(request.id, b"", root), end(0)])
            }
            _ if request.page.is_some() && sought => Answer::Send(vec![end(code)]),
            "ou=people,dc=x" if request.attributes == ["entryUUID"] => well_behaved(request, again),
            dn if dn.starts_with("uid=gone") || dn.starts_with("uid=moved,ou=people") => Answer::Send(vec![end(32)]),
            // It stands where it stood, and does not meet the filter.
            dn if dn.starts_with("uid=left") && is_filter(request) => Answer::Send(vec![end(0)]),
            dn if dn.starts_with("uid=left") => {
                let found = entry(request.id, dn.as_bytes(), &[("entryUUID", &[b"id-left"])]);
                Answer::Send(vec![found, end(0)])
            }
            _ => well_behaved(request, users),
        }
    })
    .await
}

/// Whether it asks by the filter of the users, and not by its opposite, which has a tag that is no text.
fn is_filter(request: &Request) -> bool {
    request.filter.contains("inetOrgPerson") && !request.filter.contains('\u{fffd}')
}

/// What the second look says of these, asked twice, and its remark.
async fn sights(server: &Server, sought: &[(&str, &str)]) -> (Vec<Sight>, Option<String>) {
    let mut enumeration = directory(server).enumerate(CancellationToken::new());
    let reading = async { while enumeration.next().await.is_some_and(|page| page.is_ok()) {} };
    tokio::time::timeout(BOUND, reading).await.expect("an end");
    assert!(enumeration.is_complete());
    let sought: Vec<Sought> = sought
        .iter()
        .map(|(id, dn)| Sought { phase: Phase::Users, external_id: (*id).to_owned(), last_dn: (*dn).to_owned() })
        .collect();
    let mut look = enumeration.second_look();
    assert_eq!(look.remark(), None);
    let first = tokio::time::timeout(BOUND, look.look(&sought)).await.expect("an end").expect("sights");
    let again = tokio::time::timeout(BOUND, look.look(&sought)).await.expect("an end").expect("sights");
    assert_eq!(first, again);
    (first, look.remark())
}

const SOUGHT: [(&str, &str); 4] = [
    ("id-gone", "uid=gone,ou=people,dc=x"),
    (FIRST, "uid=moved,ou=people,dc=x"),
    ("id-left", "uid=left,ou=people,dc=x"),
    // The base DNs have changed: names outside of them are not asked for.
    ("id-away", "uid=left,ou=leavers,dc=x"),
];

#[tokio::test]
async fn the_bases_are_read_again_and_the_last_place_is_looked_at() {
    let nowhere = Sight::NotVisible(NotVisible::ContainerNotFound);
    for code in [3, 4, 11, 53] {
        let server = server(code, 3, 3).await;
        let (sights, remark) = sights(&server, &SOUGHT).await;
        assert_eq!(sights, [Sight::Absent, Sight::InScope, Sight::LeftScope, nowhere], "{code}");
        let remark = remark.expect("what to do about it");
        assert!(remark.contains("add an equality index for entryUUID"), "{remark}");
        let of_ids = |request: &Request| request.page.is_some() && request.attributes == ["entryUUID"];
        let read = server.count(|request| of_ids(request) && request.base == "ou=people,dc=x");
        assert_eq!(read, 1 + 2, "one refused search of the base, and two pages: read once for both looks");
    }
}

#[tokio::test]
async fn a_second_reading_that_brings_less_than_the_import_says_nothing_of_those_who_are_not_in_it() {
    let server = server(11, 5, 3).await;
    let hidden = Sight::NotVisible(NotVisible::Unavailable);
    assert_eq!(sights(&server, &SOUGHT).await.0, [hidden, Sight::InScope, hidden, hidden]);
}

#[tokio::test]
async fn the_check_names_the_index_to_add() {
    let checks = directory(&server(11, 3, 3).await).check().await;
    let users = checks.iter().find(|check| check.name == "users").expect("looked at");
    assert_eq!(users.state, CheckState::Warned, "{users:?}");
    assert!(users.detail.contains("entryUUID"), "{users:?}");
    assert!(users.cure.as_ref().is_some_and(|cure| cure.contains("index entryUUID eq")), "{users:?}");
}
