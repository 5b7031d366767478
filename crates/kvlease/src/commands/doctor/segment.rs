//! Checks of the segment as a client here finds it.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use kvlease_client::{ByteSize, SegmentName, TrustedUsers, adapter::Settings, human_size};
use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use super::{
    names::Name,
    reached::Reached,
    report::{Outcome, Report},
    setup::{Kind, Setup},
};

/// The directory of segments unless configured.
const DIRECTORY: &str = "/dev/shm";

/// Names of the checks of the file itself.
const OF_FILE: [Name; 3] = [Name::OtherSegment, Name::SegmentDenied, Name::SegmentForeign];

/// All names of this module.
const ALL: [Name; 7] = [
    Name::SegmentDiffers,
    Name::SegmentMissing,
    Name::SharedMemorySmall,
    Name::OtherSegment,
    Name::SegmentDenied,
    Name::SegmentForeign,
    Name::DirectoryMounted,
];

/// Looks at the segment. A native client on the fast lane needs no name of it.
pub(super) fn check(
    setup: &Setup,
    settings: &Settings,
    reached: Option<&Reached>,
    has_lane: bool,
    report: &mut Report,
) {
    let Some(name) = &settings.shared_memory_name else {
        return report.unseen(&ALL, "the client is configured to read over HTTP");
    };
    let directory = settings.shared_memory_dir.clone().unwrap_or_else(|| DIRECTORY.into());
    let place = Place { name, path: directory.join(name.as_str()), directory };
    report.add(Name::SegmentDiffers, name_differs(name, reached));
    report.add(Name::SharedMemorySmall, small(&place, reached, has_lane));
    report.add(Name::DirectoryMounted, mounted(setup, &place));
    match fs::symlink_metadata(&place.path) {
        Ok(file) => {
            report.add(Name::SegmentMissing, Outcome::Right);
            report.add(Name::OtherSegment, other(&place, &file, reached));
            report.add(Name::SegmentDenied, denied(setup, &place, &file));
            report.add(Name::SegmentForeign, foreign(setup, settings, &file));
        }
        Err(error) => {
            let missing = match error.kind() {
                ErrorKind::NotFound if has_lane && !setup.is_stock_in_process() => {
                    Outcome::unseen("the fast lane passes the arena, without a name")
                }
                ErrorKind::NotFound => missing(&place),
                _ => Outcome::unseen(format!("`{}`: {error}", place.path.display())),
            };
            report.add(Name::SegmentMissing, missing);
            report.unseen(&OF_FILE, "there is no segment of this name to look at");
        }
    }
}

/// All checks of a setup whose settings are refused.
pub(super) fn unseen(why: &str, report: &mut Report) {
    report.unseen(&ALL, why);
}

/// Place of the segment.
struct Place<'a> {
    name: &'a SegmentName,
    directory: PathBuf,
    path: PathBuf,
}

fn name_differs(name: &SegmentName, reached: Option<&Reached>) -> Outcome {
    let Some(reached) = reached else { return Outcome::unseen("no daemon answers") };
    match reached.stats.as_ref().map(|stats| stats.shared_memory_name.as_str()) {
        None => Outcome::unseen(reached.unseen),
        Some(named) if named == name.as_str() => Outcome::Right,
        Some(named) => Outcome::wrong(
            format!("the client's segment is `{name}`, the daemon's `{named}`"),
            format!("set sagemaker_hyperpod_shared_memory_name to `{named}`"),
        ),
    }
}

fn missing(place: &Place<'_>) -> Outcome {
    Outcome::wrong(
        format!("there is no segment here, path=`{}`", place.path.display()),
        "in a container, mount the daemon's segment file, or its socket for native clients; on the \
         daemon's machine, compare the names",
    )
}

