//! Servers that misbehave. Whatever they do, the reading ends with an error that says what, and never as if complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postern_directory::{Class, Step};
use tokio_util::sync::CancellationToken;

use crate::play::*;

/// Well-behaved, but for the search with this cookie.
async fn failing_at(cookie: &'static str, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let here =
            request.base == "ou=people,dc=x" && request.page.as_ref().is_some_and(|page| page.1 == cookie.as_bytes());
        if here { answer(request) } else { well_behaved(request, 7) }
    })
    .await
}

/// Reads until the error, which must be an early end after `users` users.
async fn early_end(server: &Server, users: u64) -> Error {
    let (_, error) = all(directory(server).enumerate(CancellationToken::new())).await;
    let error = error.expect("an error");
    assert_eq!(error.progress().expect("how far it got").users, users, "{error:?}");
    assert!(!error.public_message().contains("dc=x"), "{}", error.public_message());
    error
}

#[tokio::test]
async fn everything_is_read_page_by_page() {
    let server = Server::start(|request| well_behaved(request, 7)).await;
    let (pages, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    let sizes: Vec<usize> = pages.iter().map(|page| page.entries.len()).collect();
    assert_eq!(sizes, [2, 2, 2, 1]);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_of_ten_minutes_is_used_for_no_other_search() {
    for (age, connections) in [(Duration::from_secs(500), 1), (Duration::from_secs(601), 2)] {
        let server = Server::start(|request| well_behaved(request, 3)).await;
        let mut config = config(&[server.url()]);
        // The clock is turned while the server answers, which is no reason to give that answer up.
        config.operation_timeout_secs = 3600;
        let enumeration = Directory::new(config).expect("valid").enumerate(CancellationToken::new());
        let read = async {
            while server.count(|request| request.page.is_some()) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, read).await.expect("a search");
        // Nobody takes the users yet, so that the groups have not been asked for.
        tokio::time::pause();
        tokio::time::advance(age).await;
        tokio::time::resume();
        let (pages, error) = all(enumeration).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), 3);
        assert_eq!(server.connections.load(Ordering::SeqCst), connections, "after {age:?}");
        assert_eq!(server.count(|request| request.page.is_some() && request.base == "ou=groups,dc=x"), 1);
    }
}

#[tokio::test]
async fn a_size_limit_half_way_is_an_error_that_says_how_far_it_got() {
    let server = failing_at("4", |request| {
        Answer::Send(vec![user(request.id, 4), message(request.id, 0x65, &done(4, b"size limit of cn=reader,dc=x"))])
    })
    .await;
    let error = early_end(&server, 5).await;
    assert_eq!((error.class(), error.ldap_result_code(), error.retryable()), (Class::Directory, Some(4), false));
}

