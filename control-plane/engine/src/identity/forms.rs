//! Which attributes are binary, by name: a photo whose bytes happen to be valid text is still binary.

/// Binary attributes in the schemas of the large servers; standard names in lower case.
const BINARY: &[&str] = &[
    "audio",
    "authorityrevocationlist",
    "cacertificate",
    "certificaterevocationlist",
    "crosscertificatepair",
    "deltarevocationlist",
    "jpegphoto",
    "logonhours",
    "ms-ds-consistencyguid",
    "msexchmailboxguid",
    "msexchmailboxsecuritydescriptor",
    "ntsecuritydescriptor",
    "objectguid",
    "objectsid",
    "photo",
    "replpropertymetadata",
    "sidhistory",
    "supportedalgorithms",
    "thumbnaillogo",
    "thumbnailphoto",
    "tokengroups",
    "usercertificate",
    "usersmimecertificate",
    "x500uniqueidentifier",
];

/// Whether an attribute is binary. `name` is its standard name without options, `description` includes them.
pub(super) fn is_binary(name: &str, description: &str) -> bool {
    let mut options = description.split(';').skip(1);
    options.any(|option| option.eq_ignore_ascii_case("binary"))
        || BINARY.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_known_by_the_name_alone() {
        assert!(is_binary("jpegPhoto", "jpegPhoto") && is_binary("objectGUID", "objectGUID"));
        assert!(is_binary("key", "key;x-old;BINARY"));
        assert!(!is_binary("cn", "cn;lang-de"));
        assert!(BINARY.is_sorted());
    }
}
