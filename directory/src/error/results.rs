//! Result codes and diagnostics of a server, in words.

use crate::bind::BindRefusal;

/// A refused bind for the local log: its meaning, and the server's own words where they add to it.
pub(super) fn bind(refusal: BindRefusal, code: u32, diagnostic: &str) -> String {
    match refusal.meaning() {
        Some(meaning) => format!("{meaning} (result code {code})"),
        None => format!("{}{}", result_name(code), said(diagnostic)),
    }
}

/// The name of a result code and the code (RFC 4511 appendix A.1).
pub(super) fn result_name(code: u32) -> String {
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

/// The server's own words behind what they are about; many servers have none.
pub(super) fn said(diagnostic: &str) -> String {
    match diagnostic.trim() {
        "" => String::new(),
        words => format!(": {words}"),
    }
}
