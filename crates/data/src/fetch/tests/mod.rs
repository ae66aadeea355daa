//! Downloads from a server that cuts, corrupts, stalls and lies.

mod server;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use server::{ETAG, Reply, Server};

const NAME: &str = "images.tar.gz";
const LENGTH: usize = 300_000;

#[test]
fn a_missing_file_is_downloaded_once_and_found_by_the_next_call() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    assert_eq!(scene.fetch(&mut ()).unwrap().downloaded, [scene.path(NAME)]);
    assert_eq!(scene.fetch(&mut ()).unwrap().present, [scene.path(NAME)]);
    assert_eq!(server.ranges(), [""]);
    scene.assert_complete();
}

#[test]
fn md5_is_enough_for_publishers_that_state_nothing_better() {
    let server = Server::new(b"kiln", &[Reply::Whole]);
    let mut scene = Scene::new(&[&server]);
    scene.archive.bytes = 4;
    scene.archive.checksum = Checksum::Md5("9e8287435ae73a052c9459e215e46a28".into());
    scene.fetch(&mut ()).unwrap();
    assert_eq!(scene.read(NAME), b"kiln");
}

#[test]
fn a_cut_download_continues_where_it_broke() {
    let server = Server::new(
        &content(),
        &[Reply::CutAt(100_000), Reply::CutAt(200_000), Reply::Whole],
    );
    let scene = Scene::new(&[&server]);
    let mut heard = Heard::default();
    scene.fetch(&mut heard).unwrap();
    scene.assert_complete();
    assert_eq!(
        server.ranges(),
        [
            String::new(),
            format!("range: bytes=100000-, if-range: {ETAG}"),
            format!("range: bytes=200000-, if-range: {ETAG}"),
        ]
    );
    assert_eq!(
        heard.without(&[&server]),
        [
            "start images.tar.gz 0/300000",
            "+100000",
            "`mirror1` ended the connection too early; trying again in 1ms",
            "+100000",
            "`mirror1` ended the connection too early; trying again in 2ms",
            "+100000",
            "finish",
        ]
    );
}

#[test]
fn a_later_call_continues_a_part_that_was_kept() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &content()[..123_456]);
    let mut heard = Heard::default();
    scene.fetch(&mut heard).unwrap();
    scene.assert_complete();
    assert_eq!(server.ranges(), ["range: bytes=123456-"]);
    assert_eq!(
        heard.without(&[]),
        ["start images.tar.gz 123456/300000", "+176544", "finish"]
    );
}

#[test]
fn a_part_that_was_complete_when_the_process_died_needs_no_network() {
    let server = Server::new(&content(), &[Reply::Status("500 Oops")]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &content());
    scene.fetch(&mut ()).unwrap();
    scene.assert_complete();
    assert!(server.ranges().is_empty());
}

#[test]
fn a_part_that_is_too_long_is_dropped() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &[content(), vec![0]].concat());
    scene.fetch(&mut ()).unwrap();
    scene.assert_complete();
    assert_eq!(server.ranges(), [""]);
}

#[test]
fn wrong_bytes_of_an_earlier_call_are_no_fault_of_a_right_mirror() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &[0; 1000]);
    let mut heard = Heard::default();
    scene.fetch(&mut heard).unwrap();
    scene.assert_complete();
    assert_eq!(server.ranges(), ["range: bytes=1000-", ""]);
    assert!(heard.0.contains(
        &"the bytes that were kept of `images.tar.gz` are not right; starting over".into()
    ));
}

#[test]
fn wrong_bytes_of_a_mirror_after_those_of_an_earlier_call_are_its_fault() {
    let server = Server::new(&content(), &[Reply::Corrupt(LENGTH - 1)]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &[0; 1000]);
    let error = scene.fetch(&mut ()).unwrap_err();
    assert!(error.to_string().contains("has another file"), "{error}");
    assert_eq!(server.ranges(), ["range: bytes=1000-", ""]);
}

