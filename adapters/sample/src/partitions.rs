//! Partitions of a table: millions that are made when asked for, and the few that were changed.
//!
//! Invariant: a name is either made (and not hidden) or kept, never both; both come sorted by
//! name, so a listing is one merge.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use skep_catalog::model::partition_name;
use skep_hms::dates::write_date;
use skep_hms::thrift::{Kind, Reader, Writer};

use crate::dates;
use crate::random::mix;
use crate::raw::RawStruct;

/// How values of made partitions follow from their number. Names rise with the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// One key: a date.
    Daily,
    /// A date and an hour, `00` to `23`.
    Hourly,
    /// A date and one of [`REGIONS`].
    Regional,
}

/// Second values of [`Scheme::Regional`], sorted.
pub(crate) const REGIONS: [&str; 6] = ["apac", "cn", "eu", "latam", "mea", "na"];

impl Scheme {
    fn per_day(self) -> u32 {
        match self {
            Self::Daily => 1,
            Self::Hourly => 24,
            Self::Regional => REGIONS.len() as u32,
        }
    }
}

/// Partitions that follow from their number.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) scheme: Scheme,
    pub(crate) count: u32,
    /// Day of the first one, in days since 1970.
    pub(crate) first_day: i64,
    /// Directory above the partitions' own.
    pub(crate) root: String,
    /// The first so many lie under another directory.
    pub(crate) old_root: Option<(u32, String)>,
    /// Mean files of a partition and bytes of a file.
    pub(crate) files_mean: u64,
    pub(crate) file_bytes_mean: u64,
    pub(crate) seed: u64,
    /// Whether partitions have a write id (4.0 and later; -1 where there are no transactions).
    pub(crate) has_write_id: bool,
    /// The storage descriptor's bytes before and after the location's value.
    pub(crate) storage: (Bytes, Bytes),
}

/// A partition that is kept as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) values: Vec<String>,
    /// Fields of the struct but values, database, table and catalog.
    pub(crate) fields: Bytes,
}

impl Kept {
    /// From a `Partition` struct's fields.
    pub(crate) fn from_raw(mut raw: RawStruct) -> Self {
        let values = raw.texts(1);
        raw.remove(1, Kind::List);
        for id in [2, 3, 9] {
            raw.remove(id, Kind::String);
        }
        Self { values, fields: raw.fields() }
    }

    /// The fields one by one.
    pub(crate) fn raw(&self) -> RawStruct {
        RawStruct::parse(&crate::raw::with_stop(&self.fields)).unwrap_or_default()
    }
}

/// A partition of either kind.
pub(crate) enum Entry<'a> {
    Made(u32, &'a Made),
    Kept(&'a Kept),
}

/// The partitions of one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partitions {
    made: Option<Made>,
    /// Numbers of made ones that are dropped or kept as bytes instead.
    hidden: BTreeSet<u32>,
    kept: BTreeMap<String, Kept>,
}

impl Partitions {
    pub(crate) fn made(made: Made) -> Self {
        Self { made: Some(made), hidden: BTreeSet::new(), kept: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        let made = self.made.as_ref().map_or(0, |made| made.count as usize);
        made - self.hidden.len() + self.kept.len()
    }

    /// The partition of this name.
    pub(crate) fn get(&self, keys: &[String], name: &str) -> Option<Entry<'_>> {
        match self.made_number(keys, name) {
            Some(number) => self.made.as_ref().map(|made| Entry::Made(number, made)),
            None => self.kept.get(name).map(Entry::Kept),
        }
    }

    fn made_number(&self, keys: &[String], name: &str) -> Option<u32> {
        let made = self.made.as_ref()?;
        made.number_of(keys, name).filter(|number| !self.hidden.contains(number))
    }

    /// Puts a partition, in place of the one of that name.
    pub(crate) fn put(&mut self, keys: &[String], kept: Kept) {
        let name = partition_name(keys, &kept.values);
        if let Some(number) = self.made_number(keys, &name) {
            self.hidden.insert(number);
        }
        self.kept.insert(name, kept);
    }

