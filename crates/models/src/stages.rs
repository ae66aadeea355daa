//! Stages of blocks, which most deep networks are.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::{Tap, gradient_checkpointing, routes};

/// What a stage repeats.
pub(crate) trait Block: Module {
    /// `[n, channels, h, w]` to `[n, outputs, h', w']`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4>;
}

/// Blocks of one width; the first changes the shape.
#[derive(Module, Debug)]
pub(crate) struct Stage<B: Module> {
    pub blocks: Vec<B>,
}

/// Where a block stands in its network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Its stage, counted from 0.
    pub stage: usize,
    /// Whether it is the first of its stage.
    pub is_first: bool,
    /// Channels of what it is given.
    pub channels: usize,
    /// Blocks before it, of all stages.
    pub before: usize,
    /// Blocks in all.
    pub of: usize,
}

impl Position {
    /// 2 where a stage begins, but for the first stage.
    pub fn stride(self) -> usize {
        if self.is_first && self.stage > 0 {
            2
        } else {
            1
        }
    }

    /// The probability that stochastic depth drops its path, where that is `last` for the last block:
    /// linear in depth (Huang et al. 2016, arXiv:1603.09382, equation 4).
    pub fn dropped(self, last: f64) -> f64 {
        last * (self.before + 1) as f64 / self.of as f64
    }
}

/// Stages of so many blocks each behind `channels`, and how many channels they put out, which `block`
/// says with each block.
pub(crate) fn build<B: Module>(
    depths: &[usize],
    mut channels: usize,
    mut block: impl FnMut(Position) -> (B, usize),
) -> (Vec<Stage<B>>, usize) {
    let of = depths.iter().sum();
    let mut before = 0;
    let mut stages = Vec::with_capacity(depths.len());
    for (stage, &depth) in depths.iter().enumerate() {
        let mut blocks = Vec::with_capacity(depth);
        for index in 0..depth {
            let (made, outputs) = block(Position {
                stage,
                is_first: index == 0,
                channels,
                before,
                of,
            });
            blocks.push(made);
            channels = outputs;
            before += 1;
        }
        stages.push(Stage { blocks });
    }
    (stages, channels)
}

/// The stages one after the other, counted from `first` on; taps after each block, as in
/// `stage1.block0`.
pub(crate) fn forward<B: Block + 'static>(
    stages: &[Stage<B>],
    first: usize,
    mut x: Tensor<4>,
    tap: &mut impl Tap,
) -> Tensor<4> {
    for (stage, Stage { blocks }) in stages.iter().enumerate() {
        for index in 0..blocks.len() {
            let place = format!("stage{}.block{index}", first + stage);
            let block = &blocks[routes::standing_at(&place, index)];
            x = tap.at(&place, gradient_checkpointing::block(block, x, B::forward));
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Dropout;

    /// Any module will do: what matters is where it is told to stand.
    #[test]
    fn blocks_are_dropped_linearly_with_depth() {
        let mut positions = Vec::new();
        let (stages, channels) = build(&[2, 1, 1], 16, |position| {
            positions.push(position);
            (Dropout::new(0.0), 16 << position.stage)
        });
        assert_eq!(
            stages
                .iter()
                .map(|stage| stage.blocks.len())
                .collect::<Vec<_>>(),
            [2, 1, 1]
        );
        assert_eq!(channels, 64);
        let of_positions =
            |of: fn(&Position) -> usize| positions.iter().map(of).collect::<Vec<_>>();
        assert_eq!(of_positions(|position| position.channels), [16, 16, 16, 32]);
        assert_eq!(of_positions(|position| position.stride()), [1, 1, 2, 2]);
        let dropped: Vec<f64> = positions
            .iter()
            .map(|position| position.dropped(0.5))
            .collect();
        assert_eq!(dropped, [0.125, 0.25, 0.375, 0.5]);
    }
}
