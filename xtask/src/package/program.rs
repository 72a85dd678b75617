//! The two programs, and what their packages say of them.

/// A program that is packaged.
pub(super) struct Program {
    /// Its name, that of its package, of its service, of its user and of its state folder.
    pub(super) name: &'static str,
    /// Its folder in `installer/linux`.
    pub(super) folder: &'static str,
    /// Its configuration file in `/etc/postern`.
    pub(super) config: &'static str,
    /// A line.
    pub(super) summary: &'static str,
    /// A paragraph, in lines of at most 75 characters.
    pub(super) description: &'static [&'static str],
    /// What purging the Debian package does, in shell.
    pub(super) purge: &'static str,
    /// What to do after installing from the tarball.
    pub(super) next: &'static str,
}

/// Both.
pub(super) const PROGRAMS: [Program; 2] = [
    Program {
        name: "postern-agent",
        folder: "agent",
        config: "agent.toml",
        summary: "serves LDAP directories of a site to a Postern control plane",
        description: &[
            "Runs inside a site, beside an LDAP directory or Active Directory, and",
            "connects out to a control plane over mutual TLS. It reads users and groups,",
            "and writes what the site's policy allows. Nothing connects in, and the",
            "configuration of the directory stays on this machine.",
        ],
        purge: "rm -rf /var/lib/postern-agent",
        next: "edit /etc/postern/agent.toml, enroll by `postern-agent enroll`, then `systemctl enable --now postern-agent`",
    },
    Program {
        name: "postern",
        folder: "control-plane",
        config: "postern.toml",
        summary: "provisions users between a service and LDAP directories",
        description: &[
            "The Postern control plane and its command line. Agents inside the sites",
            "connect to it; it imports users and groups from their directories, and has",
            "changes written there. Administrators use its command line or REST API.",
        ],
        purge: "echo 'The database and the certificate authority stay in /var/lib/postern. Delete them with: rm -r /var/lib/postern'",
        next: "edit /etc/postern/postern.toml, then `systemctl enable --now postern`",
    },
];
