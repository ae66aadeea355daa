//! What the black-box tests share: a place to run the program in, what it said, and what it left behind.

#![allow(
    dead_code,
    reason = "each test program uses its own part of this module"
)]

use std::fs::{self, File};
use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A run of a second that uses every part of the loop which has a state: momentum, an average of the weights,
/// a best checkpoint, a warm-up, and an epoch of 35 steps that ends in a short batch.
pub const SMALL: &str = r#"
model      = "resnet8"
dataset    = "digits"
batch      = 32
length     = { steps = 42 }
seed       = 3
accumulate = 2
clip_norm  = 1.0
validation = { images = 100 }

[optimizer.sgd]
momentum     = 0.9
weight_decay = 5e-4
nesterov     = true

[schedule.cosine]
start   = 0.1
end     = 0.0
warm_up = { shape = "linear", from = 0.01, length = { steps = 10 } }

[ema]
decay = 0.9

[log]
every = 2

[eval]
every = { steps = 15 }

[checkpoint]
every = { steps = 5 }

[[augment.train]]
random_crop = { size = 8, padding = 1 }
[[augment.train]]
flip = { probability = 0.5 }
[[augment.train]]
normalize = "per-channel"
[[augment.test]]
normalize = "per-channel"
"#;

/// A tar archive of files.
pub fn tar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        let appended = archive.append_data(&mut header, name, bytes.as_slice());
        appended.expect("memory takes a small file");
    }
    archive.into_inner().expect("memory takes a small archive")
}

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(2);

/// An empty working directory outside any checkout, with [`SMALL`] as `small.toml`.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a place for temporary files"),
        };
        place.write("small.toml", SMALL);
        place
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A file of `length` bytes, all zero but for some at its start; it takes no room on the disk.
    pub fn write_sparse(&self, path: &str, start: &[u8], length: u64) {
        self.write(path, start);
        let file = File::options().append(true).open(self.path(path)).unwrap();
        file.set_len(length).unwrap();
    }

    /// Runs the program with the words of `line`, here.
    pub fn train(&self, line: &str) -> Said {
        self.train_with(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the program with the words of `line`, in a folder that is here.
    pub fn train_in(&self, folder: &str, line: &str) -> Said {
        let mut command = self.command();
        command.current_dir(self.path(folder));
        let output = command.args(line.split_whitespace()).output();
        Said::of(output.expect("the program was built for this test"))
    }

    /// Runs the program with arguments in which there may be spaces.
    pub fn train_with(&self, arguments: &[&str]) -> Said {
        let output = self.command().args(arguments).output();
        Said::of(output.expect("the program was built for this test"))
    }

    /// Starts the program with the words of `line`, here.
    pub fn start(&self, line: &str) -> Running {
        Running::of(self.command().args(line.split_whitespace()))
    }

    /// The program, here, where no test reaches the network or the user's own folders.
    pub fn command(&self) -> Command {
        self.command_under(env!("CARGO_BIN_EXE_train"))
    }

    /// Another program, in the same way.
    pub fn command_under(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        isolate(&mut command, self.folder.path());
        command
    }

    /// A run of a recipe here that must succeed, and the folder that it left.
    pub fn finished_run(&self, folder: &str, line: &str) -> RunFolder {
        self.train(&format!("{line} --run-dir {folder}")).is(0);
        self.run(folder)
    }

    pub fn run(&self, folder: &str) -> RunFolder {
        RunFolder(self.path(folder))
    }
}

fn isolate(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("HOME", folder);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        command.env(name, CLOSED).env(name.to_lowercase(), CLOSED);
    }
    for name in ["XDG_CACHE_HOME", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"] {
        command.env_remove(name);
    }
}

/// A port of this machine at which nobody listens.
const CLOSED: &str = "http://127.0.0.1:9";

/// Runs shell commands in a place, in name spaces of their own where they may mount; says why it cannot otherwise.
#[cfg(target_os = "linux")]
pub fn with_mounts(place: &Place, script: &str) -> Result<Said, String> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        isolate(&mut command, place.folder.path());
        command.env("TRAIN", env!("CARGO_BIN_EXE_train")).output()
    };
    match unshare("mkdir -p probe && mount -t tmpfs none probe") {
        Ok(output) if output.status.success() => {}
        Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => return Err(error.to_string()),
    }
    Ok(Said::of(unshare(script).expect("it ran a moment ago")))
}

/// What a process said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    /// Fails unless the process ended with this exit code.
    #[track_caller]
    pub fn is(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails unless stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "expected `{text}`, found:\n{}",
            self.stderr
        );
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error} in stdout:\n{}", self.stdout);
        })
    }
}

