//! The steps of the diagnosis, for the handbook: what each tries, and where to look if it fails.

/// A step, what it tries, and where to look if it fails.
type Row = (&'static str, &'static str, &'static str);

/// All steps, in their order.
pub const ROWS: [Row; 15] = [
    (
        "configuration",
        "whether the file is complete, and whether others can read its secrets",
        "the keys that are named",
    ),
    ("connect", "a TCP connection to each server in `urls`", "host and port in `urls`, the network, the server"),
    ("tls", "the server's certificate", "`ca_file`, the name in `urls`, the certificate's end; the issuer is shown"),
    (
        "bind",
        "the bind account",
        "`bind_dn` and its secret; in Active Directory the subcode says whether the account is locked or expired",
    ),
    ("root_dse", "what kind of server it is", "the server's access rules for its rootDSE; set `kind` if it hides it"),
    ("defaults", "what the file leaves open: base DNs, filters, attributes", "set the keys that are shown"),
    ("base_dns", "that each base DN can be read", "`base_dns`, and the bind account's right to read there"),
    ("paging", "that results come page by page", "the server's limits for the bind account"),
    (
        "users",
        "five users by base DN and filter",
        "`users.base_dns`, `users.filter`, `users.external_id_attribute`, `users.unique_attribute`",
    ),
    ("attributes", "that the listed attributes are there", "`users.attributes`, and the right to read them"),
    (
        "switches",
        "whether users can be seen to be disabled",
        "the right to read the attribute that is named; until then they count as unknown, not as active",
    ),
    (
        "rights",
        "that no rule hides users",
        "the access rules that are named: hidden users look as if they were deleted",
    ),
    ("source", "that all servers in `urls` show the same tree", "replication, or the order of `urls`"),
    ("groups", "groups and their members", "`groups.*`"),
    ("writing", "the rights that changes need", "the least grant that is shown"),
];

#[cfg(test)]
mod tests {
    use super::super::AFTER_CONFIGURATION;
    use super::*;

    #[test]
    fn each_step_is_explained() {
        let known: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
        let tried: Vec<&str> =
            known.iter().copied().filter(|name| !["configuration", "defaults"].contains(name)).collect();
        assert_eq!(tried, AFTER_CONFIGURATION);
    }
}
