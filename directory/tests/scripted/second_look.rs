//! Searches that end early with success, and what a second, direct look says of those who did not come.

use postern_directory::{Class, NotVisible, Phase, Sight, Sought};
use tokio_util::sync::CancellationToken;

use crate::play::*;

const ROOT: &[u8] = b"dc=x";

/// What stands at a DN of this scripted server.
#[derive(Clone, Copy)]
enum At {
    /// An entry with this external id, or one that cannot be read.
    Entry(&'static str),
    /// The search for external ids shows it, and then it is gone from here.
    Leaving(&'static str),
    /// The same, a moment later: it does not meet the filter, and then it is gone.
    LeavingLater(&'static str),
    /// A user whom the directory does not let in.
    Disabled(&'static str),
    Hidden,
    Referral,
    /// A result code.
    Code(u8),
}

/// A server with three users in one OU, that shows these things at these places when it is asked directly. `children`
/// is what it says of the children of `ou=people`.
async fn server(places: &'static [(&'static str, At)], children: &'static [(&'static str, &'static str)]) -> Server {
    Server::start(move |request| answer(request, places, children)).await
}

fn answer(request: &Request, places: &[(&str, At)], children: &[(&str, &str)]) -> Answer {
    let id = request.id;
    let end = |code| message(id, 0x65, &done(code, b""));
    if request.base.is_empty() && !request.is_bind() {
        let root: &[(&str, &[&[u8]])] = &[
            ("objectClass", &[b"OpenLDAProotDSE"]),
            ("defaultNamingContext", &[b"cn=changelog"]),
            ("namingContexts", &[b"cn=changelog", ROOT]),
        ];
        return Answer::Send(vec![entry(id, b"", root), end(0)]);
    }
    if request.base == "dc=x" && request.page.is_some() {
        // The search for external ids.
        let found = places.iter().filter_map(|(dn, at)| match at {
            At::Entry(external_id)
            | At::Disabled(external_id)
            | At::Leaving(external_id)
            | At::LeavingLater(external_id)
                if request.filter.contains(external_id) =>
            {
                Some(entry(id, dn.as_bytes(), &[("entryUUID", &[external_id.as_bytes()])]))
            }
            _ => None,
        });
        return Answer::Send(found.chain([done_paged(id, 0, b"")]).collect());
    }
    let Some((_, at)) = places.iter().find(|(dn, _)| *dn == request.base) else {
        if request.page.is_none() && request.base == "ou=people,dc=x" {
            let values: Vec<[&[u8]; 1]> = children.iter().map(|(_, value)| [value.as_bytes()]).collect();
            let said: Vec<(&str, &[&[u8]])> =
                children.iter().zip(&values).map(|((name, _), value)| (*name, value.as_slice())).collect();
            return Answer::Send(vec![entry(id, request.base.as_bytes(), &said), end(0)]);
        }
        if request.page.is_none() && !request.is_bind() && !request.base.starts_with("ou=groups") {
            return Answer::Send(vec![end(32)]);
        }
        return well_behaved(request, 3);
    };
    Answer::Send(match at {
        // A condition that only the first of them meets; the others meet its opposite, but for one who hides what it asks.
        At::Entry(_) if request.filter.contains("inetOrgPerson") && !meets(request) => vec![end(0)],
        At::Entry(external_id) => {
            vec![entry(id, request.base.as_bytes(), &[("entryUUID", &[external_id.as_bytes()])]), end(0)]
        }
        At::Disabled(external_id) => {
            let says: &[(&str, &[&[u8]])] =
                &[("entryUUID", &[external_id.as_bytes()]), ("pwdAccountLockedTime", &[b"000001010000Z"])];
            vec![entry(id, request.base.as_bytes(), says), end(0)]
        }
        At::LeavingLater(_) if !request.filter.contains('\u{fffd}') => vec![end(0)],
        At::Leaving(_) | At::LeavingLater(_) => vec![end(32)],
        At::Hidden => vec![entry(id, request.base.as_bytes(), &[]), end(0)],
        At::Referral => vec![message(id, 0x73, &ber(0x04, b"ldap://elsewhere/")), end(0)],
        At::Code(code) => vec![end(*code)],
    })
}

/// Whether an entry meets the filter or its opposite, which has a tag that is no text.
fn meets(request: &Request) -> bool {
    let opposite = request.filter.contains('\u{fffd}');
    !request.base.starts_with("uid=half") && opposite != request.base.starts_with("uid=in")
}

/// What a second look says of users at these places.
async fn sights(server: &Server, sought: &[(&str, &str)]) -> Vec<Sight> {
    let mut enumeration = directory(server).enumerate(CancellationToken::new());
    let reading = async { while enumeration.next().await.is_some_and(|page| page.is_ok()) {} };
    tokio::time::timeout(BOUND, reading).await.expect("an end");
    let sought: Vec<Sought> = sought
        .iter()
        .map(|(external_id, dn)| Sought {
            phase: Phase::Users,
            external_id: (*external_id).to_owned(),
            last_dn: (*dn).to_owned(),
        })
        .collect();
    let mut look = enumeration.second_look();
    tokio::time::timeout(BOUND, look.look(&sought)).await.expect("an end").expect("sights")
}

#[tokio::test]
async fn who_is_found_is_in_scope_or_has_left_it_and_who_is_not_found_is_absent() {
    let server = server(
        &[
            ("uid=in,ou=people,dc=x", At::Entry("id-in")),
            ("uid=filtered,ou=people,dc=x", At::Entry("id-filtered")),
            ("uid=half,ou=people,dc=x", At::Entry("id-half")),
            ("uid=moved,ou=leavers,dc=x", At::Entry("id-moved")),
            ("uid=disabled,ou=leavers,dc=x", At::Disabled("id-disabled")),
            ("uid=taken,ou=people,dc=x", At::Entry("id-of-another")),
        ],
        &[],
    )
    .await;
    let sought = [
        ("id-disabled", "uid=disabled,ou=people,dc=x"),
        ("id-in", "uid=in,ou=people,dc=x"),
        ("id-filtered", "uid=filtered,ou=people,dc=x"),
        ("id-half", "uid=half,ou=people,dc=x"),
        ("id-moved", "uid=moved,ou=people,dc=x"),
        ("id-taken", "uid=taken,ou=people,dc=x"),
        ("id-gone", "uid=gone,ou=people,dc=x"),
    ];
    let hidden = Sight::NotVisible(NotVisible::Unavailable);
    let expected = [Sight::InScope, Sight::LeftScope, hidden, Sight::LeftScope, Sight::Absent, Sight::Absent];
    let sights = sights(&server, &sought).await;
    assert_eq!((sights[0], &sights[1..]), (Sight::LeftScopeDisabled, &expected[..]));
    assert_eq!(server.count(|request| request.filter.contains("id-gone")), 1, "one search for all");
}

#[tokio::test]
async fn an_entry_that_cannot_be_seen_is_not_absent() {
    let server = server(
        &[
            ("uid=nameless,ou=people,dc=x", At::Hidden),
            ("uid=away,ou=people,dc=x", At::Referral),
            ("uid=refused,ou=people,dc=x", At::Code(50)),
            ("uid=offline,ou=people,dc=x", At::Code(1)),
            ("ou=closed,ou=people,dc=x", At::Code(50)),
            ("ou=disabled,ou=people,dc=x", At::Code(1)),
        ],
        &[],
    )
    .await;
    let sought = [
        ("1", "uid=nameless,ou=people,dc=x"),
        ("2", "uid=away,ou=people,dc=x"),
        ("3", "uid=refused,ou=people,dc=x"),
        ("4", "uid=offline,ou=people,dc=x"),
        ("5", "uid=a,ou=closed,ou=people,dc=x"),
        ("6", "uid=a,ou=disabled,ou=people,dc=x"),
        ("7", "uid=a,ou=nowhere,ou=people,dc=x"),
    ];
    let expected = [
        NotVisible::NoExternalId,
        NotVisible::Referral,
        NotVisible::ContainerUnreadable,
        NotVisible::Unavailable,
        NotVisible::ContainerUnreadable,
        NotVisible::Unavailable,
        NotVisible::ContainerNotFound,
    ];
    assert_eq!(sights(&server, &sought).await, expected.map(Sight::NotVisible));
}

/// Otherwise a control plane that asks for DNs that it makes up would learn which of them exist.
#[tokio::test]
async fn nothing_is_looked_for_by_name_outside_of_the_base_dns() {
    let server = server(
        &[
            ("uid=taken,ou=secret,dc=x", At::Entry("id-of-another")),
            ("uid=there,ou=secret,dc=x", At::Hidden),
            ("uid=away,ou=secret,dc=x", At::Referral),
            ("uid=refused,ou=secret,dc=x", At::Code(50)),
            ("ou=closed,dc=x", At::Code(50)),
            ("uid=moved,ou=leavers,dc=x", At::Entry("id-moved")),
        ],
        &[],
    )
    .await;
    let names = [
        "uid=taken,ou=secret,dc=x",
        "uid=there,ou=secret,dc=x",
        "uid=away,ou=secret,dc=x",
        "uid=refused,ou=secret,dc=x",
        "uid=a,ou=closed,dc=x",
        "uid=nobody,ou=secret,dc=x",
        "uid=a,ou=nowhere,dc=x",
        "ou=secret,dc=x",
        "dc=x",
        "uid=a,dc=y",
    ];
    let sought: Vec<(&str, &str)> = names.iter().map(|name| ("made-up", *name)).collect();
    let nowhere = Sight::NotVisible(NotVisible::ContainerNotFound);
    assert_eq!(sights(&server, &sought).await, vec![nowhere; names.len()]);
    let requests = server.requests.lock().unwrap().clone();
    let by_name: Vec<&Request> = requests
        .iter()
        .filter(|request| request.page.is_none() && !request.is_bind() && request.base.contains("dc="))
        .filter(|request| !["ou=people,dc=x", "ou=groups,dc=x"].iter().any(|base| request.base.ends_with(base)))
        // What the server says of its own state.
        .filter(|request| !request.attributes.iter().any(|name| name == "contextCSN"))
        .collect();
    assert!(by_name.is_empty(), "the server was asked: {by_name:?}");
    // An entry is still found by its external id, wherever it is now.
    let moved = [("id-moved", "uid=moved,ou=people,dc=x"), ("id-moved", "uid=moved,ou=leavers,dc=x")];
    assert_eq!(sights(&server, &moved).await, [Sight::LeftScope; 2]);
}

#[tokio::test]
async fn an_entry_that_moves_between_two_questions_has_not_left() {
    let server = server(
        &[("uid=one,ou=people,dc=x", At::Leaving("id-one")), ("uid=two,ou=people,dc=x", At::LeavingLater("id-two"))],
        &[],
    )
    .await;
    let sought = [("id-one", "uid=one,ou=people,dc=x"), ("id-two", "uid=two,ou=people,dc=x")];
    assert_eq!(sights(&server, &sought).await, [Sight::NotVisible(NotVisible::Unavailable); 2]);
}

#[tokio::test]
async fn a_container_that_has_more_children_than_it_shows_hides_them() {
    // The server shows three.
    for (children, expected) in [
        (&[("numSubordinates", "4")], Sight::NotVisible(NotVisible::HiddenChildren)),
        (&[("numSubordinates", "3")], Sight::Absent),
        (&[("hasSubordinates", "TRUE")], Sight::Absent),
    ] {
        let server = server(&[], children).await;
        assert_eq!(sights(&server, &[("gone", "uid=gone,ou=people,dc=x")]).await, [expected], "{children:?}");
    }
}

#[tokio::test]
async fn a_base_that_cannot_be_read_after_the_last_page_was_cut() {
    let server = Server::start(|request| {
        if request.page.is_none() && request.base == "ou=people,dc=x" {
            return Answer::Send(vec![message(request.id, 0x65, &done(1, b"Operation attempted on a disabled node"))]);
        }
        well_behaved(request, 3)
    })
    .await;
    let (pages, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), 3);
    let error = error.expect("an error");
    assert_eq!((error.class(), error.ldap_result_code(), error.retryable()), (Class::Directory, Some(1), true));
    assert!(error.public_message().contains("after the last page"), "{}", error.public_message());
}

#[tokio::test]
async fn an_entry_of_389_directory_server_without_attributes_is_the_last_of_a_search_that_was_cut() {
    let server = Server::start(|request| {
        let id = request.id;
        if request.base.is_empty() && !request.is_bind() {
            let root = entry(id, b"", &[("vendorName", &[b"389 Project"])]);
            return Answer::Send(vec![root, message(id, 0x65, &done(0, b""))]);
        }
        match &request.page {
            Some(_) if request.base == "ou=people,dc=x" => {
                let whole =
                    entry(id, b"uid=a,ou=people,dc=x", &[("nsUniqueId", &[b"1"]), ("nsAccountLock", &[b"false"])]);
                let bare = entry(id, b"uid=b,ou=people,dc=x", &[]);
                Answer::Send(vec![whole, bare, done_paged(id, 0, b"")])
            }
            _ => well_behaved(request, 0),
        }
    })
    .await;
    let (_, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    let error = error.expect("an error");
    assert!(error.retryable() && error.public_message().contains("without its attributes"), "{error:?}");
}

#[tokio::test]
async fn a_bind_that_is_refused_for_no_reason_of_the_account_is_tried_at_the_next_server() {
    for (code, said) in [(53, ""), (51, ""), (52, ""), (80, ""), (1, "Operations error"), (10, "")] {
        let refusing = Server::start(move |request| {
            if request.is_bind() {
                return Answer::Send(vec![message(request.id, 0x61, &done(code, said.as_bytes()))]);
            }
            well_behaved(request, 3)
        })
        .await;
        let healthy = Server::start(|request| well_behaved(request, 3)).await;
        let config = config(&[refusing.url(), healthy.url()]);
        let enumeration = Directory::new(config).expect("valid").enumerate(CancellationToken::new());
        let (pages, error) = all(enumeration).await;
        assert!(error.is_none(), "{code}: {error:?}");
        assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), 3, "{code}");
        // Alone, it is tried again later.
        let (_, error) = all(directory(&refusing).enumerate(CancellationToken::new())).await;
        assert!(error.is_some_and(|error| error.retryable()), "{code}");
    }
}

#[tokio::test]
async fn a_bind_that_is_refused_because_of_the_account_is_tried_nowhere_else() {
    for (code, said) in [(49, ""), (53, "Account inactivated. Contact system administrator.")] {
        let refusing =
            Server::start(move |request| Answer::Send(vec![message(request.id, 0x61, &done(code, said.as_bytes()))]))
                .await;
        let healthy = Server::start(|request| well_behaved(request, 3)).await;
        let config = config(&[refusing.url(), healthy.url()]);
        let (_, error) = all(Directory::new(config).expect("valid").enumerate(CancellationToken::new())).await;
        let error = error.expect("an error");
        assert_eq!((error.class(), error.retryable()), (Class::Credentials, false), "{code}");
        assert_eq!(healthy.count(|_| true), 0, "{code}");
    }
}
