//! Decompressing request bodies without trusting them.

use std::io::Read;

use actix_web::http::StatusCode;
use flate2::read::MultiGzDecoder;

use super::error::Failure;

/// Inflates a gzip body of at most `limit` bytes. A bomb costs time for `limit` bytes and their memory, not more.
///
/// # Errors
/// 413 when it is longer, 400 when it is not gzip.
pub fn gunzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut inflated = Vec::new();
    match MultiGzDecoder::new(body).take(most).read_to_end(&mut inflated) {
        Ok(_) if inflated.len() > limit => Err(Failure::of_status(StatusCode::PAYLOAD_TOO_LARGE)),
        Ok(_) => Ok(inflated),
        Err(_) => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "structure",
            "The body is not in gzip format, as its Content-Encoding says.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn limit_counts_inflated_bytes() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&[b'x'; 100_000]).expect("written");
        let packed = encoder.finish().expect("finished");
        assert_eq!(gunzip(&packed, 100_000).map(|b| b.len()), Ok(100_000));
        assert_eq!(gunzip(&packed, 99_999).map_err(|e| e.status.as_u16()), Err(413));
        assert_eq!(
            gunzip(&packed[..packed.len() - 20], 100_000).map_err(|e| e.status.as_u16()),
            Err(400)
        );
        assert_eq!(gunzip(b"{}", 100).map_err(|e| e.status.as_u16()), Err(400));
    }
}
