//! The weight of a convolution, in the orders that products want.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{ImagesShape, contiguous, tensor_of};
use super::packed::{self, Order};
use super::product::Panels;
use super::sweep::Tap;
use crate::Conv2dOptions;

/// The shape of a convolution's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightShape {
    pub filters: usize,
    /// Channels of a group.
    pub channels: usize,
    pub kernel: [usize; 2],
}

impl WeightShape {
    /// The shape of a weight tensor.
    pub fn of(weight: &FlexTensor) -> Self {
        let [filters, channels, height, width] = weight.layout().shape().dims();
        Self {
            filters,
            channels,
            kernel: [height, width],
        }
    }

    /// Places in the kernel.
    pub fn taps(self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// All values.
    pub fn values(self) -> usize {
        self.filters * self.channels * self.taps()
    }

    /// The output of images of this shape.
    pub fn output_shape(self, images: ImagesShape, options: Conv2dOptions) -> ImagesShape {
        let [height, width] = options
            .output_size([images.height, images.width], self.kernel)
            .expect("the kernel is not larger than the padded image");
        ImagesShape {
            n: images.n,
            channels: self.filters,
            height,
            width,
        }
    }

    /// The taps, row by row, with what `offset(place, axis)` says of them.
    pub fn every_tap(self, offset: impl Fn(usize, usize) -> isize) -> Vec<Tap> {
        (0..self.taps())
            .map(|index| {
                let [y, x] = [index / self.kernel[1], index % self.kernel[1]];
                Tap {
                    index,
                    offset: [offset(y, 0), offset(x, 1)],
                }
            })
            .collect()
    }

    /// The tensor of values `[taps, channels, filters]`, a group's filters after another's, in the
    /// weight's own order.
    pub fn tensor(self, by_tap: &[f32]) -> FlexTensor {
        let (taps, channels, filters) = (self.taps(), self.channels, self.filters);
        let mut values = Buffer::new(self.values());
        values
            .par_chunks_mut((channels * taps).max(1))
            .enumerate()
            .for_each(|(filter, values)| {
                for (place, value) in values.iter_mut().enumerate() {
                    let (channel, tap) = (place / taps, place % taps);
                    *value = by_tap[(tap * channels + channel) * filters + filter];
                }
            });
        tensor_of(values, &[filters, channels, self.kernel[0], self.kernel[1]])
    }
}

/// A weight, `[filters, channels of a group, kernel height, kernel width]`.
pub(crate) struct Weight {
    tensor: FlexTensor,
    pub shape: WeightShape,
    /// Whether it is kept in the orders that it is put in.
    is_kept: bool,
}

impl Weight {
    /// The same values, contiguous.
    pub fn of(tensor: FlexTensor) -> Self {
        let shape = WeightShape::of(&tensor);
        Self {
            tensor: contiguous(tensor),
            shape,
            is_kept: false,
        }
    }

    /// A weight that is likely used again as it is.
    pub fn kept(tensor: FlexTensor) -> Self {
        Self {
            is_kept: true,
            ..Self::of(tensor)
        }
    }

    /// What `pack` makes of the weight, or made of it before.
    pub fn in_order(&self, order: Order, pack: impl FnOnce() -> Vec<Panels>) -> Arc<Vec<Panels>> {
        if self.is_kept {
            packed::keep(&self.tensor, order, pack)
        } else {
            Arc::new(pack())
        }
    }

    /// Each group's matrix from the values of all taps to its filters.
    pub fn all_panels(&self, groups: usize) -> Arc<Vec<Panels>> {
        self.in_order(Order::Taps(groups), || {
            let taps = self.shape.every_tap(|_, _| 0);
            self.panels(&taps, groups)
        })
    }

    /// The values, in the weight's own order.
    pub fn values(&self) -> &[f32] {
        &self.tensor.storage()[..self.shape.values()]
    }

    fn panels(&self, taps: &[Tap], groups: usize) -> Vec<Panels> {
        let WeightShape {
            filters, channels, ..
        } = self.shape;
        let (values, kernel) = (self.values(), self.shape.taps());
        let filters = filters / groups;
        let matrix = |group: usize| {
            let depth = taps.len() * channels;
            Panels::of_planes(1, depth, filters, |row, columns, to, _| {
                let start = row % channels * kernel + taps[row / channels].index;
                for (filter, value) in columns.zip(to) {
                    *value = values[(group * filters + filter) * channels * kernel + start];
                }
            })
        };
        (0..groups).map(matrix).collect()
    }

    /// Each group's matrix from its filters, at these taps, to its channels.
    pub fn transposed_panels(&self, taps: &[Tap], groups: usize) -> Vec<Panels> {
        let WeightShape {
            filters, channels, ..
        } = self.shape;
        let (values, kernel) = (self.values(), self.shape.taps());
        let filters = filters / groups;
        let matrix = |group: usize| {
            let depth = taps.len() * filters;
            Panels::of_planes(1, depth, channels, |row, columns, to, _| {
                let filter = group * filters + row % filters;
                let start = filter * channels * kernel + taps[row / filters].index;
                for (channel, value) in columns.zip(to) {
                    *value = values[start + channel * kernel];
                }
            })
        };
        (0..groups).map(matrix).collect()
    }
}
