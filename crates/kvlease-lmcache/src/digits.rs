//! The decimal digits of all scripts, which Python's `int()` and `float()` read like ASCII's.

/// The zeros beyond ASCII, as Unicode 14 has them (Python 3.11). Nine digits in order follow each.
const ZEROS: [u32; 65] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x1_04a0, 0x1_0d30, 0x1_1066, 0x1_10f0, 0x1_1136, 0x1_11d0, 0x1_12f0, 0x1_1450, 0x1_14d0,
    0x1_1650, 0x1_16c0, 0x1_1730, 0x1_18e0, 0x1_1950, 0x1_1c50, 0x1_1d50, 0x1_1da0, 0x1_6a60,
    0x1_6ac0, 0x1_6b50, 0x1_d7ce, 0x1_d7d8, 0x1_d7e2, 0x1_d7ec, 0x1_d7f6, 0x1_e140, 0x1_e2f0,
    0x1_e950, 0x1_fbf0,
];

/// The value of a decimal digit beyond ASCII. `None` for any other character.
pub(super) fn decimal(character: char) -> Option<u8> {
    let character = u32::from(character);
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= character)].last()?;
    u8::try_from(character - zero).ok().filter(|digit| *digit <= 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_all_scripts_have_their_values() {
        assert!(ZEROS.is_sorted_by(|one, next| one + 10 <= *next));
        for (character, value) in [('٠', 0), ('٩', 9), ('３', 3), ('𝟎', 0), ('𝟘', 0), ('𝟿', 9)]
        {
            assert_eq!(decimal(character), Some(value), "{character}");
        }
        for character in ['0', '9', 'x', '½', '²', '一', '\u{10ffff}'] {
            assert_eq!(decimal(character), None, "{character}");
        }
        let every = (0..=0x10_ffff).filter_map(char::from_u32).filter_map(decimal).count();
        assert_eq!(every, 10 * ZEROS.len());
    }
}
