//! Listings: the arena first, and then tier after tier, fastest first.
//!
//! An object is listed in the first place that has it, with all places that are known to. A page of a
//! tier leaves out what the arena has had since the listing began, which was listed there, and what an
//! earlier tier has. So an object that stays where it is appears once. One that a client read in the
//! middle of the listing is not lost, and one that was evicted meanwhile may appear twice.

use std::time::Duration;

use kvlease_api::{
    JSON, LIST_TOKEN_LEN_MAX, ListCursor, ListQuery, ListReply, ListedObject, ListedTiers, MEMORY,
    Names, UnansweredTier,
};
use kvlease_cache::{ListCursor as Slot, ObjectInfo};
use kvlease_sys::boot_time;
use kvlease_tier::{Listed, Page as TierPage, Stat};
use kvlease_types::{BucketName, KEY_LEN_MAX, Timestamp};
use tokio::time::Instant;

use super::{
    apart::apart,
    page::{PAGE_MEMORY, Page},
    reply::{self, Answer, Refusal},
    tiers::unanswered,
};
use crate::{
    connection_memory::Purpose,
    context::Context,
    list_tokens::{Place, Position},
};

/// The longest object of a listing in bytes of JSON: a key of control characters, each of which takes
/// six, and the other fields.
const LISTED_LEN_MAX: usize = 6 * KEY_LEN_MAX + 224;

/// The length that objects of a listing usually stay below. A page of a tier that turns out longer is
/// asked for again.
const LISTED_LEN_USUAL: usize = 512;

/// Memory for a page of a tier before its objects are in the reply.
const TIER_PAGE_MEMORY: usize = 2 << 20;

/// The longest position of a tier that has room in a token.
const TIER_CURSOR_LEN_MAX: usize = LIST_TOKEN_LEN_MAX - 256;

/// Time after which a request answers with what it has. A client waits for 5 s.
const LIST_TIME: Duration = Duration::from_secs(2);

/// Time that a request waits for one page of a tier.
const TIER_PAGE_TIME: Duration = Duration::from_secs(2);

/// A page that is being made.
struct Listing<'a> {
    context: &'a Context,
    bucket: &'a BucketName,
    query: &'a ListQuery,
    /// Kinds of the tiers that are listed, in order.
    kinds: Vec<&'static str>,
    covers_memory: bool,
    page: Page<ListedObject>,
    unanswered: Vec<UnansweredTier>,
    ends: Instant,
}

pub(super) async fn list(context: &Context, names: &Names, query: Option<&str>) -> Answer {
    let query = ListQuery::parse(query).map_err(Refusal::invalid)?;
    let bucket = names.bucket();
    let (kinds, covers_memory) = places(context, &query)?;
    let start = start(context, bucket, &query, kinds.first().filter(|_| !covers_memory))?;
    let memory = if kinds.is_empty() { PAGE_MEMORY } else { PAGE_MEMORY + TIER_PAGE_MEMORY };
    let held = reply::memory(context, Purpose::Replies, memory).await?;
    let ends = Instant::now() + LIST_TIME;
    let (page, unanswered) = (Page::new(), Vec::new());
    let mut listing =
        Listing { context, bucket, query: &query, kinds, covers_memory, page, unanswered, ends };
    let next = listing.fill(start).await?;
    let page = listing.reply(next);
    let bytes = apart(context, || reply::json_bytes(&page)).await?;
    Ok(reply::accounted(JSON, bytes, held))
}

/// Kinds of the tiers that are listed, and whether memory is.
fn places(context: &Context, query: &ListQuery) -> Result<(Vec<&'static str>, bool), Refusal> {
    let (memory, local, shared) = match (&query.cursor, query.tiers) {
        // Clients that know numbers alone know no tiers.
        (Some(ListCursor::Number(_)), _) | (_, ListedTiers::Memory) => (true, false, false),
        (_, ListedTiers::Local) => (true, true, false),
        (_, ListedTiers::Nvme) => (false, true, false),
        (_, ListedTiers::Remote) => (false, false, true),
        (_, ListedTiers::All) => (true, true, true),
    };
    let tiers = context.engine.tier_kinds();
    let listed = tiers.filter(|(_, is_shared)| if *is_shared { shared } else { local });
    let kinds: Vec<_> = listed.map(|(kind, _)| kind).collect();
    if kinds.is_empty() && !memory {
        let text = format!(
            "the daemon has no such tier: configure it, or list another one, tier=`{}`",
            query.tiers.name()
        );
        return Err(Refusal::invalid(text));
    }
    Ok((kinds, memory))
}

