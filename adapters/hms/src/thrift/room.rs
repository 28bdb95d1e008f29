//! How buffers of messages grow.

use bytes::BytesMut;

/// Bytes from which on a message is large.
pub const LARGE_BYTES: usize = 16 << 20;

/// Makes room for `more` bytes of a message of at most `bytes_max`.
///
/// A buffer that doubles may end at twice the limit, with the half that it outgrew beside it. One
/// that gets large is given all the room that a message can need instead: memory is taken for it
/// only as far as it is written.
pub(super) fn make_room(buffer: &mut BytesMut, more: usize, bytes_max: usize) {
    if buffer.try_reclaim(more) {
        return;
    }
    let needed = buffer.len() + more;
    let doubled = needed.max(2 * buffer.capacity());
    let room = if doubled <= LARGE_BYTES { doubled.min(bytes_max) } else { bytes_max };
    let mut larger = BytesMut::with_capacity(room.max(needed));
    larger.extend_from_slice(buffer);
    *buffer = larger;
}
