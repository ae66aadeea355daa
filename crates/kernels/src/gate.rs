//! Channels that are weighted image by image (Hu et al. 2018, arXiv:1709.01507, equation 4).

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::batch_norm::residual_of;
use crate::ops::CnnOps;
use crate::profile;
use crate::{Activation, Finish, activate};

/// Each channel of each image times its gate, with what `finish` asks for.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - `gates`: `[n, channels]`
/// - output: as the images
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn gate_channels(images: Tensor<4>, gates: Tensor<2>, finish: Finish) -> Tensor<4> {
    let [n, channels, _, _] = images.dims();
    assert_eq!(gates.dims(), [n, channels], "a gate for each channel");
    if let Some(residual) = &finish.residual {
        assert_eq!(
            residual.dims(),
            images.dims(),
            "a residual of the images' shape"
        );
    }
    let gates = gates.cast(images.dtype());
    let rectifies = finish.activation == Activation::Relu;
    let output = profile::pass("gate_channels", || {
        Tensor::from_dispatch(Dispatch::gate_channels_forward(
            images.into_dispatch(),
            gates.into_dispatch(),
            residual_of(finish.residual),
            rectifies,
        ))
    });
    if rectifies {
        output
    } else {
        activate(output, finish.activation)
    }
}
