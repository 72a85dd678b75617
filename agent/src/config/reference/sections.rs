//! The keys themselves, in the order in which they stand in the reference.

use super::form::Default::{Required, Value, Words};
use super::form::{Default, Key, Section};

const TEXT: &str = "text";
const TEXTS: &str = "list of texts";
const FILE: &str = "path";
const YES_NO: &str = "`true` or `false`";
const SECONDS: &str = "seconds";
const SCOPE: &str = "`base`, `one` or `subtree`";

const NO: Default = Value("false");
const NONE: Default = Words("none");

const fn key(name: &'static str, form: &'static str, default: Default, meaning: &'static str) -> Key {
    Key { name, form, default, meaning }
}

pub(super) const SECTIONS: [Section; 10] = [
    Section {
        header: "",
        variables: "",
        meaning: "Before the first table of the file.",
        keys: &[key(
            "state_dir",
            FILE,
            Words("`/var/lib/postern-agent`; Windows: `C:\\ProgramData\\Postern\\state`"),
            "Folder for the agent's identity and its status socket. `--state-dir` overrides it.",
        )],
    },
    Section {
        header: "[control_plane]",
        variables: "CONTROL_PLANE__",
        meaning: "The connection to the control plane. Its address comes from the enrollment token.",
        keys: &[
            key(
                "proxy",
                "URL",
                Words("from `HTTPS_PROXY` and `NO_PROXY`"),
                "HTTP proxy for the connection to the control plane: `http://user:password@host:port`.",
            ),
            key(
                "proxy_password_file",
                FILE,
                Words("the password in `proxy`, or none"),
                "File with the proxy's password, readable by its owner only. `proxy` then names the user: \
                 `http://user@host:port`. The agent reads the file for each connection.",
            ),
            key(
                "compression",
                "`zstd` or `none`",
                Words("`zstd`; `none` if the control plane is on this machine"),
                "Whether the agent compresses the results of imports.",
            ),
        ],
    },
    Section {
        header: "[health]",
        variables: "HEALTH__",
        meaning: "A listener for `/healthz` and `/metrics`. Without this section there is none.",
        keys: &[key("listen", "address and port", Required, "A loopback address, such as `127.0.0.1:9464`.")],
    },
    Section {
        header: "[log]",
        variables: "LOG__",
        meaning: "The log, on standard error.",
        keys: &[
            key("format", "`text` or `json`", Value("\"text\""), "Text for people, JSON for machines."),
            key("filter", TEXT, Words("`info`"), "Levels by module, as in `RUST_LOG`: `info,postern_directory=debug`."),
        ],
    },
    Section {
        header: "[policy]",
        variables: "POLICY__",
        meaning: "What the site allows. The control plane cannot change it.",
        keys: &[
            key(
                "commands",
                "list of COMMANDS",
                Words("all"),
                "The commands that the agent executes. It refuses all others.",
            ),
            key(
                "excluded_attributes",
                TEXTS,
                Value("[]"),
                "Attributes that never leave the site under any of their names, even if a directory lists them. \
                 No change compares or writes them either. Attributes that hold passwords or keys never leave in any case. Whether a user is enabled always leaves, as one word, even if the attribute that says so is excluded.",
            ),
            key(
                "imports_at_once",
                "number from 1",
                Value("2"),
                "How many imports read from directories at the same time. Others wait.",
            ),
        ],
    },
    Section {
        header: "[[directory]]",
        variables: "DIRECTORY__0__",
        meaning: "A directory to serve. Repeat the section for several directories, each with its own name.",
        keys: DIRECTORY,
    },
    Section {
        header: "[directory.users]",
        variables: "DIRECTORY__0__USERS__",
        meaning: "Where users are, and which attributes are read. Without this section and the next, both users and groups are read \
                  by the defaults below. `postern-agent check` shows what they are.",
        keys: &[
            key(
                "base_dns",
                TEXTS,
                Words("the tree that the server names"),
                "Base DNs of the search. None may be below another.",
            ),
            SCOPE_KEY,
            key("filter", TEXT, FILTER_DEFAULT, "Which entries are users: `(objectClass=inetOrgPerson)`."),
            key(
                "unique_attribute",
                TEXT,
                Words("`sAMAccountName` for Active Directory, `uid` for others"),
                "The login of a user: `uid`, `mail`, `sAMAccountName`, …",
            ),
            key("attributes", TEXTS, Words("the usual ones of the kind of server"), ATTRIBUTES),
        ],
    },
    Section {
        header: "[directory.groups]",
        variables: "DIRECTORY__0__GROUPS__",
        meaning: "Where groups are, and which attributes are read. If there is `[directory.users]` and not this section, no groups are \
                  read.",
        keys: &[
            key(
                "from_user_attribute",
                TEXT,
                Words("group entries are read"),
                "The attribute of users that names their groups: `memberOf`, or one with plain names. Groups are then made \
                 from its values, and no group entries are read: leave out all other keys of this section.",
            ),
            key("base_dns", TEXTS, Words("those of users"), "Base DNs of the search. None may be below another."),
            SCOPE_KEY,
            key("filter", TEXT, FILTER_DEFAULT, "Which entries are groups: `(objectClass=groupOfNames)`."),
            key(
                "member_attribute",
                TEXT,
                Words("depends on the group's object class"),
                "The attribute that lists the members: `member`, `uniqueMember` or `memberUid`.",
            ),
            key("attributes", TEXTS, Value("[\"cn\", \"displayName\", \"description\", \"mail\"]"), ATTRIBUTES),
        ],
    },
    Section {
        header: "[directory.write]",
        variables: "DIRECTORY__0__WRITE__",
        meaning: "How changes are written to the directory. Without this section the agent writes nothing.",
        keys: WRITE,
    },
    Section {
        header: "[directory.policy]",
        variables: "DIRECTORY__0__POLICY__",
        meaning: "What the control plane may change in this directory. It cannot change this section, and the agent keeps \
                  to it whatever it is sent. A change that is not allowed is refused with the code \
                  `denied_by_site_policy` and the name of the key, never with its value.",
        keys: POLICY,
    },
];

