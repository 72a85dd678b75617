//! Which attributes never leave the site, whatever the configuration lists.

/// Attributes that hold passwords, their hashes, or keys: in OpenLDAP, 389-DS, Active Directory, Samba 3, `FreeIPA`, MIT
/// Kerberos and Novell schemas. Lower-case.
const WITHHELD: &[&str] = &[
    "authpassword",
    "clearpassword",
    "clearpw",
    "currentvalue",
    "dbcspwd",
    "encryptedpassword",
    "initialauthincoming",
    "initialauthoutgoing",
    "ipahostotp",
    "ipanthash",
    "ipanttrustauthincoming",
    "ipanttrustauthoutgoing",
    "ipasecretkey",
    "ipatokenotpkey",
    "ipatokenradiussecret",
    "krb5key",
    "krbextradata",
    "krbmkey",
    "krbprincipalkey",
    "krbpwdhistory",
    "lmpwdhistory",
    "lmpassword",
    "msds-executescriptpassword",
    "msds-managedpassword",
    "ms-mcs-admpwd",
    "mslaps-encrypteddsrmpassword",
    "mslaps-encrypteddsrmpasswordhistory",
    "mslaps-encryptedpassword",
    "mslaps-encryptedpasswordhistory",
    "mslaps-password",
    "msfve-recoverypassword",
    "msfve-keypackage",
    "mspkiaccountcredentials",
    "mspkidpapimasterkeys",
    "mssfu30password",
    "nsmultiplexorcredentials",
    "nsds5replicacredentials",
    "nsslapd-rootpw",
    "nspassword",
    "ntpwdhistory",
    "ntpassword",
    "nspmpassword",
    "nspmpasswordhistory",
    "oath-secret",
    "oathsecret",
    "olcrootpw",
    "olcsyncrepl",
    "orclpassword",
    "passwordhistory",
    "priorvalue",
    "privatekey",
    "pwdhistory",
    "radiustunnelpassword",
    "rootpw",
    "sambacleartextpassword",
    "sambalmpassword",
    "sambantpassword",
    "sambapasswordhistory",
    "sambapreviouscleartextpassword",
    "secretkey",
    "sshprivatekey",
    "supplementalcredentials",
    "trustauthincoming",
    "trustauthoutgoing",
    "unicodepwd",
    "unixuserpassword",
    "userpassword",
    "userpkcs12",
    "usersmimeprivatekey",
];

/// The object identifiers by which the same attributes can be asked for.
const WITHHELD_OIDS: &[&str] = &[
    "2.5.4.35",                       // userPassword
    "2.16.840.1.113730.3.1.216",      // userPKCS12
    "1.3.6.1.4.1.4203.1.3.4",         // authPassword
    "1.3.6.1.4.1.42.2.27.8.1.20",     // pwdHistory
    "1.2.840.113556.1.4.90",          // unicodePwd
    "1.2.840.113556.1.4.55",          // dBCSPwd
    "1.2.840.113556.1.4.94",          // ntPwdHistory
    "1.2.840.113556.1.4.160",         // lmPwdHistory
    "1.2.840.113556.1.4.125",         // supplementalCredentials
    "1.2.840.113556.1.4.27",          // currentValue
    "1.2.840.113556.1.4.100",         // priorValue
    "1.2.840.113556.1.4.129",         // trustAuthIncoming
    "1.2.840.113556.1.4.135",         // trustAuthOutgoing
    "1.2.840.113556.1.4.2196",        // msDS-ManagedPassword
    "1.2.840.113556.1.4.1910",        // unixUserPassword
    "1.3.6.1.4.1.7165.2.1.24",        // sambaLMPassword
    "1.3.6.1.4.1.7165.2.1.25",        // sambaNTPassword
    "1.3.6.1.4.1.7165.2.1.54",        // sambaPasswordHistory
    "2.16.840.1.113719.1.301.4.39.1", // krbPrincipalKey
    "2.16.840.1.113730.3.1.2103",     // passwordHistory (389-DS)
];

/// Every name and OID of the attributes that never leave.
pub(crate) fn withheld_names() -> impl Iterator<Item = &'static str> {
    WITHHELD.iter().chain(WITHHELD_OIDS).copied()
}

/// Whether values of this attribute never leave: with or without options (`userPassword;x-old`), in any case, by name or
/// object identifier.
pub fn is_withheld(description: &str) -> bool {
    let base = description.split(';').next().unwrap_or_default().trim();
    let base = match base.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("oid.") => base.get(4..).unwrap_or_default(),
        _ => base,
    };
    WITHHELD.iter().chain(WITHHELD_OIDS).any(|name| name.eq_ignore_ascii_case(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_bearing_attributes_are_known_in_every_spelling() {
        for name in [
            "userPassword",
            "USERPASSWORD",
            "userPassword;x-foo",
            "userPassword;lang-de;x-bar",
            "2.5.4.35",
            "OID.2.5.4.35",
            "unicodePwd",
            "dBCSPwd",
            "lmPwdHistory",
            "ntPwdHistory",
            "supplementalCredentials",
            "sambaNTPassword",
            "sambaLMPassword",
            "sambaPasswordHistory",
            "krbPrincipalKey",
            "userPKCS12",
            "pwdHistory",
            "ms-Mcs-AdmPwd",
            "msLAPS-Password",
        ] {
            assert!(is_withheld(name), "{name}");
        }
        for name in [
            "uid",
            "cn",
            "pwdLastSet",
            "pwdChangedTime",
            "passwordExpirationTime",
            "sambaPwdLastSet",
            "userCertificate",
        ] {
            assert!(!is_withheld(name), "{name}");
        }
    }
}
