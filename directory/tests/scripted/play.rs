//! The well-behaved server that the misbehaving ones are made from, and how a test reads from it.

use std::time::Duration;

pub(crate) use postern_directory::{Directory, DirectoryConfig, Enumeration, Error, Page};

pub(crate) use crate::server::{Answer, Request, Server, ber, done, done_paged, entry, message};

/// Everything here happens at once or not at all.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) fn config(urls: &[String]) -> DirectoryConfig {
    let urls: Vec<String> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    let text = format!(
        r#"
        name = "scripted"
        urls = [{}]
        allow_plaintext = true
        bind_dn = "cn=reader,dc=x"
        bind_password = "secret"
        page_size = 2
        operation_timeout_secs = 1
        [users]
        base_dns = ["ou=people,dc=x"]
        unique_attribute = "uid"
        attributes = ["uid", "cn"]
        [groups]
        base_dns = ["ou=groups,dc=x"]
        attributes = ["cn"]
        "#,
        urls.join(", ")
    );
    toml::from_str(&text).expect("a configuration")
}

pub(crate) fn directory(server: &Server) -> Directory {
    Directory::new(config(&[server.url()])).expect("valid")
}

/// The answer of a well-behaved server with `users` users and no groups, in pages as asked for.
pub(crate) fn well_behaved(request: &Request, users: usize) -> Answer {
    if request.is_bind() {
        return Answer::Send(vec![message(request.id, 0x61, &done(0, b""))]);
    }
    if request.base.is_empty() {
        let said: &[(&str, &[&[u8]])] =
            &[("objectClass", &[b"OpenLDAProotDSE"]), ("subschemaSubentry", &[b"cn=subschema"])];
        let root = entry(request.id, b"", said);
        return Answer::Send(vec![root, message(request.id, 0x65, &done(0, b""))]);
    }
    if request.base == "cn=subschema" {
        let schema = entry(request.id, b"cn=subschema", &[("attributeTypes", &[b"( 2.5.4.3 NAME 'cn' )"])]);
        return Answer::Send(vec![schema, message(request.id, 0x65, &done(0, b""))]);
    }
    // The base is read once more after the last page.
    let Some((size, cookie)) = request.page.clone() else { return base(request) };
    let start: usize = if cookie.is_empty() { 0 } else { String::from_utf8_lossy(&cookie).parse().expect("ours") };
    let total = if request.base.starts_with("ou=people") { users } else { 0 };
    let end = (start + size).min(total);
    let mut messages: Vec<Vec<u8>> = (start..end).map(|number| user(request.id, number)).collect();
    let cookie = if end < total { end.to_string() } else { String::new() };
    messages.push(done_paged(request.id, 0, cookie.as_bytes()));
    Answer::Send(messages)
}

/// The answer to a read of a base that is there.
pub(crate) fn base(request: &Request) -> Answer {
    let found = entry(request.id, request.base.as_bytes(), &[]);
    Answer::Send(vec![found, message(request.id, 0x65, &done(0, b""))])
}

pub(crate) fn user(id: i64, number: usize) -> Vec<u8> {
    let name = format!("u{number}");
    let uuid = format!("00000000-0000-0000-0000-{number:012}");
    let dn = format!("uid={name},ou=people,dc=x");
    entry(id, dn.as_bytes(), &[("uid", &[name.as_bytes()]), ("entryUUID", &[uuid.as_bytes()])])
}

pub(crate) async fn all(mut enumeration: Enumeration) -> (Vec<Page>, Option<Error>) {
    let mut pages = Vec::new();
    let reading = async {
        while let Some(page) = enumeration.next().await {
            match page {
                Ok(page) => pages.push(page),
                Err(error) => return Some(error),
            }
        }
        assert!(enumeration.is_complete());
        None
    };
    let error = tokio::time::timeout(BOUND, reading).await.expect("an end");
    (pages, error)
}