#[tokio::test]
async fn a_server_that_ignores_paging_proves_nothing() {
    let server =
        failing_at("", |request| Answer::Send(vec![user(request.id, 1), message(request.id, 0x65, &done(0, b""))]))
            .await;
    let error = early_end(&server, 1).await;
    assert!(matches!(&error, Error::Ended { source, .. } if matches!(**source, Error::NoPaging)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = failing_at("2", |_| Answer::Hang).await;
    let error = early_end(&server, 2).await;
    assert_eq!((error.class(), error.retryable()), (Class::Timeout, true));
}

#[tokio::test]
async fn a_cut_connection_is_an_error_and_not_an_end() {
    let server = failing_at("2", |request| {
        let whole = user(request.id, 2);
        Answer::SendAndClose(whole[..whole.len() - 3].to_vec())
    })
    .await;
    let error = early_end(&server, 2).await;
    assert_eq!((error.class(), error.retryable()), (Class::Unreachable, true));
}

#[tokio::test]
async fn a_notice_of_disconnection_is_understood() {
    let server = failing_at("2", |_| Answer::Send(vec![message(0, 0x78, &done(52, b"shutting down"))])).await;
    let error = early_end(&server, 2).await;
    assert_eq!((error.class(), error.ldap_result_code()), (Class::Unreachable, Some(52)));
}

#[tokio::test]
async fn bytes_that_are_not_ldap_are_an_error() {
    let server = failing_at("2", |_| Answer::SendAndClose(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    assert_eq!(early_end(&server, 2).await.class(), Class::Directory);
}

#[tokio::test]
async fn a_panic_of_the_ldap_library_is_that_operations_error() {
    // It takes the diagnostic text for UTF-8 and panics where it is not.
    let server = failing_at("2", |request| Answer::Send(vec![message(request.id, 0x65, &done(0, b"\xff\xfe"))])).await;
    let error = early_end(&server, 2).await;
    assert_eq!(error.class(), Class::Internal);
    let looked_up = directory(&server).lookup_user("nobody").await;
    assert!(matches!(looked_up, Err(Error::Panicked { step: Step::Search } | Error::Ambiguous)), "{looked_up:?}");
}

#[tokio::test]
async fn a_panic_in_an_operation_of_ours_is_that_operations_error() {
    let server = Server::start(|request| Answer::Send(vec![message(request.id, 0x61, &done(0, b"\xff\xfe"))])).await;
    let error = directory(&server).identify().await.expect_err("a panic");
    assert!(matches!(error, Error::Panicked { step: Step::Bind }), "{error:?}");
}

#[tokio::test]
async fn another_server_takes_over() {
    let busy = Server::start(|request| Answer::Send(vec![message(request.id, 0x61, &done(51, b""))])).await;
    let good = Server::start(|request| well_behaved(request, 1)).await;
    let gone = { Server::start(|_| Answer::Close).await.url() };
    let directory = Directory::new(config(&[gone, busy.url(), good.url()])).expect("valid");
    for _ in 0..2 {
        let (pages, error) = all(directory.enumerate(CancellationToken::new())).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(pages.len(), 1);
    }
    assert_eq!(busy.connections.load(Ordering::SeqCst), 1, "the server that worked is asked first");
}

#[tokio::test]
async fn after_three_wrong_passwords_the_server_is_left_alone() {
    let server = Server::start(|request| {
        let subcode = b"80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 52e, v2580";
        Answer::Send(vec![message(request.id, 0x61, &done(49, subcode))])
    })
    .await;
    let other = Server::start(|request| well_behaved(request, 1)).await;
    let directory = Directory::new(config(&[server.url(), other.url()])).expect("valid");
    for _ in 0..3 {
        let error = directory.lookup_user("u0").await.expect_err("refused");
        assert_eq!((error.class(), error.ldap_result_code()), (Class::Credentials, Some(49)));
        assert!(error.public_message().contains("wrong account"), "{}", error.public_message());
    }
    for _ in 0..5 {
        let error = directory.lookup_user("u0").await.expect_err("throttled");
        assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
    }
    assert_eq!(server.count(Request::is_bind), 3);
    assert_eq!(other.count(Request::is_bind), 0, "a wrong password is wrong on every server");
}

#[tokio::test]
async fn a_password_file_with_other_content_is_tried_at_once() {
    let server = Server::start(|request| {
        if request.is_bind() && request.base != "right" {
            return Answer::Send(vec![message(request.id, 0x61, &done(49, b""))]);
        }
        well_behaved(request, 1)
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "wrong\n").expect("written");
    let directory = Directory::new(DirectoryConfig {
        bind_password: None,
        bind_password_file: Some(file.clone()),
        ..config(&[server.url()])
    });
    let directory = directory.expect("valid");
    for _ in 0..3 {
        assert!(matches!(directory.lookup_user("u0").await, Err(Error::Bind { code: 49, .. })));
    }
    let Err(Error::Throttled { retry_after, .. }) = directory.lookup_user("u0").await else { panic!("a fourth try") };
    assert!(retry_after.as_secs().abs_diff(15 * 60) < 60, "{retry_after:?}");
    std::fs::write(&file, "right\n").expect("written");
    directory.lookup_user("u0").await.expect("the new password is tried");
    assert_eq!(server.count(Request::is_bind), 4);
}

#[tokio::test]
async fn a_reload_gives_a_wrong_password_no_more_tries() {
    let refusing = |request: &Request| Answer::Send(vec![message(request.id, 0x61, &done(49, b""))]);
    let (server, moved) = (Server::start(refusing).await, Server::start(refusing).await);
    let before = directory(&server);
    for _ in 0..3 {
        assert!(matches!(before.lookup_user("u0").await, Err(Error::Bind { code: 49, .. })));
    }
    let unchanged = config(&[server.url()]);
    let mut extended = config(&[moved.url(), server.url()]);
    extended.users.attributes.push("mail".to_owned());
    for reread in [unchanged.clone(), extended] {
        let after = Directory::beside(reread, [&before]).expect("valid");
        assert!(matches!(after.lookup_user("u0").await, Err(Error::Throttled { .. })));
    }
    assert_eq!(server.count(Request::is_bind) + moved.count(Request::is_bind), 3);
    // What may be right now is tried.
    let elsewhere = Directory::beside(config(&[moved.url()]), [&before]).expect("valid");
    assert!(matches!(elsewhere.lookup_user("u0").await, Err(Error::Bind { .. })));
    let mended = DirectoryConfig { bind_password: Some("other".to_owned().into()), ..unchanged };
    let mended = Directory::beside(mended, [&before]).expect("valid");
    assert!(matches!(mended.lookup_user("u0").await, Err(Error::Bind { .. })));
}

#[tokio::test]
async fn two_wrong_passwords_for_one_server_take_no_turns_in_being_tried() {
    let refusing = |request: &Request| Answer::Send(vec![message(request.id, 0x61, &done(49, b""))]);
    let server = Server::start(refusing).await;
    let first = directory(&server);
    let other = DirectoryConfig { bind_password: Some("other".to_owned().into()), ..config(&[server.url()]) };
    let second = Directory::beside(other, [&first]).expect("valid");
    for _ in 0..5 {
        first.lookup_user("u0").await.expect_err("refused");
        second.lookup_user("u0").await.expect_err("refused");
    }
    assert_eq!(server.count(Request::is_bind), 6, "three of each");
}

/// Binds, and then answers every search with `busy`.
fn half_dead(request: &Request) -> Answer {
    if request.is_bind() {
        well_behaved(request, 0)
    } else {
        Answer::Send(vec![message(request.id, 0x65, &done(51, b""))])
    }
}

#[tokio::test]
async fn a_server_that_binds_and_then_fails_is_passed_over() {
    let (dead, good) = (Server::start(half_dead).await, Server::start(|request| well_behaved(request, 3)).await);
    let directory = || Directory::new(config(&[dead.url(), good.url()])).expect("valid");

    let reading = directory();
    let (pages, error) = all(reading.enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), 3);
    assert_eq!(dead.count(Request::is_bind), 1);
    all(reading.enumerate(CancellationToken::new())).await;
    assert_eq!(dead.count(Request::is_bind), 1, "the next reading begins with the server that works");

    assert_eq!(directory().identify().await.expect("the second server's").flavour.as_str(), "openldap");
    assert!(matches!(directory().lookup_user("nobody").await, Err(Error::NotFound | Error::Ambiguous)));
    assert_eq!(dead.count(Request::is_bind), 3);
}

#[tokio::test]
async fn where_all_servers_fail_each_is_asked_once() {
    let servers = (Server::start(half_dead).await, Server::start(half_dead).await);
    let directory = Directory::new(config(&[servers.0.url(), servers.1.url()])).expect("valid");
    let error = directory.identify().await.expect_err("busy");
    assert_eq!((error.ldap_result_code(), error.retryable()), (Some(51), true), "{error:?}");
    let (_, error) = all(directory.enumerate(CancellationToken::new())).await;
    assert_eq!(error.and_then(|error| error.ldap_result_code()), Some(51));
    assert_eq!((servers.0.count(Request::is_bind), servers.1.count(Request::is_bind)), (2, 2));
}

#[tokio::test]
async fn what_was_read_is_not_read_again_from_another_server_under_the_same_reading() {
    let dying = failing_at("2", |_| Answer::Close).await;
    let good = Server::start(|request| well_behaved(request, 7)).await;
    let directory = Directory::new(config(&[dying.url(), good.url()])).expect("valid");
    let (pages, error) = all(directory.enumerate(CancellationToken::new())).await;
    assert_eq!(error.and_then(|error| error.progress()).map(|progress| progress.users), Some(2));
    assert_eq!(pages.len(), 1);
    let (pages, error) = all(directory.enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), 7);
}

#[tokio::test]
async fn reading_stays_at_most_two_pages_ahead() {
    let server = Server::start(|request| well_behaved(request, 100)).await;
    let searches = |server: &Server| server.count(|request| request.base == "ou=people,dc=x");
    let mut enumeration = directory(&server).enumerate(CancellationToken::new());
    for consumed in 0..10 {
        let ahead = async {
            while searches(&server) < consumed + 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, ahead).await.expect("reading goes on without the consumer");
        assert_eq!(searches(&server), consumed + 2);
        enumeration.next().await.expect("a page").expect("entries");
    }
}

#[tokio::test]
async fn a_cancelled_reading_ends_at_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = failing_at("4", move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Answer::Hang
    })
    .await;
    let cancel = CancellationToken::new();
    let enumeration = directory(&server).enumerate(cancel.clone());
    let cancelling = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let ((_, error), ()) = tokio::join!(all(enumeration), cancelling);
    assert_eq!(error.expect("an error").class(), Class::Canceled);
}

#[tokio::test]
async fn an_entry_that_is_no_account_is_reported_and_the_rest_goes_on() {
    let server = failing_at("2", |request| {
        let nameless = entry(request.id, b"uid=x,ou=people,dc=x", &[("uid", &[b"x"])]);
        Answer::Send(vec![nameless, user(request.id, 3), done_paged(request.id, 0, b"4")])
    })
    .await;
    let (pages, error) = all(directory(&server).enumerate(CancellationToken::new())).await;
    assert!(error.is_none(), "{error:?}");
    let unusable: Vec<_> = pages.iter().flat_map(|page| &page.unusable).map(|unusable| unusable.dn.as_str()).collect();
    assert_eq!(unusable, ["uid=x,ou=people,dc=x"]);
    assert_eq!(pages.iter().map(|page| page.entries.len()).sum::<usize>(), 6);
}
