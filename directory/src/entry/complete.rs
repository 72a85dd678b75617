//! Values that did not fit into the entry as it came.

use bytes::Bytes;

use super::{Partial, Selected, Target};
use crate::connection::Connection;
use crate::error::Error;
use crate::range;

impl Selected {
    /// Reads the values that did not fit into the entry; with them, how many bytes the completed attributes take.
    pub(crate) async fn complete(&mut self, connection: &mut Connection) -> Result<usize, Error> {
        let mut bytes = 0;
        let dn = self.entry.dn.clone();
        for part in std::mem::take(&mut self.partial) {
            if let Some(values) = self.values_mut(&part) {
                range::read_rest(connection, &dn, &part.attribute, part.next, values).await?;
                bytes += values.iter().map(Bytes::len).sum::<usize>();
            }
        }
        Ok(bytes)
    }

    /// Where the further values of a partial attribute go.
    pub(crate) fn values_mut(&mut self, partial: &Partial) -> Option<&mut Vec<Bytes>> {
        match partial.target {
            Target::Members => Some(&mut self.entry.members),
            Target::Uids => Some(&mut self.member_uids),
            Target::Attribute => self
                .entry
                .attributes
                .iter_mut()
                .find(|(name, _)| name.eq_ignore_ascii_case(&partial.attribute))
                .map(|(_, values)| values),
        }
    }
}
