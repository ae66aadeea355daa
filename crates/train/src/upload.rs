//! The images of a batch on the device that computes with them.

use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};
use data::{Batch, Normalization, Pixels};

use crate::device;

/// The images of a batch, normalised, shape `[n, channels, height, width]`.
///
/// A GPU is sent the bytes, where the batch has bytes, and normalises them itself: a quarter of the numbers' traffic. On a
/// CPU one table of 256 numbers does it faster than arithmetic.
pub fn images_of(batch: &Batch, device: &Device) -> Tensor<4> {
    match &batch.images {
        Pixels::U8(bytes) if !device::is_cpu(device) => normalized(bytes, batch, device),
        _ => Tensor::from_data(TensorData::new(batch.values(), shape_of(batch)), device),
    }
}

fn shape_of(batch: &Batch) -> [usize; 4] {
    let size = batch.size;
    [batch.labels.len(), size.channels, size.height, size.width]
}

/// The values of a batch's bytes, computed on the device in the order of the CPU's arithmetic.
fn normalized(bytes: &[u8], batch: &Batch, device: &Device) -> Tensor<4> {
    let values = unpacked(bytes, device).reshape(shape_of(batch)) / 255;
    let size = batch.size;
    let tensor = |values: &[f32], shape: [usize; 4]| {
        Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), device)
    };
    let per_channel = [1, size.channels, 1, 1];
    match batch.normalization.as_deref() {
        Some(Normalization::PerChannel { mean, std }) => {
            (values - tensor(mean, per_channel)) / tensor(std, per_channel)
        }
        Some(Normalization::PerPixel { mean }) => {
            values - tensor(mean, [1, size.channels, size.height, size.width])
        }
        None => values,
    }
}

/// Bytes as numbers. They travel four in a word, since WebGPU has no smaller integer.
fn unpacked(bytes: &[u8], device: &Device) -> Tensor<1> {
    const BYTES: usize = size_of::<i32>();
    let word = |bytes: &[u8]| {
        let mut word = [0; BYTES];
        word[..bytes.len()].copy_from_slice(bytes);
        i32::from_le_bytes(word)
    };
    let words: Vec<i32> = bytes.chunks(BYTES).map(word).collect();
    let count = words.len();
    let integers = |values: Vec<i32>, shape: [usize; 2]| {
        let data = TensorData::new(values, shape);
        Tensor::<2, Int>::from_data(data, (device, DType::I32)).expand([count, BYTES])
    };
    let shifts = integers(vec![0, 8, 16, 24], [1, BYTES]);
    let words = integers(words, [count, 1]).bitwise_right_shift(shifts);
    let bytes_and_padding = words.bitwise_and_scalar(0xff).float();
    bytes_and_padding
        .reshape([count * BYTES])
        .slice(s![..bytes.len()])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use data::Size;

    use super::*;

    fn batch(images: usize, size: Size, normalization: Option<Normalization>) -> Batch {
        let bytes = (0..images * size.values()).map(|at| (at * 37 % 256) as u8);
        Batch {
            epoch: 0,
            index: 0,
            indices: (0..images).collect(),
            images: Pixels::U8(bytes.collect()),
            normalization: normalization.map(Arc::new),
            size,
            labels: vec![0; images],
            mixed: None,
            parts: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn bits(values: Tensor<4>) -> Vec<u32> {
        let values: Vec<f32> = values.into_data().try_to_vec().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    /// What a GPU is asked to compute is, where arithmetic is exact, what the CPU looks up.
    #[test]
    fn the_device_computes_what_the_host_does() {
        let spread = |count: usize| (0..count).map(|at| 0.3 + 0.017 * at as f32).collect();
        let device = Device::flex();
        // 1, 63, 96 and 540 bytes: some that fill their last word, and some that do not.
        for [images, channels, height, width] in
            [[1, 1, 1, 1], [1, 3, 7, 3], [2, 3, 4, 4], [3, 3, 10, 6]]
        {
            let size = Size::new(channels, height, width);
            let per_channel = Normalization::PerChannel {
                mean: spread(channels),
                std: spread(channels),
            };
            let per_pixel = Normalization::PerPixel {
                mean: spread(size.values()),
            };
            for normalization in [None, Some(per_channel), Some(per_pixel)] {
                let batch = batch(images, size, normalization);
                let Pixels::U8(bytes) = &batch.images else {
                    unreachable!("made of bytes")
                };
                let computed = normalized(bytes, &batch, &device);
                assert_eq!(computed.dims(), shape_of(&batch));
                assert_eq!(bits(computed), bits(images_of(&batch, &device)));
            }
        }
    }
}
