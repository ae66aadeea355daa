//! Eigenvalues and eigenvectors of small symmetric matrices.

/// Rotations of every pair of axes: many more than a matrix of some dozens of rows takes.
const SWEEPS: usize = 30;

/// A symmetric matrix as its eigenvalues, the largest first, and its eigenvectors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Eigen {
    pub values: Vec<f64>,
    /// As columns; the component of each that is the largest is positive.
    pub vectors: Vec<Vec<f64>>,
}

impl Eigen {
    /// By Jacobi's rotations.
    pub fn of(mut a: Vec<Vec<f64>>) -> Self {
        let n = a.len();
        let unit = |row| (0..n).map(move |column| f64::from(u8::from(row == column)));
        let mut v: Vec<Vec<f64>> = (0..n).map(|row| unit(row).collect()).collect();
        for _ in 0..SWEEPS {
            for (p, q) in (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))) {
                if a[p][q] != 0.0 {
                    rotate(&mut a, &mut v, p, q);
                }
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
        let column = |row: &[f64]| order.iter().map(|&i| row[i] * sign(&v, i)).collect();
        Self {
            values: order.iter().map(|&i| a[i][i]).collect(),
            vectors: v.iter().map(|row| column(row)).collect(),
        }
    }
}

/// One of Jacobi's rotations, of `p` below `q`: makes `a[p][q]` zero, and turns the eigenvectors `v` along.
fn rotate(a: &mut [Vec<f64>], v: &mut [Vec<f64>], p: usize, q: usize) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let turn = |x: f64, y: f64| (cosine * x - sine * y, sine * x + cosine * y);
    for row in a.iter_mut().chain(v) {
        (row[p], row[q]) = turn(row[p], row[q]);
    }
    let (above, below) = a.split_at_mut(q);
    for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
        (*x, *y) = turn(*x, *y);
    }
}

/// The sign that makes the largest component of column `i` positive.
fn sign(v: &[Vec<f64>], i: usize) -> f64 {
    let largest = v
        .iter()
        .map(|row| row[i])
        .fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
    largest.signum()
}
