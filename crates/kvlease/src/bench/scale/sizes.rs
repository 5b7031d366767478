//! Rates of one client over the size of an object, as shares of `memcpy`.

use super::{
    super::{buffers::Buffers, lane, plan},
    sweep::Sweep,
};
use crate::{curves::Figure, failure::Failure};

/// Measures all sizes.
pub(super) fn measure(sweep: &mut Sweep<'_>) -> Result<Vec<Figure>, Failure> {
    let capacity = plan::capacity(&sweep.args.sizes, &[1])?;
    let session = sweep.session(capacity, None, &sweep.args.sizes)?;
    let client = match lane::open(&session)? {
        Ok(client) => client,
        Err(why) => {
            sweep.leave_out(&format!("sizes: {why}"));
            return Ok(Vec::new());
        }
    };
    let mut buffers = Buffers::new(session.plan().source_len(), session.plan().target_len());
    let mut rows = Vec::new();
    for size in &sweep.args.sizes {
        sweep.step(&format!("objects of {size}"))?;
        let is_row = |cell: &&plan::LaneCell| cell.size == *size && cell.batch == 1;
        let cell = session.lane_cells().iter().find(is_row);
        if cell.is_none() {
            let arena = session.stats().capacity >> 20;
            sweep.left_out.push(format!("objects of {size}, in an arena of {arena} MiB"));
        }
        rows.extend(lane::measure_transfers(&session, &client, cell, &mut buffers)?);
    }
    let mut shares =
        Figure::new("scale-sizes", "One object at a time by size", "bytes", "of memcpy");
    let mut times =
        Figure::new("scale-times", "One object at a time by size", "bytes", "us a call");
    for row in rows {
        let x = row.size as f64;
        let first = row.first_get_ratio * row.index_get_ratio;
        for (name, rate, share) in [
            ("get, asked", row.get_gb_per_s, row.get_ratio),
            ("get, index", row.index_get_ratio * row.memcpy_gb_per_s, row.index_get_ratio),
            ("first get, index", first * row.memcpy_gb_per_s, first),
            ("put", row.put_gb_per_s, row.put_ratio),
        ] {
            shares.add(name, x, share);
            times.add(name, x, x / 1e3 / rate.max(f64::MIN_POSITIVE));
        }
    }
    Ok(vec![shares, times])
}
