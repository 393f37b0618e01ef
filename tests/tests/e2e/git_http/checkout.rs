//! Checkouts and clones as people have them: with line ends of another system, with Git LFS, without some objects.

use super::Rig;
use lockstep::git::{Access, Checkout, Location, Remote};
use lockstep_manifests::tree::Tree;
use lockstep_tests::git_http::{Options, git};

// E3
#[test]
fn converted_line_ends_are_no_difference() {
    let rig = Rig::new(&Options::default());
    let checkout = rig.repository.checkout();
    let (manifest, content) = ("services/web/service.yaml", "service:\n  desiredCount: 2\n");
    rig.repository.write(".gitattributes", "* text=auto\n");
    rig.repository.write(manifest, content);
    let commit = rig.repository.commit("service");
    let changed = || Checkout::read(checkout).unwrap().compare_to_head().unwrap().unwrap();
    assert_eq!(changed(), (commit.clone(), vec![]));
    rig.repository.write(manifest, content.replace('\n', "\r\n"));
    git(checkout, &["-c", "core.autocrlf=true", "add", "--renormalize", "."]);
    assert_eq!(git(checkout, &["-c", "core.autocrlf=true", "status", "--porcelain"]), "", "Git calls it clean");
    assert_eq!(changed(), (commit.clone(), vec![]));
    // The other way round, and mixed.
    rig.repository.write(manifest, "service:\r\n  desiredCount: 2\n");
    assert_eq!(changed(), (commit.clone(), vec![]));
    for other in
        ["service:\r\n  desiredCount: 3\r\n", "service:\n  desiredCount: 2", "service:\r  desiredCount: 2\n", ""]
    {
        rig.repository.write(manifest, other);
        assert_eq!(changed(), (commit.clone(), vec![manifest.to_owned()]), "{other:?}");
    }
    std::fs::remove_file(checkout.join(manifest)).unwrap();
    assert_eq!(changed(), (commit, vec![manifest.to_owned()]));
}

// E3
#[test]
fn a_pointer_of_git_lfs_is_named_as_one() {
    let rig = Rig::new(&Options::default());
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n", "0".repeat(64));
    rig.repository.write("services/web/taskdef.json", &pointer);
    rig.repository.commit("pointer");
    let mut remote = rig.open();
    let tip = remote.tip().unwrap();
    let (committed, files) = (remote.tree(&tip).unwrap(), Checkout::read(rig.repository.checkout()).unwrap());
    for tree in [&committed as &dyn Tree, &files] {
        let file = tree.files().iter().find(|file| file.path == "services/web/taskdef.json").unwrap();
        assert!(tree.read(file).unwrap_err().starts_with("it is a pointer of Git LFS, not the file itself. "));
    }
}

// E8
#[test]
fn a_partial_clone_is_said_as_such() {
    let rig = Rig::new(&Options::default());
    git(rig.repository.bare(), &["config", "uploadpack.allowFilter", "true"]);
    let url = rig.server.url("deploy");
    git(rig.root.path(), &["clone", "--quiet", "--bare", "--filter=blob:none", &url, "partial.git"]);
    let partial = rig.root.path().join("partial.git");
    let location = Location::parse(&partial.display().to_string()).unwrap();
    let mut remote = Remote::open(&location, "main", rig.state.path(), Access::default()).unwrap();
    let tip = remote.tip().unwrap();
    let tree = remote.tree(&tip).unwrap();
    let error = tree.read(tree.find("lockstep.yaml").unwrap()).unwrap_err();
    assert!(
        error.starts_with(
            "the clone is partial (made with --filter) and lacks an object that is needed; Git fetches such objects when \
             they are read, Lockstep does not. Clone without --filter ("
        ),
        "{error}"
    );
}
