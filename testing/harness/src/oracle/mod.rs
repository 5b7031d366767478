//! The oracle: which versions of an object a reader may see, and which object must be there.
//!
//! Each key has one writer, which does one thing after the other and numbers the versions that it
//! stores. The requests that it sent and the answers that it got decide which versions can exist.
//! [`KeyState`] has the rules; [`Oracle`] keeps the states for the threads of a process, and
//! [`OracleFile`] for several processes, any of which may be killed.

mod file;
mod memory;
mod state;

pub use file::OracleFile;
pub use memory::Oracle;
pub use state::{CutOff, KeyState};
