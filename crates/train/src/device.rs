//! Where a run computes: `--device`.

use burn::tensor::Device;
#[cfg(any(feature = "vulkan", feature = "wgpu"))]
use burn::tensor::DeviceKind;
#[cfg(any(feature = "cuda", feature = "vulkan", feature = "wgpu"))]
use burn::tensor::DeviceType;
use clap::ValueEnum;

use crate::error::Error;
use crate::recipe::Precision;
use crate::suggest;

/// The names that `--device` takes; GPU names may carry an index, as in `cuda:1`.
const NAMES: &[&str] = &["auto", "cpu", "ndarray", "wgpu", "vulkan", "cuda"];

/// The GPU names that this binary was built with, the fastest first.
const GPUS: &[&str] = &[
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "vulkan")]
    "vulkan",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// A device that was found.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name, as in `--device`, with its index.
    pub name: String,
    /// Burn's device, without autodiff.
    pub device: Device,
    /// Whether it is the CPU.
    pub is_cpu: bool,
}

impl Choice {
    /// Refuses a precision that the device does not compute in.
    ///
    /// # Errors
    ///
    /// With exit code 2, where it does not.
    pub fn check_precision(&self, precision: Precision) -> Result<(), Error> {
        if self.device.supports_dtype(precision.dtype()) {
            return Ok(());
        }
        let all = Precision::value_variants().iter();
        let named = |precision: &Precision| precision.to_possible_value();
        let others: Vec<String> = all
            .filter(|other| self.device.supports_dtype(other.dtype()))
            .filter_map(named)
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        let name = named(&precision).expect("no precision is hidden");
        let what = format!("`{}` does not compute in `{}`", self.name, name.get_name());
        Err(Error::usage(what).with_hint(format!("it has {}", others.join(" and "))))
    }
}

/// Finds the device of that name; `auto` is the fastest one that is compiled in and present, and
/// never a GPU's interface that the CPU computes.
///
/// # Errors
///
/// With exit code 2, where there is no such name, it is not compiled in, or not on this machine.
pub fn choose(requested: &str) -> Result<Choice, Error> {
    choose_for(requested, 0)
}

/// The same for process number `process` of this machine: several share out the devices among them, where the name has no
/// index.
///
/// # Errors
///
/// As [`choose`].
pub fn choose_for(requested: &str, process: usize) -> Result<Choice, Error> {
    let (kind, index) = parse(requested)?;
    match kind {
        "auto" => Ok(fastest(process)),
        "cpu" => Ok(cpu()),
        "ndarray" => ndarray(),
        _ if GPUS.contains(&kind) => {
            let mut devices = present(kind);
            let index = index.unwrap_or_else(|| process % devices.len().max(1));
            if index < devices.len() {
                return Ok(devices.swap_remove(index));
            }
            Err(Error::usage(format!("cannot use device `{requested}`"))
                .because(format!(
                    "this machine has no `{kind}` device number {index}"
                ))
                .with_hint("use `--device cpu`, or install the GPU's driver"))
        }
        _ => Err(not_compiled_in(kind)),
    }
}

/// Whether a device, with autodiff or without, is the CPU.
pub fn is_cpu(device: &Device) -> bool {
    let cpus = [
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ];
    cpus.contains(device)
}

/// The GPU names that this binary was built with.
pub fn compiled_gpus() -> Vec<String> {
    GPUS.iter().map(|name| (*name).to_owned()).collect()
}

/// The name of a device without its index.
pub fn kind(name: &str) -> &str {
    name.split_once(':').map_or(name, |(kind, _)| kind)
}

