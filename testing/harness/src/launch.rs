//! Settings of one start of a daemon.

use std::{
    env, io,
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use kvlease_testing::free_port;

use crate::segment::Segment;

/// Prefix of the daemon's environment variables.
const VARIABLES: &str = "KVLEASE_";

/// Shell command that passes standard input on as the socket of a service manager: descriptor 3.
const ACTIVATE: &str = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; ";

/// Settings of one start of a daemon. Nothing comes from the environment of the test.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    listen: String,
    capacity: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Shell commands before the daemon takes the shell's place.
    limits: String,
    /// Shell commands in mount and user namespaces of the daemon's own.
    mounts: Option<String>,
    listener: Option<Arc<OwnedFd>>,
}

impl Launch {
    /// Start of this executable with an arena of this size (as `--capacity` takes it), on a free
    /// port of the loopback interface: another port at each start.
    pub fn new(binary: impl Into<PathBuf>, capacity: impl Into<String>) -> Self {
        Self {
            binary: binary.into(),
            listen: "127.0.0.1:0".to_owned(),
            capacity: capacity.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            limits: String::new(),
            mounts: None,
            listener: None,
        }
    }

    /// The same with an arena of this size.
    #[must_use]
    pub fn capacity(mut self, capacity: impl Into<String>) -> Self {
        self.capacity = capacity.into();
        self
    }

    /// The same on this address, which stays the same at each start.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The same with these settings, each `SECTION.KEY=VALUE`.
    #[must_use]
    pub fn set<S: Into<String>>(mut self, settings: impl IntoIterator<Item = S>) -> Self {
        for setting in settings {
            self.arguments.extend(["--set".to_owned(), setting.into()]);
        }
        self
    }

    /// The same with these arguments at the end of the command line.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same under a limit, as `ulimit` of the shell takes it: `-n 40`.
    #[must_use]
    pub fn ulimit(mut self, limit: &str) -> Self {
        self.limits += &format!("ulimit {limit} && ");
        self
    }

    /// The same in the control group with this directory, and so under its limits.
    #[must_use]
    pub fn in_control_group(mut self, directory: &Path) -> Self {
        self.limits += &format!("echo $$ > {}/cgroup.procs && ", directory.display());
        self
    }

    /// The same after shell commands that mount file systems, which the daemon alone sees. It needs
    /// user namespaces, or root.
    #[must_use]
    pub fn mounted(mut self, commands: impl Into<String>) -> Self {
        self.mounts = Some(commands.into());
        self
    }

    /// The same on a socket that the caller listens on, as a service manager hands it over.
    pub fn activated_by(mut self, listener: &TcpListener) -> io::Result<Self> {
        self.listen = listener.local_addr()?.to_string();
        self.listener = Some(Arc::new(OwnedFd::from(listener.try_clone()?)));
        Ok(self)
    }

    /// Command that serves this segment.
    pub fn command(&self, segment: &Segment) -> io::Result<Command> {
        let activate = if self.listener.is_some() { ACTIVATE } else { "" };
        let prelude = format!("{}{activate}", self.limits);
        let mut command = with_default_signals();
        if let Some(mounts) = &self.mounts {
            command.args(["unshare", "--mount", "--map-root-user", "sh", "-c"]);
            command.arg(format!("{mounts} && exec \"$0\" \"$@\""));
        }
        if !prelude.is_empty() {
            command.args(["sh", "-c"]).arg(format!("{prelude}exec \"$0\" \"$@\""));
        }
        command.arg(&self.binary);
        match &self.listener {
            Some(listener) => command.stdin(listener.try_clone()?),
            None => command.stdin(Stdio::null()),
        };
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with(VARIABLES) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["serve", "--listen", &self.listen, "--capacity", &self.capacity]);
        command.args(["--shared-memory-name", segment.name()]).args(&self.arguments);
        Ok(command)
    }

    /// Executable that is started.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

/// Start of a command that acts on signals by default, whatever the test's own parent ignores, as
/// `nohup` and shells without job control do. Program and arguments follow.
pub fn with_default_signals() -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,QUIT,TERM");
    command
}

/// Address that no process listens on, see [`free_port`].
pub fn unused_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_a_socket_go_through_a_shell_and_a_plain_start_does_not() {
        let segment = Segment::new();
        let program = |launch: Launch| {
            let command = launch.command(&segment).unwrap();
            command.get_args().nth(1).unwrap().to_owned()
        };
        let plain = Launch::new("/bin/kvlease", "16MiB");
        assert_eq!(program(plain.clone()), "/bin/kvlease");
        assert_eq!(program(plain.clone().ulimit("-n 40")), "sh");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let activated = plain.activated_by(&listener).unwrap();
        assert_eq!(activated.listen, listener.local_addr().unwrap().to_string());
        assert_eq!(program(activated), "sh");
    }

    #[test]
    fn the_command_line_has_every_setting_in_order() {
        let launch = Launch::new("kvlease", "16MiB").set(["a.b=1", "c.d=2"]).args(["--cold"]);
        let segment = Segment::new();
        let command = launch.command(&segment).unwrap();
        let line: Vec<_> =
            command.get_args().skip(2).filter_map(|argument| argument.to_str()).collect();
        let end = ["--set", "a.b=1", "--set", "c.d=2", "--cold"];
        assert_eq!(line[..5], ["serve", "--listen", "127.0.0.1:0", "--capacity", "16MiB"]);
        assert_eq!(line[5..], [&["--shared-memory-name", segment.name()], &end[..]].concat());
    }
}
