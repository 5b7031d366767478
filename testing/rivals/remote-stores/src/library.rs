//! The libraries' own clients: whole values, and no checksum.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use object_store::{
    ObjectStoreExt, PutPayload,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, aio::MultiplexedConnection};

use crate::{Client, Outcome, TURN, UNDER_WAY, arena::filled, servers};

fn expect_len(found: usize, size: usize) -> Outcome<()> {
    if found == size { Ok(()) } else { Err(format!("a value of {found} bytes came back").into()) }
}

/// The crate `redis`, with a connection for each object that is under way.
pub(crate) struct Valkey {
    connections: Vec<MultiplexedConnection>,
    bytes: Bytes,
}

impl Valkey {
    pub(crate) async fn open(url: &str) -> Outcome<Self> {
        let client = redis::Client::open(url)?;
        let mut connections = Vec::new();
        // The library's own limit is half a second, which a busy machine does not keep.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        for _ in 0..UNDER_WAY {
            connections.push(client.get_multiplexed_async_connection_with_config(&config).await?);
        }
        Ok(Self { connections, bytes: filled(TURN).into() })
    }

    fn connection(&self, number: usize) -> MultiplexedConnection {
        self.connections[number % UNDER_WAY].clone()
    }
}

impl Client for Valkey {
    fn put(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let at = number * size % TURN;
            let value = &self.bytes[at..at + size];
            self.connection(number).set(format!("library-{size}-{number}"), value).await?;
            Ok(())
        })
    }

    fn get(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let mut command = redis::cmd("GET");
            command.arg(format!("library-{size}-{number}"));
            let value: Vec<u8> = command.query_async(&mut self.connection(number)).await?;
            expect_len(value.len(), size)
        })
    }

    fn remove(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            self.connection(number).del(format!("library-{size}-{number}")).await?;
            Ok(())
        })
    }
}

/// The crate `object_store`, with its own HTTP client.
pub(crate) struct S3 {
    store: AmazonS3,
    bytes: Bytes,
}

impl S3 {
    pub(crate) fn open(endpoint: &str) -> Outcome<Self> {
        let store = AmazonS3Builder::new()
            .with_access_key_id(servers::ACCESS_KEY)
            .with_secret_access_key(servers::SECRET_KEY)
            .with_bucket_name(servers::BUCKET)
            .with_region("test")
            .with_endpoint(endpoint)
            .with_allow_http(true)
            // As the tier does: otherwise the library hashes all bytes to sign them.
            .with_unsigned_payload(true)
            .build()?;
        Ok(Self { store, bytes: filled(TURN).into() })
    }
}

impl Client for S3 {
    fn put(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let at = number * size % TURN;
            let value = self.bytes.slice(at..at + size);
            let path = Path::from(format!("library-{size}-{number}"));
            self.store.put(&path, PutPayload::from_bytes(value)).await?;
            Ok(())
        })
    }

    fn get(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            let path = Path::from(format!("library-{size}-{number}"));
            let value = self.store.get(&path).await?.bytes().await?;
            expect_len(value.len(), size)
        })
    }

    fn remove(&self, number: usize, size: usize) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(async move {
            self.store.delete(&Path::from(format!("library-{size}-{number}"))).await?;
            Ok(())
        })
    }
}
