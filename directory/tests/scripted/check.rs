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
