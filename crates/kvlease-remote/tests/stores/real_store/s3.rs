//! An S3-compatible store.

use std::{fs, path::Path, time::Duration};

use kvlease_remote::{AccessKey, Options, Secret, open};
use kvlease_tier::{Loaded, TierError};
use kvlease_tier_conformance::{MemorySource, Sample};

use crate::real_store::{
    busy_store::BusyStore,
    calls::{LONG, load, no_wrong_byte, store},
    s3_server::{ACCESS_KEY, S3Server},
    valkey_server::NODE,
};

mod conformance {
    use super::S3Server;

    kvlease_tier_conformance::conformance_tests! {
        S3Server::start,
        more_than_it_holds: "the store evicts nothing",
        full_store: "the server's only limit is the disk's, which belongs to all",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_the_bucket_are_those_of_the_document() {
    let server = S3Server::start();
    let tier = server.tier();
    let sample = Sample::new("my/bucket", "a key%", 1, 10);
    store(&*tier, &sample).await.unwrap();
    let value = fs::read(server.bucket().join("kvlease/v1/my%2Fbucket/a%20key%25")).unwrap();
    assert_eq!(value[..8], *b"kvlobj\r\n");
    assert_eq!(value[64..], [b"my/bucketa key%", &**sample.bytes()].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_fails_leaves_nothing() {
    let server = S3Server::start();
    let tier = server.tier();
    let sample = Sample::new("bucket", "key", 1, LONG);
    let source = Box::new(MemorySource::of(&sample).changing_at(LONG - 1));
    tier.store(sample.object(), source).await.unwrap_err();
    // The upload is aborted in the background.
    while let Some(file) = find_part(server.root()) {
        assert!(!file.starts_with("kvlease"), "{file}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Absent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_one_request_is_read_in_parts() {
    let server = S3Server::start();
    let tier = server.tier_with(Options::new(NODE));
    let sample = Sample::new("bucket", "key", 1, LONG);
    store(&*tier, &sample).await.unwrap();
    assert!(matches!(load(&*tier, &sample).await.unwrap(), Loaded::Complete));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_changes_while_it_is_sent_leaves_what_was_there() {
    let server = S3Server::start();
    // Without buffers for parts: the value is one request.
    let tier = server.tier_with(Options::new(NODE));
    let sample = Sample::new("bucket", "key", 1, LONG);
    store(&*tier, &sample).await.unwrap();
    let next = sample.next_version();
    let sources = [
        MemorySource::of(&next).changing_at(LONG / 2),
        MemorySource::of(&next).changing_at(LONG - 1),
        // The checksum of the last bytes says it.
        MemorySource::of(&sample),
    ];
    for source in sources {
        let stored = tier.store(next.object(), Box::new(source)).await;
        assert!(matches!(stored, Err(TierError::SourceChanged(_))), "{stored:?}");
        assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
    }
    store(&*tier, &next).await.unwrap();
    assert_eq!(load(&*tier, &next).await.unwrap(), Loaded::Complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_sent_a_second_time_is_whole() {
    let server = BusyStore::start().await;
    let url = format!("s3://kvs?endpoint=http://127.0.0.1:{}&region=test", server.port);
    let access_key = AccessKey { id: Secret::new(ACCESS_KEY), secret: Secret::new("any") };
    let options = Options { access_key: Some(access_key), ..Options::new(NODE) };
    let tier = open(&url, &options).unwrap();
    for len in [0, 5000, LONG] {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        store(&*tier, &sample).await.unwrap();
        let puts = server.puts(&format!("/kvs/kvlease/v1/bucket/{len}"));
        assert_eq!(puts.len(), 2, "the first is refused");
        for put in puts {
            assert_eq!(put[..8], *b"kvlobj\r\n");
            let name = format!("bucket{len}");
            assert!(put[64..] == *[name.as_bytes(), sample.bytes()].concat(), "{len} bytes");
        }
    }
}

/// A file that the server keeps for an upload that is under way.
fn find_part(root: &Path) -> Option<String> {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names = names.map(|name| name.into_string().unwrap());
    names.find(|name| name.contains("upload"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_is_too_short_for_a_header_is_no_object_and_is_written_over() {
    let server = S3Server::start();
    let tier = server.tier();
    for (number, len) in [0, 1, 63, 64, 71].into_iter().enumerate() {
        let sample = Sample::new("bucket", &format!("{number}"), 1, 5000);
        store(&*tier, &sample).await.unwrap();
        let file = server.file_of(sample.name());
        let value = fs::read(&file).unwrap();
        fs::write(&file, &value[..len]).unwrap();
        assert_eq!(tier.find("bucket", &[sample.key()]).await.unwrap(), [None], "{len} bytes");
        assert!(!matches!(load(&*tier, &sample).await, Ok(Loaded::Complete)), "{len} bytes");
        store(&*tier, &sample).await.unwrap();
        assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_network_delivers_a_wrong_byte() {
    let server = S3Server::start();
    let options = Options { call_timeout: Duration::from_secs(2), ..Options::new(NODE) };
    let tier = server.tier_with(options);
    let plausible = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ngarbage";
    no_wrong_byte(&*tier, &server.proxy, plausible).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_an_error_of_the_store_that_does_not_show_it() {
    let server = S3Server::start();
    let access_key = AccessKey { id: Secret::new(ACCESS_KEY), secret: Secret::new("hunter3") };
    let options = Options { access_key: Some(access_key), ..Options::new(NODE) };
    let tier = open(&server.url(), &options).unwrap();
    let sample = Sample::new("bucket", "key", 1, 5000);
    let error = store(&*tier, &sample).await.unwrap_err();
    assert!(error.is_of_tier(), "{error}");
    assert!(!format!("{error} {error:?} {tier:?} {options:?}").contains("hunter3"));
}
