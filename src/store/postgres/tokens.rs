//! Ids of tokens that were used, in PostgreSQL: one process's use is every process's.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Database, failed};
use crate::store::{StoreError, replay::ReplayGuard};

/// Ids of tokens in a database.
pub struct PostgresGuard(pub Arc<Database>);

impl ReplayGuard for PostgresGuard {
    fn claim(&self, id: &[u8; 32], until: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_vec();
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let until = until.as_second() as f64;
        self.0.ask(move |client| {
            Box::pin(async move {
                let claim =
                    "INSERT INTO jumeau_tokens (id, until) VALUES ($1, to_timestamp($2)) ON CONFLICT DO NOTHING";
                let rows = client.execute(claim, &[&id, &until]).await.map_err(failed)?;
                Ok(rows == 1)
            })
        })
    }
}
