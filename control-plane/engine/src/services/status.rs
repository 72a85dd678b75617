//! The state of the control plane, over all organizations.

use super::access::Services;
use super::error::Result;
use crate::records::LastImport;

impl Services {
    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.store.ping().await?)
    }

    /// When each directory was last imported.
    pub async fn last_imports(&self) -> Result<Vec<LastImport>> {
        Ok(self.store.last_imports().await?)
    }
}
