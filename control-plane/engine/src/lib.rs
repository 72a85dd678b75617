//! The domain of the control plane: the jobs that administrators ask for (`jobs`), what each kind of
//! them is (`kinds`), what an import leaves behind (`intake`), and the organization's own users and groups (`identity`). It knows neither HTTP nor the wire of the gateway.

pub mod identity;
pub mod intake;
pub mod jobs;
pub mod kinds;
pub mod records;
pub mod secrets;
pub mod services;
