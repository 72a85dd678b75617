//! A door for the fuzzer: what a hostile server can send, taken through everything that looks at it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::entry::{Ids, Naming, Selection};
use crate::error::Phase;
use crate::flavour::Flavour;

/// Takes bytes for what a server sent: as one entry's message, and as a stream of messages.
pub fn entry(bytes: &[u8]) {
    let attributes = ["uid", "cn", "objectGUID", "userPassword"].map(str::to_owned);
    let mut scratch = Vec::new();
    for flavour in [Flavour::ActiveDirectory, Flavour::OpenLdap] {
        let member = if flavour == Flavour::OpenLdap { "uniqueMember" } else { "member" };
        let ids = Ids { attribute: flavour.external_id_attribute(), own: None };
        let names = Arc::default();
        let selection =
            Selection::new(flavour, Phase::Users, &names, ids, &attributes, Some("uid"), &[(member, Naming::Kept)]);
        let _ = selection.select(&Bytes::copy_from_slice(bytes), &mut scratch);
        let mut stream = BytesMut::from(bytes);
        for message in crate::guard::sort_for_fuzzing(&mut stream) {
            let _ = selection.select(&message, &mut scratch);
        }
    }
}
