//! Look-ups.

use futures_util::future::join_all;
use kvlease_tier::{Stat, TierError};

use super::{format::is_of, values::Valkey};

impl Valkey {
    /// Looks objects up: all heads in one round trip to each server. A server that is lost costs only
    /// the objects whose heads it has: they are absent, unless all are lost.
    pub(super) async fn find_all(
        &self,
        bucket: &str,
        keys: &[&str],
    ) -> Result<Vec<Option<Stat>>, TierError> {
        self.check_open()?;
        let heads = join_all(keys.iter().map(|key| self.head(bucket, key))).await;
        let mut lost = None;
        let mut stats = Vec::with_capacity(heads.len());
        let mut answers = 0;
        for head in heads {
            stats.push(match head {
                Ok(head) => {
                    answers += 1;
                    let head = head.and_then(Result::ok);
                    head.filter(|head| is_of(head, head.stat)).map(|head| head.stat)
                }
                Err(error) => {
                    lost = Some(error);
                    None
                }
            });
        }
        match lost {
            Some(error) if answers == 0 => Err(error.into()),
            _ => Ok(stats),
        }
    }
}