/// Waits until `happened`.
pub fn wait_until(mut happened: impl FnMut() -> bool) {
    let since = Instant::now();
    while !happened() {
        assert!(since.elapsed() < PATIENCE, "it never happened");
        thread::sleep(Duration::from_micros(200));
    }
}

/// A process under way; it is killed when the test is done with it.
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts a program that is there.
    pub fn of(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("the program is there");
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, or what the system has in its place. Returns whether the process was still running.
    pub fn kill(mut self) -> bool {
        let running = self.is_running();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        running
    }

    /// SIGINT.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        let status = Command::new("kill")
            .args(["-INT", &self.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Closes the reading ends of stdout and stderr.
    pub fn unheard(mut self) -> Self {
        self.child.stdout.take();
        self.child.stderr.take();
        self
    }

    /// Waits until `happened`, or the process has ended.
    pub fn wait_until(&mut self, mut happened: impl FnMut() -> bool) {
        wait_until(|| happened() || !self.is_running());
    }

    /// Waits until the process has ended by itself.
    pub fn wait(mut self) -> Said {
        let since = Instant::now();
        while self.is_running() {
            assert!(since.elapsed() < PATIENCE, "the process hangs");
            thread::sleep(Duration::from_millis(1));
        }
        let mut said = Said {
            code: self.child.wait().unwrap().code(),
            stdout: String::new(),
            stderr: String::new(),
        };
        read_all(self.child.stdout.take(), &mut said.stdout);
        read_all(self.child.stderr.take(), &mut said.stderr);
        said
    }
}

fn read_all(pipe: Option<impl std::io::Read>, text: &mut String) {
    if let Some(mut pipe) = pipe {
        pipe.read_to_string(text).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of a run.
pub struct RunFolder(PathBuf);

impl Deref for RunFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl RunFolder {
    pub fn bytes(&self, file: &str) -> Vec<u8> {
        let path = self.join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The whole lines of the journal; none before it is begun.
    pub fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.join("journal.jsonl")).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The events of one name.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let mut events = self.journal();
        events.retain(|event| event["event"] == name);
        events
    }

    /// The steps of the events of one name, in the order of the journal.
    pub fn steps(&self, name: &str) -> Vec<u64> {
        let events = self.events(name);
        events.iter().map(|e| e["step"].as_u64().unwrap()).collect()
    }

    /// Whether the journal has an event of this name, of this step or a later one.
    pub fn has_reached(&self, name: &str, step: u64) -> bool {
        self.steps(name).iter().any(|reached| *reached >= step)
    }

    /// The checkpoints, oldest first.
    pub fn checkpoints(&self) -> Vec<PathBuf> {
        let mut paths = self.checkpoint_files();
        paths.retain(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("step-") && name.ends_with(".safetensors")
        });
        paths.sort();
        paths
    }

    /// Whether a checkpoint is being written at this moment.
    pub fn is_saving(&self) -> bool {
        self.checkpoint_files()
            .iter()
            .any(|path| path.to_string_lossy().ends_with(".safetensors.part"))
    }

    fn checkpoint_files(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.join("checkpoints")) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    }

    /// `metrics.csv` without the columns that hold times.
    pub fn metrics(&self) -> Vec<Vec<String>> {
        let text = String::from_utf8(self.bytes("metrics.csv")).unwrap();
        let mut rows = text.lines().map(|line| line.split(','));
        let header: Vec<&str> = rows.next().expect("a header").collect();
        let is_kept = |column: usize| !header[column].contains("second");
        rows.map(|row| {
            row.enumerate()
                .filter(|(column, _)| is_kept(*column))
                .map(|(_, field)| field.to_owned())
                .collect()
        })
        .collect()
    }
}

/// The bytes of a safetensors file; each tensor has a name, a type, a shape and its bytes.
pub fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        header.insert(
            (*name).to_owned(),
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()] }),
        );
    }
    let header = Value::Object(header).to_string();
    let mut file = Vec::new();
    file.extend((header.len() as u64).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A safetensors file of images and labels.
pub fn images_and_labels(shape: [usize; 4], pixels: &[f32], labels: &[i64]) -> Vec<u8> {
    let pixels = pixels.iter().flat_map(|value| value.to_le_bytes());
    let classes = labels.iter().flat_map(|label| label.to_le_bytes());
    safetensors(&[
        ("images", "F32", &shape, pixels.collect()),
        ("labels", "I64", &[labels.len()], classes.collect()),
    ])
}

/// A grey PNG of 8 bits.
pub fn png(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// What a test that cannot run here prints in place of running.
pub fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {}", reason.trim());
}
