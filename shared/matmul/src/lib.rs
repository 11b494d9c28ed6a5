//! Matrix products of single and double precision: the crate `gemm` behind a
//! function that checks every bound.
//!
//! Everything runs on the caller's thread, so that a product's bits depend on
//! its operands alone; callers split work into parts of fixed size.

use gemm::Parallelism;

/// A number that matrices are made of: `f32` or `f64`.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

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
    // SAFETY: `Matrix` holds exactly rows * columns numbers in row-major order
    // or transposed, so row * row_stride + column * column_stride stays inside
    // for every row < rows and column < columns; its fields are private and
    // set by `new` and `transposed` alone. `out` holds m * n numbers with row
    // stride n and column stride 1, as asserted above, and can't overlap the
    // operands, being borrowed mutably. T is f32 or f64, which gemm takes.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride(n),
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
