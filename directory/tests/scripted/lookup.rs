//! One user with its groups, from servers whose groups are many, broken or cut into ranges.

use postern_directory::LookedUp;

use crate::check::sid;
use crate::play::*;

/// A server with the user `u1`, however it is typed, and these groups of it.
async fn with_groups(groups: impl Fn(&Request) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let mut messages = match request.base.as_str() {
            "ou=people,dc=x" => vec![user(request.id, 1)],
            "ou=groups,dc=x" => groups(request),
            _ => return well_behaved(request, 0),
        };
        messages.push(done_paged(request.id, 0, b""));
        Answer::Send(messages)
    })
    .await
}

fn group(id: i64, number: usize) -> Vec<u8> {
    let uuid = format!("10000000-0000-0000-0000-{number:012}");
    entry(id, format!("cn=g{number},ou=groups,dc=x").as_bytes(), &[("entryUUID", &[uuid.as_bytes()])])
}

async fn look_up(directory: &Directory, typed: &str) -> LookedUp {
    tokio::time::timeout(BOUND, directory.lookup_user(typed)).await.expect("an end").expect("found")
}

#[tokio::test]
async fn groups_are_sought_by_the_entrys_own_value_and_not_as_typed() {
    let server = with_groups(|request| vec![group(request.id, 1)]).await;
    let mut config = config(&[server.url()]);
    config.groups.as_mut().expect("groups").member_attribute = Some("memberUid".to_owned());
    let found = look_up(&Directory::new(config).expect("valid"), "U1").await;
    assert_eq!((found.groups.len(), found.more_groups), (1, false));
    let asked = |value: &'static str| {
        server.count(|request| request.filter.contains("memberUid") && request.filter.contains(value))
    };
    assert_eq!((asked("u1"), asked("U1")), (1, 0));
}

#[tokio::test]
async fn an_unusable_group_is_reported_and_the_others_are_found() {
    let server = with_groups(|request| {
        let nameless = entry(request.id, b"cn=bad,ou=groups,dc=x", &[("cn", &[b"bad"])]);
        vec![group(request.id, 1), nameless, group(request.id, 2)]
    })
    .await;
    let found = look_up(&directory(&server), "u1").await;
    assert_eq!(found.groups.len(), 2);
    let unusable: Vec<_> = found.unusable_groups.iter().map(|unusable| unusable.dn.as_str()).collect();
    assert_eq!(unusable, ["cn=bad,ou=groups,dc=x"]);
}

#[tokio::test]
async fn a_shortened_list_of_groups_says_so() {
    for (there, more) in [(1_000, false), (1_001, true)] {
        let server = with_groups(move |request| (0..there).map(|number| group(request.id, number)).collect()).await;
        let found = look_up(&directory(&server), "u1").await;
        assert_eq!((found.groups.len(), found.more_groups), (1_000, more));
    }
}

