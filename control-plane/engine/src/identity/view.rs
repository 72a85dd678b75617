//! The input of the mapping: attributes of an entry from any source.

use postern_store::Switch;

/// Something with attributes that maps to a user or a group: an entry of a directory, a stored account, and later the
/// resource of an application or a form.
///
/// Attribute names are given once for many views ([`super::mapping::Mapping::new`]). A view refers to a name by its
/// index.
pub trait AttributeView {
    /// Its attributes, each by the index of its name, with the values.
    fn columns(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = &[u8]>)>;

    /// Its immutable id at its source.
    fn external_id(&self) -> &str;

    /// Its distinguished name. `None`: its source has no DNs.
    fn dn(&self) -> Option<&str>;

    /// The login, by its source's configuration.
    fn login(&self) -> Option<&str>;

    /// Whether its source enables it. Unknown if the source does not say.
    fn switch(&self) -> Switch;
}
