//! Requests as they go over the wire.
//!
//! What is the same in all requests of a client is put together once, so that a call only joins
//! texts: with small calls that is a good part of their cost.

use std::fmt::Write;

use kvlease_api::{OCTETS, encode};
use kvlease_types::{BucketName, Key};

use crate::{Address, PutBody, operation::Operation};

/// Name of the client in requests.
const USER_AGENT: &str = concat!("kvlease-client/", env!("CARGO_PKG_VERSION"));

/// Room for the line and the headers of a request with a key of usual length.
const HEAD_LEN_USUAL: usize = 384;

/// A request that was not sent, or not to its end.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    /// The request line and the headers, with the empty line behind them.
    pub(crate) head: String,
    pub(crate) body: PutBody,
}

/// The constant parts of a client's requests.
#[derive(Debug)]
pub(crate) struct Template {
    /// The address's own path.
    root: String,
    /// Path of the bucket.
    bucket: String,
    /// The text behind the path: the version and the headers that all requests have.
    tail: String,
}

impl Template {
    /// The parts for requests to `address` about objects of `bucket`.
    pub(crate) fn new(address: &Address, bucket: &BucketName) -> Self {
        let root = address.path().to_owned();
        let bucket = format!("{root}/v1/kv/{}", encode(bucket.as_str()));
        let host = address.authority();
        let tail = format!(" HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\n");
        Self { root, bucket, tail }
    }

    /// A request about an object. `suffix` follows the key in the path and is escaped already.
    pub(crate) fn of_object(
        &self,
        operation: Operation,
        key: &Key,
        suffix: std::fmt::Arguments<'_>,
    ) -> Request {
        let path = format_args!("{}/{}{suffix}", self.bucket, encode(key.as_str()));
        self.request(operation, path)
    }

    /// A request about the bucket. `suffix` follows its name and is escaped already.
    pub(crate) fn of_bucket(
        &self,
        operation: Operation,
        suffix: std::fmt::Arguments<'_>,
    ) -> Request {
        self.request(operation, format_args!("{}{suffix}", self.bucket))
    }

    /// A request about anything else. `path` is escaped already.
    pub(crate) fn of_path(&self, operation: Operation, path: std::fmt::Arguments<'_>) -> Request {
        self.request(operation, format_args!("{}{path}", self.root))
    }

    /// A request to store an object.
    pub(crate) fn put(&self, key: &Key, body: PutBody) -> Request {
        let mut request = self.of_object(Operation::Put, key, format_args!(""));
        // The empty line goes behind the headers that follow.
        request.head.truncate(request.head.len() - 2);
        let _ = match body.len() {
            Some(len) => {
                write!(request.head, "content-type: {OCTETS}\r\ncontent-length: {len}\r\n\r\n")
            }
            None => {
                write!(request.head, "content-type: {OCTETS}\r\ntransfer-encoding: chunked\r\n\r\n")
            }
        };
        request.body = body;
        request
    }

    fn request(&self, operation: Operation, path: std::fmt::Arguments<'_>) -> Request {
        let mut head = String::with_capacity(HEAD_LEN_USUAL);
        let empty_body = if operation.method() == "POST" { "content-length: 0\r\n" } else { "" };
        let _ = write!(head, "{} {path}{}{empty_body}\r\n", operation.method(), self.tail);
        Request { operation, head, body: PutBody::empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(address: &str) -> Template {
        let bucket = BucketName::new("a b").unwrap();
        Template::new(&address.parse().unwrap(), &bucket)
    }

    #[test]
    fn a_request_has_the_address_s_path_and_escaped_names() {
        let template = template("https://[::1]/kv/");
        let key = Key::new("org/model@1").unwrap();
        let request = template.of_object(Operation::Lease, &key, format_args!("/leases?ttl_s=1"));
        let expected = format!(
            "POST /kv/v1/kv/a%20b/org%2Fmodel%401/leases?ttl_s=1 HTTP/1.1\r\n\
             host: [::1]:9200\r\nuser-agent: {USER_AGENT}\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(request.head, expected);
        let request = template.of_path(Operation::Ping, format_args!("/healthz"));
        assert!(request.head.starts_with("GET /kv/healthz HTTP/1.1\r\n"), "{}", request.head);
        assert!(!request.head.contains("content-length"), "{}", request.head);
    }

    #[test]
    fn a_put_says_the_length_of_its_body_or_that_it_is_unknown() {
        let template = template("node:1");
        let key = Key::new("k").unwrap();
        let head = template.put(&key, PutBody::from("seven b")).head;
        assert!(head.contains("\r\ncontent-length: 7\r\n\r\n"), "{head}");
        let body = PutBody::reader(tokio::io::empty(), None);
        let head = template.put(&key, body).head;
        assert!(head.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n"), "{head}");
    }
}