const POLICY: &[Key] = &[
    key(
        "read_only",
        YES_NO,
        Value("true"),
        "Nothing is written to this directory. Set it to `false` to allow changes.",
    ),
    key("operations", "list of OPERATIONS", Words("all"), "The changes that are allowed."),
    key(
        "readable_containers",
        TEXTS,
        Words("no further rule"),
        "The base DNs of `[directory.users]` and `[directory.groups]` must be among these DNs or below one. Otherwise the \
         configuration is not accepted.",
    ),
    key(
        "writable_containers",
        TEXTS,
        Words("`user_container` and `group_container` of `[directory.write]`"),
        "DNs of containers. Only entries below one of them are changed, moved there, or created. The containers \
         themselves are never changed. Entries that are read from elsewhere are not changed unless their container is \
         named here.",
    ),
    key(
        "readable_attributes",
        TEXTS,
        Words("no further rule"),
        "The attributes that `[directory.users]` and `[directory.groups]` may list. With any other the configuration is \
         not accepted.",
    ),
    key(
        "writable_attributes",
        TEXTS,
        Words("all"),
        "The attributes that a change may write, by any of their names, with their options. A rename writes the \
         attribute that names the entry. Attributes that hold passwords, keys or rights are never written as such.",
    ),
    key("protected_dns", TEXTS, Value("[]"), "DNs of entries that are never changed, with everything below them."),
    key(
        "protected_groups",
        TEXTS,
        Value("[]"),
        "DNs of groups that are never changed. Neither are their members, including members of groups in these groups. \
         In Active Directory the administrators' groups that the system has made are always among them.",
    ),
    key("max_deletes_per_hour", LIMIT, NO_LIMIT, "The most entries that are deleted within any hour."),
    key("max_disables_per_hour", LIMIT, NO_LIMIT, "The most users that are disabled within any hour."),
    key(
        "max_password_sets_per_minute",
        LIMIT,
        NO_LIMIT,
        "The most passwords that are set within any minute, including those of new users.",
    ),
];

const LIMIT: &str = "number from 0";
const NO_LIMIT: Default = Words("no limit");

