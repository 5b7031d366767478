//! Places and form of KV events.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

/// Prefix of ZeroMQ's endpoints over TCP.
const TCP: &str = "tcp://";

/// The longest topic, in bytes.
const TOPIC_LEN_MAX: usize = 255;

/// Where KV events are published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventsEndpoint {
    /// The daemon listens here.
    Listen(SocketAddr),
    /// A subscriber listens there: `tcp://HOST:PORT`, to which the daemon connects.
    Connect(String),
}

impl EventsEndpoint {
    /// Parses `ADDRESS:PORT`, on which the daemon listens, or an endpoint of ZeroMQ, by vLLM's rule: it
    /// listens on `tcp://*:PORT`, and connects to others.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        if text == "none" {
            return Ok(None);
        }
        if let Some(address) = listened(text) {
            return Ok(Some(Self::Listen(address)));
        }
        let host_and_port = text.strip_prefix(TCP).and_then(|rest| rest.rsplit_once(':'));
        match host_and_port {
            Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Ok(Some(Self::Connect(text.to_owned())))
            }
            _ => Err("write an address and a port to listen on, such as `127.0.0.1:5557` or \
                `tcp://*:5557`, or `tcp://HOST:PORT` to connect to, or `none`"
                .into()),
        }
    }
}

impl fmt::Display for EventsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address) => address.fmt(f),
            Self::Connect(endpoint) => f.write_str(endpoint),
        }
    }
}

/// An address to listen on: `ADDRESS:PORT`, `tcp://*:PORT`, or `tcp://[::]:PORT`.
fn listened(text: &str) -> Option<SocketAddr> {
    let Some(rest) = text.strip_prefix(TCP) else { return text.parse().ok() };
    if let Some(port) = rest.strip_prefix("*:") {
        return port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    }
    rest.parse().ok().filter(|address: &SocketAddr| address.ip().is_unspecified())
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// An address to listen on for requests for replays, or `None` for `none`. `tcp://` may be before it.
pub(super) fn replay(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "none" {
        return Ok(None);
    }
    let address = text.strip_prefix(TCP).and_then(|rest| rest.parse().ok());
    listened(text).or(address).map(Some).ok_or_else(|| {
        "write an address and a port, such as `127.0.0.1:5558` or `tcp://*:5558`, or `none`".into()
    })
}

/// A topic; `none` for an empty one.
pub(super) fn topic(text: &str) -> Result<String, String> {
    match text {
        "none" => Ok(String::new()),
        _ if text.len() <= TOPIC_LEN_MAX => Ok(text.to_owned()),
        _ => Err(format!("write at most {TOPIC_LEN_MAX} bytes, or `none`")),
    }
}

pub(super) fn or_no_topic(topic: &str) -> String {
    if topic.is_empty() { "none".into() } else { topic.to_owned() }
}

/// Form of each KV event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventsFormat {
    /// A map, as vLLM has written since June 2026.
    Maps,
    /// An array, as before.
    Arrays,
}

impl EventsFormat {
    const ALL: [Self; 2] = [Self::Maps, Self::Arrays];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Arrays => "arrays",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| "write `maps` or `arrays`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_listens_or_connects_by_vllms_rule() {
        let parsed = |text| EventsEndpoint::parse(text).map(|found| found.unwrap().to_string());
        for (text, shown) in [
            ("127.0.0.1:5557", "127.0.0.1:5557"),
            ("tcp://*:5557", "0.0.0.0:5557"),
            ("tcp://[::]:5557", "[::]:5557"),
            ("tcp://router:5557", "tcp://router:5557"),
            ("tcp://10.0.0.1:5557", "tcp://10.0.0.1:5557"),
        ] {
            assert_eq!(parsed(text), Ok(shown.to_owned()));
            assert_eq!(parsed(shown), Ok(shown.to_owned()), "what is shown is the same");
        }
        assert_eq!(EventsEndpoint::parse("none"), Ok(None));
        for text in
            ["", "5557", "router:5557", "tcp://router", "tcp://:5557", "ipc://x", "tcp://a:0"]
        {
            assert!(EventsEndpoint::parse(text).is_err(), "{text}");
        }
        assert_eq!(replay("tcp://127.0.0.1:1"), Ok(Some(([127, 0, 0, 1], 1).into())));
        assert!(replay("tcp://router:1").is_err());
    }
}
