//! What the settings were read from, and where in it something stands.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::environment::Override;
use super::path::Step;
use super::place::Place;

/// What the settings were read from.
pub(super) struct Source<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) text: &'a str,
    pub(super) overrides: Vec<Override>,
}

impl Source<'_> {
    pub(super) fn whole(&self) -> Place {
        self.file.map_or(Place::Nowhere, |path| Place::File(path.to_owned()))
    }

    pub(super) fn at(&self, span: Option<Range<usize>>) -> Place {
        match (self.file, span) {
            (Some(path), Some(span)) => {
                let before = self.text.as_bytes().iter().take(span.start);
                Place::Line(path.to_owned(), 1 + before.filter(|byte| **byte == b'\n').count())
            }
            _ => self.whole(),
        }
    }

    /// The variable that set `path`, else the line of the deepest part of it that the file has.
    pub(super) fn locate(&self, path: &[Step]) -> Place {
        let is_of = |variable: &&Override| variable.path.starts_with(path) || path.starts_with(&variable.path);
        if let Some(variable) = self.overrides.iter().rfind(is_of) {
            return Place::Variable(variable.name.clone());
        }
        match DeTable::parse(self.text) {
            Ok(table) => self.at(deepest(table.get_ref(), path)),
            Err(_) => self.whole(),
        }
    }
}

fn deepest(table: &DeTable<'_>, path: &[Step]) -> Option<Range<usize>> {
    let (Step::Key(wanted), mut rest) = path.split_first()? else { return None };
    let (key, mut value) = table.iter().find(|(key, _)| key.get_ref() == wanted)?;
    let mut span = key.span();
    while let (DeValue::Array(array), Some((Step::Index(index), further))) = (value.get_ref(), rest.split_first()) {
        let Some(element) = array.get(*index) else { return Some(span) };
        (value, rest, span) = (element, further, element.span());
    }
    match value.get_ref() {
        DeValue::Table(inner) => deepest(inner, rest).or(Some(span)),
        _ => Some(span),
    }
}
