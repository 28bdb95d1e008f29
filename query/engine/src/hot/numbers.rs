//! Whole numbers in as few bytes each as their range needs.

use arrow::array::Int64Array;

use super::Picked;
use crate::cache::boxed_bytes;

/// Numbers, some of them perhaps not known. 0, 1, 2, 4 or 8 bytes each, and a bit when some are
/// not known.
pub struct Numbers {
    least: i64,
    /// How far above `least`.
    above: Above,
    /// A bit per number; `None` when all are known.
    known: Option<Box<[u8]>>,
}

enum Above {
    Nothing,
    One(Box<[u8]>),
    Two(Box<[u16]>),
    Four(Box<[u32]>),
    Eight(Box<[u64]>),
}

impl Numbers {
    /// Packs numbers.
    pub fn new(values: impl ExactSizeIterator<Item = Option<i64>> + Clone) -> Self {
        let range = values.clone().flatten().fold(None, |range: Option<(i64, i64)>, value| {
            let (least, most) = range.unwrap_or((value, value));
            Some((least.min(value), most.max(value)))
        });
        let (least, most) = range.unwrap_or((0, 0));
        // Any distance between two i64 fits a u64.
        let above = |value: Option<i64>| value.map_or(0, |value| value.wrapping_sub(least) as u64);
        let all = values.clone().map(above);
        let above = match above(Some(most)) {
            0 => Above::Nothing,
            // The greatest distance fits, so all do.
            1..=0xff => Above::One(all.map(|v| v as u8).collect()),
            0x100..=0xffff => Above::Two(all.map(|v| v as u16).collect()),
            0x1_0000..=0xffff_ffff => Above::Four(all.map(|v| v as u32).collect()),
            _ => Above::Eight(all.collect()),
        };
        let known = values.clone().any(|value| value.is_none()).then(|| {
            let mut bits = vec![0_u8; values.len().div_ceil(8)];
            for (index, _) in values.enumerate().filter(|(_, value)| value.is_some()) {
                bits[index / 8] |= 1 << (index % 8);
            }
            bits.into_boxed_slice()
        });
        Self { least, above, known }
    }

    /// Packs numbers that are all known.
    pub fn known(values: impl ExactSizeIterator<Item = usize> + Clone) -> Self {
        Self::new(values.map(|value| Some(i64::try_from(value).unwrap_or(i64::MAX))))
    }

    /// The number at a place below their count; what is not known reads as any number.
    fn raw(&self, index: usize) -> i64 {
        let above = match &self.above {
            Above::Nothing => 0,
            Above::One(all) => u64::from(all[index]),
            Above::Two(all) => u64::from(all[index]),
            Above::Four(all) => u64::from(all[index]),
            Above::Eight(all) => all[index],
        };
        self.least.wrapping_add(above as i64)
    }

    /// The number at a place; `None` when it is not known.
    pub fn get(&self, index: usize) -> Option<i64> {
        let is_known = self.known.as_ref().is_none_or(|bits| bits[index / 8] >> (index % 8) & 1 == 1);
        is_known.then(|| self.raw(index))
    }

    /// The number at a place as an index; for numbers that are all known.
    pub fn index(&self, index: usize) -> usize {
        usize::try_from(self.raw(index)).unwrap_or(0)
    }

    /// The numbers of the picked rows, each times `factor`.
    pub fn array(&self, picked: &Picked, factor: i64) -> Int64Array {
        if self.known.is_none() {
            return Int64Array::from(picked.map(|row| self.raw(row).saturating_mul(factor)));
        }
        Int64Array::from(picked.map(|row| self.get(row).map(|value| value.saturating_mul(factor))))
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let above = match &self.above {
            Above::Nothing => 0,
            Above::One(all) => boxed_bytes(all),
            Above::Two(all) => boxed_bytes(all),
            Above::Four(all) => boxed_bytes(all),
            Above::Eight(all) => boxed_bytes(all),
        };
        above + self.known.as_ref().map_or(0, |bits| boxed_bytes(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_whatever_their_range() {
        let lists: [&[Option<i64>]; 8] = [
            &[],
            &[Some(7), Some(7), Some(7)],
            &[None, None],
            &[Some(-3), None, Some(252)],
            &[Some(0), Some(65_535)],
            &[Some(1 << 40), Some((1 << 40) + 70_000), None],
            &[Some(0), Some(1 << 32)],
            &[Some(i64::MIN), Some(i64::MAX), Some(0), None],
        ];
        for list in lists {
            let numbers = Numbers::new(list.iter().copied());
            let given: Vec<_> = (0..list.len()).map(|index| numbers.get(index)).collect();
            assert_eq!(given, list);
            let array = numbers.array(&Picked::All(list.len()), 1);
            assert_eq!(array.iter().collect::<Vec<_>>(), list);
        }
    }

    #[test]
    fn equal_numbers_cost_nothing_and_near_ones_a_byte() {
        assert_eq!(Numbers::new(vec![Some(1 << 50); 1_000].into_iter()).bytes(), 0);
        let near = (0..200_u32).map(|index| Some((1 << 50) + i64::from(index)));
        assert!(Numbers::new(near).bytes() < 256);
    }
}
