//! Slots of a cluster: which server has which names.

use redis::Value;

use crate::location::Server;

/// Number of slots, a constant of the protocol.
pub(super) const SLOTS: u16 = 16384;

/// Slot of a name. Names of this tier have no braces, so all of it counts.
pub(super) fn slot(name: &str) -> u16 {
    crc16(name.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, which the protocol prescribes.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Slots from the first to the second, and the server that has them.
pub(super) type SlotRange = (u16, u16, Server);

/// Reads the answer to `CLUSTER SLOTS` of a server. The server may leave out its own host.
pub(super) fn read_slots(asked: &Server, answer: &Value) -> Option<Vec<SlotRange>> {
    let Value::Array(ranges) = answer else { return None };
    ranges.iter().map(|range| read_range(asked, range)).collect()
}

fn read_range(asked: &Server, range: &Value) -> Option<SlotRange> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() && host != b"?" => {
            String::from_utf8(host.clone()).ok()?
        }
        _ => asked.host.clone(),
    };
    let server = Server { host, port: u16::try_from(*port).ok()? };
    Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, server))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // `CLUSTER KEYSLOT` of redis 7.0.
        assert_eq!(slot("foo"), 12182);
        assert_eq!(slot("bar"), 5061);
    }

    #[test]
    fn ranges_are_read_with_the_host_that_was_asked_where_there_is_none() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |first, last, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
        };
        let server = |host: &str, port| Server { host: host.to_owned(), port };
        let answer = Value::Array(vec![
            range(0, 5, vec![node(text("a"), 1), node(text("replica"), 9)]),
            range(6, 16383, vec![node(Value::Nil, 2)]),
            range(7, 8, vec![node(text(""), 3)]),
        ]);
        let expected = vec![
            (0, 5, server("a", 1)),
            (6, 16383, server("asked", 2)),
            (7, 8, server("asked", 3)),
        ];
        assert_eq!(read_slots(&server("asked", 0), &answer), Some(expected));
        assert_eq!(read_slots(&server("asked", 0), &Value::Array(vec![Value::Nil])), None);
        assert_eq!(read_slots(&server("asked", 0), &Value::Okay), None);
    }
}
