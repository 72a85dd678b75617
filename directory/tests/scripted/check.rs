//! The diagnosis of servers that answer, but not as an import needs it.

use postern_directory::CheckState;

use crate::play::*;

/// Well-behaved, and with its base DNs readable.
fn honest(request: &Request, users: usize) -> Answer {
    if request.page.is_none() && request.base.starts_with("ou=") {
        let base = entry(request.id, request.base.as_bytes(), &[]);
        return Answer::Send(vec![base, message(request.id, 0x65, &done(0, b""))]);
    }
    well_behaved(request, users)
}

/// State, detail and cure of the step of this name.
async fn step(name: &str, script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> (CheckState, String, String) {
    let server = Server::start(script).await;
    let checks = directory(&server).check().await;
    let check = checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name}: {checks:?}"));
    assert!(!check.detail.contains("dc=x"), "the configuration would leave the site: {check:?}");
    (check.state, check.detail.clone(), check.cure.clone().unwrap_or_default())
}

#[tokio::test]
async fn two_full_pages_are_read_as_an_import_would() {
    let page_size = config(&[String::new()]).page_size;
    let many = usize::try_from(page_size).unwrap() * 3;
    let (state, detail, _) = step("paging", move |request| honest(request, many)).await;
    assert_eq!((state, detail), (CheckState::Passed, format!("a second page was read, {page_size} entries each")));
    let (state, detail, _) = step("users", move |request| honest(request, many)).await;
    assert_eq!(
        (state, detail),
        (CheckState::Passed, format!("{} looked at; unique and external ids present", page_size * 2))
    );
}

