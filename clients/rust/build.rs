//! Writes the stubs of the contract, without protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = "../../protos";
    let contract = format!("{protos}/asrgateway/v1/recognition.proto");
    println!("cargo:rerun-if-changed={contract}");
    let descriptors = protox::compile([contract], [protos])?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".asrgateway.v1.RecognizeRequest.audio")
        .boxed(".asrgateway.v1.RecognizeRequest.request.streaming_config")
        .compile_fds(descriptors)?;
    Ok(())
}
