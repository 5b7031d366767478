//! Requests of one connection, and the reservations that it owns.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use kvlease_api::lane::{
    Acquire, DoneStatus, Failure, FailureCode, Frame, Kind, Lengths, Lookup, Malformed, Request,
    write_done, write_failure, write_renewed,
};
use kvlease_types::Caller;
use tokio::{task::JoinSet, time};

use super::{
    acquire::{self, Awaited, Wait},
    answers::{Answers, grants_len, statuses_len},
    asked::{Asked, Question, status_of_remove},
    gate, index, leases,
    noted::{self, Answered},
    reservations::Reservations,
};
use crate::{
    answer_times,
    connection_memory::{Held, Purpose},
    context::Context,
    otlp::Span,
    request_scope::{self, Scope, Tag},
    status::Draining,
};

/// The most acquires of one connection that wait at the same time.
const WAITS_MAX: usize = 64;

/// One connection's part of the memory of all acquires that wait: a quarter.
const WAITS_SHARE: usize = 4;

/// An open connection, apart from its socket.
pub(super) struct Session {
    pub(super) context: Arc<Context>,
    pub(super) reservations: Reservations,
    /// Requests that wait: acquires for a writer or a tier, look-ups and removals for a tier.
    pub(super) waits: JoinSet<Waited>,
    /// Memory that they hold.
    waits_memory: usize,
    /// Answers that were not sent yet.
    pub(super) out: Answers,
    pub(super) caller: Caller,
    /// When they may be sent; unset if at once.
    pub(super) not_before: Option<time::Instant>,
    /// The statuses of the answer that is being made; kept for its memory.
    statuses: Vec<DoneStatus>,
}

/// Refusal of a request as a whole.
type Refused = (FailureCode, String);

impl Session {
    pub(super) fn new(context: Arc<Context>, caller: Caller, writable: bool) -> Self {
        Self {
            reservations: Reservations::new(caller, writable),
            waits: JoinSet::new(),
            waits_memory: 0,
            out: Answers::default(),
            not_before: None,
            caller,
            statuses: Vec::new(),
            context,
        }
    }

    /// Does what the frame asks for, if the request in it could be read. Returns whether the
    /// connection goes on.
    pub(super) fn handle(
        &mut self,
        frame: &Frame<'_>,
        request: Result<Request<'_>, Malformed>,
    ) -> bool {
        let span = self.context.traces.as_ref().and_then(|traces| traces.draw());
        let scope = Scope::new(self.tag(frame.request), span);
        request_scope::run(scope, || self.handle_tagged(frame, request))
    }

    /// The id of a request in the log.
    fn tag(&self, request: u64) -> Tag {
        let connection = self.caller.owner.connection_number().unwrap_or_default();
        Tag::Frame { connection, request }
    }

    fn handle_tagged(
        &mut self,
        frame: &Frame<'_>,
        request: Result<Request<'_>, Malformed>,
    ) -> bool {
        let (started, span) = (Instant::now(), request_scope::span());
        let bucket = request.as_ref().ok().and_then(gate::bucket);
        // A malformed frame is refused as a whole: nothing of it is done.
        let answer = request.map_err(refusal_of).and_then(|request| {
            self.statuses.clear();
            self.answer(frame, request, started)
        });
        let (request, kind) = (frame.request, frame.kind());
        let answered = |refused| {
            let took = started.elapsed();
            Answered { request, kind, bucket, refused, took, span }
        };
        match answer {
            Ok(Done::Now) => {
                self.answered(&answered(None));
                true
            }
            Ok(Done::Later) => true,
            Err((code, text)) => {
                self.answered(&answered(Some(code)));
                self.refuse(request, code, &text)
            }
        }
    }

    /// Counts an answer, and notes it in the access log and in its trace.
    pub(super) fn answered(&self, answered: &Answered<'_>) {
        let Answered { kind, refused, took, span, .. } = *answered;
        let context = &self.context;
        context.metrics.lane.answered(kind, refused, took);
        if context.access_log.is_some() || span.is_some() {
            noted::note(context, &self.caller, answered);
        }
    }

    /// Answers with a refusal, which has the id of the request. Returns whether the connection goes on.
    pub(super) fn refuse(&mut self, request: u64, code: FailureCode, text: &str) -> bool {
        let caller = &self.caller;
        let scope = Scope::new(self.tag(request), None);
        request_scope::run(scope, || {
            tracing::debug!(%caller, code = code.name(), "refused a frame of the fast lane: {text}");
        });
        let connection = caller.owner.connection_number().unwrap_or_default();
        let text = &format!("{text}, connection=`{connection}` request=`{request}`");
        write_failure(self.out.bytes(), request, &Failure { code, text });
        !code.closes()
    }

