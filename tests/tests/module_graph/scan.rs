//! Reads the modules of a crate from its files, and which of them name which. Tokens suffice: paths look alike in code
//! and in macros.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::graph::Graph;

/// Names that are passed on are followed so far.
const MOST_STEPS: usize = 8;

/// A path as it is written, and its line.
#[derive(Clone, Debug)]
struct Named {
    path: Vec<String>,
    line: usize,
    /// Passed on to others by `pub use`.
    public: bool,
}

/// What a module holds.
#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    /// Names that a `use` brings in.
    imports: BTreeMap<String, Vec<String>>,
    named: Vec<Named>,
    children: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Modules {
    all: BTreeMap<String, Module>,
}

/// The graph of the crate whose sources are in this folder.
pub(crate) fn of(source: &Path) -> Result<Graph> {
    let root = ["lib.rs", "main.rs"].map(|name| source.join(name)).into_iter().find(|file| file.exists());
    let mut modules = Modules::default();
    modules.read_file("crate", &root.context("no lib.rs and no main.rs")?, source)?;
    Ok(modules.graph(source))
}

impl Modules {
    fn read_file(&mut self, path: &str, file: &Path, folder: &Path) -> Result<()> {
        let text = std::fs::read_to_string(file).with_context(|| format!("{path}: {}", file.display()))?;
        let tokens: TokenStream = text.parse().map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        self.all.insert(path.to_owned(), Module { file: file.to_path_buf(), ..Module::default() });
        let mut files = Vec::new();
        self.read(path, tokens, &mut files);
        for child in files {
            let candidates = [folder.join(format!("{child}.rs")), folder.join(&child).join("mod.rs")];
            let Some(found) = candidates.into_iter().find(|file| file.exists()) else { continue };
            self.read_file(&format!("{path}::{child}"), &found, &folder.join(&child))?;
        }
        Ok(())
    }

    /// Reads the tokens of a module; `files` are its children that have files of their own.
    fn read(&mut self, module: &str, tokens: TokenStream, files: &mut Vec<String>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut at, mut public) = (0, false);
        while let Some(token) = tokens.get(at) {
            if let Some(after) = test_item(&tokens, at) {
                at = after;
                continue;
            }
            match token {
                TokenTree::Ident(word) if word == "pub" => {
                    public = true;
                    let group = tokens.get(at + 1).and_then(|next| group(next, Delimiter::Parenthesis));
                    at += 1 + usize::from(group.is_some());
                    continue;
                }
                TokenTree::Ident(word) if word == "use" => {
                    let end = tokens[at..].iter().position(|token| is(token, ';')).map_or(tokens.len(), |end| at + end);
                    self.read_use(module, &tokens[at + 1..end], &[], public);
                    at = end;
                }
                TokenTree::Ident(word) if word == "mod" => at += self.read_mod(module, &tokens[at + 1..], files),
                TokenTree::Ident(word) => {
                    let line = word.span().start().line;
                    let path = path_at(&tokens, &mut at);
                    if path.len() > 1 {
                        self.note(module, Named { path, line, public: false });
                    }
                }
                TokenTree::Group(inner) => self.read(module, inner.stream(), files),
                _ => {}
            }
            public = false;
            at += 1;
        }
    }

    /// `mod child;` or `mod child { … }`. Gives how many tokens behind the word belong to it.
    fn read_mod(&mut self, module: &str, rest: &[TokenTree], files: &mut Vec<String>) -> usize {
        let Some(TokenTree::Ident(name)) = rest.first() else { return 0 };
        let name = name.to_string();
        let Some(parent) = self.all.get_mut(module) else { return 0 };
        let file = parent.file.clone();
        parent.children.insert(name.clone());
        let Some(inner) = rest.get(1).and_then(|next| group(next, Delimiter::Brace)) else {
            files.push(name);
            return 1;
        };
        let path = format!("{module}::{name}");
        self.all.insert(path.clone(), Module { file, ..Module::default() });
        self.read(&path, inner, &mut Vec::new());
        2
    }

    /// A tree of a `use`, behind what stands before it.
    fn read_use(&mut self, module: &str, tokens: &[TokenTree], before: &[String], public: bool) {
        for tree in tokens.split(|token| is(token, ',')) {
            let (mut path, mut name, mut line) = (before.to_vec(), None, 0);
            let mut alias = false;
            let mut nested = false;
            for token in tree {
                match token {
                    TokenTree::Ident(word) if word == "as" => alias = true,
                    TokenTree::Ident(word) if alias => name = Some(word.to_string()),
                    TokenTree::Ident(word) => {
                        line = word.span().start().line;
                        if word != "self" || path.is_empty() {
                            path.push(word.to_string());
                        }
                    }
                    TokenTree::Group(inner) => {
                        nested = true;
                        let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                        self.read_use(module, &inner, &path, public);
                    }
                    _ => {}
                }
            }
            // Behind the last comma nothing stands.
            if nested || tree.is_empty() || path.is_empty() {
                continue;
            }
            let last = name.or_else(|| path.last().cloned()).unwrap_or_default();
            if let Some(module) = self.all.get_mut(module) {
                module.imports.insert(last, path.clone());
            }
            self.note(module, Named { path, line, public });
        }
    }

    fn note(&mut self, module: &str, named: Named) {
        if let Some(module) = self.all.get_mut(module) {
            module.named.push(named);
        }
    }

    fn graph(&self, source: &Path) -> Graph {
        let mut graph = Graph::default();
        for (from, module) in &self.all {
            let file = module.file.strip_prefix(source).unwrap_or(&module.file).display();
            for named in module.named.iter().filter(|named| !named.public) {
                if let Some(to) = self.resolve(from, &named.path, MOST_STEPS) {
                    graph.add(from, &to, format!("{file}:{}: {}", named.line, named.path.join("::")));
                }
            }
        }
        graph
    }

    /// The module in which the thing of this path is defined. `None`: in another crate, or it cannot be seen.
    fn resolve(&self, from: &str, path: &[String], steps: usize) -> Option<String> {
        let steps = steps.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => "crate".to_owned(),
            "self" => from.to_owned(),
            "super" => from.rsplit_once("::")?.0.to_owned(),
            _ => {
                let here = self.all.get(from)?;
                if !here.children.contains(first) {
                    let imported = here.imports.get(first).filter(|import| import.as_slice() != path)?;
                    let whole: Vec<String> = imported.iter().chain(rest).cloned().collect();
                    return self.resolve(from, &whole, steps);
                }
                format!("{from}::{first}")
            }
        };
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                at.truncate(at.rfind("::")?);
            } else {
                let here = self.all.get(&at)?;
                if let Some(import) = here.imports.get(next).filter(|_| !here.children.contains(next)) {
                    let whole: Vec<String> = import.iter().chain(after).cloned().collect();
                    return self.resolve(&at, &whole, steps);
                }
                if !here.children.contains(next) {
                    break;
                }
                at = format!("{at}::{next}");
            }
            rest = after;
        }
        self.all.contains_key(&at).then_some(at)
    }
}

