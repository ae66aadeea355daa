//! Views: the images that evaluation makes of one, so that what a network says of them can be averaged.
//!
//! As augmentation does, they first *choose*, which needs the image's size and, where they are random, numbers, and then
//! *apply* the choice.

use std::fmt;

use rand::{Rng, RngExt};

use crate::augment::{Padding, PaddingMode, crop, flip};
use crate::{Choice, Error, Image, Interpolation, Result, Size, Transform};

/// How an image is looked at: in each frame the same places, in the order frame, place, mirror image.
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    /// The sizes of the image and of its parts.
    pub frames: Vec<Frame>,
    /// How it is scaled.
    pub interpolation: Interpolation,
    /// Pixels that are added on each side of the scaled image.
    pub padding: usize,
    /// What they are.
    pub padding_mode: PaddingMode,
    /// Where the parts lie.
    pub places: Places,
    /// Which parts are mirrored left to right.
    pub mirror: Mirror,
}

/// The size of an image, and of the parts of it that are looked at; each is `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What the image is scaled to cover; without it, the image stays as it is.
    pub scale: Option<[usize; 2]>,
    /// What is cut out; without it, the whole image is the part.
    pub part: Option<[usize; 2]>,
}

/// Where the parts of an image lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// In the middle.
    Middle,
    /// In the corners and in the middle (Krizhevsky et al. 2012, section 4.1).
    Corners,
    /// In so many rows of so many, at equal distances from edge to edge.
    Grid(usize),
    /// At so many random places, all equally likely.
    Random(usize),
    /// In the middle, and so many pixels up and left of it, and down and right (Jordan 2024, arXiv:2404.00498, section 3.5);
    /// the middle weighs as much as the other two.
    Shifted(usize),
}

/// Which parts of an image are mirrored left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror {
    /// None.
    Never,
    /// Each is looked at as it is, and mirrored.
    Both,
    /// Each or its mirror image, at random.
    AtRandom,
}

/// A view that was chosen for images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// What the image is scaled to cover, if it is scaled.
    pub scale: Option<[usize; 2]>,
    /// Row of the part's upper edge, in the scaled and padded image.
    pub top: usize,
    /// Column of its left edge.
    pub left: usize,
    /// Its height and width.
    pub part: [usize; 2],
    /// Whether it is mirrored.
    pub mirrored: bool,
}

impl Views {
    /// How many there are of an image.
    pub fn count(&self) -> usize {
        let mirror_images = match self.mirror {
            Mirror::Both => 2,
            Mirror::Never | Mirror::AtRandom => 1,
        };
        self.frames.len() * self.places.count() * mirror_images
    }

