//! Gate of requests: which tenant calls, and whether it may do that.

use http::HeaderMap;
use kvlease_api::{Endpoint, ErrorCode, Names, Route};
use kvlease_types::{BucketName, Caller, Peer};

use super::{connection::Socket, listener::Arrival, reply::Refusal};
use crate::{
    access::{Access, Decision, Evidence, KeyRules, Means, Need, Unknown, need_of_endpoint},
    answer_times::{Tells, tells},
    audit::{Entry, level_of_endpoint},
    context::Context,
    metrics::{self, AccessRefused},
    quotas::{OverQuota, RequestQuotas},
    request_scope,
};

/// Findings of the gate about a request.
pub(super) struct Admitted {
    /// The caller, as its tenant.
    pub(super) caller: Caller,
    /// Refusal, if it is not let in.
    pub(super) refusal: Option<Box<Refusal>>,
    /// The quota for which it is refused, if it is.
    pub(super) over: Option<OverQuota>,
    means: Option<Means>,
    /// The bucket that it named, for the logs.
    pub(super) bucket: Option<BucketName>,
    refused: Option<AccessRefused>,
}

/// Identifies the caller of a request, and decides on it. A path whose bucket the caller may not know of
/// becomes the same path in the bucket that never has an object. `None` without tenants, quotas, rules on keys and
/// logs of requests, if the request is not traced.
pub(super) fn admit<E>(
    context: &Context,
    (caller, socket): (&Caller, &Socket),
    headers: &HeaderMap,
    endpoint: Option<Endpoint>,
    route: &mut Result<Route, E>,
) -> Option<Box<Admitted>> {
    let logs = context.audit.is_some() || context.access_log.is_some();
    let is_told = logs || request_scope::span().is_some();
    let is_open = context.access.is_none() && !context.quotas.has_some();
    if is_open && !is_told && context.config.salted_buckets.is_empty() {
        return None;
    }
    let bucket = route.as_ref().ok().and_then(|route| bucket(route.names())).cloned();
    let caller = *caller;
    let mut admitted =
        Admitted { caller, refusal: None, over: None, means: None, bucket, refused: None };
    if let Some(access) = &context.access {
        admitted.decide(access, socket.arrival(), headers, endpoint, route);
        if let Some(tenant) = admitted.caller.tenant {
            socket.is_of(tenant);
        }
        admitted.keep_place(context, access, endpoint);
    }
    if admitted.refused.is_none() {
        admitted.decide_on_key(context, endpoint, route);
    }
    if admitted.refusal.is_none()
        && let Err(over) = admitted.count(&context.quotas, socket, endpoint)
    {
        let refusal = Refusal::new(ErrorCode::TooManyRequests, &over);
        (admitted.refusal, admitted.over) = (Some(Box::new(refusal)), Some(over));
    }
    if let Some(reason) = admitted.refused {
        context.metrics.access.refused(reason);
    }
    Some(Box::new(admitted))
}

impl Admitted {
    fn decide<E>(
        &mut self,
        access: &Access,
        arrival: &Arrival,
        headers: &HeaderMap,
        endpoint: Option<Endpoint>,
        route: &mut Result<Route, E>,
    ) {
        let need = endpoint.map_or(Need::Tenant, need_of_endpoint);
        if need == Need::Nothing {
            // It may show whose it is all the same, so that the answer names the right arena.
            if access.has_arenas()
                && let Ok((caller, means)) = identify(access, (&self.caller, arrival), headers)
            {
                (self.caller, self.means) = (caller, Some(means));
            }
            return;
        }
        match identify(access, (&self.caller, arrival), headers) {
            Ok((caller, means)) => (self.caller, self.means) = (caller, Some(means)),
            Err(unknown) => return self.refuse(reason_of(unknown), refusal_of(unknown)),
        }
        let tenant = access.tenant_of(&self.caller).expect("it was identified");
        self.follow(tenant.decide(need, self.bucket.as_ref().map(BucketName::as_str)), route);
    }

    /// Decides on a request that is about one object by the key of it.
    fn decide_on_key<E>(
        &mut self,
        context: &Context,
        endpoint: Option<Endpoint>,
        route: &mut Result<Route, E>,
    ) {
        let right = endpoint.and_then(|endpoint| need_of_endpoint(endpoint).right());
        let key = route.as_ref().ok().and_then(|route| route.names().key.as_ref());
        let (Some(right), Some(key)) = (right, key) else { return };
        let tenant = context.access.as_ref().and_then(|access| access.tenant_of(&self.caller));
        let bucket = self.bucket.as_ref().map(BucketName::as_str);
        let rules = KeyRules::of(&context.config, tenant, bucket);
        if let Some(decision) = rules.map(|rules| rules.decide(right, key.as_str())) {
            self.follow(decision, route);
        }
    }

