//! Policies of buckets, shown and changed.

use kvlease_api::{BucketUse, BucketsReply, ErrorCode, JSON, Names, PolicedBucket, PolicyReply};
use kvlease_cache::{ClassInfo, PolicyInfo};
use kvlease_engine::BucketPolicies;
use kvlease_types::{BUCKET_POLICIES_MAX, BucketName, Caller};

use super::{
    apart::apart,
    page::PAGE_MEMORY,
    reply::{self, Answer, Refusal},
};
use crate::{connection_memory::Purpose, context::Context};

/// All buckets with a policy: they are few, and so are their prefixes.
pub(super) async fn list(context: &Context) -> Answer {
    let held = reply::memory(context, Purpose::Admin, PAGE_MEMORY).await?;
    let BucketPolicies { policies, others, pinned_max } = context.engine.bucket_policies();
    let of_policy = |info: PolicyInfo| PolicedBucket {
        bucket: info.bucket.as_str().to_owned(),
        policy: (&info.policy).into(),
        usage: usage(&info.class),
    };
    let reply = BucketsReply {
        buckets: policies.into_iter().map(of_policy).collect(),
        others: usage(&others),
        pinned_max: pinned_max.bytes(),
    };
    Ok(reply::accounted(JSON, reply::json_bytes(&reply), held))
}

pub(super) fn show(context: &Context, names: &Names) -> Answer {
    let bucket = names.bucket();
    let info = context.engine.bucket_policy(bucket).ok_or_else(|| absent(bucket))?;
    Ok(reply::json(&PolicyReply::from(&info.policy)))
}

pub(super) async fn set(
    context: &Context,
    caller: &Caller,
    names: &Names,
    query: Option<&str>,
) -> Answer {
    let policy = kvlease_api::policy_of_query(query).map_err(Refusal::invalid)?;
    let bucket = names.bucket();
    let reply = reply::json(&PolicyReply::from(&policy));
    // All objects are looked at.
    if !apart(context, || context.engine.set_bucket_policy(bucket, policy)).await? {
        let text = format!(
            "{BUCKET_POLICIES_MAX} buckets have a policy: remove that of another bucket first, \
             bucket=`{bucket}`"
        );
        return Err(Refusal::new(ErrorCode::Unavailable, text));
    }
    tracing::info!(%caller, %bucket, query, "a bucket has a new policy");
    Ok(reply)
}

pub(super) async fn remove(context: &Context, caller: &Caller, names: &Names) -> Answer {
    let bucket = names.bucket();
    if !apart(context, || context.engine.remove_bucket_policy(bucket)).await? {
        return Err(absent(bucket));
    }
    tracing::info!(%caller, %bucket, "a bucket has no policy any more");
    Ok(reply::empty())
}

fn absent(bucket: &BucketName) -> Refusal {
    let text = format!("the bucket has no policy: give it one with a PUT, bucket=`{bucket}`");
    Refusal::new(ErrorCode::NotFound, text)
}

fn usage(class: &ClassInfo) -> BucketUse {
    BucketUse {
        objects: class.objects,
        taken: class.taken.bytes(),
        pinned_objects: class.pinned_objects,
        pinned_taken: class.pinned.bytes(),
        evictions: class.evicted,
        evicted: class.evicted_bytes,
        expirations: class.expired,
        unpinned: class.unpinned,
    }
}
