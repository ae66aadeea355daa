//! Images whose channels follow each other.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;
use crate::profile;

/// The channels of all images, in their order.
///
/// # Shapes
///
/// - each of `parts`: `[n, its own channels, height, width]`
/// - output: `[n, all channels, height, width]`
///
/// # Panics
///
/// Where there are no parts, or they differ in more than their channels.
pub fn concat(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    assert!(!parts.is_empty(), "nothing to join");
    // Neighbours first: a chain would copy the first part once for each other.
    while parts.len() > 1 {
        let mut rest = parts.into_iter();
        let mut joined = Vec::new();
        while let Some(left) = rest.next() {
            joined.push(match rest.next() {
                Some(right) => pair(left, right),
                None => left,
            });
        }
        parts = joined;
    }
    parts.remove(0)
}

fn pair(left: Tensor<4>, right: Tensor<4>) -> Tensor<4> {
    let without_channels = |[n, _, height, width]: [usize; 4]| [n, height, width];
    assert_eq!(
        without_channels(left.dims()),
        without_channels(right.dims()),
        "images of one size"
    );
    profile::pass("concat", || {
        Tensor::from_dispatch(Dispatch::concat_forward(
            left.into_dispatch(),
            right.into_dispatch(),
        ))
    })
}
