//! `kvlease curve`: shows the hit ratios that a daemon would have with other capacities and policies.

use clap::Args;
use kvlease_client::{ByteSize, CurveReply};

use crate::{
    arguments::DaemonArgs,
    failure::{Failure, Status},
    text::{human_size, print, printable},
};

/// Width of a column of figures, and of the names before them.
const COLUMN: usize = 10;
const NAMES: usize = 14;

/// The arguments of `curve`.
#[derive(Args, Debug)]
pub(crate) struct CurveArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows the curve.
pub(crate) fn run(daemon: &DaemonArgs, args: &CurveArgs) -> Result<(), Failure> {
    let stats = super::wait_for(async { Ok(daemon.client()?.stats().await?) })?;
    let curve = stats.curve.ok_or_else(|| {
        let line = "the daemon has no live curve: set cache.curve_memory_max, such as `32MiB`";
        Failure::new(Status::Unavailable, line)
    })?;
    let state = stats.eviction_state.as_ref();
    let reason = state.map_or(String::new(), |state| format!(": {}", printable(&state.reason)));
    let policy = format!("{}{reason}", printable(&stats.eviction));
    print(&curve, |curve| table(curve, &policy), args.json)
}

fn table(curve: &CurveReply, policy: &str) -> String {
    let mut text = format!("{}\n\n", printable(&curve.summary));
    let mut line = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!("{cell:>COLUMN$}")).collect();
        text.push_str(&format!("{:<NAMES$}{cells}\n", printable(name)));
    };
    let policies = curve.points.chunk_by(|one, other| one.policy == other.policy);
    for (number, points) in policies.enumerate() {
        if number == 0 {
            let sizes = points.iter().map(|point| human_size(ByteSize::new(point.capacity)));
            line("capacity", &mut { sizes });
            line("times", &mut points.iter().map(|point| point.times.to_string()));
        }
        let ratios = points.iter().map(|point| format!("{:.1} %", point.hit_ratio * 100.0));
        line(&points[0].policy, &mut { ratios });
    }
    let CurveReply { references, sample_rate, .. } = curve;
    text.push_str(&format!(
        "\nof {references:.0} references to {:.1} % of the objects\npolicy {policy}\n",
        sample_rate * 100.0,
    ));
    text
}
