//! Every network in training: what moves, and what differs from evaluation.

mod support;

use std::collections::{HashMap, HashSet};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, FloatDType, Tensor};
use models::registry::{self, Entry, MODELS};
use models::{LayerKind, Model, Scores, gradient_checkpointing, noise, parameters};
use support::{build, describe, entries, images, least_size};

/// Of a quarter of the published size, so that the last layers of all families see some pixels.
fn batch(entry: &Entry, device: &Device) -> Tensor<4> {
    let size = least_size(entry).max(entry.image_size / 4);
    images([3, entry.architecture.channels(), size, size], device)
}

/// The cross-entropy of all classifiers, each image being of the first class.
fn loss(scores: Scores) -> Tensor<1> {
    let of = |logits: Tensor<2>| -log_softmax(logits, 1).slice([0..3, 0..1]).mean();
    let auxiliary = scores.auxiliary.into_iter();
    auxiliary.fold(of(scores.logits), |sum, (logits, weight)| {
        sum + of(logits) * weight
    })
}

/// The parameters that the network itself leaves as they are.
fn still(model: &Model) -> HashSet<ParamId> {
    #[derive(Default)]
    struct Still(HashSet<ParamId>);

    impl ModuleVisitor for Still {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !param.val().is_require_grad() {
                self.0.insert(param.id);
            }
        }
    }

    let mut still = Still::default();
    model.visit(&mut still);
    still.0
}

fn every_parameter_moves(entry: &Entry) {
    let device = Device::flex().autodiff();
    let model = build(&entry.architecture, &device);
    noise::start(0, 0, 0);
    let mut found = loss(model.forward_train(batch(entry, &device))).backward();
    let gradients = parameters::take_gradients(&model, &mut found);
    let learnt = parameters::of(&model).into_iter();
    let learnt = learnt.filter(|parameter| parameter.role.is_learnt());
    let still = still(&model);
    for (parameter, gradient) in learnt.zip(gradients) {
        if still.contains(&parameter.id) {
            continue;
        }
        let largest = gradient.map_or(0.0, |g| g.abs().max().into_scalar::<f32>());
        assert!(
            largest > 0.0 && largest.is_finite(),
            "the largest gradient of `{}` in {} is {largest}",
            parameter.path,
            entry.name
        );
    }
}

fn values(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_to_vec().expect("logits in f32")
}

fn modes_differ_by_normalisation_and_dropout_alone(entry: &Entry) {
    let device = Device::flex();
    let model: Model = build(&entry.architecture, &device.clone().autodiff());
    let evaluated = values(model.valid().forward(batch(entry, &device)));
    noise::start(0, 0, 0);
    let trained = model.forward_train(batch(entry, &device.autodiff()));
    let differs = describe(&entry.architecture, entry.input())
        .layers
        .iter()
        .any(|layer| matches!(layer.kind, LayerKind::BatchNorm | LayerKind::Dropout));
    assert_eq!(
        values(trained.logits.inner()) != evaluated,
        differs,
        "{}",
        entry.name
    );
}

/// The loss, the gradients and the running statistics of a step.
fn step(entry: &Entry, checkpoints: bool) -> Vec<Tensor<1>> {
    let device = Device::flex().autodiff();
    let model = build(&entry.architecture, &device);
    noise::start(0, 0, 0);
    let forward = || model.forward_train(batch(entry, &device));
    let loss = loss(gradient_checkpointing::run(checkpoints, forward));
    let mut found = loss.backward();
    let gradients = parameters::take_gradients(&model, &mut found);
    let mut values = vec![loss.inner()];
    values.extend(gradients.into_iter().flatten());
    values.extend(parameters::values(&model));
    values
}

/// Where an auxiliary classifier branches off, gradients are added in another order, and what that rounds
/// otherwise grows on its way to the first layers.
fn checkpointing_changes_no_bit(entry: &Entry) {
    let has_auxiliary = describe(&entry.architecture, entry.input()).auxiliary_parameters > 0;
    let tolerance = if has_auxiliary { 1e-4 } else { 0.0 };
    let kept = step(entry, false);
    let computed_again = step(entry, true);
    assert_eq!(kept.len(), computed_again.len(), "{}", entry.name);
    for (index, (kept, again)) in kept.into_iter().zip(computed_again).enumerate() {
        let largest: f32 = kept.clone().abs().max().into_scalar();
        let error: f32 = (kept - again).abs().max().into_scalar();
        assert!(
            error <= tolerance * largest,
            "value {index} of {}: {error} of {largest}",
            entry.name
        );
    }
}

