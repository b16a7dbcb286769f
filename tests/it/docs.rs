//! The pages about the twins are what the files say.

use std::path::Path;

use jumeau::docs::{Book, folders};

#[test]
fn the_pages_of_the_twins_are_up_to_date() {
    let out = Path::new("docs/twins");
    let book = Book::make(&folders(Path::new("models")).unwrap(), out, || {});
    let errors: Vec<String> = book.errors.iter().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "twins without a page:\n{}", errors.join("\n"));
    let differences = book.differences(out);
    assert!(
        differences.is_empty(),
        "{}\nrenew with: cargo run -- docs",
        differences.join("\n")
    );
}

/// What a reader of the page must find, from the files of one twin.
#[test]
fn a_page_says_what_the_files_say() {
    let page = std::fs::read_to_string("docs/twins/vancomycin.md").unwrap();
    for part in [
        "# Vancomycin dosing, adults",
        "**Investigational**",
        "https://doi.org/10.1097/FTD.0000000000000490",
        "`4.5*(crcl/120)^0.8*0.7^dial` | L/h | CV 39.8 %",
        "`if (age > 60 && scr < 1) 1 else scr`",
        "additive SD 3.4 mg/L, proportional 22.7 %",
        "400 to 600 mg·h/L",
        "median 650 mg·h/L or more",
        "Race and ethnicity | not read",
        "(vancomycin.svg)",
    ] {
        assert!(page.contains(part), "the page lacks: {part}");
    }
    // Every row of a table has as many cells as its head.
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    for pair in page.lines().collect::<Vec<_>>().windows(2) {
        if let [above, below] = pair
            && above.starts_with('|')
            && below.starts_with('|')
        {
            assert_eq!(cells(above), cells(below), "{above}\n{below}");
        }
    }
}
