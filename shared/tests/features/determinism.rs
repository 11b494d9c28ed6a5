//! The same input gives the same bytes of every output, for any number of
//! threads and any order of the assets.

use pipewright::features::FeatureSet;
use serde_json::{Value, json};

use super::{
    Assets, MONDAY, asset, files, run, series, template, wave, weekdays, with_arima,
    with_autoencoder,
};

/// Enough rows and columns that every stage shares its work among threads.
fn many() -> Assets {
    let dates = weekdays(700);
    (0..7_u8)
        .map(|i| {
            let ticker = char::from(b'A' + i).to_string();
            let class = if i < 4 { "X" } else { "Y" };
            let pace = 0.02 + 0.031 * f64::from(i);
            (
                asset(&ticker, class),
                series(&ticker, &dates, |row| wave(row, pace)),
            )
        })
        .collect()
}

/// All that is written of a set, but the plots.
fn outputs(set: &FeatureSet) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = files(set).into();
    all.push(set.series_map().to_string().into_bytes());
    all.push(serde_json::to_vec(&set.importance()).unwrap());
    all.push(serde_json::to_vec(set.summary()).unwrap());
    all
}

fn document(calendar: &str) -> Value {
    let mut document = template(MONDAY + time::Duration::weeks(120));
    with_arima(&mut document);
    with_autoencoder(&mut document);
    document["feMeta"]["autoEncoderSettings"]["fitShuffle"] = json!(calendar == "daily");
    document["feMeta"]["autoEncoderSettings"]["fitBatchSize"] = json!(256);
    document["feMeta"]["fftSettings"]["assetClasses"] = json!(["X", "Y"]);
    document["deepARMeta"]["calendar"] = json!(calendar);
    document
}

#[test]
fn every_output_is_the_same_for_any_threads_and_any_order_of_assets() {
    for calendar in ["daily", "trading"] {
        let document = document(calendar);
        let first = outputs(&run(&document, many(), 1).unwrap());
        assert!(first.iter().all(|output| output.len() > 100));
        for threads in [1, 2, 3, 7] {
            let mut assets = many();
            assets.rotate_left(threads % 7);
            if threads % 2 == 1 {
                assets.reverse();
            }
            let again = outputs(&run(&document, assets, threads).unwrap());
            for (i, (a, b)) in first.iter().zip(&again).enumerate() {
                assert!(a == b, "output {i}, {threads} threads, {calendar}");
            }
        }
    }
}

#[cfg(feature = "plots")]
#[test]
fn every_plot_is_the_same_for_any_threads_and_any_order_of_assets() {
    use pipewright::features::plots::plots;

    let document = document("daily");
    let drawn = |threads: usize, assets: Assets| -> Vec<(String, Vec<u8>)> {
        let list: Vec<_> = assets.iter().map(|(asset, _)| asset.clone()).collect();
        let set = run(&document, assets, threads).unwrap();
        plots(&list, "A", &set)
            .iter()
            .map(|plot| (plot.name().to_owned(), plot.png().unwrap()))
            .collect()
    };
    let mut reversed = many();
    reversed.reverse();
    assert!(drawn(1, many()) == drawn(3, reversed));
}
