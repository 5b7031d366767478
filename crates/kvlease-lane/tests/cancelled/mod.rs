//! Acquires that are cancelled while they wait at the daemon.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::mpsc::{Receiver, channel},
};

use kvlease_api::lane::{DoneStatus, FRAME_LEN_MAX, Frame, Request, write_done};
use kvlease_arena::Generations;
use kvlease_lane::Lane;
use kvlease_types::Key;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::timeout,
};

use super::{
    open,
    peer::{LIMIT, Peer, grant, granted, greet, next_frame, read_frame},
};

/// Event at the daemon.
#[derive(PartialEq, Eq, Debug)]
enum Event {
    Asked,
    Released(Vec<u64>),
}

/// Daemon that answers the acquire behind the answers to `later` calls.
fn daemon(later: usize, events: UnboundedSender<Event>) -> Peer {
    Peer::serving(move |stream| {
        let (_generations, waits) = asked(&stream, &events);
        let answer = || {
            let mut answer = Vec::new();
            write_done(&mut answer, read_frame(&mut &stream), &[DoneStatus::Done]);
            answer
        };
        for _ in 0..later {
            (&stream).write_all(&answer()).unwrap();
        }
        let last = answer();
        (&stream).write_all(&granted(waits, grant(3, 9), 0)).unwrap();
        (&stream).write_all(&last).unwrap();
        tell_released(&stream, &events);
    })
}

/// Daemon that answers the acquire once it is allowed to, and no other call.
fn slow_daemon(events: UnboundedSender<Event>, allowed: Receiver<()>) -> Peer {
    Peer::serving(move |stream| {
        let (_generations, waits) = asked(&stream, &events);
        allowed.recv().unwrap();
        (&stream).write_all(&granted(waits, grant(3, 9), 0)).unwrap();
        tell_released(&stream, &events);
    })
}

/// Serves a client until it has asked for an object. The number of its request, and the generations.
fn asked(mut stream: &UnixStream, events: &UnboundedSender<Event>) -> (Generations, u64) {
    let generations = Generations::create(8).unwrap();
    generations.set(3, 9);
    greet(stream, &generations);
    let waits = read_frame(&mut stream);
    events.send(Event::Asked).unwrap();
    (generations, waits)
}

/// Tells what the client releases next, and serves it until it has closed.
fn tell_released(mut stream: &UnixStream, events: &UnboundedSender<Event>) {
    let arrived = next_frame(&mut stream).unwrap();
    let frame = Frame::split(&arrived, FRAME_LEN_MAX).unwrap().unwrap().0;
    let Request::Release { ids, .. } = Request::decode(&frame).unwrap() else { return };
    events.send(Event::Released(ids.collect())).unwrap();
    let _ = next_frame(&mut stream);
}

async fn exists(lane: &Lane, key: &Key) -> bool {
    lane.exists(std::slice::from_ref(key), false, LIMIT).await.unwrap()[0]
}

#[tokio::test]
async fn the_answer_to_a_cancelled_acquire_may_come_behind_those_to_later_calls() {
    for later in 0..3 {
        let (tell, mut events) = unbounded_channel();
        let peer = daemon(later, tell);
        let lane = open(&peer).await.unwrap();
        let key = [Key::new("k").unwrap()];
        tokio::select! {
            _ = lane.acquire(&key, false, LIMIT, LIMIT, LIMIT) => panic!("it is not answered"),
            asked = events.recv() => assert_eq!(asked, Some(Event::Asked)),
        }
        for _ in 0..=later {
            assert!(exists(&lane, &key[0]).await);
        }
        let released = events.recv().await;
        assert_eq!(released, Some(Event::Released(vec![1])), "what was granted is given back");
        assert!(!lane.is_broken(), "later=`{later}`");
    }
}

#[tokio::test]
async fn what_a_cancelled_acquire_is_granted_ends_without_another_call() {
    let (tell, mut events) = unbounded_channel();
    let (allow, allowed) = channel();
    let peer = slow_daemon(tell, allowed);
    let lane = open(&peer).await.unwrap();
    let key = [Key::new("k").unwrap()];
    tokio::select! {
        _ = lane.acquire(&key, false, LIMIT, LIMIT, LIMIT) => panic!("it is not answered"),
        asked = events.recv() => assert_eq!(asked, Some(Event::Asked)),
    }
    allow.send(()).unwrap();
    let released = timeout(LIMIT, events.recv()).await;
    assert_eq!(released.expect("it ends by itself"), Some(Event::Released(vec![1])));
    assert!(!lane.is_broken());
}
