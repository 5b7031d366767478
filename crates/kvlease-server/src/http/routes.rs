//! Which request goes where.

use std::{sync::Arc, time::Instant};

use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use kvlease_api::{ErrorCode, Route, RouteError, SOCKET_HEADER};
use kvlease_engine::Engine;

use super::{admin, body::Body, connection::Socket, kv, lease, put, reply::Refusal};
use crate::{
    config::Config,
    metrics::{Metrics, Operation},
    status::Status,
};

/// What every request can reach. One for the whole daemon.
pub(crate) struct Routes {
    pub(crate) engine: Arc<Engine>,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Arc<Status>,
    /// Where the fast lane is, for clients that can use it.
    pub(crate) socket: Option<HeaderValue>,
}

/// What a handler answers.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

impl Routes {
    /// Answers one request. If the client goes away meanwhile, this is dropped where it waits;
    /// the guards of the engine undo what was begun.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        socket: &Socket,
    ) -> Response<Body> {
        let started = Instant::now();
        let route = Route::parse(request.uri().path());
        let operation = Operation::of(request.method(), route.as_ref().ok());
        let answer = match route {
            Ok(route) => self.dispatch(route, request, socket).await,
            Err(error) => put::refuse(self, request, socket, refusal_of(error)).await,
        };
        let outcome = answer.as_ref().err().map(|refusal| refusal.code);
        self.metrics.answered(operation, outcome, started.elapsed());
        let mut response = answer.unwrap_or_else(|refusal| {
            tracing::debug!(operation = operation.name(), code = ?refusal.code, "{}", refusal.message);
            refusal.into_response()
        });
        // A client learns it with whatever it asks first.
        if let Some(socket) = &self.socket {
            response.headers_mut().insert(SOCKET_HEADER, socket.clone());
        }
        response
    }

    async fn dispatch(&self, route: Route, request: Request<Incoming>, socket: &Socket) -> Answer {
        let query = request.uri().query();
        match (request.method(), &route) {
            (&Method::POST, Route::Leases(bucket, key)) => {
                lease::grant(self, bucket.as_str(), key.as_str(), query).await
            }
            (&Method::POST, Route::Release(id)) => lease::release(self, id),
            (&Method::POST, Route::Renew(id)) => lease::renew(self, id, query),
            (&Method::PUT, Route::Object(..)) => {
                let Route::Object(bucket, key) = route else { unreachable!("matched above") };
                put::put(self, bucket, key, request, socket).await
            }
            (&Method::GET, Route::Object(bucket, key)) => kv::get(self, bucket, key),
            (&Method::HEAD, Route::Object(bucket, key)) => kv::head(self, bucket, key),
            (&Method::DELETE, Route::Object(bucket, key)) => kv::delete(self, bucket, key),
            (&Method::GET, Route::Locations(bucket, key)) => kv::locations(self, bucket, key),
            (&Method::GET, Route::Bucket(bucket)) => kv::list(self, bucket, query),
            (&Method::GET, Route::Stats) => admin::stats(self),
            (&Method::GET, Route::Health) => admin::health(),
            (&Method::GET, Route::Ready) => admin::ready(self),
            (&Method::GET, Route::Metrics) => admin::metrics(self),
            (&Method::GET, Route::OpenApi) => admin::openapi(),
            (method, route) => {
                let refusal = Refusal::wrong_method(method, route.methods());
                put::refuse(self, request, socket, refusal).await
            }
        }
    }
}

fn refusal_of(error: RouteError) -> Refusal {
    match error {
        RouteError::Unknown => Refusal::new(ErrorCode::NoRoute, error),
        RouteError::Decode(_) | RouteError::Name(_) => Refusal::invalid(error),
    }
}