/// Where an item that only tests have ends. `None`: there is none here.
fn test_item(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let attribute = |at: usize| {
        let hash = tokens.get(at).is_some_and(|token| is(token, '#'));
        tokens.get(at + 1).filter(|_| hash).and_then(|token| group(token, Delimiter::Bracket))
    };
    let text = attribute(at)?.to_string().replace(' ', "");
    if !(text == "test"
        || text.ends_with("::test")
        || text.starts_with("cfg(") && text.contains("test") && !text.contains("not(test"))
    {
        return None;
    }
    let mut end = at + 2;
    while attribute(end).is_some() {
        end += 2;
    }
    let is_use = tokens[end..].iter().take(3).any(|token| matches!(token, TokenTree::Ident(word) if word == "use"));
    let ends = |token: &TokenTree| is(token, ';') || !is_use && group(token, Delimiter::Brace).is_some();
    Some(tokens[end..].iter().position(ends).map_or(tokens.len(), |last| end + last + 1))
}

/// The path that begins here; `at` then stands at its last token.
fn path_at(tokens: &[TokenTree], at: &mut usize) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(*at) {
        path.push(word.to_string());
        let colons = [1, 2].into_iter().all(|next| tokens.get(*at + next).is_some_and(|token| is(token, ':')));
        if !colons || !matches!(tokens.get(*at + 3), Some(TokenTree::Ident(_))) {
            break;
        }
        *at += 3;
    }
    path
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn group(token: &TokenTree, delimiter: Delimiter) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

#[test]
fn names_lead_to_where_things_are_defined_and_tests_do_not_count() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("lib.rs", "mod one; mod two; pub use two::Deep; mod three;")?;
    write(
        "one.rs",
        "use crate::Deep; fn f() { vec![super::three::THREE]; } #[cfg(test)] mod tests { use crate::four::X; }",
    )?;
    write("two.rs", "pub struct Deep; #[cfg(test)] use crate::one::f; impl Deep {}")?;
    write("three.rs", "use super::two as second; pub const THREE: u8 = 3; fn g() { second::h() }")?;
    let graph = of(folder.path())?;
    let shown = format!("{graph:?}");
    for arrow in [
        "\"crate::one\": {\"crate::three\"",
        "\"crate::two\": \"one.rs:1: crate::Deep\"",
        "\"crate::three\": {\"crate::two\"",
    ] {
        ensure!(shown.contains(arrow), "no {arrow} in {shown}");
    }
    ensure!(graph.circles().is_empty(), "{shown}");
    write("two.rs", "pub struct Deep(crate::one::One);")?;
    let circles = of(folder.path())?.circles();
    ensure!(circles.len() == 1 && circles[0].contains("crate::two -> crate::one"), "{circles:?}");
    Ok(())
}
