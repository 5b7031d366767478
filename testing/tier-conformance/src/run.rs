//! A case, run against a store.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use tokio::{runtime::Builder, time};

use crate::store::{NotPossible, Step, Store};

/// Time within which a case ends, whatever the store does.
const CASE_ENDS_WITHIN: Duration = Duration::from_secs(300);

/// Threads that poll the futures of a case.
const WORKERS: usize = 2;

/// Case of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    pub(crate) run: for<'a> fn(&'a dyn Store) -> Step<'a, Result<(), NotPossible>>,
}

/// Runs a case against a store that `make` makes.
///
/// # Panics
///
/// If the case fails, or if it is not possible and not in the list, or the other way round.
pub fn run<S: Store>(
    cases: &[Case],
    name: &str,
    make: impl FnOnce() -> S,
    not_possible: &[(&str, &str)],
) {
    for (listed, _) in not_possible {
        assert!(cases.iter().any(|case| case.name == *listed), "there is no case `{listed}`");
    }
    let case = cases.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case `{name}`"));
    let reason = not_possible.iter().find(|(listed, _)| *listed == name);
    match (on_runtime(case, make), reason) {
        (Ok(()), None) => {}
        (Err(impossible), Some((_, reason))) => println!("not possible: {impossible}: {reason}"),
        (Err(impossible), None) => panic!("{impossible}: list `{name}` with the reason"),
        (Ok(()), Some(_)) => panic!("`{name}` is possible: take it off the list"),
    }
}

fn on_runtime<S: Store>(case: &Case, make: impl FnOnce() -> S) -> Result<(), NotPossible> {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let store = make();
            let ended = time::timeout(CASE_ENDS_WITHIN, (case.run)(&store)).await;
            ended.unwrap_or_else(|_| panic!("the case did not end within {CASE_ENDS_WITHIN:?}"))
        })
    }));
    // A thread that the tier blocks must not keep the test from failing.
    runtime.shutdown_background();
    ended.unwrap_or_else(|failure| panic::resume_unwind(failure))
}
