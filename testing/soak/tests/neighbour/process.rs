//! Process of the neighbour.

use std::{ffi::OsString, path::Path};

use kvlease_soak::neighbour;

/// Neighbour whose attack is on. It is ended on drop.
pub(crate) struct Neighbour(neighbour::Neighbour);

impl Neighbour {
    /// Starts the attack as another user, and waits until it is on.
    pub(crate) fn attack<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_kvlease-soak"));
        let neighbour = neighbour::Neighbour::attack(program, arguments).unwrap();
        println!("the neighbour: {}", neighbour.first());
        Self(neighbour)
    }

    /// Next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        self.0.line().unwrap()
    }

    /// Ends the attack. Returns what the neighbour got.
    pub(crate) fn end(self) -> String {
        let got = self.0.end().unwrap();
        println!("the neighbour: {got}");
        got
    }
}
