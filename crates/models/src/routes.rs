//! Other ways through a network: with blocks deleted, or with the gradient of a single path.
//!
//! A. Veit, M. Wilber, S. Belongie. *Residual Networks Behave Like Ensembles of Relatively Shallow
//! Networks*. 2016, arXiv:1605.06431.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, activate};

use crate::layers::{residual_add, scale};
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
    /// Which of the layers that ask are left out.
    deleted: Vec<usize>,
    /// The layers that asked, each as it is counted in its stage.
    asked: Vec<usize>,
}

/// Which way a residual block is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Route {
    /// Both its layers and its shortcut: the block as it is.
    #[default]
    Both,
    /// Its shortcut alone: its layers are deleted (section 4.1).
    Shortcut,
    /// Both, and what its layers make is multiplied by this.
    Weighted(f64),
    /// Forward both; the gradient goes back through its layers alone (section 5).
    BackThroughLayers,
    /// Forward both; the gradient goes back through its shortcut alone.
    BackThroughShortcut,
}

/// A part that a network can do without: its input takes the place of its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletable {
    /// The tap behind it, or the layer before that tap: `stage1.block0`, `stage1.layer1`.
    pub place: String,
    /// Whether its output has another shape than its input, so that a shortcut has to stand in.
    pub changes_shape: bool,
    part: Part,
    /// Which block of its stage it is, if it is one.
    index: Option<usize>,
}

/// What of a network it is, counted front to back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A residual block.
    Block(usize),
    /// A layer that asks whether it is left out.
    Layer(usize),
    /// All between two taps.
    BetweenTaps,
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
    /// its residual blocks, and what else keeps the shape, between two taps or as a layer before one. Nothing is computed.
    ///
    /// # Panics
    ///
    /// Where the network does not take images of that size.
    pub fn deletable(&self, input: [usize; 3]) -> Vec<Deletable> {
        let device = self.devices().into_iter().next().unwrap_or_default();
        let mut passages = Passages::default();
        trace::run(input, &device, |images| {
            travel(Journey::default(), || {
                self.forward_with(images, &mut passages)
            })
        });
        let befores = std::iter::once(None).chain(passages.0.iter().map(Some));
        let passed = befores.zip(&passages.0);
        passed
            .flat_map(|(before, passage)| passage.deletable(before))
            .collect()
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
        let mut journey = Journey::default();
        let mut bypass = Bypass::default();
        for one in deleted {
            match one.part {
                Part::Block(block) => {
                    let routes = journey.routes.len().max(block + 1);
                    journey.routes.resize(routes, Route::Both);
                    journey.routes[block] = Route::Shortcut;
                }
                Part::Layer(layer) => journey.deleted.push(layer),
                Part::BetweenTaps => bypass.deleted.push(&one.place),
            }
        }
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
    /// and around the others by their shortcuts: these learn nothing from it. What the layers of the former make is
    /// multiplied by `blocks / count`, so that in the mean it is what all blocks make together, as with stochastic depth.
    ///
    /// # Panics
    ///
    /// Where there are not so many blocks.
    pub fn forward_train(self, model: &Model, images: Tensor<4>) -> Scores {
        let through = if self.count == self.blocks {
            Route::Both
        } else {
            Route::Weighted(self.blocks as f64 / self.count as f64)
        };
        let mut routes = vec![Route::Shortcut; self.blocks];
        for block in noise::some_of(self.blocks, self.count) {
            routes[block] = through;
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
            Self::Weighted(factor) => residual_add(scale(layers(), factor), residual),
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

/// Whether the layer that asks is left out: layer `index` of its stage, which keeps the shape.
pub(crate) fn skips_layer(index: usize) -> bool {
    JOURNEY.with_borrow_mut(|journey| {
        let Some(journey) = journey else {
            return false;
        };
        journey.asked.push(index);
        journey.deleted.contains(&(journey.asked.len() - 1))
    })
}

/// The layers that this forward pass has behind it, of those that ask.
fn asked() -> Vec<usize> {
    JOURNEY.with_borrow(|journey| {
        let journey = journey.as_ref();
        journey.map_or_else(Vec::new, |journey| journey.asked.clone())
    })
}

/// A tap, and what was passed before it.
struct Passage {
    place: Place,
    /// Residual blocks.
    blocks: usize,
    /// The block of a stage that it is behind.
    index: Option<usize>,
    /// Layers that asked.
    asked: Vec<usize>,
}

impl Passage {
    /// What can be deleted between the tap before and this one.
    fn deletable(&self, before: Option<&Self>) -> Vec<Deletable> {
        let asked_before = before.map_or(0, |before| before.asked.len());
        let layers = (self.asked.iter().enumerate()).skip(asked_before);
        let layers = layers.map(|(number, index)| Deletable {
            place: format!("{}.layer{index}", self.place.name),
            changes_shape: false,
            part: Part::Layer(number),
            index: None,
        });
        let whole = before.and_then(|before| self.deletable_whole(before));
        layers.chain(whole).collect()
    }

    fn deletable_whole(&self, before: &Self) -> Option<Deletable> {
        let changes_shape = before.place.shape != self.place.shape;
        let part = if self.blocks > before.blocks {
            Part::Block(before.blocks)
        } else if changes_shape {
            return None;
        } else {
            Part::BetweenTaps
        };
        Some(Deletable {
            place: self.place.name.clone(),
            changes_shape,
            part,
            index: self.index,
        })
    }
}

/// Each tap of a forward pass.
#[derive(Default)]
struct Passages(Vec<Passage>);

impl Tap for Passages {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        self.0.push(Passage {
            place: Place::of(place, &x),
            blocks: passed(),
            index: take_last(),
            asked: asked(),
        });
        x
    }
}

/// Hands on what flowed at the tap before those that are deleted.
#[derive(Default)]
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
