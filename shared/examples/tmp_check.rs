use pipewright::definition::{Definition, check::check};
fn main() {
    for f in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&f).unwrap();
        let t = std::time::Instant::now();
        match Definition::parse(&text) {
            Err(e) => println!("{f}\tPARSE\t{}", e.to_string().replace('\n', "\\n")),
            Ok(d) => {
                let found = check(&d);
                eprintln!("{f} {:?}", t.elapsed());
                for x in found {
                    println!("{f}\t{}\t{}\t{}", x.code, x.path, x.message);
                }
            }
        }
    }
}
