//! What the organization changes happens in the directory: through the hub, the agent and a real OpenLDAP or Active Directory.

mod active_directory;
mod clash;
mod common;
mod consequences;
mod faults;
mod groups;
mod holds;
mod kills;
mod leaving;
mod life;
mod meanwhile;
mod outages;
mod passwords;
mod plans;
mod points;
mod read_only;
mod reconcile;
mod refused_member;
mod same_name;
mod settings;
mod steps;
mod switches;
mod trace;
mod two_agents;
mod unique_names;
mod write_through;
