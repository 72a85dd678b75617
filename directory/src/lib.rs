//! Everything that speaks LDAP: connections with failover, paged streaming searches, changes, the rules of each kind of
//! directory, and the diagnosis of one. Nothing here knows of the control plane.
//!
//! Read from the top floor down: [`Directory`] → `check`, `enumerate`, `lookup`, [`mod@write`] → `search` → `connection` → `guard` →
//! `transport`; beside them the types [`filter`], [`Entry`], [`config`] and [`Error`].

mod attributes;
mod bind;
mod bind_memory;
mod change_kind;
mod check;
pub mod config;
mod connection;
mod defaults;
mod directory;
mod entry;
mod enumerate;
mod error;
mod failure;
pub mod filter;
mod flavour;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod judge;
mod kinds;
mod lookup;
mod members;
mod names;
mod one_server;
mod range;
pub mod raw_entry;
mod root_dse;
mod schema;
mod schema_entry;
mod search;
mod second_look;
mod sections;
mod server_url;
mod servers_names;
mod source;
mod throttle;
mod tls;
mod transport;
pub mod write;

pub use attributes::is_withheld;
pub use bind::BindRefusal;
pub use bind_memory::BindMemory;
pub use check::{Check, CheckState, ROWS as CHECK_ROWS};
pub use config::{
    ConfigError, DirectoryConfig, DisableBy, GroupsConfig, MemberForm, PolicyConfig, Problem, Scope, SecretError,
    UsersConfig, WriteConfig,
};
pub use directory::Directory;
pub use entry::{Entry, Unusable};
pub use enumerate::{Enumeration, Page};
pub use error::{Class, Error, Phase, Progress, Step};
pub use failure::{ResultWords, results as ldap_results};
pub use flavour::{Flavour, Switch, external_id};
pub use lookup::LookedUp;
pub use root_dse::RootDse;
pub use second_look::{NotVisible, SecondLook, Sight, Sought};
pub use source::{Identity, Mark, Source};
pub use tls::{CertificateSummary, TlsConfigError, TlsFailure};
