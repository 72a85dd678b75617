//! The entries of the directory, and what the site allows.

use std::fmt::Write as _;

use postern_tests::slapd::SUFFIX;

pub(crate) const PEOPLE: [&str; 7] = [
    "outside,ou=people",
    "ext,ou=guests,ou=people",
    "root,ou=staff,ou=people",
    "eve,ou=board,ou=staff,ou=people",
    "admin,ou=staff,ou=people",
    "nested,ou=staff,ou=people",
    "anna,ou=staff,ou=people",
];

pub(crate) fn tree() -> String {
    let mut ldif = String::new();
    for ou in ["guests,ou=people", "staff,ou=people", "board,ou=staff,ou=people"] {
        let name = ou.split(',').next().unwrap_or_default();
        let _ = write!(ldif, "dn: ou={ou},{SUFFIX}\nobjectClass: organizationalUnit\nou: {name}\n\n");
    }
    for uid in PEOPLE.iter().chain(&["bert,ou=staff,ou=people"]) {
        let name = uid.split(',').next().unwrap_or_default();
        let _ =
            write!(ldif, "dn: uid={uid},{SUFFIX}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n\n");
    }
    let staff = format!("ou=staff,ou=people,{SUFFIX}");
    for (group, members) in [
        ("inner", format!("member: uid=nested,{staff}")),
        ("admins", format!("member: uid=admin,{staff}\nmember: cn=inner,ou=groups,{SUFFIX}")),
        ("team", format!("member: uid=anna,{staff}")),
    ] {
        let _ =
            write!(ldif, "dn: cn={group},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: {group}\n{members}\n\n");
    }
    ldif
}

pub(crate) fn policy() -> String {
    format!(
        "\n[policy]\nread_only = false\noperations = ['create', 'update', 'move', 'delete', 'members']\n\
         writable_containers = ['ou=staff,ou=people,{SUFFIX}', 'ou=groups,{SUFFIX}']\n\
         writable_attributes = ['cn', 'mail', 'description']\n\
         protected_dns = ['uid=root,ou=staff,ou=people,{SUFFIX}', 'ou=board,ou=staff,ou=people,{SUFFIX}']\n\
         protected_groups = ['cn=admins,ou=groups,{SUFFIX}']\nmax_deletes_per_hour = 0\n\
         [write]\nuser_container = 'ou=staff,ou=people,{SUFFIX}'\ngroup_container = 'ou=groups,{SUFFIX}'\n\
         disable = 'employeeType=disabled'\n"
    )
}
