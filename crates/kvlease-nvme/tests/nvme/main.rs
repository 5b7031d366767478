//! The tier on a real file.

mod contents;
mod fixture;
mod opening;
