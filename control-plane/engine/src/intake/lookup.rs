//! The answer to "what would the mapping make of this user?", for people to look at.

use jiff::Timestamp;
use postern_proto::chunk::{ChunkReader, DecodeError, EntryView};
use postern_store::Flavour;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::identity::mapping::Mapping;

/// Reads the entries of an answer and maps the user.
pub fn describe(flavour: Flavour, user: &[u8], groups: &[u8], now: Timestamp) -> Result<Value, DecodeError> {
    let mut reader = ChunkReader::parse(user)?;
    let mapping = Mapping::new(flavour, reader.names());
    let Some(view) = reader.next_entry()? else { return Err(DecodeError::Malformed("user")) };
    let (mapped, attributes) = mapping.user(&view, now);
    let mut found = Vec::new();
    if !groups.is_empty() {
        let mut reader = ChunkReader::parse(groups)?;
        let mapping = Mapping::new(flavour, reader.names());
        while let Some(group) = reader.next_entry()? {
            found.push(entry(&group, mapping.attributes(&group)));
        }
    }
    Ok(json!({
        "user": entry(&view, attributes),
        "mapped": {
            "user_name": mapped.user_name,
            "given_name": mapped.given_name,
            "family_name": mapped.family_name,
            "display_name": mapped.display_name,
            "email": mapped.email,
            "active": mapped.active,
            "attributes": parsed(mapped.attributes),
        },
        "groups": found,
    }))
}

fn entry(view: &EntryView<'_>, attributes: String) -> Value {
    json!({
        "external_id": view.external_id,
        "dn": view.dn,
        "unique_value": view.unique_value,
        "attributes": parsed(attributes),
    })
}

fn parsed(text: String) -> Value {
    RawValue::from_string(text).ok().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use postern_proto::chunk::{ChunkWriter, Kind, MemberForm};

    use super::*;

    #[test]
    fn a_user_is_shown_with_all_its_attributes_its_mapping_and_its_groups() {
        let mut writer = ChunkWriter::new(MemberForm::Dn);
        let mut open = writer.entry(Kind::User, "id", "uid=ada,dc=x", Some("ada"));
        open.attribute("sn", [b"Lovelace".as_slice()]);
        open.finish();
        let user = writer.finish();
        writer.entry(Kind::Group, "g", "cn=staff,dc=x", None).finish();
        let groups = writer.finish();
        let found = describe(Flavour::OpenLdap, &user, &groups, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(found["user"]["attributes"]["sn"][0], "Lovelace");
        assert_eq!(found["mapped"]["family_name"], "Lovelace");
        assert_eq!(found["groups"][0]["dn"], "cn=staff,dc=x");
        assert!(describe(Flavour::OpenLdap, b"", b"", Timestamp::UNIX_EPOCH).is_err());
    }
}
