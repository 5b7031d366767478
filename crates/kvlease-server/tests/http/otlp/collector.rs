//! Collector that keeps what it is sent, and answers as a test says.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;

/// One message of the daemon.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// Collector with a thread for each connection.
#[derive(Clone)]
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    taken: Arc<Mutex<Vec<Message>>>,
    /// Statuses of the next answers, in place of 200; 0 for no answer at all.
    pub(super) statuses: Arc<Mutex<VecDeque<u16>>>,
}

impl Collector {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self { address, taken: Arc::default(), statuses: Arc::default() };
        let own = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let own = own.clone();
                thread::spawn(move || own.serve(&stream.unwrap()));
            }
        });
        collector
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(message) = read(&mut reader) {
            let status = self.statuses.lock().unwrap().pop_front().unwrap_or(200);
            if status == 0 {
                // The client ends the connection at its limit.
                let _ = reader.read(&mut [0]);
                return;
            }
            if status == 200 {
                self.taken.lock().unwrap().push(message);
            }
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            (&*stream).write_all(answer.as_bytes()).unwrap();
        }
    }

    /// The messages that it took, by the path of their signal.
    pub(super) fn messages(&self, path: &str) -> Vec<Message> {
        let taken = self.taken.lock().unwrap();
        taken.iter().filter(|message| message.path == path).cloned().collect()
    }

    /// All spans, and the resource that they are of.
    pub(super) fn spans(&self) -> (Vec<Span>, Resource) {
        let mut spans = (Vec::new(), Resource::default());
        for message in self.messages("/v1/traces") {
            let request = ExportTraceServiceRequest::decode(&message.body[..]).unwrap();
            for of_resource in request.resource_spans {
                spans.1 = of_resource.resource.unwrap();
                spans.0.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }

    /// The metrics of the last message.
    pub(super) fn last_metrics(&self) -> Vec<Metric> {
        let message = self.messages("/v1/metrics").pop().unwrap();
        let mut request = ExportMetricsServiceRequest::decode(&message.body[..]).unwrap();
        let mut of_resource = request.resource_metrics.pop().unwrap();
        of_resource.scope_metrics.pop().unwrap().metrics
    }
}

/// The next request of a connection.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Message> {
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<_, _> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Message { path, headers, body })
}

/// Attributes by their names; numbers as text.
pub(super) fn attributes(pairs: &[KeyValue]) -> HashMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.as_str(), text(pair))).collect()
}
