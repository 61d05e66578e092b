//! What is found by the smallest of models.

use gatehouse_mask::{Detector, NotLooked, Recognizer};

use crate::{Labels, LoadError, Model, Settings, sample};

/// Tries to load the sample, with changes.
fn load(change: impl FnOnce(&mut Settings<'_>)) -> Result<Model, LoadError> {
    let [(_, model), (_, tokenizer), (_, config)] = sample::files();
    let config = String::from_utf8(config).unwrap();
    let labels = Labels::read(&config, &["per".into()], &["ADDRESS".into()]).unwrap();
    let (model, tokenizer) = (model.as_slice(), tokenizer.as_slice());
    let mut settings = Settings { model, tokenizer, labels, tokens_max: 16, score_min: 0.5, value_bytes_max: 4096 };
    change(&mut settings);
    Model::load(settings)
}

fn found(model: &Model, text: &str) -> Vec<(Detector, String)> {
    let found = model.recognize(text).expect("it is looked at");
    found.iter().map(|found| (found.detector, text[found.start..found.end].to_string())).collect()
}

#[test]
fn names_and_addresses_are_found() {
    let model = load(|_| {}).unwrap();
    let (person, address) = (Detector::PersonName, Detector::PostalAddress);
    for (text, expected) in [
        ("f\u{fc}r Lotte Jansen und S\u{f6}hne", vec![(person, "Lotte Jansen")]),
        ("Jansens, Lotte.", vec![(person, "Jansens"), (person, "Lotte")]),
        ("Lotte lives at Kerkstraat 7, Delft now", vec![(person, "Lotte"), (address, "Kerkstraat 7, Delft")]),
        ("nobody at all", vec![]),
        ("4711", vec![]),
        ("", vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(what, text)| (what, text.to_string())).collect();
        assert_eq!(found(&model, text), expected, "{text}");
        assert_eq!(found(&model, text), expected, "{text}, once more");
    }
    let unsure = load(|settings| settings.score_min = 0.9999).unwrap();
    assert_eq!(found(&unsure, "Lotte"), []);
}

#[test]
fn long_texts_are_looked_at_in_windows_and_longer_ones_not_at_all() {
    let model = load(|_| {}).unwrap();
    for before in 0..40 {
        let text = format!("{}Lotte Jansen{}", "so ".repeat(before), " so".repeat(40));
        assert_eq!(found(&model, &text), [(Detector::PersonName, "Lotte Jansen".to_string())], "{text}");
    }
    assert_eq!(model.recognize(&"so ".repeat(2000)), Err(NotLooked));
}

#[test]
fn what_cannot_be_used_is_said() {
    let other: &[u8] = sample::model("position_ids").leak();
    let fewer = Labels::read(r#"{"id2label":{"0":"O","1":"PER"}}"#, &["PER".into()], &[]).unwrap();
    for (error, expected) in [
        (load(|settings| settings.model = other), "nobody knows what its input `position_ids` wants"),
        (load(|settings| settings.model = b"\xff"), "the model cannot be used"),
        (load(|settings| settings.labels = fewer), "one output for each label"),
        (load(|settings| settings.tokenizer = b"{}"), "the tokenizer cannot be used"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (config, expected) in [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{}", "it has no `id2label`"),
        (r#"{"id2label":{"a":"O"}}"#, "`a` is no number of a label"),
        (r#"{"id2label":{"1":"PER"}}"#, "the numbers of its labels have gaps"),
        (
            r#"{"id2label":{"0":"O","1":"B-LOC"}}"#,
            "none of its labels is a person's name or an address: see `persons` and `addresses`",
        ),
    ] {
        assert_eq!(Labels::read(config, &["PER".into()], &[]).unwrap_err(), expected);
    }
}
