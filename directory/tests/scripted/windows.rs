//! What only Windows does.

use tokio_util::sync::CancellationToken;

use crate::play::*;

const GUID: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// A domain whose one group has `members` members, returned 1,500 at a time as since Windows Server 2003.
fn windows(request: &Request, members: usize) -> Answer {
    let id = request.id;
    if request.is_bind() {
        return Answer::Send(vec![message(id, 0x61, &done(0, b""))]);
    }
    if request.base.is_empty() {
        let root = entry(id, b"", &[("supportedCapabilities", &[b"1.2.840.113556.1.4.800"])]);
        return Answer::Send(vec![root, message(id, 0x65, &done(0, b""))]);
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
    let group = pages.iter().flat_map(|page| &page.records).next().expect("the group");
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
