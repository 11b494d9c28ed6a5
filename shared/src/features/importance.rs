//! Which features go with the target: gradient-boosted regression trees, and
//! the mean gain of each feature's splits.
//!
//! What it says is association on the same day, not forecasting value: a
//! feature that moves with the target today ranks high whether or not it tells
//! anything about tomorrow.
//!
//! The trees minimise squared error with exact splits, and follow XGBoost's
//! rules (`tree_method=exact`, `base_score=0.5`) to the rounding:
//!
//! | parameter | purpose | value |
//! |---|---|---|
//! | trees | boosting rounds | 10 |
//! | depth | splits from root to leaf, at most | 5 |
//! | eta | share of each leaf's value that is added | 0.3 |
//! | lambda | added to each node's row count, against small leaves | 1 |
//! | least gain | what a split must gain | 1e-6 |
//!
//! With G the sum of gradients (prediction - target) of a node and H its rows,
//! a split into L and R gains `G_L^2/(H_L+1) + G_R^2/(H_R+1) - G^2/(H+1)`, and a
//! leaf's value is `-G/(H+1)`. Base score and least gain are no shares of the
//! target: [`Scale`] makes all targets alike. Source: Chen and Guestrin (2016), XGBoost.

use pipewright_matmul::parallel;

const TREES: usize = 10;
const DEPTH: usize = 5;
const ETA: f32 = 0.3;
const LAMBDA: f64 = 1.0;
const BASE_SCORE: f32 = 0.5;
const LEAST_GAIN: f32 = 1e-6;

/// Columns that one unit of work scans.
const CHUNK: usize = 32;

/// What the splits on one feature gained.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gain {
    /// Splits on the feature, over all trees.
    pub splits: usize,
    /// The sum of their gains.
    pub total: f64,
}

impl Gain {
    /// The mean gain of a split; 0 without one.
    #[expect(clippy::cast_precision_loss, reason = "at most 310 splits")]
    pub fn mean(&self) -> f64 {
        if self.splits == 0 {
            0.0
        } else {
            self.total / self.splits as f64
        }
    }
}

/// Takes a target to the scale of the trees: a mean of `BASE_SCORE`, from
/// which they start, and a standard deviation of 1. So what they gain is the
/// same whatever the target is counted in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    least: f64,
    range: f64,
    /// Of the target as shares of its range.
    mean: f64,
    deviation: f64,
}

impl Scale {
    /// The scale of a target, of finite values; a constant one has a deviation
    /// of 0 and becomes the base score.
    #[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
    pub fn of(target: &[f64]) -> Self {
        let least = target.iter().copied().fold(f64::INFINITY, f64::min);
        let most = target.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = most - least;
        let rows = target.len() as f64;
        // Shares of the range neither overflow nor vanish when they are squared.
        let shares = || target.iter().map(|value| (value - least) / range);
        let mean = shares().sum::<f64>() / rows;
        let variance = shares().map(|share| (share - mean).powi(2)).sum::<f64>() / rows;
        if range > 0.0 {
            Self {
                least,
                range,
                mean,
                deviation: variance.sqrt(),
            }
        } else {
            Self {
                least: 0.0,
                range: 1.0,
                mean: 0.0,
                deviation: 0.0,
            }
        }
    }

    /// A value of the target, scaled.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the trees are single precision"
    )]
    pub fn scaled(&self, value: f64) -> f32 {
        if self.deviation > 0.0 {
            let share = (value - self.least) / self.range;
            ((share - self.mean) / self.deviation) as f32 + BASE_SCORE
        } else {
            BASE_SCORE
        }
    }
}

/// Boosts trees that predict `target` from `features` (columns of the target's
/// length, finite) and tells what the splits on each feature gained.
///
/// Features, target and gradients are single precision, sums of gradients
/// double, gains single. Of equal gains the highest threshold wins within a
/// feature and the first feature between them. The result does not depend on
/// the number of threads. O(trees depth rows features) time.
///
/// # Panics
/// If a column's length is not the target's.
pub fn boost(features: &[Vec<f32>], target: &[f32], threads: usize) -> Vec<Gain> {
    let rows = target.len();
    assert!(
        features.iter().all(|column| column.len() == rows),
        "every feature needs a value for each row of the target"
    );
    let mut gains = vec![Gain::default(); features.len()];
    if rows == 0 {
        return gains;
    }
    let orders = parallel::map(
        features.len(),
        threads,
        |feature| ascending(&features[feature]),
        &mut |_, _| (),
    );
    let inverse = inverses(rows);
    let mut predictions = vec![BASE_SCORE; rows];
    for _ in 0..TREES {
        let gradients: Vec<f32> = predictions.iter().zip(target).map(|(p, y)| p - y).collect();
        // The node of each row: an index into `nodes`.
        let mut node_of = vec![0_u32; rows];
        let mut nodes = vec![Node::default()];
        // Nodes of this level, which may split: from here to the end.
        let mut level = 0;
        sum_up(&mut nodes, &node_of, &gradients);
        for _ in 0..DEPTH {
            let open = level..nodes.len();
            let bests = best_splits(
                features, &orders, &gradients, &node_of, &nodes, level, &inverse, threads,
            );
            level = nodes.len();
            for (node, best) in open.zip(bests) {
                let Some(split) = best else { continue };
                gains[split.feature].splits += 1;
                gains[split.feature].total += f64::from(split.gain);
                nodes[node].children = Some((split, nodes.len()));
                nodes.extend([Node::default(), Node::default()]);
            }
            if level == nodes.len() {
                break;
            }
            for (row, node) in node_of.iter_mut().enumerate() {
                if let Some((split, left)) = nodes[*node as usize].children {
                    let right = features[split.feature][row] >= split.threshold;
                    *node = index(left + usize::from(right));
                }
            }
            sum_up(&mut nodes[level..], &offset(&node_of, level), &gradients);
        }
        for (prediction, node) in predictions.iter_mut().zip(&node_of) {
            *prediction += nodes[*node as usize].leaf();
        }
    }
    gains
}

