//! A NATS server that takes everything and gives nothing to anybody.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// Starts one that serves one client.
pub(crate) fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> std::io::Result<()> {
        let (mut client, _) = listener.accept()?;
        let info = concat!(
            r#"INFO {"server_id":"growth","server_name":"growth","version":"2.10.0","go":"","#,
            r#""host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1}"#,
            "\r\n"
        );
        client.write_all(info.as_bytes())?;
        let mut bytes = vec![0; 1 << 16];
        loop {
            let read = client.read(&mut bytes)?;
            let Some(read) = bytes.get(..read).filter(|read| !read.is_empty()) else {
                return Ok(());
            };
            // No payload here has these letters, and the client asks when nothing else is on its way.
            if read.windows(6).any(|word| word == b"PING\r\n") {
                client.write_all(b"PONG\r\n")?;
            }
        }
    });
    Ok(address)
}
