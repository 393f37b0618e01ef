//! `lockstep images` by the program, as a person runs it.

use lockstep_sandbox::NewImage;
use lockstep_tests::{
    git_http::git,
    images::{ImageWorld, one_service},
    lockstep, outcome,
    world::ACCOUNT,
};
use std::{path::Path, process::Command};

const PINS: &str = "services/web/prod.pins.yaml";

fn images(it: &ImageWorld, arguments: &[&str]) -> (i32, String, String) {
    let mut command: Command = lockstep(["images"]);
    command
        .args(arguments)
        .env("AWS_ENDPOINT_URL", it.world.endpoint())
        .env("AWS_ACCESS_KEY_ID", ACCOUNT)
        .env("AWS_SECRET_ACCESS_KEY", "sandbox")
        .env("AWS_REGION", "eu-central-1");
    outcome(&mut command)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Digests and times differ from run to run.
fn plain(text: &str) -> String {
    let mut filtered = text.to_owned();
    for (pattern, with) in [
        ("sha256:[0-9a-f]{64}", "sha256:DIGEST"),
        ("sha256:[0-9a-f]{12}", "sha256:SHORT"),
        ("20[0-9T:-]{17}Z", "TIME"),
        ("in [0-9a-f]{10} ", "in COMMIT "),
        ("commit [0-9a-f]{10}", "commit COMMIT"),
    ] {
        filtered = regex::Regex::new(pattern).unwrap().replace_all(&filtered, with).into_owned();
    }
    filtered
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_written_is_shown_and_nothing_is_written() {
    let it = ImageWorld::new(&one_service("{ semver: \"1.x\", ignore: bad }", "1.0.0")).await;
    for tag in ["1.0.0", "1.1.0", "1.2.0-bad", "2.0.0", "nightly"] {
        it.push(tag);
    }
    let checkout = path(it.repository.checkout());
    let (code, list, said) = images(&it, &["list", "-C", &checkout]);
    assert_eq!((code, list.as_str(), said.as_str()), (0, "prod/web/app  1.0.0  semver: 1.x\n", ""));
    let (code, check, _) = images(&it, &["check", "-C", &checkout, "--exit-code"]);
    assert_eq!(code, 4);
    insta::assert_snapshot!("check", plain(&check));
    let (code, explain, _) = images(&it, &["explain", "-C", &checkout, "web"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("explain", plain(&explain));
    let (code, json, _) = images(&it, &["explain", "-C", &checkout, "prod/web/app", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["format"], json["tags"].as_array().unwrap().len()), (0, &"lockstep.images/1".into(), 5));
    assert_eq!((&json["tags"][0]["tag"], &json["tags"][0]["picked"]), (&"1.1.0".into(), &true.into()));
    assert_eq!(git(it.repository.checkout(), &["status", "--short"]), "");
    assert_eq!(it.commits(), 1);
    let (code, _, said) = images(&it, &["explain", "-C", &checkout, "wbe"]);
    assert_eq!((code, said.as_str()), (2, "error: no image policy is for `wbe`\nhint: there are prod/web/app\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pin_is_written_into_the_checkout() {
    let it = ImageWorld::new(&one_service("{ semver: \"*\" }", "")).await;
    let old = it.push("1.0.0");
    let new = it.push("1.1.0");
    let checkout = path(it.repository.checkout());
    let read = || std::fs::read_to_string(it.repository.checkout().join(PINS)).unwrap();
    let (code, told, _) = images(&it, &["pin", "-C", &checkout, "prod/web"]);
    assert_eq!((code, told), (0, format!("{PINS}\n  app: 1.1.0@{new}\n")));
    assert_eq!(read(), format!("app: 1.1.0@{new}\n"));
    let (code, ..) = images(&it, &["pin", "-C", &checkout, "prod/web/app", "1.0.0"]);
    assert_eq!((code, read()), (0, format!("app: 1.0.0@{old}\n")));
    let (code, told, said) = images(&it, &["pin", "-C", &checkout, "prod/web/app", "1.0.0"]);
    assert_eq!((code, told.as_str(), said), (0, "", format!("{PINS} already says that\n")));
    let (code, _, said) = images(&it, &["pin", "-C", &checkout, "prod/web/app", "9.9.9"]);
    assert_eq!(
        (code, said.as_str()),
        (1, "error: 111111111111.dkr.ecr.eu-central-1.amazonaws.com/app has no tag 9.9.9\n")
    );
    // What the task definition cannot run is not pinned.
    it.push_as("1.2.0", &NewImage { architectures: vec!["arm64".into()], ..NewImage::default() });
    let (code, _, said) = images(&it, &["pin", "-C", &checkout, "prod/web/app", "1.2.0"]);
    let refused = "error: 1.2.0 has no linux/amd64, which prod runs, but linux/arm64\n";
    assert_eq!((code, said.as_str()), (1, refused));
    let (code, _, said) = images(&it, &["pin", "-C", &checkout, "prod/web/app", &format!("1.0.0@{old}")]);
    assert_eq!((code, said.as_str()), (2, "error: name the tag alone: its digest is read and added\n"));
    assert_eq!(read(), format!("app: 1.0.0@{old}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_and_services_with_errors_are_said_as_such() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.push("1.1.0");
    assert!(it.look().await);
    let shallow = it.root().join("shallow");
    let url = format!("file://{}", path(it.repository.bare()));
    git(it.root(), &["clone", "--quiet", "--depth", "1", &url, &path(&shallow)]);
    let (code, out, said) = images(&it, &["check", "-C", &path(&shallow)]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        said.ends_with(
            "the clone is shallow, and who holds a pin stands in the history: `git fetch --unshallow` brings it\n"
        ),
        "{said}"
    );
    git(&shallow, &["fetch", "--quiet", "--unshallow"]);
    let (code, out, _) = images(&it, &["check", "-C", &path(&shallow)]);
    assert_eq!(code, 0);
    assert!(out.starts_with("prod/web/app  1.1.0@") && out.ends_with("  up to date\n"), "{out}");
    std::fs::write(shallow.join(PINS), "app: [\n").unwrap();
    let (code, out, said) = images(&it, &["list", "-C", &path(&shallow)]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(!said.contains("no image policy"), "{said}");
    let (code, _, said) = images(&it, &["explain", "-C", &path(&shallow), "web"]);
    assert_eq!(code, 2);
    let left_out =
        "error: no image policy is for `web`\nhint: services with errors are left out: see what is said of them\n";
    assert!(said.ends_with(left_out), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_lifts_a_hold_by_a_commit() {
    let mut it = ImageWorld::new(&one_service("{ semver: \"*\" }", "1.0.0")).await;
    it.push("1.0.0");
    it.push("1.1.0");
    assert!(it.look().await);
    it.person("back to 1.0.0", &[(PINS, "app: 1.0.0 # by hand\n")]);
    it.push("1.2.0");
    assert!(!it.look().await);
    let bare = path(it.repository.bare());
    let (code, told, _) = images(&it, &["check", "-C", &bare]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("held", plain(&told));
    let (code, _, said) = images(&it, &["release", "-C", &bare, "web"]);
    assert_eq!(code, 2);
    assert!(
        said.ends_with("error: there is no terminal to ask on\nhint: give --yes to write without asking\n"),
        "{said}"
    );
    let (code, told, _) = images(&it, &["release", "-C", &bare, "web", "--yes"]);
    assert_eq!(code, 0, "{told}");
    insta::assert_snapshot!("release", plain(&told));
    assert!(it.pins().starts_with("app: 1.2.0@sha256:") && it.pins().ends_with(" # by hand\n"), "{}", it.pins());
    assert_eq!(it.last_change(), format!("1\t1\t{PINS}"));
    let new = it.push("1.3.0");
    assert!(it.look().await, "it follows its policy again");
    assert!(it.pins().contains(&new));
    let (code, _, said) = images(&it, &["release", "-C", &bare, "web", "--yes"]);
    assert_eq!((code, said.as_str()), (0, "prod/web/app is not held\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_anything_waiting_is_a_commit_all_the_same() {
    let mut it = ImageWorld::new(&one_service("{ semver: \">=2\" }", "1.0.0")).await;
    it.push("hotfix");
    it.person("hotfix", &[(PINS, "app: hotfix\n")]);
    assert!(!it.look().await);
    let (code, told, _) = images(&it, &["release", "-C", &path(it.repository.bare()), "web", "--yes"]);
    assert_eq!(code, 0);
    assert!(told.starts_with("release prod/web/app (nothing is waiting)\n"), "{told}");
    assert_eq!((it.pins().as_str(), it.last_change().as_str()), ("app: hotfix\n", ""));
    it.world.control.advance(std::time::Duration::from_secs(10));
    let new = it.push("2.0.0");
    assert!(it.look().await);
    assert_eq!(it.pins(), format!("app: 2.0.0@{new}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_must_be_the_same_image_wherever_it_is_read() {
    let config =
        format!("{}  prod-us: {{ inherits: prod, region: us-east-1 }}\n", lockstep_tests::world::ONE_ENVIRONMENT);
    let image = "${{ account }}.dkr.ecr.${{ region }}.amazonaws.com/app";
    let files = vec![
        ("lockstep.yaml".to_owned(), config),
        ("services/web/service.yaml".to_owned(), lockstep_tests::world::service(image)),
        (PINS.to_owned(), "app: 1.0.0\n".to_owned()),
    ];
    let it = ImageWorld::new(&files).await;
    let digest = it.push("1.1.0");
    let checkout = path(it.repository.checkout());
    let read = || std::fs::read_to_string(it.repository.checkout().join(PINS)).unwrap();
    let pin = |name: &str| images(&it, &["pin", "-C", &checkout, name, "1.1.0"]);
    it.world.control.create_repository(ACCOUNT, "us-east-1", "app");
    let (code, _, said) = pin("prod/web");
    assert_eq!(
        (code, said.as_str()),
        (1, "error: 111111111111.dkr.ecr.us-east-1.amazonaws.com/app has no tag 1.1.0\n")
    );
    it.world.control.push_image(ACCOUNT, "us-east-1", "app", "1.1.0", lockstep_sandbox::Behaviour::Ok);
    let (code, _, said) = pin("prod/web");
    assert_eq!(code, 1);
    assert!(said.starts_with("error: 1.1.0 is another image for prod-us, which reads this pin too\n"), "{said}");
    assert_eq!(read(), "app: 1.0.0\n");
    assert!(it.world.control.replicate_image(ACCOUNT, "eu-central-1", "app", "1.1.0", "us-east-1"));
    let (code, _, said) = pin("prod-us/web");
    assert_eq!((code, said.as_str()), (0, "this pin is read by prod too\n"));
    assert_eq!(read(), format!("app: 1.1.0@{digest}\n"));
}
