//! The trait, for a store with calls of its own.

/// Implements [`Tier`](kvlease_tier::Tier) for a store, by its methods `find_all`, `load_object`,
/// `store_object`, `remove_all`, `list_page` and `shut`, and its field `shown`. The store itself does
/// not know what it has: [`WithDirectory`](crate::directory::WithDirectory) does.
macro_rules! tier_of_store {
    ($store:ty, $kind:literal, $len_max:expr) => {
        impl kvlease_tier::Tier for $store {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn place(&self) -> String {
                self.shown.clone()
            }

            fn len_max(&self) -> u64 {
                $len_max.bytes()
            }

            fn presence(&self, _bucket: &str, _key: &str) -> kvlease_tier::Presence {
                kvlease_tier::Presence::Unknown
            }

            fn find<'a>(
                &'a self,
                bucket: &'a str,
                keys: &'a [&'a str],
            ) -> kvlease_tier::Answer<'a, Vec<Option<kvlease_tier::Stat>>> {
                Box::pin(self.find_all(bucket, keys))
            }

            fn load<'a>(
                &'a self,
                name: &'a kvlease_tier::Name,
                stat: kvlease_tier::Stat,
                destination: Box<dyn kvlease_tier::Destination>,
            ) -> kvlease_tier::Answer<'a, kvlease_tier::Loaded> {
                Box::pin(self.load_object(name, stat, destination))
            }

            fn store<'a>(
                &'a self,
                object: &'a kvlease_tier::Object,
                source: Box<dyn kvlease_tier::Source>,
            ) -> kvlease_tier::Answer<'a, kvlease_tier::Stored> {
                Box::pin(self.store_object(object, source))
            }

            fn remove<'a>(
                &'a self,
                bucket: &'a str,
                keys: &'a [&'a str],
            ) -> kvlease_tier::Answer<'a, Vec<bool>> {
                Box::pin(self.remove_all(bucket, keys))
            }

            fn list<'a>(
                &'a self,
                bucket: &'a str,
                prefix: &'a str,
                from: Option<&'a str>,
                limit: usize,
            ) -> kvlease_tier::Answer<'a, kvlease_tier::Page> {
                Box::pin(self.list_page(bucket, prefix, from, limit))
            }

            fn usage(&self) -> kvlease_tier::Usage {
                kvlease_tier::Usage::default()
            }

            fn close(&self) -> kvlease_tier::Answer<'_, ()> {
                self.shut();
                Box::pin(async { Ok(()) })
            }
        }
    };
}

pub(crate) use tier_of_store;