#[test]
fn a_file_of_unannounced_length_that_ends_early_is_continued() {
    let server = Server::new(&content(), &[Reply::Unannounced(100_000), Reply::Whole]);
    let scene = Scene::new(&[&server]);
    scene.fetch(&mut ()).unwrap();
    scene.assert_complete();
    assert_eq!(server.ranges(), ["", "range: bytes=100000-"]);
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let server = Server::new(
        &content(),
        &[Reply::CutAt(100_000), Reply::WholeIgnoringRange],
    );
    let scene = Scene::new(&[&server]);
    let mut heard = Heard::default();
    scene.fetch(&mut heard).unwrap();
    scene.assert_complete();
    assert_eq!(
        heard.without(&[&server]),
        [
            "start images.tar.gz 0/300000",
            "+100000",
            "`mirror1` ended the connection too early; trying again in 1ms",
            "start images.tar.gz 0/300000",
            "+300000",
            "finish",
        ]
    );
}

#[test]
fn a_part_from_another_place_than_asked_for_is_refused() {
    let server = Server::new(
        &content(),
        &[Reply::CutAt(100_000), Reply::Misplaced(50_000..LENGTH)],
    );
    let scene = Scene::new(&[&server]);
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        without(&error.to_string(), &[&server]),
        "cannot fetch `images.tar.gz`: `mirror1` failed: asked for the bytes from 100000 on, got those from 50000 on"
    );
    assert_eq!(scene.read("images.tar.gz.part"), &content()[..100_000]);
}

#[test]
fn corrupt_bytes_send_the_download_to_the_next_mirror() {
    let corrupt = Server::new(&content(), &[Reply::Corrupt(7)]);
    let good = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&corrupt, &good]);
    let mut heard = Heard::default();
    scene.fetch(&mut heard).unwrap();
    scene.assert_complete();
    assert_eq!(corrupt.ranges(), [""]);
    assert_eq!(good.ranges(), [""]);
    let note = format!(
        "`mirror1` has another file: expected sha256 `{}`, found sha256 `{}`; trying `mirror2`",
        sha256(&content()),
        sha256(&corrupted(7))
    );
    assert!(
        heard.without(&[&corrupt, &good]).contains(&note),
        "{heard:?}"
    );
}

#[test]
fn corrupt_bytes_everywhere_leave_nothing_behind() {
    let server = Server::new(&content(), &[Reply::Corrupt(LENGTH - 1)]);
    let scene = Scene::new(&[&server]);
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        without(&error.to_string(), &[&server]),
        format!(
            "cannot fetch `images.tar.gz`: `mirror1` has another file: expected sha256 `{}`, found sha256 `{}`",
            sha256(&content()),
            sha256(&corrupted(LENGTH - 1))
        )
    );
    assert_eq!(scene.files(), ["images.tar.gz.lock"]);
}

#[test]
fn a_connection_that_falls_silent_is_given_up_and_continued() {
    let server = Server::new(
        &content(),
        &[Reply::Silence, Reply::StallAt(100_000), Reply::Whole],
    );
    let scene = Scene::new(&[&server]).impatient();
    let mut heard = Heard::default();
    scene.fetch(&mut heard).unwrap();
    scene.assert_complete();
    assert_eq!(
        heard.without(&[&server]),
        [
            "start images.tar.gz 0/300000",
            "`mirror1` sent nothing for 500ms; trying again in 1ms",
            "+100000",
            "`mirror1` sent nothing for 500ms; trying again in 2ms",
            "+200000",
            "finish",
        ]
    );
}

#[test]
fn a_server_that_always_stalls_ends_in_an_error_and_keeps_the_part() {
    let server = Server::new(&content(), &[Reply::StallAt(1_000)]);
    let scene = Scene::new(&[&server]).impatient();
    let began = Instant::now();
    let error = scene.fetch(&mut ()).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(
        without(&error.to_string(), &[&server]),
        "cannot fetch `images.tar.gz`: `mirror1` sent nothing for 500ms"
    );
    let directory = scene.directory();
    assert_eq!(
        error.hint().unwrap(),
        format!(
            "check the network and run the same line again to continue after 1,000 bytes, or put `images.tar.gz` (300,000 bytes) into `{}`",
            directory.display()
        )
    );
    assert_eq!(scene.read("images.tar.gz.part"), &content()[..1_000]);
}

