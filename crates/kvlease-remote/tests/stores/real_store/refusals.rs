//! Stores that refuse: the error names what to set.

use std::{net::Ipv4Addr, sync::Arc};

use kvlease_remote::{AccessKey, Options, Secret, open};
use kvlease_tier::Tier;
use kvlease_tier_conformance::Sample;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::real_store::{
    busy_store::request,
    calls::store,
    s3_server::{ACCESS_KEY, S3Server, SECRET_KEY},
    valkey_server::{NODE, PASSWORD, ValkeyServer},
};

/// Answers of S3 to the first line of a request.
type Answers = fn(&str) -> (&'static str, &'static str);

/// Address of a store that gives these answers, for as long as the test runs.
async fn s3_that_answers(answers: Answers) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, answers));
        }
    });
    format!("http://{address}")
}

async fn serve(client: TcpStream, answers: Answers) {
    let mut client = BufReader::new(client);
    while let Ok(Some((line, _))) = request(&mut client).await {
        let (status, body) = answers(&line);
        let body = if line.starts_with("HEAD") { "" } else { body };
        let head = format!("HTTP/1.1 {status}\r\netag: \"1\"\r\ncontent-length: {}", body.len());
        if client.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn s3(endpoint: &str, secret: &str) -> Arc<dyn Tier> {
    let (id, secret) = (Secret::new(ACCESS_KEY), Secret::new(secret));
    let options = Options { access_key: Some(AccessKey { id, secret }), ..Options::new(NODE) };
    open(&format!("s3://kvs?endpoint={endpoint}&region=test"), &options).unwrap()
}

async fn expect_remedy(tier: &dyn Tier, remedy: &str) {
    let sample = Sample::new("bucket", "key", 1, 5000);
    let found = tier.find("bucket", &["key"]).await.unwrap_err();
    let stored = store(tier, &sample).await.unwrap_err();
    for error in [found, stored] {
        assert!(error.is_of_tier());
        let text = error.to_string();
        assert!(text.contains(remedy), "{text}");
        assert!(!text.contains(PASSWORD) && !text.contains(SECRET_KEY), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_another_password_says_where_it_is_set() {
    let server = ValkeyServer::start();
    for url in [
        format!("redis://127.0.0.1:{}", server.process.port),
        format!("redis://:wrong@127.0.0.1:{}", server.process.port),
    ] {
        let tier = open(&url, &Options::new(NODE)).unwrap();
        expect_remedy(&*tier, ": set the password in KVLEASE_TIER_REMOTE_PASSWORD").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_says_how_it_makes_room() {
    use kvlease_tier_conformance::Store;
    let server = ValkeyServer::start();
    let tier = server.tier();
    server.fill().await.unwrap();
    let error = store(&*tier, &Sample::new("bucket", "key", 1, 5000)).await.unwrap_err();
    assert!(error.to_string().contains("`maxmemory-policy allkeys-lru`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_knows_no_such_credentials_says_where_they_are_set() {
    let server = S3Server::start();
    let tier = s3(&format!("http://127.0.0.1:{}", server.proxy.port), "another");
    expect_remedy(&*tier, ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_no_absent_object() {
    let endpoint = s3_that_answers(|_| {
        ("404 Not Found", "<Error><Code>NoSuchBucket</Code><BucketName>kvs</BucketName></Error>")
    });
    expect_remedy(&*s3(&endpoint.await, SECRET_KEY), ": make the bucket, or name another").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_region_says_where_it_is_set() {
    let endpoint = s3_that_answers(|_| {
        (
            "400 Bad Request",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>",
        )
    });
    expect_remedy(&*s3(&endpoint.await, SECRET_KEY), "`?region=REGION`").await;
}

/// Without the right to list, objects are stored and their names are not published: the error says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_may_not_be_listed_says_which_right_is_missing() {
    let endpoint = s3_that_answers(|line| match line.contains("list-type") {
        true => ("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"),
        false if line.starts_with("PUT") => ("200 OK", ""),
        false => ("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>"),
    });
    let tier = s3(&endpoint.await, SECRET_KEY);
    assert_eq!(tier.find("bucket", &["key"]).await.unwrap(), [None]);
    let error = store(&*tier, &Sample::new("bucket", "key", 1, 5000)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("could not be published"), "{text}");
    assert!(text.contains("AccessDenied") && text.contains("ListBucket"), "{text}");
}
