//! Reading JSON strictly: duplicate names are an error.
//!
//! RFC 8259 leaves the meaning of duplicate names open, so two readers of one request may see two patients. [`checked`] walks
//! the text once and refuses that, with everything else that later readers could understand differently; [`Object`] then gives
//! access to members as slices of the text, so that large prefetch is neither copied nor built into trees here.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::malformed::{Fault, Malformed};

/// Under this name serde_json hands a number to a visitor when its feature `arbitrary_precision` is on.
const NUMBER: &str = "$serde_json::private::Number";
/// Names that mean something to serde_json itself: in a request they could only serve to mislead it.
const RESERVED: &str = "$serde_json::private::";
/// An object with more members than this is searched for duplicates by hash, a smaller one by comparing.
const FEW: usize = 16;

/// Checks that `body` is one JSON document in UTF-8, at most 128 levels deep, without duplicate names and without numbers
/// beyond the range of double precision; gives it as text.
///
/// # Errors
/// [`Malformed`] with line and column.
pub fn checked(body: &[u8]) -> Result<&str, Malformed> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(Malformed::body("The body is not UTF-8."));
    };
    if text.trim_ascii().is_empty() {
        return Err(Malformed::body("The body is empty; a JSON object is expected."));
    }
    let mut state = State {
        names: Vec::new(),
        problem: None,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let result = Check(&mut state).deserialize(&mut reader).and_then(|()| reader.end());
    result.map(|()| text).map_err(|error| {
        let what = match state.problem {
            Some(Problem::Duplicate) => "An object has two members of the same name",
            Some(Problem::Range) => "A number is beyond the range of double precision",
            Some(Problem::Reserved) => "A member has a reserved name",
            None if error.to_string().starts_with("recursion limit") => "JSON is nested deeper than 128 levels",
            None => "The body is not well-formed JSON",
        };
        Malformed::body(format!("{what}: line {}, column {}.", error.line(), error.column()))
    })
}

/// Faults that are not faults of syntax.
#[derive(Clone, Copy)]
enum Problem {
    Duplicate,
    Range,
    Reserved,
}

/// Names of all objects that are open at the moment, innermost last, and the fault that ended the walk.
struct State<'de> {
    names: Vec<Cow<'de, str>>,
    problem: Option<Problem>,
}

impl State<'_> {
    fn fail<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        self.problem = Some(problem);
        E::custom("refused")
    }
}

/// Walks one value and keeps nothing of it.
struct Check<'s, 'de>(&'s mut State<'de>);

impl<'de> DeserializeSeed<'de> for Check<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Check(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let state = self.0;
        let base = state.names.len();
        let mut many: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(name) = members.next_key_seed(Text)? {
            let seen = state.names.len() - base;
            if name.starts_with(RESERVED) {
                if name != NUMBER || seen > 0 {
                    return Err(state.fail(Problem::Reserved));
                }
                // A number, or an object that pretends to be one and is then read as one by everyone after us.
                let Ok(digits) = members.next_value_seed(Text) else {
                    return Err(state.fail(Problem::Reserved));
                };
                return match digits.parse::<f64>() {
                    Ok(value) if value.is_finite() => Ok(()),
                    Ok(_) => Err(state.fail(Problem::Range)),
                    Err(_) => Err(state.fail(Problem::Reserved)),
                };
            }
            let duplicate = if seen < FEW {
                state.names.iter().skip(base).any(|other| *other == name)
            } else {
                if many.is_empty() {
                    many.extend(state.names.iter().skip(base).cloned());
                }
                !many.insert(name.clone())
            };
            if duplicate {
                return Err(state.fail(Problem::Duplicate));
            }
            state.names.push(name);
            members.next_value_seed(Check(state))?;
        }
        state.names.truncate(base);
        Ok(())
    }
}

/// A string, borrowed from the text where it has no escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

