//! Matrix products in registers, of which every convolution is made.
//!
//! Two forms, neither of which wants its operands moved before:
//!
//! - [`rows_product`]: rows of values, wherever each lies, with a packed matrix. A value of a row is
//!   spread over a vector and multiplied with vectors of the matrix.
//! - [`outer_products`]: the sum of the outer products of two rows each, over many pairs of rows.

#![expect(
    unsafe_code,
    reason = "the innermost loops go over pointers whose ranges their callers establish"
)]

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::{dispatch, lanes};
use super::target::Target;

/// Vectors in a row of accumulators where there are enough columns.
pub(crate) const VECTORS: usize = 2;

/// Rows of accumulators that fit the registers beside [`VECTORS`] vectors.
pub(crate) const fn rows_of<S: Simd>() -> usize {
    match S::F32_LANES {
        16 => 14,
        8 => 6,
        _ => 4,
    }
}

/// The same sum for each of `R` rows: over all taps, a row's values from `start` on times the panel.
///
/// # Safety
///
/// Every pointer of `rows` can be read for `start + depth` values, and `panel` for `rows.len() * depth * V`
/// vectors.
#[inline(always)]
pub(crate) unsafe fn rows_product<S: Simd, const R: usize, const V: usize>(
    simd: S,
    rows: &[[*const f32; R]],
    start: usize,
    depth: usize,
    panel: *const f32,
) -> [[S::f32s; V]; R] {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let mut vectors = panel.cast::<S::f32s>();
    for tap in rows {
        for index in start..start + depth {
            let mut right = [simd.splat_f32s(0.0); V];
            for (v, vector) in right.iter_mut().enumerate() {
                // SAFETY: within the panel by the caller's promise.
                *vector = unsafe { vectors.add(v).read_unaligned() };
            }
            for (sum, row) in sums.iter_mut().zip(tap) {
                // SAFETY: within the row by the caller's promise.
                let left = simd.splat_f32s(unsafe { *row.add(index) });
                for (sum, vector) in sum.iter_mut().zip(right) {
                    *sum = simd.mul_add_e_f32s(left, vector, *sum);
                }
            }
            // SAFETY: at most one past the panel's end.
            vectors = unsafe { vectors.add(V) };
        }
    }
    sums
}

/// Pairs of rows that lie at even distances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs {
    /// The first pair's row of each side.
    pub start: [usize; 2],
    /// Values from a row to the next, of each side.
    pub step: [usize; 2],
    /// How many pairs.
    pub count: usize,
}

/// `sums[i][j] += left[row][i] * right[row][j]` over all pairs of rows, for `columns` columns.
///
/// # Safety
///
/// From each row that `pairs` names, `left` can be read for `R` values and `right` for `columns`,
/// which fill the vectors but for the last.
#[inline(always)]
unsafe fn outer_products<S: Simd, const R: usize, const V: usize>(
    simd: S,
    left: *const f32,
    right: *const f32,
    columns: usize,
    pairs: &[Pairs],
) -> [[S::f32s; V]; R] {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for pairs in pairs {
        let mut left = left.wrapping_add(pairs.start[0]);
        let mut right = right.wrapping_add(pairs.start[1]);
        for _ in 0..pairs.count {
            // SAFETY: within the rows by the caller's promise.
            unsafe {
                let vectors = load::<S, V>(simd, right, columns);
                for (r, sum) in sums.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*left.add(r));
                    for (sum, vector) in sum.iter_mut().zip(vectors) {
                        *sum = simd.mul_add_e_f32s(value, vector, *sum);
                    }
                }
            }
            left = left.wrapping_add(pairs.step[0]);
            right = right.wrapping_add(pairs.step[1]);
        }
    }
    sums
}

/// Values from a row to the next from which rows fall on few places of the nearest cache: they are
/// copied together first.
const FAR: usize = 128;
/// Rows that are copied together, at most.
const NEAR_ROWS: usize = 64;
/// Rows that are summed where they lie, at most.
const MANY_ROWS: usize = 512;
/// Values of a row that are copied together, at most.
const NEAR_VALUES: usize = 64;

