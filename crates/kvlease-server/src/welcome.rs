//! The first lines: what is served, and settings to paste.

use std::{net::SocketAddr, path::Path};

use kvlease_arena::ManifestOrigin;
use kvlease_cache::Restored;
use kvlease_engine::{EngineStats, Recovery};
use kvlease_types::{ByteSize, SegmentName, human_size};

use crate::{
    config::{Config, Serves},
    hosted::Hosted,
    listening::Listening,
};

/// Output of the daemon once it takes requests.
pub(crate) fn welcome(
    listening: &[Listening],
    config: &Config,
    stats: &EngineStats,
    socket: Option<&Path>,
    other_arenas: &str,
) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let name = &config.shared_memory_name;
    let path = config.shared_memory_dir.join(name.to_string());
    let path = path.display();
    let capacity = human_size(stats.catalog.capacity);
    let found = found(&stats.recovery);
    let catalog = human_size(stats.catalog.memory_max);
    let eviction = config.eviction;
    let (first, others) = listening.split_first().expect("server.address is listened on");
    let (scheme, address, host) = (first.scheme(), first.address, reachable(first.address));
    let others: String = others.iter().map(other).collect();
    let page = config.status_page_path.get();
    let page = page.map_or_else(|| "none".into(), |path| format!("{scheme}://{host}{path}"));
    let socket = socket.map_or_else(|| "none".into(), |path| path.display().to_string());
    let [in_process, mp_server, stock_in_process, stock_mp_server] =
        settings(host, first.is_encrypted, name);
    format!(
        "\
kvlease {version} listening on {scheme}://{address}
  arena    {path}, {capacity}, {found}; catalog up to {catalog}; eviction {eviction}
  socket   {socket}
{other_arenas}{others}  page     {page}
  health   {scheme}://{host}/healthz   ready {scheme}://{host}/readyz   metrics {scheme}://{host}/metrics
LMCache with the Python package kvlease: in-process, and its server
{in_process}
{mp_server}
LMCache without that package, with the known defects of LMCache's own clients
{stock_in_process}
{stock_mp_server}
"
    )
}

/// The lines of arenas beside the first.
pub(crate) fn others(arenas: &[Hosted]) -> String {
    let line = |hosted: &Hosted| {
        let context = hosted.context();
        let stats = context.engine.stats();
        let config = &context.config;
        let segment = config.shared_memory_dir.join(config.shared_memory_name.as_str());
        let (segment, found) = (segment.display(), found(&stats.recovery));
        let socket =
            hosted.socket().map_or_else(|| "none".into(), |path| path.display().to_string());
        let (arena, capacity) = (&context.arena, human_size(stats.catalog.capacity));
        format!("  arena    `{arena}`: {segment}, {capacity}, {found}; socket {socket}\n")
    };
    arenas.iter().map(line).collect()
}

/// The line of a listener beside the first.
fn other(listening: &Listening) -> String {
    let (scheme, address) = (listening.scheme(), listening.address);
    let serves = match listening.serves {
        Serves::All => "",
        Serves::Operators => ", for operators alone",
    };
    format!("  listener {scheme}://{address}, `{}`{serves}\n", listening.name)
}

/// Settings to paste: the native connector in an engine's process and for LMCache's server, then
/// LMCache's own clients likewise.
fn settings(host: SocketAddr, is_encrypted: bool, name: &SegmentName) -> [String; 4] {
    let (in_process, mp) = match is_encrypted {
        true => ("\n    sagemaker_hyperpod_use_https: true", ",\"use_https\":true"),
        false => ("", ""),
    };
    [
        format!(
            "  save_unfull_chunk: true
  remote_storage_plugins: [\"kvlease\"]
  extra_config:
    remote_storage_plugin.kvlease.module_path: \"kvlease.lmcache\"
    remote_storage_plugin.kvlease.class_name: \"SageMakerHyperPodConnectorAdapter\"
    remote_storage_plugin.kvlease.url: \"kvlease://{host}\"
    sagemaker_hyperpod_shared_memory_name: \"{name}\"{in_process}"
        ),
        format!(
            "  --l2-adapter '{{\"type\":\"native_plugin\",\"module_path\":\"kvlease.lmcache\",\
             \"class_name\":\"NativeClient\",\"adapter_params\":{{\"url\":\"kvlease://{host}\",\
             \"shared_memory_name\":\"{name}\"{mp}}}}}'"
        ),
        format!(
            "  save_unfull_chunk: true
  remote_url: \"sagemaker-hyperpod://{host}\"
  extra_config:
    sagemaker_hyperpod_shared_memory_name: \"{name}\"{in_process}"
        ),
        format!(
            "  --l2-adapter '{{\"type\":\"sagemaker-hyperpod\",\"url\":\"sagemaker-hyperpod://{host}\",\
             \"shared_memory_name\":\"{name}\"{mp}}}'"
        ),
    ]
}

/// State of the arena at the start.
fn found(recovery: &Recovery) -> String {
    let Restored { objects, bytes, .. } = recovery.restored;
    match recovery.origin {
        ManifestOrigin::Created => "new".into(),
        _ if objects == 0 => "reopened, empty".into(),
        _ => format!("reopened with {objects} objects of {}", human_size(ByteSize::new(bytes))),
    }
}

/// The address under which a client on this machine reaches a daemon that listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => ([127, 0, 0, 1], v6.port()).into(),
        other => other,
    }
}
