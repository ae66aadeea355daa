//! Finding a recipe: a path, a file under `configs/`, or one of the recipes that are built in.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, File, include_dir};

use crate::error::Error;
use crate::suggest::{listed, nearest};

/// A file of this name is no recipe: it tells what a paper publishes.
const TARGETS: &str = "targets.toml";
/// The files of this folder are no recipes, but studies.
const STUDIES: &str = "studies";

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../configs");

/// The text of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// The file's name without its ending.
    pub name: String,
    /// What messages call it.
    pub shown: String,
    /// TOML, unless its author slipped.
    pub text: String,
}

/// Finds the recipe that `--config` names, as seen from the working directory.
///
/// An existing path; else exactly `configs/<wanted>`; else a path under `configs/` that ends in `wanted` as no other
/// does. `configs/` is that of the working directory or of the nearest parent that has one, and, where neither has
/// the recipe, the one that is built in. Errors have exit code 2.
pub fn find(wanted: &str) -> Result<ConfigFile, Error> {
    find_from(&here()?, wanted, Kind::Recipe)
}

/// Finds the study that `--config` names, in the same way.
pub fn find_study(wanted: &str) -> Result<ConfigFile, Error> {
    find_from(&here()?, wanted, Kind::Study)
}

/// What a file under `configs/` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What one run is made of.
    Recipe,
    /// What is asked of many runs.
    Study,
    /// What a paper publishes.
    Targets,
}

impl Kind {
    /// Of a path under `configs/`.
    fn of(path: &Path) -> Self {
        if path.ends_with(TARGETS) {
            Self::Targets
        } else if path.starts_with(STUDIES) {
            Self::Study
        } else {
            Self::Recipe
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipe => "recipe",
            Self::Study => "study",
            Self::Targets => "targets",
        })
    }
}

fn here() -> Result<PathBuf, Error> {
    std::env::current_dir()
        .map_err(|error| Error::failure("cannot tell the working directory").because(error))
}

/// A file of that kind, as seen from a directory.
pub fn find_from(here: &Path, wanted: &str, kind: Kind) -> Result<ConfigFile, Error> {
    let path = here.join(wanted);
    if path.is_file() {
        return read(&path, wanted, kind);
    }
    let folder = here
        .ancestors()
        .map(|parent| parent.join("configs"))
        .find(|configs| configs.is_dir());
    let local = folder
        .as_deref()
        .map(|folder| toml_files(folder, kind))
        .transpose()?
        .unwrap_or_default();
    if let (Some(folder), Some(found)) = (&folder, unique(wanted, &local, kind)?) {
        let path = folder.join(found);
        return read(
            &path,
            &path.strip_prefix(here).unwrap_or(&path).to_string_lossy(),
            kind,
        );
    }
    let built_in: Vec<_> = (built_in(kind).map(|(path, _)| path.to_owned())).collect();
    match unique(wanted, &built_in, kind)? {
        Some(found) => Ok(read_embedded(found)),
        None => Err(unknown(
            wanted,
            local.iter().chain(&built_in),
            path.is_dir(),
            kind,
        )),
    }
}

/// The recipes that are built in: their paths under `configs/`, and their texts.
pub fn embedded() -> impl Iterator<Item = (&'static Path, &'static str)> {
    built_in(Kind::Recipe)
}

/// The studies that are built in, in the same way.
pub fn studies() -> impl Iterator<Item = (&'static Path, &'static str)> {
    built_in(Kind::Study)
}

/// What papers publish, as it is built in.
pub fn targets() -> impl Iterator<Item = ConfigFile> {
    built_in(Kind::Targets).map(|(path, text)| embedded_file(path, text))
}

fn built_in(kind: Kind) -> impl Iterator<Item = (&'static Path, &'static str)> {
    files(&BUILT_IN)
        .into_iter()
        .filter(move |file| Kind::of(file.path()) == kind)
        .filter_map(|file| Some((file.path(), file.contents_utf8()?)))
}

fn files(folder: &'static Dir<'static>) -> Vec<&'static File<'static>> {
    folder
        .files()
        .chain(folder.dirs().flat_map(files))
        .collect()
}

fn read(path: &Path, shown: &str, kind: Kind) -> Result<ConfigFile, Error> {
    let unreadable = || Error::usage(format!("cannot read {kind} `{shown}`"));
    let bytes = fs::read(path).map_err(|error| unreadable().because(error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable().because(format!("not UTF-8 text, line {line}"))
    })?;
    Ok(ConfigFile {
        name: stem(path),
        shown: shown.into(),
        text,
    })
}

fn read_embedded(found: &Path) -> ConfigFile {
    let (path, text) = built_in(Kind::of(found))
        .find(|(path, _)| *path == found)
        .expect("it was found among these");
    embedded_file(path, text)
}