/// The sums of outer products over pairs of rows, added to a matrix.
#[derive(Clone, Copy)]
pub(crate) struct OuterProducts<'a> {
    /// From where the pairs count.
    pub left: *const f32,
    /// From where the pairs count.
    pub right: *const f32,
    /// At most [`rows_at_a_time`].
    pub pairs: &'a [Pairs],
    /// Rows of the matrix: values of a left row.
    pub rows: usize,
    /// Columns of the matrix: values of a right row.
    pub columns: usize,
    /// The matrix.
    pub to: *mut f32,
    /// Values from a row of the matrix to the next.
    pub to_step: usize,
}

/// Room for rows that are copied together, where there were some.
#[derive(Default)]
pub(crate) struct Near {
    left: Option<Buffer>,
    right: Option<Buffer>,
}

/// How many pairs of rows at these distances are summed at a time.
pub(crate) fn rows_at_a_time(steps: [usize; 2]) -> usize {
    if is_far(steps) { NEAR_ROWS } else { MANY_ROWS }
}

fn is_far(steps: [usize; 2]) -> bool {
    steps[0].max(steps[1]) >= FAR
}

fn near_room() -> Buffer {
    Buffer::new(NEAR_ROWS * NEAR_VALUES)
}

impl OuterProducts<'_> {
    /// Adds them.
    ///
    /// # Safety
    ///
    /// The pairs' rows can be read for `rows` and `columns` values, and the matrix written; nobody
    /// else uses the matrix meanwhile.
    #[inline(always)]
    pub unsafe fn add<S: Simd>(&self, simd: S, near: &mut Near) {
        let is_far = self.pairs.first().is_some_and(|pairs| is_far(pairs.step));
        let height = if is_far { NEAR_VALUES } else { self.rows };
        let width = VECTORS * S::F32_LANES;
        for row in (0..self.rows).step_by(height.max(1)) {
            let rows = height.min(self.rows - row);
            // SAFETY: the caller's promise, of these rows and columns.
            unsafe {
                let mut left = self.left.add(row);
                if is_far {
                    let room = near.left.get_or_insert_with(near_room);
                    copy_rows(self.left.add(row), self.pairs, 0, rows, room);
                    left = room.as_ptr();
                }
                for column in (0..self.columns).step_by(width) {
                    let columns = width.min(self.columns - column);
                    let mut part = Self {
                        left,
                        right: self.right.add(column),
                        to: self.to.add(row * self.to_step + column),
                        rows,
                        columns,
                        ..*self
                    };
                    let copied;
                    if is_far {
                        let room = near.right.get_or_insert_with(near_room);
                        let count = copy_rows(part.right, self.pairs, 1, columns, room);
                        copied = [Pairs {
                            start: [0, 0],
                            step: [rows, columns],
                            count,
                        }];
                        part.right = room.as_ptr();
                        part.pairs = &copied;
                    }
                    part.add_columns(simd);
                }
            }
        }
    }

    /// At most a row of accumulators' columns.
    ///
    /// # Safety
    ///
    /// As of [`OuterProducts::add`].
    #[inline(always)]
    unsafe fn add_columns<S: Simd>(&self, simd: S) {
        // SAFETY: the caller's promise.
        unsafe {
            // A count that the compiler knows needs no masks.
            if self.columns == VECTORS * S::F32_LANES {
                self.add_rows::<S, VECTORS>(simd, VECTORS * S::F32_LANES);
            } else if self.columns == S::F32_LANES {
                self.add_rows::<S, 1>(simd, S::F32_LANES);
            } else {
                self.add_rows::<S, VECTORS>(simd, self.columns);
            }
        }
    }

    /// # Safety
    ///
    /// As of [`OuterProducts::add`].
    #[inline(always)]
    unsafe fn add_rows<S: Simd, const V: usize>(&self, simd: S, columns: usize) {
        let mut row = 0;
        while row < self.rows {
            // SAFETY: the caller's promise.
            row += unsafe {
                match (self.rows - row, S::F32_LANES) {
                    (8.., 16) => self.add_block::<S, 8, V>(simd, columns, row),
                    (6.., 8) => self.add_block::<S, 6, V>(simd, columns, row),
                    (4.., _) => self.add_block::<S, 4, V>(simd, columns, row),
                    (2.., _) => self.add_block::<S, 2, V>(simd, columns, row),
                    _ => self.add_block::<S, 1, V>(simd, columns, row),
                }
            };
        }
    }

    /// # Safety
    ///
    /// As of [`OuterProducts::add`]; there are `R` rows from this one on.
    #[inline(always)]
    unsafe fn add_block<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        columns: usize,
        row: usize,
    ) -> usize {
        // SAFETY: the caller's promise.
        unsafe {
            let left = self.left.add(row);
            let sums = outer_products::<S, R, V>(simd, left, self.right, columns, self.pairs);
            for (index, sum) in sums.into_iter().enumerate() {
                let to = self.to.add((row + index) * self.to_step);
                let mut after = load::<S, V>(simd, to, columns);
                for (after, sum) in after.iter_mut().zip(sum) {
                    *after = simd.add_f32s(*after, sum);
                }
                store(simd, after, to, columns);
            }
        }
        R
    }
}

