//! Puts whose answers are not waited for.

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, channel},
};

use kvlease_api::lane::DoneStatus;
use kvlease_lane::{Lane, LanePut, Post, PostObserver};
use kvlease_testing::in_time;
use kvlease_types::Key;

use super::{Answers, KEPT, LEN, LIMIT, Peer, daemon, daemon_that_waits, open, put};

/// Number of objects that are posted: more than may be under way at a time.
const POSTS: u64 = 60;

/// Outcomes of posts, in the order in which they came.
#[derive(Debug, Default)]
struct Outcomes(Mutex<Vec<(u64, Option<LanePut>)>>);

impl PostObserver for Outcomes {
    fn settle(&self, number: u64, outcome: Option<LanePut>) {
        self.0.lock().unwrap().push((number, outcome));
    }
}

/// A lane with the observer of its posts.
struct Poster {
    lane: Lane,
    outcomes: Arc<Outcomes>,
    observer: Arc<dyn PostObserver>,
}

impl Poster {
    fn new(lane: Lane) -> Self {
        let outcomes = Arc::new(Outcomes::default());
        let observer = Arc::clone(&outcomes) as Arc<dyn PostObserver>;
        Self { lane, outcomes, observer }
    }

    async fn post(&self, key: &str, number: u64) -> bool {
        let post = Post { observer: &self.observer, number };
        let key = Key::new(key).unwrap();
        self.lane.post(&key, &[&[7; LEN]], post, LIMIT).await.unwrap()
    }

    fn outcomes(&self) -> Vec<(u64, Option<LanePut>)> {
        self.outcomes.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn each_posted_put_has_its_outcome_in_the_order_of_the_posts() {
    let (_peer, poster, expected) = in_time(KEPT, async || {
        let (peer, told) = daemon(Answers::Grants, DoneStatus::Done);
        let poster = Poster::new(open(&peer).await.unwrap());
        let mut expected = Vec::new();
        for number in 0..POSTS {
            let (name, outcome) = match number % 3 {
                0 => (format!("late{number}"), LanePut::Expired),
                _ => (format!("k{number}"), LanePut::Stored),
            };
            if poster.post(&name, number).await {
                expected.push((number, Some(outcome)));
            } else {
                put(&poster.lane, &name, &told).await;
            }
        }
        (peer, poster, expected)
    })
    .await;
    // Nothing is reserved ahead of the first of them.
    assert!(expected.len() as u64 >= POSTS - 2, "{expected:?}");
    poster.lane.flush_posted(LIMIT).await.unwrap();
    assert_eq!(poster.outcomes(), expected);
    poster.lane.flush_posted(LIMIT).await.unwrap();
    assert_eq!(poster.outcomes().len(), expected.len(), "each is told once");
}

#[tokio::test]
async fn a_daemon_that_limits_spares_has_no_pause_between_posted_puts() {
    let (_peer, poster, posted) = in_time(KEPT, async || {
        let (peer, poster) = prepared(Answers::Limited, DoneStatus::Done).await;
        let mut posted = Vec::new();
        for number in 0..POSTS {
            posted.push(poster.post(&format!("k{number}"), number).await);
        }
        (peer, poster, posted)
    })
    .await;
    assert!(posted.iter().all(|posted| *posted), "{posted:?}");
    poster.lane.flush_posted(LIMIT).await.unwrap();
    let stored: Vec<_> = (0..POSTS).map(|number| (number, Some(LanePut::Stored))).collect();
    assert_eq!(poster.outcomes(), stored);
}

/// Peer, and a poster that has put two objects, so that there is space for the next one.
async fn prepared(answers: Answers, stores: DoneStatus) -> (Peer, Poster) {
    let (peer, told) = daemon(answers, stores);
    let poster = Poster::new(open(&peer).await.unwrap());
    prepare(&poster, &told).await;
    (peer, poster)
}

async fn prepare(poster: &Poster, told: &Receiver<String>) {
    for key in ["a", "b"] {
        put(&poster.lane, key, told).await;
    }
}

#[tokio::test]
async fn a_posted_put_whose_answer_does_not_come_is_told_as_unknown() {
    let (_peer, poster, is_posted) = in_time(KEPT, async || {
        let (peer, poster) = prepared(Answers::Closes, DoneStatus::Done).await;
        let is_posted = poster.post("c", 9).await;
        (peer, poster, is_posted)
    })
    .await;
    assert!(is_posted);
    poster.lane.flush_posted(LIMIT).await.unwrap_err();
    assert!(poster.lane.is_broken());
    let Poster { lane, outcomes, observer } = poster;
    drop((lane, observer));
    assert_eq!(*outcomes.0.lock().unwrap(), [(9, None)]);
}

#[tokio::test]
async fn a_post_does_not_wait_for_its_answer_and_a_flush_does() {
    let (_peer, poster, go, is_posted) = in_time(KEPT, async || {
        let (go, gone) = channel();
        let (peer, told) = daemon_that_waits(Answers::Grants, DoneStatus::Done, gone);
        let poster = Poster::new(open(&peer).await.unwrap());
        prepare(&poster, &told).await;
        let is_posted = poster.post("held", 1).await;
        (peer, poster, go, is_posted)
    })
    .await;
    assert!(is_posted);
    assert_eq!(poster.outcomes(), []);
    go.send(()).unwrap();
    poster.lane.flush_posted(LIMIT).await.unwrap();
    assert_eq!(poster.outcomes(), [(1, Some(LanePut::Stored))]);
}

#[tokio::test]
async fn a_key_that_exists_leaves_the_space_to_the_next_posted_put() {
    let (_peer, poster, posted) = in_time(KEPT, async || {
        let (peer, poster) = prepared(Answers::Limited, DoneStatus::Exists).await;
        let mut posted = Vec::new();
        for number in 0..POSTS {
            posted.push(poster.post("c", number).await);
        }
        (peer, poster, posted)
    })
    .await;
    assert!(posted.iter().all(|posted| *posted), "{posted:?}");
    poster.lane.flush_posted(LIMIT).await.unwrap();
    assert!(poster.outcomes().iter().all(|(_, outcome)| *outcome == Some(LanePut::Exists)));
}
