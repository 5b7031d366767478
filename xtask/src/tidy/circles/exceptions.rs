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
            "crates/kvlease-api/src/lane/extents.rs",
            "crates/kvlease-api/src/lane/frame.rs",
            "crates/kvlease-api/src/lane/hello.rs",
            "crates/kvlease-api/src/lane/leases.rs",
            "crates/kvlease-api/src/lane/limits.rs",
            "crates/kvlease-api/src/lane/malformed.rs",
            "crates/kvlease-api/src/lane/reader.rs",
            "crates/kvlease-api/src/lane/records.rs",
        ],
        reason: "`limits` asserts a length that `leases` defines",
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
    Exception {
        files: &[
            "crates/kvlease-engine/src/engine.rs",
            "crates/kvlease-engine/src/lease.rs",
            "crates/kvlease-engine/src/maintenance.rs",
            "crates/kvlease-engine/src/put.rs",
            "crates/kvlease-engine/src/read.rs",
            "crates/kvlease-engine/src/reservation.rs",
            "crates/kvlease-engine/src/scrub.rs",
            "crates/kvlease-engine/src/write.rs",
        ],
        reason: "`Shared` is defined by the facade",
    },
    Exception {
        files: &[
            "crates/kvlease-server/src/config/settings.rs",
            "crates/kvlease-server/src/config/socket.rs",
        ],
        reason: "`Config` finds the path of the socket in the file of the socket",
    },
    Exception {
        files: &[
            "crates/kvlease-server/src/http/admin.rs",
            "crates/kvlease-server/src/http/kv.rs",
            "crates/kvlease-server/src/http/lease.rs",
            "crates/kvlease-server/src/http/put.rs",
            "crates/kvlease-server/src/http/routes.rs",
        ],
        reason: "`Routes` is router and context",
    },
    Exception {
        files: &[
            "crates/kvlease-server/src/lane/acquire.rs",
            "crates/kvlease-server/src/lane/session.rs",
            "crates/kvlease-server/src/lane/waiting.rs",
        ],
        reason: "`acquire` takes the session",
    },
    Exception {
        files: &[
            "crates/kvlease-server/src/metrics/lane.rs",
            "crates/kvlease-server/src/metrics/mod.rs",
        ],
        reason: "one guard counts for both protocols",
    },
    Exception {
        files: &[
            "crates/kvlease-shm/src/directory.rs",
            "crates/kvlease-shm/src/horizon/header.rs",
            "crates/kvlease-shm/src/horizon/mod.rs",
            "crates/kvlease-shm/src/record/cells.rs",
            "crates/kvlease-shm/src/record/entry.rs",
            "crates/kvlease-shm/src/record/file.rs",
            "crates/kvlease-shm/src/record/header.rs",
            "crates/kvlease-shm/src/record/mod.rs",
            "crates/kvlease-shm/src/segment.rs",
        ],
        reason: "names of files are defined by their owners",
    },
    Exception {
        files: &[
            "testing/soak/src/beside/busy_client.rs",
            "testing/soak/src/beside/http_client.rs",
            "testing/soak/src/beside/lane_client.rs",
            "testing/soak/src/beside/mod.rs",
        ],
        reason: "`rest` is defined by the parent",
    },
    Exception {
        files: &[
            "testing/soak/src/restarts/audit.rs",
            "testing/soak/src/restarts/client.rs",
            "testing/soak/src/restarts/common.rs",
            "testing/soak/src/restarts/mod.rs",
            "testing/soak/src/restarts/report.rs",
            "testing/soak/src/restarts/series.rs",
            "testing/soak/src/restarts/session.rs",
        ],
        reason: "the bucket is defined by the parent",
    },
    Exception {
        files: &[
            "testing/soak/src/soak/client.rs",
            "testing/soak/src/soak/grant.rs",
            "testing/soak/src/soak/held.rs",
            "testing/soak/src/soak/mod.rs",
            "testing/soak/src/soak/reader.rs",
            "testing/soak/src/soak/writer.rs",
        ],
        reason: "a limit is defined by `client`",
    },
];
