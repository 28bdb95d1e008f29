//! Numbers that look random and are the same on every run.

/// A well-mixed number of a seed and an index (the finaliser of SplitMix64).
pub(crate) fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number of a text.
pub(crate) fn seed_of(text: &str) -> u64 {
    text.bytes().fold(0x5eed, |seed, byte| mix(seed, u64::from(byte)))
}

/// A stream of such numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    seed: u64,
    index: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, index: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.index += 1;
        mix(self.seed, self.index)
    }

    /// A number below `bound`, 0 when that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound.max(1) as u64)) as usize
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
