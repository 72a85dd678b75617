//! The words for operators: what happened without a word of the configuration, and what to do about it.

use super::{Error, Step};
use crate::tls::TlsFailure;

impl Error {
    /// What happened, in words that hold no URL, DN, filter, path or value of the configuration: fit to leave the site.
    pub fn public_message(&self) -> String {
        match self {
            Self::Resolve { .. } => "the name of the directory server cannot be resolved".to_owned(),
            Self::Connect { source, .. } => format!("the directory server cannot be reached ({})", source.kind()),
            Self::Tls { failure, .. } => format!("TLS with the directory server failed: {}", failure.public()),
            Self::StartTls { code, .. } => format!("the directory server refused STARTTLS ({})", result_name(*code)),
            Self::NoServer { tried, last } => {
                format!("none of {tried} directory servers could be used; the last: {}", last.public_message())
            }
            Self::Secret(_) => "the agent cannot read its bind secret".to_owned(),
            Self::TlsConfig(_) => "the agent cannot use its TLS settings for the directory".to_owned(),
            Self::Bind { code, subcode, .. } => match subcode.and_then(subcode_meaning) {
                Some(meaning) => format!("the directory refused the bind: {meaning}"),
                None => format!("the directory refused the bind ({})", result_name(*code)),
            },
            Self::Throttled { retry_after } => format!(
                "the agent stopped binding after wrong passwords and tries again in {} s, so that no account is locked",
                retry_after.as_secs()
            ),
            Self::Refused { step, code, .. } => format!("{step} failed ({})", result_name(*code)),
            Self::Timeout { step, limit } => format!("{step} took longer than {} s", limit.as_secs()),
            Self::Lost { step, source } => {
                format!("the connection to the directory broke during {step} ({})", source.kind())
            }
            Self::Malformed { step, source } => format!("the directory sent what is no LDAP during {step}: {source}"),
            Self::Client { step, .. } | Self::Panicked { step } => {
                format!("the agent's LDAP client failed during {step}")
            }
            Self::Ended { phase, progress, source, .. } => {
                format!("reading the {phase} ended early, after {progress}: {}", source.public_message())
            }
            Self::Range { .. } => {
                "the directory answered a request for further values of an attribute with something else".to_owned()
            }
            Self::Cut { code: Some(code), .. } => {
                format!("a base cannot be read any more after the last page ({})", result_name(*code))
            }
            Self::Cut { code: None, .. } => {
                "the last entry came without its attributes, so the search was cut".to_owned()
            }
            Self::NoPaging
            | Self::KeptBack { .. }
            | Self::Canceled
            | Self::NotFound
            | Self::Ambiguous
            | Self::Unusable { .. } => self.to_string(),
        }
    }

