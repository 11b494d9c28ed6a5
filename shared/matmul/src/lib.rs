//! Matrix products of single and double precision, the crate `gemm` behind a
//! function that checks every bound; the element-wise steps of a network's
//! training ([`Element`]); and what the networks and the features share besides:
//! [`random`] numbers and work in [`parallel`].
//!
//! Products and steps run on the caller's thread, so that their bits depend on
//! the operands alone; callers split work into parts of fixed size.

pub mod parallel;
pub mod random;
mod steps;

use std::ops::{Add, AddAssign, Div, Mul, Range, Sub};

use gemm_common::Parallelism;

pub use steps::AdamStep;

/// A number that matrices are made of: `f32` or `f64`.
///
/// The functions work on rows that lie one after the other, each as long as
/// `biases` or `sums`, which must not be empty; what is left over after the last
/// whole row is not touched. Slices of different lengths are taken to the
/// shortest one's end.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// Makes each `x` of each row `1 / (1 + e^-(x + bias))`; within 4e-7 of it in
    /// single precision. NaN stays.
    fn sigmoid(values: &mut [Self], biases: &[Self]);

    /// Makes each `x` of each row `max(x + bias, 0)`. NaN stays.
    fn relu(values: &mut [Self], biases: &[Self]);

    /// Makes the gradient of a sigmoid's outputs that of its inputs, and adds
    /// the rows to `sums`.
    fn sigmoid_back(gradient: &mut [Self], outputs: &[Self], sums: &mut [Self]);

    /// Makes the gradient of [`Element::relu`]'s outputs that of its inputs, and
    /// adds the rows to `sums`.
    fn relu_back(gradient: &mut [Self], outputs: &[Self], sums: &mut [Self]);

    /// A step of an LSTM layer of `units` units. Each row of `gates` has the sums of
    /// the input, forget, candidate and output gates, `units` of each, which become
    /// `i = sigmoid`, `f = sigmoid`, `g = tanh` and `o = sigmoid` of themselves. Of
    /// the cells of the step `before`, `cells` becomes `c = f before + i g`,
    /// `squashed` becomes `tanh(c)` and `outputs` `o tanh(c)`.
    fn lstm(
        gates: &mut [Self],
        before: &[Self],
        cells: &mut [Self],
        squashed: &mut [Self],
        outputs: &mut [Self],
        units: usize,
    );

    /// Takes gradients back through [`Element::lstm`]: `gates` has what it wrote and
    /// becomes the gradient by the gates' sums; `outputs` has the gradient by the
    /// outputs, and `cells` that by the cells, which becomes the one by the cells of
    /// the step `before`.
    fn lstm_back(
        gates: &mut [Self],
        before: &[Self],
        squashed: &[Self],
        outputs: &[Self],
        cells: &mut [Self],
        units: usize,
    );

    /// A step of Adam: moves the running means of the gradient (`first`) and of
    /// its square (`second`), and takes `rate first / (sqrt(second) + epsilon)`
    /// from each value.
    fn adam(
        values: &mut [Self],
        gradient: &[Self],
        first: &mut [Self],
        second: &mut [Self],
        step: AdamStep<Self>,
    );
}

macro_rules! element {
    ($float:ty) => {
        impl Element for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            fn sigmoid(values: &mut [Self], biases: &[Self]) {
                steps::sigmoid(values, biases);
            }
            fn relu(values: &mut [Self], biases: &[Self]) {
                steps::relu(values, biases);
            }
            fn sigmoid_back(gradient: &mut [Self], outputs: &[Self], sums: &mut [Self]) {
                steps::sigmoid_back(gradient, outputs, sums);
            }
            fn relu_back(gradient: &mut [Self], outputs: &[Self], sums: &mut [Self]) {
                steps::relu_back(gradient, outputs, sums);
            }
            fn lstm(
                gates: &mut [Self],
                before: &[Self],
                cells: &mut [Self],
                squashed: &mut [Self],
                outputs: &mut [Self],
                units: usize,
            ) {
                steps::lstm(gates, before, cells, squashed, outputs, units);
            }
            fn lstm_back(
                gates: &mut [Self],
                before: &[Self],
                squashed: &[Self],
                outputs: &[Self],
                cells: &mut [Self],
                units: usize,
            ) {
                steps::lstm_back(gates, before, squashed, outputs, cells, units);
            }
            fn adam(
                values: &mut [Self],
                gradient: &[Self],
                first: &mut [Self],
                second: &mut [Self],
                step: AdamStep<Self>,
            ) {
                steps::adam(values, gradient, first, second, step);
            }
        }
    };
}
element!(f32);
element!(f64);

