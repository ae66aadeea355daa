//! Networks with parts deleted, and with the gradient of single paths.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};
use models::routes::{Route, Sampling};
use models::{Init, Model, Network, noise, parameters, registry};

const INPUT: [usize; 3] = [3, 32, 32];

fn network(name: &str, device: &Device) -> Model {
    let architecture = &registry::find(name).unwrap().architecture;
    let mut init = Init::new(device, architecture.initialization(), 1);
    architecture.init(&mut init)
}

/// Values between -1 and 1 without a pattern.
fn images(n: usize, device: &Device) -> Tensor<4> {
    let [channels, height, width] = INPUT;
    let values: Vec<f32> = (0..n * channels * height * width)
        .map(|index| ((index * 7919 + 13) % 2003) as f32 / 1001.5 - 1.0)
        .collect();
    Tensor::from_data(
        TensorData::new(values, [n, channels, height, width]),
        device,
    )
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().unwrap()
}

fn classified(model: &Model, rows: Tensor<2>) -> Tensor<2> {
    match model {
        Model::ResNet(network) => network.classify(rows),
        Model::Vgg(network) => network.classify(rows),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_nothing_a_network_is_itself() {
    let device = Device::flex();
    for name in [
        "resnet20",
        "plain20",
        "preact_resnet110",
        "vgg11_bn",
        "cifar_vgg11_bn",
        "efficientnet_b0",
    ] {
        let model = network(name, &device);
        let images = images(2, &device);
        let whole = values(model.forward(images.clone()));
        assert_eq!(values(model.forward_without(images, &[])), whole, "{name}");
    }
}

/// Option A's network has the same shortcuts with and without its layers: without all of them it is
/// the stem, sampled and padded, and the head.
#[test]
fn blocks_are_deleted() {
    let device = Device::flex();
    let model = network("resnet20", &device);
    let parts = model.deletable(INPUT);
    assert_eq!(parts.len(), 9);
    assert_eq!(model.residual_blocks(INPUT), 9);
    let changing: Vec<&str> = (parts.iter().filter(|part| part.changes_shape))
        .map(|part| part.place.as_str())
        .collect();
    assert_eq!(changing, ["stage2.block0", "stage3.block0"]);
    let images = images(2, &device);
    let whole = values(model.forward(images.clone()));
    for part in &parts {
        let without = values(model.forward_without(images.clone(), &[part]));
        assert_ne!(without, whole, "{}", part.place);
    }
    let all: Vec<_> = parts.iter().collect();
    let bare = values(model.forward_without(images.clone(), &all));
    let stem = values(model.features(images, "stem").unwrap());
    // Every fourth pixel of 16 channels, which two times are padded to twice as many, half on each side.
    let mean = |channel: &[f32]| {
        let pixels = (0..8).flat_map(|row| (0..8).map(move |column| 4 * (32 * row + column)));
        pixels.map(|pixel| channel[pixel]).sum::<f32>() / 64.0
    };
    let rows: Vec<f32> = (stem.chunks(16 * 32 * 32))
        .flat_map(|image| {
            let mut row = [0.0; 64];
            for (value, channel) in row[24..40].iter_mut().zip(image.chunks(32 * 32)) {
                *value = mean(channel);
            }
            row
        })
        .collect();
    let seen = Tensor::from_data(TensorData::new(rows, [2, 64]), &device);
    for (found, expected) in bare.iter().zip(values(classified(&model, seen))) {
        assert!((found - expected).abs() < 1e-5, "{found}, {expected}");
    }
}

#[test]
fn a_plain_network_loses_the_blocks_that_keep_the_shape() {
    let device = Device::flex();
    let model = network("plain20", &device);
    let parts = model.deletable(INPUT);
    assert_eq!(model.residual_blocks(INPUT), 0);
    let places: Vec<&str> = parts.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "stage1.block0",
            "stage1.block1",
            "stage1.block2",
            "stage2.block1",
            "stage2.block2",
            "stage3.block1",
            "stage3.block2"
        ]
    );
    let images = images(2, &device);
    let whole = values(model.forward(images.clone()));
    for part in &parts {
        assert_ne!(
            values(model.forward_without(images.clone(), &[part])),
            whole
        );
    }
}

/// Of A: without all of its layers that keep the shape, it has one layer a stage.
#[test]
fn vgg_loses_the_layers_that_keep_the_shape() {
    let device = Device::flex();
    let model = network("cifar_vgg11_bn", &device);
    let parts = model.deletable(INPUT);
    assert_eq!(model.residual_blocks(INPUT), 0);
    let places: Vec<&str> = parts.iter().map(|part| part.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "stage3.layer1",
            "stage4.layer1",
            "stage5.layer0",
            "stage5.layer1"
        ]
    );
    assert!(parts.iter().all(|part| !part.changes_shape));
    assert!(
        parts
            .iter()
            .all(|one| parts.iter().all(|other| !one.fits(other)))
    );
    let images = images(2, &device);
    let whole = values(model.forward(images.clone()));
    let without = |parts: &[_]| values(model.forward_without(images.clone(), parts));
    for part in &parts {
        assert_ne!(without(&[part]), whole, "{}", part.place);
    }
    // Without its two layers, the fifth stage is its pooling: the largest of 2x2 values.
    let stage4 = values(model.features(images.clone(), "stage4").unwrap());
    let pooled: Vec<f32> = (stage4.chunks(4))
        .map(|window| window.iter().copied().fold(f32::MIN, f32::max))
        .collect();
    let seen = Tensor::from_data(TensorData::new(pooled, [2, 512]), &device);
    let expected = values(classified(&model, seen));
    assert_eq!(without(&[&parts[2], &parts[3]]), expected);
}

