//! Hostile neighbour: a process of another user on the same machine that attacks a daemon and its
//! clients.
//!
//! [`Neighbour`] starts it as another user. It prints [`ATTACKING`] once the attack is on, goes on until
//! its standard input ends, and then prints one line with what it got. It does whatever that user is
//! free to do: connect to the daemon's address and to a socket that its mode opens to everybody,
//! and create files in `/dev/shm`. What it is refused it tries again.
//!
//! | attack | what it does |
//! |---|---|
//! | `impostor` | answers at the daemon's sockets as a fast lane, with memory of its own |
//! | `names` | takes the names of the segment's files |
//! | `leases` | ends and extends leases of others; takes leases without end |
//! | `stalls` | takes all connections and stalls: half heads, half frames, unread answers |
//! | `uploads` | announces uploads and trickles; reserves all that there is |
//! | `corruption` | reports good objects as corrupt |
//! | `removals` | floods the daemon with removals |

mod corruption;
mod end;
mod impostor;
mod lane_wire;
mod leases;
mod names;
mod process;
mod removals;
mod stalls;
mod uploads;

pub use end::ATTACKING;
pub use names::NameKind;
pub use process::{NEIGHBOUR, Neighbour};

use crate::{clients::Target, output::print};
use end::End;

/// Attack of a neighbour.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Attack {
    /// Answer as a fast lane at these sockets
    Impostor(impostor::ImpostorArgs),
    /// Take these names
    Names(names::NamesArgs),
    /// End and extend the leases of others
    ForeignLeases(Target),
    /// Take leases without end
    LeaseFlood(leases::LeaseFloodArgs),
    /// Take all connections, and stall
    Stalls(stalls::StallsArgs),
    /// Announce uploads, and trickle
    Uploads(uploads::UploadsArgs),
    /// Report good objects as corrupt
    Corruption(corruption::CorruptionArgs),
    /// Remove without end
    Removals(removals::RemovalsArgs),
}

/// Attacks until the standard input ends.
///
/// # Errors
///
/// Whatever keeps the attack from its start. What it is refused later is no error.
pub fn attack(attack: &Attack) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let end = End::of_input();
    let got = match attack {
        Attack::Impostor(args) => impostor::attack(args, &end)?,
        Attack::Names(args) => names::attack(args, &end)?,
        Attack::ForeignLeases(args) => leases::attack_foreign(args, &end)?,
        Attack::LeaseFlood(args) => leases::flood(args, &end)?,
        Attack::Stalls(args) => stalls::attack(args, &end)?,
        Attack::Uploads(args) => uploads::attack(args, &end)?,
        Attack::Corruption(args) => corruption::attack(args, &end)?,
        Attack::Removals(args) => removals::attack(args, &end)?,
    };
    Ok(print(&got)?)
}
