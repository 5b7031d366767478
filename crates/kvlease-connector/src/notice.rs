//! Notices for the operator.

use std::{collections::VecDeque, fmt};

/// How many notices wait to be taken; older ones give way.
const WAITING_MAX: usize = 8;

/// How much a notice matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Good to know, and as it should be.
    Info,
    /// It costs speed, and the operator can fix it.
    Warning,
}

/// Notice for the operator, made once. It shows as its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// One line for the log.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Notices in the order in which they came up, until they are taken.
#[derive(Debug, Default)]
pub(super) struct Notices(VecDeque<Notice>);

impl Notices {
    pub(super) fn info(&mut self, text: String) {
        tracing::info!("{text}");
        self.push(Notice { severity: Severity::Info, text });
    }

    pub(super) fn warning(&mut self, text: String) {
        tracing::warn!("{text}");
        self.push(Notice { severity: Severity::Warning, text });
    }

    /// The oldest that was not taken.
    pub(super) fn take(&mut self) -> Option<Notice> {
        self.0.pop_front()
    }

    fn push(&mut self, notice: Notice) {
        if self.0.len() == WAITING_MAX {
            self.0.pop_front();
        }
        self.0.push_back(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_taken_in_their_order_and_the_oldest_give_way() {
        let mut notices = Notices::default();
        notices.info("first".to_owned());
        notices.warning("second".to_owned());
        let first = notices.take().unwrap();
        assert_eq!((first.to_string().as_str(), first.severity), ("first", Severity::Info));
        assert_eq!(notices.take().unwrap().severity, Severity::Warning);
        assert_eq!(notices.take(), None);
        for number in 0..=WAITING_MAX {
            notices.info(number.to_string());
        }
        assert_eq!(notices.take().unwrap().text, "1");
    }
}
