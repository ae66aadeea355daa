//! Networks on larger images: the classifier at every place of the features.

mod support;

use burn::tensor::{Device, Tensor, s};
use models::alexnet::{ALEXNET, AlexNetConfig};
use models::layers::{MaxPool2d, flatten};
use models::lenet::LENET5;
use models::overfeat::{OverFeat, OverFeatConfig, Row};
use models::registry::{self, Entry};
use models::{Init, Initialization, Network, NetworkConfig, Seen};
use support::{entries, images, least_size};

/// Of the largest score.
const TOLERANCE: f32 = 1e-5;

fn init<C: NetworkConfig>(config: &C) -> C::Network {
    config.init(&mut Init::new(&Device::flex(), Initialization::He, 0))
}

fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let largest: f32 = expected.clone().abs().max().into_scalar();
    let error: f32 = (found - expected).abs().max().into_scalar();
    assert!(
        error <= TOLERANCE * largest,
        "{what}: {error:e} of at most {largest}"
    );
}

/// Scores `[n, classes]` of each place, row by row, as a map `[n, classes, rows, columns]`.
fn assembled(places: Vec<Vec<Tensor<2>>>) -> Tensor<4> {
    let rows = places.into_iter().map(|row| Tensor::stack::<3>(row, 2));
    Tensor::stack(rows.collect(), 2)
}

/// What `score` makes of squares of `side` pixels, `stride` pixels apart.
fn slid(
    x: Tensor<4>,
    side: usize,
    stride: usize,
    score: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let starts = |pixels: usize| (0..=pixels - side).step_by(stride);
    let at = |top: usize, left: usize| {
        score(
            x.clone()
                .slice(s![.., .., top..top + side, left..left + side]),
        )
    };
    let row = |top| starts(width).map(|left| at(top, left)).collect();
    assembled(starts(height).map(row).collect())
}

/// At least the size that a window needs; a quarter of the published one is enough for means.
fn a_map_of_one_image_is_its_scores(entry: &Entry) {
    let device = Device::flex();
    let architecture = entry.architecture.with_classes(10);
    // As He et al. draw them, a thousand layers overflow before training has moved their statistics.
    let model = architecture.init(&mut Init::new(&device, Initialization::PyTorch, 0));
    let size = match model.seen() {
        Seen::Mean => least_size(entry).max(entry.image_size / 4),
        _ => entry.image_size,
    };
    let batch = images([2, architecture.channels(), size, size], &device);
    let scores = model.forward(batch.clone());
    if model.seen() != Seen::Mean {
        let map = model.forward_map(batch.clone());
        assert_eq!(map.dims(), [2, 10, 1, 1], "{}", entry.name);
    }
    assert_close(model.forward_dense(batch), scores, entry.name);
}

#[test]
fn at_its_own_size_a_networks_map_is_its_scores() {
    let alexnet = registry::find("alexnet");
    (entries(false).chain(alexnet)).for_each(a_map_of_one_image_is_its_scores);
}

#[test]
#[ignore = "needs gigabytes of memory"]
fn at_its_own_size_a_large_networks_map_is_its_scores() {
    entries(true).for_each(a_map_of_one_image_is_its_scores);
}

/// Its two poolings halve the image.
#[test]
fn a_map_is_lenet_slid_over_the_image() {
    let network = init(&LENET5);
    let larger = images([2, 1, 28 + 3 * 4, 28 + 5 * 4], &Device::flex());
    let expected = slid(larger.clone(), 28, 4, |crop| network.forward(crop));
    assert_eq!(expected.dims(), [2, 10, 4, 6]);
    assert_close(network.forward_map(larger), expected, "lenet5");
}

/// Images of `35 + 4 n` pixels have `6 + n` of features where nothing is padded.
const SMALL_OVERFEAT: OverFeatConfig = OverFeatConfig {
    size: 35,
    convs: &[conv(4, 5, 2, Some(2)), conv(6, 3, 1, None)],
    seen: Seen::Pooled { side: 2, pool: 3 },
    hidden: [8, 8],
    dropout: 0.5,
    channels: 3,
    classes: 5,
};