#[tokio::test]
async fn a_base_dn_that_cannot_be_read_is_reported_with_its_cure() {
    for code in [32, 50] {
        let (state, detail, cure) = step("base_dns", move |request| match request.base.as_str() {
            "ou=groups,dc=x" => Answer::Send(vec![message(request.id, 0x65, &done(code, b""))]),
            _ => honest(request, 3),
        })
        .await;
        assert!(state == CheckState::Failed && detail.contains(&format!("result code {code}")), "{detail}");
        assert!(cure.contains("base_dns"), "{cure}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_page_fails_in_paging() {
    let without_control = |id| vec![user(id, 1), message(id, 0x65, &done(0, b""))];
    let refusing = |id| vec![message(id, 0x65, &done(12, b""))];
    for answer in [step_with("paging", without_control).await, step_with("paging", refusing).await] {
        let (state, detail, cure) = answer;
        assert!(state == CheckState::Failed && detail.contains("does not page"), "{detail}");
        assert!(cure.contains("RFC 2696"), "{cure}");
    }
}

#[tokio::test]
async fn users_of_one_external_id_fail_the_check() {
    let server = Server::start(|request| {
        if request.page.is_none() || !request.base.starts_with("ou=people") {
            return honest(request, 0);
        }
        let twin = |name: &str| {
            let dn = format!("uid={name},ou=people,dc=x");
            entry(request.id, dn.as_bytes(), &[("uid", &[name.as_bytes()]), ("employeeNumber", &[b"7"])])
        };
        Answer::Send(vec![twin("anna"), twin("bert"), done_paged(request.id, 0, b"")])
    })
    .await;
    let mut config = config(&[server.url()]);
    config.external_id_attribute = Some("employeeNumber".to_owned());
    let checks = Directory::new(config).expect("valid").check().await;
    let users = checks.iter().find(|check| check.name == "users").expect("looked at");
    assert_eq!(
        (users.state, users.detail.as_str()),
        (CheckState::Failed, "several users have the same external id (employeeNumber)")
    );
    assert!(users.cure.as_ref().is_some_and(|cure| cure.contains("external_id_attribute")), "{users:?}");
}

/// Of a server that answers the search for users so.
async fn step_with(name: &str, users: fn(i64) -> Vec<Vec<u8>>) -> (CheckState, String, String) {
    let is_asked = |request: &Request| request.page.is_some() && request.base.starts_with("ou=people");
    let script = move |request: &Request| {
        if is_asked(request) { Answer::Send(users(request.id)) } else { honest(request, 0) }
    };
    step(name, script).await
}

#[tokio::test]
async fn users_without_id_or_login_are_reported() {
    let without_id = |id| vec![entry(id, b"cn=Ada,ou=people,dc=x", &[("uid", &[b"ada"])]), done_paged(id, 0, b"")];
    let (state, detail, cure) = step_with("users", without_id).await;
    assert_eq!((state, detail.as_str()), (CheckState::Failed, "1 of 1 users have no external id (entryUUID)"));
    assert!(cure.contains("external_id_attribute"), "{cure}");

    let nameless = |id| {
        let uuid: &[&[u8]] = &[b"00000000-0000-0000-0000-000000000001"];
        vec![entry(id, b"cn=Ada,ou=people,dc=x", &[("entryUUID", uuid)]), done_paged(id, 0, b"")]
    };
    let (state, detail, cure) = step_with("users", nameless).await;
    assert_eq!((state, detail.as_str()), (CheckState::Failed, "1 of 1 users have no uid"));
    assert!(cure.contains("users.unique_attribute"), "{cure}");

    let (state, detail, cure) = step_with("users", |id| vec![done_paged(id, 0, b"")]).await;
    assert!(state == CheckState::Failed && detail.contains("matches users.filter"), "{detail}");
    assert!(cure.contains("users.filter"), "{cure}");
}

#[tokio::test]
async fn an_account_that_has_expired_counts_as_disabled() {
    let expired = |id| {
        let uuid: &[&[u8]] = &[b"00000000-0000-0000-0000-000000000001"];
        let day: &[&[u8]] = &[b"1"];
        let user = [("uid", &[&b"ada"[..]][..]), ("entryUUID", uuid), ("shadowExpire", day)];
        vec![entry(id, b"uid=ada,ou=people,dc=x", &user), done_paged(id, 0, b"")]
    };
    let (state, detail, _) = step_with("switches", expired).await;
    assert_eq!((state, detail.as_str()), (CheckState::Passed, "of 1 user, 0 enabled and 1 disabled"));
}

/// A SID of these parts (MS-DTYP §2.4.2.2).
pub(crate) fn sid(parts: &[u32]) -> Vec<u8> {
    let head = [1, u8::try_from(parts.len()).expect("few"), 0, 0, 0, 0, 0, 5];
    head.into_iter().chain(parts.iter().flat_map(|part| part.to_le_bytes())).collect()
}

/// How the bind account of an Active Directory shows its groups.
#[derive(Clone)]
enum Shown {
    /// As `tokenGroups`.
    Token(Vec<u8>),
    /// As `memberOf`, of a group with this SID.
    MemberOf(Vec<u8>),
    /// As its primary group only.
    Primary(&'static str),
}

/// What `rights` says of a bind account in this group, which has no `adminCount`.
async fn rights_in(shown: Shown) -> (CheckState, String, String) {
    step("rights", move |request| {
        let id = request.id;
        let end = || message(id, 0x65, &done(0, b""));
        if request.base.is_empty() && !request.is_bind() {
            let root: &[(&str, &[&[u8]])] =
                &[("supportedCapabilities", &[b"1.2.840.113556.1.4.800"]), ("defaultNamingContext", &[b"dc=x"])];
            return Answer::Send(vec![entry(id, b"", root), end()]);
        }
        if request.filter.contains("adminCount") {
            return Answer::Send(vec![if request.page.is_some() { done_paged(id, 0, b"") } else { end() }]);
        }
        let asked = |name: &str| request.attributes.iter().any(|asked| asked == name);
        let answer =
            |attributes: &[(&str, &[&[u8]])]| Answer::Send(vec![entry(id, request.base.as_bytes(), attributes), end()]);
        match (request.base.as_str(), &shown) {
            ("cn=reader,dc=x", Shown::Token(sid)) if asked("tokenGroups") => answer(&[("tokenGroups", &[sid])]),
            ("cn=reader,dc=x", Shown::MemberOf(_)) if asked("memberOf") => answer(&[("memberOf", &[b"cn=one,dc=x"])]),
            ("cn=reader,dc=x", Shown::Primary(rid)) if asked("primaryGroupID") => {
                answer(&[("primaryGroupID", &[rid.as_bytes()])])
            }
            ("cn=reader,dc=x", _) => answer(&[]),
            ("cn=one,dc=x", Shown::MemberOf(sid)) if asked("objectSid") => answer(&[("objectSid", &[sid])]),
            _ => honest(request, 3),
        }
    })
    .await
}

#[tokio::test]
async fn a_bind_account_in_an_administrators_group_is_found_by_its_groups() {
    let (domain, builtin) = ([21, 1, 2, 3, 0], [32, 544]);
    let in_domain = |rid: u32| sid(&[&domain[..4], &[rid]].concat());
    let mut shown = vec![Shown::Token(sid(&builtin)), Shown::MemberOf(sid(&builtin)), Shown::Primary("512")];
    for rid in [512, 518, 519] {
        shown.extend([Shown::Token(in_domain(rid)), Shown::MemberOf(in_domain(rid))]);
    }
    for shown in shown {
        let (state, detail, cure) = rights_in(shown).await;
        assert!(state == CheckState::Warned && detail.contains("administrators' group"), "{detail}");
        assert!(cure.contains("a separate account"), "{cure}");
    }
    let mut harmless = vec![Shown::Primary("513"), Shown::Token(sid(&[32, 545])), Shown::Token(sid(&[32, 512]))];
    harmless.extend([513, 544, 1512].map(|rid| Shown::Token(in_domain(rid))));
    harmless.push(Shown::MemberOf(in_domain(1104)));
    for shown in harmless {
        let (state, detail, _) = rights_in(shown).await;
        assert_eq!((state, detail.as_str()), (CheckState::Passed, "no excessive rights found"));
    }
}
