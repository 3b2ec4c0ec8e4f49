//! The relay as a process of its own, so that there is one to kill: this program again, as
//! `sotto relay --dev`. Only the process that was started here is ever signalled, by its id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sotto_client::RelayAddress;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::output::Failure;

/// A relay opens its store and listens well within this time.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// A relay that was asked to stop is gone by then.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// The port of a killed relay may be busy for a moment; so often it is tried again ...
const START_ATTEMPTS: u32 = 20;
/// ... with so long between.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(250);

/// A relay that listens.
pub(crate) struct RelayProcess {
    folder: PathBuf,
    output: PathBuf,
    address: RelayAddress,
    port: u16,
    starts: u32,
    child: Child,
    /// Copies of what it prints end by themselves when it does.
    copying: JoinSet<()>,
}

/// What a relay says once it listens.
struct Listening {
    child: Child,
    address: RelayAddress,
    port: u16,
    rest: Lines<BufReader<ChildStdout>>,
}

impl RelayProcess {
    /// Starts one on a free port. What it prints goes into files in `output`.
    pub(crate) async fn start(folder: &Path, output: &Path) -> Result<Self, Failure> {
        let said = output.join("relay-1");
        let listening = launch(folder, &said, None).await?;
        let mut copying = JoinSet::new();
        copying.spawn(copy(listening.rest, said.with_extension("stdout")));
        Ok(Self {
            folder: folder.to_path_buf(),
            output: output.to_path_buf(),
            address: listening.address,
            port: listening.port,
            starts: 1,
            child: listening.child,
            copying,
        })
    }

    pub(crate) const fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// SIGKILL; it is gone when this returns.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        // Tokio's kill is SIGKILL, and waits.
        Ok(self.child.kill().await?)
    }

    /// Starts another one on the same folder and port.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        self.starts += 1;
        let said = self.output.join(format!("relay-{}", self.starts));
        let mut attempt = 1;
        let listening = loop {
            match launch(&self.folder, &said, Some(self.port)).await {
                Ok(listening) => break listening,
                Err(failure) if attempt == START_ATTEMPTS => return Err(failure),
                Err(_) => sleep(ATTEMPT_PAUSE).await,
            }
            attempt += 1;
        };
        if listening.address != self.address {
            return Err(Failure::could_not_run(
                "the relay came back under another address",
            ));
        }
        self.child = listening.child;
        let copying = copy(listening.rest, said.with_extension("stdout"));
        self.copying.spawn(copying);
        Ok(())
    }

    /// SIGTERM; whether it ended well.
    pub(crate) async fn stop(&mut self) -> Result<bool, Failure> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw);
        let gone = || Failure::could_not_run("the relay was gone before it was asked to stop");
        kill_process(id.ok_or_else(gone)?, Signal::TERM).map_err(|_| gone())?;
        let ended = timeout(STOP_TIMEOUT, self.child.wait()).await;
        while self.copying.join_next().await.is_some() {}
        Ok(matches!(ended, Ok(Ok(status)) if status.success()))
    }
}

async fn launch(folder: &Path, said: &Path, port: Option<u16>) -> Result<Listening, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["relay", "--dev", "--json", "--folder"])
        .arg(folder);
    if let Some(port) = port {
        command.args(["--port", &port.to_string()]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(said.with_extension("stderr"))?)
        // Ctrl-C at the terminal is ours to handle.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| Failure::could_not_run("the relay has no stdout"))?;
    let mut lines = BufReader::new(stdout).lines();
    let first = timeout(START_TIMEOUT, lines.next_line()).await;
    let not_started = || {
        let why = std::fs::read_to_string(said.with_extension("stderr")).unwrap_or_default();
        let last = why.lines().last().unwrap_or("it said nothing").to_owned();
        Failure::could_not_run(format!("the relay did not start: {last}"))
    };
    let first = first
        .ok()
        .and_then(|line| line.ok().flatten())
        .ok_or_else(not_started)?;
    let (address, port) = listening(&first).ok_or_else(not_started)?;
    Ok(Listening {
        child,
        address,
        port,
        rest: lines,
    })
}

fn listening(line: &str) -> Option<(RelayAddress, u16)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).and_then(Value::as_str);
    let port = field("listen")?.rsplit(':').next()?.parse().ok()?;
    let address = field("address")?.parse().ok()?;
    (field("type") == Some("listening")).then_some((address, port))
}

/// What else it prints, for the search.
async fn copy(mut lines: Lines<BufReader<ChildStdout>>, to: PathBuf) {
    let Ok(mut file) = tokio::fs::File::create(to).await else {
        return;
    };
    while let Ok(Some(line)) = lines.next_line().await {
        // A full disk is noticed by the search's control text.
        let _ = file.write_all(format!("{line}\n").as_bytes()).await;
    }
    let _ = file.flush().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_address_and_port() {
        let line = format!(
            r#"{{"type":"listening","address":"ws://127.0.0.1:4711#{}","listen":"127.0.0.1:4711"}}"#,
            "A".repeat(43)
        );
        let (address, port) = listening(&line).unwrap();
        assert_eq!((address.url(), port), ("ws://127.0.0.1:4711", 4711));
        assert!(listening(r#"{"type":"summary","ok":false}"#).is_none());
        assert!(listening("listening: ws://127.0.0.1:4711").is_none());
    }
}
