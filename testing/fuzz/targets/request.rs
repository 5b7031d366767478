//! The path and the query of a request, and ids of leases.

#![no_main]

use kvlease_api::{LeaseQuery, ListQuery, RenewQuery, Route, encode};
use kvlease_types::LeaseId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    if let Ok(route) = Route::parse(path) {
        let name = |name: &str| format!("/v1/kv/{name}");
        let written = match &route {
            Route::Bucket(bucket) => name(&encode(bucket.as_str())),
            Route::Object(bucket, key) => {
                name(&format!("{}/{}", encode(bucket.as_str()), encode(key.as_str())))
            }
            Route::Release(id) => format!("/v1/leases/{}/release", encode(id)),
            _ => path.to_owned(),
        };
        assert_eq!(Route::parse(&written), Ok(route));
    }
    let _ = LeaseQuery::parse(query);
    let _ = RenewQuery::parse(query);
    if let Ok(list) = ListQuery::parse(query) {
        assert!(list.limit > 0);
    }
    if let Ok(id) = text.parse::<LeaseId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});
