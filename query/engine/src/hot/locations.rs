//! Where the partitions of a chunk lie.
//!
//! A partition usually lies in a directory that bears its name, next to its neighbours: the
//! directory above is kept once, and the name is not repeated. Other addresses are kept whole.

use std::collections::HashMap;

use arrow::array::{StringArray, StringBuilder};

use super::Picked;
use super::numbers::Numbers;
use super::texts::Texts;
use crate::chunk::Test;

/// Addresses by row; they are read together with the names of the rows.
pub struct Locations {
    /// What stands before the names of rows, and after these whole addresses.
    heads: Texts,
    /// How many of the heads want a name after them.
    before_names: usize,
    /// By row: 0 without an address, else the place of its head and 1.
    codes: Numbers,
}

/// What a test says of all rows with the same head.
#[derive(Clone, Copy)]
enum Verdict {
    Pass,
    Fail,
    Ask,
}

impl Locations {
    /// Packs addresses; one per name.
    pub fn new(locations: &[Option<Box<str>>], names: &[Box<str>]) -> Self {
        let rows =
            || locations.iter().zip(names).map(|(location, name)| (location.as_deref(), name.as_ref()));
        let mut heads: Vec<&str> = Vec::new();
        let mut codes = vec![0; locations.len()];
        let mut before_names = 0;
        for is_before_name in [true, false] {
            let mut places: HashMap<&str, usize> = HashMap::new();
            for (code, (location, name)) in codes.iter_mut().zip(rows()) {
                let Some(location) = location.filter(|_| *code == 0) else { continue };
                let head = if is_before_name { location.strip_suffix(name) } else { Some(location) };
                let Some(head) = head else { continue };
                *code = *places.entry(head).or_insert_with(|| {
                    heads.push(head);
                    heads.len()
                });
            }
            if is_before_name {
                before_names = heads.len();
            }
        }
        Self { heads: Texts::new(heads.into_iter()), before_names, codes: Numbers::known(codes.into_iter()) }
    }

