//! The authority across restarts, damaged folders and forged requests.

use super::*;

fn now() -> Timestamp {
    Timestamp::now()
}

fn csr(key: &KeyPair) -> String {
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "somebody else");
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn the_authority_is_made_once_and_kept_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let first = Pki::open(folder.path(), now()).unwrap();
    let second = Pki::open(folder.path(), now()).unwrap();
    assert_eq!(first.ca_sha256(), second.ca_sha256());
    let mode = fs::metadata(folder.path().join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_authority_whose_files_do_not_belong_together_is_refused_with_a_cure() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Pki::open(one.path(), now()).unwrap();
    Pki::open(other.path(), now()).unwrap();
    fs::copy(other.path().join("ca.key"), one.path().join("ca.key")).unwrap();
    assert!(matches!(Pki::open(one.path(), now()), Err(Error::Mismatch { .. })));
    fs::remove_file(one.path().join("ca.key")).unwrap();
    assert!(Pki::open(one.path(), now()).unwrap_err().to_string().contains("restore"));
    assert!(!one.path().join("ca.key").exists(), "no new key is made for an old certificate");
}

#[test]
fn a_first_start_that_died_between_key_and_certificate_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    Pki::open(folder.path(), now()).unwrap();
    fs::remove_file(folder.path().join("ca.pem")).unwrap();
    assert!(Pki::open(folder.path(), now()).is_ok());
}

#[test]
fn an_agent_gets_the_identity_that_we_choose_and_not_the_one_that_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::open(folder.path(), now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let (organization, agent) = (OrganizationId::new(), AgentId::new());
    let draft = AgentDraft::new(&csr(&key), Duration::from_hours(1), now()).unwrap();
    let issued = pki.sign_agent(draft, organization, agent).unwrap();
    let chain = tls::certificates_from_pem(issued.chain_pem.as_bytes(), "chain").unwrap();
    assert_eq!(chain.len(), 2);
    let peer = PeerAgent::from_certificate(&chain[0]).unwrap();
    assert_eq!((peer.agent, peer.organization, &peer.serial), (agent, organization, &issued.serial));
    assert_eq!(peer.not_after.as_second(), issued.not_after.as_second());
    let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    assert!(!parsed.subject().to_string().contains("somebody"));
    assert!(!parsed.is_ca());
    assert!(PeerAgent::from_certificate(&chain[1]).is_err(), "the authority is no agent");
}

#[test]
fn requests_that_are_none_are_refused() {
    for bad in ["", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        assert!(matches!(AgentDraft::new(bad, Duration::from_secs(1), now()), Err(Error::Request { .. })), "{bad}");
    }
    let large = "x".repeat(MAX_CSR_BYTES + 1);
    assert!(AgentDraft::new(&large, Duration::from_secs(1), now()).is_err());
}

#[test]
fn the_gateways_certificate_is_for_all_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::open(folder.path(), now()).unwrap();
    let names = ["gw.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = pki.gateway_certificate(&names, now()).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&made.chain[0]).unwrap();
    assert_eq!(parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 3);
    assert!(pki.gateway_certificate(&["not a name \u{fc}".to_owned()], now()).is_err());
}