    fn answer(
        &mut self,
        frame: &Frame<'_>,
        request: Request<'_>,
        started: Instant,
    ) -> Result<Done, Refused> {
        let number = frame.request;
        let request = gate::admit(&self.context, &self.caller, frame.kind(), request)?;
        match request {
            Request::Hello(_) => {
                let text = "the connection is open already: send one hello, and first";
                return Err((FailureCode::Order, text.into()));
            }
            Request::Acquire(acquire) => {
                // A daemon that shuts down grants nothing new; releases it still takes.
                self.context.status.check().map_err(draining)?;
                return Ok(self.acquire(frame, &acquire, started));
            }
            Request::Release { ids, silent } => {
                leases::release(&self.context, &self.caller, ids, &mut self.statuses);
                self.done(Kind::Release, number, silent);
            }
            Request::Renew { ids, ttl } => {
                let Self { context, caller, statuses, .. } = self;
                let ttl = leases::renew(context, caller, ids, ttl, statuses);
                self.count(Kind::Renew);
                write_renewed(self.out.bytes(), number, ttl, &self.statuses);
            }
            Request::Exists(lookup) => {
                if self.exists(number, &lookup, started) {
                    return Ok(Done::Later);
                }
                self.done(Kind::Exists, number, false);
            }
            Request::Remove(lookup) => {
                if self.remove(number, &lookup, started) {
                    return Ok(Done::Later);
                }
                self.done(Kind::Remove, number, false);
            }
            Request::Reserve(reserve) => {
                self.context.status.check().map_err(draining)?;
                self.reservations.reserve(&self.context, number, reserve, self.out.bytes());
            }
            Request::Prepare(lengths) => self.prepare(number, lengths)?,
            Request::Store(store) => {
                self.reservations.store(&self.context, store, &mut self.statuses);
                self.done(Kind::Store, number, false);
            }
            Request::Commit(commits) => {
                self.reservations.commit(&self.context, commits, &mut self.statuses);
                self.done(Kind::Commit, number, false);
            }
            Request::Index => {
                self.context.status.check().map_err(draining)?;
                index::pass(&self.context, number, &mut self.out)
                    .map_err(|text| (FailureCode::Unavailable, text))?;
            }
            Request::Used(used) => {
                let silent = used.silent;
                index::note(&self.context, &self.caller, used, &mut self.statuses);
                self.done(Kind::Used, number, silent);
            }
            Request::Abort { ids, silent } => {
                self.reservations.abort(&self.context, ids, &mut self.statuses);
                self.done(Kind::Abort, number, silent);
            }
        }
        Ok(Done::Now)
    }

    /// Makes spare reservations, unless the daemon shuts down.
    fn prepare(&mut self, number: u64, lengths: Lengths<'_>) -> Result<(), Refused> {
        self.context.status.check().map_err(draining)?;
        self.reservations.prepare(&self.context, number, lengths, self.out.bytes());
        Ok(())
    }

    /// Leases what can be leased now. If the client waits for pending objects, the answer is given
    /// later, by [`Self::deliver`].
    fn acquire(&mut self, frame: &Frame<'_>, acquire: &Acquire<'_>, started: Instant) -> Done {
        let Acquire { bucket, ref keys, mode, ttl, wait } = *acquire;
        let step = self.context.answer_step(bucket);
        let engine = &self.context.engine;
        let grants = engine.acquire(&self.caller, bucket, keys.as_slice(), mode, ttl);
        // Wait beside the connection, which goes on with its next frame.
        if !wait.is_zero() && grants.is_pending() {
            let awaited = Awaited::new(acquire, &grants);
            if let Some(held) = self.memory_of_wait(awaited.len()) {
                let span = request_scope::span();
                let own = span.map(Box::new);
                let wait = Wait { request: frame.request, span: own, grants, started, step, held };
                let context = Arc::clone(&self.context);
                let scope = Scope::new(self.tag(frame.request), span);
                self.waits.spawn(async {
                    let mut waiting = pin!(wait.run(context, awaited));
                    let (wait, bucket) = request_scope::within(scope, waiting.as_mut()).await;
                    Waited::Acquire(wait, bucket)
                });
                return Done::Later;
            }
        }
        acquire::answer(&self.context, frame.request, grants, self.out.bytes());
        self.hold(started, step);
        Done::Now
    }

    /// Memory for one more acquire that waits. Without it the client is answered at once.
    fn memory_of_wait(&mut self, len: usize) -> Option<Held> {
        let memory = &self.context.memory;
        let most = memory.share(Purpose::Waits) / WAITS_SHARE;
        let fits = self.waits.len() < WAITS_MAX && self.waits_memory + len <= most;
        let held = fits.then(|| memory.try_take(Purpose::Waits, len)).flatten();
        match &held {
            Some(held) => self.waits_memory += held.len(),
            None => memory.refused(),
        }
        held
    }

    /// Answers a request that has waited.
    pub(super) fn deliver(&mut self, waited: Waited) {
        match waited {
            Waited::Acquire(Wait { request, span, grants, started, step, held }, bucket) => {
                self.hold(started, step);
                self.waits_memory -= held.len();
                acquire::answer(&self.context, request, grants, self.out.bytes());
                self.answered_late((request, Kind::Acquire, &bucket), started, span);
            }
            Waited::Asked(Asked { request, kind, bucket, span, statuses, started, step, held }) => {
                self.hold(started, step);
                self.waits_memory -= held.len();
                self.statuses = statuses;
                self.done(kind, request, false);
                self.answered_late((request, kind, &bucket), started, span);
            }
        }
    }

