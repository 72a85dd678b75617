//! The configuration reference in `docs/`.

use std::fmt::Write as _;

use super::ENV_PREFIX;

/// Key, flag (if there is one), default, meaning.
const KEYS: [(&str, &str, &str, &str); 16] = [
    (
        "data_dir",
        "--data-dir",
        "`/var/lib/postern` where it exists and is writable, else `./postern-data`",
        "Folder for the database and the certificate authority.",
    ),
    (
        "listen",
        "--listen",
        "`127.0.0.1:8080`",
        "Address of the API. Other addresses than loopback need `tls_cert` and `tls_key`.",
    ),
    ("gateway_listen", "--gateway-listen", "`0.0.0.0:8443`", "Address on which the gateway listens for agents."),
    (
        "gateway_public_address",
        "--gateway-public-address",
        "this machine's name, or the address of `gateway_listen`",
        "Host and port that agents connect to. It is part of enrollment tokens and of the gateway's certificate.",
    ),
    (
        "database_url",
        "--database-url",
        "a SQLite file in `data_dir`",
        "`postgres://user@host/database`. `sslmode` is `verify-full` unless the URL says otherwise or the server is on \
         this machine; `sslrootcert=FILE` adds an authority to those of the system.",
    ),
    (
        "database_password_file",
        "--database-password-file",
        "the password in the URL, or none",
        "File with the password for `database_url`, readable by its owner only. Other users can see a password in \
         the argument `--database-url` with `ps`.",
    ),
    ("database_password_credential", "", "none", "Name of a systemd credential (`LoadCredential=`) with the password."),
    (
        "metrics_listen",
        "--metrics-listen",
        "none",
        "Address of `/metrics` (Prometheus), plain HTTP without a token. On loopback only this machine gets an \
         answer. The metrics cover all organizations: use another address only in a trusted network.",
    ),
    ("tls_cert", "--tls-cert", "none", "Certificate chain of the API, PEM."),
    ("tls_key", "--tls-key", "none", "Key of that certificate, PEM, readable by its owner only."),
    ("pki_dir", "", "`pki` in `data_dir`", "Folder of the certificate authority. Replicas share its content."),
    (
        "agent_certificate_lifetime_hours",
        "",
        "`168`",
        "Lifetime of an agent's certificate. Agents renew it after two thirds. 1 to 8784.",
    ),
    (
        "heartbeat_interval_secs",
        "",
        "`30`",
        "How often an idle agent sends a heartbeat. Its session ends if three are missing. 1 to 600.",
    ),
    ("lease_secs", "", "`30`", "How long a replica may be silent before its jobs are taken over. 3 to 600."),
    ("max_connections", "", "`20000`", "Maximum number of agent connections. 16 to 1000000."),
    ("log_format", "", "`text`", "`text` or `json`. `RUST_LOG` selects what is logged."),
];

/// All settings with flag, environment variable, default and meaning, as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\nMade by `postern docs config` and `postern-agent docs config`; do not edit.\n\n\
         ## `postern serve`\n\nFlags override environment variables. These override the file given with `--config`, which overrides the defaults.\n\n| key | flag | environment | default | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for (key, flag, default, meaning) in KEYS {
        let flag = if flag.is_empty() { String::new() } else { format!("`{flag}`") };
        let _ = writeln!(out, "| `{key}` | {flag} | `{ENV_PREFIX}__{}` | {default} | {meaning} |", key.to_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn every_key_is_one_that_the_server_knows() {
        for (key, ..) in KEYS {
            let error = serde_json::from_value::<Settings>(serde_json::json!({ key: { "none": 1 } })).unwrap_err();
            assert!(!error.to_string().contains("unknown field"), "{key}: {error}");
        }
        let unknown = serde_json::json!({ "nonsense": 1 });
        let error = serde_json::from_value::<Settings>(unknown).unwrap_err().to_string();
        assert_eq!(error.matches('`').count() / 2 - 1, KEYS.len(), "a key is missing in the reference: {error}");
    }
}
