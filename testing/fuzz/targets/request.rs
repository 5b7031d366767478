//! The path and the query of a request, and ids of leases.

#![no_main]

use kvlease_api::{LeaseQuery, ListQuery, Names, RenewQuery, Route, encode};
use kvlease_types::{LeaseId, RETAINED_PREFIX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    if let Ok(route) = Route::parse(path) {
        // Without a rest: a new name does not compile before it is written here.
        let Names { bucket, key, id, namespace, rank, step, asset } = route.names();
        let namespace = namespace.as_ref().map(|bucket| bucket.as_str());
        let namespace = namespace.and_then(|bucket| bucket.strip_prefix(RETAINED_PREFIX));
        let segments = [
            ("{bucket}", bucket.as_ref().map(|bucket| encode(bucket.as_str()))),
            ("{key}", key.as_ref().map(|key| encode(key.as_str()))),
            ("{id}", id.as_deref().map(encode)),
            ("{namespace}", namespace.map(encode)),
            ("{rank}", rank.map(|rank| rank.to_string())),
            ("{step}", step.map(|step| step.to_string())),
            ("{asset}", asset.as_deref().map(encode)),
        ];
        // One segment after the other: an encoded name has no braces.
        let written = segments.into_iter().fold(route.template().to_owned(), |path, segment| {
            path.replace(segment.0, &segment.1.unwrap_or_default())
        });
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
