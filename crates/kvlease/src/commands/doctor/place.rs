//! Checks of the place where a daemon is to start: its settings, limits, memory, paths.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use kvlease_client::{Client, ClientConfig};
use kvlease_server::{
    ServeArgs, arenas_fit,
    config::{self, Config},
    tenants_that_share,
};
use rustix::{
    fs::statfs,
    process::{Resource, geteuid, getrlimit},
};

use super::{
    args::DoctorArgs,
    certificates,
    names::Name,
    report::{Outcome, Report},
    store, tenancy,
    tier::{self, IN_MEMORY},
    variables::Variables,
};
use crate::failure::Failure;

/// Descriptors that the daemon needs beside those of connections.
const DESCRIPTORS: u64 = 64;

/// Names that need settings.
const OF_SETTINGS: [Name; 13] = [
    Name::Room,
    Name::OnDisk,
    Name::SegmentTaken,
    Name::OtherUser,
    Name::SharedArena,
    Name::Port,
    Name::OpenFiles,
    Name::HugePages,
    Name::TierPath,
    Name::IoUring,
    Name::LockedMemory,
    Name::Certificates,
    Name::Store,
];

/// Looks at the place.
pub(super) async fn look(args: &DoctorArgs, variables: &Variables) -> Result<Report, Failure> {
    let mut report = Report::default();
    let named = variables.get("KVLEASE_CONFIG").map(PathBuf::from);
    let (config, set) = (args.config.clone().or(named), args.set.clone());
    let args = ServeArgs { config, set, ..ServeArgs::default() };
    let config = match config::load(&args, variables.pairs()) {
        Ok(config) => config,
        Err(error) => {
            let remedy = "change that setting; `kvlease serve --print-config` shows all that hold";
            report.add(Name::Configuration, Outcome::wrong(error.to_string(), remedy));
            report.unseen(&OF_SETTINGS, "the configuration is refused");
            report.unseen(&tenancy::OF_SETTINGS, "the configuration is refused");
            return Ok(report);
        }
    };
    report.add(Name::Configuration, Outcome::Right);
    let segments = config.arena_names().map(|name| Segment::of(&config.of_arena(name)));
    let segments: Vec<_> = segments.collect();
    report.add(Name::Room, room(&config, &segments));
    report.add(Name::OnDisk, on_disk(&config.shared_memory_dir));
    report.add(Name::SegmentTaken, of_all(&segments, name_taken));
    report.add(Name::OtherUser, of_all(&segments, other_user));
    report.add(Name::SharedArena, shared_arena(&config));
    let owner = segments.iter().find_map(Segment::owner);
    let exists = |arena: &Config| Segment::of(arena).has_private();
    tenancy::check(&config, owner, exists, &mut report);
    report.add(Name::Port, port(&config).await);
    report.add(Name::OpenFiles, open_files(&config));
    report.add(Name::HugePages, huge_pages(&config));
    tier::check(&config, &mut report);
    report.add(Name::Certificates, certificates::check(&config));
    report.add(Name::Store, store::check(&config).await);
    Ok(report)
}

/// Paths of the segment.
struct Segment {
    public: PathBuf,
    private: PathBuf,
}

impl Segment {
    fn of(config: &Config) -> Self {
        let (dir, name) = (&config.shared_memory_dir, &config.shared_memory_name);
        Self { public: dir.join(name.as_str()), private: dir.join(format!(".kvlease.{name}")) }
    }

    fn has_private(&self) -> bool {
        fs::symlink_metadata(&self.private).is_ok()
    }

    /// User of the daemon that left it.
    fn owner(&self) -> Option<u32> {
        fs::symlink_metadata(&self.private).ok().map(|found| found.uid())
    }
}

/// Outcome of a check of all segments: the first that is not right decides.
fn of_all(segments: &[Segment], check: fn(&Segment) -> Outcome) -> Outcome {
    let mut outcomes = segments.iter().map(check);
    outcomes.find(|outcome| !matches!(outcome, Outcome::Right)).unwrap_or(Outcome::Right)
}

fn shared_arena(config: &Config) -> Outcome {
    let sharing = tenants_that_share(config);
    if sharing.is_empty() {
        return Outcome::Right;
    }
    let named = |(arena, tenants): (&str, Vec<&str>)| format!("{arena}: {}", tenants.join(", "));
    let sharing: Vec<_> = sharing.into_iter().map(named).collect();
    Outcome::hint(
        format!(
            "processes of these tenants can read, and with a right to write overwrite, all objects of all \
             tenants of their arena, tenants=`{}`",
            sharing.join("; ")
        ),
        "where that is not meant, write a section `[arena.\"NAME\"]` for each and set arena of the tenant, \
         or remove shares_arena",
    )
}

