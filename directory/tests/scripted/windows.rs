//! What only Windows does.

use postern_directory::Class;
use tokio_util::sync::CancellationToken;

use crate::play::*;

const GUID: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// A domain whose one group has `members` members, returned 1,500 at a time as since Windows Server 2003.
pub(crate) fn windows(request: &Request, members: usize) -> Answer {
    let id = request.id;
    if request.is_bind() {
        return Answer::Send(vec![message(id, 0x61, &done(0, b""))]);
    }
    if request.base.is_empty() {
        let root = entry(id, b"", &[("supportedCapabilities", &[b"1.2.840.113556.1.4.800"])]);
        return Answer::Send(vec![root, message(id, 0x65, &done(0, b""))]);
    }
    if request.attributes == ["1.1"] {
        return base(request);
    }
    if request.base == "ou=people,dc=x" {
        return Answer::Send(vec![reference(id), done_paged(id, 0, b"")]);
    }
    let asked = request.attributes.iter().find_map(|name| name.strip_prefix("member;range=")).expect("a range");
    let start: usize = asked.split('-').next().and_then(|start| start.parse().ok()).expect("a start");
    let end = (start + 1_500).min(members);
    let option =
        if end == members { format!("member;range={start}-*") } else { format!("member;range={start}-{}", end - 1) };
    let names: Vec<String> = (start..end).map(|number| format!("cn=u{number},ou=people,dc=x")).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let group = entry(id, b"cn=all,ou=groups,dc=x", &[("objectGUID", &[GUID]), ("member", &[]), (&option, &names)]);
    let end = if request.page.is_some() { done_paged(id, 0, b"") } else { message(id, 0x65, &done(0, b"")) };
    Answer::Send(vec![group, end])
}

fn reference(id: i64) -> Vec<u8> {
    message(id, 0x73, &crate::server::ber(0x04, b"ldaps://ForestDnsZones.x/DC=ForestDnsZones,DC=x"))
}

#[tokio::test]
async fn a_group_of_many_members_is_read_range_by_range() {
    let server = Server::start(|request| windows(request, 3_200)).await;
    let (pages, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    let group = pages.iter().flat_map(|page| &page.entries).next().expect("the group");
    assert_eq!(group.external_id, "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert_eq!(group.members.len(), 3_200);
    assert_eq!(group.members[3_199], "cn=u3199,ou=people,dc=x".as_bytes());
    assert_eq!(server.count(|request| request.attributes.iter().any(|name| name == "member;range=3000-*")), 1);
}

#[tokio::test]
async fn references_are_counted_and_not_chased() {
    let server = Server::start(|request| windows(request, 3)).await;
    let (pages, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(pages.iter().map(|page| page.referrals).sum::<u64>(), 1);
}

/// Like `windows`, but for what it answers when asked for the values from 3,000 on.
async fn failing_at_3000(answer: impl Fn(i64) -> Vec<Vec<u8>> + Send + Sync + 'static) -> (Vec<Page>, Option<Error>) {
    let server = Server::start(move |request| {
        let here = request.attributes.iter().any(|name| name == "member;range=3000-*");
        if here { Answer::Send(answer(request.id)) } else { windows(request, 3_200) }
    })
    .await;
    all(directory(&server).enumerate(CancellationToken::new())).await
}

#[tokio::test]
async fn an_unexpected_answer_is_not_the_end_of_the_members() {
    for instead in ["member;range=1500-2999", "member;range=3000-x", "member"] {
        let (_, error) = failing_at_3000(move |id| {
            let group = entry(id, b"cn=all,ou=groups,dc=x", &[(instead, &[b"cn=u1,ou=people,dc=x"])]);
            vec![group, message(id, 0x65, &done(0, b""))]
        })
        .await;
        let error = error.expect("members are missing");
        let Error::Ended { source, .. } = &error else { panic!("{error:?}") };
        let Error::Range { expected, got } = &**source else { panic!("{error:?}") };
        assert_eq!((expected.as_str(), got.as_str()), ("member;range=3000-*", instead));
        assert_eq!((error.class(), error.retryable()), (Class::Directory, true));
        assert!(!error.public_message().contains("member"), "{}", error.public_message());
    }
}

#[tokio::test]
async fn a_group_that_is_not_there_any_more_under_its_name_is_not_the_end_of_its_members() {
    for code in [0, 32] {
        let (pages, error) = failing_at_3000(move |id| vec![message(id, 0x65, &done(code, b""))]).await;
        let error = error.expect("members are missing");
        let Error::Ended { source, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(&**source, Error::Range { got, .. } if got == "no such entry"), "{error:?}");
        assert!(error.retryable());
        assert!(pages.iter().flat_map(|page| &page.entries).all(|record| record.members.len() != 3_000));
    }
}
