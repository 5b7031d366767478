//! Removal.

use futures_util::future::try_join_all;
use kvlease_tier::TierError;
use redis::{Cmd, Value};

use super::{call::Purpose, values::Valkey};

impl Valkey {
    /// Removes objects, with their pieces: the heads are read in the first round trip, and everything
    /// is removed in the second.
    pub(super) async fn remove_all(
        &self,
        bucket: &str,
        keys: &[&str],
    ) -> Result<Vec<bool>, TierError> {
        self.check_open()?;
        let heads = try_join_all(keys.iter().map(|key| self.head(bucket, key))).await?;
        let removals = heads.into_iter().zip(keys).map(|(head, key)| async move {
            let mut names = vec![self.layout.object(bucket, key)];
            if let Some(Ok(head)) = head {
                names.extend((0..head.pieces()).map(|piece| self.piece_name(&head, piece)));
            }
            let removed = try_join_all(names.iter().map(|name| self.unlink(name))).await?;
            Ok(removed[0])
        });
        try_join_all(removals).await
    }

    async fn unlink(&self, name: &str) -> Result<bool, TierError> {
        let mut command = Cmd::new();
        command.arg("UNLINK").arg(name);
        let answer = self.servers.query(Purpose::LookUp, name, &command).await?;
        Ok(answer == Value::Int(1))
    }
}
