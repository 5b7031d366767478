//! Certificates of a running daemon: read again when their files change, and on SIGHUP.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::certificates::Certificates;
use crate::{metrics::Metrics, rereads::Rereads};

/// Keeps the certificates as new as their files, for as long as it is polled.
pub(crate) async fn reread(all: Vec<Arc<Certificates>>, metrics: Arc<Metrics>) {
    let mut turns = Rereads::new();
    loop {
        let is_asked = turns.next().await;
        let (all, metrics) = (all.clone(), Arc::clone(&metrics));
        // Files may be on a slow disk. A task that is torn down with the runtime has no outcome.
        let _ = spawn_blocking(move || look(&all, is_asked, &metrics)).await;
    }
}

fn look(all: &[Arc<Certificates>], is_asked: bool, metrics: &Metrics) {
    for certificates in all.iter().filter(|one| is_asked || one.have_changed()) {
        match certificates.reread() {
            Ok(()) => metrics.tls.set_expiry(certificates.listener(), certificates.expires()),
            // Half of a change: the next look reads the other half as well.
            Err(_) if certificates.have_changed() => {}
            Err(error) => {
                metrics.tls.reread_failures.inc();
                tracing::warn!("the certificate of before stays in use: {error}");
            }
        }
    }
}
