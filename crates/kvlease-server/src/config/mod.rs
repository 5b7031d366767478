//! Configuration: embedded defaults, then a TOML file, then the environment, then flags; each
//! value checked where it is set, so that nothing starts on a bad one.
//!
//! [`SETTINGS`] is the one list of what can be configured.

mod access_log;
mod arena_checks;
mod arenas;
mod args;
mod audit;
mod bucket_glob;
mod buckets;
mod capture;
mod changes;
mod error;
mod events;
mod eviction;
mod listeners;
mod load;
mod log;
mod named;
mod nearest;
mod of_arena;
mod otel;
mod otlp;
mod plain;
mod print;
mod quotas;
mod read;
mod remote_url;
mod settings;
mod socket;
mod status_page;
mod tenants;
mod tls_files;
mod token_hash;
mod unknown;
mod value;
mod without_effect;

pub use access_log::{AccessLogPlace, AccessLogSettings};
pub use arenas::{ArenaConfig, FIRST_ARENA};
pub use args::ServeArgs;
pub use audit::{AuditLevel, AuditSettings};
pub use bucket_glob::BucketGlob;
pub use capture::CaptureSettings;
pub(crate) use changes::Changes;
pub use error::ConfigError;
pub use events::{EventsEndpoint, EventsFormat};
pub use eviction::Eviction;
pub use listeners::{FIRST_LISTENER, ListenerConfig, Serves};
pub use load::{load, load_with_notes};
pub use log::{LogFormat, LogSettings};
pub use otlp::{OtlpEndpoint, OtlpSettings, OtlpSignals, ResourceAttributes};
pub use print::print;
pub(crate) use quotas::{check_capacity, of_catalog};
pub use remote_url::{RemoteUrl, RemoteUrlError};
pub use settings::{Config, SETTINGS, Setting};
pub use socket::SocketPlace;
pub use status_page::StatusPagePath;
pub use tenants::TenantConfig;
pub use tls_files::{TlsFiles, TlsSettings};
pub use token_hash::TokenHash;