fn room(config: &Config, segments: &[Segment]) -> Outcome {
    if segments.iter().all(Segment::has_private) {
        return Outcome::unseen("an arena is there already; its daemon checks it at its start");
    }
    match arenas_fit(config, |arena| Segment::of(arena).has_private()) {
        Ok(_) => Outcome::Right,
        Err(error) => Outcome::wrong(
            error.to_string(),
            "set cache.capacity, or capacity of that arena, to what fits, or raise that limit: `emptyDir.sizeLimit`, \
             `resources.limits.memory`, `MemoryMax=`",
        ),
    }
}

fn on_disk(dir: &Path) -> Outcome {
    match statfs(dir) {
        Ok(found) if IN_MEMORY.contains(&found.f_type) => Outcome::Right,
        Ok(_) => Outcome::wrong(
            format!("cache.shared_memory_dir is on a disk, dir=`{}`", dir.display()),
            "use a tmpfs, such as /dev/shm",
        ),
        Err(error) => Outcome::wrong(
            format!("cache.shared_memory_dir cannot be used ({error}), dir=`{}`", dir.display()),
            "make the directory a tmpfs, or name /dev/shm",
        ),
    }
}

fn name_taken(segment: &Segment) -> Outcome {
    if segment.has_private() || fs::symlink_metadata(&segment.public).is_err() {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "a file of another program has the segment's name, path=`{}`",
            segment.public.display()
        ),
        "choose another cache.shared_memory_name, or remove the file once no program uses it",
    )
}

fn other_user(segment: &Segment) -> Outcome {
    let user = geteuid().as_raw();
    match fs::symlink_metadata(&segment.private) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Right,
        Err(error) => Outcome::unseen(error.to_string()),
        Ok(found) if user == 0 || found.uid() == user => Outcome::Right,
        Ok(found) => Outcome::wrong(
            format!(
                "a daemon of another user left the segment, path=`{}` owner=`{}` user=`{user}`",
                segment.private.display(),
                found.uid()
            ),
            "run the daemon as that user, or remove the segment as root: `kvlease segment rm`",
        ),
    }
}

/// A port that the daemon of this very segment has is its own.
async fn port(config: &Config) -> Outcome {
    let address = config.address;
    let error = match TcpListener::bind(address) {
        Ok(_) => return Outcome::Right,
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::AddrInUse
        && let Ok(url) = format!("http://{address}").parse()
        && let Ok(stats) = Client::new(ClientConfig::new(url)).stats().await
        && stats.shared_memory_name == config.shared_memory_name.as_str()
    {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!("the daemon could not listen ({error}), server.address=`{address}`"),
        "stop the program that listens there, or choose another address",
    )
}

fn open_files(config: &Config) -> Outcome {
    let needed = config.connections_max as u64 + DESCRIPTORS;
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < needed => Outcome::wrong(
            format!(
                "the hard limit of open files is {limit}, server.connections_max=`{}` needs {needed}",
                config.connections_max
            ),
            "raise it (`LimitNOFILE=`, `ulimit -Hn`), or lower server.connections_max",
        ),
        _ => Outcome::Right,
    }
}

fn huge_pages(config: &Config) -> Outcome {
    if !config.huge_pages {
        return Outcome::unseen("cache.huge_pages is `false`");
    }
    let mounts = match fs::read_to_string("/proc/self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => return Outcome::unseen(format!("/proc/self/mountinfo: {error}")),
    };
    let Ok(dir) = config.shared_memory_dir.canonicalize() else {
        return Outcome::unseen("cache.shared_memory_dir cannot be read");
    };
    if has_huge_pages(&mounts, &dir) {
        return Outcome::Right;
    }
    Outcome::hint(
        format!("the tmpfs gives no huge pages, so that reads are slower, dir=`{}`", dir.display()),
        format!("`mount -o remount,huge=advise {}`", dir.display()),
    )
}

/// Whether the last mount of all around the directory is one with huge pages.
fn has_huge_pages(mounts: &str, dir: &Path) -> bool {
    let around = mounts.lines().filter_map(|line| {
        let point = line.split(' ').nth(4)?;
        dir.starts_with(point).then_some((point.len(), line))
    });
    // Of mounts on one point the later one counts, which `max_by_key` takes.
    let nearest = around.max_by_key(|(len, _)| *len);
    let options = nearest.and_then(|(_, line)| line.rsplit(' ').next()).unwrap_or_default();
    options.split(',').any(|option| option.starts_with("huge=") && option != "huge=never")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_the_directory_decides_about_huge_pages() {
        let mounts = "1 0 0:1 / / rw - ext4 a rw\n\
                      2 1 0:2 / /dev/shm rw - tmpfs tmpfs rw,size=1k,huge=advise\n\
                      3 1 0:3 / /run rw - tmpfs huge=advise rw\n";
        assert!(has_huge_pages(mounts, Path::new("/dev/shm/x")));
        for dir in ["/run", "/", "/dev/shmx"] {
            assert!(!has_huge_pages(mounts, Path::new(dir)), "{dir}");
        }
    }
}
