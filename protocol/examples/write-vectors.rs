//! Writes the golden vectors anew: `cargo run -p sotto-protocol --example write-vectors`.
//!
//! Do this only for an intended change of the wire, and look at the difference: whoever wrote a
//! client from SPEC.md has to follow it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a tool for developers that may stop at any fault"
)]
#![expect(dead_code, reason = "shared with the tests, which use all of it")]

#[path = "../tests/wire/files.rs"]
mod files;
#[path = "../tests/wire/json.rs"]
mod json;
#[path = "../tests/wire/noise.rs"]
mod noise;
#[path = "../tests/wire/recipes.rs"]
mod recipes;
#[path = "../tests/wire/samples/mod.rs"]
mod samples;

fn main() -> std::io::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    std::fs::create_dir_all(&folder)?;
    for (name, value) in files::all() {
        std::fs::write(folder.join(name), files::text(&value))?;
    }
    Ok(())
}
