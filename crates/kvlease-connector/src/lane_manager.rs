//! Which way to the daemon is taken: its fast lane if it has one and it can be opened, else HTTP.
//!
//! A lane that breaks is given up at once. It is opened again as soon as that works, as after a
//! restart of the daemon. It has to be the lane of the daemon that answers over HTTP: of a trusted
//! user, and of the same incarnation.

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

/// Part of the time limit of a call that opening may take: the call that opens the lane takes so much longer.
const OPEN_PART: u32 = 4;

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
    /// HTTP, since what listens is not the daemon's.
    Foreign,
}

impl LaneManager {
    /// The lane, if there is one to be taken; opens it where that is due.
    pub(super) async fn lane(&self, client: &Client, config: &ConnectorConfig) -> Option<Lane> {
        let path = {
            let mut state = self.lock();
            match &state.lane {
                Some(lane) if !lane.is_broken() && is_announced(lane, client) => {
                    return Some(lane.clone());
                }
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
        let timeouts = settings.timeouts;
        let limit = timeouts.connect.min(timeouts.call / OPEN_PART).min(config.lane_open_max);
        let (bucket, counts) = (settings.bucket.clone(), Arc::clone(&self.counts));
        let (trusted, connections) = (settings.trusted, settings.requests_max);
        let started = Instant::now();
        let opened =
            Lane::open_counted(&path, bucket, true, trusted, connections, limit, counts).await;
        let left = || limit.saturating_sub(started.elapsed());
        let opened = match opened {
            Ok(lane) => ensure_announced(lane, client, left()).await,
            Err(error) => Err(error),
        };
        if let Ok(lane) = &opened
            && config.index
        {
            // Without the index the daemon is asked for each object.
            let _ = lane.open_index(left()).await;
        }
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
            let (path, index) = (path.display(), if lane.has_index() { "read" } else { "none" });
            self.notices
                .info(format!("taking the daemon's fast lane, socket=`{path}` index=`{index}`"));
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
        let (said, remedy) = match error {
            LaneError::Foreign { .. } | LaneError::OtherDaemon { .. } => (Said::Foreign, ""),
            _ => (Said::Http, "give this process the socket, or set kvlease_socket to none, "),
        };
        let is_news = match self.said {
            None | Some(Said::Lane) => true,
            Some(Said::Http) => said == Said::Foreign,
            Some(Said::Foreign) => false,
        };
        if is_news {
            self.notices
                .warning(format!("http, since the fast lane cannot be opened: {remedy}{error}"));
            self.said = Some(said);
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

/// Whether the lane is that of the incarnation that answers over HTTP, as far as that is known.
fn is_announced(lane: &Lane, client: &Client) -> bool {
    client.announced_epoch().is_none_or(|epoch| epoch == lane.epoch())
}

/// Returns the lane if it is that of the incarnation that answers over HTTP. The daemon is asked if
/// it announced nothing yet, or another epoch, as before a restart. If it does not answer and
/// announced nothing, there is nothing to compare; what it announced before it was silent says
/// nothing of the daemon that listens now.
async fn ensure_announced(lane: Lane, client: &Client, limit: Duration) -> Result<Lane, LaneError> {
    if client.announced_epoch() == Some(lane.epoch()) {
        return Ok(lane);
    }
    // A failure is the call's to report, if it comes to HTTP.
    let answers = matches!(tokio::time::timeout(limit, client.ping()).await, Ok(Ok(())));
    let (path, found) = (lane.path().to_owned(), lane.epoch());
    match client.announced_epoch() {
        Some(announced) if announced == found => Ok(lane),
        None => Ok(lane),
        Some(announced) if answers => Err(LaneError::OtherDaemon { path, found, announced }),
        Some(_) => Err(LaneError::Unconfirmed { path, found }),
    }
}

fn socket(client: &Client, config: &ConnectorConfig) -> Option<PathBuf> {
    match &config.socket {
        SocketChoice::Announced => client.announcement().socket,
        SocketChoice::At(path) => Some(path.clone()),
        SocketChoice::Never => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_LIMIT: Duration = Duration::from_millis(500);

    #[test]
    fn a_lane_that_breaks_often_is_warned_of_once_and_each_time_that_it_stays_away() {
        let path = Path::new("/absent.sock");
        let away = || LaneError::TimedOut { path: path.to_owned(), limit: OPEN_LIMIT };
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

    #[test]
    fn a_foreign_socket_in_the_place_of_a_lane_that_broke_is_warned_of_once() {
        let path = Path::new("/absent.sock");
        let mut state = State::default();
        state.broke(path);
        assert!(state.notices.take().is_some());
        for _ in 0..3 {
            state.failed(&LaneError::Foreign { path: path.to_owned(), uid: 4_242 });
            state.failed(&LaneError::TimedOut { path: path.to_owned(), limit: OPEN_LIMIT });
        }
        let text = state.notices.take().unwrap().text;
        for part in ["kvlease_daemon_uid", "uid=`4242`", "socket=`/absent.sock`"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(state.notices.take(), None);
    }
}
