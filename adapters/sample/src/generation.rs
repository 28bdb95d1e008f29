//! Hive generations and what tells them apart.

/// A Hive release line that a sample server can play. What each answers was observed on real
/// metastores of the release that [`Generation::release`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// 2.3.10: no catalogs, `json-0.2` events, few `_req` methods.
    V2_3,
    /// 3.1.3: catalogs, six constraint kinds, `json-0.2` events.
    V3_1,
    /// 4.0.1: `get_table` gone, `gzip(json-2.0)` events.
    V4_0,
    /// 4.2.0: the plural ALTER_PARTITIONS event besides.
    V4_2,
}

impl Generation {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V2_3, Self::V3_1, Self::V4_0, Self::V4_2];

    /// The release that is played.
    pub fn release(self) -> &'static str {
        match self {
            Self::V2_3 => "2.3.10",
            Self::V3_1 => "3.1.3",
            Self::V4_0 => "4.0.1",
            Self::V4_2 => "4.2.0",
        }
    }

    /// What `getVersion` answers: "3.0" on 2.3 and 3.1, the true release on 4.x.
    pub fn reported_version(self) -> &'static str {
        if self < Self::V4_0 { "3.0" } else { self.release() }
    }

    /// Whether there are catalogs between metastore and database, written `@catalog#database`.
    pub fn has_catalogs(self) -> bool {
        self >= Self::V3_1
    }

    /// Whether not null, unique, default and check constraints exist.
    pub fn has_all_constraints(self) -> bool {
        self >= Self::V3_1
    }

    /// `messageFormat` of notification events.
    pub fn message_format(self) -> &'static str {
        if self < Self::V4_0 { "json-0.2" } else { "gzip(json-2.0)" }
    }
}
