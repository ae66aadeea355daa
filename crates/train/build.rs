//! Tells the crate what it is built from: the git commit, where there is one, and the version of Burn.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("cargo:rerun-if-changed=build.rs");
    watch(root.join("configs"));
    watch(root.join("Cargo.lock"));
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        watch(Path::new(env!("CARGO_MANIFEST_DIR")).join(log));
    }
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=KILN_COMMIT={commit}");
    }
    if let Some(version) = burn_version(&root.join("Cargo.lock")) {
        println!("cargo:rustc-env=KILN_BURN_VERSION={version}");
    }
}

/// Cargo runs a build script at each build if a path that it watches does not exist.
fn watch(path: PathBuf) {
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn burn_version(lock: &Path) -> Option<String> {
    let text = std::fs::read_to_string(lock).ok()?;
    let mut lines = text.lines().skip_while(|line| *line != "name = \"burn\"");
    let version = lines.nth(1)?.strip_prefix("version = ")?;
    Some(version.trim_matches('"').to_owned())
}
