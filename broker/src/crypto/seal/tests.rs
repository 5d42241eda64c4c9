use super::*;

fn ring(newest: u32) -> SealingRoot {
    let keys = (1..=newest).map(|number| {
        let key = DataKey::from_slice(&[number as u8; 32]).unwrap();
        (DataKeyId(number), key)
    });
    SealingRoot::from_keys(&keys.collect(), DataKeyId(newest), &[]).unwrap()
}

#[test]
fn what_is_sealed_opens_only_at_its_own_place_under_its_own_root() {
    for (root, other) in [
        (
            SealingRoot::from_bytes(&[1; 32]),
            SealingRoot::from_bytes(&[2; 32]),
        ),
        (ring(2), SealingRoot::from_bytes(&[2; 32])),
    ] {
        let sealed = root.seal("test", b"here", b"secret").unwrap();
        assert_eq!(
            root.open("test", b"here", &sealed).unwrap().as_slice(),
            b"secret"
        );
        assert!(root.open("test", b"there", &sealed).is_err());
        assert!(root.open("other", b"here", &sealed).is_err());
        assert!(other.open("test", b"here", &sealed).is_err());
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(
                    root.open("test", b"here", &changed).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
            assert!(root.open("test", b"here", &sealed[..at]).is_err());
        }
    }
}

#[test]
fn what_was_sealed_under_an_older_data_key_opens_and_what_is_new_is_sealed_under_the_newest() {
    let sealed = ring(1).seal("test", b"", b"secret").unwrap();
    assert_eq!(sealed_under(&sealed), Some(DataKeyId(1)));
    assert_eq!(
        ring(3).open("test", b"", &sealed).unwrap().as_slice(),
        b"secret"
    );
    let newer = ring(3).seal("test", b"", b"secret").unwrap();
    assert_eq!(sealed_under(&newer), Some(DataKeyId(3)));
    assert!(ring(2).open("test", b"", &newer).is_err());
    let (old, new) = (ring(1).pepper().unwrap(), ring(3).pepper().unwrap());
    assert_eq!(
        old.hash("lyk_x"),
        new.hash("lyk_x"),
        "API keys outlive data keys"
    );
}

#[test]
fn a_record_cannot_say_that_it_is_another_keys() {
    let keys = ring(3);
    let sealed = keys.seal("test", b"", b"secret").unwrap();
    for number in [0_u32, 1, 2, 4, u32::MAX] {
        let mut moved = sealed.clone();
        moved[1..5].copy_from_slice(&number.to_be_bytes());
        assert!(keys.open("test", b"", &moved).is_err(), "{number}");
    }
    let mut first_form = vec![FIRST_FORM];
    first_form.extend_from_slice(&sealed[5..]);
    assert!(keys.open("test", b"", &first_form).is_err());
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}

/// RFC 5869, appendix A.1 to A.3: input, salt, info, and the first 32 bytes of the output.
const RFC_5869: [(&str, &str, &str, &str); 3] = [
    (
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
    ),
    (
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
        "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
    ),
    (
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
    ),
];

#[test]
fn keys_are_derived_as_rfc_5869_says() {
    for (input, salt, info, output) in RFC_5869 {
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &unhex(salt)).extract(&unhex(input));
        let derived = expand_info(&key, &unhex(info)).unwrap();
        assert_eq!(derived[..], unhex(output)[..]);
    }
}

#[test]
fn records_are_sealed_by_aes_256_gcm_with_nonce_zero() {
    // Test cases 13 and 14 of the specification of GCM: key, nonce and additional data are zero or empty.
    for (plain, sealed) in [
        ("", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
    ] {
        let mut body = unhex(plain);
        sealing_key(&[0; 32])
            .unwrap()
            .seal_in_place_append_tag(nonce(0), aead::Aad::empty(), &mut body)
            .unwrap();
        assert_eq!(body, unhex(sealed));
    }
}

/// Made by another implementation (Python's `hmac` and OpenSSL's AES-GCM) from the description above.
#[test]
fn sealed_records_are_those_of_another_implementation() {
    let plain = b"correct horse battery staple";
    for (root, sealed) in [
        (
            SealingRoot::from_bytes(&[7; 32]),
            include_str!("tests/first_form.hex"),
        ),
        (
            SealingRoot::from_keys(
                &BTreeMap::from([(DataKeyId(5), DataKey::from_slice(&[7; 32]).unwrap())]),
                DataKeyId(5),
                &[],
            )
            .unwrap(),
            include_str!("tests/numbered_form.hex"),
        ),
    ] {
        let made = root
            .seal_salted("test", b"a place", plain, &[9; 32])
            .unwrap();
        assert_eq!(made, unhex(sealed.trim()));
        assert_eq!(
            root.open("test", b"a place", &made).unwrap().as_slice(),
            plain
        );
    }
}
