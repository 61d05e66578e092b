//! Every secret and credential that the tests make, so that each gateway can be searched for all of them when its test is
//! over.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Shorter texts are found by chance.
const BYTES_MIN: usize = 12;

/// Remembers a secret.
///
/// # Panics
/// If it is so short that it would be found by chance.
pub fn remember(secret: &str) {
    let secret = secret.trim();
    assert!(secret.len() >= BYTES_MIN, "a test's secret has {BYTES_MIN} bytes at least");
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if !made.iter().any(|other| other == secret) {
        made.push(secret.into());
    }
}

/// Remembers a signed token. Its signature is what is secret: what it says may be repeated.
pub fn remember_token(token: &str) {
    remember(token.rsplit('.').next().unwrap_or_default());
}

/// The files below these places that hold a secret which was remembered, and the secret.
///
/// # Errors
/// Where a place cannot be read.
pub fn found(places: &[&Path]) -> Result<Vec<(PathBuf, String)>> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // What was used last was written last.
    made.reverse();
    let mut found = Vec::new();
    for path in files(places)? {
        let mut content = Vec::new();
        File::open(&path)?.read_to_end(&mut content)?;
        for secret in &made {
            if memchr::memmem::find(&content, secret.as_bytes()).is_some() {
                found.push((path.clone(), secret.clone()));
            }
        }
    }
    Ok(found)
}

/// The files in these places, with their folders.
///
/// # Errors
/// Where a place cannot be read.
pub fn files(places: &[&Path]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut places: Vec<PathBuf> = places.iter().map(|place| place.to_path_buf()).collect();
    while let Some(place) = places.pop() {
        if place.is_dir() {
            for entry in std::fs::read_dir(&place)? {
                places.push(entry?.path());
            }
        } else if place.is_file() {
            files.push(place);
        }
    }
    Ok(files)
}
