//! The `lockstep` program.

use std::process::ExitCode;

/// Gives memory back after the peaks of a round; the system's allocator keeps it in the arenas of its threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lockstep::cli::main().into()
}
