//! Places in a network where a study can look at what flows, or change it.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::parts::is_within;
use crate::{Model, trace};

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

/// A place at which a network shows what flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name, as taps are told it.
    pub name: String,
    /// `[channels, height, width]` of what flows.
    pub shape: [usize; 3],
}

impl Place {
    /// Where `x`, `[n, channels, h, w]`, flows.
    pub(crate) fn of(name: &str, x: &Tensor<4>) -> Self {
        let [_, channels, height, width] = x.dims();
        Self {
            name: name.to_owned(),
            shape: [channels, height, width],
        }
    }
}

impl Model {
    /// The places at which the network shows what flows, for images of `[channels, height, width]`;
    /// nothing is computed.
    ///
    /// # Panics
    ///
    /// Where the network does not take images of that size.
    pub fn places(&self, input: [usize; 3]) -> Vec<Place> {
        let device = self.devices().into_iter().next().unwrap_or_default();
        let mut places = Places(Vec::new());
        trace::run(input, &device, |images| {
            self.forward_with(images, &mut places)
        });
        places.0
    }

    /// What flows at a place, `[n, channels, h, w]` to `[n, channels', h', w']`: of several places in
    /// a part of the network, such as the blocks of `stage3`, at the last one. `None` where the
    /// network has no such place. Computes the network to its end.
    pub fn features(&self, images: Tensor<4>, place: &str) -> Option<Tensor<4>> {
        let mut last = LastIn { place, seen: None };
        self.forward_with(images, &mut last);
        last.seen
    }
}

struct Places(Vec<Place>);

impl Tap for Places {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        self.0.push(Place::of(place, &x));
        x
    }
}

struct LastIn<'a> {
    place: &'a str,
    seen: Option<Tensor<4>>,
}

impl Tap for LastIn<'_> {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        if is_within(place, self.place) {
            self.seen = Some(x.clone());
        }
        x
    }
}
