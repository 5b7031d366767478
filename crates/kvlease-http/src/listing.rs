//! Calls about where objects are: page after page of a listing, and every place of one object.

use http::StatusCode;
use kvlease_api::{
    LIST_TOKEN_LEN_MAX, ListReply, ListedObject, ListedTiers, TiersReply, UnansweredTier, encode,
};
use kvlease_types::Key;

use crate::{Client, Error, operation::Operation, reply::Call};

/// Pages in a row without an object after which a listing is taken to have no end.
const EMPTY_PAGES_MAX: usize = 10_000;

/// Objects of a bucket.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Listing {
    /// The objects, each once, by key.
    pub objects: Vec<ListedObject>,
    /// Tiers that did not answer, and whose objects may be missing.
    pub unanswered: Vec<UnansweredTier>,
}

impl Client {
    /// One page of the bucket's objects whose keys start with `prefix`. `cursor` is `None` for the first
    /// page, and the [`cursor`](ListReply::cursor) of the page before for each other one.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn list(
        &self,
        prefix: &str,
        tiers: ListedTiers,
        cursor: Option<&str>,
    ) -> Result<ListReply, Error> {
        let core = &self.core;
        let cursor = cursor.map(|cursor| format!("&cursor={}", encode(cursor)));
        let request = core.template.of_bucket(
            Operation::List,
            format_args!(
                "?prefix={}&tier={}{}",
                encode(prefix),
                tiers.name(),
                cursor.unwrap_or_default()
            ),
        );
        let reply = core.success(Operation::List, request).await?;
        let page: ListReply = reply.json()?;
        match &page.next {
            Some(next) if next.len() > LIST_TOKEN_LEN_MAX => {
                let call = Call::new(core, Operation::List);
                Err(call.protocol(format!("a cursor longer than `{LIST_TOKEN_LEN_MAX}` bytes")))
            }
            _ => Ok(page),
        }
    }

    /// All of the bucket's objects whose keys start with `prefix`; `objects_max` at most.
    ///
    /// # Errors
    ///
    /// Those of any call.
    pub async fn list_all(
        &self,
        prefix: &str,
        tiers: ListedTiers,
        objects_max: usize,
    ) -> Result<Listing, Error> {
        let (mut listing, mut cursor, mut empty) = (Listing::default(), None::<String>, 0);
        loop {
            let page = self.list(prefix, tiers, cursor.as_deref()).await?;
            let next = page.cursor();
            empty = if page.objects.is_empty() { empty + 1 } else { 0 };
            let room = objects_max - listing.objects.len();
            listing.objects.extend(page.objects.into_iter().take(room));
            listing.unanswered.extend(page.unanswered);
            // A cursor that does not move would never end.
            let is_over = next.is_none() || next == cursor || empty == EMPTY_PAGES_MAX;
            if is_over || listing.objects.len() == objects_max {
                break;
            }
            cursor = next;
        }
        listing.objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        listing.objects.dedup_by(|later, first| {
            let is_same = later.key == first.key;
            if is_same {
                merge(first, later);
            }
            is_same
        });
        Ok(listing)
    }

    /// Every place of an object. `None` if no place has it.
    ///
    /// # Errors
    ///
    /// Those of any call; [`Error::Refused`] by a daemon that does not know the call, and if a tier that
    /// may have the object did not answer while no place has it.
    pub async fn tiers(&self, key: &Key) -> Result<Option<TiersReply>, Error> {
        let core = &self.core;
        let request = core.template.of_object(Operation::Tiers, key, format_args!("/tiers"));
        let call = Call::about(core, Operation::Tiers, key);
        let reply = core.call(call, core.call_limit(), request).await?;
        match reply.head.status {
            StatusCode::OK => Ok(Some(reply.json()?)),
            _ if reply.is_absent() => Ok(None),
            _ => Err(reply.refused()),
        }
    }
}

/// Takes over what another entry knows of an object that moved between tiers during a listing.
fn merge(object: &mut ListedObject, other: &mut ListedObject) {
    object.leases = object.leases.max(other.leases);
    object.age_s = object.age_s.or(other.age_s);
    object.checksum = object.checksum.take().or(other.checksum.take());
    for tier in other.tiers.drain(..) {
        if !object.tiers.contains(&tier) {
            object.tiers.push(tier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_moved_is_one_with_all_its_tiers() {
        let object = |leases, checksum: Option<&str>, tiers: &[&str]| ListedObject {
            key: "k".to_owned(),
            len: 5,
            checksum: checksum.map(str::to_owned),
            leases,
            age_s: (leases > 0).then_some(9),
            tiers: tiers.iter().map(|tier| (*tier).to_owned()).collect(),
        };
        let mut first = object(0, None, &["valkey"]);
        merge(&mut first, &mut object(2, Some("00"), &["memory", "valkey"]));
        assert_eq!(first, object(2, Some("00"), &["valkey", "memory"]));
    }
}
