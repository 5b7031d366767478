//! `kvlease segment`: what daemons leave in shared memory.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use kvlease_client::SegmentName;
use kvlease_server::remove_segment;

use crate::{
    failure::Status,
    text::{note, printable},
};

/// The arguments of `segment`.
#[derive(Args, Debug)]
pub(crate) struct SegmentArgs {
    #[command(subcommand)]
    command: SegmentCommand,
}

#[derive(Subcommand, Debug)]
enum SegmentCommand {
    /// Remove a segment that no daemon runs on, with all objects in it
    Rm {
        /// The segment's name
        name: SegmentName,
        /// The directory that it is in
        #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
        shared_memory_dir: PathBuf,
    },
}

/// Removes the segment.
pub(crate) fn run(args: SegmentArgs) -> ExitCode {
    let SegmentCommand::Rm { name, shared_memory_dir } = args.command;
    let shown = printable(name.as_str());
    match remove_segment(&shared_memory_dir, &name) {
        Ok(true) => {
            note(format_args!("removed the segment {shown}"));
            ExitCode::SUCCESS
        }
        Ok(false) => {
            let dir = shared_memory_dir.display();
            note(format_args!(
                "kvlease: no such segment: check the name and the directory, name=`{shown}` dir=`{dir}`"
            ));
            Status::Absent.into()
        }
        Err(error) => {
            note(format_args!("kvlease: {error}"));
            error.exit_code()
        }
    }
}