/// A directory that is smaller than the arena is not the daemon's.
fn small(place: &Place<'_>, reached: Option<&Reached>, has_lane: bool) -> Outcome {
    let capacity = match reached.and_then(|reached| reached.stats.as_ref()) {
        Some(stats) => ByteSize::new(stats.capacity),
        None => return Outcome::unseen("the size of the daemon's arena is not known"),
    };
    // One mounted file is where the daemon has it, whatever the directory around it.
    if place.path.exists() || has_lane {
        return Outcome::Right;
    }
    let size = match statvfs(&place.directory) {
        Ok(found) => ByteSize::new(found.f_blocks.saturating_mul(found.f_frsize)),
        Err(error) => return Outcome::unseen(format!("`{}`: {error}", place.directory.display())),
    };
    if size == ByteSize::ZERO || size >= capacity {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "the directory of shared memory has {} in all, the daemon's arena {}: it is the \
             container's own, dir=`{}`",
            human_size(size),
            human_size(capacity),
            place.directory.display()
        ),
        "mount the daemon's segment file or its socket into the container",
    )
}

fn other(place: &Place<'_>, file: &Metadata, reached: Option<&Reached>) -> Outcome {
    let announced = reached.and_then(|reached| reached.announcement.segment);
    let Some(announced) = announced else {
        return Outcome::unseen("no daemon tells which file is its segment");
    };
    if (announced.device, announced.inode) == (file.dev(), file.ino()) {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "the file is not the daemon's segment, path=`{}` file=`{}-{}` announced=`{announced}`",
            place.path.display(),
            file.dev(),
            file.ino()
        ),
        "restart the container, which has mounted an earlier file; or name the daemon of this machine \
         in the URL",
    )
}

fn denied(setup: &Setup, place: &Place<'_>, file: &Metadata) -> Outcome {
    let (needed, verb) = match setup.is_stock_in_process() {
        true => (Access::READ_OK | Access::WRITE_OK, "read and write"),
        false => (Access::READ_OK, "read"),
    };
    // The kernel knows of lists of access and read-only mounts as well.
    let allowed = may(&place.path, needed);
    let opened = || File::open(&place.path).map(drop);
    let Err(error) = allowed.and_then(|()| opened()) else { return Outcome::Right };
    Outcome::wrong(
        format!(
            "this user may not {verb} the segment ({error}), path=`{}` mode=`{:04o}` owner=`{}:{}` \
             user=`{}`",
            place.path.display(),
            file.mode() & 0o7777,
            file.uid(),
            file.gid(),
            rustix::process::geteuid().as_raw()
        ),
        "run the client as that user or in that group, or set cache.segment_mode, cache.segment_uid \
         and cache.segment_gid of the daemon",
    )
}

fn foreign(setup: &Setup, settings: &Settings, file: &Metadata) -> Outcome {
    if setup.is_stock_in_process() {
        return Outcome::unseen("LMCache's own connector does not look at the owner");
    }
    let trusted = TrustedUsers { daemon_uid: settings.daemon_uid, ..TrustedUsers::default() };
    if trusted.include(file.uid()) {
        return Outcome::Right;
    }
    let uid = file.uid();
    Outcome::wrong(
        format!("the segment belongs to a user whom the native client does not trust: uid=`{uid}`"),
        format!("set kvlease_daemon_uid to {uid} if that user runs the daemon"),
    )
}

/// Fails unless this process may do that, by the user and the capabilities that hold for it.
fn may(path: &Path, needed: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, needed, AtFlags::EACCESS)?)
}

/// LMCache's own connector removes the name of the segment at its end, where it can.
fn mounted(setup: &Setup, place: &Place<'_>) -> Outcome {
    match setup.kind {
        Kind::StockInProcess => {}
        Kind::Unknown => return Outcome::unseen("no configuration says which client is used"),
        Kind::NativeInProcess | Kind::Server => return Outcome::Right,
    }
    let beside = place.directory.join(format!(".kvlease.{}", place.name));
    let is_whole = fs::symlink_metadata(beside).is_ok();
    let may_remove = may(&place.directory, Access::WRITE_OK).is_ok();
    if !is_whole || !may_remove {
        return Outcome::Right;
    }
    Outcome::wrong(
        format!(
            "the whole directory of the daemon is there, not the one file: the end of LMCache's own \
             connector removes the segment's name for all clients, dir=`{}`",
            place.directory.display()
        ),
        "mount the one file (`hostPath` of type File), or use the native connector",
    )
}