const fn conv(filters: usize, kernel: usize, stride: usize, pool: Option<usize>) -> Row {
    Row {
        filters,
        kernel,
        stride,
        padding: 0,
        pool,
    }
}

/// A place every 4 pixels, of which the last pooling alone would leave every third.
#[test]
fn a_map_is_overfeat_slid_over_the_image_at_every_offset_of_its_last_pooling() {
    let network = init(&SMALL_OVERFEAT);
    let larger = images([1, 3, 35 + 4 * 4, 35 + 2 * 4], &Device::flex());
    let expected = slid(larger.clone(), 35, 4, |crop| network.forward(crop));
    assert_eq!(expected.dims(), [1, 5, 5, 3]);
    assert_close(network.forward_map(larger), expected, "overfeat");
}

/// Section 3.3 of OverFeat: the last pooling at each offset below its window's size, the classifier at
/// each window of what it gives, and the predictions interleaved.
fn interleaved(network: &OverFeat, images: Tensor<4>, side: usize, pool: usize) -> Tensor<4> {
    let features = network.features(images, &mut ());
    let [_, _, height, width] = features.dims();
    let of_offset = |top: usize, left: usize| {
        let shifted = features.clone().slice(s![.., .., top.., left..]);
        let pooled = MaxPool2d::new(pool, pool, 0).forward(shifted);
        slid(pooled, side, 1, |window| network.classify(flatten(window)))
    };
    let maps: Vec<Vec<Tensor<4>>> = (0..pool)
        .map(|top| (0..pool).map(|left| of_offset(top, left)).collect())
        .collect();
    let place = |y: usize, x: usize| {
        let map = maps[y % pool][x % pool].clone();
        let (row, column) = (y / pool, x / pool);
        let score = map.slice(s![.., .., row..=row, column..=column]);
        flatten(score)
    };
    let places = |pixels: usize| 0..=pixels - side * pool;
    let row = |y| places(width).map(|x| place(y, x)).collect();
    assembled(places(height).map(row).collect())
}

/// On features of 8x10, where the offsets' maps differ in size.
#[test]
fn overfeats_last_pooling_is_at_every_offset() {
    let network = init(&SMALL_OVERFEAT);
    let larger = images([2, 3, 35 + 2 * 4, 35 + 4 * 4], &Device::flex());
    let expected = interleaved(&network, larger.clone(), 2, 3);
    assert_eq!(expected.dims(), [2, 5, 3, 5]);
    assert_close(network.forward_map(larger), expected, "overfeat");
}

#[test]
fn overfeat_says_of_an_image_what_it_says_loudest_anywhere() {
    let network = init(&SMALL_OVERFEAT);
    let larger = images([2, 3, 35 + 2 * 4, 35 + 4 * 4], &Device::flex());
    let map = network.forward_map(larger.clone());
    let places: Vec<Tensor<2>> = (0..3)
        .flat_map(|y| (0..5).map(move |x| (y, x)))
        .map(|(y, x)| flatten(map.clone().slice(s![.., .., y..=y, x..=x])))
        .collect();
    let loudest = places.into_iter().reduce(Tensor::max_pair).unwrap();
    assert_close(network.forward_dense(larger), loudest, "overfeat");
}

/// AlexNet pads: a crop sees zeros where the map sees the image. The map is the classifier at each
/// window of the features.
#[test]
fn alexnets_map_is_its_classifier_at_each_window_of_the_features() {
    let config = AlexNetConfig {
        filters: [8; 5],
        classes: 10,
        ..ALEXNET
    };
    let network = init(&config);
    let larger = images([1, 3, 224 + 32, 224 + 2 * 32], &Device::flex());
    let features = network.features(larger.clone(), &mut ());
    let expected = slid(features, 6, 1, |window| network.classify(flatten(window)));
    assert_eq!(expected.dims(), [1, 10, 2, 3]);
    assert_close(network.forward_map(larger), expected, "alexnet");
}