    /// What an administrator can do about it. Names keys of the configuration, never their values.
    pub fn cure(&self) -> Option<String> {
        let text = match self {
            Self::Resolve { .. } => "check the host name in urls and this machine's DNS",
            Self::Connect { .. } => {
                "check host and port in urls, that the server runs, and that no firewall stands between it and the agent"
            }
            Self::Tls { failure, .. } => return Some(failure.cure().to_owned()),
            Self::StartTls { .. } => "enable TLS on the server, or use an ldaps:// address in urls",
            Self::NoServer { last: inner, .. } | Self::Ended { source: inner, .. } => return inner.cure(),
            Self::Secret(_) => {
                "check that the secret that the configuration names exists, is not empty, and can be read by the agent"
            }
            Self::TlsConfig(_) => {
                "check ca_file, client_cert_file and client_key_file: PEM files that the agent can read"
            }
            Self::Bind { code: 53, diagnostic, .. } if diagnostic.trim().is_empty() => {
                "try again: the part of the directory that holds the bind account is offline, perhaps while it is loaded; if \
                 it stays so, look in the directory server's log"
            }
            Self::Bind { code, subcode, .. } => return Some(bind_cure(*code, *subcode).to_owned()),
            Self::Throttled { .. } => {
                "correct the bind password, then start the job again: a changed secret file or bind_dn is tried at once; \
                 where the directory was corrected instead, start it again after that time"
            }
            Self::Refused { step, code, .. } => return refusal_cure(*step, *code).map(str::to_owned),
            Self::Timeout { step: Step::Connect | Step::Bind, .. } => {
                "check host and port in urls, that the server runs and answers, and that no firewall stands between it and \
                 the agent; where it is only slow, raise connect_timeout_secs"
            }
            Self::Timeout { .. } => {
                "look at the server's load, index the attributes in the filter, lower page_size, or raise operation_timeout_secs"
            }
            // OpenLDAP, for one, closes without a word then.
            Self::Lost { step: Step::Bind, .. } => {
                "look in the directory server's log for why it closed the connection; where client_cert_file is set, check \
                 that the server trusts its issuer"
            }
            Self::Lost { .. } => "look in the directory server's log for why it closed the connection",
            Self::Range { .. } => {
                "start the job again: the entry may have changed while it was read; if it stays so, the agent's log says \
                 what was asked for and what came"
            }
            Self::NoPaging => "allow the simple paged results control (RFC 2696) for the bind account",
            Self::KeptBack { key } => {
                return Some(format!("choose another {key}, or take the attribute from [policy] excluded_attributes"));
            }
            Self::NotFound => {
                "check the value, unique_attribute, and that the user lies below base_dns and matches the filter"
            }
            Self::Ambiguous => "choose a unique_attribute whose values are unique, or narrow base_dns or filter",
            Self::Unusable { .. } => {
                "let the bind account read the external id attribute, or set external_id_attribute"
            }
            Self::Cut { .. } => {
                "start the job again: the server was taking this part of the directory offline or loading it anew; if it \
                 stays so, look in the directory server's log"
            }
            Self::Malformed { .. } | Self::Client { .. } | Self::Panicked { .. } | Self::Canceled => return None,
        };
        Some(text.to_owned())
    }
}

fn bind_cure(code: u32, subcode: Option<u32>) -> &'static str {
    match (code, subcode) {
        (49, Some(0x533)) => "enable the bind account",
        (49, Some(0x532 | 0x773)) => "give the bind account a new password that does not expire",
        (49, Some(0x775)) => "unlock the bind account, then correct the password that locked it",
        (49, Some(0x701)) => "extend the bind account's expiry date",
        (49, Some(0x530 | 0x531)) => "allow the bind account to log on at this time and from this machine",
        (49, _) => "check bind_dn and the bind password",
        (8 | 13, _) => "the server wants a protected connection: use ldaps:// or start_tls",
        (48 | 7, _) => {
            "the server does not offer this way to bind: use bind_dn with a password, or a client certificate"
        }
        (53, _) => "the server is not willing to bind this account: check its state and the server's policy",
        (51 | 52, _) => "the server is busy or starting; try again",
        _ => "look in the directory server's log",
    }
}

fn refusal_cure(step: Step, code: u32) -> Option<&'static str> {
    Some(match code {
        3 => "raise the server's time limit for the bind account, or index the attributes in the filter",
        4 => {
            "raise the server's size limit for the bind account (OpenLDAP: limits … size.prtotal=unlimited), or lower page_size"
        }
        10 => "the base DN lies on another server: use that server's address in urls",
        11 => "raise the server's administrative limits for the bind account",
        12 => "allow the simple paged results control (RFC 2696) for the bind account",
        32 => "check base_dns: the entry does not exist, or the bind account may not see it",
        50 => "let the bind account read below base_dns",
        51 | 52 => "the server is busy or starting; try again",
        53 if step == Step::Search => "the server is not willing to run this search: look in its log",
        18 | 21 | 34 | 87 => "check filter and base_dns: the server does not understand them",
        _ => return None,
    })
}

impl TlsFailure {
    /// Without the names in the certificates, which tell the site's own.
    fn public(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => "its certificate comes from an authority that the agent does not trust",
            Self::WrongName { .. } => "its certificate is for another name",
            Self::Expired { .. } => "its certificate has expired",
            Self::NotYetValid { .. } => "its certificate is not valid yet",
            Self::OtherCertificate { .. } => "its certificate cannot be used",
            Self::ClientCertificateRefused => "it refused the agent's client certificate",
            Self::NotTls => "it does not speak TLS on this port",
            Self::Other => "the handshake was cut short",
        }
    }

    /// What to do about it.
    pub(crate) fn cure(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => "put the certificate of the issuing authority into ca_file",
            Self::WrongName { .. } => {
                "use the name that the certificate carries (subjectAltName) in urls, or have it issued for the name used"
            }
            Self::Expired { .. } => "renew the directory server's certificate",
            Self::NotYetValid { .. } => "check the clocks of the directory server and the agent",
            Self::OtherCertificate { .. } => {
                "have the directory server's certificate issued anew: X.509 v3 with a subjectAltName"
            }
            Self::ClientCertificateRefused => {
                "check client_cert_file and client_key_file, and that the server trusts their issuer"
            }
            Self::NotTls => "use the server's LDAPS port (636), or ldap:// with start_tls = true",
            Self::Other => {
                "look in the directory server's log: it may expect ldap:// with start_tls = true on this port, speak only \
                 TLS versions before 1.2, or not trust the issuer of client_cert_file"
            }
        }
    }
}

