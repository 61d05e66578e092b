//! Bodies of what is held, in files of the data folder, until a person has answered.
//!
//! They are encrypted by a key that lies in the memory of this process alone: what a process leaves behind is nobody's any more,
//! and the next one sweeps it. Each body is cut into chunks, and each chunk is sealed by itself, as STREAM has it (Hoang,
//! Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015): its nonce is
//! the number of its body, its place in that, and whether it is the last. So no chunk stands in the place of another, of the
//! same body or another one, and none can be left out.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use gatehouse_gate::{Bodies, KeptBody, NotKept};
use gatehouse_model::Identity;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::keys;

/// How much of a body is sealed at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How the names of the files end.
const EXTENSION: &str = "body";
/// What bodies leave free of the disk, in bytes: the journal lies there too, and without it nothing passes. Of a small disk it is
/// one part in so many.
const DISK_SPARE_BYTES: u64 = 512 * 1024 * 1024;
const DISK_SPARE_PARTS: u64 = 4;
/// How much of what all bodies may be together those of one identity may be: one part in so many.
const SHARE_PARTS: usize = 4;

/// Where they lie.
pub(crate) struct HeldBodies(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    folder: PathBuf,
    key: LessSafeKey,
    /// How long one may be, and how long all together.
    body_bytes_max: usize,
    bodies_bytes_max: usize,
    room: Mutex<Room>,
    /// The number of the next, which no other has.
    next: AtomicU64,
    measure: Measure,
}

/// How much room is taken.
#[derive(Debug, Default)]
struct Room {
    kept_bytes: usize,
    /// The same of each identity that has something here.
    owned_bytes: HashMap<Identity, usize>,
    /// What of that is being written: the disk may not count it yet.
    unwritten_bytes: usize,
}

/// Measures the disk that a folder is on.
type Measure = fn(&Path) -> io::Result<Disk>;

/// A disk, in bytes.
#[derive(Debug, Clone, Copy)]
struct Disk {
    all: u64,
    free: u64,
}

impl Disk {
    fn of(folder: &Path) -> io::Result<Self> {
        let said = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
        Ok(Self { all: bytes(said.f_blocks), free: bytes(said.f_bavail) })
    }

    /// What is left free.
    fn spare(self) -> u64 {
        DISK_SPARE_BYTES.min(self.all / DISK_SPARE_PARTS)
    }

    fn takes(self, bytes: usize) -> bool {
        self.free.checked_sub(bytes as u64).is_some_and(|left| left >= self.spare())
    }
}

/// Removes what lies there: nobody has the key of an earlier process, nor that of one that stops.
pub(crate) fn sweep(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            std::fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
    }
    Ok(())
}

impl HeldBodies {
    /// Opens the folder, with a new key: what an earlier process left in it goes.
    pub(crate) fn open(folder: &Path, body_bytes_max: usize, bodies_bytes_max: usize) -> Result<Self> {
        Self::on(folder, body_bytes_max, bodies_bytes_max, Disk::of)
    }

    fn on(folder: &Path, body_bytes_max: usize, bodies_bytes_max: usize, measure: Measure) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        sweep(folder)?;
        let key = Zeroizing::new(keys::random()?);
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| anyhow!("no key can be made"))?;
        Ok(Self(Arc::new(Shelf {
            folder: folder.into(),
            key: LessSafeKey::new(key),
            body_bytes_max,
            bodies_bytes_max,
            room: Mutex::default(),
            next: AtomicU64::new(0),
            measure,
        })))
    }
}

impl Shelf {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the bodies of one identity may be together: at least as long as one may be.
    fn share(&self) -> usize {
        (self.bodies_bytes_max / SHARE_PARTS).max(self.body_bytes_max)
    }

