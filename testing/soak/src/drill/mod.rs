//! Drill processes: a drill starts and kills them. Each does one thing and prints on its standard
//! output how far it is.

mod holder;
mod subject;
mod uploader;

pub use holder::{HELD, HolderArgs, hold};
pub use uploader::{HALF_STORED, UploaderArgs, store_half};
