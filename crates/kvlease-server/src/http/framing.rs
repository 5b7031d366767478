//! Heads that hyper takes and that say two things at once.

use http::{HeaderMap, Request, Version, header};
use kvlease_api::ErrorCode;

use super::reply::Refusal;

/// The only transfer coding that the daemon knows.
const CHUNKED: &str = "chunked";

/// Refuses a request whose head can be read in two ways, or asks for a coding that is unknown. The
/// connection ends: where the next request starts depends on how this one is read.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    // One pass over the few headers of a request costs less than a look-up for each name.
    let (mut hosts, mut is_coded) = (0, false);
    for name in request.headers().iter().map(|(name, _)| name) {
        hosts += usize::from(name == header::HOST);
        is_coded |= name == header::TRANSFER_ENCODING;
    }
    // Version 1.0 has no such header.
    if hosts > 1 || (hosts == 0 && request.version() > Version::HTTP_10) {
        let text = format!("a request has one `Host` header: send exactly one, found=`{hosts}`");
        return Err(Refusal::closing(ErrorCode::Invalid, text));
    }
    if is_coded { check_codings(request.headers()) } else { Ok(()) }
}

fn check_codings(headers: &HeaderMap) -> Result<(), Refusal> {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let joined = values.collect::<Vec<_>>().join(",");
    if joined.is_empty() || joined.eq_ignore_ascii_case(CHUNKED) {
        return Ok(());
    }
    let codings: Vec<_> = joined.split(',').map(str::trim).collect();
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case(CHUNKED)).count();
    if chunked == 1 && codings.len() == 1 {
        return Ok(());
    }
    if chunked > 1 {
        let text = format!("a body is chunked once at most, transfer-encoding=`{joined}`");
        return Err(Refusal::closing(ErrorCode::Invalid, text));
    }
    let text =
        format!("no coding but `chunked` is known: send the body so, transfer-encoding=`{joined}`");
    Err(Refusal::closing(ErrorCode::NotImplemented, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(headers: &[(&str, &str)]) -> Option<ErrorCode> {
        let mut request = Request::builder().version(Version::HTTP_11);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap()).err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_head_that_says_two_things_is_refused() {
        let coded = |value| code(&[("host", "d"), ("transfer-encoding", value)]);
        assert_eq!(code(&[("host", "d")]), None);
        assert_eq!(code(&[]), Some(ErrorCode::Invalid));
        assert_eq!(code(&[("host", "d"), ("host", "d")]), Some(ErrorCode::Invalid));
        assert_eq!(coded("Chunked"), None);
        assert_eq!(coded(" chunked "), None);
        assert_eq!(coded("chunked, chunked"), Some(ErrorCode::Invalid));
        assert_eq!(coded("gzip, chunked"), Some(ErrorCode::NotImplemented));
        assert_eq!(coded("gzip"), Some(ErrorCode::NotImplemented));
        let twice =
            [("host", "d"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(code(&twice), Some(ErrorCode::Invalid));
    }
}
