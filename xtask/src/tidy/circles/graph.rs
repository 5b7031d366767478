//! Which file uses which, and where that runs in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// One use of a file by another, as a reader finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) line: usize,
    /// Path that the code names there.
    pub(super) path: String,
}

/// For each file, the files that it uses, each with the first place where it does.
#[derive(Default)]
pub(super) struct Graph {
    links: BTreeMap<String, BTreeMap<String, Link>>,
}

/// Files each of which uses each, directly or through others.
pub(super) type Component = BTreeSet<String>;

impl Graph {
    /// Adds a use, unless a file uses itself.
    pub(super) fn add(&mut self, from: &str, to: &str, link: Link) {
        if from == to {
            return;
        }
        self.links.entry(to.to_owned()).or_default();
        let first = self.links.entry(from.to_owned()).or_default().entry(to.to_owned());
        let first = first.or_insert_with(|| link.clone());
        if link.line < first.line {
            *first = link;
        }
    }

    /// The circles, by Tarjan's algorithm: strongly connected components of two files or more.
    pub(super) fn circles(&self) -> Vec<Component> {
        let mut search = Search::default();
        for file in self.links.keys() {
            if !search.numbers.contains_key(file.as_str()) {
                search.visit(self, file);
            }
        }
        search.circles.sort();
        search.circles
    }

    /// The shortest closed path through the first file of a circle, one use a line.
    pub(super) fn closed_path(&self, circle: &Component) -> Vec<String> {
        let Some(start) = circle.first() else { return Vec::new() };
        let mut came_from: HashMap<&str, &str> = HashMap::new();
        let mut queue = VecDeque::from([start.as_str()]);
        while let Some(file) = queue.pop_front() {
            let used = self.links[file].keys().filter(|used| circle.contains(*used));
            for used in used {
                if !came_from.contains_key(used.as_str()) {
                    came_from.insert(used, file);
                    queue.push_back(used);
                }
            }
        }
        // Back from the start to itself.
        let mut lines = Vec::new();
        let mut to = start.as_str();
        while let Some(from) = came_from.get(to) {
            let Link { line, path } = &self.links[*from][to];
            lines.push(format!("{from}:{line} uses `{path}` of {to}"));
            to = from;
            if to == start {
                break;
            }
        }
        lines.reverse();
        lines
    }
}

/// State of Tarjan's algorithm.
#[derive(Default)]
struct Search<'a> {
    /// Numbers of the files that were visited, in their order, and the lowest that each reaches.
    numbers: HashMap<&'a str, usize>,
    lowest: HashMap<&'a str, usize>,
    /// Files that were visited and have no component yet.
    stack: Vec<&'a str>,
    circles: Vec<Component>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, graph: &'a Graph, file: &'a str) -> usize {
        let number = self.numbers.len();
        let mut lowest = number;
        self.numbers.insert(file, number);
        self.stack.push(file);
        for used in graph.links[file].keys().map(String::as_str) {
            if !self.numbers.contains_key(used) {
                lowest = lowest.min(self.visit(graph, used));
            } else if self.stack.contains(&used) {
                lowest = lowest.min(self.numbers[used]);
            }
        }
        self.lowest.insert(file, lowest);
        // The first file of a component takes all of it from the stack.
        if lowest == number {
            let start = self.stack.iter().position(|other| *other == file).unwrap_or_default();
            let component = self.stack.split_off(start);
            if component.len() > 1 {
                self.circles.push(component.into_iter().map(str::to_owned).collect());
            }
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (line, (from, to)) in links.iter().enumerate() {
            graph.add(from, to, Link { line: line + 1, path: format!("super::{to}") });
        }
        graph
    }

    #[test]
    fn circles_are_found_apart_and_other_files_are_in_none() {
        let graph = graph(&[
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "d"),
            ("d", "e"),
            ("e", "d"),
            ("e", "f"),
            ("g", "a"),
        ]);
        let circles = graph.circles();
        let names: Vec<Vec<_>> =
            circles.iter().map(|circle| circle.iter().map(String::as_str).collect()).collect();
        assert_eq!(names, [vec!["a", "b", "c"], vec!["d", "e"]]);
        let path = graph.closed_path(&circles[0]);
        assert_eq!(
            path,
            ["a:1 uses `super::b` of b", "b:2 uses `super::c` of c", "c:3 uses `super::a` of a"]
        );
    }

    #[test]
    fn a_file_that_uses_itself_or_a_common_file_is_no_circle() {
        let graph = graph(&[("a", "a"), ("a", "c"), ("b", "c"), ("a", "b")]);
        assert!(graph.circles().is_empty());
    }

    #[test]
    fn the_first_place_of_a_use_is_shown() {
        let mut graph = Graph::default();
        for (from, to, line) in [("a", "b", 9), ("a", "b", 4), ("a", "b", 6), ("b", "a", 1)] {
            graph.add(from, to, Link { line, path: "x".to_owned() });
        }
        let path = graph.closed_path(&graph.circles()[0]);
        assert_eq!(path, ["a:4 uses `x` of b", "b:1 uses `x` of a"]);
    }
}
