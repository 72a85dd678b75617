//! The names of attributes as a server's schema has them: a list, a policy and a look-up may use any of them.

use postern_directory::Class;
use tokio_util::sync::CancellationToken;

use crate::play::*;

const SCHEMA: &[&[u8]] = &[
    b"( 1.2.3.4 NAME ( 'badge' 'employeeBadge' ) DESC 'x' )",
    b"( 1.2.3.5 NAME ( 'cell' 'cellPhone' ) SYNTAX 1.3.6.1.4.1.1466.115.121.1.40{16} )",
    b"( 1.2.3.6 NAME 'nick' SUP cell SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )",
];

/// A server of one user, with a schema of its own in two parts; it answers by the first name of each attribute.
fn with_schema(request: &Request) -> Answer {
    let done = message(request.id, 0x65, &done(0, b""));
    match request.base.as_str() {
        "" if !request.is_bind() => {
            Answer::Send(vec![entry(request.id, b"", &[("subschemaSubentry", &[b"cn=schema"])]), done])
        }
        "cn=schema" if request.attributes == ["attributeTypes"] => {
            let first = [("attributeTypes;range=0-1", &SCHEMA[..2])];
            Answer::Send(vec![entry(request.id, b"cn=schema", &first), done])
        }
        "cn=schema" => {
            Answer::Send(vec![entry(request.id, b"cn=schema", &[("attributeTypes;range=2-*", &SCHEMA[2..])]), done])
        }
        "ou=people,dc=x" => {
            let values: &[(&str, &[&[u8]])] = &[
                ("uid", &[b"u1"]),
                ("entryUUID", &[b"1"]),
                ("badge", &[b"secret"]),
                ("cell", &[b"7"]),
                ("nick", &[b"n"]),
            ];
            Answer::Send(vec![entry(request.id, b"uid=u1,ou=people,dc=x", values), done_paged(request.id, 0, b"")])
        }
        _ => well_behaved(request, 0),
    }
}

fn configured(server: &Server, listed: &[&str], excluded: &[&str]) -> DirectoryConfig {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut config = config(&[server.url()]);
    config.users.attributes = owned(listed);
    config.excluded_attributes = owned(excluded);
    config
}

#[tokio::test]
async fn what_is_excluded_by_one_name_does_not_leave_by_another() {
    for (listed, excluded) in [("employeeBadge", "badge"), ("1.2.3.4", "employeeBadge"), ("badge", "OID.1.2.3.4")] {
        let server = Server::start(with_schema).await;
        let directory =
            Directory::new(configured(&server, &[listed, "cellPhone", "1.2.3.6"], &[excluded])).expect("valid");
        let (pages, error) = all(directory.enumerate(CancellationToken::new())).await;
        assert!(error.is_none(), "{error:?}");
        let user = &pages[0].entries[0];
        let names: Vec<&str> = user.attributes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["cellPhone", "1.2.3.6"], "under the names that are listed, without {listed}");
        assert!(!format!("{:?}", directory.lookup_user("u1").await.expect("found")).contains("secret"));
        assert_eq!(
            server.count(|request| request.attributes.iter().any(|name| name == listed)),
            0,
            "not even asked for"
        );
        assert_eq!(server.count(|request| request.attributes == ["attributeTypes;range=2-*"]), 1, "read once, whole");
    }
}

#[tokio::test]
async fn an_excluded_login_by_another_name_fails_with_the_key_to_change() {
    let server = Server::start(with_schema).await;
    let mut config = configured(&server, &["cell"], &["1.2.3.6"]);
    config.users.unique_attribute = "nick".to_owned();
    let (_, error) = all(Directory::new(config).expect("valid").enumerate(CancellationToken::new())).await;
    let error = error.expect("refused");
    assert!(matches!(error, Error::KeptBack { key: "users.unique_attribute" }), "{error:?}");
    assert_eq!((error.class(), error.retryable()), (Class::Directory, false));
    assert!(error.cure().expect("a cure").contains("users.unique_attribute"));
}

#[tokio::test]
async fn attributes_whose_syntax_is_bytes_are_named_as_they_are_listed() {
    let server = Server::start(with_schema).await;
    let config = configured(&server, &["uid", "badge", "cellPhone", "nick"], &[]);
    let mut enumeration = Directory::new(config).expect("valid").enumerate(CancellationToken::new());
    let source = tokio::time::timeout(BOUND, enumeration.source()).await.expect("an answer");
    assert_eq!(source.binary_attributes, ["cellPhone"]);
}
