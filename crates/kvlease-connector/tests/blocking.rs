//! The connector without `async`.

#![expect(clippy::unwrap_used, reason = "an assumption that fails is a failed test")]

use kvlease_connector::{ConnectorConfig, blocking::Connector};
use kvlease_http::{ClientConfig, Error};
use kvlease_types::Key;

fn connector() -> Connector {
    // No daemon listens there.
    Connector::new(ConnectorConfig::new(ClientConfig::new("127.0.0.1:1".parse().unwrap()))).unwrap()
}

#[test]
fn a_call_returns_when_it_is_done() {
    let (connector, key) = (connector(), Key::new("k").unwrap());
    assert!(matches!(connector.get(&key), Err(Error::Unreachable { .. })));
    let answers = connector.batched_exists(&[key.clone(), key.clone()]).unwrap();
    assert!(answers.iter().all(Result::is_err) && answers.len() == 2);
    connector.close().unwrap();
    assert!(matches!(connector.get(&key), Err(Error::Closed)));
}

#[tokio::test]
async fn inside_of_a_runtime_a_call_is_an_error_and_dropping_is_none() {
    let (connector, key) = (connector(), Key::new("k").unwrap());
    assert!(matches!(connector.get(&key), Err(Error::InsideRuntime)));
    assert!(matches!(connector.close(), Err(Error::InsideRuntime)));
    let clone = connector.clone();
    let outside = std::thread::spawn(move || clone.exists(&Key::new("k").unwrap()));
    assert!(matches!(outside.join().unwrap(), Err(Error::Unreachable { .. })));
}
