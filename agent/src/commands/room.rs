//! How many values an outcome lists. A directory may have far more of them than a message holds, and the outcome that the
//! other end refuses would come again for ever.

use bytes::Bytes;
use postern_proto::limits;

/// Values of one attribute that are listed.
const OF_ONE: usize = limits::MAX_ROWS;
/// Values of all attributes, and their bytes: the entry has to fit beside them.
const VALUES: usize = limits::MAX_OPERATION_VALUES / 2;
const BYTES: usize = 512 << 10;

/// What is left for values.
pub(super) struct Room {
    values: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { values: VALUES, bytes: BYTES }
    }
}

impl Room {
    /// As many of these values as there is room for. A last one says how many others there are.
    pub(super) fn shown(&mut self, values: Vec<Bytes>) -> Vec<Bytes> {
        let all = values.len();
        let mut shown = Vec::new();
        for value in values.into_iter().take(OF_ONE) {
            if self.values == 0 || value.len() > self.bytes {
                break;
            }
            self.values -= 1;
            self.bytes -= value.len();
            shown.push(value);
        }
        let left = all - shown.len();
        if left > 0 {
            shown.push(Bytes::from(format!("… and {left} more")));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, bytes: usize) -> Vec<Bytes> {
        vec![Bytes::from(vec![b'x'; bytes]); count]
    }

    #[test]
    fn many_values_are_cut_and_their_number_is_said() {
        let mut room = Room::default();
        assert_eq!(room.shown(values(3, 1)).len(), 3);
        let shown = room.shown(values(4_500, 1));
        assert_eq!(shown.len(), OF_ONE + 1);
        assert_eq!(shown.last().unwrap(), "… and 4400 more");
    }

    #[test]
    fn all_attributes_share_the_room() {
        let mut room = Room::default();
        let listed: usize = (0..1_000).map(|_| room.shown(values(50, 10)).len()).sum();
        assert!(listed <= VALUES + 1_000, "{listed}");
        let mut room = Room::default();
        let bytes: usize = (0..100).flat_map(|_| room.shown(values(10, 100_000))).map(|value| value.len()).sum();
        assert!(bytes <= BYTES + 100 * 40, "{bytes}");
    }
}
