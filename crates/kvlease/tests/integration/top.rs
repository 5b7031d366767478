//! `kvlease top` in a real terminal: tmux, which `cargo xtask test` installs.

use std::process::Command;

use kvlease_harness::{Daemon, STARTS_WITHIN, until};

use crate::program::{daemon, launch, run_on};

const KVLEASE: &str = env!("CARGO_BIN_EXE_kvlease");

/// Terminal of a test's own, whose server ends with it.
pub(crate) struct Terminal {
    name: String,
    // Where tmux has its socket.
    dir: tempfile::TempDir,
}

impl Terminal {
    /// Runs a command line of a shell in a new terminal of this width.
    pub(crate) fn start(width: u32, line: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("kvlease-{}-{width}", std::process::id());
        let terminal = Self { name, dir };
        let width = width.to_string();
        // The pane stays when the command ends, with its status.
        let line = format!("{line}; echo \"ended with $?\"; sleep 600");
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", "30", "sh", "-c", &line]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-L", &self.name]).args(args);
        command
            .env("TMUX_TMPDIR", self.dir.path())
            .env_remove("TMUX")
            .env("TERM", "xterm-256color");
        let output = command.output().expect("tmux is installed, as Debian's package `tmux`");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The screen, with its colours as escapes.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn await_screen(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let screen = until(STARTS_WITHIN, || Some(self.screen()).filter(|screen| is_so(screen)));
        screen.unwrap_or_else(|| panic!("{what}:\n{}", self.screen()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn line(daemons: &[&Daemon]) -> String {
    let urls: Vec<_> = daemons.iter().map(|daemon| daemon.url()).collect();
    format!("{KVLEASE} top --interval 0.2 {}", urls.join(" "))
}

fn port(daemon: &Daemon) -> String {
    daemon.address().port().to_string()
}

#[test]
fn nodes_are_shown_chosen_and_sorted_and_q_ends_it() {
    let (one, two) = (daemon(), daemon());
    for key in ["a", "b", "c"] {
        run_on(&two, &["put", key], b"bytes");
    }
    let terminal = Terminal::start(130, &line(&[&one, &two]));
    let both = |screen: &str| screen.matches("ready").count() == 2;
    let screen = terminal.await_screen("both are ready", both);
    assert!(screen.contains(&port(&one)) && screen.contains(&port(&two)), "{screen}");
    let account = |daemon: &Daemon| format!("segment    {}", daemon.segment().name());
    // The node that was named first is chosen.
    terminal.await_screen("its account", |screen| screen.contains(&account(&one)));
    terminal.press(if one.url() < two.url() { "Down" } else { "Up" });
    terminal.await_screen("the other account", |screen| screen.contains(&account(&two)));
    for _ in 0..3 {
        terminal.press("s");
    }
    let order = |screen: &str, first: &Daemon, second: &Daemon| {
        let place = |daemon: &Daemon| screen.find(&format!(":{}", port(daemon)));
        place(first).is_some() && place(first) < place(second)
    };
    terminal.await_screen("most objects first", |screen| {
        screen.contains("objects\u{25bc}") && order(screen, &two, &one)
    });
    terminal.press("r");
    terminal.await_screen("fewest objects first", |screen| {
        screen.contains("objects\u{25b2}") && order(screen, &one, &two)
    });
    terminal.tmux(&["resize-window", "-x", "60", "-y", "12"]);
    terminal.await_screen("a smaller screen", |screen| {
        screen.lines().count() <= 12 && screen.contains("q end")
    });
    terminal.press("q");
    terminal.await_screen("its end", |screen| screen.contains("ended with 0"));
}

#[test]
fn a_node_that_is_down_is_shown_as_down_and_comes_back() {
    let mut daemon = daemon();
    let terminal = Terminal::start(131, &line(&[&daemon]));
    terminal.await_screen("ready", |screen| screen.contains("ready"));
    daemon.kill().unwrap();
    terminal.await_screen("down", |screen| screen.contains("down"));
    daemon.start_again().unwrap();
    terminal.await_screen("ready again", |screen| screen.contains("ready"));
    terminal.press("Escape");
    terminal.await_screen("its end", |screen| screen.contains("ended with 0"));
}

#[test]
fn there_are_colours_unless_they_are_unwanted() {
    let mut down = Daemon::start(launch()).unwrap();
    let command = line(&[&down]);
    down.kill().unwrap();
    // Red, as the pane shows it.
    let is_red = |screen: &str| screen.contains("\u{1b}[31m") || screen.contains("[38;5;1m");
    let terminal = Terminal::start(132, &command);
    terminal.await_screen("down in red", |screen| screen.contains("down") && is_red(screen));
    drop(terminal);
    let terminal = Terminal::start(133, &format!("NO_COLOR=1 {command}"));
    let screen = terminal.await_screen("down", |screen| screen.contains("down"));
    assert!(!is_red(&screen), "{screen}");
}

#[test]
fn the_terminal_is_as_it_was_after_a_signal() {
    let daemon = daemon();
    let terminal = Terminal::start(134, &line(&[&daemon]));
    terminal.await_screen("ready", |screen| screen.contains("ready"));
    let pid = terminal.tmux(&["list-panes", "-F", "#{pane_pid}"]);
    let children = Command::new("pgrep").args(["-P", pid.trim()]).output().unwrap();
    let top = String::from_utf8(children.stdout).unwrap();
    let ended = Command::new("kill").args(["-TERM", top.trim()]).status().unwrap();
    assert!(ended.success());
    let screen = terminal.await_screen("its end", |screen| screen.contains("ended with"));
    assert!(!screen.contains("kvlease top"), "the table is gone: {screen}");
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let output = crate::program::run(&["top"], b"");
    assert_eq!(output.status.code(), Some(64));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("kvlease status"), "{line}");
}

#[test]
fn an_interval_is_checked() {
    let output = crate::program::run(&["top", "--interval", "0"], b"");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn ten_thousand_buckets_do_not_break_it() {
    const BUCKETS: usize = 10_000;
    let daemon = daemon();
    let mut wire = daemon.connect().unwrap();
    for number in 0..BUCKETS {
        assert_eq!(wire.put(&format!("/v1/kv/bucket-{number}/k"), b"x").status, 200);
    }
    let terminal = Terminal::start(133, &line(&[&daemon]));
    let taken = format!("taken by {BUCKETS} objects");
    terminal.await_screen("its account", |screen| screen.contains(&taken));
    terminal.press("q");
    terminal.await_screen("its end", |screen| screen.contains("ended with 0"));
}