/// Copies `count` values of one side's rows, and returns how many rows there are.
///
/// # Safety
///
/// The rows can be read for `count` values.
#[inline(always)]
unsafe fn copy_rows(
    from: *const f32,
    pairs: &[Pairs],
    side: usize,
    count: usize,
    to: &mut [f32],
) -> usize {
    let mut rows = 0;
    for pairs in pairs {
        let start = from.wrapping_add(pairs.start[side]);
        for index in 0..pairs.count {
            let row = start.wrapping_add(index * pairs.step[side]);
            // SAFETY: the caller's promise.
            let row = unsafe { std::slice::from_raw_parts(row, count) };
            to[rows * count..(rows + 1) * count].copy_from_slice(row);
            rows += 1;
        }
    }
    rows
}

/// The first `columns` values of a row, and zeros.
///
/// # Safety
///
/// `from` can be read for `columns` values.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd, const V: usize>(
    simd: S,
    from: *const f32,
    columns: usize,
) -> [S::f32s; V] {
    let mut vectors = [simd.splat_f32s(0.0); V];
    for (v, vector) in vectors.iter_mut().enumerate() {
        let start = v * S::F32_LANES;
        if start + S::F32_LANES <= columns {
            // SAFETY: within the first `columns` values.
            *vector = unsafe { from.add(start).cast::<S::f32s>().read_unaligned() };
        } else if start < columns {
            // SAFETY: as above.
            let rest = unsafe { std::slice::from_raw_parts(from.add(start), columns - start) };
            *vector = simd.partial_load_f32s(rest);
        }
    }
    vectors
}

/// Matrices of one shape, cut into panels of as many columns as a row of accumulators has.
///
/// Columns past the last are zero. The last panel is one vector wide where that is enough.
pub(crate) struct Panels {
    values: Buffer,
    planes: usize,
    depth: usize,
    columns: usize,
    lanes: usize,
}

/// One panel.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    /// Its first value.
    pub values: *const f32,
    /// Its first column.
    pub start: usize,
    /// Its columns that the matrix has.
    pub columns: usize,
    /// Vectors in a row.
    pub vectors: usize,
}

impl Panels {
    /// A matrix for each of `planes` planes. `fill(row, columns, values, stride)` writes a row's
    /// columns of every plane, the next plane `stride` values further.
    pub fn of_planes(
        planes: usize,
        depth: usize,
        columns: usize,
        fill: impl Fn(usize, Range<usize>, &mut [f32], usize) + Sync,
    ) -> Self {
        let lanes = lanes();
        let mut values = Buffer::new(planes * depth * columns.next_multiple_of(lanes));
        let panel = planes * depth * VECTORS * lanes;
        if panel > 0 {
            values
                .par_chunks_mut(panel)
                .enumerate()
                .for_each(|(index, panel)| {
                    let width = panel.len() / (planes * depth);
                    let start = index * VECTORS * lanes;
                    let range = start..columns.min(start + width);
                    if range.len() < width {
                        panel.fill(0.0);
                    }
                    for row in 0..depth {
                        let values = &mut panel[row * width..];
                        fill(row, range.clone(), values, depth * width);
                    }
                });
        }
        Self {
            values,
            planes,
            depth,
            columns,
            lanes,
        }
    }

    /// Values of a vector for which the panels were cut.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Rows of a matrix.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many panels a matrix has.
    pub fn count(&self) -> usize {
        self.columns.div_ceil(VECTORS * self.lanes)
    }

