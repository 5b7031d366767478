//! Circles of imports between the files of a crate. File A uses file B if its code names an item
//! that B defines, whatever re-exports lie between; to declare a module, or to hand an item on, is
//! no use. Code of test builds is left out.

mod collect;
mod crate_tree;
mod exceptions;
mod graph;
mod resolve;
mod uses;

use std::collections::BTreeMap;

use super::rust::Source;
use exceptions::Exception;
use graph::{Component, Graph, Link};

/// Number of circles that are allowed.
pub(super) const ALLOWED: usize = exceptions::ALL.len();

/// Complaints about the crates whose roots are named.
pub(super) fn complaints(roots: &[String], sources: &[Source]) -> Vec<String> {
    judge(&graph(roots, sources), exceptions::ALL)
}

fn graph(roots: &[String], sources: &[Source]) -> Graph {
    let sources: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (source.path.as_str(), source)).collect();
    let mut graph = Graph::default();
    for root in roots {
        let tree = collect::crate_tree(root, &sources);
        for used in &tree.uses {
            let from = &tree.modules[used.module].file;
            for to in resolve::files(&tree, used.module, &used.segments) {
                let path = used.segments.join("::");
                graph.add(from, to, Link { line: used.line, path });
            }
        }
    }
    graph
}

/// Holds the circles of a graph against the exceptions.
fn judge(graph: &Graph, exceptions: &[Exception]) -> Vec<String> {
    let circles = graph.circles();
    let is_refused =
        |circle: &&Component| !exceptions.iter().any(|exception| exception.covers(circle));
    let mut complaints: Vec<String> =
        circles.iter().filter(is_refused).map(|circle| describe(graph, circle)).collect();
    let is_stale = |exception: &&Exception| !circles.iter().any(|circle| exception.covers(circle));
    for Exception { files, reason } in exceptions.iter().filter(is_stale) {
        complaints.push(format!(
            "xtask/src/tidy/circles/exceptions.rs: no circle is left: delete the exception, \
             files=`{}` reason=`{reason}`",
            files.join(", ")
        ));
    }
    complaints
}

fn describe(graph: &Graph, circle: &Component) -> String {
    let files = circle.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let path = graph.closed_path(circle).join("\n    ");
    format!("circle of {} files: {files}\n    {path}", circle.len())
}

#[cfg(test)]
mod tests;