/// What Active Directory's `data` in the diagnostic text of code 49 means (MS-ERREF).
fn subcode_meaning(subcode: u32) -> Option<&'static str> {
    Some(match subcode {
        0x525 => "no such account",
        0x52e => "wrong account or password",
        0x530 => "the account may not log on at this time",
        0x531 => "the account may not log on from this machine",
        0x532 => "the password has expired",
        0x533 => "the account is disabled",
        0x701 => "the account has expired",
        0x773 => "the password must be changed first",
        0x775 => "the account is locked",
        _ => return None,
    })
}

/// The name of a result code and the code (RFC 4511 appendix A.1).
fn result_name(code: u32) -> String {
    let name = match code {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        18 => "inappropriateMatching",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        80 => "other",
        _ => return format!("result code {code}"),
    };
    format!("{name}, result code {code}")
}

/// `data 52e` in what Active Directory (and Samba) say with code 49.
pub(crate) fn active_directory_subcode(diagnostic: &str) -> Option<u32> {
    let (_, rest) = diagnostic.split_once("data ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    u32::from_str_radix(&digits, 16).ok().filter(|code| *code != 0)
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Phase, Progress};
    use super::*;
    use crate::config::Scope;

    #[test]
    fn subcodes_of_active_directory_are_read() {
        let text = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 52e, v2580";
        assert_eq!(active_directory_subcode(text), Some(0x52e));
        assert_eq!(active_directory_subcode("Invalid credentials"), None);
    }

    #[test]
    fn an_early_end_says_how_far_it_got_and_names_no_configuration() {
        let progress = Progress { users: 500, pages: 1, ..Progress::default() };
        let error = Error::Ended {
            phase: Phase::Users,
            base_dn: "ou=people,dc=corp".to_owned(),
            scope: Scope::Subtree,
            progress,
            source: Box::new(Error::Refused { step: Step::Search, code: 4, diagnostic: "ou=people".to_owned() }),
        };
        assert_eq!((error.class(), error.ldap_result_code(), error.retryable()), (Class::Directory, Some(4), false));
        assert_eq!(error.progress(), Some(progress));
        let message = error.public_message();
        assert!(message.contains("500 users") && message.contains("sizeLimitExceeded"), "{message}");
        assert!(!message.contains("ou=people"), "{message}");
        assert!(error.cure().is_some_and(|cure| cure.contains("size limit")));
    }

    #[test]
    fn a_bind_that_waits_after_wrong_passwords_is_for_somebody_to_cure() {
        let throttled = Error::Throttled { retry_after: std::time::Duration::from_mins(15) };
        let ended = Error::NoServer { tried: 2, last: Box::new(throttled) };
        assert_eq!((ended.class(), ended.retryable()), (Class::Credentials, false));
        assert!(ended.public_message().contains("900 s"), "{}", ended.public_message());
        assert!(ended.cure().is_some_and(|cure| cure.contains("bind password")));
    }

    #[test]
    fn a_server_without_words_leaves_no_colon_behind() {
        let refused = |diagnostic: &str| {
            Error::Refused { step: Step::Search, code: 4, diagnostic: diagnostic.to_owned() }.to_string()
        };
        assert_eq!(refused(""), "the search ended with result code 4");
        assert_eq!(refused("too many"), "the search ended with result code 4: too many");
        let url = "ldaps://ldap1.corp.example".to_owned();
        let bind = Error::Bind { url, code: 49, subcode: None, diagnostic: String::new() };
        assert_eq!(bind.to_string(), "ldaps://ldap1.corp.example refused the bind with result code 49");
    }
}
