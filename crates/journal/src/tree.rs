//! The Merkle tree of RFC 6962 over SHA-256: the incremental root, and proofs of inclusion and consistency.
//!
//! Knows hashes and positions; must not know records, files or keys. Proofs are made as in RFC 6962, section 2.1, and
//! checked as in RFC 9162, sections 2.1.3.2 and 2.1.4.2, which describe the same trees.

use gatehouse_model::{Digest, Sha256};

/// Why a proof could not be made or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The caller asks for a place that the tree does not have.
    #[error("position {index} is outside a tree of {size} leaves")]
    Outside {
        /// The place or size that was asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The proof has too many or too few hashes for its place and size.
    #[error("the proof has the wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

/// The hash of a leaf: `SHA-256(0x00 || bytes)`.
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    Sha256::default().with([0]).with(bytes).finish()
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Sha256::default().with([1]).with(left.0).with(right.0).finish()
}

/// The root of a tree without leaves: `SHA-256("")`.
pub fn empty_root() -> Digest {
    sha256(&[])
}

/// Reads 64 lower-case hexadecimal digits, the only form that this crate writes.
pub(crate) fn parse_digest(text: &str) -> Option<Digest> {
    Digest::parse(text).filter(|digest| digest.to_string() == text)
}

/// The right edge of a tree: enough to append and to compute the root, in at most 64 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees that the size's binary digits stand for, largest first.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The frontier of a tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf hash.
    pub fn append(&mut self, leaf: Digest) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// The largest power of two below `width`, which is at least 2: where RFC 6962 splits a tree.