#[test]
fn a_mirror_without_the_file_is_asked_once_and_a_troubled_one_again() {
    let without_file = Server::new(&content(), &[Reply::Status("404 Not Found")]);
    let troubled = Server::new(&content(), &[Reply::Status("503 Service Unavailable")]);
    let nowhere = refusing();
    let mut scene = Scene::new(&[&without_file, &troubled]);
    scene.archive.mirrors.push(nowhere.clone());
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(without_file.ranges().len(), 1);
    assert_eq!(troubled.ranges().len(), 1 + scene.options.retries as usize);
    let text =
        without(&error.to_string(), &[&without_file, &troubled]).replace(&nowhere, "nowhere");
    let (text, refusal) = text.split_once("`nowhere` failed: ").unwrap();
    assert_eq!(
        text,
        "cannot fetch `images.tar.gz`: `mirror1` answered 404 Not Found; `mirror2` answered 503 Service Unavailable; "
    );
    assert!(refusal.to_lowercase().contains("refused"), "{refusal}");
    assert_eq!(
        error.hint().unwrap(),
        format!(
            "check the network and run the same line again, or put `images.tar.gz` (300,000 bytes) into `{}`",
            scene.directory().display()
        )
    );
}

#[test]
fn a_trouble_that_passes_is_survived() {
    let server = Server::new(
        &content(),
        &[
            Reply::Status("500 Oops"),
            Reply::Status("429 Slow Down"),
            Reply::Whole,
        ],
    );
    let scene = Scene::new(&[&server]);
    scene.fetch(&mut ()).unwrap();
    scene.assert_complete();
}

#[test]
fn a_redirect_is_followed_with_its_range() {
    let target = Server::new(&content(), &[Reply::Whole]);
    let server = Server::new(&content(), &[Reply::Moved(target.url())]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &content()[..10]);
    scene.fetch(&mut ()).unwrap();
    scene.assert_complete();
    assert_eq!(target.ranges(), ["range: bytes=10-"]);
}

#[test]
fn a_file_announced_with_another_length_is_not_even_begun() {
    let server = Server::new(&content(), &[Reply::Other(LENGTH + 1)]);
    let scene = Scene::new(&[&server]);
    scene.write("images.tar.gz.part", &content()[..10]);
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        without(&error.to_string(), &[&server]),
        "cannot fetch `images.tar.gz`: `mirror1` has another file: expected 300,000 bytes, found 300,001"
    );
    assert_eq!(scene.read("images.tar.gz.part"), &content()[..10]);
}

#[test]
fn more_bytes_than_declared_are_an_error() {
    let server = Server::new(&content(), &[Reply::Unannounced(LENGTH + 1)]);
    let scene = Scene::new(&[&server]);
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        without(&error.to_string(), &[&server]),
        "cannot fetch `images.tar.gz`: `mirror1` sent more than 300,000 bytes"
    );
    assert_eq!(scene.files(), ["images.tar.gz.lock"]);
}

#[test]
fn an_archive_without_mirrors_says_what_to_put_where() {
    let mut scene = Scene::new(&[]);
    scene.archive.name = "cifar-10-binary.tar.gz".into();
    scene.archive.bytes = 170_052_171;
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot fetch `cifar-10-binary.tar.gz`: it has no mirror"
    );
    assert_eq!(
        error.hint().unwrap(),
        format!(
            "check the network and run the same line again, or put `cifar-10-binary.tar.gz` (170,052,171 bytes) into `{}`",
            scene.directory().display()
        )
    );
}

