//! The GPU that the tests compute on, where they are built for one.

use burn::tensor::Device;
#[cfg(any(feature = "cuda", feature = "vulkan", feature = "wgpu"))]
use burn::tensor::DeviceType;

/// The first one of this machine; none where there is none.
#[cfg(any(feature = "cuda", feature = "vulkan", feature = "wgpu"))]
pub fn device() -> Option<Device> {
    use std::sync::OnceLock;

    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let find = || {
        let kinds = [
            #[cfg(feature = "cuda")]
            DeviceType::Cuda,
            #[cfg(feature = "vulkan")]
            DeviceType::Vulkan,
            #[cfg(feature = "wgpu")]
            DeviceType::Wgpu,
        ];
        let found = (kinds.into_iter())
            .find_map(|kind| Device::enumerate(kind).into_vec().into_iter().next());
        match &found {
            Some(device) => eprintln!("operations are computed on {device:?}, too"),
            None => eprintln!("skipped on a GPU: this machine has none"),
        }
        found
    };
    DEVICE.get_or_init(find).clone()
}

#[cfg(not(any(feature = "cuda", feature = "vulkan", feature = "wgpu")))]
pub fn device() -> Option<Device> {
    None
}
