//! Stores behind TLS: which certificates are trusted, and what is said of the others.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kvlease_remote::{AccessKey, Options, Secret, open};
use kvlease_tier::{Loaded, Tier};
use kvlease_tier_conformance::Sample;

use crate::real_store::{
    calls::{LONG, load, store},
    encrypted_server::{Certificates, Front, start_valkey},
    s3_server::{ACCESS_KEY, S3Server, SECRET_KEY},
    valkey_server::NODE,
};

const HOST: &str = "127.0.0.1";

fn tier(url: &str, tls_ca_file: Option<PathBuf>) -> Arc<dyn Tier> {
    let (id, secret) = (Secret::new(ACCESS_KEY), Secret::new(SECRET_KEY));
    let access_key = Some(AccessKey { id, secret });
    // A server that is held up answers within this.
    let limit = Duration::from_secs(20);
    let node = Options { call_timeout: limit, connect_timeout: limit, ..Options::new(NODE) };
    open(url, &Options { access_key, tls_ca_file, ..node }).unwrap()
}

/// With the authority's file objects go up and come down; with another one's, and with none, the error
/// names the setting.
async fn check_authorities(url: &str, certificates: &Certificates) {
    let trusting = tier(url, Some(certificates.authority()));
    for len in [10, LONG] {
        let sample = Sample::new("bucket", &format!("{len}"), 1, len);
        store(&*trusting, &sample).await.unwrap();
        assert_eq!(load(&*trusting, &sample).await.unwrap(), Loaded::Complete);
    }
    let other = Certificates::of(HOST);
    for file in [None, Some(other.authority())] {
        let error = tier(url, file).find("bucket", &["10"]).await.unwrap_err();
        assert!(error.is_of_tier());
        let error = format!("{error}");
        assert!(error.contains("invalid peer certificate"), "{error}");
        assert!(error.ends_with("of its authority in tier.remote.tls_ca_file"), "{error}");
    }
}

/// A certificate for another host is refused, though its authority is trusted.
async fn check_host(url: &str, certificates: &Certificates) {
    let tier = tier(url, Some(certificates.authority()));
    let error = tier.find("bucket", &["10"]).await.unwrap_err().to_string();
    assert!(error.ends_with("that the certificate is for in tier.remote.url"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_over_tls_is_trusted_by_the_file_of_its_authority() {
    let (certificates, folder) = (Certificates::of(HOST), tempfile::tempdir().unwrap());
    let server = start_valkey(&certificates, folder.path(), false);
    check_authorities(&format!("rediss://{HOST}:{}", server.port), &certificates).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_over_tls_is_trusted_by_the_file_of_its_authority() {
    let (certificates, folder) = (Certificates::of(HOST), tempfile::tempdir().unwrap());
    let server = start_valkey(&certificates, folder.path(), true);
    check_authorities(&format!("rediss-cluster://{HOST}:{}", server.port), &certificates).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_over_tls_is_trusted_by_the_file_of_its_authority() {
    let (certificates, server) = (Certificates::of(HOST), S3Server::start());
    let front = Front::start(&certificates, &server);
    check_authorities(&server.url_at(&format!("https://{HOST}:{}", front.port)), &certificates)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_host_is_refused() {
    let (certificates, folder) = (Certificates::of("elsewhere"), tempfile::tempdir().unwrap());
    let server = start_valkey(&certificates, folder.path(), false);
    check_host(&format!("rediss://{HOST}:{}", server.port), &certificates).await;
    let server = S3Server::start();
    let front = Front::start(&certificates, &server);
    check_host(&server.url_at(&format!("https://{HOST}:{}", front.port)), &certificates).await;
}