fn embedded_file(path: &Path, text: &str) -> ConfigFile {
    ConfigFile {
        name: stem(path),
        shown: format!("configs/{} (built in)", path.display()),
        text: text.into(),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or("recipe".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Paths of that kind under `folder`, relative to it and sorted.
fn toml_files(folder: &Path, kind: Kind) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error: io::Error| {
        Error::failure(format!("cannot list `{}`", folder.display())).because(error)
    };
    let mut found = Vec::new();
    let mut unvisited = vec![folder.to_owned()];
    while let Some(directory) = unvisited.pop() {
        for entry in fs::read_dir(&directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() {
                unvisited.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                found.extend(path.strip_prefix(folder).map(Path::to_owned));
            }
        }
    }
    found.retain(|path| Kind::of(path) == kind);
    found.sort();
    Ok(found)
}

/// The path that is `wanted`, or else the only one that ends in it.
fn unique<'a>(wanted: &str, paths: &'a [PathBuf], kind: Kind) -> Result<Option<&'a Path>, Error> {
    if let Some(exact) = paths
        .iter()
        .find(|path| path.as_path() == Path::new(wanted))
    {
        return Ok(Some(exact));
    }
    let matches: Vec<_> = paths.iter().filter(|path| path.ends_with(wanted)).collect();
    match matches[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        [first, ..] => {
            let all: Vec<_> = matches
                .iter()
                .map(|path| format!("configs/{}", path.display()))
                .collect();
            Err(
                Error::usage(format!("more than one {kind} is called `{wanted}`"))
                    .because(format!("{} all end in it", listed(&all, "and")))
                    .with_hint(format!(
                        "say which, for example `--config {}`",
                        first.display()
                    )),
            )
        }
    }
}

fn unknown<'a>(
    wanted: &str,
    known: impl Iterator<Item = &'a PathBuf> + Clone,
    is_folder: bool,
    kind: Kind,
) -> Error {
    let error = Error::usage(format!("cannot find {kind} `{wanted}`")).because(match is_folder {
        true => "it is a folder, not a file".to_owned(),
        false => format!("there is no such file, and no such {kind} under `configs/`"),
    });
    let stems: Vec<_> = known.clone().map(|path| stem(path)).collect();
    let likely = nearest(&stem(Path::new(wanted)), stems.iter().map(String::as_str));
    match known
        .zip(&stems)
        .find(|(_, stem)| Some(stem.as_str()) == likely)
    {
        Some((path, _)) => error.with_hint(format!("did you mean `{}`?", path.display())),
        None => error.with_hint(match kind {
            Kind::Study => "`--config studies/degradation-minutes.toml` runs anywhere",
            _ => "`--config quickstart.toml` runs anywhere",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with two papers that both have a recipe `a.toml`, and one that has `b.toml`.
    fn project() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("he/a.toml", "he a"),
            ("huang/a.toml", "huang a"),
            ("huang/b.toml", "huang b"),
        ] {
            let path = root.path().join("configs").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(root.path().join("mine.toml"), "mine").unwrap();
        fs::create_dir(root.path().join("below")).unwrap();
        root
    }

    #[test]
    fn a_path_wins_then_the_exact_name_then_a_unique_tail() {
        let root = project();
        let text = |wanted: &str| find_from(root.path(), wanted, Kind::Recipe).unwrap().text;
        assert_eq!(text("mine.toml"), "mine");
        assert_eq!(text("he/a.toml"), "he a");
        assert_eq!(text("b.toml"), "huang b");
        let from_below = find_from(&root.path().join("below"), "b.toml", Kind::Recipe).unwrap();
        assert_eq!(
            (from_below.name.as_str(), from_below.text.as_str()),
            ("b", "huang b")
        );
    }

    #[test]
    fn what_a_project_lacks_is_built_in() {
        let found = find_from(project().path(), "resnet110.toml", Kind::Recipe).unwrap();
        assert_eq!(found.shown, "configs/he2015/resnet110.toml (built in)");
        assert!(found.text.contains("warm_up"));
    }

    #[test]
    fn two_tails_are_listed() {
        let error = find_from(project().path(), "a.toml", Kind::Recipe).unwrap_err();
        insta::assert_snapshot!(error.report());
    }

    #[test]
    fn a_name_without_its_ending_is_completed_in_the_hint() {
        let error = find_from(project().path(), "resnet56", Kind::Recipe).unwrap_err();
        insta::assert_snapshot!(error.report());
    }

    #[test]
    fn a_misspelt_name_gets_its_neighbour() {
        let error = find_from(project().path(), "quikstart.toml", Kind::Recipe).unwrap_err();
        insta::assert_snapshot!(error.report());
    }

    #[test]
    fn a_folder_is_no_recipe() {
        let error = find_from(project().path(), "configs", Kind::Recipe).unwrap_err();
        insta::assert_snapshot!(error.report());
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_line() {
        let root = project();
        fs::write(root.path().join("latin.toml"), b"# Erd\n# \xe9\n").unwrap();
        let error = find_from(root.path(), "latin.toml", Kind::Recipe).unwrap_err();
        insta::assert_snapshot!(error.report());
    }
}
