//! Checks of the fast lane, as a native client here would take it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use kvlease_client::{
    SocketChoice, TrustedUsers,
    adapter::Settings,
    lane::{Lane, LaneError},
};

use super::{
    names::Name,
    reached::Reached,
    report::{Outcome, Report},
    setup::{Kind, Setup},
};

/// Names of the ways in which the lane fails, of which one at most holds.
const WAYS: [Name; 4] =
    [Name::SocketUnreachable, Name::SocketForeign, Name::SocketRefuses, Name::SocketOfOther];

/// How long the daemon may take for its first answer, and for its index.
const LIMIT: Duration = Duration::from_secs(2);

/// Opens the lane. Whether a client here can take it.
pub(super) async fn check(
    setup: &Setup,
    settings: &Settings,
    reached: Option<&Reached>,
    report: &mut Report,
) -> bool {
    let path = match socket(setup, settings, reached) {
        Ok(path) => path,
        Err(why) => {
            report.unseen(&WAYS, &why);
            report.unseen(&[Name::Index], &why);
            return false;
        }
    };
    let trusted = TrustedUsers { daemon_uid: settings.daemon_uid, ..TrustedUsers::default() };
    let opened = Lane::open(&path, settings.bucket.clone(), false, trusted, 1, LIMIT).await;
    let announced = reached.and_then(|reached| reached.announcement.epoch);
    let (lane, failed) = match opened {
        Ok(lane) if announced.is_some_and(|epoch| epoch != lane.epoch()) => {
            (None, Some(of_other_daemon(&path)))
        }
        Ok(lane) => (Some(lane), None),
        Err(error) => (None, Some(failure(&path, &error))),
    };
    let failed_name = failed.as_ref().map(|(name, _)| *name);
    for name in WAYS.into_iter().filter(|name| Some(*name) != failed_name) {
        let outcome = match failed_name {
            None => Outcome::Right,
            Some(_) => Outcome::unseen("the fast lane fails in another way"),
        };
        report.add(name, outcome);
    }
    if let Some((name, outcome)) = failed {
        report.add(name, outcome);
    }
    let index = match &lane {
        _ if !settings.index => Outcome::unseen("kvlease_index is `none`"),
        None => Outcome::unseen("the fast lane is not open"),
        Some(lane) => index(lane).await,
    };
    report.add(Name::Index, index);
    lane.is_some()
}

/// All checks of a setup whose settings are refused.
pub(super) fn unseen(why: &str, report: &mut Report) {
    report.unseen(&WAYS, why);
    report.unseen(&[Name::Index], why);
}

/// Path of the socket, or the reason why there is none to try.
fn socket(
    setup: &Setup,
    settings: &Settings,
    reached: Option<&Reached>,
) -> Result<PathBuf, String> {
    if setup.kind == Kind::StockInProcess {
        return Err("LMCache's own connector has no fast lane".to_owned());
    }
    match &settings.socket {
        SocketChoice::Never => Err("kvlease_socket is `none`".to_owned()),
        SocketChoice::At(path) => Ok(path.clone()),
        SocketChoice::Announced => {
            let reached = reached.ok_or("no daemon answers")?;
            let announced = reached.announcement.socket.clone();
            announced.ok_or_else(|| "the daemon announces no socket".to_owned())
        }
    }
}

/// Name and outcome of a lane that does not open.
fn failure(path: &Path, error: &LaneError) -> (Name, Outcome) {
    match error {
        LaneError::Foreign { uid, .. } => (
            Name::SocketForeign,
            Outcome::wrong(
                error.to_string(),
                format!("set kvlease_daemon_uid to {uid} if that user runs the daemon"),
            ),
        ),
        LaneError::Refused { text } => {
            // What a daemon with tenants refuses is no matter of the socket's file.
            let remedy = if text.contains("tenant") {
                "do what the daemon says, or set kvlease_socket to `none`, and use HTTP with a tenant's token"
            } else {
                "run the client as the daemon's user, or set server.socket_mode and server.socket_gid"
            };
            (Name::SocketRefuses, Outcome::wrong(error.to_string(), remedy))
        }
        LaneError::Broken { source, .. } => {
            (Name::SocketUnreachable, Outcome::wrong(error.to_string(), way_to(path, source)))
        }
        error => (
            Name::SocketUnreachable,
            Outcome::wrong(error.to_string(), "see whether the daemon is stopped or overloaded"),
        ),
    }
}

fn of_other_daemon(path: &Path) -> (Name, Outcome) {
    let path = path.display();
    let outcome = Outcome::wrong(
        format!("another daemon listens on the socket than answers over HTTP, socket=`{path}`"),
        "set kvlease_socket to the socket of the daemon that the URL names, or the URL to its daemon",
    );
    (Name::SocketOfOther, outcome)
}

/// Remedy for a socket that cannot be connected to.
fn way_to(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path).display();
            format!(
                "in a container, mount the socket's directory `{directory}`, or set kvlease_socket to \
                 where it is mounted; `none` for HTTP alone"
            )
        }
        ErrorKind::PermissionDenied => {
            "run the client as the daemon's user, or set server.socket_mode and server.socket_gid"
                .into()
        }
        _ => "see whether the daemon runs; its restart brings the socket back".into(),
    }
}

async fn index(lane: &Lane) -> Outcome {
    match lane.open_index(LIMIT).await {
        Ok(true) => Outcome::Right,
        Ok(false) => Outcome::wrong(
            "the daemon has no published index, so that each read asks it",
            "run clients and daemon of the same release",
        ),
        Err(error) => Outcome::wrong(
            error.to_string(),
            "see kvlease_connections_full_total: raise server.connections_max, or \
             server.connection_memory_max, if no place was free",
        ),
    }
}