/// A node of a tree.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    gradient: f64,
    rows: usize,
    /// The split and the index of its left child; the right one follows.
    children: Option<(Split, usize)>,
}

impl Node {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "leaf values are single precision, row counts far below 2^53"
    )]
    fn leaf(&self) -> f32 {
        (-self.gradient / (self.rows as f64 + LAMBDA)) as f32 * ETA
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    gain: f32,
    feature: usize,
    threshold: f32,
}

/// `1 / (rows + lambda)` for each number of rows.
#[expect(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
fn inverses(rows: usize) -> Vec<f64> {
    (0..=rows)
        .map(|rows| 1.0 / (rows as f64 + LAMBDA))
        .collect()
}

/// Row numbers in the order of their values, equal ones by number.
fn ascending(column: &[f32]) -> Vec<u32> {
    // One number that sorts as the value does (`f32::total_cmp`), then the row.
    let mut keys: Vec<u64> = column
        .iter()
        .zip(0_u64..)
        .map(|(value, row)| {
            let bits = value.to_bits();
            let negative = bits >> 31 == 1;
            let ordered = if negative { !bits } else { bits | 1 << 31 };
            u64::from(ordered) << 32 | row
        })
        .collect();
    keys.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the row is the lower half of the key"
    )]
    keys.into_iter().map(|key| key as u32).collect()
}

/// A row or node number; there are far fewer than 2^32.
fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Node numbers counted from `first`; those before it become out of range.
fn offset(node_of: &[u32], first: usize) -> Vec<u32> {
    let first = index(first);
    node_of
        .iter()
        .map(|node| node.checked_sub(first).unwrap_or(u32::MAX))
        .collect()
}

/// Adds each row to its node; rows of no node are passed over.
fn sum_up(nodes: &mut [Node], node_of: &[u32], gradients: &[f32]) {
    for (node, gradient) in node_of.iter().zip(gradients) {
        if let Some(node) = nodes.get_mut(*node as usize) {
            node.gradient += f64::from(*gradient);
            node.rows += 1;
        }
    }
}

/// The best split of each node from `level` on.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one tree, used once"
)]
fn best_splits(
    features: &[Vec<f32>],
    orders: &[Vec<u32>],
    gradients: &[f32],
    node_of: &[u32],
    nodes: &[Node],
    level: usize,
    inverse: &[f64],
    threads: usize,
) -> Vec<Option<Split>> {
    let open = &nodes[level..];
    // Rows of no open node go with one more than the last.
    let rows: Vec<(u32, f32)> = offset(node_of, level)
        .into_iter()
        .map(|node| node.min(index(open.len())))
        .zip(gradients.iter().copied())
        .collect();
    let chunks = parallel::map(
        features.len().div_ceil(CHUNK),
        threads,
        |chunk| {
            let mut bests: Vec<Option<Split>> = vec![None; open.len()];
            let from = chunk * CHUNK;
            let to = features.len().min(from + CHUNK);
            for feature in from..to {
                let found = scan(&features[feature], &orders[feature], &rows, open, inverse);
                for (best, (gain, threshold)) in bests.iter_mut().zip(found) {
                    if gain > best.map_or(LEAST_GAIN, |best| best.gain) {
                        *best = Some(Split {
                            gain,
                            feature,
                            threshold,
                        });
                    }
                }
            }
            bests
        },
        &mut |_, _| (),
    );
    let mut bests: Vec<Option<Split>> = vec![None; open.len()];
    for chunk in chunks {
        for (best, found) in bests.iter_mut().zip(chunk) {
            if let Some(found) = found
                && best.is_none_or(|best| found.gain > best.gain)
            {
                *best = Some(found);
            }
        }
    }
    bests
}

/// What the rows of one node seen so far, in the order of a feature, add up to.
#[derive(Clone, Copy)]
struct Running {
    gradient: f64,
    rows: usize,
    last: f32,
    parent: f64,
    gain: f32,
    threshold: f32,
}

