//! Texts one after the other in one piece of memory.

use arrow::array::{StringArray, StringBuilder};

use super::Picked;
use super::numbers::Numbers;
use crate::cache::boxed_bytes;

/// Texts: their bytes, and one to four bytes each for where they end.
pub struct Texts {
    all: Box<str>,
    ends: Numbers,
    count: usize,
}

impl Texts {
    /// Packs texts.
    pub fn new<'a>(texts: impl ExactSizeIterator<Item = &'a str> + Clone) -> Self {
        let mut all = String::with_capacity(texts.clone().map(str::len).sum());
        let count = texts.len();
        let mut ends = Vec::with_capacity(count);
        for text in texts {
            all.push_str(text);
            ends.push(all.len());
        }
        Self { all: all.into_boxed_str(), ends: Numbers::known(ends.into_iter()), count }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The text at a place below their count.
    pub fn get(&self, index: usize) -> &str {
        let begin = if index == 0 { 0 } else { self.ends.index(index - 1) };
        &self.all[begin..self.ends.index(index)]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.count).map(|index| self.get(index))
    }

    /// The texts of the picked rows.
    pub fn array(&self, picked: &Picked) -> StringArray {
        let rows = picked.len();
        let bytes = (self.all.len() * rows).checked_div(self.count).unwrap_or(0);
        let mut array = StringBuilder::with_capacity(rows, bytes);
        picked.each(|row| array.append_value(self.get(row)));
        array.finish()
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        boxed_bytes(self.all.as_bytes()) + self.ends.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were() {
        for list in [vec![], vec![""], vec!["a", "", "äö", "ds=2024-01-01"]] {
            let texts = Texts::new(list.iter().copied());
            assert_eq!(texts.iter().collect::<Vec<_>>(), list);
            assert_eq!(texts.len(), list.len());
        }
        let texts = Texts::new(["a", "b", "c"].into_iter());
        let picked = texts.array(&Picked::Some(vec![2, 0]));
        assert_eq!(picked.iter().flatten().collect::<Vec<_>>(), ["c", "a"]);
    }
}
