//! The names of attributes as a directory's servers have them.

use std::sync::Arc;

use crate::connection::{Connection, Servers};
use crate::error::Error;
use crate::names::Names;
use crate::root_dse::RootDse;
use crate::schema_entry;

impl Servers {
    /// The names of attributes, from the schema as the first server that shows one has it.
    pub(crate) async fn names(&self, connection: &mut Connection, root: &RootDse) -> Result<Arc<Names>, Error> {
        if let Some(names) = self.names.get() {
            return Ok(Arc::clone(names));
        }
        let schema = match &root.subschema {
            Some(dn) => schema_entry::read(connection, dn).await?,
            None => None,
        };
        let shown = schema.is_some();
        let (configured, excluded) = (self.config().attribute_names(), &self.config().excluded_attributes);
        let names = Arc::new(Names::new(&schema.unwrap_or_default(), &configured, excluded));
        if let Some(key) = self.config().kept_back(|name| names.stays(name)) {
            return Err(Error::KeptBack { key });
        }
        // A server that hides its schema may show it later, or another one may.
        if shown { Ok(Arc::clone(self.names.get_or_init(async || names).await)) } else { Ok(names) }
    }
}
