//! Sockets of ZeroMQ: one that publishes, and one that replays.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep, timeout};
use zeromq::{
    PubSocket, RouterSocket, Socket, SocketEvent, SocketRecv, SocketSend, ZmqError, ZmqMessage,
};

use super::{
    history::History,
    listeners::{Listeners, Place},
};

/// How long a connect may take, and the pause before the next one.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// How long all answers to one request for a replay may wait for its client.
const REPLAY_WAIT: Duration = Duration::from_millis(500);

/// Number behind the last batch of a replay.
const END: [u8; 8] = [0xff; 8];

/// The sockets of one life: when they are dropped with their runtime, so are all queues.
pub(super) struct Sockets {
    publish: PubSocket,
    events: BoxStream<'static, SocketEvent>,
    replay: Option<RouterSocket>,
    /// Where to connect to, while there is no connection, and when.
    connect: Option<(String, Instant)>,
    remote: Option<String>,
}

/// Message of a socket.
pub(super) enum Incoming {
    /// A subscriber has connected.
    Joined,
    /// A client asks for the batches from this number on.
    Replay(Bytes, u64),
}

impl Sockets {
    pub(super) async fn open(listeners: &Listeners) -> Result<Self, ZmqError> {
        let mut publish = PubSocket::new();
        let events = publish.monitor().boxed();
        let mut remote = None;
        match &listeners.place {
            Place::Listener(listener) => {
                publish.bind_listener(listener.try_clone()?).await?;
            }
            Place::Remote(endpoint) => remote = Some(endpoint.clone()),
        }
        let mut router = None;
        if let Some(listener) = &listeners.replay {
            let mut socket = RouterSocket::new();
            socket.bind_listener(listener.try_clone()?).await?;
            router = Some(socket);
        }
        let connect = remote.clone().map(|endpoint| (endpoint, Instant::now()));
        Ok(Self { publish, events, replay: router, connect, remote })
    }

    /// Sends a batch to all subscribers; to a queue that is full it is not sent.
    pub(super) async fn publish(&mut self, topic: &Bytes, number: u64, batch: Bytes) {
        let frames = vec![topic.clone(), number_frame(number), batch];
        // It only fails without frames.
        let _ = self.publish.send(message(frames)).await;
    }

    /// Waits for a subscriber or a request. Nothing is lost if it is dropped.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            let connect = self.connect.clone();
            tokio::select! {
                event = self.events.next() => match event {
                    Some(SocketEvent::Accepted(..) | SocketEvent::Connected(..)) => {
                        return Incoming::Joined;
                    }
                    Some(SocketEvent::Disconnected(_)) => self.connect_again(),
                    _ => {}
                },
                request = receive(&mut self.replay) => {
                    if let Some(request) = request {
                        return request;
                    }
                }
                () = at(connect.as_ref()) => self.connect().await,
            }
        }
    }

    async fn connect(&mut self) {
        let Some((endpoint, _)) = self.connect.take() else { return };
        let connected = timeout(CONNECT_WAIT, self.publish.connect(&endpoint)).await;
        if !matches!(connected, Ok(Ok(()))) {
            self.connect_again();
        }
    }

    fn connect_again(&mut self) {
        let endpoint = self.remote.clone();
        self.connect = endpoint.map(|endpoint| (endpoint, Instant::now() + CONNECT_WAIT));
    }

    /// Sends batches again, and says where they end.
    pub(super) async fn replay(
        &mut self,
        client: &Bytes,
        topic: &Bytes,
        history: &History,
        from: u64,
    ) {
        let Some(router) = &mut self.replay else { return };
        let batches = history.from(from).into_iter();
        let batches = batches.map(|(number, batch)| (topic.clone(), number_frame(number), batch));
        let end = (Bytes::new(), Bytes::from_static(&END), Bytes::new());
        let answers = async {
            for (topic, number, batch) in batches.chain([end]) {
                let frames = vec![client.clone(), Bytes::new(), topic, number, batch];
                if router.send(message(frames)).await.is_err() {
                    break;
                }
            }
        };
        // A client that takes nothing, or has gone, gets no more.
        let _ = timeout(REPLAY_WAIT, answers).await;
    }
}

/// The next request for a replay; `None` for one that is none.
async fn receive(router: &mut Option<RouterSocket>) -> Option<Incoming> {
    let Some(router) = router else { return std::future::pending().await };
    let Ok(message) = router.recv().await else {
        // The socket has no peers yet.
        sleep(Duration::from_millis(100)).await;
        return None;
    };
    let frames = message.into_vec();
    let [client, _, number] = frames.try_into().ok()?;
    let number = u64::from_be_bytes(number.as_ref().try_into().ok()?);
    Some(Incoming::Replay(client, number))
}

async fn at(connect: Option<&(String, Instant)>) {
    match connect {
        Some((_, when)) => tokio::time::sleep_until(*when).await,
        None => std::future::pending().await,
    }
}

fn number_frame(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn message(frames: Vec<Bytes>) -> ZmqMessage {
    ZmqMessage::try_from(frames).expect("it has frames")
}
