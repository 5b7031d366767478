//! IPv6 addresses with a zone, such as `fe80::1%eth0`: the zone is the network interface that leads
//! to the address. Resolvers of systems differ in what they make of one.

use std::{
    fs, io,
    net::{Ipv6Addr, SocketAddrV6},
    path::Path,
};

/// Directory with an entry for each network interface.
const INTERFACES: &str = "/sys/class/net";

/// The zone's percent sign in a URL, less the sign itself.
const ESCAPED_SIGN: &str = "25";

/// The socket's address of a host with a zone; `None` for every other host.
///
/// # Errors
///
/// That this machine has no such interface.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Option<SocketAddrV6>> {
    let Some((address, zone)) = host.split_once('%') else { return Ok(None) };
    let Ok(address) = address.parse::<Ipv6Addr>() else { return Ok(None) };
    // A URL writes the sign as `%25`, people write it as it is.
    let escaped = zone.strip_prefix(ESCAPED_SIGN).filter(|zone| !zone.is_empty());
    let found = index(zone).or_else(|| index(escaped?));
    let scope = found.ok_or_else(|| {
        let text = format!(
            "no network interface has this name: see `ip link`, or give its number, zone=`{zone}`"
        );
        io::Error::new(io::ErrorKind::NotFound, text)
    })?;
    Ok(Some(SocketAddrV6::new(address, port, 0, scope)))
}

/// Number of an interface, by its name or by the number itself.
fn index(zone: &str) -> Option<u32> {
    // A name never has a slash, which the address has refused.
    let number = fs::read_to_string(Path::new(INTERFACES).join(zone).join("ifindex"));
    number.ok().and_then(|number| number.trim().parse().ok()).or_else(|| zone.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_name_or_a_number_and_other_hosts_have_none() {
        let scope = |host: &str| {
            let found = resolve(host, 9200);
            found
                .map(|found| found.map(|found| found.scope_id()))
                .map_err(|error| error.to_string())
        };
        for host in ["fe80::1%lo", "fe80::1%25lo", "fe80::1%1"] {
            assert_eq!(scope(host), Ok(Some(1)), "{host}");
        }
        for host in ["localhost", "127.0.0.1", "fe80::1", "a%lo"] {
            assert_eq!(scope(host), Ok(None), "{host}");
        }
        let message = scope("fe80::1%no_such").unwrap_err();
        assert!(message.contains("zone=`no_such`") && message.contains("number"), "{message}");
    }
}
