//! Settings of the daemon by flag and environment, and URLs and numbers of LMCache's adapter.

#![no_main]

use std::collections::BTreeMap;

use kvlease_client::{
    Address,
    adapter::{Value, get_positive_float, get_positive_int, parse_url},
};
use kvlease_server::{
    ServeArgs,
    config::{SETTINGS, load},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variable = |name: &str| name.len().is_multiple_of(2).then(|| name.to_owned());
    for use_https in [false, true] {
        let _ = parse_url(text, use_https, &variable);
    }
    let _ = text.parse::<Address>();
    let config = BTreeMap::from([("key".to_owned(), Value::from(text.to_owned()))]);
    assert_ne!(get_positive_int(&config, "key", 1).ok(), Some(0));
    let number = get_positive_float(&config, "key", 1.0);
    assert!(number.is_err() || number.is_ok_and(|number| number > 0.0 && number.is_finite()));
    let args = ServeArgs { set: vec![text.to_owned()], ..ServeArgs::default() };
    if let Err(error) = load(&args, []) {
        assert!(!error.to_string().contains('\n') || text.contains('\n'));
    }
    for setting in SETTINGS {
        let environment = [(setting.env.to_owned(), text.to_owned())];
        let _ = load(&ServeArgs::default(), environment);
    }
});