/// The gradient by the images is the sum of those along all paths: of two blocks, four.
#[test]
fn gradients_of_all_paths_sum_to_the_gradient() {
    let device = Device::flex().autodiff();
    let model = network("resnet8", &device);
    let blocks = model.residual_blocks(INPUT);
    assert_eq!(blocks, 3);
    let gradient = |routes: &[Route]| {
        let images = images(2, &device).require_grad();
        let scores = model.forward_on(images.clone(), routes);
        let gradients = scores.powi_scalar(2).sum().backward();
        values(images.grad(&gradients).unwrap())
    };
    let whole = gradient(&[]);
    let mut sum = vec![0.0; whole.len()];
    for path in 0..1 << blocks {
        let route = |block: usize| match path >> block & 1 {
            0 => Route::BackThroughShortcut,
            _ => Route::BackThroughLayers,
        };
        let routes: Vec<Route> = (0..blocks).map(route).collect();
        for (sum, value) in sum.iter_mut().zip(gradient(&routes)) {
            *sum += value;
        }
    }
    let largest = whole
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 0.0);
    for (sum, whole) in sum.iter().zip(&whole) {
        assert!((sum - whole).abs() < 1e-4 * largest, "{sum}, {whole}");
    }
}

/// What is drawn is gone through whole; what is not learns nothing.
#[test]
fn some_blocks_are_trained_at_a_time() {
    let device = Device::flex().autodiff();
    let model = network("resnet20", &device);
    let images = images(2, &device);
    let blocks = model.residual_blocks(INPUT);
    assert_eq!(blocks, 9);
    let sampling = |count| Sampling { blocks, count };
    let scores = |count: usize| sampling(count).forward_train(&model, images.clone()).logits;
    assert_eq!(
        values(scores(blocks)),
        values(model.forward_train(images.clone()).logits)
    );
    let mut drawn = BTreeSet::new();
    for step in 0..4 {
        noise::start(0, step, 0);
        let mut found = scores(4).sum().backward();
        let gradients = parameters::take_gradients(&model, &mut found);
        let learnt = parameters::of(&model)
            .into_iter()
            .filter(|one| one.role.is_learnt());
        let reached: BTreeSet<String> = (learnt.zip(gradients))
            .filter(|(_, gradient)| gradient.is_some())
            .filter_map(|(parameter, _)| {
                let mut parts = parameter.path.split('.');
                (parts.next()? == "stages").then(|| parts.take(3).collect::<Vec<_>>().join("."))
            })
            .collect();
        assert_eq!(reached.len(), 4, "{reached:?}");
        drawn.insert(reached);
    }
    assert!(drawn.len() > 1, "drawn anew");
}

#[test]
fn blocks_are_swapped() {
    let device = Device::flex();
    let model = network("resnet20", &device);
    let parts = model.deletable(INPUT);
    let images = images(2, &device);
    let whole = values(model.forward(images.clone()));
    let [first, second, third, of_stage2] = [0, 1, 2, 4].map(|index| &parts[index]);
    assert!(first.fits(second) && !first.fits(first));
    assert!(
        !first.fits(of_stage2) && !parts[3].fits(of_stage2),
        "of other shapes"
    );
    let swapped = |pairs: &[[_; 2]]| values(model.forward_swapped(images.clone(), pairs));
    assert_ne!(swapped(&[[first, second]]), whole);
    assert_eq!(swapped(&[[first, second], [second, first]]), whole);
    // Around in a circle, three times.
    let circle = [[first, second], [second, third]];
    assert_ne!(swapped(&circle), swapped(&[[first, second]]));
    assert_eq!(swapped(&[circle, circle, circle].concat()), whole);
    assert_eq!(values(model.forward(images.clone())), whole);
}

/// As the scores do, the responses know the running statistics alone: those of a network that was
/// just drawn are those of its convolutions.
#[test]
fn layers_respond() {
    let device = Device::flex();
    let model = network("resnet20", &device);
    let responses = model.responses(images(4, &device));
    let names: Vec<&str> = responses
        .iter()
        .map(|response| response.layer.as_str())
        .collect();
    assert_eq!(names.len(), 19);
    assert_eq!(names[..3], ["bn1", "layer1.0.bn1", "layer1.0.bn2"]);
    // He's weights keep the variance of what is rectified: two times its own mean of squares.
    for response in &responses[1..3] {
        assert!((0.3..3.0).contains(&response.deviation), "{response:?}");
    }
    assert_eq!(responses, model.responses(images(4, &device)));
}