    /// Takes room for a body that is about to be written.
    fn make_room(&self, owner: &Identity, bytes: usize) -> Result<(), NotKept> {
        let mut room = self.room();
        let owned_bytes = room.owned_bytes.get(owner).copied().unwrap_or_default().checked_add(bytes);
        let owned_bytes = owned_bytes.filter(|owned| *owned <= self.share()).ok_or_else(|| NotKept::ShareFull {
            owner: owner.clone(),
            share: self.share(),
            bytes_max: self.bodies_bytes_max,
        })?;
        let kept_bytes = room.kept_bytes.checked_add(bytes).filter(|all| *all <= self.bodies_bytes_max);
        let kept_bytes = kept_bytes.ok_or(NotKept::Full { bytes_max: self.bodies_bytes_max })?;
        let disk = (self.measure)(&self.folder).map_err(|error| {
            let folder = self.folder.display();
            tracing::error!(%folder, %error, "the disk of bodies that are held cannot be measured");
            NotKept::Failed(error)
        })?;
        if !disk.takes(room.unwritten_bytes.saturating_add(bytes)) {
            let folder = self.folder.display();
            tracing::error!(%folder, free = disk.free, "the disk has no room for a body that is to be held");
            return Err(NotKept::DiskFull { bytes_min: disk.spare() });
        }
        room.kept_bytes = kept_bytes;
        room.owned_bytes.insert(owner.clone(), owned_bytes);
        room.unwritten_bytes += bytes;
        Ok(())
    }

    fn is_written(&self, bytes: usize) {
        let mut room = self.room();
        room.unwritten_bytes = room.unwritten_bytes.saturating_sub(bytes);
    }

    fn give_back(&self, owner: &Identity, bytes: usize) {
        let mut room = self.room();
        room.kept_bytes = room.kept_bytes.saturating_sub(bytes);
        if let Some(owned) = room.owned_bytes.get_mut(owner) {
            *owned = owned.saturating_sub(bytes);
        }
        room.owned_bytes.retain(|_, owned| *owned > 0);
    }
}

impl Bodies for HeldBodies {
    fn keep(&self, owner: &Identity, body: &[u8]) -> Result<Box<dyn KeptBody>, NotKept> {
        let (shelf, bytes) = (&self.0, body.len());
        if bytes > shelf.body_bytes_max {
            return Err(NotKept::TooLong { bytes, bytes_max: shelf.body_bytes_max });
        }
        shelf.make_room(owner, bytes)?;
        let number = shelf.next.fetch_add(1, Ordering::Relaxed);
        // From here on it is its own to give back the room, and to remove what was written.
        let held = HeldBody { shelf: shelf.clone(), owner: owner.clone(), number, bytes };
        let written = held.write(body);
        shelf.is_written(bytes);
        written.map_err(|error| {
            tracing::error!(file = %held.path().display(), %error, "the body of what is to be held cannot be kept");
            NotKept::Failed(error)
        })?;
        Ok(Box::new(held))
    }
}

/// One of them; its file goes with it.
#[derive(Debug)]
struct HeldBody {
    shelf: Arc<Shelf>,
    owner: Identity,
    number: u64,
    bytes: usize,
}

impl HeldBody {
    fn path(&self) -> PathBuf {
        self.shelf.folder.join(format!("{}.{EXTENSION}", self.number))
    }

    fn nonce(&self, place: usize) -> io::Result<Nonce> {
        let is_last = place + 1 == self.bytes.div_ceil(CHUNK_BYTES);
        let place = u32::try_from(place).map_err(io::Error::other)?;
        Ok(Nonce::assume_unique_for_key(nonce(self.number, place, is_last)))
    }

    fn write(&self, body: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path())?;
        let mut sealed = Vec::with_capacity(CHUNK_BYTES + MAX_TAG_LEN);
        for (place, chunk) in body.chunks(CHUNK_BYTES).enumerate() {
            sealed.clear();
            sealed.extend_from_slice(chunk);
            let outcome = self.shelf.key.seal_in_place_append_tag(self.nonce(place)?, Aad::empty(), &mut sealed);
            outcome.map_err(|_| io::Error::other("it cannot be encrypted"))?;
            file.write_all(&sealed)?;
        }
        Ok(())
    }

    fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path())?;
        let mut body = Vec::with_capacity(self.bytes);
        let mut sealed = Vec::with_capacity(CHUNK_BYTES + MAX_TAG_LEN);
        for place in 0..self.bytes.div_ceil(CHUNK_BYTES) {
            sealed.resize(CHUNK_BYTES.min(self.bytes - body.len()) + MAX_TAG_LEN, 0);
            file.read_exact(&mut sealed)?;
            let opened = self.shelf.key.open_in_place(self.nonce(place)?, Aad::empty(), &mut sealed);
            body.extend_from_slice(opened.map_err(|_| changed())?);
        }
        let has_more = file.read(&mut [0])? > 0;
        if has_more { Err(changed()) } else { Ok(body) }
    }
}

