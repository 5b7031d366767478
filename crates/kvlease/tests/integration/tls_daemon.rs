//! A daemon process that speaks TLS, and the commands with certificates and tokens.

use std::{fs, path::PathBuf, time::Duration};

use kvlease_harness::{Daemon, Segment, await_that, until, unused_address};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::program::{launch, run, run_with};

/// Limit of a wait, after which the test fails.
const SOON: Duration = Duration::from_secs(60);

/// Authority and the files that it signed.
struct Files {
    signer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self { signer, dir: tempfile::tempdir().unwrap() };
        fs::write(files.path("ca.pem"), files.signer.pem()).unwrap();
        files.sign("127.0.0.1", "daemon");
        files.sign("engine.example", "client");
        files
    }

    fn sign(&self, name: &str, file: &str) {
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&pair, &self.signer).unwrap();
        fs::write(self.path(&format!("{file}.key")), pair.serialize_pem()).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Settings of a listener for TLS that asks clients for certificates.
    fn settings(&self, address: &str) -> [String; 4] {
        let files = [
            ("tls_certificate_file", "daemon.pem"),
            ("tls_key_file", "daemon.key"),
            ("tls_client_ca_file", "ca.pem"),
        ];
        let [certificate, key, ca] =
            files.map(|(setting, file)| format!("listener.tls.{setting}={}", self.text(file)));
        [format!("listener.tls.address={address}"), certificate, key, ca]
    }
}

#[test]
fn commands_show_a_certificate_and_a_hangup_has_certificates_read_again() {
    let (files, address) = (Files::new(), unused_address());
    let mut daemon = Daemon::start(launch().set(files.settings(&address))).unwrap();
    let listens = format!("listener https://{address}, `tls`");
    await_that("the listener is told of", || daemon.output().contains(&listens));
    let url = format!("https://{address}");
    let ca = files.text("ca.pem");
    let daemon_args = ["--url", &url, "--tls-ca-file", &ca];
    let (certificate, key) = (files.text("client.pem"), files.text("client.key"));
    let identity = ["--tls-certificate-file", &certificate, "--tls-key-file", &key];
    let command = |args: &[&str], stdin: &[u8]| {
        let output = run(&[&daemon_args, &identity, args].concat(), stdin);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i >> 5) as u8).collect();
    command(&["put", "k"], &content);
    assert!(command(&["get", "k", "--http"], b"") == content);
    let refused = run(&[&daemon_args[..], &["ls"]].concat(), b"");
    assert_eq!(refused.status.code(), Some(69));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("`tls_certificate_file`"), "{said}");

    files.sign("127.0.0.1", "daemon");
    let pid = Pid::from_raw(daemon.pid().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let read = || daemon.log().contains("new connections get a new certificate");
    assert!(until(SOON, || read().then_some(())).is_some(), "{}", daemon.log());
    assert_eq!(command(&["ls"], b""), b"k\n");
    assert!(daemon.terminate().unwrap().success());
}

#[test]
fn files_that_cannot_be_used_keep_a_daemon_from_starting() {
    let files = Files::new();
    files.sign("127.0.0.1", "other");
    fs::write(files.path("empty.pem"), "").unwrap();
    let [address, certificate, key, ca] = files.settings("127.0.0.1:0");
    let replaced = |setting: &str, file: &str| {
        let (name, _) = setting.split_once('=').unwrap();
        format!("{name}={}", files.text(file))
    };
    for (changed, parts) in [
        ([replaced(&certificate, "absent.pem"), key.clone(), ca.clone()], ["absent.pem", "path"]),
        ([replaced(&certificate, "empty.pem"), key.clone(), ca.clone()], ["empty.pem", "in PEM"]),
        ([certificate.clone(), replaced(&key, "other.key"), ca.clone()], ["other.key", "key of"]),
        ([certificate.clone(), replaced(&key, "ca.pem"), ca.clone()], ["ca.pem", "private key"]),
        ([certificate, key, replaced(&ca, "client.key")], ["client.key", "in PEM"]),
    ] {
        let segment = Segment::new();
        let mut args = vec!["serve", "--listen", "127.0.0.1:0"];
        args.extend(["--shared-memory-name", segment.name()]);
        args.extend(["--set", &address]);
        for setting in &changed {
            args.extend(["--set", setting]);
        }
        let output = run(&args, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        assert!(said.contains("listener.tls.tls_") && said.trim().lines().count() == 1, "{said}");
    }
}

#[test]
fn a_token_comes_from_a_file_and_is_told_to_be_at_risk_in_the_clear() {
    let daemon = Daemon::start(launch()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "s3cret\n").unwrap();
    let file = path.to_str().unwrap();
    let url = daemon.url();
    let output = run_with(&[("KVLEASE_TOKEN_FILE", file)], &["ls", "--url", &url], b"");
    assert!(output.status.success() && output.stderr.is_empty(), "loopback is no network");
    let strange = ["ls", "--url", "http://kvlease.invalid:1", "--token-file", file];
    let said = String::from_utf8(run(&strange, b"").stderr).unwrap();
    assert!(said.contains("in the clear") && !said.contains("s3cret"), "{said}");
    fs::write(&path, "two words").unwrap();
    let output = run(&["ls", "--url", &url, "--token-file", file], b"");
    assert_eq!(output.status.code(), Some(74));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("token_file=`{file}`")) && !said.contains("two words"),
        "{said}"
    );
}
