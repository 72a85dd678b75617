//! What the organization changes happens in the directory: through the hub, the agent and a real OpenLDAP or Active Directory.

#[path = "provisioning/active_directory.rs"]
mod active_directory;
#[path = "provisioning/common.rs"]
mod common;
#[path = "provisioning/consequences.rs"]
mod consequences;
#[path = "provisioning/faults.rs"]
mod faults;
#[path = "provisioning/groups.rs"]
mod groups;
#[path = "provisioning/holds.rs"]
mod holds;
#[path = "provisioning/kills.rs"]
mod kills;
#[path = "provisioning/leaving.rs"]
mod leaving;
#[path = "provisioning/life.rs"]
mod life;
#[path = "provisioning/meanwhile.rs"]
mod meanwhile;
#[path = "provisioning/outages.rs"]
mod outages;
#[path = "provisioning/passwords.rs"]
mod passwords;
#[path = "provisioning/plans.rs"]
mod plans;
#[path = "provisioning/points.rs"]
mod points;
#[path = "provisioning/read_only.rs"]
mod read_only;
#[path = "provisioning/refused_member.rs"]
mod refused_member;
#[path = "provisioning/same_name.rs"]
mod same_name;
#[path = "provisioning/settings.rs"]
mod settings;
#[path = "provisioning/steps.rs"]
mod steps;
#[path = "provisioning/switches.rs"]
mod switches;
#[path = "provisioning/two_agents.rs"]
mod two_agents;
#[path = "provisioning/write_through.rs"]
mod write_through;
