//! Grants.

use skep_catalog::fault::Fault;
use skep_catalog::model::{Item, Privilege};

use super::HmsSource;
use super::reply::{NEVER_NOT_FOUND, read_all_items};
use super::request::all_privileges;
use crate::objects::read_privilege;

/// Bytes of the smallest grant: its object, principal and privilege.
const PRIVILEGE_BYTES_MIN: usize = 32;

impl HmsSource {
    pub(super) async fn read_privileges(&self) -> Result<Vec<Item<Privilege>>, Fault> {
        let items = self
            .ask("list_privileges", &all_privileges(), NEVER_NOT_FOUND, |body, reader, kind| {
                read_all_items(body, reader, kind, PRIVILEGE_BYTES_MIN, read_privilege)
            })
            .await?;
        Ok(items)
    }
}