    /// How much of what is said of an image each view has a say in: together 1.
    pub fn weights(&self) -> Vec<f64> {
        let of_place = |place: usize| match (self.places, place) {
            (Places::Shifted(_), 0) => 2.0,
            _ => 1.0,
        };
        let in_frame = self.count() / self.frames.len();
        let of_view = |view: usize| of_place(view % in_frame * self.places.count() / in_frame);
        let weights: Vec<f64> = (0..self.count()).map(of_view).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// The views of an image of `size`.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoom`] where a part is larger than the image, or several are and all would be the same;
    /// [`Error::TransformValue`] and [`Error::TooNarrow`] where the image cannot be scaled or padded.
    pub fn choose(&self, size: Size, rng: &mut impl Rng) -> Result<Vec<View>> {
        crop::check_padding("view", self.padding)?;
        let mut views = Vec::with_capacity(self.count());
        for Frame { scale, part } in &self.frames {
            let scaled = match self.resize(*scale) {
                Some(resize) => resize.output_size(size)?,
                None => size,
            };
            if self.padding_mode == PaddingMode::Reflect {
                crop::check_reflection("view", self.padding, scaled)?;
            }
            let whole = [scaled.height, scaled.width].map(|side| side + 2 * self.padding);
            let part = part.unwrap_or(whole);
            for [top, left] in self.places.of(part, whole, rng)? {
                let mirrored: &[bool] = match self.mirror {
                    Mirror::Never => &[false],
                    Mirror::Both => &[false, true],
                    Mirror::AtRandom if rng.random() => &[true],
                    Mirror::AtRandom => &[false],
                };
                views.extend(mirrored.iter().map(|mirrored| View {
                    scale: *scale,
                    top,
                    left,
                    part,
                    mirrored: *mirrored,
                }));
            }
        }
        Ok(views)
    }

    /// The images of `views`, which were chosen for images of this size.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignChoice`] where they were not.
    pub fn apply(&self, image: &Image, views: &[View]) -> Result<Vec<Image>> {
        let mut images = Vec::with_capacity(views.len());
        for views in views.chunk_by(|a, b| a.scale == b.scale) {
            let scaled = match self.resize(views[0].scale) {
                Some(resize) => &resize.apply(image.clone(), &Choice::Fixed)?,
                None => image,
            };
            for view in views {
                images.push(self.cut(scaled, view)?);
            }
        }
        Ok(images)
    }

    fn resize(&self, scale: Option<[usize; 2]>) -> Option<Transform> {
        scale.map(|[height, width]| Transform::Resize {
            height,
            width,
            interpolation: self.interpolation,
        })
    }

    fn cut(&self, scaled: &Image, view: &View) -> Result<Image> {
        let [height, width] = view.part;
        let fits = view.top + height <= scaled.size.height + 2 * self.padding
            && view.left + width <= scaled.size.width + 2 * self.padding;
        if !fits {
            return Err(Error::ForeignChoice {
                transform: "view",
                choice: format!("{view:?}"),
            });
        }
        let to = Size {
            height,
            width,
            ..scaled.size
        };
        let padding = Padding {
            pixels: self.padding,
            mode: self.padding_mode,
        };
        let part = crop::apply(scaled, to, padding, view.top, view.left);
        Ok(flip::apply(part, view.mirrored))
    }
}

impl Places {
    fn count(self) -> usize {
        match self {
            Self::Middle => 1,
            Self::Shifted(_) => 3,
            Self::Corners => 5,
            Self::Grid(side) => side * side,
            Self::Random(count) => count,
        }
    }

