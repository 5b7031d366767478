//! `kvlease rm`: removes objects.

use clap::Args;
use kvlease_client::Key;

use crate::{
    arguments::{self, DaemonArgs},
    failure::{Failure, Status},
    text::no_such_object,
};

/// The arguments of `rm`.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// The objects' keys
    #[arg(required = true, value_parser = arguments::key)]
    keys: Vec<Key>,
}

/// Removes the objects that are there, and fails if one was not.
pub(crate) fn run(daemon: &DaemonArgs, args: RmArgs) -> Result<(), Failure> {
    super::wait_for(async {
        let client = daemon.client()?;
        let mut absent = Vec::new();
        for key in &args.keys {
            if !client.remove(key).await? {
                absent.push(no_such_object(key));
            }
        }
        match absent.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(Status::Absent, absent.join("\nkvlease: "))),
        }
    })
}
