//! HTTP/2, frame by frame: what no client of the language would send, and what no third party should answer.

mod answers;
mod requests;

/// What a client begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// Flags: of settings and pings, of data and headers, of headers and their continuation.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The longest frame that is taken without having agreed on another (RFC 9113, 4.2).
const LONGEST: usize = 16_384;
/// `:status: 200` (RFC 7541, appendix A).
const OK: u8 = 0x88;

/// One frame (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as they are, whatever is in them: literal, with a new name, never indexed (RFC 7541, 6.2.3).
fn fields<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        text(&mut block, name.as_ref());
        text(&mut block, value.as_ref());
    }
    block
}

/// A length with a prefix of seven bits, and the bytes (RFC 7541, 5.1 and 5.2).
fn text(block: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        short @ ..127 => block.push(u8::try_from(short).unwrap()),
        long => {
            block.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend(bytes);
}

/// A head over as many frames as it needs.
fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let mut parts = block.chunks(LONGEST).peekable();
    let mut frames = Vec::new();
    let mut kind = HEADERS;
    while let Some(part) = parts.next() {
        let last = if parts.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        let first = if kind == HEADERS { flags } else { 0 };
        frames.extend(frame(kind, last | first, stream, part));
        kind = CONTINUATION;
    }
    frames
}

/// Kind, flags, stream, payload.
type Frame<'b> = (u8, u8, u32, &'b [u8]);

/// The first whole frame of what was read, and what is behind it.
fn first(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let (payload, rest) = rest.split_at_checked(length)?;
    let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
    Some(((head[3], head[4], stream, payload), rest))
}
