//! The arrows of `docs/architecture.md` are the imports of `src/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string("docs/architecture.md").unwrap();
    let block = text.split("```arrows").nth(1).unwrap().split("```").next().unwrap();
    block
        .lines()
        .filter_map(|line| line.split_once("->"))
        .map(|(from, to)| {
            (
                from.trim().to_owned(),
                to.split_whitespace().map(str::to_owned).collect(),
            )
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a text imports by `crate::x` or `use crate::{x::…, y}`; tests inside a file may import anything.
fn imports(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = text
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    let word = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect::<String>()
    };
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut start) = (0, true);
            for (i, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_ascii_lowercase() => {
                        found.insert(word(&list[i..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(word(rest));
        }
    }
    found.remove("");
    found
}

#[test]
fn the_picture_is_true() {
    let allowed = allowed();
    let mut sources = Vec::new();
    files(Path::new("src"), &mut sources);
    let modules: BTreeSet<String> = allowed.keys().cloned().collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources {
        let module = path.strip_prefix("src").unwrap().components().next().unwrap();
        let module = module.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "main" || module == "lib" {
            continue;
        }
        // Files of tests only may import anything.
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name.contains("test")
            || name == "contract"
            || name == "stub"
            || path.components().any(|c| c.as_os_str() == "tests")
        {
            continue;
        }
        let may = allowed
            .get(&module)
            .unwrap_or_else(|| panic!("{module} is not in the picture"));
        seen.insert(module.clone());
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            if modules.contains(&import) && import != module && !may.contains(&import) {
                wrong.push(format!("{}: {module} -> {import}", path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that docs/architecture.md does not allow:\n{}",
        wrong.join("\n")
    );
    assert_eq!(seen, modules, "modules of the picture that do not exist");
}

#[test]
fn the_reader_of_imports_reads() {
    let text = "use crate::{\n    advice::{decide::X, gates},\n    cds::card::Card,\n};\nfn f() { crate::wording::say() }\n// crate::http\n";
    assert_eq!(imports(text), ["advice", "cds", "wording"].map(str::to_owned).into());
}
