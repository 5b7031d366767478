//! Operations of the protocol, and the properties of each that the transport needs.

/// One kind of call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    Put,
    Get,
    Head,
    Lease,
    Release,
    Renew,
    Remove,
    Report,
    Tiers,
    Buckets,
    SetPolicy,
    RemovePolicy,
    List,
    Stats,
    Ready,
    Metrics,
    Events,
    Ping,
}

impl Operation {
    /// Name in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Lease => "lease",
            Self::Release => "release",
            Self::Renew => "renew",
            Self::Remove => "remove",
            Self::Report => "report",
            Self::Tiers => "tiers",
            Self::Buckets => "buckets",
            Self::SetPolicy => "set policy",
            Self::RemovePolicy => "remove policy",
            Self::List => "list",
            Self::Stats => "stats",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
            Self::Events => "events",
            Self::Ping => "ping",
        }
    }

    /// The method of its request.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Put | Self::SetPolicy => "PUT",
            Self::Get | Self::Tiers | Self::Buckets | Self::List | Self::Stats | Self::Ping => {
                "GET"
            }
            Self::Ready | Self::Metrics | Self::Events => "GET",
            Self::Head => "HEAD",
            Self::Lease | Self::Release | Self::Renew | Self::Report => "POST",
            Self::Remove | Self::RemovePolicy => "DELETE",
        }
    }

    /// Whether it carries an object. Such calls leave room for the others.
    pub(crate) fn is_transfer(self) -> bool {
        matches!(self, Self::Put | Self::Get)
    }

    /// Whether it may be sent once more when its connection broke before any byte of an answer,
    /// although the daemon may have carried it out.
    ///
    /// * Reading changes nothing: get, head, tiers, buckets, list, stats, ready, metrics, events, ping.
    /// * A policy is set as a whole: the second time it is there.
    /// * A lease whose reply was lost ends by its time to live, unused.
    /// * A release of what is released already is answered like the first.
    /// * A renewal counts from its own time: the second is what was meant.
    /// * A report has the daemon look once more.
    ///
    /// Not so a put, whose second try would report the first one's object as another writer's, nor
    /// a removal, which would report that there was nothing. They are sent again only when nothing
    /// of them had left.
    pub(crate) fn may_repeat(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Tiers | Self::List | Self::Stats | Self::Ping => true,
            Self::Lease | Self::Release | Self::Renew | Self::Report => true,
            Self::Buckets | Self::SetPolicy => true,
            Self::Ready | Self::Metrics | Self::Events => true,
            Self::Put | Self::Remove | Self::RemovePolicy => false,
        }
    }
}
