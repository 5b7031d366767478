//! Identity of a file, whatever its names.

use std::{fmt, io, os::fd::AsFd, str::FromStr};

use rustix::{
    fs::{AtFlags, Stat, statat},
    io::Errno,
    path::Arg,
};

/// Identity of a file, whatever its names: two names with one identity are the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// Device number of its file system.
    pub device: u64,
    /// Inode number on that file system.
    pub inode: u64,
}

impl Identity {
    /// Identity of the file that a `stat` call described.
    pub fn of_stat(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// Identity of `name` in `dir`, symbolic links not followed; `None` if there is no such name.
    ///
    /// # Errors
    ///
    /// Every other error of the kernel.
    pub fn at(dir: impl AsFd, name: impl Arg) -> io::Result<Option<Self>> {
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Self::of_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Device and inode, as the program `stat` shows them, with a hyphen between.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.device, self.inode)
    }
}

/// The text is not `<device>-<inode>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseIdentityError;

impl FromStr for Identity {
    type Err = ParseIdentityError;

    fn from_str(text: &str) -> Result<Self, ParseIdentityError> {
        let (device, inode) = text.split_once('-').ok_or(ParseIdentityError)?;
        let number = |text: &str| text.parse().map_err(|_| ParseIdentityError);
        Ok(Self { device: number(device)?, inode: number(inode)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_text_and_others_are_refused() {
        let identity = Identity { device: 26, inode: 7 };
        assert_eq!(identity.to_string(), "26-7");
        assert_eq!("26-7".parse(), Ok(identity));
        for text in ["", "-", "26", "26-", "-7", "26-7-1", "26-x"] {
            assert_eq!(text.parse::<Identity>(), Err(ParseIdentityError), "{text:?}");
        }
    }
}
