//! Texts that people write into the log.

/// Whether a text is one line wherever it is shown, and reads as it is written: no control
/// characters, no separators that some viewers break lines at, none of the invisible characters that
/// turn the order of others around or hide between them.
pub fn is_plain_line(text: &str) -> bool {
    let hides = |character: char| {
        character.is_control()
            || matches!(character,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    !text.chars().any(hides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_reads_as_it_is_written() {
        for good in [
            "left the company",
            "café, 東京 – naïve",
            "${jndi:ldap://x} \"<b>\"",
        ] {
            assert!(is_plain_line(good), "{good}");
        }
        for bad in [
            "two\nlines",
            "\u{1b}[31mred",
            "two\u{2028}lines",
            "two\u{85}lines",
            "turned \u{202e}dnuora",
            "hid\u{200b}den",
            "\u{feff}mark",
        ] {
            assert!(!is_plain_line(bad), "{bad:?}");
        }
    }
}