impl KeptBody for HeldBody {
    fn read(&self) -> io::Result<Vec<u8>> {
        self.read_all().inspect_err(|error| {
            tracing::error!(file = %self.path().display(), %error, "the body of what is held cannot be read back");
        })
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(self.path())
            && error.kind() != ErrorKind::NotFound
        {
            tracing::error!(file = %self.path().display(), %error, "the body of what was held cannot be removed");
        }
        self.shelf.give_back(&self.owner, self.bytes);
    }
}

/// No two chunks have the same: there are not as many bodies in a process's life as seven bytes count.
fn nonce(number: u64, place: u32, is_last: bool) -> [u8; NONCE_LEN] {
    let [_, a, b, c, d, e, f, g] = number.to_be_bytes();
    let [h, i, j, k] = place.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, u8::from(is_last)]
}

fn changed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it is not what was written")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const SEALED_BYTES: usize = CHUNK_BYTES + MAX_TAG_LEN;

    /// On a disk with room for everything.
    fn shelf() -> (tempfile::TempDir, HeldBodies) {
        shelf_on(|_| Ok(Disk { all: u64::MAX, free: u64::MAX }))
    }

    fn shelf_on(measure: Measure) -> (tempfile::TempDir, HeldBodies) {
        let folder = tempfile::tempdir().unwrap();
        let bodies = HeldBodies::on(&folder.path().join("held"), 8 * CHUNK_BYTES, 16 * CHUNK_BYTES, measure).unwrap();
        (folder, bodies)
    }

    fn files(folder: &tempfile::TempDir) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.path().join("held")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn only_file(folder: &tempfile::TempDir) -> PathBuf {
        let files = files(folder);
        assert_eq!(files.len(), 1);
        files[0].clone()
    }

    fn agent(name: &str) -> Identity {
        Identity::parse(&format!("agent:{name}")).unwrap()
    }

    /// So many bytes, of which no chunk is like another.
    fn body(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from((at / CHUNK_BYTES + at) % 251).unwrap()).collect()
    }

    #[test]
    fn a_body_is_read_back_and_is_nowhere_in_the_clear() {
        let (folder, bodies) = shelf();
        for bytes in [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let body = body(bytes);
            let kept = bodies.keep(&agent("claude"), &body).unwrap();
            let file = only_file(&folder);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            let written = std::fs::read(&file).unwrap();
            assert_eq!(written.len(), bytes + bytes.div_ceil(CHUNK_BYTES) * MAX_TAG_LEN);
            if let Some(beginning) = body.get(..16) {
                assert!(!written.windows(beginning.len()).any(|window| window == beginning), "{bytes}");
            }
            assert_eq!(kept.read().unwrap(), body, "{bytes}");
            assert_eq!(kept.read().unwrap(), body, "{bytes}, once more");
            drop(kept);
            assert!(files(&folder).is_empty(), "{bytes}");
        }
    }

    #[test]
    fn there_is_room_for_so_much() {
        let (folder, bodies) = shelf();
        let long = bodies.keep(&agent("claude"), &body(8 * CHUNK_BYTES + 1)).unwrap_err();
        assert!(long.to_string().contains("limits.held_body_bytes_max = 524288"), "{long}");
        let first = bodies.keep(&agent("claude"), &body(8 * CHUNK_BYTES)).unwrap();
        let second = bodies.keep(&agent("other"), &body(8 * CHUNK_BYTES)).unwrap();
        let full = bodies.keep(&agent("third"), &body(1)).unwrap_err();
        assert!(full.to_string().contains("limits.held_bodies_bytes_max = 1048576"), "{full}");
        assert_eq!(files(&folder).len(), 2, "what is refused leaves nothing");
        drop(first);
        assert!(bodies.keep(&agent("claude"), &body(8 * CHUNK_BYTES)).is_ok(), "there is room again");
        assert_eq!(second.read().unwrap(), body(8 * CHUNK_BYTES));
    }

    #[test]
    fn nobody_takes_the_room_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let roomy: Measure = |_| Ok(Disk { all: u64::MAX, free: u64::MAX });
        let bodies = HeldBodies::on(&folder.path().join("held"), CHUNK_BYTES, 16 * CHUNK_BYTES, roomy).unwrap();
        let claude = agent("claude");
        let mut kept: Vec<_> = (0..4).map(|_| bodies.keep(&claude, &body(CHUNK_BYTES)).unwrap()).collect();
        let full = bodies.keep(&claude, &body(1)).unwrap_err();
        assert!(matches!(full, NotKept::ShareFull { share: 262_144, .. }), "{full}");
        for part in ["agent:claude", "more than 262144 bytes", "limits.held_bodies_bytes_max = 1048576"] {
            assert!(full.to_string().contains(part), "{full}");
        }
        assert_eq!(files(&folder).len(), 4, "what is refused leaves nothing");
        let others = bodies.keep(&Identity::parse("user:claude").unwrap(), &body(CHUNK_BYTES)).unwrap();
        assert_eq!(bodies.0.room().owned_bytes.len(), 2);
        drop(kept.pop());
        kept.push(bodies.keep(&claude, &body(CHUNK_BYTES)).unwrap());
        assert!(bodies.keep(&claude, &body(1)).is_err());
        drop((kept, others));
        assert!(bodies.0.room().owned_bytes.is_empty(), "nobody is remembered who has nothing here");
        // Who has nothing here may keep one of the largest, however little that leaves others.
        let (_folder, bodies) = shelf();
        let one = bodies.keep(&claude, &body(8 * CHUNK_BYTES)).unwrap();
        assert!(matches!(bodies.keep(&claude, &body(1)), Err(NotKept::ShareFull { .. })));
        drop(one);
        assert!(bodies.keep(&claude, &body(8 * CHUNK_BYTES)).is_ok());
    }

    #[test]
    fn what_cannot_be_written_takes_no_room() {
        let (folder, bodies) = shelf();
        let held = folder.path().join("held");
        std::fs::remove_dir(&held).unwrap();
        assert!(matches!(bodies.keep(&agent("claude"), &body(1)), Err(NotKept::Failed(_))));
        let taken = |room: &Room| (room.kept_bytes, room.unwritten_bytes);
        assert_eq!(taken(&bodies.0.room()), (0, 0));
        assert!(bodies.0.room().owned_bytes.is_empty());
        std::fs::create_dir(&held).unwrap();
        assert!(bodies.keep(&agent("claude"), &body(1)).is_ok());
    }

    #[test]
    fn the_disk_is_not_filled() {
        // Three eighths of it are free: a body of an eighth leaves the quarter that is to stay.
        let (folder, bodies) = shelf_on(|_| Ok(Disk { all: 64 * CHUNK_BYTES as u64, free: 24 * CHUNK_BYTES as u64 }));
        let kept = bodies.keep(&agent("claude"), &body(8 * CHUNK_BYTES)).unwrap();
        assert_eq!(bodies.0.room().unwritten_bytes, 0, "the disk counts what is written");
        drop(kept);
        // What is being written at the same time counts too.
        bodies.0.make_room(&agent("other"), 1).unwrap();
        let full = bodies.keep(&agent("claude"), &body(8 * CHUNK_BYTES)).unwrap_err();
        assert!(matches!(full, NotKept::DiskFull { bytes_min: 1_048_576 }), "{full}");
        assert!(full.to_string().contains("less than 1048576 bytes to spare"), "{full}");
        assert!(files(&folder).is_empty(), "what is refused leaves nothing");
        bodies.0.is_written(1);
        bodies.0.give_back(&agent("other"), 1);
        assert!(bodies.keep(&agent("claude"), &body(8 * CHUNK_BYTES)).is_ok());
        let (_folder, bodies) = shelf_on(|_| Ok(Disk { all: 40 << 20, free: 10 << 20 }));
        assert!(matches!(bodies.keep(&agent("claude"), &body(1)), Err(NotKept::DiskFull { .. })));
        let (_folder, bodies) = shelf_on(|_| Err(ErrorKind::Unsupported.into()));
        assert!(matches!(bodies.keep(&agent("claude"), &body(1)), Err(NotKept::Failed(_))));
    }

    #[test]
    fn what_is_left_free_of_a_disk_is_a_part_of_it() {
        for (all, spare) in [(0, 0), (40 << 20, 10 << 20), (2 << 30, 512 << 20), (1 << 40, 512 << 20)] {
            assert_eq!(Disk { all, free: 0 }.spare(), spare, "{all}");
        }
        let disk = Disk::of(&std::env::temp_dir()).unwrap();
        assert!(disk.all > 0 && disk.free <= disk.all, "{disk:?}");
    }

    /// Whether a body of three chunks and a bit is still read after its file was changed.
    fn is_read_after(change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let (folder, bodies) = shelf();
        let kept = bodies.keep(&agent("claude"), &body(3 * CHUNK_BYTES + 5)).unwrap();
        let file = only_file(&folder);
        let mut written = std::fs::read(&file).unwrap();
        change(&mut written);
        std::fs::write(file, written).unwrap();
        kept.read().is_ok()
    }

    #[test]
    fn what_was_changed_is_not_read() {
        assert!(is_read_after(|_| {}));
        assert!(!is_read_after(|written| written[SEALED_BYTES + 7] ^= 1), "a bit");
        assert!(!is_read_after(|written| written.truncate(written.len() - 1)), "the last byte");
        assert!(!is_read_after(|written| written.truncate(3 * SEALED_BYTES)), "the last chunk");
        assert!(!is_read_after(|written| drop(written.drain(..SEALED_BYTES))), "the first chunk");
        assert!(!is_read_after(|written| written.clear()), "all");
        assert!(!is_read_after(|written| written.push(0)), "a byte more");
        assert!(
            !is_read_after(|written| {
                let (first, rest) = written.split_at_mut(SEALED_BYTES);
                first.swap_with_slice(&mut rest[..SEALED_BYTES]);
            }),
            "two chunks in each other's place"
        );
    }

    #[test]
    fn no_body_stands_for_another() {
        let (folder, bodies) = shelf();
        let (first, second) =
            (bodies.keep(&agent("claude"), &body(10)).unwrap(), bodies.keep(&agent("claude"), &body(10)).unwrap());
        let files = files(&folder);
        let written = std::fs::read(&files[0]).unwrap();
        std::fs::copy(&files[0], &files[1]).unwrap();
        assert_eq!((first.read().unwrap(), second.read().is_err()), (body(10), true));
        std::fs::remove_file(&files[0]).unwrap();
        assert_eq!(first.read().unwrap_err().kind(), ErrorKind::NotFound);
        // Of the same number, by another key.
        let (other_folder, other) = shelf();
        let theirs = other.keep(&agent("claude"), &body(10)).unwrap();
        let file = only_file(&other_folder);
        assert_eq!(file.file_name(), files[0].file_name());
        assert!(theirs.read().is_ok());
        std::fs::write(&file, written).unwrap();
        assert_eq!(theirs.read().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn nonces_differ() {
        let all = [0, 1, 1 << 32, u64::from(u32::MAX)].into_iter().flat_map(|number| {
            [0, 1, u32::MAX]
                .into_iter()
                .flat_map(move |place| [false, true].into_iter().map(move |is_last| nonce(number, place, is_last)))
        });
        assert_eq!(all.collect::<BTreeSet<_>>().len(), 4 * 3 * 2);
    }

    #[test]
    fn what_an_earlier_process_left_is_swept() {
        let (folder, bodies) = shelf();
        // As if the process had been killed.
        std::mem::forget(bodies.keep(&agent("claude"), &body(10)).unwrap());
        let other = folder.path().join("held").join("notes.txt");
        std::fs::write(&other, "somebody else's").unwrap();
        assert_eq!(files(&folder).len(), 2);
        let measure = bodies.0.measure;
        let next = HeldBodies::on(&folder.path().join("held"), CHUNK_BYTES, CHUNK_BYTES, measure).unwrap();
        assert_eq!(files(&folder), std::slice::from_ref(&other));
        let kept = next.keep(&agent("claude"), &body(10)).unwrap();
        assert!(kept.read().is_ok());
        // As when it stops.
        sweep(&folder.path().join("held")).unwrap();
        assert_eq!(files(&folder), [other]);
        drop(kept);
    }
}
