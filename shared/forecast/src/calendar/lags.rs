//! How far back the network looks, and the length of a season.

use std::collections::BTreeSet;

use super::{Frequency, Unit};

/// The greatest lag.
const GREATEST_LAG: f64 = 1200.0;
/// Every series has the lags from 1 to this one.
const RECENT: usize = 7;

impl Frequency {
    /// The lags whose values the network is given, ascending, in steps: the last
    /// 7 points, and the points around the same time one or more hours, days,
    /// weeks, months and years before, of those up to 1,200 steps before.
    ///
    /// The rule is that of GluonTS (`get_lags_for_frequency`). It divides
    /// fractions and rounds down, so that a lag may be one less than the calendar
    /// suggests; the golden tables hold it to that.
    #[must_use]
    pub fn lags(self) -> Vec<usize> {
        let n = f64::from(self.multiple());
        let mut around = Lags::default();
        match self.unit() {
            Unit::Month => around.cycles(3, 12.0, n, 1),
            Unit::Week => around.years(n),
            Unit::Day => {
                around.weeks(n);
                around.years(n / 7.0);
            }
            Unit::Hour => {
                around.cycles(7, 24.0, n, 1);
                around.weeks(n / 24.0);
                around.years(n / (24.0 * 7.0));
            }
            Unit::Minute => {
                around.cycles(3, 60.0, n, 2);
                around.cycles(7, 24.0, n / 60.0, 1);
                around.weeks(n / (60.0 * 24.0));
                around.years(n / (60.0 * 24.0 * 7.0));
            }
        }
        (1..=RECENT).chain(around.0).collect()
    }

    /// The steps of a season: those of a day for minutes and hours, of a week for
    /// days, of a year for months; 1 (no season) for weeks, and where a season is
    /// no whole number of steps.
    ///
    /// As GluonTS's `get_seasonality`, but for days, which have no season there:
    /// what people do differs by weekday.
    #[must_use]
    pub fn season(self) -> usize {
        let units = match self.unit() {
            Unit::Month => 12,
            Unit::Week => 1,
            Unit::Day => 7,
            Unit::Hour => 24,
            Unit::Minute => 24 * 60,
        };
        let multiple = self.multiple();
        if units % multiple == 0 {
            (units / multiple) as usize
        } else {
            1
        }
    }
}

/// The lags beyond [`RECENT`].
#[derive(Default)]
struct Lags(BTreeSet<usize>);

impl Lags {
    /// The points within `reach` of each of the last `count` cycles of so many
    /// units, where a step has `multiple` of them.
    fn cycles(&mut self, count: u8, units: f64, multiple: f64, reach: i8) {
        for cycle in 1..=count {
            let middle = floor_divide(f64::from(cycle) * units, multiple);
            for offset in -reach..=reach {
                self.add(middle + f64::from(offset));
            }
        }
    }

    /// Four weeks and a month back, where a step has `multiple` days.
    fn weeks(&mut self, multiple: f64) {
        self.cycles(4, 7.0, multiple, 1);
        self.cycles(1, 30.0, multiple, 1);
    }

    /// Three years and 4, 8 and 12 weeks back, where a step has `multiple` weeks.
    fn years(&mut self, multiple: f64) {
        self.cycles(3, 52.0, multiple, 1);
        for weeks in [4.0, 8.0, 12.0] {
            self.add(floor_divide(weeks, multiple));
        }
    }

    fn add(&mut self, lag: f64) {
        if lag <= GREATEST_LAG {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number, at most 1,200; those below 0 become 0"
            )]
            let lag = lag as usize;
            if lag > RECENT {
                self.0.insert(lag);
            }
        }
    }
}

/// The greatest whole number that is at most `a / b`, of the exact quotient: the
/// quotient as a float may be rounded up to the next one.
fn floor_divide(a: f64, b: f64) -> f64 {
    ((a - a % b) / b).round()
}
