//! The container image, as an OCI image layout in a tar archive. No container daemon is needed: an image
//! is two archives of files and three documents of JSON.

use std::{fs, path::Path, process::Command};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    binary::Binary,
    image::base::{BASE, Base},
    release::{self, Release},
    sums,
    tree::{self, PLAIN, PROGRAM, Tree},
};

mod base;

/// User and group of the daemon: those of the manifests in `examples/kubernetes`.
const USER: &str = "1000:1000";
const ACCOUNTS: [(&str, &str); 2] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/:/sbin/nologin\nkvlease:x:1000:1000:kvlease:/:/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nkvlease:x:1000:\n"),
];

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Level of compression. The highest takes twice the time for a hundredth of the size.
const LEVEL: u32 = 6;

/// Layer of the image.
struct Layer {
    /// Digest of the archive before it was packed.
    diff: String,
    descriptor: Value,
    history: Value,
}

/// Makes the layout and packs it.
pub(super) fn make(release: &Release, binary: &Binary, share: &Tree) -> Result<()> {
    let layout = Tree::new(release.stage.join("image"))?;
    let time = release.time_text()?;
    let base = Base::unpack(release)?;
    let layers = [
        layer(release, &layout, &base.folder, &format!("{BASE} of Debian"), &time)?,
        layer(release, &layout, &own_files(release, binary, share)?.folder, "kvlease", &time)?,
    ];
    let config = blob(&layout, CONFIG, &config(release, &layers, &time)?)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers.iter().map(|layer| &layer.descriptor).collect::<Vec<_>>(),
        "annotations": labels(release, &time)?,
    });
    let mut manifest = blob(&layout, MANIFEST, &manifest)?;
    let name = format!("kvlease:{}", release.version);
    manifest["platform"] = json!({ "architecture": release::architecture()?, "os": "linux" });
    // The first is the specification's; Docker and containerd read the name from the second.
    manifest["annotations"] = json!({
        "org.opencontainers.image.ref.name": release.version,
        "io.containerd.image.name": format!("docker.io/library/{name}"),
    });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    layout.write("index.json", serde_json::to_vec(&index)?, PLAIN)?;
    layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, PLAIN)?;
    let architecture = release::architecture()?;
    let archive = release.out.join(format!("kvlease-{}-oci-{architecture}.tar", release.version));
    tree::tar(&layout.folder, &["oci-layout", "index.json", "blobs"], &archive, release.time)
}

fn own_files(release: &Release, binary: &Binary, share: &Tree) -> Result<Tree> {
    let files = Tree::new(release.stage.join("image-files"))?;
    files.copy("usr/bin/kvlease", &binary.path, PROGRAM)?;
    for (path, text) in ACCOUNTS {
        files.write(path, text, PLAIN)?;
    }
    files.copy_all("usr/share/doc/kvlease", &share.folder.join("doc/kvlease"))?;
    Ok(files)
}

/// The configuration: program, user and variables.
fn config(release: &Release, layers: &[Layer], time: &str) -> Result<Value> {
    Ok(json!({
        "created": time,
        "architecture": release::architecture()?,
        "os": "linux",
        "config": {
            "User": USER,
            "Entrypoint": ["/usr/bin/kvlease"],
            "Cmd": ["serve"],
            "WorkingDir": "/",
            "Env": ["PATH=/usr/bin:/bin"],
            "ExposedPorts": { "9200/tcp": {} },
            "StopSignal": "SIGTERM",
            "Labels": labels(release, time)?,
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|layer| &layer.diff).collect::<Vec<_>>(),
        },
        "history": layers.iter().map(|layer| &layer.history).collect::<Vec<_>>(),
    }))
}

fn labels(release: &Release, time: &str) -> Result<Value> {
    let mut commit = Command::new("git");
    commit.args(["rev-parse", "HEAD"]).current_dir(&release.root);
    Ok(json!({
        "org.opencontainers.image.title": "kvlease",
        "org.opencontainers.image.description": "KV cache of LLM engines, kept when the engine ends",
        "org.opencontainers.image.version": release.version,
        "org.opencontainers.image.revision": release::output(&mut commit).unwrap_or_default(),
        "org.opencontainers.image.created": time,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }))
}

fn layer(release: &Release, to: &Tree, from: &Path, what: &str, time: &str) -> Result<Layer> {
    let archive = release.stage.join("layer.tar");
    tree::tar(from, &["."], &archive, release.time)?;
    let diff = format!("sha256:{}", sums::of_file(&archive)?);
    tree::gzip(std::slice::from_ref(&archive), LEVEL)?;
    let bytes = fs::read(archive.with_extension("tar.gz"))?;
    let history = json!({ "created": time, "created_by": "cargo xtask dist", "comment": what });
    Ok(Layer { diff, descriptor: stored(to, LAYER, &bytes)?, history })
}

fn blob(to: &Tree, kind: &str, document: &Value) -> Result<Value> {
    stored(to, kind, &serde_json::to_vec(document)?)
}

/// Stores bytes under their digest, and returns their descriptor.
fn stored(to: &Tree, kind: &str, bytes: &[u8]) -> Result<Value> {
    let digest = sums::of(bytes);
    to.write(&format!("blobs/sha256/{digest}"), bytes, PLAIN)?;
    Ok(json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
}
