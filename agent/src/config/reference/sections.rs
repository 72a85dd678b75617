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

pub(super) const SECTIONS: [Section; 8] = [
    Section {
        header: "",
        variables: "",
        meaning: "Before the first table of the file.",
        keys: &[key(
            "state_dir",
            FILE,
            Words("`/var/lib/postern-agent`"),
            "Where the agent keeps its identity and its status socket. `--state-dir` comes before it.",
        )],
    },
    Section {
        header: "[control_plane]",
        variables: "CONTROL_PLANE__",
        meaning: "The way to the control plane. Its address came with the enrollment token.",
        keys: &[
            key(
                "proxy",
                "URL",
                Words("as `HTTPS_PROXY` and `NO_PROXY` say"),
                "HTTP proxy on the way out: `http://user:password@host:port`.",
            ),
            key(
                "compression",
                "`zstd` or `none`",
                Words("`zstd`; `none` if the control plane is on this machine"),
                "Whether bulk results are compressed.",
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
            key("format", "`text` or `json`", Value("\"text\""), "For people or for machines."),
            key("filter", TEXT, Words("`info`"), "Levels by module, as in `RUST_LOG`: `info,postern_directory=debug`."),
        ],
    },
    Section {
        header: "[policy]",
        variables: "POLICY__",
        meaning: "The site's last word. No command of the control plane can change it.",
        keys: &[
            key(
                "commands",
                "list of COMMANDS",
                Words("all"),
                "The commands that are executed; all others are refused.",
            ),
            key(
                "excluded_attributes",
                TEXTS,
                Value("[]"),
                "Attributes that never leave the site, whatever a directory's own list says, by any of their names. \
                 Attributes that hold passwords or keys never leave in any case. Whether a user is enabled leaves as \
                 a word of its own, also where the attribute that says so is excluded.",
            ),
            key(
                "imports_at_once",
                "number from 1",
                Value("2"),
                "Imports that read from directories at a time, whatever the control plane asks for. The others wait.",
            ),
        ],
    },
    Section {
        header: "[[directory]]",
        variables: "DIRECTORY__0__",
        meaning: "A directory to serve. The section may be there several times, each with another name.",
        keys: DIRECTORY,
    },
    Section {
        header: "[directory.users]",
        variables: "DIRECTORY__0__USERS__",
        meaning: "Where users are, and what of them is read. Required in each directory.",
        keys: &[
            BASE_DNS,
            SCOPE_KEY,
            key("filter", TEXT, FILTER_DEFAULT, "Which entries are users: `(objectClass=inetOrgPerson)`."),
            key(
                "unique_attribute",
                TEXT,
                Required,
                "The attribute by which the organization knows a user: `uid`, `mail`, `sAMAccountName`, …",
            ),
            key("attributes", TEXTS, Required, ATTRIBUTES),
        ],
    },
    Section {
        header: "[directory.groups]",
        variables: "DIRECTORY__0__GROUPS__",
        meaning: "Where groups are, and what of them is read. Without this section no groups are read.",
        keys: &[
            BASE_DNS,
            SCOPE_KEY,
            key("filter", TEXT, FILTER_DEFAULT, "Which entries are groups: `(objectClass=groupOfNames)`."),
            key(
                "member_attribute",
                TEXT,
                Words("as fits each group's class"),
                "The attribute that lists the members: `member`, `uniqueMember` or `memberUid`.",
            ),
            key("attributes", TEXTS, Value("[]"), ATTRIBUTES),
        ],
    },
];

const FILTER_DEFAULT: Default = Words("as fits the kind of server");
const ATTRIBUTES: &str = "The attributes that may leave the site, in this order.";
const BASE_DNS: Key = key("base_dns", TEXTS, Required, "DNs to search below; none may lie within another.");
const SCOPE_KEY: Key = key("scope", SCOPE, Value("\"subtree\""), "How far below each base DN.");

const DIRECTORY: &[Key] = &[
    key(
        "name",
        TEXT,
        Required,
        "The name by which the control plane knows this directory: 1 to 64 lower-case letters, digits, `-` or `_`.",
    ),
    key(
        "urls",
        TEXTS,
        Required,
        "Servers, tried in order until one answers: `ldaps://host:636`, or `ldap://host:389` with `start_tls`.",
    ),
    key("ca_file", FILE, Words("the authorities of the operating system"), "PEM file with the authorities to trust."),
    key("start_tls", YES_NO, NO, "Upgrade `ldap://` connections with STARTTLS before anything else is sent."),
    key(
        "allow_plaintext",
        YES_NO,
        NO,
        "Allow `ldap://` without TLS. Passwords and people then cross the network readable.",
    ),
    key("client_cert_file", FILE, NONE, "PEM file with the client certificate, and its chain, to show to the server."),
    key("client_key_file", FILE, NONE, "PEM file with the key of `client_cert_file`."),
    key(
        "bind_dn",
        TEXT,
        Words("SASL EXTERNAL with the client certificate"),
        "Whom to bind as: a DN, or for Active Directory also `name@domain`.",
    ),
    key("bind_password_file", FILE, NONE, "File that holds the bind password; read anew at each connection."),
    key("bind_password_credential", TEXT, NONE, "Name of a systemd credential that holds the bind password."),
    key("bind_password", TEXT, NONE, "The bind password itself; a file is better kept."),
    key(
        "external_id_attribute",
        TEXT,
        Words("`objectGUID`, `entryUUID` or `nsUniqueId`, as the server has it"),
        "The attribute that names an entry for ever, through renames and moves.",
    ),
    key(
        "include_builtin",
        YES_NO,
        NO,
        "Active Directory: import what the system made for itself too, as `krbtgt`, `Guest` and the groups of the server.",
    ),
    key("page_size", "1 to 5000", Value("500"), "Entries asked for at a time."),
    key("connect_timeout_secs", SECONDS, Value("10"), "Time to reach a server, TLS and bind included. 1 to 600."),
    key(
        "operation_timeout_secs",
        SECONDS,
        Value("60"),
        "Time that one operation, or one page of a search, may take. 1 to 3600.",
    ),
];
