//! Places in a network where a study can look at what flows, or change it.

use burn::tensor::Tensor;

/// Sees the activations of a network as they are computed.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use models::{Init, Initialization, Tap, registry};
///
/// struct Names(Vec<String>);
///
/// impl Tap for Names {
///     fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
///         self.0.push(place.to_owned());
///         x
///     }
/// }
///
/// let device = Device::flex();
/// let entry = registry::find("resnet8").unwrap();
/// let model = entry.architecture.init(&mut Init::new(&device, Initialization::He, 0));
/// let mut names = Names(Vec::new());
/// model.forward_with(Tensor::ones([1, 3, 32, 32], &device), &mut names);
/// assert_eq!(names.0, ["stem", "stage1.block0", "stage2.block0", "stage3.block0"]);
/// ```
pub trait Tap {
    /// Called with the activations `[n, channels, h, w]` at `place`; what it returns flows on.
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4>;
}

/// A tap that looks at nothing.
impl Tap for () {
    fn at(&mut self, _place: &str, x: Tensor<4>) -> Tensor<4> {
        x
    }
}