    /// The parts of the address of a row; `None` without one.
    fn parts<'a>(&'a self, names: &'a Texts, row: usize) -> Option<(&'a str, &'a str)> {
        let head = self.codes.index(row).checked_sub(1)?;
        Some((self.heads.get(head), if head < self.before_names { names.get(row) } else { "" }))
    }

    /// The address of a row; `None` without one.
    pub fn get(&self, names: &Texts, row: usize) -> Option<String> {
        self.parts(names, row).map(|(head, name)| [head, name].concat())
    }

    /// Whether a row has an address.
    pub fn is_known(&self, row: usize) -> bool {
        self.codes.index(row) != 0
    }

    /// Addresses of the picked rows.
    pub fn array(&self, names: &Texts, picked: &Picked) -> StringArray {
        let mut bytes = 0;
        picked.each(|row| bytes += self.parts(names, row).map_or(0, |(head, name)| head.len() + name.len()));
        let mut array = StringBuilder::with_capacity(picked.len(), bytes);
        picked.each(|row| match self.parts(names, row) {
            // Writing appends to the value that is under way, and cannot fail.
            Some((head, name)) => {
                let _ = std::fmt::Write::write_str(&mut array, head);
                array.append_value(name);
            }
            None => array.append_null(),
        });
        array.finish()
    }

    /// Calls `visit` with addresses that begin, up to the path, like those of so many rows.
    pub fn each_origin(&self, names: &Texts, mut visit: impl FnMut(&str, usize)) {
        let told: Vec<Option<&str>> = (0..self.heads.len()).map(|head| self.origin(head)).collect();
        let mut counts = vec![0; told.len()];
        for row in 0..names.len() {
            let Some(head) = self.codes.index(row).checked_sub(1) else { continue };
            match told[head] {
                Some(_) => counts[head] += 1,
                None => visit(&self.get(names, row).unwrap_or_default(), 1),
            }
        }
        for (told, count) in told.into_iter().zip(counts) {
            if let Some(address) = told {
                visit(address, count);
            }
        }
    }

    /// A part of what the addresses of the picked rows begin with, up to the path.
    pub fn origins(
        &self,
        names: &Texts,
        picked: &Picked,
        part: impl for<'a> Fn(&'a str) -> Option<&'a str>,
    ) -> StringArray {
        let told: Vec<Option<Option<&str>>> =
            (0..self.heads.len()).map(|head| self.origin(head).map(&part)).collect();
        let mut array = StringBuilder::new();
        picked.each(|row| match self.codes.index(row).checked_sub(1).map(|head| told[head]) {
            Some(Some(told)) => array.append_option(told),
            Some(None) => array.append_option(self.get(names, row).as_deref().and_then(&part)),
            None => array.append_null(),
        });
        array.finish()
    }

    /// A head that tells what all addresses with it begin with, up to the path.
    fn origin(&self, head: usize) -> Option<&str> {
        let text = self.heads.get(head);
        let is_told = || text.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
        (self.before_names <= head || is_told()).then_some(text)
    }

    /// Keeps the rows whose address passes. Names are in order, so that most tests are decided
    /// once per head.
    pub fn pick(&self, names: &Texts, test: &Test, picked: Picked) -> Picked {
        let Some(last) = names.len().checked_sub(1) else { return picked };
        let verdict = |place: usize, head: &str| {
            let (low, high) =
                if place < self.before_names { (names.get(0), names.get(last)) } else { ("", "") };
            let (min, max) = ([head, low].concat(), [head, high].concat());
            match (test.may_admit(&min, &max), test.must_admit(&min, &max)) {
                (_, true) => Verdict::Pass,
                (false, _) => Verdict::Fail,
                _ => Verdict::Ask,
            }
        };
        let verdicts: Vec<Verdict> =
            self.heads.iter().enumerate().map(|(place, head)| verdict(place, head)).collect();
        if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Fail)) {
            return Picked::Some(Vec::new());
        }
        picked.keep(|row| {
            let Some(head) = self.codes.index(row).checked_sub(1) else { return false };
            match verdicts[head] {
                Verdict::Pass => true,
                Verdict::Fail => false,
                Verdict::Ask => self.get(names, row).is_some_and(|location| test.admits(&location)),
            }
        })
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.heads.bytes() + self.codes.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_counts_once_among_those_that_begin_like_it() {
        let names: Vec<Box<str>> = (0..900).map(|row| format!("ds={row:03}").into()).collect();
        let location = |row: usize| match row % 9 {
            0 => None,
            1 | 2 => Some(format!("hdfs://nn/w/ds={row:03}")),
            3 => Some(format!("hdfs://nn/elsewhere/{row}")),
            // Heads that do not tell how addresses begin.
            4 | 5 => Some(format!("/w/{}/ds={row:03}", row % 2)),
            6 => Some(format!("s3://ds={row:03}")),
            _ => Some(format!("s3://b{}/ds={row:03}", row % 2)),
        };
        let locations: Vec<Option<Box<str>>> =
            (0..900).map(|row| location(row).map(String::into_boxed_str)).collect();
        let packed = Locations::new(&locations, &names);
        let names = Texts::new(names.iter().map(AsRef::as_ref));
        let origin = |address: &str| {
            let (scheme, rest) = address.split_once("://").unwrap_or(("", "/"));
            format!("{scheme} {}", rest.split('/').next().unwrap_or_default())
        };
        let mut wanted: HashMap<String, usize> = HashMap::new();
        locations.iter().flatten().for_each(|address| *wanted.entry(origin(address)).or_default() += 1);
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut paths = Vec::new();
        packed.each_origin(&names, |address, count| {
            *counts.entry(origin(address)).or_default() += count;
            paths.extend(address.starts_with('/').then(|| address.to_owned()));
        });
        assert_eq!(counts, wanted);
        // One walk gives them in the order of rows, and not head by head.
        let in_order = (0..900).filter_map(location).filter(|address| address.starts_with('/'));
        assert_eq!(paths, in_order.collect::<Vec<_>>());
    }
}
