//! Settings of the daemon by flag and environment, and URLs of LMCache's adapter.

#![no_main]

use kvlease_client::adapter::parse_url;
use kvlease_server::{
    ServeArgs,
    config::{SETTINGS, load},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variable = |name: &str| (name.len() % 2 == 0).then(|| name.to_owned());
    for use_https in [false, true] {
        let _ = parse_url(text, use_https, &variable);
    }
    let args = ServeArgs { set: vec![text.to_owned()], ..ServeArgs::default() };
    if let Err(error) = load(&args, []) {
        assert!(!error.to_string().contains('\n') || text.contains('\n'));
    }
    for setting in SETTINGS {
        let environment = [(setting.env.to_owned(), text.to_owned())];
        let _ = load(&ServeArgs::default(), environment);
    }
});