/// The best gain and threshold of one feature for each node. `rows` holds each
/// row's node, or the number of nodes if it has none, and its gradient.
fn scan(
    column: &[f32],
    order: &[u32],
    rows: &[(u32, f32)],
    nodes: &[Node],
    inverse: &[f64],
) -> Vec<(f32, f32)> {
    let mut running: Vec<Running> = nodes
        .iter()
        .map(|node| Running {
            gradient: 0.0,
            rows: 0,
            last: f32::NAN,
            parent: node.gradient * node.gradient * inverse[node.rows],
            gain: f32::NEG_INFINITY,
            threshold: f32::NAN,
        })
        .collect();
    for row in order {
        let row = *row as usize;
        let (node, gradient) = rows[row];
        let (Some(node), Some(left)) = (nodes.get(node as usize), running.get_mut(node as usize))
        else {
            continue;
        };
        let value = column[row];
        #[expect(clippy::float_cmp, reason = "candidates lie between different values")]
        if left.rows > 0 && value != left.last {
            let right = node.gradient - left.gradient;
            let score = left.gradient * left.gradient * inverse[left.rows]
                + right * right * inverse[node.rows - left.rows];
            #[expect(
                clippy::cast_possible_truncation,
                reason = "gains are single precision"
            )]
            let gain = (score - left.parent) as f32;
            // Ascending thresholds: of equal gains the last, the highest.
            if gain >= left.gain {
                left.gain = gain;
                left.threshold = (value + left.last) * 0.5;
            }
        }
        left.gradient += f64::from(gradient);
        left.rows += 1;
        left.last = value;
    }
    running.into_iter().map(|r| (r.gain, r.threshold)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(rows: u16, pace: f32) -> Vec<f32> {
        (0..rows).map(|i| (f32::from(i) * pace).sin()).collect()
    }

    #[test]
    fn the_gain_of_a_single_split_is_as_computed_by_hand() {
        // Gradients 0.5 - y: -0.5, -0.5, -9.5, -9.5; split between 2 and 3:
        // 1/3 + 361/3 - 400/5.
        let gains = boost(&[vec![1.0, 2.0, 3.0, 4.0]], &[1.0, 1.0, 10.0, 10.0], 1);
        assert!(gains[0].splits >= 10);
        let first = 1.0_f64 / 3.0 + 361.0 / 3.0 - 80.0;
        assert!(gains[0].total > first);
        let nodes = [Node {
            gradient: -20.0,
            rows: 4,
            children: None,
        }];
        let found = scan(
            &[1.0, 2.0, 3.0, 4.0],
            &[0, 1, 2, 3],
            &[-0.5, -0.5, -9.5, -9.5].map(|gradient| (0, gradient)),
            &nodes,
            &inverses(4),
        );
        assert!((f64::from(found[0].0) - first).abs() < 1e-5);
        assert_eq!(found[0].1, 2.5);
    }

    #[test]
    fn a_feature_that_is_the_target_takes_the_gain() {
        let target = wave(300, 0.1);
        let gains = boost(
            &[wave(300, 0.37), target.clone(), wave(300, 0.53)],
            &target,
            2,
        );
        assert!(gains[1].mean() > 10.0 * gains[0].mean().max(gains[2].mean()));
    }

    #[test]
    fn of_equal_features_the_first_is_used() {
        let target = wave(100, 0.1);
        let gains = boost(&[target.clone(), target.clone()], &target, 2);
        assert!(gains[0].splits > 0);
        assert_eq!(gains[1].splits, 0);
    }

    #[test]
    fn constant_features_and_constant_targets_gain_nothing() {
        let gains = boost(&[vec![1.0; 50]], &wave(50, 0.1), 1);
        assert_eq!(gains, [Gain::default()]);
        // A base score of 0.5 needs no split to reach 0.5.
        let gains = boost(&[wave(50, 0.1)], &[0.5; 50], 1);
        assert_eq!(gains, [Gain::default()]);
        assert_eq!(boost(&[vec![]], &[], 1), [Gain::default()]);
        assert_eq!(boost(&[vec![1.0]], &[2.0], 1), [Gain::default()]);
    }

    #[test]
    fn a_scaled_target_has_the_base_score_for_mean_and_a_deviation_of_one() {
        let scale = Scale::of(&[1e-7, 3e-7]);
        assert_eq!(
            [1e-7, 3e-7, 2e-7].map(|y| scale.scaled(y)),
            [-0.5, 1.5, 0.5]
        );
        let constant = Scale::of(&[7.0, 7.0]);
        assert_eq!(constant.scaled(7.0), BASE_SCORE);
        assert_eq!(Scale::of(&[]).scaled(7.0), BASE_SCORE);
    }

    #[test]
    fn the_number_of_threads_does_not_change_the_gains() {
        let features: Vec<Vec<f32>> = (0..100_u8)
            .map(|i| wave(200, 0.05 + f32::from(i) * 0.01))
            .collect();
        let target = wave(200, 0.2);
        assert_eq!(boost(&features, &target, 1), boost(&features, &target, 7));
    }
}
