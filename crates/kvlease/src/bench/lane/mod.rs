//! The section of the fast lane: calls on many keys and copies by one client on one thread, next to
//! HTTP calls and `memcpy` of the same run.

mod calls;
mod client;
mod report;
mod transfers;

pub(super) use report::LaneReport;

use std::path::PathBuf;

use client::LaneClient;

use super::{buffers::Buffers, session::Session, wire};
use crate::failure::Failure;

/// Steps of progress of the section, with this number of rows of transfers.
pub(super) fn steps(transfers: usize) -> usize {
    calls::ROWS.len() + transfers
}

/// Measures the daemon's fast lane. A daemon without one is no failure: the report says why there
/// are no figures.
pub(super) fn measure(session: &Session, buffers: &mut Buffers) -> Result<LaneReport, Failure> {
    let Some(socket) = find_socket(session)? else {
        return Ok(LaneReport::missing("the daemon has none, or bench does not reach it"));
    };
    let client = match LaneClient::open(session, socket)? {
        Ok(client) => client,
        Err(why) => return Ok(LaneReport::missing(why)),
    };
    let (http_us, calls) = calls::measure(session, &client)?;
    let mut transfers = Vec::new();
    for cell in session.lane_cells() {
        session.progress.set_message(format!("fast lane, {} x {}", cell.size, cell.batch));
        transfers.push(transfers::measure(session, &client, *cell, buffers)?);
        session.progress.inc(1);
    }
    Ok(LaneReport::new(http_us, calls, transfers))
}

/// Path of the socket: the daemon names it in its answer to a lease of a stored object.
fn find_socket(session: &Session) -> Result<Option<PathBuf>, Failure> {
    let mut connection = session.connect(1)?.remove(0);
    let path = format!("{}-socket", session.path_prefix);
    connection.put(&path, b"any").map_err(wire::failed)?;
    let socket = connection.socket(&path);
    let removed = connection.call("DELETE", &path).map(drop);
    let socket = socket.map_err(wire::failed)?;
    removed.map_err(wire::failed)?;
    Ok(socket)
}
