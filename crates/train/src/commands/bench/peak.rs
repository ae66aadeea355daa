//! The most memory that the process ever held.

use std::fs;

/// In bytes; `None` where the system does not say as Linux does.
pub fn memory() -> Option<u64> {
    of_status(&fs::read_to_string("/proc/self/status").ok()?)
}

fn of_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_a_line_of_linuxs_status() {
        let status = "Name:\ttrain\nVmPeak:\t  900 kB\nVmHWM:\t  512 kB\nThreads:\t2\n";
        assert_eq!(of_status(status), Some(512 * 1024));
        assert_eq!(of_status("Name:\ttrain\n"), None);
    }
}
