//! Images as the processor wants them: channels last.
//!
//! Burn's tensors stay `[n, channels, height, width]`; only their strides say that the values of one
//! pixel lie side by side. What the kernels return has that layout, so that in a network of them
//! nothing is ever copied from one order to the other.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{DType, Shape};
use rayon::prelude::*;

use super::buffer::Buffer;

/// The shape of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImagesShape {
    pub n: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl ImagesShape {
    /// The shape of images `[n, channels, height, width]`.
    pub fn of(shape: &Shape) -> Self {
        let [n, channels, height, width] = shape.dims();
        Self {
            n,
            channels,
            height,
            width,
        }
    }

    /// Pixels of one image.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Values of one image.
    pub fn image(self) -> usize {
        self.pixels() * self.channels
    }

    /// All values.
    pub fn values(self) -> usize {
        self.n * self.image()
    }

    fn strides(self) -> [isize; 4] {
        [self.image(), 1, self.width * self.channels, self.channels].map(|stride| stride as isize)
    }

    /// The tensor of values that lie channels last.
    pub fn tensor(self, values: Buffer) -> FlexTensor {
        assert_eq!(values.len(), self.values(), "values of {self:?}");
        let shape = Shape::from([self.n, self.channels, self.height, self.width]);
        let layout = Layout::new(shape, self.strides().to_vec(), 0);
        FlexTensor::new(values.into_bytes(), layout, DType::F32)
    }
}

/// A tensor of f32 whose values lie channels last.
pub(crate) struct Images {
    tensor: FlexTensor,
    pub shape: ImagesShape,
}

impl Images {
    /// The same values, copied only where they lie otherwise.
    pub fn of(tensor: FlexTensor) -> Self {
        let shape = ImagesShape::of(tensor.layout().shape());
        let tensor = if is_channels_last(&tensor, shape) {
            tensor
        } else {
            channels_last(&tensor.to_contiguous(), shape)
        };
        Self { tensor, shape }
    }

    /// The values, pixel after pixel.
    pub fn values(&self) -> &[f32] {
        let start = self.tensor.layout().start_offset();
        &self.tensor.storage()[start..start + self.shape.values()]
    }

    /// The values as memory that may be written, where nobody else holds them.
    pub fn values_mut(&mut self) -> Option<&mut [f32]> {
        let (start, length) = (self.tensor.layout().start_offset(), self.shape.values());
        self.tensor
            .try_storage_mut()
            .map(|values| &mut values[start..start + length])
    }

    /// The tensor again.
    pub fn into_tensor(self) -> FlexTensor {
        self.tensor
    }
}

/// An axis of one value may have any stride.
fn is_channels_last(tensor: &FlexTensor, shape: ImagesShape) -> bool {
    let dims: [usize; 4] = tensor.layout().shape().dims();
    let strides = tensor.layout().strides();
    (0..4).all(|axis| dims[axis] == 1 || strides[axis] == shape.strides()[axis])
}

/// Channels last from channels first.
fn channels_last(tensor: &FlexTensor, shape: ImagesShape) -> FlexTensor {
    let start = tensor.layout().start_offset();
    let source: &[f32] = &tensor.storage()[start..start + shape.values()];
    let mut values = Buffer::new(shape.values());
    if shape.values() > 0 {
        values
            .par_chunks_mut(shape.image())
            .zip(source.par_chunks(shape.image()))
            .for_each(|(to, from)| transpose(from, to, shape.channels, shape.pixels()));
    }
    shape.tensor(values)
}

/// Rows of a block, which together stay in the nearest cache.
const BLOCK: usize = 16;

/// `to[column][row] = from[row][column]`.
fn transpose(from: &[f32], to: &mut [f32], rows: usize, columns: usize) {
    for row in (0..rows).step_by(BLOCK) {
        let row_end = rows.min(row + BLOCK);
        for column in 0..columns {
            let line = &mut to[column * rows + row..column * rows + row_end];
            for (value, row) in line.iter_mut().zip(row..row_end) {
                *value = from[row * columns + column];
            }
        }
    }
}

/// The values of a contiguous tensor.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() && tensor.layout().start_offset() == 0 {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// A contiguous tensor of these sides.
pub(crate) fn tensor_of(values: Buffer, sides: &[usize]) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from(sides.to_vec()));
    FlexTensor::new(values.into_bytes(), layout, DType::F32)
}
