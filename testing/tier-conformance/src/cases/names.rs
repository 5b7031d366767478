//! Names of objects: all that buckets and keys may be.

use std::collections::BTreeSet;

use kvlease_types::{BUCKET_LEN_MAX, KEY_LEN_MAX};

use crate::{
    calls::{expect_all_here, expect_gone, expect_here, list, remove, store_all},
    sample::Sample,
    store::{NotPossible, Store},
};

/// Length of all samples here: objects that are mixed up are found by their bytes alone.
const LEN: usize = 1000;

/// Names that file systems, URLs, patterns and protocols take for something else.
const ODD: [&str; 45] = [
    ".", "..", "../up", "a/../b", "/", "//", "/root", "end/", "a b", " ", " led", "trailed ", "%",
    "%2F", "%2f", "%%", "%00", "a%20b", "+", "a+b", "\0", "a\0b", "\n", "a\r\nb", "\t", "\u{7f}",
    "\u{1}", "ключ", "鍵", "🔑", "\u{feff}", "\u{202e}", "*", "a*", "?", "[a-z]", "{a}", "\\",
    "a\\b", "\"", "'", "a#b", "a?b=c&d", "a:b@c", "~-_.!",
];

/// The longest bucket and the longest keys, equal up to the last character.
pub(super) async fn longest_names(subject: &dyn Store) -> Result<(), NotPossible> {
    let bucket = "b".repeat(BUCKET_LEN_MAX);
    let long = |last: &str| format!("{}{last}", "k".repeat(KEY_LEN_MAX - 1));
    stay_apart(subject, &named(&bucket, &[&long("1"), &long("2"), "k"])).await
}

/// The longest names of characters that are escaped wherever there are escapes.
pub(super) async fn longest_names_to_escape(subject: &dyn Store) -> Result<(), NotPossible> {
    let bucket = "%".repeat(BUCKET_LEN_MAX);
    let keys = ["/", "\0", "%", "é"].map(|text| text.repeat(KEY_LEN_MAX / text.len()));
    stay_apart(subject, &named(&bucket, &keys.each_ref().map(String::as_str))).await
}

/// Odd names as keys.
pub(super) async fn odd_keys(subject: &dyn Store) -> Result<(), NotPossible> {
    stay_apart(subject, &named("bucket", &ODD)).await
}

/// Odd names as buckets.
pub(super) async fn odd_buckets(subject: &dyn Store) -> Result<(), NotPossible> {
    let samples = ODD.map(|bucket| Sample::new(bucket, "key", 1, LEN));
    stay_apart(subject, &samples).await
}

/// Keys that would be both files and folders.
pub(super) async fn keys_within_keys(subject: &dyn Store) -> Result<(), NotPossible> {
    let keys = ["a", "a/", "a//", "a/b", "a/b/", "a/b/c", "a//b", "a/.", "a/.."];
    stay_apart(subject, &named("bucket", &keys)).await
}

/// Pairs of bucket and key whose texts are the same when they are put together.
pub(super) async fn bucket_and_key_do_not_run_together(
    subject: &dyn Store,
) -> Result<(), NotPossible> {
    let mut samples = Vec::new();
    for mark in ["/", ":", "%2F", "-", "\0", "", "}", "{", "@"] {
        let (one, two) = (format!("b{mark}c"), format!("a{mark}b"));
        samples.push(Sample::new("a", &one, 1, LEN));
        samples.push(Sample::new(&two, "c", 1, LEN));
    }
    stay_apart(subject, &samples).await
}

/// Keys that differ in case, or in the way in which a letter is composed.
pub(super) async fn letters_that_look_alike(subject: &dyn Store) -> Result<(), NotPossible> {
    let keys = ["key", "Key", "KEY", "\u{e9}", "e\u{301}", "ß", "ss", "ı", "i", "K", "\u{212a}"];
    stay_apart(subject, &named("bucket", &keys)).await
}

/// Stores samples of the same length, finds each as its own, and removes one by one.
async fn stay_apart(subject: &dyn Store, samples: &[Sample]) -> Result<(), NotPossible> {
    let tier = subject.open().await;
    store_all(&*tier, samples).await;
    expect_all_here(&*tier, samples).await;
    let buckets: BTreeSet<_> = samples.iter().map(Sample::bucket).collect();
    for bucket in buckets {
        let of_bucket = samples.iter().filter(|sample| sample.bucket() == bucket);
        let mut expected: Vec<_> =
            of_bucket.map(|sample| (sample.key().to_owned(), LEN as u64)).collect();
        let mut listed = list(&*tier, bucket, "", 1000).await;
        listed.sort();
        expected.sort();
        assert_eq!(listed, expected, "listing of {bucket:?}");
    }
    if let [removed, others @ ..] = samples {
        remove(&*tier, removed.bucket(), &[removed.key()]).await;
        expect_gone(&*tier, removed).await;
        for other in others {
            expect_here(&*tier, other).await;
        }
    }
    Ok(())
}

fn named(bucket: &str, keys: &[&str]) -> Vec<Sample> {
    keys.iter().map(|key| Sample::new(bucket, key, 1, LEN)).collect()
}
