//! Policies of buckets, shown and changed.

use std::fmt::Write;

use kvlease_api::{BucketsReply, PolicyReply, encode};
use kvlease_types::{BucketName, BucketPolicy};

use crate::{Client, Error, operation::Operation};

impl Client {
    /// The buckets that have a policy, and all others together.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Refused`] by a daemon that knows no policies.
    pub async fn buckets(&self) -> Result<BucketsReply, Error> {
        let core = &self.core;
        let request = core.template.of_path(Operation::Buckets, format_args!("/v1/buckets"));
        core.success(Operation::Buckets, request).await?.json()
    }

    /// Gives a bucket a policy, in place of the one that it has. Returns it as the daemon has it.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Refused`] if too many buckets have one.
    pub async fn set_bucket_policy(
        &self,
        bucket: &BucketName,
        policy: &BucketPolicy,
    ) -> Result<PolicyReply, Error> {
        let core = &self.core;
        let path = policy_path(bucket);
        let BucketPolicy { priority, weight, ttl, pinned } = policy;
        let mut query = format!("?priority={priority}&weight={weight}");
        // Writing to a string cannot fail.
        if let Some(ttl) = ttl {
            let _ = write!(query, "&ttl_s={}", ttl.as_secs_f64());
        }
        for prefix in pinned {
            let _ = write!(query, "&pinned={}", encode(prefix));
        }
        let request = core.template.of_path(Operation::SetPolicy, format_args!("{path}{query}"));
        core.success(Operation::SetPolicy, request).await?.json()
    }

    /// Takes the policy of a bucket away. `false` if it has none.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn remove_bucket_policy(&self, bucket: &BucketName) -> Result<bool, Error> {
        let core = &self.core;
        let path = policy_path(bucket);
        let request = core.template.of_path(Operation::RemovePolicy, format_args!("{path}"));
        match core.success(Operation::RemovePolicy, request).await {
            Ok(_) => Ok(true),
            Err(Error::Refused { code: Some(kvlease_api::ErrorCode::NotFound), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn policy_path(bucket: &BucketName) -> String {
    format!("/v1/buckets/{}/policy", encode(bucket.as_str()))
}
