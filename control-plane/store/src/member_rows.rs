//! How the names of a group's members are split into rows: sorted, many in a row. A new name goes into the row of its
//! neighbours, so that a change in a large group writes few rows.

/// Names in one row of a group.
pub(crate) const ROW_NAMES: usize = 128;
/// All rows of a group except its last have at least this many. Pages of members rely on it.
pub(crate) const FEWEST_NAMES: usize = ROW_NAMES / 2;

/// The changes in the rows of one group. A row is identified by its first name.
#[derive(Debug, Default)]
pub(crate) struct RowChanges<'a> {
    /// The first names of rows that are deleted.
    pub(crate) deleted: Vec<&'a String>,
    /// Rows whose names change, but not the first one.
    pub(crate) updated: Vec<&'a [String]>,
    pub(crate) inserted: Vec<&'a [String]>,
    pub(crate) joined: Vec<&'a String>,
    pub(crate) left: Vec<&'a String>,
}

impl<'a> RowChanges<'a> {
    /// Compares the rows of a group, in order, with the wanted names, which are sorted and unique.
    /// A row gets up to `most` names.
    pub(crate) fn between(rows: &'a [Vec<String>], wanted: &'a [String], most: usize) -> Self {
        let mut changes = Self::default();
        // A row contains the names from its first one up to the first one of the next row.
        let end_of = |row: usize| match rows.get(row + 1).and_then(|next| next.first()) {
            Some(first) => wanted.partition_point(|name| name < first),
            None => wanted.len(),
        };
        if rows.is_empty() {
            changes.replace(&[], wanted, most);
        }
        let (mut row, mut start) = (0, 0);
        while row < rows.len() {
            let (begin, mut end) = (row, end_of(row));
            row += 1;
            if rows[begin] != wanted[start..end] {
                // A row with too few names is merged with the next one.
                while start < end && end - start < most / 2 && row < rows.len() {
                    end = end_of(row);
                    row += 1;
                }
                changes.replace(&rows[begin..row], &wanted[start..end], most);
            }
            start = end;
        }
        changes
    }

    /// Replaces neighbouring rows by these names.
    fn replace(&mut self, rows: &'a [Vec<String>], wanted: &'a [String], most: usize) {
        let known: Vec<&String> = rows.iter().flatten().collect();
        self.joined.extend(wanted.iter().filter(|name| known.binary_search(name).is_err()));
        self.left.extend(known.into_iter().filter(|name| wanted.binary_search(name).is_err()));
        let pieces = pieces(wanted, most);
        let begins = |names: &[String], row: &[String]| names.first() == row.first();
        let gone = rows.iter().filter(|row| !pieces.iter().any(|piece| begins(piece, row)));
        self.deleted.extend(gone.filter_map(|row| row.first()));
        for piece in pieces {
            match rows.iter().find(|row| begins(piece, row)) {
                Some(row) if row == piece => {}
                Some(_) => self.updated.push(piece),
                None => self.inserted.push(piece),
            }
        }
    }
}

/// Splits names into as few rows as possible, of about equal length: each of several is at least half full.
fn pieces(names: &[String], most: usize) -> Vec<&[String]> {
    let count = names.len().div_ceil(most.max(1));
    (0..count).map(|piece| &names[names.len() * piece / count..names.len() * (piece + 1) / count]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
        numbers.into_iter().map(|number| format!("{number:06}")).collect()
    }

    /// The rows after these changes.
    fn carried_out(rows: &[Vec<String>], changes: &RowChanges<'_>) -> Vec<Vec<String>> {
        let mut after = rows.to_vec();
        after.retain(|row| !changes.deleted.contains(&&row[0]));
        for updated in &changes.updated {
            *after.iter_mut().find(|row| row[0] == updated[0]).unwrap() = updated.to_vec();
        }
        for inserted in &changes.inserted {
            assert!(after.iter().all(|row| row[0] != inserted[0]), "two rows begin with {}", inserted[0]);
            after.push(inserted.to_vec());
        }
        after.sort();
        after
    }

    /// Whether this turn selects a number.
    fn drawn(turn: u32, number: usize, percent: u8) -> bool {
        u32::from(blake3::hash(format!("{turn} {number}").as_bytes()).as_bytes()[0]) * 100 < u32::from(percent) * 256
    }

    #[test]
    fn rows_hold_what_they_should_and_none_but_the_last_is_less_than_half_full() {
        let mut rows = Vec::new();
        for turn in 0..200 {
            let known: Vec<String> = rows.concat();
            let percent = [1, 50, 0, 90, 5, 100][turn as usize % 6];
            let wanted = names((0..3_000).filter(|number| drawn(turn, *number, percent)));
            let changes = RowChanges::between(&rows, &wanted, ROW_NAMES);
            let (joined, left) = (changes.joined.len(), changes.left.len());
            assert_eq!(joined, wanted.iter().filter(|name| known.binary_search(name).is_err()).count());
            assert_eq!(left, known.iter().filter(|name| wanted.binary_search(name).is_err()).count());
            rows = carried_out(&rows, &changes);
            assert_eq!(rows.concat(), wanted);
            let (_, all_but_last) = rows.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
            assert!(all_but_last.iter().all(|row| row.len() >= FEWEST_NAMES), "turn {turn}");
            assert!(rows.iter().all(|row| !row.is_empty() && row.len() <= ROW_NAMES), "turn {turn}");
        }
    }

    #[test]
    fn one_name_changes_at_most_three_rows() {
        let mut wanted = names((0..4_000).step_by(2));
        let mut rows = carried_out(&[], &RowChanges::between(&[], &wanted, ROW_NAMES));
        for number in (1..4_000).step_by(7).chain((0..4_000).step_by(3)) {
            let name = format!("{number:06}");
            match wanted.binary_search(&name) {
                Ok(place) => drop(wanted.remove(place)),
                Err(place) => wanted.insert(place, name),
            }
            let changes = RowChanges::between(&rows, &wanted, ROW_NAMES);
            assert_eq!(changes.joined.len() + changes.left.len(), 1);
            let written = changes.deleted.len() + changes.updated.len() + changes.inserted.len();
            assert!(written <= 3, "{changes:?}");
            rows = carried_out(&rows, &changes);
        }
        assert_eq!(rows.concat(), wanted);
    }
}
