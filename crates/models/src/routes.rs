//! Other ways through a network: with blocks deleted, or with the gradient of a single path.
//!
//! A. Veit, M. Wilber, S. Belongie. *Residual Networks Behave Like Ensembles of Relatively Shallow
//! Networks*. 2016, arXiv:1605.06431.

use std::cell::RefCell;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, activate};

use crate::layers::residual_add;
use crate::tap::Place;
use crate::{Model, Tap, trace};

thread_local! {
    static JOURNEY: RefCell<Option<Journey>> = const { RefCell::new(None) };
}

/// A forward pass in which residual blocks are asked which way to take.
#[derive(Default)]
struct Journey {
    routes: Vec<Route>,
    /// Residual blocks that were passed.
    passed: usize,
}

/// Which way a residual block is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Both its layers and its shortcut: the block as it is.
    #[default]
    Both,
    /// Its shortcut alone: its layers are deleted (section 4.1).
    Shortcut,
    /// Forward both; the gradient goes back through its layers alone (section 5).
    BackThroughLayers,
    /// Forward both; the gradient goes back through its shortcut alone.
    BackThroughShortcut,
}

/// A part that a network can do without: its input takes the place of its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletable {
    /// The tap behind it.
    pub place: String,
    /// Whether its output has another shape than its input, so that a shortcut has to stand in.
    pub changes_shape: bool,
    /// Which residual block it is, if it is one.
    block: Option<usize>,
}

impl Model {
    /// What can be deleted from the network, for images of `[channels, height, width]`, front to back:
    /// its residual blocks, and whatever else between two taps keeps the shape. Nothing is computed.
    ///
    /// # Panics
    ///
    /// Where the network does not take images of that size.
    pub fn deletable(&self, input: [usize; 3]) -> Vec<Deletable> {
        let device = self.devices().into_iter().next().unwrap_or_default();
        let mut blocks = Blocks::default();
        trace::run(input, &device, |images| {
            travel(Vec::new(), || self.forward_with(images, &mut blocks))
        });
        let mut before: Option<&(Place, usize)> = None;
        let mut deletable = Vec::new();
        for seen in &blocks.0 {
            let (place, passed) = seen;
            if let Some((previous, passed_before)) = before {
                let changes_shape = previous.shape != place.shape;
                let block = (passed > passed_before).then_some(*passed_before);
                if block.is_some() || !changes_shape {
                    deletable.push(Deletable {
                        place: place.name.clone(),
                        changes_shape,
                        block,
                    });
                }
            }
            before = Some(seen);
        }
        deletable
    }

    /// How many residual blocks the network has, for images of `[channels, height, width]`; nothing is
    /// computed.
    ///
    /// # Panics
    ///
    /// Where the network does not take images of that size.
    pub fn residual_blocks(&self, input: [usize; 3]) -> usize {
        let device = self.devices().into_iter().next().unwrap_or_default();
        let mut passed = 0;
        trace::run(input, &device, |images| {
            passed = travel(Vec::new(), || self.forward(images)).1;
        });
        passed
    }

    /// `[n, channels, h, w]` to `[n, classes]`, without these parts. With none of them, it is
    /// [`forward`](crate::Network::forward), bit for bit.
    pub fn forward_without(&self, images: Tensor<4>, deleted: &[&Deletable]) -> Tensor<2> {
        let blocks = deleted.iter().filter_map(|part| part.block);
        let mut routes =
            vec![Route::Both; blocks.clone().map(|block| block + 1).max().unwrap_or(0)];
        for block in blocks {
            routes[block] = Route::Shortcut;
        }
        let others = deleted.iter().filter(|part| part.block.is_none());
        let mut bypass = Bypass {
            deleted: others.map(|part| part.place.as_str()).collect(),
            before: None,
        };
        travel(routes, || self.forward_with(images, &mut bypass)).0
    }

    /// `[n, channels, h, w]` to `[n, classes]`, each residual block on its route, front to back; those
    /// beyond `routes` are taken as they are.
    pub fn forward_on(&self, images: Tensor<4>, routes: &[Route]) -> Tensor<2> {
        travel(routes.to_vec(), || self.forward(images)).0
    }
}

/// Runs `forward` on these routes, and tells how many residual blocks it passed.
fn travel<T>(routes: Vec<Route>, forward: impl FnOnce() -> T) -> (T, usize) {
    /// Ends the journey even where the forward pass panics.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            JOURNEY.set(None);
        }
    }
    let _guard = Guard;
    JOURNEY.set(Some(Journey { routes, passed: 0 }));
    let result = forward();
    (result, passed())
}

/// Residual blocks that this forward pass has behind it.
fn passed() -> usize {
    JOURNEY.with_borrow(|journey| journey.as_ref().map_or(0, |journey| journey.passed))
}

/// The route of the residual block that asks, which are asked front to back.
pub(crate) fn next() -> Route {
    JOURNEY.with_borrow_mut(|journey| {
        let Some(journey) = journey else {
            return Route::Both;
        };
        let route = journey.routes.get(journey.passed).copied();
        journey.passed += 1;
        route.unwrap_or_default()
    })
}

impl Route {
    /// What a block makes on this route of its `residual` and of what its layers make.
    pub(crate) fn take(
        self,
        residual: Tensor<4>,
        activation: Activation,
        layers: impl FnOnce() -> Tensor<4>,
    ) -> Tensor<4> {
        let sum = match self {
            Self::Both => residual_add(layers(), residual),
            Self::Shortcut => residual,
            Self::BackThroughLayers => residual_add(layers(), residual.detach()),
            Self::BackThroughShortcut => residual_add(layers().detach(), residual),
        };
        activate(sum, activation)
    }
}

/// Each tap, with the residual blocks that were passed before it.
#[derive(Default)]
struct Blocks(Vec<(Place, usize)>);

impl Tap for Blocks {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        let place = Place::of(place, &x);
        self.0.push((place, passed()));
        x
    }
}

/// Hands on what flowed at the tap before those that are deleted.
struct Bypass<'a> {
    deleted: Vec<&'a str>,
    before: Option<Tensor<4>>,
}

impl Tap for Bypass<'_> {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        let x = match self.before.take() {
            Some(before) if self.deleted.contains(&place) => before,
            _ => x,
        };
        self.before = Some(x.clone());
        x
    }
}
