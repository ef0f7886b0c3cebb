//! Names of Rust types as names of errors.

/// What stands around the type of an error and says nothing of it.
const POINTERS: [&str; 5] = [
    "&",
    "mut ",
    "alloc::boxed::Box<",
    "alloc::rc::Rc<",
    "alloc::sync::Arc<",
];

/// Types that hold any text or any error.
const HOLDING_ANYTHING: [&str; 9] = [
    "alloc::borrow::Cow",
    "alloc::string::String",
    "alloc::vec::Vec",
    "anyhow::Error",
    "core::option::Option",
    "core::result::Result",
    "eyre::Report",
    "miette::eyreish::Report",
    "snafu::Whatever",
];

/// The part of a type's name that says which error it is; `None` where nothing does.
///
/// References and pointers count as what they point to, and what is generic is left out. Nothing is
/// said by `dyn Error`, which stands for any error, by primitive types, tuples, arrays and functions,
/// and by the types that hold any text or any error.
///
/// Spec: [attributes registry § error.type].
///
/// [attributes registry § error.type]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/registry/attributes/error.md#error-type
pub(crate) fn telling(type_name: &'static str) -> Option<&'static str> {
    let mut name = type_name;
    while let Some(inner) = POINTERS
        .iter()
        .find_map(|pointer| name.strip_prefix(pointer))
    {
        name = inner;
    }
    let name = name.split(['<', '>', ',']).next()?;
    // Primitive types have no path, and what is put together of other types has more than one.
    let is_path = name.contains("::") && !name.contains([' ', '(', '[']);
    (is_path && !HOLDING_ANYTHING.contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::borrow::Cow;
    use std::error::Error;
    use std::io;
    use std::num::ParseIntError;
    use std::rc::Rc;
    use std::sync::{Arc, PoisonError};

    use super::*;

    #[test]
    fn a_type_names_an_error_where_its_form_says_which() {
        let rows = [
            (type_name::<io::Error>(), Some("std::io::error::Error")),
            (
                type_name::<&'static io::Error>(),
                Some("std::io::error::Error"),
            ),
            (
                type_name::<&'static mut io::Error>(),
                Some("std::io::error::Error"),
            ),
            (type_name::<Box<io::Error>>(), Some("std::io::error::Error")),
            (
                type_name::<Arc<Box<io::Error>>>(),
                Some("std::io::error::Error"),
            ),
            (
                type_name::<Rc<ParseIntError>>(),
                Some("core::num::error::ParseIntError"),
            ),
            (
                type_name::<PoisonError<Box<dyn Error>>>(),
                Some("std::sync::poison::PoisonError"),
            ),
            (type_name::<Box<dyn Error>>(), None),
            (type_name::<Box<dyn Error + Send + Sync>>(), None),
            (type_name::<Arc<dyn Error + Send + Sync>>(), None),
            (type_name::<&'static dyn Error>(), None),
            (type_name::<()>(), None),
            (type_name::<(io::Error, String)>(), None),
            (type_name::<[io::Error; 2]>(), None),
            (type_name::<fn(io::Error)>(), None),
            (type_name::<u32>(), None),
            (type_name::<&'static str>(), None),
            (type_name::<String>(), None),
            (type_name::<Box<str>>(), None),
            (type_name::<Cow<'static, str>>(), None),
            (type_name::<Vec<io::Error>>(), None),
            (type_name::<Option<io::Error>>(), None),
            (type_name::<anyhow::Error>(), None),
        ];

        for (name, expected) in rows {
            let is_same = match (telling(name), expected) {
                // Which of its modules the standard library calls a type by is its own affair.
                (Some(found), Some(expected)) => {
                    found.rsplit("::").next() == expected.rsplit("::").next()
                        && !found.contains(['<', '>', '&', ' '])
                }
                (found, expected) => found == expected,
            };
            assert!(is_same, "{name}: {:?}", telling(name));
        }
    }
}
