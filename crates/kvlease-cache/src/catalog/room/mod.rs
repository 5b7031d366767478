//! Room for what is written: first decided, then made.
//!
//! A request is refused before anything is evicted for it ([`check`]). Counters answer that in the
//! common case. Only where pinned blocks (leased, in grace, pending, in quarantine) might cut the
//! space into more pieces than one object may have are the blocks looked at one by one ([`survey`]).
//!
//! Before space of the arena come [quotas](quota): who has as much as it may makes room within what it has.
//! Where space is guaranteed to a bucket or a tenant, whether eviction suffices is known only by evicting: then a request that
//! passed the check may still be refused.
//!
//! A request that passed takes free space ([`claim`]). If that is not enough it evicts ([`evict`]):
//! the objects depart at once, and their space is free when their departure was acknowledged. So the
//! answer is then to drain the change log and ask again, and the second request finds the space.

mod check;
mod claim;
mod evict;
mod quota;
mod survey;

pub(super) use quota::BOTH;