    /// Row and column where each part begins.
    fn of(
        self,
        part: [usize; 2],
        whole: [usize; 2],
        rng: &mut impl Rng,
    ) -> Result<Vec<[usize; 2]>> {
        let several = self.count() > 1;
        let no_room = || Error::NoRoom {
            part,
            several,
            whole,
        };
        let room = |axis: usize| whole[axis].checked_sub(part[axis]);
        let (Some(down), Some(right)) = (room(0), room(1)) else {
            return Err(no_room());
        };
        if part.contains(&0) || several && down + right == 0 {
            return Err(no_room());
        }
        let middle = [crop::half(down), crop::half(right)];
        Ok(match self {
            Self::Middle => vec![middle],
            Self::Shifted(by) => {
                let within = down.checked_sub(2 * by).zip(right.checked_sub(2 * by));
                let (down, right) = within.ok_or_else(no_room)?;
                let [top, left] = [crop::half(down), crop::half(right)];
                let moved = |by: usize| [top + by, left + by];
                vec![moved(by), moved(0), moved(2 * by)]
            }
            Self::Corners => vec![[0, 0], [0, right], [down, 0], [down, right], middle],
            Self::Grid(side) => {
                let at = |index: usize, room: usize| index * room / (side - 1).max(1);
                let row = |y| (0..side).map(move |x| [at(y, down), at(x, right)]);
                (0..side).flat_map(row).collect()
            }
            Self::Random(count) => (0..count)
                .map(|_| [rng.random_range(0..=down), rng.random_range(0..=right)])
                .collect(),
        })
    }
}

/// As in `resize 256x256 bilinear, corners and middle of 224x224, mirrored too`.
impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = |of: fn(&Frame) -> Option<[usize; 2]>| {
            let mut sizes: Vec<String> = (self.frames.iter().filter_map(of))
                .map(|[height, width]| format!("{height}x{width}"))
                .collect();
            sizes.dedup();
            (!sizes.is_empty()).then(|| sizes.join(" | "))
        };
        if let Some(scales) = sizes(|frame| frame.scale) {
            write!(f, "resize {scales} {}, ", self.interpolation)?;
        }
        if self.padding > 0 {
            let reflected = match self.padding_mode {
                PaddingMode::Constant => "",
                PaddingMode::Reflect => " reflected",
            };
            write!(f, "padding {}{reflected}, ", self.padding)?;
        }
        match (self.places, sizes(|frame| frame.part)) {
            (_, None) => f.write_str("the whole image"),
            (Places::Middle, Some(parts)) => write!(f, "middle of {parts}"),
            (Places::Shifted(by), Some(parts)) => {
                write!(
                    f,
                    "middle of {parts}, moved by {by} along the diagonal, too"
                )
            }
            (Places::Corners, Some(parts)) => write!(f, "corners and middle of {parts}"),
            (Places::Grid(side), Some(parts)) => write!(f, "{side}x{side} parts of {parts}"),
            (Places::Random(count), Some(parts)) => write!(f, "{count} random parts of {parts}"),
        }?;
        match self.mirror {
            Mirror::Never => Ok(()),
            Mirror::Both => f.write_str(", mirrored too"),
            Mirror::AtRandom => f.write_str(", some mirrored"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Pixels;
    use crate::random::{Purpose, stream};

    const SIZE: Size = Size::new(1, 4, 5);

    fn views(places: Places, mirror: Mirror) -> Views {
        Views {
            frames: vec![Frame {
                scale: None,
                part: Some([2, 2]),
            }],
            interpolation: Interpolation::Bilinear,
            padding: 0,
            padding_mode: PaddingMode::Constant,
            places,
            mirror,
        }
    }

    fn chosen(views: &Views, index: u64) -> Vec<View> {
        let mut rng = stream(0, Purpose::View, 0, index);
        views.choose(SIZE, &mut rng).unwrap()
    }

    /// `0..20` in four rows.
    fn counting() -> Image {
        Image {
            size: SIZE,
            pixels: Pixels::U8((0..20).collect()),
        }
    }

    #[test]
    fn a_shifted_middle_weighs_as_much_as_the_middle() {
        let shifted = Views {
            padding: 1,
            padding_mode: PaddingMode::Reflect,
            ..views(Places::Shifted(1), Mirror::Both)
        };
        let chosen = chosen(&shifted, 0);
        let places: Vec<_> = chosen.iter().map(|view| (view.top, view.left)).collect();
        // In the padded image of 6x7, whose middle of 2x2 is at 2, 3.
        assert_eq!(places, [(2, 3), (2, 3), (1, 2), (1, 2), (3, 4), (3, 4)]);
        let eighth = 0.125;
        assert_eq!(
            shifted.weights(),
            [0.25, 0.25, eighth, eighth, eighth, eighth]
        );
        assert_eq!(views(Places::Corners, Mirror::Both).weights(), [0.1; 10]);
        let no_room = views(Places::Shifted(2), Mirror::Never);
        let mut rng = stream(0, Purpose::View, 0, 0);
        let refused = no_room.choose(SIZE, &mut rng);
        assert!(matches!(refused, Err(Error::NoRoom { .. })));
    }

    #[test]
    fn what_a_shifted_view_sees_beyond_the_border_is_the_image_reflected() {
        let shifted = Views {
            frames: vec![Frame {
                scale: None,
                part: Some([4, 5]),
            }],
            padding: 1,
            padding_mode: PaddingMode::Reflect,
            ..views(Places::Shifted(1), Mirror::Never)
        };
        let images = shifted.apply(&counting(), &chosen(&shifted, 0)).unwrap();
        #[rustfmt::skip]
        let expected = [
            counting().pixels,
            Pixels::U8(vec![
                6, 5, 6, 7, 8,
                1, 0, 1, 2, 3,
                6, 5, 6, 7, 8,
                11, 10, 11, 12, 13,
            ]),
            Pixels::U8(vec![
                6, 7, 8, 9, 8,
                11, 12, 13, 14, 13,
                16, 17, 18, 19, 18,
                11, 12, 13, 14, 13,
            ]),
        ];
        assert_eq!(
            images
                .into_iter()
                .map(|image| image.pixels)
                .collect::<Vec<_>>(),
            expected
        );
    }

    /// torchvision 0.29: `crops = F.five_crop(counting, 2)`, `sorted(crops + [F.hflip(crop) for crop in crops])`.
    ///
    /// `F.ten_crop` cuts the crops out of the mirrored image, whose middle may be a pixel further; the paper has the
    /// reflections of the patches.
    #[test]
    fn ten_crops_are_five_of_torchvision_and_their_reflections() {
        let ten = views(Places::Corners, Mirror::Both);
        let images = ten.apply(&counting(), &chosen(&ten, 0)).unwrap();
        let mut found: Vec<Vec<u8>> = images
            .into_iter()
            .map(|image| match image.pixels {
                Pixels::U8(bytes) => bytes,
                Pixels::F32(_) => unreachable!("bytes stay bytes"),
            })
            .collect();
        found.sort();
        let expected = [
            [0, 1, 5, 6],
            [1, 0, 6, 5],
            [3, 4, 8, 9],
            [4, 3, 9, 8],
            [7, 8, 12, 13],
            [8, 7, 13, 12],
            [10, 11, 15, 16],
            [11, 10, 16, 15],
            [13, 14, 18, 19],
            [14, 13, 19, 18],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_grid_reaches_from_edge_to_edge() {
        let starts = |side| -> Vec<(usize, usize)> {
            let chosen = chosen(&views(Places::Grid(side), Mirror::Never), 0);
            chosen.iter().map(|view| (view.top, view.left)).collect()
        };
        let expected: Vec<_> = [0, 1, 2]
            .into_iter()
            .flat_map(|top| [0, 1, 3].map(|left| (top, left)))
            .collect();
        assert_eq!(starts(3), expected);
        assert_eq!(starts(1), [(0, 0)]);
    }

    /// A change here changes the figures of `--view five-random`.
    #[test]
    fn random_views_are_pinned_to_the_image() {
        let views = views(Places::Random(3), Mirror::AtRandom);
        let places = |index| -> Vec<_> {
            let chosen = chosen(&views, index);
            chosen.iter().map(|v| (v.top, v.left, v.mirrored)).collect()
        };
        assert_eq!(places(7), [(1, 1, false), (0, 2, true), (1, 0, true)]);
        assert_ne!(places(7), places(8));
    }

    #[test]
    fn an_image_is_scaled_and_padded_before_it_is_cut() {
        let whole = |scale: [usize; 2]| Frame {
            scale: Some(scale),
            part: None,
        };
        let scaled = Views {
            frames: vec![whole([4, 4]), whole([8, 8])],
            ..views(Places::Middle, Mirror::Never)
        };
        let images = scaled.apply(&counting(), &chosen(&scaled, 0)).unwrap();
        assert_eq!(images[0], counting());
        assert_eq!(images[1].size, Size::new(1, 8, 10));

        let padded = Views {
            padding: 1,
            ..views(Places::Corners, Mirror::Never)
        };
        let images = padded.apply(&counting(), &chosen(&padded, 0)).unwrap();
        assert_eq!(images[0].pixels, Pixels::U8(vec![0, 0, 0, 0]));
        assert_eq!(images[3].pixels, Pixels::U8(vec![19, 0, 0, 0]));
    }

    #[test]
    fn parts_without_room_are_refused() {
        let mut rng = stream(0, Purpose::View, 0, 0);
        let mut refused = |places, part| {
            let views = Views {
                frames: vec![Frame {
                    scale: None,
                    part: Some(part),
                }],
                ..views(places, Mirror::Never)
            };
            matches!(views.choose(SIZE, &mut rng), Err(Error::NoRoom { .. }))
        };
        assert!(refused(Places::Corners, [4, 5]));
        assert!(refused(Places::Middle, [5, 5]));
        assert!(refused(Places::Random(1), [9, 1]));
        assert!(refused(Places::Middle, [0, 1]));
        assert!(!refused(Places::Middle, [4, 5]));
        assert!(!refused(Places::Corners, [4, 4]));
    }

    fn places() -> impl Strategy<Value = Places> {
        prop_oneof![
            Just(Places::Middle),
            Just(Places::Corners),
            (1..6_usize).prop_map(Places::Grid),
            (1..6_usize).prop_map(Places::Random),
        ]
    }

    proptest! {
        /// As many views as promised, each of them a part of the padded image, pixel by pixel.
        #[test]
        fn views_are_parts_of_the_image(
            (height, width) in (1..9_usize, 1..9_usize),
            part in (1..9_usize, 1..9_usize),
            padding in 0..3_usize,
            places in places(),
            mirror in prop_oneof![Just(Mirror::Never), Just(Mirror::Both), Just(Mirror::AtRandom)],
            seed: u64,
        ) {
            let size = Size::new(1, height, width);
            let pixels = Pixels::U8((1..=(height * width) as u8).collect());
            let image = Image { size, pixels };
            let views = Views {
                frames: vec![Frame { scale: None, part: Some(part.into()) }],
                padding,
                ..views(places, mirror)
            };
            let Ok(chosen) = views.choose(size, &mut stream(seed, Purpose::View, 0, 0)) else {
                let room = (height + 2 * padding).checked_sub(part.0).zip((width + 2 * padding).checked_sub(part.1));
                prop_assert!(room.is_none_or(|room| room == (0, 0)));
                return Ok(());
            };
            prop_assert_eq!(chosen.len(), views.count());
            for (view, cut) in chosen.iter().zip(views.apply(&image, &chosen).unwrap()) {
                let Pixels::U8(found) = cut.pixels else { unreachable!("bytes stay bytes") };
                for (at, value) in found.into_iter().enumerate() {
                    let (row, column) = (at / part.1, at % part.1);
                    let column = if view.mirrored { part.1 - 1 - column } else { column };
                    let (y, x) = (view.top + row, view.left + column);
                    let inside = (padding..padding + height).contains(&y) && (padding..padding + width).contains(&x);
                    let expected = if inside { 1 + (y - padding) * width + x - padding } else { 0 };
                    prop_assert_eq!(usize::from(value), expected);
                }
            }
        }

        /// The corners' parts touch the edges, and so does a grid, whose steps differ by a pixel at most.
        #[test]
        fn a_grid_is_even(height in 2..40_usize, width in 2..40_usize, side in 2..7_usize) {
            let size = Size::new(1, height, width);
            let grid = views(Places::Grid(side), Mirror::Never);
            let chosen = grid.choose(size, &mut stream(0, Purpose::View, 0, 0));
            prop_assume!(chosen.is_ok());
            let chosen = chosen.unwrap();
            let lefts: Vec<usize> = chosen[..side].iter().map(|view| view.left).collect();
            prop_assert_eq!((lefts[0], lefts[side - 1]), (0, width - 2));
            let steps: Vec<usize> = lefts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(steps.iter().max().unwrap() - steps.iter().min().unwrap() <= 1);
            let bottom = chosen[side * side - 1];
            prop_assert_eq!((bottom.top, bottom.left), (height - 2, width - 2));
        }
    }
}
