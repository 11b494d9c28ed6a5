//! What becomes of each asset's days where assets are joined by date.

use serde::Serialize;

/// A share of an asset's days that is worth a warning when it is lost.
const MUCH_LOST: f64 = 0.05;

/// What became of the days of an asset on the rows of `features.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetDays {
    /// Its ticker.
    pub asset: String,
    /// The days on which it has a price.
    pub days: usize,
    /// Those of them that are rows.
    pub kept: usize,
    /// Rows on which an earlier price stands for the one that is missing.
    pub filled: usize,
    /// Its days that are no rows.
    pub lost: usize,
}

impl AssetDays {
    /// The share of its days that is lost.
    #[expect(clippy::cast_precision_loss, reason = "day counts are far below 2^53")]
    fn share_lost(&self) -> f64 {
        if self.days == 0 {
            return 0.0;
        }
        self.lost as f64 / self.days as f64
    }

    /// The days in words: `2544 of 3588 days kept, 0 filled, 1044 lost (29.1 %)`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "{} of {} days kept, {} filled, {} lost ({:.1} %)",
            self.kept,
            self.days,
            self.filled,
            self.lost,
            100.0 * self.share_lost()
        )
    }

    /// Whether each of its days is a row and nothing else is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.filled == 0
    }
}

/// The assets that lose much of their days where the rows are the common days.
pub(super) fn much_lost(days: &[AssetDays]) -> Option<String> {
    let many = days.iter().filter(|one| one.share_lost() > MUCH_LOST);
    let many: Vec<String> = many
        .map(|one| {
            format!(
                "{} loses {} of {} days ({:.1} %)",
                one.asset,
                one.lost,
                one.days,
                100.0 * one.share_lost()
            )
        })
        .collect();
    (!many.is_empty()).then(|| {
        format!(
            "rows are the days on which every asset has a price: {}",
            many.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(asset: &str, days: usize, lost: usize) -> AssetDays {
        AssetDays {
            asset: asset.to_owned(),
            days,
            kept: days - lost,
            filled: 0,
            lost,
        }
    }

    #[test]
    fn an_asset_is_named_if_it_loses_more_than_a_twentieth() {
        let all = [
            days("BTC", 3588, 1044),
            days("QQQ", 100, 5),
            days("SPY", 100, 6),
        ];
        assert_eq!(
            much_lost(&all).as_deref(),
            Some(
                "rows are the days on which every asset has a price: \
                 BTC loses 1044 of 3588 days (29.1 %), SPY loses 6 of 100 days (6.0 %)"
            )
        );
        assert_eq!(much_lost(&all[1..2]), None);
        assert_eq!(much_lost(&[days("A", 0, 0)]), None);
    }

    #[test]
    fn days_are_told_in_words() {
        assert_eq!(
            days("BTC", 3588, 1044).sentence(),
            "2544 of 3588 days kept, 0 filled, 1044 lost (29.1 %)"
        );
    }
}
