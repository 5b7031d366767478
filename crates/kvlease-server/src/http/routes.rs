//! Dispatch of requests to their handlers.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use hyper::body::Incoming;
use kvlease_api::{Endpoint, ErrorCode, Names, Route, RouteError};
use kvlease_types::Caller;

use super::{
    admin,
    admission::Busy,
    answered::{self, Answered},
    body::Body,
    buckets, checkpoint,
    connection::Socket,
    events, gate, history, kv, lease, list, put,
    reply::{Answer, Refusal, Reply},
    status_page, tiers, upload,
};
use crate::{answer_times, context::Context, metrics, quotas::OverQuota, request_ids::REQUEST_ID};

/// Answers one request. If the client goes away meanwhile, this is dropped where it waits; the
/// guards of the engine undo what was begun.
pub(super) async fn answer(
    context: &Context,
    caller: &Caller,
    request: &mut Request<Incoming>,
    (socket, busy): (&Socket, &mut Busy),
    id: HeaderValue,
) -> Response<Body> {
    let started = Instant::now();
    let path = context.config.status_page_path.in_table(request.uri().path());
    let mut route = Route::parse(path);
    let endpoint = route.as_ref().ok().and_then(|route| route.endpoint(request.method().as_str()));
    let placed = endpoint.is_some_and(Endpoint::is_admin) || busy.has_place().await;
    let mut admitted =
        gate::admit(context, (caller, socket), request.headers(), endpoint, &mut route);
    let refusal = admitted.as_mut().and_then(|admitted| admitted.refusal.take());
    let caller = admitted.as_ref().map_or(caller, |admitted| &admitted.caller);
    let context = context.of_caller(caller);
    let step = answer_step(context, endpoint, route.as_ref().ok());
    let over = admitted.as_ref().and_then(|admitted| admitted.over.as_ref());
    let ends = over.map(OverQuota::is_of_connections);
    let answer = match (refusal, route, endpoint) {
        _ if !placed => Err(no_place()),
        (Some(refusal), ..) if ends.is_some() => {
            // The body is taken in first, so that its client does not take this for a broken connection.
            let answer = Box::pin(upload::refuse(context, request, socket, *refusal)).await;
            answer.map_err(|mut refusal| {
                refusal.close |= ends == Some(true);
                refusal
            })
        }
        (Some(refusal), ..) => {
            Box::pin(upload::refuse_early(context, request, socket, *refusal)).await
        }
        (None, Ok(_), Some(endpoint)) if !socket.arrival().reaches(endpoint) => {
            Box::pin(upload::refuse(context, request, socket, for_operators())).await
        }
        (None, Ok(route), Some(endpoint)) => {
            dispatch(context, caller, (endpoint, route.into_names()), request, socket).await
        }
        (None, Ok(route), None) => {
            let refusal = Refusal::wrong_method(request.method(), route.methods());
            Box::pin(upload::refuse(context, request, socket, refusal)).await
        }
        (None, Err(error), _) => {
            Box::pin(upload::refuse(context, request, socket, refusal_of(error))).await
        }
    };
    if let Some(step) = step {
        context.metrics.delayed();
        Box::pin(answer_times::wait(started.into(), step)).await;
    }
    let outcome = answer.as_ref().err().map(|refusal| refusal.code);
    if let Some(admitted) = &admitted {
        admitted.note(context, endpoint, outcome);
    }
    let took = started.elapsed();
    context.metrics.answered(endpoint, outcome, took);
    let reply = answer.unwrap_or_else(|refusal| {
        let operation = metrics::operation(endpoint);
        tracing::debug!(%caller, operation, code = ?refusal.code, "{}", refusal.message);
        refusal.into_reply()
    });
    let response = announced(context, caller, reply, id);
    if let Some(admitted) = &admitted {
        let answered = Answered { endpoint, outcome, took };
        answered::note((context, admitted), request, &response, &answered);
    }
    response
}

/// The step of answers to a request, unless it is answered at once. It is that of the bucket in whose place a hidden
/// one is answered.
fn answer_step(
    context: &Context,
    endpoint: Option<Endpoint>,
    route: Option<&Route>,
) -> Option<Duration> {
    let times = context.answer_times.as_ref()?;
    times.step_of(endpoint, route?.names().bucket.as_ref())
}

/// Answers a request that is refused for its head.
pub(super) fn refused(
    context: &Context,
    caller: &Caller,
    refusal: Refusal,
    id: HeaderValue,
) -> Response<Body> {
    context.metrics.answered(None, Some(refusal.code), Duration::ZERO);
    tracing::debug!(%caller, code = ?refusal.code, "{}", refusal.message);
    without_announcement(refusal.into_reply(), id)
}

