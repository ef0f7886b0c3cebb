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
    let host = base.strip_prefix("http://").expect("an address of HTTP");
    let mut connection = TcpStream::connect(host).expect("a server");
    // By this version the answer comes as it is, and the server closes the connection.
    let request =
        format!("GET {target} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n");
    connection
        .write_all(request.as_bytes())
        .expect("a question");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    assert!(head.contains(" 200 "), "{target}: {answer}");
    serde_json::from_str(body).expect("JSON")
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
