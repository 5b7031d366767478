//! Remedies for what stores and their libraries say. The libraries keep texts of errors, and no kinds of them.

/// Texts in a reason, and what to do about them: the first that is there decides.
const REMEDIES: &[(&[&str], &str)] = &[
    (
        &["invalid peer certificate: UnknownIssuer", "invalid peer certificate: BadSignature"],
        "name the file with the certificate of its authority in tier.remote.tls_ca_file",
    ),
    (
        &["not valid for name", "invalid peer certificate: NotValidForName"],
        "write a host that the certificate is for in tier.remote.url",
    ),
    (
        &["invalid peer certificate"],
        "give the store another certificate, or correct this machine's clock",
    ),
    (
        &["InvalidContentType"],
        "the store speaks no TLS at this port: write `redis://`, or an endpoint with `http://`, in tier.remote.url, or \
         name the port with TLS",
    ),
    (
        &["NOAUTH", "WRONGPASS", "AuthenticationFailed", "invalid username-password pair"],
        "set the password in KVLEASE_TIER_REMOTE_PASSWORD, and a user of the server in tier.remote.url",
    ),
    (
        &["NOPERM"],
        "give the user of tier.remote.url these commands and all keys under its prefix, by `ACL SETUSER`",
    ),
    (&["NoSuchBucket"], "make the bucket, or name another one in tier.remote.url"),
    (
        &[
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "IllegalLocationConstraintException",
            "301 Moved",
        ],
        "write the region of the bucket in tier.remote.url, `?region=REGION`",
    ),
    (
        &["ExpiredToken", "TokenRefreshRequired"],
        "the credentials have expired: give the daemon new ones, or a role, and restart it",
    ),
    (&["RequestTimeTooSkewed"], "correct this machine's clock"),
    (
        &["SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "401 Unauthorized"],
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to credentials of the store",
    ),
    (
        &["http://169.254.169.254", "http://169.254.170.2"],
        "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    ),
    (
        &["AccessDenied", "403 Forbidden"],
        "give the credentials the rights GetObject, PutObject, DeleteObject, ListBucket and AbortMultipartUpload on \
         the bucket",
    ),
    (
        &["failed to lookup address", "Name or service not known", "dns error"],
        "correct the host in tier.remote.url, or this machine's resolver",
    ),
    (
        &["Connection refused", "timed out", "No route to host", "Network is unreachable"],
        "see that the store runs, that host and port in tier.remote.url are its own and can be reached from here, and that \
         both sides speak TLS or neither does",
    ),
];

/// Adds the remedy to a reason, if there is a known one.
pub(crate) fn with_remedy(reason: String) -> String {
    let known = |texts: &[&str]| texts.iter().any(|text| reason.contains(text));
    match REMEDIES.iter().find(|(texts, _)| known(texts)) {
        Some((_, remedy)) => format!("{reason}: {remedy}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stores_say_has_a_remedy_that_names_the_setting() {
        for (reason, part) in [
            ("\"NOAUTH\": Authentication required.", "KVLEASE_TIER_REMOTE_PASSWORD"),
            (
                "Password authentication failed - AuthenticationFailed",
                "KVLEASE_TIER_REMOTE_PASSWORD",
            ),
            ("\"NOPERM\": User x has no permissions to run the 'set' command", "ACL SETUSER"),
            ("404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", "make the bucket"),
            ("400 Bad Request: <Code>AuthorizationHeaderMalformed</Code>", "?region=REGION"),
            ("403 Forbidden: <Code>SignatureDoesNotMatch</Code>", "AWS_SECRET_ACCESS_KEY"),
            ("403 Forbidden: <Code>RequestTimeTooSkewed</Code>", "clock"),
            ("403 Forbidden: <Code>AccessDenied</Code>", "ListBucket"),
            (
                "Error performing PUT http://169.254.169.254/latest/api/token: 403 Forbidden",
                "a role",
            ),
            ("tcp connect error: Connection refused (os error 111)", "host and port"),
            ("127.0.0.1:6379: timed out", "host and port"),
            ("dns error: failed to lookup address information", "the host in tier.remote.url"),
            ("received corrupt message of type InvalidContentType", "redis://"),
            ("invalid peer certificate: UnknownIssuer", "tier.remote.tls_ca_file"),
            ("invalid peer certificate: Expired", "another certificate"),
            ("invalid peer certificate: certificate not valid for name \"a\"", "tier.remote.url"),
        ] {
            let text = with_remedy(reason.to_owned());
            let remedy = text.strip_prefix(&format!("{reason}: "));
            assert!(remedy.is_some_and(|remedy| remedy.contains(part)), "{text}");
        }
        assert_eq!(with_remedy("of another kind".to_owned()), "of another kind");
    }
}
