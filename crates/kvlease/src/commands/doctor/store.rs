//! Check of the store of a daemon's remote tier.

use kvlease_server::{config::Config, store_answers};

use super::report::Outcome;

/// Whether the store of the remote tier answers here, with the credentials of this environment.
pub(super) async fn check(config: &Config) -> Outcome {
    match store_answers(config).await {
        None => Outcome::unseen("no remote tier is configured"),
        Some(Ok(())) => Outcome::Right,
        Some(Err(error)) => {
            let place = config.remote_url.as_ref().map(ToString::to_string).unwrap_or_default();
            Outcome::wrong(
                format!(
                    "the remote tier's store cannot be used: {error}, tier.remote.url=`{place}`"
                ),
                "see the message; docs/remote-tier.md has what stores say and what to do",
            )
        }
    }
}
