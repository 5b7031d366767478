//! Beginning and end of an attack, as the process that started it sees them.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

/// Line that a neighbour prints once its attack is on.
pub const ATTACKING: &str = "attacking";

/// End of the attack, once the standard input has ended.
#[derive(Clone, Debug)]
pub(super) struct End(Arc<AtomicBool>);

impl End {
    pub(super) fn of_input() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        // The thread is not joined: it ends with the process.
        thread::spawn(move || {
            // An error is an end as well.
            let _ = io::stdin().read_to_end(&mut Vec::new());
            flag.store(true, Relaxed);
        });
        Self(ended)
    }

    pub(super) fn has_come(&self) -> bool {
        self.0.load(Relaxed)
    }
}
