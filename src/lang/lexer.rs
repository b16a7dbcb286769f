//! Text to tokens.

use super::LangError;
use std::ops::Range;

/// The smallest pieces of the language.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    /// A number, never negative (the sign is an operator).
    Number(f64),
    /// A number with its unit, `3.8[ug/L]`: the value and the UCUM code.
    Quantity(f64, String),
    /// A name or a keyword.
    Name(String),
    /// A text between double quotes: the level of a category.
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
    /// End of a statement: a line end outside parentheses, or `;`.
    End,
}

/// A token and the bytes it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Longer symbols first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 18] = [
    "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "^", "(", ")", ",", "<", ">", "=", "!",
];

/// Splits a text into tokens; comments and blanks vanish.
///
/// # Errors
/// A character outside the language, or a number that is malformed or too large.
pub fn tokens(text: &str) -> Result<Vec<Token>, LangError> {
    let mut out = Vec::new();
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let length = match first {
            '\n' | ';' => {
                if depth == 0 || first == ';' {
                    out.push(Token {
                        kind: TokenKind::End,
                        span: at..at + 1,
                    });
                }
                1
            }
            c if c.is_whitespace() => c.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            c if c.is_ascii_digit() || c == '.' => {
                let length = number_length(rest);
                let digits = rest.get(..length).unwrap_or_default();
                let value = digits.parse::<f64>().ok().filter(|value| value.is_finite());
                let Some(value) = value else {
                    return Err(LangError::new(
                        at..at + length.max(1),
                        format!("`{digits}` is not a usable number"),
                    ));
                };
                let (kind, length) = match unit_length(rest, length) {
                    Some(Ok(end)) => {
                        let code = rest.get(length + 1..end - 1).unwrap_or_default().to_owned();
                        (TokenKind::Quantity(value, code), end)
                    }
                    Some(Err(())) => {
                        return Err(LangError::new(at + length..at + length + 1, "this `[` is never closed")
                            .with_help("a unit stands right behind its number: `3.8[ug/L]`"));
                    }
                    None => (TokenKind::Number(value), length),
                };
                out.push(Token {
                    kind,
                    span: at..at + length,
                });
                length
            }
            '"' => {
                let end = rest
                    .get(1..)
                    .and_then(|inside| inside.find(['"', '\n']))
                    .filter(|end| rest.get(end + 1..).is_some_and(|tail| tail.starts_with('"')));
                let Some(end) = end else {
                    return Err(LangError::new(at..at + 1, "this text has no closing quote on its line"));
                };
                out.push(Token {
                    kind: TokenKind::Text(rest.get(1..=end).unwrap_or_default().to_owned()),
                    span: at..at + end + 2,
                });
                end + 2
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len());
                let name = rest.get(..length).unwrap_or_default().to_owned();
                out.push(Token {
                    kind: TokenKind::Name(name),
                    span: at..at + length,
                });
                length
            }
            c => {
                let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) else {
                    let error = LangError::new(
                        at..at + c.len_utf8(),
                        format!("the character `{c}` has no meaning here"),
                    );
                    return Err(match c {
                        '&' | '|' => error.with_help(format!("write `{c}{c}`")),
                        '[' | '{' => error.with_help("write round parentheses"),
                        _ => error,
                    });
                };
                match *symbol {
                    "(" => depth += 1,
                    ")" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                out.push(Token {
                    kind: TokenKind::Symbol(symbol),
                    span: at..at + symbol.len(),
                });
                symbol.len()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    out.push(Token {
        kind: TokenKind::End,
        span: text.len()..text.len(),
    });
    Ok(out)
}

/// The end of a unit that stands right behind a number of `length` bytes; an error if its bracket is never closed. UCUM codes
/// have brackets of their own, as in `[iU]`.
fn unit_length(text: &str, length: usize) -> Option<Result<usize, ()>> {
    let rest = text.get(length..)?;
    if !rest.starts_with('[') {
        return None;
    }
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '\n' => break,
            _ => {}
        }
        if depth == 0 {
            return Some(Ok(length + at + 1));
        }
    }
    Some(Err(()))
}

/// Bytes of the number that starts `text`: digits, a point, an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end += 1;
        end += digits(end);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn numbers_names_and_comments() {
        use TokenKind::{End, Name, Number, Symbol};
        assert_eq!(
            kinds("a1=2.5e-3 # note\nb"),
            [
                Name("a1".into()),
                Symbol("="),
                Number(2.5e-3),
                End,
                Name("b".into()),
                End
            ]
        );
        assert_eq!(kinds("3e"), [Number(3.0), Name("e".into()), End]);
        assert_eq!(kinds("(a\n+b)").len(), 6, "a line may break inside parentheses");
    }

    #[test]
    fn units_and_texts() {
        assert_eq!(
            kinds("3.8[ug/L]+2[[iU]/dL]"),
            [
                TokenKind::Quantity(3.8, "ug/L".into()),
                TokenKind::Symbol("+"),
                TokenKind::Quantity(2.0, "[iU]/dL".into()),
                TokenKind::End
            ]
        );
        assert_eq!(
            kinds("cyp == \"*1/*2\""),
            [
                TokenKind::Name("cyp".into()),
                TokenKind::Symbol("=="),
                TokenKind::Text("*1/*2".into()),
                TokenKind::End
            ]
        );
        assert!(tokens("3[ug").unwrap_err().message.contains("never closed"));
        assert!(tokens("a == \"b").is_err());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(tokens("a & b").unwrap_err().help.as_deref(), Some("write `&&`"));
        assert!(tokens(".").is_err());
        assert!(tokens("1e999").is_err());
    }
}