    /// A panel of the only matrix.
    pub fn panel(&self, index: usize) -> Panel {
        self.panel_of(0, index)
    }

    /// A panel of a plane's matrix.
    pub fn panel_of(&self, plane: usize, index: usize) -> Panel {
        let start = index * VECTORS * self.lanes;
        let columns = (self.columns - start).min(VECTORS * self.lanes);
        let vectors = columns.div_ceil(self.lanes);
        let place = (start * self.planes + plane * vectors * self.lanes) * self.depth;
        Panel {
            values: self.values[place..].as_ptr(),
            start,
            columns,
            vectors,
        }
    }
}

/// Values of a row that are multiplied at a time: as many rows of a panel stay in the nearest cache.
const DEPTH: usize = 256;

/// Rows at even distances, and where their products go.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// The first row.
    pub from: *const f32,
    /// Values from a row to the next.
    pub from_step: usize,
    /// The first row's product.
    pub to: *mut f32,
    /// Values from a product to the next.
    pub to_step: usize,
    /// How many rows.
    pub count: usize,
}

/// The rows times these panels of a plane's matrix.
///
/// # Safety
///
/// Each row can be read for as many values as the matrix is deep, and each product written for as
/// many as it has columns; nobody else uses the panels' columns of the products meanwhile.
#[inline(always)]
pub(crate) unsafe fn multiply_rows<S: Simd>(
    simd: S,
    rows: Rows,
    matrices: &Panels,
    plane: usize,
    panels: Range<usize>,
) {
    assert_eq!(matrices.lanes(), S::F32_LANES);
    for index in panels {
        let mut panel = matrices.panel_of(plane, index);
        let mut rows = rows;
        let mut left = matrices.depth();
        let mut adds = false;
        while left > 0 || !adds {
            let depth = left.min(DEPTH);
            // SAFETY: the caller's promise; `depth` more values of each row, and rows of the panel.
            unsafe {
                match S::F32_LANES {
                    16 => rows.multiply_all::<S, 14>(simd, depth, panel, adds),
                    8 => rows.multiply_all::<S, 6>(simd, depth, panel, adds),
                    _ => rows.multiply_all::<S, 4>(simd, depth, panel, adds),
                }
                rows.from = rows.from.add(depth);
                panel.values = panel.values.add(depth * panel.vectors * S::F32_LANES);
            }
            left -= depth;
            adds = true;
        }
    }
}

/// Rows, one after the other, times the only matrix.
pub(crate) fn multiply(rows: &[f32], products: &mut [f32], matrix: &Panels) {
    let count = products.len() / matrix.columns;
    dispatch(Multiply {
        rows,
        products: Target::new(products),
        matrix,
        count,
        panels: 0..matrix.count(),
    });
}

/// Values of rows that a task multiplies, which stay in the second cache.
const ROWS: usize = 1 << 15;
/// Rows of a task are a multiple of this, the rows of accumulators.
const STEP: usize = 84;
/// Tasks, at least, where there are as many panels.
const TASKS: usize = 16;

/// The same of many rows, on all threads.
pub(crate) fn multiply_in_parallel(rows: &[f32], products: &mut [f32], matrix: &Panels) {
    if products.is_empty() {
        return;
    }
    let depth = matrix.depth;
    let count = products.len() / matrix.columns;
    let most = (ROWS / depth.max(1)).max(STEP) / STEP * STEP;
    let parts = panels_of_tasks(count.div_ceil(most), matrix.count());
    let products = Target::new(products);
    (0..count)
        .into_par_iter()
        .step_by(most)
        .flat_map(|first| parts.par_iter().map(move |panels| (first, panels)))
        .for_each(|(first, panels)| {
            let count = most.min(count - first);
            dispatch(Multiply {
                rows: &rows[first * depth..(first + count) * depth],
                products: products.from(first * matrix.columns),
                matrix,
                count,
                panels: panels.clone(),
            });
        });
}

/// The panels that each task takes, where the rows make so many tasks: with few rows, there would be
/// nothing for most threads to do.
pub(crate) fn panels_of_tasks(tasks: usize, panels: usize) -> Vec<Range<usize>> {
    let size = panels.div_ceil(TASKS.div_ceil(tasks.max(1))).max(1);
    let range = |start: usize| start..(start + size).min(panels);
    (0..panels).step_by(size).map(range).collect()
}

