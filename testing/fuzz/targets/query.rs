//! What stands behind the question mark of a request, and ids of leases.

#![no_main]

use kvlease_api::{LeaseQuery, ListQuery, RenewQuery};
use kvlease_types::LeaseId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = LeaseQuery::parse(Some(text));
    let _ = RenewQuery::parse(Some(text));
    if let Ok(list) = ListQuery::parse(Some(text)) {
        assert!(list.limit > 0);
    }
    if let Ok(id) = text.parse::<LeaseId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});
