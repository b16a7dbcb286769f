//! Tokens to a syntax tree, by operator precedence (a Pratt parser).

use super::LangError;
use super::lexer::{Token, TokenKind, tokens};
use std::ops::Range;

/// Deepest nesting accepted; more is a mistake, or an attack on the stack.
const MAX_DEPTH: usize = 120;

/// Operators with one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-x`
    Neg,
    /// `!x`
    Not,
    /// `exp(x)`
    Exp,
    /// `ln(x)`
    Ln,
    /// `log10(x)`
    Log10,
    /// `sqrt(x)`
    Sqrt,
    /// `abs(x)`
    Abs,
    /// `floor(x)`
    Floor,
    /// `trunc(x)`, towards zero
    Trunc,
    /// `sin(x)`
    Sin,
    /// `cos(x)`
    Cos,
    /// `tanh(x)`
    Tanh,
    /// `phi(x)`, the distribution function of the standard normal
    Phi,
    /// `probit(x)`, the inverse of `phi`
    Probit,
}

/// Functions of one argument.
const UNARY_FUNCTIONS: [(&str, UnaryOp); 12] = [
    ("exp", UnaryOp::Exp),
    ("ln", UnaryOp::Ln),
    ("log10", UnaryOp::Log10),
    ("sqrt", UnaryOp::Sqrt),
    ("abs", UnaryOp::Abs),
    ("floor", UnaryOp::Floor),
    ("trunc", UnaryOp::Trunc),
    ("sin", UnaryOp::Sin),
    ("cos", UnaryOp::Cos),
    ("tanh", UnaryOp::Tanh),
    ("phi", UnaryOp::Phi),
    ("probit", UnaryOp::Probit),
];

/// Functions of two arguments.
const BINARY_FUNCTIONS: [(&str, BinaryOp); 3] =
    [("pow", BinaryOp::Pow), ("min", BinaryOp::Min), ("max", BinaryOp::Max)];

/// Functions that are not one operation but are written out, or looked up by whoever reads the formula.
const OTHER_FUNCTIONS: [&str; 15] = [
    "expit",
    "logit",
    "mod",
    "delay",
    "area",
    "highest",
    "lowest",
    "mean",
    "time_of_highest",
    "time_of_lowest",
    "time_where",
    "first_time",
    "at",
    "if",
    "else",
];

/// Every name with a meaning of its own, which nothing else may carry.
pub fn reserved() -> impl Iterator<Item = &'static str> + Clone {
    UNARY_FUNCTIONS
        .iter()
        .map(|(name, _)| *name)
        .chain(BINARY_FUNCTIONS.iter().map(|(name, _)| *name))
        .chain(OTHER_FUNCTIONS)
        .chain(["t", "time", "pi", "next"])
}

