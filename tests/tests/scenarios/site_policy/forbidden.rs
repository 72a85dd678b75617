//! Operations of which each is forbidden, by chance.

use bytes::Bytes;
use postern_agent::served::write::{
    AttributeChange, BothChanged, Change, Create, Existing, MemberChange, Move, NewPassword, Operation, Subject,
};
use postern_directory::Phase;
use postern_tests::slapd::SUFFIX;
use postern_tests::writing;

use crate::site_policy::chance::Chance;

/// Below the writable container of people.
const STAFF: &str = "ou=staff,ou=people,";
const READ_ONLY_PEOPLE: [&str; 3] =
    ["uid=outside,ou=people,", "uid=ext,ou=guests,ou=people,", "uid=root,ou=staff,ou=people,"];
/// Protected by themselves, by what they are below, or as members, also through another group.
const PROTECTED: [&str; 4] = [
    "uid=root,ou=staff,ou=people,",
    "uid=eve,ou=board,ou=staff,ou=people,",
    "uid=admin,ou=staff,ou=people,",
    "uid=nested,ou=staff,ou=people,",
];
const PROTECTED_GROUPS: [&str; 2] = ["cn=admins,ou=groups,", "cn=inner,ou=groups,"];
const WRITABLE: [&str; 2] = ["uid=anna,ou=staff,ou=people,", "uid=bert,ou=staff,ou=people,"];
const TEAM: &str = "cn=team,ou=groups,";
const NOT_WRITABLE: [&str; 14] = [
    "userPassword",
    "userPassword;binary",
    "2.5.4.35",
    "OID.2.5.4.35",
    "USERPASSWORD;x-a;x-b",
    "sn",
    "2.5.4.4",
    "surname;lang-de",
    "uid",
    "objectClass",
    "member",
    "uniqueMember",
    "employeeNumber",
    "mail ",
];

pub(crate) struct Maker<'a> {
    pub(crate) chance: Chance,
    /// External ids by the beginning of the DN.
    pub(crate) id_of: &'a dyn Fn(&str) -> String,
}

