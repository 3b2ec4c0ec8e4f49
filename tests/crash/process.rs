//! A relay in a process of its own. The process is this test binary itself, see
//! `relay_process` in `main.rs`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sotto_client::RelayAddress;

use crate::{FOLDER, LISTEN};

/// A relay in a process of its own.
pub(crate) struct RelayProcess {
    child: Child,
    pub(crate) address: RelayAddress,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl RelayProcess {
    pub(crate) fn start(folder: &Path, listen: SocketAddr) -> Self {
        Self::run(
            Command::new(std::env::current_exe().unwrap()),
            folder,
            listen,
        )
    }

    /// The same under `strace`, which writes what the relay asks of the system into `trace`. The
    /// tracer is the grandchild (`-D`), so that it is the relay that is killed.
    pub(crate) fn start_traced(folder: &Path, trace: &Path) -> Self {
        let mut command = Command::new("strace");
        command.args([
            "-D",
            "-f",
            "-yy",
            "-qq",
            "-e",
            "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,\
             fdatasync,fsync",
            "-o",
        ]);
        command.arg(trace).arg(std::env::current_exe().unwrap());
        Self::run(command, folder, ([127, 0, 0, 1], 0).into())
    }

    fn run(mut command: Command, folder: &Path, listen: SocketAddr) -> Self {
        let mut child = command
            .args([
                "--exact",
                "relay_process",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, folder)
            .env(LISTEN, listen.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.map(Result::unwrap).find_map(|line| {
            line.split_once("listening ")
                .map(|(_, address)| address.to_owned())
        });
        let line = line.expect("the relay starts");
        let (address, admin) = line.split_once(' ').unwrap();
        let (address, admin): (RelayAddress, _) =
            (address.parse().unwrap(), admin.parse().unwrap());
        let listen = address
            .url()
            .trim_start_matches("ws://")
            .trim_end_matches('/')
            .parse()
            .unwrap();
        Self {
            child,
            address,
            listen,
            admin,
        }
    }

    /// From now on the relay may write no file of more than so many bytes; without, of any length.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let status = Command::new("prlimit")
            .arg(format!("--fsize={bytes}:"))
            .arg(format!("--pid={}", self.child.id()))
            .status();
        assert!(status.unwrap().success());
    }

    /// Memory that the process has in use now.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        1_024 * kib.parse::<usize>().unwrap()
    }

    /// SIGKILL, and nothing else.
    pub(crate) fn kill(mut self) -> SocketAddr {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listen
    }
}

/// A test that fails leaves no relay behind.
impl Drop for RelayProcess {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