/// Operators with two arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `a ^ b`, `pow(a, b)`
    Pow,
    /// `min(a, b)`
    Min,
    /// `max(a, b)`
    Max,
    /// `a < b`, as 1 or 0
    Lt,
    /// `a <= b`
    Le,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a && b`
    And,
    /// `a || b`
    Or,
}

/// A piece of the syntax tree and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Bytes of the text.
    pub span: Range<usize>,
    /// Height of the tree, kept small so that walking it cannot exhaust the stack.
    depth: usize,
}

/// The kinds of [`Expr`].
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number.
    Number(f64),
    /// A number with its unit, a UCUM code.
    Quantity(f64, String),
    /// A name.
    Name(String),
    /// The level of a category.
    Text(String),
    /// An operator or function of one argument.
    Unary(UnaryOp, Box<Expr>),
    /// An operator or function of two arguments.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `if (condition) a else b`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A function that is not one operation, with its arguments.
    Call(&'static str, Vec<Expr>),
}

/// What a statement defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `d/dt(state) = ...`
    Derivative(String),
    /// `state(0) = ...`
    Initial(String),
    /// `next(state) = ...`
    Next(String),
    /// `name = ...`
    Name(String),
}

/// One line of the equations.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What is defined.
    pub target: Target,
    /// Where the defined name stands.
    pub target_span: Range<usize>,
    /// Its definition.
    pub value: Expr,
}

impl Expr {
    /// The same with every call of one of `functions` replaced by a name that `name` gives for it.
    ///
    /// # Errors
    /// Whatever `name` returns.
    pub fn replace_calls<E>(
        &self,
        functions: &[&str],
        name: &mut impl FnMut(&'static str, &[Self], &Range<usize>) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut inner = |e: &Self| e.replace_calls(functions, name).map(Box::new);
        let kind = match &self.kind {
            ExprKind::Call(function, list) if functions.contains(function) => {
                ExprKind::Name(name(function, list, &self.span)?)
            }
            ExprKind::Call(function, list) => {
                let list: Result<Vec<Self>, E> = list.iter().map(|e| inner(e).map(|e| *e)).collect();
                ExprKind::Call(function, list?)
            }
            ExprKind::Unary(op, a) => ExprKind::Unary(*op, inner(a)?),
            ExprKind::Binary(op, a, b) => ExprKind::Binary(*op, inner(a)?, inner(b)?),
            ExprKind::If(c, a, b) => ExprKind::If(inner(c)?, inner(a)?, inner(b)?),
            other => other.clone(),
        };
        Ok(Self {
            kind,
            span: self.span.clone(),
            depth: self.depth,
        })
    }
}

/// Reads one formula.
///
/// # Errors
/// Anything that is not exactly one formula.
pub fn formula(text: &str) -> Result<Expr, LangError> {
    let mut parser = Parser::new(text)?;
    parser.skip_ends();
    let value = parser.expression(0, 0)?;
    parser.skip_ends();
    match parser.peek() {
        Some(token) => Err(unexpected(token, "the end of the formula")),
        None => Ok(value),
    }
}

/// Reads a list of statements.
///
/// # Errors
/// Anything that is not a statement.
pub fn statements(text: &str) -> Result<Vec<Statement>, LangError> {
    let mut parser = Parser::new(text)?;
    let mut out = Vec::new();
    parser.skip_ends();
    while parser.peek().is_some() {
        out.push(parser.statement()?);
        if !matches!(
            parser.peek(),
            None | Some(Token {
                kind: TokenKind::End,
                ..
            })
        ) {
            let token = parser.next();
            return Err(unexpected(&token, "the end of the line"));
        }
        parser.skip_ends();
    }
    Ok(out)
}

fn unexpected(token: &Token, wanted: &str) -> LangError {
    let found = match &token.kind {
        TokenKind::Number(value) | TokenKind::Quantity(value, _) => format!("the number {value}"),
        TokenKind::Text(text) => format!("the text \"{text}\""),
        TokenKind::Name(name) => format!("the name `{name}`"),
        TokenKind::Symbol(symbol) => format!("`{symbol}`"),
        TokenKind::End => "the end of the line".to_owned(),
    };
    let error = LangError::new(token.span.clone(), format!("found {found}, expected {wanted}"));
    match &token.kind {
        TokenKind::Name(_) | TokenKind::Number(_) | TokenKind::Quantity(..) => {
            error.with_help("is an operator such as `*` missing?")
        }
        TokenKind::Symbol("=") => error.with_help("to compare, write `==`"),
        _ => error,
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    end: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, LangError> {
        Ok(Self {
            tokens: tokens(text)?,
            position: 0,
            end: text.len(),
        })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().cloned().unwrap_or(Token {
            kind: TokenKind::End,
            span: self.end..self.end,
        });
        self.position += 1;
        token
    }

    fn skip_ends(&mut self) {
        while matches!(
            self.peek(),
            Some(Token {
                kind: TokenKind::End,
                ..
            })
        ) {
            self.position += 1;
        }
    }

    fn at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.tokens.get(self.position + ahead), Some(Token { kind: TokenKind::Symbol(s), .. }) if *s == symbol)
    }

    fn at_name(&self, ahead: usize, name: &str) -> bool {
        matches!(self.tokens.get(self.position + ahead), Some(Token { kind: TokenKind::Name(n), .. }) if n == name)
    }

    fn expect(&mut self, symbol: &'static str) -> Result<Token, LangError> {
        let found = self.at(0, symbol);
        let token = self.next();
        if found {
            Ok(token)
        } else {
            Err(unexpected(&token, &format!("`{symbol}`")))
        }
    }

    fn name(&mut self, wanted: &str) -> Result<(String, Range<usize>), LangError> {
        let token = self.next();
        match token.kind {
            TokenKind::Name(name) => Ok((name, token.span)),
            _ => Err(unexpected(&token, wanted)),
        }
    }

    fn statement(&mut self) -> Result<Statement, LangError> {
        let derivative = self.at_name(0, "d") && self.at(1, "/") && self.at_name(2, "dt") && self.at(3, "(");
        let zero =
            matches!(self.tokens.get(self.position + 2), Some(Token { kind: TokenKind::Number(x), .. }) if *x == 0.0);
        let (target, target_span) = if derivative {
            self.position += 4;
            let (name, span) = self.name("the name of a state")?;
            self.expect(")")?;
            (Target::Derivative(name), span)
        } else if self.at_name(0, "next") && self.at(1, "(") {
            self.position += 2;
            let (name, span) = self.name("the name of a state")?;
            self.expect(")")?;
            (Target::Next(name), span)
        } else if self.at(1, "(") && zero && self.at(3, ")") {
            let (name, span) = self.name("the name of a state")?;
            self.position += 3;
            (Target::Initial(name), span)
        } else {
            let (name, span) = self.name("a name or `d/dt(...)`")?;
            (Target::Name(name), span)
        };
        self.expect("=")?;
        let value = self.expression(0, 0)?;
        Ok(Statement {
            target,
            target_span,
            value,
        })
    }

    /// Operators that bind at least as tightly as `floor`.
    fn expression(&mut self, floor: u8, depth: usize) -> Result<Expr, LangError> {
        let mut left = self.operand(depth)?;
        while let Some(Token {
            kind: TokenKind::Symbol(symbol),
            span,
        }) = self.peek()
        {
            let span = span.clone();
            let Some((op, strength, right_floor, swapped)) = binary(symbol) else {
                break;
            };
            if strength < floor {
                break;
            }
            self.position += 1;
            let right = self.expression(right_floor, depth + 1)?;
            if strength == COMPARISON && self.peek().is_some_and(is_comparison) {
                return Err(LangError::new(span, "comparisons cannot be chained").with_help("write `a < b && b < c`"));
            }
            let whole = left.span.start..right.span.end;
            let (a, b) = if swapped { (right, left) } else { (left, right) };
            left = make(whole, ExprKind::Binary(op, Box::new(a), Box::new(b)))?;
        }
        Ok(left)
    }

    fn operand(&mut self, depth: usize) -> Result<Expr, LangError> {
        let token = self.next();
        if depth > MAX_DEPTH {
            return Err(LangError::new(token.span, "nested too deeply").with_help("name the intermediate results"));
        }
        match &token.kind {
            TokenKind::Number(value) => make(token.span.clone(), ExprKind::Number(*value)),
            TokenKind::Quantity(value, unit) => make(token.span.clone(), ExprKind::Quantity(*value, unit.clone())),
            TokenKind::Text(text) => make(token.span.clone(), ExprKind::Text(text.clone())),
            TokenKind::Symbol("(") => {
                let inner = self.expression(0, depth + 1)?;
                let close = self.expect(")")?;
                Ok(Expr {
                    span: token.span.start..close.span.end,
                    ..inner
                })
            }
            TokenKind::Symbol(symbol @ ("-" | "+" | "!")) => {
                let inner = self.expression(UNARY, depth + 1)?;
                let span = token.span.start..inner.span.end;
                match *symbol {
                    "-" => make(span, ExprKind::Unary(UnaryOp::Neg, Box::new(inner))),
                    "!" => make(span, ExprKind::Unary(UnaryOp::Not, Box::new(inner))),
                    _ => Ok(Expr { span, ..inner }),
                }
            }
            TokenKind::Name(name) if name == "if" => self.conditional(token.span.start, depth),
            TokenKind::Name(name) if name == "else" => Err(unexpected(&token, "a value (this `else` has no `if`)")),
            TokenKind::Name(name) if self.at(0, "(") => self.call(name, token.span.clone(), depth),
            TokenKind::Name(name) => make(token.span.clone(), ExprKind::Name(name.clone())),
            _ => Err(unexpected(&token, "a value")),
        }
    }

    fn conditional(&mut self, start: usize, depth: usize) -> Result<Expr, LangError> {
        self.expect("(")?;
        let condition = self.expression(0, depth + 1)?;
        self.expect(")")?;
        let yes = self.expression(0, depth + 1)?;
        if !self.at_name(0, "else") {
            let token = self.next();
            return Err(unexpected(&token, "`else` (a value is needed in both cases)"));
        }
        self.position += 1;
        let no = self.expression(0, depth + 1)?;
        make(
            start..no.span.end,
            ExprKind::If(Box::new(condition), Box::new(yes), Box::new(no)),
        )
    }

    fn call(&mut self, name: &str, span: Range<usize>, depth: usize) -> Result<Expr, LangError> {
        self.expect("(")?;
        let mut arguments = vec![self.expression(0, depth + 1)?];
        while self.at(0, ",") {
            self.position += 1;
            arguments.push(self.expression(0, depth + 1)?);
        }
        let close = self.expect(")")?;
        let whole = span.start..close.span.end;
        let unary = UNARY_FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, op)| *op);
        let binary = BINARY_FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, op)| *op);
        let other = OTHER_FUNCTIONS.iter().find(|known| **known == name).copied();
        let count = arguments.len();
        if let Some(known) = other {
            return make(whole, ExprKind::Call(known, arguments));
        }
        let mut arguments = arguments.into_iter();
        match (unary, binary, arguments.next(), arguments.next()) {
            (Some(op), _, Some(x), None) => make(whole, ExprKind::Unary(op, Box::new(x))),
            (_, Some(op), Some(a), Some(b)) if count == 2 => {
                make(whole, ExprKind::Binary(op, Box::new(a), Box::new(b)))
            }
            (Some(_), ..) => Err(LangError::new(
                whole,
                format!("`{name}` takes one value, found {count}"),
            )),
            (_, Some(_), ..) => Err(LangError::new(
                whole,
                format!("`{name}` takes two values, found {count}"),
            )),
            _ if name == "log" => {
                Err(LangError::new(span, "`log` is ambiguous").with_help("write `ln` (natural) or `log10` (decimal)"))
            }
            _ => Err(LangError::new(span, format!("there is no function `{name}`"))
                .with_help(super::suggest::hint(name, reserved().filter(|name| name.len() > 1)))),
        }
    }
}

const COMPARISON: u8 = 3;
const UNARY: u8 = 6;

/// Operator, strength, floor of its right side, arguments swapped.
fn binary(symbol: &str) -> Option<(BinaryOp, u8, u8, bool)> {
    Some(match symbol {
        "||" => (BinaryOp::Or, 1, 2, false),
        "&&" => (BinaryOp::And, 2, 3, false),
        "<" => (BinaryOp::Lt, COMPARISON, 4, false),
        "<=" => (BinaryOp::Le, COMPARISON, 4, false),
        ">" => (BinaryOp::Lt, COMPARISON, 4, true),
        ">=" => (BinaryOp::Le, COMPARISON, 4, true),
        "==" => (BinaryOp::Eq, COMPARISON, 4, false),
        "!=" => (BinaryOp::Ne, COMPARISON, 4, false),
        "+" => (BinaryOp::Add, 4, 5, false),
        "-" => (BinaryOp::Sub, 4, 5, false),
        "*" => (BinaryOp::Mul, 5, 6, false),
        "/" => (BinaryOp::Div, 5, 6, false),
        // Binds to the right, and tighter than a sign on its left: -a^2 is -(a^2).
        "^" => (BinaryOp::Pow, 7, 6, false),
        _ => return None,
    })
}

fn is_comparison(token: &Token) -> bool {
    matches!(&token.kind, TokenKind::Symbol(symbol) if binary(symbol).is_some_and(|(_, strength, ..)| strength == COMPARISON))
}

fn make(span: Range<usize>, kind: ExprKind) -> Result<Expr, LangError> {
    let below = match &kind {
        ExprKind::Number(_) | ExprKind::Quantity(..) | ExprKind::Name(_) | ExprKind::Text(_) => 0,
        ExprKind::Call(_, list) => list.iter().map(|e| e.depth).max().unwrap_or(0),
        ExprKind::Unary(_, a) => a.depth,
        ExprKind::Binary(_, a, b) => a.depth.max(b.depth),
        ExprKind::If(a, b, c) => a.depth.max(b.depth).max(c.depth),
    };
    if below > 2 * MAX_DEPTH {
        return Err(LangError::new(span, "this formula is too long").with_help("name the intermediate results"));
    }
    Ok(Expr {
        kind,
        span,
        depth: below + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(text: &str) -> String {
        fn go(e: &Expr) -> String {
            match &e.kind {
                ExprKind::Number(v) => v.to_string(),
                ExprKind::Name(n) => n.clone(),
                ExprKind::Quantity(v, unit) => format!("{v}[{unit}]"),
                ExprKind::Text(text) => format!("\"{text}\""),
                ExprKind::Call(name, list) => format!("({name} {})", list.iter().map(go).collect::<Vec<_>>().join(" ")),
                ExprKind::Unary(op, a) => format!("({op:?} {})", go(a)),
                ExprKind::Binary(op, a, b) => format!("({op:?} {} {})", go(a), go(b)),
                ExprKind::If(a, b, c) => format!("(If {} {} {})", go(a), go(b), go(c)),
            }
        }
        go(&formula(text).unwrap())
    }

    #[test]
    fn precedence() {
        assert_eq!(shape("1+2*3^2^x"), "(Add 1 (Mul 2 (Pow 3 (Pow 2 x))))");
        assert_eq!(shape("-a^2"), "(Neg (Pow a 2))");
        assert_eq!(shape("a^-2*b"), "(Mul (Pow a (Neg 2)) b)");
        assert_eq!(shape("a-b-c"), "(Sub (Sub a b) c)");
        assert_eq!(
            shape("if (a>1 && !b) c else d+1"),
            "(If (And (Lt 1 a) (Not b)) c (Add d 1))"
        );
    }

    #[test]
    fn errors_teach() {
        assert!(formula("2 x").unwrap_err().help.unwrap().contains("operator"));
        assert!(formula("log(x)").unwrap_err().help.unwrap().contains("log10"));
        assert!(formula("sqr(x)").unwrap_err().help.unwrap().contains("sqrt"));
        assert!(formula("a < b < c").is_err());
        assert!(formula("if (a) b").unwrap_err().message.contains("else"));
        assert!(formula(&"(".repeat(100_000)).unwrap_err().message.contains("deeply"));
        assert!(formula(&"1+".repeat(100_000)).is_err());
        assert!(statements("x 1").is_err());
        assert!(statements("next() = 1").is_err());
    }

    #[test]
    fn statements_of_every_kind() {
        let targets: Vec<Target> = statements("d/dt(A) = -A\nA(0) = 3\nnext(S) = S + 1\nC = A")
            .unwrap()
            .into_iter()
            .map(|statement| statement.target)
            .collect();
        let name = |name: &str| name.to_owned();
        assert_eq!(
            targets,
            [
                Target::Derivative(name("A")),
                Target::Initial(name("A")),
                Target::Next(name("S")),
                Target::Name(name("C"))
            ]
        );
    }

    proptest! {
        #[test]
        fn never_panics_on_any_text(text in "\\PC*") {
            let _ = formula(&text);
            let _ = statements(&text);
        }

        #[test]
        fn never_panics_on_near_misses(text in "([a-c]|d/dt|[0-9.e]|[-+*/^()<>=!,;\n ]|if|else|exp|max){0,60}") {
            let _ = formula(&text);
            let _ = statements(&text);
        }
    }
}
