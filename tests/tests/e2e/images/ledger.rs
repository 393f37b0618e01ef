//! What went wrong in other image updaters, each a case of its own: see the names.

use lockstep_tests::images::{ImageWorld, one_service};

const PINS: &str = "services/web/prod.pins.yaml";

/// Reformatted files, moved comments, lost anchors, added blank lines, changed line ends.
#[tokio::test(flavor = "multi_thread")]
async fn every_other_byte_of_the_file_stays() {
    for text in [
        "# é head\r\n\r\napp:   '1.0.0'   # the app\r\n\r\n# tail without an end",
        "\u{feff}---\n  # odd indentation\n  app: \"1.0.0\"\n\n\n",
        "{ \"app\": \"1.0.0\" } # JSON in YAML\n",
        "app: &pin 1.0.0\n",
        "app:\n  # between key and value\n  1.0.0\n...\n",
    ] {
        let mut files = one_service("{ semver: \"*\" }", "");
        files.push((PINS.into(), text.into()));
        let mut it = ImageWorld::quick(&files).await;
        for tag in ["1.1.0", "1.2.0"] {
            let digest = it.push(tag);
            assert!(it.look().await, "{text:?}: {}", it.image().text);
            let bytes = it.world.runner.remote().unwrap();
            let bytes = bytes.lock().unwrap().file_of(&it.git(&["rev-parse", "main"]), PINS).unwrap().unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), text.replace("1.0.0", &format!("{tag}@{digest}")));
            assert_eq!(it.last_change(), format!("1\t1\t{PINS}"));
        }
    }
}

/// Two images in one file, where each commit dropped the other's.
#[tokio::test(flavor = "multi_thread")]
async fn two_images_of_one_service_come_to_rest() {
    let mut files = one_service("{ semver: \"*\" }", "");
    files[1].1 = files[1].1.replace("updates:\n", "updates:\n  side: { semver: \"*\" }\n").replace(
        "containerDefinitions:\n",
        "containerDefinitions:\n    side: { image: \"111111111111.dkr.ecr.eu-central-1.amazonaws.com/app\" }\n",
    );
    files.push((PINS.into(), "app: 1.0.0\nside: 1.0.0\n".into()));
    let mut it = ImageWorld::quick(&files).await;
    let digest = it.push("1.1.0");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("app: 1.1.0@{digest}\nside: 1.1.0@{digest}\n"));
    assert_eq!(it.last_change(), format!("2\t2\t{PINS}"));
    for _ in 0..3 {
        assert!(!it.look().await);
        it.restart();
    }
    assert_eq!(it.commits(), 2);
}

/// Digest and tag that took turns; a digest that a person left out, or wrote alone.
#[tokio::test(flavor = "multi_thread")]
async fn any_form_of_a_pin_comes_to_rest_after_one_commit() {
    for pin in
        ["1.1.0", "1.0.0", "1.0.0@DIGEST", "@DIGEST", "111111111111.dkr.ecr.eu-central-1.amazonaws.com/app:1.0.0"]
    {
        let mut it = ImageWorld::quick(&one_service("{ semver: \"*\" }", "")).await;
        let old = it.push("1.0.0");
        let new = it.push("1.1.0");
        it.person("pin", &[(PINS, &format!("app: {}\n", quoted(&pin.replace("DIGEST", &old))))]);
        assert!(it.look().await, "{pin}");
        let whole = format!("1.1.0@{new}");
        let expected = if pin.contains('/') { pin.replace("1.0.0", &whole) } else { whole };
        assert_eq!(it.pins().trim_end().replace('\'', ""), format!("app: {expected}"));
        assert!(!it.look().await, "{pin}");
    }
}

/// `@` begins no plain text in YAML.
fn quoted(pin: &str) -> String {
    if pin.starts_with('@') { format!("'{pin}'") } else { pin.to_owned() }
}

/// The same tag on a number or a boolean: `1.10`, `on`.
#[tokio::test(flavor = "multi_thread")]
async fn tags_that_look_like_numbers_keep_their_text() {
    let mut it = ImageWorld::quick(&one_service("{ alphabetical: \"^[0-9.]+$\" }", "1.10")).await;
    let digest = it.push("1.20");
    it.push("1.1");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("# by hand\napp: 1.20@{digest} # the app\n"));
}

/// A write-back that builds an image that makes a write-back: our own commits are known by their trailers.
#[tokio::test(flavor = "multi_thread")]
async fn commits_can_be_told_from_those_of_people() {
    let mut it = ImageWorld::quick(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    let digest = it.push("1.1.0");
    assert!(it.look().await);
    let trailers = it.git(&["log", "-1", "--format=%(trailers)", "main"]);
    assert_eq!(
        trailers,
        format!(
            "Lockstep-Environment: prod\nLockstep-Image: prod/web/app 1.0.0 → 1.1.0@{digest}\nLockstep-Source: acme\n"
        )
        .trim_end()
    );
}
