//! S3-compatible object storage.
//!
//! An object is one value: head and bytes. Large ones go up as a multipart upload, which the store
//! publishes as a whole, and come down in exact ranges, several at once.

mod bucket;
mod connector;
mod fetch;
mod find;
mod format;
mod list;
mod load;
mod remove;
mod shelf;
mod store;
mod streamed;
mod upload;

pub(crate) use bucket::S3;

crate::tier::tier_of_store!(S3, "s3", format::LEN_MAX);