/// The members of one JSON object as slices of the text, with the object's place in the request for error messages.
///
/// A member that is `null` counts as absent, except in [`Object::members`].
#[derive(Debug)]
pub struct Object<'a> {
    path: String,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> Object<'a> {
    /// The document itself.
    ///
    /// # Errors
    /// When it is not an object.
    pub fn root(text: &'a str) -> Result<Self, Malformed> {
        let members =
            serde_json::from_str(text).map_err(|_| Malformed::body("The body is JSON, but not an object."))?;
        Ok(Self {
            path: String::new(),
            members,
        })
    }

    /// An object inside the document, at `path`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn at(path: String, raw: &'a RawValue) -> Result<Self, Malformed> {
        match serde_json::from_str(raw.get()) {
            Ok(members) => Ok(Self { path, members }),
            Err(_) => Err(wrong_type(path, "an object")),
        }
    }

    /// Where a member is, for `OperationOutcome.issue.expression`.
    #[must_use]
    pub fn place(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// All members, `null` ones included.
    pub fn members(self) -> impl Iterator<Item = (String, &'a RawValue)> {
        self.members.into_iter()
    }

    /// A member, unless absent or `null`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// A member that must be there.
    ///
    /// # Errors
    /// When it is absent or `null`.
    pub fn required(&self, name: &str) -> Result<&'a RawValue, Malformed> {
        self.get(name).ok_or_else(|| {
            let place = self.place(name);
            let message = format!("{place} is required.");
            Malformed::member(Fault::Required, place, message)
        })
    }

    /// A string member, if there is one.
    ///
    /// # Errors
    /// When it is something else.
    pub fn text(&self, name: &str) -> Result<Option<String>, Malformed> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        text_of(raw)
            .map(Some)
            .ok_or_else(|| wrong_type(self.place(name), "a string"))
    }

    /// A string member that must be there and not be blank.
    ///
    /// # Errors
    /// When it is absent, something else, or blank.
    pub fn required_text(&self, name: &str) -> Result<String, Malformed> {
        self.required(name)?;
        match self.text(name)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(Malformed::member(
                Fault::Value,
                self.place(name),
                format!("{} is empty.", self.place(name)),
            )),
        }
    }

    /// An object member that must be there.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn required_object(&self, name: &str) -> Result<Object<'a>, Malformed> {
        Object::at(self.place(name), self.required(name)?)
    }

    /// An object member, if there is one.
    ///
    /// # Errors
    /// When it is something else.
    pub fn object(&self, name: &str) -> Result<Option<Object<'a>>, Malformed> {
        self.get(name).map(|raw| Object::at(self.place(name), raw)).transpose()
    }

    /// The items of an array member, if there is one.
    ///
    /// # Errors
    /// When it is something else.
    pub fn array(&self, name: &str) -> Result<Option<Vec<&'a RawValue>>, Malformed> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map(Some)
            .map_err(|_| wrong_type(self.place(name), "an array"))
    }

    /// The items of an array member that must be there.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn required_array(&self, name: &str) -> Result<Vec<&'a RawValue>, Malformed> {
        self.required(name)?;
        self.array(name).map(Option::unwrap_or_default)
    }
}

/// The value as a string, if it is one.
#[must_use]
pub fn text_of(raw: &RawValue) -> Option<String> {
    // With `arbitrary_precision` a number would not turn into a String either; the quote is tested for speed.
    raw.get()
        .starts_with('"')
        .then(|| serde_json::from_str(raw.get()).ok())
        .flatten()
}

