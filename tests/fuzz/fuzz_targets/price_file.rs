//! A price file of any bytes gives rising dates with a finite price each, or faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewright::features::read_prices;

fuzz_target!(|bytes: &[u8]| match read_prices("A", "A.csv", bytes) {
    Ok(series) => {
        assert_eq!(series.dates.len(), series.prices.len());
        assert!(series.dates.is_sorted_by(|earlier, later| earlier < later));
        assert!(series.prices.iter().all(|price| price.is_finite()));
    }
    Err(faults) => assert!(!faults.to_string().is_empty()),
});
