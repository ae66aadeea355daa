//! Every network takes what its configuration says, and refuses the rest.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
use models::registry::MODELS;
use models::{Architecture, parameters};
use support::{build, describe, least_size};

/// Whether every layer fits, which a trace finds without computing.
fn runs(architecture: &Architecture, [height, width]: [usize; 2]) -> bool {
    let input = [architecture.channels(), height, width];
    catch_unwind(AssertUnwindSafe(|| describe(architecture, input))).is_ok()
}

#[test]
fn sizes_are_taken_where_every_layer_fits() {
    for entry in MODELS {
        let architecture = &entry.architecture;
        let least = least_size(entry);
        let sizes = (least..least + 6).map(|size| [size, size]);
        for size in sizes.chain([[least, least + 3], [least + 3, least]]) {
            let is_taken = architecture.check(size).is_ok();
            let name = entry.name;
            assert!(!is_taken || runs(architecture, size), "{name} {size:?}");
        }
        // Not one size too many is refused.
        let smaller = [least - 1; 2];
        assert!(least == 1 || !runs(architecture, smaller), "{}", entry.name);
    }
}

#[test]
fn classes_and_channels_are_the_users() {
    for entry in MODELS {
        let architecture = entry.architecture.with_classes(7).with_channels(2);
        let [_, height, width] = entry.input();
        let described = describe(&architecture, [2, height, width]);
        let output = &described.layers.last().unwrap().output;
        assert_eq!(output, &[7], "{}", entry.name);
    }
}

/// Which is how the number of classes is found that weights are of.
#[test]
fn the_classifiers_bias_comes_last() {
    for entry in MODELS {
        let architecture = entry.architecture.with_classes(7);
        let parameters = parameters::of(&build(&architecture, &Device::flex()));
        assert_eq!(parameters.last().unwrap().shape, [7], "{}", entry.name);
    }
}

#[test]
fn names_are_unique() {
    for (index, entry) in MODELS.iter().enumerate() {
        let again = MODELS[index + 1..].iter().any(|e| e.name == entry.name);
        assert!(!again, "{}", entry.name);
    }
}