mod sealed {
    use super::Parallelism;

    /// gemm's product: the result's rows, its columns and the inner dimension; the
    /// result with the strides of its columns and rows, and whether it is added to;
    /// the operands, each with its strides; the factors of the result and of the
    /// product; which of the three to conjugate; the threads.
    type Product<T> = unsafe fn(
        usize,
        usize,
        usize,
        *mut T,
        isize,
        isize,
        bool,
        *const T,
        isize,
        isize,
        *const T,
        isize,
        isize,
        T,
        T,
        bool,
        bool,
        bool,
        Parallelism,
    );

    pub trait Sealed: Sized {
        /// The product for the widest vectors that this machine has.
        fn product() -> Product<Self>;
    }

    impl Sealed for f32 {
        fn product() -> Product<Self> {
            gemm_f32::gemm::f32::get_gemm_fn()
        }
    }

    impl Sealed for f64 {
        fn product() -> Product<Self> {
            gemm_f64::gemm::f64::get_gemm_fn()
        }
    }
}

/// What the network computes with: single precision, or double where a test
/// compares gradients.
pub trait Real:
    Element
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    /// The nearest number.
    fn of(value: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
}

macro_rules! real {
    ($float:ty) => {
        impl Real for $float {
            #[expect(clippy::allow_attributes, reason = "f64 to f64 truncates nothing")]
            #[allow(
                clippy::cast_possible_truncation,
                reason = "rounding is what is wanted"
            )]
            fn of(value: f64) -> Self {
                value as Self
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
        }
    };
}
real!(f32);
real!(f64);

/// A matrix that is read: a slice in row-major order, or its transpose.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows` times `columns` numbers, row after row.
    ///
    /// # Panics
    /// If `data` has another length.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(
            Some(data.len()),
            rows.checked_mul(columns),
            "a matrix of {rows} x {columns} needs as many numbers"
        );
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transpose, without moving a number.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the columns, without moving a number.
    ///
    /// # Panics
    /// If the range does not lie within the columns.
    #[must_use]
    pub fn columns(self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.columns,
            "columns {range:?} of a matrix of {}",
            self.columns
        );
        let start = if self.rows == 0 || range.is_empty() {
            0
        } else {
            range.start * self.column_stride
        };
        Self {
            data: &self.data[start..],
            columns: range.len(),
            ..self
        }
    }
}

