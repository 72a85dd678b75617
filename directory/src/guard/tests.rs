//! What passes, what is kept, and what closes the connection.

use proptest::prelude::*;
use tokio::io::duplex;

use super::*;
use crate::raw_entry::tests::{element, message};

fn done(id: u8) -> Vec<u8> {
    vec![0x30, 0x0c, 0x02, 0x01, id, 0x65, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00]
}

#[tokio::test]
async fn entries_are_kept_and_results_passed_on() {
    let (server, mut remote) = duplex(1024 * 1024);
    let (local, mut client) = duplex(1024 * 1024);
    let (sender, mut entries) = mpsc::channel(4);
    let sent = [message(b"cn=a", &[("cn", &[b"a"])]).to_vec(), message(b"cn=b", &[]).to_vec(), done(7)].concat();
    remote.write_all(&sent).await.expect("sent");
    client.write_all(b"request").await.expect("asked");
    let guard = run(Box::new(server), local, sender);
    let test = async {
        let batch = entries.recv().await.expect("a batch");
        assert_eq!(batch, [message(b"cn=a", &[("cn", &[b"a"])]), message(b"cn=b", &[])]);
        let mut result = vec![0; 14];
        client.read_exact(&mut result).await.expect("a result");
        assert_eq!(result, done(7));
        let mut request = vec![0; 7];
        remote.read_exact(&mut request).await.expect("a request");
        assert_eq!(request, b"request");
        drop(remote);
    };
    let (end, ()) = tokio::join!(guard, test);
    assert!(matches!(end, Err(GuardError::Closed)));
}

fn sort(bytes: &[u8]) -> Result<Sorted, Malformed> {
    let mut sorted = Sorted::default();
    sorted.take_from(&mut BytesMut::from(bytes)).map(|()| sorted)
}

#[test]
fn what_no_server_sends_closes_the_connection() {
    assert!(sort(b"HTTP/1.1 400 Bad Request").is_err());
    assert!(sort(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]).is_err(), "beyond the limit, by the header alone");
    assert!(sort(&[0x30, 0x80]).is_err());
    // A length inside that reaches beyond its container makes `ldap3` wait for ever.
    assert!(sort(&[0x30, 0x08, 0x02, 0x01, 0x01, 0x65, 0x03, 0x0a, 0x7f, 0x00]).is_err());
    let mut nested = vec![0x0a, 0x01, 0x00];
    for _ in 0..40 {
        nested = element(0x30, &nested);
    }
    assert!(sort(&element(0x30, &[vec![0x02, 0x01, 0x01], element(0x65, &nested)].concat())).is_err());
}

#[test]
fn a_notice_of_disconnection_is_understood() {
    let response = [vec![0x0a, 0x01, 0x34, 0x04, 0x00, 0x04, 0x00], element(0x8a, b"1.3.6.1.4.1.1466.20036")].concat();
    let notice = element(0x30, &[vec![0x02, 0x01, 0x00], element(0x78, &response)].concat());
    assert_eq!(sort(&notice).expect("well-formed").disconnected, Some(52));
}

#[test]
fn a_cut_message_waits_for_its_rest() {
    let whole = message(b"cn=a", &[("cn", &[b"a"])]);
    let mut incoming = BytesMut::from(&whole[..whole.len() - 1]);
    let mut sorted = Sorted::default();
    sorted.take_from(&mut incoming).expect("so far so good");
    assert!(sorted.entries.is_empty());
    incoming.extend_from_slice(&whole[whole.len() - 1..]);
    sorted.take_from(&mut incoming).expect("whole");
    assert_eq!(sorted.entries, [whole]);
    assert!(incoming.is_empty());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = sort(&bytes);
    }

    #[test]
    fn however_the_bytes_are_cut_the_messages_are_the_same(cuts in proptest::collection::vec(1_usize..40, 1..60)) {
        let whole = [message(b"cn=a", &[("cn", &[b"a"])]).to_vec(), done(3), message(b"cn=b", &[("x", &[&[7; 90]])]).to_vec()].concat();
        let mut sorted = Sorted::default();
        let mut incoming = BytesMut::new();
        let mut rest = &whole[..];
        for cut in cuts.into_iter().chain([whole.len()]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            incoming.extend_from_slice(now);
            sorted.take_from(&mut incoming).expect("well-formed");
            rest = later;
        }
        prop_assert_eq!(sorted.entries.len(), 2);
        prop_assert_eq!(sorted.results, done(3));
    }
}