#[test]
fn several_fetches_at_once_download_once() {
    let server = Server::new(&content(), &[Reply::Late]);
    let scene = Scene::new(&[&server]);
    let together = Barrier::new(4);
    let downloads: usize = thread::scope(|scope| {
        let fetches: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    scene.fetch(&mut ()).unwrap().downloaded.len()
                })
            })
            .collect();
        fetches.into_iter().map(|fetch| fetch.join().unwrap()).sum()
    });
    assert_eq!(downloads, 1);
    assert_eq!(server.ranges(), [""]);
    scene.assert_complete();
}

#[test]
fn who_waits_for_another_process_is_told() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    fs::create_dir(scene.directory()).unwrap();
    let lock = fs::File::create(scene.path("images.tar.gz.lock")).unwrap();
    lock.lock().unwrap();
    let (notes, heard) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let fetch = scope.spawn(|| scene.fetch(&mut Notes(notes)));
        assert_eq!(
            heard.recv().unwrap(),
            "another process is fetching `images.tar.gz`: waiting for it"
        );
        fs::write(scene.path(NAME), content()).unwrap();
        lock.unlock().unwrap();
        assert_eq!(fetch.join().unwrap().unwrap().present, [scene.path(NAME)]);
    });
    assert!(server.ranges().is_empty());
}

#[test]
fn another_file_with_the_name_is_left_alone() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    let path = scene.path(NAME);
    scene.write(NAME, b"mine");
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` is not the file that was published: expected 300,000 bytes, found 4",
            path.display()
        )
    );
    assert_eq!(
        error.hint().unwrap(),
        format!(
            "remove `{}` and run the same line again to download it anew",
            path.display()
        )
    );
    assert_eq!(scene.read(NAME), b"mine");
    assert!(server.ranges().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    fs::create_dir(scene.directory()).unwrap();
    let part = scene.path("images.tar.gz.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot write `{}`", part.display())
    );
    assert_eq!(
        error.hint().unwrap(),
        "free 300,000 bytes there and run the same line again to continue, or choose another folder with `--data-dir`"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let server = Server::new(&content(), &[Reply::Whole]);
    let scene = Scene::new(&[&server]);
    let error = fetch(
        slice::from_ref(&scene.archive),
        Path::new("/sys/kiln"),
        &mut (),
        &scene.options,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "cannot write `/sys/kiln`");
    assert_eq!(
        error.hint().unwrap(),
        "make `/sys/kiln` writable, or choose another folder with `--data-dir`"
    );
    assert!(server.ranges().is_empty());
}

#[test]
fn a_manifest_cannot_name_a_file_elsewhere() {
    let mut scene = Scene::new(&[]);
    for name in ["../images", "a/b", "a\\b", "/images", "..", ""] {
        scene.archive.name = name.into();
        let error = scene.fetch(&mut ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("archive name `{name}` is not a plain file name")
        );
    }
}

#[test]
fn a_checksum_that_cannot_be_one_is_found_before_the_download() {
    let mut scene = Scene::new(&[]);
    scene.archive.checksum = Checksum::Sha256("abc".into());
    let error = verify(slice::from_ref(&scene.archive), &scene.directory()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sha256 `abc` of `images.tar.gz` is not 64 lowercase hexadecimal digits"
    );
}

#[test]
fn certificates_that_are_none_are_an_error() {
    let mut scene = Scene::new(&[]);
    scene.write("roots.pem", b"nothing");
    let path = scene.path("roots.pem");
    scene.options.certificates = Some(path.clone());
    let error = scene.fetch(&mut ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` holds no certificate in PEM form", path.display())
    );
}

