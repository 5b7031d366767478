//! Attack on names: files, directories, fifos and symbolic links where the segment's are to be.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::end::{ATTACKING, End};
use crate::output::print;

/// Bytes of a foreign segment.
pub(super) const FOREIGN: u8 = 0x5a;

/// Pause between two attempts on each name.
const PAUSE: Duration = Duration::from_millis(1);

/// Arguments of the attack on names.
#[derive(Clone, Debug, clap::Args)]
pub struct NamesArgs {
    /// Kind of what stands under the names
    #[arg(long)]
    kind: NameKind,
    /// Length of each file
    #[arg(long, default_value_t = 1 << 20)]
    len: usize,
    /// Names to take
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// Kind of what a neighbour puts under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum NameKind {
    /// A file that everybody may read and write, with foreign bytes.
    File,
    /// An empty directory.
    Directory,
    /// A fifo without a reader.
    Fifo,
    /// A symbolic link to a file with foreign bytes.
    Symlink,
}

/// Takes the names again and again, whenever they are free, and leaves them at the end.
pub(super) fn attack(args: &NamesArgs, end: &End) -> anyhow::Result<String> {
    let aim = tempfile::NamedTempFile::with_prefix_in("kvlease-neighbour-", "/dev/shm")?;
    fs::write(aim.path(), vec![FOREIGN; args.len])?;
    let mut taken = vec![0_u64; args.paths.len()];
    let mut first = true;
    while !end.has_come() {
        for (path, taken) in args.paths.iter().zip(&mut taken) {
            // A name that is not free is tried again.
            *taken += u64::from(take(path, args, aim.path()).is_ok());
        }
        if first {
            print(ATTACKING)?;
            first = false;
        }
        thread::sleep(PAUSE);
    }
    for path in &args.paths {
        // Those of others cannot be removed: the directory is sticky.
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir(path);
    }
    Ok(format!("taken {taken:?}"))
}

fn take(path: &Path, args: &NamesArgs, aim: &Path) -> io::Result<()> {
    match args.kind {
        NameKind::File => {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o666).open(path)?;
            io::Write::write_all(&mut &file, &vec![FOREIGN; args.len])
        }
        NameKind::Directory => fs::create_dir(path),
        NameKind::Fifo => Ok(mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)?),
        NameKind::Symlink => symlink(aim, path),
    }
}
