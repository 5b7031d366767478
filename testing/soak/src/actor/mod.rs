//! Single processes that a drill starts and kills: each does one thing and says on its standard
//! output how far it is.

mod holder;
mod uploader;

pub use holder::{HELD, HolderArgs, hold};
pub use uploader::{HALF_SENT, UploaderArgs, upload_half};

use std::io::{self, Write};

/// Says something to the drill.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
