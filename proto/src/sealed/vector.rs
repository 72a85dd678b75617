//! A password that another implementation has sealed: Python's `cryptography` (ECDH, AES-GCM) with the key schedule of
//! RFC 9180 written by hand, checked against its own HPKE. Whoever changes the format makes a new version.

use super::*;

const KEY: &str = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2";
const SEALED: &str = "018710cee59cfe355aed7b658ce51b8269ee732b1f70a97c25c7e9cece1e6b14aa04e9959346de94b3d52afe0018dfe7\
    7c46942b1397b52eec416654e8a7eefc64852cdc6cc9cf0b65b31e9821129d61c13e10c1e745203626d0963a0b1e9f7a\
    c9cd000102030405060708090a0b0c0d0e0f000001a3185c50005620e1c608bdad2d2d09a35558eee2537e680d3b1198\
    181855b35543a7d0fe73eb6d9e6e7d49c343ed978cac4a8d3b988b0a36bd30ec694f02b9604986fc361c8862d9d8862d\
    9c526b696704f978bb518699d8f9035b89481d2f14a829586f1bc22ac71bea629f5262faf248de804b91606fc5f6f290\
    fd513501357fb5bb59e15a62525d34d0099044e3c75b8ff2b6ab10a38f350740d9a9911db7ac6cfff509393ffe38e6ba\
    09eefbd3c2406d8b7346a2270cfbbbcf0707ba4ab49ef75b6d2051c4600fbbfaaabb6bfb48726bfa8709bae7dcd4b92b\
    9a2913ccac74f400ec4c4138e3aa58aa02b0e7c538bc694bb21677fe9cf66af92a0d95cdf7dd79a5967f9e8bd418b39c\
    50cdefb5bbd40498c2a9";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_another_implementation_seals_is_opened() {
    let key = SecretKey::from_bytes(&bytes(KEY)).unwrap();
    let sealed = bytes(SEALED);
    let header = Header::read(&sealed).unwrap();
    assert_eq!((header.id, header.expires_at_ms), (std::array::from_fn(|at| at.to_le_bytes()[0]), 1_800_000_000_000));
    let binding = Binding { directory: "corp", external_id: "f81d4fae", must_change: true };
    assert_eq!(open(&sealed, &key, &binding).unwrap().as_str(), "Grüße");
    assert!(open(&sealed, &key, &Binding { must_change: false, ..binding }).is_err());
}
