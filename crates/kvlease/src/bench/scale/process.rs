//! Properties of processes and of the machine, from `/proc`.

use std::{fs, io};

use kvlease_client::ByteSize;

/// Memory of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Memory that it shares with no other process: heap and stacks.
    pub(super) own: ByteSize,
    /// Mapped files of a tmpfs: the arena and the tables beside it.
    pub(super) shared: ByteSize,
}

/// Memory that a process has now.
pub(super) fn memory(pid: u32) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = |name: &str| {
        let value = value(&text, name).and_then(|value| value.strip_suffix("kB"));
        let kib = value.and_then(|value| value.trim().parse().ok());
        kib.map(ByteSize::kib).ok_or_else(|| io::Error::other(format!("no {name} in /proc")))
    };
    Ok(Memory { own: line("RssAnon")?, shared: line("RssShmem")? })
}

/// Name of the processor, with its family and model where it has them: a virtual machine may hide the
/// rest.
pub(super) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| value(&text, name);
    let name = line("model name").unwrap_or(std::env::consts::ARCH);
    match (line("cpu family"), line("model\t")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name.to_owned(),
    }
}

/// The value of the first line of this name.
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim_start().strip_prefix(':')?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_their_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: A B\nRssAnon:\t    12 kB\n";
        assert_eq!(value(text, "model name"), Some("A B"));
        assert_eq!(value(text, "model\t"), Some("17"));
        assert_eq!(value(text, "RssAnon"), Some("12 kB"));
        assert_eq!(value(text, "model"), Some("17"));
        assert_eq!(value(text, "Rss"), None);
    }

    #[test]
    fn a_process_has_memory() {
        assert!(memory(std::process::id()).unwrap().own > ByteSize::kib(100));
    }
}
