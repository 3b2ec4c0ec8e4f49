//! The binary `sotto-relay`: a runtime around the library's commands.

use std::process::ExitCode;

use clap::Parser;
use sotto_server::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(cli::execute(cli)),
        Err(_) => ExitCode::from(3),
    }
}
