//! Attribute names of the standards (RFC 4519, 4524, 2798, 2307) and of the large servers, for where no schema can be read.

use std::collections::HashMap;
use std::sync::LazyLock;

/// OID, name, and aliases; names in lower case.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("2.5.4.0", &["objectclass"]),
    ("2.5.4.3", &["cn", "commonname"]),
    ("2.5.4.4", &["sn", "surname"]),
    ("2.5.4.5", &["serialnumber"]),
    ("2.5.4.6", &["c", "countryname"]),
    ("2.5.4.7", &["l", "localityname"]),
    ("2.5.4.8", &["st", "stateorprovincename"]),
    ("2.5.4.9", &["street", "streetaddress"]),
    ("2.5.4.10", &["o", "organizationname"]),
    ("2.5.4.11", &["ou", "organizationalunitname"]),
    ("2.5.4.12", &["title"]),
    ("2.5.4.13", &["description"]),
    ("2.5.4.15", &["businesscategory"]),
    ("2.5.4.16", &["postaladdress"]),
    ("2.5.4.17", &["postalcode"]),
    ("2.5.4.18", &["postofficebox"]),
    ("2.5.4.19", &["physicaldeliveryofficename"]),
    ("2.5.4.20", &["telephonenumber"]),
    ("2.5.4.21", &["telexnumber"]),
    ("2.5.4.22", &["teletexterminalidentifier"]),
    ("2.5.4.23", &["facsimiletelephonenumber", "fax"]),
    ("2.5.4.24", &["x121address"]),
    ("2.5.4.25", &["internationalisdnnumber"]),
    ("2.5.4.26", &["registeredaddress"]),
    ("2.5.4.27", &["destinationindicator"]),
    ("2.5.4.28", &["preferreddeliverymethod"]),
    ("2.5.4.31", &["member"]),
    ("2.5.4.32", &["owner"]),
    ("2.5.4.33", &["roleoccupant"]),
    ("2.5.4.34", &["seealso"]),
    ("2.5.4.35", &["userpassword"]),
    ("2.5.4.36", &["usercertificate"]),
    ("2.5.4.37", &["cacertificate"]),
    ("2.5.4.41", &["name"]),
    ("2.5.4.42", &["givenname", "gn"]),
    ("2.5.4.43", &["initials"]),
    ("2.5.4.44", &["generationqualifier"]),
    ("2.5.4.45", &["x500uniqueidentifier"]),
    ("2.5.4.46", &["dnqualifier"]),
    ("2.5.4.49", &["distinguishedname"]),
    ("2.5.4.50", &["uniquemember"]),
    ("2.5.4.51", &["houseidentifier"]),
    ("2.5.4.65", &["pseudonym"]),
    ("2.5.18.1", &["createtimestamp"]),
    ("2.5.18.2", &["modifytimestamp"]),
    ("0.9.2342.19200300.100.1.1", &["uid", "userid"]),
    ("0.9.2342.19200300.100.1.3", &["mail", "rfc822mailbox"]),
    ("0.9.2342.19200300.100.1.4", &["info"]),
    ("0.9.2342.19200300.100.1.5", &["drink", "favouritedrink"]),
    ("0.9.2342.19200300.100.1.6", &["roomnumber"]),
    ("0.9.2342.19200300.100.1.7", &["photo"]),
    ("0.9.2342.19200300.100.1.8", &["userclass"]),
    ("0.9.2342.19200300.100.1.9", &["host"]),
    ("0.9.2342.19200300.100.1.10", &["manager"]),
    ("0.9.2342.19200300.100.1.20", &["homephone", "hometelephonenumber"]),
    ("0.9.2342.19200300.100.1.21", &["secretary"]),
    ("0.9.2342.19200300.100.1.22", &["othermailbox"]),
    ("0.9.2342.19200300.100.1.25", &["dc", "domaincomponent"]),
    ("0.9.2342.19200300.100.1.37", &["associateddomain"]),
    ("0.9.2342.19200300.100.1.38", &["associatedname"]),
    ("0.9.2342.19200300.100.1.39", &["homepostaladdress"]),
    ("0.9.2342.19200300.100.1.40", &["personaltitle"]),
    ("0.9.2342.19200300.100.1.41", &["mobile", "mobiletelephonenumber"]),
    ("0.9.2342.19200300.100.1.42", &["pager", "pagertelephonenumber"]),
    ("0.9.2342.19200300.100.1.43", &["co", "friendlycountryname"]),
    ("0.9.2342.19200300.100.1.44", &["uniqueidentifier"]),
    ("0.9.2342.19200300.100.1.45", &["organizationalstatus"]),
    ("0.9.2342.19200300.100.1.46", &["janetmailbox"]),
    ("0.9.2342.19200300.100.1.48", &["buildingname"]),
    ("0.9.2342.19200300.100.1.55", &["audio"]),
    ("0.9.2342.19200300.100.1.60", &["jpegphoto"]),
    ("1.2.840.113549.1.9.1", &["emailaddress", "email", "e"]),
    ("1.3.6.1.1.16.4", &["entryuuid"]),
    ("1.3.6.1.1.1.1.0", &["uidnumber"]),
    ("1.3.6.1.1.1.1.1", &["gidnumber"]),
    ("1.3.6.1.1.1.1.2", &["gecos"]),
    ("1.3.6.1.1.1.1.3", &["homedirectory"]),
    ("1.3.6.1.1.1.1.4", &["loginshell"]),
    ("1.3.6.1.1.1.1.10", &["shadowexpire"]),
    ("1.3.6.1.1.1.1.12", &["memberuid"]),
    ("1.3.6.1.4.1.250.1.57", &["labeleduri"]),
    ("2.16.840.1.113730.3.1.1", &["carlicense"]),
    ("2.16.840.1.113730.3.1.2", &["departmentnumber"]),
    ("2.16.840.1.113730.3.1.3", &["employeenumber"]),
    ("2.16.840.1.113730.3.1.4", &["employeetype"]),
    ("2.16.840.1.113730.3.1.35", &["thumbnailphoto"]),
    ("2.16.840.1.113730.3.1.39", &["preferredlanguage"]),
    ("2.16.840.1.113730.3.1.40", &["usersmimecertificate"]),
    ("2.16.840.1.113730.3.1.216", &["userpkcs12"]),
    ("2.16.840.1.113730.3.1.241", &["displayname"]),
    ("2.16.840.1.113730.3.1.542", &["nsuniqueid"]),
    ("2.16.840.1.113730.3.1.610", &["nsaccountlock"]),
    ("1.2.840.113556.1.2.102", &["memberof"]),
    ("1.2.840.113556.1.2.141", &["department"]),
    ("1.2.840.113556.1.2.146", &["company"]),
    ("1.2.840.113556.1.2.210", &["proxyaddresses"]),
    ("1.2.840.113556.1.4.2", &["objectguid"]),
    ("1.2.840.113556.1.4.8", &["useraccountcontrol"]),
    ("1.2.840.113556.1.4.35", &["employeeid"]),
    ("1.2.840.113556.1.4.98", &["primarygroupid"]),
    ("1.2.840.113556.1.4.146", &["objectsid"]),
    ("1.2.840.113556.1.4.159", &["accountexpires"]),
    ("1.2.840.113556.1.4.221", &["samaccountname"]),
    ("1.2.840.113556.1.4.656", &["userprincipalname"]),
];

