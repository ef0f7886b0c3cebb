//! Questions over HTTP, to servers of this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

/// The JSON that is at this address, with these parameters.
pub(crate) fn get(base: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
    let mut target = path.to_owned();
    for (number, (name, value)) in parameters.iter().enumerate() {
        let separator = if number == 0 { '?' } else { '&' };
        target.extend([separator]);
        target.push_str(name);
        target.push('=');
        escape(value, &mut target);
    }
    let answer = ask(base, &format!("GET {target}"), "");
    serde_json::from_str(&answer).expect("JSON")
}

/// Sends this to an address.
pub(crate) fn post(base: &str, path: &str, body: &str) {
    ask(base, &format!("POST {path}"), body);
}

fn ask(base: &str, question: &str, body: &str) -> String {
    let host = base.strip_prefix("http://").expect("an address of HTTP");
    let mut connection = TcpStream::connect(host).expect("a server");
    // By this version the answer comes as it is, and the server closes the connection.
    let request = format!(
        "{question} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection
        .write_all(request.as_bytes())
        .expect("a question");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    let (head, content) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    assert!(
        head.starts_with("HTTP/1.") && head.contains(" 20"),
        "{question}: {answer}"
    );
    content.to_owned()
}

fn escape(value: &str, target: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() {
            target.push(byte.into());
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}