/// Where the page starts. `first` is the tier that a listing without memory begins with.
fn start(
    context: &Context,
    bucket: &BucketName,
    query: &ListQuery,
    first: Option<&&'static str>,
) -> Result<Position, Refusal> {
    match &query.cursor {
        Some(ListCursor::Token(token)) => {
            context.list_tokens.read(bucket, query, token).ok_or_else(|| {
                Refusal::invalid(
                    "the cursor is not of this listing, or of an earlier start of the daemon: \
                     begin the listing again, without a cursor",
                )
            })
        }
        cursor => {
            let slot = match cursor {
                Some(ListCursor::Number(slot)) => *slot,
                _ => 0,
            };
            let place = match first {
                Some(kind) => Place::Tier((*kind).to_owned(), None),
                None => Place::Memory(slot),
            };
            Ok(Position { since: boot_time(), place })
        }
    }
}

impl Listing<'_> {
    /// Fills the page. Returns where the next one starts; `None` at the end.
    async fn fill(&mut self, start: Position) -> Result<Option<Position>, Refusal> {
        let Position { since, mut place } = start;
        loop {
            let next = match place {
                Place::Memory(slot) => {
                    match apart(self.context, || self.list_memory(slot)).await? {
                        None => self.tier_behind(None),
                        Some(slot) => {
                            return Ok(Some(Position { since, place: Place::Memory(slot) }));
                        }
                    }
                }
                Place::Tier(kind, from) => match self.list_tier(since, &kind, from).await {
                    Progress::End => self.tier_behind(Some(&kind)),
                    Progress::Full(from) => {
                        return Ok(Some(Position { since, place: Place::Tier(kind, from) }));
                    }
                },
            };
            let Some(next) = next else { return Ok(None) };
            place = Place::Tier(next.to_owned(), None);
        }
    }

    /// The tier that is listed behind one, or behind the arena.
    fn tier_behind(&self, kind: Option<&str>) -> Option<&'static str> {
        let listed = self.kinds.iter().position(|listed| Some(*listed) == kind);
        self.kinds.get(listed.map_or(0, |at| at + 1)).copied()
    }

    /// Lists the arena. Returns the slot to go on at, unless it was listed to its end.
    fn list_memory(&mut self, slot: u32) -> Option<u32> {
        let mut next = Some(Slot::new(slot));
        while let Some(cursor) = next {
            // Objects are asked for as far as the longest of them would fit.
            let wanted = self.room(LISTED_LEN_MAX);
            if wanted == 0 {
                break;
            }
            let engine = &self.context.engine;
            let objects;
            (objects, next) = engine.list(self.bucket.as_str(), &self.query.prefix, cursor, wanted);
            for object in objects {
                let fits = self.page.push(self.of_memory(&object));
                assert!(fits, "no object is longer than the longest");
            }
        }
        next.map(Slot::number)
    }

    fn of_memory(&self, object: &ObjectInfo) -> ListedObject {
        let key = object.key.as_str();
        let stat = Stat { len: object.len, checksum: object.checksum };
        let known = self.context.engine.known_in_tiers(self.bucket.as_str(), key);
        let below = known.filter(|(_, found)| *found == stat).map(|(kind, _)| kind);
        ListedObject {
            key: key.to_owned(),
            len: object.len.bytes(),
            checksum: Some(object.checksum.to_string()),
            leases: object.leases.into(),
            age_s: Some(age_s(object)),
            tiers: std::iter::once(MEMORY).chain(below).map(str::to_owned).collect(),
        }
    }

    async fn list_tier(&mut self, since: Timestamp, kind: &str, from: Option<String>) -> Progress {
        let mut from = from;
        loop {
            if self.room(LISTED_LEN_MAX) == 0 || Instant::now() >= self.ends {
                return Progress::Full(from);
            }
            let mut wanted = self.room(LISTED_LEN_USUAL).max(1);
            let next = loop {
                let page = match self.tier_page(kind, from.as_deref(), wanted).await {
                    Ok(page) => page,
                    Err(tier) => {
                        self.unanswered.push(tier);
                        return Progress::End;
                    }
                };
                let TierPage { objects, next } = page;
                let objects = objects.into_iter();
                let objects: Vec<_> =
                    objects.filter_map(|object| self.of_tier(since, kind, object)).collect();
                if self.page.extend(objects) {
                    break next;
                }
                // As many as fit for certain.
                wanted = self.room(LISTED_LEN_MAX);
            };
            match next {
                None => return Progress::End,
                next => from = next,
            }
        }
    }

    /// One page of a tier, or the reason why there is none.
    async fn tier_page(
        &self,
        kind: &str,
        from: Option<&str>,
        wanted: usize,
    ) -> Result<TierPage, UnansweredTier> {
        let (bucket, prefix) = (self.bucket.as_str(), self.query.prefix.as_str());
        let until = Instant::now() + TIER_PAGE_TIME;
        let engine = &self.context.engine;
        let page = engine.list_tier(kind, bucket, prefix, from, wanted, until).await;
        let page = page.ok_or_else(|| unanswered(kind, "the tier is not configured any more"))?;
        let page = page.map_err(|error| unanswered(kind, error))?;
        let is_long = page.next.as_ref().is_some_and(|next| next.len() > TIER_CURSOR_LEN_MAX);
        if is_long {
            Err(unanswered(kind, "its position is too long for a token"))
        } else {
            Ok(page)
        }
    }

    /// An object of a tier's page, unless it was listed in an earlier place.
    fn of_tier(&self, since: Timestamp, kind: &str, object: Listed) -> Option<ListedObject> {
        let (bucket, key) = (self.bucket.as_str(), object.key.as_str());
        let engine = &self.context.engine;
        let memory = engine.stat(bucket, key);
        let known: Vec<_> = engine.known_in_tiers(bucket, key).collect();
        let was_in_memory =
            self.covers_memory && memory.as_ref().is_some_and(|info| info.created <= since);
        let earlier = self.kinds.iter().take_while(|listed| **listed != kind);
        let mut earlier = earlier.filter(|listed| known.iter().any(|(kind, _)| kind == *listed));
        if was_in_memory || earlier.next().is_some() {
            return None;
        }
        let known_checksum = known.first().map(|(_, stat)| stat.checksum);
        let checksum = memory.as_ref().map(|info| info.checksum).or(known_checksum);
        let mut tiers: Vec<_> = memory.iter().map(|_| MEMORY.to_owned()).collect();
        tiers.extend(known.iter().map(|(kind, _)| (*kind).to_owned()));
        if !tiers.iter().any(|tier| tier == kind) {
            tiers.push(kind.to_owned());
        }
        Some(ListedObject {
            key: key.to_owned(),
            len: object.len.bytes(),
            checksum: checksum.map(|checksum| checksum.to_string()),
            leases: memory.as_ref().map_or(0, |info| info.leases.into()),
            age_s: memory.as_ref().map(age_s),
            tiers,
        })
    }

    /// How many objects of this length the page has room for.
    fn room(&self, len: usize) -> usize {
        self.page.holds(len).min(self.query.limit - self.page.len())
    }

    fn reply(self, next: Option<Position>) -> ListReply {
        let next_cursor = next.as_ref().and_then(|next| match next.place {
            Place::Memory(slot) => Some(slot),
            Place::Tier(..) => None,
        });
        let is_of_tokens = !matches!(self.query.cursor, Some(ListCursor::Number(_)));
        let tokens = &self.context.list_tokens;
        let next = next.filter(|_| is_of_tokens);
        ListReply {
            next_cursor,
            next: next.map(|next| tokens.write(self.bucket, self.query, &next)),
            objects: self.page.into_items(),
            unanswered: self.unanswered,
        }
    }
}

/// Whole seconds since an object was stored.
fn age_s(object: &ObjectInfo) -> u64 {
    boot_time().since(object.created).as_secs()
}

/// How far a tier was listed.
enum Progress {
    /// To its end, or it did not answer.
    End,
    /// Up to here: the page or its time is over.
    Full(Option<String>),
}
