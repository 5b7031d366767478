//! The capture that is configured.

use kvlease_engine::CaptureConfig;
use kvlease_sys::FingerprintKey;
use kvlease_types::Hex;

use crate::{
    bounded_file,
    config::{Config, ConfigError},
    exit::ServeError,
    random::random,
};

/// The setting that names the file of the secret.
const SECRET_FILE: &str = "capture.secret_file";

/// Digits of a secret.
const DIGITS: usize = 2 * FingerprintKey::LEN;

/// The longest file, in bytes: a secret with what an editor or a tool puts around it.
const FILE_LEN_MAX: u64 = 4_096;

/// Place, limits and secret of the capture, if there is to be one.
pub(crate) fn configured(config: &Config) -> Result<Option<CaptureConfig>, ServeError> {
    let Some(path) = config.capture.path.clone() else { return Ok(None) };
    let secret = secret(config)?;
    let id = u64::from_le_bytes(random()?);
    tracing::info!("the stream of requests is written down, capture.path=`{}`", path.display());
    let (file_len_max, files_max) = (config.capture.file_size, config.capture.files_max);
    Ok(Some(CaptureConfig { path, file_len_max, files_max, secret, id }))
}

/// The secret of the file, or a new one.
fn secret(config: &Config) -> Result<FingerprintKey, ServeError> {
    let Some(path) = &config.capture.secret_file else {
        return Ok(FingerprintKey::new(random()?));
    };
    let refused = |remedy: String| ConfigError::Value {
        key: SECRET_FILE.into(),
        value: path.display().to_string(),
        remedy,
        origin: "file of the secret".into(),
    };
    let text = bounded_file::read(path, FILE_LEN_MAX).map_err(refused)?;
    let secret = parse(text.trim()).ok_or_else(|| {
        refused(format!("write {DIGITS} hexadecimal digits into it, as of `openssl rand -hex 16`"))
    })?;
    Ok(FingerprintKey::new(secret))
}

fn parse(text: &str) -> Option<[u8; FingerprintKey::LEN]> {
    let text = text.to_ascii_lowercase();
    let (high, low) = (text.get(..DIGITS / 2)?, text.get(DIGITS / 2..)?);
    let [high, low] = [high, low].map(|half| Hex::parse(half).map(u64::to_be_bytes));
    let mut secret = [0; FingerprintKey::LEN];
    secret[..FingerprintKey::LEN / 2].copy_from_slice(&high?);
    secret[FingerprintKey::LEN / 2..].copy_from_slice(&low?);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_32_digits() {
        let digits = "000102030405060708090A0B0c0d0e0f";
        assert_eq!(parse(digits), Some(std::array::from_fn(|at| at as u8)));
        for wrong in ["", "00", &digits[1..], "zz0102030405060708090a0b0c0d0e0f"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse(&format!("{digits}00")), None);
    }

    #[test]
    fn a_file_without_end_is_refused_by_key_with_the_remedy() {
        let mut config = Config::default();
        config.capture.secret_file = Some("/dev/zero".into());
        let refused = secret(&config).unwrap_err().to_string();
        for part in ["capture.secret_file=`/dev/zero`", "keep the file within 4096 bytes"] {
            assert!(refused.contains(part), "{part} is not in: {refused}");
        }
    }
}
