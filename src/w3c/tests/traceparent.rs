use opentelemetry::trace::TraceFlags;

use super::super::traceparent::TraceParent;
use super::{SAMPLED, UNSAMPLED};

/// Whether the byte may be there, in a value of 55 bytes.
fn may_be(place: usize, byte: u8) -> bool {
    match place {
        2 | 35 | 52 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    }
}

fn with(bytes: &[(usize, u8)]) -> [u8; 55] {
    let mut value: [u8; 55] = SAMPLED.as_bytes().try_into().unwrap();
    for (place, byte) in bytes {
        value[*place] = *byte;
    }
    value
}

#[test]
fn only_lowercase_hex_digits_are_digits_and_only_dashes_are_between() {
    for place in 0..55 {
        for byte in 0..=u8::MAX {
            // Version ff is made of digits too; no single change of 00 leads there.
            assert_eq!(
                TraceParent::parse(&with(&[(place, byte)])).is_some(),
                may_be(place, byte),
                "{byte:#x} at {place}"
            );
        }
    }
}

#[test]
fn what_is_no_digit_does_not_make_one_of_its_neighbour() {
    // What is at the borders of the digits, by itself and where one is taken from it.
    let borders = *b"\0/09:@VW`afg\x7f\x80\xff";
    for place in 0..54 {
        for byte in borders {
            for next in borders {
                let is_ff = place == 0 && byte == b'f' && next == b'f';
                assert_eq!(
                    TraceParent::parse(&with(&[(place, byte), (place + 1, next)])).is_some(),
                    may_be(place, byte) && may_be(place + 1, next) && !is_ff,
                    "{byte:#x} and {next:#x} at {place}"
                );
            }
        }
    }
}

#[test]
fn each_digit_has_its_value_in_each_place() {
    for place in 0..16 {
        for digit in 1..16u64 {
            let id = digit << (4 * place);
            let value = format!("00-{:032x}-{id:016x}-00", u128::from(id) << 64 | 1);

            let parsed = TraceParent::parse(value.as_bytes()).unwrap();

            assert_eq!(parsed.parent_id.to_bytes(), id.to_be_bytes());
            assert_eq!(&parsed.write(), value.as_bytes());
        }
    }
}

#[test]
fn what_opentelemetrys_own_propagator_lets_through_is_refused() {
    for value in [
        "",
        "00",
        "00-12345678901234567890123456789012-1234567890123456-01-",
        "0-12345678901234567890123456789012-1234567890123456-01",
        "+0-12345678901234567890123456789012-1234567890123456-01",
        "CC-12345678901234567890123456789012-1234567890123456-01",
        "00-+2345678901234567890123456789012-1234567890123456-01",
        "00-1234567890123456789012345678901-1234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345-01",
        "00-12345678901234567890123456789012-1234567890123456-1",
        "00_12345678901234567890123456789012_1234567890123456_01",
        "00-12345678901234567890123456789012-1234567890123456-01\n",
        "\u{a0}00-12345678901234567890123456789012-1234567890123456-01",
    ] {
        assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value:?}");
    }
}

#[test]
fn a_future_version_goes_out_as_version_zero() {
    for tail in ["", "-", "-what", "-\u{ff}"] {
        for version in ["01", "cc", "fe"] {
            let value = format!("{version}{}{tail}", &SAMPLED[2..]);

            let parsed = TraceParent::parse(value.as_bytes()).unwrap();

            assert_eq!(&parsed.write(), SAMPLED.as_bytes(), "{value}");
        }
    }
}

#[test]
fn what_is_no_text_is_of_no_version() {
    let value = [b"cc", &SAMPLED.as_bytes()[2..], b"-wh\xcdat"].concat();

    assert_eq!(TraceParent::parse(&value), None);
}

#[test]
fn unknown_flags_are_left_out() {
    for flags in 0..=u8::MAX {
        let value = format!("{}{flags:02x}", &UNSAMPLED[..53]);

        let parsed = TraceParent::parse(value.as_bytes()).unwrap();

        assert_eq!(parsed.flags, TraceFlags::new(flags & 3));
        assert_eq!(
            parsed.write()[53..],
            *format!("{:02x}", flags & 3).as_bytes()
        );
    }
}
