//! What mapping reads: the attributes of an entry, whatever it comes from.

use postern_store::Switch;

/// Something with attributes that can become a user or a group: an entry of a directory, a stored account, and later the
/// resource of an application or a form.
///
/// The names of attributes are given once for many views ([`super::mapping::Mapping::new`]). A view names an attribute
/// by its place among them.
pub trait AttributeView {
    /// The attributes that it has, each by the place of its name, with the values.
    fn columns(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = &[u8]>)>;

    /// Its immutable id at its source.
    fn external_id(&self) -> &str;

    /// Its distinguished name. `None`: its source has no DNs.
    fn dn(&self) -> Option<&str>;

    /// The name by which it signs in, as its source says.
    fn login(&self) -> Option<&str>;

    /// Whether its source lets it in. Unknown where the source does not say.
    fn switch(&self) -> Switch;
}