/// What becomes of the numbers that the product is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// Writes `lhs * rhs` to `out`, row after row.
///
/// # Panics
/// If the inner dimensions differ, or `out` has not the product's size.
pub fn multiply<T: Element>(out: &mut [T], write: Write, lhs: Matrix<'_, T>, rhs: Matrix<'_, T>) {
    let (m, k, n) = (lhs.rows, lhs.columns, rhs.columns);
    assert_eq!(
        k, rhs.rows,
        "the inner dimensions of a product must be equal"
    );
    assert_eq!(
        Some(out.len()),
        m.checked_mul(n),
        "a product of {m} x {n} needs as many numbers to be written to"
    );
    if out.is_empty() {
        return;
    }
    if k == 0 {
        if write == Write::Replace {
            out.fill(T::ZERO);
        }
        return;
    }
    // A slice is at most isize::MAX bytes long, and strides are dimensions of
    // one that is not empty.
    let stride = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
    // gemm is fastest at results whose columns lie together; those of one column do
    // already, so others are made as their transpose.
    let (lhs, rhs, m, n, column_stride, row_stride) = match n {
        1 => (lhs, rhs, m, n, 1, 1),
        _ => (rhs.transposed(), lhs.transposed(), n, m, stride(n), 1),
    };
    // SAFETY: in a `Matrix`, row * row_stride + column * column_stride stays
    // inside its data for every row < rows and column < columns: `new` makes it
    // so with exactly rows * columns numbers, `transposed` swaps the two, and
    // `columns` takes from the front as much as the first column it keeps lies
    // further on; the fields are private. Neither operand is empty here. `out`
    // holds m * n numbers with row stride n and column stride 1, as asserted
    // above, and can't overlap the operands, being borrowed mutably. Taking turns
    // with the operands and the strides makes the product's transpose of the same
    // numbers.
    unsafe {
        T::product()(
            m,
            n,
            k,
            out.as_mut_ptr(),
            column_stride,
            row_stride,
            write == Write::Add,
            lhs.data.as_ptr(),
            stride(lhs.column_stride),
            stride(lhs.row_stride),
            rhs.data.as_ptr(),
            stride(rhs.column_stride),
            stride(rhs.row_stride),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_definition(lhs: &[f64], rhs: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
        let mut out = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                out[i * n + j] = (0..k).map(|l| lhs[i * k + l] * rhs[l * n + j]).sum();
            }
        }
        out
    }

    fn transpose(data: &[f64], rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns)
            .map(|i| data[(i % rows) * columns + i / rows])
            .collect()
    }

    proptest! {
        #[test]
        fn products_are_the_definitions_however_the_operands_lie(
            (m, k, n) in (0..20_usize, 0..20_usize, 0..20_usize),
            numbers in prop::collection::vec(-10.0..10.0_f64, 1200),
        ) {
            let (lhs, rhs) = (&numbers[..m * k], &numbers[400..400 + k * n]);
            let start = &numbers[800..800 + m * n];
            let wanted = by_definition(lhs, rhs, m, k, n);
            let (lhs_t, rhs_t) = (transpose(lhs, m, k), transpose(rhs, k, n));
            for a in [Matrix::new(lhs, m, k), Matrix::new(&lhs_t, k, m).transposed()] {
                for b in [Matrix::new(rhs, k, n), Matrix::new(&rhs_t, n, k).transposed()] {
                    let mut out = start.to_vec();
                    multiply(&mut out, Write::Replace, a, b);
                    for (x, y) in out.iter().zip(&wanted) {
                        prop_assert!((x - y).abs() < 1e-10);
                    }
                    multiply(&mut out, Write::Add, a, b);
                    for (x, y) in out.iter().zip(&wanted) {
                        prop_assert!((x - 2.0 * y).abs() < 1e-10);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn some_columns_are_those_of_the_whole(
            (rows, columns, a, b) in (0..9_usize, 0..9_usize, 0..9_usize, 0..9_usize),
        ) {
            let (from, to) = (a.min(b).min(columns), a.max(b).min(columns));
            let numbers: Vec<f64> = (0_u16..81).map(f64::from).take(rows * columns).collect();
            let whole = transpose(&numbers, rows, columns);
            let identity: Vec<f64> = (0..rows * rows)
                .map(|i| f64::from(u8::from(i % (rows + 1) == 0)))
                .collect();
            for matrix in [
                Matrix::new(&numbers, rows, columns),
                Matrix::new(&whole, columns, rows).transposed(),
            ] {
                let mut out = vec![0.0; rows * (to - from)];
                let identity = Matrix::new(&identity, rows, rows);
                multiply(&mut out, Write::Replace, identity, matrix.columns(from..to));
                let wanted: Vec<f64> = (0..rows)
                    .flat_map(|row| numbers[row * columns..][from..to].to_vec())
                    .collect();
                prop_assert_eq!(out, wanted);
            }
        }
    }

    #[test]
    #[should_panic(expected = "columns 1..4 of a matrix of 3")]
    fn columns_that_there_are_not_are_refused() {
        let _ = Matrix::new(&[1.0; 6], 2, 3).columns(1..4);
    }

    #[test]
    #[should_panic(expected = "inner dimensions")]
    fn operands_that_do_not_fit_are_refused() {
        multiply(
            &mut [0.0; 4],
            Write::Replace,
            Matrix::new(&[1.0; 4], 2, 2),
            Matrix::new(&[1.0; 6], 3, 2),
        );
    }

    #[test]
    #[should_panic(expected = "needs as many numbers")]
    fn a_slice_of_another_length_is_refused() {
        let _ = Matrix::new(&[1.0_f32; 5], 2, 3);
    }

    #[test]
    #[should_panic(expected = "needs as many numbers")]
    fn a_target_of_another_length_is_refused() {
        multiply(
            &mut [0.0; 3],
            Write::Replace,
            Matrix::new(&[1.0; 4], 2, 2),
            Matrix::new(&[1.0; 4], 2, 2),
        );
    }
}
