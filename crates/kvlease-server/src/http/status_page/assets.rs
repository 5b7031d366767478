//! Files that the page uses, under names with a hash of their bytes.

use std::sync::LazyLock;

use bytes::Bytes;
use kvlease_sys::Digest;

/// One file.
pub(super) struct Asset {
    pub(super) name: String,
    pub(super) content_type: &'static str,
    pub(super) bytes: Bytes,
}

/// All files.
pub(super) struct Assets {
    pub(super) script: Asset,
    pub(super) style: Asset,
    pub(super) icon: Asset,
    pub(super) chart_script: Asset,
    pub(super) chart_style: Asset,
    pub(super) chart_licence: Asset,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! asset {
    ($name:literal, $ending:literal, $content_type:expr, $path:literal) => {
        Asset::new(
            ($name, $ending),
            $content_type,
            include_bytes!(concat!("../../../assets/", $path)),
        )
    };
}

/// The files, with their names.
pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    script: asset!("status", "js", SCRIPT, "status.js"),
    style: asset!("status", "css", STYLE, "status.css"),
    icon: asset!("icon", "svg", "image/svg+xml", "icon.svg"),
    chart_script: asset!("uplot-1.6.32", "js", SCRIPT, "uplot-1.6.32/uPlot.iife.min.js"),
    chart_style: asset!("uplot-1.6.32", "css", STYLE, "uplot-1.6.32/uPlot.min.css"),
    chart_licence: asset!("uplot-1.6.32-licence", "txt", TEXT, "uplot-1.6.32/LICENSE"),
});

impl Asset {
    fn new((name, ending): (&str, &str), content_type: &'static str, bytes: &'static [u8]) -> Self {
        let name = format!("{name}-{}.{ending}", Digest::of(bytes));
        Self { name, content_type, bytes: Bytes::from_static(bytes) }
    }
}

impl Assets {
    fn all(&self) -> [&Asset; 6] {
        let Self { script, style, icon, chart_script, chart_style, chart_licence } = self;
        [script, style, icon, chart_script, chart_style, chart_licence]
    }
}

/// The file of this name.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.all().into_iter().find(|asset| asset.name == name)
}
