//! Headers that are given as JSON.

use serde_json::Value;

use super::stock::Header;

/// The headers in any of the forms that are known.
pub(crate) fn headers(text: &str) -> Result<Vec<Header>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let given = match &value {
        Value::Object(message) => message.get("headers").unwrap_or(&value),
        _ => &value,
    };
    let form = || "headers are an object, or a list of [name, value]".to_owned();
    match given {
        Value::Null => Ok(Vec::new()),
        Value::Object(all) => all
            .iter()
            .map(|(name, value)| header(name, value))
            .collect(),
        // kcat has names and values in turns.
        Value::Array(all) if all.iter().all(|one| one.is_string() || one.is_null()) => {
            let pairs = all.chunks(2).map(|pair| match pair {
                [Value::String(name), value] => header(name, value),
                _ => Err(form()),
            });
            pairs.collect()
        }
        Value::Array(all) => {
            let pairs = all
                .iter()
                .map(|pair| match pair.as_array().map(Vec::as_slice) {
                    Some([Value::String(name), value]) => header(name, value),
                    _ => Err(form()),
                });
            pairs.collect()
        }
        _ => Err(form()),
    }
}

fn header(name: &str, value: &Value) -> Result<Header, String> {
    let value = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(one) => match one.get("hex").and_then(Value::as_str).map(bytes) {
            Some(Some(bytes)) => Some(bytes),
            _ => {
                return Err(format!(
                    "{name:?}: bytes are given as {{\"hex\": \"00ff\"}}"
                ));
            }
        },
        Value::Number(number) => Some(number.to_string().into_bytes()),
        _ => {
            return Err(format!(
                "{name:?}: a value is a text, null, or {{\"hex\": \"00ff\"}}"
            ));
        }
    };
    Ok((name.as_bytes().to_vec(), value))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_header_without_what_a_terminal_would_obey() {
        let given = [
            r#"{"a\u001b[2J": {"hex": "0"}}"#,
            r#"[["a\u001b[2J", true]]"#,
        ];
        let told = given.map(|text| headers(text).err().unwrap_or_default());

        let expected = [
            r#""a\u{1b}[2J": bytes are given as {"hex": "00ff"}"#,
            r#""a\u{1b}[2J": a value is a text, null, or {"hex": "00ff"}"#,
        ];
        assert_eq!(told, expected);
    }
}
