//! Place of the fast lane's socket.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use kvlease_types::SegmentName;

use super::error::ConfigError;

/// The longest path that a socket can have, in bytes: one less than the system's address holds,
/// for the zero byte that most programs put behind it.
const SOCKET_PATH_LEN_MAX: usize = 107;

/// Mode of the fast lane's socket unless configured: for the daemon's own user.
pub(super) const SOCKET_MODE_DEFAULT: u32 = 0o600;

/// Place of the fast lane's socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SocketPlace {
    /// Beside the segment, in a directory of its own.
    Auto,
    /// None: clients have HTTP only.
    None,
    /// This path.
    Path(PathBuf),
}

impl SocketPlace {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            _ if !text.starts_with('/') => Err("write an absolute path, `auto` or `none`".into()),
            _ if !fits(Path::new(text)) => Err(too_long()),
            _ => Ok(Self::Path(text.into())),
        }
    }

    /// The path of the socket beside the segment `name` in `dir`; `None` if there is to be none.
    pub(crate) fn path(
        &self,
        dir: &Path,
        name: &SegmentName,
    ) -> Result<Option<PathBuf>, ConfigError> {
        let path = match self {
            Self::None => return Ok(None),
            Self::Path(path) => path.clone(),
            Self::Auto => dir.join(format!(".kvlane.{name}")).join("sock"),
        };
        if fits(&path) {
            return Ok(Some(path));
        }
        Err(ConfigError::Value {
            key: "server.socket".into(),
            value: path.display().to_string(),
            remedy: too_long(),
            origin: "default".into(),
        })
    }
}

impl fmt::Display for SocketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= SOCKET_PATH_LEN_MAX
}

fn too_long() -> String {
    format!("write a path of at most {SOCKET_PATH_LEN_MAX} bytes, or `none`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_as_long_as_the_system_takes_and_no_longer() {
        let path = |len: usize| format!("/{}", "s".repeat(len - 1));
        assert!(SocketPlace::parse(&path(SOCKET_PATH_LEN_MAX)).is_ok());
        let refused = SocketPlace::parse(&path(SOCKET_PATH_LEN_MAX + 1)).unwrap_err();
        assert!(refused.contains("107 bytes"), "{refused}");
        assert!(SocketPlace::parse("relative.sock").is_err());
    }

    #[test]
    fn a_default_path_that_is_too_long_names_the_setting() {
        let (dir, name) = (Path::new("/dev/shm"), "n".repeat(100).parse().unwrap());
        let message = SocketPlace::Auto.path(dir, &name).unwrap_err().to_string();
        assert!(message.contains("server.socket=`/dev/shm/.kvlane.nnn"), "{message}");
        assert_eq!(SocketPlace::None.path(dir, &name), Ok(None));
    }
}