/// "x must be y".
pub(super) fn wrong_type(place: String, wanted: &str) -> Malformed {
    let message = format!("{place} must be {wanted}.");
    Malformed::member(Fault::Structure, place, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        checked(text.as_bytes()).expect_err("accepted").message.into_owned()
    }

    #[test]
    fn duplicates_are_refused_wherever_they_are() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"b":[],"c":{},"b":1}}]"#,
            r#"{"a":{"b":1},"c":{"b":1},"a":null}"#,
        ] {
            assert!(refused(text).contains("same name"), "{text}");
        }
        let many: Vec<String> = (0..100).map(|i| format!("\"n{i}\":{i}")).collect();
        assert!(checked(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        assert!(refused(&format!("{{{},\"n3\":0}}", many.join(","))).contains("same name"));
        assert!(refused(&format!("{{{},\"n99\":0}}", many.join(","))).contains("same name"));
        assert!(checked(br#"{"a":{"a":{"a":1}},"b":{"a":[{"a":1},{"a":2}]}}"#).is_ok());
    }

    #[test]
    fn numbers() {
        let text = "[1e308,-5,0.1,18446744073709551615,-9223372036854775808,123456789012345678901234567890]";
        assert_eq!(checked(text.as_bytes()), Ok(text));
        let long = "9".repeat(400);
        for text in [
            "1e999",
            "-1e999",
            long.as_str(),
            "NaN",
            "Infinity",
            "01",
            "0x1",
            "+1",
            ".5",
            "1.",
        ] {
            assert!(checked(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_mean_something_to_the_parser_are_refused() {
        for text in [
            r#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#,
            r#"{"\u0024serde_json::private::RawValue":"1"}"#,
            r#"{"$serde_json::private::Number":"no number"}"#,
            r#"{"$serde_json::private::Number":"1e999"}"#,
            r#"{"$serde_json::private::Number":{}}"#,
            r#"{"$serde_json::private::Number":"1","a":2}"#,
            r#"{"a":2,"$serde_json::private::Number":"1"}"#,
        ] {
            assert!(checked(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn broken_documents() {
        for body in [
            &b""[..],
            b" \n",
            b"{",
            b"{}{}",
            b"{} x",
            b"{,}",
            b"{\"a\":1,}",
            b"// c\n{}",
            b"\xff\xfe{\0}\0",
            b"{\"a\":\"\xff\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\\ud800\"}",
            b"{'a':1}",
        ] {
            assert!(checked(body).is_err(), "{body:?}");
        }
        for open in ["[", "{\"a\":"] {
            assert!(refused(&open.repeat(100_000)).contains("128"));
        }
        assert!(checked("[".repeat(127).as_bytes()).is_err());
        assert!(checked(format!("{}{}", "[".repeat(127), "]".repeat(127)).as_bytes()).is_ok());
    }

    #[test]
    fn messages_do_not_repeat_the_request() {
        for text in [r#"{"SECRET":1,"SECRET":2}"#, r#"{"a":SECRET}"#, r#"{"a":"SECRET"#] {
            assert!(!refused(text).contains("SECRET"));
        }
    }

    #[test]
    fn members() -> Result<(), Malformed> {
        let root = Object::root(r#"{"a":{"b":"\u00e9","n":null,"l":[1,2]},"x":5}"#)?;
        let a = root.required_object("a")?;
        assert_eq!(a.text("b")?.as_deref(), Some("é"));
        assert_eq!(a.text("n")?, None);
        assert_eq!(a.required_array("l")?.len(), 2);
        assert_eq!(a.required("n").expect_err("null").expression.as_deref(), Some("a.n"));
        assert_eq!(root.text("x").expect_err("number").expression.as_deref(), Some("x"));
        assert!(Object::root("[]").is_err() && Object::root("null").is_err() && Object::root("5").is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = checked(&body);
        }
        #[test]
        fn what_serde_writes_is_accepted(names in proptest::collection::btree_set(".*", 0..40)) {
            let map: BTreeMap<&String, usize> = names.iter().filter(|n| !n.starts_with(RESERVED)).map(|n| (n, 1)).collect();
            let text = serde_json::to_string(&map).expect("a map of texts");
            prop_assert!(checked(text.as_bytes()).is_ok());
        }
    }
}
