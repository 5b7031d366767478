//! Scheduling of tenants: how many connections of one are at work at a time, while another one has work.
//!
//! The runtime runs tasks in the order in which they can go on. The connections of a busy tenant would fill that
//! order, and a request of another one would wait behind each of them. So a connection of a tenant that can go on
//! waits in its tenant's own queue while as many of its connections are at work as may be: as many as there are
//! threads, and half of them while another tenant is active. Then a request meets one connection of another tenant,
//! and not all, and finds a thread that waits for it.
//!
//! A connection is at work from when the runtime hears that its task can go on until it was polled, and no longer: one
//! that waits for its client, for a tier or for another request takes no turn from others. The runtime does not hear of
//! one that waits for its turn, so no thread polls it in vain. Without tenants, or with one, there are no turns.

mod activity;
mod connection_tenant;
mod scheduler;
mod task;
mod turn;
mod turn_queue;

pub(crate) use connection_tenant::ConnectionTenant;
pub(crate) use scheduler::TenantScheduler;
pub(crate) use task::ScheduledTask;
