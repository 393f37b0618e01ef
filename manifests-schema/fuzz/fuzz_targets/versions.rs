//! A constraint in the first line, a pattern in the second, tags in the others: what they say is total, and does not
//! depend on how the constraint is spaced or on the order of its alternatives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_manifests::updates::{
    Constraint, TagPattern,
    version::{exactness, of_tag},
};

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let (Some(constraint), Some(pattern)) = (lines.next(), lines.next()) else { return };
    let parsed = constraint.parse::<Constraint>();
    let compiled = pattern.parse::<TagPattern>();
    if let Err(error) = &parsed {
        assert!(!error.to_string().is_empty());
    }
    // Every alternative is a constraint of its own.
    let apart: Vec<Constraint> = match &parsed {
        Ok(_) => constraint.split("||").map(|text| text.parse().expect("an alternative")).collect(),
        Err(_) => Vec::new(),
    };
    let spaced = |text: &str| text.parse::<Constraint>().ok().filter(|_| text.len() <= 512);
    for tag in lines.take(32) {
        if let Ok(pattern_of_tags) = &compiled {
            assert_eq!(pattern_of_tags.as_str(), pattern);
            if let Some(key) = pattern_of_tags.key(tag) {
                assert!(pattern_of_tags.is_match(tag) && tag.contains(key));
            }
        }
        let Some(version) = of_tag(tag) else { continue };
        assert!((1..=3).contains(&exactness(tag)));
        let printed = version.to_string();
        assert_eq!(of_tag(&printed).as_ref(), Some(&version), "a version reads as itself");
        let Ok(parsed) = &parsed else { continue };
        let admits = parsed.admits(&version);
        assert_eq!(admits, apart.iter().any(|one| one.admits(&version)), "alternatives");
        for text in [
            constraint.replace("||", " || "),
            constraint.replace(',', ", "),
            format!(" {constraint} "),
            constraint.rsplit("||").collect::<Vec<_>>().join("||"),
        ] {
            if let Some(again) = spaced(&text) {
                assert_eq!(again.admits(&version), admits, "{text}");
            } else {
                assert!(text.len() > 512, "{text} is no constraint");
            }
        }
        if parsed.lacks_prerelease(&version) {
            assert!(!admits && !version.pre.is_empty());
        }
        let mut built = version.clone();
        built.build = "5".parse().expect("a build");
        assert_eq!(parsed.admits(&built), admits, "what is built does not count");
        if let Ok(exact) = printed.parse::<Constraint>() {
            assert!(exact.admits(&version), "{printed} admits itself");
        } else {
            assert!(printed.len() > 512, "{printed} is no constraint");
        }
    }
});
