//! Inputs that should not be given: each has a defined result or an error that
//! names what is wrong, and no output ever holds anything but finite numbers.

use pipewright::features::{
    CatalogueAsset, ColumnKind, FeatureError, FeatureSet, PriceSeries, assets_needed, read_prices,
};
use pipewright::training_template::TrainingTemplate;
use serde_json::{Value, json};
use time::{Date, Duration};

use super::{
    Assets, asset, assets, end_of_training, files, parse, run, series, template, wave, weekdays,
    with_arima, with_autoencoder,
};

/// A price file of weekdays, its lines changed.
fn file(rows: usize, change: impl Fn(usize, String) -> String) -> Vec<u8> {
    let mut text = "Date,Close\n".to_owned();
    for (row, date) in weekdays(rows).iter().enumerate() {
        text.push_str(&change(row, format!("{date},{}\n", wave(row, 0.11))));
    }
    text.into_bytes()
}

/// Files to features, as a caller goes; an error as its text.
fn from_files(document: &Value, files: &[(&str, Vec<u8>)]) -> Result<FeatureSet, String> {
    let template = TrainingTemplate::parse(document).map_err(|faults| faults.to_string())?;
    let catalogue: Vec<CatalogueAsset> = files.iter().map(|(t, _)| asset(t, "X")).collect();
    let needed = assets_needed(&template, &catalogue).map_err(|error| error.to_string())?;
    let mut all: Assets = Vec::new();
    for one in needed {
        let (ticker, bytes) = files.iter().find(|(t, _)| *t == one.ticker).unwrap();
        let name = format!("{ticker}.csv");
        let read = read_prices(ticker, &name, bytes).map_err(|error| error.to_string())?;
        all.push((one, read));
    }
    run(document, all, 2).map_err(|error| error.to_string())
}

/// Every output is made of finite numbers (or says that there is none).
fn assert_finite(set: &FeatureSet, what: &str) {
    for column in set.columns() {
        assert!(
            !column.values.iter().any(|x| x.is_infinite()),
            "{what}: {}",
            column.name
        );
    }
    let outputs = files(set);
    let summary = serde_json::to_vec(set.summary()).unwrap();
    let importance = serde_json::to_vec(&set.importance()).unwrap();
    for output in outputs.iter().chain([&summary, &importance]) {
        let text = String::from_utf8_lossy(output).to_ascii_lowercase();
        for word in ["nan", "inf"] {
            let found = text.find(word).map(|at| &text[at.saturating_sub(40)..at]);
            // Words of people hold these letters too (`finite`).
            assert!(
                found.is_none_or(|before| !before.ends_with([',', '[', ':', ' ', '-'])),
                "{what}: {word} after {found:?}"
            );
        }
    }
}

/// All stages on, on the prices A, B and C with B's replaced.
fn everything(prices: impl Fn(usize) -> f64) -> Result<FeatureSet, FeatureError> {
    let mut document = template(end_of_training());
    with_arima(&mut document);
    with_autoencoder(&mut document);
    let mut assets = assets(150);
    assets[2].1 = series("B", &weekdays(150), prices);
    run(&document, assets, 2)
}

/// A price by row.
type Shape = Box<dyn Fn(usize) -> f64>;

