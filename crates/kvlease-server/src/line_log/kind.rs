//! Kinds of logs of lines.

use kvlease_engine::LineFileKind;

/// Version of the form of all of them.
const VERSION: u32 = 1;

/// Kind of logs of lines.
#[derive(Debug)]
pub(crate) struct LineLogKind {
    pub(crate) files: LineFileKind,
    /// Field of the first line of a start or of a file, which has the version of the form.
    pub(crate) mark: &'static str,
    /// Name of the thread that writes.
    pub(crate) thread: &'static str,
}

impl LineLogKind {
    /// First line of a start or of a file, the one with this number since the daemon started.
    pub(super) fn header(&self, started_unix_ms: u64, part: u64) -> Vec<u8> {
        let (mark, program) = (self.mark, env!("CARGO_PKG_VERSION"));
        format!(
            "{{\"{mark}\":{VERSION},\"program\":\"{program}\",\"part\":{part},\
             \"started_unix_ms\":{started_unix_ms}}}\n"
        )
        .into_bytes()
    }
}
