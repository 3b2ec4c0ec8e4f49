//! Measures what idle connections cost a relay: starts the binary given as first argument, opens
//! connections after their handshake, then as many that follow a log, and prints its resident memory.
//!
//! ```sh
//! cargo build --release -p sotto-server
//! cargo run --release -p sotto-tests --example idle_connections -- target/release/sotto-relay
//! ```

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use sotto_protocol::id::RelayIdentity;
use sotto_tests::peer::{Peer, Socket};
use tokio::net::TcpStream;

/// Connections after which the memory is read.
const STEPS: [usize; 3] = [1_000, 3_000, 5_000];

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("a number").parse().expect("a number")
}

async fn identity(listen: &str) -> RelayIdentity {
    let stream = TcpStream::connect(listen).await.expect("a line");
    let mut socket = Socket::upgrade(stream, Some(sotto_protocol::SUB_PROTOCOL))
        .await
        .expect("an upgrade");
    socket.greeting().await.identity
}

/// A relay that ends with this value.
struct Relay {
    child: Child,
    listen: String,
}

impl Relay {
    fn start(binary: &str) -> Self {
        let mut child = Command::new(binary)
            .args(["run", "--dev", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a relay");
        let stdout = child.stdout.take().expect("its stdout");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let listening: serde_json::Value = serde_json::from_str(&line).expect("an object");
        let listen = listening["listen"].as_str().expect("an address").to_owned();
        Self { child, listen }
    }

    async fn line(&self) -> TcpStream {
        TcpStream::connect(&self.listen).await.expect("a line")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn measure(binary: &str, follows: bool) {
    let relay = Relay::start(binary);
    let pinned = identity(&relay.listen).await;
    let mut owner = Peer::connect(relay.line().await, &pinned).await;
    let log = owner.new_log().await;
    let before = resident_kib(relay.child.id());
    println!("following a log: {follows}; at first {before} KiB");
    let mut peers = Vec::new();
    for count in STEPS {
        while peers.len() < count {
            let mut peer = Peer::connect(relay.line().await, &pinned).await;
            if follows {
                peer.open_log(&log.id(), &log.key).await.expect("opened");
                peer.follow(&log.id(), 100).await.expect("followed");
            }
            peers.push(peer);
        }
        let now = resident_kib(relay.child.id());
        let each = now.saturating_sub(before) as f64 / count as f64;
        println!("{count} connections: {now} KiB, {each:.2} KiB each");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let binary = std::env::args().nth(1).expect("the relay's binary");
    for follows in [false, true] {
        measure(&binary, follows).await;
    }
}
