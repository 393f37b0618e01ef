//! What heals by itself: what a killed process left in the mirror, and a branch with another name.

use super::{EXCHANGE, Rig, brief, contents};
use lockstep::git::{Access, GitError, Location, Remote};
use lockstep_tests::git_http::{Mischief, Options, git};
use std::path::Path;

impl Rig {
    fn branch(&self, name: &str) -> Remote {
        let location = Location::parse(&self.server.url("deploy")).unwrap();
        Remote::open(&location, name, self.state.path(), Access::default()).unwrap()
    }

    /// A new commit on the server.
    fn more(&self, number: usize) -> String {
        self.repository.write("lockstep.yaml", format!("version: 1\nenvironments: {{}}\n# {number}\n"));
        self.repository.commit("more")
    }
}

// H7: every file that is there for a moment while the mirror is written, and stays when the process is killed in it.
#[test]
fn what_a_killed_process_left_behind_stops_nobody() {
    let rig = Rig::new(&Options::default());
    rig.open().tip().unwrap();
    let left = [
        "refs/lockstep/tracked.lock",
        "packed-refs.lock",
        "HEAD.lock",
        "config.lock",
        "shallow.lock",
        "objects/.tmpAbC123",
        "objects/pack/.tmpAbC123",
        "objects/pack/tmp_pack_AbC123",
        "objects/17/.tmpAbC123",
    ];
    for (number, name) in left.into_iter().enumerate() {
        let path = rig.mirror().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        let commit = rig.more(number);
        let mut remote = rig.open();
        let tip = remote.tip().unwrap_or_else(|error| panic!("{}: {error}", name));
        assert_eq!(tip.commit, commit, "{}", name);
        assert!(!path.exists(), "{}", name);
        assert_eq!(contents(&remote, &tip), rig.expected(&commit));
    }
    assert!(!rig.mirror().with_extension("damaged").exists(), "nothing had to be fetched anew");
    // All at once, with a half-made new mirror beside it.
    for name in left {
        std::fs::write(rig.mirror().join(name), "").unwrap();
    }
    let new = rig.mirror().with_extension("new");
    std::fs::create_dir(&new).unwrap();
    let commit = rig.more(100);
    assert_eq!(rig.open().tip().unwrap().commit, commit);
    assert!(!new.exists());
}

// H7: a pack whose index, or whose other files, never came.
#[test]
fn parts_of_a_pack_stop_nobody() {
    let rig = Rig::new(&Options::default());
    rig.history(150);
    for keep in [&["pack"][..], &["pack", "keep"], &["keep"], &["idx"]] {
        let commit = git(rig.repository.bare(), &["rev-parse", "main"]);
        assert_eq!(rig.open().tip().unwrap().commit, commit);
        let files: Vec<_> =
            std::fs::read_dir(rig.mirror().join("objects/pack")).unwrap().map(|file| file.unwrap().path()).collect();
        let pack = files.iter().find(|path| path.extension().is_some_and(|kind| kind == "pack")).unwrap();
        std::fs::write(pack.with_extension("keep"), "").unwrap();
        for path in ["pack", "idx", "keep", "rev"].map(|kind| pack.with_extension(kind)) {
            let stays = keep.iter().any(|kind| path.extension().is_some_and(|extension| extension == *kind));
            if !stays && path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
        // The reference was not written yet, or it was: both heal.
        for with_reference in [true, false] {
            if !with_reference {
                let _ = std::fs::remove_file(rig.mirror().join("refs/lockstep/tracked"));
            }
            let mut remote = rig.open();
            let tip = remote.tip().unwrap_or_else(|error| panic!("{keep:?}: {error}"));
            assert_eq!(tip.commit, commit, "{keep:?}");
            assert_eq!(contents(&remote, &tip), rig.expected(&commit), "{keep:?}");
            git(&rig.mirror(), &["fsck", "--strict", "--no-dangling"]);
        }
    }
}

// H7, D2: a lock that appears while the mirror is open is healed too, and is no fault of the server's.
#[test]
fn a_mirror_that_cannot_be_written_is_made_anew() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    remote.tip().unwrap();
    std::fs::write(rig.mirror().join("refs/lockstep/tracked.lock"), "").unwrap();
    let commit = rig.more(1);
    let tip = remote.tip().unwrap();
    assert_eq!(tip.commit, commit);
    assert_eq!(contents(&remote, &tip), rig.expected(&commit));
    assert!(!rig.mirror().join("refs/lockstep/tracked.lock").exists());
    rig.server.forget();
    assert_eq!(remote.tip().unwrap(), tip);
    assert_eq!(brief(&rig.server.requests()), EXCHANGE);
}

// D2
#[test]
fn a_branch_may_be_renamed_below_itself_and_back() {
    let rig = Rig::new(&Options::default());
    let bare = rig.repository.bare();
    for name in ["release", "release/2026.11", "release", "release/2026.11/hot", "main"] {
        for other in ["release", "release/2026.11", "release/2026.11/hot"] {
            let _ = std::process::Command::new("git").arg("-C").arg(bare).args(["branch", "-qD", other]).output();
        }
        if name != "main" {
            git(bare, &["branch", name, "main"]);
        }
        let mut remote = rig.branch(name);
        let tip = remote.tip().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tip.commit, git(bare, &["rev-parse", name]), "{name}");
        let commit = rig.more(name.len());
        if name != "main" {
            git(bare, &["branch", "-f", name, &commit]);
        }
        assert_eq!(remote.tip().unwrap().commit, commit, "{name}");
    }
    assert!(!rig.mirror().with_extension("damaged").exists(), "nothing had to be fetched anew");
}

// H9: a server that sends rubbish costs one new mirror at most, and never the old one.
#[test]
fn rubbish_does_not_replace_what_is_known() {
    let rig = Rig::new(&Options::default());
    let mut remote = rig.open();
    let tip = remote.tip().unwrap();
    let known = contents(&remote, &tip);
    rig.more(1);
    let pack = lockstep_tests::git_http::line(b"packfile\n");
    let data = lockstep_tests::git_http::line(b"\x01PACK\0\0\0\x02\0\0\0\x01rubbish that is no object at all");
    let body = [pack, data, b"0000".to_vec()].concat();
    let requests = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = requests.clone();
    rig.server.misbehave(move |method, _| {
        let is_objects = method == "POST" && counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 == 1;
        is_objects.then(|| Mischief::Answer(200, "application/x-git-upload-pack-result".into(), body.clone()))
    });
    for looks in [2, 1, 1] {
        let before = requests.load(std::sync::atomic::Ordering::SeqCst);
        let error = remote.tip().unwrap_err();
        assert!(matches!(&error, GitError::Unreadable { .. }), "{error:?}");
        assert!(!error.to_string().contains("cannot be reached"), "{error}");
        assert_eq!(requests.load(std::sync::atomic::Ordering::SeqCst) - before, 2 * looks);
        assert_eq!(contents(&remote, &tip), known);
    }
    rig.server.behave();
    assert_eq!(remote.tip().unwrap().commit, git(rig.repository.bare(), &["rev-parse", "main"]));
    let is_new = |path: &Path| path.with_extension("new").exists() || path.with_extension("damaged").exists();
    assert!(!is_new(&rig.mirror()));
}
