//! The `train` program from outside: exit codes, and what goes to which stream.

use std::process::{Command, Output};

fn train(line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command
        .args(line.split_whitespace())
        .output()
        .expect("the program was built for this test")
}

#[test]
fn a_good_recipe_is_told_on_stdout() {
    let output = train("check --config quickstart.toml");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("resnet8"));
    assert!(output.stderr.is_empty());
}

#[test]
fn what_is_typed_wrong_is_told_on_stderr_and_exits_with_2() {
    for line in [
        "",
        "--config",
        "check --config quikstart.toml",
        "check --config quickstart.toml --set bach=1",
        "check --config quickstart.toml --set length.epochs=-3",
    ] {
        let output = train(line);
        assert_eq!(output.status.code(), Some(2), "train {line}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "train {line}"
        );
    }
}

#[test]
fn a_path_of_thousands_of_keys_is_only_an_unknown_key() {
    let output = train(&format!(
        "check --config quickstart.toml --set {}=1",
        vec!["a"; 40_000].join(".")
    ));
    assert_eq!(output.status.code(), Some(2));
}
