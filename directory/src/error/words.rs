//! The words for operators: what happened without a word of the configuration, and what to do about it.

use super::results::result_name;
use super::{Error, Step};
use crate::bind::BindRefusal;
use crate::config::SecretError;
use crate::tls::{TlsFailure, is_self_signed};

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
            Self::Secret(SecretError::ByteOrderMark { .. }) => {
                "the file with the bind secret begins with a byte order mark, which is not part of the password"
                    .to_owned()
            }
            Self::Secret(_) => "the agent cannot read its bind secret".to_owned(),
            Self::Configuration(error) => {
                format!("the agent's configuration does not fit the directory: {}", error.keys().join(", "))
            }
            Self::TlsConfig(_) => "the agent cannot use its TLS settings for the directory".to_owned(),
            Self::Bind { code, refusal, .. } => match refusal.meaning() {
                Some(meaning) => format!("the directory refused the bind: {meaning}"),
                None => format!("the directory refused the bind ({})", result_name(*code)),
            },
            Self::Throttled { retry_after, cause } => format!(
                "the agent stopped binding for {} s, so that no account is locked; the last bind was refused: {cause}",
                retry_after.as_secs()
            ),
            Self::Refused { step, code, .. } => format!("{step} failed ({})", result_name(*code)),
            Self::Timeout { step, limit } => format!("{step} took longer than {} s", limit.as_secs()),
            Self::Lost { step, source } => {
                format!("the connection to the directory broke during {step} ({})", source.kind())
            }
            Self::Malformed { step, source } => format!("the directory sent invalid LDAP during {step}: {source}"),
            Self::Client { step, .. } | Self::Panicked { step } => {
                format!("the agent's LDAP client failed during {step}")
            }
            Self::Ended { phase, progress, source, .. } => {
                format!("reading the {phase} ended early, after {progress}: {}", source.public_message())
            }
            Self::Range { .. } => {
                "the directory sent an unexpected answer to a request for further values of an attribute".to_owned()
            }
            Self::Cut { code: Some(code), .. } => {
                format!("a base DN can no longer be read after the last page ({})", result_name(*code))
            }
            Self::Cut { code: None, .. } => {
                "the last entry came without its attributes, so the search was incomplete".to_owned()
            }
            Self::Write(failure) => failure.public_message(),
            Self::NoPaging
            | Self::OtherServer
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
            Self::Secret(SecretError::ByteOrderMark { .. }) => {
                "save the secret file as UTF-8 without a byte order mark, for example: printf %s 'PASSWORD' > FILE"
            }
            Self::Secret(_) => {
                "check that the secret that the configuration names exists, is not empty, and can be read by the agent"
            }
            Self::Configuration(_) => "set these keys in the agent's file; its log and postern-agent check say more",
            Self::TlsConfig(_) => {
                "check ca_file, client_cert_file and client_key_file: PEM files that the agent can read"
            }
            Self::Bind { refusal, .. } => refusal.cure(),
            Self::Throttled { .. } => {
                "correct the bind password, then start the job again: a changed secret file or bind_dn is tried at once; \
                 if you corrected the directory instead, reload the agent (systemctl reload postern-agent), which allows \
                 one more try"
            }
            Self::Refused { step, code, diagnostic } => {
                return refusal_cure(*step, *code, diagnostic).map(str::to_owned);
            }
            Self::Timeout { step, .. } => timeout_cure(*step),
            Self::Lost { step, .. } => lost_cure(*step),
            Self::Range { .. } => {
                "start the job again: the entry may have changed while it was read; if it stays so, the agent's log says \
                 what was asked for and what came"
            }
            Self::NoPaging => "allow the simple paged results control (RFC 2696) for the bind account",
            Self::KeptBack { key } => {
                return Some(format!(
                    "choose another {key}, or remove the attribute from [policy] excluded_attributes"
                ));
            }
            Self::NotFound => {
                "check the value: the unique attribute, another login or the DN; the user must lie below base_dns and match the filter"
            }
            Self::Ambiguous => "choose a unique_attribute whose values are unique, or narrow base_dns or filter",
            Self::Unusable { .. } => {
                "let the bind account read the external id attribute, or set external_id_attribute"
            }
            Self::Cut { .. } => {
                "start the job again: the server was taking this part of the directory offline or reloading it; if it \
                 stays so, look in the directory server's log"
            }
            Self::OtherServer => {
                "the address in urls leads to several servers, by DNS or a load balancer: put the address of each server into \
                 urls"
            }
            Self::Write(failure) => return failure.cure(),
            Self::Malformed { .. } | Self::Client { .. } | Self::Panicked { .. } | Self::Canceled => return None,
        };
        Some(text.to_owned())
    }
}

fn timeout_cure(step: Step) -> &'static str {
    match step {
        Step::Connect | Step::Bind => {
            "check host and port in urls, that the server runs and answers, and that no firewall stands between it and \
             the agent; if it is only slow, raise connect_timeout_secs"
        }
        _ => {
            "look at the server's load, index the attributes in the filter, lower page_size, or raise operation_timeout_secs"
        }
    }
}