    fn answered_late(
        &self,
        (request, kind, bucket): (u64, Kind, &str),
        started: Instant,
        span: Option<Box<Span>>,
    ) {
        let span = span.map(|span| *span);
        let (kind, bucket, took) = (Some(kind), Some(bucket), started.elapsed());
        self.answered(&Answered { request, kind, bucket, refused: None, took, span });
    }

    /// Looks objects up. Returns true if a tier has to be asked: then the answer is given later, by
    /// [`Self::deliver`].
    fn exists(&mut self, request: u64, lookup: &Lookup<'_>, started: Instant) -> bool {
        let Lookup { mode, bucket, ref keys } = *lookup;
        let engine = &self.context.engine;
        let found = engine.exists(&self.caller, bucket, keys.as_slice(), mode);
        if engine.has_to_ask(bucket, keys.as_slice(), &found)
            && self.ask(request, Kind::Exists, lookup, started)
        {
            return true;
        }
        self.statuses.extend(found.into_iter().map(DoneStatus::of_exists));
        self.hold(started, self.context.answer_step(bucket));
        false
    }

    /// Removes objects. Returns true if there are tiers to remove them from as well: then the answer is
    /// given later, by [`Self::deliver`].
    fn remove(&mut self, request: u64, lookup: &Lookup<'_>, started: Instant) -> bool {
        let has_tiers = self.context.engine.has_tiers();
        if has_tiers && self.ask(request, Kind::Remove, lookup, started) {
            return true;
        }
        let engine = &self.context.engine;
        let outcomes = engine.remove(&self.caller, lookup.bucket, lookup.keys.as_slice());
        // Tiers that were not asked may have them still: they are to be removed again.
        let in_tiers = has_tiers.then_some(DoneStatus::BeingWritten);
        let statuses = outcomes.into_iter().map(status_of_remove);
        self.statuses.extend(statuses.map(|status| in_tiers.unwrap_or(status)));
        self.hold(started, self.context.answer_step(lookup.bucket));
        false
    }

    /// Asks the tiers in a task of its own. Returns false if there is no memory for that.
    fn ask(&mut self, request: u64, kind: Kind, lookup: &Lookup<'_>, started: Instant) -> bool {
        let question = Question::new(kind, lookup);
        let step = self.context.answer_step(lookup.bucket);
        let Some(held) = self.memory_of_wait(question.len()) else { return false };
        let (context, caller, span) =
            (Arc::clone(&self.context), self.caller, request_scope::span());
        let scope = Scope::new(self.tag(request), span);
        self.waits.spawn(async move {
            let mut asking = pin!(question.ask(&context, &caller));
            let (statuses, bucket) = request_scope::within(scope, asking.as_mut()).await;
            let span = span.map(Box::new);
            Waited::Asked(Asked { request, kind, bucket, span, statuses, started, step, held })
        });
        true
    }

    /// Answers with the statuses, unless the client wants no answer.
    fn done(&mut self, kind: Kind, number: u64, silent: bool) {
        self.count(kind);
        if !silent {
            write_done(self.out.bytes(), number, &self.statuses);
        }
    }

    fn count(&self, kind: Kind) {
        let mut counts = [0; DoneStatus::ALL.len()];
        self.statuses.iter().for_each(|status| counts[usize::from(status.number())] += 1);
        self.context.metrics.lane.items(kind, &counts);
    }

    /// Keeps the answers back until that to a request in a bucket with such a step may be given. Those of the same
    /// connection that came with it wait as well.
    fn hold(&mut self, started: Instant, step: Option<Duration>) {
        if let Some(step) = step {
            let due = answer_times::due(started.into(), step, time::Instant::now());
            self.not_before = self.not_before.max(Some(due));
            self.context.metrics.delayed();
        }
    }

    /// Gives memory back that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        self.out.shrink();
        self.statuses = Vec::new();
    }
}

/// A request that has waited.
pub(super) enum Waited {
    /// An acquire, with its bucket.
    Acquire(Wait, Box<str>),
    Asked(Asked),
}

impl Waited {
    /// Bytes of its answer.
    pub(super) fn answer_len(&self) -> usize {
        match self {
            Self::Acquire(wait, _) => grants_len(&wait.grants),
            Self::Asked(asked) => statuses_len(asked.statuses.len()),
        }
    }
}

/// Whether a request is done with.
enum Done {
    Now,
    /// Once what it waits for has come, or the wait is over.
    Later,
}

fn refusal_of(malformed: Malformed) -> Refused {
    let code = match malformed {
        Malformed::Kind { .. } => FailureCode::UnknownKind,
        _ => FailureCode::Malformed,
    };
    (code, malformed.to_string())
}

fn draining(draining: Draining) -> Refused {
    (FailureCode::Unavailable, draining.to_string())
}
