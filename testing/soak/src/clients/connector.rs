//! Connector as programs of users have it: it takes the fast lane and the published index by itself.

use std::time::Duration;

use kvlease_client::{ClientConfig, ConnectorConfig, Timeouts};
use kvlease_harness::Endpoint;
use kvlease_types::BucketName;

use super::place::Place;

/// Settings of a connector to the daemon at this place, with one limit for each part of a call.
pub(crate) fn connector_config(
    place: &Place,
    bucket: &str,
    within: Duration,
) -> anyhow::Result<ConnectorConfig> {
    Ok(ConnectorConfig::new(client_config(place, bucket, within)?))
}

/// The same for a client over HTTP.
pub(super) fn client_config(
    place: &Place,
    bucket: &str,
    within: Duration,
) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new(Endpoint::at(place.address).url().parse()?);
    config.bucket = BucketName::new(bucket)?;
    config.shared_memory_name = Some(place.segment.clone());
    config.timeouts = Timeouts { connect: within, call: within, transfer: within, stall: within };
    Ok(config)
}
