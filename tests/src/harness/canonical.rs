//! Thrift structs as trees that compare equal exactly when every field is equal.
//!
//! A second decoder, on purpose: it shares no code with skep's own, so that both must be wrong in
//! the same way to agree by mistake. It trusts its input to be short.

use std::collections::BTreeMap;

/// A Thrift value. Maps and sets are sorted; a double is its bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// `bool`, any integer, or the bits of a double.
    Number(i64),
    /// `string` or `binary`.
    Bytes(Vec<u8>),
    /// Fields by id.
    Struct(BTreeMap<i16, Node>),
    /// In order.
    List(Vec<Node>),
    /// Sorted pairs.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a string node.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    /// Field `id` of a struct.
    pub fn field(&self, id: i16) -> Option<&Node> {
        match self {
            Self::Struct(fields) => fields.get(&id),
            _ => None,
        }
    }

    /// One line per difference to `other`, with the path of field ids.
    pub fn differences(&self, other: &Node) -> Vec<String> {
        let mut all = Vec::new();
        compare(String::new(), self, other, &mut all);
        all
    }
}

fn compare(path: String, left: &Node, right: &Node, out: &mut Vec<String>) {
    match (left, right) {
        (Node::Struct(left), Node::Struct(right)) => {
            let mut ids: Vec<i16> = left.keys().chain(right.keys()).copied().collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                match (left.get(&id), right.get(&id)) {
                    (Some(left), Some(right)) => compare(format!("{path}.{id}"), left, right, out),
                    (Some(left), None) => out.push(format!("{path}.{id}: {left:?} against nothing")),
                    (None, Some(right)) => out.push(format!("{path}.{id}: nothing against {right:?}")),
                    (None, None) => {}
                }
            }
        }
        (Node::List(left), Node::List(right)) if left.len() == right.len() => {
            for (place, (left, right)) in left.iter().zip(right).enumerate() {
                compare(format!("{path}[{place}]"), left, right, out);
            }
        }
        _ if left == right => {}
        _ => out.push(format!("{path}: {left:?} against {right:?}")),
    }
}

/// Decodes a struct body in Thrift binary; `None` when the bytes are anything else.
pub fn decode(bytes: &[u8]) -> Option<Node> {
    let mut reader = Reader { rest: bytes };
    let node = reader.value(12)?;
    reader.rest.is_empty().then_some(node)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    fn integer(&mut self, size: usize) -> Option<i64> {
        let bytes = self.take(size)?;
        let sign: i64 = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        Some(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.integer(4)?).ok()
    }

    fn kind(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn value(&mut self, kind: u8) -> Option<Node> {
        Some(match kind {
            2 | 3 => Node::Number(self.integer(1)?),
            6 => Node::Number(self.integer(2)?),
            8 => Node::Number(self.integer(4)?),
            4 | 10 => Node::Number(self.integer(8)?),
            11 => {
                let count = self.count()?;
                Node::Bytes(self.take(count)?.to_vec())
            }
            12 => {
                let mut fields = BTreeMap::new();
                loop {
                    let kind = self.kind()?;
                    if kind == 0 {
                        break;
                    }
                    let id = i16::try_from(self.integer(2)?).ok()?;
                    fields.insert(id, self.value(kind)?);
                }
                Node::Struct(fields)
            }
            13 => {
                let (key, value) = (self.kind()?, self.kind()?);
                let count = self.count()?;
                let mut pairs = Vec::new();
                for _ in 0..count {
                    pairs.push((self.value(key)?, self.value(value)?));
                }
                pairs.sort();
                Node::Map(pairs)
            }
            14 | 15 => {
                let item = self.kind()?;
                let count = self.count()?;
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(self.value(item)?);
                }
                if kind == 14 {
                    items.sort();
                }
                Node::List(items)
            }
            _ => return None,
        })
    }
}

/// Decodes base64 with padding.
pub fn from_base64(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0u32;
    let mut count = 0;
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if 8 <= count {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length_is_decoded() {
        for (text, expected) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")]
        {
            assert_eq!(from_base64(text), expected.as_bytes());
        }
    }

    #[test]
    fn structs_that_differ_in_one_nested_field_name_its_path() {
        let body = |value: u8| [12, 0, 7, 8, 0, 2, 0, 0, 0, value, 0, 0];
        let (one, two) = (decode(&body(1)).expect("valid"), decode(&body(2)).expect("valid"));
        assert_eq!(one.differences(&two), [".7.2: Number(1) against Number(2)"]);
        assert_eq!(one.differences(&one), Vec::<String>::new());
        assert_eq!(decode(&body(1)[..5]), None);
    }
}
