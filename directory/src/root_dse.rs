//! What a server says of itself in its rootDSE (RFC 4512 §5.1).

use bytes::Bytes;

use crate::raw_entry::RawEntry;
use postern_dn::ber::Malformed;

/// The simple paged results control (RFC 2696).
pub(crate) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// What to ask for; operational attributes must be named.
pub(crate) const ATTRIBUTES: &[&str] = &[
    "objectClass",
    "namingContexts",
    "defaultNamingContext",
    "supportedControl",
    "supportedCapabilities",
    "vendorName",
    "vendorVersion",
    "subschemaSubentry",
    "dsServiceName",
    "netscapemdsuffix",
];

/// The part of a rootDSE that matters here.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RootDse {
    /// What the server is an instance of (`OpenLDAProotDSE`).
    pub object_classes: Vec<String>,
    /// The roots of the trees that it holds.
    pub naming_contexts: Vec<String>,
    /// Active Directory: the domain's own.
    pub default_naming_context: Option<String>,
    /// Object identifiers of the controls that it understands.
    pub supported_controls: Vec<String>,
    /// Active Directory: object identifiers of what it is.
    pub supported_capabilities: Vec<String>,
    /// Who made it.
    pub vendor_name: Option<String>,
    /// Which version.
    pub vendor_version: Option<String>,
    /// The DN of the entry that holds the schema.
    pub subschema: Option<String>,
    /// What distinguishes this server from others of its directory. Active Directory: `dsServiceName`, 389 Directory
    /// Server:
    /// `netscapemdsuffix`.
    pub server_identity: Option<String>,
}

impl RootDse {
    pub(crate) fn read(mut entry: RawEntry<'_>) -> Result<Self, Malformed> {
        let mut root = Self::default();
        while let Some(attribute) = entry.next_attribute()? {
            let description = attribute.description().to_ascii_lowercase();
            let values = attribute.values()?.iter().map(text).collect();
            match description.as_str() {
                "objectclass" => root.object_classes = values,
                "namingcontexts" => root.naming_contexts = values,
                "defaultnamingcontext" => root.default_naming_context = values.into_iter().next(),
                "supportedcontrol" => root.supported_controls = values,
                "supportedcapabilities" => root.supported_capabilities = values,
                "vendorname" => root.vendor_name = values.into_iter().next(),
                "subschemasubentry" => root.subschema = values.into_iter().next(),
                "dsservicename" | "netscapemdsuffix" => root.server_identity = values.into_iter().next(),
                "vendorversion" => root.vendor_version = values.into_iter().next(),
                _ => {}
            }
        }
        Ok(root)
    }

    /// Whether the server says that it pages search results. A server that hides its rootDSE may still do so.
    pub fn announces_paging(&self) -> bool {
        self.supported_controls.iter().any(|control| control == PAGED_RESULTS)
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}
