//! `kvlease serve`: from flags to exit status.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    net::TcpListener,
    num::NonZero,
    panic,
    process::{ExitCode, abort},
    thread,
    time::Duration,
};

use kvlease_sys::explain_sigbus;
use listenfd::ListenFd;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use sd_notify::NotifyState;
use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
    time::timeout,
};

use crate::{
    config::{self, Config, ServeArgs},
    exit::ServeError,
    logging,
    server::Server,
    signals::StopSignals,
    start_limits::{limit_heaps, raise_descriptor_limit, try_descriptors, try_threads},
};

/// How long a start that a signal broke off may take to undo what it did.
const START_UNDO_MAX: Duration = Duration::from_secs(5);

/// How long tasks may take to end once the daemon has drained.
const TASKS_END_MAX: Duration = Duration::from_secs(1);

/// Runs the daemon until a signal stops it. Prints the reason on standard error if it does not start.
pub fn run(args: ServeArgs) -> ExitCode {
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell that the line cannot be written.
            let _ = writeln!(io::stderr(), "kvlease serve: {error}");
            error.exit_code()
        }
    }
}

fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let (config, notes) = config::load_with_notes(args, environment())?;
    if args.print_config {
        say(&config::print(&config));
        return Ok(());
    }
    logging::start(&config);
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    let inherited = inherited_listener()?;
    end_on_panic();
    explain_sigbus().map_err(signals)?;
    raise_descriptor_limit();
    try_descriptors().map_err(|source| ServeError::System { what: "open files", source })?;
    // The threads of the runtime, and the one that starts the daemon.
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    limit_heaps(workers);
    try_threads(workers + 1).map_err(threads)?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(threads)?;
    let served = runtime.block_on(serve_until_stopped(args, config, inherited));
    // A start that the kernel keeps waiting does not keep the process.
    runtime.shutdown_timeout(TASKS_END_MAX);
    served
}

async fn serve_until_stopped(
    args: &ServeArgs,
    config: Config,
    inherited: Option<TcpListener>,
) -> Result<(), ServeError> {
    let mut stop = StopSignals::listen().map_err(signals)?;
    let rereads_quotas = config.rereads_quotas();
    if config.is_reread() {
        stop = stop.without_hangup();
    }
    if args.throwaway {
        end_with_parent().map_err(signals)?;
    }
    let mut starting = begin_start(config, inherited)?;
    let server = tokio::select! {
        // A daemon that serves ends by draining, even if the signal was there as soon.
        biased;
        started = &mut starting => started.expect(START_ANSWERS)?,
        signal = stop.next() => {
            tracing::info!("stopping by {signal}: breaking off the start");
            match timeout(START_UNDO_MAX, starting).await {
                // It came up all the same, and clients may have stored something.
                Ok(started) if !args.throwaway => started.expect(START_ANSWERS)?.shutdown().await,
                Ok(started) => started.expect(START_ANSWERS)?.abandon().await,
                Err(_) => tracing::warn!("the start does not end: it may leave files behind"),
            }
            return Ok(());
        }
    };
    let mut server = server;
    if rereads_quotas {
        let args = args.clone();
        server.reread_quotas(move || config::load(&args, environment()));
    }
    say(&server.welcome());
    tell_manager(NotifyState::Ready);
    let signal = stop.next().await;
    if args.throwaway {
        server.abandon().await;
        return Ok(());
    }
    tracing::info!("stopping by {signal}: draining");
    tell_manager(NotifyState::Stopping);
    tokio::select! {
        () = server.shutdown() => {}
        _ = stop.next() => tracing::warn!("stopped by a second signal: ending at once"),
    }
    Ok(())
}

/// A thread of a start that fails sends the error; a panic in it ends the process.
const START_ANSWERS: &str = "the thread of the start sends its outcome";

/// Starts the daemon on a thread of its own, so that signals are heard while it waits for the kernel.
fn begin_start(
    config: Config,
    inherited: Option<TcpListener>,
) -> Result<oneshot::Receiver<Result<Server, ServeError>>, ServeError> {
    let (outcome, starting) = oneshot::channel();
    let runtime = Handle::current();
    let thread = thread::Builder::new().name("kvlease-start".into());
    thread
        .spawn(move || {
            let started = runtime.block_on(async {
                match inherited {
                    Some(listener) => Server::start_on(listener, config).await,
                    None => Server::start(config).await,
                }
            });
            // The receiver is gone if a signal came and the start took too long to break off.
            drop(outcome.send(started));
        })
        .map_err(threads)?;
    Ok(starting)
}

/// Variables of the environment. Other programs' may have bytes that are no text.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// The socket that a service manager listens on for the daemon, if one does: it goes on listening
/// while the daemon is started again, so that no client is refused meanwhile.
fn inherited_listener() -> Result<Option<TcpListener>, ServeError> {
    ListenFd::from_env().take_tcp_listener(0).map_err(ServeError::Inherited)
}

/// Tells a service manager that waits for it, by the socket that `NOTIFY_SOCKET` names, of the state of
/// the daemon.
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the service manager cannot be told: check NOTIFY_SOCKET, {error}");
    }
}

fn signals(source: io::Error) -> ServeError {
    ServeError::System { what: "signal handlers", source }
}

fn threads(source: io::Error) -> ServeError {
    ServeError::System { what: "threads", source }
}

/// Has the kernel send SIGTERM when the process that started this one ends, however it ends.
fn end_with_parent() -> io::Result<()> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before.
    if getppid() == parent { Ok(()) } else { Err(io::Error::other("the parent ended")) }
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

/// Writes to standard output; a closed one is no loss.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