    /// Takes a partition out.
    pub(crate) fn remove(&mut self, keys: &[String], name: &str) -> bool {
        match self.made_number(keys, name) {
            Some(number) => self.hidden.insert(number),
            None => self.kept.remove(name).is_some(),
        }
    }

    /// All partitions with their names, sorted by name; the visitor says whether to go on.
    pub(crate) fn visit<'a>(&'a self, keys: &[String], mut visitor: impl FnMut(&str, Entry<'a>) -> bool) {
        let mut kept = self.kept.iter().peekable();
        let mut name = String::new();
        if let Some(made) = &self.made {
            for number in 0..made.count {
                if !self.hidden.is_empty() && self.hidden.contains(&number) {
                    continue;
                }
                name.clear();
                made.name_into(&mut name, keys, number);
                while let Some((before, entry)) = kept.next_if(|(kept, _)| kept.as_str() < name.as_str()) {
                    if !visitor(before, Entry::Kept(entry)) {
                        return;
                    }
                }
                if !visitor(&name, Entry::Made(number, made)) {
                    return;
                }
            }
        }
        for (name, entry) in kept {
            if !visitor(name, Entry::Kept(entry)) {
                return;
            }
        }
    }

    /// The name of some partition, chosen by `seed`; `None` when there are none.
    pub(crate) fn pick(&self, keys: &[String], seed: u64) -> Option<String> {
        let made = self.made.as_ref().map_or(0, |made| made.count);
        for attempt in 0..8 {
            let draw = mix(seed, attempt);
            let total = u64::from(made) + self.kept.len() as u64;
            let at = draw % total.max(1);
            if let (Some(source), Ok(number)) = (&self.made, u32::try_from(at))
                && number < made
            {
                if self.hidden.contains(&number) {
                    continue;
                }
                let mut name = String::new();
                source.name_into(&mut name, keys, number);
                return Some(name);
            }
            // Kept ones are few beside made ones: a range from a made-up name finds one quickly.
            return self.kept.keys().nth((at - u64::from(made)).min(64) as usize).cloned();
        }
        self.kept.keys().next().cloned()
    }
}

impl Made {
    fn values(&self, number: u32) -> (String, Option<String>) {
        let per_day = self.scheme.per_day();
        let mut day = String::with_capacity(10);
        write_date(&mut day, self.first_day + i64::from(number / per_day));
        let rest = number % per_day;
        let second = match self.scheme {
            Scheme::Daily => None,
            Scheme::Hourly => Some(format!("{rest:02}")),
            Scheme::Regional => Some(REGIONS[rest as usize].to_owned()),
        };
        (day, second)
    }

    // Key names and made values hold nothing that Hive would escape.
    fn name_into(&self, out: &mut String, keys: &[String], number: u32) {
        let (day, second) = self.values(number);
        out.push_str(keys.first().map_or("", String::as_str));
        out.push('=');
        out.push_str(&day);
        if let Some(second) = second {
            out.push('/');
            out.push_str(keys.get(1).map_or("", String::as_str));
            out.push('=');
            out.push_str(&second);
        }
    }

    fn number_of(&self, keys: &[String], name: &str) -> Option<u32> {
        let rest = name.strip_prefix(keys.first()?.as_str())?.strip_prefix('=')?;
        let (day, second) = match rest.split_once('/') {
            Some((day, second)) => {
                (day, Some(second.strip_prefix(keys.get(1)?.as_str())?.strip_prefix('=')?))
            }
            None => (rest, None),
        };
        let day = u32::try_from(dates::parse(day)? - self.first_day).ok()?;
        let second = match (self.scheme, second) {
            (Scheme::Daily, None) => 0,
            (Scheme::Hourly, Some(hour)) if hour.len() == 2 => hour.parse().ok().filter(|hour| *hour < 24)?,
            (Scheme::Regional, Some(region)) => REGIONS.iter().position(|known| *known == region)? as u32,
            _ => return None,
        };
        let number = day.checked_mul(self.scheme.per_day())?.checked_add(second)?;
        (number < self.count).then_some(number)
    }

