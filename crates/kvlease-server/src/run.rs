//! `kvlease serve`: from flags to exit status.

use std::{
    io::{self, Write},
    net::TcpListener,
    num::NonZero,
    panic,
    process::{ExitCode, abort},
    sync::Mutex,
    thread,
};

use kvlease_sys::explain_sigbus;
use listenfd::ListenFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::{self, Config, ServeArgs},
    exit::ServeError,
    logging,
    server::Server,
};

/// Runs the daemon until a signal stops it. Prints the reason on standard error if it does not start.
pub fn run(args: ServeArgs) -> ExitCode {
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kvlease serve: {error}");
            error.exit_code()
        }
    }
}

fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let config = config::load(args, std::env::vars())?;
    if args.print_config {
        say(&config::print(&config));
        return Ok(());
    }
    logging::start(&config);
    let inherited = inherited_listener()?;
    end_on_panic();
    explain_sigbus().map_err(signals)?;
    raise_descriptor_limit();
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = |source| ServeError::System { what: "threads", source };
    try_threads(workers).map_err(threads)?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.map_err(threads)?.block_on(serve_until_stopped(config, inherited))
}

async fn serve_until_stopped(
    config: Config,
    inherited: Option<TcpListener>,
) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let server = match inherited {
        Some(listener) => Server::start_on(listener, config).await?,
        None => Server::start(config).await?,
    };
    say(&server.welcome());
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping by SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("stopping by SIGINT: draining"),
    }
    tokio::select! {
        () = server.shutdown() => {}
        _ = terminate.recv() => tracing::warn!("stopped by a second signal: ending at once"),
        _ = interrupt.recv() => tracing::warn!("stopped by a second signal: ending at once"),
    }
    Ok(())
}

/// The socket that a service manager listens on for the daemon, if one does: it goes on listening
/// while the daemon is started again, so that no client is refused meanwhile.
fn inherited_listener() -> Result<Option<TcpListener>, ServeError> {
    ListenFd::from_env().take_tcp_listener(0).map_err(ServeError::Inherited)
}

fn signals(source: io::Error) -> ServeError {
    ServeError::System { what: "signal handlers", source }
}

/// Starts `count` threads at a time, and ends them: the runtime panics where the system refuses one
/// of its workers.
fn try_threads(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock();
        let wait = || drop(gate.lock());
        let threads: io::Result<Vec<_>> =
            (0..count).map(|_| thread::Builder::new().spawn_scoped(scope, wait)).collect();
        drop(closed);
        // A scope ends before the system has taken the stacks back; a join does not.
        for thread in threads? {
            thread.join().expect("a thread that takes a lock and drops it does not panic");
        }
        Ok(())
    })
}

/// A panic is a broken invariant: nothing that follows can be trusted, and the supervisor
/// of the daemon starts it again.
fn end_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        abort();
    }));
}

/// Thousands of connections need more descriptors than the usual soft limit.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(soft = ?limit.current, hard = ?limit.maximum, "cannot raise the limit of open files");
    }
}

/// Writes to standard output; a closed one is no loss.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
