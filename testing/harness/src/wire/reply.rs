//! Replies of a daemon.

use kvlease_api::ErrorBody;
use serde::de::DeserializeOwned;

/// Reply of a daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// Body; empty after the head alone was read.
    pub body: Vec<u8>,
}

impl Reply {
    /// Value of the header with this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Body as JSON.
    ///
    /// # Panics
    ///
    /// If it is not such a value, or is not declared as JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of a refusal.
    ///
    /// # Panics
    ///
    /// If it is not a refusal, or if its message is not one line.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        let error: ErrorBody = self.json();
        assert!(!error.message.contains('\n') && !error.message.is_empty(), "{error:?}");
        assert_eq!(error.code.status(), self.status, "{error:?}");
        let code = serde_json::to_value(error.code).expect("a code is a string");
        refused(self.status, code.as_str().expect("a code is a string"))
    }
}

/// Expected value of [`Reply::refusal`].
pub fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
