//! The section of the fast lane: calls on many keys and copies by one client on one thread, next to
//! HTTP calls and `memcpy` of the same run.

mod calls;
mod client;
mod report;
mod transfers;

pub(super) use client::LaneClient;
pub(super) use report::{LaneReport, LaneTransferRow};

use std::path::PathBuf;

use super::{buffers::Buffers, plan::LaneCell, session::Session, wire};
use crate::failure::Failure;

/// Steps of progress of the section, with this number of rows of transfers.
pub(super) fn steps(transfers: usize) -> usize {
    calls::ROWS.len() + transfers
}

/// Measures the daemon's fast lane. A daemon without one is no failure: the report says why there
/// are no figures.
pub(super) fn measure(session: &Session, buffers: &mut Buffers) -> Result<LaneReport, Failure> {
    let client = match open(session)? {
        Ok(client) => client,
        Err(why) => return Ok(LaneReport::missing(why)),
    };
    let (http_us, calls) = calls::measure(session, &client)?;
    let transfers = measure_transfers(session, &client, session.lane_cells(), buffers)?;
    Ok(LaneReport::new(http_us, calls, transfers))
}

/// Opens the daemon's fast lane; the inner error is why it cannot be used.
pub(super) fn open(session: &Session) -> Result<Result<LaneClient, String>, Failure> {
    match find_socket(session)? {
        Some(socket) => LaneClient::open(session.lane_place(socket)),
        None => Ok(Err("the daemon has none, or bench does not reach it".to_owned())),
    }
}

/// Measures rows of transfers.
pub(super) fn measure_transfers<'c>(
    session: &Session,
    client: &LaneClient,
    cells: impl IntoIterator<Item = &'c LaneCell>,
    buffers: &mut Buffers,
) -> Result<Vec<LaneTransferRow>, Failure> {
    let measure = |cell: &LaneCell| {
        session.progress.set_message(format!("fast lane, {} x {}", cell.size, cell.batch));
        let row = transfers::measure(session, client, *cell, buffers)?;
        session.progress.inc(1);
        Ok(row)
    };
    cells.into_iter().map(measure).collect()
}

/// Path of the socket: the daemon names it in its answer to a lease of a stored object.
pub(super) fn find_socket(session: &Session) -> Result<Option<PathBuf>, Failure> {
    let mut connection = session.connect(1)?.remove(0);
    let path = format!("{}-socket", session.path_prefix);
    connection.put(&path, b"any").map_err(wire::failed)?;
    let socket = connection.socket(&path);
    let removed = connection.call("DELETE", &path).map(drop);
    let socket = socket.map_err(wire::failed)?;
    removed.map_err(wire::failed)?;
    Ok(socket)
}
