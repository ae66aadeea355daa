//! A GPU computes what the CPU does: of a build with a GPU's feature, on a machine that has one.
//!
//! A driver that computes on the CPU will do, though it compiles for minutes.

#![cfg(any(feature = "cuda", feature = "vulkan", feature = "wgpu"))]

mod support;

use support::{Place, Said, skip};
use train::device::compiled_gpus;

/// Compares networks on each of these devices that this machine has, with the fusion of operations and without.
fn compare(flags: &str) {
    let place = Place::new();
    for device in &compiled_gpus() {
        for explorations in [None, Some("0")] {
            let mut command = place.command();
            command.args(["parity", "--device", device]);
            command.args(flags.split_whitespace());
            command.envs(explorations.map(|most| ("BURN_FUSION_MAX_EXPLORATIONS", most)));
            let output = command
                .output()
                .expect("the program was built for this test");
            let said = Said::of(output);
            if said.stderr.contains("this machine has no") {
                skip(&format!("this machine has no `{device}` device"));
                break;
            }
            said.is(0);
        }
    }
}

#[test]
fn a_small_network_trains_as_on_the_cpu() {
    compare("--model resnet8 --batch 2 --steps 1");
}

#[test]
#[ignore = "takes minutes on a GPU, and hours where the CPU plays one"]
fn a_network_of_each_family_trains_as_on_the_cpu() {
    compare("");
}