/// Name, alias or OID to the place in the table.
static PLACES: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
    let rows = ATTRIBUTES.iter().enumerate();
    rows.flat_map(|(place, (oid, names))| names.iter().chain([oid]).map(move |name| (*name, place))).collect()
});

/// The OID of a name in lower case, without options.
pub fn oid(name: &str) -> Option<&'static str> {
    PLACES.get(name).and_then(|place| ATTRIBUTES.get(*place)).map(|(oid, _)| *oid)
}

/// The standard's own name, in lower case, of an attribute by any name or OID, without options; `None` where the
/// standards know none.
pub fn standard_name(name: &str) -> Option<&'static str> {
    let (_, names) = PLACES.get(name.to_ascii_lowercase().as_str()).and_then(|place| ATTRIBUTES.get(*place))?;
    names.first().copied()
}

/// The attribute that a description means: in lower case, without options, by its name in the standards where it has one.
/// What only a server's schema knows stays as it is.
pub fn attribute(description: &str) -> String {
    let base = description.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let base = base.strip_prefix("oid.").unwrap_or(&base);
    standard_name(base).unwrap_or(base).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_attribute() {
        let names: usize = ATTRIBUTES.iter().map(|(_, names)| names.len() + 1).sum();
        assert_eq!(PLACES.len(), names);
        assert_eq!(standard_name("RFC822Mailbox"), Some("mail"));
        assert_eq!(standard_name("x-own"), None);
    }
}