#[test]
fn any_finite_prices_give_finite_features() {
    let noise = |row: usize| wave(row, 0.7) - 100.0;
    let shapes: Vec<(&str, Shape)> = vec![
        ("constant", Box::new(|_| 5.0)),
        ("zero", Box::new(|_| 0.0)),
        (
            "minus zero",
            Box::new(|row| if row % 2 == 0 { 0.0 } else { -0.0 }),
        ),
        ("negative", Box::new(move |row| noise(row) - 50.0)),
        ("of both signs", Box::new(noise)),
        ("largest", Box::new(move |row| 1e15 - noise(row).abs())),
        (
            "largest of both signs",
            Box::new(|row| if row % 2 == 0 { 1e15 } else { -1e15 }),
        ),
        (
            "one step of the last digit",
            Box::new(|row| if row == 60 { 1e15 } else { 1e15 - 0.125 }),
        ),
        (
            "denormal",
            Box::new(move |row| (noise(row) + 20.0) * 1e-320),
        ),
        (
            "smallest",
            Box::new(|row| if row % 3 == 0 { 5e-324 } else { 1e-323 }),
        ),
        (
            "denormal, later huge",
            Box::new(move |row| {
                if row < 100 {
                    (noise(row) + 20.0) * 1e-320
                } else {
                    1e15
                }
            }),
        ),
        (
            "tiny, later of everyday size",
            Box::new(move |row| {
                if row < 100 {
                    1e-300 * wave(row, 0.3)
                } else {
                    wave(row, 0.3)
                }
            }),
        ),
        (
            "huge, later denormal",
            Box::new(move |row| if row < 100 { 1e15 - noise(row) } else { 5e-324 }),
        ),
        (
            "constant, later not",
            Box::new(move |row| if row < 100 { 7.0 } else { wave(row, 0.2) }),
        ),
        (
            "a straight line",
            Box::new(|row| 3.0 + wave(0, 0.0) * f64::from(u32::try_from(row).unwrap())),
        ),
        (
            "alternating",
            Box::new(|row| if row % 2 == 0 { 1.0 } else { 2.0 }),
        ),
        (
            "doubling",
            Box::new(|row| 1e-20 * 1.6_f64.powi(i32::try_from(row).unwrap())),
        ),
        (
            "one spike",
            Box::new(|row| if row == 50 { 1e15 } else { 1.0 }),
        ),
    ];
    for (what, prices) in shapes {
        match everything(prices) {
            Ok(set) => assert_finite(&set, what),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn prices_that_are_no_numbers_are_refused_with_file_line_and_ticker() {
    for (cell, wanted) in [
        ("NaN", "leave the cell empty"),
        ("nan", "leave the cell empty"),
        ("Inf", "is not a finite number"),
        ("-infinity", "is not a finite number"),
        ("1e999", "is not a finite number"),
        ("-1e16", "is not a finite number"),
        ("1,5", "write `1.5`"),
        ("1,x", "the row has 3 cells"),
        ("$1.5", "is not a price"),
        ("0x10", "is not a price"),
        ("1_000", "write `1000`"),
        ("1 000", "write `1000`"),
        ("--1", "is not a price"),
        ("null", "leave the cell empty"),
        ("١٢", "is not a price"),
    ] {
        let bytes = file(150, |row, line| {
            if row == 40 {
                format!("{},{cell}\n", weekdays(150)[40])
            } else {
                line
            }
        });
        let fine = || file(150, |_, line| line);
        let message = from_files(
            &template(end_of_training()),
            &[("A", fine()), ("B", bytes), ("C", fine())],
        )
        .unwrap_err();
        assert!(
            message.starts_with("B.csv line 42, asset `B`: "),
            "{message}"
        );
        assert!(message.contains(wanted), "{cell}: {message}");
    }
}

#[test]
fn what_is_read_does_not_depend_on_how_the_file_is_written() {
    let plain = file(150, |_, line| line);
    let text = String::from_utf8(plain.clone()).unwrap();
    let quoted: String = text
        .lines()
        .map(|line| format!("\"{}\"\n", line.replace(',', "\",\"")))
        .collect();
    let (heading, rows) = text.split_once('\n').unwrap();
    let backwards: String = rows.lines().rev().map(|line| format!("{line}\n")).collect();
    let backwards = format!("{heading}\n{backwards}");
    let repeated: String = text
        .lines()
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        + text.lines().nth(70).unwrap();
    let wide: String = text
        .lines()
        .map(|line| format!("7,{},x,\"a \"\"b\"\", c\"\n", line.replace(',', ",9,")))
        .collect::<String>()
        .replacen("7,Date,9,Close,x,", "Open,Date,High,Close,Low,", 1);
    let lower = text.replacen("Date,Close", "date,CLOSE", 1);
    let other = text.replacen("Date,Close", "day,price", 1);
    let set = |bytes: &[u8]| {
        let files = [
            ("A", plain.clone()),
            ("B", bytes.to_vec()),
            ("C", plain.clone()),
        ];
        from_files(&template(end_of_training()), &files).unwrap()
    };
    let (wanted, none) = (files(&set(&plain)), Vec::<String>::new());
    let warning = |text: &str| vec![format!("B.csv: {text}")];
    for (what, bytes, warnings) in [
        ("CRLF", text.replace('\n', "\r\n"), none.clone()),
        ("CR", text.replace('\n', "\r"), none.clone()),
        ("byte order mark", format!("\u{feff}{text}"), none.clone()),
        (
            "both",
            format!("\u{feff}{}", text.replace('\n', "\r\n")),
            none.clone(),
        ),
        ("quotes", quoted, none.clone()),
        ("no last line end", text.trim_end().to_owned(), none.clone()),
        ("blank lines", text.replace('\n', "\n\n"), none.clone()),
        ("other case", lower, none),
        (
            "backwards",
            backwards,
            warning("rows are not in the order of their dates; they were sorted"),
        ),
        (
            "repeated",
            repeated,
            vec![
                "B.csv: rows are not in the order of their dates; they were sorted".to_owned(),
                "B.csv: 1 repeated row was taken once".to_owned(),
            ],
        ),
        (
            "more columns",
            wide,
            warning("the columns `Open`, `High`, `Low`, `a \"b\", c` were ignored"),
        ),
        (
            "other headings",
            other,
            warning(
                "the headings `day` and `price` are not `Date` and `Close`; the columns were taken in this order",
            ),
        ),
    ] {
        let set = set(bytes.as_bytes());
        assert!(files(&set) == wanted, "{what}");
        assert_eq!(set.summary().warnings, warnings, "{what}");
    }
}

#[test]
fn files_without_enough_rows_are_refused() {
    let fine = || file(150, |_, line| line);
    let message = |bytes: Vec<u8>| {
        let files = [("A", fine()), ("B", bytes), ("C", fine())];
        from_files(&template(end_of_training()), &files).unwrap_err()
    };
    assert!(message(Vec::new()).starts_with("B.csv, asset `B`: the file is empty"));
    assert!(message(b"Date,Close\n".to_vec()).starts_with("B.csv, asset `B`: the file has no row"));
    for rows in [1, 2, 59] {
        let message = message(file(rows, |_, line| line));
        assert!(
            message.starts_with(&format!("only {rows} dates are common")),
            "{message}"
        );
        assert!(message.contains("`B` limits them"), "{message}");
        assert!(message.contains(&format!("({rows} rows)")), "{message}");
    }
    let unequal = file(150, |row, line| {
        if row == 9 {
            format!("{line}{}", line.replace(',', ",1"))
        } else {
            line
        }
    });
    let message = message(unequal);
    assert!(
        message.starts_with("B.csv line 12, asset `B`: 2018-01-12 occurs twice"),
        "{message}"
    );
}

#[test]
fn tickers_of_any_letters_keep_their_columns_and_their_folder() {
    let dates = weekdays(150);
    let tickers = [
        "BRK.B", "A_B", "A_BB_Up", "^GSPC", "x=y", "日経", "-", "__", "a b", "AE_0x", "\"q\"",
        "=1+1",
    ];
    let mut document = template(end_of_training());
    document["predictedAsset"] = json!("BRK.B");
    document["feMeta"]["taSettings"]["assets"] = json!(["A_B", "__"]);
    let all: Assets = tickers
        .iter()
        .map(|t| (asset(t, "X"), series(t, &dates, |row| wave(row, 0.11))))
        .collect();
    let set = run(&document, all, 2).unwrap();
    for column in set.columns() {
        let of = column.asset.as_deref().unwrap();
        let name = match column.kind {
            ColumnKind::Indicator(indicator) => format!("{of}_{}", indicator.suffix),
            ColumnKind::LowPass { bins } => format!("{of}_FT_{bins}"),
            _ => of.to_owned(),
        };
        assert_eq!(column.name, name);
    }
    let [features, ..] = files(&set);
    let mut reader = csv::Reader::from_reader(features.as_slice());
    let names: Vec<&str> = set.columns().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(
        reader.headers().unwrap().iter().skip(1).collect::<Vec<_>>(),
        names
    );

    let long = "x".repeat(10_000);
    for bad in [
        "a/b", "../a", "..", ".", "a\\b", "", " a", "a\u{0}", "a\nb", &long,
    ] {
        let mut document = template(end_of_training());
        document["predictedAsset"] = json!(bad);
        let faults = TrainingTemplate::parse(&document).unwrap_err().to_string();
        assert!(faults.contains("predictedAsset"), "{faults}");
        assert!(faults.len() < 500, "{} bytes", faults.len());
        let message = assets_needed(&parse(&template(end_of_training())), &[asset(bad, "X")])
            .unwrap_err()
            .to_string();
        assert!(message.contains("ticker"), "{message}");
        assert!(message.len() < 500, "{} bytes", message.len());
    }
}

#[test]
fn a_stage_on_too_few_rows_is_refused_and_on_just_enough_works() {
    // 60 rows, the least accepted; training ends with row 50.
    let mut document = template(weekdays(60)[50]);
    document["feMeta"]["fftSettings"]["num_steps"] = json!([22]);
    document["deepARMeta"]["testWindows"] = json!(1);
    assert_finite(&run(&document, assets(60), 2).unwrap(), "60 rows");
    document["feMeta"]["fftSettings"]["num_steps"] = json!([27]);
    let message = run(&document, assets(60), 2).unwrap_err().to_string();
    assert!(
        message.contains(
            "62 are needed (55 rows of warm-up for num_steps 27 and 1 test windows of 7)"
        ),
        "{message}"
    );
    // Steps of no asset need no rows.
    let mut none = document.clone();
    none["feMeta"]["fftSettings"]["assetClasses"] = json!([]);
    assert_finite(&run(&none, assets(60), 2).unwrap(), "no class");

    let dates = weekdays(2);
    let two: Assets = vec![(asset("A", "X"), series("A", &dates, |row| wave(row, 0.1)))];
    document["feMeta"]["taSettings"]["enabled"] = json!(false);
    document["feMeta"]["taSettings"]["assets"] = json!([]);
    document["feMeta"]["fftSettings"]["mode"] = json!("global");
    let message = run(&document, two, 2).unwrap_err().to_string();
    assert!(message.starts_with("only 2 dates are common"), "{message}");
    assert!(pipewright::features::low_pass::global(&[1.0, 2.0], 1).is_err());
    assert!(pipewright::features::low_pass::global(&[], 1).is_err());
}

#[test]
fn nothing_given_is_refused() {
    let mut document = template(end_of_training());
    assert_eq!(
        run(&document, Vec::new(), 2).unwrap_err().to_string(),
        "the prices of `A` were not given, but predictedAsset names it"
    );
    document["feMeta"] = json!({"baseAssets": []});
    let empty = PriceSeries {
        ticker: "A".to_owned(),
        dates: Vec::new(),
        prices: Vec::new(),
        dropped: 0,
        warnings: Vec::new(),
    };
    let message = run(&document, vec![(asset("A", "X"), empty)], 2)
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("only 0 dates are common"), "{message}");
}

#[test]
fn dates_at_the_ends_of_the_calendar_are_read_or_refused() {
    let first = Date::from_calendar_date(1900, time::Month::January, 1).unwrap();
    let last = Date::from_calendar_date(2200, time::Month::December, 31).unwrap();
    for start in [first, last - Duration::days(149)] {
        let mut text = "Date,Close\n".to_owned();
        for day in 0..150 {
            let date = start + Duration::days(day);
            let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
            text.push_str(&format!("{year:04}-{month:02}-{day:02},{day}.5\n"));
        }
        let mut document = template(start + Duration::days(120));
        document["deepARMeta"]["startDataset"] = json!(super::epoch_ms(start));
        let bytes = text.into_bytes();
        let set = from_files(&document, &[("A", bytes.clone()), ("B", bytes)]).unwrap();
        assert_finite(&set, "the calendar's end");
        let [_, train, _] = files(&set);
        let year = if start == first { "1900" } else { "2200" };
        assert!(String::from_utf8_lossy(&train).starts_with(&format!("{{\"start\":\"{year}-")));
    }
    for date in [
        "0000-01-01",
        "1899-12-31",
        "2201-01-01",
        "10000-01-01",
        "-001-01-01",
        "2018-13-01",
        "2018-00-10",
        "2019-02-29",
    ] {
        let text = format!("Date,Close\n{date},1\n");
        let message = read_prices("B", "B.csv", text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("B.csv line 2, asset `B`: "),
            "{message}"
        );
        let wanted = ["is not a date", "is not one of 1900 to 2200"];
        assert!(
            wanted.iter().any(|part| message.contains(part)),
            "{message}"
        );
    }
}
