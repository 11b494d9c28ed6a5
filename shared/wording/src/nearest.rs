//! The name a person most likely meant, for messages about unknown names.

/// The candidate nearest to `name`, or `None` when there are no candidates.
///
/// Distance is the number of single-character insertions, deletions,
/// substitutions and swaps of neighbours that turn one name into the other
/// (optimal string alignment), without regard to ASCII case. Of candidates
/// equally near, the first in byte order is taken, so the answer does not
/// depend on the order they are given in.
///
/// There is no cut-off: a caller who finds the answer far-fetched may show all
/// known names as well.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    candidates
        .into_iter()
        .min_by_key(|candidate| (distance(&wanted, &fold(candidate)), *candidate))
}

/// The candidate nearest to `name` if it can be a misspelling of it: at most
/// one edit for every three characters of the longer name, and one for the
/// shortest; see [`nearest`].
pub fn likely<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = nearest(name, candidates)?;
    let longer = name.chars().count().max(found.chars().count()).min(LONGEST);
    within_edits(name, found, (longer / 3).max(1)).then_some(found)
}

/// Whether at most so many edits, as [`nearest`] counts them, turn one name into
/// the other.
pub fn within_edits(name: &str, other: &str, edits: usize) -> bool {
    let (a, b) = (fold(name), fold(other));
    a.len().abs_diff(b.len()) <= edits && distance(&a, &b) <= edits
}

/// Names come from untrusted documents; a name longer than this is no
/// misspelling, and its tail would only cost quadratic time.
const LONGEST: usize = 256;

/// A name's first characters without regard to ASCII case.
fn fold(text: &str) -> Vec<char> {
    text.chars()
        .take(LONGEST)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Optimal string alignment distance, in O(|a| |b|) time and three rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let known = ["baseAssets", "taSettings", "fftSettings"];
        assert_eq!(nearest("fftSetings", known), Some("fftSettings"));
        assert_eq!(nearest("tasettings", known), Some("taSettings"));
        assert_eq!(nearest("baseAsstes", known), Some("baseAssets"));
    }

    #[test]
    fn ties_do_not_depend_on_the_order_of_candidates() {
        assert_eq!(nearest("ac", ["ab", "aa"]), Some("aa"));
        assert_eq!(nearest("ac", ["aa", "ab"]), Some("aa"));
    }

    #[test]
    fn a_far_fetched_name_is_not_likely() {
        assert_eq!(likely("epochs", ["Epoch", "batch"]), Some("Epoch"));
        assert_eq!(likely("Nope", ["Train", "Node2Vec"]), None);
        assert_eq!(likely("ab", ["a"]), Some("a"));
    }

    #[test]
    fn no_candidates_give_no_name() {
        assert_eq!(nearest("x", []), None);
    }

    proptest! {
        #[test]
        fn a_known_name_is_its_own_nearest(names in prop::collection::vec("[a-z]{1,8}", 1..6)) {
            let found = nearest(&names[0], names.iter().map(String::as_str));
            prop_assert_eq!(found, Some(names[0].as_str()));
        }

        #[test]
        fn distance_is_symmetric(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
        }
    }
}
