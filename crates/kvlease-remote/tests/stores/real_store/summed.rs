//! Requests that the S3 library sums, as its environment may say.

use std::{
    env, fs,
    process::{Command, Output},
};

use kvlease_remote::{Options, open};
use kvlease_tier::Loaded;
use kvlease_tier_conformance::Sample;
use tokio::task;

use crate::real_store::{
    calls::{LONG, load, store},
    s3_server::{ACCESS_KEY, S3Server, SECRET_KEY},
    valkey_server::NODE,
};

/// The variable by which this test, as a process of its own, is given the tier's URL.
const URL: &str = "KVLEASE_TEST_SUMMED_URL";

/// The store compares the sum with the bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_have_the_sum_of_their_bytes() {
    if let Ok(url) = env::var(URL) {
        return use_tier(&url).await;
    }
    let server = S3Server::start();
    let output = task::block_in_place(|| run(&server.url()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let sums = fs::read_dir(server.root()).unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        path.is_file() && fs::read_to_string(path).is_ok_and(|text| text.contains("sha256"))
    });
    assert!(sums.count() >= 2, "the store was told no sums");
}

async fn use_tier(url: &str) {
    let tier = open(url, &Options::new(NODE)).unwrap();
    for len in [10, LONG] {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        store(&*tier, &sample).await.unwrap();
        assert_eq!(load(&*tier, &sample).await.unwrap(), Loaded::Complete);
    }
}

fn run(url: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "real_store::summed::values_have_the_sum_of_their_bytes"]);
    command.env_clear().env(URL, url).env("AWS_CHECKSUM_ALGORITHM", "sha256");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.output().unwrap()
}