    fn follow<E>(&mut self, decision: Decision, route: &mut Result<Route, E>) {
        match decision {
            Decision::Allowed => {}
            Decision::Hidden => {
                if let Ok(route) = route {
                    route.hide_bucket();
                }
                self.refused = Some(AccessRefused::Hidden);
            }
            Decision::Forbidden(text) => {
                self.refuse(AccessRefused::Forbidden, Refusal::new(ErrorCode::Forbidden, text));
            }
        }
    }

    /// Refuses a question for the place of an object in a bucket whose answers tell it by no time either.
    fn keep_place(&mut self, context: &Context, access: &Access, endpoint: Option<Endpoint>) {
        let is_open = self.refused.is_none() && self.refusal.is_none();
        let asks = endpoint.is_some_and(|endpoint| tells(endpoint) == Tells::InWords);
        let Some(bucket) = self.bucket.as_ref().filter(|_| is_open && asks) else { return };
        if let Some(tenant) = access.tenant_of(&self.caller)
            && context.answer_step(bucket.as_str()).is_some()
            && let Decision::Forbidden(text) = tenant.decide_on_place(bucket.as_str())
        {
            self.refuse(AccessRefused::Forbidden, Refusal::new(ErrorCode::Forbidden, text));
        }
    }

    /// Counts a request, and its connection as the tenant's.
    fn count(
        &self,
        quotas: &RequestQuotas,
        socket: &Socket,
        endpoint: Option<Endpoint>,
    ) -> Result<(), OverQuota> {
        if let Some(tenant) = self.caller.tenant {
            socket.keep_place(quotas, tenant)?;
        }
        let is_counted = endpoint.is_some_and(|endpoint| need_of_endpoint(endpoint).is_counted());
        // Who may not know of a bucket takes nothing of its quota, and learns nothing of it.
        let is_known = self.refused.is_none();
        let bucket = self.bucket.as_ref().map(BucketName::as_str).filter(|_| is_known);
        if is_counted { quotas.admit(self.caller.tenant, bucket, 1) } else { Ok(()) }
    }

    fn refuse(&mut self, reason: AccessRefused, refusal: Refusal) {
        (self.refused, self.refusal) = (Some(reason), Some(Box::new(refusal)));
    }

    /// Name of the tenant that calls, if one does.
    pub(super) fn tenant<'c>(&self, context: &'c Context) -> Option<&'c str> {
        let access = context.access.as_ref()?;
        access.tenant_of(&self.caller).map(|tenant| tenant.name.as_str())
    }

    /// Notes the request with its outcome in the audit log, if that has such requests.
    pub(super) fn note(
        &self,
        context: &Context,
        endpoint: Option<Endpoint>,
        refused: Option<ErrorCode>,
    ) {
        let Some(audit) = &context.audit else { return };
        let is_noted = endpoint.is_some_and(|endpoint| audit.has(level_of_endpoint(endpoint)));
        if self.refused.is_none() && !is_noted {
            return;
        }
        audit.note(&Entry {
            caller: &self.caller,
            tenant: self.tenant(context),
            means: self.means,
            operation: metrics::operation(endpoint),
            bucket: self.bucket.as_ref().map(BucketName::as_str),
            outcome: match self.refused {
                Some(reason) => reason.name(),
                None => refused.map_or("ok", ErrorCode::name),
            },
        });
    }
}

fn identify(
    access: &Access,
    (caller, arrival): (&Caller, &Arrival),
    headers: &HeaderMap,
) -> Result<(Caller, Means), Unknown> {
    let Peer::Http(address) = caller.peer else { return Err(Unknown::Nothing) };
    let certificate = arrival.certificate.as_ref();
    let evidence = Evidence { address: address.ip(), listener: &arrival.listener, certificate };
    let (tenant, means) = access.identify(&evidence, headers)?;
    Ok((caller.of_tenant(Some(tenant)), means))
}

fn bucket(names: &Names) -> Option<&BucketName> {
    names.bucket.as_ref().or(names.namespace.as_ref())
}

const fn reason_of(unknown: Unknown) -> AccessRefused {
    match unknown {
        Unknown::Nothing => AccessRefused::Unidentified,
        Unknown::Token | Unknown::TwoTenants => AccessRefused::BadCredentials,
        Unknown::TooManyLogins => AccessRefused::TooManyLogins,
    }
}

fn refusal_of(unknown: Unknown) -> Refusal {
    let code = match unknown {
        Unknown::Nothing | Unknown::Token | Unknown::TwoTenants => ErrorCode::Unauthorized,
        Unknown::TooManyLogins => ErrorCode::TooManyRequests,
    };
    Refusal::new(code, unknown.text())
}
