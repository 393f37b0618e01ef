//! Packs: what a push sends, what a fetch brought, and objects of a mirror that are gathered again.

use super::chain;
use gix::{ObjectId, objs::Kind};
use gix_pack::{Bundle, bundle, data::output};
use std::{
    io::{BufReader, Seek, Write},
    path::Path,
    sync::atomic::AtomicBool,
};

/// The objects of a commit.
pub(super) type Objects = [(ObjectId, Kind, Vec<u8>)];

/// Files in one of the 256 directories of loose objects from which on they are gathered: Git's own measure.
const CROWD: usize = 27;

/// A pack of whole objects.
pub(super) fn pack(objects: &Objects) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    write(&mut bytes, objects.len(), objects.iter().map(|(id, kind, data)| entry(*id, *kind, data)))?;
    Ok(bytes)
}

fn entry(id: ObjectId, kind: Kind, data: &[u8]) -> Result<output::Entry, String> {
    let count = output::Count { id, entry_pack_location: output::count::PackLocation::NotLookedUp };
    let data = gix::objs::Data::new(data, kind, gix::hash::Kind::Sha1);
    output::Entry::from_data(&count, &data, gix::zlib::Compression::DEFAULT).map_err(|error| chain(&error))
}

/// Writes a pack of so many entries, one after the other.
fn write(
    out: impl Write,
    count: usize,
    entries: impl Iterator<Item = Result<output::Entry, String>>,
) -> Result<(), String> {
    let mut problem = None;
    let entries = entries.map_while(|entry| entry.map_err(|reason| problem = Some(reason)).ok());
    let count = u32::try_from(count).map_err(|error| error.to_string())?;
    let mut written = output::bytes::FromEntriesIter::new(
        entries.map(|entry| Ok(vec![entry])),
        out,
        count,
        gix_pack::data::Version::default(),
        gix::hash::Kind::Sha1,
    );
    for part in written.by_ref() {
        part.map_err(|error| chain(&error))?;
    }
    drop(written);
    problem.map_or(Ok(()), Err)
}

/// Largest object that is unpacked: it is held in memory as a whole.
const LARGEST_LOOSE: u64 = 16 * 1024 * 1024;

/// Writes the objects of a pack one by one, and removes it. A pack with a large object stays.
pub(super) fn unpack(repository: &gix::Repository, received: &bundle::write::Outcome) -> Result<(), String> {
    use gix::objs::Write;
    let (Some(index), Some(data)) = (&received.index_path, &received.data_path) else { return Ok(()) };
    let objects = gix_pack::index::File::at(index, gix::hash::Kind::Sha1).map_err(|error| chain(&error))?;
    for entry in objects.iter() {
        if repository.find_header(entry.oid).map_err(|error| chain(&error))?.size() > LARGEST_LOOSE {
            return Ok(());
        }
    }
    for entry in objects.iter() {
        let object = repository.find_object(entry.oid).map_err(|error| chain(&error))?;
        repository.objects.write_buf(object.kind, &object.data).map_err(|error| chain(&error))?;
    }
    // Without its index a pack is none.
    for path in [Some(index), Some(data), received.keep_path.as_ref()].into_iter().flatten() {
        std::fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Whether a repository has so many loose objects that they are worth a pack. They are spread evenly, so one directory
/// tells.
pub(super) fn is_crowded(repository: &Path) -> bool {
    std::fs::read_dir(repository.join("objects/17")).is_ok_and(|files| files.count() > CROWD)
}

/// Gathers all loose objects of a repository into one pack.
pub(super) fn gather(repository: &gix::Repository, directory: &Path) -> Result<(), String> {
    let objects = directory.join("objects");
    let store = gix::odb::loose::Store::at(&objects, gix::hash::Kind::Sha1);
    let ids: Vec<ObjectId> = store.iter().collect::<Result<_, _>>().map_err(|error| chain(&error))?;
    let mut file = tempfile::tempfile_in(&objects).map_err(|error| error.to_string())?;
    let entries = ids.iter().map(|id| {
        let object = repository.find_object(*id).map_err(|error| chain(&error))?;
        entry(*id, object.kind, &object.data)
    });
    write(std::io::BufWriter::new(&mut file), ids.len(), entries)?;
    file.rewind().map_err(|error| error.to_string())?;
    let gathered = Bundle::write_to_directory(
        &mut BufReader::new(file),
        Some(&objects.join("pack")),
        &mut gix::progress::Discard,
        &AtomicBool::new(false),
        None::<gix::objs::find::Never>,
        gix::hash::Kind::Sha1,
        bundle::write::Options::default(),
    )
    .map_err(|error| chain(&error))?;
    // They are in the pack now. The file that keeps a pack while a reference to it is missing has done its work.
    let loose = ids.iter().map(ObjectId::to_string).map(|hex| objects.join(&hex[..2]).join(&hex[2..]));
    for path in loose.chain(gathered.keep_path) {
        std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_objects_are_gathered_into_one_pack() {
        let directory = tempfile::tempdir().unwrap();
        let repository = gix::init_bare(directory.path()).unwrap();
        assert!(!is_crowded(directory.path()));
        let ids: Vec<ObjectId> =
            (0..300).map(|number| repository.write_blob(format!("text {number}")).unwrap().detach()).collect();
        gather(&repository, directory.path()).unwrap();
        let again = gix::open(directory.path()).unwrap();
        for (number, id) in ids.iter().enumerate() {
            // The one that was open all the time finds them too.
            for repository in [&repository, &again] {
                assert_eq!(repository.find_object(*id).unwrap().data, format!("text {number}").as_bytes());
            }
        }
        let store = gix::odb::loose::Store::at(directory.path().join("objects"), gix::hash::Kind::Sha1);
        assert_eq!(store.iter().count(), 0);
        let mut names: Vec<String> = std::fs::read_dir(directory.path().join("objects/pack"))
            .unwrap()
            .map(|file| file.unwrap().path().extension().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["idx", "pack"]);
    }

    #[test]
    fn a_damaged_object_leaves_all_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let repository = gix::init_bare(directory.path()).unwrap();
        let ids: Vec<String> =
            (0..30).map(|number| repository.write_blob(format!("text {number}")).unwrap().to_string()).collect();
        let path = |id: &str| directory.path().join("objects").join(&id[..2]).join(&id[2..]);
        std::fs::remove_file(path(&ids[7])).unwrap();
        std::fs::write(path(&ids[7]), "damaged").unwrap();
        assert!(gather(&repository, directory.path()).is_err());
        assert!(ids.iter().all(|id| path(id).exists()));
        assert_eq!(std::fs::read_dir(directory.path().join("objects/pack")).unwrap().count(), 0);
    }

    #[test]
    fn a_crowd_is_told_by_one_directory() {
        let directory = tempfile::tempdir().unwrap();
        let seventeen = directory.path().join("objects/17");
        std::fs::create_dir_all(&seventeen).unwrap();
        for number in 0..=CROWD {
            assert!(!is_crowded(directory.path()));
            std::fs::write(seventeen.join(number.to_string()), "").unwrap();
        }
        assert!(is_crowded(directory.path()));
    }
}
