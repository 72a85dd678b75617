//! A group whose members change, and a member as the group lists it.

use bytes::Bytes;

use crate::flavour::Flavour;
use crate::write::operation::Subject;
use crate::write::target::Target;
use crate::write::work::Work;
use postern_dn::Dn;

/// A group whose members change.
pub(crate) struct Group {
    pub(crate) text: String,
    /// The attribute that lists its members.
    pub(crate) attribute: String,
    /// Members are named by their DNs, and not by `uid`.
    pub(crate) by_dn: bool,
}

/// Somebody who is or is to be a member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) subject: Subject,
    pub(crate) dn: Option<Dn>,
    /// As the group lists it.
    pub(crate) value: Bytes,
}

/// Members that were found, each once, and those that were not.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) members: Vec<Member>,
    pub(crate) unknown: Vec<String>,
}

impl Resolved {
    /// The DNs of those that were found.
    pub(crate) fn dns(&self) -> impl Iterator<Item = Dn> {
        self.members.iter().filter_map(|member| member.dn.clone())
    }
}

/// The usual classes of groups, and how they list members.
const CLASSES: [(&str, &str); 3] =
    [("groupOfNames", "member"), ("groupOfUniqueNames", "uniqueMember"), ("posixGroup", "memberUid")];

impl Work<'_> {
    /// How a group lists its members.
    pub(crate) fn group(&self, target: &Target) -> Group {
        self.group_of_classes(&target.text, target.values.of(&self.session.schema, "objectClass"))
    }

    /// The same for a group that is to be made.
    pub(crate) fn group_of(&self, dn: &str, attributes: &[(String, Vec<Bytes>)]) -> Group {
        self.group_of_classes(dn, classes(attributes))
    }

    /// Whether the class of a new group does not allow it to have no members.
    pub(crate) fn needs_members(&self, attributes: &[(String, Vec<Bytes>)]) -> bool {
        self.must_have_members(classes(attributes))
    }

    /// Whether one of these classes does not allow a group without members.
    pub(crate) fn must_have_members(&self, classes: &[Bytes]) -> bool {
        // 389 Directory Server allows these to be empty.
        let strict = matches!(self.flavour(), Flavour::OpenLdap | Flavour::Generic);
        strict && [&b"groupOfNames"[..], b"groupOfUniqueNames"].iter().any(|class| has(classes, class))
    }

    fn group_of_classes(&self, dn: &str, classes: &[Bytes]) -> Group {
        let configured = self.config.groups.as_ref().and_then(|groups| groups.member_attribute.clone());
        let of_class = if self.is_active_directory() {
            Some("member")
        } else {
            CLASSES.into_iter().find(|(class, _)| has(classes, class.as_bytes())).map(|(_, name)| name)
        };
        // A group of another class lists its members where the configuration says.
        let attribute = of_class.map(str::to_owned).or(configured).unwrap_or_else(|| "member".to_owned());
        let by_dn = !self.session.schema.same(&attribute, "memberUid");
        Group { text: dn.to_owned(), attribute, by_dn }
    }
}

fn classes(attributes: &[(String, Vec<Bytes>)]) -> &[Bytes] {
    attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case("objectClass")).map_or(&[], |(_, values)| values)
}

fn has(classes: &[Bytes], class: &[u8]) -> bool {
    classes.iter().any(|known| known.eq_ignore_ascii_case(class))
}
