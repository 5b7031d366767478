//! Which way to the daemon is taken: its fast lane if it has one and it can be opened, else HTTP.
//!
//! A lane that breaks is given up at once. It is opened again as soon as that works, as after a
//! restart of the daemon.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use kvlease_http::Client;
use kvlease_lane::{Lane, LaneCounts, LaneError};

use super::{
    config::{ConnectorConfig, SocketChoice},
    notice::{Notice, Notices},
};

/// How long after a failed attempt the next one is made: twice as long after each, up to the most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a notice is made of a lane that breaks and is back at once.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// How long opening may take.
const OPEN_MAX: Duration = Duration::from_millis(500);

/// The lane of one connector.
#[derive(Debug, Default)]
pub(super) struct LaneManager {
    /// Never locked across an await.
    state: Mutex<State>,
    counts: Arc<LaneCounts>,
}

#[derive(Debug, Default)]
struct State {
    lane: Option<Lane>,
    /// When opening is tried next, and how long the pause before that was.
    next: Option<Instant>,
    pause: Duration,
    /// When the lane was opened last.
    opened: Option<Instant>,
    /// Whether an attempt to open the lane is running.
    opening: bool,
    /// Whether it was given up for good.
    closed: bool,
    /// The last notice, as far as it was about the way to the daemon.
    said: Option<Said>,
    /// When the last notice was about a lane that broke.
    warned: Option<Instant>,
    /// Notices that were not taken yet.
    notices: Notices,
}

/// Way to the daemon, as of a notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    Lane,
    Http,
}

impl LaneManager {
    /// The lane, if there is one to be taken; opens it where that is due.
    pub(super) async fn lane(&self, client: &Client, config: &ConnectorConfig) -> Option<Lane> {
        let path = {
            let mut state = self.lock();
            match &state.lane {
                Some(lane) if !lane.is_broken() => return Some(lane.clone()),
                Some(lane) => {
                    let path = lane.path().to_owned();
                    state.broke(&path);
                }
                None => {}
            }
            let path = socket(client, config)?;
            if state.closed || state.opening || state.next.is_some_and(|next| Instant::now() < next)
            {
                return None;
            }
            state.opening = true;
            path
        };
        let opening = Opening(self);
        let settings = &config.client;
        let limit = settings.timeouts.connect.min(OPEN_MAX);
        let (bucket, counts) = (settings.bucket.clone(), Arc::clone(&self.counts));
        let opened =
            Lane::open_counted(&path, bucket, true, settings.requests_max, limit, counts).await;
        let mut state = self.lock();
        let lane = match opened {
            Ok(_) if state.closed => None,
            Ok(lane) => {
                state.opened(&path, lane.clone());
                Some(lane)
            }
            Err(error) => {
                state.failed(&error);
                None
            }
        };
        drop(state);
        drop(opening);
        lane
    }

    /// The lane, if one is open.
    pub(super) fn open_lane(&self) -> Option<Lane> {
        self.lock().lane.clone().filter(|lane| !lane.is_broken())
    }

    /// How many leases came over the lane so far, and how many of them have ended.
    pub(super) fn leases(&self) -> (u64, u64) {
        let LaneCounts { leases, ended } = &*self.counts;
        (leases.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
    }

    /// Gives the lane up for good, also one that is being opened.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let lane = state.lane.take();
        drop(state);
        drop(lane);
    }

    /// Which way is taken, unless that was taken before.
    pub(super) fn take_notice(&self) -> Option<Notice> {
        self.lock().notices.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in the sections can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn opened(&mut self, path: &Path, lane: Lane) {
        if self.said != Some(Said::Lane) {
            let path = path.display();
            self.notices.info(format!("taking the daemon's fast lane, socket=`{path}`"));
            self.said = Some(Said::Lane);
        }
        (self.next, self.opened) = (None, Some(Instant::now()));
        self.lane = Some(lane);
    }

    fn broke(&mut self, path: &Path) {
        self.lane = None;
        if self.opened.is_some_and(|opened| opened.elapsed() >= PAUSE_MAX) {
            self.pause = Duration::ZERO;
        } else {
            // One that breaks soon after each opening is tried less and less often.
            self.wait_longer();
        }
        if self.warned.is_some_and(|warned| warned.elapsed() < WARNING_INTERVAL) {
            return;
        }
        let path = path.display();
        self.notices
            .warning(format!("the fast lane broke: http until it is back, socket=`{path}`"));
        (self.said, self.warned) = (Some(Said::Http), Some(Instant::now()));
    }

    fn failed(&mut self, error: &LaneError) {
        if self.said != Some(Said::Http) {
            self.notices.warning(format!(
                "http, since the fast lane cannot be opened: give this process the socket, or set \
                 kvlease_socket to none, {error}"
            ));
            self.said = Some(Said::Http);
        }
        self.wait_longer();
    }

    fn wait_longer(&mut self) {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.next = Some(Instant::now() + self.pause);
    }
}

/// An attempt to open the lane, which others do not wait for.
struct Opening<'n>(&'n LaneManager);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.lock().opening = false;
    }
}

fn socket(client: &Client, config: &ConnectorConfig) -> Option<PathBuf> {
    match &config.socket {
        SocketChoice::Announced => client.announced_socket(),
        SocketChoice::At(path) => Some(path.clone()),
        SocketChoice::Never => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_breaks_often_is_warned_of_once_and_each_time_that_it_stays_away() {
        let path = Path::new("/absent.sock");
        let away = || LaneError::TimedOut { path: path.to_owned(), limit: OPEN_MAX };
        let mut state = State::default();
        state.broke(path);
        state.failed(&away());
        assert!(state.notices.take().unwrap().text.starts_with("the fast lane broke"));
        assert_eq!(state.notices.take(), None);
        // It was back, and breaks again soon.
        state.said = Some(Said::Lane);
        state.broke(path);
        assert_eq!(state.notices.take(), None);
        for _ in 0..3 {
            state.failed(&away());
        }
        assert!(state.notices.take().unwrap().text.starts_with("http, since the fast lane"));
        assert_eq!(state.notices.take(), None);
        assert!(PAUSE_MIN < state.pause && state.pause <= PAUSE_MAX);
    }
}
