//! Runs a sandbox until interrupted: `serve [PORT] [SPEED]`.
//!
//! Prints the endpoint URL, to be used as `AWS_ENDPOINT_URL`.

use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use lockstep_sandbox::{ClockMode, Options, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let speed = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let options = Options {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        clock: ClockMode::Speed(speed),
        auto_create_images: true,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await?;
    writeln!(std::io::stdout(), "{}", sandbox.endpoint_url())?;
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}
