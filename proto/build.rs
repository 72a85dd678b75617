//! Generates the prost and tonic code from the .proto files, in pure Rust: there is no protoc to install.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=postern");
    let descriptors =
        protox::compile(["postern/gateway/v1/enrollment.proto", "postern/gateway/v1/gateway.proto"], ["."])?;
    tonic_prost_build::configure()
        // Its `connect` constructor would clash with the rpc of that name; both programs bring their own connector.
        .build_transport(false)
        .bytes(".postern.gateway.v1")
        .codec_path("crate::codec::GatewayCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
