//! Files of tokens, and tokens and patterns of buckets in the configuration.

#![no_main]

use kvlease_server::{
    config::{BucketGlob, TokenHash},
    parse_token_file,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match parse_token_file(bytes) {
        Ok(tokens) => assert!(tokens > 0),
        Err(remedy) => assert!(!remedy.is_empty() && !remedy.contains('\n')),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if TokenHash::parse(text).is_some() {
        assert_eq!(text.len(), 64);
    }
    if let Ok(glob) = BucketGlob::parse(text) {
        let _ = glob.matches(text);
        assert!(!glob.is_all() || glob.matches("any/bucket"));
    }
});