fn lost_cure(step: Step) -> &'static str {
    match step {
        // OpenLDAP, for one, closes without a word where it does not trust the client's certificate.
        Step::Bind => {
            "look in the directory server's log for why it closed the connection; if client_cert_file is set, check \
             that the server trusts its issuer"
        }
        _ => "look in the directory server's log for why it closed the connection",
    }
}

fn refusal_cure(step: Step, code: u32, diagnostic: &str) -> Option<&'static str> {
    Some(match code {
        3 => "raise the server's time limit for the bind account, or index the attributes in the filter",
        4 => {
            "raise the server's size limit for the bind account (OpenLDAP: limits dn.exact=\"BIND DN\" size.prtotal=unlimited; \
             389 Directory Server: nsPagedSizeLimit or nsSizeLimit on the bind account's entry, above page_size; Active \
             Directory: MaxPageSize in the query policy), or lower page_size below the limit"
        }
        10 => {
            "the server refers to another one: use that server's address in urls; 389 Directory Server also does \
             this while it initialises a replica: then try again later"
        }
        11 => {
            "389 Directory Server: set nsPagedLookThroughLimit to -1 on the bind account's entry (ldapmodify: dn: BIND DN, \
             changetype: modify, replace: nsPagedLookThroughLimit, nsPagedLookThroughLimit: -1); OpenLDAP: lower page_size to \
             the limit size.pr, or raise it (limits dn.exact=\"BIND DN\" size.pr=unlimited)"
        }
        12 => "allow the simple paged results control (RFC 2696) for the bind account",
        32 => "check base_dns: the entry does not exist, or the bind account may not see it",
        // OpenLDAP says so of a password that must be changed first; a server without the control for it, only here.
        50 if diagnostic.contains("restricted to bind") => BindRefusal::MustChange.cure(),
        50 => "let the bind account read below base_dns",
        51 | 52 => "the server is busy or starting; try again",
        53 if diagnostic.to_ascii_lowercase().contains("page") => {
            "allow paged searches for the bind account (OpenLDAP: limits dn.exact=\"BIND DN\" size.prtotal=unlimited), or lower \
             page_size"
        }
        53 if step == Step::Search => {
            "the server is not willing to run this search: the bind account's password may have to be changed first, or look \
             in the server's log"
        }
        1 => {
            "try again: this part of the directory may be offline while it is loaded; if it stays so, look in the server's log"
        }
        18 | 21 | 34 | 87 => "check filter and base_dns: the server does not understand them",
        _ => return None,
    })
}

impl TlsFailure {
    /// Without the names in the certificates, which would reveal names of the site.
    fn public(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => "its certificate comes from an authority that the agent does not trust",
            Self::WrongName { .. } => "its certificate is for another name",
            Self::Expired { .. } => "its certificate has expired",
            Self::NotYetValid { .. } => "its certificate is not valid yet",
            Self::OtherKey { .. } => "its certificate comes from an authority whose key is not the one in ca_file",
            Self::WeakSignature { .. } => "its certificate is signed with an algorithm that is no longer accepted",
            Self::WrongPurpose { .. } => "its certificate is not for servers",
            Self::OtherCertificate { .. } => "its certificate cannot be used",
            Self::ClientCertificateRefused => "it refused the agent's client certificate",
            Self::NotTls => "it does not speak TLS on this port",
            Self::Other => "the handshake was interrupted",
        }
    }

    /// What to do about it.
    pub(crate) fn cure(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { chain } if is_self_signed(chain) => {
                "put the server's own certificate into ca_file, or have one issued by your authority"
            }
            Self::UnknownIssuer { .. } => "put the certificate of the issuing authority into ca_file",
            Self::OtherKey { .. } => {
                "put the current certificate of the issuing authority into ca_file: the one there has the same name \
                 but another key, as after a renewal; both may be in the file"
            }
            Self::WeakSignature { .. } => {
                "have the directory server's certificate, and its authority's, reissued with SHA-256"
            }
            Self::WrongPurpose { .. } => {
                "have the directory server's certificate reissued for servers: extended key usage serverAuth, or \
                 none at all"
            }
            Self::WrongName { .. } => {
                "use the name that the certificate carries (subjectAltName) in urls, or have it issued for the name used"
            }
            Self::Expired { .. } => "renew the directory server's certificate",
            Self::NotYetValid { .. } => "check the clocks of the directory server and the agent",
            Self::OtherCertificate { .. } => {
                "have the directory server's certificate reissued: X.509 v3 with a subjectAltName"
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Class, Phase, Progress};
    use super::*;
    use crate::config::Scope;

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
        let throttled =
            Error::Throttled { retry_after: Duration::from_mins(15), cause: "wrong account or password".to_owned() };
        let ended = Error::NoServer { tried: 2, last: Box::new(throttled) };
        assert_eq!((ended.class(), ended.retryable()), (Class::Credentials, false));
        let message = ended.public_message();
        assert!(message.contains("900 s") && message.contains("wrong account"), "{message}");
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
        let bind = Error::Bind { url, code: 71, refusal: BindRefusal::Other, diagnostic: String::new() };
        assert_eq!(bind.to_string(), "ldaps://ldap1.corp.example refused the bind: result code 71");
    }
}
