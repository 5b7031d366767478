//! Single processes that a drill starts and kills: each does one thing and says on its standard
//! output how far it is.

mod holder;
mod lane;
mod uploader;

pub use holder::{HELD, HolderArgs, hold};
pub use lane::{FillerArgs, HALF_FILLED, LaneArgs, LaneHolderArgs, fill_half, hold_over_lane};
pub use uploader::{HALF_SENT, UploaderArgs, upload_half};

use std::io::{self, Write};

/// Says something to the drill.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