fn split_width(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

/// A whole tree in memory, 64 bytes a leaf, which makes any proof in O(log n). For exports, not for the data path.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Perfect subtrees by height; the leaves are at 0.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// Builds the tree over leaf hashes.
    pub fn from_leaves(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let above = below
                .chunks_exact(2)
                .filter_map(|pair| match pair {
                    [left, right] => Some(node_hash(left, right)),
                    _ => None,
                })
                .collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root that the tree had when it had `size` leaves.
    pub fn root(&self, size: u64) -> Result<Digest, ProofError> {
        self.range(0, size)
    }

    /// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962, section 2.1.1), nearest hash first.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Digest>, ProofError> {
        if index >= size || size > self.size() {
            return Err(ProofError::Outside { index, size });
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let split = start + split_width(end - start);
            if index < split {
                path.push(self.range(split, end)?);
                end = split;
            } else {
                path.push(self.range(start, split)?);
                start = split;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// Proves that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 6962, section 2.1.2).
    /// The proof is empty when `old` is 0 or `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Digest>, ProofError> {
        if old > new || new > self.size() {
            return Err(ProofError::Outside { index: old, size: new });
        }
        let mut path = Vec::new();
        if old == 0 || old == new {
            return Ok(path);
        }
        let (mut start, mut end, mut whole) = (0, new, true);
        while end != old {
            let split = start + split_width(end - start);
            if old <= split {
                path.push(self.range(split, end)?);
                end = split;
            } else {
                path.push(self.range(start, split)?);
                start = split;
                whole = false;
            }
        }
        if !whole {
            path.push(self.range(start, end)?);
        }
        path.reverse();
        Ok(path)
    }

    /// The root over the leaves from `start` to before `end`, where `start` is a multiple of the next power of two.
    fn range(&self, start: u64, end: u64) -> Result<Digest, ProofError> {
        let outside = ProofError::Outside { index: end, size: self.size() };
        let width = end.checked_sub(start).ok_or(outside)?;
        if width == 0 {
            return Ok(empty_root());
        }
        if width.is_power_of_two() {
            let height = width.trailing_zeros();
            let level = self.levels.get(height as usize).ok_or(outside)?;
            let place = usize::try_from(start >> height).map_err(|_| outside)?;
            return level.get(place).copied().ok_or(outside);
        }
        let split = start + split_width(width);
        Ok(node_hash(&self.range(start, split)?, &self.range(split, end)?))
    }
}

/// Checks that `leaf` stands at `index` in the tree with this size and root.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Outside { index, size });
    }
    let (mut place, mut last, mut node) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            node = node_hash(sibling, &node);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if node == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old` leaves with `old_root` is the beginning of the tree of `new` leaves with `new_root`.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Outside { index: old, size: new });
    }
    if old == 0 || old == new {
        let start = if old == new { *new_root } else { empty_root() };
        return match (proof.is_empty(), start == *old_root) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Root),
            (false, _) => Err(ProofError::Length),
        };
    }
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    // A perfect old tree is itself the first node of the path.
    let (first, rest) =
        if old.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(ProofError::Length)? };
    let (mut old_node, mut new_node) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            old_node = node_hash(sibling, &old_node);
            new_node = node_hash(sibling, &new_node);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_node = node_hash(&new_node, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_node == *old_root && new_node == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;

    /// The leaves of the Certificate Transparency project's tests.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    /// The roots over the first 0 to 8 of them.
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn known() -> Tree {
        Tree::from_leaves(LEAVES.iter().map(|bytes| leaf_hash(bytes)).collect())
    }

    fn hex(path: &[Digest]) -> Vec<String> {
        path.iter().map(Digest::to_string).collect()
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let mut frontier = Frontier::new();
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(frontier.root().to_string(), *root, "{size} leaves, frontier");
            assert_eq!(known().root(size as u64).unwrap().to_string(), *root, "{size} leaves, tree");
            if let Some(bytes) = LEAVES.get(size) {
                frontier.append(leaf_hash(bytes));
            }
        }
    }

    #[test]
    fn paths_are_those_of_certificate_transparency() {
        let check = |index, size, expect: &[&str]| {
            assert_eq!(hex(&known().inclusion_proof(index, size).unwrap()), expect, "{index} of {size}");
        };
        check(0, 1, &[]);
        check(
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]);
    }

    #[test]
    fn consistency_paths_are_those_of_certificate_transparency() {
        let check = |old, new, expect: &[&str]| {
            assert_eq!(hex(&known().consistency_proof(old, new).unwrap()), expect, "{old} to {new}");
        };
        check(1, 1, &[]);
        check(
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        );
    }

    #[test]
    fn asking_outside_the_tree_is_an_error() {
        assert_eq!(known().inclusion_proof(8, 8), Err(ProofError::Outside { index: 8, size: 8 }));
        assert!(known().inclusion_proof(0, 9).is_err());
        assert!(known().consistency_proof(3, 9).is_err());
        assert!(known().root(9).is_err());
    }

    fn bytes(path: &[Digest]) -> Vec<u8> {
        path.iter().flat_map(|hash| hash.0).collect()
    }

    fn leaves(size: usize) -> Vec<Digest> {
        (0..size).map(|place| leaf_hash(&place.to_be_bytes())).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_an_independent_implementation(size in 1usize..120, place in 0usize..120, old in 1usize..120) {
            let (place, old) = (place % size, 1 + old % size);
            let tree = Tree::from_leaves(leaves(size));
            let mut other = MemoryBackedTree::<sha2::Sha256, [u8; 8]>::new();
            (0..size).for_each(|place| other.push(place.to_be_bytes()));
            prop_assert_eq!(tree.root(size as u64).unwrap().0.to_vec(), other.root().as_bytes().to_vec());
            let path = tree.inclusion_proof(place as u64, size as u64).unwrap();
            prop_assert_eq!(bytes(&path), other.prove_inclusion(place).as_bytes().to_vec());
            if old < size {
                let path = tree.consistency_proof(old as u64, size as u64).unwrap();
                prop_assert_eq!(bytes(&path), other.prove_consistency(size - old).as_bytes().to_vec());
            }
        }

        #[test]
        fn frontier_and_tree_agree(size in 0usize..300) {
            let mut frontier = Frontier::new();
            leaves(size).into_iter().for_each(|leaf| frontier.append(leaf));
            prop_assert_eq!(frontier.size(), size as u64);
            prop_assert_eq!(frontier.root(), Tree::from_leaves(leaves(size)).root(size as u64).unwrap());
        }

        #[test]
        fn inclusion_holds_and_only_for_its_leaf(size in 1u64..200, index in 0u64..200, flip in 0usize..32) {
            let index = index % size;
            let all = leaves(size as usize);
            let tree = Tree::from_leaves(all.clone());
            let (root, leaf) = (tree.root(size).unwrap(), all[index as usize]);
            let mut proof = tree.inclusion_proof(index, size).unwrap();
            prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
            let mut other = leaf;
            other.0[flip] ^= 1;
            prop_assert_eq!(verify_inclusion(&other, index, size, &proof, &root), Err(ProofError::Root));
            prop_assert!(verify_inclusion(&leaf, (index + 1) % size, size, &proof, &root).is_err() || size == 1);
            proof.push(leaf);
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root).is_err());
        }

        #[test]
        fn consistency_holds_and_only_for_its_roots(new in 1u64..200, old in 0u64..200, flip in 0usize..32) {
            let old = old % (new + 1);
            let tree = Tree::from_leaves(leaves(new as usize));
            let (old_root, new_root) = (tree.root(old).unwrap(), tree.root(new).unwrap());
            let mut proof = tree.consistency_proof(old, new).unwrap();
            prop_assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
            let mut other = old_root;
            other.0[flip] ^= 1;
            prop_assert!(verify_consistency(old, &other, new, &new_root, &proof).is_err());
            proof.push(new_root);
            prop_assert!(verify_consistency(old, &old_root, new, &new_root, &proof).is_err());
        }
    }
}