/// So many rows, one after the other, times some panels of the only matrix.
struct Multiply<'a> {
    rows: &'a [f32],
    products: Target<'a>,
    matrix: &'a Panels,
    count: usize,
    panels: Range<usize>,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        assert_eq!(self.rows.len(), self.count * self.matrix.depth);
        // SAFETY: as many rows on both sides, of as many values as the matrix is deep and wide; no
        // two tasks have the same rows and panels.
        unsafe {
            let rows = Rows {
                from: self.rows.as_ptr(),
                from_step: self.matrix.depth,
                to: self.products.at(0, self.count * self.matrix.columns),
                to_step: self.matrix.columns,
                count: self.count,
            };
            multiply_rows(simd, rows, self.matrix, 0, self.panels);
        }
    }
}

impl Rows {
    /// # Safety
    ///
    /// As of [`multiply_rows`].
    #[inline(always)]
    unsafe fn multiply_all<S: Simd, const R: usize>(
        self,
        simd: S,
        depth: usize,
        panel: Panel,
        adds: bool,
    ) {
        // What is added to cannot be computed twice.
        let repeats = self.count >= R && !adds;
        let mut first = 0;
        while first < self.count {
            // Where the last rows do not fill a block, rows before them are computed again, to the
            // same values.
            let start = if repeats {
                first.min(self.count - R)
            } else {
                first
            };
            let full = start + R <= self.count;
            // SAFETY: the caller's promise.
            unsafe {
                match (full, panel.vectors) {
                    (true, VECTORS) => {
                        self.multiply::<S, R, VECTORS>(simd, start, depth, panel, adds);
                    }
                    (true, _) => self.multiply::<S, R, 1>(simd, start, depth, panel, adds),
                    (false, VECTORS) => {
                        self.multiply::<S, 1, VECTORS>(simd, first, depth, panel, adds);
                    }
                    (false, _) => self.multiply::<S, 1, 1>(simd, first, depth, panel, adds),
                }
            }
            first += if full { R } else { 1 };
        }
    }

    /// # Safety
    ///
    /// As of [`multiply_rows`]; there are `R` rows from `first` on.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const R: usize, const V: usize>(
        self,
        simd: S,
        first: usize,
        depth: usize,
        panel: Panel,
        adds: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let from = self.from.add(first * self.from_step);
            let to = self.to.add(first * self.to_step + panel.start);
            let mut left = [[from; R]];
            for (row, left) in left[0].iter_mut().enumerate() {
                *left = from.add(row * self.from_step);
            }
            let mut sums = rows_product::<S, R, V>(simd, &left, 0, depth, panel.values);
            if adds {
                for (row, sum) in sums.iter_mut().enumerate() {
                    let before = load::<S, V>(simd, to.add(row * self.to_step), panel.columns);
                    for (sum, before) in sum.iter_mut().zip(before) {
                        *sum = simd.add_f32s(*sum, before);
                    }
                }
            }
            if panel.columns == V * S::F32_LANES {
                for (row, sum) in sums.into_iter().enumerate() {
                    store(simd, sum, to.add(row * self.to_step), V * S::F32_LANES);
                }
            } else {
                for (row, sum) in sums.into_iter().enumerate() {
                    store(simd, sum, to.add(row * self.to_step), panel.columns);
                }
            }
        }
    }
}

/// Writes the first `columns` values of a row of accumulators.
///
/// # Safety
///
/// `to` can be written for `columns` values.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd, const V: usize>(
    simd: S,
    row: [S::f32s; V],
    to: *mut f32,
    columns: usize,
) {
    for (v, vector) in row.into_iter().enumerate() {
        let start = v * S::F32_LANES;
        if start + S::F32_LANES <= columns {
            // SAFETY: within the first `columns` values.
            unsafe { to.add(start).cast::<S::f32s>().write_unaligned(vector) };
        } else if start < columns {
            // SAFETY: as above.
            let rest = unsafe { std::slice::from_raw_parts_mut(to.add(start), columns - start) };
            simd.partial_store_f32s(rest, vector);
        }
    }
}
