//! Credentials: where they come from, and that no output shows them.

use std::{
    env,
    io::Write,
    process::{Command, Output},
};

use kvlease_remote::{Options, open};
use kvlease_tier::Loaded;
use kvlease_tier_conformance::Sample;
use tokio::task;
use tracing_subscriber::filter::LevelFilter;

use crate::real_store::{
    calls::{LONG, load, store},
    s3_server::{ACCESS_KEY, S3Server, SECRET_KEY},
    valkey_server::{NODE, PASSWORD, ValkeyServer},
};

/// The variable by which this test, as a process of its own, is given the tier's URL.
const URL: &str = "KVLEASE_TEST_TIER_URL";

/// Uses a tier with every event of every library in the output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_shows_a_secret() {
    match env::var(URL) {
        Ok(url) => use_tier(&url).await,
        Err(_) => watch_all().await,
    }
}

async fn use_tier(url: &str) {
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).init();
    let options = Options::new(NODE);
    let tier = open(url, &options).unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "{options:?} {tier:?} {}", tier.place()).unwrap();
    for len in [10, LONG] {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        writeln!(out, "{:?}", store(&*tier, &sample).await).unwrap();
        let loaded = load(&*tier, &sample).await;
        writeln!(out, "{loaded:?}").unwrap();
        assert_eq!(loaded.unwrap(), Loaded::Complete);
        writeln!(out, "{:?}", tier.find("bucket", &[sample.key()]).await).unwrap();
    }
    writeln!(out, "{:?}", tier.list("bucket", "", None, 10).await).unwrap();
    writeln!(out, "{:?}", tier.remove("bucket", &["10"]).await).unwrap();
    // The same where nothing answers.
    let url = url.replace("127.0.0.1:", "127.0.0.1:1");
    match open(&url, &options) {
        Ok(tier) => {
            let error = tier.find("bucket", &["key"]).await.unwrap_err();
            writeln!(out, "{error} {error:?}").unwrap();
        }
        Err(error) => writeln!(out, "{error} {error:?}").unwrap(),
    }
}

async fn watch_all() {
    let (valkey, s3) = (ValkeyServer::start(), S3Server::start());
    let credentials = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    let of_valkey = task::block_in_place(|| run(&valkey.url(), &[]));
    expect_quiet(&of_valkey, &[PASSWORD]);
    let of_s3 = task::block_in_place(|| run(&s3.url(), &credentials));
    let text = expect_quiet(&of_s3, &[SECRET_KEY]);
    assert!(text.contains("Using Static credential provider"), "the library is heard: {text}");
    // Without credentials the same process fails: they were those of the environment.
    let without = task::block_in_place(|| {
        // No machine that has a role.
        run(&s3.url(), &[("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")])
    });
    assert!(!without.status.success(), "no credentials were needed");
}

fn run(url: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "real_store::secrets::no_output_shows_a_secret", "--nocapture"]);
    command.env_clear().env(URL, url).envs(environment.iter().copied());
    command.output().unwrap()
}

fn expect_quiet(output: &Output, secrets: &[&str]) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success(), "{text}");
    for secret in secrets {
        assert!(!text.contains(secret), "the output shows `{secret}`: {text}");
    }
    text.into_owned()
}