/// The smallest network of each family.
fn of_each_family() -> impl Iterator<Item = &'static Entry> {
    let mut smallest = HashMap::new();
    for entry in entries(false) {
        let family = std::mem::discriminant(&entry.architecture);
        let size = describe(&entry.architecture, entry.input()).multiply_adds;
        let (least, chosen) = smallest.entry(family).or_insert((size, entry));
        if size < *least {
            (*least, *chosen) = (size, entry);
        }
    }
    smallest.into_values().map(|(_, entry)| entry)
}

#[test]
fn gradient_checkpointing_changes_no_bit() {
    of_each_family().for_each(checkpointing_changes_no_bit);
}

#[test]
#[ignore = "takes minutes"]
fn gradient_checkpointing_changes_no_bit_of_any_network() {
    MODELS.iter().for_each(checkpointing_changes_no_bit);
}

/// The scores of a training step with images in this precision.
fn scores_in(precision: FloatDType, model: &Model, entry: &Entry) -> Scores {
    noise::start(0, 0, 0);
    let images = batch(entry, &Device::flex().autodiff());
    let scores = model.forward_train(images.cast(precision));
    let in_full = |scores: Tensor<2>| {
        assert_eq!(
            FloatDType::from(scores.dtype()),
            precision,
            "{}",
            entry.name
        );
        scores.cast(FloatDType::F32)
    };
    Scores {
        logits: in_full(scores.logits),
        auxiliary: (scores.auxiliary.into_iter())
            .map(|(scores, weight)| (in_full(scores), weight))
            .collect(),
    }
}

/// What flows has 16 bits from the first layer to the scores; parameters keep their 32, and their gradients have as many.
fn trains_in_sixteen_bits(entry: &Entry, tolerance: f64) {
    let model = build(&entry.architecture, &Device::flex().autodiff());
    let full = values(scores_in(FloatDType::F32, &model, entry).logits);
    let half = scores_in(FloatDType::F16, &model, entry);
    let square = |value: f32| f64::from(value).powi(2);
    let apart = values(half.logits.clone()).into_iter().zip(&full);
    let apart: f64 = apart.map(|(half, full)| square(half - full)).sum();
    let whole: f64 = full.iter().copied().map(square).sum();
    let distance = (apart / whole).sqrt();
    assert!(
        distance < tolerance,
        "the scores of {} are {distance} apart",
        entry.name
    );

    let mut found = loss(half).backward();
    let gradients = parameters::take_gradients(&model, &mut found);
    for gradient in gradients.into_iter().flatten() {
        assert_eq!(FloatDType::from(gradient.dtype()), FloatDType::F32);
        assert!(
            gradient.is_finite().all().into_scalar::<bool>(),
            "{}",
            entry.name
        );
    }
}

/// Through a hundred layers that have not learnt, rounding grows; scores that have nothing to do with each other would be
/// 1.4 apart.
#[test]
fn networks_train_in_sixteen_bits() {
    of_each_family().for_each(|entry| trains_in_sixteen_bits(entry, 0.8));
    for name in ["lenet5", "resnet8", "vgg11"] {
        trains_in_sixteen_bits(registry::find(name).unwrap(), 0.02);
    }
}

#[test]
fn every_parameter_of_every_network_moves() {
    entries(false).for_each(every_parameter_moves);
}

#[test]
#[ignore = "needs gigabytes of memory"]
fn every_parameter_of_every_large_network_moves() {
    entries(true).for_each(every_parameter_moves);
}

#[test]
fn training_and_evaluation_differ_where_they_should() {
    entries(false).for_each(modes_differ_by_normalisation_and_dropout_alone);
}

#[test]
#[ignore = "needs gigabytes of memory"]
fn training_and_evaluation_of_large_networks_differ_where_they_should() {
    entries(true).for_each(modes_differ_by_normalisation_and_dropout_alone);
}

/// What is left of the paths is scaled in training: evaluation is that of the network without it.
#[test]
fn stochastic_depth_changes_training_alone() {
    let device = Device::flex();
    for name in ["resnet8", "resnet50", "preact_resnet110", "se_resnet110"] {
        let entry = registry::find(name).unwrap();
        let scores = |stochastic_depth: f64| {
            let architecture = entry.architecture.with_stochastic_depth(stochastic_depth);
            let model = build(&architecture.unwrap(), &device.clone().autodiff());
            let evaluated = values(model.valid().forward(batch(entry, &device)));
            noise::start(0, 0, 0);
            let batch = batch(entry, &device.clone().autodiff());
            (evaluated, values(model.forward_train(batch).logits.inner()))
        };
        let ((evaluated, trained), (with_evaluated, with_trained)) = (scores(0.0), scores(0.5));
        assert_eq!(evaluated, with_evaluated, "{name}");
        assert_ne!(trained, with_trained, "{name}");
    }
}
