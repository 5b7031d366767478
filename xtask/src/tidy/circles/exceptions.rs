//! Circles that are allowed, each with its reason.

use super::graph::Component;

/// Files that may be in one circle with each other.
pub(super) struct Exception {
    pub(super) files: &'static [&'static str],
    pub(super) reason: &'static str,
}

impl Exception {
    pub(super) fn covers(&self, circle: &Component) -> bool {
        circle.iter().all(|file| self.files.contains(&file.as_str()))
    }
}

/// All of them. One that covers no circle is a complaint.
pub(super) const ALL: &[Exception] = &[
    Exception {
        files: &["bindings/python/src/exit.rs", "bindings/python/src/shared.rs"],
        reason: "`shared` calls `exit::register`, which keeps what `shared` defines",
    },
    Exception {
        files: &[
            "crates/kvlease-cache/src/catalog/mod.rs",
            "crates/kvlease-cache/src/catalog/quarantine.rs",
        ],
        reason: "`Catalog` and its quarantine",
    },
    Exception {
        files: &[
            "crates/kvlease-client/src/adapter/mod.rs",
            "crates/kvlease-client/src/adapter/rules.rs",
        ],
        reason: "the context of a setting, and the settings",
    },
    Exception {
        files: &[
            "crates/kvlease-client/src/call.rs",
            "crates/kvlease-client/src/client.rs",
            "crates/kvlease-client/src/lease.rs",
            "crates/kvlease-client/src/pool.rs",
            "crates/kvlease-client/src/reply.rs",
            "crates/kvlease-client/src/stream.rs",
        ],
        reason: "`Client` and the calls that it makes",
    },
    Exception {
        files: &["crates/kvlease-client/src/connection.rs", "crates/kvlease-client/src/owed.rs"],
        reason: "one type with methods in two files",
    },
    Exception {
        files: &[
            "crates/kvlease-client/src/connector/grant.rs",
            "crates/kvlease-client/src/connector/held.rs",
            "crates/kvlease-client/src/connector/inner.rs",
            "crates/kvlease-client/src/connector/leased.rs",
            "crates/kvlease-client/src/connector/mod.rs",
            "crates/kvlease-client/src/connector/object.rs",
            "crates/kvlease-client/src/connector/releases.rs",
            "crates/kvlease-client/src/connector/streamed.rs",
            "crates/kvlease-client/src/connector/view.rs",
        ],
        reason: "`Inner` knows all, and all know `Inner`",
    },
    Exception {
        files: &["crates/kvlease-client/src/framing.rs", "crates/kvlease-client/src/head.rs"],
        reason: "`Malformed` is defined by `head`",
    },
    Exception {
        files: &[
            "crates/kvlease-client/src/lane/batch.rs",
            "crates/kvlease-client/src/lane/connection.rs",
            "crates/kvlease-client/src/lane/link.rs",
            "crates/kvlease-client/src/lane/open.rs",
            "crates/kvlease-client/src/lane/renewals.rs",
            "crates/kvlease-client/src/lane/turns.rs",
        ],
        reason: "ownership in a ring",
    },
];
