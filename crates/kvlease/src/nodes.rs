//! Daemons that a command looks at again and again.

use std::time::{Duration, Instant};

use kvlease_client::{Address, Client, Error, StatsReply};

use crate::{arguments::DaemonArgs, failure::Failure, metrics::Metrics};

/// How long a daemon may take for one of its answers.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// One daemon.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) url: String,
    client: Client,
}

/// State of a daemon at one time.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) taken: Instant,
    pub(crate) state: State,
    /// Its account; `None` while it is down, and for a daemon of another make.
    pub(crate) stats: Option<StatsReply>,
    pub(crate) metrics: Metrics,
}

/// Whether a daemon serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Ready,
    /// It answers and takes no work, for this reason.
    NotReady(String),
    /// It answers, and does not let this caller see more, for this reason.
    Denied(String),
    /// It does not answer, for this reason.
    Down(String),
}

impl State {
    /// The state in one word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady(_) => "not ready",
            Self::Denied(_) => "denied",
            Self::Down(_) => "down",
        }
    }

    /// The reason for it, if it is not ready.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::NotReady(reason) | Self::Denied(reason) | Self::Down(reason) => Some(reason),
        }
    }
}

impl Node {
    /// The daemons that were named; the one of the command's options if none was.
    pub(crate) fn all(daemon: &DaemonArgs, urls: &[Address]) -> Result<Vec<Self>, Failure> {
        let node = |address: Option<&Address>| {
            let mut config = daemon.config_of(address.cloned())?;
            config.timeouts.call = ANSWER_MAX;
            Ok(Self { url: config.address.to_string(), client: Client::new(config) })
        };
        match urls.is_empty() {
            true => Ok(vec![node(None)?]),
            false => urls.iter().map(|url| node(Some(url))).collect(),
        }
    }

    /// Asks the daemon for its state, and for its metrics if they are wanted.
    pub(crate) async fn sample(&self, wants_metrics: bool) -> Sample {
        let taken = Instant::now();
        let down = |error: &Error| Sample {
            taken,
            state: State::Down(error.to_string()),
            stats: None,
            metrics: Metrics::default(),
        };
        let mut state = match self.client.ready().await {
            Ok(()) => State::Ready,
            Err(Error::Refused { message, .. }) => State::NotReady(message),
            Err(error) => return down(&error),
        };
        let stats = match self.client.stats().await {
            Ok(stats) => Some(stats),
            Err(Error::Refused { .. }) => None,
            Err(error @ Error::Denied { .. }) => {
                if state == State::Ready {
                    state = State::Denied(error.to_string());
                }
                None
            }
            Err(error) => return down(&error),
        };
        let metrics = match wants_metrics && !matches!(state, State::Denied(_)) {
            true => self.client.metrics().await,
            false => Ok(String::new()),
        };
        match metrics {
            Ok(text) => Sample { taken, state, stats, metrics: Metrics::parse(&text) },
            Err(error) => down(&error),
        }
    }
}
