//! The port of a client's broker that some tests ask, whatever the variable says.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// Whoever connects to the port of this machine talks to the broker, as long as this process lives.
///
/// # Errors
///
/// Where the port is not free.
pub(crate) fn forward(port: u16, broker: &str) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    // The first of several that know each other.
    let broker = broker.split(',').next().unwrap_or_default().to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client whose connection is closed sees that there is no broker.
            let _ = TcpStream::connect(&broker).and_then(|broker| join(&client, &broker));
        }
    });
    Ok(())
}

fn join(client: &TcpStream, broker: &TcpStream) -> io::Result<()> {
    for (from, to) in [(client, broker), (broker, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}
