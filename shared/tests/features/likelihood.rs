//! The likelihood that a template chooses against the values to be learned.

use pipewright::features::{check, run_with};
use serde_json::{Value, json};

use super::{Assets, asset, assets, end_of_training, parse, series, template, weekdays};

/// Prices alone, and a likelihood.
fn document(likelihood: &str) -> Value {
    let mut document = template(end_of_training());
    let features = document["feMeta"].as_object_mut().unwrap();
    features.remove("taSettings");
    features.remove("fftSettings");
    document["deepARMeta"]["hyperParams"]["likelihood"] = json!(likelihood);
    document
}

/// A, B and C with these prices.
fn priced(price: impl Fn(&str, usize) -> f64) -> Assets {
    let dates = weekdays(130);
    ["A", "B", "C"]
        .map(|ticker| {
            let prices = series(ticker, &dates, |row| price(ticker, row));
            (asset(ticker, "X"), prices)
        })
        .into()
}

fn number(row: usize) -> f64 {
    f64::from(u32::try_from(row).unwrap())
}

/// What the check and the run say, which must be the same.
fn refusal(document: &Value, assets: &Assets) -> Option<String> {
    let template = parse(document);
    let checked = check(&template, assets.clone());
    let made = run_with(&template, assets.clone(), Default::default(), &mut |_| ());
    match (checked, made) {
        (Ok(_), Ok(_)) => None,
        (Err(faults), Err(error)) => {
            assert_eq!(faults, std::slice::from_ref(&error));
            Some(error.to_string())
        }
        (checked, made) => panic!("{checked:?} {:?}", made.err()),
    }
}

/// Counts suit `negative-binomial`, shares suit `beta`, and all numbers suit the others.
#[test]
fn values_that_a_likelihood_can_give_are_taken() {
    let counts = priced(|_, row| number(row % 9));
    let shares = priced(|_, row| number(row % 5) / 4.0);
    let others = priced(|_, row| number(row % 7) - 2.5);
    for (likelihood, fits) in [
        ("negative-binomial", [true, false, false]),
        ("beta", [false, true, false]),
        ("gaussian", [true; 3]),
        ("student-T", [true; 3]),
        ("deterministic-L1", [true; 3]),
    ] {
        let document = document(likelihood);
        let taken = [&counts, &shares, &others].map(|assets| refusal(&document, assets).is_none());
        assert_eq!(taken, fits, "{likelihood}");
    }
}

/// A likelihood that can't give the prices is refused with asset, date, value and cure before
/// anything is computed.
#[test]
fn an_unsuited_likelihood_is_refused_with_asset_date_value_and_cure() {
    let odd = priced(|ticker, row| match (ticker, row) {
        ("B", 3) => 0.5,
        ("C", 4) => -1.0,
        (_, row) => number(row % 9),
    });
    assert_eq!(
        refusal(&document("negative-binomial"), &odd).unwrap(),
        "deepARMeta.hyperParams.likelihood is negative-binomial, which is for whole numbers from 0, but the price \
         of `B` is 0.5 on 2018-01-04 (the first of 2 such values in 2 columns); set it to one of gaussian, \
         student-T, deterministic-L1, which take all numbers"
    );
    let text = refusal(&document("beta"), &assets(130)).unwrap();
    assert!(
        text.contains("which is for numbers from 0 to 1, but the price of `A` is"),
        "{text}"
    );
    assert!(text.contains("such values in 3 columns)"), "{text}");
}

/// Values outside of DeepAR's files don't count.
#[test]
fn only_values_of_the_files_count() {
    let late = priced(|_, row| if row >= 115 { 0.5 } else { number(row % 9) });
    assert_eq!(refusal(&document("negative-binomial"), &late), None);
}

/// A column that is computed from suitable prices is checked when it is there.
#[test]
fn a_computed_column_that_does_not_suit_is_named() {
    let mut document = template(end_of_training());
    document["deepARMeta"]["hyperParams"]["likelihood"] = json!("negative-binomial");
    let counts = priced(|_, row| number(row % 9));
    let template = parse(&document);
    assert!(check(&template, counts.clone()).is_ok());
    let error = run_with(&template, counts, Default::default(), &mut |_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("but the column `A_BB_"), "{text}");
    assert!(text.contains("made of `A`, is "), "{text}");
}