#[tokio::test]
async fn a_user_without_an_id_is_distinguished_from_a_missing_one() {
    let server = Server::start(|request| {
        if request.base != "ou=people,dc=x" {
            return well_behaved(request, 0);
        }
        let nameless = entry(request.id, b"uid=x,ou=people,dc=x", &[("uid", &[b"x"])]);
        Answer::Send(vec![nameless, done_paged(request.id, 0, b"")])
    })
    .await;
    let error = directory(&server).lookup_user("x").await.expect_err("unusable");
    assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn values_that_come_in_ranges_are_completed() {
    let server = Server::start(|request| {
        let id = request.id;
        let uuid: &[u8] = b"10000000-0000-0000-0000-000000000001";
        if request.base == "cn=g1,ou=groups,dc=x" {
            assert_eq!(request.attributes, ["cn;range=2-*"]);
            let rest = entry(id, request.base.as_bytes(), &[("cn;range=2-*", &[b"c"])]);
            return Answer::Send(vec![rest, message(id, 0x65, &done(0, b""))]);
        }
        let found = match request.base.as_str() {
            "ou=people,dc=x" => user(id, 1),
            "ou=groups,dc=x" => {
                entry(id, b"cn=g1,ou=groups,dc=x", &[("entryUUID", &[uuid]), ("cn;range=0-1", &[b"a", b"b"])])
            }
            _ => return well_behaved(request, 0),
        };
        Answer::Send(vec![found, done_paged(id, 0, b"")])
    })
    .await;
    let found = look_up(&directory(&server), "u1").await;
    let values: Vec<_> =
        found.groups.iter().flat_map(|group| &group.attributes).flat_map(|(_, values)| values).collect();
    assert_eq!(values, ["a", "b", "c"]);
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_user_is_found_by_any_login_and_by_its_dn() {
    let server = Server::start(|request| {
        let end = done_paged(request.id, 0, b"");
        let asks = |attribute: &str, value: &str| request.filter.contains(attribute) && request.filter.contains(value);
        match request.base.as_str() {
            "ou=people,dc=x" if asks("mail", "u1@corp.example") => Answer::Send(vec![user(request.id, 1), end]),
            "ou=people,dc=x" if asks("uid", "u1") && !asks("uid", "u1@") && !asks("uid", "u1,") => {
                Answer::Send(vec![user(request.id, 1), end])
            }
            "ou=people,dc=x" => Answer::Send(vec![end]),
            "UID=u1, ou=people,dc=x" => Answer::Send(vec![user(request.id, 1), end]),
            "uid=u2,ou=people,dc=x" => Answer::Send(vec![message(request.id, 0x65, &done(32, b""))]),
            _ => well_behaved(request, 0),
        }
    })
    .await;
    for typed in ["u1", "u1@corp.example", "UID=u1, ou=people,dc=x"] {
        assert_eq!(look_up(&directory(&server), typed).await.user.dn, "uid=u1,ou=people,dc=x", "{typed}");
    }
    for typed in ["nobody", "uid=u2,ou=people,dc=x", "uid=u1,ou=elsewhere,dc=x"] {
        let error = directory(&server).lookup_user(typed).await.expect_err("nobody");
        assert!(matches!(error, Error::NotFound), "{typed}: {error:?}");
    }
    assert_eq!(server.count(|request| request.base.contains("elsewhere")), 0, "outside of the configured bases");
}

/// Active Directory lists the members of a primary group nowhere; the user names it by the last part of its SID.
#[tokio::test]
async fn the_primary_group_is_among_the_groups_of_a_user() {
    const ID: &[u8] = &[7; 16];
    let server = Server::start(|request| {
        let id = request.id;
        if request.base.is_empty() && !request.is_bind() {
            let root = entry(id, b"", &[("supportedCapabilities", &[b"1.2.840.113556.1.4.800"])]);
            return Answer::Send(vec![root, message(id, 0x65, &done(0, b""))]);
        }
        let of_user = sid(&[21, 1, 2, 3, 1104]);
        let person: &[(&str, &[&[u8]])] = &[
            ("uid", &[b"u1"]),
            ("objectGUID", &[ID]),
            ("userAccountControl", &[b"512"]),
            ("objectSid", &[&of_user]),
            ("primaryGroupID", &[b"513"]),
        ];
        let end = if request.page.is_some() { done_paged(id, 0, b"") } else { message(id, 0x65, &done(0, b"")) };
        if request.base.contains("ou=people") {
            return Answer::Send(vec![entry(id, b"uid=u1,ou=people,dc=x", person), end]);
        }
        if request.base != "ou=groups,dc=x" {
            return well_behaved(request, 0);
        }
        let domain_users = String::from_utf8_lossy(&sid(&[21, 1, 2, 3, 513])).into_owned();
        let asked = request.filter.contains("objectSid") && request.filter.contains(&domain_users);
        let of_group = sid(&[21, 1, 2, 3, 513]);
        let group = entry(
            id,
            b"cn=Domain Users,ou=groups,dc=x",
            &[("objectGUID", &[ID]), ("objectSid", &[&of_group]), ("isCriticalSystemObject", &[b"TRUE"])],
        );
        Answer::Send(if asked { vec![group, end] } else { vec![end] })
    })
    .await;
    let found = look_up(&directory(&server), "u1").await;
    let names: Vec<&str> = found.groups.iter().map(|group| group.dn.as_str()).collect();
    assert_eq!(names, ["cn=Domain Users,ou=groups,dc=x"]);
}
