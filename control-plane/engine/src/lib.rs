//! The domain of the control plane: jobs (`jobs`), their kinds (`kinds`), schedules (`schedules`), imports
//! (`intake`), what targets get (`provisioning`), users and groups (`identity`), the services for administrators (`services`), and what agents say (`wire`). It knows neither HTTP nor the gateway's streams.

pub mod identity;
pub mod intake;
pub mod jobs;
pub mod kinds;
pub mod provisioning;
pub mod records;
pub mod schedules;
pub mod secrets;
pub mod services;
pub mod spreadsheet;
pub mod wire;