const WRITE: &[Key] = &[
    key(
        "user_container",
        TEXT,
        NONE,
        "DN of the container of new users. The control plane may name one below it, and no other.",
    ),
    key(
        "group_container",
        TEXT,
        NONE,
        "DN of the container of new groups. The control plane may name one below it, and no other.",
    ),
    key(
        "user_object_classes",
        TEXTS,
        Words("`inetOrgPerson`; Active Directory: `user`"),
        "Object classes of new users.",
    ),
    key(
        "group_object_classes",
        TEXTS,
        Words("`groupOfNames`; Active Directory: `group`"),
        "Object classes of new groups.",
    ),
    key(
        "user_rdn_attribute",
        TEXT,
        Words("`uid`; Active Directory: `cn`"),
        "The attribute that names a new user in its container.",
    ),
    key("group_rdn_attribute", TEXT, Words("`cn`"), "The attribute that names a new group in its container."),
    key(
        "disable",
        "`ppolicy`, `end_time`, `shell` or ATTRIBUTE=VALUE",
        Words("389 Directory Server: `nsAccountLock=true`; others: users cannot be disabled"),
        "How a user is disabled. `ppolicy` sets `pwdAccountLockedTime`, `end_time` sets `pwdEndTime`, `shell` sets \
         `loginShell`. Active Directory has its own way and does not use this key.",
    ),
    key(
        "disabled_shell",
        TEXT,
        Value("\"/usr/sbin/nologin\""),
        "For `disable = \"shell\"`: the shell of a disabled user.",
    ),
    key(
        "enabled_shell",
        TEXT,
        Value("\"/bin/bash\""),
        "For `disable = \"shell\"`: the shell that a user gets when enabled.",
    ),
    key(
        "placeholder_member",
        TEXT,
        NONE,
        "DN that is put into a group as its only member where its class does not allow a group without members, such as \
         `groupOfNames`.",
    ),
    key("connections", "1 to 16", Value("2"), "Connections for writing. Each has one request at a time."),
];

const FILTER_DEFAULT: Default = Words("depends on the kind of server");
const ATTRIBUTES: &str = "The attributes that may leave the site, in this order.";
const SCOPE_KEY: Key = key("scope", SCOPE, Value("\"subtree\""), "How far below each base DN.");

const DIRECTORY: &[Key] = &[
    key(
        "name",
        TEXT,
        Required,
        "Name of the directory at the control plane: 1 to 64 lower-case letters, digits, `-` or `_`.",
    ),
    key(
        "kind",
        "`active_directory`, `openldap`, `ds389` or `generic`",
        Words("as the server says"),
        "What kind of server it is. If it is set, the agent does not use a server of another kind.",
    ),
    key(
        "urls",
        TEXTS,
        Required,
        "The servers. The agent tries them in order until one answers: `ldaps://host:636`, or `ldap://host:389` with \
         `start_tls`.",
    ),
    key(
        "ca_file",
        FILE,
        Words("the authorities of the operating system"),
        "PEM file with the certificate \
    authorities that the agent trusts.",
    ),
    key("start_tls", YES_NO, NO, "Upgrade `ldap://` connections with STARTTLS before anything else is sent."),
    key(
        "allow_plaintext",
        YES_NO,
        NO,
        "Allow `ldap://` without TLS. Others on the network can then read passwords and personal data.",
    ),
    key("client_cert_file", FILE, NONE, "PEM file with the client certificate and its chain."),
    key("client_key_file", FILE, NONE, "PEM file with the key of `client_cert_file`."),
    key(
        "bind_dn",
        TEXT,
        Words("SASL EXTERNAL with the client certificate"),
        "The account to bind with: a DN, or for Active Directory also `name@domain`.",
    ),
    key("bind_password_file", FILE, NONE, "File with the bind password. The agent reads it at each connection."),
    key("bind_password_credential", TEXT, NONE, "Name of the systemd credential with the bind password."),
    key("bind_password", TEXT, NONE, "The bind password itself. A file is safer."),
    key(
        "external_id_attribute",
        TEXT,
        Words("`objectGUID`, `entryUUID` or `nsUniqueId`, depending on the server"),
        "The attribute that identifies an entry permanently, also when it is renamed or moved.",
    ),
    key(
        "include_builtin",
        YES_NO,
        NO,
        "Active Directory: also import built-in objects, such as `krbtgt`, `Guest` and the groups of the server.",
    ),
    key("page_size", "1 to 5000", Value("500"), "Entries in one page of a search."),
    key(
        "connect_timeout_secs",
        SECONDS,
        Value("10"),
        "Time limit for connecting to a server, with TLS and bind. 1 \
    to 600.",
    ),
    key(
        "operation_timeout_secs",
        SECONDS,
        Value("60"),
        "Time limit for one operation or one page of a search. 1 to 3600.",
    ),
];
