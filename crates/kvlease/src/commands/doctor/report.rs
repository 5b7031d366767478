//! Report of a look: what is wrong with its remedy, what could not be seen, what is right.

use std::fmt::Write;

use serde::Serialize;

use super::names::Name;
use crate::text::printable;

/// Outcome of one check.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was looked at, and nothing is wrong.
    Right,
    /// It is wrong.
    Wrong(Vec<Trouble>),
    /// It is no mistake, and may cost something. It does not count for the exit status.
    Hint(Trouble),
    /// It could not be seen, for this reason.
    Unseen(String),
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Trouble {
    what: String,
    remedy: String,
}

impl Outcome {
    /// One thing that is wrong, and its remedy.
    pub(super) fn wrong(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Wrong(vec![Trouble::new(what, remedy)])
    }

    /// Something that may cost something, and its remedy.
    pub(super) fn hint(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Hint(Trouble::new(what, remedy))
    }

    /// Something that could not be seen.
    pub(super) fn unseen(why: impl Into<String>) -> Self {
        Self::Unseen(why.into())
    }
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Report, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    findings: Vec<Finding>,
    hints: Vec<Finding>,
    not_checked: Vec<NotChecked>,
    right: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    what: String,
    remedy: String,
}

#[derive(Debug, Serialize)]
struct NotChecked {
    name: &'static str,
    why: String,
}

impl Report {
    /// Takes the outcome of a check.
    pub(super) fn add(&mut self, name: Name, outcome: Outcome) {
        let text = name.text();
        let finding = |trouble: Trouble| Finding {
            name: text,
            what: printable(&trouble.what),
            remedy: printable(&trouble.remedy),
        };
        match outcome {
            Outcome::Right => self.right.push(text),
            Outcome::Wrong(troubles) => self.findings.extend(troubles.into_iter().map(finding)),
            Outcome::Hint(trouble) => self.hints.push(finding(trouble)),
            Outcome::Unseen(why) => {
                self.not_checked.push(NotChecked { name: text, why: printable(&why) });
            }
        }
    }

    /// Takes several names that could not be looked at, all for one reason.
    pub(super) fn unseen(&mut self, names: &[Name], why: &str) {
        names.iter().for_each(|name| self.add(*name, Outcome::unseen(why)));
    }

    /// Names that were not checked, by reason.
    fn unchecked(&self) -> Vec<(Vec<&str>, &str)> {
        let mut by_reason: Vec<(Vec<&str>, &str)> = Vec::new();
        for NotChecked { name, why } in &self.not_checked {
            match by_reason.iter_mut().find(|(_, reason)| reason == why) {
                Some((names, _)) => names.push(name),
                None => by_reason.push((vec![name], why)),
            }
        }
        by_reason
    }

    /// Whether something is wrong.
    pub(super) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Lines for people: two for each finding, one for each reason why something was not checked, and one
    /// for all.
    pub(super) fn lines(&self, side: Side) -> String {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{words}");
        };
        for (kind, findings) in [("finding", &self.findings), ("hint", &self.hints)] {
            for Finding { name, what, remedy } in findings {
                line(format_args!("{kind}  {name}: {what}\n  remedy  {remedy}"));
            }
        }
        for (names, why) in self.unchecked() {
            line(format_args!("not checked  {}: {why}", names.join(", ")));
        }
        let (found, right) = (self.findings.len(), self.right.len());
        let (from, unseen) = (side.text(), self.not_checked.len());
        let findings = if found == 1 { "finding" } else { "findings" };
        line(format_args!(
            "{from}: {found} {findings}, {right} checks right, {unseen} not checked"
        ));
        text
    }
}

/// Place from which it is looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Where a client runs.
    Client,
    /// Where a daemon is to start.
    Daemon,
}

impl Side {
    const fn text(self) -> &'static str {
        match self {
            Self::Client => "seen from a client here",
            Self::Daemon => "seen for a daemon here",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_one_reason_keeps_from_a_look_are_in_one_line() {
        let mut report = Report::default();
        report.add(Name::NotReady, Outcome::unseen("no daemon answers"));
        report.add(Name::SegmentMissing, Outcome::wrong("no segment", "mount it"));
        report.add(Name::UnfullChunks, Outcome::unseen("no file"));
        report.unseen(&[Name::LeasesExpire], "no daemon answers");
        let expected = "\
            finding  segment-missing: no segment\n  remedy  mount it\n\
            not checked  daemon-not-ready, leases-expire: no daemon answers\n\
            not checked  unfull-chunks-off: no file\n\
            seen from a client here: 1 finding, 0 checks right, 3 not checked\n";
        assert_eq!(report.lines(Side::Client), expected);
    }
}
