//! The `traceparent` header: which trace, which parent, and whether it is recorded.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

/// Flag of a trace whose id ends in seven random bytes.
///
/// Spec: [Trace Context Level 2 § Random Trace ID Flag].
///
/// [Trace Context Level 2 § Random Trace ID Flag]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#random-trace-id-flag
pub(super) const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// A valid `traceparent`: neither id is zero, and no flag but sampled and random is set.
///
/// Spec: [Trace Context Level 2 § Traceparent Header].
///
/// [Trace Context Level 2 § Traceparent Header]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#traceparent-header
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: TraceId,
    pub(crate) parent_id: SpanId,
    pub(crate) flags: TraceFlags,
}

impl TraceParent {
    /// Reads a header value, with or without space and tab around it.
    ///
    /// `None` for anything the grammar forbids. Of versions 01 to fe it reads what version 00
    /// defines and ignores what follows.
    ///
    /// Spec: [Trace Context Level 2 § Versioning of traceparent].
    ///
    /// [Trace Context Level 2 § Versioning of traceparent]: https://www.w3.org/TR/2024/CRD-trace-context-2-20240328/#versioning-of-traceparent
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (fields, rest) = trim_ows(value).split_first_chunk::<55>()?;
        let [v1, v2, b'-', ids @ .., b'-', f1, f2] = fields else {
            return None;
        };
        let (trace_id, parent_id) = ids.split_first_chunk::<32>()?;
        let parent_id = parent_id.strip_prefix(b"-")?;

        let mut digits = HexDigits::default();
        // Eight take as long as two.
        let version_and_flags = digits.eight([b'0', b'0', *v1, *v2, b'0', b'0', *f1, *f2]);
        let (version, flags) = (version_and_flags >> 16, version_and_flags as u8);
        let trace_id = digits.all(trace_id);
        let parent_id = digits.all(parent_id) as u64;
        let ends_well = match version {
            0x00 => rest.is_empty(),
            0xff => false,
            // What is no text is no header of any version.
            _ => matches!(rest, [] | [b'-', ..]) && str::from_utf8(rest).is_ok(),
        };
        (digits.are_valid() && ends_well && trace_id != 0 && parent_id != 0).then(|| Self {
            trace_id: trace_id.into(),
            parent_id: parent_id.into(),
            flags: TraceFlags::new(flags) & (TraceFlags::SAMPLED | RANDOM),
        })
    }

    /// Writes the header value, as version 00.
    pub(crate) fn write(&self) -> [u8; 55] {
        let trace_id = u128::from_be_bytes(self.trace_id.to_bytes());
        let parent_id = u64::from_be_bytes(self.parent_id.to_bytes());

        let mut value = *b"00-................................-................-00";
        value[3..19].copy_from_slice(&to_hex((trace_id >> 64) as u64));
        value[19..35].copy_from_slice(&to_hex(trace_id as u64));
        value[36..52].copy_from_slice(&to_hex(parent_id));
        value[54] += self.flags.to_u8() & 0x03;
        value
    }
}

fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

// Both directions work on many digits at once, one to a byte of a word: digit by digit takes nearly
// twice as long, and this runs for every message.

/// Reads hex digits, and remembers whether all were such.
#[derive(Default)]
struct HexDigits {
    /// Bits of the bytes that are no digit.
    wrong: u64,
}

impl HexDigits {
    fn eight(&mut self, digits: [u8; 8]) -> u32 {
        const ONES: u64 = u64::MAX / 0xff;
        const ZEROS: u64 = ONES * b'0' as u64;
        let digits = u64::from_be_bytes(digits);
        let letters = (digits >> 6) & ONES;
        let mut nibbles = digits
            .wrapping_sub(ZEROS)
            .wrapping_sub(letters * GAP as u64);
        // A borrow out of a byte spoils its neighbour, but leaves the byte itself above 0x0f.
        let too_large = nibbles & (ONES * 0xf0);
        let misplaced = ((nibbles.wrapping_add(ONES * 6) >> 4) ^ letters) & ONES;
        self.wrong |= too_large | misplaced;
        nibbles = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
        nibbles = (nibbles | nibbles >> 8) & 0x0000_ffff_0000_ffff;
        (nibbles | nibbles >> 16) as u32
    }

    /// Eight at a time, of at most 32.
    fn all(&mut self, digits: &[u8]) -> u128 {
        let (eights, _) = digits.as_chunks();
        let eights = eights.iter().map(|eight| self.eight(*eight));
        eights.fold(0, |all, eight| all << 32 | u128::from(eight))
    }

    const fn are_valid(&self) -> bool {
        self.wrong == 0
    }
}

fn to_hex(word: u64) -> [u8; 16] {
    let mut nibbles = u128::from(word);
    nibbles = (nibbles | nibbles << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & every(0x0f);

    let letters = (nibbles + every(6)) >> 4 & every(1);
    (nibbles + every(b'0') + letters * GAP).to_be_bytes()
}

/// `byte` in all sixteen places.
const fn every(byte: u8) -> u128 {
    u128::MAX / 0xff * byte as u128
}

/// What lies between the digit nine and the letter a.
const GAP: u128 = (b'a' - b'9' - 1) as u128;