/// Any first request of a client tells it with which daemon it speaks, and where the lane is.
fn announced(context: &Context, caller: &Caller, reply: Reply, id: HeaderValue) -> Response<Body> {
    if !context.is_told_to(caller) {
        return without_announcement(reply, id);
    }
    let mut headers = context.announcement.headers(reply.content_type);
    headers.insert(REQUEST_ID, id);
    reply.into_response(headers)
}

fn without_announcement(reply: Reply, id: HeaderValue) -> Response<Body> {
    let content_type = reply.content_type.map(HeaderValue::from_static);
    let headers = content_type.map(|value| (CONTENT_TYPE, value));
    let headers: HeaderMap = headers.into_iter().chain([(REQUEST_ID, id)]).collect();
    reply.into_response(headers)
}

async fn dispatch(
    context: &Context,
    caller: &Caller,
    (endpoint, names): (Endpoint, Names),
    request: &mut Request<Incoming>,
    socket: &Socket,
) -> Answer {
    let query = request.uri().query();
    // hyper moves the future of an answer about. The large ones that are not leases or hits are boxed,
    // so that no answer carries their size.
    match endpoint {
        Endpoint::Acquire => lease::acquire(context, caller, &names, query).await,
        Endpoint::Release => lease::release(context, caller, &names),
        Endpoint::Renew => lease::renew(context, caller, &names, query),
        Endpoint::Put => Box::pin(put::put(context, caller, names, request, socket)).await,
        Endpoint::Get => kv::get(context, caller, &names, socket).await,
        Endpoint::Head => Box::pin(kv::head(context, caller, &names)).await,
        Endpoint::Remove => Box::pin(kv::remove(context, caller, &names)).await,
        Endpoint::Tiers => Box::pin(tiers::find(context, &names)).await,
        Endpoint::Locations => kv::locations(context, &names),
        Endpoint::Events => {
            Box::pin(events::stream(context, query, request.headers(), socket)).await
        }
        Endpoint::List => Box::pin(list::list(context, &names, query)).await,
        Endpoint::Namespace => Box::pin(checkpoint::namespace(context, caller, &names)).await,
        Endpoint::CreateNamespace => checkpoint::create(context, caller, &names, query),
        Endpoint::RemoveNamespace => {
            Box::pin(checkpoint::remove_namespace(context, caller, &names)).await
        }
        Endpoint::GetShard => {
            Box::pin(checkpoint::get(context, caller, &names, request.method())).await
        }
        Endpoint::PutShard => {
            Box::pin(checkpoint::put(context, caller, &names, request, socket)).await
        }
        Endpoint::RemoveShard => Box::pin(checkpoint::remove(context, caller, &names)).await,
        Endpoint::LatestSteps => Box::pin(checkpoint::latest(context, caller, &names, query)).await,
        Endpoint::ResetCheckpoints => Box::pin(checkpoint::reset(context, caller)).await,
        Endpoint::Buckets => Box::pin(buckets::list(context)).await,
        Endpoint::Policy => buckets::show(context, &names),
        Endpoint::SetPolicy => Box::pin(buckets::set(context, caller, &names, query)).await,
        Endpoint::RemovePolicy => Box::pin(buckets::remove(context, caller, &names)).await,
        Endpoint::Stats => Box::pin(admin::stats(context, query)).await,
        Endpoint::History => Box::pin(history::history(context, query)).await,
        Endpoint::StatusPage => Box::pin(status_page::page(context, query)).await,
        Endpoint::Asset => status_page::asset(context, &names),
        Endpoint::Report => kv::report(context, caller, &names, query),
        Endpoint::Health => admin::health(),
        Endpoint::Ready => admin::ready(context),
        Endpoint::Metrics => Box::pin(admin::metrics(context, request.headers())).await,
        Endpoint::OpenApi => admin::openapi(),
    }
}

fn no_place() -> Refusal {
    let text = "all places for connections are taken: try again, or raise server.connections_max \
        or server.connection_memory_max";
    Refusal::closing(ErrorCode::Unavailable, text)
}

fn for_operators() -> Refusal {
    let text = "this listener serves operators alone, health, readiness, metrics and state: use the \
        one at server.address";
    Refusal::new(ErrorCode::Misdirected, text)
}

fn refusal_of(error: RouteError) -> Refusal {
    match error {
        RouteError::Unknown => Refusal::new(ErrorCode::NoRoute, error),
        RouteError::Decode(_) | RouteError::Name(_) | RouteError::Number { .. } => {
            Refusal::invalid(error)
        }
    }
}