#[test]
fn verify_tells_right_wrong_and_missing_apart() {
    let scene = Scene::new(&[]);
    scene.write("right", &content());
    scene.write("wrong", &corrupted(0));
    scene.write("short", &content()[1..]);
    let archives = ["right", "wrong", "short", "missing"].map(|name| Archive {
        name: name.into(),
        ..scene.archive.clone()
    });
    let states: Vec<State> = verify(&archives, &scene.directory())
        .unwrap()
        .into_iter()
        .map(|line| line.state)
        .collect();
    assert_eq!(
        states,
        [
            State::Ok,
            State::Mismatch(Mismatch::Checksum {
                expected: Checksum::Sha256(sha256(&content())),
                found: Checksum::Sha256(sha256(&corrupted(0))),
            }),
            State::Mismatch(Mismatch::Bytes {
                expected: LENGTH as u64,
                found: LENGTH as u64 - 1,
            }),
            State::Missing,
        ]
    );
}

/// An archive, an empty folder for it, and options that lose no time.
struct Scene {
    root: TempDir,
    archive: Archive,
    options: Options,
}

impl Scene {
    fn new(mirrors: &[&Server]) -> Scene {
        Scene {
            root: tempfile::tempdir().unwrap(),
            archive: Archive {
                name: NAME.into(),
                bytes: LENGTH as u64,
                checksum: Checksum::Sha256(sha256(&content())),
                mirrors: mirrors.iter().map(|server| server.url()).collect(),
            },
            options: Options {
                connect_timeout: Duration::from_secs(30),
                stall_timeout: Duration::from_secs(30),
                retries: 2,
                backoff: Duration::from_millis(1),
                proxies: false,
                certificates: None,
            },
        }
    }

    /// For servers that fall silent; others may be slow, as a busy machine is.
    fn impatient(mut self) -> Scene {
        self.options.stall_timeout = Duration::from_millis(500);
        self
    }

    fn fetch(&self, progress: &mut dyn Progress) -> Result<Fetched, FetchError> {
        fetch(
            slice::from_ref(&self.archive),
            &self.directory(),
            progress,
            &self.options,
        )
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.directory()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// The folder holds the published bytes and nothing else.
    fn assert_complete(&self) {
        assert_eq!(self.files(), [NAME]);
        assert!(self.read(NAME) == content(), "the bytes differ");
    }
}

/// Writes down what it hears, a run of `advance` as one sum.
#[derive(Debug, Default)]
struct Heard(Vec<String>);

impl Heard {
    fn without(&self, mirrors: &[&Server]) -> Vec<String> {
        self.0.iter().map(|line| without(line, mirrors)).collect()
    }
}

impl Progress for Heard {
    fn start(&mut self, file: &str, total: u64, already: u64) {
        self.0.push(format!("start {file} {already}/{total}"));
    }

    fn advance(&mut self, bytes: u64) {
        let last = self.0.last_mut().unwrap();
        match last
            .strip_prefix('+')
            .map(|sum| sum.parse::<u64>().unwrap())
        {
            Some(sum) => *last = format!("+{}", sum + bytes),
            None => self.0.push(format!("+{bytes}")),
        }
    }

    fn note(&mut self, text: &str) {
        self.0.push(text.into());
    }

    fn finish(&mut self) {
        self.0.push("finish".into());
    }
}

/// Passes notes on.
struct Notes(std::sync::mpsc::Sender<String>);

impl Progress for Notes {
    fn start(&mut self, _file: &str, _total: u64, _already: u64) {}
    fn advance(&mut self, _bytes: u64) {}
    fn note(&mut self, text: &str) {
        self.0.send(text.into()).unwrap();
    }
    fn finish(&mut self) {}
}

/// Replaces the mirrors' addresses, whose ports change, by `mirror1`, `mirror2`, ...
fn without(text: &str, mirrors: &[&Server]) -> String {
    let mut text = text.to_owned();
    for (position, mirror) in mirrors.iter().enumerate() {
        text = text.replace(&mirror.url(), &format!("mirror{}", position + 1));
    }
    text
}

/// An address at which nothing listens.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/file", listener.local_addr().unwrap())
}

fn content() -> Vec<u8> {
    (0..LENGTH as u32)
        .map(|position| (position.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn corrupted(position: usize) -> Vec<u8> {
    let mut content = content();
    content[position] ^= 0xff;
    content
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
