//! Other ways through a network: with blocks deleted, or with the gradient of a single path.
//!
//! A. Veit, M. Wilber, S. Belongie. *Residual Networks Behave Like Ensembles of Relatively Shallow
//! Networks*. 2016, arXiv:1605.06431.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, activate};

use crate::layers::residual_add;
use crate::tap::Place;
use crate::{Model, Scores, Tap, noise, trace};

thread_local! {
    static JOURNEY: RefCell<Option<Journey>> = const { RefCell::new(None) };
}

/// A forward pass in which residual blocks are asked which way to take.
#[derive(Default)]
struct Journey {
    routes: Vec<Route>,
    /// By place, the blocks of its stage that stand there in place of its own.
    standing: BTreeMap<String, usize>,
    /// Residual blocks that were passed.
    passed: usize,
    /// The block of a stage that was passed last.
    last: Option<usize>,
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
    /// Which block of its stage it is, if it is one.
    index: Option<usize>,
}

impl Deletable {
    /// Whether the two can stand in each other's place: they are blocks of one stage, of one shape.
    pub fn fits(&self, other: &Self) -> bool {
        let stage = |part: &Self| {
            let is_block = part.index.is_some() && !part.changes_shape;
            part.place
                .rsplit_once('.')
                .map(|(stage, _)| stage.to_owned())
                .filter(|_| is_block)
        };
        self != other && stage(self).is_some() && stage(self) == stage(other)
    }
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
            travel(Journey::default(), || {
                self.forward_with(images, &mut blocks)
            })
        });
        let mut before: Option<&(Place, usize, Option<usize>)> = None;
        let mut deletable = Vec::new();
        for seen in &blocks.0 {
            let (place, passed, index) = seen;
            if let Some((previous, passed_before, _)) = before {
                let changes_shape = previous.shape != place.shape;
                let block = (passed > passed_before).then_some(*passed_before);
                if block.is_some() || !changes_shape {
                    deletable.push(Deletable {
                        place: place.name.clone(),
                        changes_shape,
                        block,
                        index: *index,
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
            passed = travel(Journey::default(), || self.forward(images)).1;
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
        let journey = Journey {
            routes,
            ..Journey::default()
        };
        travel(journey, || self.forward_with(images, &mut bypass)).0
    }

    /// `[n, channels, h, w]` to `[n, classes]`, with blocks swapped pair after pair (section 4.3).
    ///
    /// # Panics
    ///
    /// Where two blocks do not [fit](Deletable::fits) in each other's place.
    pub fn forward_swapped(&self, images: Tensor<4>, pairs: &[[&Deletable; 2]]) -> Tensor<2> {
        let mut standing: BTreeMap<&str, usize> = BTreeMap::new();
        for [one, other] in pairs {
            assert!(one.fits(other), "{} and {}", one.place, other.place);
            let [here, there] = [one, other].map(|part| {
                let own = part.index.expect("what fits is a block of a stage");
                standing.get(part.place.as_str()).copied().unwrap_or(own)
            });
            standing.insert(&one.place, there);
            standing.insert(&other.place, here);
        }
        let standing = standing.into_iter();
        let journey = Journey {
            standing: standing
                .map(|(place, index)| (place.to_owned(), index))
                .collect(),
            ..Journey::default()
        };
        travel(journey, || self.forward(images)).0
    }

    /// `[n, channels, h, w]` to `[n, classes]`, each residual block on its route, front to back; those
    /// beyond `routes` are taken as they are.
    pub fn forward_on(&self, images: Tensor<4>, routes: &[Route]) -> Tensor<2> {
        let journey = Journey {
            routes: routes.to_vec(),
            ..Journey::default()
        };
        travel(journey, || self.forward(images)).0
    }
}

/// Training through a few of a network's residual blocks at a time: no path is longer than they are, as if long paths
/// were of no use (Veit et al. 2016, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// The residual blocks that the network has.
    pub blocks: usize,
    /// How many of them a forward pass goes through; `blocks` at most.
    pub count: usize,
}

impl Sampling {
    /// [`forward_train`](crate::Network::forward_train) through blocks that are drawn anew, as [`noise`] draws,
    /// and around the others by their shortcuts: these learn nothing from it.
    ///
    /// # Panics
    ///
    /// Where there are not so many blocks.
    pub fn forward_train(self, model: &Model, images: Tensor<4>) -> Scores {
        let mut routes = vec![Route::Shortcut; self.blocks];
        for block in noise::some_of(self.blocks, self.count) {
            routes[block] = Route::Both;
        }
        let journey = Journey {
            routes,
            ..Journey::default()
        };
        travel(journey, || model.forward_train(images)).0
    }
}

/// Runs `forward`, and tells how many residual blocks it passed.
fn travel<T>(journey: Journey, forward: impl FnOnce() -> T) -> (T, usize) {
    /// Ends the journey even where the forward pass panics.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            JOURNEY.set(None);
        }
    }
    let _guard = Guard;
    JOURNEY.set(Some(journey));
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

/// Which block of its stage stands where block `index` has its place.
pub(crate) fn standing_at(place: &str, index: usize) -> usize {
    JOURNEY.with_borrow_mut(|journey| {
        let Some(journey) = journey else {
            return index;
        };
        journey.last = Some(index);
        journey.standing.get(place).copied().unwrap_or(index)
    })
}

/// The block of a stage that was passed since this was asked last.
fn take_last() -> Option<usize> {
    JOURNEY.with_borrow_mut(|journey| journey.as_mut()?.last.take())
}

/// Each tap, with the residual blocks that were passed before it, and the block of a stage that it is behind.
#[derive(Default)]
struct Blocks(Vec<(Place, usize, Option<usize>)>);

impl Tap for Blocks {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        let place = Place::of(place, &x);
        self.0.push((place, passed(), take_last()));
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
