//! Burn's other CPU backend trains as the default one does: `cargo test -p train --features ndarray`.

#![cfg(feature = "ndarray")]

use std::path::Path;
use std::process::Command;

/// The losses of the first steps of the quickstart recipe on that device.
fn losses(device: &str, folder: &Path) -> Vec<f64> {
    let folder = folder.join(device);
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .args(["--config", "quickstart.toml", "--device", device])
        .args(["--set", "length.steps=5", "--set", "log.every=1"])
        .args(["--run-dir".as_ref(), folder.as_os_str()])
        .output()
        .expect("the program was built for this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let events = journal
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events
        .filter(|event| event["event"] == "step")
        .map(|event| event["loss"].as_f64().unwrap())
        .collect()
}

#[test]
fn ndarray_follows_the_cpus_losses() {
    let folder = tempfile::tempdir().unwrap();
    let (cpu, ndarray) = (
        losses("cpu", folder.path()),
        losses("ndarray", folder.path()),
    );
    assert_eq!((cpu.len(), ndarray.len()), (5, 5));
    for (step, (cpu, ndarray)) in cpu.iter().zip(&ndarray).enumerate() {
        let difference = (cpu - ndarray).abs() / cpu;
        assert!(
            difference < 1e-4,
            "step {}: {cpu} on cpu, {ndarray} on ndarray",
            step + 1
        );
    }
}
