//! Nodes with a cache each, over a tier that they share.
//!
//! A request goes to one node. Blocks at the front of its prompt are hits of the node's own cache, or of the
//! shared tier, from which they are moved. The node computes everything behind the first block that neither
//! has. Then it has all blocks of the prompt, and those that it computed are copied to the shared tier.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    num::NonZero,
};

use kvlease_cache::{CacheSimulation, EvictionKind};

use crate::replay::{terms::Routing, trace::Trace};

/// Nodes and their shared tier.
#[derive(Clone, Copy, Debug)]
pub(in crate::replay) struct Nodes {
    pub(in crate::replay) count: NonZero<u32>,
    pub(in crate::replay) routing: Routing,
    /// Blocks that the shared tier holds; `None` for all.
    pub(in crate::replay) shared: Option<u32>,
}

/// Blocks, by where they were and went.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::replay) struct Moves {
    /// Hits of nodes' own caches.
    pub(in crate::replay) own: u64,
    /// Hits of the shared tier: moved to a node.
    pub(in crate::replay) shared: u64,
    /// Moved to the shared tier.
    pub(in crate::replay) stored: u64,
}

impl Nodes {
    /// Replays a trace with caches of this many blocks and this policy.
    pub(in crate::replay) fn replay(
        &self,
        trace: &Trace,
        eviction: EvictionKind,
        capacity: u32,
    ) -> Moves {
        let nodes = (0..self.count.get()).map(|_| CacheSimulation::new(eviction, capacity));
        let mut nodes: Vec<CacheSimulation> = nodes.collect();
        let mut shared = match self.shared {
            Some(capacity) => Shared::Some(CacheSimulation::new(EvictionKind::Lru, capacity)),
            None => Shared::All(vec![false; trace.blocks() as usize]),
        };
        let mut moves = Moves::default();
        for (number, blocks) in trace.requests().enumerate() {
            let Some(first) = blocks.first() else { continue };
            let node = match self.routing {
                Routing::RoundRobin => number,
                Routing::Affinity => hash(*first) as usize,
            };
            let node = &mut nodes[node % self.count.get() as usize];
            ask(node, &mut shared, blocks, &mut moves);
        }
        moves
    }
}

/// Handles a request on a node.
fn ask(node: &mut CacheSimulation, shared: &mut Shared, blocks: &[u32], moves: &mut Moves) {
    let mut places = blocks.iter();
    let mut computed = None;
    for block in places.by_ref() {
        if node.has(u64::from(*block)) {
            moves.own += 1;
        } else if shared.has(*block) {
            moves.shared += 1;
            shared.ask(*block);
        } else {
            computed = Some(*block);
            break;
        }
    }
    for block in computed.into_iter().chain(places.copied()) {
        // A copy of what is there is not moved.
        if !shared.has(block) {
            moves.stored += 1;
        }
        shared.ask(block);
    }
    blocks.iter().for_each(|block| node.ask(u64::from(*block)));
}

/// The shared tier.
#[derive(Debug)]
enum Shared {
    /// Whether it has each block.
    All(Vec<bool>),
    /// With as much room as was given.
    Some(CacheSimulation),
}

impl Shared {
    fn has(&self, block: u32) -> bool {
        match self {
            Self::All(blocks) => blocks[block as usize],
            Self::Some(cache) => cache.has(u64::from(block)),
        }
    }

    /// Reads or stores a block.
    fn ask(&mut self, block: u32) {
        match self {
            Self::All(blocks) => blocks[block as usize] = true,
            Self::Some(cache) => cache.ask(u64::from(block)),
        }
    }
}

/// Number without an order.
fn hash(block: u32) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(
        requests: &[&[u64]],
        nodes: u32,
        routing: Routing,
        shared: Option<u32>,
        capacity: u32,
    ) -> Moves {
        let mut trace = Trace::default();
        requests.iter().for_each(|blocks| trace.add(0, blocks).unwrap());
        let nodes = Nodes { count: NonZero::new(nodes).unwrap(), routing, shared };
        nodes.replay(&trace, EvictionKind::Lru, capacity)
    }

    const REQUESTS: [&[u64]; 4] = [&[1, 2, 3], &[1, 2, 4], &[1, 2, 3], &[1, 2, 4]];

    #[test]
    fn a_node_gets_from_the_shared_tier_what_another_has_computed() {
        let found = moves(&REQUESTS, 2, Routing::RoundRobin, None, 100);
        assert_eq!(found, Moves { own: 6, shared: 2, stored: 4 });
        let found = moves(&REQUESTS, 2, Routing::Affinity, None, 100);
        assert_eq!(found, Moves { own: 8, shared: 0, stored: 4 });
        let found = moves(&REQUESTS, 1, Routing::RoundRobin, None, 1);
        assert_eq!(found, Moves { own: 0, shared: 8, stored: 4 }, "a node without room");
    }

    #[test]
    fn a_shared_tier_without_room_gives_nothing() {
        let found = moves(&REQUESTS, 2, Routing::RoundRobin, Some(1), 100);
        assert_eq!((found.own, found.shared), (6, 0));
        let found = moves(&REQUESTS, 2, Routing::RoundRobin, Some(4), 100);
        assert_eq!(found, Moves { own: 6, shared: 2, stored: 4 });
    }
}