fn parse(requested: &str) -> Result<(&str, Option<usize>), Error> {
    let unknown = || {
        let hint = suggest::hint(requested, NAMES.iter().copied());
        Error::usage(format!("unknown device `{requested}`")).with_hint(hint.unwrap_or_default())
    };
    let (kind, index) = match requested.split_once(':') {
        Some((kind, index)) => (kind, Some(index.parse().map_err(|_| unknown())?)),
        None => (requested, None),
    };
    let takes_index = matches!(kind, "wgpu" | "vulkan" | "cuda");
    if !NAMES.contains(&kind) || (index.is_some() && !takes_index) {
        return Err(unknown());
    }
    Ok((kind, index))
}

fn fastest(process: usize) -> Choice {
    let real = |kind: &&str| {
        let mut devices = present(kind);
        devices.retain(|choice| !is_software(&choice.device));
        devices
    };
    let mut devices = (GPUS.iter().map(real)).find(|devices| !devices.is_empty());
    match &mut devices {
        Some(devices) => devices.swap_remove(process % devices.len()),
        None => cpu(),
    }
}

fn cpu() -> Choice {
    Choice {
        name: "cpu".into(),
        device: Device::flex(),
        is_cpu: true,
    }
}

#[cfg(feature = "ndarray")]
fn ndarray() -> Result<Choice, Error> {
    Ok(Choice {
        name: "ndarray".into(),
        device: Device::ndarray(),
        is_cpu: true,
    })
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Choice, Error> {
    Err(not_compiled_in("ndarray"))
}

fn not_compiled_in(kind: &str) -> Error {
    Error::usage(format!("cannot use device `{kind}`"))
        .because(format!(
            "this binary was built without the feature `{kind}`"
        ))
        .with_hint(format!(
            "build with it: `cargo run -p train --features {kind} -- --device {kind} ..`"
        ))
}

/// The devices of this machine that a GPU name stands for, in the order of their index.
#[cfg(any(feature = "cuda", feature = "vulkan", feature = "wgpu"))]
fn present(kind: &str) -> Vec<Choice> {
    let device_type = match kind {
        #[cfg(feature = "cuda")]
        "cuda" => DeviceType::Cuda,
        #[cfg(feature = "vulkan")]
        "vulkan" => DeviceType::Vulkan,
        #[cfg(feature = "wgpu")]
        "wgpu" => DeviceType::Wgpu,
        _ => return Vec::new(),
    };
    let devices = Device::enumerate(device_type).into_vec();
    let choices = devices
        .into_iter()
        .enumerate()
        .map(|(index, device)| Choice {
            name: format!("{kind}:{index}"),
            device,
            is_cpu: false,
        });
    choices.collect()
}

#[cfg(not(any(feature = "cuda", feature = "vulkan", feature = "wgpu")))]
fn present(_kind: &str) -> Vec<Choice> {
    Vec::new()
}

/// Whether the GPU is one in name only: a driver that computes on the CPU, as Mesa's llvmpipe does,
/// many times slower than the CPU's own device.
fn is_software(device: &Device) -> bool {
    let software: &[Device] = &[
        #[cfg(feature = "vulkan")]
        Device::vulkan(DeviceKind::Cpu),
        #[cfg(feature = "wgpu")]
        Device::wgpu(DeviceKind::Cpu),
    ];
    software.contains(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        for name in ["cpu", "auto"] {
            assert!(choose(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_no_device_is_an_error_that_helps() {
        let report = |name| choose(name).unwrap_err().report().to_string();
        insta::assert_snapshot!(report("cdua"), @r"
        error: unknown device `cdua`

        hint: did you mean `cuda`?
        ");
        insta::assert_snapshot!(report("cpu:1"), @r"
        error: unknown device `cpu:1`

        hint: did you mean `cpu`?
        ");
        assert_eq!(choose("cuda:one").unwrap_err().exit_code(), 2);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn what_is_not_compiled_in_names_its_feature() {
        insta::assert_snapshot!(choose("cuda:1").unwrap_err().report(), @r"
        error: cannot use device `cuda`
          caused by: this binary was built without the feature `cuda`

        hint: build with it: `cargo run -p train --features cuda -- --device cuda ..`
        ");
    }
}
