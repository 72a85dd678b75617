//! The graph of a crate's modules, and its circles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

/// Where one module names another: file and line.
pub(crate) type Place = String;

/// Modules by their paths, such as `crate::session::run`, and who names whom, with the first place.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    arrows: BTreeMap<String, BTreeMap<String, Place>>,
}

impl Graph {
    pub(crate) fn add(&mut self, from: &str, to: &str, place: Place) {
        if from != to {
            self.arrows.entry(from.to_owned()).or_default().entry(to.to_owned()).or_insert(place);
        }
    }

    /// The same without some arrows.
    pub(crate) fn without(&self, left_out: impl Fn(&str, &str) -> bool) -> Self {
        let mut graph = Self::default();
        for (from, to, place) in self.arrows().filter(|(from, to, _)| !left_out(from, to)) {
            graph.add(from, to, place.to_owned());
        }
        graph
    }

    /// A shortest circle for each group of modules that are tied together, as text: of single modules, and of folders
    /// beside each other.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut circles = self.single_circles();
        for circle in self.folders().into_values().flat_map(|folders| folders.single_circles()) {
            if !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }

    /// Who names whom, and where.
    pub(crate) fn arrows(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.arrows.iter().flat_map(|(from, arrows)| {
            arrows.iter().map(move |(to, place)| (from.as_str(), to.as_str(), place.as_str()))
        })
    }

    /// For each parent, the graph of its children, each with all that is below it.
    fn folders(&self) -> BTreeMap<String, Self> {
        let mut folders: BTreeMap<String, Self> = BTreeMap::new();
        for (from, to, place) in self.arrows() {
            let (from, to): (Vec<&str>, Vec<&str>) = (from.split("::").collect(), to.split("::").collect());
            let same = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            if same < from.len() && same < to.len() {
                let [from, to] = [&from, &to].map(|path| path[..=same].join("::"));
                folders
                    .entry(from.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned()))
                    .or_default()
                    .add(&from, &to, place.to_owned());
            }
        }
        folders
    }

    fn single_circles(&self) -> Vec<String> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut circles = Vec::new();
        for (from, arrows) in &self.arrows {
            let ways = arrows.keys().filter_map(|to| self.way(to, from));
            let Some(shortest) = ways.min_by_key(Vec::len) else { continue };
            if shortest.iter().any(|module| seen.contains(module)) {
                continue;
            }
            circles.push(self.describe(from, &shortest));
            seen.extend(shortest);
        }
        circles
    }

    fn describe(&self, from: &str, way: &[&str]) -> String {
        let (mut text, mut at) = (String::new(), from);
        for next in way {
            let place = self.arrows.get(at).and_then(|arrows| arrows.get(*next)).map_or("?", String::as_str);
            let _ = writeln!(text, "  {at} -> {next}   ({place})");
            at = next;
        }
        text
    }

    /// The shortest way, from the one to the other, both named.
    fn way<'g>(&'g self, from: &'g str, to: &str) -> Option<Vec<&'g str>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            if at == to {
                let mut way = vec![at];
                let mut step = at;
                while let Some(previous) = before.get(step) {
                    way.push(previous);
                    step = previous;
                }
                way.reverse();
                return Some(way);
            }
            for next in self.arrows.get(at).into_iter().flat_map(BTreeMap::keys) {
                if next != from && !before.contains_key(next.as_str()) {
                    before.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in arrows {
            graph.add(from, to, "here".to_owned());
        }
        graph
    }

    #[test]
    fn a_circle_is_shown_arrow_by_arrow() {
        assert!(graph(&[("a", "b"), ("b", "c"), ("a", "c"), ("a", "a")]).circles().is_empty());
        let tied = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("x", "y"), ("y", "x")]);
        let circles = tied.circles();
        assert_eq!(circles.len(), 2, "{circles:?}");
        assert_eq!(circles[0], "  a -> b   (here)\n  b -> c   (here)\n  c -> a   (here)\n");
        assert_eq!(tied.without(|from, to| (from, to) == ("c", "a")).circles().len(), 1);
    }

    #[test]
    fn folders_beside_each_other_are_tied_though_no_two_files_are() {
        let tied = graph(&[("crate::a::x", "crate::b"), ("crate::b::y", "crate::a"), ("crate::a::x", "crate::a")]);
        assert_eq!(tied.circles(), ["  crate::a -> crate::b   (here)\n  crate::b -> crate::a   (here)\n"]);
        assert!(graph(&[("crate::a::x", "crate::b"), ("crate::b", "crate")]).circles().is_empty());
    }
}