impl Maker<'_> {
    fn dn(&mut self, of: &str) -> String {
        self.chance.spelled(&format!("{of}{SUFFIX}"))
    }

    /// The entry by its id, by its DN, or by both, of which the DN may be that of another.
    fn subject(&mut self, of: &str) -> Subject {
        let (id, dn) = ((self.id_of)(of), self.dn(of));
        match self.chance.below(4) {
            0 => Subject { external_id: Some(id), dn: None },
            1 => Subject { external_id: Some(id), dn: Some(dn) },
            2 => Subject { external_id: Some(id), dn: Some(self.dn(WRITABLE[0])) },
            _ => Subject { external_id: None, dn: Some(dn) },
        }
    }

    fn forged(&mut self) -> Subject {
        let ids =
            ["*", "", ")(uid=*", "\\2a", "(objectClass=*)", "00000000-0000-0000-0000-000000000000", "\u{0}", "a*"];
        let id = self.chance.of(&ids).to_owned();
        let dn = self.chance.one_in(2).then(|| self.dn(READ_ONLY_PEOPLE[0]));
        Subject { external_id: Some(id), dn }
    }

    fn update(&mut self, name: &str) -> Change {
        Change::Update(vec![
            attribute("mail", "ok@corp.example"),
            attribute(name, &format!("x{}", self.chance.below(1_000))),
        ])
    }

    fn any_change(&mut self) -> Change {
        match self.chance.below(8) {
            0 => Change::Update(vec![attribute("mail", "evil@corp.example")]),
            1 => Change::Delete,
            2 => Change::Disable,
            6 => Change::Unlock,
            7 => self.new_password(),
            3 => Change::Move(Move { container: None, name: Some("evil".to_owned()) }),
            4 => Change::Move(Move { container: Some(String::new()), name: None }),
            _ => Change::Enable,
        }
    }

    fn new_password(&mut self) -> Change {
        Change::SetPassword(password(self.chance.one_in(2)))
    }

    fn create(&mut self, container: Option<String>, more: &[&str]) -> Operation {
        let uid = format!("new{}", self.chance.below(1_000_000));
        let mut attributes = vec![("uid".to_owned(), uid), ("cn".to_owned(), "New".to_owned())];
        attributes.extend(more.iter().map(|name| ((*name).to_owned(), "x".to_owned())));
        if !more.contains(&"sn") {
            attributes.push(("sn".to_owned(), "New".to_owned()));
        }
        let attributes = attributes.into_iter().map(|(name, value)| (name, vec![Bytes::from(value)])).collect();
        let existing = if self.chance.one_in(2) { Existing::Adopt } else { Existing::Conflict };
        let password = self.chance.one_in(3).then(|| password(false));
        let create = Create { container, attributes, password, existing, ..writing::create(&[]) };
        Operation { phase: Phase::Users, subject: Subject::default(), change: Change::Create(create) }
    }

    /// A change of the members of a protected group.
    fn of_protected_group(&mut self) -> Operation {
        let of = self.chance.of(&PROTECTED_GROUPS);
        let member = vec![self.subject(WRITABLE[0])];
        let change = match self.chance.below(2) {
            0 => MemberChange { add: member, remove: Vec::new() },
            _ => MemberChange { add: Vec::new(), remove: member },
        };
        Operation { phase: Phase::Groups, subject: self.subject(of), change: Change::Members(change) }
    }

    /// A change by which somebody protected joins a group.
    fn with_protected_member(&mut self) -> Operation {
        let all = [&PROTECTED[..], &PROTECTED_GROUPS[..]].concat();
        let of = self.chance.of(&all);
        let protected = Subject { dn: None, external_id: Some((self.id_of)(of)) };
        let by_dn = Subject { dn: Some(self.dn(of)), external_id: None };
        let add = vec![self.subject(WRITABLE[0]), if self.chance.one_in(2) { protected } else { by_dn }];
        let change = Change::Members(MemberChange { add, remove: Vec::new() });
        Operation { phase: Phase::Groups, subject: self.subject(TEAM), change }
    }

    /// A new group: of the name of a protected one, with somebody protected, elsewhere, or with what may not be written.
    fn new_group(&mut self) -> Operation {
        let name = format!("group{}", self.chance.below(1_000_000));
        let (mut name, mut container, mut members, mut more) = (name, None, Vec::new(), None);
        match self.chance.below(4) {
            0 => name = self.chance.cased("admins"),
            1 => {
                let all = [&PROTECTED[1..], &PROTECTED_GROUPS[..]].concat();
                let of = self.chance.of(&all);
                members = vec![Subject { dn: None, external_id: Some((self.id_of)(of)) }];
            }
            2 => container = Some(self.outside_of_groups()),
            _ => more = Some(self.chance.of(&["owner", "seeAlso;x-a", "2.5.4.15", "MEMBER"])),
        }
        let attributes = [("cn", name.as_str())].into_iter().chain(more.map(|name| (name, "x")));
        let attributes =
            attributes.map(|(name, value)| (name.to_owned(), vec![Bytes::from(value.to_owned())])).collect();
        let existing = if self.chance.one_in(2) { Existing::Adopt } else { Existing::Conflict };
        let create = Create { container, attributes, members, existing, ..writing::create(&[]) };
        Operation { phase: Phase::Groups, subject: Subject::default(), change: Change::Create(create) }
    }

    /// The end of a group, or another name or place for it.
    fn of_group(&mut self) -> Operation {
        let change = match self.chance.below(4) {
            // None may be deleted, and no protected one renamed or moved.
            0 => return self.on_group(&[TEAM, PROTECTED_GROUPS[0], PROTECTED_GROUPS[1]], Change::Delete),
            1 => renamed(&format!("evil{}", self.chance.below(1_000))),
            2 => Change::Update(vec![attribute("description", "evil")]),
            _ => Change::Move(Move { container: Some(self.outside_of_groups()), name: None }),
        };
        self.on_group(&PROTECTED_GROUPS, change)
    }

    /// A group that may be written gets the name of a protected one, or a place elsewhere, or an attribute that is the site's.
    fn of_team(&mut self) -> Operation {
        let change = match self.chance.below(3) {
            0 => renamed(&self.chance.cased("admins")),
            1 => Change::Move(Move { container: Some(self.outside_of_groups()), name: None }),
            _ => {
                let name = self.chance.of(&["owner", "seeAlso", "businessCategory", "objectClass", "2.5.4.31"]);
                let name = self.chance.cased(name);
                self.update(&name)
            }
        };
        self.on_group(&[TEAM], change)
    }

    fn on_group(&mut self, groups: &[&str], change: Change) -> Operation {
        let of = self.chance.of(groups);
        let (id, dn) = ((self.id_of)(of), self.dn(of));
        let subject = if self.chance.one_in(2) { Subject::id(id) } else { Subject { external_id: None, dn: Some(dn) } };
        Operation { phase: Phase::Groups, subject, change }
    }

    fn outside_of_groups(&mut self) -> String {
        let of = self.chance.of(&["ou=people,", "ou=guests,ou=people,", "ou=board,ou=staff,ou=people,", ""]);
        self.dn(of)
    }

    /// A container outside of the site's own by its whole DN, or a protected one below it.
    fn elsewhere(&mut self) -> String {
        let whole = ["ou=people,", "ou=guests,ou=people,", "ou=board,ou=staff,ou=people,", "ou=groups,", ""];
        if self.chance.one_in(2) {
            return self.chance.spelled("ou=board");
        }
        let of = self.chance.of(&whole);
        self.dn(of)
    }

    /// One that the policy forbids, or that means nobody.
    pub(crate) fn next(&mut self) -> Operation {
        let users = |subject, change| Operation { phase: Phase::Users, subject, change };
        match self.chance.below(16) {
            11 => self.new_group(),
            12 => self.of_group(),
            13 => self.of_team(),
            14 => {
                let all = [&WRITABLE[..], &PROTECTED[..], &READ_ONLY_PEOPLE[..]].concat();
                let of = self.chance.of(&all);
                users(self.subject(of), self.new_password())
            }
            0 => {
                let subject = self.subject(WRITABLE[0]);
                let kinds = [Change::Enable, Change::Disable, Change::Unlock, Change::Delete];
                users(subject, kinds[self.chance.below(4)].clone())
            }
            1 => {
                let of = self.chance.of(&READ_ONLY_PEOPLE);
                users(self.subject(of), self.any_change())
            }
            2 => {
                let of = self.chance.of(&PROTECTED);
                users(self.subject(of), self.any_change())
            }
            3 => {
                let (of, name) = (self.chance.of(&WRITABLE), self.chance.of(&NOT_WRITABLE));
                let name = self.chance.cased(name);
                users(self.subject(of), self.update(&name))
            }
            4 => {
                let container = Some(self.elsewhere());
                users(self.subject(WRITABLE[1]), Change::Move(Move { container, name: None }))
            }
            5 => users(self.subject(WRITABLE[1]), renamed("root")),
            6 => self.of_protected_group(),
            7 => self.with_protected_member(),
            8 => users(self.forged(), self.any_change()),
            9 => {
                let container = Some(self.elsewhere());
                self.create(container, &[])
            }
            10 => {
                let name = self.chance.of(&["userPassword", "userPassword;binary", "employeeNumber", "2.5.4.35"]);
                self.create(None, &[name])
            }
            _ => {
                // A container above what is protected, and entries of another kind than the operation says.
                let of = self.chance.of(&[STAFF, "ou=people,", TEAM, "ou=groups,", ""]);
                users(Subject { external_id: None, dn: Some(self.dn(of)) }, self.any_change())
            }
        }
    }
}

fn attribute(name: &str, value: &str) -> AttributeChange {
    let wanted = vec![Bytes::from(value.to_owned())];
    AttributeChange { name: name.to_owned(), known: None, wanted, both_changed: BothChanged::SourceWins }
}

fn password(must_change: bool) -> NewPassword {
    NewPassword { password: "Ev1l!horse".to_owned().into(), must_change }
}

/// Another name in the same container.
fn renamed(name: &str) -> Change {
    Change::Move(Move { container: None, name: Some(name.to_owned()) })
}