    /// The struct's fields but values, database, table and catalog.
    fn fields_into(&self, w: &mut Writer, number: u32, name: &str) {
        let draw = mix(self.seed, u64::from(number));
        let day = self.first_day + i64::from(number / self.scheme.per_day());
        let created = i32::try_from(day * 86_400 + 7_200 + (draw % 3_600) as i64).unwrap_or(i32::MAX);
        let files = 1 + self.files_mean * (50 + draw % 100) / 100;
        let bytes = files * self.file_bytes_mean * (50 + (draw >> 8) % 100) / 100;
        let rows = bytes / (40 + (self.seed % 200));
        w.field_i32(4, created);
        w.field_i32(5, 0);
        w.field(Kind::Struct, 6);
        w.raw_struct(&self.storage.0);
        let root = match &self.old_root {
            Some((count, old)) if number < *count => old,
            _ => &self.root,
        };
        let mut location = String::with_capacity(root.len() + 1 + name.len());
        location.push_str(root);
        location.push('/');
        location.push_str(name);
        w.string(&location);
        w.raw_struct(&self.storage.1);
        w.field(Kind::Map, 7);
        w.map(Kind::String, Kind::String, 6);
        w.string("COLUMN_STATS_ACCURATE");
        w.string("{\"BASIC_STATS\":\"true\"}");
        for (key, value) in [
            ("numFiles", files),
            ("numRows", rows),
            ("rawDataSize", bytes * 3),
            ("totalSize", bytes),
            ("transient_lastDdlTime", created as u64),
        ] {
            w.string(key);
            w.string(&value.to_string());
        }
        if self.has_write_id {
            w.field_i64(10, -1);
        }
    }
}

impl Entry<'_> {
    /// The `Partition` struct's body.
    pub(crate) fn encode(
        &self,
        w: &mut Writer,
        name: &str,
        database: &str,
        table: &str,
        catalog: Option<&str>,
    ) {
        match self {
            Self::Made(number, made) => {
                let (day, second) = made.values(*number);
                w.field_list(1, Kind::String, 1 + usize::from(second.is_some()));
                w.string(&day);
                if let Some(second) = &second {
                    w.string(second);
                }
            }
            Self::Kept(kept) => w.field_strings(1, &kept.values),
        }
        w.field_string(2, database);
        w.field_string(3, table);
        match self {
            Self::Made(number, made) => made.fields_into(w, *number, name),
            Self::Kept(kept) => w.raw_struct(&kept.fields),
        }
        w.field_string_option(9, catalog);
        w.stop();
    }

    /// The same partition as kept bytes.
    pub(crate) fn to_kept(&self, name: &str) -> Kept {
        match self {
            Self::Kept(kept) => (*kept).clone(),
            Self::Made(number, made) => {
                let (day, second) = made.values(*number);
                let mut w = Writer::new();
                made.fields_into(&mut w, *number, name);
                Kept { values: std::iter::once(day).chain(second).collect(), fields: w.finish() }
            }
        }
    }

    /// The partition values.
    pub(crate) fn values(&self) -> Vec<String> {
        match self {
            Self::Kept(kept) => kept.values.clone(),
            Self::Made(number, made) => {
                let (day, second) = made.values(*number);
                std::iter::once(day).chain(second).collect()
            }
        }
    }
}

/// A storage descriptor's bytes before and after the value of its location (field 2).
///
/// `None` when there is no location.
pub(crate) fn split_at_location(storage: &Bytes) -> Option<(Bytes, Bytes)> {
    let mut reader = Reader::new(storage);
    while let Ok(Some((kind, id))) = reader.field() {
        let start = reader.position();
        reader.skip(kind).ok()?;
        if (id, kind) == (2, Kind::String) {
            return Some((storage.slice(..start), storage.slice(reader.position()..)));
        }
    }
    None
}
