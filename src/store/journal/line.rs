//! One line of a log: `J1 <number> <checksum> <JSON>`.

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// Longest line that is read, bytes: the largest record, and room for what stands before it.
pub const MAX: usize = super::MAX_RECORD + 256;

const MARK: &str = "J1";

/// Appends a line. `json` holds no end of line, as `serde_json::to_vec` gives it.
pub fn write(out: &mut Vec<u8>, number: u64, json: &[u8]) {
    let sum = checksum(number, json);
    out.extend_from_slice(format!("{MARK} {number} {sum} ").as_bytes());
    out.extend_from_slice(json);
    out.push(b'\n');
}

/// Number and record of a line without its end, or `None` when it is not exactly as it was written.
pub fn read<R: DeserializeOwned>(line: &[u8]) -> Option<(u64, R)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut parts = line.splitn(4, ' ');
    if parts.next()? != MARK {
        return None;
    }
    let digits = parts.next()?;
    let number = digits
        .parse::<u64>()
        .ok()
        .filter(|number| number.to_string() == digits)?;
    let sum = parts.next()?;
    let json = parts.next()?;
    if checksum(number, json.as_bytes()) != sum {
        return None;
    }
    Some((number, serde_json::from_str(json).ok()?))
}

fn checksum(number: u64, json: &[u8]) -> String {
    let sum = Sha256::new()
        .chain_update(number.to_be_bytes())
        .chain_update(json)
        .finalize();
    // Half of it: enough against accidents, and the line stays readable.
    sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
